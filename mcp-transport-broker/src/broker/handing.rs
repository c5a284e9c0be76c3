//! What a host gets: a pull takes what is due, in order, within the window.

use super::calls::Stage;
use super::types::{Handout, Item, Lease, Ticket};
use super::{Broker, Dialect};
use mcp_transport_core::Message;
use std::time::Instant;

impl Broker {
    /// Up to `max` items for the host. Nothing, where the lease is over.
    ///
    /// First what is said out of turn (handshakes again, cancels, clients that are gone), then
    /// requests and asides as they came. A pull by itself is no sign of life, for a parked one is
    /// tried again by the shell: say [`heard`](Self::heard) when a request of the host's arrives.
    pub fn pull(&mut self, now: Instant, lease: Lease, max: usize) -> Vec<Handout> {
        let mut handouts = Vec::new();
        if !self.is_current(lease) {
            return handouts;
        }
        while handouts.len() < max {
            let Some(handout) = self.next(now, lease) else {
                break;
            };
            handouts.push(self.introduce(lease, handout));
        }
        if let Some(seat) = &mut self.seat {
            seat.ready = false;
        }
        self.flush(now);
        handouts
    }

    /// A pull's items could not be written: the host has none of them, and they go out first next
    /// time. Say it before the connection is counted as closed.
    pub fn unpull(&mut self, now: Instant, lease: Lease, handouts: Vec<Handout>) {
        if !self.is_current(lease) {
            return;
        }
        // What is out of turn goes to the front, and so the last of it first.
        for mut handout in handouts.into_iter().rev() {
            if handout.meet.is_some() {
                self.unmeet(&mut handout);
            }
            if self.is_put_back(now, &handout) {
                if let Some(seat) = &mut self.seat {
                    seat.put_back(handout);
                }
            }
        }
        self.flush(now);
    }

    /// A request takes its old place; one that was given up meanwhile is over, and the host has
    /// never heard of it. True for what is no client's request.
    fn is_put_back(&mut self, now: Instant, handout: &Handout) -> bool {
        let (Item::Request { ticket, .. }, Some(seat)) = (&handout.item, &mut self.seat) else {
            return true;
        };
        if seat.own.contains_key(ticket) {
            return true;
        }
        match self.calls.get_mut(*ticket) {
            Some(call) if call.stage == Stage::Out => {
                call.stage = Stage::Queued;
                seat.out -= usize::from(std::mem::take(&mut call.counted));
                self.delivery.give_back(now, seat.lease.0, call.op);
            }
            Some(_) => {}
            None => seat
                .outbox
                .retain(|other| other.item != Item::Cancel(*ticket)),
        }
        false
    }

    /// Nor has it met the client.
    fn unmeet(&mut self, handout: &mut Handout) {
        if let Some(client) = self.clients.any_mut(handout.client) {
            client.met = None;
            handout.meet = None;
        } else if let Some(seat) = &mut self.seat {
            seat.outbox
                .retain(|other| other.client != handout.client || other.item != Item::Gone);
        }
    }

    /// The next item, if one may go out.
    fn next(&mut self, now: Instant, lease: Lease) -> Option<Handout> {
        loop {
            let seat = self.seat.as_mut()?;
            let has_room = seat.out < seat.window;
            if let Some(handout) = seat.outbox.pop_front() {
                return Some(handout);
            }
            let queued = self.delivery.oldest().map(|op| op.get());
            let queued = queued.filter(|_| has_room);
            if let Some(aside) = self.next_aside(queued) {
                return Some(aside);
            }
            queued?;
            let handout = self.delivery.take(now, lease.0)?;
            let ticket = Ticket::from(handout.op.get());
            let client = handout.payload;
            let is_replayed = self.is_replayed(client);
            let call = self.calls.get_mut(ticket);
            let call = call.expect("what is in delivery is in the table");
            if !is_replayed {
                call.stage = Stage::Staged;
                let seat = self.seat.as_mut()?;
                seat.staged.insert(ticket, (client, handout.op));
                continue;
            }
            if !call.is_endless() {
                call.counted = true;
                self.seat.as_mut()?.out += 1;
            }
            call.stage = Stage::Out;
            call.handed = Some(now);
            if let Some(client) = self.clients.any_mut(client) {
                client.handshake.said(&call.request);
            }
            return Some(Handout {
                client,
                meet: None,
                item: Item::Request {
                    ticket,
                    // Without its envelope, which was read here and is nothing to a host.
                    message: Message::from(call.request.as_bytes().clone()),
                    redelivered: handout.redelivered,
                },
                rank: ticket.get(),
            });
        }
    }

    /// The oldest aside, if it came before this call, and its session is replayed.
    fn next_aside(&mut self, before: Option<u64>) -> Option<Handout> {
        let seat = self.seat.as_ref()?;
        let place = seat.asides.iter().position(|aside| {
            before.is_none_or(|oldest| aside.rank < oldest) && self.is_replayed(aside.client)
        })?;
        let seat = self.seat.as_mut()?;
        let aside = seat.asides.remove(place)?;
        if let Item::Aside(message) = &aside.item {
            seat.aside_bytes -= message.len();
        }
        Some(aside)
    }

    pub(super) fn is_replayed(&self, client: super::ClientId) -> bool {
        let client = self.clients.get(client);
        client.is_none_or(|client| client.replay.is_none())
    }

    /// Says whom the host meets, if it has not met it on this lease.
    fn introduce(&mut self, lease: Lease, mut handout: Handout) -> Handout {
        let is_native = self
            .seat
            .as_ref()
            .is_some_and(|seat| seat.dialect == Dialect::Native);
        if !is_native || handout.meet.is_some() || handout.item == Item::Gone {
            return handout;
        }
        if let Some(client) = self.clients.any_mut(handout.client) {
            if client.met != Some(lease) {
                client.met = Some(lease);
                handout.meet = Some(client.meet.clone());
            }
        }
        handout
    }

    /// True if a pull would get something.
    pub(super) fn has_something(&self) -> bool {
        self.seat.as_ref().is_some_and(|seat| {
            !seat.outbox.is_empty()
                || seat.out < seat.window && self.delivery.queued() > 0
                || seat
                    .asides
                    .iter()
                    .any(|aside| self.is_replayed(aside.client))
        })
    }

    pub(super) fn is_current(&self, lease: Lease) -> bool {
        self.seat.as_ref().is_some_and(|seat| seat.lease == lease)
    }
}
