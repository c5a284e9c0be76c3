//! What goes each way while a lease lasts.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// A host asks for items.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
#[expect(
    clippy::exhaustive_structs,
    reason = "a wire message; the version tells"
)]
pub struct Pull {
    /// How many it takes, at most: 1 to 1,024.
    pub max: usize,
    /// How long to wait for the first, in milliseconds: at most 30,000.
    pub wait_ms: u64,
}

impl Default for Pull {
    fn default() -> Self {
        Self {
            max: 64,
            wait_ms: 0,
        }
    }
}

/// What a pull gets.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(default)]
#[expect(
    clippy::exhaustive_structs,
    reason = "a wire message; the version tells"
)]
pub struct Pulled {
    /// The number of this handing out on this lease, from 1; absent where there are no items.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seq: Option<u64>,
    /// In order.
    pub items: Vec<Given>,
}

/// One item for the host.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(default)]
#[expect(
    clippy::exhaustive_structs,
    reason = "a wire message; the version tells"
)]
pub struct Given {
    /// Whose it is.
    pub client: String,
    /// On the first item of a client: who that is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub meet: Option<Meet>,
    /// What goes with the answer, if there is to be one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ticket: Option<u64>,
    /// It was handed out before, and a host may have seen it.
    #[serde(skip_serializing_if = "is_false")]
    pub redelivered: bool,
    /// The message, byte for byte.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<Box<RawValue>>,
    /// Nobody waits for this ticket's answer any more.
    #[serde(skip_serializing_if = "is_false")]
    pub cancel: bool,
    /// The client is gone, with everything that it had.
    #[serde(skip_serializing_if = "is_false")]
    pub gone: bool,
}

/// Whom the host meets.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[expect(
    clippy::exhaustive_structs,
    reason = "a wire message; the version tells"
)]
pub struct Meet {
    /// How it speaks.
    pub era: Era,
    /// The protocol version that it asked for.
    pub version: String,
}

/// How a client speaks.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Era {
    /// With `initialize` and a session: up to 2025-11-25.
    Legacy,
    /// Each request for itself: 2026-07-28.
    Modern,
}

/// A host gives items.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(default)]
#[expect(
    clippy::exhaustive_structs,
    reason = "a wire message; the version tells"
)]
pub struct Push {
    /// In order.
    pub items: Vec<Said>,
    /// The next pull, in the same round trip.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pull: Option<Pull>,
}

/// One item from the host.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(default)]
#[expect(
    clippy::exhaustive_structs,
    reason = "a wire message; the version tells"
)]
pub struct Said {
    /// Which operation this answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ticket: Option<u64>,
    /// For whom it is, if it is no answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client: Option<String>,
    /// Which operation a notification or a request belongs to, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub about: Option<u64>,
    /// The message, byte for byte.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<Box<RawValue>>,
    /// This ticket has begun.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started: Option<u64>,
    /// The host has ended what served this client.
    #[serde(skip_serializing_if = "is_false")]
    pub closed: bool,
}

/// What a push gets.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(default)]
#[expect(
    clippy::exhaustive_structs,
    reason = "a wire message; the version tells"
)]
pub struct Pushed {
    /// Tickets that were never handed to this host, or have their answer.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub stray: Vec<u64>,
    /// As in [`Pulled`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seq: Option<u64>,
    /// What the pull got.
    pub items: Vec<Given>,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde hands out a reference"
)]
const fn is_false(value: &bool) -> bool {
    !*value
}
