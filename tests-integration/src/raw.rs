//! HTTP as written, for what no well-behaved client sends, and an MCP client on it that asks for no progress.

use crate::Answer;
use mcp_transport_core::loopback;
use rmcp::model::CallToolResult;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::io;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// What a server answered.
#[derive(Clone, Debug, Default)]
#[expect(clippy::exhaustive_structs, reason = "a test helper")]
pub struct Response {
    /// The status; 0 if the connection ended without an answer.
    pub status: u16,
    /// The head, in lower case.
    pub head: String,
    /// The body, its chunks put together.
    pub body: String,
}

impl Response {
    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(':'));
        let mut values = lines.filter(|(found, _)| *found == name);
        values.next().map(|(_, value)| value.trim())
    }

    /// The messages of an event stream, or the one message of a JSON body.
    pub fn messages(&self) -> Vec<Value> {
        let one = serde_json::from_str(&self.body);
        one.map_or_else(
            |_| {
                let data = self
                    .body
                    .lines()
                    .filter_map(|line| line.strip_prefix("data:"));
                data.filter_map(|data| serde_json::from_str(data).ok())
                    .collect()
            },
            |one| vec![one],
        )
    }

    /// The result of the one response among the messages.
    ///
    /// # Panics
    /// If there is none.
    pub fn result(&self) -> Value {
        let messages = self.messages();
        let mut results = messages.iter().filter_map(|message| message.get("result"));
        results
            .next()
            .unwrap_or_else(|| panic!("no result in {self:?}"))
            .clone()
    }

    /// The answer to a `tools/call`.
    ///
    /// # Panics
    /// If there is none.
    pub fn answer(&self) -> Answer {
        let result: CallToolResult =
            serde_json::from_value(self.result()).expect("a tool's result");
        Answer::of(&result)
    }

    fn read(bytes: &[u8]) -> Self {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n");
        let Some(end) = end else {
            return Self::default();
        };
        let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
        let status = head.split(' ').nth(1).and_then(|text| text.parse().ok());
        let body = &bytes[end + 4..];
        let body = if head.contains("transfer-encoding: chunked") {
            dechunk(body)
        } else {
            body.to_vec()
        };
        Self {
            status: status.unwrap_or_default(),
            head,
            body: String::from_utf8_lossy(&body).into_owned(),
        }
    }
}

/// The text of a request, without a body unless one is given. `Host` and, with a body, `Content-Length` are added unless
/// they are there.
pub fn request(line: &str, port: u16, headers: &[(&str, &str)], body: &str) -> String {
    let given = |name: &str| headers.iter().any(|(it, _)| it.eq_ignore_ascii_case(name));
    let mut text = format!("{line} HTTP/1.1\r\n");
    if !given("host") {
        write!(text, "Host: 127.0.0.1:{port}\r\n").expect("a string takes it");
    }
    if !body.is_empty() && !given("content-length") && !given("transfer-encoding") {
        write!(text, "Content-Length: {}\r\n", body.len()).expect("a string takes it");
    }
    for (name, value) in headers {
        write!(text, "{name}: {value}\r\n").expect("a string takes it");
    }
    format!("{text}\r\n{body}")
}

/// Sends a request on a connection of its own, and reads the answer to its end.
///
/// # Panics
/// If nobody listens.
pub async fn exchange(port: u16, text: &str) -> Response {
    exchange_at("localhost", port, text).await
}

/// The same with one loopback host: `localhost` is whichever answers, `127.0.0.1` before `[::1]`.
///
/// # Panics
/// If nobody listens.
pub async fn exchange_at(host: &str, port: u16, text: &str) -> Response {
    let stream = loopback::connect_host(host, port)
        .await
        .expect("somebody listens");
    exchange_over(stream, text).await
}

/// The same over a connection that is there.
pub async fn exchange_over(mut stream: TcpStream, text: &str) -> Response {
    // A server that refuses may close before it has read everything.
    let _ = stream.write_all(text.as_bytes()).await;
    let mut bytes = Vec::new();
    let _ = read_answer(&mut stream, &mut bytes).await;
    Response::read(&bytes)
}

