//! A change that reloads the editor's scripts is answered in its own response where a read finds it, and made once wherever the
//! reload strikes it.
#![allow(
    clippy::disallowed_methods,
    missing_docs,
    reason = "tests wait and spawn"
)]

use examples::calls::Budget;
use examples::sim::strike::Point;
use examples::sim::{Editor, Options};
use serde_json::{Value, json};
use std::time::Duration;
use tests_integration::plugin::Plugin;
use tests_integration::{Answer, Client, Server};
use tokio::sync::oneshot;

/// A server, an editor that is quick to reload, and a client.
async fn start() -> (Server, Editor, Client) {
    let server = Server::start(Budget::default());
    let away = Options::default().away(Duration::from_millis(100));
    let editor = server.editor(away).await;
    let client = server.client().await;
    (server, editor, client)
}

/// Makes a call that a reload strikes here. If its own answer is lost with its effect, it must succeed, and say so.
async fn struck(editor: &Editor, client: &Client, at: Point, tool: &str, args: &Value) -> Answer {
    let before = editor.report().strikes.get(&at).copied();
    editor.strike(at);
    let answer = client.call(tool, args.clone()).await;
    let what = format!("{tool} {args}, struck {at}");
    let after = editor.report().strikes.get(&at).copied();
    assert!(after > before, "{what}: it was not struck");
    if at == Point::AfterEffect {
        assert_eq!(
            answer.value["data"]["verified_after_reload"], true,
            "{what}: {answer:?}"
        );
        assert!(
            answer.text.contains("verified after reload"),
            "{what}: {answer:?}"
        );
    }
    // Whatever the strike was, the domain that it took is gone.
    editor.connected().await;
    answer
}

/// The same with a change: one that took no effect is unknown, and made again by its client, who can look.
async fn changed(editor: &Editor, client: &Client, at: Point, tool: &str, args: Value) {
    let mut answer = struck(editor, client, at, tool, &args).await;
    if !at.took_effect() {
        assert_eq!(
            answer.outcome(),
            Some("unknown"),
            "{tool} {args}, struck {at}: {answer:?}"
        );
        answer = client.call(tool, args.clone()).await;
    }
    assert!(answer.succeeded(), "{tool} {args}, struck {at}: {answer:?}");
    editor.connected().await;
}

/// How often this happened to this one.
fn effects(editor: &Editor, what: &str, subject: &str) -> usize {
    let mut effects = editor.report().effects;
    effects.retain(|effect| effect.what == what && effect.subject == subject);
    effects.len()
}

