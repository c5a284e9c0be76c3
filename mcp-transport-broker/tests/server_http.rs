//! HTTP as it should not be, and as it may be.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    missing_docs,
    reason = "tests wait"
)]

mod server_support;

use mcp_transport_core::guard::HEAD_TIMEOUT;
use serde_json::{Value, json};
use server_support::{Host, MODERN, Raw, borrowed, call, config, message, up};
use std::time::Duration;

/// The head of a call's POST, but for how its body is framed.
fn head(port: u16, more: &str) -> String {
    format!(
        "POST /mcp HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n\
         MCP-Protocol-Version: {MODERN}\r\nMcp-Method: tools/call\r\nMcp-Name: echo\r\n{more}\r\n"
    )
}

/// Answers each call with its own id.
async fn answering(port: u16) -> tokio::task::JoinHandle<()> {
    let mut host = Host::attach(port).await;
    tokio::spawn(async move {
        loop {
            for given in host.pull().await {
                if given.ticket.is_some() {
                    host.result(&given, json!({"done": true})).await;
                }
            }
        }
    })
}

async fn answered(raw: &mut Raw) -> Value {
    let response = raw.response().await;
    assert_eq!(response.status, 200, "{}", response.text());
    response.json()["result"].clone()
}

#[tokio::test]
async fn a_connection_serves_one_request_after_the_other() {
    let up = up(config());
    let _host = answering(up.port).await;
    let mut client = Raw::to(up.port).await;
    for id in 0..3 {
        client.modern(call(id)).await;
        let response = client.response().await;
        assert_eq!(response.json()["id"], id);
    }
}

#[tokio::test(start_paused = true)]
async fn a_quiet_connection_gives_its_buffers_back_and_serves_on() {
    let up = up(config());
    let _host = answering(up.port).await;
    let mut client = Raw::to(up.port).await;
    client.modern(call(1)).await;
    answered(&mut client).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    client.modern(call(2)).await;
    assert_eq!(answered(&mut client).await, json!({"done": true}));
}

#[tokio::test]
async fn a_second_request_that_came_with_the_first_is_served_after_it() {
    let up = up(config());
    let _host = answering(up.port).await;
    let mut client = Raw::to(up.port).await;
    let (_, body) = call(1);
    let request = head(up.port, &format!("Content-Length: {}\r\n", body.len())) + &body;
    client.write(format!("{request}{request}")).await;
    answered(&mut client).await;
    answered(&mut client).await;
}

#[tokio::test]
async fn a_body_in_chunks_arrives_whole() {
    let up = up(config());
    let mut host = Host::attach(up.port).await;
    let mut client = Raw::to(up.port).await;
    client
        .write(head(up.port, "Transfer-Encoding: chunked\r\n"))
        .await;
    let (_, body) = call(1);
    for piece in body.as_bytes().chunks(7) {
        client.write(format!("{:x}\r\n", piece.len())).await;
        client.write(piece).await;
        client.write("\r\n").await;
    }
    client.write("0\r\n\r\n").await;
    let items = host.pull().await;
    assert_eq!(items[0].message.as_ref().unwrap().get(), body);
    host.result(&items[0], json!({})).await;
    answered(&mut client).await;
}

#[tokio::test]
async fn a_client_that_expects_100_continue_gets_it_after_the_gate() {
    let up = up(config());
    let _host = answering(up.port).await;
    let (_, body) = call(1);
    let framing = format!("Content-Length: {}\r\nExpect: 100-continue\r\n", body.len());

    let mut client = Raw::to(up.port).await;
    client.write(head(up.port, &framing)).await;
    assert_eq!(client.response().await.status, 100);
    client.write(&body).await;
    answered(&mut client).await;

    let mut page = Raw::to(up.port).await;
    let origin = format!("Origin: https://evil.example\r\n{framing}");
    page.write(head(up.port, &origin)).await;
    assert_eq!(page.response().await.status, 403);
}

#[tokio::test]
async fn what_is_not_http_is_answered_or_ended() {
    let up = up(config());
    let long = format!("X-Long: {}\r\n", "x".repeat(70 * 1024));
    let (_, body) = call(1);
    let length = |value: &str| head(up.port, &format!("Content-Length: {value}\r\n")) + &body;
    let cases: Vec<(&str, String, u16)> = vec![
        ("a line of garbage", "garbage\r\n\r\n".into(), 400),
        ("another", "GARBAGE X\r\n\r\n".into(), 400),
        ("70 KiB of headers", head(up.port, &long), 431),
        ("a length that is no number", length("abc"), 400),
        ("a negative length", length("-1"), 400),
        (
            "a length beyond all bounds",
            length("99999999999999999999"),
            400,
        ),
        ("a length over the limit", length("67108865"), 413),
        (
            "two lengths that differ",
            length("5\r\nContent-Length: 6"),
            400,
        ),
        ("no length", head(up.port, ""), 411),
        ("an empty body", head(up.port, "Content-Length: 0\r\n"), 400),
        (
            "an unknown coding",
            head(up.port, "Transfer-Encoding: gzip\r\n"),
            400,
        ),
        (
            "chunks that are none",
            head(up.port, "Transfer-Encoding: chunked\r\n") + "zz\r\n",
            400,
        ),
        (
            "a body that is no JSON",
            head(up.port, "Content-Length: 2\r\n") + "{{",
            400,
        ),
        (
            "a TLS hello",
            "\x16\x03\x01\x02\x00\x01\x00\x01\u{fc}\x03\x03\r\n\r\n".into(),
            400,
        ),
    ];
    for (what, bytes, status) in cases {
        let mut client = Raw::to(up.port).await;
        client.write(bytes).await;
        let response = client.response().await;
        assert_eq!(response.status, status, "{what}: {}", response.text());
        assert_eq!(response.header("access-control-allow-origin"), None);
    }
}

