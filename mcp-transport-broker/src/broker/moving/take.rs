//! The newer one's side: what comes.

use super::{HandOver, HeldCall, HeldSession, KeptResult, unraw};
use crate::broker::calls::{Call, Stage, progress_token};
use crate::broker::clients::Client;
use crate::broker::progress::FIRST;
use crate::broker::timing::Timer;
use crate::broker::types::{ClientId, Output, Ticket};
use crate::broker::{Broker, Refusal, later};
use crate::native::Era;
use mcp_transport_core::delivery::{Op, Submit};
use mcp_transport_core::handshake::Handshake;
use mcp_transport_core::{Kind, Message};
use std::time::{Duration, Instant};

/// A call that was taken over, and whose answer is going to be claimed.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Taken {
    /// By which.
    pub operation_id: String,
    /// Which.
    pub ticket: Ticket,
    /// Whose.
    pub client: ClientId,
    /// Of which era that is.
    pub era: Era,
}

impl Broker {
    /// Takes what an older broker gave; for a broker that has nothing yet. Sessions, short names
    /// and tickets stay what they were, so that hosts and clients need not know.
    ///
    /// What it has no room for is refused as any call would be, as soon as it is claimed.
    pub fn take_over(&mut self, now: Instant, over: HandOver) -> Vec<Taken> {
        self.clients.skip_to(over.last_client);
        self.last_own = self.last_own.max(over.last_own);
        for session in &over.sessions {
            self.take_session(now, session);
        }
        for lane in &over.lanes {
            let client = ClientId(lane.client);
            self.clients.restore(client, now, lane.meet.clone(), None);
            if let Some(client) = self.clients.any_mut(client) {
                client.once = true;
            }
        }
        self.past.inherit(over.leases);
        self.take_results(now, over.results);
        self.catalogue.restore(over.catalogue);
        let mut calls = over.calls;
        calls.sort_by_key(|call| call.ticket);
        let taken = calls
            .into_iter()
            .filter_map(|held| self.take_call(now, held));
        let taken = Vec::from_iter(taken);
        self.delivery.skip_to(over.last_ticket);
        self.last_ticket = self.last_ticket.max(over.last_ticket);
        self.flush(now);
        taken
    }

    /// Takes what the older broker's host has said [since](Self::rest).
    pub fn take_rest(&mut self, now: Instant, rest: HandOver) {
        self.take_results(now, rest.results);
        for held in &rest.sessions {
            let id = ClientId(held.client);
            let Some(client) = self.clients.get_mut(id) else {
                continue;
            };
            let is_new = client.negotiated.is_none() && held.negotiated.is_some();
            if !is_new || client.session.as_ref() != Some(&held.session) {
                continue;
            }
            set_up(client, held);
            self.begin_replay(now, id);
        }
        self.flush(now);
    }

    fn take_results(&mut self, now: Instant, results: Vec<KeptResult>) {
        for result in results {
            let left = result.left_ms.map(Duration::from_millis);
            let message = result.message.as_deref().map(unraw);
            let ticket = Ticket::from(result.ticket);
            self.late
                .take_over(now, ticket, result.operation_id, message, left);
        }
    }

    fn take_session(&mut self, now: Instant, held: &HeldSession) {
        let id = ClientId(held.client);
        let idle = Duration::from_millis(held.idle_ms);
        let used = now.checked_sub(idle).unwrap_or(now);
        let (meet, session) = (held.meet.clone(), held.session.clone());
        self.clients.restore(id, used, meet, Some(session));
        if let Some(client) = self.clients.any_mut(id) {
            set_up(client, held);
        }
        let until = later(used, self.config.idle).max(now);
        self.timers.set(Timer::Idle(id), until);
    }

    fn take_call(&mut self, now: Instant, held: HeldCall) -> Option<Taken> {
        let (client, ticket) = (ClientId(held.client), Ticket::from(held.ticket));
        let era = self.clients.any_mut(client)?.meet.era;
        let request = unraw(&held.message);
        let op = match held.coming_ms {
            Some(_) => {
                self.delivery.skip_to(held.ticket);
                self.delivery.op(held.ticket)
            }
            None => self.queue(now, client, &held, &request),
        };
        let taken = Taken {
            operation_id: held.operation_id,
            ticket,
            client,
            era,
        };
        let Some(op) = op else {
            return Some(taken);
        };
        let after = |ms: u64| later(now, Duration::from_millis(ms));
        let due = held.budget_ms.map(after);
        if let Some(at) = due.filter(|_| !held.told) {
            self.timers.set(Timer::Budget(ticket), at);
        }
        if let Some(coming) = held.coming_ms {
            self.timers.set(Timer::Deferred(ticket), after(coming));
        }
        let token = progress_token(&request).filter(|_| !held.told);
        if token.is_some() {
            self.timers.set(Timer::Progress(ticket), later(now, FIRST));
        }
        let age = Duration::from_millis(held.age_ms);
        self.enter(Call {
            op,
            client,
            request,
            replay: held.replay.into(),
            catalogue: held.catalogue,
            token,
            progress: held.progress,
            asked: now.checked_sub(age).unwrap_or(now),
            due,
            stage: match held.coming_ms {
                Some(_) => Stage::Deferred,
                None => Stage::Queued,
            },
            handed: None,
            counted: false,
            told: held.told,
            acknowledged: false,
            inherited: held.coming_ms.is_some(),
        });
        (!held.told).then_some(taken)
    }

    /// Into the queue, under its old number; `None` where there is no room, and it is answered.
    fn queue(
        &mut self,
        now: Instant,
        client: ClientId,
        held: &HeldCall,
        request: &Message,
    ) -> Option<Op> {
        self.delivery.skip_to(held.ticket.saturating_sub(1));
        let submitted = self.delivery.submit(
            now,
            Submit {
                payload: client,
                bytes: request.len(),
                replay: held.replay.into(),
                answered: true,
                hold: Duration::from_millis(held.hold_ms),
                run: self.config.run,
            },
        );
        match submitted {
            Ok(op) => {
                if held.seen {
                    self.delivery.mark_seen(op);
                }
                Some(op)
            }
            Err(full) => {
                let message = Refusal::Full(full).to_answer(request.id());
                let ticket = Ticket::from(held.ticket);
                self.outputs.push_back(Output::Answer { ticket, message });
                None
            }
        }
    }
}

fn set_up(client: &mut Client, held: &HeldSession) {
    client.negotiated.clone_from(&held.negotiated);
    client.declared = held.declared;
    for step in held.handshake.iter().map(|step| unraw(step)) {
        say(&mut client.handshake, &step);
    }
}

/// A step of a handshake that was taken at its time.
fn say(handshake: &mut Handshake, step: &Message) {
    handshake.said(step);
    if let Kind::Request { id, .. } = step.kind() {
        if let Ok(answer) = Message::response(id, serde_json::json!({})) {
            handshake.answered(&answer);
        }
    }
}
