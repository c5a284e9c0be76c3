//! What one life of the host's code leaves to the next.

use super::hub::Hub;
use super::state::{Call, State};
use mcp_transport_core::{Error, ErrorKind, Kind, Message};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::fmt;
use std::sync::Arc;

/// What the next life of the host's code has to know, so that the calls which this life had begun
/// get their answers.
///
/// Made by [`Handle::detach_for_reload`](super::Handle::detach_for_reload), to be stored wherever
/// the application keeps things over its reload, and given to
/// [`Builder::resume`](super::Builder::resume). It holds what clients asked and what they were
/// answered, so keep it from others' eyes.
///
/// ```no_run
/// use mcp_transport_broker::host::{BrokerListener, Carried, Handle};
/// use mcp_transport_core::{Error, Message};
/// use std::time::Duration;
///
/// async fn before(handle: &Handle) -> Result<String, Box<dyn std::error::Error>> {
///     let carried = handle.detach_for_reload(Duration::from_secs(8)).await?;
///     Ok(serde_json::to_string(&carried)?)
/// }
///
/// fn after(stored: &str, token: &str) -> Result<BrokerListener, Box<dyn std::error::Error>> {
///     let carried: Carried = serde_json::from_str(stored)?;
///     let mut clients = BrokerListener::builder("http://127.0.0.1:8765")
///         .token(token)
///         .resume(carried)
///         .attach()?;
///     for call in clients.carried() {
///         // The call that caused the reload; what is dropped here is answered as unknown.
///         if let Some(id) = call.request().id() {
///             let answer = Message::response(id, "compiled")?;
///             call.answer(answer)?;
///         }
///     }
///     Ok(clients)
/// }
/// ```
#[derive(Clone, Deserialize, Serialize)]
pub struct Carried {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    lease: Option<String>,
    instance: String,
    #[serde(default)]
    calls: Vec<Record>,
    #[serde(default)]
    answers: Vec<Record>,
}

#[derive(Clone, Deserialize, Serialize)]
struct Record {
    ticket: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    client: Option<String>,
    message: Box<RawValue>,
}

impl Record {
    fn new(ticket: u64, client: Option<String>, message: &Message) -> Option<Self> {
        let text = message.as_str()?.to_owned();
        // What is no JSON was refused when it was written, and is not here.
        let message = RawValue::from_string(text).ok()?;
        Some(Self {
            ticket,
            client,
            message,
        })
    }

    fn into_message(self) -> Message {
        Message::from(String::from(Box::<str>::from(self.message)))
    }
}

impl Carried {
    pub(super) fn new(
        lease: Option<&str>,
        instance: String,
        calls: Vec<Call>,
        answers: Vec<(u64, Message)>,
    ) -> Self {
        let call = |call: Call| {
            let client = Some(String::from(&*call.client));
            Record::new(call.ticket, client, &call.message)
        };
        let answer = |(ticket, message)| Record::new(ticket, None, &message);
        Self {
            lease: lease.map(str::to_owned),
            instance,
            calls: calls.into_iter().filter_map(call).collect(),
            answers: answers.into_iter().filter_map(answer).collect(),
        }
    }

    /// How many calls wait for the next life.
    pub fn calls(&self) -> usize {
        self.calls.len()
    }

    pub(super) fn instance(&self) -> &str {
        &self.instance
    }

    /// Tells the state; returns the calls that are open.
    pub(super) fn restore(self, state: &mut State) -> Vec<Call> {
        let Some(lease) = self.lease else {
            return Vec::new();
        };
        let call = |record: Record| Call {
            ticket: record.ticket,
            client: Arc::from(record.client.as_deref().unwrap_or_default()),
            message: record.into_message(),
        };
        let calls: Vec<_> = self.calls.into_iter().map(call).collect();
        let answer = |record: Record| (record.ticket, record.into_message());
        let answers = self.answers.into_iter().map(answer).collect();
        state.resume(lease, calls.clone(), answers);
        calls
    }
}

impl fmt::Debug for Carried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Carried")
            .field("calls", &self.calls.len())
            .field("answers", &self.answers.len())
            .finish_non_exhaustive()
    }
}

/// A call that the former life of this host had begun. Dropping it answers it as unknown.
pub struct CarriedCall {
    hub: Arc<Hub>,
    call: Call,
    is_answered: bool,
}

impl CarriedCall {
    pub(super) const fn new(hub: Arc<Hub>, call: Call) -> Self {
        Self {
            hub,
            call,
            is_answered: false,
        }
    }

    /// The broker's name for the client whose call it is, at that time.
    pub fn client(&self) -> &str {
        &self.call.client
    }

    /// What it asked.
    pub const fn request(&self) -> &Message {
        &self.call.message
    }

    /// Answers it. The answer is pushed as soon as there is a lease, if anybody still waits for it.
    ///
    /// # Errors
    /// [`ErrorKind::Malformed`] if this is no response with the request's id. It is answered as
    /// unknown then.
    pub fn answer(mut self, response: Message) -> Result<(), Error> {
        let fits = matches!(response.kind(), Kind::Response { id: Some(id), .. }
            if Some(id) == self.call.message.id());
        if !fits {
            let text = format!("{response:?} does not answer {:?}", self.call.message);
            return Err(Error::new(ErrorKind::Malformed).context(text));
        }
        self.is_answered = true;
        let ticket = self.call.ticket;
        self.hub.touch(|state| state.answer(ticket, Some(response)));
        Ok(())
    }
}

impl Drop for CarriedCall {
    fn drop(&mut self) {
        if !self.is_answered {
            let ticket = self.call.ticket;
            self.hub.touch(|state| state.answer(ticket, None));
        }
    }
}

impl fmt::Debug for CarriedCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CarriedCall")
            .field("client", &self.client())
            .field("request", self.request())
            .finish_non_exhaustive()
    }
}
