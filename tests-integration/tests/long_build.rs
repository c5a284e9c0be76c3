//! What takes longer than its client waits, behind a reload: real sockets and clients, with the times of a build scaled to seconds.
//! `examples/tests/long_calls.rs` has the six minutes themselves, on a paused clock.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    missing_docs,
    reason = "tests wait and spawn"
)]

use examples::calls::Budget;
use examples::sim::{Editor, Options};
use serde_json::{Value, json};
use std::time::Duration;
use tests_integration::raw::Session;
use tests_integration::{Server, reload};

/// What the build takes, and for how long its client waits: as 6 min are to 1 min.
const BUILD: Duration = Duration::from_secs(6);
const PATIENCE: Duration = Duration::from_millis(800);

fn ran(editor: &Editor) -> u64 {
    let commands = editor.report().commands;
    let builds = commands
        .iter()
        .filter(|ran| ran.command == "execute_menu_item");
    builds.map(|ran| ran.executed).sum()
}

async fn build_behind_a_reload(server: Server, options: Options) {
    let options = options.away(Duration::from_millis(400));
    let editor = server
        .editor(options.latency_for("execute_menu_item", BUILD))
        .await;
    let session = Session::begin(server.port).await;
    reload(&editor).await;
    let args = json!({"menu_path": "File/Save Project"});
    let call = tokio::time::timeout(
        Duration::from_secs(1),
        session.call("execute_menu_item", args),
    );
    let answer = call
        .await
        .expect("in time for a client that gives up after 1 s");
    assert_eq!(answer.outcome(), Some("running"), "{answer:?}");
    assert_eq!(answer.value["retryable"], false, "{answer:?}");
    // The same session, from the first to the last.
    let id: &Value = &answer.value["operation_id"];
    let result = loop {
        let asked = session
            .call("get_operation", json!({"operation_id": id}))
            .await;
        if asked.outcome() != Some("running") {
            break asked;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    assert!(result.succeeded(), "{result:?}");
    assert_eq!(result.value["data"]["success"], true, "{result:?}");
    assert_eq!(ran(&editor), 1);
    assert_eq!(
        server.hub.snapshot()[0].returns,
        1,
        "one reload, and no other loss"
    );
    assert!(session.end().await.status < 300);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_build_longer_than_its_client_waits_runs_once_behind_a_reload_and_its_result_can_be_had()
{
    let budget = Budget::new(Duration::from_secs(120), Some(PATIENCE));
    build_behind_a_reload(Server::start(budget), Options::default()).await;
}