#[tokio::test]
async fn a_script_that_is_created_or_deleted_in_either_way_is_so_once() {
    let (server, editor, client) = start().await;
    for at in Point::ALL {
        for older in [false, true] {
            let name = format!("Made{}{older}", at as u8);
            let path = format!("Assets/Scripts/{name}.cs");
            let contents = format!("public class {name} {{ }}\n");
            let (create, delete) = if older {
                let folder = "Assets/Scripts";
                let create =
                    json!({"action": "create", "name": name, "path": folder, "contents": contents});
                let delete = json!({"action": "delete", "name": name, "path": folder});
                (("manage_script", create), ("manage_script", delete))
            } else {
                let create = json!({"path": path, "contents": contents});
                (
                    ("create_script", create),
                    ("delete_script", json!({"uri": path})),
                )
            };
            changed(&editor, &client, at, create.0, create.1).await;
            assert_eq!(effects(&editor, "script_created", &path), 1, "{path}");
            changed(&editor, &client, at, delete.0, delete.1).await;
            assert_eq!(effects(&editor, "script_deleted", &path), 1, "{path}");
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn play_mode_begins_and_ends_once() {
    let (server, editor, client) = start().await;
    for (round, at) in (1..).zip(Point::ALL) {
        for (action, effect) in [("play", "play_started"), ("stop", "play_stopped")] {
            let args = json!({"action": action});
            changed(&editor, &client, at, "manage_editor", args).await;
            assert_eq!(effects(&editor, effect, "play_mode"), round, "struck {at}");
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn a_refresh_is_answered_when_the_editor_is_ready_again() {
    let (server, editor, client) = start().await;
    for at in Point::ALL {
        for args in [json!({}), json!({"mode": "force", "compile": "request"})] {
            let answer = struck(&editor, &client, at, "refresh_unity", &args).await;
            assert!(answer.succeeded(), "{args}, struck {at}: {answer:?}");
        }
    }
    server.stop().await;
}

/// A plugin that does these commands, whichever come, until somebody else is done: what it was told to do.
async fn does(
    mut plugin: Plugin,
    done: impl Future<Output = ()>,
    answer: fn(&Value) -> Value,
) -> Vec<String> {
    let mut told = Vec::new();
    tokio::pin!(done);
    loop {
        tokio::select! {
            () = &mut done => return told,
            command = plugin.command() => {
                let action = command["params"]["action"].as_str();
                let what = action.or_else(|| command["name"].as_str());
                told.push(what.unwrap_or_default().to_owned());
                let result = json!({"success": true, "data": answer(&command)});
                let result = json!({"status": "success", "result": result});
                plugin.answer(&command, &result).await;
            }
        }
    }
}

/// Two calls, one behind the other; the answer to the first is lost with the connection, and both are made once, in order.
async fn behind(
    first: (&str, Value),
    second: (&str, Value),
    question: &str,
    answer: fn(&Value) -> Value,
) {
    let server = Server::start(Budget::default());
    let mut plugin = Plugin::dial(&server).await.registered("Game", "0f").await;
    let clients = [server.client().await, server.client().await];
    let (begun, is_begun) = oneshot::channel();
    let loses = clients[0].call(first.0, first.1);
    let waits = async {
        is_begun.await.expect("the editor lives");
        clients[1].call(second.0, second.1.clone()).await
    };
    let (over, is_over) = oneshot::channel();
    let editor = async {
        plugin.command().await;
        let _ = begun.send(());
        server.queued(1).await;
        drop(plugin);
        let back = Plugin::dial(&server).await.registered("Game", "0f").await;
        does(back, async { drop(is_over.await) }, answer).await
    };
    let calls = async {
        let answers = tokio::join!(loses, waits);
        let _ = over.send(());
        answers
    };
    let ((lost, waited), told) = tokio::join!(calls, editor);
    assert!(waited.succeeded(), "{waited:?}");
    assert_eq!(lost.outcome(), Some("unknown"), "{lost:?}");
    let action = second.1["action"].as_str();
    let action = action
        .or_else(|| second.0.split('_').next())
        .unwrap_or_default();
    assert_eq!(told, [action, question]);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn play_mode_does_not_begin_again_after_a_stop_that_waited_behind_it() {
    let (play, stop) = (json!({"action": "play"}), json!({"action": "stop"}));
    behind(
        ("manage_editor", play),
        ("manage_editor", stop),
        "get_editor_state",
        |_| {
            json!({
                "editor": {"play_mode": {"is_playing": false, "is_changing": false}},
                "compilation": {"is_compiling": false, "is_domain_reload_pending": false},
                "assets": {"is_updating": false},
            })
        },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_script_is_not_deleted_again_after_a_creation_that_waited_behind_it() {
    let contents = "public class New { }\n";
    behind(
        ("delete_script", json!({"uri": "Assets/New.cs"})),
        (
            "create_script",
            json!({"path": "Assets/New.cs", "contents": contents}),
        ),
        "read",
        |_| json!({"contents": "public class New { }\n"}),
    )
    .await;
}

/// A script as an IDE has saved it, while nobody here looked.
const SAVED: &str = "public class New { int saved; }\n";
const SAVED_SHA: &str = "fea76ccffbab0a2bd10b4199bf25c731c7f85455aa45b2aa3f4667aaf2deb2ee";

/// The same as it was before.
const TEXT: &str = "public class New { }\n";
const TEXT_SHA: &str = "fa15b3c4afa2af741f66589c326b7fd50935559cc23caccf99add6d06cddbdf7";

/// And after the edit.
const COMMENT_SHA: &str = "4a68a886a9b8b94450ca0b20c393d0f8dc4eb3ebeb16eef303e17e705b3331a4";

/// How the editor answers what reads that script.
fn saved(_: &Value) -> Value {
    json!({"contents": SAVED, "sha256": SAVED_SHA})
}

/// The next command, which reads the script.
async fn reads(plugin: &mut Plugin) -> Value {
    let read = plugin.command().await;
    assert_eq!(read["params"]["action"], "read", "{read}");
    read
}

async fn finds(plugin: &mut Plugin, read: &Value, text: &str) {
    let result = json!({"success": true, "data": {"contents": text}});
    let result = json!({"status": "success", "result": result});
    plugin.answer(read, &result).await;
}

/// An edit that makes `TEXT` a comment, is sent after `read` was found, and lost: what its client is answered, and what an editor
/// that answers like this was told afterwards.
async fn lost_edit(read: &str, answer: fn(&Value) -> Value) -> (Answer, Vec<String>) {
    let server = Server::start(Budget::default());
    let mut plugin = Plugin::dial(&server).await.registered("Game", "0f").await;
    let client = server.client().await;
    let edit = json!({"startLine": 1, "startCol": 1, "endLine": 1, "endCol": 1, "newText": "// "});
    let args = json!({"uri": "Assets/New.cs", "edits": [edit], "precondition_sha256": TEXT_SHA});
    let (over, is_over) = oneshot::channel();
    let editor = async {
        let reads = reads(&mut plugin).await;
        finds(&mut plugin, &reads, read).await;
        plugin.command().await;
        drop(plugin);
        let back = Plugin::dial(&server).await.registered("Game", "0f").await;
        does(back, async { drop(is_over.await) }, answer).await
    };
    let call = async {
        let answer = client.call("apply_text_edits", args).await;
        let _ = over.send(());
        answer
    };
    let lost = tokio::join!(call, editor);
    server.stop().await;
    lost
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edit_is_verified_by_the_text_that_it_makes_and_made_again_where_that_of_before_is() {
    let (made, told) = lost_edit(TEXT, |_| json!({"sha256": COMMENT_SHA})).await;
    assert!(made.succeeded(), "{made:?}");
    assert_eq!(made.value["data"]["verified_after_reload"], true);
    assert_eq!(told, ["get_sha"]);

    let (again, told) = lost_edit(TEXT, |_| json!({"sha256": TEXT_SHA})).await;
    assert!(again.succeeded(), "{again:?}");
    assert_eq!(told, ["get_sha", "apply_text_edits"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edit_is_not_taken_for_made_where_the_script_was_saved_by_hand_before_it_came() {
    // Between the read and the edit.
    let (answer, told) = lost_edit(TEXT, saved).await;
    assert_eq!(answer.outcome(), Some("unknown"), "{answer:?}");
    assert_eq!(told, ["get_sha"]);

    // Before the call, which brings a hash that the script has no more.
    let (answer, told) = lost_edit(SAVED, saved).await;
    assert_eq!(answer.outcome(), Some("unknown"), "{answer:?}");
    assert!(told.is_empty(), "{told:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edit_is_not_taken_for_made_after_another_one_that_waited_behind_it() {
    let server = Server::start(Budget::default());
    let mut plugin = Plugin::dial(&server).await.registered("Game", "0f").await;
    let clients = [server.client().await, server.client().await];
    let append = |text: &str| json!({"name": "New", "path": "Assets", "edits": [{"op": "append", "text": text}]});
    let (begun, is_begun) = oneshot::channel();
    let waits = async {
        is_begun.await.expect("the editor lives");
        clients[1].call("script_apply_edits", append("// b")).await
    };
    let (over, is_over) = oneshot::channel();
    let editor = async {
        let first = reads(&mut plugin).await;
        let _ = begun.send(());
        // Both have read the script before either edits it.
        server.queued(1).await;
        finds(&mut plugin, &first, TEXT).await;
        let second = reads(&mut plugin).await;
        server.queued(1).await;
        finds(&mut plugin, &second, TEXT).await;
        let lost = plugin.command().await;
        assert_eq!(lost["params"]["edits"][0]["newText"], "// a\n", "{lost}");
        server.queued(1).await;
        drop(plugin);
        let back = Plugin::dial(&server).await.registered("Game", "0f").await;
        does(back, async { drop(is_over.await) }, saved).await
    };
    let calls = async {
        let loses = clients[0].call("script_apply_edits", append("// a"));
        let answers = tokio::join!(loses, waits);
        let _ = over.send(());
        answers
    };
    let ((lost, waited), told) = tokio::join!(calls, editor);
    assert!(waited.succeeded(), "{waited:?}");
    assert_eq!(lost.outcome(), Some("unknown"), "{lost:?}");
    assert_eq!(told, ["apply_text_edits", "get_sha"]);
    server.stop().await;
}
