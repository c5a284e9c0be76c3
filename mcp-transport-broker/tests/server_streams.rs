//! Event streams: when there is one, what goes on which, and what survives its end.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    missing_docs,
    reason = "tests wait"
)]

mod server_support;

use serde_json::{Value, json};
use server_support::{BOTH, Host, Raw, Session, borrowed, call, config, message, modern, up};
use std::time::Duration;

#[tokio::test]
async fn an_answer_that_comes_soon_is_plain_json_for_whoever_takes_that() {
    let up = up(config());
    let mut host = Host::attach(up.port).await;
    let session = Session::begin(&mut host, "2025-11-25").await;
    let mut client = session.sends(&tool(1)).await;
    let items = host.pull().await;
    host.result(&items[0], json!({})).await;
    let response = client.response().await;
    assert_eq!(response.header("content-type"), Some("application/json"));
}

#[tokio::test]
async fn an_answer_that_takes_long_comes_on_a_stream_that_is_kept_alive() {
    let moment = Duration::from_millis(50);
    let up = up(config().head_after(moment).comment_every(moment));
    let mut host = Host::attach(up.port).await;
    let mut client = streaming(up.port, call(1)).await;
    let head = client.head().await;
    assert_eq!(head.status, 200);
    assert_eq!(head.header("content-type"), Some("text/event-stream"));
    assert_eq!(head.header("cache-control"), Some("no-cache"));
    assert_eq!(head.header("x-accel-buffering"), Some("no"));
    assert_eq!(client.chunk().await.unwrap(), b":\n\n");
    assert_eq!(client.chunk().await.unwrap(), b":\n\n");
    let items = host.pull().await;
    host.result(&items[0], json!({"done": true})).await;
    let event = client.event().await.unwrap();
    assert_eq!(event.json()["result"]["done"], true);
    assert_eq!(event.id, None, "a modern stream cannot be resumed");
    assert!(client.event().await.is_none(), "it ends with the answer");
}

#[tokio::test]
async fn a_session_that_names_streams_first_knows_from_the_start_where_to_resume() {
    let up = up(config());
    let mut host = Host::attach(up.port).await;
    let session = Session::begin(&mut host, "2025-11-25").await;
    let mut headers = session.headers();
    headers.retain(|header| *header != BOTH);
    headers.push(STREAM_FIRST);
    let mut client = Raw::to(up.port).await;
    let body = tool(1).to_string();
    client.send("POST /mcp", &headers, Some(&body)).await;
    assert_eq!(client.head().await.status, 200);
    let priming = client.event().await.unwrap();
    assert_eq!(priming.data, "");
    assert!(priming.id.is_some() && priming.retry.is_some());
    let items = host.pull().await;
    host.result(&items[0], json!({})).await;
    assert_eq!(client.event().await.unwrap().json()["id"], 1);
    assert!(client.event().await.is_none(), "it ends with the answer");
}

#[tokio::test]
async fn a_modern_client_that_names_streams_first_gets_its_answer_on_one_and_errors_with_their_status()
 {
    let up = up(config());
    let mut host = Host::attach(up.port).await;
    let mut client = Raw::to(up.port).await;
    for id in [1, 2] {
        let (headers, body) = call(id);
        let mut headers = borrowed(&headers);
        headers.push(STREAM_FIRST);
        client.send("POST /mcp", &headers, Some(&body)).await;
        let items = host.pull().await;
        if id == 1 {
            let error = json!({"code": -32601, "message": "no such method"});
            let message = json!({"jsonrpc": "2.0", "id": id, "error": error});
            host.answer(items[0].ticket.unwrap(), message).await;
            let response = client.response().await;
            assert_eq!(response.status, 404);
            assert_eq!(response.json()["error"]["code"], -32601);
        } else {
            host.result(&items[0], json!({})).await;
            let head = client.head().await;
            assert_eq!(head.header("content-type"), Some("text/event-stream"));
            assert_eq!(client.event().await.unwrap().json()["id"], id);
        }
    }
}

#[tokio::test]
async fn a_client_that_takes_only_json_gets_only_the_answer_however_long_it_takes() {
    let up = up(config().head_after(Duration::from_millis(20)));
    let mut host = Host::attach(up.port).await;
    let mut client = Raw::to(up.port).await;
    client.modern(call(1)).await;
    let items = host.pull().await;
    host.push(json!([progress(&items[0], 1)])).await;
    tokio::time::sleep(Duration::from_millis(60)).await;
    host.result(&items[0], json!({})).await;
    let response = client.response().await;
    assert_eq!(response.header("content-type"), Some("application/json"));
    assert_eq!(response.json()["result"], json!({}));
}

