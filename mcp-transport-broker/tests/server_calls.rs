//! Calls, from a client's request to its answer.
#![allow(clippy::disallowed_methods, missing_docs, reason = "tests wait")]

mod server_support;

use serde_json::json;
use server_support::{Host, Raw, Session, call, config, message, up};

#[tokio::test]
async fn a_call_made_before_any_host_is_held_and_served() {
    let up = up(config());
    let mut client = Raw::to(up.port).await;
    client.modern(call(1)).await;
    let mut host = Host::attach(up.port).await;
    let items = host.pull().await;
    assert_eq!(items.len(), 1);
    assert_eq!(message(&items[0])["params"]["name"], "echo");
    host.result(&items[0], json!({"content": []})).await;
    let response = client.response().await;
    assert_eq!(response.status, 200);
    assert_eq!(response.header("content-type"), Some("application/json"));
    assert_eq!(
        response.json(),
        json!({"jsonrpc": "2.0", "id": 1, "result": {"content": []}})
    );
}

#[tokio::test]
async fn a_legacy_client_begins_a_session_and_calls_in_it() {
    let up = up(config());
    let mut host = Host::attach(up.port).await;
    let session = Session::begin(&mut host, "2025-11-25").await;
    let request =
        json!({"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": {"name": "echo"}});
    let mut client = session.sends(&request).await;
    let items = host.pull().await;
    assert_eq!(message(&items[0]), request);
    host.result(&items[0], json!({})).await;
    let response = client.response().await;
    assert_eq!(response.json()["id"], 7);
}
