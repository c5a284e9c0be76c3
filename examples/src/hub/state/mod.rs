//! The hub without its sockets: projects, seats and queues. Pure: no I/O, no clock.
//!
//! ```text
//! socket opens ─► greeted ── register ──► is the seat free? ── yes ──► seated: `registered`,
//!                   │                             │ no        ▲        commands flow
//!                   │ 10 s                        ▼           │
//!                   ▼                          standby ───────┘ the holder is gone, or was silent
//!               close 1008                                      for 10 s and is closed with 4002
//! ```
//!
//! Nobody is closed for being older. The installed plugin (10.1) ignores close codes and dials
//! again at once after each, so two editors of one project that evicted each other would never end.
//! The seat goes to the oldest standby that was heard of late: nothing is sent to one that may be
//! gone as well, if another is there.

mod ids;
mod listing;
mod project;
mod seats;
mod types;

pub use types::{
    Instance, Listed, Lost, Output, Phase, Refused, Request, SocketId, Standing, Ticket, Why,
};

pub use super::wire::Said;

use super::wire::{self, FromPlugin};
use crate::catalogue::Toolset;
use mcp_transport_core::delivery::{Abandoned, Op};
use mcp_transport_core::{ErrorKind, EvictionReason};
use project::Project;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The hub's limits and times.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Config {
    /// How often a living plugin is to be heard, even while it is busy. Said in the welcome.
    pub keep_alive: Duration,
    /// After this much silence a holder loses its seat to a standby.
    pub seat_silence: Duration,
    /// After this much silence a plugin is asked for a pong.
    pub ping_after: Duration,
    /// After this much silence a plugin is given up.
    pub dead_after: Duration,
    /// A socket that has not registered by then is closed with 1008.
    pub register_within: Duration,
    /// Sockets that have not registered, at most.
    pub max_unregistered: usize,
    /// Projects that are known, at most.
    pub max_projects: usize,
    /// A project that is gone and has no calls is forgotten after this.
    pub forget_after: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            keep_alive: Duration::from_secs(5),
            seat_silence: Duration::from_secs(10),
            ping_after: Duration::from_secs(8),
            dead_after: Duration::from_secs(20),
            register_within: Duration::from_secs(10),
            max_unregistered: 64,
            max_projects: 64,
            forget_after: Duration::from_secs(600),
        }
    }
}

/// What the welcome says of our patience; the plugin only uses it to bound its own keep-alive.
const SERVER_TIMEOUT: Duration = Duration::from_secs(30);

/// The hub's whole state.
#[derive(Debug)]
pub struct State {
    config: Config,
    /// Random, so that ids of an earlier run are nobody's.
    boot: u64,
    sockets: BTreeMap<SocketId, Socket>,
    projects: BTreeMap<String, Project>,
    tickets: HashMap<Ticket, String>,
    outputs: VecDeque<Output>,
    last_socket: u64,
    last_ticket: u64,
    last_project: u64,
}

#[derive(Debug)]
struct Socket {
    opened: Instant,
    last_heard: Instant,
    /// From when its silence counts: as it was last heard, or as we woke from sleep.
    silent_since: Instant,
    pinged: bool,
    /// The project that it registered for.
    project: Option<String>,
}

impl State {
    /// A hub that knows nobody. `boot` is a random number.
    pub fn new(config: Config, boot: u64) -> Self {
        Self {
            config,
            boot,
            sockets: BTreeMap::new(),
            projects: BTreeMap::new(),
            tickets: HashMap::new(),
            outputs: VecDeque::new(),
            last_socket: 0,
            last_ticket: 0,
            last_project: 0,
        }
    }

    /// A plugin's socket is open; it is greeted. `None` if too many have not registered yet.
    pub fn open(&mut self, now: Instant) -> Option<SocketId> {
        let unregistered = self
            .sockets
            .values()
            .filter(|socket| socket.project.is_none())
            .count();
        if unregistered >= self.config.max_unregistered {
            return None;
        }
        self.last_socket += 1;
        let socket = SocketId(self.last_socket);
        let entry = Socket {
            opened: now,
            last_heard: now,
            silent_since: now,
            pinged: false,
            project: None,
        };
        self.sockets.insert(socket, entry);
        let message = wire::welcome(SERVER_TIMEOUT, self.config.keep_alive);
        self.outputs.push_back(Output::Send {
            socket,
            message,
            op: None,
        });
        Some(socket)
    }

