//! One call of a client, from its request to its answer.

use super::types::{ClientId, Ticket};
use crate::numbers::Table;
use mcp_transport_core::delivery::{Op, Replay};
use mcp_transport_core::resilient::replayable::ENDLESS;
use mcp_transport_core::{Id, Message};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::time::Instant;

#[derive(Debug)]
pub(super) struct Call {
    pub(super) op: Op,
    pub(super) client: ClientId,
    pub(super) request: Message,
    pub(super) replay: Replay,
    /// The catalogue may learn from its answer.
    pub(super) catalogue: bool,
    /// It asked for progress under this token.
    pub(super) token: Option<Id>,
    /// The progress that its client was told last.
    pub(super) progress: f64,
    pub(super) asked: Instant,
    /// When its client is answered at the latest.
    pub(super) due: Option<Instant>,
    pub(super) stage: Stage,
    /// When it was handed out last.
    pub(super) handed: Option<Instant>,
    /// It has a place in the host's window.
    pub(super) counted: bool,
    /// Its client was answered that it runs, with an operation's id.
    pub(super) told: bool,
    /// A subscription that the host has acknowledged.
    pub(super) acknowledged: bool,
    /// It was handed out by the broker from which this one took over, and its answer announced.
    pub(super) inherited: bool,
}

/// The calls that are not over.
#[derive(Debug, Default)]
pub(super) struct Calls(Table<Ticket, Call>);

impl Calls {
    pub(super) fn get(&self, ticket: Ticket) -> Option<&Call> {
        self.0.get(&ticket)
    }

    pub(super) fn get_mut(&mut self, ticket: Ticket) -> Option<&mut Call> {
        self.0.get_mut(&ticket)
    }

    pub(super) fn insert(&mut self, call: Call) {
        self.0.insert(call.ticket(), call);
    }

    pub(super) fn remove(&mut self, ticket: Ticket) -> Option<Call> {
        self.0.remove(&ticket)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// In no order.
    pub(super) fn each(&self) -> impl Iterator<Item = &Call> {
        self.0.values()
    }

    /// In no order.
    pub(super) fn each_mut(&mut self) -> impl Iterator<Item = &mut Call> {
        self.0.values_mut()
    }

    /// The oldest first.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Call> {
        let mut calls = Vec::from_iter(self.0.values());
        calls.sort_unstable_by_key(|call| call.op);
        calls.into_iter()
    }

    /// The oldest first.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Call> {
        let mut calls = Vec::from_iter(self.0.values_mut());
        calls.sort_unstable_by_key(|call| call.op);
        calls.into_iter()
    }
}

/// Where a call is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Stage {
    /// In the queue.
    Queued,
    /// Taken from the queue; it waits for its session to be replayed. No host sees it.
    Staged,
    /// The host has it.
    Out,
    /// Its host is gone, and has said that it will still answer.
    Deferred,
    /// The host that is there got it in a former life, and will answer.
    Resumed,
    /// A newer broker has it, and this one passes on what that says.
    Moved,
}

impl Call {
    pub(super) fn ticket(&self) -> Ticket {
        Ticket::from(self.op.get())
    }

    pub(super) fn is_endless(&self) -> bool {
        self.request.method() == Some(ENDLESS)
    }

    pub(super) fn is_safe(&self) -> bool {
        self.replay == Replay::Safe
    }
}

/// The token under which a request asks for progress.
pub(super) fn progress_token(request: &Message) -> Option<Id> {
    #[derive(Deserialize)]
    struct Params<'a> {
        #[serde(borrow, rename = "_meta")]
        meta: Meta<'a>,
    }
    #[derive(Deserialize)]
    struct Meta<'a> {
        #[serde(borrow, rename = "progressToken")]
        token: &'a RawValue,
    }
    let params = request.params()?;
    if !params.contains("progressToken") {
        return None;
    }
    let params: Params<'_> = serde_json::from_str(params).ok()?;
    Id::from_json(params.meta.token.get())
}

/// The token and the value of a progress notification.
pub(super) fn progress(notification: &Message) -> Option<(Id, f64)> {
    #[derive(Deserialize)]
    struct Params<'a> {
        #[serde(borrow, rename = "progressToken")]
        token: &'a RawValue,
        #[serde(default)]
        progress: f64,
    }
    let params: Params<'_> = serde_json::from_str(notification.params()?).ok()?;
    Some((Id::from_json(params.token.get())?, params.progress))
}

/// Which request a `notifications/cancelled` is about.
pub(super) fn cancelled_id(notification: &Message) -> Option<Id> {
    #[derive(Deserialize)]
    struct Params<'a> {
        #[serde(borrow, rename = "requestId")]
        id: &'a RawValue,
    }
    let params: Params<'_> = serde_json::from_str(notification.params()?).ok()?;
    Id::from_json(params.id.get())
}
