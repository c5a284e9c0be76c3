//! An editor whose domain reloads all the time.

use futures::{SinkExt, StreamExt};
use mcp_transport_core::{Connector, Message};
use mcp_transport_ws::{WsConfig, WsConnector, WsTransport};
use serde_json::{Value, json};
use std::io;
use std::time::Duration;

/// How long the server has for each answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Connects, registers with its tools as the plugin does, and breaks off; so many times. What it offers changes each time, so
/// that whoever listens to the list is told.
pub(crate) async fn reconnect(port: u16, times: usize) -> io::Result<()> {
    let url = format!("ws://127.0.0.1:{port}/hub/plugin");
    let config = WsConfig::new().keep_alive(None);
    let mut connector = WsConnector::new(&url).config(config);
    for life in 0..times {
        let mut socket = connector.connect().await.map_err(io::Error::other)?;
        hear(&mut socket, "welcome").await?;
        let project = json!({
            "type": "register",
            "project_name": "Soaked",
            "project_hash": "50a4ed50a4ed50a4",
            "unity_version": "6000.0.0f1",
            "project_path": "/simulator/Soaked",
        });
        say(&mut socket, &project).await?;
        hear(&mut socket, "registered").await?;
        let tool = json!({
            "name": format!("tool_{}", life % 2),
            "description": "comes and goes",
            "parameters": [],
        });
        let tools = json!({"type": "register_tools", "tools": [tool]});
        say(&mut socket, &tools).await?;
        // One says goodbye and the next one crashes.
        if life % 2 == 0 {
            let _ = socket.close(1000, "").await;
        }
    }
    Ok(())
}

async fn say(socket: &mut WsTransport, what: &Value) -> io::Result<()> {
    let message = Message::from(what.to_string());
    socket.send(message).await.map_err(io::Error::other)
}

/// Waits for a message of this type; others are passed over.
async fn hear(socket: &mut WsTransport, wanted: &str) -> io::Result<()> {
    let heard = async {
        while let Some(message) = socket.next().await {
            let message = message.map_err(io::Error::other)?;
            let message: Value = serde_json::from_slice(message.as_bytes())?;
            if message["type"] == wanted {
                return Ok(());
            }
        }
        Err(io::Error::other(format!("no `{wanted}`")))
    };
    let late = |_| Err(io::Error::other(format!("no `{wanted}` in {PATIENCE:?}")));
    tokio::time::timeout(PATIENCE, heard)
        .await
        .unwrap_or_else(late)
}
