//! The words of the broker.

use crate::native::{Attach, Former, Host, Meet};
use mcp_transport_core::Message;
use mcp_transport_core::delivery::{Link, Replay};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// One call of a client: the number that goes with its answer. Never used again.
///
/// Any number can be made into one, since it comes from a wire; the broker knows its own.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Ticket(u64);

impl Ticket {
    /// The number.
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl From<u64> for Ticket {
    fn from(number: u64) -> Self {
        Self(number)
    }
}

impl fmt::Display for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One client: a legacy session, or a modern client's connection. Never used again. Hosts know it
/// as `c1`, `c2` and so on.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ClientId(pub(super) u64);

impl ClientId {
    /// The number behind the `c`.
    pub(crate) const fn number(self) -> u64 {
        self.0
    }
}

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "c{}", self.0)
    }
}

impl FromStr for ClientId {
    type Err = NoClientId;

    fn from_str(name: &str) -> Result<Self, NoClientId> {
        let number = name.strip_prefix('c').ok_or(NoClientId)?;
        number.parse().map(Self).map_err(|_| NoClientId)
    }
}

/// This is not the name of a client.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a client's name is `c` and a number")]
#[non_exhaustive]
pub struct NoClientId;

/// One host's attachment. On the wire it has a name of 128 random bits, which
/// [`Broker::lease`](super::Broker::lease) looks up.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Lease(pub(super) Link);

impl fmt::Display for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How a call is to be treated.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Ask {
    /// When the client is answered at the latest; `None` for what the broker's
    /// [`Config`](super::Config) says of such a call.
    pub budget: Option<Duration>,
    /// Whether it may be handed out twice; `None` for what the family's table says of its method.
    pub replay: Option<Replay>,
    /// Whether the last catalogue may answer it while no host is there, and learns from its answer.
    /// True by default.
    pub catalogue: bool,
}

impl Default for Ask {
    fn default() -> Self {
        Self {
            budget: None,
            replay: None,
            catalogue: true,
        }
    }
}

impl Ask {
    /// Sets when the client is answered at the latest.
    #[must_use]
    pub const fn budget(mut self, budget: Duration) -> Self {
        self.budget = Some(budget);
        self
    }

    /// Sets whether it may be handed out twice.
    #[must_use]
    pub const fn replay(mut self, replay: Replay) -> Self {
        self.replay = Some(replay);
        self
    }

    /// Sets whether the catalogue has to do with it.
    #[must_use]
    pub const fn catalogue(mut self, catalogue: bool) -> Self {
        self.catalogue = catalogue;
        self
    }
}

/// Which dialect a host speaks: what can be said to it, and what is heard from it.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Dialect {
    /// All of it: it meets clients, their handshakes are replayed, it is told of cancels and of
    /// clients that are gone, and asked for its catalogue. Its answers must be JSON-RPC.
    Native,
    /// Requests and answers, and nothing else; answers are passed on whatever they are.
    Foreign,
}

/// How a lease stays alive.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Life {
    /// While it was heard of late, by the broker's [`silence`](super::Config::silence). If it
    /// `holds_connection`, it must have one open as well, but for a moment
    /// ([`grace`](super::Config::grace)).
    Heard {
        /// It keeps at least one connection open for as long as it lives.
        holds_connection: bool,
    },
    /// While any of these holds: a connection of it is open, it was heard within `silence`, or it
    /// has an operation that was handed out less than `working` ago.
    Any {
        /// How long it may be silent.
        silence: Duration,
        /// How long the youngest operation speaks for it.
        working: Duration,
    },
}

/// A host asks for a lease.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Attachment {
    /// What it speaks.
    pub dialect: Dialect,
    /// Who it is. The same `instance` takes its own former lease over at once, if it is not empty.
    pub host: Host,
    /// How many operations it takes at once; between 1 and 4,096.
    pub window: usize,
    /// Why it attaches, for people.
    pub reason: String,
    /// How it stays alive.
    pub life: Life,
    /// What it knows of its former lease.
    pub former: Option<Former>,
    /// It refuses by itself to run a call again that is [flagged](Item::Request::redelivered). To a
    /// host that does not, no call goes again that only such a host may get twice.
    pub guards: bool,
}

