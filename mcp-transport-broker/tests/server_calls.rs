//! Calls, from a client's request to its answer.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    missing_docs,
    reason = "tests wait"
)]

mod server_support;

use mcp_transport_broker::broker;
use serde_json::{Value, json};
use server_support::{
    Host, MODERN, Raw, Session, call, config, host_ask, is_inquiry, message, modern, up,
};
use std::time::Duration;

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
    let request = tool(7);
    let mut client = session.sends(&request).await;
    let items = host.pull().await;
    assert_eq!(message(&items[0]), request);
    host.result(&items[0], json!({})).await;
    let response = client.response().await;
    assert_eq!(response.json()["id"], 7);
}

#[tokio::test]
async fn a_request_without_its_session_is_400_and_one_with_a_dead_session_is_404() {
    let up = up(config());
    let mut host = Host::attach(up.port).await;
    let mut session = Session::begin(&mut host, "2025-11-25").await;

    let mut raw = Raw::to(up.port).await;
    let body = tool(1).to_string();
    let none = raw.ask("POST /mcp", &[], Some(&body)).await;
    assert_eq!(none.status, 400);

    let headers = session.headers();
    let gone = raw.ask("DELETE /mcp", &headers, None).await;
    assert_eq!(gone.status, 204);
    assert_eq!(session.post(&tool(1)).await.status, 404);
    assert_eq!(session.get(None).await.response().await.status, 404);
    assert_eq!(raw.ask("DELETE /mcp", &headers, None).await.status, 404);
    session.id = "another".into();
    assert_eq!(session.post(&tool(1)).await.status, 404);

    let items = host.pull().await;
    assert!(items[0].gone, "the host hears that the client is gone");
}

#[tokio::test]
async fn a_notification_is_accepted_and_reaches_the_host_unless_nobody_could_relate_it() {
    let up = up(config());
    let mut host = Host::attach(up.port).await;
    let session = Session::begin(&mut host, "2025-06-18").await;
    let notification = json!({"jsonrpc": "2.0", "method": "notifications/roots/list_changed"});
    let response = session.post(&notification).await;
    assert_eq!((response.status, response.text().as_str()), (202, ""));
    let items = host.pull().await;
    assert_eq!(message(&items[0]), notification);
    assert_eq!(items[0].ticket, None);

    let mut raw = Raw::to(up.port).await;
    let headers = [
        ("MCP-Protocol-Version", MODERN),
        ("Mcp-Method", "notifications/roots/list_changed"),
    ];
    let response = raw
        .ask("POST /mcp", &headers, Some(&notification.to_string()))
        .await;
    assert_eq!((response.status, response.text().as_str()), (202, ""));
}

#[tokio::test]
async fn calls_are_handed_out_in_the_order_in_which_they_came() {
    let up = up(config());
    let mut clients = Vec::new();
    for id in 0..50 {
        let mut client = Raw::to(up.port).await;
        client.modern(call(id)).await;
        clients.push(client);
        queued(up.port, usize::try_from(id).unwrap() + 1).await;
    }
    let mut host = Host::attach(up.port).await;
    let items = host.pull().await;
    let ids: Vec<_> = items
        .iter()
        .map(|given| message(given)["id"].clone())
        .collect();
    let due: Vec<_> = (0..50).map(Value::from).collect();
    assert_eq!(ids, due);
}

#[tokio::test]
async fn calls_that_were_given_up_while_queued_are_never_delivered() {
    let up = up(config());
    let mut host = Host::attach(up.port).await;
    let session = Session::begin(&mut host, "2025-11-25").await;
    let mut clients = Vec::new();
    for id in 0..100 {
        let mut client = Raw::to(up.port).await;
        client.modern(call(id)).await;
        clients.push(client);
        clients.push(session.sends(&tool(id)).await);
    }
    queued(up.port, 200).await;
    drop(clients);
    queued(up.port, 0).await;

    let mut last = Raw::to(up.port).await;
    last.modern(call(1_000)).await;
    let items = host.pull().await;
    let ids: Vec<_> = items
        .iter()
        .map(|given| message(given)["id"].clone())
        .collect();
    assert_eq!(ids, [json!(1_000)]);
}

