//! What waits for one reader: bounded, so that a reader that stalls holds this and nothing else.

use super::conn::Conn;
use crate::mcp::Event;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::task::{Context, Poll, Waker};

/// Messages that wait for one reader, at most, beside those that its queue begins with.
const MAX_MESSAGES: usize = 1_024;

/// Their bytes together, at most: 16 MiB. The first one may be larger, and so may an answer.
const MAX_BYTES: usize = 16 * 1024 * 1024;

/// Why a queue ends before what is in it: its reader did not read, and something is missing.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a reader that does not read was cut off")]
pub(super) struct Cut;

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
    /// What it begins with. It was bounded where it waited, and takes no room here.
    begun: VecDeque<Event>,
    /// Most queues have this one, an answer, and no other.
    next: Option<Event>,
    behind: VecDeque<Event>,
    /// Of `next` and those behind it.
    bytes: usize,
    /// Nothing more comes: what is in it was all, or there was no room for the rest.
    ended: Option<Result<(), Cut>>,
    reader: Option<Waker>,
}

impl Outbox {
    /// Begins with these, however much they are.
    pub(super) fn begin(&self, events: Vec<Event>) {
        let mut queue = lock(&self.shared);
        if events.iter().any(|event| event.last) {
            queue.ended = Some(Ok(()));
        }
        queue.begun = events.into();
    }

    /// Adds an event; wakes the reader. A reader for whom there is no room is cut off: false.
    pub(super) fn push(&self, event: Event) -> bool {
        let mut queue = lock(&self.shared);
        if queue.ended.is_some() {
            return false;
        }
        let full = queue.behind.len() + 1 >= MAX_MESSAGES
            || queue.bytes.saturating_add(event.message.len()) > MAX_BYTES;
        if full && !event.last && queue.next.is_some() {
            *queue = Queue {
                ended: Some(Err(Cut)),
                reader: queue.reader.take(),
                ..Queue::default()
            };
            wake(queue);
            if let Some(conn) = self.conn.upgrade() {
                conn.kill();
            }
            return false;
        }
        queue.bytes += event.message.len();
        if event.last {
            queue.ended = Some(Ok(()));
        }
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
        queue.ended.get_or_insert(Ok(()));
        wake(queue);
    }
}

impl Reader {
    /// The next event; `None` at the end, and [`Cut`] for good where something is missing.
    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Event>, Cut>> {
        let mut queue = lock(&self.shared);
        if let Some(event) = queue.begun.pop_front() {
            return Poll::Ready(Ok(Some(event)));
        }
        if let Some(event) = queue.next.take() {
            queue.next = queue.behind.pop_front();
            queue.bytes -= event.message.len();
            return Poll::Ready(Ok(Some(event)));
        }
        if let Some(ended) = queue.ended {
            return Poll::Ready(ended.map(|()| None));
        }
        match &mut queue.reader {
            Some(reader) => reader.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
        Poll::Pending
    }

    /// As [`poll_next`](Self::poll_next).
    pub(super) async fn next(&mut self) -> Result<Option<Event>, Cut> {
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

    fn event(mib: usize) -> Event {
        let id: EventId = "1-1".parse().unwrap();
        Event {
            stream: id.stream,
            id: Some(id),
            message: Message::from(vec![b' '; mib << 20]),
            last: false,
        }
    }

    /// The size of the next event in MiB; `None`: there is none yet.
    fn next(reader: &mut Reader) -> Option<Result<Option<usize>, Cut>> {
        let next = reader.next().now_or_never()?;
        Some(next.map(|event| event.map(|event| event.message.len() >> 20)))
    }

    #[test]
    fn what_a_queue_begins_with_comes_whole_and_takes_no_room() {
        let (outbox, mut reader) = parked();
        outbox.begin(vec![event(9), event(8), event(7)]);
        assert!(outbox.push(event(6)));
        assert!(outbox.push(event(5)), "there is room for 16");
        for size in [9, 8, 7, 6, 5] {
            assert_eq!(next(&mut reader), Some(Ok(Some(size))));
        }
        assert_eq!(next(&mut reader), None, "it goes on");
        drop(outbox);
        assert_eq!(next(&mut reader), Some(Ok(None)));
    }

    #[test]
    fn a_reader_that_was_cut_off_is_told_so_and_takes_it_for_no_end() {
        let (outbox, mut reader) = parked();
        outbox.begin(vec![event(1)]);
        assert!(outbox.push(event(9)));
        assert!(!outbox.push(event(9)), "there is no room");
        assert!(!outbox.push(event(1)), "nor afterwards");
        assert_eq!(next(&mut reader), Some(Err(Cut)));
        drop(outbox);
        assert_eq!(next(&mut reader), Some(Err(Cut)), "also after its writer");
    }
}
