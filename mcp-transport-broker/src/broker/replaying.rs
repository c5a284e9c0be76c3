//! A legacy session meets a new host: what its client once said is said again.

use super::calls::Stage;
use super::seat::Own;
use super::timing::Timer;
use super::types::{ClientId, Handout, Item};
use super::{Broker, later};
use mcp_transport_core::handshake::REPLAY_TIMEOUT;
use mcp_transport_core::{Kind, Message};
use std::time::Instant;

impl Broker {
    /// On a new lease: for every session that was initialised.
    pub(super) fn replay_all(&mut self, now: Instant) {
        let sessions = self.clients.iter().filter(|(_, client)| client.is_legacy());
        for client in Vec::from_iter(sessions.map(|(id, _)| id)) {
            self.begin_replay(now, client);
        }
    }

    /// This session was set up at a former life of the host, which has answered only now.
    pub(super) fn catch_up(&mut self, now: Instant, client: ClientId, request: &Message) {
        if request.method() == Some("initialize") {
            self.begin_replay(now, client);
        } else {
            self.say_again(client, request.clone());
        }
    }

    pub(super) fn begin_replay(&mut self, now: Instant, client: ClientId) {
        if self.seat.is_none() {
            return;
        }
        let Some(who) = self.clients.get_mut(client) else {
            return;
        };
        let replay = who.handshake.replay();
        if !replay.is_over() {
            who.replay = Some(replay);
            let until = later(now, REPLAY_TIMEOUT);
            self.timers.set(Timer::Replay(client), until);
            self.replay_on(now, client);
        }
    }

    /// The host answered a step.
    pub(super) fn replay_answered(
        &mut self,
        now: Instant,
        client: ClientId,
        is_first: bool,
        answer: &Message,
    ) {
        let Some(who) = self.clients.get_mut(client) else {
            return;
        };
        let Some(replay) = &mut who.replay else {
            return;
        };
        let taken = matches!(replay.answered(answer), Ok(true));
        if !taken || is_first && !who.initialised(answer) {
            tracing::info!(%client, "the host did not take the session up again");
            self.close(now, client);
            return;
        }
        self.replay_on(now, client);
    }

    /// The next steps, up to one that is to be answered; after the last, what waited goes on.
    fn replay_on(&mut self, now: Instant, client: ClientId) {
        loop {
            let Some(who) = self.clients.get_mut(client) else {
                return;
            };
            let Some(replay) = &mut who.replay else {
                return;
            };
            let Some(step) = replay.next() else {
                if replay.is_over() {
                    who.replay = None;
                    self.timers.clear(Timer::Replay(client));
                    self.unstage(now, client);
                }
                return;
            };
            self.say_again(client, step);
        }
    }

    fn say_again(&mut self, client: ClientId, step: Message) {
        let ticket = self.own_ticket();
        let Some(seat) = &mut self.seat else {
            return;
        };
        let item = match step.kind() {
            Kind::Request { method, .. } => {
                let is_first = method == "initialize";
                seat.own.insert(ticket, Own::Replay(client, is_first));
                Item::Request {
                    ticket,
                    message: step,
                    redelivered: false,
                }
            }
            _ => Item::Aside(step),
        };
        seat.outbox.push_back(Handout {
            client,
            meet: None,
            item,
            rank: 0,
        });
    }

    /// What waited for the replay takes its old place.
    fn unstage(&mut self, now: Instant, client: ClientId) {
        let Some(seat) = &mut self.seat else {
            return;
        };
        let link = seat.lease.0;
        let waited = seat
            .staged
            .iter()
            .filter(|(_, (whose, _))| *whose == client);
        for (ticket, op) in Vec::from_iter(waited.map(|(&ticket, &(_, op))| (ticket, op))) {
            seat.staged.remove(&ticket);
            if let Some(call) = self.calls.get_mut(ticket) {
                call.stage = Stage::Queued;
            }
            self.delivery.give_back(now, link, op);
        }
    }
}