#[tokio::test]
async fn what_the_host_says_about_a_call_comes_before_its_answer() {
    let up = up(config());
    let mut host = Host::attach(up.port).await;
    let mut client = streaming(up.port, call(1)).await;
    let items = host.pull().await;
    for value in [1, 2] {
        host.push(json!([progress(&items[0], value)])).await;
        if value == 1 {
            assert_eq!(client.head().await.status, 200);
        }
        let event = client.event().await.unwrap();
        assert_eq!(event.json()["params"]["progress"], value);
    }
    host.result(&items[0], json!({})).await;
    assert_eq!(client.event().await.unwrap().json()["id"], 1);
}

#[tokio::test]
async fn a_modern_client_is_sent_no_request() {
    let up = up(config());
    let mut host = Host::attach(up.port).await;
    let mut client = streaming(up.port, call(1)).await;
    let items = host.pull().await;
    let ask = json!({"jsonrpc": "2.0", "id": 5, "method": "sampling/createMessage", "params": {}});
    host.push(json!([{"client": items[0].client, "about": items[0].ticket, "message": ask}]))
        .await;
    host.result(&items[0], json!({})).await;
    let response = client.response().await;
    assert_eq!(response.header("content-type"), Some("application/json"));
    assert_eq!(response.json()["id"], 1);
}

#[tokio::test]
async fn the_hosts_request_reaches_a_session_and_its_answer_the_host() {
    let up = up(config());
    let mut host = Host::attach(up.port).await;
    let session = Session::begin(&mut host, "2025-06-18").await;
    let mut client = session.sends(&tool(1)).await;
    let items = host.pull().await;
    let ask = json!({"jsonrpc": "2.0", "id": 5, "method": "sampling/createMessage", "params": {}});
    host.push(json!([{"client": items[0].client, "about": items[0].ticket, "message": ask}]))
        .await;
    client.head().await;
    assert_eq!(client.event().await.unwrap().json(), ask);
    let said = json!({"jsonrpc": "2.0", "id": 5, "result": {"role": "assistant"}});
    assert_eq!(session.post(&said).await.status, 202);
    let heard = host.pull().await;
    assert_eq!(message(&heard[0]), said);
    host.result(&items[0], json!({})).await;
    assert_eq!(client.event().await.unwrap().json()["id"], 1);
}

#[tokio::test]
async fn the_first_event_of_a_stream_says_where_to_resume_to_whoever_understands_that() {
    for (version, primes) in [("2025-11-25", true), ("2025-06-18", false)] {
        let up = up(config().head_after(Duration::from_millis(20)));
        let mut host = Host::attach(up.port).await;
        let session = Session::begin(&mut host, version).await;
        let mut client = session.sends(&tool(1)).await;
        client.head().await;
        if primes {
            let first = client.event().await.unwrap();
            assert_eq!(first.data, "");
            assert_eq!(first.retry.as_deref(), Some("1000"));
            assert!(first.id.unwrap().ends_with("-0"));
        }
        let items = host.pull().await;
        host.result(&items[0], json!({})).await;
        let answer = client.event().await.unwrap();
        assert_eq!(answer.json()["id"], 1);
        assert!(answer.id.unwrap().ends_with("-1"));
    }
}

#[tokio::test]
async fn a_stream_that_broke_goes_on_where_it_did() {
    let up = up(config());
    let mut host = Host::attach(up.port).await;
    let session = Session::begin(&mut host, "2025-11-25").await;
    let mut client = session.sends(&tool(1)).await;
    let items = host.pull().await;
    host.push(json!([progress(&items[0], 1)])).await;
    client.head().await;
    let _priming = client.event().await.unwrap();
    let seen = client.event().await.unwrap().id.unwrap();
    drop(client);
    broken(&session).await;
    host.push(json!([progress(&items[0], 2)])).await;

    // Back before the answer …
    let mut again = session.get(Some(&seen)).await;
    assert_eq!(again.head().await.status, 200);
    let event = again.event().await.unwrap();
    assert_eq!(event.json()["params"]["progress"], 2);
    drop(again);
    broken(&session).await;
    host.result(&items[0], json!({"done": true})).await;

    // … and after it.
    let mut last = session.get(event.id.as_deref()).await;
    last.head().await;
    let answer = last.event().await.unwrap();
    assert_eq!(answer.json()["result"]["done"], true);
    assert!(last.event().await.is_none(), "it ends with the answer");
}

