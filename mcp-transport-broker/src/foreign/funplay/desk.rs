//! Which session has the lease, and what its requests mean.

use super::{CALL, armour, reply};
use crate::broker::{Attachment, Broker, Handout, Item, Lease, Life, Pushed, Ticket};
use crate::foreign::{Number, Numbers};
use crate::native::{Detach, DetachReason, Former, Host, Refused, Word};
use mcp_transport_core::Message;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// What is known of the plugin's sessions. One for each broker.
#[derive(Debug)]
pub struct Desk {
    numbers: Numbers,
    working: Duration,
    current: Option<Current>,
    /// Sessions that said `detach`, the newest last.
    left: VecDeque<String>,
    /// What was pushed last: a push may be said twice.
    answered: VecDeque<(String, Ticket)>,
    /// Calls that a plugin gave back, as often as it did.
    given_back: VecDeque<Ticket>,
    /// A session that is about to unload, and until when it is taken for that.
    stopping: Option<(String, Instant)>,
}

#[derive(Debug)]
struct Current {
    session: String,
    lease: Lease,
    /// Its name in the broker.
    name: String,
}

/// A plugin pushes.
#[derive(Clone, Copy, Debug)]
#[expect(
    clippy::exhaustive_structs,
    reason = "the headers and the body of a push"
)]
pub struct Push<'a> {
    /// What it answers.
    pub number: &'a str,
    /// It is an event stream.
    pub is_stream: bool,
    /// The answer.
    pub body: &'a [u8],
}

/// What to do with an item that is for the plugin.
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "the shell must do each")]
pub enum Work {
    /// Hand it out.
    Give {
        /// Whose answer somebody waits for.
        ticket: Option<Ticket>,
        /// The number that goes with it.
        number: u64,
        /// A plugin may have seen it, and must not run it again.
        flagged: bool,
        /// What the plugin gets.
        body: Vec<u8>,
    },
    /// It cannot be handed out: this is its answer.
    Refuse(Ticket, Message),
    /// It is nothing that the plugin understands.
    Skip,
}

/// How long a session without a connection and without a call is taken for alive: 2 s. The plugin
/// waits 500 ms at most between two requests.
const SILENCE: Duration = Duration::from_secs(2);

/// For how long a plugin that could not run a call is taken for one that unloads: 500 ms, after
/// which it would pull again.
const BACK_OFF: Duration = Duration::from_millis(500);

/// How often a plugin may give a call back before its client hears of it.
const GIVEN_BACK: usize = 3;

/// How many sessions that left are remembered, and how many pushes.
const REMEMBERED: usize = 64;

/// The longest name of a session, in bytes; the plugin's have 32.
const MAX_SESSION: usize = 256;

impl Desk {
    /// Nobody was there. `working`: for how long a call speaks for the session that pulled it.
    pub const fn new(numbers: Numbers, working: Duration) -> Self {
        Self {
            numbers,
            working,
            current: None,
            left: VecDeque::new(),
            answered: VecDeque::new(),
            given_back: VecDeque::new(),
            stopping: None,
        }
    }

    /// A session is there. Without a name it is nobody: `None`.
    ///
    /// # Errors
    /// [`Word::Busy`] while another is alive; [`Word::ShuttingDown`]; [`Word::Malformed`] for a name
    /// that is too long.
    pub fn attach(
        &mut self,
        broker: &mut Broker,
        now: Instant,
        session: &str,
    ) -> Result<Option<Lease>, Refused> {
        if session.is_empty() {
            return Ok(None);
        }
        self.left.retain(|left| left != session);
        if let Some(lease) = self.lease(broker, session) {
            broker.heard(now, lease);
            return Ok(Some(lease));
        }
        self.seat(broker, now, session, Vec::new()).map(Some)
    }

    /// A session wants work: the lease for which it waits.
    ///
    /// # Errors
    /// As [`attach`](Self::attach), and [`Word::LeaseOver`] for a session that has left.
    pub fn pull(
        &mut self,
        broker: &mut Broker,
        now: Instant,
        session: &str,
    ) -> Result<Lease, Refused> {
        if self.left.iter().any(|left| left == session) {
            let text = "this session has said detach; attach again";
            return Err(Refused::new(Word::LeaseOver, text));
        }
        let stopping = self.stopping.as_ref();
        if stopping.is_some_and(|(who, until)| who == session && now < *until) {
            let text = "this session is about to unload; pull again if it does not";
            return Err(Refused::new(Word::LeaseOver, text));
        }
        let Some(lease) = self.lease(broker, session) else {
            return self.seat(broker, now, session, Vec::new());
        };
        broker.heard(now, lease);
        let received = Vec::from_iter(broker.outstanding(lease).map(Ticket::get));
        if received.is_empty() {
            return Ok(lease);
        }
        // It runs one at a time: what it still has, it never got, or could not push.
        tracing::info!(?received, "the plugin pulls again without an answer");
        self.seat(broker, now, session, received)
    }

    /// What a pull got. The flag is for whoever must not run a call twice.
    pub fn work(&mut self, handout: &Handout) -> Work {
        let (ticket, message, redelivered) = match &handout.item {
            Item::Request {
                ticket,
                message,
                redelivered,
            } => (Some(*ticket), message, *redelivered),
            Item::Aside(message) => (None, message, false),
            Item::Cancel(_) | Item::Gone => return Work::Skip,
        };
        // As an id, the ticket is small enough for a floating-point number.
        match (armour(message, ticket.map_or(0, Ticket::get)), ticket) {
            (Ok(body), Some(call)) => Work::Give {
                ticket,
                number: self.numbers.call(call),
                flagged: redelivered && message.method() == Some(CALL),
                body,
            },
            (Ok(body), None) => Work::Give {
                ticket,
                number: self.numbers.aside(),
                flagged: false,
                body,
            },
            (Err(deep), Some(ticket)) => Work::Refuse(ticket, deep.to_answer(message.id())),
            (Err(deep), None) => {
                tracing::warn!(%deep, "a notification was dropped");
                Work::Skip
            }
        }
    }

