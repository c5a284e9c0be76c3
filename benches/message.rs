//! What it costs to know what a message is: its envelope, beside whole parses.
//!
//! `cargo bench -p benches --bench message`.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    missing_docs,
    reason = "a bench reads the clock, and criterion's macros make public items"
)]

use benches::{Goal, KIB, MIB, Pair, conclude, payload, timed};
use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group};
use mcp_transport_core::Message;
use rmcp::RoleServer;
use rmcp::service::RxJsonRpcMessage;
use serde_json::Value;
use std::hint::black_box;

fn message(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("message");
    for (name, size) in [
        ("40 B", 40),
        ("1 KiB", KIB),
        ("64 KiB", 64 * KIB),
        ("1 MiB", MIB),
    ] {
        let bytes = Bytes::from(payload(size));
        let ours = |turns| {
            timed(turns, || {
                assert!(Message::from(bytes.clone()).method().is_some())
            })
        };
        let amount = Throughput::Bytes(size as u64);
        let row = format!("envelope, {name} / serde_json::Value");
        Pair::new(&row, Goal::None, amount.clone()).run(&mut group, ours, |turns| {
            timed(turns, || {
                black_box(serde_json::from_slice::<Value>(&bytes).unwrap());
            })
        });
        let row = format!("envelope, {name} / rmcp's types");
        Pair::new(&row, Goal::None, amount).run(&mut group, ours, |turns| {
            timed(turns, || {
                black_box(serde_json::from_slice::<RxJsonRpcMessage<RoleServer>>(&bytes).unwrap());
            })
        });
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = benches::quick();
    targets = message
}

fn main() {
    benches();
    conclude();
}
