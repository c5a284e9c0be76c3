//! What is known of an operation that has no answer.

use serde::{Deserialize, Serialize};

/// What is known of an operation that has no answer.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[expect(
    clippy::exhaustive_enums,
    reason = "whoever reads one must decide on each"
)]
pub enum Outcome {
    /// The host never saw it: sending it again is safe.
    NotDelivered,
    /// The host has it, and works on it; the result will be kept.
    Running,
    /// Nobody can know whether it took effect. Look before you send it again.
    Unknown,
}
