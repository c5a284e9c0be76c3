//! The handle on a simulated editor.

#![expect(
    clippy::disallowed_methods,
    reason = "a shell: it owns the plugin's task"
)]

use std::path::Path;
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::Options;
use super::bridge::Bridge;
use super::plugin::Plugin;
use super::strike::Point;
use super::world::{Report, World};

/// A simulated editor and what its operator can do to it. Its plugin connects to a hub
/// ([`spawn`](Self::spawn)), or listens for servers ([`listen`](Self::listen)).
///
/// Dropping the handle kills the editor.
///
/// ```no_run
/// # async fn example() {
/// use examples::sim::{Editor, Options};
///
/// let editor = Editor::spawn("ws://127.0.0.1:8080/hub/plugin", Options::default());
/// editor.connected().await;
/// editor.reload();
/// editor.quit().await;
/// # }
/// ```
#[derive(Debug)]
pub struct Editor {
    world: Arc<Mutex<World>>,
    orders: watch::Sender<Orders>,
    state: watch::Receiver<State>,
    door: Arc<Shown>,
    task: JoinHandle<()>,
}

/// What a bridge shows of itself.
#[derive(Debug, Default)]
pub(super) struct Shown {
    /// On which it listens; 0 where it does not.
    pub(super) port: AtomicU16,
    pub(super) clients: AtomicU64,
}

/// Where the plugin is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum State {
    /// It dials, or waits for the hub's `registered`; or it is about to listen.
    Connecting,
    /// It is registered; or it listens, and its status file says so.
    Connected,
    /// It lost the connection or could not get one, and dials again.
    Waiting {
        /// The loss or failed attempt counts since the last session, from 0.
        attempt: u32,
        /// How long it waits.
        delay: Duration,
    },
    /// The domain reloads.
    Away,
    /// It quit, was killed, or gave up.
    Ended,
}

/// What the operator wants, as it stands; whoever looks late sees the sum.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Orders {
    pub(super) reloads: u64,
    pub(super) strikes: u64,
    pub(super) frozen: bool,
    pub(super) end: Option<Ending>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    Quit,
    Kill,
    /// The retry policy's, not the operator's.
    GaveUp,
}

impl Editor {
    /// Starts an editor with a fresh world, whose plugin connects to the hub at `url`
    /// (`ws://host:port/hub/plugin`).
    ///
    /// An address that is none, or where nobody listens, is a failed attempt like any other: it is
    /// logged and tried again.
    #[must_use = "dropping the handle kills the editor"]
    pub fn spawn(url: &str, options: Options) -> Self {
        let world = Arc::new(Mutex::new(options.world()));
        Self::resume(url, options, world)
    }

    /// Starts an editor that goes on with `world`, as Unity does when it is started again.
    /// The project and the seed are the world's, whatever the options say.
    #[must_use = "dropping the handle kills the editor"]
    pub fn resume(url: &str, options: Options, world: Arc<Mutex<World>>) -> Self {
        Self::start(world, |world, orders, state, _| {
            Plugin::new(url, options, world, orders, state).run()
        })
    }

    /// Starts an editor with a fresh world, whose plugin listens on `port` (0 for any) of the
    /// loopback addresses, and says so in the status file of its project in `directory`.
    ///
    /// A port that somebody keeps for 3 s is replaced by another one, as by the installed plugin.
    ///
    /// ```no_run
    /// # async fn example() {
    /// use examples::sim::{Editor, Options};
    ///
    /// let editor = Editor::listen("/tmp/editors".as_ref(), 0, Options::default());
    /// editor.connected().await;
    /// println!("{:?}", editor.port());
    /// # }
    /// ```
    #[must_use = "dropping the handle kills the editor"]
    pub fn listen(directory: &Path, port: u16, options: Options) -> Self {
        let world = Arc::new(Mutex::new(options.world()));
        Self::listen_again(directory, port, options, world)
    }

    /// Starts an editor that listens and goes on with `world`; see [`resume`](Self::resume).
    #[must_use = "dropping the handle kills the editor"]
    pub fn listen_again(
        directory: &Path,
        port: u16,
        options: Options,
        world: Arc<Mutex<World>>,
    ) -> Self {
        Self::start(world, |world, orders, state, shown| {
            shown.port.store(port, Ordering::Relaxed);
            Bridge::new(directory, shown, options, world, orders, state).run()
        })
    }

