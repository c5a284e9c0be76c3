//! How a host comes, and how it stays.

use super::calls::{Call, Stage};
use super::catalogue::Inquiries;
use super::ending::Coming;
use super::endings::Why;
use super::leaving::COMING;
use super::seat::{Away, End, Seat};
use super::timing::Timer;
use super::types::{Attachment, Dialect, Granted, Lease, Life, Ticket};
use super::{Broker, MAX_WINDOW, later};
use crate::native::{Former, Refused, Word};
use crate::numbers::Table;
use mcp_transport_core::Outcome;
use mcp_transport_core::delivery::Replay;
use std::collections::{BTreeMap, HashSet, VecDeque};
use std::time::{Duration, Instant};

impl Broker {
    /// Gives a host a lease, if nobody else has one.
    ///
    /// A host that holds a connection has to have one counted by
    /// [`connections`](Self::connections) within the grace.
    ///
    /// # Errors
    /// [`Word::Busy`] while another is attached and alive, [`Word::ShuttingDown`].
    pub fn attach(&mut self, now: Instant, who: Attachment) -> Result<Granted, Refused> {
        self.handle_timeout(now);
        if self.shut {
            return Err(ending());
        }
        if self.moved {
            let mut refused = Refused::new(
                Word::LeaseOver,
                "a newer broker has this port: attach there, by a connection of its own",
            );
            refused.reason = Some(End::Moved.word().to_owned());
            return Err(refused);
        }
        self.unseat(now, &who)?;
        if !who.guards {
            self.end_unguarded(now);
        }

        let former = who.former.as_ref();
        let formers = former.map_or_else(Vec::new, |former| self.past.links(&former.lease));
        let inherits = former.is_some_and(|former| self.past.inherits(&former.lease));
        self.give_up_deferred(now, former);
        let coming = former.map(|former| self.awaited(&former.coming));

        let link = self
            .delivery
            .attach(usize::MAX)
            .expect("the former lease was detached");
        let lease = Lease(link);
        let name = self.name();
        self.away = Away::here(&who.host);
        let is_native = who.dialect == Dialect::Native;
        self.seat = Some(Seat {
            lease,
            name: name.clone(),
            host: who.host,
            dialect: who.dialect,
            window: who.window.clamp(1, MAX_WINDOW),
            life: who.life,
            formers,
            inherits,
            since: now,
            heard: now,
            connections: 0,
            out: 0,
            outbox: VecDeque::new(),
            asides: VecDeque::new(),
            aside_bytes: 0,
            staged: BTreeMap::new(),
            own: Table::default(),
            inquiries: Inquiries::default(),
            ready: false,
        });
        self.arm_lease();
        self.resume(now);
        if matches!(
            who.life,
            Life::Heard {
                holds_connection: true
            }
        ) {
            self.timers.set(Timer::Grace, later(now, self.config.grace));
        }
        if is_native {
            self.replay_all(now);
            self.inquire();
        }
        self.flush(now);
        Ok(Granted {
            lease,
            name,
            coming,
        })
    }

    /// The lease of this name.
    ///
    /// # Errors
    /// [`Word::LeaseOver`], with why; [`Word::ShuttingDown`] if it ended with the broker.
    pub fn lease(&self, name: &str) -> Result<Lease, Refused> {
        if let Some(seat) = self.seat.as_ref().filter(|seat| seat.name == name) {
            return Ok(seat.lease);
        }
        let end = self.past.end(name);
        if end == Some(End::BrokerEnds) {
            return Err(ending());
        }
        let reason = end.map_or("unknown", End::word);
        let mut refused = Refused::new(
            Word::LeaseOver,
            format!("this lease is over ({reason}); attach again"),
        );
        refused.reason = Some(reason.to_owned());
        Err(refused)
    }

    /// A request of the host's arrived: it is alive.
    pub fn heard(&mut self, now: Instant, lease: Lease) {
        if let Some(seat) = self.seat.as_mut().filter(|seat| seat.lease == lease) {
            seat.heard = now;
        }
    }

    /// How many connections the host has open.
    pub fn connections(&mut self, now: Instant, lease: Lease, open: usize) {
        let Some(seat) = self.seat.as_mut().filter(|seat| seat.lease == lease) else {
            return;
        };
        let had = std::mem::replace(&mut seat.connections, open);
        match seat.life {
            Life::Heard {
                holds_connection: true,
            } if open > 0 => self.timers.clear(Timer::Grace),
            Life::Heard {
                holds_connection: true,
            } if had > 0 => {
                self.timers.set(Timer::Grace, later(now, self.config.grace));
            }
            Life::Heard { .. } => {}
            Life::Any { .. } => {
                seat.heard = now;
                self.arm_lease();
            }
        }
    }

