//! The hub's pure state: seats, registers, queues, silence, sleep and limits, without a socket.
#![allow(
    clippy::disallowed_methods,
    missing_docs,
    reason = "a test may read the clock"
)]

mod any_interleaving;
mod commands;
mod hub;
mod limits;
mod listed;
mod losses;
mod registers;
mod seats;
mod silence;
mod sleep;
mod swaps;
