//! The delivery rule, beside what everybody writes by hand: a queue, and a table of what is under way.
//!
//! `cargo bench -p benches --bench delivery`.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    missing_docs,
    reason = "a bench reads the clock, and criterion's macros make public items"
)]

use benches::{Goal, Pair, conclude};
use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group};
use mcp_transport_core::delivery::{Delivery, Limits, Replay, Submit};
use std::collections::{HashMap, VecDeque};
use std::hint::black_box;
use std::time::{Duration, Instant};

const PAYLOAD: Bytes = Bytes::from_static(br#"{"jsonrpc":"2.0","id":1,"method":"tools/call"}"#);

/// So many wait all the time; each turn one comes, and the oldest goes out and is answered.
fn ruled(turns: u64, depth: usize) -> Duration {
    let mut delivery = Delivery::new(Limits::default().ops(depth + 1));
    let submit = || Submit {
        payload: PAYLOAD,
        bytes: PAYLOAD.len(),
        replay: Replay::Never,
        answered: true,
        hold: Duration::from_secs(120),
        run: Duration::from_secs(600),
    };
    let start = Instant::now();
    for _ in 1..depth {
        delivery.submit(start, submit()).unwrap();
    }
    let link = delivery.attach(usize::MAX).unwrap();
    let start = Instant::now();
    for _ in 0..turns {
        delivery.submit(start, submit()).unwrap();
        let handout = delivery.take(start, link).unwrap();
        black_box(&handout.payload);
        delivery.complete(link, handout.op);
        while let Some(output) = delivery.poll_output() {
            black_box(output);
        }
    }
    start.elapsed()
}

/// Without limits, deadlines, or any rule for a connection that breaks.
fn by_hand(turns: u64, depth: usize) -> Duration {
    let mut queue: VecDeque<(u64, Bytes)> = (1..depth as u64).map(|op| (op, PAYLOAD)).collect();
    let mut under_way: HashMap<u64, Bytes> = HashMap::new();
    let start = Instant::now();
    for next in (depth as u64..).take(turns as usize) {
        queue.push_back((next, PAYLOAD));
        let (op, payload) = queue.pop_front().unwrap();
        under_way.insert(op, payload.clone());
        black_box(payload);
        black_box(under_way.remove(&op));
    }
    start.elapsed()
}

fn delivery(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("delivery");
    for depth in [1, 100, 10_000] {
        let row = format!("delivery, depth {depth} / by hand");
        Pair::new(&row, Goal::None, Throughput::Elements(1)).run(
            &mut group,
            |turns| ruled(turns, depth),
            |turns| by_hand(turns, depth),
        );
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = benches::quick();
    targets = delivery
}

fn main() {
    benches();
    conclude();
}
