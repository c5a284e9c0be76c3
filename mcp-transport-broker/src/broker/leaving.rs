//! How a host goes, and what becomes of what it had.

use super::Broker;
use super::calls::Stage;
use super::ending::Coming;
use super::endings::Why;
use super::seat::{Away, End};
use super::timing::Timer;
use super::types::{Lease, Output};
use crate::native::{Detach, DetachReason};
use mcp_transport_core::delivery::Op;
use mcp_transport_core::{Id, Message, Outcome};
use std::collections::HashSet;
use std::time::{Duration, Instant};

/// For how long an announced answer is waited for, at least; else three gaps.
pub(super) const COMING: Duration = Duration::from_secs(30);
const GAPS: u32 = 3;

impl Broker {
    /// The host goes, and says what it knows.
    pub fn detach(&mut self, now: Instant, lease: Lease, detach: &Detach) {
        if !self.is_current(lease) {
            return;
        }
        let end = match detach.reason {
            DetachReason::ShuttingDown => End::ShuttingDown,
            _ => End::Reloading,
        };
        let mut untouched = self.ops(&detach.untouched);
        if let Some(received) = &detach.received {
            untouched.extend(self.on_the_way(received));
        }
        let gap = Duration::from_millis(detach.gap_ms.unwrap_or_default());
        let coming = Coming {
            tickets: detach.coming.iter().copied().collect(),
            wait: gap.saturating_mul(GAPS).max(COMING),
        };
        self.end_seat(now, end, &untouched, Some(&coming));
        self.answer_held(now);
        self.flush(now);
    }

    /// The host is gone without a word.
    pub fn lost(&mut self, now: Instant, lease: Lease) {
        if self.is_current(lease) {
            self.end_seat(now, End::Lost, &[], None);
            self.answer_held(now);
            self.flush(now);
        }
    }

    /// The lease is over. `untouched` never began; `coming` will still be answered.
    pub(super) fn end_seat(
        &mut self,
        now: Instant,
        end: End,
        untouched: &[Op],
        coming: Option<&Coming>,
    ) {
        let Some(seat) = self.seat.take() else {
            return;
        };
        tracing::info!(host = seat.host.name, ?end, "a lease is over");
        let (mut untouched, mut resumed) = (untouched.to_vec(), Vec::new());
        for call in self.calls.iter_mut() {
            call.counted = false;
            match call.stage {
                Stage::Queued | Stage::Deferred | Stage::Moved => continue,
                Stage::Resumed => {
                    resumed.push(call.ticket());
                    continue;
                }
                Stage::Staged => untouched.push(call.op),
                Stage::Out => {}
            }
            call.stage = Stage::Queued;
        }
        self.away = Away {
            since: Some(now),
            end: Some(end),
            host: seat.host.name.clone(),
        };
        self.timers.clear(Timer::Lease);
        self.timers.clear(Timer::Grace);
        self.past.insert(&seat, end);
        self.leave_clients();
        self.delivery.detach(now, seat.lease.0, &untouched);
        self.drain(now, coming);
        for ticket in resumed {
            match coming.filter(|coming| coming.tickets.contains(&ticket.get())) {
                Some(coming) => self.defer(now, ticket, coming.wait),
                None => self.end(now, ticket, Outcome::Unknown, Why::LinkLost),
            }
        }
        if self.moved {
            self.end_rest(now);
        }
        self.outputs
            .push_back(Output::LeaseOver { lease: seat.lease });
    }

    /// What belongs to the lease goes with it; clients hear that nobody waits for their answers.
    fn leave_clients(&mut self) {
        for (id, client) in self.clients.iter_mut() {
            client.handshake.lost();
            if client.replay.take().is_some() {
                self.timers.clear(Timer::Replay(id));
            }
            for theirs in std::mem::take(&mut client.theirs) {
                self.outputs.push_back(Output::Tell {
                    client: id,
                    about: None,
                    message: cancelled(&theirs),
                });
            }
        }
    }

    /// What the host was given, and says that it never got.
    pub(super) fn on_the_way(&self, received: &[u64]) -> Vec<Op> {
        let received = received.iter().copied().collect::<HashSet<u64>>();
        self.calls
            .iter()
            .filter(|call| call.stage == Stage::Out && !received.contains(&call.op.get()))
            .map(|call| call.op)
            .collect()
    }

    fn ops(&self, tickets: &[u64]) -> Vec<Op> {
        tickets
            .iter()
            .filter_map(|&ticket| self.delivery.op(ticket))
            .collect()
    }
}

fn cancelled(id: &Id) -> Message {
    #[derive(serde::Serialize)]
    struct Params<'a> {
        #[serde(rename = "requestId")]
        id: &'a Id,
        reason: &'a str,
    }
    let params = Params {
        id,
        reason: "the host that asked is gone",
    };
    Message::notification("notifications/cancelled", Some(params))
        .expect("ids and text always serialise")
}
