//! What two brokers say to each other, but for what is handed over.

use serde::{Deserialize, Serialize};

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
