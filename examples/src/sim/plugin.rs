//! The plugin's shell: socket, clock, schedule. It shows the [`world`](super::world) to a hub.
//!
//! ```text
//!            ┌────────────── failed attempt, lost: schedule ──────────────┐
//!            ▼                                                            │
//!   wait ─▶ dial ─▶ register ─▶ registered ─▶ register_tools ─▶ serve ────┤
//!            ▲                                                    │ reload│
//!            └────────────────────── away ◀── abort, no goodbye ──┘       │
//!                                                  quit: close 1000, kill: abort
//! ```
//!
//! Like the plugin's receive loop, [`serve`](Plugin::serve) takes one command at a time: while one
//! is in hand nothing else is read, and only the unsolicited pongs go on.

#![expect(clippy::disallowed_methods, reason = "a shell: it owns the clock")]

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};
use tracing::{debug, info, warn};

use super::editor::{Ending, Orders, State, lock};
use super::socket::{Arrival, Socket};
use super::strike::Point;
use super::wire::{self, Execute, Incoming};
use super::world::{Cause, Command, World};
use super::{Options, schedule};

/// How often the plugin is heard if the welcome does not say.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// A wait for something that is not going to happen.
const NEVER: Duration = Duration::from_secs(365 * 24 * 3_600);

pub(super) struct Plugin {
    url: String,
    options: Options,
    world: Arc<Mutex<World>>,
    orders: watch::Receiver<Orders>,
    state: watch::Sender<State>,
    /// How many of the operator's reloads are done.
    reloads: u64,
    reload_at: Instant,
    /// The strike that waits is the timer's, not the operator's.
    timer_armed: bool,
    started: (Instant, SystemTime),
}

/// One connection to the hub.
struct Session {
    id: Option<String>,
    keep_alive: Duration,
    pong_at: Instant,
}

/// Why a connection is over.
enum End {
    Lost(String),
    Reload { point: Option<Point>, cause: Cause },
    Ordered(Ending),
}

impl Plugin {
    pub(super) fn new(
        url: &str,
        options: Options,
        world: Arc<Mutex<World>>,
        orders: watch::Receiver<Orders>,
        state: watch::Sender<State>,
    ) -> Self {
        let now = Instant::now();
        Self {
            url: url.to_owned(),
            reload_at: now + options.reload_every.unwrap_or(NEVER),
            options,
            world,
            orders,
            state,
            reloads: 0,
            timer_armed: false,
            started: (now, SystemTime::now()),
        }
    }

    pub(super) async fn run(mut self) {
        // It was killed while its domain reloaded.
        if lock(&self.world).is_reloading() {
            lock(&self.world).end_reload(self.unix_ms());
        }
        let ending = self.live().await;
        info!(?ending, "the editor has ended");
        self.state.send_replace(State::Ended);
    }

    /// One connection after the other, until the operator ends it.
    async fn live(&mut self) -> Ending {
        let mut failures = 0;
        loop {
            self.state.send_replace(State::Connecting);
            let dialled = tokio::select! {
                biased;
                ending = ended(&mut self.orders) => return ending,
                dialled = Socket::dial(&self.url) => dialled,
            };
            let lost = match dialled {
                Err(why) => why,
                Ok(mut socket) => {
                    let mut session = Session {
                        id: None,
                        keep_alive: KEEP_ALIVE,
                        pong_at: Instant::now() + KEEP_ALIVE,
                    };
                    let end = self.serve(&mut socket, &mut session).await;
                    if session.id.is_some() {
                        failures = 0;
                    }
                    match end {
                        End::Lost(why) => why,
                        End::Ordered(Ending::Quit) => {
                            socket.close().await;
                            return Ending::Quit;
                        }
                        End::Ordered(Ending::Kill) => {
                            socket.abort();
                            return Ending::Kill;
                        }
                        End::Reload { point, cause } => {
                            if let Err(ending) = self.reload(socket, point, cause).await {
                                return ending;
                            }
                            continue;
                        }
                    }
                }
            };
            let delay = schedule::wait(failures);
            failures += 1;
            warn!(url = self.url, ?delay, "not connected: {lost}");
            if let Err(ending) = self.wait(State::Waiting(delay), delay).await {
                return ending;
            }
        }
    }

