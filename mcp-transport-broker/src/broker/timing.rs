//! What is due, and what a sleep gives back.

use super::calls::Stage;
use super::endings::Why;
use super::seat::End;
use super::types::{ClientId, Ticket};
use super::{Broker, later};
use mcp_transport_core::Outcome;
use std::time::{Duration, Instant};

#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(super) enum Timer {
    /// Its client is answered now at the latest.
    Budget(Ticket),
    /// Its client hears what goes on.
    Progress(Ticket),
    /// The announced answer has not come; or its host, which is back, runs it for long.
    Deferred(Ticket),
    /// The host has not taken the session up in time.
    Replay(ClientId),
    /// The session may be unused.
    Idle(ClientId),
    /// The host may be silent.
    Lease,
    /// The host that holds a connection has none.
    Grace,
    /// The host of a broker that was replaced has had its time.
    Moved,
}

impl Broker {
    /// When [`handle_timeout`](Self::handle_timeout) is due.
    pub fn poll_timeout(&self) -> Option<Instant> {
        [
            self.timers.next(),
            self.delivery.poll_timeout(),
            self.late.next(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// Does what is due. Harmless before.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.delivery.handle_timeout(now);
        self.drain(now, None);
        self.late.expire(now);
        while let Some(timer) = self.timers.pop(now) {
            match timer {
                Timer::Budget(ticket) => self.budget_is_spent(now, ticket),
                Timer::Progress(ticket) => self.tell_progress(now, ticket),
                Timer::Deferred(ticket) => self.answer_is_due(now, ticket),
                Timer::Replay(client) => {
                    tracing::info!(%client, "the host did not take the session up in time");
                    self.close(now, client);
                }
                Timer::Idle(client) => self.end_if_idle(now, client),
                Timer::Lease => self.end_if_silent(now),
                Timer::Grace => {
                    self.end_seat(now, End::Lost, &[], None);
                    self.answer_held(now);
                }
                Timer::Moved => self.end_seat(now, End::Moved, &[], None),
            }
        }
        self.flush(now);
    }

    /// The machine slept for this long, by the clock that `now` is from: every deadline moves.
    pub fn slept(&mut self, gap: Duration) {
        self.delivery.slept(gap);
        self.timers.slept(gap);
        self.late.slept(gap);
        for call in self.calls.each_mut() {
            call.asked = later(call.asked, gap);
            call.due = call.due.map(|due| later(due, gap));
            call.handed = call.handed.map(|handed| later(handed, gap));
        }
        for client in self.clients.each_mut() {
            client.used = later(client.used, gap);
        }
        if let Some(seat) = &mut self.seat {
            seat.heard = later(seat.heard, gap);
        }
    }

    fn budget_is_spent(&mut self, now: Instant, ticket: Ticket) {
        let Some(call) = self.calls.get(ticket).filter(|call| !call.told) else {
            return;
        };
        let has_begun = call.is_endless() && call.acknowledged;
        match call.stage {
            Stage::Out if call.is_endless() => {}
            Stage::Moved => {}
            Stage::Out | Stage::Resumed => self.tell_running(now, ticket),
            Stage::Deferred => self.end(now, ticket, Outcome::Unknown, Why::AnswerMissing),
            Stage::Queued | Stage::Staged if has_begun => {}
            Stage::Queued | Stage::Staged => {
                self.end_unserved(now, ticket, Why::HoldExpired);
            }
        }
    }

    fn answer_is_due(&mut self, now: Instant, ticket: Ticket) {
        match self.calls.get(ticket).map(|call| call.stage) {
            Some(Stage::Resumed) => self.tell_running(now, ticket),
            _ => self.end(now, ticket, Outcome::Unknown, Why::AnswerMissing),
        }
    }

    fn end_if_idle(&mut self, now: Instant, client: ClientId) {
        let Some(who) = self.clients.get(client) else {
            return;
        };
        let until = later(who.used, self.config.idle);
        if !who.is_idle() {
            let again = later(now, self.config.idle);
            self.timers.set(Timer::Idle(client), again);
        } else if until > now {
            self.timers.set(Timer::Idle(client), until);
        } else {
            self.close(now, client);
        }
    }

    fn end_if_silent(&mut self, now: Instant) {
        let Some(seat) = &self.seat else {
            return;
        };
        match seat.check_at(self.youngest(), self.config.silence) {
            Some(at) if at <= now => {
                self.end_seat(now, End::Stale, &[], None);
                self.answer_held(now);
            }
            _ => self.arm_lease(),
        }
    }
}