#[tokio::test]
async fn a_queued_call_whose_stream_broke_is_withdrawn_and_whoever_comes_back_is_told() {
    let up = up(config().head_after(Duration::from_millis(20)));
    let mut host = Host::attach(up.port).await;
    let session = Session::begin(&mut host, "2025-11-25").await;
    let mut client = session.sends(&tool(1)).await;
    client.head().await;
    let first = client.event().await.unwrap().id.unwrap();
    drop(client);
    broken(&session).await;
    let _next = session.sends(&tool(2)).await;
    let items = host.pull().await;
    assert_eq!(message(&items[0])["id"], 2, "no host sees the first");

    let mut again = session.get(Some(&first)).await;
    again.head().await;
    let answer = again.event().await.unwrap().json();
    assert_eq!(answer["id"], 1);
    assert_eq!(answer["error"]["data"]["outcome"], "not_delivered");
    assert_eq!(answer["error"]["data"]["cause"], "disconnected");
    assert!(again.event().await.is_none());
}

#[tokio::test]
async fn nobody_else_can_resume_a_sessions_stream() {
    let up = up(config());
    let mut host = Host::attach(up.port).await;
    let session = Session::begin(&mut host, "2025-11-25").await;
    let stranger = Session::begin(&mut host, "2025-11-25").await;
    let mut client = session.sends(&tool(1)).await;
    let items = host.pull().await;
    host.push(json!([progress(&items[0], 1)])).await;
    client.head().await;
    let first = client.event().await.unwrap().id.unwrap();
    drop(client);
    broken(&session).await;
    host.result(&items[0], json!({"secret": true})).await;

    let mut theft = stranger.get(Some(&first)).await;
    theft.head().await;
    let event = theft.event().await.unwrap();
    assert_eq!(event.data, "", "a stream of its own");
    assert_ne!(event.id.unwrap().split('-').next(), first.split('-').next());
}

#[tokio::test]
async fn what_concerns_no_call_goes_to_the_stream_that_the_session_opened() {
    let up = up(config());
    let mut host = Host::attach(up.port).await;
    let session = Session::begin(&mut host, "2025-06-18").await;
    // Nobody reads yet: the last 64 wait.
    let client = client_of(&session, &mut host).await;
    for number in 0..70 {
        host.push(json!([{"client": client, "message": changed(number)}]))
            .await;
    }
    let mut stream = session.get(None).await;
    assert_eq!(stream.head().await.status, 200);
    let mut text = String::new();
    while text.matches("data:").count() < 64 {
        text.push_str(&String::from_utf8(stream.chunk().await.unwrap()).unwrap());
    }
    let numbers: Vec<_> = text
        .lines()
        .filter_map(|line| line.strip_prefix("data: "))
        .map(|data| serde_json::from_str::<Value>(data).unwrap()["params"]["number"].clone())
        .collect();
    assert_eq!(numbers, (6..70).map(Value::from).collect::<Vec<_>>());

    host.push(json!([{"client": client, "message": changed(99)}]))
        .await;
    let event = stream.event().await.unwrap();
    assert_eq!(event.json()["params"]["number"], 99);
}

#[tokio::test]
async fn a_stream_ends_with_its_session() {
    let up = up(config());
    let mut host = Host::attach(up.port).await;
    let session = Session::begin(&mut host, "2025-06-18").await;
    let mut stream = session.get(None).await;
    stream.head().await;
    let mut raw = Raw::to(up.port).await;
    raw.ask("DELETE /mcp", &session.headers(), None).await;
    assert!(stream.event().await.is_none());
}

