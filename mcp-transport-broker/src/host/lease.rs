//! One lease, from its grant to its end.
#![expect(
    clippy::disallowed_methods,
    reason = "a shell: it owns the lanes, the ping and their time"
)]

use super::attach::Granted;
use super::http::{Caller, Connection};
use super::hub::Hub;
use super::lanes::{Lane, Lanes, Sequence, Step};
use super::state::{Departure, Ready};
use super::wire;
use crate::native::{Detach, DetachReason, Pushed};
use bytes::Bytes;
use futures::StreamExt as _;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use mcp_transport_core::{Error, ErrorKind};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::{self, Instant};

/// How long saying goodbye may take, what is pushed before it included.
const GOODBYE: Duration = Duration::from_secs(1);

/// How long a push may take that does not pull.
const PUSH_TIMEOUT: Duration = Duration::from_secs(30);

/// How much longer than it may be parked a pull may take.
const PULL_SLACK: Duration = Duration::from_secs(10);

/// A lease that is up.
pub(super) struct Lease {
    hub: Arc<Hub>,
    caller: Arc<Caller>,
    lanes: Lanes,
    sequence: Sequence,
    /// Open connections that wait for the next exchange of their lane.
    idle: [Connection; 3],
    exchanges: FuturesUnordered<BoxFuture<'static, Done>>,
    ping: Ping,
}

/// One exchange is over.
struct Done {
    lane: Lane,
    batch: Option<u64>,
    connection: Connection,
    answer: Result<Pushed, Error>,
}

struct Ping(JoinHandle<Error>);

impl Drop for Ping {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Lease {
    pub(super) fn new(granted: Granted, hub: Arc<Hub>) -> Self {
        let caller = Arc::new(granted.caller.clone());
        Self {
            hub,
            caller,
            lanes: Lanes::default(),
            sequence: Sequence::default(),
            idle: Default::default(),
            exchanges: FuturesUnordered::new(),
            ping: Ping(tokio::spawn(ping(granted))),
        }
    }

    /// Pulls and pushes until the lease ends, and says how.
    ///
    /// # Cancel safety
    /// Cancel safe: whatever is under way goes on with the next call.
    pub(super) async fn run(&mut self) -> Error {
        loop {
            self.begin();
            tokio::select! {
                Some(done) = self.exchanges.next() => {
                    if let Err(error) = self.finish(done) {
                        return error;
                    }
                }
                () = self.hub.worked() => {}
                ended = &mut self.ping.0 => {
                    return ended.unwrap_or_else(|_| ErrorKind::Disconnected.into());
                }
            }
        }
    }

    /// Says goodbye: pushes what is answered, then goes. Takes a second at most, and then the
    /// broker has to find out by itself.
    pub(super) async fn leave(mut self, reason: DetachReason, gap: Option<Duration>) {
        let deadline = Instant::now() + GOODBYE;
        if time::timeout_at(deadline, self.push_rest()).await.is_err() {
            tracing::debug!("the broker did not take the last answers in time");
        }
        let back = reason == DetachReason::Reloading;
        let departure = self.hub.touch(|state| state.depart(back));
        let Departure {
            received,
            untouched,
            coming,
        } = departure;
        let gap_ms = gap.map(|gap| u64::try_from(gap.as_millis()).unwrap_or(u64::MAX));
        let detach = Detach {
            reason,
            gap_ms,
            received: Some(received),
            untouched,
            coming,
        };
        let body = serde_json::to_vec(&detach).expect("a detach always serialises");
        let mut connection = std::mem::take(&mut self.idle[index(Lane::Push)]);
        let left = deadline.saturating_duration_since(Instant::now());
        let limit = left.max(GOODBYE / 4);
        let detach = self
            .caller
            .post(&mut connection, "detach", body.into(), limit);
        if let Err(error) = detach.await {
            tracing::debug!(%error, "the broker did not take the goodbye");
        }
    }

