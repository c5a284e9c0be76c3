//! Which stream a message goes to.

use super::cache::Cache;
use crate::broker::{ClientId, Ticket};
use crate::numbers::Table;
use mcp_transport_core::{Kind, Message};
use std::collections::VecDeque;
use std::fmt;
use std::num::ParseIntError;
use std::str::FromStr;

/// One answer under way, or one event stream of a session. Never used again.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct StreamId(u64);

/// One event of a stream, as clients say it in `Last-Event-ID`: `3-7`.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub struct EventId {
    /// Which stream.
    pub stream: StreamId,
    /// Which event: rising from 0, which is the one without data.
    pub number: u64,
}

/// A message on its way to a client.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Event {
    /// On which stream.
    pub stream: StreamId,
    /// What the client may resume after; `None` where it cannot.
    pub id: Option<EventId>,
    /// What.
    pub message: Message,
    /// The stream ends with it.
    pub last: bool,
}

/// What became of a message for a client.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Kept {
    /// It goes out now.
    Out(Event),
    /// Nobody reads at the moment; it waits for whoever does.
    Waits,
    /// There is nobody who could ever get it.
    Dropped,
}

/// A stream that goes on, or one that begins.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Resumed {
    /// Which.
    pub stream: StreamId,
    /// What waits on it.
    pub events: Vec<Event>,
    /// A stream of the same session that gives way: end it.
    pub ends: Option<StreamId>,
}

/// The streams of all clients: those of requests, and those that legacy clients GET.
///
/// A legacy client's message goes to the stream of the request that it belongs to, where that is
/// known and streams; else to the stream that the session opened with GET; else to its oldest
/// request that streams; else it waits for a GET. A modern client's message goes to its request, or
/// nowhere. Each message goes to one stream.
///
/// What was said with an event id is kept until its stream is done, 1,024 events and 16 MiB at
/// most, so that a stream that broke can go on. At most 64 messages of a session wait for a GET, of
/// 16 MiB together; the oldest gives way.
#[derive(Debug, Default)]
pub struct Streams {
    made: u64,
    streams: Table<StreamId, Stream>,
    requests: Table<Ticket, StreamId>,
    /// Of legacy clients, all of whom are here: what waits for a GET.
    sessions: Table<ClientId, VecDeque<Message>>,
    cache: Cache,
}

#[derive(Debug)]
struct Stream {
    client: ClientId,
    /// `None`: the client's own, by GET.
    ticket: Option<Ticket>,
    /// It can carry more than the answer.
    streams: bool,
    /// Its events have ids, and it can be resumed.
    resumable: bool,
    /// Somebody reads.
    read: bool,
    /// It has its answer, which nobody has read.
    answered: bool,
    said: u64,
}

/// Messages of one session that wait for a GET, at most.
const MAX_WAITING: usize = 64;

/// Their bytes together, at most. The last one may be larger.
const MAX_WAITING_BYTES: usize = 16 * 1024 * 1024;

/// GET streams of one session at once.
const MAX_GETS: usize = 4;

/// Streams of one session whose reader is gone and may be back, at most.
const MAX_BROKEN: usize = 64;

impl Streams {
    /// Nobody is there.
    pub fn new() -> Self {
        Self::default()
    }

    /// A request is under way. `streams`: its client takes an event stream; `resumable`: and may
    /// come back for it.
    pub fn request(
        &mut self,
        client: ClientId,
        ticket: Ticket,
        streams: bool,
        resumable: bool,
    ) -> StreamId {
        let stream = self.open(client, Some(ticket), streams, resumable);
        self.requests.insert(ticket, stream);
        stream
    }

    /// Whether the client of this call takes an event stream.
    pub fn takes_stream(&self, ticket: Ticket) -> bool {
        let stream = self.requests.get(&ticket);
        let stream = stream.and_then(|stream| self.streams.get(stream));
        stream.is_some_and(|stream| stream.streams)
    }

