//! How a link is doing, for whoever looks.

use crate::error::Error;
use crate::eviction::Eviction;
use std::time::Duration;

/// How a link is doing. Watch it, show it; no call needs it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum State {
    /// A dial is under way, or the handshake is being replayed.
    Connecting,
    /// A connection is up.
    #[non_exhaustive]
    Connected {
        /// The number of this connection, rising from 1.
        session: u64,
    },
    /// The last dial failed, or the connection went. What is held stays held.
    #[non_exhaustive]
    Waiting {
        /// How many dials and connections ended since a connection last proved itself.
        attempt: u32,
        /// The wait before the next dial; `None` if only a wake dials again, since waiting alone
        /// mends nothing.
        delay: Option<Duration>,
        /// What ended the last one.
        cause: Error,
    },
    /// A newer client has our seat. Only a wake dials again.
    #[non_exhaustive]
    Standby {
        /// Who took it, and the way out.
        eviction: Eviction,
    },
    /// Over, for good.
    #[non_exhaustive]
    Closed {
        /// Why: of kind [`Closed`](crate::ErrorKind::Closed) if we closed it ourselves.
        cause: Error,
    },
}

impl State {
    /// True while a connection is up.
    pub const fn is_connected(&self) -> bool {
        matches!(self, Self::Connected { .. })
    }

    /// True once it is over for good.
    pub const fn is_closed(&self) -> bool {
        matches!(self, Self::Closed { .. })
    }
}
