//! docs/unity.md says what a newcomer copies, and what the programs then say. It has to be true.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    missing_docs,
    reason = "tests wait and spawn"
)]

use examples::sim::{Editor, Options};
use mcp_transport_core::TransportExt;
use mcp_transport_core::codec::{self, Lines};
use mcp_transport_core::loopback::Loopback;
use serde_json::{Value, json};
use std::process::Stdio;
use std::time::{Duration, Instant};
use tests_integration::Client;
use tests_integration::folder::Folder;
use tests_integration::process::unity_server;
use tests_integration::raw::{exchange_at, request};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::Child;
use tokio::time::{sleep, timeout};

const GUIDE: &str = include_str!("../../docs/unity.md");

/// Nothing that should happen takes longer.
const PATIENCE: Duration = Duration::from_secs(20);

/// What stands between these fences.
fn blocks(language: &str) -> Vec<&'static str> {
    let open = format!("```{language}\n");
    let blocks = GUIDE.split(&*open).skip(1);
    blocks
        .map(|rest| rest.split("\n```").next().unwrap())
        .collect()
}

/// Each configuration, from a block or from a table.
fn configurations() -> Vec<Value> {
    let tables = GUIDE
        .split('`')
        .filter(|code| code.starts_with("{ \"mcpServers\"") || code.starts_with("{ \"servers\""));
    let all = blocks("json").into_iter().chain(tables);
    all.map(|text| serde_json::from_str(text).unwrap_or_else(|why| panic!("{text}: {why}")))
        .collect()
}

/// A server that a client starts, for this port, and that client. The server ends with its handle.
async fn started(args: &[&str], port: u16, state: &Folder) -> (Child, Client) {
    let url = format!("http://127.0.0.1:{port}");
    let mut server = unity_server(&[args, &["--http-url", &url]].concat())
        .env("MCP_BROKER_STATE_DIR", state.path())
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let pipes = tokio::io::join(server.stdout.take().unwrap(), server.stdin.take().unwrap());
    let client = Client::legacy(codec::framed(pipes, Lines::new()).typed()).await;
    (server, client)
}

async fn health(port: u16) -> Value {
    let headers = [("Connection", "close")];
    let text = request("GET /health", port, &headers, "");
    serde_json::from_str(&exchange_at("127.0.0.1", port, &text).await.body).unwrap()
}

#[test]
fn each_configuration_of_the_guide_is_one_that_its_client_reads() {
    let all = configurations();
    assert_eq!(all.len(), 6, "{all:?}");
    for configuration in all {
        let (key, servers) = configuration.as_object().unwrap().iter().next().unwrap();
        let server = &servers["unity"];
        // VS Code has a key of its own, and wants the type.
        assert_eq!(
            key == "servers",
            server["type"].is_string(),
            "{configuration}"
        );
        match server["command"].as_str() {
            Some(command) => assert!(command.ends_with("unity_server"), "{configuration}"),
            None => {
                let url = server.get("url").or_else(|| server.get("serverUrl"));
                assert_eq!(url.unwrap(), "http://127.0.0.1:8080/mcp");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_guide_has_clients_start_is_a_server_and_an_editor_that_comes_is_seen() {
    let all = configurations();
    let args = all
        .iter()
        .flat_map(|configuration| configuration.as_object().unwrap().values())
        .filter_map(|servers| servers["unity"]["args"].as_array());
    let mut args: Vec<Vec<&str>> = args
        .map(|args| args.iter().map(|arg| arg.as_str().unwrap()).collect())
        .collect();
    args.dedup();
    assert_eq!(args, [["--transport", "stdio"]]);
    let port = Loopback::bind(0).unwrap().local_port();
    let state = Folder::new();
    let began = Instant::now();
    let (_server, client) = started(&args[0], port, &state).await;
    let editor = Editor::spawn(
        &format!("ws://127.0.0.1:{port}/hub/plugin"),
        Options::default(),
    );
    let seen = async {
        loop {
            let report = health(port).await;
            if report["editors"][0]["state"] == "ready" {
                return report;
            }
            sleep(Duration::from_millis(5)).await;
        }
    };
    let report = timeout(PATIENCE, seen).await.expect("it is seen connected");
    println!(
        "a stdio server started, its client's handshake made, an editor seen: {:?}",
        began.elapsed()
    );
    // As the guide quotes it.
    assert_eq!(report["editors"][0]["socket"]["connected"], true);
    assert_eq!(report["faults"], json!([]));
    let cube = json!({"action": "create", "name": "Cube"});
    let made = client.call("manage_gameobject", cube).await;
    assert!(made.succeeded(), "{made:?}");
    assert_eq!(editor.report().objects_created["Cube"], 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_somebody_starts_says_what_the_guide_quotes() {
    let quoted = blocks("text")
        .into_iter()
        .find(|block| block.starts_with("MCP "));
    let quoted = quoted.expect("the guide has what it says");
    let mut server = unity_server(&["--http-url", "http://127.0.0.1:0"])
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(server.stdout.take().unwrap()).lines();
    let mut said = Vec::new();
    for _ in quoted.lines() {
        let line = timeout(PATIENCE, lines.next_line()).await;
        said.push(line.expect("it says so").unwrap().unwrap());
    }
    let port = said[0].split([':', '/']).nth(4).unwrap().to_owned();
    let said = said.join("\n").replace(&port, "8080");
    assert_eq!(said, quoted);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_whose_port_the_python_server_has_answers_with_the_text_of_the_guide() {
    let python = tokio::net::TcpListener::bind(("127.0.0.1", 0))
        .await
        .unwrap();
    let port = python.local_addr().unwrap().port();
    // As that one (10.3.0) answers.
    let says = json!({"status": "healthy", "timestamp": 1.0, "version": "10.3.0",
        "message": "MCP for Unity server is running"})
    .to_string();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = python.accept().await {
            let mut head = [0; 1024];
            let read = stream.read(&mut head).await.unwrap_or_default();
            let found = head[..read].starts_with(b"GET /health ");
            let (status, body) = match found {
                true => ("200 OK", &*says),
                false => ("404 Not Found", ""),
            };
            let answer = format!(
                "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                body.len()
            );
            let _ = tokio::io::AsyncWriteExt::write_all(&mut stream, answer.as_bytes()).await;
        }
    });
    let state = Folder::new();
    let (_server, client) = started(&["--transport", "stdio"], port, &state).await;
    let cube = json!({"action": "create", "name": "Cube"});
    let call = client.call("manage_gameobject", cube);
    let answer = timeout(PATIENCE, call).await.expect("no call hangs");
    // What differs is the process that has the port, and the ports.
    let quoted = blocks("text")
        .into_iter()
        .find(|block| block.starts_with("Port 8080"));
    let mut expected = quoted
        .unwrap()
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ");
    let process = |text: &str| {
        let from = text.find("MCP for Unity, ").unwrap() + "MCP for Unity, ".len();
        let to = text[from..].find(')').unwrap() + from + 1;
        text[from..to].to_owned()
    };
    if answer.text.contains("MCP for Unity, ") {
        let (theirs, ours) = (process(&answer.text), process(&expected));
        assert!(theirs.contains("(process "), "{theirs}");
        expected = expected.replace(&ours, &theirs);
    } else {
        // Not every system tells who it is.
        let ours = format!(", {}", process(&expected));
        expected = expected.replace(&ours, "");
    }
    let expected = expected
        .replace("Port 8080", &format!("Port {port}"))
        .replace("127.0.0.1:8081", &format!("127.0.0.1:{}", port + 1));
    assert_eq!(answer.text, expected);
}
