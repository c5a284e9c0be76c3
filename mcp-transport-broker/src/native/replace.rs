//! What two brokers say to each other, but for what is handed over.

use serde::{Deserialize, Serialize};

/// A newer broker wants to take over.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
#[expect(
    clippy::exhaustive_structs,
    reason = "a wire message; the version tells"
)]
pub struct Replace {
    /// From this process alone: the one that has just proved who it is. Another may have the port
    /// by now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
}

/// A broker that was replaced asks for what it handed over. The answer is an event stream.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[expect(
    clippy::exhaustive_structs,
    reason = "a wire message; the version tells"
)]
pub struct Claim {
    /// Which call.
    pub operation_id: String,
}