impl Attachment {
    /// A host that speaks another dialect, and takes this many operations at once.
    pub const fn foreign(host: Host, window: usize, life: Life) -> Self {
        Self {
            dialect: Dialect::Foreign,
            host,
            window,
            reason: String::new(),
            life,
            former: None,
            guards: false,
        }
    }

    /// It refuses by itself to run a flagged call again.
    #[must_use]
    pub const fn guards_reruns(mut self) -> Self {
        self.guards = true;
        self
    }
}

/// A host of the native dialect. Its version and its tunnel are the shell's.
impl From<Attach> for Attachment {
    fn from(attach: Attach) -> Self {
        Self {
            dialect: Dialect::Native,
            host: attach.host,
            window: attach.window,
            reason: attach.reason,
            life: Life::Heard {
                holds_connection: attach.holds_connection,
            },
            former: attach.former,
            guards: false,
        }
    }
}

/// A lease was granted.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Granted {
    /// The lease.
    pub lease: Lease,
    /// Its name on the wire.
    pub name: String,
    /// Where the host named a former lease: the tickets of its `coming` whose answer still has
    /// somebody to go to.
    pub coming: Option<Vec<u64>>,
}

/// One item for the host.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Handout {
    /// Whose it is.
    pub client: ClientId,
    /// On the first item of a client on this lease: who that is.
    pub meet: Option<Meet>,
    /// What it is.
    pub item: Item,
    /// Its place among what comes back.
    pub(super) rank: u64,
}

/// What the host gets.
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "a dialect must say each")]
pub enum Item {
    /// A request.
    Request {
        /// What goes with the answer.
        ticket: Ticket,
        /// The request, byte for byte.
        message: Message,
        /// It was handed out before, and a host may have seen it.
        redelivered: bool,
    },
    /// A notification, or an answer to a request of the host's: nothing to answer.
    Aside(Message),
    /// Nobody waits for this ticket's answer any more.
    Cancel(Ticket),
    /// The client is gone, with everything that it had.
    Gone,
}

/// What became of a host's answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "the shell must say each")]
pub enum Pushed {
    /// The client has it.
    Answered,
    /// Nobody waits any more; it is kept if somebody may ask for it.
    Late,
    /// The ticket was never handed to this host, or has its answer.
    Stray,
}

/// What is known of an operation that somebody asks for by its id.
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "the shell must say each")]
pub enum Operation {
    /// It runs, or waits to.
    Running,
    /// This is how it ended; a JSON-RPC answer.
    Done(Message),
    /// There is no such operation, or its result is gone.
    Unknown,
}

/// What the broker wants done. Drain after every call that changes something.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Output {
    /// Answer the client; this ends the call.
    Answer {
        /// Which.
        ticket: Ticket,
        /// The host's answer, byte for byte, or an error in the family's shape.
        message: Message,
    },
    /// End the call without an answer: its client has cancelled it by a notification.
    Cancelled {
        /// Which.
        ticket: Ticket,
    },
    /// Tell a client: a notification or a request of the host's, or a notification of the broker's.
    Tell {
        /// Whom.
        client: ClientId,
        /// The call to whose stream it belongs, where that is known.
        about: Option<Ticket>,
        /// What.
        message: Message,
    },
    /// A pull that found nothing would get something now.
    Ready,
    /// A lease is over: its parked pulls end.
    LeaseOver {
        /// Which.
        lease: Lease,
    },
    /// A client is over, and the broker ended it: a legacy one must initialise again. Its calls
    /// were answered before.
    Closed {
        /// Which.
        client: ClientId,
    },
    /// The catalogue has changed: keep it, for [`Broker::restore`](super::Broker::restore).
    Catalogue(super::Snapshot),
}