    /// A session's client GETs a stream: one that broke, where `after` names one of its own, or a
    /// new one with what waits.
    pub fn get(&mut self, client: ClientId, after: Option<EventId>) -> Resumed {
        if let Some(mut resumed) = after.and_then(|after| self.resume(client, after)) {
            let is_its_own = |stream: &Stream| stream.ticket.is_none();
            if self.streams.get(&resumed.stream).is_some_and(is_its_own) {
                let waited = self.say_what_waits(client, resumed.stream);
                resumed.events.extend(waited);
            }
            return resumed;
        }
        let gets = || self.those(client, |stream| stream.ticket.is_none());
        let ends = gets().min().filter(|_| gets().count() >= MAX_GETS);
        if let Some(oldest) = ends {
            self.forget(oldest);
        }
        let stream = self.open(client, None, true, true);
        let events = self.say_what_waits(client, stream);
        Resumed {
            stream,
            events,
            ends,
        }
    }

    /// The host says something to a client, `about` one of its requests, if it says so.
    pub fn tell(&mut self, client: ClientId, about: Option<Ticket>, message: Message) -> Kept {
        let about = about.and_then(|ticket| self.requests.get(&ticket).copied());
        let its_own = about.filter(|id| self.carries(*id, client));
        if !self.sessions.contains_key(&client) {
            let is_request = matches!(message.kind(), Kind::Request { .. });
            let its_only = || self.oldest(client, |stream| stream.ticket.is_some());
            return match its_own.or_else(its_only) {
                Some(stream) if !is_request => self.out(stream, message),
                _ => Kept::Dropped,
            };
        }
        let target = its_own
            .or_else(|| self.newest_get(client))
            .or_else(|| self.oldest(client, |stream| stream.read));
        if let Some(stream) = target {
            return self.out(stream, message);
        }
        let waiting = self.sessions.entry(client).or_default();
        let mut bytes = message.len() + waiting.iter().map(Message::len).sum::<usize>();
        while waiting.len() == MAX_WAITING || bytes > MAX_WAITING_BYTES {
            let Some(oldest) = waiting.pop_front() else {
                break;
            };
            bytes -= oldest.len();
            tracing::warn!(%client, "a message for a client that reads no stream was dropped");
        }
        waiting.push_back(message);
        Kept::Waits
    }

    /// A request has its answer. `None`: nobody waits for it.
    pub fn answer(&mut self, ticket: Ticket, message: Message) -> Option<Event> {
        let id = self.requests.remove(&ticket)?;
        let stream = self.streams.get_mut(&id)?;
        let read = stream.read;
        if stream.resumable {
            stream.answered = true;
            return self.say(id, message, true).filter(|_| read);
        }
        self.streams.remove(&id);
        read.then_some(Event {
            stream: id,
            id: None,
            message,
            last: true,
        })
    }

    /// A request ends without an answer, since its client wants none. Returns its stream: end it.
    pub fn cancelled(&mut self, ticket: Ticket) -> Option<StreamId> {
        let stream = self.requests.get(&ticket).copied()?;
        self.forget(stream);
        Some(stream)
    }

    /// The number of the newest stream.
    pub const fn made(&self) -> u64 {
        self.made
    }

    /// No stream up to this number is made any more: clients may name another broker's.
    pub fn skip_to(&mut self, made: u64) {
        self.made = self.made.max(made);
    }

    /// Takes what waits for a session's client to GET a stream.
    pub fn take_waiting(&mut self, client: ClientId) -> Vec<Message> {
        let waiting = self.sessions.get_mut(&client).map(std::mem::take);
        waiting.unwrap_or_default().into()
    }

    /// The reader of a stream got everything there was: nothing of it need be kept.
    pub fn done(&mut self, stream: StreamId) {
        self.forget(stream);
    }

    /// The reader of a stream went before it was done. What may be resumed waits for its client.
    /// `broke`: its event ids were said, so the client can ask for it. Returns the request that
    /// it was the stream of, if that has no answer.
    pub fn lost(&mut self, id: StreamId, broke: bool) -> Option<Ticket> {
        let stream = self.streams.get_mut(&id)?;
        let open = stream.ticket.filter(|_| !stream.answered);
        stream.read = false;
        let client = stream.client;
        if !(stream.resumable && broke) {
            self.forget(id);
            return open;
        }
        let broken = || self.those(client, |stream| !stream.read);
        if let Some(oldest) = broken().min().filter(|_| broken().count() > MAX_BROKEN) {
            self.forget(oldest);
        }
        open
    }

    /// A session begins: what is said to it waits, while nobody reads.
    pub fn begin(&mut self, client: ClientId) {
        self.sessions.entry(client).or_default();
    }

