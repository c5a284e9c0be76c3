//! The broker's decisions, sentence by sentence, and as one property over random histories.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    missing_docs,
    unreachable_pub,
    reason = "tests"
)]

mod budgets;
mod calls;
mod catalogue;
mod leases;
mod model;
mod rig;
mod sessions;
mod vectors;
mod wire;
