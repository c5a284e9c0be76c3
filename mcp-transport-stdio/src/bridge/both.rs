//! One waker for two tasks: both halves of a transport may read, and each may be polled by a task of its own.

use futures::task::AtomicWaker;
use std::sync::Arc;
use std::task::{Context, Wake, Waker};

#[derive(Debug, Default)]
struct Halves {
    stream: AtomicWaker,
    sink: AtomicWaker,
}

/// Wakes whoever polled the stream last, and whoever polled the sink last.
#[derive(Debug)]
pub(super) struct Both {
    halves: Arc<Halves>,
    waker: Waker,
}

impl Both {
    pub(super) fn new() -> Self {
        let halves = Arc::new(Halves::default());
        Self {
            waker: Waker::from(Arc::clone(&halves)),
            halves,
        }
    }

    pub(super) fn stream(&self, cx: &Context<'_>) -> Waker {
        self.halves.stream.register(cx.waker());
        self.waker.clone()
    }

    pub(super) fn sink(&self, cx: &Context<'_>) -> Waker {
        self.halves.sink.register(cx.waker());
        self.waker.clone()
    }

    pub(super) fn wake(&self) {
        self.waker.wake_by_ref();
    }
}

impl Wake for Halves {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.stream.wake();
        self.sink.wake();
    }
}
