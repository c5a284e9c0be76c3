//! Scripts that come by REST get what they got from the Python server, and the truth about what became of a command.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    missing_docs,
    reason = "tests wait and spawn"
)]

use examples::calls::Budget;
use examples::calls::target::NoTarget;
use examples::sim::{Options, State};
use mcp_transport_core::Ending;
use serde_json::{Value, json};
use std::time::Duration;
use tests_integration::plugin::Plugin;
use tests_integration::raw::{Response, exchange, request};
use tests_integration::{Server, reload};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

const JSON: (&str, &str) = ("Content-Type", "application/json");

fn posted(port: u16, body: &Value) -> String {
    request("POST /api/command", port, &[JSON], &body.to_string())
}

async fn command(port: u16, body: Value) -> Response {
    exchange(port, &posted(port, &body)).await
}

async fn get(port: u16, path: &str) -> Response {
    let close = [("Connection", "close")];
    exchange(port, &request(&format!("GET {path}"), port, &close, "")).await
}

fn read(response: &Response) -> Value {
    serde_json::from_str(&response.body).unwrap_or_else(|_| panic!("{response:?}"))
}

/// A bad ending in the family's shape, and in the Python server's.
fn ending(response: &Response) -> Value {
    let value = read(response);
    assert_eq!(value["success"], json!(false), "{value}");
    assert_eq!(value["error"], value["message"], "{value}");
    let schema: Value = serde_json::from_str(Ending::SCHEMA).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let mut ending = value.as_object().unwrap().clone();
    ending.remove("success");
    ending.remove("error");
    assert!(validator.is_valid(&Value::from(ending)), "{value}");
    value
}

fn quick() -> Budget {
    Budget::new(Duration::from_secs(30), Some(Duration::from_millis(300)))
}

#[tokio::test]
async fn a_command_gets_the_editors_envelope_as_it_came() {
    let server = Server::start(Budget::default());
    let mut plugin = Plugin::dial(&server).await.registered("Game", "aa11").await;
    for envelope in [
        json!({"status": "success", "result": {"success": true, "message": "done", "odd": [1, null]}}),
        json!({"status": "error", "error": "no such scene", "stackTrace": null}),
        json!({"anything": "at all"}),
    ] {
        let port = server.port;
        let asked = json!({"type": "manage_scene", "params": {"action": "get_active", "x": 1}});
        let call = tokio::spawn(command(port, asked));
        let execute = plugin.command().await;
        assert_eq!(execute["name"], "manage_scene");
        assert_eq!(execute["params"], json!({"action": "get_active", "x": 1}));
        plugin.answer(&execute, &envelope).await;
        let answer = call.await.unwrap();
        assert_eq!((answer.status, read(&answer)), (200, envelope));
    }
    server.stop().await;
}

#[tokio::test]
async fn a_command_without_a_type_is_refused() {
    let server = Server::start(Budget::default());
    for body in [
        "{}",
        r#"{"type":""}"#,
        "[]",
        "no json",
        r#"{"type":"x","params":"y"}"#,
    ] {
        let text = request("POST /api/command", server.port, &[JSON], body);
        let answer = exchange(server.port, &text).await;
        assert_eq!(answer.status, 400, "{body}: {answer:?}");
        assert_eq!(read(&answer)["success"], json!(false));
    }
    server.stop().await;
}

#[tokio::test]
async fn with_no_editor_a_command_is_answered_at_once() {
    let server = Server::start(Budget::default());
    let answer = command(server.port, json!({"type": "ping"})).await;
    assert_eq!(answer.status, 503);
    assert_eq!(ending(&answer)["cause"], "no_editor");
    assert!(answer.header("retry-after").is_some());
    server.stop().await;
}

#[tokio::test]
async fn of_several_editors_none_is_guessed() {
    let server = Server::start(Budget::default());
    let _one = Plugin::dial(&server).await.registered("One", "aa11").await;
    let mut two = Plugin::dial(&server).await.registered("Two", "bb22").await;
    let answer = command(server.port, json!({"type": "ping"})).await;
    assert_eq!(answer.status, 409);
    let ending = ending(&answer);
    assert_eq!(ending["cause"], "instance_selection_required");
    let text = ending["message"].as_str().unwrap();
    assert!(
        text.contains("One@aa11") && text.contains("Two@bb22"),
        "{text}"
    );

    let answer = command(
        server.port,
        json!({"type": "ping", "unity_instance": "Three"}),
    )
    .await;
    assert_eq!(answer.status, 404);

    let port = server.port;
    let named = json!({"type": "ping", "unity_instance": "Two@bb22"});
    let call = tokio::spawn(command(port, named));
    let execute = two.command().await;
    two.answer(&execute, &json!({"status": "success"})).await;
    assert_eq!(call.await.unwrap().status, 200);
    server.stop().await;
}

