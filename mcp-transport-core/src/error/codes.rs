//! The table of endings in numbers: JSON-RPC codes, WebSocket close codes, HTTP statuses. Both
//! ways.
//!
//! The JSON-RPC codes lie outside −32768…−32000, which JSON-RPC and MCP keep for themselves. The
//! WebSocket codes are this family's own dialect; a host dialect brings a table of its own.

use super::kind::ErrorKind;
use crate::eviction::EvictionReason;
use std::time::Duration;

impl ErrorKind {
    /// The stable JSON-RPC error code of this ending.
    pub const fn code(self) -> i32 {
        match self {
            Self::Unreachable => -31001,
            Self::Disconnected => -31002,
            Self::TimedOut => -31003,
            Self::Overloaded { .. } => -31004,
            Self::TooLarge { .. } => -31005,
            Self::Evicted(EvictionReason::Reloading) => -31006,
            Self::Evicted(EvictionReason::ShuttingDown) => -31007,
            Self::Evicted(EvictionReason::Stale) => -31008,
            Self::Evicted(EvictionReason::Superseded) => -31009,
            Self::Unauthorized => -31010,
            Self::Incompatible => -31011,
            Self::Malformed => -31012,
            Self::Closed => -31013,
        }
    }

    /// The ending behind a JSON-RPC error code of ours; `None` for anybody else's.
    ///
    /// ```
    /// use mcp_transport_core::ErrorKind;
    ///
    /// assert_eq!(ErrorKind::from_code(-31001), Some(ErrorKind::Unreachable));
    /// assert_eq!(ErrorKind::from_code(-32601), None);
    /// ```
    pub const fn from_code(code: i32) -> Option<Self> {
        Some(match code {
            -31001 => Self::Unreachable,
            -31002 => Self::Disconnected,
            -31003 => Self::TimedOut,
            -31004 => Self::Overloaded { retry_after: None },
            -31005 => Self::TooLarge { limit: 0, size: 0 },
            -31006 => Self::Evicted(EvictionReason::Reloading),
            -31007 => Self::Evicted(EvictionReason::ShuttingDown),
            -31008 => Self::Evicted(EvictionReason::Stale),
            -31009 => Self::Evicted(EvictionReason::Superseded),
            -31010 => Self::Unauthorized,
            -31011 => Self::Incompatible,
            -31012 => Self::Malformed,
            -31013 => Self::Closed,
            _ => return None,
        })
    }

    /// The WebSocket close code with which to tell a peer of this ending; `None` where nobody is
    /// left to tell.
    pub const fn close_code(self) -> Option<u16> {
        match self {
            Self::Unreachable | Self::Disconnected | Self::TimedOut => None,
            Self::Closed => Some(1000),
            Self::Evicted(EvictionReason::ShuttingDown) => Some(1001),
            Self::Incompatible => Some(1002),
            Self::Malformed => Some(1007),
            Self::Unauthorized => Some(1008),
            Self::TooLarge { .. } => Some(1009),
            Self::Evicted(EvictionReason::Reloading) => Some(1012),
            Self::Overloaded { .. } => Some(1013),
            Self::Evicted(EvictionReason::Superseded) => Some(4001),
            Self::Evicted(EvictionReason::Stale) => Some(4002),
        }
    }

    /// The ending behind a close code that the *peer* sent; `None` stands for a close frame without
    /// a code.
    ///
    /// ```
    /// use mcp_transport_core::{ErrorKind, EvictionReason};
    ///
    /// assert_eq!(
    ///     ErrorKind::from_close_code(Some(4001)),
    ///     ErrorKind::Evicted(EvictionReason::Superseded),
    /// );
    /// assert_eq!(ErrorKind::from_close_code(Some(4999)), ErrorKind::Disconnected);
    /// ```
    pub const fn from_close_code(code: Option<u16>) -> Self {
        match code {
            Some(1000 | 1001) => Self::Evicted(EvictionReason::ShuttingDown),
            Some(1002) => Self::Incompatible,
            Some(1007) => Self::Malformed,
            Some(1008) => Self::Unauthorized,
            Some(1009) => Self::TooLarge { limit: 0, size: 0 },
            Some(1012) => Self::Evicted(EvictionReason::Reloading),
            Some(1013) => Self::Overloaded { retry_after: None },
            Some(4001) => Self::Evicted(EvictionReason::Superseded),
            Some(4002) => Self::Evicted(EvictionReason::Stale),
            // 1005, 1006, 1011 and everything that we do not know: it broke, and that is all we can
            // say.
            _ => Self::Disconnected,
        }
    }

    /// The HTTP status that refuses with this ending; `None` where no answer can be given.
    pub const fn http_status(self) -> Option<u16> {
        match self {
            Self::Unreachable | Self::Disconnected | Self::Closed => None,
            Self::Malformed => Some(400),
            Self::Unauthorized => Some(401),
            Self::Evicted(EvictionReason::Superseded) => Some(409),
            Self::Evicted(EvictionReason::Stale) => Some(410),
            Self::TooLarge { .. } => Some(413),
            Self::Incompatible => Some(426),
            Self::Overloaded { .. }
            | Self::Evicted(EvictionReason::Reloading | EvictionReason::ShuttingDown) => Some(503),
            Self::TimedOut => Some(504),
        }
    }

    /// The ending behind a status with which a peer refused us, and its `Retry-After`.
    ///
    /// 503 has three readings; with a `Retry-After` it is an overload, without one a host that will
    /// be back.
    ///
    /// ```
    /// use mcp_transport_core::ErrorKind;
    ///
    /// assert_eq!(ErrorKind::from_http_status(403, None), ErrorKind::Unauthorized);
    /// assert!(ErrorKind::from_http_status(502, None).is_retryable());
    /// ```
    pub const fn from_http_status(status: u16, retry_after: Option<Duration>) -> Self {
        match (status, retry_after) {
            (400, _) => Self::Malformed,
            (401 | 403, _) => Self::Unauthorized,
            (408 | 504, _) => Self::TimedOut,
            (409, _) => Self::Evicted(EvictionReason::Superseded),
            (410, _) => Self::Evicted(EvictionReason::Stale),
            (413, _) => Self::TooLarge { limit: 0, size: 0 },
            (426, _) => Self::Incompatible,
            (429, _) | (503, Some(_)) => Self::Overloaded { retry_after },
            (503, None) => Self::Evicted(EvictionReason::Reloading),
            // Anything else may be a server that is still starting: worth another dial, and says
            // nothing more.
            _ => Self::Disconnected,
        }
    }
}
