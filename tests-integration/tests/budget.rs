//! A client that may have a time-out of its own is answered before it, with what is known; nothing is lost by that.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    missing_docs,
    reason = "tests wait and spawn"
)]

use examples::calls::Budget;
use examples::sim::Options;
use serde_json::{Value, json};
use std::time::Duration;
use tests_integration::plugin::Plugin;
use tests_integration::raw::{self, Session};
use tests_integration::{Answer, Server, reload};

fn budget(client: Duration) -> Budget {
    Budget::new(Duration::from_secs(120), Some(client))
}

/// By `batch_execute`, before which the editor is not asked how it is.
fn create(name: &str) -> Value {
    let params = json!({"action": "create", "name": name});
    json!({"commands": [{"tool": "manage_gameobject", "params": params}]})
}

/// Asks until the operation is no longer running.
async fn ended(session: &Session, id: &Value) -> Answer {
    loop {
        let answer = session
            .call("get_operation", json!({"operation_id": id}))
            .await;
        if answer.outcome() != Some("running") {
            return answer;
        }
        assert_eq!(&answer.value["operation_id"], id, "{answer:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_client_without_progress_hears_in_time_that_its_call_was_not_delivered() {
    let server = Server::start(budget(Duration::from_millis(400)));
    let editor = server
        .editor(Options::default().away(Duration::from_millis(1_200)))
        .await;
    reload(&editor).await;
    let session = Session::begin(server.port).await;
    let answer = session.call("batch_execute", create("Lost")).await;
    assert_eq!(answer.outcome(), Some("not_delivered"), "{answer:?}");
    assert_eq!(answer.value["cause"], "reloading");
    assert_eq!(answer.value["retryable"], true);
    assert!(answer.value["retry_after_ms"].is_u64(), "{answer:?}");

    // It was true: the editor is back, and has not seen it.
    editor.connected().await;
    assert!(
        session
            .call("batch_execute", create("Witness"))
            .await
            .succeeded()
    );
    assert_eq!(editor.report().objects_created.get("Lost"), None);
    server.stop().await;
}

#[tokio::test]
async fn a_client_without_progress_hears_that_its_call_runs_and_gets_the_result_later() {
    let server = Server::start(budget(Duration::from_millis(300)));
    let editor = server.editor(Options::default()).await;
    editor.freeze(true);
    let (session, other) = (
        Session::begin(server.port).await,
        Session::begin(server.port).await,
    );
    let answer = session.call("batch_execute", create("Slow")).await;
    assert!(answer.is_error, "{answer:?}");
    assert_eq!(answer.outcome(), Some("running"), "{answer:?}");
    assert_eq!(answer.value["retryable"], false);
    let id = answer.value["operation_id"].clone();
    assert!(answer.text.contains("get_operation"), "{answer:?}");

    let asked = session
        .call("get_operation", json!({"operation_id": id}))
        .await;
    assert_eq!(asked.outcome(), Some("running"), "{asked:?}");
    // One behind it was not delivered, and is withdrawn: the next to run is somebody else's.
    let behind = other.call("batch_execute", create("Behind")).await;
    assert_eq!(behind.outcome(), Some("not_delivered"), "{behind:?}");
    assert_eq!(behind.value["cause"], "busy", "{behind:?}");

    editor.freeze(false);
    let late = ended(&session, &id).await;
    assert!(late.succeeded(), "{late:?}");
    assert_eq!(late.value["data"]["success"], true, "{late:?}");
    let stolen = other
        .call("get_operation", json!({"operation_id": id}))
        .await;
    assert_eq!(stolen.value["cause"], "unknown_operation", "{stolen:?}");
    assert_eq!(stolen.outcome(), Some("unknown"), "{stolen:?}");
    let created = editor.report().objects_created;
    assert_eq!(
        (created.get("Slow"), created.get("Behind")),
        (Some(&1), None)
    );
    server.stop().await;
}

#[tokio::test]
async fn a_result_of_a_client_without_sessions_is_for_whoever_knows_its_id() {
    let server = Server::start(budget(Duration::from_millis(200)));
    let editor = server
        .editor(Options::default().latency(Duration::from_millis(700)))
        .await;
    let text = raw::modern_call(server.port, "batch_execute", &create("Slow"), false);
    // What such a client says of a session counts for nothing.
    let text = text.replace("Accept:", "Mcp-Session-Id: mine\r\nAccept:");
    let answer = raw::exchange(server.port, &text).await.answer();
    assert_eq!(answer.outcome(), Some("running"), "{answer:?}");
    let id = &answer.value["operation_id"];
    let late = ended(&Session::begin(server.port).await, id).await;
    assert!(late.succeeded(), "{late:?}");
    let asked = raw::modern_call(
        server.port,
        "get_operation",
        &json!({"operation_id": id}),
        false,
    );
    let again = raw::exchange(server.port, &asked).await.answer();
    assert_eq!(again.value, late.value);
    assert_eq!(editor.report().objects_created.get("Slow"), Some(&1));
    server.stop().await;
}

#[tokio::test]
async fn an_operation_whose_editor_reloads_while_it_runs_is_unknown_from_then_on() {
    let server = Server::start(budget(Duration::from_millis(200)));
    let editor = server
        .editor(Options::default().away(Duration::from_millis(100)))
        .await;
    editor.freeze(true);
    let session = Session::begin(server.port).await;
    let answer = session.call("batch_execute", create("Slow")).await;
    assert_eq!(answer.outcome(), Some("running"), "{answer:?}");
    reload(&editor).await;
    let id = &answer.value["operation_id"];
    let gone = ended(&session, id).await;
    assert_eq!(gone.outcome(), Some("unknown"), "{gone:?}");
    assert_eq!(gone.value["retryable"], false);
    editor.freeze(false);
    editor.connected().await;
    assert_eq!(ended(&session, id).await.value, gone.value);
    server.stop().await;
}

#[tokio::test]
async fn a_client_that_hears_of_progress_waits_on_and_is_told_what_for() {
    let server = Server::start(budget(Duration::from_millis(300)));
    let editor = server
        .editor(Options::default().away(Duration::from_millis(3_600)))
        .await;
    // After the first reload it is known how long one takes.
    reload(&editor).await;
    editor.connected().await;
    reload(&editor).await;
    let text = raw::modern_call(server.port, "batch_execute", &create("Patient"), true);
    let response = raw::exchange(server.port, &text).await;
    assert!(response.answer().succeeded(), "{response:?}");
    let messages = response.messages();
    let progress: Vec<&Value> = messages
        .iter()
        .filter(|message| message["method"] == "notifications/progress")
        .map(|message| &message["params"])
        .collect();
    assert_eq!(progress.len(), 1, "{messages:?}");
    assert_eq!(progress[0]["progressToken"], "p");
    let text = progress[0]["message"].as_str().expect("a text");
    assert_eq!(text, "editor reloading, 3 s so far, usually 3 s");
    assert_eq!(editor.report().objects_created.get("Patient"), Some(&1));
    server.stop().await;
}

#[tokio::test]
async fn a_budget_of_nothing_is_no_limit() {
    assert_eq!(budget(Duration::ZERO).client, None);
    let server = Server::start(budget(Duration::ZERO));
    let editor = server
        .editor(Options::default().away(Duration::from_millis(800)))
        .await;
    reload(&editor).await;
    let session = Session::begin(server.port).await;
    let answer = session.call("batch_execute", create("Held")).await;
    assert!(answer.succeeded(), "{answer:?}");
    server.stop().await;
}

#[tokio::test]
async fn an_editor_that_quits_fails_its_calls_at_once_and_says_that_it_quit() {
    let server = Server::start(Budget::default());
    let editor = server.editor(Options::default()).await;
    editor.freeze(true);
    let (first, second) = (
        Session::begin(server.port).await,
        Session::begin(server.port).await,
    );
    let running = tokio::spawn(async move { first.call("batch_execute", create("A")).await });
    while server.hub.snapshot()[0].running.is_none() {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let queued = tokio::spawn(async move { second.call("batch_execute", create("B")).await });
    server.queued(1).await;
    editor.quit().await;
    let soon = Duration::from_secs(1);
    let running = tokio::time::timeout(soon, running)
        .await
        .expect("at once")
        .unwrap();
    let queued = tokio::time::timeout(soon, queued)
        .await
        .expect("at once")
        .unwrap();
    let third = Session::begin(server.port).await;
    let later = tokio::time::timeout(soon, third.call("batch_execute", create("C")))
        .await
        .expect("at once");
    for (answer, outcome) in [
        (running, "unknown"),
        (queued, "not_delivered"),
        (later, "not_delivered"),
    ] {
        assert_eq!(answer.value["cause"], "editor_quit", "{answer:?}");
        assert_eq!(answer.outcome(), Some(outcome), "{answer:?}");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_plugin_that_stopped_waiting_for_its_own_main_loop_leaves_the_outcome_unknown() {
    let server = Server::start(Budget::default());
    let mut plugin = Plugin::register(&server, "Raw", "0123456789abcdef").await;
    plugin.expect("registered").await;
    let session = Session::begin(server.port).await;
    let call = tokio::spawn(async move { session.call("batch_execute", create("A")).await });
    let execute = plugin.expect("execute").await;
    assert_eq!(execute["name"], "batch_execute");
    // As the installed plugin says it.
    let error = "Command processing timed out after 30000 ms";
    plugin
        .answer(&execute, &json!({"status": "error", "error": error}))
        .await;
    let answer = call.await.unwrap();
    assert_eq!(answer.outcome(), Some("unknown"), "{answer:?}");
    assert_eq!(answer.value["retryable"], false);
    assert_eq!(answer.value["cause"], "plugin_timed_out");
    assert!(answer.text.contains(error), "{answer:?}");
    server.stop().await;
}

#[tokio::test]
async fn a_server_that_goes_down_answers_every_call_and_tells_every_editor() {
    let server = Server::start(Budget::default());
    let mut plugin = Plugin::register(&server, "Raw", "0123456789abcdef").await;
    plugin.expect("registered").await;
    let (first, second) = (Session::begin(server.port).await, server.client().await);
    let running = tokio::spawn(async move { first.call("batch_execute", create("A")).await });
    plugin.expect("execute").await;
    let queued = tokio::spawn(async move {
        let answer = second.call("batch_execute", create("B")).await;
        (answer, second)
    });
    server.queued(1).await;
    let stopped = tokio::spawn(server.stop());
    let (running, (queued, _client)) = (running.await.unwrap(), queued.await.unwrap());
    assert_eq!(running.outcome(), Some("unknown"), "{running:?}");
    assert_eq!(queued.outcome(), Some("not_delivered"), "{queued:?}");
    assert_eq!(queued.value["retryable"], true);
    for answer in [running, queued] {
        assert_eq!(answer.value["cause"], "shutting_down", "{answer:?}");
    }
    // Never the second call: it was withdrawn.
    let end = plugin.next().await.unwrap_err();
    assert_eq!(
        end.kind().cause(),
        "reloading",
        "1012: the host will be back"
    );
    stopped.await.unwrap();
}