    /// The domain goes, with the socket; it is back after a while, with all that it knew.
    async fn reload(
        &mut self,
        socket: Socket,
        point: Option<Point>,
        cause: Cause,
    ) -> Result<(), Ending> {
        {
            let mut world = lock(&self.world);
            world.begin_reload(self.unix_ms(), cause);
            if let Some(point) = point {
                world.strikes_mut().struck(point);
            }
        }
        self.timer_armed = false;
        self.state.send_replace(State::Away);
        match point {
            Some(Point::AfterAnswer) => socket.cut().await,
            _ => socket.abort(),
        }
        let struck = point.map(Point::name);
        info!(?cause, struck, away = ?self.options.away, "the domain reloads");
        self.wait(State::Away, self.options.away).await?;
        lock(&self.world).end_reload(self.unix_ms());
        // What the operator asked for in the meantime has just happened.
        self.reloads = self.orders.borrow().reloads;
        Ok(())
    }

    async fn serve(&mut self, socket: &mut Socket, session: &mut Session) -> End {
        self.reloads = self.orders.borrow().reloads;
        let register = wire::register(lock(&self.world).project());
        if let Err(why) = socket.send(register).await {
            return End::Lost(why);
        }
        loop {
            let stop_before_execute = self.armed() == Some(Point::BeforeRead);
            let arrival = tokio::select! {
                biased;
                end = self.other_than_reading(session.pong_at) => match end {
                    Busy::Pong => {
                        if let Err(why) = socket.send(session.pong()).await {
                            return End::Lost(why);
                        }
                        continue;
                    }
                    Busy::Armed => continue,
                    Busy::Over(end) => return end,
                },
                arrival = socket.next(stop_before_execute) => arrival,
            };
            let text = match arrival {
                Arrival::Text(text) => text,
                Arrival::Other => continue,
                Arrival::Unread => return self.struck(Point::BeforeRead),
                Arrival::Lost(why) => return End::Lost(why),
            };
            let sent = match Incoming::parse(&text) {
                Incoming::Welcome {
                    keep_alive_interval,
                } => {
                    if let Some(interval) = wire::keep_alive(keep_alive_interval) {
                        session.keep_alive = interval;
                        session.pong_at = Instant::now() + interval;
                    }
                    Ok(())
                }
                Incoming::Registered {
                    session_id: Some(id),
                } => {
                    info!(session = id, url = self.url, "registered");
                    session.id = Some(id);
                    let tools = wire::register_tools(&lock(&self.world).tools());
                    let sent = socket.send(tools).await;
                    self.state.send_replace(State::Connected);
                    sent
                }
                Incoming::Ping => socket.send(session.pong()).await,
                Incoming::Execute(execute) => match self.command(socket, session, execute).await {
                    Ok(()) => Ok(()),
                    Err(end) => return end,
                },
                Incoming::Registered { session_id: None } | Incoming::Unknown => Ok(()),
            };
            if let Err(why) = sent {
                return End::Lost(why);
            }
        }
    }

    /// One command, from the moment that it was read to its answer.
    async fn command(
        &mut self,
        socket: &mut Socket,
        session: &mut Session,
        execute: Execute,
    ) -> Result<(), End> {
        let Execute { id, name, params } = execute;
        debug!(id, name, "command");
        // A probe asks whether we are here, and so it is never the command that is struck.
        let probe = name == "ping";
        if !probe && self.armed() == Some(Point::BeforeRead) {
            // It came in one gulp with the frame before it: read, but not by the plugin.
            return Err(self.struck(Point::BeforeRead));
        }
        self.hold(socket, session, probe).await?;

        let armed = self.armed().filter(|point| !probe && point.took_effect());
        let (outcome, caused) = {
            let mut world = lock(&self.world);
            let command = Command::new(&name, &params).with_id(&id);
            let outcome = world.execute(self.unix_ms(), command);
            let caused = outcome
                .reload
                .map(|cause| (world.strikes_mut().draw_caused(), cause));
            (outcome, caused)
        };
        let struck = match (armed, caused) {
            (Some(point), _) => Some(self.struck(point)),
            (None, Some((point, cause))) => Some(End::Reload {
                point: Some(point),
                cause,
            }),
            (None, None) => None,
        };
        if let Some(
            end @ End::Reload {
                point: Some(Point::AfterEffect),
                ..
            },
        ) = struck
        {
            return Err(end);
        }
        let sent = socket
            .send(wire::command_result(&id, &outcome.answer))
            .await;
        match (struck, sent) {
            (Some(end), _) => Err(end),
            (None, Err(why)) => Err(End::Lost(why)),
            (None, Ok(())) => Ok(()),
        }
    }

