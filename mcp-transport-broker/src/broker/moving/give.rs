//! The older one's side: what goes.

use super::{FINISH, HandOver, HeldCall, HeldSession, Lane, millis, raw};
use crate::broker::calls::{Call, Stage};
use crate::broker::clients::Client;
use crate::broker::endings::Why;
use crate::broker::timing::Timer;
use crate::broker::types::{ClientId, Output, Ticket};
use crate::broker::{Broker, later};
use mcp_transport_core::handshake::Handshake;
use mcp_transport_core::{Kind, Message};
use serde_json::value::RawValue;
use std::collections::BTreeSet;
use std::time::Instant;

impl Broker {
    /// Gives what waits to a newer broker, once. From now on this one takes nothing more, and only
    /// finishes what its host has.
    ///
    /// Subscriptions end: their clients subscribe again, at the newer one.
    pub fn hand_over(&mut self, now: Instant) -> HandOver {
        self.handle_timeout(now);
        self.end_subscriptions(now);
        // What a host that is attached still owes comes here.
        let goes = |call: &Call| match call.stage {
            Stage::Queued | Stage::Staged | Stage::Deferred => true,
            Stage::Out | Stage::Resumed | Stage::Moved => false,
        };
        let going = self.calls.iter().filter(|call| goes(call));
        let mut calls = Vec::new();
        for ticket in Vec::from_iter(going.map(Call::ticket)) {
            match self.held(now, ticket) {
                Some(held) => calls.push(held),
                // Only what no MCP client says cannot be written down.
                None => self.end_unserved(now, ticket, Why::BrokerEnds),
            }
        }
        let over = HandOver {
            last_client: self.clients.last(),
            last_ticket: self.last_ticket,
            last_own: self.last_own,
            last_stream: 0,
            sessions: self.held_sessions(now),
            lanes: self.lanes(&calls),
            leases: self.leases(),
            results: self.late.kept(now),
            catalogue: self.catalogue.snapshot(""),
            calls,
        };
        for held in &over.calls {
            self.let_go(now, Ticket::from(held.ticket));
        }
        self.moved = true;
        if self.seat.is_some() {
            self.timers.set(Timer::Moved, later(now, FINISH));
        }
        self.flush(now);
        over
    }

    /// What the host has said since, when the last lease is over: results that were promised, and
    /// sessions that it has set up.
    pub fn rest(&self, now: Instant) -> HandOver {
        let mut results = self.late.kept(now);
        results.retain(|result| result.message.is_some());
        HandOver {
            sessions: self.held_sessions(now),
            results,
            ..HandOver::default()
        }
    }

    fn end_subscriptions(&mut self, now: Instant) {
        let endless = self.calls.iter().filter(|call| call.is_endless());
        for ticket in Vec::from_iter(endless.map(Call::ticket)) {
            if self.give_up(now, ticket) {
                self.outputs.push_back(Output::Cancelled { ticket });
            }
        }
    }

    fn held(&mut self, now: Instant, ticket: Ticket) -> Option<HeldCall> {
        let operation_id = self.name();
        let call = self.calls.get(ticket)?;
        let left = |at: Instant| millis(at.saturating_duration_since(now));
        let coming = match call.stage {
            Stage::Deferred => self.timers.at(Timer::Deferred(ticket)),
            _ => None,
        };
        Some(HeldCall {
            operation_id,
            ticket: ticket.get(),
            client: call.client.0,
            message: raw(&call.request)?,
            replay: call.replay.into(),
            catalogue: call.catalogue,
            age_ms: millis(now.saturating_duration_since(call.asked)),
            hold_ms: self.delivery.expires(call.op).map_or(0, left),
            budget_ms: call.due.map(left),
            progress: call.progress,
            seen: self.delivery.seen(call.op),
            coming_ms: coming.map(left),
            told: call.told,
        })
    }

    /// It is the newer one's now. Whoever was told that it runs, asks there.
    fn let_go(&mut self, now: Instant, ticket: Ticket) {
        self.withdraw(ticket);
        let Some(call) = self.calls.get_mut(ticket) else {
            return;
        };
        call.stage = Stage::Moved;
        if call.told {
            self.forget(now, ticket);
            return;
        }
        for timer in [
            Timer::Budget(ticket),
            Timer::Progress(ticket),
            Timer::Deferred(ticket),
        ] {
            self.timers.clear(timer);
        }
    }

    fn held_sessions(&self, now: Instant) -> Vec<HeldSession> {
        let here = self.clients.iter().filter(|(_, client)| !client.gone);
        here.filter_map(|(id, client)| {
            Some(HeldSession {
                client: id.0,
                session: client.session.clone()?,
                meet: client.meet.clone(),
                negotiated: client.negotiated.clone(),
                declared: client.declared,
                handshake: said(&client.handshake),
                unread: Vec::new(),
                idle_ms: millis(now.saturating_duration_since(client.used)),
            })
        })
        .collect()
    }

    /// The clients of these calls that have no session.
    fn lanes(&self, calls: &[HeldCall]) -> Vec<Lane> {
        let clients = BTreeSet::from_iter(calls.iter().map(|call| call.client));
        let is_lane = |client: &Client| client.session.is_none() || client.gone;
        self.clients
            .iter()
            .filter(|(id, client)| clients.contains(&id.0) && is_lane(client))
            .map(|(ClientId(id), client)| Lane {
                client: id,
                meet: client.meet.clone(),
            })
            .collect()
    }

    fn leases(&self) -> Vec<String> {
        let current = self.seat.iter().map(|seat| seat.name.clone());
        self.past
            .names()
            .map(str::to_owned)
            .chain(current)
            .collect()
    }
}

/// What a session was set up with, in the order in which it is said again.
fn said(handshake: &Handshake) -> Vec<Box<RawValue>> {
    let mut replay = handshake.replay();
    let mut said = Vec::new();
    while let Some(step) = replay.next() {
        if let Kind::Request { id, .. } = step.kind() {
            if let Ok(answer) = Message::response(id, serde_json::json!({})) {
                let _ = replay.answered(&answer);
            }
        }
        said.extend(raw(&step));
    }
    said
}
