//! Who has the seat of a bridge that serves one client at a time. Pure.
//!
//! ```text
//!  arrive ─► silent ─── claim(take), command ──► holder ── somebody takes ──► evicted
//!               └────── claim(if_free) ─► waits ──┘ when the seat is free, the oldest first
//! ```
//! A connection that only pings stays silent, so a probe costs the holder nothing. Whoever calls mutates, then drains
//! [`Seats::poll_output`].

use super::wire::{Claim, Refusal};
use mcp_transport_core::{Error, ErrorKind, Eviction, EvictionReason};
use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

/// One connection; a number that is never used again.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Peer(u64);

/// Who wins when a second client wants the seat.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum Policy {
    /// The newcomer: the incumbent is told and closed. What the installed plugin does, except that it tells nobody.
    #[default]
    NewestWins,
    /// The incumbent: the newcomer is refused by name, unless the incumbent was silent for longer than
    /// [`SeatConfig::silence`] and has no command running.
    ProtectIncumbent,
    /// Both: there is no seat, and everybody is served.
    Share,
}

/// Who hears the eviction notice.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum Notice {
    /// Every loser. The Python client (10.3) does not know the frame and takes it for the answer to its command; choose
    /// [`Announced`](Self::Announced) where that one connects.
    #[default]
    Always,
    /// Who asked for the seat by name, and so knows the frame.
    Announced,
    /// Nobody: losers are just closed, as by the installed plugin.
    Never,
}

/// The rules.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct SeatConfig {
    /// Who wins: [`Policy::NewestWins`] by default.
    pub policy: Policy,
    /// Who is told: [`Notice::Always`] by default.
    pub notice: Notice,
    /// After which silence an incumbent is not protected any more: 30 s by default, the interval and the patience of this
    /// family's keep-alive together.
    pub silence: Duration,
    /// How many connections there may be: 64 by default.
    pub connections: usize,
}

impl Default for SeatConfig {
    fn default() -> Self {
        Self {
            policy: Policy::default(),
            notice: Notice::default(),
            silence: Duration::from_secs(30),
            connections: 64,
        }
    }
}

/// What to do to a connection.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Output {
    /// It asked for the seat and has it: answer with a pong.
    Grant(Peer),
    /// It asked for the seat and does not get it: answer with the refusal.
    Refuse(Peer, Refusal),
    /// It lost the seat: close it, and send the notice before if `tell`.
    Evict {
        /// Who lost it.
        peer: Peer,
        /// To whom, when, and the way out.
        eviction: Eviction,
        /// Whether to send the notice.
        tell: bool,
    },
}

/// The seat, who has it and who wants it.
#[derive(Debug)]
pub struct Seats {
    config: SeatConfig,
    next: u64,
    peers: BTreeMap<Peer, Connection>,
    holder: Option<Peer>,
    /// The oldest first.
    waiting: VecDeque<Peer>,
    outputs: VecDeque<Output>,
}

#[derive(Debug)]
struct Connection {
    endpoint: String,
    heard: Instant,
    /// It asked for the seat by name.
    announced: bool,
    /// A command of its runs, so it has no turn to speak.
    busy: bool,
    /// By whom it lost the seat.
    evicted: Option<Refusal>,
}

impl Seats {
    /// Nobody is there.
    pub const fn new(config: SeatConfig) -> Self {
        Self {
            config,
            next: 0,
            peers: BTreeMap::new(),
            holder: None,
            waiting: VecDeque::new(),
            outputs: VecDeque::new(),
        }
    }

    /// A connection is there. It wants nothing yet.
    ///
    /// # Errors
    /// [`ErrorKind::Overloaded`] beyond [`SeatConfig::connections`].
    pub fn arrive(&mut self, now: Instant, endpoint: impl Into<String>) -> Result<Peer, Error> {
        if self.peers.len() >= self.config.connections {
            return Err(
                Error::new(ErrorKind::Overloaded { retry_after: None }).context(format!(
                    "{} connections are there already; close one",
                    self.peers.len()
                )),
            );
        }
        let peer = Peer(self.next);
        self.next += 1;
        self.peers.insert(
            peer,
            Connection {
                endpoint: endpoint.into(),
                heard: now,
                announced: false,
                busy: false,
                evicted: None,
            },
        );
        Ok(peer)
    }

    /// It said something, whatever it was.
    pub fn heard(&mut self, now: Instant, peer: Peer) {
        if let Some(connection) = self.peers.get_mut(&peer) {
            connection.heard = now;
        }
    }

    /// It asks for the seat. The answer is an output, now or when the seat is free.
    pub fn claim(&mut self, now: Instant, unix_ms: u64, peer: Peer, claim: Claim) {
        self.heard(now, peer);
        let Some(connection) = self.peers.get_mut(&peer) else {
            return;
        };
        connection.announced = true;
        if claim == Claim::IfFree && !self.is_open_to(peer) {
            if !self.is_evicted(peer) && !self.waiting.contains(&peer) {
                self.waiting.push_back(peer);
            }
            return;
        }
        let answer = match self.seize(now, unix_ms, peer) {
            Ok(()) => Output::Grant(peer),
            Err(refusal) => Output::Refuse(peer, refusal),
        };
        self.outputs.push_back(answer);
    }

