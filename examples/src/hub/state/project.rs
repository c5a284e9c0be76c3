//! One project: its queue, its seat, and who waits for the seat.

use super::ids::Ids;
use super::types::{
    Instance, Lost, Output, Phase, Refused, Request, SocketId, Standing, Ticket, Why,
};
use crate::hub::wire::{self, Register};
use mcp_transport_core::Outcome;
use mcp_transport_core::delivery::{
    Abandoned, Answer, Cause, Delivery, Limits, Link, Op, Output as Delivered, Submit,
};
use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

#[derive(Debug)]
pub(super) struct Project {
    /// Who has the seat, or had it last.
    who: Register,
    phase: Phase,
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
    /// How often the seat was taken.
    seatings: u64,
    last_gap: Option<Duration>,
    custom_tools: usize,
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
    session_id: String,
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

/// How much longer than the wire's time-out we wait: by then the plugin has given up on its own.
const GRACE: Duration = Duration::from_secs(5);

/// What a command is on the wire beside its name and its parameters, at most. With it, no command
/// is larger than the queue's 64 MiB, which is what one message may have.
const ENVELOPE: usize = 128;

/// As many late answers are recognised as the delivery remembers.
const MAX_LATE: usize = 256;

impl Project {
    pub(super) fn new(now: Instant, who: Register, ids: Ids) -> Self {
        Self {
            who,
            phase: Phase::Away { since: now },
            delivery: Delivery::new(Limits::default()),
            seat: None,
            standby: VecDeque::new(),
            waiting: BTreeMap::new(),
            late: VecDeque::new(),
            running: None,
            last_answer: None,
            superseded: None,
            evicted: None,
            seatings: 0,
            last_gap: None,
            custom_tools: 0,
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

    pub(super) fn set_custom_tools(&mut self, count: usize) {
        self.custom_tools = count;
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
            session_id,
        });
        if let Phase::Away { since } | Phase::Quit { since } = self.phase {
            let gap = now.saturating_duration_since(since);
            // The first connection ends no gap, and a seat that changes hands has none.
            if self.seatings > 0 && !gap.is_zero() {
                self.last_gap = Some(gap);
            }
        }
        self.seatings += 1;
        self.evicted = None;
        self.phase = Phase::Connected;
        outputs.push_back(Output::Changed);
        self.pump(now, outputs);
    }

