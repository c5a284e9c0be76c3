//! Dialling: what is asked, and what a dial says when it fails.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    missing_docs,
    reason = "tests own their tasks and timers"
)]

use futures::{SinkExt, StreamExt};
use mcp_transport_core::{Connector, Error, ErrorKind, EvictionReason, Message};
use mcp_transport_ws::{WsConfig, WsConnector, WsTransport};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::net::TcpListener;
use tokio::time::{Instant, sleep};
use tokio_tungstenite::tungstenite::Message as Frame;

const URL: &str = "ws://localhost:8080/path?query";

async fn read_request(wire: &mut DuplexStream) -> String {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        request.push(wire.read_u8().await.unwrap());
    }
    String::from_utf8(request).unwrap()
}

/// Dials over a pipe whose other end gives this answer, and stays.
async fn answered(connector: &WsConnector, answer: &[u8]) -> Result<WsTransport, Error> {
    let (here, mut there) = tokio::io::duplex(16 * 1024);
    let peer = async {
        read_request(&mut there).await;
        there.write_all(answer).await.unwrap();
    };
    tokio::join!(connector.connect_over(here), peer).0
}

#[tokio::test]
async fn the_request_has_the_case_of_the_rfc_the_path_and_our_headers() {
    let connector = WsConnector::new(URL)
        .header("Authorization", "Bearer secret")
        .header("x-project", "a")
        .header("x-project", "b")
        .subprotocol("one")
        .subprotocol("two");
    let (here, mut there) = tokio::io::duplex(1024);
    let dial = tokio::spawn(async move { connector.connect_over(here).await });
    let request = read_request(&mut there).await;
    for line in [
        "GET /path?query HTTP/1.1",
        "Host: localhost:8080",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Protocol: one, two",
        "authorization: Bearer secret",
        "x-project: a",
        "x-project: b",
    ] {
        assert!(
            request.lines().any(|found| found == line),
            "{line} in {request}"
        );
    }
    drop(there);
    let error = dial.await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Disconnected);
}

#[tokio::test]
async fn the_plain_library_answers_with_a_subprotocol_and_bytes_right_behind() {
    let (here, there) = tokio::io::duplex(1024);
    let connector = WsConnector::new(URL).subprotocol("mcp");
    #[expect(clippy::result_large_err, reason = "the library's signature")]
    let choose = |_: &http::Request<()>, mut response: http::Response<()>| {
        let name = http::HeaderValue::from_static("mcp");
        response
            .headers_mut()
            .insert("sec-websocket-protocol", name);
        Ok(response)
    };
    let peer = async {
        let mut peer = tokio_tungstenite::accept_hdr_async(there, choose)
            .await
            .unwrap();
        peer.send(Frame::text("hello")).await.unwrap();
        peer
    };
    let (ours, _peer) = tokio::join!(connector.connect_over(here), peer);
    let mut ours = ours.unwrap();
    assert_eq!(ours.subprotocol(), Some("mcp"));
    assert_eq!(ours.next().await.unwrap().unwrap().as_str(), Some("hello"));
}

#[tokio::test]
async fn each_refusal_is_the_ending_of_its_status_with_the_text_of_the_peer() {
    let statuses = [
        200, 301, 400, 401, 403, 404, 408, 409, 410, 413, 426, 429, 500, 503, 504,
    ];
    for status in statuses {
        let answer = format!("HTTP/1.1 {status} No\r\nContent-Length: 7\r\n\r\nbecause");
        let error = answered(&WsConnector::new(URL), answer.as_bytes())
            .await
            .unwrap_err();
        assert_eq!(
            error.kind(),
            ErrorKind::from_http_status(status, None),
            "{status}"
        );
        let text = error.to_string();
        assert!(
            text.contains(&status.to_string()) && text.contains("because"),
            "{text}"
        );
    }
}

#[tokio::test]
async fn a_refusal_says_when_to_come_back() {
    let answer = b"HTTP/1.1 503 Busy\r\nRetry-After: 3\r\nContent-Length: 0\r\n\r\n";
    let error = answered(&WsConnector::new(URL), answer).await.unwrap_err();
    assert_eq!(error.retry_after(), Some(Duration::from_secs(3)));
}