    /// It sends a command, and with it takes the seat if it has none.
    ///
    /// # Errors
    /// The command is not to be run: somebody else has the seat, by policy or since then.
    pub fn command(&mut self, now: Instant, unix_ms: u64, peer: Peer) -> Result<(), Refusal> {
        self.heard(now, peer);
        self.seize(now, unix_ms, peer)?;
        if let Some(connection) = self.peers.get_mut(&peer) {
            connection.busy = true;
        }
        Ok(())
    }

    /// Its command was answered: it may speak again.
    pub fn answered(&mut self, now: Instant, peer: Peer) {
        if let Some(connection) = self.peers.get_mut(&peer) {
            connection.busy = false;
            connection.heard = now;
        }
    }

    /// The connection is gone. If it had the seat, who waits longest has it now.
    pub fn leave(&mut self, peer: Peer) {
        self.peers.remove(&peer);
        self.waiting.retain(|waiting| *waiting != peer);
        if self.holder == Some(peer) {
            self.holder = None;
            while let Some(next) = self.waiting.pop_front() {
                if self.peers.contains_key(&next) {
                    self.holder = Some(next);
                    self.outputs.push_back(Output::Grant(next));
                    break;
                }
            }
        }
    }

    /// True if its commands are run: it has the seat, or there is none to have.
    pub fn is_served(&self, peer: Peer) -> bool {
        match self.config.policy {
            Policy::Share => self.peers.contains_key(&peer) && !self.is_evicted(peer),
            _ => self.holder == Some(peer),
        }
    }

    /// Who has the seat, and its endpoint.
    pub fn holder(&self) -> Option<(Peer, &str)> {
        let peer = self.holder?;
        Some((peer, &self.peers.get(&peer)?.endpoint))
    }

    /// How many wait for the seat.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// What is to be done next.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Gives the seat to this connection, if the policy lets it.
    fn seize(&mut self, now: Instant, unix_ms: u64, peer: Peer) -> Result<(), Refusal> {
        let Some(connection) = self.peers.get(&peer) else {
            return Err(Refusal {
                holder: String::new(),
                text: "this connection is closed; connect again".into(),
            });
        };
        if let Some(refusal) = &connection.evicted {
            return Err(refusal.clone());
        }
        if self.config.policy == Policy::Share {
            return Ok(());
        }
        if let Some(holder) = self.holder.filter(|holder| *holder != peer) {
            if self.is_protected(now, holder) {
                return Err(self.refusal(now, holder));
            }
            self.evict(unix_ms, holder, peer);
        }
        self.waiting.retain(|waiting| *waiting != peer);
        self.holder = Some(peer);
        Ok(())
    }

    fn evict(&mut self, unix_ms: u64, loser: Peer, newcomer: Peer) {
        let newcomer = self.endpoint(newcomer);
        let Some(connection) = self.peers.get_mut(&loser) else {
            return;
        };
        let text = format!(
            "{newcomer} took over the bridge, which serves one client at a time. Close that client and call again, \
             or connect again to take the bridge back."
        );
        connection.evicted = Some(Refusal {
            holder: newcomer.clone(),
            text: text.clone(),
        });
        let tell = match self.config.notice {
            Notice::Always => true,
            Notice::Announced => connection.announced,
            Notice::Never => false,
        };
        self.outputs.push_back(Output::Evict {
            peer: loser,
            eviction: Eviction::new(EvictionReason::Superseded)
                .by(newcomer)
                .at_unix_ms(unix_ms)
                .saying(text),
            tell,
        });
    }

    fn refusal(&self, now: Instant, holder: Peer) -> Refusal {
        let endpoint = self.endpoint(holder);
        let state = match self.peers.get(&holder) {
            Some(connection) if connection.busy => "has a command running".into(),
            Some(connection) => {
                let silent = now.saturating_duration_since(connection.heard);
                format!("was heard {} s ago", silent.as_secs())
            }
            None => "is there".into(),
        };
        Refusal {
            text: format!(
                "{endpoint} has the bridge, which serves one client at a time, and {state}. Close that client and \
                 call again."
            ),
            holder: endpoint,
        }
    }

    fn is_open_to(&self, peer: Peer) -> bool {
        !self.is_evicted(peer)
            && (self.config.policy == Policy::Share
                || self.holder.is_none_or(|holder| holder == peer))
    }

    fn is_evicted(&self, peer: Peer) -> bool {
        self.peers
            .get(&peer)
            .is_none_or(|connection| connection.evicted.is_some())
    }

    fn is_protected(&self, now: Instant, holder: Peer) -> bool {
        self.config.policy == Policy::ProtectIncumbent
            && self.peers.get(&holder).is_some_and(|connection| {
                connection.busy
                    || now.saturating_duration_since(connection.heard) <= self.config.silence
            })
    }

    fn endpoint(&self, peer: Peer) -> String {
        self.peers
            .get(&peer)
            .map_or_else(String::new, |connection| connection.endpoint.clone())
    }
}
