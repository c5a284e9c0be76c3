//! A plugin without an editor: it says what a test tells it to say.

use crate::Server;
use futures::{SinkExt, StreamExt};
use mcp_transport_core::{Connector, Error, Message};
use mcp_transport_ws::{WsConfig, WsConnector, WsTransport};
use serde_json::{Value, json};

/// One plugin's socket.
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
        let mut connector =
            WsConnector::new(&server.hub_url()).config(WsConfig::new().keep_alive(None));
        let socket = connector.connect().await.expect("the hub listens");
        let mut plugin = Self { socket };
        plugin.expect("welcome").await;
        plugin
            .say(
                &json!({"type": "register", "project_name": project, "project_hash": hash,
                "unity_version": "6000.3.2f1"}),
            )
            .await;
        plugin
    }

    /// Says something.
    ///
    /// # Panics
    /// If the socket is over.
    pub async fn say(&mut self, what: &Value) {
        let message = Message::from(what.to_string());
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
}
