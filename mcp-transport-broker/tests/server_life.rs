//! A server's beginning and end, and what goes beside its calls.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    missing_docs,
    reason = "tests wait"
)]

mod server_support;

use mcp_transport_broker::broker;
use mcp_transport_broker::server::{Clients, Server};
use serde_json::{Value, json};
use server_support::{
    Host, MODERN, PATIENCE, Raw, Session, TOKEN, call, config, host_ask, message, modern, up,
};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::time::timeout;

#[tokio::test]
async fn the_end_of_a_broker_answers_everybody_that_waits() {
    let up = up(config());
    let mut host = Host::attach(up.port).await;
    let session = Session::begin(&mut host, "2025-06-18").await;
    let mut stream = session.get(None).await;
    stream.head().await;
    let mut running = Raw::to(up.port).await;
    running.modern(call(1)).await;
    let items = host.pull().await;
    host.push(json!([{"started": items[0].ticket}])).await;
    let detach = json!({"reason": "reloading", "coming": [items[0].ticket]});
    host.say("detach", &detach).await;
    let mut queued = Raw::to(up.port).await;
    queued.modern(call(2)).await;
    until_queued(up.port, 1).await;

    up.handle.shut_down(PATIENCE).await;
    let unknown = running.response().await;
    assert_eq!(unknown.status, 200);
    assert_eq!(unknown.json()["error"]["data"]["outcome"], "unknown");
    let not = queued.response().await.json()["error"]["data"].clone();
    assert_eq!(not["outcome"], "not_delivered");
    assert!(stream.event().await.is_none());
    assert!(up.serving.await.is_ok());
    let refused = tokio::net::TcpStream::connect(("127.0.0.1", up.port)).await;
    assert!(refused.is_err(), "the port is free");
}

#[tokio::test]
async fn a_parked_pull_is_told_that_the_broker_ends() {
    let up = up(config());
    let mut host = Host::attach(up.port).await;
    while !host.pull_raw(50).await.is_empty() {}
    let pull = json!({"wait_ms": 20_000});
    let (ended, ()) = tokio::join!(host.say("pull", &pull), async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        up.handle.shut_down(PATIENCE).await;
    });
    assert_eq!(ended.status, 503);
    assert_eq!(ended.json()["error"], "shutting_down");
}

#[tokio::test]
async fn whoever_knows_the_token_may_end_it() {
    let up = up(config());
    let mut raw = Raw::to(up.port).await;
    let stopped = host_ask(&mut raw, None, "stop", &json!({})).await;
    assert_eq!(stopped.status, 200);
    timeout(PATIENCE, up.serving).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_broker_says_who_is_attached_and_what_waits() {
    let up = up(config());
    let mut raw = Raw::to(up.port).await;
    let empty = host_ask(&mut raw, None, "status", &json!({})).await.json();
    assert_eq!(empty["host"], Value::Null);
    let _host = Host::attach(up.port).await;
    let mut client = Raw::to(up.port).await;
    client.modern(call(1)).await;
    until_queued(up.port, 1).await;
    let status = host_ask(&mut raw, None, "status", &json!({})).await.json();
    assert_eq!(status["host"]["instance"], "one");
    assert_eq!(status["host"]["connections"], 1);
    assert_eq!(status["clients"], 1);
}

#[tokio::test]
async fn a_claimed_call_that_says_more_than_there_is_room_for_breaks_off_and_does_not_end() {
    let over = json!({"last_client": 1, "last_ticket": 1,
        "lanes": [{"client": 1, "meet": {"era": "modern", "version": MODERN}}],
        "calls": [{"operation_id": "a", "ticket": 1, "client": 1, "replay": "never", "age_ms": 0,
            "message": {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "x"}},
            "hold_ms": 50_000, "budget_ms": 50_000}]});
    let server = Server::bind(0, config()).unwrap();
    server.take_over(serde_json::from_value(over).unwrap());
    let port = server.port();
    tokio::spawn(server.serve());
    let mut host = Host::attach(port).await;
    let given = host.pull().await.remove(0);
    let said = json!({"client": given.client, "about": given.ticket, "message":
        {"jsonrpc": "2.0", "method": "notifications/message", "params": {}}});
    host.push(Value::Array(vec![said; 1_100])).await;

    let mut older = Raw::to(port).await;
    let bearer = format!("Bearer {TOKEN}");
    let claim = json!({"operation_id": "a"}).to_string();
    let headers = [("Authorization", bearer.as_str())];
    older
        .send("POST /_broker/v1/claim", &headers, Some(&claim))
        .await;
    let mut answer = Vec::new();
    let read = async {
        while !answer.ends_with(b"\r\n0\r\n\r\n") {
            if older.stream.read_buf(&mut answer).await.unwrap_or(0) == 0 {
                return true;
            }
        }
        false
    };
    let breaks_off = timeout(PATIENCE, read).await.unwrap();
    assert!(breaks_off, "{}", String::from_utf8_lossy(&answer));
}

