//! What a client hears that asked for progress, while its call waits or runs.

use super::calls::{Call, Stage};
use super::endings::{phrase, seconds};
use super::timing::Timer;
use super::types::{Output, Ticket};
use super::{Broker, later};
use mcp_transport_core::{Id, Message};
use std::time::{Duration, Instant};

/// When it hears first, and how often then. The default SDKs begin their time-out anew with each,
/// if their user has said so.
pub(super) const FIRST: Duration = Duration::from_secs(3);
const EVERY: Duration = Duration::from_secs(10);

impl Broker {
    pub(super) fn tell_progress(&mut self, now: Instant, ticket: Ticket) {
        let text = match self.calls.get(ticket) {
            Some(call) => self.going_on(now, call),
            None => return,
        };
        let Some(call) = self.calls.get_mut(ticket) else {
            return;
        };
        let Some(token) = call.token.clone() else {
            return;
        };
        // It must rise, and leave room for what the host itself will say.
        call.progress += (call.progress.abs() * 1e-9).max(1e-6);
        let message = notification(&token, call.progress, &text);
        self.outputs.push_back(Output::Tell {
            client: call.client,
            about: Some(ticket),
            message,
        });
        self.timers.set(Timer::Progress(ticket), later(now, EVERY));
    }

    fn going_on(&self, now: Instant, call: &Call) -> String {
        let since = |at| seconds(now.saturating_duration_since(at));
        match call.stage {
            Stage::Out | Stage::Resumed => {
                format!("runs, {} so far", since(call.handed.unwrap_or(call.asked)))
            }
            Stage::Deferred => {
                format!(
                    "has run; its result is due when the host is back: {}",
                    phrase(now, &self.away)
                )
            }
            Stage::Staged => "waits until the host has taken the session up again".to_owned(),
            Stage::Moved => "is with a newer broker".to_owned(),
            Stage::Queued if self.seat.is_some() => {
                format!("waits for its turn, {} so far", since(call.asked))
            }
            Stage::Queued => {
                format!("waits for the host: {}", phrase(now, &self.away))
            }
        }
    }
}

fn notification(token: &Id, progress: f64, message: &str) -> Message {
    #[derive(serde::Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Params<'a> {
        progress_token: &'a Id,
        progress: f64,
        message: &'a str,
    }
    let params = Params {
        progress_token: token,
        progress,
        message,
    };
    Message::notification("notifications/progress", Some(params))
        .expect("ids, numbers and text always serialise")
}
