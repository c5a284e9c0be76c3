//! One project: its queue, its seat, and who waits for the seat.

use super::types::{
    Instance, Lost, Output, Phase, Refused, Request, SocketId, Standing, Ticket, Why,
};
use crate::hub::wire::{self, Register};
use mcp_transport_core::Outcome;
use mcp_transport_core::delivery::{
    Abandoned, Answer, Cause, Delivery, Limits, Link, Op, Output as Delivered, Submit,
};
use serde_json::Value;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

#[derive(Debug)]
pub(super) struct Project {
    pub(super) who: Register,
    pub(super) phase: Phase,
    delivery: Delivery<Arc<Request>>,
    seat: Option<Seat>,
    standby: VecDeque<SocketId>,
    tickets: HashMap<Op, Ticket>,
    /// Operations that are over for their client, and may still be answered.
    late: VecDeque<(Op, Ticket)>,
    running: Option<Running>,
    last_answer: Option<Instant>,
    superseded: Option<Instant>,
    returns: u64,
    last_gap: Option<Duration>,
    pub(super) custom_tools: Vec<Value>,
    id_prefix: String,
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
    command: String,
    since: Instant,
    stuck: bool,
}

/// The plugin works on one command at a time, and answers nothing else meanwhile.
const WINDOW: usize = 1;

/// How much longer than the wire's time-out we wait: by then the plugin has given up on its own.
const GRACE: Duration = Duration::from_secs(5);

/// As many late answers are recognised as the delivery remembers.
const MAX_LATE: usize = 256;

impl Project {
    pub(super) fn new(now: Instant, who: Register, id_prefix: String) -> Self {
        Self {
            who,
            phase: Phase::Away { since: now },
            delivery: Delivery::new(Limits::default()),
            seat: None,
            standby: VecDeque::new(),
            tickets: HashMap::new(),
            late: VecDeque::new(),
            running: None,
            last_answer: None,
            superseded: None,
            returns: 0,
            last_gap: None,
            custom_tools: Vec::new(),
            id_prefix,
        }
    }

    pub(super) fn holder(&self) -> Option<SocketId> {
        self.seat.as_ref().map(|seat| seat.socket)
    }

    pub(super) fn first_in_standby(&self) -> Option<SocketId> {
        self.standby.front().copied()
    }

    pub(super) fn wait_for_seat(&mut self, socket: SocketId) {
        self.standby.push_back(socket);
    }

    pub(super) fn leave_standby(&mut self, socket: SocketId) {
        self.standby.retain(|waiting| *waiting != socket);
    }