    /// Pushes every answer that the broker may not have, on one connection.
    async fn push_rest(&mut self) {
        // What a service said must not be overtaken by its answers.
        while self.lanes.is_pushing() {
            match self.exchanges.next().await {
                Some(done) => {
                    if self.finish(done).is_err() {
                        return;
                    }
                }
                None => return,
            }
        }
        let mut connection = std::mem::take(&mut self.idle[index(Lane::Push)]);
        self.hub.touch(|state| state.push_again());
        loop {
            let next = self.hub.touch(|state| match state.ready() {
                Ready::Nothing => None,
                Ready::Answers | Ready::Alone => Some(state.batch(Ready::Alone)),
            });
            let Some((number, batch)) = next else { break };
            let body = wire::push(&batch, None);
            let pushed = self.caller.post(&mut connection, "push", body, GOODBYE);
            match pushed.await {
                Ok(_) => self.hub.touch(|state| state.acknowledged(number, &[])),
                Err(error) => {
                    tracing::debug!(%error, "the broker did not take the last answers");
                    return;
                }
            }
        }
        self.idle[index(Lane::Push)] = connection;
    }

    /// Begins whatever should be under way.
    fn begin(&mut self) {
        loop {
            let lanes = &mut self.lanes;
            let next = self.hub.touch(|state| {
                let step = lanes.next(state.ready(), state.is_taking())?;
                let batch = match step.brings {
                    Ready::Nothing => None,
                    brings => Some(state.batch(brings)),
                };
                Some((step, batch))
            });
            let Some((Step { lane, .. }, batch)) = next else {
                return;
            };
            let pull = match lane {
                Lane::Pull(_) => Some(wire::PULL),
                Lane::Push => None,
            };
            let (number, path, body) = match batch {
                Some((number, items)) => (Some(number), "push", wire::push(&items, pull)),
                None => (None, "pull", wire::pull()),
            };
            let limit = match lane {
                Lane::Pull(_) => Duration::from_millis(wire::PULL.wait_ms) + PULL_SLACK,
                Lane::Push => PUSH_TIMEOUT,
            };
            let connection = std::mem::take(&mut self.idle[index(lane)]);
            let exchange = Exchange {
                caller: Arc::clone(&self.caller),
                connection,
                lane,
                batch: number,
                path,
                body,
                limit,
            };
            self.exchanges.push(Box::pin(exchange.run()));
        }
    }

    fn finish(&mut self, done: Done) -> Result<(), Error> {
        let Done {
            lane,
            batch,
            connection,
            answer,
        } = done;
        self.lanes.done(lane);
        self.idle[index(lane)] = connection;
        let Pushed { stray, seq, items } = match (answer, batch) {
            (Ok(pushed), _) => pushed,
            (Err(error), Some(batch)) if matches!(error.kind(), ErrorKind::TooLarge { .. }) => {
                let is_mended = self.hub.touch(|state| state.refused(batch, &error));
                return if is_mended { Ok(()) } else { Err(error) };
            }
            (Err(error), _) => return Err(error),
        };
        let items = self.sequence.arrived(seq, items, !self.lanes.is_pulling());
        self.hub.touch(|state| {
            if let Some(batch) = batch {
                state.acknowledged(batch, &stray);
            }
            state.given(items);
        });
        Ok(())
    }
}

struct Exchange {
    caller: Arc<Caller>,
    connection: Connection,
    lane: Lane,
    batch: Option<u64>,
    path: &'static str,
    body: Bytes,
    limit: Duration,
}

impl Exchange {
    async fn run(mut self) -> Done {
        let answer = self
            .caller
            .post(&mut self.connection, self.path, self.body, self.limit)
            .await;
        let answer = answer.and_then(|answer| {
            serde_json::from_slice(&answer).map_err(|error| {
                let text = format!("the broker's answer to {} cannot be read", self.path);
                Error::new(ErrorKind::Malformed)
                    .context(text)
                    .because(error)
            })
        });
        Done {
            lane: self.lane,
            batch: self.batch,
            connection: self.connection,
            answer,
        }
    }
}

/// Says that the host is alive, from a task and a connection of its own; returns when the broker
/// thinks otherwise.
async fn ping(granted: Granted) -> Error {
    let Granted {
        caller,
        mut connection,
        ping,
        silence,
    } = granted;
    loop {
        time::sleep(ping).await;
        let body = Bytes::from_static(b"{}");
        let pinged = caller.post(&mut connection, "ping", body, silence);
        if let Err(error) = pinged.await {
            return error;
        }
    }
}

const fn index(lane: Lane) -> usize {
    match lane {
        Lane::Pull(lane) => lane,
        Lane::Push => 2,
    }
}