    fn start<F: Future<Output = ()> + Send + 'static>(
        world: Arc<Mutex<World>>,
        shell: impl FnOnce(
            Arc<Mutex<World>>,
            watch::Receiver<Orders>,
            watch::Sender<State>,
            Arc<Shown>,
        ) -> F,
    ) -> Self {
        let (orders, orders_seen) = watch::channel(Orders::default());
        let (state_seen, state) = watch::channel(State::Connecting);
        let door = Arc::new(Shown::default());
        let plugin = shell(
            Arc::clone(&world),
            orders_seen,
            state_seen,
            Arc::clone(&door),
        );
        Self {
            world,
            orders,
            state,
            door,
            task: tokio::spawn(plugin),
        }
    }

    /// Reloads the domain now. A command in hand is lost, unexecuted.
    ///
    /// Without a connection to a hub, or before it listens, there is nothing to lose, and nothing
    /// happens.
    pub fn reload(&self) {
        self.orders.send_modify(|orders| orders.reloads += 1);
    }

    /// Lets a reload strike the next command (any but `ping`) at this point. A strike that already
    /// waits for a command stays.
    pub fn strike(&self, point: Point) {
        lock(&self.world).strikes_mut().arm(point);
        self.orders.send_modify(|orders| orders.strikes += 1);
    }

    /// The same, after this many commands: one of several that a call needs.
    pub fn strike_after(&self, commands: u32, point: Point) {
        lock(&self.world).strikes_mut().spare(commands);
        self.strike(point);
    }

    /// Stalls the main loop, or lets it go on: the socket lives and unsolicited pongs go out, on the
    /// bridge pings are answered, but the next command is not executed, and nothing behind it is
    /// read. No heartbeat is written meanwhile.
    pub fn freeze(&self, frozen: bool) {
        self.orders.send_modify(|orders| orders.frozen = frozen);
    }

    /// Quits: the connection is closed with 1000, or the bridge with the end of its streams and its
    /// status file; the plugin ends.
    ///
    /// # Cancel safety
    ///
    /// This method is not cancel safe: dropping the future kills the editor before it said goodbye.
    pub async fn quit(self) {
        self.end(Ending::Quit).await;
    }

    /// Kills the editor: the connection to a hub breaks with a reset; a bridge's connections end, and
    /// its status file stays behind. [`resume`](Self::resume) or
    /// [`listen_again`](Self::listen_again) with the same [`world`](Self::world) starts it again.
    ///
    /// # Cancel safety
    ///
    /// This method is cancel safe: dropping the future kills the editor as well.
    pub async fn kill(self) {
        self.end(Ending::Kill).await;
    }

    /// Waits until the plugin is registered or listens, or has ended.
    ///
    /// # Cancel safety
    ///
    /// This method is cancel safe.
    pub async fn connected(&self) {
        let mut state = self.state.clone();
        // An error means that the plugin has ended.
        let _ = state
            .wait_for(|state| matches!(state, State::Connected | State::Ended))
            .await;
    }

    /// The port on which it listens, or listened last; `None` for one that dials.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        match self.door.port.load(Ordering::Relaxed) {
            0 => None,
            port => Some(port),
        }
    }

    /// How many clients its bridge has served: by the installed rule each that connected, by ours each
    /// that had the seat.
    #[must_use]
    pub fn clients(&self) -> u64 {
        self.door.clients.load(Ordering::Relaxed)
    }

    /// Whether the plugin is registered or listens.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        *self.state.borrow() == State::Connected
    }

    /// Where the plugin is, and where it goes.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<State> {
        self.state.clone()
    }

    /// The editor's memory. It outlives the editor; hold the lock briefly.
    #[must_use]
    pub fn world(&self) -> Arc<Mutex<World>> {
        Arc::clone(&self.world)
    }

    /// What ran, what took effect, and where reloads struck.
    #[must_use]
    pub fn report(&self) -> Report {
        lock(&self.world).report()
    }

    async fn end(mut self, ending: Ending) {
        self.orders.send_modify(|orders| orders.end = Some(ending));
        // A plugin that panicked has ended, too.
        let _ = (&mut self.task).await;
    }
}

/// A world that somebody panicked over is still the world.
pub(super) fn lock(world: &Mutex<World>) -> MutexGuard<'_, World> {
    world.lock().unwrap_or_else(PoisonError::into_inner)
}
