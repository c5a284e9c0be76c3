//! One project: its seat, and who waits for the seat.

mod gaps;
mod listing;
mod queue;

use super::ids::Ids;
use super::types::{Instance, Output, Phase, SocketId, Ticket, Why};
use crate::catalogue::Toolset;
use crate::hub::wire::{self, Register};
use gaps::Gaps;
use listing::Listing;
pub(super) use listing::register;
use mcp_transport_core::delivery::{Delivery, Limits, Link, Op};
use serde_json::value::RawValue;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

#[derive(Debug)]
pub(super) struct Project {
    /// Who has the seat, or had it last.
    who: Register,
    phase: Phase,
    /// What its status file says, if it is known by one.
    listing: Option<Listing>,
    /// The port that the status file names.
    port: Option<u16>,
    delivery: Delivery<Arc<Command>>,
    seat: Option<Seat>,
    standby: VecDeque<(SocketId, Register)>,
    waiting: BTreeMap<Op, Waiting>,
    /// Operations that are over for their client, and may still be answered; oldest first.
    late: VecDeque<Late>,
    running: Option<Running>,
    last_answer: Option<Instant>,
    superseded: Option<Instant>,
    /// Why calls are refused until the seat is ours again.
    evicted: Option<String>,
    /// What is wrong with what its status file says, as far as whoever dialled by it found out.
    misled: Option<String>,
    /// How often the seat was taken.
    seatings: u64,
    gaps: Gaps,
    /// What its plugin registered last; it has that while it is away, too.
    tools: Option<Arc<Toolset>>,
    ids: Ids,
}

/// A request as it goes out: its parameters are text from the first, whose size is what it costs.
#[derive(Debug)]
struct Command {
    name: String,
    params: Box<RawValue>,
    timeout: Duration,
}

/// A client that waits for an operation.
#[derive(Debug)]
struct Waiting {
    ticket: Ticket,
    /// The former connection that had it, if one did: its answer may yet come over the next one.
    had_it: Option<Link>,
}

#[derive(Debug)]
struct Late {
    op: Op,
    ticket: Ticket,
    /// The connection that had it.
    link: Link,
}

#[derive(Clone, Debug)]
struct Seat {
    socket: SocketId,
    link: Link,
    since: Instant,
    session_id: String,
    /// How many commands were handed to it.
    handed: u64,
}

#[derive(Debug)]
struct Running {
    op: Op,
    ticket: Ticket,
    command: String,
    since: Instant,
    stuck: bool,
}

/// The plugin works on one command at a time, and answers nothing else meanwhile.
const WINDOW: usize = 1;

impl Project {
    pub(super) fn new(now: Instant, who: Register, ids: Ids) -> Self {
        Self {
            who,
            phase: Phase::Away { since: now },
            listing: None,
            port: None,
            delivery: Delivery::new(Limits::default()),
            seat: None,
            standby: VecDeque::new(),
            waiting: BTreeMap::new(),
            late: VecDeque::new(),
            running: None,
            last_answer: None,
            superseded: None,
            evicted: None,
            misled: None,
            seatings: 0,
            gaps: Gaps::default(),
            tools: None,
            ids,
        }
    }

    pub(super) fn holder(&self) -> Option<SocketId> {
        self.seat.as_ref().map(|seat| seat.socket)
    }

