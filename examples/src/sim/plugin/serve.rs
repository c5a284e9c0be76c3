//! One connection, from `register` to its end: one command at a time, in order.

#![expect(clippy::disallowed_methods, reason = "a shell: it owns the clock")]

use std::convert::Infallible;

use tokio::time::Instant;
use tracing::{debug, info};

use super::{Plugin, Session};
use crate::sim::State;
use crate::sim::desk::{Beside, End, Held};
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
        // Without a connection there was nothing to break.
        self.desk.forget_reloads();
        let register = wire::register(lock(&self.desk.world).project());
        self.send(socket, register).await?;
        loop {
            let stop_before_execute = self.desk.armed() == Some(Point::BeforeRead);
            let arrival = tokio::select! {
                biased;
                beside = self.desk.beside(session.pong_at) => match beside? {
                    Beside::Due => {
                        self.send(socket, session.pong()).await?;
                        continue;
                    }
                    Beside::Changed => continue,
                },
                arrival = socket.next(stop_before_execute) => arrival,
            };
            let text = match arrival {
                Arrival::Text(text) => text,
                Arrival::Other => continue,
                Arrival::Unread => return Err(self.desk.struck(Point::BeforeRead)),
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
                    let tools = wire::register_tools(&lock(&self.desk.world).tools());
                    self.send(socket, tools).await?;
                    self.desk.state.send_replace(State::Connected);
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
        let probe = wire::is_probe(&name);
        if !probe && self.desk.armed() == Some(Point::BeforeRead) {
            // It came in one gulp with the frame before it: read, but not by the plugin.
            return Err(self.desk.struck(Point::BeforeRead));
        }
        let command = Command::new(&name, &params).with_id(&id);
        let until = self.desk.done_at(command);
        while let Held::Due = self.desk.hold(until, probe, session.pong_at).await? {
            self.send(socket, session.pong()).await?;
        }
        let (answer, struck) = self.desk.execute(command);
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
}