/// Reads until the answer is whole, or the connection ends.
async fn read_answer(stream: &mut TcpStream, bytes: &mut Vec<u8>) -> io::Result<()> {
    while stream.read_buf(bytes).await? > 0 {
        let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
            continue;
        };
        let so_far = Response::read(bytes);
        let body = bytes.len() - end - 4;
        let length = so_far
            .header("content-length")
            .and_then(|it| it.parse().ok());
        let whole = match length {
            Some(length) => body >= length,
            None if so_far.header("transfer-encoding").is_some() => bytes.ends_with(b"0\r\n\r\n"),
            None => so_far.status == 204 || so_far.status == 101,
        };
        if whole {
            break;
        }
    }
    Ok(())
}

fn dechunk(mut body: &[u8]) -> Vec<u8> {
    let mut whole = Vec::new();
    while let Some(end) = body.windows(2).position(|two| two == b"\r\n") {
        let size = std::str::from_utf8(&body[..end]).ok();
        let size = size.and_then(|text| usize::from_str_radix(text.trim(), 16).ok());
        let (Some(size @ 1..), rest) = (size, &body[end + 2..]) else {
            break;
        };
        whole.extend_from_slice(&rest[..size.min(rest.len())]);
        body = rest.get(size + 2..).unwrap_or_default();
    }
    whole
}

/// A `tools/call` of protocol 2026-07-28, which needs no handshake.
pub fn modern_call(port: u16, tool: &str, arguments: &Value, progress: bool) -> String {
    let mut meta = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": {"name": "raw", "version": "0"},
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    if progress {
        meta["progressToken"] = json!("p");
    }
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call",
        "params": {"name": tool, "arguments": arguments, "_meta": meta}});
    let headers = [
        ("Content-Type", "application/json"),
        ("Accept", "application/json, text/event-stream"),
        ("MCP-Protocol-Version", "2026-07-28"),
        ("Mcp-Method", "tools/call"),
        ("Mcp-Name", tool),
    ];
    request("POST /mcp", port, &headers, &body.to_string())
}

/// A client of protocol 2025-11-25 that asks for no progress, unlike rmcp's.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Session {
    /// The server's port.
    pub port: u16,
    /// The session's id.
    pub id: String,
    host: &'static str,
}

impl Session {
    /// Begins a session.
    ///
    /// # Panics
    /// If the server does not.
    pub async fn begin(port: u16) -> Self {
        Self::begin_at("localhost", port).await
    }

    /// Begins one at this loopback host.
    ///
    /// # Panics
    /// If the server does not.
    pub async fn begin_at(host: &'static str, port: u16) -> Self {
        let body = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {
            "protocolVersion": "2025-11-25", "capabilities": {},
            "clientInfo": {"name": "raw", "version": "0"},
        }});
        let begun = exchange_at(host, port, &post(port, &[], &body)).await;
        let id = begun
            .header("mcp-session-id")
            .expect("a session")
            .to_owned();
        let session = Self { port, id, host };
        let body = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
        let said = session.exchange(&session.post(&body)).await;
        assert_eq!(said.status, 202, "{said:?}");
        session
    }

    /// The text of a `tools/call`.
    pub fn call_text(&self, tool: &str, arguments: &Value) -> String {
        self.post(&json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call",
            "params": {"name": tool, "arguments": arguments}}))
    }

    /// Calls a tool.
    pub async fn call(&self, tool: &str, arguments: Value) -> Answer {
        let text = self.call_text(tool, &arguments);
        self.exchange(&text).await.answer()
    }

    /// Ends it.
    pub async fn end(&self) -> Response {
        let headers = [("Mcp-Session-Id", &*self.id)];
        self.exchange(&request("DELETE /mcp", self.port, &headers, ""))
            .await
    }

    async fn exchange(&self, text: &str) -> Response {
        exchange_at(self.host, self.port, text).await
    }

    fn post(&self, body: &Value) -> String {
        post(self.port, &[("Mcp-Session-Id", &self.id)], body)
    }
}

fn post(port: u16, more: &[(&str, &str)], body: &Value) -> String {
    let mut headers = vec![
        ("Content-Type", "application/json"),
        ("Accept", "application/json, text/event-stream"),
        ("MCP-Protocol-Version", "2025-11-25"),
    ];
    headers.extend(more);
    request("POST /mcp", port, &headers, &body.to_string())
}