#[tokio::test]
async fn lists_are_answered_while_no_host_is_there_also_by_the_next_broker() {
    let directory = tempdir("catalogue");
    let port;
    {
        let up = up(config().state_dir(&directory));
        port = up.port;
        let mut host = Host::attach_as(up.port, "one", json!({})).await;
        let mut client = Raw::to(up.port).await;
        client.modern(modern(1, "tools/list", json!({}))).await;
        let items = host.pull().await;
        host.result(
            &items[0],
            json!({"tools": [{"name": "echo", "inputSchema": {}}]}),
        )
        .await;
        client.response().await;
        host.say("detach", &json!({"reason": "reloading"})).await;
        client.modern(modern(2, "tools/list", json!({}))).await;
        let known = client.response().await.json();
        assert_eq!(known["id"], 2);
        assert_eq!(known["result"]["tools"][0]["name"], "echo");
        kept(&directory, "echo").await;
        up.handle.shut_down(PATIENCE).await;
        up.serving.await.unwrap();
    }
    let server = Server::bind(port, config().state_dir(&directory)).unwrap();
    tokio::spawn(server.serve());
    let mut client = Raw::to(port).await;
    client.modern(modern(3, "tools/list", json!({}))).await;
    let known = client.response().await.json();
    assert_eq!(known["result"]["tools"][0]["name"], "echo");
    std::fs::remove_dir_all(directory).unwrap();
}

// On Windows the rights of the folder decide.
#[cfg(unix)]
#[tokio::test]
async fn nobody_else_can_read_a_catalogue() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempdir("private");
    let up = up(config().state_dir(&directory));
    let mut host = Host::attach(up.port).await;
    let mut client = Raw::to(up.port).await;
    client.modern(modern(1, "tools/list", json!({}))).await;
    let items = host.pull().await;
    host.result(&items[0], json!({"tools": []})).await;
    let file = kept(&directory, "tools").await;
    let mode = |path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&directory), mode(&file)), (0o700, 0o600));
    std::fs::remove_dir_all(directory).unwrap();
}

#[tokio::test]
async fn arguments_that_a_schema_wants_in_headers_are_compared() {
    let up = up(config());
    let mut host = Host::attach(up.port).await;
    let mut client = Raw::to(up.port).await;
    client.modern(modern(1, "tools/list", json!({}))).await;
    let items = host.pull().await;
    let schema = json!({"properties": {"region": {"type": "string", "x-mcp-header": "Region"}}});
    let tools = json!({"tools": [{"name": "echo", "inputSchema": schema}]});
    host.result(&items[0], tools).await;
    client.response().await;

    let arguments = json!({"name": "echo", "arguments": {"region": "north"}});
    for (header, status) in [
        (None, 400),
        (Some("south"), 400),
        (Some("=?base64?bm9ydGg?="), 400),
        (Some("north"), 200),
        (Some("=?base64?bm9ydGg=?="), 200),
    ] {
        let (mut headers, body) = modern(2, "tools/call", arguments.clone());
        if let Some(header) = header {
            headers.push(("mcp-param-region".into(), header.into()));
        }
        client.modern((headers, body)).await;
        if status == 200 {
            let items = host.pull().await;
            host.result(&items[0], json!({})).await;
        }
        let response = client.response().await;
        assert_eq!(response.status, status, "{header:?}");
        if status == 400 {
            assert_eq!(response.json()["error"]["code"], -32020);
        }
    }
}

#[tokio::test]
async fn an_upgrade_goes_to_the_hosts_tunnel_and_bytes_pass_both_ways() {
    let up = up(config().tunnel_path("/hub"));
    let tunnel = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = tunnel.local_addr().unwrap().to_string();

    // It is held while no host is there.
    let mut client = Raw::to(up.port).await;
    let upgrade = [
        ("Connection", "Upgrade"),
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ("X-Custom", "kept"),
    ];
    client.send("GET /hub?a=b", &upgrade, None).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    let _host = Host::attach_as(up.port, "one", json!({"tunnel": address})).await;

    let (mut far, _) = timeout(PATIENCE, tunnel.accept()).await.unwrap().unwrap();
    let head = read_until(&mut far, "\r\n\r\n").await.to_lowercase();
    assert!(head.starts_with("get /hub?a=b http/1.1\r\n"), "{head}");
    assert!(head.contains("x-custom: kept") && head.contains("upgrade: websocket"));
    far.write_all(
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
          Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\nfirst",
    )
    .await
    .unwrap();
    let response = client.head().await;
    assert_eq!(response.status, 101);
    assert_eq!(
        response.header("sec-websocket-accept"),
        Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
    );
    client.write("to the host").await;
    assert_eq!(read_until(&mut far, "host").await, "to the host");
    far.write_all(b" to the client").await.unwrap();
    let said = read_until(&mut client.stream, "client").await;
    assert!("first to the client".ends_with(&said), "{said}");
    drop(far);
    let end = timeout(PATIENCE, client.stream.read(&mut [0]))
        .await
        .unwrap();
    assert_eq!(end.unwrap_or(0), 0);
}

