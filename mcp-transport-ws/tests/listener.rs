//! Listening and upgrading: who gets in, who is refused with what, and that nobody holds up anybody.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    missing_docs,
    reason = "tests own their tasks and timers"
)]

use futures::{SinkExt, StreamExt};
use http::{Method, Request, Version};
use mcp_transport_core::guard::{Guard, Token};
use mcp_transport_core::{Connector, Error, ErrorKind, Listener, Message};
use mcp_transport_ws::{
    MAX_HANDSHAKES, Refusal, WsConfig, WsConnector, WsListener, WsTransport, upgrade,
};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message as Frame;

/// Accepts for ever; the connections come out of the channel.
fn run(mut listener: WsListener) -> (u16, mpsc::UnboundedReceiver<WsTransport>) {
    let port = listener.local_port();
    let (tx, rx) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok(transport) = listener.accept().await {
            let _ = tx.send(transport);
        }
    });
    (port, rx)
}

async fn refusal(connector: WsConnector) -> Error {
    let mut connector = connector;
    connector.connect().await.unwrap_err()
}

fn to(port: u16) -> WsConnector {
    WsConnector::new(&format!("ws://localhost:{port}/"))
}

#[tokio::test]
async fn both_families_are_listened_on() {
    let (port, mut accepted) = run(WsListener::bind(0).unwrap());
    for host in ["127.0.0.1", "[::1]"] {
        let mut connector = WsConnector::new(&format!("ws://{host}:{port}/"));
        let Ok(mut dialled) = connector.connect().await else {
            assert_eq!(host, "[::1]", "the machine has no 127.0.0.1");
            continue;
        };
        let mut theirs = accepted.recv().await.unwrap();
        dialled.send(Message::from("{}")).await.unwrap();
        assert_eq!(theirs.next().await.unwrap().unwrap().as_str(), Some("{}"));
    }
}

#[tokio::test]
async fn the_plain_library_can_dial_and_gets_the_subprotocol() {
    let config = WsConfig::new().subprotocol("a").subprotocol("b");
    let (port, mut accepted) = run(WsListener::bind(0).unwrap().config(config));
    let stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let mut request =
        tokio_tungstenite::tungstenite::client::IntoClientRequest::into_client_request(format!(
            "ws://127.0.0.1:{port}/"
        ))
        .unwrap();
    let offer = http::HeaderValue::from_static("x, b, a");
    request
        .headers_mut()
        .insert("sec-websocket-protocol", offer);
    let (mut plain, response) = tokio_tungstenite::client_async(request, stream)
        .await
        .unwrap();
    assert_eq!(response.headers()["sec-websocket-protocol"], "b");
    let mut ours = accepted.recv().await.unwrap();
    assert_eq!(ours.subprotocol(), Some("b"));
    plain.send(Frame::text("hello")).await.unwrap();
    assert_eq!(ours.next().await.unwrap().unwrap().as_str(), Some("hello"));
}

#[tokio::test]
async fn only_the_path_is_served() {
    let (port, _accepted) = run(WsListener::bind(0).unwrap().path("/mcp"));
    let error = refusal(to(port)).await;
    assert!(
        error.to_string().contains("404") && error.to_string().contains("/mcp"),
        "{error}"
    );
    let mut connector = WsConnector::new(&format!("ws://localhost:{port}/mcp?query"));
    connector.connect().await.unwrap();
}

#[tokio::test]
async fn pages_and_rebound_names_and_wrong_tokens_are_refused_before_the_upgrade() {
    let listener = WsListener::bind(0).unwrap();
    let token = "0123456789abcdef0123456789abcdef";
    let guard = Guard::new(listener.local_port()).token(token.parse::<Token>().unwrap());
    let (port, mut accepted) = run(listener.guard(guard));

    let good = format!("Bearer {token}");
    let page = to(port)
        .header("authorization", &good)
        .header("origin", "https://evil.example");
    for (connector, status) in [
        (to(port), "401"),
        (to(port).header("authorization", "Bearer wrong"), "401"),
        (page, "403"),
    ] {
        let error = refusal(connector).await;
        assert_eq!(error.kind(), ErrorKind::Unauthorized);
        assert!(error.to_string().contains(status), "{error}");
    }

    let rebound = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let error = WsConnector::new("ws://evil.example/")
        .connect_over(rebound)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthorized);

    to(port)
        .header("authorization", &good)
        .connect()
        .await
        .unwrap();
    assert!(accepted.recv().await.is_some());
    assert!(accepted.try_recv().is_err());
}

#[tokio::test]
async fn whoever_is_refused_gives_its_place_up_at_once() {
    let (port, _accepted) = run(WsListener::bind(0).unwrap());
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let request = format!("GET / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 426 "), "{answer}");
}

