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

mod serve;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;
use tracing::{info, warn};

use super::Options;
use super::desk::{Desk, End, ended};
use super::editor::{Ending, Orders, State};
use super::socket::Socket;
use super::strike::Point;
use super::wire;
use super::world::{Cause, World};

/// How often the plugin is heard if the welcome does not say.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

pub(super) struct Plugin {
    url: String,
    desk: Desk,
}

/// One connection to the hub.
struct Session {
    id: Option<String>,
    keep_alive: Duration,
    pong_at: Instant,
}

impl Plugin {
    pub(super) fn new(
        url: &str,
        options: Options,
        world: Arc<Mutex<World>>,
        orders: watch::Receiver<Orders>,
        state: watch::Sender<State>,
    ) -> Self {
        Self {
            url: url.to_owned(),
            desk: Desk::new(options, world, orders, state),
        }
    }

    pub(super) async fn run(mut self) {
        let ending = self.live().await;
        info!(?ending, "the editor has ended");
        self.desk.state.send_replace(State::Ended);
    }

    /// One connection after the other, until the operator ends it.
    async fn live(&mut self) -> Ending {
        let mut failures: u32 = 0;
        loop {
            self.desk.state.send_replace(State::Connecting);
            let dialled = tokio::select! {
                biased;
                ending = ended(&mut self.desk.orders) => return ending,
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
            let Some(delay) = self.desk.options.retry.delay(failures) else {
                warn!(url = self.url, "not connected, and giving up: {lost}");
                return Ending::GaveUp;
            };
            warn!(url = self.url, ?delay, "not connected: {lost}");
            let waiting = State::Waiting {
                attempt: failures,
                delay,
            };
            failures = failures.saturating_add(1);
            if let Err(ending) = self.desk.wait(waiting, delay).await {
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
        self.desk.begin_reload(point, cause);
        match point {
            Some(Point::AfterAnswer) => socket.cut().await,
            _ => socket.abort(),
        }
        self.desk.be_away().await
    }

    /// Sends, unless the operator ends it: a hub that does not read must not hold up a quit.
    async fn send(&mut self, socket: &mut Socket, text: String) -> Result<(), End> {
        tokio::select! {
            biased;
            ending = ended(&mut self.desk.orders) => Err(End::Ordered(ending)),
            sent = socket.send(text) => sent.map_err(End::Lost),
        }
    }
}

impl Session {
    /// A pong, asked for or not; the next one is due an interval later.
    fn pong(&mut self) -> String {
        self.pong_at = Instant::now() + self.keep_alive;
        wire::pong(self.id.as_deref())
    }
}
