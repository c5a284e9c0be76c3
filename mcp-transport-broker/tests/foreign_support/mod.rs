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

use crate::server_support::{Raw, Response, TOKEN};
use mcp_transport_broker::run::Dialect;
use mcp_transport_broker::server::ServerConfig;
use serde_json::{Value, json};

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
