//! One connection, from `register` to its end: one command at a time, in order.

#![expect(clippy::disallowed_methods, reason = "a shell: it owns the clock")]

use std::convert::Infallible;

use tokio::time::{Instant, sleep_until};
use tracing::{debug, info};

use super::beside::Beside;
use super::{End, Plugin, Session, after};
use crate::sim::State;
use crate::sim::editor::lock;
use crate::sim::socket::{Arrival, Socket};
use crate::sim::strike::Point;
use crate::sim::wire::{self, Execute, Incoming};
use crate::sim::world::Command;

impl Plugin {
    /// Serves one connection to its end.
    pub(super) async fn serve(&mut self, socket: &mut Socket, session: &mut Session) -> End {
        match self.converse(socket, session).await {
            Ok(never) => match never {},
            Err(end) => end,
        }
    }

    async fn converse(
        &mut self,
        socket: &mut Socket,
        session: &mut Session,
    ) -> Result<Infallible, End> {
        // A reload that was asked for while there was no connection has nothing to break.
        self.reloads = self.orders.borrow().reloads;
        let register = wire::register(lock(&self.world).project());
        self.send(socket, register).await?;
        loop {
            let stop_before_execute = self.armed() == Some(Point::BeforeRead);
            let arrival = tokio::select! {
                biased;
                beside = self.beside(session.pong_at) => match beside {
                    Beside::Pong => {
                        self.send(socket, session.pong()).await?;
                        continue;
                    }
                    Beside::Changed => continue,
                    Beside::Over(end) => return Err(end),
                },
                arrival = socket.next(stop_before_execute) => arrival,
            };
            let text = match arrival {
                Arrival::Text(text) => text,
                Arrival::Other => continue,
                Arrival::Unread => return Err(self.struck(Point::BeforeRead)),
                Arrival::Lost(why) => return Err(End::Lost(why)),
            };
            match Incoming::parse(&text) {
                Incoming::Welcome {
                    keep_alive_interval,
                } => {
                    if let Some(interval) = wire::keep_alive(keep_alive_interval) {
                        session.keep_alive = interval;
                        session.pong_at = Instant::now() + interval;
                    }
                }
                Incoming::Registered {
                    session_id: Some(id),
                } => {
                    info!(session = id, url = self.url, "registered");
                    session.id = Some(id);
                    let tools = wire::register_tools(&lock(&self.world).tools());
                    self.send(socket, tools).await?;
                    self.state.send_replace(State::Connected);
                }
                Incoming::Ping => self.send(socket, session.pong()).await?,
                Incoming::Execute(execute) => self.command(socket, session, execute).await?,
                Incoming::Registered { session_id: None } | Incoming::Unknown => {}
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
        let (answer, struck) = {
            let mut world = lock(&self.world);
            let command = Command::new(&name, &params).with_id(&id);
            let outcome = world.execute(self.unix_ms(), command);
            // One reload serves both, the one that waited and the one that the command causes.
            let struck = armed.map(|point| self.struck(point)).or_else(|| {
                let cause = outcome.reload?;
                Some(End::Reload {
                    point: Some(world.strikes_mut().draw_caused()),
                    cause,
                })
            });
            (outcome.answer, struck)
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
        let sent = self.send(socket, wire::command_result(&id, &answer)).await;
        match (struck, sent) {
            // What took effect reloads the domain, whether or not its answer got out.
            (Some(end), Ok(()) | Err(End::Lost(_))) => Err(end),
            (_, sent) => sent,
        }
    }

    /// Holds a command in hand until it has taken its time and the main loop runs.
    async fn hold(
        &mut self,
        socket: &mut Socket,
        session: &mut Session,
        probe: bool,
    ) -> Result<(), End> {
        let due = after(self.options.latency);
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
                beside = self.beside(session.pong_at) => match beside {
                    Beside::Pong => self.send(socket, session.pong()).await?,
                    Beside::Changed => {}
                    Beside::Over(end) => return Err(end),
                },
                () = sleep_until(due), if !frozen => {}
            }
        }
    }
}
