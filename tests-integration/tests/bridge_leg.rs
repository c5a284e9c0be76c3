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

/// The two rules that an editor may keep: seats, and the installed plugin's.
fn either_rule() -> [Options; 2] {
    [Options::default(), Options::default().installed_rule()]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reload_of_five_seconds_under_load_costs_at_most_one_unknown() {
    for options in either_rule() {
        reload_lines::five_seconds(Server::dialling(Budget::default()), options).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_reloads_at_every_point_lose_nothing_and_repeat_nothing() {
    reload_lines::fifty_reloads(Server::dialling(Budget::default()), Options::default()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_reloads_of_the_installed_plugin_lose_nothing_and_repeat_nothing() {
    let options = Options::default().installed_rule();
    reload_lines::fifty_reloads(Server::dialling(Budget::default()), options).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_editor_that_is_killed_and_started_again_costs_at_most_one_unknown() {
    let server = Server::dialling(Budget::default());
    reload_lines::killed_and_started_again(server, Options::default()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_script_that_is_created_is_there_once_and_its_creator_is_told_so() {
    for options in either_rule() {
        reload_lines::twenty_scripts(Server::dialling(Budget::default()), options).await;
    }
}

/// An editor that both know, and to which neither is connected.
async fn shared(first: &Server, second: &Server, options: Options) -> Editor {
    let editor = first.editor(options).await;
    second.sees(&editor).await;
    editor
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_nobody_calls_touches_nobodys_session() {
    for options in either_rule() {
        let [(first, one), (second, _two)] = two().await;
        let editor = shared(&first, &second, options.away(Duration::from_millis(200))).await;
        assert_eq!(editor.clients(), 0, "nobody has called yet");
        assert!(create(&one, "mine").await.succeeded());
        let directory = first.folder().expect("it dials");
        let third = Server::dialling_in(Budget::default(), directory);
        third.sees(&editor).await;
        // However often it reloads: each time the one that is called comes back.
        for reload in 0..3 {
            tests_integration::reload(&editor).await;
            editor.connected().await;
            assert!(create(&one, &format!("mine-{reload}")).await.succeeded());
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert_eq!(editor.clients(), 4, "one, and again after each reload");
        for uncalled in [&second, &third] {
            uncalled
                .until(|one| matches!(one.phase, Phase::Listening { .. }) && one.returns == 0)
                .await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_editor_is_listed_before_anybody_connects_and_no_longer_when_it_quit() {
    let server = Server::dialling(Budget::default());
    let editor = server.editor(Options::default().installed_rule()).await;
    let health = server.health().await;
    assert_eq!(health["editors"][0]["state"], "listening", "{health}");
    assert_eq!(health["editors"][0]["socket"]["connected"], false);
    assert_eq!(health["faults"], json!([]), "{health}");
    let chosen = server
        .calls
        .choose(Some("SimProject"))
        .expect("it is there");
    assert!(chosen.by_file && chosen.session_id.is_none());
    assert_eq!(editor.clients(), 0);
    editor.quit().await;
    let mut instances = server.hub.instances();
    let forgotten = instances.wait_for(|instances| instances.is_empty());
    let forgotten = timeout(PATIENCE, forgotten).await;
    forgotten.expect("it quit").expect("the hub lives");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_for_an_editor_that_was_never_connected_waits_for_its_reload() {
    for options in either_rule() {
        let server = Server::dialling(Budget::default());
        let client = server.client().await;
        let editor = server.editor(options.away(Duration::from_secs(1))).await;
        tests_integration::reload(&editor).await;
        assert!(create(&client, "held").await.succeeded());
        assert_eq!(editor.clients(), 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reload_too_short_to_be_seen_hangs_no_call_and_repeats_none() {
    for options in either_rule() {
        let server = Server::dialling(Budget::default());
        let client = server.client().await;
        let editor = server.editor(options.away(Duration::ZERO)).await;
        for round in 0..20 {
            let (during, after) = (format!("during-{round}"), format!("after-{round}"));
            editor.reload();
            let lost = create(&client, &during).await;
            let made = editor.report().objects_created;
            match lost.outcome() {
                None => assert!(lost.succeeded() && made.contains_key(&during), "{lost:?}"),
                Some("not_delivered") => assert!(!made.contains_key(&during), "{lost:?}"),
                Some(outcome) => assert_eq!(outcome, "unknown", "{lost:?}"),
            }
            let answer = create(&client, &after).await;
            assert!(
                answer.succeeded() || answer.outcome() == Some("unknown"),
                "{answer:?}"
            );
        }
        let created = editor.report().objects_created;
        assert!(created.values().all(|count| *count == 1), "{created:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_ran_when_a_seat_was_lost_is_neither_read_back_nor_made_again() {
    for options in either_rule() {
        let seats = !options.installed_rule;
        let [(first, one), (second, two)] = two().await;
        let slow = options.latency(Duration::from_millis(700));
        let editor = shared(&first, &second, slow).await;
        let path = "Assets/Scripts/Mine.cs";
        let script = json!({"path": path, "contents": "public class Mine { }\n"});
        let mine = one.call("create_script", script);
        let theirs = async {
            first.until(|one| one.phase == Phase::Connected).await;
            tokio::time::sleep(Duration::from_millis(200)).await;
            two.call("manage_scene", json!({"action": "get_hierarchy"}))
                .await
        };
        let both = timeout(PATIENCE, async { tokio::join!(mine, theirs) }).await;
        let (mine, theirs) = both.expect("no call hangs");
        assert!(theirs.succeeded(), "{theirs:?}");
        assert_eq!(mine.outcome(), Some("unknown"), "{mine:?}");
        assert_eq!(mine.value["cause"], "superseded", "{mine:?}");
        tokio::time::sleep(Duration::from_secs(3)).await;
        let made = editor.report().scripts_created;
        assert!(made.values().all(|count| *count == 1), "{made:?}");
        let [known] = &first.hub.snapshot()[..] else {
            panic!("one editor");
        };
        // Where there are seats it may have had a free one again, while the script was compiled.
        assert!(seats || known.returns == 0, "{known:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_that_another_clients_dial_ended_does_not_end_that_ones_call_in_turn() {
    let [(first, one), (second, two)] = two().await;
    let slow = Options::default().installed_rule();
    let slow = slow.latency(Duration::from_millis(700));
    let editor = shared(&first, &second, slow).await;
    let read = one.call("manage_scene", json!({"action": "get_hierarchy"}));
    let theirs = async {
        first.until(|one| one.phase == Phase::Connected).await;
        tokio::time::sleep(Duration::from_millis(200)).await;
        create(&two, "theirs").await
    };
    let both = timeout(PATIENCE, async { tokio::join!(read, theirs) }).await;
    let (read, theirs) = both.expect("no call hangs");
    assert_eq!(read.value["cause"], "superseded", "{read:?}");
    assert!(theirs.succeeded(), "{theirs:?}");
    assert_eq!(editor.clients(), 2);
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
    assert!(
        after_calls <= calls,
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
    assert!(editor.clients() <= 20, "{} connections", editor.clients());
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
    assert!(create(&two, "theirs").await.succeeded());
    let evicted = first.until(|one| one.evicted.is_some());
    timeout(PATIENCE, evicted).await.expect("it is told");
    let call = timeout(Duration::from_secs(1), create(&one, "refused")).await;
    let answer = call.expect("answered at once");
    assert_eq!(answer.outcome(), Some("not_delivered"), "{answer:?}");
    assert_eq!(answer.value["cause"], "superseded", "{answer:?}");
    assert!(
        answer.text.contains("127.0.0.1:"),
        "it names the newcomer: {answer:?}"
    );
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