    /// A client is over. Returns its streams: end them.
    pub fn over(&mut self, client: ClientId) -> Vec<StreamId> {
        self.sessions.remove(&client);
        let its = Vec::from_iter(self.those(client, |_| true));
        for stream in &its {
            self.forget(*stream);
        }
        its
    }

    fn open(
        &mut self,
        client: ClientId,
        ticket: Option<Ticket>,
        streams: bool,
        resumable: bool,
    ) -> StreamId {
        self.made += 1;
        let id = StreamId(self.made);
        let stream = Stream {
            client,
            ticket,
            streams,
            resumable,
            read: true,
            answered: false,
            said: 0,
        };
        self.streams.insert(id, stream);
        id
    }

    fn resume(&mut self, client: ClientId, after: EventId) -> Option<Resumed> {
        let stream = self
            .streams
            .get_mut(&after.stream)
            .filter(|stream| stream.client == client && stream.resumable && !stream.read)?;
        stream.read = true;
        let events = self.cache.after(after).cloned().collect();
        Some(Resumed {
            stream: after.stream,
            events,
            ends: None,
        })
    }

    fn say_what_waits(&mut self, client: ClientId, stream: StreamId) -> Vec<Event> {
        let waiting = self.sessions.get_mut(&client).map(std::mem::take);
        let waiting = waiting.unwrap_or_default().into_iter();
        waiting
            .filter_map(|message| self.say(stream, message, false))
            .collect()
    }

    fn out(&mut self, id: StreamId, message: Message) -> Kept {
        let read = self.streams.get(&id).is_some_and(|stream| stream.read);
        match self.say(id, message, false) {
            Some(event) if read => Kept::Out(event),
            Some(_) => Kept::Waits,
            None => Kept::Dropped,
        }
    }

    fn say(&mut self, id: StreamId, message: Message, last: bool) -> Option<Event> {
        let stream = self.streams.get_mut(&id)?;
        stream.said += 1;
        let event_id = EventId {
            stream: id,
            number: stream.said,
        };
        let event = Event {
            stream: id,
            id: stream.resumable.then_some(event_id),
            message,
            last,
        };
        if stream.resumable {
            self.cache.keep(event_id, event.clone());
        }
        Some(event)
    }

    /// Whether a stream takes a message beside its answer.
    fn carries(&self, id: StreamId, client: ClientId) -> bool {
        self.streams.get(&id).is_some_and(|stream| {
            stream.client == client && stream.streams && (stream.read || stream.resumable)
        })
    }

    fn newest_get(&self, client: ClientId) -> Option<StreamId> {
        let gets = self.those(client, |stream| stream.ticket.is_none() && stream.read);
        gets.max()
    }

    fn oldest(&self, client: ClientId, is: impl Fn(&Stream) -> bool) -> Option<StreamId> {
        let waiting = self.those(client, |stream| !stream.answered && is(stream));
        waiting.filter(|id| self.carries(*id, client)).min()
    }

    /// The streams of a client that are so, in no order.
    fn those(
        &self,
        client: ClientId,
        are: impl Fn(&Stream) -> bool,
    ) -> impl Iterator<Item = StreamId> {
        let its = self.streams.iter();
        its.filter(move |(_, stream)| stream.client == client && are(stream))
            .map(|(id, _)| *id)
    }

    fn forget(&mut self, id: StreamId) {
        let Some(stream) = self.streams.remove(&id) else {
            return;
        };
        if stream.resumable {
            self.cache.forget(id);
        }
        if let Some(ticket) = stream.ticket {
            self.requests.remove(&ticket);
        }
    }
}

impl StreamId {
    /// The event without data that a stream begins with.
    pub const fn first(self) -> EventId {
        EventId {
            stream: self,
            number: 0,
        }
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.stream.0, self.number)
    }
}

impl FromStr for EventId {
    type Err = NotAnEventId;

    fn from_str(text: &str) -> Result<Self, NotAnEventId> {
        let (stream, number) = text.split_once('-').ok_or(NotAnEventId)?;
        Ok(Self {
            stream: StreamId(stream.parse()?),
            number: number.parse()?,
        })
    }
}

/// What was given as an event id is none of ours.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not an event id of this broker's")]
#[non_exhaustive]
pub struct NotAnEventId;

impl From<ParseIntError> for NotAnEventId {
    fn from(_: ParseIntError) -> Self {
        Self
    }
}