#[tokio::test]
async fn a_modern_client_that_hangs_up_is_gone_with_what_runs() {
    let up = up(config());
    let mut host = Host::attach(up.port).await;
    let mut client = Raw::to(up.port).await;
    client.modern(call(1)).await;
    let items = host.pull().await;
    drop(client);
    let after = host.pull().await;
    assert!(after[0].gone);
    assert_eq!(after[0].client, items[0].client);
    host.result(&items[0], json!({})).await;
}

#[tokio::test]
async fn a_legacy_client_that_hangs_up_lets_what_runs_go_on() {
    let up = up(config());
    let mut host = Host::attach(up.port).await;
    let session = Session::begin(&mut host, "2025-11-25").await;
    let client = session.sends(&tool(1)).await;
    let items = host.pull().await;
    drop(client);
    let mut next = session.sends(&tool(2)).await;
    let after = host.pull().await;
    assert_eq!(message(&after[0])["id"], 2, "and no cancel before it");
    assert_eq!(
        host.result(&items[0], json!({})).await["stray"],
        Value::Null
    );
    host.result(&after[0], json!({})).await;
    assert_eq!(next.response().await.json()["id"], 2);
}

#[tokio::test]
async fn a_cancelled_request_of_a_session_ends_without_an_answer() {
    let up = up(config());
    let mut host = Host::attach(up.port).await;
    let session = Session::begin(&mut host, "2025-11-25").await;
    let mut client = session.sends(&tool(1)).await;
    let items = host.pull().await;
    let cancel = json!({"jsonrpc": "2.0", "method": "notifications/cancelled",
        "params": {"requestId": 1}});
    assert_eq!(session.post(&cancel).await.status, 202);
    let after = host.pull().await;
    assert!(after[0].cancel);
    assert_eq!(after[0].ticket, items[0].ticket);
    let response = client.response().await;
    assert_eq!((response.status, response.text().as_str()), (202, ""));
}

#[tokio::test]
async fn of_two_parked_pulls_the_older_is_served_first() {
    let up = up(config());
    let mut host = Host::attach(up.port).await;
    settle(&mut host).await;
    let mut first = pulling(&host).await;
    let mut second = pulling(&host).await;

    let mut client = Raw::to(up.port).await;
    client.modern(call(1)).await;
    let early = first.response().await.json();
    let mut other = Raw::to(up.port).await;
    other.modern(call(2)).await;
    let late = second.response().await.json();
    assert_eq!(early["items"][0]["message"]["id"], 1);
    assert_eq!(late["items"][0]["message"]["id"], 2);
    assert_eq!(
        early["seq"].as_u64().unwrap() + 1,
        late["seq"].as_u64().unwrap()
    );
}

#[tokio::test]
async fn a_host_that_dies_while_it_waits_loses_nothing() {
    let up = up(config());
    let mut host = Host::attach_as(up.port, "one", json!({"holds_connection": true})).await;
    settle(&mut host).await;
    let parked = pulling(&host).await;
    drop(parked);
    drop(host);
    let mut client = Raw::to(up.port).await;
    client.modern(call(1)).await;

    let mut next = Host::attach_as(up.port, "one", json!({})).await;
    let items = next.pull().await;
    assert_eq!(items.len(), 1);
    assert!(!items[0].redelivered);
    next.result(&items[0], json!({})).await;
    assert_eq!(client.response().await.status, 200);
}

#[tokio::test]
async fn a_host_that_dies_after_the_pull_leaves_a_known_outcome() {
    let up = up(config());
    let mut host = Host::attach_as(up.port, "one", json!({"holds_connection": true})).await;
    let mut client = Raw::to(up.port).await;
    client.modern(call(1)).await;
    let mut reader = Raw::to(up.port).await;
    reader.modern(modern(2, "tools/list", json!({}))).await;
    let items = pull_all(&mut host, 2).await;
    assert_eq!(items.len(), 2);
    drop(host);

    let ended = client.response().await;
    assert_eq!(ended.status, 200);
    let data = &ended.json()["error"]["data"];
    assert_eq!(data["outcome"], "unknown");
    assert_eq!(data["retryable"], false);
    let id = data["operation_id"].as_str().unwrap();

    // What may be repeated goes to the next host; the call does not.
    let mut next = Host::attach_as(up.port, "two", json!({})).await;
    let again = next.pull().await;
    assert_eq!(again.len(), 1);
    assert_eq!(message(&again[0])["method"], "tools/list");
    next.result(&again[0], json!({"tools": []})).await;
    assert_eq!(reader.response().await.json()["result"]["tools"], json!([]));

    let line = format!("GET /_broker/v1/operations/{id}");
    let known = reader.ask(&line, &[], None).await;
    assert_eq!(known.status, 200);
    assert_eq!(known.json()["error"]["data"]["outcome"], "unknown");
    let none = reader.ask("GET /_broker/v1/operations/0", &[], None).await;
    assert_eq!(none.status, 404);
}

