//! The broker's state among its connections, and the one function that touches it.
#![expect(
    clippy::disallowed_methods,
    reason = "the shell around the broker's state: its clock and its timer"
)]

use super::conn::Conn;
use super::handed::Handed;
use super::orphan::Orphan;
use super::outbox::{Reader, outbox};
use super::parked::{Parked, Seats};
use super::state::{State, tool_headers};
use super::waiting::Watched;
use crate::broker::{
    Ask, Attachment, Broker, ClientId, Granted, Handout, Lease, Operation, Output, Refusal,
    Snapshot, Status, Ticket,
};
use crate::mcp::{EventId, StreamId, Streams, ToolHeaders};
use crate::native::{Detach, Era, Meet, Refused, Word};
use crate::numbers::Table;
use mcp_transport_core::Message;
use mcp_transport_core::keepalive::SleepWatch;
use std::collections::HashMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::{Notify, oneshot, watch};

/// How often the clocks are compared at least, to notice that the machine slept.
const LOOK: Duration = Duration::from_secs(60);

/// Everything that a connection can do to the broker.
///
/// Nothing here waits, and nothing is written to a socket under the lock: what is to be written is
/// put into the outbox of whoever writes.
pub(crate) struct Hub {
    state: Mutex<State>,
    /// The timer is to be armed anew.
    rearm: Notify,
    /// There is something for the pulls that are parked, or one more of them.
    hand_out: Notify,
    /// Where the host that is attached takes upgrades.
    tunnel: watch::Sender<Option<SocketAddr>>,
    /// What is to be kept on disk.
    catalogue: watch::Sender<Option<Snapshot>>,
    /// Nobody has needed it for as long as that may be.
    orphaned: watch::Sender<bool>,
    /// A lease is over.
    pub(super) left: Notify,
}

/// A client's call, taken.
pub(super) struct Asked {
    pub(super) reader: Reader,
    pub(super) watched: Watched,
}

/// A session's stream, open.
pub(super) struct Opened {
    pub(super) reader: Reader,
    pub(super) watched: Watched,
    /// It goes on where it broke.
    pub(super) resumed: bool,
}

impl Hub {
    /// `orphaned`: how long it may be without a host before it counts as orphaned.
    pub(super) fn new(
        mut broker: Broker,
        kept: Option<Snapshot>,
        orphaned: Option<Duration>,
    ) -> Arc<Self> {
        let mut tools = ToolHeaders::default();
        if let Some(kept) = kept {
            tools = tool_headers(&kept);
            broker.restore(kept);
        }
        Arc::new(Self {
            state: Mutex::new(State {
                broker,
                streams: Streams::new(),
                outboxes: Table::default(),
                gets: Table::default(),
                seats: Seats::default(),
                tunnelled: None,
                tools: Arc::new(tools),
                armed: None,
                orphan: Orphan::new(orphaned),
                unclaimed: HashMap::new(),
                moved: Table::default(),
            }),
            rearm: Notify::new(),
            hand_out: Notify::new(),
            tunnel: watch::Sender::new(None),
            catalogue: watch::Sender::new(None),
            orphaned: watch::Sender::new(false),
            left: Notify::new(),
        })
    }

    // --- clients ---

    /// A client is there.
    pub(crate) fn meet(&self, meet: Meet) -> Result<ClientId, Refusal> {
        self.touch(|state, now| {
            let is_legacy = meet.era == Era::Legacy;
            let client = state.broker.meet(now, meet)?;
            if is_legacy {
                state.streams.begin(client);
            }
            Ok(client)
        })
    }

    /// A legacy client begins: who it is, and the name of its session.
    pub(super) fn begin(&self, version: String) -> Result<(ClientId, String), Refusal> {
        let meet = Meet {
            era: Era::Legacy,
            version,
        };
        let client = self.meet(meet)?;
        let name = self.look(|state| state.broker.session_name(client).map(str::to_owned));
        match name {
            Some(name) => Ok((client, name)),
            None => Err(Refusal::UnknownClient(client)),
        }
    }

    /// The client whose session has this name.
    pub(super) fn session(&self, name: &str) -> Option<ClientId> {
        self.look(|state| state.broker.session(name))
    }

