//! Whatever happens in whatever order, as a property.

use crate::hub::*;
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Step {
    Open,
    Register(usize, usize),
    Pong(usize),
    Garbage(usize),
    /// A command that was written somewhere is answered here.
    Answer(usize, usize),
    AnswerWrongly(usize),
    /// The socket goes; whether its last command was never written.
    Lose(usize, bool),
    Quit(usize),
    /// The socket goes, since another client took the editor's only seat.
    SeatTaken(usize, bool),
    /// The status file of a project says that it listens, or that it does not; or it is gone.
    List(usize, Option<bool>),
    StandBy(usize, bool),
    CutOff(usize),
    Submit(usize, bool),
    Abandon(usize),
    Pass(u64),
    Sleep(bool),
}

const HASHES: [&str; 3] = ["a", "b", ""];

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let which = 0..1_000_usize;
    let step = prop_oneof![
        3 => Just(Step::Open),
        5 => (which.clone(), prop_oneof![8 => 0..2_usize, 1 => Just(2)])
            .prop_map(|(socket, hash)| Step::Register(socket, hash)),
        4 => which.clone().prop_map(Step::Pong),
        1 => which.clone().prop_map(Step::Garbage),
        8 => (which.clone(), which.clone()).prop_map(|(s, c)| Step::Answer(s, c)),
        1 => which.clone().prop_map(Step::AnswerWrongly),
        2 => (which.clone(), any::<bool>()).prop_map(|(s, unsent)| Step::Lose(s, unsent)),
        1 => which.clone().prop_map(Step::Quit),
        1 => (which.clone(), any::<bool>()).prop_map(|(s, unsent)| Step::SeatTaken(s, unsent)),
        1 => (0..2_usize, any::<Option<bool>>()).prop_map(|(h, ready)| Step::List(h, ready)),
        1 => (0..2_usize, any::<bool>()).prop_map(|(h, by)| Step::StandBy(h, by)),
        1 => (0..2_usize).prop_map(Step::CutOff),
        8 => (0..2_usize, any::<bool>()).prop_map(|(h, safe)| Step::Submit(h, safe)),
        3 => which.prop_map(Step::Abandon),
        4 => (1..15_000_u64).prop_map(Step::Pass),
        1 => any::<bool>().prop_map(Step::Sleep),
    ];
    prop::collection::vec(step, 1..150)
}

/// What the test knows of each call.
struct Call {
    ticket: Ticket,
    hash: &'static str,
    safe: bool,
    /// How often it was written for good.
    written: usize,
    abandoned: bool,
}

struct Written {
    id: String,
    call: usize,
    socket: SocketId,
}

/// The hub, and what a just observer knows.
struct Observed {
    hub: Hub,
    calls: Vec<Call>,
    projects: BTreeMap<SocketId, &'static str>,
    seats: BTreeMap<&'static str, SocketId>,
    /// The command that each project's editor has.
    in_flight: BTreeMap<&'static str, Written>,
    written: Vec<(String, usize)>,
    seen: usize,
}

impl Observed {
    fn new() -> Self {
        Self {
            hub: Hub::new(),
            calls: Vec::new(),
            projects: BTreeMap::new(),
            seats: BTreeMap::new(),
            in_flight: BTreeMap::new(),
            written: Vec::new(),
            seen: 0,
        }
    }

