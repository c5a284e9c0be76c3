//! The delivery rule: one state machine for everybody who holds calls over a gap.
//!
//! ```text
//!            submit                take                    started (the host said so)
//!  (nothing) ──────► Queued ───────────────► Delivered ──────────────► Started
//!                    ▲    │  ◄───────────────┘   │  │                      │
//!                    │    │      give_back       │  │ complete             │ complete
//!        hold, abandon    │                      │  ▼                      ▼
//!                    │    ▼                      │ Done ◄──────────────────┘
//!                    │  NotDelivered             │
//!                    └───────────────────────────┤ detach
//!                      untouched, or replay-safe │
//!                      and not yet too often     └──► Unknown
//! ```
//!
//! | where was it when the connection went? | [`Replay::Safe`] | [`Replay::HostGuards`] | [`Replay::Never`] |
//! |---|---|---|---|
//! | queued, or given back | kept | kept | kept |
//! | delivered, and the host proves that it never started it | again | again | again |
//! | delivered, nothing known | again | again, flagged | settled as unknown |
//!
//! What is sent again keeps its [`Op`], and with it its place: the oldest goes first. It is sent
//! again at most as often as [`Limits::redeliveries`] says, then settled as unknown.
//!
//! Pure: no I/O, no clock, no ids of any protocol. Mutate, then drain [`Delivery::poll_output`],
//! then arm one timer for [`Delivery::poll_timeout`].

mod machine;
mod remembered;
mod table;
mod types;

pub use machine::Delivery;
pub use types::{
    Abandoned, Answer, Busy, Cause, Full, Handout, Limits, Link, Op, Output, Replay, Submit,
};