    /// A client is gone.
    pub(crate) fn gone(&self, client: ClientId) {
        self.touch(|state, now| {
            state.broker.gone(now, client);
            state.over(client);
        });
    }

    /// A client's request. `streams`: it takes an event stream; `resumable`: and may come back
    /// for it.
    pub(super) fn ask(
        self: &Arc<Self>,
        conn: &Arc<Conn>,
        client: ClientId,
        request: Message,
        ask: Ask,
        form: Form,
    ) -> Result<Asked, Refusal> {
        let (outbox, reader) = outbox(conn);
        let stream = self.touch(|state, now| {
            let ticket = state.broker.ask(now, client, request, ask)?;
            let stream = state
                .streams
                .request(client, ticket, form.streams, form.resumable);
            state.outboxes.insert(stream, outbox);
            Ok::<_, Refusal>(stream)
        })?;
        let watched = Watched::call(self.clone(), stream, form);
        Ok(Asked { reader, watched })
    }

    /// What a client says that nobody answers.
    pub(super) fn tell(&self, client: ClientId, message: Message) -> Result<(), Refusal> {
        self.touch(|state, now| state.broker.tell(now, client, message))
    }

    /// A session's client opens a stream.
    pub(super) fn open(
        self: &Arc<Self>,
        conn: &Arc<Conn>,
        client: ClientId,
        after: Option<EventId>,
    ) -> Opened {
        let (outbox, reader) = outbox(conn);
        let resumed = self.touch(|state, now| {
            let mut resumed = state.streams.get(client, after);
            if let Some(ends) = resumed.ends {
                state.outboxes.remove(&ends);
                state.gets.remove(&ends);
            }
            let ended = resumed.events.iter().any(|event| event.last);
            outbox.begin(std::mem::take(&mut resumed.events));
            if !ended {
                state.outboxes.insert(resumed.stream, outbox);
            }
            state.gets.insert(resumed.stream, client);
            state.count_streams(now, client);
            resumed
        });
        Opened {
            resumed: after.is_some_and(|after| after.stream == resumed.stream),
            watched: Watched::stream(self.clone(), resumed.stream),
            reader,
        }
    }

    /// A stream's reader has everything.
    pub(super) fn done(&self, stream: StreamId) {
        self.touch(|state, now| {
            state.streams.done(stream);
            state.closed(now, stream);
        });
    }

    /// A stream's reader is gone. `broke`: it knows event ids, and may come back. A call that no
    /// host has yet is withdrawn, one that runs is cancelled where that is what hanging up means.
    pub(super) fn lost(&self, stream: StreamId, broke: bool, cancels: bool) {
        self.touch(|state, now| {
            let open = state.streams.lost(stream, broke);
            state.closed(now, stream);
            let Some(ticket) = open else {
                return;
            };
            if broke && !cancels {
                state.broker.unread(now, ticket);
            } else if cancels || state.broker.is_queued(ticket) {
                state.broker.hang_up(now, ticket);
                state.streams.done(stream);
            }
        });
    }

    /// The schemas' headers of the host's tools.
    pub(super) fn tools(&self) -> Arc<ToolHeaders> {
        self.look(|state| state.tools.clone())
    }

    /// What is known of an operation.
    pub(super) fn operation(&self, id: &str) -> Operation {
        self.look(|state| state.broker.operation(id))
    }

    // --- the host ---

    /// A host attaches. `tunnel`: where it takes upgrades.
    pub(crate) fn attach(
        &self,
        attachment: Attachment,
        tunnel: Option<SocketAddr>,
    ) -> Result<Granted, Refused> {
        self.touch(|state, now| {
            let granted = state.broker.attach(now, attachment)?;
            state.tunnelled = Some(granted.lease);
            self.tunnel.send_replace(tunnel);
            Ok(granted)
        })
    }

    /// The lease with this name, which was heard of just now.
    pub(crate) fn lease(&self, name: &str) -> Result<Lease, Refused> {
        self.touch(|state, now| {
            let lease = state.broker.lease(name)?;
            state.broker.heard(now, lease);
            Ok(lease)
        })
    }

