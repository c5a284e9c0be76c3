//! The desk of the seed's dialect in simulated time.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    missing_docs,
    reason = "tests may"
)]

use mcp_transport_broker::broker::{Ask, Broker, ClientId, Config, Lease, Output, Ticket};
use mcp_transport_broker::foreign::Numbers;
use mcp_transport_broker::foreign::seed::Seed;
use mcp_transport_broker::native::{Era, Meet};
use mcp_transport_core::Message;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

const LEASE: Duration = Duration::from_secs(5);

struct World {
    now: Instant,
    broker: Broker,
    desk: Seed,
    client: ClientId,
    answers: BTreeMap<Ticket, Value>,
    /// How often each call was handed out.
    handed: BTreeMap<i64, u32>,
}

/// A call that a host has.
#[derive(Clone, Debug)]
struct Got {
    number: String,
    n: i64,
}

impl World {
    fn new(redeliver: bool) -> Self {
        let now = Instant::now();
        let mut broker = Broker::new(Config::default(), || [7; 16]);
        let meet = Meet {
            era: Era::Modern,
            version: "forwarded".into(),
        };
        let client = broker.meet(now, meet).unwrap();
        Self {
            now,
            broker,
            desk: Seed::new(Numbers::new(99), LEASE).redeliver(redeliver),
            client,
            answers: BTreeMap::new(),
            handed: BTreeMap::new(),
        }
    }

    fn pass(&mut self, time: Duration) {
        let until = self.now + time;
        while let Some(due) = self.broker.poll_timeout().filter(|due| *due <= until) {
            self.now = due.max(self.now);
            self.broker.handle_timeout(self.now);
        }
        self.now = until;
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(output) = self.broker.poll_output() {
            if let Output::Answer { ticket, message } = output {
                let former = self.answers.insert(ticket, message.json().unwrap());
                assert_eq!(former, None, "{ticket} was answered twice");
            }
        }
    }

    fn ask(&mut self, n: i64, method: &str) -> Ticket {
        let call = json!({"jsonrpc": "2.0", "id": n, "method": method});
        let ask: Ask = self.desk.ask().catalogue(false);
        let call = Message::from(call.to_string());
        let ticket = self.broker.ask(self.now, self.client, call, ask).unwrap();
        self.drain();
        ticket
    }

    fn park(&mut self) -> Lease {
        let lease = self.desk.parks(&mut self.broker, self.now).unwrap();
        self.drain();
        lease
    }

    fn die(&mut self, lease: Lease) {
        self.desk.died(&mut self.broker, self.now, lease);
        self.drain();
    }

    /// A pull that is answered at once.
    fn pull(&mut self) -> Option<Got> {
        let lease = self.park();
        let handouts = self.broker.pull(self.now, lease, 1);
        self.desk.unparked(&mut self.broker, self.now, lease);
        self.drain();
        let (number, message) = self.desk.work(handouts.first()?)?;
        let n = message.json::<Value>().unwrap()["id"].as_i64().unwrap();
        *self.handed.entry(n).or_default() += 1;
        let number = number.to_string();
        Some(Got { number, n })
    }

    fn push(&mut self, got: &Got) -> bool {
        let answer = json!({"jsonrpc": "2.0", "id": got.n, "result": {}});
        let answer = Message::from(answer.to_string());
        let taken = self
            .desk
            .push(&mut self.broker, self.now, &got.number, answer);
        self.drain();
        taken
    }

    fn outcome(&self, ticket: Ticket) -> &Value {
        &self.answers[&ticket]["error"]["data"]["outcome"]
    }
}

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn the_lease_ends_five_seconds_after_the_last_sign_and_not_before() {
    let mut world = World::new(false);
    let effect = world.ask(1, "tools/call");
    let got = world.pull().unwrap();
    world.pass(LEASE - Duration::from_millis(1));
    assert!(world.answers.is_empty());
    world.pass(Duration::from_millis(1));
    assert_eq!(world.outcome(effect), "unknown");
    // It was alive: what it says now is kept for whoever asks.
    assert!(world.push(&got));
    assert!(!world.push(&got));
}

#[test]
fn a_parked_socket_keeps_the_lease_and_the_last_one_that_dies_ends_it() {
    let mut world = World::new(false);
    let effect = world.ask(1, "tools/call");
    world.pull().unwrap();
    let (first, second) = (world.park(), world.park());
    world.pass(s(40));
    world.die(first);
    assert!(world.answers.is_empty(), "another one is parked");
    world.die(second);
    assert_eq!(world.outcome(effect), "unknown");
    // What dies later belongs to no lease.
    let next = world.park();
    world.die(first);
    assert_eq!(world.desk.parks(&mut world.broker, world.now), Ok(next));
}

#[test]
fn what_may_be_repeated_is_handed_to_the_next_host_and_the_rest_is_not() {
    for redeliver in [false, true] {
        let mut world = World::new(redeliver);
        let effect = world.ask(1, "tools/call");
        let read = world.ask(2, "resources/read");
        world.pull().unwrap();
        world.pull().unwrap();
        let lease = world.park();
        world.die(lease);
        if redeliver {
            assert_eq!(world.pull().unwrap().n, 1);
        } else {
            assert_eq!(world.outcome(effect), "unknown");
        }
        assert_eq!(world.pull().unwrap().n, 2);
        assert!(!world.answers.contains_key(&read));
    }
}

#[derive(Clone, Debug)]
enum Step {
    Ask(bool),
    Pass(u64),
    Pull,
    Push(usize),
    Lose(usize),
    Park,
    Die,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => any::<bool>().prop_map(Step::Ask),
        2 => prop_oneof![0..100_u64, 1_000..9_000_u64, 10_000..90_000_u64].prop_map(Step::Pass),
        5 => Just(Step::Pull),
        4 => any::<usize>().prop_map(Step::Push),
        1 => any::<usize>().prop_map(Step::Lose),
        1 => Just(Step::Park),
        1 => Just(Step::Die),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn whatever_happens_every_call_is_answered_once_and_what_has_an_effect_goes_out_once(
        steps in prop::collection::vec(step(), 0..120),
    ) {
        let mut world = World::new(false);
        let mut asked = BTreeSet::new();
        let mut effects = BTreeSet::new();
        let mut has: Vec<Got> = Vec::new();
        let mut parked: Vec<Lease> = Vec::new();
        for step in steps {
            match step {
                Step::Ask(is_effect) => {
                    let n = i64::try_from(asked.len()).unwrap();
                    if is_effect {
                        effects.insert(n);
                    }
                    let method = if is_effect { "tools/call" } else { "tools/list" };
                    asked.insert(world.ask(n, method));
                }
                Step::Pass(ms) => world.pass(Duration::from_millis(ms)),
                Step::Pull => has.extend(world.pull()),
                Step::Push(which) if !has.is_empty() => {
                    let got = has.swap_remove(which % has.len());
                    world.push(&got);
                }
                Step::Lose(which) if !has.is_empty() => {
                    has.swap_remove(which % has.len());
                }
                Step::Push(_) | Step::Lose(_) => {}
                Step::Park => parked.push(world.park()),
                Step::Die => {
                    if let Some(lease) = parked.pop() {
                        world.die(lease);
                    }
                }
            }
        }
        while let Some(lease) = parked.pop() {
            world.die(lease);
        }
        world.pass(s(3_600));
        for (n, times) in &world.handed {
            prop_assert!(*times == 1 || !effects.contains(n), "{} went out {} times", n, times);
        }
        let answered = BTreeSet::from_iter(world.answers.keys().copied());
        prop_assert_eq!(answered, asked);
    }
}
