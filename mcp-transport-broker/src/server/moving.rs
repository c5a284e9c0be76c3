//! What passes between an older broker and a newer one, where the state is touched for it.

use super::hub::{Asked, Form, Hub};
use super::outbox::{Reader, parked};
use super::waiting::Watched;
use crate::broker::{HandOver, Ticket, raw, unraw};
use crate::mcp::StreamId;
use crate::native::Era;
use mcp_transport_core::{Kind, Message};
use std::sync::Arc;
use tokio::sync::oneshot;

/// A call that was taken over, and whose claim has not come.
pub(super) struct Unclaimed {
    stream: StreamId,
    reader: Reader,
    form: Form,
}

/// A call that a newer broker has.
#[derive(Debug)]
pub(super) struct Moved {
    pub(super) ticket: Ticket,
    pub(super) operation_id: String,
    /// Ends when nobody wants its answer any more.
    pub(super) wanted: oneshot::Receiver<()>,
}

impl Hub {
    /// Gives what waits to a newer broker; `None` if one has it already. Sessions' own streams end:
    /// their clients come back to the newer one.
    pub(super) fn hand_over(&self) -> Option<(HandOver, Vec<Moved>)> {
        self.touch(|state, now| {
            if state.broker.has_moved() {
                return None;
            }
            let mut over = state.broker.hand_over(now);
            over.last_stream = state.streams.made();
            for session in &mut over.sessions {
                let Some(client) = state.broker.session(&session.session) else {
                    continue;
                };
                // A host's requests end with its lease.
                let unread = state.streams.take_waiting(client);
                let unread = unread
                    .iter()
                    .filter(|message| matches!(message.kind(), Kind::Notification { .. }));
                session.unread = unread.filter_map(raw).collect();
            }
            for stream in state.gets.keys() {
                state.outboxes.remove(stream);
            }
            let waited_for = over.calls.iter().filter(|call| !call.told);
            let moved = waited_for.map(|call| {
                let (wants, wanted) = oneshot::channel();
                let ticket = Ticket::from(call.ticket);
                state.moved.insert(ticket, wants);
                Moved {
                    ticket,
                    operation_id: call.operation_id.clone(),
                    wanted,
                }
            });
            let moved = Vec::from_iter(moved);
            Some((over, moved))
        })
    }

    /// Whether a newer broker has taken over.
    pub(super) fn has_moved(&self) -> bool {
        self.touch(|state, _| state.broker.has_moved())
    }

    /// Returns when the last host of a broker that was replaced is gone.
    pub(super) async fn left(&self) {
        loop {
            let mut left = std::pin::pin!(self.left.notified());
            left.as_mut().enable();
            if !self.touch(|state, _| state.broker.has_host()) {
                return;
            }
            left.await;
        }
    }

    /// What that host has said since, for the newer broker.
    pub(super) fn rest(&self) -> HandOver {
        self.touch(|state, now| state.broker.rest(now))
    }

    /// The newer broker said this about a call.
    pub(super) fn relayed(&self, ticket: Ticket, message: Message) {
        self.touch(|state, now| state.broker.relayed(now, ticket, message));
    }

    /// The newer broker has ended a call without an answer.
    pub(super) fn relay_ended(&self, ticket: Ticket) {
        self.touch(|state, now| state.broker.relay_ended(now, ticket));
    }

    /// The newer broker cannot be heard.
    pub(super) fn relay_lost(&self, ticket: Ticket) {
        self.touch(|state, now| state.broker.relay_lost(now, ticket));
    }

    /// Takes what an older broker gave.
    pub(super) fn take_over(&self, over: HandOver) {
        self.touch(|state, now| {
            state.streams.skip_to(over.last_stream);
            let unread = over.sessions.iter().map(|session| {
                let unread = session.unread.iter().map(|raw| unraw(raw));
                (session.session.clone(), Vec::from_iter(unread))
            });
            let unread = Vec::from_iter(unread);
            let taken = state.broker.take_over(now, over);
            for (session, messages) in unread {
                let Some(client) = state.broker.session(&session) else {
                    continue;
                };
                state.streams.begin(client);
                for message in messages {
                    state.tell(client, None, message);
                }
            }
            for call in taken {
                let form = Form::claim(call.era);
                let stream = state.streams.request(call.client, call.ticket, true, false);
                let (outbox, reader) = parked();
                state.outboxes.insert(stream, outbox);
                let unclaimed = Unclaimed {
                    stream,
                    reader,
                    form,
                };
                state.unclaimed.insert(call.operation_id, unclaimed);
            }
        });
    }

    /// Takes what the older broker's host has said since.
    pub(super) fn take_rest(&self, rest: HandOver) {
        self.touch(|state, now| state.broker.take_rest(now, rest));
    }

    /// The older broker asks for a call that was taken over, once.
    pub(super) fn claim(self: &Arc<Self>, operation_id: &str) -> Option<Asked> {
        let unclaimed = self.touch(|state, _| state.unclaimed.remove(operation_id))?;
        let Unclaimed {
            stream,
            reader,
            form,
        } = unclaimed;
        let watched = Watched::call(self.clone(), stream, form);
        Some(Asked { reader, watched })
    }

    /// What nobody has claimed by now has lost its client with the older broker.
    pub(super) fn drop_unclaimed(&self) {
        let unclaimed = self.touch(|state, _| std::mem::take(&mut state.unclaimed));
        for (_, Unclaimed { stream, form, .. }) in unclaimed {
            self.lost(stream, false, form.cancels);
        }
    }
}

impl Form {
    /// As an older broker takes what it passes on.
    const fn claim(era: Era) -> Self {
        Self {
            streams: true,
            prefers_streams: true,
            resumable: false,
            primes: false,
            cancels: matches!(era, Era::Modern),
            era,
        }
    }
}
