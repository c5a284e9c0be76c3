//! Editors that listen: the server dials them, and what holds for those that dial holds for them.
#![allow(
    clippy::disallowed_methods,
    missing_docs,
    unreachable_pub,
    reason = "tests wait and spawn"
)]

mod reload_lines;

use examples::calls::Budget;
use examples::hub::Phase;
use examples::sim::{Editor, Options};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use tests_integration::folder::Folder;
use tests_integration::{Answer, Client, Server};
use tokio::time::timeout;

/// Nothing that should happen takes longer.
const PATIENCE: Duration = Duration::from_secs(20);

async fn create(client: &Client, name: &str) -> Answer {
    let call = client.call(
        "manage_gameobject",
        json!({"action": "create", "name": name}),
    );
    timeout(PATIENCE, call).await.expect("no call hangs")
}

/// Two servers that know the same editors, and a client of each.
async fn two() -> [(Server, Client); 2] {
    let directory = Arc::new(Folder::new());
    let first = Server::dialling_in(Budget::default(), directory.clone());
    let second = Server::dialling_in(Budget::default(), directory);
    let clients = (first.client().await, second.client().await);
    [(first, clients.0), (second, clients.1)]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reload_of_five_seconds_under_load_costs_at_most_one_unknown() {
    reload_lines::five_seconds(Server::dialling(Budget::default())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_reloads_at_every_point_lose_nothing_and_repeat_nothing() {
    reload_lines::fifty_reloads(Server::dialling(Budget::default())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_editor_that_is_killed_and_started_again_costs_at_most_one_unknown() {
    reload_lines::killed_and_started_again(Server::dialling(Budget::default())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_script_that_is_created_is_there_once_and_its_creator_is_told_so() {
    reload_lines::twenty_scripts(Server::dialling(Budget::default())).await;
}

/// An editor that both know, whichever of them it serves at the moment.
async fn shared(first: &Server, second: &Server, options: Options) -> Editor {
    let editor = first.started(options);
    first.until(|_| true).await;
    second.until(|_| true).await;
    editor
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_servers_on_the_installed_plugin_connect_no_oftener_than_they_are_called() {
    let [(first, one), (second, two)] = two().await;
    let editor = shared(&first, &second, Options::default().installed_rule()).await;
    let mut calls = 0;
    for round in 0..10 {
        for (client, who) in [(&one, "one"), (&two, "two")] {
            let answer = create(client, &format!("{who}-{round}")).await;
            assert!(answer.succeeded(), "{who}-{round}: {answer:?}");
            calls += 1;
        }
    }
    // Nobody dials for its own sake: by now a duel would have shown.
    let after_calls = editor.clients();
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert_eq!(editor.clients(), after_calls, "somebody dialled uncalled");
    // The two that each made on its own, when it found the editor, no call has asked for.
    assert!(
        after_calls <= calls + 2,
        "{after_calls} connections for {calls} calls"
    );
    let created = editor.report().objects_created;
    assert_eq!(created.len(), 20, "{created:?}");
    assert!(created.values().all(|count| *count == 1), "{created:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_servers_that_call_at_once_end_each_others_calls_and_none_runs_twice() {
    let [(first, one), (second, two)] = two().await;
    let slow = Options::default()
        .installed_rule()
        .latency(Duration::from_millis(20));
    let editor = shared(&first, &second, slow).await;
    let mut answers = Vec::new();
    for round in 0..10 {
        let names = [format!("one-{round}"), format!("two-{round}")];
        let both = tokio::join!(create(&one, &names[0]), create(&two, &names[1]));
        answers.extend(names.into_iter().zip([both.0, both.1]));
    }
    let created = editor.report().objects_created;
    assert!(created.values().all(|count| *count == 1), "{created:?}");
    for (name, answer) in answers {
        let there = created.contains_key(&name);
        match answer.outcome() {
            None => assert!(answer.succeeded() && there, "{name}: {answer:?}"),
            Some("not_delivered") => assert!(!there, "{name}: {answer:?}"),
            Some(outcome) => assert_eq!(outcome, "unknown", "{name}: {answer:?}"),
        }
    }
    assert!(
        editor.clients() <= 20 + 2,
        "{} connections",
        editor.clients()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_lost_its_seat_says_so_at_once_and_has_it_again_when_the_newcomer_left() {
    let directory = Arc::new(Folder::new());
    let first = Server::dialling_in(Budget::default(), directory.clone());
    let one = first.client().await;
    let editor = first.editor(Options::default()).await;
    assert!(create(&one, "mine").await.succeeded());

    let second = Server::dialling_in(Budget::default(), directory);
    second.sees(&editor).await;
    let two = second.client().await;
    first.until(|one| one.evicted.is_some()).await;
    let call = timeout(Duration::from_secs(1), create(&one, "refused")).await;
    let answer = call.expect("answered at once");
    assert_eq!(answer.outcome(), Some("not_delivered"), "{answer:?}");
    assert_eq!(answer.value["cause"], "superseded", "{answer:?}");
    assert!(
        answer.text.contains("127.0.0.1:"),
        "it names the newcomer: {answer:?}"
    );
    assert!(create(&two, "theirs").await.succeeded());
    assert_eq!(editor.clients(), 2, "nobody duels");

    two.close().await;
    second.stop().await;
    let back = first.until(|one| one.phase == Phase::Connected && one.evicted.is_none());
    timeout(Duration::from_secs(1), back)
        .await
        .expect("the seat is free, so it is ours again");
    assert!(create(&one, "mine again").await.succeeded());
    let created = editor.report().objects_created;
    assert_eq!(created.len(), 3, "{created:?}");
    assert!(created.values().all(|count| *count == 1), "{created:?}");
}
