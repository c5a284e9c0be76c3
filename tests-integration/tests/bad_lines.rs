//! What becomes of bad lines: rmcp's own line transport and ours, side by side, each under the same rmcp server.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    missing_docs,
    reason = "tests wait and spawn"
)]

use mcp_transport_core::codec::{Lines, framed};
use mcp_transport_core::{Answering, TransportExt};
use rmcp::transport::async_rw::AsyncRwTransport;
use rmcp::{RoleServer, ServerHandler, ServiceExt};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::io::{
    AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream, ReadHalf, WriteHalf, duplex,
};

/// The same for both.
const LIMIT: usize = 4096;

#[derive(Clone, Copy, Debug)]
enum Lined {
    ByRmcp,
    ByUs,
}

struct Server;

impl ServerHandler for Server {}

struct Client {
    output: BufReader<ReadHalf<DuplexStream>>,
    input: WriteHalf<DuplexStream>,
}

impl Client {
    /// Of a server that has greeted.
    async fn of(lined: Lined) -> Self {
        let (theirs, ours) = duplex(256 * 1024);
        tokio::spawn(async move {
            match lined {
                Lined::ByRmcp => {
                    let (read, write) = tokio::io::split(theirs);
                    let lines = AsyncRwTransport::<RoleServer, _, _>::new(read, write);
                    let running = Server.serve(lines.with_max_line_length(LIMIT)).await;
                    running.unwrap().waiting().await.unwrap();
                }
                Lined::ByUs => {
                    let lines = Answering::new(framed(theirs, Lines::with_limit(LIMIT)));
                    let running = Server.serve(lines.typed()).await;
                    running.unwrap().waiting().await.unwrap();
                }
            }
        });
        let (output, input) = tokio::io::split(ours);
        let mut client = Self {
            output: BufReader::new(output),
            input,
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
        self.input.write_all(line).await.unwrap();
        self.input.write_all(b"\n").await.unwrap();
    }

    async fn hear(&mut self) -> Option<Value> {
        let mut line = String::new();
        let read = self.output.read_line(&mut line);
        let count = tokio::time::timeout(Duration::from_secs(10), read).await;
        match count.expect("the server is silent").unwrap() {
            0 => None,
            _ => Some(serde_json::from_str(&line).unwrap()),
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

/// A line, what rmcp 3.8 says to it, and what we say.
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

#[tokio::test]
async fn where_rmcp_is_silent_we_answer_and_where_it_answers_so_do_we() {
    let mut theirs = Client::of(Lined::ByRmcp).await;
    let mut ours = Client::of(Lined::ByUs).await;
    for (name, line, by_rmcp, by_us) in table() {
        assert_eq!(theirs.asks(&line).await, by_rmcp, "rmcp: {name}");
        assert_eq!(ours.asks(&line).await, by_us, "ours: {name}");
    }
}

#[tokio::test]
async fn rmcp_drops_a_last_line_without_an_end_and_we_take_it() {
    for (lined, expected) in [(Lined::ByRmcp, None), (Lined::ByUs, answer(0, 7))] {
        let mut client = Client::of(lined).await;
        let ping = br#"{"jsonrpc":"2.0","id":7,"method":"ping"}"#;
        client.input.write_all(ping).await.unwrap();
        client.input.shutdown().await.unwrap();
        let said = client.hear().await.map(|answer| of(&answer));
        assert_eq!(said, expected, "{lined:?}");
    }
}