#[tokio::test]
async fn where_several_editors_fit_the_default_one_is_meant_and_else_it_counts_for_nothing() {
    let server = Server::start(Budget::default());
    let calls = server.calls.clone().fallback(Some("Two"));
    let chosen = |selector| calls.choose(selector).map(|editor| editor.project);
    let one = Plugin::dial(&server).await.registered("One", "aa11").await;
    assert_eq!(chosen(None).unwrap(), "One", "the only one there is");
    let _two = Plugin::dial(&server).await.registered("Two", "bb22").await;
    let _three = Plugin::dial(&server)
        .await
        .registered("Three", "cc33")
        .await;
    assert_eq!(chosen(None).unwrap(), "Two");
    assert_eq!(chosen(Some(" ")).unwrap(), "Two");
    assert_eq!(chosen(Some("Three")).unwrap(), "Three");
    chosen(Some("Four")).unwrap_err();
    // One that is not there makes the choice no clearer.
    let absent = server.calls.clone().fallback(Some("Five"));
    assert!(matches!(
        absent.choose(None),
        Err(NoTarget::Ambiguous { .. })
    ));
    drop(one);
    server.stop().await;
}

#[tokio::test]
async fn a_command_made_during_a_reload_waits_for_the_editor() {
    let server = Server::start(Budget::default());
    let away = Duration::from_millis(300);
    let editor = server.editor(Options::default().away(away)).await;
    reload(&editor).await;
    let body = json!({"type": "manage_gameobject", "params": {"action": "create", "name": "A"}});
    let answer = command(server.port, body).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(editor.report().objects_created.get("A"), Some(&1));
    server.stop().await;
}

#[tokio::test]
async fn a_change_whose_editor_is_lost_is_unknown_and_made_no_second_time() {
    let server = Server::start(Budget::default());
    let mut plugin = Plugin::dial(&server).await.registered("Game", "aa11").await;
    let port = server.port;
    let call = tokio::spawn(command(port, json!({"type": "execute_code", "params": {}})));
    plugin.command().await;
    drop(plugin);
    let mut plugin = Plugin::dial(&server).await.registered("Game", "aa11").await;
    let answer = call.await.unwrap();
    assert_eq!(answer.status, 504);
    let ending = ending(&answer);
    assert_eq!(
        (&ending["outcome"], &ending["retryable"]),
        (&json!("unknown"), &json!(false))
    );
    assert!(ending["operation_id"].is_string());
    // What comes next is another command, not that one again.
    let call = tokio::spawn(command(port, json!({"type": "ping"})));
    let execute = plugin.command().await;
    assert_eq!(execute["name"], "ping");
    plugin.answer(&execute, &json!({"status": "success"})).await;
    assert_eq!(call.await.unwrap().status, 200);
    server.stop().await;
}

#[tokio::test]
async fn a_read_that_the_catalogue_knows_is_sent_again_to_an_editor_that_came_back() {
    let server = Server::start(Budget::default());
    let mut plugin = Plugin::dial(&server).await.registered("Game", "aa11").await;
    let asked = json!({"type": "manage_scene", "params": {"action": "get_hierarchy"}});
    let call = tokio::spawn(command(server.port, asked));
    plugin.command().await;
    drop(plugin);
    let mut plugin = Plugin::dial(&server).await.registered("Game", "aa11").await;
    let execute = plugin.command().await;
    assert_eq!(execute["params"]["action"], "get_hierarchy");
    plugin.answer(&execute, &json!({"status": "success"})).await;
    assert_eq!(call.await.unwrap().status, 200);
    server.stop().await;
}

#[tokio::test]
async fn a_command_that_takes_longer_than_the_budget_is_running_and_its_result_can_be_had() {
    let server = Server::start(quick());
    let mut plugin = Plugin::dial(&server).await.registered("Game", "aa11").await;
    let call = tokio::spawn(command(
        server.port,
        json!({"type": "manage_build", "params": {"action": "build"}}),
    ));
    let execute = plugin.command().await;
    let answer = call.await.unwrap();
    assert_eq!(answer.status, 504);
    let ending = ending(&answer);
    assert_eq!(ending["outcome"], "running");
    plugin
        .answer(&execute, &json!({"success": true, "message": "built"}))
        .await;
    let client = server.client().await;
    let id = json!({"operation_id": ending["operation_id"]});
    let mut late = client.call("get_operation", id.clone()).await;
    while !late.succeeded() {
        late = client.call("get_operation", id.clone()).await;
    }
    assert_eq!(late.value["data"]["message"], "built", "{late:?}");
    client.close().await;
    server.stop().await;
}

