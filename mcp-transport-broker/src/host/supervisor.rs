//! A broker that is gone is started again: nobody else does it.
#![expect(
    clippy::disallowed_methods,
    reason = "a shell: it asks who has the port, and reads the clock"
)]

use super::allowance::Allowance;
use crate::launch::Launch;
use mcp_transport_core::{Error, ErrorKind};
use std::sync::{Mutex, PoisonError};
use tokio::time::Instant;

/// Finds the broker or starts it.
#[derive(Debug)]
pub(super) struct Supervisor {
    pub(super) launch: Launch,
    allowance: Mutex<Allowance>,
}

impl Supervisor {
    pub(super) fn new(launch: Launch) -> Self {
        let allowance = Allowance::new(Instant::now().into_std());
        Self {
            launch,
            allowance: Mutex::new(allowance),
        }
    }

    /// Whether the link broke in such a way that the broker may be gone. One that says why it ends
    /// a lease is there, and is asked again by the schedule.
    pub(super) fn suspects(error: &Error) -> bool {
        matches!(
            error.kind(),
            ErrorKind::Disconnected | ErrorKind::Unreachable | ErrorKind::TimedOut
        )
    }

    /// Whether another is to be started at once: nobody has the port, and it was not done too often
    /// of late.
    ///
    /// # Cancel safety
    /// Nothing is lost if it is dropped.
    pub(super) async fn starts_another(&self, error: &Error) -> bool {
        Self::suspects(error) && self.launch.is_free().await && self.may()
    }

    fn may(&self) -> bool {
        let mut allowance = self
            .allowance
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        allowance.take(Instant::now().into_std())
    }
}
