//! A call through the broker, beside the same call to a server that answers at once.
//!
//! - `cargo bench -p benches --bench broker`: the ratio to hyper alone says what a broker, a host and two more sockets cost.
//!   With each the processor time per call of either's own thread is printed (Linux). Funplay is a plugin as it is installed:
//!   one call at a time, a connection for each request.
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

use benches::{Goal, Pair, Peer, conclude};
use calls::load;
use criterion::{Criterion, Throughput, criterion_group};
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
    let mut group = c.benchmark_group("call");
    for connections in [1, 8, 64] {
        for (dialect, broker) in [("native", &native), ("Funplay", &funplay)] {
            let mut ours = Calls::to(broker, connections);
            let mut theirs = Calls::to(&direct, connections);
            let plural = if connections == 1 { "" } else { "s" };
            let name = format!(
                "call through the broker, {dialect}, {connections} connection{plural} / hyper alone"
            );
            Pair::new(&name, Goal::None, Throughput::Elements(1)).run(
                &mut group,
                |turns| ours.make(turns),
                |turns| theirs.make(turns),
            );
            ours.tell(&format!("broker, {dialect}"));
            theirs.tell("hyper alone");
        }
    }
    group.finish();
}

/// Calls to one peer, and what they cost it.
struct Calls<'a> {
    peer: &'a Peer,
    connections: u64,
    made: u64,
    spent: Duration,
}

impl<'a> Calls<'a> {
    fn to(peer: &'a Peer, connections: u64) -> Self {
        Self {
            peer,
            connections,
            made: 0,
            spent: Duration::ZERO,
        }
    }

    fn make(&mut self, turns: u64) -> Duration {
        let before = self.peer.processor();
        let took = load(self.peer.port, self.connections, turns);
        self.spent += self.peer.processor() - before;
        self.made += turns;
        took
    }

    /// Criterion may have left them out; then there is nothing to say.
    fn tell(&self, who: &str) {
        if self.made > 0 {
            let each = self.spent.as_secs_f64() * 1e6 / self.made as f64;
            println!("{who}: {each:.1} us of processor time per call in its thread");
        }
    }
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
        conclude();
    }
    ExitCode::SUCCESS
}
