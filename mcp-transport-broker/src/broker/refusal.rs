//! Why a client's message was not taken.

use super::types::ClientId;
use mcp_transport_core::delivery::Full;
use mcp_transport_core::{Ending, Error, ErrorKind, EvictionReason, Id, Message, Outcome};
use std::time::Duration;

/// Why a client's message was not taken. Nothing was sent.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// There is no such client, or it is gone: initialise again.
    #[error("the session {0} is over; initialise again")]
    UnknownClient(ClientId),
    /// The session has a request under this id in flight.
    #[error("Invalid Request: a request with the id {0} is in flight in this session")]
    Duplicate(Id),
    /// Too many calls wait, or their bytes are too many.
    #[error(transparent)]
    Full(#[from] Full),
    /// Too many clients are there.
    #[error("{limit} clients are connected, as many as may; close one that is no longer used")]
    Clients {
        /// The limit.
        limit: usize,
    },
    /// The broker is ending.
    #[error("the broker is ending; start it again, or wait until its launcher does")]
    ShuttingDown,
    /// It is no request, where one was due.
    #[error("Invalid Request: {0}")]
    NotARequest(&'static str),
}

impl Refusal {
    /// The JSON-RPC error for the request with this id.
    pub fn to_answer(&self, id: Option<&Id>) -> Message {
        let text = self.to_string();
        match self {
            Self::Duplicate(_) | Self::NotARequest(_) => {
                Message::error(id, -32600, &text, None::<()>)
            }
            Self::UnknownClient(_) => {
                let ending = Ending::new(Outcome::NotDelivered, "session_over", text);
                Message::ended(
                    id,
                    ErrorKind::Evicted(EvictionReason::Stale).code(),
                    &ending,
                )
            }
            Self::Full(_) | Self::Clients { .. } => {
                let wait = Some(Duration::from_secs(1));
                let error = Error::new(ErrorKind::Overloaded { retry_after: wait });
                Message::failure(id, &error.context(text))
            }
            Self::ShuttingDown => {
                let kind = ErrorKind::Evicted(EvictionReason::ShuttingDown);
                let ending = Ending::new(Outcome::NotDelivered, kind.cause(), text);
                Message::ended(id, kind.code(), &ending)
            }
        }
    }

    /// The HTTP status that goes with it.
    pub const fn status(&self) -> u16 {
        match self {
            Self::UnknownClient(_) => 404,
            Self::Duplicate(_) | Self::NotARequest(_) => 400,
            Self::Full(_) | Self::Clients { .. } | Self::ShuttingDown => 503,
        }
    }
}
