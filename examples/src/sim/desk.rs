//! What both shells of the simulated editor share: the operator's orders, the reload timer, the
//! world's clock, and one command between its coming and its answer.

#![expect(
    clippy::disallowed_methods,
    reason = "a shell: it owns the clock, and it waits"
)]

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use serde_json::Value;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};
use tracing::{debug, info};

use super::editor::{Ending, Orders, State, lock};
use super::strike::Point;
use super::world::{Cause, Command, World};
use super::{Options, wire};

/// A timer that is always due would starve the socket.
const SOONEST_RELOAD: Duration = Duration::from_millis(1);

/// A wait for something that is not going to happen.
const NEVER: Duration = Duration::from_secs(365 * 24 * 3_600);

pub(super) struct Desk {
    pub(super) options: Options,
    pub(super) world: Arc<Mutex<World>>,
    pub(super) orders: watch::Receiver<Orders>,
    pub(super) state: watch::Sender<State>,
    /// How many of the operator's reloads are done.
    reloads: u64,
    reload_at: Instant,
    /// The strike that waits is the timer's, not the operator's.
    timer_armed: bool,
    started: (Instant, SystemTime),
}

/// Why a connection, or one life of the domain, is over.
pub(super) enum End {
    Lost(String),
    Reload { point: Option<Point>, cause: Cause },
    Ordered(Ending),
}

/// What came up beside the commands.
pub(super) enum Beside {
    /// What the shell itself has to do at regular intervals.
    Due,
    /// Something changed that the next look takes into account.
    Changed,
}

/// A command in hand.
pub(super) enum Held {
    /// It has taken its time, and the main loop runs.
    Go,
    /// As [`Beside::Due`]; the command is still held.
    Due,
}

impl Desk {
    pub(super) fn new(
        options: Options,
        world: Arc<Mutex<World>>,
        orders: watch::Receiver<Orders>,
        state: watch::Sender<State>,
    ) -> Self {
        let started = (Instant::now(), SystemTime::now());
        let desk = Self {
            reload_at: next_reload(&options),
            options,
            world,
            orders,
            state,
            reloads: 0,
            timer_armed: false,
            started,
        };
        // It was killed while its domain reloaded.
        if lock(&desk.world).is_reloading() {
            lock(&desk.world).end_reload(desk.unix_ms());
        }
        desk
    }

    /// A reload that was asked for while there was nothing to lose is done with that.
    pub(super) fn forget_reloads(&mut self) {
        self.reloads = self.orders.borrow().reloads;
    }

    /// What goes on beside the commands: the operator, the reload timer, what is due at `due`.
    ///
    /// Cancel safe: what it reports is due until it is done.
    pub(super) async fn beside(&mut self, due: Instant) -> Result<Beside, End> {
        let orders = *self.orders.borrow_and_update();
        if let Some(ending) = orders.end {
            return Err(End::Ordered(ending));
        }
        if orders.reloads > self.reloads {
            return Err(End::Reload {
                point: None,
                cause: Cause::Operator,
            });
        }
        tokio::select! {
            biased;
            changed = self.orders.changed() => match changed {
                Ok(()) => Ok(Beside::Changed),
                Err(_dropped) => Err(End::Ordered(Ending::Kill)),
            },
            () = sleep_until(self.reload_at) => {
                self.reload_at = next_reload(&self.options);
                let mut world = lock(&self.world);
                self.timer_armed |= world.strikes().armed().is_none();
                world.strikes_mut().arm_drawn();
                debug!(point = ?world.strikes().armed(), "a reload waits for a command");
                Ok(Beside::Changed)
            }
            () = sleep_until(due) => Ok(Beside::Due),
        }
    }

    /// When a command that came now has taken its time.
    pub(super) fn done_at(&self, command: Command<'_>) -> Instant {
        after(self.options.latency_of(command))
    }

    /// Holds a command in hand until `until`, and until the main loop runs.
    pub(super) async fn hold(
        &mut self,
        until: Instant,
        probe: bool,
        due: Instant,
    ) -> Result<Held, End> {
        loop {
            if !probe && self.armed() == Some(Point::BeforeEffect) {
                return Err(self.struck(Point::BeforeEffect));
            }
            let frozen = self.is_frozen();
            if !frozen && until <= Instant::now() {
                return Ok(Held::Go);
            }
            tokio::select! {
                biased;
                beside = self.beside(due) => match beside? {
                    Beside::Due => return Ok(Held::Due),
                    Beside::Changed => {}
                },
                () = sleep_until(until), if !frozen => {}
            }
        }
    }

    /// Executes a command: its answer, and the reload that it causes or that waited for it.
    pub(super) fn execute(&mut self, command: Command<'_>) -> (Value, Option<End>) {
        let probe = wire::is_probe(command.name);
        let armed = self.armed().filter(|point| !probe && point.took_effect());
        let now = self.unix_ms();
        let mut world = lock(&self.world);
        let outcome = world.execute(now, command);
        if !probe {
            world.strikes_mut().executed();
        }
        drop(world);
        // One reload serves both, the one that waited and the one that the command causes.
        let struck = armed.map(|point| self.struck(point)).or_else(|| {
            let cause = outcome.reload?;
            let point = Some(lock(&self.world).strikes_mut().draw_caused());
            Some(End::Reload { point, cause })
        });
        (outcome.answer, struck)
    }

    /// The domain goes.
    pub(super) fn begin_reload(&mut self, point: Option<Point>, cause: Cause) {
        let now = self.unix_ms();
        let mut world = lock(&self.world);
        world.begin_reload(now, cause);
        if let Some(point) = point {
            world.strikes_mut().struck(point);
            self.timer_armed = false;
        }
        drop(world);
        let struck = point.map(Point::name);
        info!(?cause, struck, away = ?self.options.away, "the domain reloads");
        self.state.send_replace(State::Away);
    }

    /// The domain is back after a while, with all that it knew.
    pub(super) async fn be_away(&mut self) -> Result<(), Ending> {
        self.wait(State::Away, self.options.away).await?;
        lock(&self.world).end_reload(self.unix_ms());
        Ok(())
    }

    /// Waits, unless the operator ends it.
    pub(super) async fn wait(&mut self, state: State, delay: Duration) -> Result<(), Ending> {
        self.state.send_replace(state);
        tokio::select! {
            biased;
            ending = ended(&mut self.orders) => Err(ending),
            () = sleep(delay) => Ok(()),
        }
    }

    pub(super) fn is_frozen(&self) -> bool {
        self.orders.borrow().frozen
    }

    pub(super) fn armed(&self) -> Option<Point> {
        lock(&self.world).strikes().armed()
    }

    /// The end that a strike makes, which waited for its command.
    pub(super) fn struck(&self, point: Point) -> End {
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

/// The operator's end; a handle that is gone is one.
pub(super) async fn ended(orders: &mut watch::Receiver<Orders>) -> Ending {
    match orders.wait_for(|orders| orders.end.is_some()).await {
        Ok(orders) => orders.end.unwrap_or(Ending::Kill),
        Err(_dropped) => Ending::Kill,
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
