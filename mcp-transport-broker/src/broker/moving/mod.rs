//! A newer broker takes over from this one.
//!
//! What waits goes to the newer one at once, and what it answers comes back to the clients that
//! are still connected here ([`Stage::Moved`]). What a host has stays here: the lease lives until
//! it is answered, or for [`FINISH`] more, and then ends with the reason `moved`, so that the host
//! attaches to the newer one. Nothing is in both queues at any time.

mod give;
mod take;
mod wire;

pub use take::Taken;
pub use wire::{HandOver, HeldCall, HeldReplay, HeldSession, KeptResult, Lane};

use super::Broker;
use super::calls::{Call, Stage};
use super::endings::Why;
use super::seat::End;
use super::types::{Output, Ticket};
use mcp_transport_core::{Kind, Message, Outcome};
use serde_json::value::RawValue;
use std::time::{Duration, Instant};

/// How long the host of a broker that was replaced has to answer what it was given: 10 s.
const FINISH: Duration = Duration::from_secs(10);

impl Broker {
    /// Whether a newer broker has taken over from this one.
    pub const fn has_moved(&self) -> bool {
        self.moved
    }

    /// Whether the newer broker has this call.
    pub fn is_moved(&self, ticket: Ticket) -> bool {
        self.calls
            .get(ticket)
            .is_some_and(|call| call.stage == Stage::Moved)
    }

    /// Whether a host is attached.
    pub const fn has_host(&self) -> bool {
        self.seat.is_some()
    }

    /// The newer broker said this about a call that it has: its answer, or what goes before.
    pub fn relayed(&mut self, now: Instant, ticket: Ticket, message: Message) {
        let Some(call) = self.calls.get(ticket).filter(|_| self.is_moved(ticket)) else {
            return;
        };
        let client = call.client;
        match message.kind() {
            Kind::Request { .. } | Kind::Notification { .. } => {
                self.outputs.push_back(Output::Tell {
                    client,
                    about: Some(ticket),
                    message,
                });
            }
            Kind::Response { .. } | Kind::Opaque(_) => {
                self.outputs.push_back(Output::Answer { ticket, message });
                self.forget(now, ticket);
            }
        }
        self.flush(now);
    }

    /// The newer broker says that this call ends without an answer: its client has cancelled it.
    pub fn relay_ended(&mut self, now: Instant, ticket: Ticket) {
        if self.is_moved(ticket) {
            self.outputs.push_back(Output::Cancelled { ticket });
            self.forget(now, ticket);
        }
        self.flush(now);
    }

    /// The newer broker is not there, or went. Whether it gave the call to a host, nobody knows.
    pub fn relay_lost(&mut self, now: Instant, ticket: Ticket) {
        if self.is_moved(ticket) {
            self.end(now, ticket, Outcome::Unknown, Why::SuccessorLost);
        }
        self.flush(now);
    }

    /// The lease ends as soon as its host has nothing more of ours.
    pub(super) fn leave_if_done(&mut self, now: Instant) {
        if !self.moved {
            return;
        }
        let has_nothing = |call: &Call| matches!(call.stage, Stage::Queued | Stage::Moved);
        let is_done = self
            .seat
            .as_ref()
            .is_some_and(|seat| seat.asides.is_empty())
            && self.calls.each().all(has_nothing);
        if is_done {
            self.end_seat(now, End::Moved, &[], None);
        }
    }

    /// The last lease is over: no host will come, and what it left is settled by what is known.
    pub(super) fn end_rest(&mut self, now: Instant) {
        let rest = self.calls.iter().filter(|call| call.stage != Stage::Moved);
        for ticket in Vec::from_iter(rest.map(Call::ticket)) {
            match self.calls.get(ticket).map(|call| call.stage) {
                Some(Stage::Queued | Stage::Staged) => {
                    self.end_unserved(now, ticket, Why::BrokerEnds);
                }
                _ => self.end(now, ticket, Outcome::Unknown, Why::BrokerEnds),
            }
        }
    }
}

/// A message as part of other JSON; `None` for what is none.
pub(crate) fn raw(message: &Message) -> Option<Box<RawValue>> {
    RawValue::from_string(message.as_str()?.to_owned()).ok()
}

/// The message of other JSON.
pub(crate) fn unraw(raw: &RawValue) -> Message {
    Message::from(raw.get().to_owned())
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
