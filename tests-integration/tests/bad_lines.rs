//! What becomes of bad lines: rmcp's own `stdio()` and ours, side by side, each in a process of its own and under the same
//! rmcp server. The processes are this very file, started again.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    missing_docs,
    reason = "tests wait and spawn"
)]

use mcp_transport_core::TransportExt;
use rmcp::{ServerHandler, ServiceExt};
use serde_json::{Value, json};
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

/// The default of both.
const LIMIT: usize = 16 * 1024 * 1024;

#[derive(Clone, Copy, Debug)]
enum Lined {
    ByRmcp,
    ByUs,
}

struct Server;

impl ServerHandler for Server {}

/// Not a test, but the other end of them: it does nothing unless it was started as one.
#[test]
fn the_other_end() {
    let Ok(lined) = std::env::var("LINED") else {
        return;
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let running = match lined.as_str() {
            "ByRmcp" => Server.serve(rmcp::transport::stdio()).await.unwrap(),
            _ => {
                let ours = mcp_transport_stdio::stdio().unwrap();
                Server.serve(ours.typed()).await.unwrap()
            }
        };
        running.waiting().await.unwrap();
    });
    std::process::exit(0);
}

struct Client {
    _server: Child,
    output: BufReader<ChildStdout>,
    input: Option<ChildStdin>,
}

impl Client {
    /// Of a server that has greeted.
    async fn of(lined: Lined) -> Self {
        let mut server = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "the_other_end", "--nocapture"])
            .env("LINED", format!("{lined:?}"))
            // With one thread the harness leaves a line open, for our first message to stand in.
            .env("RUST_TEST_THREADS", "2")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut client = Self {
            output: BufReader::new(server.stdout.take().unwrap()),
            input: server.stdin.take(),
            _server: server,
        };
        let hello = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {
            "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "0"},
        }});
        client.say(hello.to_string().as_bytes()).await;
        assert_eq!(client.hear().await.unwrap()["id"], 0);
        let ready = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
        client.say(ready.to_string().as_bytes()).await;
        client
    }

    async fn say(&mut self, line: &[u8]) {
        let input = self.input.as_mut().unwrap();
        input.write_all(line).await.unwrap();
        input.write_all(b"\n").await.unwrap();
    }

    /// The next message; the harness of the other end prints, too, before its server starts.
    async fn hear(&mut self) -> Option<Value> {
        loop {
            let mut line = String::new();
            let read = self.output.read_line(&mut line);
            let count = tokio::time::timeout(Duration::from_secs(10), read).await;
            if count.expect("the server is silent").unwrap() == 0 {
                return None;
            }
            if line.starts_with('{') {
                return Some(serde_json::from_str(&line).unwrap());
            }
        }
    }

    /// What the server says to this line: the code of an error, 0 for a result, and the id; `None` for silence.
    async fn asks(&mut self, line: &[u8]) -> Said {
        self.say(line).await;
        let fence = json!({"jsonrpc": "2.0", "id": "fence", "method": "ping"});
        self.say(fence.to_string().as_bytes()).await;
        let (mut said, mut fenced) = (None, false);
        // The two may come in either order; silence can only be told from the fence's answer and nothing after it.
        while !fenced {
            let answer = self.hear().await.expect("the server has left");
            if answer["id"] == "fence" {
                fenced = true;
            } else {
                said = Some(of(&answer));
            }
        }
        if said.is_none() {
            let late = tokio::time::timeout(Duration::from_millis(50), self.hear()).await;
            said = late.ok().flatten().map(|answer| of(&answer));
        }
        said
    }
}

type Said = Option<(i64, Value)>;

fn of(answer: &Value) -> (i64, Value) {
    (
        answer["error"]["code"].as_i64().unwrap_or(0),
        answer["id"].clone(),
    )
}

fn answer(code: i64, id: impl Into<Value>) -> Said {
    Some((code, id.into()))
}

