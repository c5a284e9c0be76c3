//! One shape for bad endings, everywhere: in the `data` of a JSON-RPC error, or as a tool's
//! structured result.

use crate::error::{Error, ErrorKind, Reconnect};
use crate::outcome::Outcome;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// A bad ending, as clients see it. Its JSON schema is published as [`Ending::SCHEMA`].
///
/// ```
/// use mcp_transport_core::{Ending, ErrorKind, Outcome};
///
/// let ending = Ending::new(Outcome::NotDelivered, "hold_expired", "The editor was away for 120 s.")
///     .retry_after_ms(5_000);
/// let json = serde_json::to_value(&ending).unwrap();
/// assert_eq!(json["outcome"], "not_delivered");
/// assert_eq!(json["retryable"], true);
/// ```
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Ending {
    /// What is known.
    pub outcome: Outcome,
    /// By which the operation can be asked for later; absent where none was ever made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operation_id: Option<String>,
    /// True if the same call may simply be sent again.
    pub retryable: bool,
    /// How long to wait before that, in milliseconds, where somebody knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
    /// One stable word for why, for programs.
    pub cause: Cow<'static, str>,
    /// What happened, what is known and what to do next, for people and for models.
    pub message: String,
}

impl Ending {
    /// The published JSON schema (2020-12) of this shape.
    pub const SCHEMA: &'static str = include_str!("../schema/ending.schema.json");

    /// An ending; retryable exactly if the host never saw the operation.
    pub fn new(
        outcome: Outcome,
        cause: impl Into<Cow<'static, str>>,
        message: impl Into<String>,
    ) -> Self {
        Self {
            outcome,
            operation_id: None,
            retryable: matches!(outcome, Outcome::NotDelivered),
            retry_after_ms: None,
            cause: cause.into(),
            message: message.into(),
        }
    }

    /// Names the operation, so that a late result can be asked for.
    #[must_use]
    pub fn operation_id(mut self, id: impl Into<String>) -> Self {
        self.operation_id = Some(id.into());
        self
    }

    /// Says how long to wait before sending the call again, in milliseconds.
    #[must_use]
    pub const fn retry_after_ms(mut self, wait: u64) -> Self {
        self.retry_after_ms = Some(wait);
        self
    }

    /// Says whether the same call may simply be sent again, where [`new`](Self::new)'s rule is too
    /// coarse.
    #[must_use]
    pub const fn retryable(mut self, retryable: bool) -> Self {
        self.retryable = retryable;
        self
    }
}

impl From<&Error> for Ending {
    fn from(error: &Error) -> Self {
        let kind = error.kind();
        let outcome = kind.outcome();
        let mut ending = Self::new(
            outcome,
            kind.cause(),
            format!("{error}. {}", advice(kind, outcome)),
        );
        ending.retryable =
            outcome == Outcome::NotDelivered && !matches!(kind, ErrorKind::TooLarge { .. });
        ending.retry_after_ms = error
            .retry_after()
            .map(|wait| u64::try_from(wait.as_millis()).unwrap_or(u64::MAX));
        ending
    }
}

const fn advice(kind: ErrorKind, outcome: Outcome) -> &'static str {
    match (kind, kind.reconnect(), outcome) {
        (ErrorKind::TooLarge { .. }, ..) => "Send less at once, or raise the limit.",
        (_, Reconnect::Standby, _) => {
            "Close the newer client, or wait until it leaves; the seat is taken back then."
        }
        (_, Reconnect::OnWake, _) => "Mend the credentials or the versions, then connect again.",
        (.., Outcome::Unknown) => "It may have taken effect: look before you send it again.",
        _ => "It was not delivered; sending it again is safe.",
    }
}
