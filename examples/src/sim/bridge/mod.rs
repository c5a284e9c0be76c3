//! The shell of a plugin that is set to stdio: it listens, and servers dial.
//!
//! ```text
//!            ┌── busy for 3 s: another port ──┐
//!            ▼                                │
//!   starting ─▶ bind ─▶ ready ─▶ serve ─▶ reload: all closed, file away ─▶ reloading ─▶ away ─┐
//!      ▲                           │                                                          │
//!      │                           └─▶ quit: file away      kill: file stays                  │
//!      └──────────────────────────────────────────────────────────────────────────────────────┘
//! ```
//!
//! Connections, welcomes, pings and evictions are the listener's, and go on in its tasks whatever the
//! main loop does; what the listener remembers of commands that may be sent again survives a reload.
//! Here is the main loop: it takes one command at a time, from whichever connection, and writes the
//! heartbeat, which therefore stops while the editor is frozen. The port file is not written, since no
//! reader needs it beside the status file.

#![expect(clippy::disallowed_methods, reason = "a shell: it owns the clock")]

mod door;
mod installed;
mod status;

use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::stream::FuturesUnordered;
use futures::{SinkExt, StreamExt};
use mcp_transport_core::{Listener, Message};
use mcp_transport_stdio::bridge::Memory;
use serde_json::Value;
use tokio::sync::watch;
use tokio::time::Instant;
use tracing::{debug, info, warn};

use self::door::{Bound, Client, Door, Next, next_command};
use self::status::{HEARTBEAT, StatusWriter, Word};
use super::desk::{Beside, Desk, End, Held, ended};
use super::editor::{Ending, Orders, Shown, State};
use super::strike::Point;
use super::world::{Command, World};
use super::{Options, wire};

/// How long a busy port is tried before another one is taken, as by the plugin (10.1).
const BUSY: Duration = Duration::from_secs(3);

/// How long to wait between two tries.
const BUSY_RETRY: Duration = Duration::from_millis(300);

pub(super) struct Bridge {
    desk: Desk,
    status: StatusWriter,
    /// Its port is what was asked for or found; 0 before the first start if any will do.
    shown: Arc<Shown>,
    beat_at: Instant,
    /// What the listener knew that closed for the reload.
    memory: Memory,
}

impl Bridge {
    pub(super) fn new(
        directory: &Path,
        shown: Arc<Shown>,
        options: Options,
        world: Arc<Mutex<World>>,
        orders: watch::Receiver<Orders>,
        state: watch::Sender<State>,
    ) -> Self {
        let project = super::editor::lock(&world).project().clone();
        let status = StatusWriter::new(directory, &project, !options.installed_rule);
        Self {
            desk: Desk::new(options, world, orders, state),
            status,
            shown,
            beat_at: Instant::now(),
            memory: Memory::default(),
        }
    }

    pub(super) async fn run(mut self) {
        let ending = self.live().await;
        if ending == Ending::Kill {
            self.status.leave();
        } else {
            self.status.remove().await;
        }
        info!(?ending, "the editor has ended");
        self.desk.state.send_replace(State::Ended);
    }

    /// One life of the domain after the other, until the operator ends it.
    async fn live(&mut self) -> Ending {
        loop {
            self.desk.state.send_replace(State::Connecting);
            let mut door = match self.open().await {
                Ok(door) => door,
                Err(ending) => return ending,
            };
            let port = self.shown.port.load(Ordering::Relaxed);
            self.status.started();
            // Before anybody can know that it listens: what is asked for from then on is done.
            self.desk.forget_reloads();
            self.beat(Word::Ready).await;
            info!(port, file = ?self.status.path(), "listening");
            self.desk.state.send_replace(State::Connected);
            match self.serve(&mut door).await {
                End::Lost(why) => {
                    warn!(port, "the listener ended: {why}");
                    return Ending::GaveUp;
                }
                End::Ordered(ending) => return ending,
                End::Reload { point, cause } => {
                    self.desk.begin_reload(point, cause);
                    // With all its connections: a domain that goes says no goodbye.
                    self.memory = door.close().await;
                    self.memory.retain_unknown(|frame| !wire::is_read(frame));
                    self.status.remove().await;
                    self.status.forget_starts();
                    self.beat(Word::Reloading).await;
                    if let Err(ending) = self.desk.be_away().await {
                        return ending;
                    }
                }
            }
        }
    }

