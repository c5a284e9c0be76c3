//! The plugin hub: where Unity editors connect, and where calls wait for them.
//!
//! [`State`] decides and is pure; [`Hub`] owns the lock, the timer and the channels; [`socket`]
//! speaks with one plugin.
#![expect(
    clippy::disallowed_methods,
    reason = "the shell around the pure state owns its clock and its timer"
)]

mod call;
mod late;
mod listing;
pub mod socket;
pub mod state;
mod wire;

pub use call::{Call, Event};
pub use state::{
    Config, Instance, Listed, Lost, Phase, Refused, Request, Said, SocketId, Standing, State,
    Ticket, Why,
};

use crate::catalogue::Toolset;
use late::Late;
use mcp_transport_core::delivery::{Abandoned, Op};
use mcp_transport_core::keepalive::SleepWatch;
use mcp_transport_core::{ErrorKind, Message, Outcome};
use serde_json::Value;
use state::Output;
use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{Notify, mpsc, watch};

/// The hub: a cheap handle, shared by every socket and every client.
#[derive(Clone)]
pub struct Hub {
    shared: Arc<Shared>,
}

struct Shared {
    inner: Mutex<Inner>,
    rearm: Notify,
    instances: watch::Sender<Arc<[Instance]>>,
    wall: Box<dyn Fn() -> SystemTime + Send + Sync>,
}

struct Inner {
    state: State,
    sockets: HashMap<SocketId, Peer>,
    calls: HashMap<Ticket, Waiting>,
    /// Calls that nobody waits for, oldest first, and that may still be answered.
    given_up: VecDeque<(Ticket, Owned)>,
    late: Late,
    /// When the timer is to fire; never later than one tick after it did.
    due: Instant,
    sleep: SleepWatch,
}

/// One plugin's socket, as the hub reaches it.
struct Peer {
    /// `None` once its task took too little, or ended.
    orders: Option<mpsc::Sender<ToSocket>>,
    /// Commands that its task never got.
    unwritten: Vec<Op>,
}

struct Waiting {
    events: mpsc::Sender<Event>,
    owned: Owned,
}

/// Who may ask for a late result, and by which id.
#[derive(Clone, Debug)]
struct Owned {
    id: String,
    owner: Option<String>,
}

/// What a socket's task is told.
#[derive(Debug)]
enum ToSocket {
    Send { message: Message, op: Option<Op> },
    Close { code: u16, reason: String },
}

/// Messages that wait for one socket. A plugin has one command at a time, so more means that it
/// does not read.
const SOCKET_ROOM: usize = 64;

/// Events of one call: stuck, then the end.
const CALL_ROOM: usize = 4;

/// Calls whose late answer is recognised. The oldest make room, but for those that an editor has.
const MAX_GIVEN_UP: usize = 256;

/// How soon after waking we notice that the machine slept.
const TICK: Duration = Duration::from_secs(1);

impl Hub {
    /// A hub with nobody in it, and its timer.
    pub fn new(config: Config) -> Self {
        Self::with_wall_clock(config, SystemTime::now)
    }

    /// The same with another wall clock: what sleep is noticed by.
    pub fn with_wall_clock(
        config: Config,
        wall: impl Fn() -> SystemTime + Send + Sync + 'static,
    ) -> Self {
        let sleep = SleepWatch::new(now(), wall());
        let inner = Inner {
            state: State::new(config, random()),
            sockets: HashMap::new(),
            calls: HashMap::new(),
            given_up: VecDeque::new(),
            late: Late::default(),
            due: now() + TICK,
            sleep,
        };
        let shared = Arc::new(Shared {
            inner: Mutex::new(inner),
            rearm: Notify::new(),
            instances: watch::Sender::new(Arc::from([])),
            wall: Box::new(wall),
        });
        tokio::spawn(keep_time(Arc::downgrade(&shared)));
        Self { shared }
    }

    /// Every editor that is known, now and whenever that changes.
    pub fn instances(&self) -> watch::Receiver<Arc<[Instance]>> {
        self.shared.instances.subscribe()
    }

    /// The same, as it stands this moment: what runs and what was heard last included.
    pub fn snapshot(&self) -> Vec<Instance> {
        self.lock().state.instances()
    }

    /// Open plugin sockets, and those among them that have not registered.
    pub fn sockets(&self) -> (usize, usize) {
        self.lock().state.sockets()
    }

    /// Sends a command to the editor of a project, now or when it is back.
    ///
    /// `owner` is who may ask for a late result.
    ///
    /// # Errors
    /// [`Refused`] says why nothing was sent.
    pub fn submit(
        &self,
        hash: &str,
        request: Request,
        owner: Option<String>,
    ) -> Result<Call, Refused> {
        self.submit_as(operation_id(), hash, request, owner)
    }