    /// Gives the free seat to a socket. Its commands begin to flow.
    pub(super) fn seat(
        &mut self,
        now: Instant,
        socket: SocketId,
        session_id: String,
        outputs: &mut VecDeque<Output>,
    ) {
        self.leave_standby(socket);
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
            // The first connection ends no gap.
            if self.returns > 0 || self.last_gap.is_some() {
                self.last_gap = Some(now.saturating_duration_since(since));
            }
            self.returns += 1;
        }
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
        self.running = None;
        self.last_gap.get_or_insert_default();
        self.delivery.detach(now, seat.link, unsent);
        self.phase = match why {
            Why::Quit => Phase::Quit { since: now },
            _ => Phase::Away { since: now },
        };
        if why == Why::Superseded {
            self.superseded = Some(now);
        }
        self.drain(why, outputs);
        if why == Why::Quit && self.standby.is_empty() {
            self.fail_queued(outputs);
        }
        outputs.push_back(Output::Changed);
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
        let submit = Submit {
            bytes: request.command.len() + weight(&request.params),
            replay: request.replay,
            answered: true,
            hold: request.hold,
            run: request.timeout + GRACE,
            payload: Arc::new(request),
        };
        let op = self.delivery.submit(now, submit).map_err(Refused::Full)?;
        self.tickets.insert(op, ticket);
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
        self.tickets.remove(&op);
        if let Abandoned::Running(_) = abandoned {
            self.remember(op, ticket);
        }
        // The wire has no cancel: what runs goes on, and keeps its place in the window.
        self.drain(Why::LinkLost, outputs);
        self.pump(now, outputs);
        abandoned
    }

    /// The editor answered. Ids that are not ours, and answers to what it was never asked, are ignored.
    pub(super) fn answer(
        &mut self,
        now: Instant,
        socket: SocketId,
        id: &str,
        envelope: Value,
        outputs: &mut VecDeque<Output>,
    ) {
        let Some((seat, op)) = self.seat.clone().zip(self.op_from(id)) else {
            return;
        };
        if seat.socket != socket {
            return;
        }
        match self.delivery.complete(seat.link, op) {
            Answer::Stray => return,
            Answer::ForClient => {
                if let Some(ticket) = self.tickets.remove(&op) {
                    outputs.push_back(Output::Answered { ticket, envelope });
                }
            }
            Answer::Late => {
                if let Some(at) = self.late.iter().position(|(late, _)| *late == op) {
                    let (_, ticket) = self.late.remove(at).expect("it was just found there");
                    outputs.push_back(Output::Late { ticket, envelope });
                }
            }
        }
        self.last_answer = Some(now);
        self.running = self.running.take().filter(|running| running.op != op);
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

    pub(super) fn is_forgettable(&self, now: Instant, after: Duration) -> bool {
        match self.phase {
            Phase::Connected => false,
            Phase::Away { since } | Phase::Quit { since } => {
                self.delivery.is_empty() && now.saturating_duration_since(since) > after
            }
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
            returns: self.returns.saturating_sub(1),
            last_gap: self.last_gap.filter(|gap| !gap.is_zero()),
            custom_tools: self.custom_tools.len(),
        }
    }

    fn pump(&mut self, now: Instant, outputs: &mut VecDeque<Output>) {
        let Some(seat) = self.seat.clone() else {
            return;
        };
        while let Some(handout) = self.delivery.take(now, seat.link) {
            let Request {
                command,
                params,
                timeout,
                ..
            } = &*handout.payload;
            let message = wire::execute(&self.id_of(handout.op), command, params, *timeout);
            self.running = Some(Running {
                op: handout.op,
                command: command.clone(),
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
                    let Some(ticket) = self.tickets.remove(&op) else {
                        continue;
                    };
                    let why = if cause == Cause::HoldExpired {
                        Why::HoldExpired
                    } else {
                        why
                    };
                    self.remember(op, ticket);
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
                    if let Some(ticket) = self.tickets.get(&op) {
                        outputs.push_back(Output::Stuck { ticket: *ticket });
                    }
                }
                _ => {}
            }
        }
    }

    fn fail_queued(&mut self, outputs: &mut VecDeque<Output>) {
        let mut ops: Vec<Op> = self.tickets.keys().copied().collect();
        ops.sort_unstable();
        for op in ops {
            self.delivery.abandon(op);
            if let Some(ticket) = self.tickets.remove(&op) {
                let lost = Lost {
                    outcome: Outcome::NotDelivered,
                    why: Why::Quit,
                };
                outputs.push_back(Output::Lost { ticket, lost });
            }
        }
        self.drain(Why::Quit, outputs);
    }

    fn remember(&mut self, op: Op, ticket: Ticket) {
        if self.late.len() == MAX_LATE {
            self.late.pop_front();
        }
        self.late.push_back((op, ticket));
    }

    fn op_of(&self, ticket: Ticket) -> Option<Op> {
        self.tickets
            .iter()
            .find(|(_, known)| **known == ticket)
            .map(|(op, _)| *op)
    }

    /// The plugin treats it as opaque; the real server sends UUIDs, so this has their form. It stays over a redelivery.
    fn id_of(&self, op: Op) -> String {
        format!("{}-{:012x}", self.id_prefix, op.get())
    }

    fn op_from(&self, id: &str) -> Option<Op> {
        let number = id.strip_prefix(&self.id_prefix)?.strip_prefix('-')?;
        let number = u64::from_str_radix(number, 16).ok()?;
        self.running
            .as_ref()
            .map(|running| running.op)
            .into_iter()
            .chain(self.late.iter().map(|(op, _)| *op))
            .find(|op| op.get() == number)
    }
}

/// About what a value costs to keep.
fn weight(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len() + 16,
        Value::Array(items) => items.iter().map(weight).sum::<usize>() + 16,
        Value::Object(map) => {
            map.iter()
                .map(|(key, value)| key.len() + weight(value))
                .sum::<usize>()
                + 16
        }
        _ => 16,
    }
}
