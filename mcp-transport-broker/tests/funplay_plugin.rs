//! The Funplay plugin as it is installed, against the broker: reloads, crashes, takeovers, slow
//! tools.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    missing_docs,
    reason = "tests wait"
)]

mod foreign_support;
mod server_support;

use foreign_support::plugin::{Editor, pulled, session};
use foreign_support::{call, connections, funplay, post, posts};
use mcp_transport_broker::broker::Config;
use mcp_transport_broker::run::Dialect;
use serde_json::{Value, json};
use server_support::{Host, PATIENCE, Raw, Response, TOKEN, Up, host_ask, up};
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};

async fn broker() -> (Up, Editor) {
    let up = up(funplay());
    let editor = Editor::new(up.port, TOKEN);
    (up, editor)
}

fn echoed(response: &Response) -> Value {
    assert_eq!(response.status, 200, "{}", response.text());
    response.json()["result"]["echo"].clone()
}

/// Waits until the broker says that so many calls are there.
async fn pending(editor: &Editor, calls: u64) {
    let look = async {
        while health(editor).await.json()["pending"] != calls {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, look).await.expect("the calls in time");
}

async fn health(editor: &Editor) -> Response {
    asks(
        editor.port,
        "GET",
        "health",
        &[("X-Funplay-Broker-Token", &editor.token)],
    )
    .await
}

async fn asks(port: u16, method: &str, what: &str, headers: &[(&str, &str)]) -> Response {
    let mut raw = Raw::to(port).await;
    raw.ask(&format!("{method} /_funplay/broker/{what}"), headers, None)
        .await
}

#[tokio::test]
async fn the_probe_of_the_plugin_finds_a_broker_that_it_knows() {
    let (_up, editor) = broker().await;
    // A parked pull keeps nobody waiting.
    let _parked = editor.pulling(&session()).await;
    let response = health(&editor).await;
    assert_eq!(response.status, 200);
    assert_eq!(response.header("x-funplay-broker"), Some("3"));
    let expected = json!({"ok": true, "name": "funplay-unity-mcp-broker", "protocol": 3,
        "pid": std::process::id(), "pending": 0});
    assert_eq!(response.json(), expected);
    let token = ("X-Funplay-Broker-Token", editor.token.as_str());
    assert_eq!(
        asks(editor.port, "GET", "health?x=1", &[token])
            .await
            .status,
        200
    );
}

#[tokio::test]
async fn who_has_no_token_gets_nothing() {
    let (_up, editor) = broker().await;
    for what in ["health", "pull", "nothing"] {
        for headers in [&[][..], &[("X-Funplay-Broker-Token", "wrong")]] {
            let response = asks(editor.port, "GET", what, headers).await;
            assert_eq!(response.status, 403, "{what}");
            assert_eq!(response.json(), json!({"ok": false}));
            assert_eq!(response.header("x-funplay-broker"), Some("3"));
        }
    }
    for what in ["attach", "push", "detach", "shutdown"] {
        let response = asks(editor.port, "POST", what, &[("Content-Length", "0")]).await;
        assert_eq!(response.status, 403, "{what}");
    }
    // The gate comes first, and a page's answer may not be read.
    for bad in [
        ("Origin", "https://evil.example"),
        ("Sec-Fetch-Site", "cross-site"),
    ] {
        let token = ("X-Funplay-Broker-Token", editor.token.as_str());
        let response = asks(editor.port, "GET", "health", &[token, bad]).await;
        assert_eq!(response.status, 403);
        assert_eq!(response.header("access-control-allow-origin"), None);
    }
}

#[tokio::test]
async fn a_wrong_verb_or_path_is_never_taken_for_a_call() {
    let (_up, editor) = broker().await;
    let token = ("X-Funplay-Broker-Token", editor.token.as_str());
    for (method, what, status) in [
        ("GET", "attach", 405),
        ("POST", "pull", 405),
        ("DELETE", "push", 405),
        ("POST", "attach2", 404),
        ("POST", "pul", 404),
    ] {
        let response = asks(editor.port, method, what, &[token]).await;
        assert_eq!(response.status, status, "{method} {what}");
    }
    for line in ["GET /favicon.ico", "GET /", "DELETE /mcp", "PUT /anything"] {
        let response = Raw::to(editor.port).await.ask(line, &[], None).await;
        assert_eq!(response.status, 405, "{line}");
        assert_eq!(response.header("allow"), Some("POST"));
    }
    pending(&editor, 0).await;
}

#[tokio::test]
async fn a_call_before_any_plugin_is_held_and_served() {
    let (_up, editor) = broker().await;
    let mut client = posts(editor.port, &call(1, 0)).await;
    pending(&editor, 1).await;
    let plugin = editor.loads().await;
    assert_eq!(echoed(&client.response().await)["n"], 1);
    // On any path, and on a connection that lives on.
    for path in ["/mcp", "/", "/whatever?x"] {
        client
            .send(&format!("POST {path}"), &[], Some(&call(2, 0).to_string()))
            .await;
        assert_eq!(echoed(&client.response().await)["n"], 2, "{path}");
    }
    plugin.unload().await;
}

#[tokio::test]
async fn what_the_parser_of_the_plugin_would_mangle_arrives_as_sent() {
    let (_up, editor) = broker().await;
    let _plugin = editor.loads().await;
    let arguments = json!({
        "code": "if (a[0]) { Debug.Log(\"}\"); } // {[",
        "path": "C:\\",
        "}": {"\\": "\u{1}\n\t\u{8}"},
        "deep": serde_json::from_str::<Value>(&format!("{}{}", "[".repeat(100), "]".repeat(100))).unwrap(),
        "after": "still there",
    });
    let body = format!(
        r#"{{"jsonrpc":"2.0","id":9007199254740993,"method":"tools/call","params":{{"name":"x","arguments":{arguments}}}}}"#
    );
    let mut raw = Raw::to(editor.port).await;
    raw.send("POST /", &[], Some(&body)).await;
    let response = raw.response().await;
    assert_eq!(echoed(&response), arguments);
    assert_eq!(response.json()["id"].to_string(), "9007199254740993");
    assert_eq!(editor.runs()[0].arguments, arguments);

    let deep = format!("{}{}", "[".repeat(30_000), "]".repeat(30_000));
    let body = format!(r#"{{"jsonrpc":"2.0","id":"d","method":"tools/call","params":{deep}}}"#);
    raw.send("POST /", &[], Some(&body)).await;
    let answer = raw.response().await.json();
    assert_eq!(answer["id"], "d");
    assert_eq!(answer["error"]["data"]["outcome"], "not_delivered");
    assert_eq!(editor.runs().len(), 1, "the editor never saw it");
    assert_eq!(echoed(&post(editor.port, &call(3, 0)).await)["n"], 3);
}

#[tokio::test]
async fn a_notification_is_accepted_and_the_dummy_answer_goes_nowhere() {
    let (_up, editor) = broker().await;
    let _plugin = editor.loads().await;
    let notification = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
    let response = post(editor.port, &notification).await;
    assert_eq!((response.status, response.body.len()), (202, 0));
    assert_eq!(echoed(&post(editor.port, &call(1, 0)).await)["n"], 1);
    let methods: Vec<_> = editor.runs().into_iter().map(|run| run.method).collect();
    assert_eq!(methods, ["notifications/initialized", "tools/call"]);
}

#[tokio::test]
async fn a_change_of_the_tools_comes_as_an_event_before_the_answer() {
    let (_up, editor) = broker().await;
    let _plugin = editor.loads().await;
    editor.changes_its_tools();
    // Who takes JSON only is told nothing, and the change waits.
    assert_eq!(echoed(&post(editor.port, &call(1, 0)).await)["n"], 1);
    let mut raw = Raw::to(editor.port).await;
    let both = ("Accept", "application/json, text/event-stream");
    raw.send("POST /", &[both], Some(&call(2, 0).to_string()))
        .await;
    let head = raw.head().await;
    assert_eq!(head.header("content-type"), Some("text/event-stream"));
    let event = raw.event().await.unwrap().json();
    assert_eq!(event["method"], "notifications/tools/list_changed");
    let event = raw.event().await.unwrap().json();
    assert_eq!(event["result"]["echo"]["n"], 2);
    assert!(raw.event().await.is_none());
    // Once told, an answer is an answer.
    raw.send("POST /", &[both], Some(&call(3, 0).to_string()))
        .await;
    assert_eq!(echoed(&raw.response().await)["n"], 3);
}

#[tokio::test]
async fn a_reload_under_continuous_load_fails_no_call_and_runs_none_twice() {
    let (up, editor) = broker().await;
    let mut plugin = editor.loads().await;
    let calls = 120;
    let clients: Vec<_> = (1..=calls)
        .map(|n| {
            let port = up.port;
            tokio::spawn(async move {
                sleep(Duration::from_millis(25) * u32::try_from(n).unwrap()).await;
                post(port, &call(n, 10)).await
            })
        })
        .collect();
    for _ in 0..2 {
        sleep(Duration::from_millis(400)).await;
        plugin.unload().await;
        sleep(Duration::from_millis(900)).await;
        plugin = editor.loads().await;
    }
    let mut interrupted = 0;
    for client in clients {
        let response = client.await.unwrap();
        assert_eq!(response.status, 200);
        let answer = response.json();
        assert!(answer.get("error").is_none(), "{answer}");
        if answer["result"]["isError"] == true {
            interrupted += 1;
        }
    }
    assert!(
        interrupted <= 2,
        "one for each reload at most: {interrupted}"
    );
    let effects = editor.effects();
    let mut once = effects.clone();
    once.sort_unstable();
    once.dedup();
    assert_eq!(once.len(), effects.len(), "none ran twice");
    // A reload may come between a pull and the tool.
    assert!(effects.len() + interrupted >= usize::try_from(calls).unwrap());
    // What was held has kept its order, but for what was in flight.
    let held = effects.windows(2).filter(|pair| pair[0] > pair[1]).count();
    assert!(held <= 12, "{effects:?}");
}

#[tokio::test]
async fn a_call_is_kept_when_the_editor_dies_while_parked_and_is_no_redelivery() {
    let (_up, editor) = broker().await;
    let parked = session();
    assert_eq!(editor.attach(&parked).await, Some(200));
    let socket = editor.pulling(&parked).await;
    connections(editor.port, 1).await;
    drop(socket);
    connections(editor.port, 0).await;
    let mut client = posts(editor.port, &call(1, 0)).await;
    pending(&editor, 1).await;
    let _plugin = editor.loads().await;
    assert_eq!(echoed(&client.response().await)["n"], 1);
    assert_eq!(editor.effects(), [1]);
    assert!(!editor.runs()[0].redelivery);
}

#[tokio::test]
async fn a_call_whose_editor_crashed_is_told_to_the_next_and_not_run_again() {
    let up = up(funplay().funplay_working(Duration::from_millis(1_500)));
    let editor = Editor::new(up.port, TOKEN);
    let plugin = editor.loads().await;
    let mut client = posts(editor.port, &call(1, 60_000)).await;
    while editor.effects().is_empty() {
        sleep(Duration::from_millis(10)).await;
    }
    let mut behind = posts(editor.port, &call(2, 0)).await;
    let editor = plugin.crash().await;
    // Nobody can tell a crash from a long tool: for a while the call speaks for its session.
    assert_eq!(editor.attach(&session()).await, Some(409));
    let _next = editor.loads().await;
    let answer = client.response().await.json();
    assert_eq!(answer["result"]["isError"], true, "{answer}");
    assert_eq!(echoed(&behind.response().await)["n"], 2);
    assert_eq!(editor.effects(), [1, 2]);
}

#[tokio::test]
async fn a_session_that_is_alive_cannot_be_taken_over() {
    let (_up, editor) = broker().await;
    let plugin = editor.loads().await;
    let other = session();
    // While it is parked, and while it works and has no connection at all.
    for n in 1..=2 {
        let mut client = posts(editor.port, &call(n, 2_300)).await;
        while editor.effects().len() < usize::try_from(n).unwrap() {
            assert_ne!(editor.attach(&other).await, Some(200));
            sleep(Duration::from_millis(5)).await;
        }
        sleep(Duration::from_millis(2_100)).await;
        assert_eq!(editor.attach(&other).await, Some(409));
        assert_eq!(editor.pull(&other).await.unwrap_err(), 409);
        assert_eq!(echoed(&client.response().await)["n"], n);
    }
    assert_eq!(editor.effects(), [1, 2]);
    // A reload hands over at once.
    plugin.unload().await;
    assert_eq!(editor.attach(&other).await, Some(200));
}

#[tokio::test]
async fn the_answer_of_a_tool_that_outlasts_the_window_is_taken() {
    let up = up(funplay().funplay_working(Duration::from_millis(100)));
    let editor = Editor::new(up.port, TOKEN);
    let _plugin = editor.loads().await;
    // Longer than the silence of two seconds as well.
    let response = post(editor.port, &call(1, 2_600)).await;
    assert_eq!(echoed(&response)["n"], 1);
    assert_eq!(echoed(&post(editor.port, &call(2, 0)).await)["n"], 2);
    assert_eq!(editor.effects(), [1, 2]);
    assert_eq!(editor.runs().len(), 2);
}

#[tokio::test]
async fn what_is_queued_behind_a_call_is_kept_at_a_detach_and_stays_in_order() {
    let (_up, editor) = broker().await;
    let first = session();
    let mut clients = Vec::new();
    for n in 1..=4 {
        clients.push(posts(editor.port, &call(n, 0)).await);
        pending(&editor, u64::try_from(n).unwrap()).await;
    }
    let got = editor.pull(&first).await.unwrap().unwrap();
    assert!(!got.redelivery);
    assert_eq!(editor.detach(&first).await, Some(200));
    // Its late push has nobody to go to: the call is the next session's.
    assert_eq!(editor.push(&first, &got.number, None, "{}").await, 409);
    let _plugin = editor.loads().await;
    let answer = clients[0].response().await.json();
    assert_eq!(answer["result"]["isError"], true);
    for (n, client) in (2..=4).zip(&mut clients[1..]) {
        assert_eq!(echoed(&client.response().await)["n"], n);
    }
    assert_eq!(editor.effects(), [2, 3, 4]);
    assert!(editor.runs()[0].redelivery);
}

#[tokio::test]
async fn a_late_pull_of_a_session_that_left_gets_nothing() {
    let (_up, editor) = broker().await;
    let gone = session();
    assert_eq!(editor.attach(&gone).await, Some(200));
    assert_eq!(editor.detach(&gone).await, Some(200));
    let mut client = posts(editor.port, &call(1, 0)).await;
    pending(&editor, 1).await;
    assert_eq!(editor.pull(&gone).await.unwrap_err(), 409);
    let _plugin = editor.loads().await;
    assert_eq!(echoed(&client.response().await)["n"], 1);
    assert!(!editor.runs()[0].redelivery, "no plugin had seen it");
    // Saying attach again is another matter.
    let (_up, editor) = broker().await;
    assert_eq!(editor.detach(&gone).await, Some(200));
    assert_eq!(editor.attach(&gone).await, Some(200));
}

#[tokio::test]
async fn a_session_that_pulls_again_gets_its_call_flagged_and_its_lost_push_is_taken() {
    let (_up, editor) = broker().await;
    let session = session();
    let mut client = posts(editor.port, &call(1, 0)).await;
    let first = editor.pull(&session).await.unwrap().unwrap();
    let again = editor.pull(&session).await.unwrap().unwrap();
    assert!(again.redelivery && !first.redelivery);
    assert_eq!(again.number, first.number);
    // The push of the first time was only late.
    let answer = r#"{"jsonrpc":"2.0","id":1,"result":{"echo":"first"}}"#;
    assert_eq!(
        editor.push(&session, &first.number, None, answer).await,
        200
    );
    assert_eq!(echoed(&client.response().await), "first");
    // And what comes of the second time is the same push, said twice.
    let answer = r#"{"jsonrpc":"2.0","id":1,"result":{"echo":"second"}}"#;
    assert_eq!(
        editor.push(&session, &first.number, None, answer).await,
        200
    );
    assert_eq!(editor.push(&session, "1", None, answer).await, 409);
    assert_eq!(editor.push(&session, "x", None, answer).await, 409);
    assert_eq!(
        editor
            .push(
                &foreign_support::plugin::session(),
                &first.number,
                None,
                answer
            )
            .await,
        409
    );
}

#[tokio::test]
async fn a_read_is_handed_out_again_without_a_flag() {
    let (_up, editor) = broker().await;
    let first = session();
    let list = json!({"jsonrpc": "2.0", "id": "a", "method": "tools/list"});
    let mut client = posts(editor.port, &list).await;
    editor.pull(&first).await.unwrap().unwrap();
    assert_eq!(editor.detach(&first).await, Some(200));
    let _plugin = editor.loads().await;
    let answer = client.response().await.json();
    assert_eq!(
        answer,
        json!({"jsonrpc": "2.0", "id": "a", "result": {"tools": []}})
    );
    assert!(!editor.runs()[0].redelivery);
}

#[tokio::test]
async fn a_call_that_its_client_gave_up_in_the_queue_is_never_delivered() {
    let (_up, editor) = broker().await;
    let abandoned = posts(editor.port, &call(1, 0)).await;
    pending(&editor, 1).await;
    drop(abandoned);
    pending(&editor, 0).await;
    let _plugin = editor.loads().await;
    assert_eq!(echoed(&post(editor.port, &call(2, 0)).await)["n"], 2);
    assert_eq!(editor.effects(), [2]);
}

#[tokio::test]
async fn an_empty_poll_ends_with_204() {
    let up = up(funplay().park(Duration::from_millis(100)));
    let editor = Editor::new(up.port, TOKEN);
    assert!(editor.pull(&session()).await.unwrap().is_none());
}

#[tokio::test]
async fn a_newer_pull_ends_an_older_and_gets_the_call() {
    // Left alone, a pull would be parked for longer than anything here is waited for.
    let (_up, editor) = broker().await;
    let session = session();
    let mut older = editor.pulling(&session).await;
    connections(editor.port, 1).await;
    let mut newer = editor.pulling(&session).await;
    assert!(pulled(&older.response().await).unwrap().is_none());
    let _client = posts(editor.port, &call(1, 0)).await;
    assert!(pulled(&newer.response().await).unwrap().is_some());
}

#[tokio::test]
async fn a_push_that_is_cut_short_answers_nobody() {
    let (_up, editor) = broker().await;
    let session = session();
    let mut client = posts(editor.port, &call(1, 0)).await;
    let got = editor.pull(&session).await.unwrap().unwrap();
    let mut raw = Raw::to(editor.port).await;
    raw.write(format!(
        "POST /_funplay/broker/push HTTP/1.1\r\nX-Funplay-Broker-Token: {TOKEN}\r\n\
         X-Funplay-Broker-Session: {session}\r\nX-Funplay-Broker-ReqId: {}\r\n\
         Content-Type: application/json\r\nContent-Length: 1000\r\nHost: 127.0.0.1:{}\r\n\r\n\
         {{\"jsonrpc\":\"2.0\"",
        got.number, editor.port
    ))
    .await;
    tokio::io::AsyncWriteExt::shutdown(&mut raw.stream)
        .await
        .unwrap();
    sleep(Duration::from_millis(50)).await;
    pending(&editor, 1).await;
    let answer = r#"{"jsonrpc":"2.0","id":1,"result":{"echo":"whole"}}"#;
    assert_eq!(editor.push(&session, &got.number, None, answer).await, 200);
    assert_eq!(echoed(&client.response().await), "whole");
}

#[tokio::test]
async fn shutdown_answers_everybody_and_the_server_ends_in_time() {
    let (up, editor) = broker().await;
    let session = session();
    let mut clients = Vec::new();
    for n in 1..=3 {
        clients.push(posts(editor.port, &call(n, 0)).await);
        pending(&editor, u64::try_from(n).unwrap()).await;
    }
    editor.pull(&session).await.unwrap().unwrap();
    let asked = Instant::now();
    let token = ("X-Funplay-Broker-Token", editor.token.as_str());
    let response = asks(
        editor.port,
        "POST",
        "shutdown",
        &[token, ("Content-Length", "0")],
    )
    .await;
    assert_eq!(
        (response.status, response.json()),
        (200, json!({"ok": true}))
    );
    for (n, expected) in [(0, "unknown"), (1, "not_delivered"), (2, "not_delivered")] {
        let response = clients[n].response().await;
        assert_eq!(response.status, 200);
        let answer = response.json();
        assert_eq!(answer["error"]["data"]["outcome"], expected, "{answer}");
    }
    timeout(PATIENCE, up.serving)
        .await
        .expect("an end")
        .unwrap();
    // The plugin kills the process after this long.
    assert!(asked.elapsed() < Duration::from_millis(2_500));
}

#[tokio::test]
async fn the_host_that_is_attached_decides_what_a_post_means() {
    let quick = Config::default().silence(Duration::from_secs(1));
    let config = funplay().broker(quick);
    let up = up(config.dialects([Dialect::Native, Dialect::Funplay]));
    let editor = Editor::new(up.port, TOKEN);
    // Nobody was there: the first in the list.
    assert_eq!(post(up.port, &call(1, 0)).await.status, 400, "no session");
    let plugin = editor.loads().await;
    assert_eq!(echoed(&post(up.port, &call(2, 0)).await)["n"], 2);
    // Not while another is alive.
    let mut raw = Raw::to(up.port).await;
    let attach = json!({"protocol": 1, "host": {"name": "n", "instance": "i"}});
    let refused = host_ask(&mut raw, None, "attach", &attach).await;
    assert_eq!(refused.status, 409);
    plugin.unload().await;
    // The last one still decides.
    let mut held = posts(up.port, &call(3, 0)).await;
    pending(&editor, 1).await;
    let host = Host::attach(up.port).await;
    assert_eq!(post(up.port, &call(4, 0)).await.status, 400, "MCP again");
    assert_eq!(editor.attach(&session()).await, Some(409));
    drop(host);
    let _plugin = editor.loads().await;
    assert_eq!(echoed(&held.response().await)["n"], 3);
}

#[tokio::test]
async fn other_dialects_are_off_unless_asked_for() {
    let up = up(server_support::config());
    let token = ("X-Funplay-Broker-Token", TOKEN);
    assert_eq!(asks(up.port, "GET", "health", &[token]).await.status, 404);
    let bearer = format!("Bearer {TOKEN}");
    let response = Raw::to(up.port)
        .await
        .ask("GET /_b/pull", &[("Authorization", &bearer)], None)
        .await;
    assert_eq!(response.status, 404);
    // And so is ours, where others are asked for.
    let (up, _) = broker().await;
    let mut raw = Raw::to(up.port).await;
    let attach = json!({"protocol": 1, "host": {"name": "n"}});
    let refused = host_ask(&mut raw, None, "attach", &attach).await;
    assert_eq!(refused.status, 404);
}
