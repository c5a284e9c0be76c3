//! What clients do: meet, ask, tell, hang up, go.

use super::calls::{self, Call, Stage};
use super::endings::Why;
use super::timing::Timer;
use super::types::{Ask, ClientId, Handout, Item, Output, Ticket};
use super::{Broker, Dialect, Refusal, later};
use crate::native::{Era, Meet};
use mcp_transport_core::delivery::{Full, Replay, Submit};
use mcp_transport_core::handshake::Handshake;
use mcp_transport_core::resilient::replayable::{self, ENDLESS};
use mcp_transport_core::{Kind, Message};
use std::time::{Duration, Instant};

impl Broker {
    /// A client is there: a modern one's connection, or a legacy one that is about to initialise.
    /// A legacy one gets a session, whose name is [`session_name`](Self::session_name).
    ///
    /// # Errors
    /// [`Refusal::Clients`] where there are too many, [`Refusal::ShuttingDown`].
    pub fn meet(&mut self, now: Instant, meet: Meet) -> Result<ClientId, Refusal> {
        if self.shut || self.moved {
            return Err(Refusal::ShuttingDown);
        }
        let is_legacy = meet.era == Era::Legacy;
        if is_legacy && self.clients.sessions() >= self.config.sessions
            || self.clients.len() >= self.config.clients
        {
            // The longest unused session initialises again if it comes back.
            let idle = self.clients.longest_idle();
            let limit = if is_legacy {
                self.config.sessions
            } else {
                self.config.clients
            };
            let idle = idle.ok_or(Refusal::Clients { limit })?;
            self.close(now, idle);
        }
        let session = is_legacy.then(|| self.name());
        let client = self.clients.insert(now, meet, session);
        if is_legacy {
            let idle = later(now, self.config.idle);
            self.timers.set(Timer::Idle(client), idle);
        }
        self.flush(now);
        Ok(client)
    }

    /// The name of a legacy client's session, for its `Mcp-Session-Id`.
    pub fn session_name(&self, client: ClientId) -> Option<&str> {
        self.clients.get(client)?.session.as_deref()
    }

    /// The client whose session has this name; `None` where there is none, or it is over.
    pub fn session(&self, name: &str) -> Option<ClientId> {
        self.clients.session(name)
    }

    /// How many streams of its own (a GET, not those of calls) a client has open. A session with
    /// one is in use.
    pub fn streams(&mut self, now: Instant, client: ClientId, open: usize) {
        if let Some(client) = self.clients.get_mut(client) {
            client.streams = open;
            client.used = now;
        }
    }

    /// A client's request. Its end is one [`Output::Answer`], or one [`Output::Cancelled`], with
    /// this ticket; there is none if the client [hangs up](Self::hang_up) or [goes](Self::gone)
    /// first.
    ///
    /// # Errors
    /// [`Refusal`] says why it was not taken.
    pub fn ask(
        &mut self,
        now: Instant,
        client: ClientId,
        request: Message,
        ask: Ask,
    ) -> Result<Ticket, Refusal> {
        if self.shut || self.moved {
            return Err(Refusal::ShuttingDown);
        }
        let who = self.clients.get_mut(client);
        let who = who.ok_or(Refusal::UnknownClient(client))?;
        who.used = now;
        match request.kind() {
            Kind::Notification { .. } => return Err(Refusal::NotARequest("a notification")),
            Kind::Response { .. } => return Err(Refusal::NotARequest("an answer")),
            Kind::Request { id, .. } if who.is_legacy() && who.ids.contains_key(id) => {
                return Err(Refusal::Duplicate(id.clone()));
            }
            // What is no JSON-RPC goes to hosts of other dialects as it is.
            Kind::Request { .. } | Kind::Opaque(_) => {}
        }
        if self.seat.is_none() && ask.catalogue {
            if let Some(ticket) = self.answer_from_catalogue(client, &request) {
                return Ok(ticket);
            }
        }
        let ticket = self.submit(now, client, request, ask)?;
        self.flush(now);
        Ok(ticket)
    }

