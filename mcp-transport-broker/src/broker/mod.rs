//! The broker's state: who asks, who answers, and what becomes of each call. Pure: no I/O, no
//! tasks, no clock, no randomness of its own.
//!
//! ```text
//!  client ── ask, tell, hang_up ──►┌────────┐◄── attach, pull, answer, say, detach ── host
//!                                  │ Broker │
//!  client ◄── Output: Answer, Tell └────────┘ Output: Ready, LeaseOver ──► host's pulls
//! ```
//!
//! Mutate, then drain [`Broker::poll_output`], then arm one timer for [`Broker::poll_timeout`].
//!
//! - **Every call is answered once**: by its host, from the catalogue, or with an error in the
//!   family's shape that says what is known. None hangs, and none runs twice that may not: that is
//!   core's [`delivery`](mcp_transport_core::delivery) rule.
//! - **One host at a time.** Nothing is handed to a second lease while the first is alive.
//! - **Order.** Calls are handed out as they came; what comes back keeps its place. What nobody
//!   answers (notifications, a client's answers) passes calls only where the host's window is full,
//!   for the host may need it to make room. It belongs to the lease that is there when it is said.
//! - **Sessions outlive hosts.** On each lease every legacy session's handshake is said again first;
//!   its calls wait for that. A host that refuses it, or agrees on another version, ends the
//!   session.
//! - **A client is answered in time.** One that did not ask for progress hears at
//!   [`client_budget`](Config::client_budget) at the latest that its call was not delivered, or that
//!   it runs, and by which id to ask for the result. One that did is told every 10 s what goes on.

mod asking;
mod calls;
mod catalogue;
mod clients;
mod config;
mod ending;
mod endings;
mod handing;
mod hearing;
mod late;
mod leasing;
mod leaving;
mod moving;
mod progress;
mod refusal;
mod replaying;
mod seat;
mod status;
mod timers;
mod timing;
mod types;

pub use catalogue::{Entry, Snapshot};
pub use clients::{Declared, Lists};
pub use config::{Config, LateLimits};
pub use moving::{HandOver, HeldCall, HeldReplay, HeldSession, KeptResult, Lane, Taken};
pub(crate) use moving::{raw, unraw};
pub use refusal::Refusal;
pub use status::{Attached, Status};
pub use types::{
    Ask, Attachment, ClientId, Dialect, Granted, Handout, Item, Lease, Life, NoClientId, Operation,
    Output, Pushed, Ticket,
};

use calls::{Calls, Stage};
use catalogue::Catalogue;
use clients::Clients;
use late::Late;
use mcp_transport_core::delivery::Delivery;
use seat::{Away, Past, Seat};
use std::collections::VecDeque;
use std::fmt;
use std::time::{Duration, Instant};
use timers::Timers;
use timing::Timer;

/// The state of a broker.
///
/// ```
/// use mcp_transport_broker::broker::{Ask, Attachment, Broker, Config, Item, Output, Pushed};
/// use mcp_transport_broker::native::{Attach, Era, Meet};
/// use mcp_transport_core::Message;
/// # fn doc(now: std::time::Instant) {
/// let mut dice = 0;
/// let mut broker = Broker::new(Config::default(), move || {
///     dice += 1;
///     [dice; 16]
/// });
///
/// // A client asks while no host is there.
/// let meet = Meet { era: Era::Modern, version: "2026-07-28".to_owned() };
/// let client = broker.meet(now, meet).unwrap();
/// let call = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"dice"}}"#;
/// let ticket = broker.ask(now, client, Message::from(call), Ask::default()).unwrap();
///
/// // A host attaches, and pulls.
/// let attach: Attach = serde_json::from_str(r#"{"protocol":1,"host":{"name":"game"}}"#).unwrap();
/// let lease = broker.attach(now, Attachment::from(attach)).unwrap().lease;
/// let items = broker.pull(now, lease, 64);
/// assert!(items.iter().any(|handout| matches!(
///     &handout.item,
///     Item::Request { ticket: given, .. } if *given == ticket
/// )));
///
/// let answer = Message::from(r#"{"jsonrpc":"2.0","id":1,"result":{}}"#);
/// assert_eq!(broker.answer(now, lease, ticket, answer), Pushed::Answered);
/// while let Some(output) = broker.poll_output() {
///     if let Output::Answer { ticket: answered, .. } = output {
///         assert_eq!(answered, ticket);
///     }
/// }
/// # }
/// # doc(std::time::Instant::now());
/// ```
pub struct Broker {
    config: Config,
    random: Box<dyn FnMut() -> [u8; 16] + Send>,
    /// What it carries is whose call it is; the rest is in `calls`.
    delivery: Delivery<ClientId>,
    calls: Calls,
    /// The newest ticket of a call.
    last_ticket: u64,
    /// The newest ticket of the broker's own.
    last_own: u64,
    clients: Clients,
    seat: Option<Seat>,
    past: Past,
    away: Away,
    catalogue: Catalogue,
    late: Late,
    timers: Timers<Timer>,
    outputs: VecDeque<Output>,
    shut: bool,
    /// A newer broker has taken over.
    moved: bool,
}