    /// The same for an operation that has an id, which nobody may have guessed, and nothing under way.
    pub(crate) fn submit_as(
        &self,
        id: String,
        hash: &str,
        request: Request,
        owner: Option<String>,
    ) -> Result<Call, Refused> {
        let (events, receiver) = mpsc::channel(CALL_ROOM);
        let owned = Owned {
            id: id.clone(),
            owner,
        };
        let ticket = self.touch(|inner, now| {
            let ticket = inner.state.submit(now, hash, request)?;
            inner.calls.insert(ticket, Waiting { events, owned });
            Ok(ticket)
        })?;
        Ok(Call::new(self.clone(), ticket, id, receiver))
    }

    /// The late result of an operation, if it came, and if the one who asks is the one who called.
    pub fn late_result(&self, id: &str, owner: Option<&str>) -> Option<Value> {
        self.lock().late.get(now(), id, owner)
    }

    /// True while an operation has no end: the editor has it, or its client still waits.
    pub fn is_running(&self, id: &str, owner: Option<&str>) -> bool {
        let inner = self.lock();
        let mine = |owned: &Owned| owned.id == id && owned.owner.as_deref() == owner;
        let mut given_up = inner.given_up.iter();
        given_up.any(|(ticket, owned)| mine(owned) && inner.state.is_running(*ticket))
            || inner.calls.values().any(|waiting| mine(&waiting.owned))
    }

    /// An editor was asked what it offers, and said so: it offers that until it says something else.
    pub fn set_tools(&self, hash: &str, tools: Toolset) {
        self.touch(|inner, _| inner.state.set_tools(hash, Arc::new(tools)));
    }

    /// Keeps the result of an operation for whoever asks by its id, as it keeps results that come late.
    pub(crate) fn keep_result(&self, id: String, owner: Option<String>, envelope: Value) {
        self.lock().late.keep(now(), id, owner, envelope);
    }

    /// Closes every plugin's socket with 1012: the server will be back.
    pub fn shut_down(&self) {
        self.touch(|inner, now| inner.state.shut_down(now));
    }

    fn abandon(&self, ticket: Ticket) -> Abandoned {
        self.touch(|inner, now| {
            let abandoned = inner.state.abandon(now, ticket);
            if let (Some(waiting), Abandoned::Running(_)) = (inner.calls.remove(&ticket), abandoned)
            {
                inner.give_up(ticket, waiting.owned);
            }
            abandoned
        })
    }

    /// Gives up a call that no editor has; false if one has it, or it is over.
    fn withdraw(&self, ticket: Ticket) -> bool {
        self.touch(|inner, now| {
            let standing = inner.state.standing(ticket);
            let waits = matches!(standing, Some(Standing::Queued | Standing::Away));
            if waits {
                inner.state.abandon(now, ticket);
                inner.calls.remove(&ticket);
            }
            waits
        })
    }

    fn open(&self) -> Option<(SocketId, mpsc::Receiver<ToSocket>)> {
        let (sender, receiver) = mpsc::channel(SOCKET_ROOM);
        self.touch(|inner, now| {
            let socket = inner.state.open(now)?;
            let peer = Peer {
                orders: Some(sender),
                unwritten: Vec::new(),
            };
            inner.sockets.insert(socket, peer);
            Some((socket, receiver))
        })
    }

    fn receive(&self, socket: SocketId, message: &Message) {
        // Outside the lock: a large answer takes a while to read.
        let said = Said::read(message);
        self.touch(|inner, now| inner.state.receive(now, socket, said));
    }

    fn gone(&self, socket: SocketId, ending: ErrorKind, mut unsent: Vec<Op>) {
        self.touch(|inner, now| {
            if let Some(peer) = inner.sockets.remove(&socket) {
                unsent.extend(peer.unwritten);
            }
            inner.state.gone(now, socket, ending, &unsent);
        });
    }

    /// The one place that touches the state: lock, call, drain, re-arm.
    fn touch<R>(&self, change: impl FnOnce(&mut Inner, Instant) -> R) -> R {
        self.shared.touch(change)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.shared.lock()
    }
}