    /// A session pushes an answer. False where it is none of its own.
    pub fn push(
        &mut self,
        broker: &mut Broker,
        now: Instant,
        session: &str,
        push: Push<'_>,
    ) -> bool {
        let Some(number) = self.numbers.read(push.number) else {
            return false;
        };
        let Some(lease) = self.lease_or_again(broker, now, session) else {
            return false;
        };
        broker.heard(now, lease);
        let ticket = match number {
            Number::Call(ticket) => ticket,
            Number::Aside => return true,
        };
        let mut answered = self.answered.iter();
        if answered.any(|(who, what)| who == session && *what == ticket) {
            return true;
        }
        let Some((client, request)) = broker.request(ticket) else {
            // Nobody waits any more: whatever it is.
            let message = Message::from(push.body.to_vec());
            return self.answer(broker, now, (lease, ticket), message) != Pushed::Stray;
        };
        let reply = reply::read(push.body, push.is_stream, request);
        if reply.not_run && self.gives_back(broker, now, lease, ticket) {
            self.stopping = Some((session.to_owned(), now + BACK_OFF));
            return true;
        }
        if broker.outstanding(lease).any(|out| out == ticket) {
            for notification in reply.notifications {
                broker.say(now, lease, client, Some(ticket), notification);
            }
        }
        self.answer(broker, now, (lease, ticket), reply.answer) != Pushed::Stray
    }

    /// A session goes.
    pub fn detach(&mut self, broker: &mut Broker, now: Instant, session: &str) {
        if session.is_empty() || session.len() > MAX_SESSION {
            return;
        }
        if let Some(lease) = self.lease(broker, session) {
            leave(broker, now, lease, Vec::new());
            self.current = None;
        }
        self.left.retain(|left| left != session);
        remember(&mut self.left, session.to_owned());
    }

    /// What a plugin that is about to unload could not run goes back to its place in the queue, and
    /// the lease ends. False if it did so too often, or no longer has it.
    fn gives_back(
        &mut self,
        broker: &mut Broker,
        now: Instant,
        lease: Lease,
        ticket: Ticket,
    ) -> bool {
        let before = self.given_back.iter().filter(|given| **given == ticket);
        if before.count() >= GIVEN_BACK || !broker.outstanding(lease).any(|out| out == ticket) {
            return false;
        }
        remember(&mut self.given_back, ticket);
        leave(broker, now, lease, vec![ticket.get()]);
        true
    }

    /// The lease of this session, if it is the one that has it.
    fn lease(&self, broker: &Broker, session: &str) -> Option<Lease> {
        let current = self.current.as_ref()?;
        (current.session == session && broker.lease(&current.name).is_ok()).then_some(current.lease)
    }

    /// The same; or a new one for the session that had it last, and was silent for so long that it
    /// was taken for gone.
    fn lease_or_again(
        &mut self,
        broker: &mut Broker,
        now: Instant,
        session: &str,
    ) -> Option<Lease> {
        let lease = self.lease(broker, session);
        let was_last = self
            .current
            .as_ref()
            .is_some_and(|current| current.session == session);
        lease.or_else(|| {
            was_last
                .then(|| self.seat(broker, now, session, Vec::new()).ok())
                .flatten()
        })
    }

    /// A lease for this session. `received`: what it got on the one that it has, and is lost. What
    /// it got on a former lease it may still answer.
    fn seat(
        &mut self,
        broker: &mut Broker,
        now: Instant,
        session: &str,
        received: Vec<u64>,
    ) -> Result<Lease, Refused> {
        if session.len() > MAX_SESSION {
            let text = format!("a session's name has {MAX_SESSION} bytes at most");
            return Err(Refused::new(Word::Malformed, text));
        }
        let host = Host {
            name: "the Funplay plugin".to_owned(),
            instance: session.to_owned(),
            ..Host::default()
        };
        let life = Life::Any {
            silence: SILENCE,
            working: self.working,
        };
        let mut attachment = Attachment::foreign(host, 1, life).guards_reruns();
        let current = self.current.as_ref();
        let former = current.filter(|current| current.session == session);
        attachment.former = former.map(|current| Former {
            lease: current.name.clone(),
            received,
            coming: Vec::new(),
        });
        let granted = broker.attach(now, attachment)?;
        self.current = Some(Current {
            session: session.to_owned(),
            lease: granted.lease,
            name: granted.name,
        });
        Ok(granted.lease)
    }

    fn answer(
        &mut self,
        broker: &mut Broker,
        now: Instant,
        (lease, ticket): (Lease, Ticket),
        message: Message,
    ) -> Pushed {
        let pushed = broker.answer(now, lease, ticket, message);
        if let (true, Some(current)) = (pushed != Pushed::Stray, &self.current) {
            let session = current.session.clone();
            remember(&mut self.answered, (session, ticket));
        }
        pushed
    }
}

/// The lease ends; `untouched` never began.
fn leave(broker: &mut Broker, now: Instant, lease: Lease, untouched: Vec<u64>) {
    let detach = Detach {
        reason: DetachReason::Reloading,
        gap_ms: None,
        received: None,
        untouched,
        coming: Vec::new(),
    };
    broker.detach(now, lease, &detach);
}

fn remember<T>(all: &mut VecDeque<T>, one: T) {
    if all.len() == REMEMBERED {
        all.pop_front();
    }
    all.push_back(one);
}
