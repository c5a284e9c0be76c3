//! What others may tell a link.

use super::task::Close;
use crate::dial::{State, Wake};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// Wakes, closes and watches a [`Resilient`](super::Resilient) from elsewhere. Clone it freely; it
/// keeps nothing alive.
///
/// ```
/// use mcp_transport_core::{Resilient, memory};
/// use std::time::Duration;
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// let host = Resilient::spawn(|| async { Ok(memory::pair(8).0) });
/// let handle = host.handle();
/// handle.wake(); // "the host is back": dial now, whatever the schedule says
/// handle.close(Duration::from_secs(1)).await;
/// assert!(handle.state().is_closed());
/// # });
/// ```
#[derive(Clone)]
pub struct Handle {
    wake: Wake,
    state: watch::Receiver<State>,
    close: Arc<watch::Sender<Option<Close>>>,
}

impl Handle {
    pub(super) fn new(
        wake: Wake,
        state: watch::Receiver<State>,
    ) -> (Self, watch::Receiver<Option<Close>>) {
        let (close, asked) = watch::channel(None);
        let handle = Self {
            wake,
            state,
            close: Arc::new(close),
        };
        (handle, asked)
    }

    /// "The host is back": dials now, whatever the schedule says, also out of standby. Does nothing
    /// while a connection is up.
    pub fn wake(&self) {
        self.wake.wake();
    }

    /// Closes the link: takes no calls but those that were sent before, waits for the answers of
    /// those in flight, for `deadline` at most, then says goodbye to the host and answers the rest.
    /// Returns when the link is closed.
    ///
    /// # Cancel safety
    /// Once polled, the link closes also if this future is dropped. Only the first deadline counts.
    pub async fn close(&self, deadline: Duration) {
        self.ask(Close::Within(deadline));
        let mut state = self.state.clone();
        // An error means that the task is gone: closed, too.
        let _ = state.wait_for(State::is_closed).await;
    }

    /// Only the first asks.
    pub(super) fn ask(&self, how: Close) {
        self.close.send_if_modified(|close| {
            let first = close.is_none();
            close.get_or_insert(how);
            first
        });
    }

    /// How the link is doing now.
    pub fn state(&self) -> State {
        self.state.borrow().clone()
    }

    /// How it is doing, now and from now on.
    pub fn watch(&self) -> watch::Receiver<State> {
        self.state.clone()
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle")
            .field("state", &self.state())
            .finish_non_exhaustive()
    }
}
