//! rmcp's own client, in both of the protocol's eras, over HTTP and over a child process's pipes.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    missing_docs,
    reason = "tests wait and spawn"
)]

use examples::calls::Budget;
use examples::sim::{Editor, Options};
use serde_json::{Value, json};
use std::process::Stdio;
use std::time::Duration;
use tests_integration::process::{output, unity_server};
use tests_integration::{Answer, Client, Server};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};

fn create(name: &str) -> Value {
    json!({"action": "create", "name": name})
}

fn created(editor: &Editor, name: &str) -> u64 {
    let created = editor.report().objects_created;
    created.get(name).copied().unwrap_or_default()
}

/// Two projects of one name and one of another.
async fn several(server: &Server) -> Vec<Editor> {
    let mut editors = Vec::new();
    for (name, path) in [
        ("Game", "/a/Game"),
        ("Game", "/b/Game"),
        ("Tools", "/c/Tools"),
    ] {
        let options = Options::default().project(name, path);
        editors.push(server.editor(options).await);
    }
    editors
}

fn ids(server: &Server) -> Vec<String> {
    let mut editors = server.hub.snapshot();
    editors.sort_by_key(|editor| editor.path.clone());
    editors.iter().map(|editor| editor.id()).collect()
}

fn refused(answer: &Answer, cause: &str) {
    assert!(answer.is_error, "{answer:?}");
    assert_eq!(answer.value["cause"], cause, "{answer:?}");
    assert_eq!(answer.outcome(), Some("not_delivered"), "{answer:?}");
    assert_eq!(answer.value["retryable"], false, "{answer:?}");
}

#[tokio::test]
async fn a_client_of_either_era_lists_the_tools_calls_one_and_reads_a_resource() {
    let server = Server::start(Budget::default());
    let editor = server.editor(Options::default()).await;
    for (client, name) in [
        (server.client().await, "Legacy"),
        (server.modern_client().await, "Modern"),
    ] {
        let tools = client.peer().list_all_tools().await.unwrap();
        let names: Vec<&str> = tools.iter().map(|tool| &*tool.name).collect();
        for wanted in ["manage_gameobject", "set_active_instance", "get_operation"] {
            assert!(names.contains(&wanted), "{names:?}");
        }
        assert!(
            client
                .call("manage_gameobject", create(name))
                .await
                .succeeded()
        );
        assert_eq!(created(&editor, name), 1);
        let resource = rmcp::model::ReadResourceRequestParams::new("mcpforunity://instances");
        let read = client.peer().read_resource(resource).await.unwrap();
        let read = serde_json::to_string(&read).unwrap();
        assert!(read.contains("SimProject"), "{read}");
        assert!(client.try_call("no_such_tool", json!({})).await.is_err());
        client.close().await;
    }
    server.stop().await;
}

#[tokio::test]
async fn without_a_session_the_editor_is_named_by_each_call() {
    let server = Server::start(Budget::default());
    let editors = several(&server).await;
    let ids = ids(&server);
    let client = server.modern_client().await;
    let answer = client
        .call("set_active_instance", json!({"instance": ids[0]}))
        .await;
    refused(&answer, "no_session");
    assert!(answer.text.contains("unity_instance"), "{answer:?}");
    let mut call = create("Named");
    call["unity_instance"] = json!(ids[1]);
    assert!(client.call("manage_gameobject", call).await.succeeded());
    let seen: Vec<u64> = editors
        .iter()
        .map(|editor| created(editor, "Named"))
        .collect();
    assert_eq!(seen, [0, 1, 0]);
    server.stop().await;
}

#[tokio::test]
async fn a_session_chooses_its_editor_once_and_a_call_may_name_another() {
    let server = Server::start(Budget::default());
    let editors = several(&server).await;
    let ids = ids(&server);
    let (client, other) = (server.client().await, server.client().await);
    let chosen = client
        .call("set_active_instance", json!({"instance": ids[0]}))
        .await;
    assert!(chosen.succeeded(), "{chosen:?}");
    let hash = ids[1].rsplit_once('@').unwrap().1;
    let snapshot = server.hub.snapshot();
    let first = snapshot
        .iter()
        .find(|editor| editor.id() == ids[0])
        .unwrap();
    let path = first.path.as_deref().expect("the plugin says it");
    for (name, instance, at) in [
        ("Chosen", Value::Null, 0),
        ("ById", json!(ids[1]), 1),
        ("ByHash", json!(hash), 1),
        ("ByPrefix", json!(&hash[..6]), 1),
        ("ByNameAndPrefix", json!(format!("Game@{}", &hash[..6])), 1),
        ("ByName", json!("Tools"), 2),
        ("ByPath", json!(path), 0),
        ("StillChosen", Value::Null, 0),
    ] {
        let mut call = create(name);
        if !instance.is_null() {
            call["unity_instance"] = instance;
        }
        let answer = client.call("manage_gameobject", call).await;
        assert!(answer.succeeded(), "{name}: {answer:?}");
        for (index, editor) in editors.iter().enumerate() {
            assert_eq!(
                created(editor, name),
                u64::from(index == at),
                "{name} at {index}"
            );
        }
    }
    // The choice is this session's.
    let answer = other.call("manage_gameobject", create("Guess")).await;
    refused(&answer, "instance_selection_required");
    server.stop().await;
}