#[tokio::test]
async fn a_slow_handshake_holds_nobody_up() {
    let (port, mut accepted) = run(WsListener::bind(0).unwrap());
    let mut slow = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    slow.write_all(b"GET / HTTP/1.1\r\nHost: ").await.unwrap();

    to(port).connect().await.unwrap();
    assert!(accepted.recv().await.is_some());

    // And, byte by byte, gets there, too.
    let rest = format!(
        "127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    slow.set_nodelay(true).unwrap();
    for byte in rest.bytes() {
        slow.write_u8(byte).await.unwrap();
        tokio::task::yield_now().await;
    }
    assert!(accepted.recv().await.is_some());
}

#[tokio::test]
async fn a_handshake_that_never_ends_is_given_up() {
    let config = WsConfig::new().handshake_timeout(Duration::from_millis(50));
    let (port, _accepted) = run(WsListener::bind(0).unwrap().config(config));
    let mut slow = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    slow.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
    // The end, or a reset for what nobody read.
    assert_eq!(slow.read(&mut [0]).await.unwrap_or(0), 0);
}

#[tokio::test]
async fn with_all_handshakes_taken_others_are_told_to_come_back_and_then_get_in() {
    let (port, mut accepted) = run(WsListener::bind(0).unwrap());
    let mut slow = Vec::new();
    for _ in 0..MAX_HANDSHAKES {
        slow.push(TcpStream::connect(("127.0.0.1", port)).await.unwrap());
    }
    let error = refusal(to(port)).await;
    assert_eq!(error.retry_after(), Some(Duration::from_secs(1)), "{error}");
    assert!(error.to_string().contains("64 handshakes"), "{error}");

    drop(slow);
    let back = async {
        while to(port).connect().await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    timeout(Duration::from_secs(20), back).await.unwrap();
    assert!(accepted.recv().await.is_some());
}

#[tokio::test]
async fn a_head_over_64_kib_is_refused() {
    let (port, _accepted) = run(WsListener::bind(0).unwrap());
    let mut connector = to(port).header("x", &"x".repeat(80 * 1024));
    let error = connector.connect().await.unwrap_err();
    // Either the answer, or the reset that came because nobody read so much.
    assert_eq!(error.kind(), ErrorKind::Disconnected, "{error}");
}

#[tokio::test]
async fn an_accept_that_is_dropped_loses_no_handshake() {
    let mut listener = WsListener::bind(0).unwrap();
    let mut connector = to(listener.local_port());
    let mut dial = tokio::spawn(async move { connector.connect().await });
    // Polls in tiny steps, each dropped.
    let accepted = loop {
        tokio::select! {
            biased;
            accepted = listener.accept() => break accepted,
            () = tokio::task::yield_now() => {}
        }
    };
    let mut dialled = (&mut dial).await.unwrap().unwrap();
    dialled.send(Message::from("{}")).await.unwrap();
    assert!(accepted.unwrap().next().await.unwrap().is_ok());
}

#[test]
fn each_request_that_is_no_upgrade_is_refused_with_its_status() {
    let good = || {
        Request::builder()
            .header("connection", "keep-alive, Upgrade")
            .header("upgrade", "websocket")
            .header("sec-websocket-version", "13")
            .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
            .body(())
            .unwrap()
    };
    let with = |change: fn(&mut Request<()>)| {
        let mut request = good();
        change(&mut request);
        upgrade(request, &WsConfig::new()).unwrap_err()
    };
    fn set(request: &mut Request<()>, name: &'static str, value: &'static str) {
        let value = http::HeaderValue::from_static(value);
        request.headers_mut().insert(name, value);
    }
    type Change = fn(&mut Request<()>);
    let cases: [(Change, Refusal, u16); 9] = [
        (|r| *r.method_mut() = Method::POST, Refusal::Method, 405),
        (
            |r| *r.version_mut() = Version::HTTP_10,
            Refusal::HttpVersion,
            400,
        ),
        (|r| set(r, "upgrade", "h2c"), Refusal::NoUpgrade, 426),
        (|r| set(r, "connection", "close"), Refusal::NoUpgrade, 426),
        (
            |r| drop(r.headers_mut().remove("upgrade")),
            Refusal::NoUpgrade,
            426,
        ),
        (
            |r| set(r, "sec-websocket-version", "8"),
            Refusal::WsVersion,
            426,
        ),
        (
            |r| drop(r.headers_mut().remove("sec-websocket-key")),
            Refusal::Key,
            400,
        ),
        (|r| set(r, "sec-websocket-key", "short"), Refusal::Key, 400),
        // All is well, but no server is behind this request.
        (|_| {}, Refusal::NotUpgradable, 500),
    ];
    for (change, refusal, status) in cases {
        assert_eq!(with(change), refusal);
        let answer = refusal.into_response();
        assert_eq!(answer.status(), status);
        assert!(answer.body().starts_with("refused: "));
        assert_eq!(answer.headers().contains_key("allow"), status == 405);
        assert_eq!(
            answer.headers().contains_key("sec-websocket-version"),
            status == 426
        );
    }
}