    /// A client's notification, or its answer to a request of the host's. It goes to the host that
    /// is there; where none is, it has nobody to go to.
    ///
    /// # Errors
    /// [`Refusal::NotARequest`] where it is a request, or no message; [`Refusal::UnknownClient`].
    pub fn tell(
        &mut self,
        now: Instant,
        client: ClientId,
        message: Message,
    ) -> Result<(), Refusal> {
        let who = self.clients.get_mut(client);
        let who = who.ok_or(Refusal::UnknownClient(client))?;
        who.used = now;
        match message.kind() {
            Kind::Notification {
                method: "notifications/cancelled",
            } => {
                let id = calls::cancelled_id(&message);
                let ticket = id.and_then(|id| who.ids.get(&id).copied());
                if let Some(ticket) = ticket {
                    if self.give_up(now, ticket) {
                        self.outputs.push_back(Output::Cancelled { ticket });
                    }
                }
            }
            Kind::Notification { .. } => {
                who.handshake.said(&message);
                self.aside(client, message);
            }
            Kind::Response { id, .. } => {
                let asked = id.is_none_or(|id| who.theirs.remove(id));
                if asked {
                    self.aside(client, message);
                } else {
                    tracing::debug!(%client, "an answer to a host that is gone was dropped");
                }
            }
            Kind::Request { .. } => return Err(Refusal::NotARequest("a request")),
            Kind::Opaque(_) => return Err(Refusal::NotARequest("no JSON-RPC message")),
        }
        self.flush(now);
        Ok(())
    }

    /// The client no longer waits for this call, and gets no answer: what is queued is withdrawn,
    /// what runs is cancelled.
    pub fn hang_up(&mut self, now: Instant, ticket: Ticket) {
        self.give_up(now, ticket);
        self.flush(now);
    }

    /// Nobody reads the stream of this call any more, and its client may come back for it. What
    /// runs goes on. What no host has yet is withdrawn, and answered as such: nobody knows whether
    /// anybody wants it still.
    pub fn unread(&mut self, now: Instant, ticket: Ticket) {
        if self.is_queued(ticket) {
            self.end_unserved(now, ticket, Why::Unread);
            self.flush(now);
        }
    }

    /// True while no host has this call: [hanging up](Self::hang_up) only withdraws it.
    pub fn is_queued(&self, ticket: Ticket) -> bool {
        self.calls
            .get(ticket)
            .is_some_and(|call| matches!(call.stage, Stage::Queued | Stage::Staged | Stage::Moved))
    }

    /// The client is gone, and so are its calls; but for those whose result it was promised.
    pub fn gone(&mut self, now: Instant, client: ClientId) {
        let Some(who) = self.clients.get(client) else {
            return;
        };
        for ticket in Vec::from_iter(who.calls.iter().copied()) {
            self.give_up(now, ticket);
        }
        self.dismiss(client);
        self.flush(now);
    }

    fn submit(
        &mut self,
        now: Instant,
        client: ClientId,
        request: Message,
        ask: Ask,
    ) -> Result<Ticket, Refusal> {
        let method = request.method().unwrap_or_default();
        let is_endless = method == ENDLESS;
        let replay = ask.replay.unwrap_or_else(|| {
            // A subscription has no effect: the next host takes it up.
            if is_endless {
                Replay::Safe
            } else {
                replayable::replay(method)
            }
        });
        let token = calls::progress_token(&request);
        let budget = ask
            .budget
            .or_else(|| (token.is_none() && !is_endless).then_some(self.config.client_budget));
        let hold = budget.map_or(self.config.hold, |budget| budget.min(self.config.hold));
        let (held, run) = if is_endless {
            (Duration::MAX, Duration::MAX)
        } else {
            (hold, self.config.run)
        };
        let limit = self.config.limits.ops;
        if self.calls.len() >= limit {
            return Err(Refusal::Full(Full::Ops { limit }));
        }
        let op = self.delivery.submit(
            now,
            Submit {
                payload: client,
                bytes: request.len(),
                replay,
                answered: true,
                hold: held,
                run,
            },
        )?;
        self.last_ticket = op.get();
        let ticket = Ticket::from(op.get());
        let due = budget.map(|budget| later(now, budget));
        // What has no end is at least begun in time.
        if let Some(at) = due.or_else(|| is_endless.then(|| later(now, hold))) {
            self.timers.set(Timer::Budget(ticket), at);
        }
        if token.is_some() {
            let at = later(now, super::progress::FIRST);
            self.timers.set(Timer::Progress(ticket), at);
        }
        self.enter(Call {
            op,
            client,
            request,
            replay,
            catalogue: ask.catalogue,
            token,
            progress: 0.0,
            asked: now,
            due,
            stage: Stage::Queued,
            handed: None,
            counted: false,
            told: false,
            acknowledged: false,
            inherited: false,
        });
        Ok(ticket)
    }

