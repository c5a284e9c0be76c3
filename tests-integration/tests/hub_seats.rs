//! Two editors of one project, over real sockets: one has the seat, and nobody duels for it.
#![allow(
    clippy::disallowed_methods,
    missing_docs,
    reason = "tests wait and spawn"
)]

use examples::calls::Budget;
use examples::hub::{Event, Instance};
use examples::sim::{Editor, Options};
use mcp_transport_core::delivery::Replay;
use serde_json::{Value, json};
use std::time::Duration;
use tests_integration::plugin::{Plugin, submit};
use tests_integration::{Client, Server};
use tokio::join;

/// Waits until the one project looks so.
async fn project(server: &Server, wanted: impl Fn(&Instance) -> bool) {
    let mut instances = server.hub.instances();
    instances
        .wait_for(|instances| matches!(&**instances, [one] if wanted(one)))
        .await
        .expect("the hub lives");
}

async fn create(client: &Client, name: &str) {
    let arguments = json!({"action": "create", "name": name});
    let answer = client.call("manage_gameobject", arguments).await;
    assert!(answer.succeeded(), "{name}: {answer:?}");
}

fn created(editor: &Editor) -> Vec<String> {
    let created = editor.report().objects_created;
    assert!(created.values().all(|count| *count == 1), "{created:?}");
    created.into_keys().collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_editor_stands_by_until_the_first_quits() {
    let server = Server::start(Budget::default());
    let first = server.editor(Options::default()).await;
    let second = Editor::spawn(&server.hub_url(), Options::default());
    project(&server, |one| one.standby == 1).await;
    let client = server.client().await;
    create(&client, "before").await;
    assert!(!second.is_connected(), "the seat is taken");
    assert_eq!(created(&first), ["before"]);

    let world = first.world();
    first.quit().await;
    second.connected().await;
    create(&client, "after").await;
    assert_eq!(created(&second), ["after"]);
    assert!(world.lock().unwrap().report().objects_created.len() == 1);
    project(&server, |one| one.standby == 0).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_editors_that_reload_in_turn_hand_the_seat_over_and_lose_no_read() {
    let server = Server::start(Budget::default());
    let options = Options::default().away(Duration::from_millis(100));
    let editors = [
        server.editor(options.clone()).await,
        Editor::spawn(&server.hub_url(), options),
    ];
    let client = server.client().await;
    for round in 0..20 {
        project(&server, |one| one.standby == 1).await;
        editors[round % 2].reload();
        let arguments = json!({"action": "get_hierarchy"});
        let answer = client.call("manage_scene", arguments).await;
        assert!(answer.succeeded(), "round {round}: {answer:?}");
        editors[(round + 1) % 2].connected().await;
    }
    let [one] = &server.hub.snapshot()[..] else {
        panic!("one project");
    };
    assert_eq!(one.returns, 20, "the seat changed once for each reload");
    server.stop().await;
}

/// The next command of this name; what is asked before it is answered.
async fn next(plugin: &mut Plugin, name: &str) -> Value {
    loop {
        let command = plugin.command().await;
        if command["name"] == name {
            return command;
        }
        let nothing = json!({"status": "success", "result": {"success": true, "data": {}}});
        plugin.answer(&command, &nothing).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_script_that_a_silent_holder_made_is_read_back_by_its_successor_and_not_made_again() {
    let server = Server::start(Budget::default());
    let mut silent = Plugin::dial(&server).await.registered("Game", "0f").await;
    let client = server.client().await;
    let contents = "public class New { }\n";
    let script = json!({"path": "Assets/New.cs", "contents": contents});
    let call = client.call("create_script", script);
    let editors = async {
        assert_eq!(
            next(&mut silent, "manage_script").await["params"]["action"],
            "create"
        );
        // It came back after a reload; of its former connection half is left.
        let mut back = Plugin::dial(&server).await.registered("Game", "0f").await;
        let read = next(&mut back, "manage_script").await;
        assert_eq!(read["params"]["action"], "read", "{read}");
        let found = json!({"success": true, "data": {"contents": contents}});
        let found = json!({"status": "success", "result": found});
        back.answer(&read, &found).await;
        back
    };
    let (answer, _back) = join!(call, editors);
    assert!(answer.succeeded(), "{answer:?}");
    assert!(answer.text.contains("verified after reload"), "{answer:?}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_standby_that_plays_is_no_proof_that_the_lost_holder_does() {
    let server = Server::start(Budget::default());
    let mut holder = Plugin::dial(&server).await.registered("Game", "0f").await;
    let mut standby = Plugin::register(&server, "Game", "0f").await;
    project(&server, |one| one.standby == 1).await;
    let client = server.client().await;
    let call = client.call("manage_editor", json!({"action": "play"}));
    let breaks = async {
        holder.command().await;
        drop(holder);
    };
    let plays = async {
        loop {
            let command = standby.command().await;
            assert_eq!(command["name"], "get_editor_state", "{command}");
            let state = json!({"editor": {"play_mode": {"is_playing": true, "is_changing": true}}});
            let state = json!({"status": "success", "result": {"success": true, "data": state}});
            standby.answer(&command, &state).await;
        }
    };
    let answer = tokio::select! {
        (answer, ()) = async { join!(call, breaks) } => answer,
        () = plays => unreachable!("it answers for ever"),
    };
    assert_eq!(answer.outcome(), Some("unknown"), "{answer:?}");
    assert_eq!(answer.value["cause"], "superseded", "{answer:?}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_holder_that_fell_silent_is_closed_with_4002_and_the_standby_answers_what_was_held() {
    let server = Server::start(Budget::default());
    let world = Options::default().world();
    let hash = world.project().hash();
    let mut silent = Plugin::dial(&server)
        .await
        .registered("SimProject", &hash)
        .await;
    let mut lost = submit(&server, &hash, Replay::Never);
    silent.command().await;
    let standby = Editor::spawn(&server.hub_url(), Options::default());
    project(&server, |one| one.standby == 1).await;
    let client = server.client().await;
    let held = client.call(
        "manage_gameobject",
        json!({"action": "create", "name": "held"}),
    );
    let (held, end, lost) = join!(held, silent.end(), lost.event());
    assert_eq!(end.0, Some(4002));
    assert!(held.succeeded(), "{held:?}");
    let Event::Lost(lost) = lost else {
        panic!("{lost:?}");
    };
    assert_eq!(lost.outcome, mcp_transport_core::Outcome::Unknown);
    assert_eq!(lost.why, examples::hub::Why::Superseded);
    assert_eq!(created(&standby), ["held"]);
    let health = server.health().await;
    assert_eq!(health["faults"][0]["cause"], "superseded", "{health}");
    server.stop().await;
}
