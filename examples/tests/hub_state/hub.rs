//! The state with a clock, and everything that it ever said.

use examples::hub::state::Output;
pub(crate) use examples::hub::{
    Config, Instance, Listed, Lost, Phase, Refused, Request, Said, SocketId, Standing, State,
    Ticket, Why,
};
pub(crate) use mcp_transport_core::delivery::{Abandoned, Full, Op, Replay};
pub(crate) use mcp_transport_core::{ErrorKind, EvictionReason, Message, Outcome};
pub(crate) use serde_json::{Value, json};
pub(crate) use std::collections::{BTreeMap, BTreeSet};
pub(crate) use std::time::{Duration, Instant};

pub(crate) const QUIT: ErrorKind = ErrorKind::Evicted(EvictionReason::ShuttingDown);
pub(crate) const LOST: ErrorKind = ErrorKind::Disconnected;
pub(crate) const TAKEN: ErrorKind = ErrorKind::Evicted(EvictionReason::Superseded);

pub(crate) const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub(crate) const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// How a call ended.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum End {
    Answered(Value),
    Lost(Outcome, Why),
}

#[derive(Clone, Debug)]
pub(crate) struct Sent {
    pub(crate) socket: SocketId,
    pub(crate) message: Value,
    pub(crate) op: Option<Op>,
}

/// The state, its clock, and everything that it ever said.
pub(crate) struct Hub {
    pub(crate) state: State,
    pub(crate) now: Instant,
    pub(crate) open: BTreeSet<SocketId>,
    pub(crate) sent: Vec<Sent>,
    pub(crate) closed: Vec<(SocketId, u16)>,
    pub(crate) ends: BTreeMap<Ticket, End>,
    pub(crate) late: Vec<(Ticket, Value)>,
    pub(crate) stuck: Vec<Ticket>,
    pub(crate) changes: usize,
}

impl Hub {
    pub(crate) fn new() -> Self {
        Self::with(Config::default())
    }

    pub(crate) fn with(config: Config) -> Self {
        Self {
            state: State::new(config, 0x0123_4567_89AB_CDEF),
            now: Instant::now(),
            open: BTreeSet::new(),
            sent: Vec::new(),
            closed: Vec::new(),
            ends: BTreeMap::new(),
            late: Vec::new(),
            stuck: Vec::new(),
            changes: 0,
        }
    }

    pub(crate) fn try_open(&mut self) -> Option<SocketId> {
        let socket = self.state.open(self.now)?;
        assert!(self.open.insert(socket), "a socket's id is used once");
        self.drain();
        Some(socket)
    }

    pub(crate) fn open(&mut self) -> SocketId {
        self.try_open().expect("there is room")
    }

    pub(crate) fn say(&mut self, socket: SocketId, text: impl Into<String>) {
        let said = Said::read(&Message::from(text.into()));
        self.state.receive(self.now, socket, said);
        self.drain();
    }

    pub(crate) fn register(&mut self, socket: SocketId, hash: &str) {
        let text = json!({"type": "register", "project_hash": hash, "project_name": "P"});
        self.say(socket, text.to_string());
    }

    /// A socket that has registered.
    pub(crate) fn plugin(&mut self, hash: &str) -> SocketId {
        let socket = self.open();
        self.register(socket, hash);
        socket
    }

