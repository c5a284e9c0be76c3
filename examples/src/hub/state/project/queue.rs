//! A project's commands: from the submit over the window to their end.

use super::super::types::{Lost, Output, Refused, Request, SocketId, Standing, Ticket, Why};
use super::{Command, Late, Phase, Project, Running, Seat, Waiting};
use crate::hub::wire;
use mcp_transport_core::Outcome;
use mcp_transport_core::delivery::{
    Abandoned, Answer, Cause, Link, Op, Output as Delivered, Submit,
};
use serde_json::Value;
use serde_json::value::to_raw_value;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How much longer than the wire's time-out we wait: by then the plugin has given up on its own.
const GRACE: Duration = Duration::from_secs(5);

/// What a command is on the wire beside its name and its parameters, at most. With it, no command
/// is larger than the queue's 64 MiB, which is what one message may have.
const ENVELOPE: usize = 128;

/// As many late answers are recognised as the delivery remembers.
const MAX_LATE: usize = 256;

impl Project {
    pub(in super::super) fn submit(
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

    pub(in super::super) fn abandon(
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
    pub(in super::super) fn answer(
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

    pub(in super::super) fn standing(&self, ticket: Ticket) -> Option<Standing> {
        let op = self.op_of(ticket)?;
        Some(match (&self.running, self.phase) {
            (Some(running), _) if running.op == op => Standing::Running,
            (_, Phase::Connected) => Standing::Queued,
            _ => Standing::Away,
        })
    }

    /// True while the editor has this call, whether or not somebody waits for it.
    pub(in super::super) fn is_running(&self, ticket: Ticket) -> bool {
        self.running
            .as_ref()
            .is_some_and(|running| running.ticket == ticket)
    }

    pub(super) fn pump(&mut self, now: Instant, outputs: &mut VecDeque<Output>) {
        let Some(seat) = &mut self.seat else {
            return;
        };
        while let Some(handout) = self.delivery.take(now, seat.link) {
            seat.handed += 1;
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

    pub(super) fn drain(&mut self, why: Why, outputs: &mut VecDeque<Output>) {
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

    pub(super) fn fail_queued(&mut self, why: Why, outputs: &mut VecDeque<Output>) {
        while self.fail_oldest(why, outputs) {}
    }

    /// Ends the oldest call, while there is no connection that could have it. False if there is none.
    pub(in super::super) fn fail_oldest(
        &mut self,
        why: Why,
        outputs: &mut VecDeque<Output>,
    ) -> bool {
        let Some((op, Waiting { ticket, had_it })) = self.waiting.pop_first() else {
            return false;
        };
        self.delivery.abandon(op);
        let outcome = match had_it {
            Some(_) => Outcome::Unknown,
            None => Outcome::NotDelivered,
        };
        let lost = Lost { outcome, why };
        outputs.push_back(Output::Lost { ticket, lost });
        true
    }

    /// Ends the call that a connection had whose seat another client took. The first one that was handed to it is over even
    /// if it was not written any more, since that connection was made for it; a later one waits on, as those behind it do.
    pub(super) fn end_running(
        &mut self,
        seat: &Seat,
        unsent: &[Op],
        outputs: &mut VecDeque<Output>,
    ) {
        let Some(Running { op, ticket, .. }) = self.running else {
            return;
        };
        let written = !unsent.contains(&op);
        if !written && seat.handed > 1 {
            return;
        }
        let Some(Waiting { had_it, .. }) = self.waiting.remove(&op) else {
            return;
        };
        self.delivery.abandon(op);
        let outcome = if written || had_it.is_some() {
            Outcome::Unknown
        } else {
            Outcome::NotDelivered
        };
        let why = Why::SeatTaken;
        let lost = Lost { outcome, why };
        outputs.push_back(Output::Lost { ticket, lost });
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
