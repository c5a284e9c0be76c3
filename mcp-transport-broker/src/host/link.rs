//! From one lease to the next: when to dial, and when to start the broker first.
#![expect(
    clippy::disallowed_methods,
    reason = "a shell: it looks at the token's file now and then"
)]

use super::attach::{Granted, Leases};
use super::hub::Hub;
use super::lease::Lease;
use super::supervisor::Supervisor;
use super::token::TokenSource;
use mcp_transport_core::dial::Dialer;
use mcp_transport_core::{Error, ErrorKind, State};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time;

pub(super) struct Link {
    pub(super) hub: Arc<Hub>,
    pub(super) dialer: Dialer<Leases>,
    pub(super) granted: Arc<Mutex<Option<Granted>>>,
    pub(super) token: TokenSource,
    /// If we start the broker, too.
    pub(super) supervisor: Option<Arc<Supervisor>>,
    /// How the last lease ended, until it is known whether the broker is gone.
    pub(super) suspected: Option<Error>,
}

/// How often a token file is looked at while only a change of it can help.
const GLANCE: Duration = Duration::from_secs(1);

impl Link {
    /// Gets the next lease: at once if the broker is gone and it is on us to start another, else
    /// when the schedule says.
    ///
    /// # Cancel safety
    /// Cancel safe: the next call goes on.
    pub(super) async fn connect(&mut self) -> Result<Lease, Error> {
        if let (Some(supervisor), Some(error)) = (&self.supervisor, &self.suspected) {
            if !supervisor.starts_another(error).await {
                self.dialer.ended(error);
            }
            self.suspected = None;
        }
        let (wake, state) = (self.dialer.wake(), self.dialer.watch());
        let changed = async {
            loop {
                time::sleep(GLANCE).await;
                let waits = matches!(&*state.borrow(), State::Waiting { delay: None, .. });
                if waits && self.token.has_changed() {
                    wake.wake();
                }
            }
        };
        tokio::select! {
            connected = self.dialer.connect() => connected.map(drop)?,
            () = changed => {}
        }
        let granted = self
            .granted
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let granted = granted.ok_or_else(|| Error::new(ErrorKind::Closed))?;
        self.dialer.established();
        Ok(Lease::new(granted, Arc::clone(&self.hub)))
    }

    /// The lease ended.
    pub(super) fn lost(&mut self, error: &Error) {
        if self.supervisor.is_some() && Supervisor::suspects(error) {
            self.suspected = Some(error.clone());
            self.dialer.renew();
        } else {
            self.dialer.ended(error);
        }
    }

    /// We left.
    pub(super) fn ended(&mut self, error: &Error) {
        self.dialer.ended(error);
    }

    /// There will be no further lease.
    pub(super) fn close(&mut self, error: Error) {
        self.dialer.close(error);
    }
}