#[tokio::test(start_paused = true)]
async fn a_refusal_whose_body_never_comes_is_a_refusal_all_the_same() {
    let start = Instant::now();
    let answer = b"HTTP/1.1 409 No\r\nContent-Length: 500\r\n\r\nhalf a";
    let (here, mut there) = tokio::io::duplex(1024);
    let connector = WsConnector::new(URL);
    let (error, ()) = tokio::join!(connector.connect_over(here), async {
        read_request(&mut there).await;
        there.write_all(answer).await.unwrap();
        sleep(Duration::from_secs(60)).await;
    });
    let error = error.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Evicted(EvictionReason::Superseded));
    assert!(error.to_string().contains("half a"));
    assert!(start.elapsed() < Duration::from_secs(61));
}

#[tokio::test]
async fn a_long_body_is_cut() {
    let answer = format!("HTTP/1.1 500 No\r\n\r\n{}", "ä".repeat(1000));
    let error = answered(&WsConnector::new(URL), answer.as_bytes())
        .await
        .unwrap_err();
    assert!(error.to_string().len() < 700);
}

#[tokio::test]
async fn something_else_than_http_is_incompatible() {
    for answer in [b"SSH-2.0-OpenSSH_9.2\r\n".as_slice(), &[0; 64]] {
        let error = answered(&WsConnector::new(URL), answer).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Incompatible);
    }
}

#[tokio::test]
async fn a_head_without_end_is_cut_off() {
    let mut answer = b"HTTP/1.1 101 Switching\r\n".to_vec();
    answer.extend(b"x: y\r\n".repeat(50));
    answer.extend(b"z: ");
    answer.resize(70 * 1024, b'z');
    let (here, mut there) = tokio::io::duplex(100 * 1024);
    let connector = WsConnector::new(URL);
    let (error, ()) = tokio::join!(connector.connect_over(here), async {
        read_request(&mut there).await;
        there.write_all(&answer).await.unwrap();
    });
    assert_eq!(error.unwrap_err().kind(), ErrorKind::Incompatible);
}

#[tokio::test]
async fn an_answer_to_another_key_is_incompatible() {
    let answer = b"HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
    let error = answered(&WsConnector::new(URL), answer).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Incompatible);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_accepts_and_says_nothing_is_given_up_after_five_seconds() {
    let (here, _there) = tokio::io::duplex(1024);
    let start = Instant::now();
    let error = WsConnector::new(URL).connect_over(here).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    assert_eq!(start.elapsed(), Duration::from_secs(5));
}

#[tokio::test]
async fn a_url_or_a_header_that_is_none_is_told_by_the_dial_and_by_parse() {
    for connector in [
        WsConnector::new("wss://localhost"),
        WsConnector::new(URL).header("sec-websocket-key", "mine"),
        WsConnector::new(URL).header("Host", "elsewhere"),
        WsConnector::new(URL).header("two words", ""),
        WsConnector::new(URL).header("x", "two\nlines"),
    ] {
        let error = connector.clone().connect().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Incompatible);
        assert!(!error.is_retryable());
    }
    assert!("http://localhost".parse::<WsConnector>().is_err());
    assert!(URL.parse::<WsConnector>().is_ok());
}

#[tokio::test]
async fn a_port_where_nobody_listens_is_unreachable() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    let error = WsConnector::new(&format!("ws://{address}/"))
        .connect()
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unreachable);
}

#[tokio::test]
async fn localhost_finds_a_peer_of_either_family() {
    for own in ["127.0.0.1:0", "[::1]:0"] {
        let Ok(listener) = TcpListener::bind(own).await else {
            continue; // The machine lacks the family.
        };
        let port = listener.local_addr().unwrap().port();
        let mut connector = WsConnector::new(&format!("ws://localhost:{port}"));
        let (ours, peer) = tokio::join!(connector.connect(), async {
            let (stream, _) = listener.accept().await.unwrap();
            tokio_tungstenite::accept_async(stream).await.unwrap()
        });
        let (mut ours, mut peer) = (ours.unwrap(), peer);
        ours.send(Message::from("{}")).await.unwrap();
        assert_eq!(peer.next().await.unwrap().unwrap(), Frame::text("{}"));
    }
}

#[test]
fn credentials_stay_out_of_the_debug_output() {
    let connector = WsConnector::new(URL).header("authorization", "Bearer secret");
    let text = format!("{connector:?} {:?}", WsConfig::new());
    assert!(
        text.contains("authorization") && !text.contains("secret"),
        "{text}"
    );
}
