//! What a host says: answers, messages for clients, marks.

use super::Broker;
use super::calls::{self, Call, Stage};
use super::seat::Own;
use super::types::{ClientId, Item, Lease, Output, Pushed, Ticket};
use mcp_transport_core::delivery::{Answer, Op};
use mcp_transport_core::{Kind, Message};
use std::time::Instant;

/// The first thing that a host says on a subscription.
const ACKNOWLEDGED: &str = "notifications/subscriptions/acknowledged";

impl Broker {
    /// The host's answer to this ticket, of this lease or of a former one that it has named.
    pub fn answer(
        &mut self,
        now: Instant,
        lease: Lease,
        ticket: Ticket,
        message: Message,
    ) -> Pushed {
        let Some(seat) = self.seat.as_mut().filter(|seat| seat.lease == lease) else {
            return Pushed::Stray;
        };
        if let Some(own) = seat.own.remove(&ticket) {
            match own {
                Own::Replay(client, is_first) => {
                    self.replay_answered(now, client, is_first, &message);
                }
                Own::Inquiry(client, key) => self.inquiry_answered(client, key, &message),
            }
            self.flush(now);
            return Pushed::Answered;
        }
        let Some(op) = self.delivery.op(ticket.get()) else {
            return Pushed::Stray;
        };
        let pushed = match (self.claim(op, ticket), self.calls.get(ticket)) {
            (None, _) => Pushed::Stray,
            (Some(is_current), Some(call)) => {
                let told = call.told;
                self.finish(now, ticket, message, is_current);
                if told { Pushed::Late } else { Pushed::Answered }
            }
            (Some(_), None) => {
                self.late.finish(now, ticket, message);
                Pushed::Late
            }
        };
        self.flush(now);
        pushed
    }