    fn socket(&self, any: usize) -> Option<SocketId> {
        let open = &self.hub.open;
        open.iter().nth(any % open.len().max(1)).copied()
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Open => {
                self.hub.try_open();
            }
            Step::Register(any, hash) => {
                if let Some(socket) = self.socket(any) {
                    self.projects.entry(socket).or_insert(HASHES[hash]);
                    self.hub.register(socket, HASHES[hash]);
                }
            }
            Step::Pong(any) => {
                if let Some(socket) = self.socket(any) {
                    self.hub.pong(socket);
                }
            }
            Step::Garbage(any) => {
                if let Some(socket) = self.socket(any) {
                    let text = ["{", "[]", "{\"type\":\"pong\"}"][any % 3];
                    self.hub.say(socket, text);
                }
            }
            Step::Answer(any, command) => self.answer(any, command),
            Step::AnswerWrongly(any) => {
                if let Some(socket) = self.socket(any) {
                    let ended = self.hub.ends.len() + self.hub.late.len();
                    self.hub
                        .answer(socket, "00000000-0000-4000-8000-000000000001");
                    assert_eq!(self.hub.ends.len() + self.hub.late.len(), ended);
                }
            }
            Step::Lose(any, unsent) => {
                if let Some(socket) = self.socket(any) {
                    self.lose(socket, LOST, unsent);
                }
            }
            Step::Quit(any) => {
                if let Some(socket) = self.socket(any) {
                    self.lose(socket, QUIT, false);
                }
            }
            Step::SeatTaken(any, unsent) => {
                if let Some(socket) = self.socket(any) {
                    self.lose(socket, TAKEN, unsent);
                }
            }
            Step::List(hash, Some(ready)) => self.hub.list(HASHES[hash], ready),
            Step::List(hash, None) => self.hub.unlist(HASHES[hash]),
            Step::StandBy(hash, true) => self.hub.stand_by(HASHES[hash]),
            Step::StandBy(hash, false) => self.hub.stand_down(HASHES[hash]),
            Step::CutOff(hash) => self.hub.cut_off(HASHES[hash]),
            Step::Submit(hash, safe) => self.submit(HASHES[hash], safe),
            Step::Abandon(any) => {
                if !self.calls.is_empty() {
                    let call = any % self.calls.len();
                    self.abandon(call);
                }
            }
            Step::Pass(time) => self.hub.pass(ms(time)),
            Step::Sleep(counted) => {
                let counted = if counted {
                    s(8 * 3_600)
                } else {
                    Duration::ZERO
                };
                self.hub.sleep(counted);
            }
        }
        self.observe();
    }

    /// Mostly the holder answers what it has; now and then somebody says anything.
    fn answer(&mut self, any: usize, command: usize) {
        let held = self.in_flight.values().nth(command % 3);
        if let Some(Written { id, socket, .. }) = held {
            let (id, socket) = (id.clone(), *socket);
            self.hub.answer(socket, &id);
            self.in_flight.retain(|_, flight| flight.id != id);
        } else if let (Some(socket), false) = (self.socket(any), self.written.is_empty()) {
            let (id, call) = self.written[command % self.written.len()].clone();
            let ended = self.hub.ends.contains_key(&self.calls[call].ticket);
            self.hub.answer(socket, &id);
            let mine = self.in_flight.values();
            let mut mine = mine.filter(|flight| flight.id == id && flight.socket == socket);
            let was_asked = mine.next().is_some();
            self.in_flight
                .retain(|_, flight| flight.id != id || flight.socket != socket);
            let call = &self.calls[call];
            if !ended && self.hub.ends.contains_key(&call.ticket) {
                // A read that was sent again may be answered by its first life.
                let holder = self.seats.get(call.hash) == Some(&socket);
                assert!(was_asked || (call.safe && holder));
            }
        }
    }

    fn lose(&mut self, socket: SocketId, ending: ErrorKind, unsent: bool) {
        let mut ops = Vec::new();
        let mine = self
            .in_flight
            .values()
            .find(|flight| flight.socket == socket);
        if let (Some(flight), true) = (mine, unsent) {
            ops.push(self.hub.command(socket).1);
            self.calls[flight.call].written -= 1;
            let at = self.written.iter().rposition(|(id, _)| *id == flight.id);
            self.written.remove(at.expect("it was noted as written"));
        }
        self.in_flight.retain(|_, flight| flight.socket != socket);
        self.hub.gone(socket, ending, &ops);
    }

    fn submit(&mut self, hash: &'static str, safe: bool) {
        let replay = if safe { Replay::Safe } else { Replay::Never };
        let command = format!("call-{}", self.calls.len());
        if let Ok(ticket) = self.hub.try_submit(hash, request(&command, replay)) {
            self.calls.push(Call {
                ticket,
                hash,
                safe,
                written: 0,
                abandoned: false,
            });
        }
    }

    fn abandon(&mut self, call: usize) {
        let Call {
            ticket, abandoned, ..
        } = self.calls[call];
        let over = abandoned || self.hub.ends.contains_key(&ticket);
        let answer = self.hub.abandon(ticket);
        assert_eq!(over, answer == Abandoned::Over, "call {call}");
        self.calls[call].abandoned |= !over;
    }

    /// Looks at everything new that the hub said, in order.
    fn observe(&mut self) {
        let (hub, projects) = (&self.hub, &self.projects);
        let is_open = |socket: &SocketId| hub.open.contains(socket);
        self.seats.retain(|_, socket| is_open(socket));
        self.in_flight.retain(|_, flight| is_open(&flight.socket));
        for sent in &hub.sent[self.seen..] {
            let project = projects.get(&sent.socket).copied();
            match sent.message["type"].as_str() {
                Some("registered") => {
                    let hash = project.expect("it registered");
                    if is_open(&sent.socket) {
                        let before = self.seats.insert(hash, sent.socket);
                        assert_eq!(before, None, "two have the seat of {hash}");
                    }
                }
                Some("execute") => {
                    let name = sent.message["name"].as_str().expect("a name");
                    let number = name.strip_prefix("call-").expect("one of ours");
                    let number: usize = number.parse().expect("a number");
                    let id = sent.message["id"].as_str().expect("an id").to_owned();
                    let call = &mut self.calls[number];
                    assert_eq!(project, Some(call.hash), "sent to another project");
                    call.written += 1;
                    let most = if call.safe { 4 } else { 1 };
                    assert!(call.written <= most, "{name} ran {} times", call.written);
                    self.written.push((id.clone(), number));
                    if is_open(&sent.socket) {
                        assert_eq!(self.seats.get(call.hash), Some(&sent.socket));
                        let written = Written {
                            id,
                            call: number,
                            socket: sent.socket,
                        };
                        let before = self.in_flight.insert(call.hash, written);
                        assert!(before.is_none(), "two commands at once");
                    }
                }
                _ => {}
            }
        }
        self.seen = hub.sent.len();
        self.check_order();
        let ended = |call: &Call| hub.ends.contains_key(&call.ticket);
        for call in &self.calls {
            assert!(!(call.abandoned && ended(call)), "given up, and ended");
        }
        let mut late = BTreeSet::new();
        for (ticket, _) in &hub.late {
            assert!(late.insert(*ticket), "late twice");
            let answered = hub.ends.get(ticket);
            assert!(
                !matches!(answered, Some(End::Answered(_))),
                "answered, then late"
            );
        }
    }

    /// Nobody who waits is older than the one whose turn it is.
    fn check_order(&self) {
        for (hash, flight) in &self.in_flight {
            for older in &self.calls[..flight.call] {
                let over = older.abandoned || self.hub.ends.contains_key(&older.ticket);
                assert!(over || older.hash != *hash, "overtaken in {hash}");
            }
        }
    }

    /// Everybody leaves; in the end every call has ended, and no timer is left.
    fn finish(mut self) {
        while let Some(socket) = self.socket(0) {
            self.lose(socket, LOST, false);
            self.observe();
        }
        for hash in HASHES {
            self.hub.unlist(hash);
        }
        self.hub.pass(s(120));
        self.observe();
        for (number, call) in self.calls.iter().enumerate() {
            let ended = self.hub.ends.contains_key(&call.ticket);
            assert!(call.abandoned != ended, "call {number}");
            assert_eq!(self.hub.state.standing(call.ticket), None);
            let undelivered = matches!(
                self.hub.ends.get(&call.ticket),
                Some(End::Lost(Outcome::NotDelivered, _))
            );
            assert!(
                !undelivered || call.written == 0,
                "call {number} was written, and is said not to be delivered"
            );
        }
        self.hub.pass(s(600));
        assert_eq!(self.hub.state.poll_timeout(), None);
        assert_eq!(self.hub.state.sockets(), (0, 0));
        assert_eq!(self.hub.state.instances().len(), 0);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn every_call_ends_once_runs_once_in_order_and_where_it_belongs(steps in steps()) {
        let mut observed = Observed::new();
        for step in &steps {
            observed.step(step);
        }
        observed.finish();
    }
}
