//! A plugin without an editor: it says what a test tells it to say, and nothing by itself.

use crate::Server;
use examples::hub::{Call, Request};
use futures::{SinkExt, StreamExt};
use mcp_transport_core::delivery::Replay;
use mcp_transport_core::{Connector, Error, ErrorKind, Message};
use mcp_transport_ws::{WsConfig, WsConnector, WsTransport};
use serde_json::{Value, json};
use std::time::Duration;

/// One plugin's socket. It answers no pings of the hub's.
#[derive(Debug)]
pub struct Plugin {
    socket: WsTransport,
}

impl Plugin {
    /// Connects to the hub and registers, without waiting for the seat.
    ///
    /// # Panics
    /// If the hub does not greet it.
    pub async fn register(server: &Server, project: &str, hash: &str) -> Self {
        let mut plugin = Self::dial(server).await;
        plugin.expect("welcome").await;
        plugin.say(&register(project, hash)).await;
        plugin
    }

    /// Connects to the hub.
    ///
    /// # Panics
    /// If it does not get in.
    pub async fn dial(server: &Server) -> Self {
        Self::dial_with(server, Self::config()).await
    }

    /// Connects to the hub with settings of its own.
    ///
    /// # Panics
    /// If it does not get in.
    pub async fn dial_with(server: &Server, config: WsConfig) -> Self {
        let mut connector = WsConnector::new(&server.hub_url()).config(config);
        Self::over(connector.connect().await.expect("the hub listens"))
    }

    /// On a connection that is there already.
    pub const fn over(socket: WsTransport) -> Self {
        Self { socket }
    }

    /// Without a keep-alive: what is silent is silent.
    pub fn config() -> WsConfig {
        WsConfig::new().keep_alive(None)
    }

    /// Registers, and waits for the seat.
    ///
    /// # Panics
    /// If it does not get it.
    pub async fn registered(mut self, project: &str, hash: &str) -> Self {
        self.say(&register(project, hash)).await;
        self.expect("registered").await;
        self
    }

    /// Says something.
    ///
    /// # Panics
    /// If the socket is over.
    pub async fn say(&mut self, what: &Value) {
        self.say_text(what.to_string()).await;
    }

    /// Says something that need not be JSON.
    ///
    /// # Panics
    /// If the socket is over.
    pub async fn say_text(&mut self, what: impl Into<String>) {
        let message = Message::from(what.into());
        self.socket.send(message).await.expect("the hub reads");
    }

    /// Answers a command.
    pub async fn answer(&mut self, execute: &Value, result: &Value) {
        self.say(&json!({"type": "command_result", "id": execute["id"], "result": result}))
            .await;
    }

    /// What the hub says next; `None` is a clean end.
    ///
    /// # Errors
    /// How the socket ended.
    pub async fn next(&mut self) -> Result<Option<Value>, Error> {
        let message = self.socket.next().await.transpose()?;
        message.map(|message| message.json()).transpose()
    }

    /// The next message of this type.
    ///
    /// # Panics
    /// If the socket ends first.
    pub async fn expect(&mut self, kind: &str) -> Value {
        loop {
            let said = self.next().await.expect("the socket lives");
            let said = said.expect("the socket lives");
            if said["type"] == kind {
                return said;
            }
        }
    }

    /// The next command.
    ///
    /// # Panics
    /// If the socket ends first.
    pub async fn command(&mut self) -> Value {
        self.expect("execute").await
    }

    /// Waits for the end: with which code the hub closed, and what that means.
    pub async fn end(mut self) -> (Option<u16>, Option<ErrorKind>) {
        let mut kind = None;
        while let Some(message) = self.socket.next().await {
            kind = message.err().map(|error| error.kind());
        }
        (self.socket.close_code(), kind)
    }

    /// The connection beneath.
    pub fn into_inner(self) -> WsTransport {
        self.socket
    }
}

/// Gives the hub a command for a project, outside of MCP.
///
/// # Panics
/// If it is not taken.
pub fn submit(server: &Server, hash: &str, replay: Replay) -> Call {
    let call = server.hub.submit(hash, request(replay), None);
    call.expect("it is taken")
}

/// A command that may wait for two minutes.
pub fn request(replay: Replay) -> Request {
    Request {
        command: "work".to_owned(),
        params: json!({}),
        timeout: Duration::from_secs(30),
        replay,
        hold: Duration::from_secs(120),
    }
}

fn register(project: &str, hash: &str) -> Value {
    json!({
        "type": "register",
        "project_name": project,
        "project_hash": hash,
        "unity_version": "6000.3.2f1",
    })
}