#[tokio::test]
async fn a_script_that_hangs_up_leaves_nothing_for_the_editor() {
    let server = Server::start(Budget::default());
    let away = Duration::from_millis(800);
    let editor = server.editor(Options::default().away(away)).await;
    reload(&editor).await;
    let body = json!({"type": "manage_gameobject", "params": {"action": "create", "name": "Lost"}});
    let mut stream = TcpStream::connect(("127.0.0.1", server.port))
        .await
        .unwrap();
    stream
        .write_all(posted(server.port, &body).as_bytes())
        .await
        .unwrap();
    server.queued(1).await;
    drop(stream);
    server.nothing_queued().await;
    let mut state = editor.watch();
    state
        .wait_for(|state| *state == State::Connected)
        .await
        .unwrap();
    let answer = command(server.port, json!({"type": "get_editor_state"})).await;
    assert_eq!(answer.status, 200);
    assert_eq!(editor.report().objects_created.get("Lost"), None);
    server.stop().await;
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_counted_or_announced() {
    let server = Server::start(Budget::default());
    let announced = [JSON, ("Content-Length", "100000000")];
    let text = request("POST /api/command", server.port, &announced, "");
    assert_eq!(exchange(server.port, &text).await.status, 413);
    // One byte too many, so that hardly anything is left unread, and the answer arrives.
    let chunk = format!("{:x}\r\n{}\r\n", 1 << 20, " ".repeat(1 << 20));
    let body = format!("{}1\r\n \r\n0\r\n\r\n", chunk.repeat(16));
    let chunked = [JSON, ("Transfer-Encoding", "chunked")];
    let text = request("POST /api/command", server.port, &chunked, &body);
    assert_eq!(exchange(server.port, &text).await.status, 413);
    server.stop().await;
}

#[tokio::test]
async fn a_web_page_reaches_no_rest_path() {
    let server = Server::start(Budget::default());
    let _plugin = Plugin::dial(&server).await.registered("Game", "aa11").await;
    let body = r#"{"type":"execute_menu_item"}"#;
    let plain = ("Content-Type", "text/plain");
    let form = ("Content-Type", "application/x-www-form-urlencoded");
    let page = ("Origin", "https://evil.example");
    let site = ("Sec-Fetch-Site", "cross-site");
    let rebound = ("Host", "evil.example");
    // What a browser sends without asking anybody.
    for (headers, status) in [
        (vec![plain], 415),
        (vec![form], 415),
        (vec![], 415),
        (vec![JSON, page], 403),
        (vec![JSON, site], 403),
        (vec![JSON, rebound], 403),
    ] {
        for path in ["/api/command", "/register-tools"] {
            let text = request(&format!("POST {path}"), server.port, &headers, body);
            assert_eq!(
                exchange(server.port, &text).await.status,
                status,
                "{headers:?}"
            );
        }
    }
    for headers in [[page], [site], [rebound]] {
        for path in ["/api/instances", "/api/custom-tools", "/api/auth/login-url"] {
            let text = request(&format!("GET {path}"), server.port, &headers, "");
            assert_eq!(
                exchange(server.port, &text).await.status,
                403,
                "{path} {headers:?}"
            );
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn editors_are_listed_as_the_python_server_lists_them_and_with_their_state() {
    let server = Server::start(Budget::default());
    let answer = get(server.port, "/api/instances").await;
    assert_eq!(read(&answer), json!({"success": true, "instances": []}));
    let mut plugin = Plugin::dial(&server).await;
    plugin.expect("welcome").await;
    plugin.say(&json!({"type": "register", "project_name": "Game", "project_hash": "aa11", "unity_version": "6000.3.2f1"})).await;
    let session = plugin.expect("registered").await["session_id"].clone();
    let listed = read(&get(server.port, "/api/instances").await);
    let one = &listed["instances"][0];
    assert_eq!(one["session_id"], session);
    assert_eq!(
        (&one["project"], &one["hash"]),
        (&json!("Game"), &json!("aa11"))
    );
    assert_eq!(one["unity_version"], "6000.3.2f1");
    assert_eq!(one["state"], "ready");
    let connected = one["connected_at"].as_str().unwrap();
    assert!(
        connected.starts_with("20") && connected.ends_with('Z'),
        "{connected}"
    );
    drop(plugin);
    server.until(|one| one.session_id.is_none()).await;
    let listed = read(&get(server.port, "/api/instances").await);
    let one = &listed["instances"][0];
    assert_eq!(
        (&one["session_id"], &one["connected_at"]),
        (&Value::Null, &Value::Null)
    );
    assert_eq!(one["state"], "reloading");
    server.stop().await;
}

#[tokio::test]
async fn a_projects_own_tools_are_listed_and_called() {
    let server = Server::start(Budget::default());
    let mut plugin = Plugin::dial(&server)
        .await
        .registered("My Game", "aa11")
        .await;
    let parameters = json!([
        {"name": "loud", "type": "boolean", "required": false, "default_value": "false"},
        {"name": "word", "type": "string", "required": true},
    ]);
    let tool = json!({"name": "say_word", "description": "Says a word", "parameters": parameters});
    plugin
        .say(&json!({"type": "register_tools", "tools": [tool, {"name": "manage_scene"}]}))
        .await;
    server.until(|one| one.tools.is_some()).await;
    for path in [
        "/api/custom-tools",
        "/api/custom-tools?instance=My+Game%40aa11",
    ] {
        let listed = get(server.port, path).await;
        assert_eq!(listed.status, 200, "{listed:?}");
        let listed = read(&listed);
        assert_eq!(
            (&listed["success"], &listed["tool_count"]),
            (&json!(true), &json!(1))
        );
        assert_eq!(listed["project_id"], "aa11");
        assert_eq!(listed["tools"][0]["name"], "say_word");
        assert_eq!(listed["tools"][0]["parameters"][1]["name"], "word");
    }
    assert_eq!(
        get(server.port, "/api/custom-tools?instance=Other")
            .await
            .status,
        404
    );

    let execute = |params: Value| json!({"type": "execute_custom_tool", "params": params});
    for params in [
        json!({"tool_name": "say_word", "parameters": {"word": "hi"}}),
        json!({"name": "say_word", "params": {"word": "hi"}}),
    ] {
        let call = tokio::spawn(command(server.port, execute(params)));
        let sent = plugin.command().await;
        assert_eq!(
            (&sent["name"], &sent["params"]["word"]),
            (&json!("say_word"), &json!("hi"))
        );
        plugin
            .answer(&sent, &json!({"success": true, "message": "said"}))
            .await;
        let answer = call.await.unwrap();
        assert_eq!(
            (answer.status, &read(&answer)["message"]),
            (200, &json!("said"))
        );
    }
    for (params, status) in [
        (json!({}), 400),
        (json!({"tool_name": "say_word", "parameters": "hi"}), 400),
        (json!({"tool_name": "say_word", "parameters": {}}), 400),
        (json!({"tool_name": "no_word"}), 404),
    ] {
        let answer = command(server.port, execute(params.clone())).await;
        assert_eq!(answer.status, status, "{params}: {answer:?}");
        assert_eq!(read(&answer)["success"], json!(false));
    }
    server.stop().await;
}

#[tokio::test]
async fn with_no_editor_there_are_no_tools_of_its_own() {
    let server = Server::start(Budget::default());
    let answer = get(server.port, "/api/custom-tools").await;
    assert_eq!(
        (answer.status, &ending(&answer)["cause"]),
        (503, &json!("no_editor"))
    );
    server.stop().await;
}

#[tokio::test]
async fn what_is_not_there_says_what_is() {
    let server = Server::start(Budget::default());
    for (line, status) in [
        ("GET /api/command", 405),
        ("DELETE /api/instances", 405),
        ("GET /api/nothing", 404),
        ("POST /register-tools", 404),
        ("GET /api/auth/login-url", 404),
        ("POST /api/auth/login-url", 405),
    ] {
        let answer = exchange(server.port, &request(line, server.port, &[], "")).await;
        assert_eq!(answer.status, status, "{line}");
        assert_eq!(read(&answer)["success"], json!(false), "{line}");
        assert!(!read(&answer)["error"].as_str().unwrap().is_empty());
    }
    server.stop().await;
}

#[tokio::test]
async fn health_has_the_fields_of_the_python_server_and_ours() {
    let server = Server::start(Budget::default());
    let health = server.health().await;
    assert_eq!(health["status"], "healthy");
    assert_eq!(health["message"], "MCP for Unity server is running");
    assert!(health["timestamp"].as_f64().unwrap() > 1.7e9);
    assert!(!health["version"].as_str().unwrap().is_empty());
    assert!(health["editors"].is_array() && health["listeners"]["ipv4"].is_object());
    server.stop().await;
}
