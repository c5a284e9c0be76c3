//! A call through `Resilient`, beside the same call on the connection itself.
//!
//! `cargo bench -p benches --bench resilient`.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    missing_docs,
    reason = "a bench reads the clock, and owns its tasks"
)]

use benches::{Goal, Pair, conclude, keep_to, runtime, serving};
use criterion::{Criterion, Throughput, criterion_group};
use futures::{SinkExt, StreamExt};
use mcp_transport_core::codec::Lines;
use mcp_transport_core::{Error, Message, Resilient, Transport, loopback};
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;

const CALL: &str = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo"}}"#;
const ANSWER: &str = r#"{"jsonrpc":"2.0","id":1,"result":{"content":[]}}"#;

/// Answers whatever comes, on every connection.
fn host() -> u16 {
    serving(|stream| async {
        let mut client = Lines::framed(stream);
        while let Some(Ok(_)) = client.next().await {
            client.send(Message::from(ANSWER)).await.unwrap();
        }
    })
    .port
}

async fn calls(turns: u64, link: &mut (impl Transport + Unpin)) -> Duration {
    let start = Instant::now();
    for _ in 0..turns {
        link.send(Message::from(CALL)).await.unwrap();
        assert!(link.next().await.unwrap().unwrap().id().is_some());
    }
    start.elapsed()
}

fn resilient(criterion: &mut Criterion) {
    keep_to(1);
    let port = host();
    keep_to(0);
    let runtime: Runtime = runtime();
    let dial = move || async move { Ok::<_, Error>(Lines::framed(loopback::connect(port).await?)) };
    let mut with = runtime.block_on(async { Resilient::spawn(dial) });
    let mut without = runtime.block_on(async { dial().await.unwrap() });
    let mut group = criterion.benchmark_group("resilient");
    Pair::new(
        "call through Resilient / without",
        Goal::AtLeast(0.95),
        Throughput::Elements(1),
    )
    .run(
        &mut group,
        |turns| runtime.block_on(calls(turns, &mut with)),
        |turns| runtime.block_on(calls(turns, &mut without)),
    );
    group.finish();
}

criterion_group! {
    name = benches;
    config = benches::thorough();
    targets = resilient
}

fn main() {
    benches();
    conclude();
}
