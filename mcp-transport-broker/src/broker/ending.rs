//! How a call ends, whoever ends it, and what goes with a client that is gone.

use super::calls::{Call, Stage};
use super::catalogue::Key;
use super::endings::{self, Why};
use super::seat::End;
use super::timing::Timer;
use super::types::{ClientId, Item, Output, Ticket};
use super::{Broker, Dialect};
use mcp_transport_core::delivery::{self, Cause};
use mcp_transport_core::handshake::Handshake;
use mcp_transport_core::{Kind, Message, Outcome};
use std::collections::HashSet;
use std::time::{Duration, Instant};

/// What a host that went has said it will still answer, and for how long that is waited for.
pub(super) struct Coming {
    pub(super) tickets: HashSet<u64>,
    pub(super) wait: Duration,
}

impl Broker {
    /// The host's answer came; `is_current` where it was asked on this lease, and not in a former
    /// life of the host.
    pub(super) fn finish(
        &mut self,
        now: Instant,
        ticket: Ticket,
        message: Message,
        is_current: bool,
    ) {
        let Some(call) = self.calls.get(ticket) else {
            return;
        };
        let (request, client, told) = (&call.request, call.client, call.told);
        let is_native = self
            .seat
            .as_ref()
            .is_some_and(|seat| seat.dialect == Dialect::Native);
        if is_native && !answers(request, &message) {
            self.end(now, ticket, Outcome::Unknown, Why::NoAnswer);
            return;
        }
        let is_error = is_error(&message);
        let catches_up = !is_current && Handshake::concerns(request) && !is_error;
        let mut learnt = None;
        if let Some(who) = self.clients.any_mut(client) {
            if catches_up {
                who.handshake.said(request);
            }
            who.handshake.answered(&message);
            if request.method() == Some("initialize") && !is_error {
                who.negotiated = None;
                who.initialised(&message);
            }
            if call.catalogue && is_native && !is_error {
                learnt = Key::of(&who.meet, request);
            }
        }
        if let Some(key) = learnt {
            self.learn(key, &message);
        }
        if told {
            self.late.finish(now, ticket, message);
        } else {
            self.outputs.push_back(Output::Answer { ticket, message });
        }
        let call = self.forget(now, ticket);
        if let Some(call) = call.filter(|_| catches_up) {
            self.catch_up(now, client, &call.request);
        }
    }

    /// It ends without the host's answer.
    pub(super) fn end(&mut self, now: Instant, ticket: Ticket, outcome: Outcome, why: Why) {
        let Some(told) = self.calls.get(ticket).map(|call| call.told) else {
            return;
        };
        if !told && outcome == Outcome::Unknown {
            let id = self.name();
            self.late.expect(ticket, id);
        }
        let Some(call) = self.calls.get(ticket) else {
            return;
        };
        let known = (outcome, why);
        let message = endings::ended(now, call, known, self.late.id(ticket), &self.away);
        self.late.finish(now, ticket, message.clone());
        if !told {
            self.outputs.push_back(Output::Answer { ticket, message });
        }
        self.forget(now, ticket);
    }

    /// No host has it, and none will get it.
    pub(super) fn end_unserved(&mut self, now: Instant, ticket: Ticket, why: Why) {
        let Some(call) = self.calls.get(ticket) else {
            return;
        };
        let outcome = if self.delivery.seen(call.op) {
            Outcome::Unknown
        } else {
            Outcome::NotDelivered
        };
        self.withdraw(ticket);
        self.end(now, ticket, outcome, why);
    }

    /// It runs on, and its client is told so, and by which id to ask for the result.
    pub(super) fn tell_running(&mut self, now: Instant, ticket: Ticket) {
        if self.calls.get(ticket).is_none_or(|call| call.told) {
            return;
        }
        let id = self.name();
        self.late.expect(ticket, id);
        let Some(call) = self.calls.get_mut(ticket) else {
            return;
        };
        call.told = true;
        let known = (Outcome::Running, Why::StillRunning);
        let message = endings::ended(now, call, known, self.late.id(ticket), &self.away);
        self.outputs.push_back(Output::Answer { ticket, message });
        self.timers.clear(Timer::Budget(ticket));
        self.timers.clear(Timer::Progress(ticket));
        if let Some(client) = self.clients.any_mut(call.client) {
            client.unname(call);
        }
    }

    /// Does what `delivery` wants done. After every call that changes it.
    pub(super) fn drain(&mut self, now: Instant, coming: Option<&Coming>) {
        while let Some(output) = self.delivery.poll_output() {
            match output {
                delivery::Output::Settle { op, outcome, cause } => {
                    let ticket = Ticket::from(op.get());
                    match coming {
                        Some(coming)
                            if cause == Cause::LinkLost && coming.tickets.contains(&op.get()) =>
                        {
                            self.defer(now, ticket, coming.wait);
                        }
                        _ => self.end(now, ticket, outcome, why(cause)),
                    }
                }
                delivery::Output::Stuck { op, .. } => {
                    let ticket = Ticket::from(op.get());
                    if self
                        .calls
                        .get(ticket)
                        .is_some_and(|call| call.stage == Stage::Out)
                    {
                        self.tell_running(now, ticket);
                    }
                }
                // A cancel is said where the call is given up.
                _ => {}
            }
        }
    }

