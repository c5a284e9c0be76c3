//! Who is attached, and who was.

use super::catalogue::{Inquiries, Key};
use super::types::{ClientId, Dialect, Handout, Item, Lease, Life, Ticket};
use crate::native::Host;
use crate::numbers::Table;
use mcp_transport_core::delivery::{Link, Op};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::{Duration, Instant};

/// The lease that is alive.
#[derive(Debug)]
pub(super) struct Seat {
    pub(super) lease: Lease,
    pub(super) name: String,
    pub(super) host: Host,
    pub(super) dialect: Dialect,
    pub(super) window: usize,
    pub(super) life: Life,
    /// The links of this host's former lives: answers to what they got are its answers.
    pub(super) formers: Vec<Link>,
    /// A former life of it was attached to the broker from which this one took over.
    pub(super) inherits: bool,
    pub(super) since: Instant,
    pub(super) heard: Instant,
    pub(super) connections: usize,
    /// The calls that have a place in the window.
    pub(super) out: usize,
    /// What goes out before anything from the queue: what is said again, cancels, who is gone.
    pub(super) outbox: VecDeque<Handout>,
    /// What nobody answers, in order.
    pub(super) asides: VecDeque<Handout>,
    pub(super) aside_bytes: usize,
    /// What waits for its session to be replayed.
    pub(super) staged: BTreeMap<Ticket, (ClientId, Op)>,
    /// The broker's own requests, by their tickets.
    pub(super) own: Table<Ticket, Own>,
    pub(super) inquiries: Inquiries,
    /// It was said that there is something to pull, and nobody has pulled since.
    pub(super) ready: bool,
}

/// What the broker itself asks a host.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Own {
    /// A step of this session's handshake, again; and whether it is the first.
    Replay(ClientId, bool),
    /// A part of what it offers.
    Inquiry(ClientId, Key),
}

impl Seat {
    /// When its life has to be looked at next, if nothing is heard of it until then; `None` while a
    /// connection of it is all that is needed.
    pub(super) fn check_at(&self, working: Option<Instant>, silence: Duration) -> Option<Instant> {
        match self.life {
            Life::Heard { .. } => Some(super::later(self.heard, silence)),
            Life::Any { .. } if self.connections > 0 => None,
            Life::Any {
                silence,
                working: span,
            } => {
                let heard = super::later(self.heard, silence);
                let working = working.map(|handed| super::later(handed, span));
                Some(working.map_or(heard, |working| working.max(heard)))
            }
        }
    }

    /// Puts something back that was to go out next, and is no call.
    pub(super) fn put_back(&mut self, handout: Handout) {
        if handout.rank == 0 {
            self.outbox.push_front(handout);
            return;
        }
        if let Item::Aside(message) = &handout.item {
            self.aside_bytes += message.len();
        }
        let place = self
            .asides
            .partition_point(|other| other.rank < handout.rank);
        self.asides.insert(place, handout);
    }

    /// Nothing more of this client is handed out.
    pub(super) fn forget_client(&mut self, client: ClientId) {
        self.outbox.retain(|handout| handout.client != client);
        self.own
            .retain(|_, own| !matches!(own, Own::Replay(whose, _) if *whose == client));
        self.asides.retain(|aside| aside.client != client);
        self.aside_bytes = self
            .asides
            .iter()
            .map(|aside| match &aside.item {
                Item::Aside(message) => message.len(),
                _ => 0,
            })
            .sum();
    }
}

/// How a lease ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum End {
    Superseded,
    Stale,
    Lost,
    Reloading,
    ShuttingDown,
    /// The broker itself is ending.
    BrokerEnds,
    /// A newer broker has the port.
    Moved,
}

impl End {
    /// The `reason` of a `lease_over`.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Superseded => "superseded",
            Self::Stale | Self::Lost => "stale",
            Self::Reloading | Self::ShuttingDown | Self::BrokerEnds => "detached",
            Self::Moved => "moved",
        }
    }
}

/// The leases that are over, as many as are remembered.
#[derive(Debug, Default)]
pub(super) struct Past {
    leases: HashMap<String, Ended>,
    order: VecDeque<String>,
}

/// One that is over.
#[derive(Debug)]
struct Ended {
    /// Its link, and those of its host's former lives.
    links: Vec<Link>,
    end: End,
    inherits: bool,
}

/// How many leases are remembered; and how many of its former lives a host may answer for.
const REMEMBERED: usize = 64;
const LIVES: usize = 8;

impl Past {
    pub(super) fn insert(&mut self, seat: &Seat, end: End) {
        let mut links = vec![seat.lease.0];
        links.extend(seat.formers.iter().take(LIVES - 1));
        let ended = Ended {
            links,
            end,
            inherits: seat.inherits,
        };
        self.remember(seat.name.clone(), ended);
    }

    /// The leases of the broker from which this one takes over.
    pub(super) fn inherit(&mut self, names: Vec<String>) {
        for name in names {
            let ended = Ended {
                links: Vec::new(),
                end: End::Moved,
                inherits: true,
            };
            self.remember(name, ended);
        }
    }

    /// The oldest first.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.order.iter().map(String::as_str)
    }

    fn remember(&mut self, name: String, ended: Ended) {
        if self.order.len() == REMEMBERED {
            self.order
                .pop_front()
                .map(|oldest| self.leases.remove(&oldest));
        }
        self.leases.insert(name.clone(), ended);
        self.order.push_back(name);
    }

    /// The links of that lease and of those before it.
    pub(super) fn links(&self, name: &str) -> Vec<Link> {
        self.leases
            .get(name)
            .map_or_else(Vec::new, |ended| ended.links.clone())
    }

    pub(super) fn end(&self, name: &str) -> Option<End> {
        self.leases.get(name).map(|ended| ended.end)
    }

    /// Whether its host may answer what another broker handed out.
    pub(super) fn inherits(&self, name: &str) -> bool {
        self.leases.get(name).is_some_and(|ended| ended.inherits)
    }
}

/// While no host is attached: since when, and why.
#[derive(Clone, Debug)]
pub(super) struct Away {
    pub(super) since: Option<Instant>,
    pub(super) end: Option<End>,
    pub(super) host: String,
}

impl Away {
    pub(super) const fn never() -> Self {
        Self {
            since: None,
            end: None,
            host: String::new(),
        }
    }

    /// This host is there.
    pub(super) fn here(host: &Host) -> Self {
        Self {
            host: host.name.clone(),
            ..Self::never()
        }
    }
}