#[tokio::test]
async fn a_call_that_takes_too_long_runs_on_and_can_be_asked_for() {
    let budget = Duration::from_millis(100);
    let up = up(config().broker(broker::Config::default().client_budget(budget)));
    let mut host = Host::attach(up.port).await;
    let mut client = Raw::to(up.port).await;
    client.modern(call(1)).await;
    let items = host.pull().await;
    let data = client.response().await.json()["error"]["data"].clone();
    assert_eq!(data["outcome"], "running");
    let line = format!(
        "GET /_broker/v1/operations/{}",
        data["operation_id"].as_str().unwrap()
    );
    assert_eq!(client.ask(&line, &[], None).await.status, 202);
    host.result(&items[0], json!({"late": true})).await;
    let known = client.ask(&line, &[], None).await;
    assert_eq!(known.status, 200);
    assert_eq!(known.json()["result"]["late"], true);
}

#[tokio::test]
async fn a_pull_whose_connection_went_before_it_was_answered_takes_nothing_along() {
    let up = up(config());
    let mut host = Host::attach(up.port).await;
    settle(&mut host).await;
    // What this pull gets is too much for the sockets' buffers, and it reads none of it.
    let text = "x".repeat(16 * 1024 * 1024);
    let mut client = Raw::to(up.port).await;
    let arguments = json!({"name": "echo", "arguments": {"text": text}});
    let parked = pulling(&host).await;
    let next = tokio::spawn(async move {
        client.modern(modern(1, "tools/call", arguments)).await;
        client
    });
    running(up.port, 1).await;
    drop(parked);
    let items = host.pull().await;
    assert_eq!(message(&items[0])["id"], 1);
    assert!(!items[0].redelivered, "no host has seen it");
    host.result(&items[0], json!({})).await;
    let mut client = next.await.unwrap();
    assert_eq!(client.response().await.status, 200);
}

#[tokio::test]
async fn a_number_that_a_lost_pull_had_is_the_next_one() {
    let up = up(config());
    let mut host = Host::attach(up.port).await;
    settle(&mut host).await;
    let text = "x".repeat(16 * 1024 * 1024);
    let arguments = json!({"name": "echo", "arguments": {"text": text}});
    let parked = pulling(&host).await;
    let mut client = Raw::to(up.port).await;
    let sent = tokio::spawn(async move {
        client.modern(modern(1, "tools/call", arguments)).await;
        client
    });
    running(up.port, 1).await;
    let mut other = Raw::to(up.port).await;
    other.modern(call(2)).await;
    let after = host.say("pull", &json!({"wait_ms": 1_000})).await.json();
    drop(parked);
    let before = host.say("pull", &json!({"wait_ms": 5_000})).await.json();
    assert_eq!(
        before["seq"].as_u64().unwrap() + 1,
        after["seq"].as_u64().unwrap()
    );
    drop(sent.await.unwrap());
}

