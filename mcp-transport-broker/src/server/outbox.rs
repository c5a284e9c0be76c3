//! What waits for one reader: bounded, so that a reader that stalls holds this and nothing else.

use super::conn::Conn;
use crate::mcp::Event;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::task::{Context, Poll, Waker};

/// Messages that wait for one reader, at most.
const MAX_MESSAGES: usize = 1_024;

/// Their bytes together, at most: 16 MiB. The first one may be larger, and so may an answer.
const MAX_BYTES: usize = 16 * 1024 * 1024;

/// A queue with one reader, and a writer that never waits.
pub(super) fn outbox(conn: &Arc<Conn>) -> (Outbox, Reader) {
    queue(Arc::downgrade(conn))
}

/// A queue whose reader is still to come.
pub(super) fn parked() -> (Outbox, Reader) {
    queue(Weak::new())
}

fn queue(conn: Weak<Conn>) -> (Outbox, Reader) {
    let shared = Arc::new(Mutex::new(Queue::default()));
    let outbox = Outbox {
        shared: shared.clone(),
        conn,
    };
    (outbox, Reader { shared })
}

/// The writing end.
#[derive(Debug)]
pub(super) struct Outbox {
    shared: Arc<Mutex<Queue>>,
    conn: Weak<Conn>,
}

/// The reading end.
#[derive(Debug)]
pub(super) struct Reader {
    shared: Arc<Mutex<Queue>>,
}

#[derive(Debug, Default)]
struct Queue {
    /// Most queues have this one, an answer, and no other.
    next: Option<Event>,
    behind: VecDeque<Event>,
    bytes: usize,
    ended: bool,
    reader: Option<Waker>,
}

impl Outbox {
    /// Begins with these, however much they are: they were bounded where they waited.
    pub(super) fn begin(&self, events: &[Event]) {
        let mut queue = lock(&self.shared);
        queue.bytes = events.iter().map(|event| event.message.len()).sum();
        queue.ended = events.iter().any(|event| event.last);
        queue.behind = events.iter().cloned().collect();
        queue.next = queue.behind.pop_front();
    }

    /// Adds an event; wakes the reader. A reader for whom there is no room is cut off: false.
    pub(super) fn push(&self, event: Event) -> bool {
        let mut queue = lock(&self.shared);
        if queue.ended {
            // After a cut nothing comes, or the reader would not see that something is missing.
            return false;
        }
        let full = queue.behind.len() + 1 >= MAX_MESSAGES
            || queue.bytes.saturating_add(event.message.len()) > MAX_BYTES;
        if full && !event.last && queue.next.is_some() {
            (queue.next, queue.behind) = (None, VecDeque::new());
            queue.ended = true;
            if let Some(conn) = self.conn.upgrade() {
                conn.kill();
            }
            return false;
        }
        queue.bytes += event.message.len();
        queue.ended |= event.last;
        match queue.next {
            None => queue.next = Some(event),
            Some(_) => queue.behind.push_back(event),
        }
        wake(queue);
        true
    }
}

/// The stream ends.
impl Drop for Outbox {
    fn drop(&mut self) {
        let mut queue = lock(&self.shared);
        queue.ended = true;
        wake(queue);
    }
}

impl Reader {
    /// The next event; `None` at the end.
    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        let mut queue = lock(&self.shared);
        if let Some(event) = queue.next.take() {
            queue.next = queue.behind.pop_front();
            queue.bytes -= event.message.len();
            return Poll::Ready(Some(event));
        }
        if queue.ended {
            return Poll::Ready(None);
        }
        match &mut queue.reader {
            Some(reader) => reader.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
        Poll::Pending
    }

    /// As [`poll_next`](Self::poll_next).
    pub(super) async fn next(&mut self) -> Option<Event> {
        std::future::poll_fn(|cx| self.poll_next(cx)).await
    }
}

/// Wakes the reader after the lock is gone.
fn wake(mut queue: MutexGuard<'_, Queue>) {
    let reader = queue.reader.take();
    drop(queue);
    if let Some(reader) = reader {
        reader.wake();
    }
}

fn lock(shared: &Mutex<Queue>) -> MutexGuard<'_, Queue> {
    shared.lock().expect("nobody panics with a queue in hand")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mcp::EventId;
    use futures::FutureExt;
    use mcp_transport_core::Message;

    fn event() -> Event {
        let id: EventId = "1-1".parse().unwrap();
        Event {
            stream: id.stream,
            id: Some(id),
            message: Message::from(vec![b' '; 9 << 20]),
            last: false,
        }
    }

    #[test]
    fn what_waited_comes_whole_and_after_a_cut_nothing_comes() {
        let (outbox, mut reader) = parked();
        outbox.begin(&[event(), event(), event()]);
        for _ in 0..3 {
            assert!(reader.next().now_or_never().unwrap().is_some());
        }
        assert!(reader.next().now_or_never().is_none(), "it goes on");
        assert!(outbox.push(event()));
        assert!(!outbox.push(event()), "there is no room");
        assert!(!outbox.push(event()), "nor afterwards");
        assert!(reader.next().now_or_never().unwrap().is_none());
    }
}