#[tokio::test]
async fn methods_that_there_are_not_are_said_to_be_none() {
    let up = up(config());
    let mut client = Raw::to(up.port).await;
    for method in ["PUT", "PATCH"] {
        let response = client.ask(&format!("{method} /mcp"), &[], None).await;
        assert_eq!(response.status, 405, "{method}");
        assert_eq!(response.header("allow"), Some("POST, GET, DELETE"));
    }
    let modern = [("MCP-Protocol-Version", MODERN)];
    for method in ["GET", "DELETE"] {
        let response = client.ask(&format!("{method} /mcp"), &modern, None).await;
        assert_eq!(response.status, 405, "{method}");
        assert_eq!(response.header("allow"), Some("POST"));
    }
    let response = client.ask("GET /favicon.ico", &[], None).await;
    assert_eq!(response.status, 404);
}

#[tokio::test]
async fn a_truncated_upload_reaches_no_host() {
    let up = up(config());
    let (_, body) = call(1);
    let mut client = Raw::to(up.port).await;
    let framing = format!("Content-Length: {}\r\n", body.len() + 1);
    client.write(head(up.port, &framing) + &body).await;
    drop(client);
    let mut host = Host::attach(up.port).await;
    let mut next = Raw::to(up.port).await;
    next.modern(call(2)).await;
    let items = host.pull().await;
    assert_eq!(items.len(), 1);
    assert_eq!(message(&items[0])["id"], 2);
}

#[tokio::test]
async fn a_body_of_ten_mebibytes_goes_there_and_back() {
    let up = up(config());
    let mut host = Host::attach(up.port).await;
    let mut client = Raw::to(up.port).await;
    let text = "x".repeat(10 * 1024 * 1024);
    let request = server_support::modern(
        1,
        "tools/call",
        json!({"name": "echo", "arguments": {"text": text}}),
    );
    let (echoed, ()) = tokio::join!(
        async {
            client.modern(request).await;
            answered(&mut client).await
        },
        async {
            let items = host.pull().await;
            let said = message(&items[0])["params"]["arguments"].clone();
            host.result(&items[0], said).await;
        }
    );
    assert_eq!(echoed["text"].as_str().unwrap().len(), text.len());
}

#[tokio::test]
async fn more_bodies_at_once_than_may_be_are_refused() {
    let up = up(config().receiving(64 * 1024));
    let mut client = Raw::to(up.port).await;
    let framing = format!("Content-Length: {}\r\n", 128 * 1024);
    client
        .write(head(up.port, &framing) + &" ".repeat(127 * 1024))
        .await;
    let response = client.response().await;
    assert_eq!(response.status, 503);
    assert_eq!(response.header("retry-after"), Some("1"));

    let mut small = Raw::to(up.port).await;
    let _host = answering(up.port).await;
    small.modern(call(1)).await;
    answered(&mut small).await;
}

#[tokio::test]
async fn one_connection_more_than_may_be_is_closed_at_once() {
    let up = up(config().connections(2));
    let first = Raw::to(up.port).await;
    let mut second = Raw::to(up.port).await;
    let response = second.ask("GET /", &[], None).await;
    assert_eq!(response.status, 400);
    let mut third = Raw::to(up.port).await;
    assert_eq!(third.response().await.status, 503);
    assert!(third.closed().await);
    drop(first);
    for _ in 0.. {
        let mut next = Raw::to(up.port).await;
        if next.ask("GET /", &[], None).await.status == 400 {
            break;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_stops_coming_is_given_up_after_thirty_seconds() {
    let up = up(config());
    let (_, body) = call(1);
    let mut client = Raw::to(up.port).await;
    let framing = format!("Content-Length: {}\r\n", body.len() + 1);
    client.write(head(up.port, &framing) + &body).await;
    let begun = tokio::time::Instant::now();
    tokio::time::sleep(Duration::from_secs(28)).await;
    assert_eq!(client.response().await.status, 408);
    assert!(begun.elapsed() >= Duration::from_secs(30) - Duration::from_millis(1));
    assert!(begun.elapsed() < Duration::from_secs(31));
}

#[tokio::test(start_paused = true)]
async fn half_a_head_is_waited_for_ten_seconds_and_no_longer() {
    let up = up(config());
    let mut silent = Raw::to(up.port).await;
    let mut slow = Raw::to(up.port).await;
    slow.write("POST /mcp HTTP/1.1\r\nHost: ").await;
    let begun = tokio::time::Instant::now();
    assert!(silent.closed().await);
    assert!(slow.closed().await);
    assert!(begun.elapsed() >= HEAD_TIMEOUT - Duration::from_millis(1));
    assert!(begun.elapsed() < HEAD_TIMEOUT + Duration::from_secs(1));
}

#[tokio::test]
async fn both_addresses_of_this_machine_are_served() {
    let up = up(config());
    let Ok(stream) = tokio::net::TcpStream::connect(("::1", up.port)).await else {
        return; // A machine without IPv6.
    };
    let mut client = Raw::to(up.port).await;
    client.stream = stream;
    let (headers, body) = call(1);
    let _host = answering(up.port).await;
    client
        .send("POST /mcp", &borrowed(&headers), Some(&body))
        .await;
    answered(&mut client).await;
}
