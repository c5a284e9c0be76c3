//! A call that is on its way, as its caller holds it.

use super::{Hub, Lost, Standing, Ticket};
use mcp_transport_core::delivery::Abandoned;
use serde_json::Value;
use tokio::sync::mpsc;

/// One call on its way. Dropping it gives the call up: what is queued is withdrawn, what runs is
/// left to run, and its result is kept.
#[derive(Debug)]
pub struct Call {
    hub: Hub,
    ticket: Ticket,
    id: String,
    events: mpsc::Receiver<Event>,
    over: bool,
}

impl Call {
    pub(super) const fn new(
        hub: Hub,
        ticket: Ticket,
        id: String,
        events: mpsc::Receiver<Event>,
    ) -> Self {
        Self {
            hub,
            ticket,
            id,
            events,
            over: false,
        }
    }

    /// The operation's id: 128 random bits in hex, by which a late result can be asked for.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Where the call is; `None` once it is over.
    pub fn standing(&self) -> Option<Standing> {
        self.hub.lock().state.standing(self.ticket)
    }

    /// What happens next. After [`Event::Answered`] and [`Event::Lost`] nothing does.
    ///
    /// # Cancel safety
    /// This method is cancel safe: an event that was not returned is returned next time.
    pub async fn event(&mut self) -> Event {
        match self.events.recv().await {
            Some(event) => {
                self.over = !matches!(event, Event::Stuck);
                event
            }
            // The hub ends every call with an event; without one there is nobody left to wait for.
            None => std::future::pending().await,
        }
    }

    /// Gives the call up. If it was over, [`event`](Self::event) still returns how.
    pub fn abandon(&mut self) -> Abandoned {
        self.over = true;
        self.hub.abandon(self.ticket)
    }

    /// Gives the call up if no editor has it. False if one has, or it is over: then it goes on as if nothing had been said.
    pub fn withdraw(&mut self) -> bool {
        let withdrawn = self.hub.withdraw(self.ticket);
        self.over |= withdrawn;
        withdrawn
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        if !self.over {
            self.hub.abandon(self.ticket);
        }
    }
}

/// What happens to a call.
#[derive(Debug)]
#[expect(clippy::exhaustive_enums, reason = "the caller must act on each")]
pub enum Event {
    /// The editor's envelope.
    Answered(Value),
    /// No answer will come.
    Lost(Lost),
    /// It runs for longer than it may. It may still be answered.
    Stuck,
}