#[tokio::test]
async fn json_with_line_ends_arrives_as_the_same_json_on_a_stream() {
    let up = up(config());
    let mut host = Host::attach(up.port).await;
    let (headers, body) = call(1);
    let mut headers = borrowed(&headers);
    headers.push(("Accept", "text/event-stream"));
    let mut client = Raw::to(up.port).await;
    client.send("POST /mcp", &headers, Some(&body)).await;
    let items = host.pull().await;
    let ticket = items[0].ticket.unwrap();
    let body = format!(
        "{{\"items\":[{{\"ticket\":{ticket},\"message\":{{\r\n \"jsonrpc\":\"2.0\",\n\"id\":1,\r\r\"result\":{{\"a\":\"b\"}}\n}}}}]}}"
    );
    let bearer = format!("Bearer {}", server_support::TOKEN);
    let headers = [
        ("Authorization", bearer.as_str()),
        ("MCP-Broker-Lease", &host.lease),
    ];
    host.raw
        .ask("POST /_broker/v1/push", &headers, Some(&body))
        .await;
    client.head().await;
    let event = client.event().await.unwrap();
    assert_eq!(event.json()["result"]["a"], "b");
}

#[tokio::test]
async fn a_client_that_asked_for_progress_hears_what_goes_on_while_no_host_is_there() {
    let up = up(config());
    let params = json!({"name": "echo", "_meta": {"progressToken": "p"}});
    let mut client = streaming(up.port, modern(1, "tools/call", params)).await;
    let head = client.head().await;
    assert_eq!(head.header("content-type"), Some("text/event-stream"));
    let event = client.event().await.unwrap();
    assert_eq!(event.json()["method"], "notifications/progress");
    assert_eq!(event.json()["params"]["progressToken"], "p");
}

#[tokio::test]
async fn a_reader_that_stalls_holds_up_nobody_and_is_cut_off_when_its_outbox_is_full() {
    let up = up(config());
    let mut host = Host::attach(up.port).await;
    let mut stalled = streaming(up.port, call(1)).await;
    let items = host.pull().await;
    let big = json!({"client": items[0].client, "about": items[0].ticket, "message":
        {"jsonrpc": "2.0", "method": "notifications/message",
         "params": {"data": "x".repeat(4 * 1024 * 1024)}}});
    // More than the sockets' buffers and the outbox together.
    for _ in 0..12 {
        host.push(json!([big])).await;
    }
    let mut other = Raw::to(up.port).await;
    other.modern(call(2)).await;
    let mut rest = host.pull().await;
    while rest.iter().all(|given| given.message.is_none()) {
        assert!(rest.iter().all(|given| given.client == items[0].client));
        rest = host.pull().await;
    }
    host.result(rest.last().unwrap(), json!({})).await;
    assert_eq!(other.response().await.json()["id"], 2);

    // What the kernel had taken comes, and then the end, without an answer.
    let mut read = 0;
    let mut buffer = vec![0; 1024 * 1024];
    loop {
        let next = tokio::io::AsyncReadExt::read(&mut stalled.stream, &mut buffer);
        let next = tokio::time::timeout(server_support::PATIENCE, next).await;
        match next.expect("it is cut off") {
            Ok(0) | Err(_) => break,
            Ok(bytes) => read += bytes,
        }
    }
    assert!(read < 12 * 4 * 1024 * 1024, "{read}");
}

fn tool(id: u64) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": {"name": "echo"}})
}

fn changed(number: u64) -> Value {
    json!({"jsonrpc": "2.0", "method": "notifications/resources/updated",
        "params": {"uri": "a:b", "number": number}})
}

/// Progress of a call, as a push's item.
fn progress(given: &mcp_transport_broker::native::Given, value: u64) -> Value {
    json!({"client": given.client, "about": given.ticket, "message":
        {"jsonrpc": "2.0", "method": "notifications/progress",
         "params": {"progressToken": "p", "progress": value}}})
}

const STREAM_FIRST: (&str, &str) = ("Accept", "text/event-stream, application/json");

async fn streaming(port: u16, request: (Vec<(String, String)>, String)) -> Raw {
    let (headers, body) = request;
    let mut headers = borrowed(&headers);
    headers.push(BOTH);
    let mut client = Raw::to(port).await;
    client.send("POST /mcp", &headers, Some(&body)).await;
    client
}

/// What the host calls a session's client.
async fn client_of(session: &Session, host: &mut Host) -> String {
    let ping = json!({"jsonrpc": "2.0", "method": "notifications/roots/list_changed"});
    session.post(&ping).await;
    host.pull().await[0].client.clone()
}

/// Waits until the broker has noticed that a connection is gone: it reads its sockets in order.
async fn broken(session: &Session) {
    tokio::time::sleep(Duration::from_millis(50)).await;
    let mut raw = Raw::to(session.port).await;
    raw.ask("GET /nothing", &[], None).await;
}
