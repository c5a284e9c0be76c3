//! How a host comes and goes.

use super::calls::Stage;
use super::catalogue::Inquiries;
use super::ending::Coming;
use super::endings::Why;
use super::seat::{Away, End, Seat};
use super::timing::Timer;
use super::types::{Attachment, Dialect, Granted, Lease, Life, Output, Ticket};
use super::{Broker, MAX_WINDOW, later};
use crate::native::{Detach, DetachReason, Former, Refused, Word};
use mcp_transport_core::delivery::Op;
use mcp_transport_core::{Id, Message, Outcome};
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::time::{Duration, Instant};

/// For how long an announced answer is waited for, at least; else three gaps.
const COMING: Duration = Duration::from_secs(30);
const GAPS: u32 = 3;

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
            return Err(Refused::new(
                Word::ShuttingDown,
                "the broker is ending; attach to the next one",
            ));
        }
        self.unseat(now, &who)?;

        let former = who.former.as_ref();
        let formers = former.map_or_else(Vec::new, |former| self.past.links(&former.lease));
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
            since: now,
            heard: now,
            connections: 0,
            out: 0,
            outbox: VecDeque::new(),
            asides: VecDeque::new(),
            aside_bytes: 0,
            staged: BTreeMap::new(),
            own: HashMap::new(),
            inquiries: Inquiries::default(),
            ready: false,
        });
        self.arm_lease();
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
    /// [`Word::LeaseOver`], with why.
    pub fn lease(&self, name: &str) -> Result<Lease, Refused> {
        if let Some(seat) = self.seat.as_ref().filter(|seat| seat.name == name) {
            return Ok(seat.lease);
        }
        let reason = self.past.end(name).map_or("unknown", End::word);
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

    /// The host goes, and says what it knows.
    pub fn detach(&mut self, now: Instant, lease: Lease, detach: &Detach) {
        if !self.is_current(lease) {
            return;
        }
        let end = match detach.reason {
            DetachReason::ShuttingDown => End::ShuttingDown,
            _ => End::Reloading,
        };
        let mut untouched = self.ops(&detach.untouched);
        if let Some(received) = &detach.received {
            untouched.extend(self.on_the_way(received));
        }
        let gap = Duration::from_millis(detach.gap_ms.unwrap_or_default());
        let coming = Coming {
            tickets: detach.coming.iter().copied().collect(),
            wait: gap.saturating_mul(GAPS).max(COMING),
        };
        self.end_seat(now, end, &untouched, Some(&coming));
        self.flush(now);
    }

    /// The host is gone without a word.
    pub fn lost(&mut self, now: Instant, lease: Lease) {
        if self.is_current(lease) {
            self.end_seat(now, End::Lost, &[], None);
            self.flush(now);
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
            let process = seat.host.pid.map(|pid| format!(" (process {pid})"));
            let text = format!(
                "{}{} is attached and alive; detach it, or ask again",
                seat.host.name,
                process.unwrap_or_default()
            );
            let mut refused = Refused::new(Word::Busy, text);
            refused.holder = Some(Box::new(seat.host.clone()));
            refused.retry_after_ms = Some(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX));
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

    /// The lease is over. `untouched` never began; `coming` will still be answered.
    pub(super) fn end_seat(
        &mut self,
        now: Instant,
        end: End,
        untouched: &[Op],
        coming: Option<&Coming>,
    ) {
        let Some(seat) = self.seat.take() else {
            return;
        };
        tracing::info!(host = seat.host.name, ?end, "a lease is over");
        let mut untouched = untouched.to_vec();
        for call in self.calls.values_mut() {
            call.counted = false;
            match call.stage {
                Stage::Queued | Stage::Deferred => continue,
                Stage::Staged => untouched.push(call.op),
                Stage::Out => {}
            }
            call.stage = Stage::Queued;
        }
        self.away = Away {
            since: Some(now),
            end: Some(end),
            host: seat.host.name.clone(),
        };
        self.timers.clear(Timer::Lease);
        self.timers.clear(Timer::Grace);
        self.past.insert(&seat, end);
        self.leave_clients();
        self.delivery.detach(now, seat.lease.0, &untouched);
        self.drain(now, coming);
        self.end_orphans(now);
        self.outputs
            .push_back(Output::LeaseOver { lease: seat.lease });
    }

    /// What belongs to the lease goes with it; clients hear that nobody waits for their answers.
    fn leave_clients(&mut self) {
        for (id, client) in self.clients.iter_mut() {
            client.handshake.lost();
            if client.replay.take().is_some() {
                self.timers.clear(Timer::Replay(id));
            }
            for theirs in std::mem::take(&mut client.theirs) {
                self.outputs.push_back(Output::Tell {
                    client: id,
                    about: None,
                    message: cancelled(&theirs),
                });
            }
        }
    }

    /// Nobody runs again what only a client asked that is gone.
    fn end_orphans(&mut self, now: Instant) {
        let clients = &self.clients;
        let orphans = self
            .calls
            .values()
            .filter(|call| call.stage == Stage::Queued && clients.get(call.client).is_none())
            .map(super::calls::Call::ticket);
        for ticket in Vec::from_iter(orphans) {
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
            .values()
            .filter(|call| call.stage == Stage::Deferred && !coming.contains(&call.op.get()))
            .map(super::calls::Call::ticket);
        for ticket in Vec::from_iter(missing) {
            self.end(now, ticket, Outcome::Unknown, Why::AnswerMissing);
        }
    }

    /// Those whose answers still have somebody to go to.
    fn awaited(&self, coming: &[u64]) -> Vec<u64> {
        coming
            .iter()
            .copied()
            .filter(|&ticket| {
                let ticket = Ticket::from(ticket);
                self.calls.contains_key(&ticket) || self.late.expects(ticket)
            })
            .collect()
    }

    /// What the host was given, and says that it never got.
    fn on_the_way(&self, received: &[u64]) -> Vec<Op> {
        let received = received.iter().copied().collect::<HashSet<u64>>();
        self.calls
            .values()
            .filter(|call| call.stage == Stage::Out && !received.contains(&call.op.get()))
            .map(|call| call.op)
            .collect()
    }

    fn ops(&self, tickets: &[u64]) -> Vec<Op> {
        tickets
            .iter()
            .filter_map(|&ticket| self.delivery.op(ticket))
            .collect()
    }

    /// When the newest of what the host has was handed out.
    pub(super) fn youngest(&self) -> Option<Instant> {
        self.calls
            .values()
            .filter(|call| call.stage == Stage::Out)
            .filter_map(|call| call.handed)
            .max()
    }

    /// Sets the timer that looks whether the host is alive.
    pub(super) fn arm_lease(&mut self) {
        let Some(seat) = self.seat.as_ref().filter(|seat| !seat.lingers()) else {
            return;
        };
        match seat.check_at(self.youngest(), self.config.silence) {
            Some(at) => self.timers.set(Timer::Lease, at),
            None => self.timers.clear(Timer::Lease),
        }
    }
}

fn cancelled(id: &Id) -> Message {
    #[derive(serde::Serialize)]
    struct Params<'a> {
        #[serde(rename = "requestId")]
        id: &'a Id,
        reason: &'a str,
    }
    let params = Params {
        id,
        reason: "the host that asked is gone",
    };
    Message::notification("notifications/cancelled", Some(params))
        .expect("ids and text always serialise")
}