    /// Listens on the port that it had, or on another one if somebody keeps that.
    async fn open(&mut self) -> Result<Door, Ending> {
        let mut busy_until = None;
        loop {
            let port = self.shown.port.load(Ordering::Relaxed);
            self.beat(Word::Starting).await;
            match Door::open(port, &self.desk.options, &self.memory) {
                Bound::Listens(door) => {
                    self.memory = Memory::default();
                    self.shown.port.store(door.port(), Ordering::Relaxed);
                    return Ok(door);
                }
                Bound::Busy => {
                    let until = *busy_until.get_or_insert_with(|| Instant::now() + BUSY);
                    if until <= Instant::now() {
                        warn!(port, "somebody keeps the port; another one is taken");
                        self.shown.port.store(0, Ordering::Relaxed);
                        busy_until = None;
                        continue;
                    }
                    self.beat(Word::PortBusy).await;
                    self.desk.wait(State::Connecting, BUSY_RETRY).await?;
                }
                Bound::Failed(error) => {
                    warn!(port, %error, "it cannot listen, and gives up");
                    self.beat(Word::StartFailed).await;
                    return Err(ended(&mut self.desk.orders).await);
                }
            }
        }
    }

    async fn beat(&mut self, word: Word) {
        self.beat_at = Instant::now() + HEARTBEAT;
        let port = self.shown.port.load(Ordering::Relaxed);
        self.status.write(port, word).await;
    }

    /// The heartbeat comes from the main loop.
    async fn beat_if_alive(&mut self) {
        if self.desk.is_frozen() {
            self.beat_at = Instant::now() + HEARTBEAT;
        } else {
            self.beat(Word::Ready).await;
        }
    }

    /// Serves all connections to the end of this life.
    async fn serve(&mut self, door: &mut Door) -> End {
        let mut readers = FuturesUnordered::new();
        loop {
            tokio::select! {
                biased;
                beside = self.desk.beside(self.beat_at) => match beside {
                    Ok(Beside::Due) => self.beat_if_alive().await,
                    Ok(Beside::Changed) => {}
                    Err(end) => return end,
                },
                accepted = door.accept() => match accepted {
                    Ok(client) => {
                        self.shown.clients.fetch_add(1, Ordering::Relaxed);
                        readers.push(next_command(client));
                    }
                    Err(error) => return End::Lost(error.to_string()),
                },
                Some(next) = readers.next(), if !readers.is_empty() => match next {
                    Next::Command(mut client, command) => {
                        if let Err(end) = self.command(&mut client, &command).await {
                            return end;
                        }
                        readers.push(next_command(client));
                    }
                    Next::Gone(why) => debug!("a client is gone: {why}"),
                },
            }
        }
    }

    /// One command, from the moment that it was read to its answer.
    async fn command(&mut self, client: &mut Client, frame: &Message) -> Result<(), End> {
        let Some((name, params)) = wire::bridge_command(frame.as_bytes()) else {
            answer(client, &wire::not_json(frame.as_bytes())).await;
            return Ok(());
        };
        debug!(name, "command");
        let probe = wire::is_probe(&name);
        if !probe && self.desk.armed() == Some(Point::BeforeRead) {
            // The listener has read it, the editor has not.
            return Err(self.desk.struck(Point::BeforeRead));
        }
        let command = Command::new(&name, &params);
        let until = self.desk.done_at(command);
        while let Held::Due = self.desk.hold(until, probe, self.beat_at).await? {
            self.beat_if_alive().await;
        }
        let (envelope, struck) = self.desk.execute(command);
        if let Some(
            end @ End::Reload {
                point: Some(Point::AfterEffect),
                ..
            },
        ) = struck
        {
            return Err(end);
        }
        answer(client, &envelope).await;
        struck.map_or(Ok(()), Err)
    }
}

/// Who is gone meanwhile hears nothing; the next look at its stream says so.
async fn answer(client: &mut Client, envelope: &Value) {
    if let Err(error) = client.send(Message::from(envelope.to_string())).await {
        debug!(%error, "an answer was not taken");
    }
}
