//! A broker in this process, and clients and hosts that are bytes on sockets.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    dead_code,
    missing_docs,
    unreachable_pub,
    reason = "tests wait, and each uses a part of this"
)]

use mcp_transport_broker::native::{Attached, Given, Pulled};
use mcp_transport_broker::server::{Server, ServerConfig, ServerHandle};
use serde_json::{Value, json};
use std::collections::HashSet;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

pub const TOKEN: &str = "a-token-for-tests";

/// Nothing here takes this long, unless it hangs.
pub const PATIENCE: Duration = Duration::from_secs(20);

pub fn config() -> ServerConfig {
    ServerConfig::new(TOKEN).unwrap()
}

pub struct Up {
    pub port: u16,
    pub handle: ServerHandle,
    pub serving: tokio::task::JoinHandle<()>,
}

pub fn up(config: ServerConfig) -> Up {
    let server = Server::bind(0, config).unwrap();
    Up {
        port: server.port(),
        handle: server.handle(),
        serving: tokio::spawn(server.serve()),
    }
}

/// A connection.
pub struct Raw {
    pub stream: TcpStream,
    pub port: u16,
    buffer: Vec<u8>,
}

#[derive(Debug)]
pub struct Response {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Response {
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        headers
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl Raw {
    pub async fn to(port: u16) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self {
            stream,
            port,
            buffer: Vec::new(),
        }
    }

    pub async fn write(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).await.unwrap();
    }

    /// A request with these headers beside `Host`, and a body.
    pub async fn send(&mut self, line: &str, headers: &[(&str, &str)], body: Option<&str>) {
        let mut head = format!("{line} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\n", self.port);
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if let Some(body) = body {
            head.push_str("Content-Type: application/json\r\n");
            head.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        head.push_str("\r\n");
        head.push_str(body.unwrap_or_default());
        self.write(head).await;
    }

    /// The next answer, with its whole body.
    pub async fn response(&mut self) -> Response {
        timeout(PATIENCE, self.read_response())
            .await
            .expect("an answer in time")
            .expect("an answer")
    }

    /// The head of the next answer, whose body is a stream.
    pub async fn head(&mut self) -> Response {
        timeout(PATIENCE, self.read_head())
            .await
            .expect("a head in time")
            .expect("a head")
    }

    /// The next event of a stream, as its lines; comments are skipped. `None` at the end.
    pub async fn event(&mut self) -> Option<Event> {
        timeout(PATIENCE, self.read_event())
            .await
            .expect("an event in time")
    }

    /// Whether the other end closes, without another byte.
    pub async fn closed(&mut self) -> bool {
        if !self.buffer.is_empty() {
            return false;
        }
        let mut byte = [0];
        let read = timeout(PATIENCE, self.stream.read(&mut byte));
        matches!(read.await.expect("an end in time"), Ok(0) | Err(_))
    }

    pub async fn ask(
        &mut self,
        line: &str,
        headers: &[(&str, &str)],
        body: Option<&str>,
    ) -> Response {
        self.send(line, headers, body).await;
        self.response().await
    }

    async fn read_response(&mut self) -> Option<Response> {
        let mut response = self.read_head().await?;
        if response.status == 204 || response.status == 100 {
            return Some(response);
        }
        if response.header("transfer-encoding").is_some() {
            while let Some(piece) = self.chunk().await {
                response.body.extend(piece);
            }
            return Some(response);
        }
        let length = response.header("content-length").unwrap_or("0");
        let length: usize = length.parse().unwrap();
        while self.buffer.len() < length {
            self.more().await?;
        }
        response.body = self.buffer.drain(..length).collect();
        Some(response)
    }

    async fn read_head(&mut self) -> Option<Response> {
        let end = loop {
            if let Some(end) = find(&self.buffer, b"\r\n\r\n") {
                break end;
            }
            self.more().await?;
        };
        let head: Vec<u8> = self.buffer.drain(..end + 4).collect();
        let head = String::from_utf8(head).unwrap();
        let mut lines = head.trim_end().split("\r\n");
        let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
        let headers = lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        Some(Response {
            status,
            headers,
            body: Vec::new(),
        })
    }

    async fn read_event(&mut self) -> Option<Event> {
        let mut text = Vec::new();
        loop {
            if let Some(end) = find(&text, b"\n\n") {
                let block = String::from_utf8(text.drain(..end + 2).collect()).unwrap();
                if let Some(event) = Event::of(&block) {
                    // One event at a time is all that these tests write.
                    assert!(text.is_empty(), "{}", String::from_utf8_lossy(&text));
                    return Some(event);
                }
                continue;
            }
            text.extend(self.chunk().await?);
        }
    }

    /// A piece of a chunked body.
    pub async fn chunk(&mut self) -> Option<Vec<u8>> {
        let end = loop {
            if let Some(end) = find(&self.buffer, b"\r\n") {
                break end;
            }
            self.more().await?;
        };
        let line: Vec<u8> = self.buffer.drain(..end + 2).collect();
        let size = std::str::from_utf8(&line).unwrap().trim();
        let size = usize::from_str_radix(size, 16).unwrap();
        while self.buffer.len() < size + 2 {
            self.more().await?;
        }
        let piece: Vec<u8> = self.buffer.drain(..size + 2).collect();
        (size > 0).then(|| piece[..size].to_vec())
    }

    async fn more(&mut self) -> Option<()> {
        let mut piece = vec![0; 64 * 1024];
        let read = self.stream.read(&mut piece).await.ok()?;
        self.buffer.extend(&piece[..read]);
        (read > 0).then_some(())
    }
}

/// One event of a stream.
#[derive(Debug)]
pub struct Event {
    pub id: Option<String>,
    pub data: String,
    pub retry: Option<String>,
}

impl Event {
    fn of(block: &str) -> Option<Self> {
        let field = |name: &str| {
            let lines: Vec<_> = block
                .lines()
                .filter_map(|line| line.split_once(':'))
                .filter(|(known, _)| *known == name)
                .map(|(_, value)| value.strip_prefix(' ').unwrap_or(value).to_owned())
                .collect();
            (!lines.is_empty()).then(|| lines.join("\n"))
        };
        Some(Self {
            data: field("data")?,
            id: field("id"),
            retry: field("retry"),
        })
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.data).unwrap()
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack
        .windows(needle.len())
        .position(|window| window == needle)
}

/// A host of the native dialect, with one connection.
pub struct Host {
    pub raw: Raw,
    pub lease: String,
    /// The names under which the broker asks for itself.
    own: HashSet<String>,
}

impl Host {
    pub async fn attach(port: u16) -> Self {
        Self::attach_as(port, "one", json!({})).await
    }

