//! Tools of several commands, through the whole server, on either leg: the edits are made once, in the file that was read.
#![allow(
    clippy::disallowed_methods,
    missing_docs,
    reason = "tests wait and spawn"
)]

use examples::calls::Budget;
use examples::sim::strike::{Point, Strikes};
use examples::sim::{Editor, Options};
use serde_json::{Value, json};
use std::time::Duration;
use tests_integration::{Answer, Client, Server};

const PATH: &str = "Assets/Scripts/Foo.cs";
const FOO: &str = "public class Foo\n{\n    int a;\n}\n";

/// Does this on each leg, with an editor that is quick to reload and has the script.
async fn on_either_leg(test: impl AsyncFn(&Editor, &Client)) {
    for server in [
        Server::start(Budget::default()),
        Server::dialling(Budget::default()),
    ] {
        let away = Options::default().away(Duration::from_millis(100));
        let editor = server.editor(away).await;
        let client = server.client().await;
        let created = json!({"path": PATH, "contents": FOO});
        succeed(&client, "create_script", created).await;
        test(&editor, &client).await;
        server.stop().await;
    }
}

async fn succeed(client: &Client, tool: &str, args: Value) -> Answer {
    let answer = client.call(tool, args.clone()).await;
    assert!(answer.succeeded(), "{tool} {args}: {answer:?}");
    answer
}

fn script(editor: &Editor) -> String {
    let world = editor.world();
    let world = world.lock().expect("nobody panicked");
    world.script(PATH).expect("it is there").to_owned()
}

fn edits(editor: &Editor) -> usize {
    let mut effects = editor.report().effects;
    effects.retain(|effect| effect.what == "script_edited");
    effects.len()
}

#[tokio::test]
async fn a_range_is_replaced_once_wherever_a_reload_strikes() {
    on_either_leg(async |editor, client| {
        for (at, name) in Point::ALL.into_iter().zip(["b", "c", "d", "e"]) {
            let sha = succeed(client, "get_sha", json!({"uri": PATH})).await;
            let edit = json!({"startLine": 3, "startCol": 9, "endLine": 3, "endCol": 10, "newText": name});
            let before = edits(editor);
            // The script is read first.
            editor.strike_after(1, at);
            let args = json!({"uri": PATH, "edits": [edit], "precondition_sha256": sha.value["data"]["sha256"]});
            let answer = succeed(client, "apply_text_edits", args).await;
            assert_eq!(edits(editor), before + 1, "struck {at}: {answer:?}");
            assert_eq!(script(editor), FOO.replace("int a", &format!("int {name}")));
            // The edit's own reload may eat the answer, too.
            if at == Point::AfterEffect {
                let verified = &answer.value["data"]["verified_after_reload"];
                assert_eq!(*verified, true, "struck {at}: {answer:?}");
            }
            editor.connected().await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_script_is_edited_by_what_it_says() {
    on_either_leg(async |editor, client| {
        let mut args = json!({"name": "Foo", "path": "Assets/Scripts", "edits": [
            {"op": "regex_replace", "pattern": "int (\\w+)", "replacement": "long $1"},
            {"op": "append", "text": "// end"},
        ]});
        args["options"] = json!({"preview": true});
        let shown = succeed(client, "script_apply_edits", args.clone()).await;
        let diff = shown.value["data"]["diff"].as_str().expect("a diff");
        assert!(diff.contains("-    int a;\n+    long a;"), "{diff}");
        assert_eq!((script(editor).as_str(), edits(editor)), (FOO, 0));

        args["options"] = json!({});
        succeed(client, "script_apply_edits", args).await;
        let edited = "public class Foo\n{\n    long a;\n}\n// end\n";
        assert_eq!((script(editor).as_str(), edits(editor)), (edited, 1));

        let search = json!({"uri": PATH, "pattern": "long"});
        let found = succeed(client, "find_in_file", search).await;
        assert_eq!(found.value["data"]["matches"][0]["line"], 3);
    })
    .await;
}

#[tokio::test]
async fn a_script_that_has_changed_since_is_not_edited() {
    on_either_leg(async |editor, client| {
        let args = json!({"name": "Foo", "path": PATH, "edits": [{"op": "append", "text": "// z"}],
            "options": {"precondition_sha256": "of another text"}});
        let answer = client.call("script_apply_edits", args).await;
        assert!(!answer.succeeded(), "{answer:?}");
        assert_eq!(answer.value["code"], "stale_file", "{answer:?}");
        assert_eq!(edits(editor), 0);
    })
    .await;
}

#[tokio::test]
async fn text_that_is_written_is_not_written_again_when_the_server_goes_before_the_rest() {
    // The reload that the script's creation brings eats the answer, so that of the text edits does not.
    let eats = |seed: &u64| Strikes::new(*seed).draw_caused() == Point::AfterEffect;
    let seed = (0..).find(eats).expect("one of the two comes first");
    let server = Server::start(Budget::default());
    let away = Options::default().away(Duration::from_secs(2)).seed(seed);
    let editor = server.editor(away).await;
    let client = server.client().await;
    let created = json!({"path": PATH, "contents": FOO});
    succeed(&client, "create_script", created).await;
    let args = json!({"name": "Foo", "path": PATH, "edits": [
        {"op": "append", "text": "// z"},
        {"op": "anchor_insert", "anchor": "int a;", "text": "    int b;"},
    ]});
    let stopped = async {
        while edits(&editor) == 0 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        server.queued(1).await;
        server.calls.stop().await;
    };
    let (answer, ()) = tokio::join!(client.call("script_apply_edits", args), stopped);
    assert_eq!(script(&editor), format!("{FOO}// z\n"));
    // A relay sends what was not delivered to the next server.
    assert_eq!(answer.outcome(), Some("unknown"), "{answer:?}");
    assert_eq!(answer.value["cause"], "partly_written", "{answer:?}");
    assert_eq!(answer.value["retryable"], false, "{answer:?}");
}

#[tokio::test]
async fn all_commands_of_a_call_go_to_one_editor_though_another_one_comes_meanwhile() {
    let server = Server::start(Budget::default());
    let away = Options::default().away(Duration::from_millis(100));
    let editor = server.editor(away).await;
    let client = server.client().await;
    let created = json!({"path": PATH, "contents": FOO});
    succeed(&client, "create_script", created).await;
    // It has the call, and has not answered the first command of it.
    editor.freeze(true);
    let args = json!({"name": "Foo", "path": PATH, "edits": [{"op": "append", "text": "// z"}]});
    let other = async {
        server.until(|one| one.running.is_some()).await;
        let other = Options::default().project("Other", "/projects/Other");
        let other = server.editor(other).await;
        editor.freeze(false);
        other
    };
    let (_, other) = tokio::join!(succeed(&client, "script_apply_edits", args), other);
    assert_eq!((edits(&editor), edits(&other)), (1, 0));
    server.stop().await;
}
