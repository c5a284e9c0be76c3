//! What this file is when it is started again, by the variable `PEER`.

use futures::{SinkExt, StreamExt};
use mcp_transport_core::{Connector, Error, ErrorKind, Message};
use mcp_transport_stdio::{ChildConnector, StdioConfig, StdioTransport, stdio};
use serde_json::json;
use std::io::Read;
use std::process::Command;

/// This file, in this role.
pub(crate) fn command(role: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", "peer::the_other_end", "--nocapture"])
        // With one thread the harness leaves a line open, for our first message to stand in.
        .env("RUST_TEST_THREADS", "2")
        .env("PEER", role);
    command
}

/// Not a test, but the other end of most: it does nothing unless it was started as one.
///
/// The test harness greets on standard output before us, as many a program does.
#[test]
fn the_other_end() {
    let Ok(role) = std::env::var("PEER") else {
        return;
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        match role.as_str() {
            "serve" => serve(stdio().unwrap()).await,
            "serve without a parent" => {
                serve(StdioConfig::new().watch_parent(false).open().unwrap()).await;
            }
            "keep a child" => keep_a_child().await,
            "leave a child" => drop(stubborn_child().await),
            other => panic!("no such role: {other}"),
        }
    });
    drop(runtime);
    std::process::exit(0);
}

async fn serve(mut client: StdioTransport) {
    while let Some(message) = client.next().await {
        let message = message.unwrap();
        let Some(id) = message.id() else { continue };
        let result = match message.method().unwrap() {
            "pid" => json!(std::process::id()),
            "pipes" => json!(format!("{client:?}")),
            "print" => {
                println!("printed by a handler");
                let shell = Command::new("echo").arg("printed by a child").status();
                json!(shell.unwrap().success())
            }
            "read" => json!(std::io::stdin().read(&mut [0; 8]).unwrap()),
            "again" => {
                let error: Error = stdio().unwrap_err();
                json!([error.kind() == ErrorKind::Closed, error.to_string()])
            }
            "crash" => {
                eprintln!("cannot go on");
                std::process::exit(3);
            }
            _ => json!({ "echo": message.params() }),
        };
        client
            .send(Message::response(id, result).unwrap())
            .await
            .unwrap();
    }
}

/// Tells the child's process id, and waits for its own end.
async fn keep_a_child() {
    let _child = stubborn_child().await;
    std::future::pending().await
}

/// Starts a child that minds neither the end of its input nor `SIGTERM`, and tells its process id.
async fn stubborn_child() -> impl Sized {
    let script = "trap '' TERM HUP; sleep 1000 & while :; do sleep 1000; done";
    let child = ChildConnector::new(super::sh(script))
        .connect()
        .await
        .unwrap();
    println!("child {}", child.id());
    child
}