    /// A plugin said something.
    pub fn receive(&mut self, now: Instant, socket: SocketId, said: Said) {
        let Some(entry) = self.sockets.get_mut(&socket) else {
            return;
        };
        entry.last_heard = now;
        entry.silent_since = now;
        entry.pinged = false;
        let Some(hash) = entry.project.clone() else {
            return self.receive_unregistered(now, socket, said);
        };
        let Some(project) = self.projects.get_mut(&hash) else {
            return;
        };
        match said.what {
            FromPlugin::CommandResult { id, result } => {
                project.answer(now, socket, &id, result, &mut self.outputs);
            }
            FromPlugin::Pong => {}
            FromPlugin::RegisterTools(tools) => {
                if project.holder() == Some(socket) {
                    project.set_tools(tools, &mut self.outputs);
                }
            }
            FromPlugin::Register(who) => {
                tracing::debug!(%hash, again = %who.project_hash, "a second register is ignored");
            }
            FromPlugin::Ignored(what) => tracing::debug!(what, "ignored"),
            FromPlugin::NotJson => self.close_as_not_json(now, socket),
        }
    }

    /// An editor was asked what it offers, and said so.
    pub fn set_tools(&mut self, hash: &str, tools: Arc<Toolset>) {
        if let Some(project) = self.projects.get_mut(hash) {
            project.set_tools(tools, &mut self.outputs);
        }
    }

    /// A socket ended. `unsent` are commands that were handed to it and never written.
    pub fn gone(&mut self, now: Instant, socket: SocketId, ending: ErrorKind, unsent: &[Op]) {
        let why = match ending {
            ErrorKind::Evicted(EvictionReason::ShuttingDown) => Why::Quit,
            ErrorKind::Evicted(EvictionReason::Superseded) => Why::SeatTaken,
            ErrorKind::TimedOut => Why::Silent,
            _ => Why::LinkLost,
        };
        self.remove(now, socket, why, unsent);
    }

    /// Takes a call for a project.
    ///
    /// # Errors
    /// [`Refused`] says why not; nothing was sent.
    pub fn submit(
        &mut self,
        now: Instant,
        hash: &str,
        request: Request,
    ) -> Result<Ticket, Refused> {
        let project = self.projects.get_mut(hash).ok_or(Refused::NoSuchProject)?;
        self.last_ticket += 1;
        let ticket = Ticket(self.last_ticket);
        project.submit(now, request, ticket, &mut self.outputs)?;
        self.tickets.insert(ticket, hash.to_owned());
        Ok(ticket)
    }

    /// Nobody waits for this call any more.
    pub fn abandon(&mut self, now: Instant, ticket: Ticket) -> Abandoned {
        let Some(hash) = self.tickets.remove(&ticket) else {
            return Abandoned::Over;
        };
        match self.projects.get_mut(&hash) {
            Some(project) => project.abandon(now, ticket, &mut self.outputs),
            None => Abandoned::Over,
        }
    }

    /// Where a call is; `None` once it is over.
    pub fn standing(&self, ticket: Ticket) -> Option<Standing> {
        self.projects
            .get(self.tickets.get(&ticket)?)?
            .standing(ticket)
    }

    /// Every editor that is known, those that are away or quit included; one that is known in two ways, once.
    pub fn instances(&self) -> Vec<Instance> {
        let heard = |project: &Project| {
            let holder = project.holder()?;
            self.sockets.get(&holder).map(|socket| socket.last_heard)
        };
        self.projects
            .iter()
            .filter(|(hash, project)| !self.is_elsewhere(hash, project))
            .map(|(_, project)| project.instance(heard(project)))
            .collect()
    }

    /// True while an editor has this call, whether or not somebody waits for it.
    pub fn is_running(&self, ticket: Ticket) -> bool {
        self.projects
            .values()
            .any(|project| project.is_running(ticket))
    }

    /// Sockets that are open, and those among them that have not registered.
    pub fn sockets(&self) -> (usize, usize) {
        let unregistered = self
            .sockets
            .values()
            .filter(|socket| socket.project.is_none())
            .count();
        (self.sockets.len(), unregistered)
    }

    /// The next thing to be done. Drain it after every call that changes something.
    pub fn poll_output(&mut self) -> Option<Output> {
        let output = self.outputs.pop_front()?;
        if let Output::Answered { ticket, .. } | Output::Lost { ticket, .. } = &output {
            self.tickets.remove(ticket);
        }
        Some(output)
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let calls = self.projects.values().filter_map(Project::poll_timeout);
        let sockets = self
            .sockets
            .iter()
            .map(|(id, socket)| self.deadline(*id, socket));
        let after = self.config.forget_after;
        let idle = self.projects.values();
        let idle = idle.filter_map(|project| project.forgotten_at(after));
        calls.chain(sockets).chain(idle).min()
    }

