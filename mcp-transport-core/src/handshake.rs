//! What a client said to set its session up, to be said again on a fresh connection.
//!
//! | what it said | recorded when | said again |
//! |---|---|---|
//! | `initialize` | its answer came, and was no error | first; the rest waits for the answer |
//! | `notifications/initialized` | it was said, connection or not | after that |
//! | `logging/setLevel` | its answer came, and was no error | the last one |
//! | `resources/subscribe` | its answer came, and was no error | until unsubscribed |
//!
//! A request whose answer is still due is not recorded: it is in flight, and the delivery rule
//! decides on it. A client that never said `initialize` speaks the stateless protocol (2026-07-28):
//! there is nothing to say again.
//!
//! Replayed requests keep their ids, since each connection is a new id space, and their answers are
//! swallowed.
//!
//! Pure: no I/O, no clock.

use crate::error::{Error, ErrorKind};
use crate::message::{Id, Kind, Message};
use std::collections::VecDeque;
use std::time::Duration;

/// How long a replay may take before the connection counts as failed.
pub const REPLAY_TIMEOUT: Duration = Duration::from_secs(10);

/// The subscriptions that are recorded, at most; a further one works until the connection goes.
pub const MAX_SUBSCRIPTIONS: usize = 1_024;

/// The longest subscription that is recorded, in bytes; a longer one works until the connection
/// goes.
pub const MAX_SUBSCRIPTION_BYTES: usize = 64 * 1024;

/// The record of one client's session.
///
/// ```
/// use mcp_transport_core::Message;
/// use mcp_transport_core::handshake::Handshake;
///
/// let initialize = r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{}}"#;
/// let mut handshake = Handshake::new();
/// handshake.said(&Message::from(initialize));
/// handshake.answered(&Message::from(r#"{"jsonrpc":"2.0","id":0,"result":{}}"#));
/// handshake.said(&Message::from(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#));
///
/// // A fresh connection:
/// let mut replay = handshake.replay();
/// assert_eq!(replay.next().unwrap().as_str(), Some(initialize));
/// assert!(replay.next().is_none(), "the rest waits for the answer");
/// let answer = Message::from(r#"{"jsonrpc":"2.0","id":0,"result":{}}"#);
/// assert!(replay.answered(&answer).unwrap(), "swallow it");
/// assert_eq!(replay.next().unwrap().method(), Some("notifications/initialized"));
/// assert!(replay.is_over());
/// ```
#[derive(Clone, Debug, Default)]
pub struct Handshake {
    /// Said, and not answered yet.
    asked: Vec<Message>,
    initialize: Option<Message>,
    initialized: Option<Message>,
    /// True if `initialized` was said after the last `initialize`.
    initialized_since: bool,
    set_level: Option<Message>,
    subscriptions: VecDeque<Subscription>,
}

#[derive(Clone, Debug)]
struct Subscription {
    uri: String,
    request: Message,
}

/// Requests that wait for their answer here, at most; the oldest gives way.
const MAX_ASKED: usize = 64;

impl Handshake {
    /// Nothing was said yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// True if this message is of those that are recorded.
    pub fn concerns(message: &Message) -> bool {
        message.method().is_some_and(|method| {
            matches!(
                method,
                "initialize"
                    | "notifications/initialized"
                    | "logging/setLevel"
                    | "resources/subscribe"
                    | "resources/unsubscribe"
            )
        })
    }

    /// The client said this. Call it for a request when it is written, for a notification when it
    /// is said.
    pub fn said(&mut self, message: &Message) {
        if !Self::concerns(message) {
            return;
        }
        match message.kind() {
            Kind::Notification { .. } => {
                self.initialized = Some(message.clone());
                self.initialized_since = true;
            }
            Kind::Request { method, .. } => {
                self.initialized_since &= method != "initialize";
                if self.asked.len() == MAX_ASKED {
                    self.asked.remove(0);
                }
                self.asked.push(message.clone());
            }
            Kind::Response { .. } | Kind::Opaque(_) => {}
        }
    }