    pub(crate) fn pong(&mut self, socket: SocketId) {
        self.say(socket, r#"{"type":"pong","session_id":"s"}"#);
    }

    pub(crate) fn answer(&mut self, socket: SocketId, id: &str) {
        let text = json!({"type": "command_result", "id": id, "result": {"answer_to": id}});
        self.say(socket, text.to_string());
    }

    pub(crate) fn gone(&mut self, socket: SocketId, ending: ErrorKind, unsent: &[Op]) {
        self.open.remove(&socket);
        self.state.gone(self.now, socket, ending, unsent);
        self.drain();
    }

    pub(crate) fn list(&mut self, hash: &str, is_ready: bool) {
        let listed = Listed {
            project: "Game".to_owned(),
            hash: hash.to_owned(),
            path: Some("/projects/Game".to_owned()),
            unity_version: "6000.0".to_owned(),
            port: 6400,
            is_ready,
        };
        self.state.list(self.now, &listed);
        self.drain();
    }

    pub(crate) fn unlist(&mut self, hash: &str) {
        self.state.unlist(self.now, hash);
        self.drain();
    }

    pub(crate) fn stand_by(&mut self, hash: &str) {
        self.state.stand_by(hash, "them".to_owned());
        self.drain();
    }

    pub(crate) fn stand_down(&mut self, hash: &str) {
        self.state.stand_down(hash);
        self.drain();
    }

    pub(crate) fn cut_off(&mut self, hash: &str) {
        self.state.cut_off(hash);
        self.drain();
    }

    pub(crate) fn phases(&self) -> Vec<Phase> {
        let instances = self.state.instances();
        instances.iter().map(|one| one.phase).collect()
    }

    pub(crate) fn try_submit(&mut self, hash: &str, request: Request) -> Result<Ticket, Refused> {
        let ticket = self.state.submit(self.now, hash, request);
        self.drain();
        ticket
    }

    pub(crate) fn submit(&mut self, hash: &str, replay: Replay) -> Ticket {
        self.try_submit(hash, request("work", replay))
            .expect("it is taken")
    }

    pub(crate) fn abandon(&mut self, ticket: Ticket) -> Abandoned {
        let abandoned = self.state.abandon(self.now, ticket);
        self.drain();
        abandoned
    }

    /// Lets time pass as a shell does: one timer, set for the next deadline.
    pub(crate) fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(due) = self.state.poll_timeout().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            self.tick();
        }
        self.now = end;
    }

    pub(crate) fn tick(&mut self) {
        self.state.handle_timeout(self.now);
        self.drain();
        let next = self.state.poll_timeout();
        assert!(
            next.is_none_or(|next| next > self.now),
            "a timer that is always due is a busy loop"
        );
    }

    /// The same, while these plugins are heard every 5 s.
    pub(crate) fn pass_hearing(&mut self, time: Duration, alive: &[SocketId]) {
        let end = self.now + time;
        while self.now < end {
            self.pass(s(5).min(end - self.now));
            for socket in alive {
                self.pong(*socket);
            }
        }
    }

    /// The machine sleeps, and its clock counts so much of it.
    pub(crate) fn sleep(&mut self, counted: Duration) {
        self.now += counted;
        self.state.slept(self.now, counted);
        self.drain();
        self.tick();
    }

    pub(crate) fn drain(&mut self) {
        while let Some(output) = self.state.poll_output() {
            match output {
                Output::Send {
                    socket,
                    message,
                    op,
                } => {
                    assert!(self.open.contains(&socket), "{socket:?} is not open");
                    let message = message.json().expect("JSON");
                    self.sent.push(Sent {
                        socket,
                        message,
                        op,
                    });
                }
                Output::Close { socket, code, .. } => {
                    assert!(self.open.remove(&socket), "{socket:?} is not open");
                    self.closed.push((socket, code));
                }
                Output::Answered { ticket, envelope } => self.end(ticket, End::Answered(envelope)),
                Output::Lost {
                    ticket,
                    lost: Lost { outcome, why, .. },
                } => self.end(ticket, End::Lost(outcome, why)),
                Output::Late { ticket, envelope } => self.late.push((ticket, envelope)),
                Output::Stuck { ticket } => self.stuck.push(ticket),
                Output::Changed => self.changes += 1,
            }
        }
    }

    pub(crate) fn end(&mut self, ticket: Ticket, end: End) {
        let before = self.ends.insert(ticket, end);
        assert_eq!(before, None, "{ticket:?} ended twice");
    }

    /// What a socket was told, by type.
    pub(crate) fn told(&self, socket: SocketId) -> Vec<&str> {
        let mine = self.sent.iter().filter(|sent| sent.socket == socket);
        mine.map(|sent| sent.message["type"].as_str().expect("a type"))
            .collect()
    }

    pub(crate) fn count(&self, socket: SocketId, kind: &str) -> usize {
        let told = self.told(socket);
        told.iter().filter(|told| **told == kind).count()
    }

    pub(crate) fn is_seated(&self, socket: SocketId) -> bool {
        self.told(socket).contains(&"registered")
    }

    /// The last command that this socket got: its id and operation.
    pub(crate) fn command(&self, socket: SocketId) -> (String, Op) {
        let mut sent = self.sent.iter().rev();
        let command = sent
            .find(|sent| sent.socket == socket && sent.message["type"] == "execute")
            .expect("a command");
        let id = command.message["id"].as_str().expect("an id");
        (id.to_owned(), command.op.expect("commands have one"))
    }

    pub(crate) fn code(&self, socket: SocketId) -> Option<u16> {
        let mut closed = self.closed.iter();
        Some(closed.find(|(one, _)| *one == socket)?.1)
    }

    pub(crate) fn instance(&self, hash: &str) -> Instance {
        let mut instances = self.state.instances().into_iter();
        instances
            .find(|instance| instance.hash == hash)
            .expect("it is known")
    }

    pub(crate) fn end_of(&self, ticket: Ticket) -> Option<End> {
        self.ends.get(&ticket).cloned()
    }
}

pub(crate) fn request(command: &str, replay: Replay) -> Request {
    Request {
        command: command.to_owned(),
        params: json!({}),
        timeout: s(30),
        replay,
        hold: s(120),
    }
}

pub(crate) fn lost(outcome: Outcome, why: Why) -> Option<End> {
    Some(End::Lost(outcome, why))
}

pub(crate) fn is_uuid(text: &str) -> bool {
    let groups: Vec<&str> = text.split('-').collect();
    let lengths: Vec<usize> = groups.iter().map(|group| group.len()).collect();
    lengths == [8, 4, 4, 4, 12]
        && groups[2].starts_with('4')
        && groups[3].starts_with(['8', '9', 'a', 'b'])
        && text
            .chars()
            .all(|c| c == '-' || matches!(c, '0'..='9' | 'a'..='f'))
}