#[tokio::test]
async fn with_several_editors_and_none_named_nothing_is_guessed() {
    let server = Server::start(Budget::default());
    let editors = several(&server).await;
    let ids = ids(&server);
    let client = server.client().await;
    let answer = client.call("manage_gameobject", create("Guess")).await;
    refused(&answer, "instance_selection_required");
    assert!(ids.iter().all(|id| answer.text.contains(id)), "{answer:?}");
    let mut call = create("Guess");
    call["unity_instance"] = json!("Game");
    let answer = client.call("manage_gameobject", call.clone()).await;
    refused(&answer, "instance_selection_required");
    assert!(!answer.text.contains(&ids[2]), "{answer:?}");
    for answer in [
        {
            call["unity_instance"] = json!("Nobody");
            client.call("manage_gameobject", call).await
        },
        client
            .call("set_active_instance", json!({"instance": "Nobody"}))
            .await,
    ] {
        refused(&answer, "unknown_instance");
        assert!(answer.text.contains("\"Nobody\""), "{answer:?}");
        assert!(ids.iter().all(|id| answer.text.contains(id)), "{answer:?}");
    }
    assert!(editors.iter().all(|editor| editor.report().executed == 0));
    server.stop().await;
}

#[tokio::test]
async fn a_wrong_argument_is_named_and_nothing_is_sent() {
    let server = Server::start(Budget::default());
    let editor = server.editor(Options::default()).await;
    let client = server.client().await;
    for (tool, arguments, says) in [
        (
            "manage_gameobject",
            json!({"action": "create", "nam": "X"}),
            ["`nam`", "`name`"],
        ),
        (
            "manage_gameobject",
            json!({"action": "creat"}),
            ["creat", "create"],
        ),
        ("manage_gameobject", json!({"name": "X"}), ["`action`", ""]),
        (
            "manage_scene",
            json!({"action": "load", "name": 3}),
            ["`name`", "expects text"],
        ),
        ("get_operation", json!({}), ["`operation_id`", ""]),
    ] {
        let answer = client.call(tool, arguments).await;
        refused(&answer, "invalid_arguments");
        for part in says {
            assert!(answer.text.contains(part), "{part} not in {answer:?}");
        }
    }
    assert_eq!(editor.report().executed, 0);
    server.stop().await;
}

const STDIO: &[&str] = &[
    "--transport",
    "stdio",
    "--sim",
    "--http-url",
    "http://127.0.0.1:0",
];

#[tokio::test]
async fn a_client_that_starts_the_server_is_served_on_its_pipes_in_either_era() {
    for modern in [false, true] {
        let mut child = unity_server(STDIO).stdin(Stdio::piped()).spawn().unwrap();
        let pipes = (child.stdout.take().unwrap(), child.stdin.take().unwrap());
        let client = if modern {
            Client::modern(pipes).await
        } else {
            Client::legacy(pipes).await
        };
        let answer = client.call("manage_gameobject", create("Piped")).await;
        assert!(answer.succeeded(), "{answer:?}");
        // The pipes close with it.
        client.close().await;
        let (code, _, said) = output(child).await;
        assert_eq!(code, Some(0), "{said}");
    }
}

#[tokio::test]
async fn nothing_but_protocol_is_on_standard_output_and_its_end_is_the_servers() {
    let mut child = unity_server(STDIO)
        .stdin(Stdio::piped())
        .env("RUST_LOG", "trace")
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut stderr = child.stderr.take().unwrap();
    let log = tokio::spawn(async move {
        let mut log = Vec::new();
        let _ = tokio::io::copy(&mut stderr, &mut log).await;
        String::from_utf8_lossy(&log).into_owned()
    });
    let meant = [
        json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {
            "protocolVersion": "2025-11-25", "capabilities": {},
            "clientInfo": {"name": "raw", "version": "0"}}}),
        json!({"jsonrpc": "2.0", "method": "notifications/initialized"}),
        json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call",
            "params": {"name": "manage_gameobject", "arguments": create("Piped")}}),
    ];
    for message in &meant {
        stdin
            .write_all(format!("{message}\n").as_bytes())
            .await
            .unwrap();
    }
    stdin
        .write_all(b"{\"jsonrpc\": \"2.0\", \"id\": 2, \"method\":\n")
        .await
        .unwrap();
    let mut answered = Vec::new();
    while !answered.contains(&json!(1)) {
        let line = lines.next_line().await.unwrap().expect("it lives");
        let message: Value = serde_json::from_str(&line).expect("protocol");
        assert_eq!(message["jsonrpc"], "2.0");
        answered.push(message["id"].clone());
    }
    drop(stdin);
    let rest = async {
        while let Some(line) = lines.next_line().await.unwrap() {
            let _: Value = serde_json::from_str(&line).expect("protocol");
        }
        child.wait().await.unwrap()
    };
    let status = tokio::time::timeout(Duration::from_secs(5), rest).await;
    assert!(status.expect("it ends").success());
    assert!(log.await.unwrap().contains("Hub     ws://127.0.0.1:"));
}

#[cfg(unix)]
#[tokio::test]
async fn a_signal_ends_a_server_whose_client_is_still_there() {
    let mut child = unity_server(STDIO).stdin(Stdio::piped()).spawn().unwrap();
    let pipes = (child.stdout.take().unwrap(), child.stdin.take().unwrap());
    let client = Client::legacy(pipes).await;
    let id = child.id().expect("it lives").to_string();
    let sent = tokio::process::Command::new("kill")
        .args(["-TERM", &id])
        .status()
        .await;
    assert!(sent.unwrap().success());
    let ended = tokio::time::timeout(Duration::from_secs(10), child.wait()).await;
    assert!(ended.expect("it ends").unwrap().success());
    drop(client);
}