    /// What there is for a host now.
    pub(crate) fn pull(self: &Arc<Self>, lease: Lease, max: usize) -> Handed {
        let (seq, handouts) = self.touch(|state, now| state.pull(now, lease, max));
        Handed::new(self.clone(), lease, seq, handouts)
    }

    /// What there is for a host, or will be. The oldest pull is served first.
    ///
    /// # Errors
    /// The lease ended meanwhile.
    ///
    /// # Cancel safety
    /// Dropping the future gives back what it got.
    pub(crate) async fn park(
        self: &Arc<Self>,
        lease: Lease,
        max: usize,
        wait: Duration,
    ) -> Result<Handed, Refused> {
        if wait.is_zero() {
            return Ok(self.pull(lease, max));
        }
        let (sender, mut receiver) = oneshot::channel();
        self.touch(|state, _| state.seats.park(Parked { lease, max, sender }));
        self.hand_out.notify_one();
        let waited = tokio::time::timeout(wait, &mut receiver).await;
        let served = match waited {
            Ok(served) => served.ok(),
            // What came in this very moment is not lost.
            Err(_) => {
                receiver.close();
                match receiver.try_recv() {
                    Ok(served) => Some(served),
                    Err(_) => Some(Ok(Handed::new(self.clone(), lease, None, Vec::new()))),
                }
            }
        };
        served.unwrap_or_else(|| Err(ended()))
    }

    /// A pull's answer was not written.
    pub(super) fn unpull(&self, lease: Lease, seq: Option<u64>, handouts: Vec<Handout>) {
        self.touch(|state, now| state.unpull(now, lease, seq, handouts));
    }

    /// A host goes.
    pub(crate) fn detach(&self, lease: Lease, detach: &Detach) {
        self.touch(|state, now| state.broker.detach(now, lease, detach));
    }

    /// A connection spoke for one lease, and now for another.
    pub(super) fn connection(&self, from: Option<Lease>, to: Option<Lease>) {
        self.touch(|state, now| {
            for (lease, by) in [(to, true), (from, false)] {
                if let Some(lease) = lease {
                    let open = state.seats.connection(lease, by);
                    state.broker.connections(now, lease, open);
                }
            }
        });
    }

    /// What a host says, as whoever speaks its dialect understands it: all of it at once.
    pub(super) fn act<R>(&self, act: impl FnOnce(&mut Broker, Instant) -> R) -> R {
        self.touch(|state, now| act(&mut state.broker, now))
    }

    /// The pulls of a lease that are parked end.
    pub(super) fn unpark(&self, lease: Lease) {
        self.touch(|state, _| state.seats.unpark(lease));
    }

    /// Whether the client of this call takes an event stream.
    pub(super) fn takes_stream(&self, ticket: Ticket) -> bool {
        self.look(|state| state.streams.takes_stream(ticket))
    }

    /// How many calls are not over; `None` while somebody else has the state in hand.
    pub(super) fn pending(&self) -> Option<usize> {
        let state = self.state.try_lock().ok()?;
        Some(state.broker.pending())
    }

    // --- the rest ---

    pub(super) fn status(&self) -> Status {
        self.touch(|state, now| state.broker.status(now))
    }

    /// Answers everybody.
    pub(super) fn shut_down(&self) {
        self.touch(|state, now| {
            // The host hears of the end before it is given what follows from it, or it would pull
            // again from nobody.
            state.seats.end_all();
            state.broker.shut_down(now);
        });
        // What was settled has gone into its outboxes; what remains open, ends.
        self.touch(|state, _| state.outboxes.clear());
    }

    /// Where the host that is attached takes upgrades.
    pub(super) fn tunnel(&self) -> watch::Receiver<Option<SocketAddr>> {
        self.tunnel.subscribe()
    }

    /// Turns true when nobody has needed it for as long as that may be.
    pub(super) fn orphaned(&self) -> watch::Receiver<bool> {
        self.orphaned.subscribe()
    }

    pub(super) fn catalogue(&self) -> watch::Receiver<Option<Snapshot>> {
        self.catalogue.subscribe()
    }

