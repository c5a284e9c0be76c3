//! What the host's plane says when it does not do something.

use super::Host;
use serde::{Deserialize, Serialize};

/// The body of whatever is no success.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Refused {
    /// For programs.
    pub error: Word,
    /// What happened and what to do, for people.
    #[serde(default)]
    pub message: String,
    /// With [`Word::Busy`]: who is attached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holder: Option<Box<Host>>,
    /// When to ask again, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
    /// With [`Word::LeaseOver`]: `superseded`, `stale`, `detached`, `moved` or `unknown`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// With [`Word::Incompatible`]: what this broker speaks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub protocols: Vec<u32>,
}

impl Refused {
    /// A word and a sentence.
    pub fn new(error: Word, message: impl Into<String>) -> Self {
        Self {
            error,
            message: message.into(),
            holder: None,
            retry_after_ms: None,
            reason: None,
            protocols: Vec::new(),
        }
    }
}

/// Why something was refused.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Word {
    /// No JSON, or a member of the wrong type.
    Malformed,
    /// The token is missing or wrong.
    Unauthorized,
    /// The gate.
    Forbidden,
    /// No such path.
    UnknownPath,
    /// No POST.
    Method,
    /// No call of this id is to be claimed.
    UnknownOperation,
    /// A newer broker has taken over already.
    Replaced,
    /// Another host is attached and alive.
    Busy,
    /// The lease has ended: attach again.
    LeaseOver,
    /// The body is over the limit.
    TooLarge,
    /// A version that this broker does not speak.
    Incompatible,
    /// The broker is ending.
    ShuttingDown,
    /// A word that this version does not know.
    #[serde(other)]
    Other,
}

impl Word {
    /// The HTTP status that goes with it.
    pub const fn status(self) -> u16 {
        match self {
            Self::Malformed => 400,
            Self::Unauthorized => 401,
            Self::Forbidden => 403,
            Self::UnknownPath | Self::UnknownOperation => 404,
            Self::Method => 405,
            Self::Busy | Self::LeaseOver | Self::Replaced => 409,
            Self::TooLarge => 413,
            Self::Incompatible => 426,
            Self::ShuttingDown => 503,
            Self::Other => 500,
        }
    }
}
