//! What the benches share: each figure is measured beside a competitor's in the same run, and what counts is their ratio.
#![expect(
    clippy::disallowed_methods,
    reason = "benches read the clock, and own their threads"
)]

pub mod http;
mod messages;
pub mod process;
pub mod programs;
mod ratios;
pub mod session;
mod threads;

pub use messages::{KIB, MIB, payload};
pub use ratios::{Goal, Pair, conclude, median, save, target, tell};
pub use threads::{Peer, alone, keep_to, resident, runtime, serving};

use criterion::Criterion;
use std::time::{Duration, Instant};

/// For what is over in no time and is the same each time.
pub fn quick() -> Criterion {
    Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
}

/// For what the system has a part in.
pub fn thorough() -> Criterion {
    Criterion::default()
        .sample_size(30)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(3))
}

/// How long so many turns take.
pub fn timed(turns: u64, mut turn: impl FnMut()) -> Duration {
    let start = Instant::now();
    for _ in 0..turns {
        turn();
    }
    start.elapsed()
}
