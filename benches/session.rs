//! An MCP session over streamable HTTP, as the clients of the SDKs have it (2025-11-25).

use crate::http::{Answer, Connection};
use serde_json::{Value, json};
use std::io;
use tokio::task::AbortHandle;

const VERSION: &str = "2025-11-25";

/// One client's session: a connection for its requests, and one for what the server says by itself.
#[derive(Debug)]
pub struct Session {
    connection: Connection,
    /// Each request's head, up to the length of its body.
    head: String,
    delete: String,
    request: Vec<u8>,
    listening: AbortHandle,
}

impl Session {
    /// Sets a session up, and listens to the server.
    ///
    /// # Errors
    /// If the server does not agree.
    pub async fn open(port: u16) -> io::Result<Self> {
        let mut connection = Connection::open(port).await?;
        let capable = json!({
            "protocolVersion": VERSION,
            "capabilities": {},
            "clientInfo": {"name": "benches", "version": "1"},
        });
        let call = message(Some(0), "initialize", &capable);
        let head = head(port, "");
        let answer = connection
            .exchange(with_body(&head, &call).as_bytes())
            .await?;
        let agreed = result(&answer)?["protocolVersion"] == VERSION;
        let id = answer.header("mcp-session-id");
        let Some(id) = id.filter(|_| agreed) else {
            return Err(unexpected("initialize", &answer));
        };
        let about = format!("Mcp-Session-Id: {id}\r\nMCP-Protocol-Version: {VERSION}\r\n");
        let head = self::head(port, &about);
        let told = message(None, "notifications/initialized", &json!({}));
        let answer = connection
            .exchange(with_body(&head, &told).as_bytes())
            .await?;
        if answer.status != 202 {
            return Err(unexpected("notifications/initialized", &answer));
        }
        let get = format!(
            "GET /mcp HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAccept: text/event-stream\r\n{about}\r\n"
        );
        let ear = Connection::open(port).await?;
        Ok(Self {
            connection,
            head,
            delete: format!("DELETE /mcp HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n{about}\r\n"),
            request: Vec::new(),
            listening: listen(ear, get),
        })
    }

    /// Asks, and reads what comes back.
    ///
    /// # Errors
    /// If it is an error.
    pub async fn ask(&mut self, method: &str, params: &Value) -> io::Result<Value> {
        self.prepare(method, params);
        let answer = self.connection.exchange(&self.request).await?;
        result(&answer)
    }

    /// What [`again`](Self::again) will send.
    pub fn prepare(&mut self, method: &str, params: &Value) {
        let call = message(Some(1), method, params);
        self.request = with_body(&self.head, &call).into_bytes();
    }

    /// Sends what was prepared once more. Its answer is looked through, and not parsed.
    ///
    /// # Errors
    /// If it is not a result, or one of a tool that says that it failed.
    pub async fn again(&mut self) -> io::Result<()> {
        let answer = self.connection.exchange(&self.request).await?;
        let good = answer.status == 200
            && answer.contains("\"result\"")
            && !answer.contains("\"isError\":true");
        if good {
            return Ok(());
        }
        Err(unexpected("the call", &answer))
    }

    /// Ends the session.
    ///
    /// # Errors
    /// If the connection breaks.
    pub async fn close(mut self) -> io::Result<()> {
        let deleted = self.connection.exchange(self.delete.as_bytes()).await;
        deleted.map(drop)
    }
}

/// Whoever goes without [`close`](Session::close) abandons the session: its sockets close, and the server is told nothing.
impl Drop for Session {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

fn listen(ear: Connection, get: String) -> AbortHandle {
    let listening = tokio::spawn(async move {
        // It ends with the session.
        let _ = ear.drain(get.as_bytes()).await;
    });
    listening.abort_handle()
}

fn head(port: u16, about: &str) -> String {
    format!(
        "POST /mcp HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\nAccept: application/json, text/event-stream\r\n{about}Content-Length: "
    )
}

fn with_body(head: &str, body: &str) -> String {
    format!("{head}{}\r\n\r\n{body}", body.len())
}

fn message(id: Option<u64>, method: &str, params: &Value) -> String {
    let mut message = json!({"jsonrpc": "2.0", "method": method, "params": params});
    if let Some(id) = id {
        message["id"] = id.into();
    }
    message.to_string()
}

/// The result in a body of JSON, or in an event of a stream.
fn result(answer: &Answer<'_>) -> io::Result<Value> {
    let text = answer.text();
    let events = text.lines().filter_map(|line| line.strip_prefix("data:"));
    let mut messages = events
        .chain([&*text])
        .filter_map(|json| serde_json::from_str::<Value>(json).ok());
    let found = messages.find_map(|mut message| message.get_mut("result").map(Value::take));
    let good = found.filter(|result| answer.status == 200 && result["isError"] != true);
    good.ok_or_else(|| unexpected("a request", answer))
}

fn unexpected(what: &str, answer: &Answer<'_>) -> io::Error {
    let text: String = answer.text().chars().take(2_000).collect();
    io::Error::other(format!("{what} was answered by {}: {text}", answer.status))
}