    pub async fn attach_as(port: u16, instance: &str, more: Value) -> Self {
        let mut raw = Raw::to(port).await;
        let mut body = json!({"protocol": 1, "host": {"name": "test", "instance": instance}});
        for (key, value) in more.as_object().unwrap() {
            body[key] = value.clone();
        }
        let response = host_ask(&mut raw, None, "attach", &body).await;
        assert_eq!(response.status, 200, "{}", response.text());
        let attached: Attached = serde_json::from_slice(&response.body).unwrap();
        Self {
            raw,
            lease: attached.lease,
            own: HashSet::new(),
        }
    }

    pub async fn say(&mut self, what: &str, body: &Value) -> Response {
        host_ask(&mut self.raw, Some(&self.lease), what, body).await
    }

    /// What there is for clients, waiting for it; the broker's own questions are refused.
    pub async fn pull(&mut self) -> Vec<Given> {
        loop {
            let items = self.pull_raw(10_000).await;
            let asks = items.iter().filter(|given| is_inquiry(given));
            self.own.extend(asks.map(|given| given.client.clone()));
            let (mine, clients): (Vec<_>, Vec<_>) = items
                .into_iter()
                .partition(|given| self.own.contains(&given.client));
            for given in mine.into_iter().filter(|given| given.ticket.is_some()) {
                let asked: Value = message(&given);
                let error = json!({"jsonrpc": "2.0", "id": asked["id"],
                    "error": {"code": -32601, "message": "not here"}});
                self.answer(given.ticket.unwrap(), error).await;
            }
            if !clients.is_empty() {
                return clients;
            }
        }
    }

    /// One pull, and whatever it gets.
    pub async fn pull_raw(&mut self, wait_ms: u64) -> Vec<Given> {
        let response = self.say("pull", &json!({"wait_ms": wait_ms})).await;
        assert_eq!(response.status, 200, "{}", response.text());
        let pulled: Pulled = serde_json::from_slice(&response.body).unwrap();
        pulled.items
    }

    pub async fn push(&mut self, items: Value) -> Value {
        let response = self.say("push", &json!({"items": items})).await;
        assert_eq!(response.status, 200, "{}", response.text());
        response.json()
    }

    pub async fn answer(&mut self, ticket: u64, message: Value) -> Value {
        self.push(json!([{"ticket": ticket, "message": message}]))
            .await
    }