#[tokio::test]
async fn a_host_that_reloads_under_load_loses_no_call() {
    let up = up(config());
    let mut host = Host::attach_as(up.port, "one", json!({"holds_connection": true})).await;
    settle(&mut host).await;
    let mut clients = Vec::new();
    for id in 0..20 {
        let mut client = Raw::to(up.port).await;
        client.modern(call(id)).await;
        clients.push(client);
    }
    let items = pull_all(&mut host, 20).await;
    let tickets: Vec<_> = items.iter().filter_map(|given| given.ticket).collect();
    let (begun, untouched) = tickets.split_at(1);
    let detach = json!({"reason": "reloading", "gap_ms": 100,
        "untouched": untouched, "coming": begun});
    assert_eq!(host.say("detach", &detach).await.status, 200);
    let over = host.say("ping", &json!({})).await;
    assert_eq!(
        (over.status, over.json()["reason"].clone()),
        (409, json!("detached"))
    );

    let former = json!({"former": {"lease": host.lease, "received": begun, "coming": begun}});
    let mut next = Host::attach_as(up.port, "two", former).await;
    let answer = json!({"jsonrpc": "2.0", "id": message(&items[0])["id"], "result": {}});
    assert_eq!(next.answer(begun[0], answer).await["stray"], Value::Null);
    let again = pull_all(&mut next, 19).await;
    for given in &again {
        assert!(!given.redelivered);
        next.result(given, json!({})).await;
    }
    for (id, client) in clients.iter_mut().enumerate() {
        let answer = client.response().await.json();
        assert_eq!((&answer["id"], &answer["result"]), (&json!(id), &json!({})));
    }
}

#[tokio::test]
async fn a_second_host_has_to_wait_for_the_first() {
    let up = up(config());
    let _first = Host::attach_as(up.port, "one", json!({})).await;
    let mut raw = Raw::to(up.port).await;
    let attach = json!({"protocol": 1, "host": {"name": "other", "instance": "two"}});
    let busy = host_ask(&mut raw, None, "attach", &attach).await;
    assert_eq!(busy.status, 409);
    assert_eq!(busy.json()["error"], "busy");
    assert_eq!(busy.json()["holder"]["instance"], "one");
    let other = json!({"protocol": 7, "host": 1});
    let incompatible = host_ask(&mut raw, None, "attach", &other).await;
    assert_eq!(incompatible.status, 426);
    assert_eq!(incompatible.json()["protocols"], json!([1]));
}

#[tokio::test]
async fn a_parked_pull_ends_when_its_lease_does() {
    let up = up(config());
    let mut host = Host::attach_as(up.port, "one", json!({})).await;
    settle(&mut host).await;
    let mut parked = pulling(&host).await;
    let _next = Host::attach_as(up.port, "one", json!({})).await;
    let ended = parked.response().await;
    assert_eq!(ended.status, 409);
    assert_eq!(ended.json()["reason"], "superseded");
}

fn tool(id: u64) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": {"name": "echo"}})
}

/// Answers what the broker asks for itself, so that nothing more of it comes.
async fn settle(host: &mut Host) {
    loop {
        let items = host.pull_raw(100).await;
        if items.is_empty() {
            return;
        }
        for given in items.iter().filter(|given| given.ticket.is_some()) {
            assert!(is_inquiry(given));
            let error = json!({"jsonrpc": "2.0", "id": message(given)["id"],
                "error": {"code": -32601, "message": "not here"}});
            host.answer(given.ticket.unwrap(), error).await;
        }
    }
}

async fn pull_all(host: &mut Host, count: usize) -> Vec<mcp_transport_broker::native::Given> {
    let mut all = Vec::new();
    while all.len() < count {
        all.extend(host.pull().await);
    }
    all
}

/// A pull on a connection of its own, parked.
async fn pulling(host: &Host) -> Raw {
    let mut raw = Raw::to(host.raw.port).await;
    let bearer = format!("Bearer {}", server_support::TOKEN);
    let headers = [
        ("Authorization", bearer.as_str()),
        ("MCP-Broker-Lease", &host.lease),
    ];
    let body = json!({"wait_ms": 20_000}).to_string();
    raw.send("POST /_broker/v1/pull", &headers, Some(&body))
        .await;
    // It is parked when the next request on another connection is answered: they come in order.
    tokio::time::sleep(Duration::from_millis(50)).await;
    raw
}

/// Waits until so many calls are queued.
async fn queued(port: u16, count: usize) {
    status(port, "queued", count).await;
}

/// Waits until so many calls run.
async fn running(port: u16, count: usize) {
    status(port, "running", count).await;
}

async fn status(port: u16, what: &str, count: usize) {
    let mut raw = Raw::to(port).await;
    for _ in 0..500 {
        let status = host_ask(&mut raw, None, "status", &json!({})).await;
        if status.json()[what] == count {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("never {count} {what}");
}