#[tokio::test]
async fn an_upgrade_that_the_host_refuses_is_refused() {
    let up = up(config().tunnel_path("/hub"));
    let tunnel = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = tunnel.local_addr().unwrap().to_string();
    let _host = Host::attach_as(up.port, "one", json!({"tunnel": address})).await;
    let mut client = Raw::to(up.port).await;
    let upgrade = [("Connection", "Upgrade"), ("Upgrade", "websocket")];
    client.send("GET /hub", &upgrade, None).await;
    let (mut far, _) = tunnel.accept().await.unwrap();
    read_until(&mut far, "\r\n\r\n").await;
    far.write_all(b"HTTP/1.1 426 Upgrade Required\r\nContent-Length: 4\r\n\r\nnope")
        .await
        .unwrap();
    let response = client.response().await;
    assert_eq!((response.status, response.text().as_str()), (426, "nope"));
}

#[tokio::test]
async fn an_upgrade_waits_for_a_host_no_longer_than_a_call() {
    let hold = Duration::from_millis(50);
    let up = up(config()
        .tunnel_path("/hub")
        .tunnels(1)
        .broker(broker::Config::default().hold(hold)));
    let mut client = Raw::to(up.port).await;
    let upgrade = [("Connection", "Upgrade"), ("Upgrade", "websocket")];
    let response = client.ask("GET /hub", &upgrade, None).await;
    assert_eq!(response.status, 503);
    assert_eq!(response.header("retry-after"), Some("1"));
}

#[tokio::test]
async fn one_tunnel_more_than_may_be_is_refused_and_a_page_gets_none() {
    let up = up(config().tunnel_path("/hub").tunnels(1));
    let upgrade = [("Connection", "Upgrade"), ("Upgrade", "websocket")];
    let mut first = Raw::to(up.port).await;
    first.send("GET /hub", &upgrade, None).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    let mut second = Raw::to(up.port).await;
    assert_eq!(second.ask("GET /hub", &upgrade, None).await.status, 503);

    let mut page = Raw::to(up.port).await;
    let mut foreign = upgrade.to_vec();
    foreign.push(("Origin", "https://evil.example"));
    assert_eq!(page.ask("GET /hub", &foreign, None).await.status, 403);
}

#[tokio::test]
async fn in_forward_mode_bodies_go_on_as_they_are_on_any_path() {
    let up = up(config().clients(Clients::Forward));
    let mut host = Host::attach(up.port).await;
    let mut client = Raw::to(up.port).await;
    let body = r#"{ "jsonrpc":"2.0","id":"a",  "method":"tools/call" }"#;
    client.send("POST /anything", &[], Some(body)).await;
    let items = host.pull().await;
    assert_eq!(items[0].message.as_ref().unwrap().get(), body);
    let error = json!({"jsonrpc": "2.0", "id": "a", "error": {"code": -32601, "message": "no"}});
    host.answer(items[0].ticket.unwrap(), error.clone()).await;
    let response = client.response().await;
    assert_eq!((response.status, response.json()), (200, error));

    let notification = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
    let accepted = client.ask("POST /", &[], Some(notification)).await;
    assert_eq!((accepted.status, accepted.text().as_str()), (202, ""));
    assert_eq!(
        message(&host.pull().await[0])["method"],
        "notifications/initialized"
    );
    let batch = client.ask("POST /", &[], Some("[]")).await;
    assert_eq!(batch.status, 400);
}

async fn until_queued(port: u16, count: usize) {
    let mut raw = Raw::to(port).await;
    for _ in 0..500 {
        let status = host_ask(&mut raw, None, "status", &json!({})).await;
        if status.json()["queued"] == count {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("never {count} queued");
}

/// Waits for a file that has this in it.
async fn kept(directory: &std::path::Path, text: &str) -> std::path::PathBuf {
    for _ in 0..500 {
        for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
            let is_json = entry.path().extension().is_some_and(|kind| kind == "json");
            let read = std::fs::read_to_string(entry.path()).unwrap_or_default();
            if is_json && read.contains(text) {
                return entry.path();
            }
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("no catalogue was kept");
}

fn tempdir(name: &str) -> std::path::PathBuf {
    let name = format!("mcp-broker-{name}-{}", std::process::id());
    let directory = std::env::temp_dir().join(name);
    let _ = std::fs::remove_dir_all(&directory);
    directory
}

async fn read_until(stream: &mut tokio::net::TcpStream, end: &str) -> String {
    let mut text = String::new();
    while !text.ends_with(end) {
        let mut piece = [0; 4096];
        let read = timeout(PATIENCE, stream.read(&mut piece)).await.unwrap();
        let read = read.unwrap();
        assert!(read > 0, "it ended after {text:?}");
        text.push_str(std::str::from_utf8(&piece[..read]).unwrap());
    }
    text
}
