//! The state behind its lock, and those who wait for it.

use super::state::{Key, Output, State};
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use tokio::sync::Notify;

/// One state, and everybody who waits for a change of it.
#[derive(Debug, Default)]
pub(super) struct Hub {
    inner: Mutex<Inner>,
    /// There is something for the task to look at.
    work: Notify,
}

#[derive(Debug, Default)]
struct Inner {
    state: State,
    wakers: HashMap<Output, Waker>,
}

impl Hub {
    pub(super) fn touch<R>(&self, call: impl FnOnce(&mut State) -> R) -> R {
        self.locked(|inner| call(&mut inner.state))
    }

    /// As a `poll` function: who finds nothing is woken by this output.
    pub(super) fn poll<R>(
        &self,
        waits_for: Output,
        cx: &Context<'_>,
        call: impl FnOnce(&mut State) -> Poll<R>,
    ) -> Poll<R> {
        self.locked(|inner| {
            let polled = call(&mut inner.state);
            if polled.is_pending() {
                inner.wakers.insert(waits_for, cx.waker().clone());
            }
            polled
        })
    }

    /// Whoever served this client has let go of it.
    pub(super) fn dropped(&self, key: Key) {
        self.locked(|inner| {
            inner.state.dropped(key);
            inner.wakers.remove(&Output::Readable(key));
            inner.wakers.remove(&Output::Writable(key));
        });
    }

    /// Resolves when there is something for the task.
    ///
    /// # Cancel safety
    /// Cancel safe: a notification that nobody took stays for the next call.
    pub(super) async fn worked(&self) {
        self.work.notified().await;
    }

    /// The one place that touches the state: lock, call, drain, and wake outside of the lock.
    fn locked<R>(&self, call: impl FnOnce(&mut Inner) -> R) -> R {
        let mut woken = Vec::new();
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let result = call(&mut inner);
        while let Some(output) = inner.state.poll_output() {
            if output == Output::Work {
                self.work.notify_one();
            } else if let Some(waker) = inner.wakers.remove(&output) {
                woken.push(waker);
            }
        }
        drop(inner);
        woken.into_iter().for_each(Waker::wake);
        result
    }
}