/// The largest window of a host, and so what may run at once.
const MAX_WINDOW: usize = 4_096;

/// Tickets of calls stay far below this; those of the broker's own requests begin here. Within what
/// every JSON reader takes for an exact number.
const OWN_TICKETS: u64 = 1 << 52;

impl Broker {
    /// A broker that knows nobody. `random` gives 128 random bits, for names that nobody may guess.
    pub fn new(config: Config, random: impl FnMut() -> [u8; 16] + Send + 'static) -> Self {
        Self {
            config,
            random: Box::new(random),
            delivery: Delivery::new(config.limits.remembered(MAX_WINDOW)),
            calls: Calls::default(),
            last_ticket: 0,
            last_own: OWN_TICKETS,
            clients: Clients::default(),
            seat: None,
            past: Past::default(),
            away: Away::never(),
            catalogue: Catalogue::default(),
            late: Late::new(config.late),
            timers: Timers::new(),
            outputs: VecDeque::new(),
            shut: false,
            moved: false,
        }
    }

    /// The catalogue that an earlier broker of this project kept.
    pub fn restore(&mut self, snapshot: Snapshot) {
        self.catalogue.restore(snapshot);
    }

    /// The next thing to be done. Drain it after every call that changes something.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// What is known of the operation with this id.
    pub fn operation(&self, id: &str) -> Operation {
        self.late.get(id)
    }

    /// The config that it was made with.
    pub const fn config(&self) -> &Config {
        &self.config
    }

    /// A name that nobody may guess: 128 random bits as hexadecimal digits.
    fn name(&mut self) -> String {
        use fmt::Write;
        let mut name = String::with_capacity(32);
        for byte in (self.random)() {
            write!(name, "{byte:02x}").expect("text takes text");
        }
        name
    }

    fn own_ticket(&mut self) -> Ticket {
        self.last_own += 1;
        Ticket::from(self.last_own)
    }

    fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for call in self.calls.each() {
            match call.stage {
                Stage::Queued | Stage::Staged | Stage::Moved => counts.queued += 1,
                Stage::Out | Stage::Resumed => counts.running += 1,
                Stage::Deferred => counts.deferred += 1,
            }
        }
        counts
    }
}

#[derive(Debug, Default)]
struct Counts {
    queued: usize,
    running: usize,
    deferred: usize,
}

/// In numbers: what it carries is other people's.
impl fmt::Debug for Broker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Broker")
            .field("host", &self.seat.as_ref().map(|seat| &seat.host.name))
            .field("clients", &self.clients.len())
            .field("calls", &self.counts())
            .field("timers", &self.timers.len())
            .field("late", &self.late.len())
            .finish_non_exhaustive()
    }
}

/// `Instant` has an end, and a config may say "for ever" by a very long time.
fn later(at: Instant, by: Duration) -> Instant {
    const YEARS: Duration = Duration::from_secs(100 * 365 * 24 * 3600);
    at.checked_add(by)
        .or_else(|| at.checked_add(YEARS))
        .unwrap_or(at)
}
