//! What each message means, and what is due: the pure state around [`Delivery`].
//!
//! ```text
//!  client ──► client_said ──► delivery ──► next ─► written | refused ──► host
//!  client ◄── pop_answer  ◄── answers  ◄── settle, forward ◄── host_said ◄── host
//! ```
//!
//! Calls live in `delivery` until they are answered. Notifications and answers of the client are
//! *asides*: they take their turn in the same queue, and are dropped with the connection. But while
//! the handshake is replayed that queue waits, and the host may wait for an answer before it goes
//! on with the handshake: answers go around it.

mod client;
mod host;

use super::answers;
use crate::delivery::{Delivery, Limits, Link, Op, Output, Replay as Safety};
use crate::error::{Error, ErrorKind};
use crate::handshake::{Handshake, REPLAY_TIMEOUT, Replay};
use crate::message::{Id, Kind, Message};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::{Duration, Instant};

/// The limits of one link.
#[derive(Clone, Copy, Debug)]
pub(super) struct Config {
    /// Calls that are not answered yet, at most; and as many asides.
    pub(super) buffer: usize,
    /// The bytes of the calls together; and as many of the asides.
    pub(super) bytes: usize,
    /// How long a call may wait for a connection.
    pub(super) hold: Duration,
    /// How long a call may be in flight.
    pub(super) run: Duration,
}

/// A message on its way to the host. Whoever writes it says [`Driver::written`] or
/// [`Driver::refused`].
#[derive(Debug)]
pub(super) struct Outgoing {
    /// `None` for a part of the replay, and for what is written during it.
    op: Option<Op>,
    message: Message,
}

impl Outgoing {
    /// A clone to write; the original stays until the sink has said yes.
    pub(super) fn message(&self) -> Message {
        self.message.clone()
    }
}

/// What may be sent again when nobody knows what became of it.
pub(super) type Rule = Box<dyn Fn(&Message) -> Safety + Send>;

pub(super) struct Driver {
    config: Config,
    replay: Rule,
    delivery: Delivery<Message>,
    calls: BTreeMap<Op, Call>,
    ids: HashMap<Id, Op>,
    /// The bytes of each message that nobody answers.
    asides: HashMap<Op, usize>,
    aside_bytes: usize,
    /// Requests of the host that the client has not answered, each with its number among what the
    /// client was told.
    theirs: HashMap<Id, u64>,
    handshake: Handshake,
    up: Option<Up>,
    /// Every call is answered with this at once.
    refusing: Option<Error>,
    /// Why there is no connection, or was none.
    cause: Error,
    answers: VecDeque<Message>,
    /// How much the client was told so far.
    told: u64,
}

#[derive(Debug)]
struct Call {
    request: Message,
    replay: Safety,
    sent: bool,
}

#[derive(Debug)]
struct Up {
    link: Link,
    /// The replay, and when it must be over.
    replay: Option<(Replay, Instant)>,
    /// Answers to this host that were said during the replay; bounded as asides are.
    replies: VecDeque<Message>,
}

/// What waits for the client, at most, before the host is no longer read.
const ENOUGH: usize = 64;

/// What is read beside the answers of a host that takes no more.
const BESIDE: usize = 256;

impl Driver {
    pub(super) fn new(config: Config, replay: Rule) -> Self {
        // Calls and asides share the queue, and each has limits of its own: answers that a host
        // waits for must not be crowded out by calls that wait for that host.
        let limits = Limits::default()
            .ops(config.buffer.saturating_mul(2))
            .bytes(config.bytes)
            .remembered(0);
        Self {
            config,
            replay,
            delivery: Delivery::new(limits),
            calls: BTreeMap::new(),
            ids: HashMap::new(),
            asides: HashMap::new(),
            aside_bytes: 0,
            theirs: HashMap::new(),
            handshake: Handshake::new(),
            up: None,
            refusing: None,
            cause: answers::never_connected(),
            answers: VecDeque::new(),
            told: 0,
        }
    }

    /// A connection is there. The session is replayed on it before anything else.
    pub(super) fn connected(&mut self, now: Instant) {
        let link = self
            .delivery
            .attach(usize::MAX)
            .expect("the former connection was detached when it went");
        let replay = self.handshake.replay();
        let replay = (!replay.is_over()).then_some((replay, now + REPLAY_TIMEOUT));
        self.up = Some(Up {
            link,
            replay,
            replies: VecDeque::new(),
        });
        self.refusing = None;
    }

    /// True once the connection is there and the replay is over.
    pub(super) fn is_open(&self) -> bool {
        self.up.as_ref().is_some_and(|up| up.replay.is_none())
    }

