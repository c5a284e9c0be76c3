//! A change that reloads the editor's scripts is answered in its own response, wherever the reload strikes it, and made once.
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
use tests_integration::{Client, Server};

/// A server, an editor that is quick to reload, and a client.
async fn start() -> (Server, Editor, Client) {
    let server = Server::start(Budget::default());
    let away = Options::default().away(Duration::from_millis(100));
    let editor = server.editor(away).await;
    let client = server.client().await;
    (server, editor, client)
}

/// Makes a call that a reload strikes here. It must succeed, and say so if its own answer was lost with its effect.
async fn struck(editor: &Editor, client: &Client, at: Point, tool: &str, args: Value) {
    let before = editor.report().strikes.get(&at).copied();
    editor.strike(at);
    let answer = client.call(tool, args.clone()).await;
    let what = format!("{tool} {args}, struck {at}");
    assert!(answer.succeeded(), "{what}: {answer:?}");
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
            struck(&editor, &client, at, create.0, create.1).await;
            assert_eq!(effects(&editor, "script_created", &path), 1, "{path}");
            struck(&editor, &client, at, delete.0, delete.1).await;
            assert_eq!(effects(&editor, "script_deleted", &path), 1, "{path}");
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn play_mode_begins_and_ends_once() {
    let (server, editor, client) = start().await;
    for (round, at) in (1..).zip(Point::ALL) {
        struck(
            &editor,
            &client,
            at,
            "manage_editor",
            json!({"action": "play"}),
        )
        .await;
        assert_eq!(effects(&editor, "play_started", "play_mode"), round);
        struck(
            &editor,
            &client,
            at,
            "manage_editor",
            json!({"action": "stop"}),
        )
        .await;
        assert_eq!(effects(&editor, "play_stopped", "play_mode"), round);
    }
    server.stop().await;
}

#[tokio::test]
async fn a_refresh_is_answered_when_the_editor_is_ready_again() {
    let (server, editor, client) = start().await;
    for at in Point::ALL {
        for args in [json!({}), json!({"mode": "force", "compile": "request"})] {
            struck(&editor, &client, at, "refresh_unity", args).await;
        }
    }
    server.stop().await;
}