    /// After every input: what follows from it.
    pub(super) fn flush(&mut self, now: Instant) {
        self.drain(now, None);
        if let Some(snapshot) = self.changed_catalogue() {
            self.outputs.push_back(Output::Catalogue(snapshot));
        }
        self.leave_if_done(now);
        if self.has_something() {
            if let Some(seat) = self.seat.as_mut().filter(|seat| !seat.ready) {
                seat.ready = true;
                self.outputs.push_back(Output::Ready);
            }
        }
    }

    /// The host is gone, and will still answer.
    pub(super) fn defer(&mut self, now: Instant, ticket: Ticket, wait: Duration) {
        if let Some(call) = self.calls.get_mut(ticket) {
            call.stage = Stage::Deferred;
            let until = super::later(now, wait);
            let until = match call.due.filter(|_| !call.told) {
                Some(due) => until.min(due),
                None => until,
            };
            self.timers.set(Timer::Deferred(ticket), until);
        }
    }

    /// A call is over, or nobody waits for it any more.
    pub(super) fn forget(&mut self, now: Instant, ticket: Ticket) -> Option<Call> {
        let call = self.calls.remove(ticket)?;
        for timer in [
            Timer::Budget(ticket),
            Timer::Progress(ticket),
            Timer::Deferred(ticket),
        ] {
            self.timers.clear(timer);
        }
        if let Some(seat) = self.seat.as_mut().filter(|_| call.counted) {
            seat.out -= 1;
        }
        if let Some(client) = self.clients.any_mut(call.client) {
            client.forget(&call);
            client.used = now;
            match client.calls.is_empty() {
                true if client.gone => self.bury(call.client),
                true if client.once => self.dismiss(call.client),
                _ => {}
            }
        }
        Some(call)
    }

    /// The broker ends a session: its calls are answered, and its client must initialise again.
    pub(super) fn close(&mut self, now: Instant, client: ClientId) {
        // The newer broker has the session, if one took over.
        let Some(who) = self.clients.get(client).filter(|_| !self.moved) else {
            return;
        };
        for ticket in Vec::from_iter(who.calls.iter().copied()) {
            match self.calls.get(ticket).map(|call| (call.stage, call.op)) {
                Some((Stage::Out | Stage::Deferred | Stage::Resumed | Stage::Moved, op)) => {
                    self.delivery.release(op);
                    self.end(now, ticket, Outcome::Unknown, Why::SessionOver);
                }
                _ => self.end_unserved(now, ticket, Why::SessionOver),
            }
        }
        self.outputs.push_back(Output::Closed { client });
        self.dismiss(client);
    }

    /// A client is gone; what it has left are calls whose results it was promised.
    pub(super) fn dismiss(&mut self, client: ClientId) {
        self.clients.mark_gone(client);
        self.timers.clear(Timer::Idle(client));
        self.timers.clear(Timer::Replay(client));
        if let Some(seat) = &mut self.seat {
            seat.forget_client(client);
        }
        let is_done = self
            .clients
            .any_mut(client)
            .is_some_and(|client| client.calls.is_empty());
        if is_done {
            self.bury(client);
        }
    }

    /// Nothing of it is left. A host that has met it is told.
    fn bury(&mut self, client: ClientId) {
        let met = self.clients.remove(client).and_then(|client| client.met);
        if met.is_some_and(|lease| self.is_current(lease)) {
            self.control(client, Item::Gone);
        }
    }

    /// The broker is ending: everything is answered, and nothing is taken any more.
    pub fn shut_down(&mut self, now: Instant) {
        self.shut = true;
        for ticket in Vec::from_iter(self.calls.iter().map(Call::ticket)) {
            match self.calls.get(ticket).map(|call| (call.stage, call.op)) {
                Some((Stage::Out | Stage::Deferred | Stage::Resumed | Stage::Moved, op)) => {
                    self.delivery.release(op);
                    self.end(now, ticket, Outcome::Unknown, Why::BrokerEnds);
                }
                _ => self.end_unserved(now, ticket, Why::BrokerEnds),
            }
        }
        self.end_seat(now, End::BrokerEnds, &[], None);
        let clients = self.clients.iter().map(|(id, _)| id);
        for client in Vec::from_iter(clients) {
            self.dismiss(client);
        }
        self.flush(now);
    }
}

const fn why(cause: Cause) -> Why {
    match cause {
        Cause::HoldExpired => Why::HoldExpired,
        Cause::Redelivered => Why::Redelivered,
        _ => Why::LinkLost,
    }
}

/// True if this can go to whoever said the request: an answer to its id, or an error without one.
fn answers(request: &Message, message: &Message) -> bool {
    match message.kind() {
        Kind::Response { id: Some(id), .. } => request.id().is_none_or(|asked| asked == id),
        Kind::Response { id: None, .. } => true,
        _ => false,
    }
}

pub(super) fn is_error(message: &Message) -> bool {
    matches!(message.kind(), Kind::Response { is_error: true, .. })
}
