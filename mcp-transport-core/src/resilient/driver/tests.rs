//! Whatever happens in whatever order: every request gets exactly one answer.

use super::*;
use crate::eviction::EvictionReason;
use crate::resilient::replayable::{self, ENDLESS};
use proptest::prelude::*;
use std::collections::HashSet;

/// What may happen to a link.
#[derive(Clone, Debug)]
enum Step {
    /// The client calls; the number picks a method.
    Call(usize),
    /// The client cancels one of the calls that are not answered.
    Cancel(prop::sample::Index),
    /// The client says something that nobody answers.
    Notify,
    /// The client answers the host's last request.
    Answer,
    Connect,
    /// So many messages find room in the sink.
    Write(usize),
    /// The sink refuses the next message as too large.
    TooLarge,
    /// The sink breaks under the next message.
    Broken,
    /// The host answers one of what it has.
    HostAnswers(prop::sample::Index, bool),
    /// The host answers what nobody asked.
    HostStrays,
    HostAsks,
    Lose,
    Standby,
    Resume,
    Wait(u64),
    Sleep(u64),
}

fn step() -> impl Strategy<Value = Step> {
    use Step::*;
    prop_oneof![
        8 => (0..METHODS.len()).prop_map(Call),
        2 => any::<prop::sample::Index>().prop_map(Cancel),
        1 => Just(Notify),
        1 => Just(Answer),
        4 => Just(Connect),
        8 => (1..4_usize).prop_map(Write),
        1 => Just(TooLarge),
        1 => Just(Broken),
        6 => (any::<prop::sample::Index>(), any::<bool>()).prop_map(|(at, ok)| HostAnswers(at, ok)),
        1 => Just(HostStrays),
        1 => Just(HostAsks),
        3 => Just(Lose),
        1 => Just(Standby),
        1 => Just(Resume),
        3 => (0..400_u64).prop_map(Wait),
        1 => (6..4_000_u64).prop_map(Sleep),
    ]
}

const METHODS: [&str; 7] = [
    "initialize",
    "tools/call",
    "tools/list",
    "logging/setLevel",
    "subscriptions/listen",
    "resources/read",
    "tools/call",
];

const BUFFER: usize = 8;

struct World {
    driver: Driver,
    now: Instant,
    next_id: i64,
    /// Calls that have no answer yet.
    open: Vec<i64>,
    /// Calls that the client gave up.
    cancelled: HashSet<i64>,
    /// How often a host saw each call that may not run twice.
    effects: HashMap<i64, u32>,
    /// Requests that this connection's host has not answered.
    hosts: Vec<Id>,
    read: u64,
    asked: i64,
}