    /// Makes the seat free for this host, if it may have it.
    fn unseat(&mut self, now: Instant, who: &Attachment) -> Result<(), Refused> {
        let Some(seat) = &self.seat else {
            return Ok(());
        };
        let former = who
            .former
            .as_ref()
            .filter(|former| former.lease == seat.name);
        let instance = &who.host.instance;
        let is_same = former.is_some() || !instance.is_empty() && *instance == seat.host.instance;
        let until = seat.check_at(self.youngest(), self.config.silence);
        if !is_same && until.is_none_or(|until| until > now) {
            let wait = until.map_or(Duration::from_secs(1), |until| until - now);
            let wait = match seat.life {
                // It may lose its connections at any time, and has a grace from then on.
                Life::Heard {
                    holds_connection: true,
                } => {
                    let grace = self.timers.at(Timer::Grace).map(|over| over - now);
                    wait.min(grace.unwrap_or(self.config.grace))
                }
                _ => wait,
            };
            let process = seat.host.pid.map(|pid| format!(" (process {pid})"));
            let text = format!(
                "{}{} is attached and alive; detach it, or ask again",
                seat.host.name,
                process.unwrap_or_default()
            );
            let mut refused = Refused::new(Word::Busy, text);
            refused.holder = Some(Box::new(seat.host.clone()));
            // Rounded up: who asks then finds the seat free.
            let wait = wait.as_micros().div_ceil(1_000);
            refused.retry_after_ms = Some(u64::try_from(wait).unwrap_or(u64::MAX));
            return Err(refused);
        }
        let Some(former) = former else {
            let end = if is_same { End::Superseded } else { End::Stale };
            self.end_seat(now, end, &[], None);
            return Ok(());
        };
        let untouched = self.on_the_way(&former.received);
        let coming = Coming {
            tickets: former.coming.iter().copied().collect(),
            wait: COMING,
        };
        self.end_seat(now, End::Superseded, &untouched, Some(&coming));
        Ok(())
    }

    /// What a host may have seen, and only one that guards may see again, ends here.
    fn end_unguarded(&mut self, now: Instant) {
        let unguarded = self
            .calls
            .iter()
            .filter(|call| call.stage == Stage::Queued && call.replay == Replay::HostGuards)
            .filter(|call| self.delivery.seen(call.op))
            .map(Call::ticket);
        for ticket in Vec::from_iter(unguarded) {
            self.end_unserved(now, ticket, Why::LinkLost);
        }
    }

    /// What was waited for and this host will not answer is lost.
    fn give_up_deferred(&mut self, now: Instant, former: Option<&Former>) {
        let coming = former.map_or_else(HashSet::new, |former| {
            former.coming.iter().copied().collect()
        });
        let missing = self
            .calls
            .iter()
            .filter(|call| call.stage == Stage::Deferred && !coming.contains(&call.op.get()))
            .map(Call::ticket);
        for ticket in Vec::from_iter(missing) {
            self.end(now, ticket, Outcome::Unknown, Why::AnswerMissing);
        }
    }

    /// What is waited for still, this host has, from a former life: it runs.
    fn resume(&mut self, now: Instant) {
        let run = later(now, self.config.run);
        for call in self.calls.iter_mut() {
            if call.stage == Stage::Deferred {
                call.stage = Stage::Resumed;
                call.counted = true;
                self.timers.set(Timer::Deferred(call.ticket()), run);
                if let Some(seat) = &mut self.seat {
                    seat.out += 1;
                }
            }
        }
    }

    /// Those whose answers still have somebody to go to.
    fn awaited(&self, coming: &[u64]) -> Vec<u64> {
        coming
            .iter()
            .copied()
            .filter(|&ticket| {
                let ticket = Ticket::from(ticket);
                self.calls.get(ticket).is_some() || self.late.expects(ticket)
            })
            .collect()
    }

    /// When the newest of what the host has was handed out.
    pub(super) fn youngest(&self) -> Option<Instant> {
        self.calls
            .each()
            .filter(|call| call.stage == Stage::Out)
            .filter_map(|call| call.handed)
            .max()
    }

    /// Sets the timer that looks whether the host is alive.
    pub(super) fn arm_lease(&mut self) {
        let Some(seat) = &self.seat else {
            return;
        };
        match seat.check_at(self.youngest(), self.config.silence) {
            Some(at) => self.timers.set(Timer::Lease, at),
            None => self.timers.clear(Timer::Lease),
        }
    }
}

fn ending() -> Refused {
    let text = "the broker is ending; attach to the next one";
    Refused::new(Word::ShuttingDown, text)
}
