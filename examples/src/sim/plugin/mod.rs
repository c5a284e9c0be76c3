//! The plugin's shell: socket, clock, schedule. It shows the [`world`](super::world) to a hub.
//!
//! ```text
//!            ┌────────────── failed attempt, lost: policy ────────────────┐
//!            ▼                                                            │
//!   wait ─▶ dial ─▶ register ─▶ registered ─▶ register_tools ─▶ serve ────┤
//!            ▲                                                    │ reload│
//!            └────────────────────── away ◀── abort, no goodbye ──┘       │
//!                                                  quit: close 1000, kill: abort
//! ```
//!
//! Like the plugin's receive loop, it takes one command at a time: while one
//! is in hand nothing else is read, and only the unsolicited pongs go on.

#![expect(clippy::disallowed_methods, reason = "a shell: it owns the clock")]

mod beside;
mod serve;

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use tokio::sync::watch;
use tokio::time::Instant;
use tracing::{info, warn};

use self::beside::ended;
use super::Options;
use super::editor::{Ending, Orders, State, lock};
use super::socket::Socket;
use super::strike::Point;
use super::wire;
use super::world::{Cause, World};

/// How often the plugin is heard if the welcome does not say.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// A timer that is always due would starve the socket.
const SOONEST_RELOAD: Duration = Duration::from_millis(1);

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
            reload_at: next_reload(&options),
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
        let mut failures: u32 = 0;
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
                        End::Ordered(ending) => {
                            socket.abort();
                            return ending;
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
            let Some(delay) = self.options.retry.delay(failures) else {
                warn!(url = self.url, "not connected, and giving up: {lost}");
                return Ending::GaveUp;
            };
            warn!(url = self.url, ?delay, "not connected: {lost}");
            let waiting = State::Waiting {
                attempt: failures,
                delay,
            };
            failures = failures.saturating_add(1);
            if let Err(ending) = self.wait(waiting, delay).await {
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
                self.timer_armed = false;
            }
        }
        self.state.send_replace(State::Away);
        match point {
            Some(Point::AfterAnswer) => socket.cut().await,
            _ => socket.abort(),
        }
        let struck = point.map(Point::name);
        info!(?cause, struck, away = ?self.options.away, "the domain reloads");
        self.wait(State::Away, self.options.away).await?;
        lock(&self.world).end_reload(self.unix_ms());
        Ok(())
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

/// When the timer arms a reload next.
fn next_reload(options: &Options) -> Instant {
    let period = options.reload_every;
    after(period.map_or(NEVER, |period| period.max(SOONEST_RELOAD)))
}

/// The moment that is this long from now, or never.
fn after(delay: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(delay).unwrap_or_else(|| now + NEVER)
}

impl Session {
    /// A pong, asked for or not; the next one is due an interval later.
    fn pong(&mut self) -> String {
        self.pong_at = Instant::now() + self.keep_alive;
        wire::pong(self.id.as_deref())
    }
}