    /// What the host has and has not answered, the oldest first; nothing, where the lease is over.
    pub fn outstanding(&self, lease: Lease) -> impl Iterator<Item = Ticket> + '_ {
        let is_current = self.is_current(lease);
        let calls = self.calls.iter();
        calls
            .filter(move |call| is_current && call.stage == Stage::Out)
            .map(Call::ticket)
    }

    /// Whose call this is, and what was asked; `None` where it is over. For hosts whose answers have
    /// to be put right before the client gets them.
    pub fn request(&self, ticket: Ticket) -> Option<(ClientId, &Message)> {
        let call = self.calls.get(ticket)?;
        Some((call.client, &call.request))
    }

    /// The host has begun this: it can no longer claim it untouched.
    pub fn started(&mut self, lease: Lease, ticket: Ticket) {
        if let Some(call) = self.calls.get(ticket) {
            if call.stage == Stage::Out {
                self.delivery.started(lease.0, call.op);
            }
        }
    }

    /// The host says something to a client: a notification or a request of its own, `about` one of
    /// the client's calls where it knows which.
    pub fn say(
        &mut self,
        now: Instant,
        lease: Lease,
        client: ClientId,
        about: Option<Ticket>,
        message: Message,
    ) {
        if !self.is_current(lease) {
            return;
        }
        if self.is_inquirer(client) {
            self.answer_for_inquirer(client, &message);
            self.flush(now);
            return;
        }
        let Some(who) = self.clients.get_mut(client) else {
            tracing::debug!(%client, "said to a client that is gone");
            return;
        };
        let mut about = about.filter(|ticket| who.calls.contains(ticket));
        match message.kind() {
            Kind::Request { id, .. } if !who.is_legacy() => {
                // It takes none, and the host must not wait for ever.
                let text =
                    "clients of 2026-07-28 take no requests; answer theirs with `input_required`";
                let refusal = Message::error(Some(id), -32601, text, None::<()>);
                self.aside(client, refusal);
                self.flush(now);
                return;
            }
            Kind::Request { id, .. } => {
                if who.theirs.len() >= self.config.limits.ops {
                    tracing::warn!(%client, "dropped a request: the client answers none");
                    return;
                }
                who.theirs.insert(id.clone());
            }
            Kind::Notification { method } => match method {
                "notifications/progress" => {
                    let progress = calls::progress(&message);
                    let ticket = progress
                        .as_ref()
                        .and_then(|(token, _)| who.tokens.get(token).copied());
                    about = about.or(ticket);
                    if let (Some(ticket), Some((_, value))) = (ticket, progress) {
                        if let Some(call) = self.calls.get_mut(ticket) {
                            call.progress = call.progress.max(value);
                        }
                    }
                }
                "notifications/cancelled" => {
                    calls::cancelled_id(&message).map(|id| who.theirs.remove(&id));
                }
                _ => {}
            },
            Kind::Response { .. } | Kind::Opaque(_) => {
                tracing::warn!(%client, ?message, "dropped: neither a notification nor a request");
                return;
            }
        }
        if !who.is_legacy() {
            // It has one call at a time, or its newest is the one that it listens to.
            about = about.or_else(|| who.calls.last().copied());
        }
        if message.method() == Some(ACKNOWLEDGED) && self.is_acknowledged_again(about) {
            return;
        }
        let about = about.filter(|ticket| self.calls.get(*ticket).is_some_and(|call| !call.told));
        self.outputs.push_back(Output::Tell {
            client,
            about,
            message,
        });
        self.flush(now);
    }

    /// The host has ended what served this client. A legacy client must initialise again; the next
    /// call of a modern one is served afresh.
    pub fn closed(&mut self, now: Instant, lease: Lease, client: ClientId) {
        if !self.is_current(lease) {
            return;
        }
        let Some(who) = self.clients.any_mut(client) else {
            self.end_inquiry(client);
            return;
        };
        who.met = None;
        if who.is_legacy() {
            self.close(now, client);
        } else {
            self.end_running(now, client);
        }
        self.flush(now);
    }

    /// Whether the host got what it answers: on this lease (true) or in a former life of it
    /// (false).
    fn claim(&mut self, op: Op, ticket: Ticket) -> Option<bool> {
        let seat = self.seat.as_ref()?;
        let call = self.calls.get(ticket);
        // The broker from which this one took over gave it out.
        if call.is_some_and(|call| call.inherited && call.stage == Stage::Resumed) {
            return seat.inherits.then_some(false);
        }
        // What this host was not given it cannot answer, but for what a former life of it got.
        let is_held_back = call.is_some_and(|call| call.stage == Stage::Staged);
        let own = seat.lease.0;
        let current = (!is_held_back).then_some(own);
        let mut links = current.into_iter().chain(seat.formers.iter().copied());
        let link = links.find(|link| self.delivery.complete(*link, op) != Answer::Stray)?;
        if is_held_back {
            self.withdraw(ticket);
        }
        Some(link == own)
    }

    /// A subscription is acknowledged once: a host that takes it over says it again, and its client
    /// has heard it.
    fn is_acknowledged_again(&mut self, about: Option<Ticket>) -> bool {
        let call = about.and_then(|ticket| self.calls.get_mut(ticket));
        let Some(call) = call.filter(|call| call.is_endless()) else {
            return false;
        };
        self.delivery.proved(call.op);
        std::mem::replace(&mut call.acknowledged, true)
    }

    /// The calls that the host had of this client get no answer.
    fn end_running(&mut self, now: Instant, client: ClientId) {
        let Some(who) = self.clients.any_mut(client) else {
            return;
        };
        for ticket in Vec::from_iter(who.calls.iter().copied()) {
            if let Some(op) = self
                .calls
                .get(ticket)
                .filter(|call| matches!(call.stage, Stage::Out | Stage::Resumed))
                .map(|call| call.op)
            {
                self.delivery.release(op);
                let unknown = mcp_transport_core::Outcome::Unknown;
                self.end(now, ticket, unknown, super::endings::Why::SessionOver);
            }
        }
    }

    /// Nobody is there who could answer for the broker's own clients.
    fn answer_for_inquirer(&mut self, client: ClientId, message: &Message) {
        let Kind::Request { id, method } = message.kind() else {
            return;
        };
        let answer = if method == "ping" {
            Message::response(id, serde_json::json!({})).ok()
        } else {
            let text = format!("Method not found: {method}; this client only asks what is offered");
            Some(Message::error(Some(id), -32601, &text, None::<()>))
        };
        if let Some(answer) = answer {
            self.control(client, Item::Aside(answer));
        }
    }
}