    /// Gives the pulls that are parked what there is. Never ends.
    ///
    /// A task of its own, and so its turn comes after those who can run already: what they ask for
    /// goes out as one, where each by itself would cost a round trip.
    pub(super) async fn keep_serving(self: Arc<Self>) {
        loop {
            self.hand_out.notified().await;
            self.touch(|state, now| state.serve(now, &self));
        }
    }

    /// Keeps time. Never ends.
    pub(super) async fn keep_time(self: Arc<Self>) {
        let clock = || tokio::time::Instant::now().into_std();
        let mut watch = SleepWatch::new(clock(), SystemTime::now());
        loop {
            let until = self.touch(|state, now| {
                let look = now + LOOK;
                let until = state.due().map_or(look, |due| due.min(look));
                state.armed = Some(until);
                until
            });
            tokio::select! {
                () = tokio::time::sleep_until(until.into()) => self.touch(|state, now| {
                    state.broker.handle_timeout(now);
                    if state.orphan.due().is_some_and(|due| due <= now) {
                        self.orphaned.send_replace(true);
                        // Once is enough, and a timer that stays due would not rest.
                        state.orphan = Orphan::new(None);
                    }
                }),
                () = self.rearm.notified() => {}
            }
            // What the clock counted, `touch` gives back.
            if let Some(gap) = watch.observe(clock(), SystemTime::now(), None) {
                let length = gap.length;
                tracing::info!(?length, "the machine slept, and the budgets' clock with it");
            }
        }
    }

    /// Locks, acts, does what that asks for, and arms the timer: nothing else touches the state.
    pub(super) fn touch<R>(&self, act: impl FnOnce(&mut State, Instant) -> R) -> R {
        let now = tokio::time::Instant::now().into_std();
        let mut state = self.lock();
        state.wake(now);
        let result = act(&mut state, now);
        self.drain(&mut state);
        let State { broker, moved, .. } = &mut *state;
        moved.retain(|ticket, _| broker.is_moved(*ticket));
        let is_needed = state.broker.is_needed();
        state.orphan.observe(now, is_needed);
        let due = state.due();
        // A timer that is early only asks again.
        let rearm = due.is_some_and(|due| state.armed.is_none_or(|armed| due < armed));
        if rearm {
            state.armed = due;
        }
        drop(state);
        if rearm {
            self.rearm.notify_one();
        }
        result
    }

    /// Looks something up: nothing follows from that.
    fn look<R>(&self, look: impl FnOnce(&State) -> R) -> R {
        look(&self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state
            .lock()
            .expect("nobody panics with the state in hand")
    }

    /// Does what the broker wants done; all of it stays in memory.
    fn drain(&self, state: &mut State) {
        while let Some(output) = state.broker.poll_output() {
            match output {
                Output::Answer { ticket, message } => state.answer(ticket, message),
                Output::Cancelled { ticket } => {
                    let stream = state.streams.cancelled(ticket);
                    stream.map(|stream| state.outboxes.remove(&stream));
                }
                Output::Tell {
                    client,
                    about,
                    message,
                } => state.tell(client, about, message),
                Output::Ready => self.hand_out.notify_one(),
                Output::LeaseOver { lease } => {
                    state.seats.over(lease);
                    self.left.notify_waiters();
                    if state.tunnelled == Some(lease) {
                        state.tunnelled = None;
                        self.tunnel.send_replace(None);
                    }
                }
                Output::Closed { client } => state.over(client),
                Output::Catalogue(snapshot) => {
                    state.tools = Arc::new(tool_headers(&snapshot));
                    self.catalogue.send_replace(Some(snapshot));
                }
            }
        }
    }
}

/// In what form a client takes what comes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Form {
    /// As an event stream, if need be.
    pub(super) streams: bool,
    /// Rather than as plain JSON.
    pub(super) prefers_streams: bool,
    /// It may come back for a stream that broke.
    pub(super) resumable: bool,
    /// It understands an event without data.
    pub(super) primes: bool,
    /// Hanging up is a cancellation.
    pub(super) cancels: bool,
    /// Of which era it is.
    pub(super) era: Era,
}

/// What a parked pull hears whose lease ended; asking for the lease by its name says why.
fn ended() -> Refused {
    Refused::new(Word::LeaseOver, "the lease has ended: attach again")
}

impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hub").finish_non_exhaustive()
    }
}
