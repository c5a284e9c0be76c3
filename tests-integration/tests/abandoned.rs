//! Clients that vanish without ending their sessions: what they leave is bounded, and costs nobody else anything.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    missing_docs,
    reason = "tests wait and spawn"
)]

use examples::calls::Budget;
use serde_json::json;
use std::time::Duration;
use tests_integration::Server;
use tests_integration::raw::{Response, Session, exchange, request};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// More than the server keeps of those that are idle.
const VANISH: usize = 140;

async fn list(session: &Session) -> Response {
    let body = json!({"jsonrpc": "2.0", "id": 7, "method": "tools/list"}).to_string();
    let headers = [
        ("Content-Type", "application/json"),
        ("Accept", "application/json, text/event-stream"),
        ("MCP-Protocol-Version", "2025-11-25"),
        ("Mcp-Session-Id", &*session.id),
        ("Connection", "close"),
    ];
    exchange(
        session.port,
        &request("POST /mcp", session.port, &headers, &body),
    )
    .await
}

#[tokio::test]
async fn the_session_that_was_idle_for_longest_goes_and_its_client_begins_anew() {
    let server = Server::start(Budget::default());
    let first = Session::begin(server.port).await;
    let second = Session::begin(server.port).await;
    assert_eq!(list(&first).await.status, 200);
    let mut last = Session::begin(server.port).await;
    for _ in 0..VANISH {
        last = Session::begin(server.port).await;
    }
    // It is ended beside whoever came.
    let gone = async {
        while list(&second).await.status != 404 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), gone)
        .await
        .expect("the specification's 404");
    assert_eq!(list(&last).await.status, 200);
    let anew = Session::begin(server.port).await;
    assert_eq!(list(&anew).await.status, 200);
}

#[tokio::test]
async fn a_client_that_listens_keeps_its_session_whoever_else_vanishes() {
    let server = Server::start(Budget::default());
    let listens = Session::begin(server.port).await;
    let mut stream = TcpStream::connect(("127.0.0.1", server.port))
        .await
        .unwrap();
    let headers = [
        ("Accept", "text/event-stream"),
        ("MCP-Protocol-Version", "2025-11-25"),
        ("Mcp-Session-Id", &*listens.id),
    ];
    let get = request("GET /mcp", server.port, &headers, "");
    stream.write_all(get.as_bytes()).await.unwrap();
    let mut head = [0; 12];
    stream.read_exact(&mut head).await.unwrap();
    assert_eq!(&head, b"HTTP/1.1 200");
    for _ in 0..VANISH {
        Session::begin(server.port).await;
    }
    assert_eq!(list(&listens).await.status, 200);
    drop(stream);
    // Now it is the one that was used last.
    assert_eq!(list(&listens).await.status, 200);
}