impl World {
    fn new() -> Self {
        let config = Config {
            buffer: BUFFER,
            bytes: 4_096,
            hold: Duration::from_secs(120),
            run: Duration::from_secs(600),
        };
        Self {
            driver: Driver::new(config, Box::new(replayable::of)),
            #[allow(clippy::disallowed_methods, reason = "the start of a clock of our own")]
            now: Instant::now(),
            next_id: 0,
            open: Vec::new(),
            cancelled: HashSet::new(),
            effects: HashMap::new(),
            hosts: Vec::new(),
            read: 0,
            asked: 0,
        }
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Call(method) => {
                let id = self.next_id;
                self.next_id += 1;
                self.open.push(id);
                self.say(Message::request(&Id::from(id), METHODS[*method], None::<()>).unwrap());
            }
            Step::Cancel(which) => {
                if !self.open.is_empty() {
                    let id = self.open.remove(which.index(self.open.len()));
                    self.cancelled.insert(id);
                    self.say(cancel(&Id::from(id), "enough"));
                }
            }
            Step::Notify => {
                self.say(Message::notification("notifications/initialized", None::<()>).unwrap())
            }
            Step::Answer => self.say(Message::response(&Id::from(self.asked), 1).unwrap()),
            Step::Connect => {
                if self.driver.up.is_none() {
                    self.driver.connected(self.now);
                }
            }
            Step::Write(room) => (0..*room).for_each(|_| self.write()),
            Step::TooLarge => self.fail_write(ErrorKind::TooLarge { limit: 1, size: 2 }),
            Step::Broken => self.fail_write(ErrorKind::Disconnected),
            Step::HostAnswers(which, ok) => {
                if !self.hosts.is_empty() {
                    let id = self.hosts.remove(which.index(self.hosts.len()));
                    let answer = match ok {
                        true => Message::response(&id, "done").unwrap(),
                        false => Message::error(Some(&id), -32603, "no", None::<()>),
                    };
                    self.heard(answer);
                }
            }
            Step::HostStrays => self.heard(Message::response(&Id::from(-1), 1).unwrap()),
            Step::HostAsks => {
                self.asked += 1;
                let ask = Message::request(&Id::from(self.asked), "roots/list", None::<()>);
                self.heard(ask.unwrap());
            }
            Step::Lose => self.lose(ErrorKind::Disconnected),
            Step::Standby => {
                self.lose(ErrorKind::Evicted(EvictionReason::Superseded));
                let cause = ErrorKind::Evicted(EvictionReason::Superseded).into();
                self.driver.give_up(&cause);
                self.driver.refuse(Some(cause));
            }
            Step::Resume => self.driver.refuse(None),
            Step::Wait(secs) => {
                self.now += Duration::from_secs(*secs);
                if let Err(error) = self.driver.handle_timeout(self.now) {
                    self.lose(error.kind());
                }
            }
            Step::Sleep(secs) => {
                self.now += Duration::from_secs(*secs);
                self.driver.slept(Duration::from_secs(*secs));
            }
        }
        self.read_answers();
        self.check_tables();
    }

    fn say(&mut self, message: Message) {
        self.driver.client_said(self.now, message, self.read);
    }

    fn heard(&mut self, message: Message) {
        if let Err(error) = self.driver.host_said(self.now, message) {
            self.lose(error.kind());
        }
    }

    fn lose(&mut self, kind: ErrorKind) {
        self.hosts.clear();
        self.driver.lost(self.now, &kind.into());
    }

    fn write(&mut self) {
        let Some(outgoing) = self.driver.next(self.now) else {
            return;
        };
        if let Kind::Request { id, method } = outgoing.message.kind() {
            self.hosts.push(id.clone());
            if method == "tools/call" {
                let id = id.as_i64().unwrap();
                assert!(!self.cancelled.contains(&id), "{id} was withdrawn");
                *self.effects.entry(id).or_default() += 1;
            }
        }
        self.driver.written(&outgoing);
    }

    fn fail_write(&mut self, kind: ErrorKind) {
        if let Some(outgoing) = self.driver.next(self.now) {
            if let Err(error) = self.driver.refused(self.now, &outgoing, kind.into()) {
                self.lose(error.kind());
            }
        }
    }

    fn read_answers(&mut self) {
        while let Some(message) = self.driver.pop_answer() {
            self.read += 1;
            if let Kind::Response { id: Some(id), .. } = message.kind() {
                let id = id.as_i64().unwrap();
                let place = self.open.iter().position(|open| *open == id);
                let place = place.unwrap_or_else(|| panic!("a second answer to {id}"));
                self.open.swap_remove(place);
            }
        }
    }

    /// No table outgrows the calls that are open, and all agree.
    fn check_tables(&self) {
        let driver = &self.driver;
        assert!(driver.calls.len() <= BUFFER && driver.asides.len() <= BUFFER);
        assert!(driver.theirs.len() <= BUFFER);
        let replies = || driver.up.iter().flat_map(|up| &up.replies);
        assert!(replies().count() <= BUFFER);
        let bytes: usize = replies().map(Message::len).sum();
        assert_eq!(
            driver.aside_bytes,
            bytes + driver.asides.values().sum::<usize>()
        );
        assert_eq!(driver.ids.len(), driver.calls.len());
        assert_eq!(
            driver.delivery.len(),
            driver.calls.len() + driver.asides.len()
        );
        let mut open: Vec<_> = driver.ids.keys().filter_map(Id::as_i64).collect();
        open.sort_unstable();
        let mut mine = self.open.clone();
        mine.sort_unstable();
        assert_eq!(open, mine, "what is not answered is what is held");
    }
}

proptest! {
    #[test]
    fn every_request_gets_exactly_one_answer(steps in prop::collection::vec(step(), 1..200)) {
        let mut world = World::new();
        for step in &steps {
            world.step(step);
        }
        world.lose(ErrorKind::Closed);
        world.driver.give_up(&ErrorKind::Closed.into());
        world.read_answers();
        prop_assert!(world.open.is_empty(), "without an answer: {:?}", world.open);
        for (id, times) in world.effects {
            prop_assert_eq!(times, 1, "call {} ran more than once", id);
        }
    }

    #[test]
    fn time_alone_answers_every_call_but_a_subscription(
        methods in prop::collection::vec(0..METHODS.len(), 1..BUFFER),
        connected: bool,
    ) {
        let mut world = World::new();
        if connected {
            world.step(&Step::Connect);
        }
        for method in methods.into_iter().filter(|method| METHODS[*method] != ENDLESS) {
            world.step(&Step::Call(method));
            world.step(&Step::Write(1));
        }
        world.step(&Step::Wait(600));
        prop_assert!(world.open.is_empty());
    }
}
