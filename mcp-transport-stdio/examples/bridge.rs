//! An application that the Python server for Unity takes for an open project.
//!
//! ```text
//! cargo run -p mcp-transport-stdio --example bridge -- /home/ada/Game/Assets
//! ```
//!
//! It prints each command that it runs, and answers that it did. A menu item `Wait/<seconds>` takes that long, and one below
//! `Fail/` is an error of the kind that the Python server takes for a broken connection, and sends again.
#![allow(
    clippy::disallowed_methods,
    reason = "a program: it waits where it is told to"
)]

use futures::{SinkExt as _, StreamExt as _};
use mcp_transport_core::{Error, ErrorKind, Listener as _, Message};
use mcp_transport_stdio::bridge::{BridgeConfig, BridgeListener, Notice};
use mcp_transport_stdio::discovery::{Discovery, Status, StatusFile};
use serde::Deserialize;
use serde_json::{Value, json};
use std::time::Duration;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let project = std::env::args().nth(1).ok_or_else(|| {
        Error::new(ErrorKind::Incompatible)
            .context("say which project: bridge /home/ada/Game/Assets")
    })?;
    // The Python client would take a notice for an answer, so only who asked for the seat gets one.
    let config = BridgeConfig::new().notice(Notice::Announced);
    let clients = BridgeListener::bind(0, config)?;
    let status = Status::new(clients.local_port(), project);
    let file = StatusFile::publish(Discovery::from_env()?.directory(), &status)?;
    println!("listens {} {}", clients.local_port(), file.path().display());
    let _heartbeat = file.heartbeat(status);

    tokio::select! {
        served = serve(clients) => served,
        // The status file goes with us.
        _ = tokio::signal::ctrl_c() => Ok(()),
    }
}

async fn serve(mut clients: BridgeListener) -> Result<(), Error> {
    loop {
        let mut client = clients.accept().await?;
        while let Some(command) = client.next().await {
            match command {
                Ok(command) => client.send(run(&command).await).await?,
                Err(lost) => println!("lost {lost}"),
            }
        }
    }
}

#[derive(Deserialize)]
struct Command {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    params: Value,
}

async fn run(command: &Message) -> Message {
    let answer = match command.json::<Command>() {
        Err(_) => json!({"status": "error", "error": "Invalid JSON format"}),
        Ok(Command { kind, params }) => {
            let item = params["menuPath"].as_str().unwrap_or_default();
            println!("runs {kind} {item}");
            if let Some(seconds) = item.strip_prefix("Wait/") {
                tokio::time::sleep(Duration::from_secs(seconds.parse().unwrap_or(0))).await;
            }
            if item.starts_with("Fail/") {
                json!({"status": "error", "error": format!("{item} failed")})
            } else {
                let message = format!("ran {kind} {item}");
                json!({"status": "success", "result": {"success": true, "message": message, "data": {}}})
            }
        }
    };
    Message::from(answer.to_string())
}