    /// A call is known from now on, also by its client's names for it.
    pub(super) fn enter(&mut self, call: Call) {
        let ticket = call.ticket();
        if let Some(who) = self.clients.any_mut(call.client) {
            who.calls.push(ticket);
            let id = call.request.id().filter(|_| !call.told && who.is_legacy());
            if let Some(id) = id {
                who.ids.insert(id.clone(), ticket);
            }
            if let Some(token) = &call.token {
                who.tokens.insert(token.clone(), ticket);
            }
        }
        self.calls.insert(call);
    }

    /// While no host is there, the last one's catalogue answers what it can.
    fn answer_from_catalogue(&mut self, client: ClientId, request: &Message) -> Option<Ticket> {
        let message = self.catalogued(client, request)?;
        let ticket = self.own_ticket();
        self.outputs.push_back(Output::Answer { ticket, message });
        Some(ticket)
    }

    /// A host has gone: what waited for it, and its catalogue answers, waits no longer.
    pub(super) fn answer_held(&mut self, now: Instant) {
        let held = self
            .calls
            .iter()
            .filter(|call| call.catalogue && call.stage == Stage::Queued && !call.told)
            .map(|call| (call.ticket(), call.client, call.request.clone()));
        for (ticket, client, request) in Vec::from_iter(held) {
            if let Some(message) = self.catalogued(client, &request) {
                self.withdraw(ticket);
                self.outputs.push_back(Output::Answer { ticket, message });
                self.forget(now, ticket);
            }
        }
    }

    fn catalogued(&mut self, client: ClientId, request: &Message) -> Option<Message> {
        let who = self.clients.any_mut(client)?;
        let message = self.catalogue.answer(&who.meet, request)?;
        if Handshake::concerns(request) {
            who.handshake.said(request);
            who.handshake.answered(&message);
            who.initialised(&message);
        }
        Some(message)
    }

    /// For the host that is there, without an answer.
    pub(super) fn aside(&mut self, client: ClientId, message: Message) {
        let limits = self.config.limits;
        let rank = self.last_ticket;
        let Some(seat) = &mut self.seat else {
            return;
        };
        let bytes = seat.aside_bytes.saturating_add(message.len());
        if seat.asides.len() >= limits.ops || bytes > limits.bytes {
            tracing::warn!(%client, ?message, "dropped: the host does not pull");
            return;
        }
        seat.aside_bytes = bytes;
        seat.asides.push_back(Handout {
            client,
            meet: None,
            item: Item::Aside(message),
            rank,
        });
    }

    /// Takes a call back. False if it was over for its client already.
    pub(super) fn give_up(&mut self, now: Instant, ticket: Ticket) -> bool {
        let Some(call) = self.calls.get(ticket).filter(|call| !call.told) else {
            return false;
        };
        let (op, client, stage) = (call.op, call.client, call.stage);
        self.withdraw(ticket);
        if matches!(stage, Stage::Out | Stage::Resumed) {
            self.delivery.release(op);
            self.control(client, Item::Cancel(ticket));
        }
        self.forget(now, ticket);
        true
    }

    /// No host sees this call, or sees it again. What a host has stays there.
    pub(super) fn withdraw(&mut self, ticket: Ticket) {
        let Some(call) = self.calls.get(ticket) else {
            return;
        };
        match call.stage {
            Stage::Queued => {
                self.delivery.abandon(call.op);
            }
            Stage::Staged => {
                self.delivery.release(call.op);
                if let Some(seat) = &mut self.seat {
                    seat.staged.remove(&ticket);
                }
            }
            Stage::Out | Stage::Deferred | Stage::Resumed | Stage::Moved => {}
        }
    }

    /// Says something out of turn, where the host understands it.
    pub(super) fn control(&mut self, client: ClientId, item: Item) {
        if let Some(seat) = self
            .seat
            .as_mut()
            .filter(|seat| seat.dialect == Dialect::Native)
        {
            seat.outbox.push_back(Handout {
                client,
                meet: None,
                item,
                rank: 0,
            });
        }
    }
}