    /// Answers a request with this result.
    pub async fn result(&mut self, given: &Given, result: Value) -> Value {
        let id = message(given)["id"].clone();
        let answer = json!({"jsonrpc": "2.0", "id": id, "result": result});
        self.answer(given.ticket.unwrap(), answer).await
    }
}

pub async fn host_ask(raw: &mut Raw, lease: Option<&str>, what: &str, body: &Value) -> Response {
    let bearer = format!("Bearer {TOKEN}");
    let mut headers = vec![("Authorization", bearer.as_str())];
    if let Some(lease) = lease {
        headers.push(("MCP-Broker-Lease", lease));
    }
    let line = format!("POST /_broker/v1/{what}");
    raw.ask(&line, &headers, Some(&body.to_string())).await
}

pub fn message(given: &Given) -> Value {
    serde_json::from_str(given.message.as_ref().expect("a message").get()).unwrap()
}

/// The broker's own questions: those of a new host's catalogue.
pub fn is_inquiry(given: &Given) -> bool {
    given.ticket.is_some_and(|ticket| ticket >= 1 << 52)
}

pub const MODERN: &str = "2026-07-28";

/// A request of a modern client: its headers, and its body.
pub fn modern(id: u64, method: &str, params: Value) -> (Vec<(String, String)>, String) {
    let mut params = params;
    params["_meta"]["io.modelcontextprotocol/protocolVersion"] = json!(MODERN);
    params["_meta"]["io.modelcontextprotocol/clientCapabilities"] = json!({});
    let mut headers = vec![
        ("MCP-Protocol-Version".into(), MODERN.into()),
        ("Mcp-Method".into(), method.into()),
    ];
    if let Some(name) = params["name"].as_str().or_else(|| params["uri"].as_str()) {
        headers.push(("Mcp-Name".into(), name.into()));
    }
    let body = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
    (headers, body.to_string())
}

pub fn call(id: u64) -> (Vec<(String, String)>, String) {
    modern(id, "tools/call", json!({"name": "echo", "arguments": {}}))
}

pub fn borrowed(headers: &[(String, String)]) -> Vec<(&str, &str)> {
    headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect()
}

impl Raw {
    /// Sends a modern request that takes JSON.
    pub async fn modern(&mut self, request: (Vec<(String, String)>, String)) {
        let (headers, body) = request;
        self.send("POST /mcp", &borrowed(&headers), Some(&body))
            .await;
    }
}

pub const BOTH: (&str, &str) = ("Accept", "application/json, text/event-stream");

/// A legacy client's session.
pub struct Session {
    pub port: u16,
    pub id: String,
    pub version: String,
}

impl Session {
    /// Initialises, with a host that answers.
    pub async fn begin(host: &mut Host, version: &str) -> Self {
        let port = host.raw.port;
        let mut raw = Raw::to(port).await;
        let initialize = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {
            "protocolVersion": version, "capabilities": {},
            "clientInfo": {"name": "test", "version": "1"}}});
        raw.send("POST /mcp", &[BOTH], Some(&initialize.to_string()))
            .await;
        let items = host.pull().await;
        assert_eq!(message(&items[0])["method"], "initialize");
        let result = json!({"protocolVersion": version, "capabilities": {"tools": {"listChanged": true}},
            "serverInfo": {"name": "test", "version": "1"}});
        host.result(&items[0], result).await;
        let response = raw.response().await;
        assert_eq!(response.status, 200, "{}", response.text());
        let id = response.header("mcp-session-id").expect("a session").into();
        let session = Self {
            port,
            id,
            version: version.into(),
        };
        let initialized = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
        let response = session.post(&initialized).await;
        assert_eq!(response.status, 202);
        let items = host.pull().await;
        assert_eq!(message(&items[0])["method"], "notifications/initialized");
        session
    }

    pub fn headers(&self) -> Vec<(&str, &str)> {
        vec![
            ("Mcp-Session-Id", &self.id),
            ("MCP-Protocol-Version", &self.version),
            BOTH,
        ]
    }

    /// Sends a message on a connection of its own.
    pub async fn sends(&self, message: &Value) -> Raw {
        let mut raw = Raw::to(self.port).await;
        raw.send("POST /mcp", &self.headers(), Some(&message.to_string()))
            .await;
        raw
    }

    pub async fn post(&self, message: &Value) -> Response {
        self.sends(message).await.response().await
    }

    pub async fn get(&self, after: Option<&str>) -> Raw {
        let mut raw = Raw::to(self.port).await;
        let mut headers = self.headers();
        if let Some(after) = after {
            headers.push(("Last-Event-ID", after));
        }
        raw.send("GET /mcp", &headers, None).await;
        raw
    }
}
