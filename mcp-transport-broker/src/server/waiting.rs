//! A client that waits for its answer.
use super::answer::{self, Answer, Room};
use super::body::{EventStream, Reply};
use super::conn::Conn;
use super::hub::{Asked, Form, Hub};
use super::outbox::{Cut, Reader};
use crate::mcp::{self, Event, StreamId};
use http::StatusCode;
use std::sync::Arc;
use std::time::Duration;

/// A stream that somebody reads. Dropping it says that the reader is gone.
pub(super) struct Watched {
    hub: Arc<Hub>,
    stream: StreamId,
    form: Option<Form>,
    /// The reader knows where to resume.
    knows: bool,
    /// Nothing is left of it to be told.
    over: bool,
}

/// Times of a waiting client.
#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    pub(super) head_after: Duration,
    pub(super) comment_every: Duration,
}

impl Watched {
    /// The stream of a call.
    pub(super) fn call(hub: Arc<Hub>, stream: StreamId, form: Form) -> Self {
        Self {
            hub,
            stream,
            form: Some(form),
            knows: false,
            over: false,
        }
    }

    /// A session's own stream.
    pub(super) fn stream(hub: Arc<Hub>, stream: StreamId) -> Self {
        Self {
            hub,
            stream,
            form: None,
            knows: true,
            over: false,
        }
    }

    pub(super) fn id(&self) -> StreamId {
        self.stream
    }

    /// This event is on its way to the reader.
    pub(super) fn said(&mut self, event: &Event) {
        self.knows |= event.id.is_some();
        // A call that cannot be resumed is forgotten with its answer.
        self.over |= event.last && event.id.is_none();
    }

    /// The reader was told where to resume.
    pub(super) fn primed(&mut self) {
        self.knows = true;
    }

    /// The reader has everything.
    pub(super) fn ended(&mut self) {
        if !self.over {
            self.over = true;
            self.hub.done(self.stream);
        }
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        if !self.over {
            let cancels = self.form.is_some_and(|form| form.cancels);
            self.hub.lost(self.stream, self.knows, cancels);
        }
    }
}

/// Waits for the answer to a call: it comes as JSON, if nothing comes before it and it comes
/// soon; else as an event stream, if the client takes one.
///
/// A client that would rather have a stream gets one with its answer as well; at once, where it
/// may come back for it and so wants to know from the start where to resume.
pub(super) async fn answer(
    conn: &Conn,
    asked: Asked,
    form: Form,
    times: Times,
    room: Room,
) -> Answer {
    let Asked {
        mut reader,
        mut watched,
    } = asked;
    let at_once = form.prefers_streams && form.resumable;
    let first = match (at_once, form.streams) {
        (true, _) => None,
        (false, true) => conn.within(times.head_after, reader.next()).await,
        (false, false) => Some(last(&mut reader).await),
    };
    let first = match first {
        Some(Ok(None)) => {
            // Cancelled by its client, which wants no answer.
            watched.ended();
            return answer::empty(StatusCode::ACCEPTED);
        }
        Some(Ok(event)) => event,
        // Who was cut off gets a stream that breaks off at once.
        Some(Err(Cut)) | None => None,
    };
    let first = match first {
        Some(event) if event.last => {
            let status = mcp::status(form.era, &event.message);
            if !form.prefers_streams || status != 200 {
                watched.said(&event);
                watched.ended();
                return room.message(status, event.message);
            }
            Some(event)
        }
        other => other,
    };
    let mut stream = EventStream::new(reader, watched, times.comment_every);
    if form.primes {
        stream.prime();
    }
    if let Some(event) = first {
        stream.add(&event);
    }
    answer::events(Reply::stream(stream))
}

/// Skips whatever is not the answer; a client that takes no stream is not sent any of it.
async fn last(reader: &mut Reader) -> Result<Option<Event>, Cut> {
    loop {
        match reader.next().await {
            Ok(Some(event)) if !event.last => {}
            other => return other,
        }
    }
}