    /// The holder of the seat is gone. `unsent` are commands that were never written to it.
    pub(super) fn unseat(
        &mut self,
        now: Instant,
        why: Why,
        unsent: &[Op],
        outputs: &mut VecDeque<Output>,
    ) {
        let Some(seat) = self.seat.take() else { return };
        if let Some(running) = self.running.take()
            && !unsent.contains(&running.op)
            && let Some(waiting) = self.waiting.get_mut(&running.op)
        {
            waiting.had_it = Some(seat.link);
        }
        self.delivery.detach(now, seat.link, unsent);
        self.phase = match why {
            Why::Quit => Phase::Quit { since: now },
            _ => Phase::Away { since: now },
        };
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

    pub(super) fn submit(
        &mut self,
        now: Instant,
        request: Request,
        ticket: Ticket,
        outputs: &mut VecDeque<Output>,
    ) -> Result<(), Refused> {
        if matches!(self.phase, Phase::Quit { .. }) {
            return Err(Refused::Quit);
        }
        if let Some(text) = &self.evicted {
            return Err(Refused::SeatTaken(text.clone()));
        }
        let params = to_raw_value(&request.params).expect("JSON values always serialise");
        let submit = Submit {
            bytes: request.command.len() + params.get().len() + ENVELOPE,
            replay: request.replay,
            answered: true,
            hold: request.hold,
            run: request.timeout + GRACE,
            payload: Arc::new(Command {
                name: request.command,
                params,
                timeout: request.timeout,
            }),
        };
        let op = self.delivery.submit(now, submit).map_err(Refused::Full)?;
        let waiting = Waiting {
            ticket,
            had_it: None,
        };
        self.waiting.insert(op, waiting);
        if self.seat.is_none() {
            // Somebody may dial an editor only when it is needed.
            outputs.push_back(Output::Changed);
        }
        self.pump(now, outputs);
        Ok(())
    }

    pub(super) fn abandon(
        &mut self,
        now: Instant,
        ticket: Ticket,
        outputs: &mut VecDeque<Output>,
    ) -> Abandoned {
        let Some(op) = self.op_of(ticket) else {
            return Abandoned::Over;
        };
        let abandoned = self.delivery.abandon(op);
        self.waiting.remove(&op);
        if let Abandoned::Running(link) = abandoned {
            self.remember(Late { op, ticket, link });
        }
        // The wire has no cancel: what runs goes on, and keeps its place in the window.
        self.drain(Why::LinkLost, outputs);
        self.pump(now, outputs);
        abandoned
    }

    /// The editor answered. Ids that are not ours, and answers to what it was never asked, are
    /// ignored; what an earlier connection was asked may be answered by this one, since an editor
    /// that only lost its connection works on.
    pub(super) fn answer(
        &mut self,
        now: Instant,
        socket: SocketId,
        id: &str,
        envelope: Value,
        outputs: &mut VecDeque<Output>,
    ) {
        if self.holder() != Some(socket) {
            return;
        }
        let Some((op, link)) = self.op_from(id) else {
            return;
        };
        match self.delivery.complete(link, op) {
            Answer::Stray => return,
            Answer::ForClient => {
                if let Some(Waiting { ticket, .. }) = self.waiting.remove(&op) {
                    outputs.push_back(Output::Answered { ticket, envelope });
                }
            }
            Answer::Late => {
                if let Some(at) = self.late.iter().position(|late| late.op == op) {
                    let Late { ticket, .. } = self.late.remove(at).expect("it was just found");
                    outputs.push_back(Output::Late { ticket, envelope });
                }
            }
        }
        self.last_answer = Some(now);
        if let Some(running) = self.running.take_if(|running| running.op == op)
            && running.stuck
        {
            outputs.push_back(Output::Changed);
        }
        self.pump(now, outputs);
    }

    pub(super) fn standing(&self, ticket: Ticket) -> Option<Standing> {
        let op = self.op_of(ticket)?;
        Some(match (&self.running, self.phase) {
            (Some(running), _) if running.op == op => Standing::Running,
            (_, Phase::Connected) => Standing::Queued,
            _ => Standing::Away,
        })
    }

    /// True while the editor has this call, whether or not somebody waits for it.
    pub(super) fn is_running(&self, ticket: Ticket) -> bool {
        self.running
            .as_ref()
            .is_some_and(|running| running.ticket == ticket)
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.delivery.poll_timeout()
    }

    pub(super) fn handle_timeout(&mut self, now: Instant, outputs: &mut VecDeque<Output>) {
        self.delivery.handle_timeout(now);
        self.drain(Why::HoldExpired, outputs);
    }

    pub(super) fn slept(&mut self, gap: Duration) {
        self.delivery.slept(gap);
        if let Some(running) = &mut self.running {
            running.since += gap;
        }
    }

    /// Since when nobody has needed it; `None` while somebody does.
    pub(super) fn idle_since(&self) -> Option<Instant> {
        match self.phase {
            Phase::Away { since } | Phase::Quit { since } if self.delivery.is_empty() => {
                Some(since)
            }
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
            session_id: self.seat.as_ref().map(|seat| seat.session_id.clone()),
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
            returns: self.seatings.saturating_sub(1),
            last_gap: self.last_gap,
            custom_tools: self.custom_tools,
        }
    }

    fn pump(&mut self, now: Instant, outputs: &mut VecDeque<Output>) {
        let Some(seat) = self.seat.clone() else {
            return;
        };
        while let Some(handout) = self.delivery.take(now, seat.link) {
            let Command {
                name,
                params,
                timeout,
            } = &*handout.payload;
            let id = self.ids.of(handout.op.get());
            let message = wire::execute(&id, name, params, *timeout);
            self.running = Some(Running {
                op: handout.op,
                ticket: self.waiting[&handout.op].ticket,
                command: name.clone(),
                since: now,
                stuck: false,
            });
            outputs.push_back(Output::Send {
                socket: seat.socket,
                message,
                op: Some(handout.op),
            });
        }
        self.drain(Why::HoldExpired, outputs);
    }

    fn drain(&mut self, why: Why, outputs: &mut VecDeque<Output>) {
        while let Some(output) = self.delivery.poll_output() {
            match output {
                Delivered::Settle { op, outcome, cause } => {
                    let Some(Waiting { ticket, had_it }) = self.waiting.remove(&op) else {
                        continue;
                    };
                    let why = if cause == Cause::HoldExpired {
                        Why::HoldExpired
                    } else {
                        why
                    };
                    if let Some(link) = had_it {
                        self.remember(Late { op, ticket, link });
                    }
                    outputs.push_back(Output::Lost {
                        ticket,
                        lost: Lost { outcome, why },
                    });
                }
                Delivered::Stuck { op, .. } => {
                    if let Some(running) = self.running.as_mut().filter(|running| running.op == op)
                    {
                        running.stuck = true;
                        outputs.push_back(Output::Changed);
                    }
                    if let Some(Waiting { ticket, .. }) = self.waiting.get(&op) {
                        outputs.push_back(Output::Stuck { ticket: *ticket });
                    }
                }
                _ => {}
            }
        }
    }

    fn fail_queued(&mut self, why: Why, outputs: &mut VecDeque<Output>) {
        for (op, Waiting { ticket, had_it }) in std::mem::take(&mut self.waiting) {
            self.delivery.abandon(op);
            let outcome = match had_it {
                Some(_) => Outcome::Unknown,
                None => Outcome::NotDelivered,
            };
            let lost = Lost { outcome, why };
            outputs.push_back(Output::Lost { ticket, lost });
        }
    }

    fn remember(&mut self, late: Late) {
        if self.late.len() == MAX_LATE {
            self.late.pop_front();
        }
        self.late.push_back(late);
    }

    fn op_of(&self, ticket: Ticket) -> Option<Op> {
        self.waiting
            .iter()
            .find(|(_, waiting)| waiting.ticket == ticket)
            .map(|(op, _)| *op)
    }

    /// The operation with this id that some editor had, and the connection that had it last.
    fn op_from(&self, id: &str) -> Option<(Op, Link)> {
        let number = self.ids.number(id)?;
        let (seat, running) = (self.seat.as_ref(), self.running.as_ref());
        let running = seat.zip(running).map(|(seat, now)| (now.op, seat.link));
        let late = self.late.iter().map(|late| (late.op, late.link));
        let again = self.waiting.iter();
        let again = again.filter_map(|(op, waiting)| Some((*op, waiting.had_it?)));
        running
            .into_iter()
            .chain(late)
            .chain(again)
            .find(|(op, _)| op.get() == number)
    }
}
