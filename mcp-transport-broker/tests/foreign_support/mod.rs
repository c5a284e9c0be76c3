//! Hosts that speak other dialects, and clients that only post.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    dead_code,
    missing_docs,
    unreachable_pub,
    reason = "tests wait, and each uses a part of this"
)]

pub mod parser;
pub mod plugin;

use crate::server_support::{PATIENCE, Raw, Response, TOKEN, host_ask};
use mcp_transport_broker::run::Dialect;
use mcp_transport_broker::server::ServerConfig;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::{sleep, timeout};

pub fn funplay() -> ServerConfig {
    ServerConfig::new(TOKEN)
        .unwrap()
        .dialects([Dialect::Funplay])
}

pub fn seed() -> ServerConfig {
    ServerConfig::new(TOKEN).unwrap().dialects([Dialect::Seed])
}

/// A call whose effect is known by `n`, and which takes so many milliseconds.
pub fn call(n: i64, ms: u64) -> Value {
    json!({"jsonrpc": "2.0", "id": n, "method": "tools/call",
        "params": {"name": "echo", "arguments": {"n": n, "ms": ms}}})
}

/// A client that has posted, and not read.
pub async fn posts(port: u16, body: &Value) -> Raw {
    let mut raw = Raw::to(port).await;
    raw.send("POST /", &[], Some(&body.to_string())).await;
    raw
}

pub async fn post(port: u16, body: &Value) -> Response {
    posts(port, body).await.response().await
}

/// Waits until the broker says so of itself.
pub async fn status(port: u16, is_so: impl Fn(&Value) -> bool) {
    let look = async {
        let mut raw = Raw::to(port).await;
        loop {
            let status = host_ask(&mut raw, None, "status", &json!({})).await.json();
            if is_so(&status) {
                return;
            }
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, look).await.expect("that in time");
}

/// Waits until so many calls are queued.
pub async fn queued(port: u16, calls: usize) {
    status(port, |status| status["queued"] == calls).await;
}

/// Waits until the host that is attached has so many connections.
pub async fn connections(port: u16, open: usize) {
    status(port, |status| status["host"]["connections"] == open).await;
}