    /// Holds a command in hand until it has taken its time and the main loop runs.
    async fn hold(
        &mut self,
        socket: &mut Socket,
        session: &mut Session,
        probe: bool,
    ) -> Result<(), End> {
        let due = Instant::now() + self.options.latency;
        loop {
            if !probe && self.armed() == Some(Point::BeforeEffect) {
                return Err(self.struck(Point::BeforeEffect));
            }
            let frozen = self.orders.borrow().frozen;
            if !frozen && due <= Instant::now() {
                return Ok(());
            }
            tokio::select! {
                biased;
                busy = self.other_than_reading(session.pong_at) => match busy {
                    Busy::Pong => socket.send(session.pong()).await.map_err(End::Lost)?,
                    Busy::Armed => {}
                    Busy::Over(end) => return Err(end),
                },
                () = sleep_until(due), if !frozen => {}
            }
        }
    }

    /// What goes on beside the socket: the operator, the reload timer, the keep-alive.
    ///
    /// Cancel safe: what it reports is due until it is done.
    async fn other_than_reading(&mut self, pong_at: Instant) -> Busy {
        tokio::select! {
            biased;
            changed = self.orders.changed() => {
                let orders = *self.orders.borrow_and_update();
                match (changed, orders.end) {
                    (Err(_dropped), _) => Busy::Over(End::Ordered(Ending::Kill)),
                    (Ok(()), Some(ending)) => Busy::Over(End::Ordered(ending)),
                    (Ok(()), None) if orders.reloads > self.reloads => {
                        self.reloads = orders.reloads;
                        Busy::Over(End::Reload { point: None, cause: Cause::Operator })
                    }
                    (Ok(()), None) => Busy::Armed,
                }
            }
            () = sleep_until(self.reload_at) => {
                self.reload_at = Instant::now() + self.options.reload_every.unwrap_or(NEVER);
                let mut world = lock(&self.world);
                self.timer_armed |= world.strikes().armed().is_none();
                world.strikes_mut().arm_drawn();
                debug!(point = ?world.strikes().armed(), "a reload waits for a command");
                Busy::Armed
            }
            () = sleep_until(pong_at) => Busy::Pong,
        }
    }

    /// Waits, unless the operator ends it.
    async fn wait(&mut self, state: State, delay: Duration) -> Result<(), Ending> {
        self.state.send_replace(state);
        tokio::select! {
            biased;
            ending = ended(&mut self.orders) => Err(ending),
            () = sleep(delay) => Ok(()),
        }
    }

    fn armed(&self) -> Option<Point> {
        lock(&self.world).strikes().armed()
    }

    /// The end that a strike makes, which waited for its command.
    fn struck(&self, point: Point) -> End {
        let cause = if self.timer_armed {
            Cause::Timer
        } else {
            Cause::Operator
        };
        End::Reload {
            point: Some(point),
            cause,
        }
    }

    /// The time, as far as the runtime's clock has come since the start.
    fn unix_ms(&self) -> u64 {
        let (started, wall) = self.started;
        let since_epoch = wall
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        u64::try_from((since_epoch + started.elapsed()).as_millis()).unwrap_or(u64::MAX)
    }
}

/// What came up beside the socket.
enum Busy {
    Pong,
    /// Something changed that the next look takes into account.
    Armed,
    Over(End),
}

impl Session {
    /// A pong, asked for or not; the next one is due an interval later.
    fn pong(&mut self) -> String {
        self.pong_at = Instant::now() + self.keep_alive;
        wire::pong(self.id.as_deref())
    }
}

/// The operator's end; a handle that is gone is one.
async fn ended(orders: &mut watch::Receiver<Orders>) -> Ending {
    match orders.wait_for(|orders| orders.end.is_some()).await {
        Ok(orders) => orders.end.unwrap_or(Ending::Kill),
        Err(_dropped) => Ending::Kill,
    }
}