    /// The connection went.
    pub(super) fn lost(&mut self, now: Instant, cause: &Error) {
        let Some(up) = self.up.take() else {
            return;
        };
        self.cause = cause.clone();
        self.handshake.lost();
        for (op, _) in std::mem::take(&mut self.asides) {
            self.delivery.abandon(op);
        }
        self.aside_bytes = 0;
        for (id, _) in std::mem::take(&mut self.theirs) {
            self.tell(cancel(&id, "the connection that asked is gone"));
        }
        // What ran did not wait. How often it is sent again is bounded, and so is this.
        for op in Vec::from_iter(self.delivery.outstanding(up.link)) {
            self.delivery.hold_afresh(now, op);
        }
        self.delivery.detach(now, up.link, &[]);
        self.drain(now);
    }

    /// A dial failed.
    pub(super) fn waiting(&mut self, cause: &Error) {
        self.cause = cause.clone();
    }

    /// From now on every new call is answered with this at once; `None` takes it back.
    pub(super) fn refuse(&mut self, with: Option<Error>) {
        self.refusing = with;
    }

    /// Answers every call that is not answered yet. Only while no connection is up.
    pub(super) fn give_up(&mut self, cause: &Error) {
        for (op, call) in std::mem::take(&mut self.calls) {
            self.delivery.abandon(op);
            let safe = call.replay == Safety::Safe;
            self.tell(answers::refused(&call.request, call.sent, safe, cause));
        }
        self.ids.clear();
    }

    /// True if [`next`](Self::next) may have something.
    pub(super) fn has_next(&self) -> bool {
        let Some(up) = &self.up else {
            return false;
        };
        let turn = match &up.replay {
            Some((replay, _)) => replay.has_next(),
            None => self.delivery.queued() > 0,
        };
        turn || !up.replies.is_empty()
    }

    /// The next message to write. Ask only when there is room to write it.
    pub(super) fn next(&mut self, now: Instant) -> Option<Outgoing> {
        let up = self.up.as_mut()?;
        let step = up.replay.as_mut().and_then(|(replay, _)| replay.next());
        let reply = || {
            let reply = up.replies.pop_front()?;
            self.aside_bytes -= reply.len();
            Some(reply)
        };
        if let Some(message) = step.or_else(reply) {
            return Some(Outgoing { op: None, message });
        }
        if up.replay.is_some() {
            return None;
        }
        let handout = self.delivery.take(now, up.link);
        self.drain(now);
        let handout = handout?;
        Some(Outgoing {
            op: Some(handout.op),
            message: handout.payload,
        })
    }

    /// The sink took it.
    pub(super) fn written(&mut self, outgoing: &Outgoing) {
        let Some(op) = outgoing.op else {
            self.end_replay();
            return;
        };
        if let Some(call) = self.calls.get_mut(&op) {
            call.sent = true;
            self.handshake.said(&outgoing.message);
        } else {
            self.aside_over(op);
        }
    }

    /// The sink refused it.
    ///
    /// # Errors
    /// The connection is over, unless this one message was too large.
    pub(super) fn refused(
        &mut self,
        now: Instant,
        outgoing: &Outgoing,
        error: Error,
    ) -> Result<(), Error> {
        let too_large = matches!(error.kind(), ErrorKind::TooLarge { .. });
        let (Some(op), Some(up)) = (outgoing.op, &self.up) else {
            return match outgoing.message.kind() {
                Kind::Response { .. } if too_large => {
                    self.answer_instead(now, &outgoing.message, &error);
                    Ok(())
                }
                _ => Err(error),
            };
        };
        if !too_large {
            self.delivery.give_back(now, up.link, op);
            self.drain(now);
            return Err(error);
        }
        if let Some(call) = self.calls.get(&op) {
            let answer = Message::failure(call.request.id(), &error);
            self.delivery.complete(up.link, op);
            self.forget(op);
            self.tell(answer);
        } else {
            self.aside_over(op);
            self.answer_instead(now, &outgoing.message, &error);
        }
        Ok(())
    }

    /// The host waits for an answer that is too large, and must not wait for ever. A limit under
    /// which even that does not fit gets nothing: it would be replaced again and again.
    fn answer_instead(&mut self, now: Instant, message: &Message, error: &Error) {
        if let Kind::Response { id, .. } = message.kind() {
            let failure = Message::failure(id, error);
            if failure.len() < message.len() {
                self.aside(now, failure);
            }
        }
    }

    /// The next message for the client.
    pub(super) fn pop_answer(&mut self) -> Option<Message> {
        self.answers.pop_front()
    }