    /// Acts on what is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        for project in self.projects.values_mut() {
            project.handle_timeout(now, &mut self.outputs);
        }
        let due: Vec<SocketId> = self
            .sockets
            .iter()
            .filter(|(id, socket)| self.deadline(**id, socket) <= now)
            .map(|(id, _)| *id)
            .collect();
        for socket in due {
            self.socket_is_due(now, socket);
        }
        self.forget_idle(now, self.config.forget_after);
    }

    /// The machine slept, and its clock counted so much of that: every budget gets its gap back,
    /// and every plugin is asked whether it is there, with its whole patience to answer.
    pub fn slept(&mut self, now: Instant, counted: Duration) {
        for project in self.projects.values_mut() {
            project.slept(counted);
        }
        for (id, socket) in &mut self.sockets {
            socket.opened += counted;
            socket.silent_since = now;
            socket.pinged = true;
            self.outputs.push_back(Output::Send {
                socket: *id,
                message: wire::ping(),
                op: None,
            });
        }
    }

    /// Closes every socket, as a server does that goes down.
    pub fn shut_down(&mut self, now: Instant) {
        let sockets: Vec<SocketId> = self.sockets.keys().copied().collect();
        for socket in sockets {
            let reason = "the server is shutting down";
            self.close(now, socket, 1012, reason, Why::LinkLost);
        }
    }

    fn socket_is_due(&mut self, now: Instant, id: SocketId) {
        let Some(socket) = self.sockets.get_mut(&id) else {
            return;
        };
        let silence = now.saturating_duration_since(socket.silent_since);
        let Some(hash) = socket.project.clone() else {
            let reason = "no register within 10 s";
            return self.close(now, id, 1008, reason, Why::LinkLost);
        };
        if silence >= self.config.dead_after {
            return self.close(now, id, 4002, "silent for too long", Why::Silent);
        }
        if silence >= self.config.ping_after && !std::mem::replace(&mut socket.pinged, true) {
            self.outputs.push_back(Output::Send {
                socket: id,
                message: wire::ping(),
                op: None,
            });
        }
        self.fill_seat(now, &hash);
    }

    /// When this socket next needs a look.
    fn deadline(&self, id: SocketId, socket: &Socket) -> Instant {
        let Some(project) = socket
            .project
            .as_ref()
            .and_then(|hash| self.projects.get(hash))
        else {
            return socket.opened + self.config.register_within;
        };
        let dead = socket.silent_since + self.config.dead_after;
        let ping = socket.silent_since + self.config.ping_after;
        // One moment after, since a seat is lost by *more* than so much silence.
        let seat = socket.silent_since + self.config.seat_silence + Duration::from_millis(1);
        let next = if socket.pinged { dead } else { ping.min(dead) };
        if project.holder() == Some(id) && self.is_contested(project, id) {
            next.min(seat)
        } else {
            next
        }
    }

    fn forget_idle(&mut self, now: Instant, after: Duration) {
        let known = self.projects.len();
        self.projects
            .retain(|_, project| project.forgotten_at(after).is_none_or(|at| now < at));
        if self.projects.len() < known {
            self.outputs.push_back(Output::Changed);
        }
    }

    fn close_as_not_json(&mut self, now: Instant, socket: SocketId) {
        self.close(
            now,
            socket,
            1003,
            "a message that is no JSON",
            Why::LinkLost,
        );
    }

    fn close(&mut self, now: Instant, socket: SocketId, code: u16, reason: &str, why: Why) {
        self.outputs.push_back(Output::Close {
            socket,
            code,
            reason: reason.to_owned(),
        });
        self.remove(now, socket, why, &[]);
    }

    fn remove(&mut self, now: Instant, socket: SocketId, why: Why, unsent: &[Op]) {
        let Some(entry) = self.sockets.remove(&socket) else {
            return;
        };
        let Some(hash) = entry.project else { return };
        let Some(project) = self.projects.get_mut(&hash) else {
            return;
        };
        if project.holder() == Some(socket) {
            // Another editor has the seat in a moment, and it is that one which a caller would ask what became of his call. Of
            // this one only the connection is known to be gone: it may be at work.
            let is_followed = project.standby().len() > 0;
            let why = match why {
                Why::LinkLost | Why::Silent if is_followed => Why::Superseded,
                why => why,
            };
            project.unseat(now, why, unsent, &mut self.outputs);
        } else {
            project.leave_standby(socket);
            self.outputs.push_back(Output::Changed);
        }
        self.fill_seat(now, &hash);
    }
}