    /// Who waits for the seat, oldest first.
    pub(super) fn standby(&self) -> impl ExactSizeIterator<Item = SocketId> + '_ {
        self.standby.iter().map(|(socket, _)| *socket)
    }

    pub(super) fn wait_for_seat(&mut self, socket: SocketId, who: Register) {
        self.standby.push_back((socket, who));
    }

    pub(super) fn leave_standby(&mut self, socket: SocketId) -> Option<Register> {
        let at = self.standby.iter().position(|(one, _)| *one == socket)?;
        self.standby.remove(at).map(|(_, who)| who)
    }

    pub(super) fn set_tools(&mut self, tools: Arc<Toolset>, outputs: &mut VecDeque<Output>) {
        if self.tools.as_ref() == Some(&tools) {
            return;
        }
        let (skipped, more) = tools.skipped();
        for one in skipped {
            let (hash, tool, why) = (&self.who.project_hash, &one.name, &one.why);
            tracing::warn!(hash, tool, why, "a registered tool is left out");
        }
        if more > 0 {
            tracing::warn!(
                hash = self.who.project_hash,
                more,
                "and more tools are left out"
            );
        }
        self.tools = Some(tools);
        outputs.push_back(Output::Changed);
    }

    /// Gives the free seat to one in standby. Its commands begin to flow.
    pub(super) fn seat(
        &mut self,
        now: Instant,
        socket: SocketId,
        session_id: String,
        outputs: &mut VecDeque<Output>,
    ) {
        if let Some(who) = self.leave_standby(socket) {
            self.who = who;
        }
        let link = self
            .delivery
            .attach(WINDOW)
            .expect("the seat is free, so no link is attached");
        outputs.push_back(Output::Send {
            socket,
            message: wire::registered(&session_id),
            op: None,
        });
        self.seat = Some(Seat {
            socket,
            link,
            since: now,
            session_id,
            handed: 0,
        });
        if let Phase::Away { since } | Phase::Quit { since } = self.phase {
            let gap = now.saturating_duration_since(since);
            // The first connection ends no gap, and a seat that changes hands has none.
            match self.phase {
                _ if self.seatings == 0 || gap.is_zero() => {}
                Phase::Quit { .. } => self.gaps.reopened(gap),
                _ => self.gaps.reloaded(gap),
            }
        }
        self.seatings += 1;
        self.evicted = None;
        self.misled = None;
        self.phase = Phase::Connected;
        outputs.push_back(Output::Changed);
        self.pump(now, outputs);
    }

    /// The holder of the seat is gone. `unsent` are commands that were never written to it.
    ///
    /// What a connection had that was ended by another client's is over, a read as well: to send it again would end that
    /// client's in turn.
    pub(super) fn unseat(
        &mut self,
        now: Instant,
        why: Why,
        unsent: &[Op],
        outputs: &mut VecDeque<Output>,
    ) {
        let Some(seat) = self.seat.take() else { return };
        if why == Why::SeatTaken {
            self.end_running(&seat, unsent, outputs);
        }
        if let Some(running) = self.running.take()
            && !unsent.contains(&running.op)
            && let Some(waiting) = self.waiting.get_mut(&running.op)
        {
            waiting.had_it = Some(seat.link);
        }
        self.delivery.detach(now, seat.link, unsent);
        self.phase = match why {
            Why::Quit => Phase::Quit { since: now },
            Why::SeatTaken if self.listens() => Phase::Listening { since: now },
            _ => Phase::Away { since: now },
        };
        self.await_file(now);
        if matches!(why, Why::Superseded | Why::SeatTaken) {
            self.superseded = Some(now);
        }
        self.drain(why, outputs);
        if why == Why::Quit && self.standby.is_empty() {
            self.fail_queued(why, outputs);
        }
        outputs.push_back(Output::Changed);
    }

    /// The editor's only seat is another client's, until it is free: calls are answered at once.
    pub(super) fn stand_by(&mut self, text: String, outputs: &mut VecDeque<Output>) {
        if self.seat.is_none() {
            self.evicted = Some(text);
            self.fail_queued(Why::SeatTaken, outputs);
            outputs.push_back(Output::Changed);
        }
    }

    /// Whoever has the only seat may be gone: calls are held again.
    pub(super) fn stand_down(&mut self, outputs: &mut VecDeque<Output>) {
        if self.evicted.take().is_some() {
            outputs.push_back(Output::Changed);
        }
    }

    /// Whoever dialled by its status file found somebody else there; `None` once the file was written anew.
    pub(super) fn mislead(&mut self, what: Option<String>, outputs: &mut VecDeque<Output>) {
        if self.misled != what {
            self.misled = what;
            outputs.push_back(Output::Changed);
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let closed = self.closed_at();
        self.delivery.poll_timeout().into_iter().chain(closed).min()
    }

    pub(super) fn handle_timeout(&mut self, now: Instant, outputs: &mut VecDeque<Output>) {
        self.delivery.handle_timeout(now);
        self.drain(Why::HoldExpired, outputs);
        if self.closed_at().is_some_and(|at| at <= now) {
            self.close(now, outputs);
        }
    }

    pub(super) fn slept(&mut self, gap: Duration) {
        self.delivery.slept(gap);
        self.listing_slept(gap);
        if let Some(running) = &mut self.running {
            running.since += gap;
        }
    }

    /// When it is forgotten, if nobody needs it until then: `after` its connection ended. One that has a status file is not,
    /// and one that never had a connection is gone with its file.
    pub(super) fn forgotten_at(&self, after: Duration) -> Option<Instant> {
        match (self.phase, self.listing) {
            _ if !self.delivery.is_empty() => None,
            (Phase::Away { since } | Phase::Quit { since }, None) => Some(since + after),
            (Phase::Quit { since }, Some(_)) if self.seatings == 0 => Some(since),
            (Phase::Quit { since }, Some(_)) => Some(since + after),
            _ => None,
        }
    }

    pub(super) fn instance(&self, last_heard: Option<Instant>) -> Instance {
        Instance {
            project: self.who.project_name.clone(),
            hash: self.who.project_hash.clone(),
            path: self.who.project_path.clone(),
            unity_version: self.who.unity_version.clone(),
            phase: self.phase,
            by_file: self.listing.is_some(),
            port: self.port,
            session_id: self.seat.as_ref().map(|seat| seat.session_id.clone()),
            connected: self.seat.as_ref().map(|seat| seat.since),
            last_heard,
            last_answer: self.last_answer,
            running: self
                .running
                .as_ref()
                .map(|running| (running.command.clone(), running.since)),
            stalled: self.running.as_ref().is_some_and(|running| running.stuck),
            queued: self.delivery.queued(),
            standby: self.standby.len(),
            superseded: self.superseded,
            evicted: self.evicted.clone(),
            misled: self.misled.clone(),
            returns: self.seatings.saturating_sub(1),
            last_gap: self.gaps.newest(),
            usual_gap: self.gaps.usual(),
            tools: self.tools.clone(),
        }
    }
}