    /// True if there is one.
    pub(super) fn has_answer(&self) -> bool {
        !self.answers.is_empty()
    }

    /// True if the host may be read: the client keeps up.
    pub(super) fn hears_host(&self) -> bool {
        self.answers.len() < ENOUGH
    }

    /// True if the client may be heard. False only for one that sends and does not read.
    pub(super) fn hears_client(&self) -> bool {
        self.answers.len() < self.config.buffer.max(ENOUGH)
    }

    /// How many messages are read of a host that takes no more, though the client may not keep up:
    /// an answer to each call and some more, but no flood, and less for a client that still has to
    /// read those of the last such host.
    pub(super) fn last_words(&self) -> usize {
        let room = self.config.buffer.max(ENOUGH).saturating_add(BESIDE);
        room.saturating_add(self.calls.len())
            .saturating_sub(self.answers.len())
    }

    /// True if nothing is left to be written.
    pub(super) fn is_written(&self) -> bool {
        self.is_open() && !self.has_next()
    }

    /// True if no call waits for its answer.
    pub(super) fn is_idle(&self) -> bool {
        self.calls.is_empty()
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let replay = self
            .up
            .as_ref()
            .and_then(|up| up.replay.as_ref().map(|&(_, due)| due));
        [replay, self.delivery.poll_timeout()]
            .into_iter()
            .flatten()
            .min()
    }

    /// # Errors
    /// The replay is overdue: the connection counts as failed.
    pub(super) fn handle_timeout(&mut self, now: Instant) -> Result<(), Error> {
        self.delivery.handle_timeout(now);
        self.drain(now);
        match &self.up {
            Some(Up {
                replay: Some((_, due)),
                ..
            }) if *due <= now => Err(Error::new(ErrorKind::TimedOut).context(format!(
                "the host did not answer the replayed handshake within {} s",
                REPLAY_TIMEOUT.as_secs()
            ))),
            _ => Ok(()),
        }
    }

    /// The machine slept for this long.
    pub(super) fn slept(&mut self, gap: Duration) {
        self.delivery.slept(gap);
        if let Some(Up {
            replay: Some((_, due)),
            ..
        }) = &mut self.up
        {
            *due += gap;
        }
    }

    fn end_replay(&mut self) {
        if let Some(up) = &mut self.up {
            up.replay.take_if(|(replay, _)| replay.is_over());
        }
    }

    fn forget(&mut self, op: Op) -> Option<Call> {
        let call = self.calls.remove(&op)?;
        call.request.id().map(|id| self.ids.remove(id));
        Some(call)
    }

    fn tell(&mut self, message: Message) {
        self.told += 1;
        self.answers.push_back(message);
    }

    /// Does what the machine wants done. After every call that changes it.
    fn drain(&mut self, now: Instant) {
        while let Some(output) = self.delivery.poll_output() {
            match output {
                Output::Settle { op, outcome, cause } => {
                    if let Some(call) = self.forget(op) {
                        let safe = call.replay == Safety::Safe;
                        let answer = answers::settled(
                            &call.request,
                            op,
                            (outcome, cause),
                            safe,
                            &self.cause,
                        );
                        self.tell(answer);
                    }
                }
                Output::Stuck { link, op } => self.overrun(now, link, op),
                // The client's own notification went to the host when it came.
                Output::Cancel { .. } => {}
            }
        }
    }

    /// A call ran for as long as it may: its client is answered, and the host is told that nobody
    /// waits.
    fn overrun(&mut self, now: Instant, link: Link, op: Op) {
        self.delivery.complete(link, op);
        if let Some(call) = self.forget(op) {
            let safe = call.replay == Safety::Safe;
            self.tell(answers::overrun(&call.request, op, self.config.run, safe));
            if let Some(id) = call.request.id() {
                self.aside(now, cancel(id, "no answer came in time"));
            }
        }
    }
}

fn cancel(id: &Id, reason: &str) -> Message {
    #[derive(serde::Serialize)]
    struct Params<'a> {
        #[serde(rename = "requestId")]
        id: &'a Id,
        reason: &'a str,
    }
    Message::notification("notifications/cancelled", Some(Params { id, reason }))
        .expect("ids and text always serialise")
}

fn cancelled_id(message: &Message) -> Option<Id> {
    #[derive(serde::Deserialize)]
    struct Params<'a> {
        #[serde(borrow, rename = "requestId")]
        id: &'a serde_json::value::RawValue,
    }
    let params: Params<'_> = serde_json::from_str(message.params()?).ok()?;
    Id::from_json(params.id.get())
}

#[cfg(test)]
mod tests;
