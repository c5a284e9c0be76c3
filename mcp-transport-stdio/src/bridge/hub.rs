//! What the connections of one listener share: the seat, the commands that run, and a way to tell each other.
//!
//! Shell: it reads the clocks and passes on what the pure parts decide, in one place: lock, call, drain.
#![expect(
    clippy::disallowed_methods,
    reason = "a shell: it reads the clocks for the pure parts"
)]

use super::memory::Memory;
use super::resend::{Arrival, Repeats, Resends, Ticket};
use super::seat::{Output, Peer, SeatConfig, Seats};
use super::wire::{self, Claim, Refusal};
use bytes::Bytes;
use mcp_transport_core::{Error, ErrorKind, Eviction};
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Instant, SystemTime};
use tokio::sync::{Notify, mpsc};

/// What a connection is told.
#[derive(Debug)]
pub(super) enum Order {
    /// You asked for the seat and have it.
    Grant,
    /// You asked for the seat and do not get it.
    Refuse(Refusal),
    /// You lost the seat.
    Evict { eviction: Eviction, tell: bool },
    /// The answer that you wait for.
    Answer {
        ticket: Option<Ticket>,
        answer: Bytes,
    },
    /// The application let go of you.
    Close,
}

/// What to do with a command.
#[derive(Debug)]
pub(super) enum Verdict {
    /// Hand it to the application.
    Run(Ticket),
    /// Wait for the answer, which is on its way.
    Wait,
    /// Give this answer, and say so.
    Answer(Option<Ticket>, Bytes),
}

#[derive(Debug)]
pub(super) struct Hub {
    state: Mutex<State>,
    /// The last connection has written what it had to.
    silent: Notify,
}

#[derive(Debug)]
struct State {
    seats: Seats,
    resends: Resends,
    /// Unbounded, since a connection has one answer or one claim outstanding, is evicted once and closed once.
    connections: BTreeMap<Peer, mpsc::UnboundedSender<Order>>,
    /// Nothing begins any more.
    closed: bool,
}

impl Hub {
    pub(super) fn new(config: SeatConfig, memory: Memory) -> Self {
        let hub = Self {
            state: Mutex::new(State {
                seats: Seats::new(config),
                resends: Resends::new(),
                connections: BTreeMap::new(),
                closed: false,
            }),
            silent: Notify::new(),
        };
        hub.act(|state, now, unix_ms| state.resends = Resends::resume(now, unix_ms, memory));
        hub
    }

    pub(super) fn arrive(
        &self,
        endpoint: String,
    ) -> Result<(Peer, mpsc::UnboundedReceiver<Order>), Error> {
        self.act(|state, now, _| {
            if state.closed {
                return Err(Error::new(ErrorKind::Closed).context("the listener is closed"));
            }
            let peer = state.seats.arrive(now, endpoint)?;
            let (tx, rx) = mpsc::unbounded_channel();
            state.connections.insert(peer, tx);
            Ok((peer, rx))
        })
    }

    pub(super) fn heard(&self, peer: Peer) {
        self.act(|state, now, _| state.seats.heard(now, peer));
    }

    /// The answer comes as an [`Order`].
    pub(super) fn claim(&self, peer: Peer, claim: Claim) {
        self.act(|state, now, unix_ms| state.seats.claim(now, unix_ms, peer, claim));
    }

    pub(super) fn command(&self, peer: Peer, repeats: Repeats, command: &Bytes) -> Verdict {
        self.act(|state, now, unix_ms| {
            if let Err(refusal) = state.seats.command(now, unix_ms, peer) {
                return Verdict::Answer(None, refusal.to_frame());
            }
            // Before it is looked up: what the loser had not begun is not to be attached to.
            state.drain();
            match state.resends.arrive(now, peer, repeats, command) {
                Arrival::Run(ticket) => Verdict::Run(ticket),
                Arrival::Attached => Verdict::Wait,
                Arrival::Answered(ticket, answer) => Verdict::Answer(Some(ticket), answer),
            }
        })
    }

    /// The application takes a command; false if it must not.
    pub(super) fn begin(&self, ticket: Ticket) -> bool {
        self.act(|state, _, _| !state.closed && state.resends.begin(ticket))
    }

    /// The application has answered.
    pub(super) fn answer(&self, ticket: Ticket, answer: &Bytes) {
        // It may be large, so it is looked through before the others are made to wait.
        let is_error = wire::is_error_answer(answer);
        self.act(|state, now, _| {
            for peer in state.resends.answer(now, ticket, answer, is_error) {
                state.tell(
                    peer,
                    Order::Answer {
                        ticket: Some(ticket),
                        answer: answer.clone(),
                    },
                );
            }
        });
    }