impl Shared {
    fn touch<R>(&self, change: impl FnOnce(&mut Inner, Instant) -> R) -> R {
        let mut inner = self.lock();
        let now = now();
        // Before anything else: what came over the night must not meet deadlines of the evening.
        inner.notice_sleep(now, (self.wall)());
        let result = change(&mut inner, now);
        let changed = inner.drain(now);
        let tick = now + TICK;
        let deadline = inner.state.poll_timeout();
        let deadline = deadline.map_or(tick, |deadline| deadline.min(tick));
        // A deadline that moved away needs no new timer: it fires, and finds nothing to do.
        if inner.due <= now || deadline < inner.due {
            inner.due = deadline;
            self.rearm.notify_one();
        }
        if changed {
            self.instances
                .send_replace(Arc::from(inner.state.instances()));
        }
        result
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // A panic while the lock was held is a defect, but no reason to take every editor down.
        self.inner
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Inner {
    fn notice_sleep(&mut self, now: Instant, wall: SystemTime) {
        if let Some(gap) = self.sleep.observe(now, wall, Some(self.due)) {
            tracing::info!(
                slept = ?gap.length,
                "the machine slept; every editor is asked whether it is there"
            );
            self.state.slept(now, gap.counted);
            // This timer's lateness is told.
            self.due = now;
        }
    }

    /// Acts on what the state wants. Nothing here waits.
    fn drain(&mut self, now: Instant) -> bool {
        let mut changed = false;
        while let Some(output) = self.state.poll_output() {
            match output {
                Output::Send {
                    socket,
                    message,
                    op,
                } => self.tell(socket, ToSocket::Send { message, op }),
                Output::Close {
                    socket,
                    code,
                    reason,
                } => {
                    self.tell(socket, ToSocket::Close { code, reason });
                    self.sockets.remove(&socket);
                }
                Output::Answered { ticket, envelope } => {
                    if let Some(waiting) = self.calls.remove(&ticket) {
                        let _ = waiting.events.try_send(Event::Answered(envelope));
                    }
                }
                Output::Lost { ticket, lost } => {
                    if let Some(waiting) = self.calls.remove(&ticket) {
                        let may_be_late = lost.outcome == Outcome::Unknown;
                        let _ = waiting.events.try_send(Event::Lost(lost));
                        if may_be_late {
                            self.give_up(ticket, waiting.owned);
                        }
                    }
                }
                Output::Stuck { ticket } => {
                    // The last place is for the end, which nobody may miss.
                    if let Some(waiting) = self.calls.get(&ticket)
                        && waiting.events.capacity() > 1
                    {
                        let _ = waiting.events.try_send(Event::Stuck);
                    }
                }
                Output::Late { ticket, envelope } => self.keep_late(now, ticket, envelope),
                Output::Changed => changed = true,
            }
        }
        changed
    }

    fn tell(&mut self, socket: SocketId, what: ToSocket) {
        let Some(peer) = self.sockets.get_mut(&socket) else {
            return;
        };
        let sent = match &peer.orders {
            Some(orders) => orders.try_send(what).map_err(TrySendError::into_inner),
            None => Err(what),
        };
        if let Err(what) = sent {
            // Its task sees the channel end, unless it ended itself, and reports the socket gone.
            peer.orders = None;
            if let ToSocket::Send { op, .. } = what {
                peer.unwritten.extend(op);
            }
        }
    }

    fn give_up(&mut self, ticket: Ticket, owned: Owned) {
        if self.given_up.len() == MAX_GIVEN_UP {
            // One that an editor works on will be answered. There are fewer of those than places: one for each project.
            let lost = |(ticket, _): &(Ticket, Owned)| !self.state.is_running(*ticket);
            let oldest = self.given_up.iter().position(lost).unwrap_or_default();
            self.given_up.remove(oldest);
        }
        self.given_up.push_back((ticket, owned));
    }

    fn keep_late(&mut self, now: Instant, ticket: Ticket, envelope: Value) {
        let Some(at) = self.given_up.iter().position(|(known, _)| *known == ticket) else {
            return;
        };
        if let Some((_, owned)) = self.given_up.remove(at) {
            self.late.keep(now, owned.id, owned.owner, envelope);
        }
    }
}

impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hub").finish_non_exhaustive()
    }
}

/// The one timer: what is due, and every tick a look at the clocks. It ends within a tick of the
/// last handle.
async fn keep_time(shared: Weak<Shared>) {
    while let Some(shared) = shared.upgrade() {
        let due = shared.lock().due;
        tokio::select! {
            () = tokio::time::sleep_until(due.into()) => {}
            () = shared.rearm.notified() => continue,
        }
        shared.touch(|inner, now| inner.state.handle_timeout(now));
    }
}

fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// 128 random bits: who knows it may ask.
pub(crate) fn operation_id() -> String {
    format!("{:016x}{:016x}", random(), random())
}

fn random() -> u64 {
    getrandom::u64().expect("the operating system has random numbers")
}
