//! A call through the broker, beside the same call to a server that answers at once.
//!
//! - `cargo bench -p benches --bench broker`: read the ratio to `direct`, which is hyper alone: what a broker, a host and two
//!   more sockets cost. After each run the broker's own processor time per call is printed (Linux). `funplay` is a plugin as it
//!   is installed: one call at a time, a connection for each request.
//! - `… --bench broker -- stalled`: what 8 readers that have stopped in an answer of 8 MiB do to others.
//! - `… --bench broker -- back`: how long the port is away when the broker is killed. Takes three minutes.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    missing_docs,
    reason = "a bench reads the clock, and owns its threads"
)]

mod back;
mod calls;
mod peers;
mod stalled;

use calls::load;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group};
use mcp_transport_broker::run::{Dialect, broker_main};
use peers::{broker, direct, native_host, plugin};
use std::process::ExitCode;
use std::time::Duration;

fn through_the_broker(c: &mut Criterion) {
    let direct = direct();
    let native = broker(vec![Dialect::Native]);
    native_host(native.port);
    let funplay = broker(vec![Dialect::Funplay]);
    plugin(funplay.port);
    let peers = [
        ("direct", &direct),
        ("native", &native),
        ("funplay", &funplay),
    ];
    let mut group = c.benchmark_group("call");
    group.throughput(Throughput::Elements(1));
    for connections in [1, 8, 64] {
        for (name, peer) in peers {
            let (mut spent, mut made) = (Duration::ZERO, 0);
            group.bench_function(BenchmarkId::new(name, connections), |bench| {
                bench.iter_custom(|count| {
                    let before = peer.processor();
                    let took = load(peer.port, connections, count);
                    spent += peer.processor() - before;
                    made += count;
                    took
                });
            });
            if made > 0 {
                let each = spent.as_secs_f64() * 1e6 / made as f64;
                println!(
                    "{name}/{connections}: {each:.1} us of processor time per call in its thread"
                );
            }
        }
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(3));
    targets = through_the_broker
}

fn main() -> ExitCode {
    // The broker that `back` kills is this program once more.
    if let Some(code) = broker_main() {
        return code;
    }
    let told: Vec<String> = std::env::args().skip(1).collect();
    let is_told = |section: &str| told.iter().any(|it| it == section);
    if is_told("back") {
        back::kill_and_measure();
    } else if is_told("stalled") {
        stalled::with_and_without();
    } else {
        benches();
        Criterion::default().configure_from_args().final_summary();
    }
    ExitCode::SUCCESS
}