/// A line, what rmcp 3.9 says to it, and what we say.
fn table() -> Vec<(&'static str, Vec<u8>, Said, Said)> {
    let nobody = Value::Null;
    let ping = |text: &str| text.as_bytes().to_vec();
    let mut not_utf8 = ping(r#"{"jsonrpc":"2.0","id":7,"method":"ping","params":{"a":"?"}}"#);
    not_utf8.iter_mut().for_each(|byte| {
        if *byte == b'?' {
            *byte = 0xFF;
        }
    });
    let long = format!(
        r#"{{"jsonrpc":"2.0","id":7,"method":"ping","params":{{"a":"{}"}}}}"#,
        "x".repeat(LIMIT)
    );
    vec![
        (
            "not JSON",
            ping("nonsense"),
            None,
            answer(-32700, nobody.clone()),
        ),
        (
            "torn",
            ping(r#"{"jsonrpc":"2.0","id":7,"method":"ping","#),
            None,
            answer(-32700, nobody.clone()),
        ),
        (
            "a NUL byte at the end",
            ping("{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"ping\"}\0"),
            None,
            answer(-32700, nobody.clone()),
        ),
        ("not UTF-8", not_utf8, None, answer(-32700, 7)),
        ("too large", long.into_bytes(), None, answer(-31005, 7)),
        (
            "no jsonrpc",
            ping(r#"{"id":7,"method":"ping"}"#),
            answer(-32600, nobody.clone()),
            answer(-32600, 7),
        ),
        (
            "a null id",
            ping(r#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#),
            answer(-32600, nobody.clone()),
            answer(-32600, nobody.clone()),
        ),
        (
            "a member twice",
            ping(r#"{"jsonrpc":"2.0","id":7,"method":"ping","method":"ping"}"#),
            answer(-32600, nobody.clone()),
            answer(-32600, 7),
        ),
        (
            "a batch",
            ping(r#"[{"jsonrpc":"2.0","id":7,"method":"ping"}]"#),
            answer(-32600, nobody.clone()),
            answer(-32600, nobody),
        ),
        (
            "CRLF",
            ping("{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"ping\"}\r"),
            answer(0, 7),
            answer(0, 7),
        ),
        ("empty", ping(""), None, None),
    ]
}

/// The lines after which a peer of rmcp waits for an answer that never comes, while ours has one.
const LEFT_WAITING: [&str; 5] = [
    "not JSON",
    "torn",
    "a NUL byte at the end",
    "not UTF-8",
    "too large",
];

#[tokio::test]
async fn where_rmcp_leaves_the_peer_waiting_we_answer_and_where_it_answers_so_do_we() {
    let mut theirs = Client::of(Lined::ByRmcp).await;
    let mut ours = Client::of(Lined::ByUs).await;
    let mut left_waiting = Vec::new();
    for (name, line, by_rmcp, by_us) in table() {
        let (rmcp_said, we_said) = (theirs.asks(&line).await, ours.asks(&line).await);
        assert_eq!(rmcp_said, by_rmcp, "rmcp: {name}");
        assert_eq!(we_said, by_us, "ours: {name}");
        if rmcp_said.is_none() && we_said.is_some() {
            left_waiting.push(name);
        }
    }
    assert_eq!(left_waiting, LEFT_WAITING);
}

#[tokio::test]
async fn rmcp_drops_a_last_line_without_an_end_and_we_take_it() {
    for (lined, expected) in [(Lined::ByRmcp, None), (Lined::ByUs, answer(0, 7))] {
        let mut client = Client::of(lined).await;
        let ping = br#"{"jsonrpc":"2.0","id":7,"method":"ping"}"#;
        let mut input = client.input.take().unwrap();
        input.write_all(ping).await.unwrap();
        drop(input);
        let said = client.hear().await.map(|answer| of(&answer));
        assert_eq!(said, expected, "{lined:?}");
    }
}