    /// The host answered this.
    pub fn answered(&mut self, response: &Message) {
        let Kind::Response {
            id: Some(id),
            is_error,
        } = response.kind()
        else {
            return;
        };
        let Some(place) = self.asked.iter().position(|asked| asked.id() == Some(id)) else {
            return;
        };
        let request = self.asked.remove(place);
        if !is_error {
            self.record(request);
        }
    }

    /// The connection went: what was not answered is not recorded.
    pub fn lost(&mut self) {
        self.asked.clear();
    }

    /// What to say on a fresh connection, before anything else.
    pub fn replay(&self) -> Replay {
        let Some(initialize) = &self.initialize else {
            return Replay::default();
        };
        let subscriptions = self.subscriptions.iter().map(|kept| &kept.request);
        let steps = [initialize]
            .into_iter()
            .chain(&self.initialized)
            .chain(&self.set_level)
            .chain(subscriptions);
        Replay {
            steps: steps.cloned().collect(),
            awaited: None,
        }
    }

    fn record(&mut self, request: Message) {
        match request.method() {
            Some("initialize") => {
                // A new session: nothing of the former one is said again.
                *self = Self {
                    initialize: Some(request),
                    initialized: self.initialized.take().filter(|_| self.initialized_since),
                    initialized_since: self.initialized_since,
                    asked: std::mem::take(&mut self.asked),
                    ..Self::default()
                };
            }
            Some("logging/setLevel") => self.set_level = Some(request),
            Some("resources/subscribe") => {
                if let Some(uri) = uri(&request) {
                    self.subscriptions.retain(|kept| kept.uri != uri);
                    let short = request.len() <= MAX_SUBSCRIPTION_BYTES;
                    if short && self.subscriptions.len() < MAX_SUBSCRIPTIONS {
                        self.subscriptions.push_back(Subscription { uri, request });
                    }
                }
            }
            Some("resources/unsubscribe") => {
                if let Some(uri) = uri(&request) {
                    self.subscriptions.retain(|kept| kept.uri != uri);
                }
            }
            _ => {}
        }
    }
}

/// A replay under way: one request at a time, so that no pair of full buffers blocks it.
#[derive(Clone, Debug, Default)]
pub struct Replay {
    steps: VecDeque<Message>,
    awaited: Option<Awaited>,
}

#[derive(Clone, Debug)]
struct Awaited {
    id: Id,
    is_initialize: bool,
}

impl Replay {
    /// The next message to write; `None` while an answer is awaited, and when all is said.
    #[expect(
        clippy::should_implement_trait,
        reason = "no iterator: after `None` there may be more"
    )]
    pub fn next(&mut self) -> Option<Message> {
        if self.awaited.is_some() {
            return None;
        }
        let step = self.steps.pop_front()?;
        if let Kind::Request { id, method } = step.kind() {
            self.awaited = Some(Awaited {
                id: id.clone(),
                is_initialize: method == "initialize",
            });
        }
        Some(step)
    }

    /// The host said this. True if it answers the replay: the client must not see it.
    ///
    /// # Errors
    /// The host refused to initialise again: the connection counts as failed.
    pub fn answered(&mut self, message: &Message) -> Result<bool, Error> {
        let Kind::Response {
            id: Some(id),
            is_error,
        } = message.kind()
        else {
            return Ok(false);
        };
        let Some(awaited) = self.awaited.take_if(|awaited| awaited.id == *id) else {
            return Ok(false);
        };
        if is_error && awaited.is_initialize {
            return Err(Error::new(ErrorKind::Disconnected)
                .context("the host refused to initialise the session again"));
        }
        Ok(true)
    }

    /// True if there is something to be written now.
    pub fn has_next(&self) -> bool {
        self.awaited.is_none() && !self.steps.is_empty()
    }

    /// True if all is said, and answered.
    pub fn is_over(&self) -> bool {
        self.steps.is_empty() && self.awaited.is_none()
    }
}

fn uri(request: &Message) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Params {
        uri: String,
    }
    let params: Params = serde_json::from_str(request.params()?).ok()?;
    Some(params.uri)
}