    /// The application lets go of a connection, and gives up the command that it had begun for it.
    pub(super) fn close(&self, peer: Peer, running: Option<Ticket>) {
        self.act(|state, now, _| {
            if let Some(ticket) = running {
                let (told, answer) = state.resends.abandon(now, ticket);
                state.answer_others(told, peer, &answer);
            }
            state.tell(peer, Order::Close);
        });
    }

    /// An answer went out to this connection, and `arrived` if it still reads.
    pub(super) fn answered(&self, peer: Peer, arrived: Option<Ticket>) {
        self.act(|state, now, _| {
            state.seats.answered(now, peer);
            if let Some(ticket) = arrived {
                state.resends.delivered(ticket);
            }
        });
    }

    /// The peer will say nothing more: its seat is free. True if a command of its still runs.
    pub(super) fn half_closed(&self, peer: Peer) -> bool {
        self.act(|state, _, _| {
            state.seats.leave(peer);
            state.withdraw(peer);
            state.resends.runs_for(peer)
        })
    }

    /// This connection will write no answer any more, though its goodbye may take a while.
    pub(super) fn hush(&self, peer: Peer) {
        self.act(|state, _, _| {
            state.connections.remove(&peer);
            if state.connections.is_empty() {
                self.silent.notify_one();
            }
        });
    }

    /// From now on nothing begins, and every connection ends when it has written the answers that are there.
    pub(super) fn shut(&self) {
        self.act(|state, _, _| {
            state.closed = true;
            for connection in state.connections.values() {
                let _ = connection.send(Order::Close);
            }
        });
    }

    /// Waits until no connection has anything to write. For one waiter.
    pub(super) async fn silence(&self) {
        while !self.act(|state, _, _| state.connections.is_empty()) {
            self.silent.notified().await;
        }
    }

    pub(super) fn memory(&self) -> Memory {
        self.act(|state, now, unix_ms| state.resends.memory(now, unix_ms))
    }

    pub(super) fn leave(&self, peer: Peer) {
        self.act(|state, _, _| {
            state.seats.leave(peer);
            state.withdraw(peer);
        });
    }

    /// The endpoint of who has the seat.
    pub(super) fn holder(&self) -> Option<String> {
        self.act(|state, _, _| {
            state
                .seats
                .holder()
                .map(|(_, endpoint)| endpoint.to_owned())
        })
    }

    /// The only place that touches the state.
    fn act<R>(&self, change: impl FnOnce(&mut State, Instant, u64) -> R) -> R {
        let now = tokio::time::Instant::now().into_std();
        let unix_ms = SystemTime::UNIX_EPOCH
            .elapsed()
            .unwrap_or_default()
            .as_millis();
        // Nothing below panics half-way through a change.
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let result = change(&mut state, now, u64::try_from(unix_ms).unwrap_or(u64::MAX));
        state.drain();
        result
    }
}

impl State {
    fn drain(&mut self) {
        while let Some(output) = self.seats.poll_output() {
            match output {
                Output::Grant(peer) => self.tell(peer, Order::Grant),
                Output::Refuse(peer, refusal) => self.tell(peer, Order::Refuse(refusal)),
                Output::Evict {
                    peer,
                    eviction,
                    tell,
                } => {
                    self.withdraw(peer);
                    self.tell(peer, Order::Evict { eviction, tell });
                }
            }
        }
    }

    /// Withdraws what this connection has not begun.
    fn withdraw(&mut self, peer: Peer) {
        let told = self.resends.leave(peer);
        let answer = wire::error_answer(WITHDRAWN);
        self.answer_others(told, peer, &answer);
    }

    fn answer_others(&mut self, told: Vec<Peer>, but: Peer, answer: &Bytes) {
        for peer in told.into_iter().filter(|peer| *peer != but) {
            self.tell(
                peer,
                Order::Answer {
                    ticket: None,
                    answer: answer.clone(),
                },
            );
        }
    }

    fn tell(&self, peer: Peer, order: Order) {
        if let Some(connection) = self.connections.get(&peer) {
            // It may be closing; then it needs no telling.
            let _ = connection.send(order);
        }
    }
}

const WITHDRAWN: &str = "This command was never run: who sent it again is gone. Call again.";
