//! The desk of the Funplay dialect in simulated time: what hours of reloads do to calls.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    missing_docs,
    reason = "tests may"
)]

use mcp_transport_broker::broker::{
    Ask, Broker, ClientId, Config, Handout, Item, Lease, Output, Ticket,
};
use mcp_transport_broker::foreign::Numbers;
use mcp_transport_broker::foreign::funplay::{Desk, Push, Work};
use mcp_transport_broker::native::{Era, Meet, Refused, Word};
use mcp_transport_core::Message;
use mcp_transport_core::delivery::Replay;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

const WORKING: Duration = Duration::from_secs(300);

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A broker with its desk, and a clock that only moves when told to.
struct World {
    start: Instant,
    now: Instant,
    broker: Broker,
    desk: Desk,
    client: ClientId,
    /// What each call was answered.
    answers: BTreeMap<Ticket, Value>,
    told: Vec<Value>,
}

/// What a plugin got.
#[derive(Clone, Debug)]
struct Got {
    number: String,
    flagged: bool,
    n: i64,
}

impl World {
    fn new() -> Self {
        Self::with(Config::default())
    }

    /// One in which calls wait for long.
    fn patient() -> Self {
        Self::with(Config::default().hold(s(10_000)))
    }

    fn with(config: Config) -> Self {
        let mut dice = 0_u8;
        let random = move || {
            dice = dice.wrapping_add(1);
            [dice; 16]
        };
        let mut broker = Broker::new(config, random);
        let now = Instant::now();
        let meet = Meet {
            era: Era::Modern,
            version: "forwarded".into(),
        };
        let client = broker.meet(now, meet).unwrap();
        Self {
            start: now,
            now,
            broker,
            desk: Desk::new(Numbers::new(77), WORKING),
            client,
            answers: BTreeMap::new(),
            told: Vec::new(),
        }
    }

    /// Time passes, and everything that is due happens.
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
            match output {
                Output::Answer { ticket, message } => {
                    let former = self.answers.insert(ticket, message.json().unwrap());
                    assert_eq!(former, None, "{ticket} was answered twice");
                }
                Output::Tell { message, .. } => self.told.push(message.json().unwrap()),
                _ => {}
            }
        }
    }

    fn ask(&mut self, n: i64, budget: Option<Duration>) -> Ticket {
        let call = json!({"jsonrpc": "2.0", "id": n, "method": "tools/call",
            "params": {"name": "x", "arguments": {"n": n}}});
        let mut ask = Ask::default().replay(Replay::HostGuards).catalogue(false);
        ask.budget = budget;
        let message = Message::from(call.to_string());
        let ticket = self.broker.ask(self.now, self.client, message, ask);
        let ticket = ticket.unwrap();
        self.drain();
        ticket
    }

    fn attach(&mut self, session: &str) -> Result<Option<Lease>, Refused> {
        let attached = self.desk.attach(&mut self.broker, self.now, session);
        self.drain();
        attached
    }

    /// One pull; its connection is there for no time.
    fn pull(&mut self, session: &str) -> Result<Option<Got>, Refused> {
        let lease = self.desk.pull(&mut self.broker, self.now, session)?;
        self.broker.connections(self.now, lease, 1);
        let handouts = self.broker.pull(self.now, lease, 1);
        self.broker.connections(self.now, lease, 0);
        let got = handouts.first().map(|handout| self.got(handout));
        self.drain();
        Ok(got)
    }

    /// A pull that found a call, but could not be written.
    fn pull_into_nothing(&mut self, session: &str) {
        let Ok(lease) = self.desk.pull(&mut self.broker, self.now, session) else {
            return;
        };
        self.broker.connections(self.now, lease, 1);
        let handouts = self.broker.pull(self.now, lease, 1);
        self.broker.unpull(self.now, lease, handouts);
        self.broker.connections(self.now, lease, 0);
        self.drain();
    }

    fn got(&mut self, handout: &Handout) -> Got {
        let Item::Request { message, .. } = &handout.item else {
            panic!("only calls are asked here");
        };
        let Ok(call) = message.json::<Value>() else {
            panic!("a call is JSON");
        };
        match self.desk.work(handout) {
            Work::Give {
                number, flagged, ..
            } => Got {
                number: number.to_string(),
                flagged,
                n: call["params"]["arguments"]["n"].as_i64().unwrap(),
            },
            other => panic!("{other:?}"),
        }
    }

    fn push(&mut self, session: &str, got: &Got) -> bool {
        let body =
            json!({"jsonrpc": "2.0", "id": 1, "result": {"n": got.n, "flagged": got.flagged}});
        self.push_body(session, &got.number, &body.to_string())
    }

    fn push_body(&mut self, session: &str, number: &str, body: &str) -> bool {
        let push = Push {
            number,
            is_stream: false,
            body: body.as_bytes(),
        };
        let taken = self.desk.push(&mut self.broker, self.now, session, push);
        self.drain();
        taken
    }

    fn detach(&mut self, session: &str) {
        self.desk.detach(&mut self.broker, self.now, session);
        self.drain();
    }

    fn is_busy(&mut self, session: &str) -> bool {
        self.attach(session)
            .is_err_and(|refused| refused.error == Word::Busy)
    }
}

#[test]
fn a_reload_of_thirteen_seconds_under_a_call_every_50_ms_fails_none() {
    let mut world = World::new();
    let mut asked = BTreeMap::new();
    let mut flagged = 0;
    for n in 0..600 {
        asked.insert(world.ask(n, None), n);
        let at = world.now - world.start;
        let session = if at < s(5) { "first" } else { "second" };
        if at == s(5) {
            // It has one, and unloads.
            assert!(world.pull("first").unwrap().is_some());
            world.detach("first");
        }
        // For thirteen seconds nobody is there; then there is work for a while.
        if at < s(5) || at >= s(18) {
            for _ in 0..4 {
                let Some(got) = world.pull(session).unwrap() else {
                    break;
                };
                flagged += u32::from(got.flagged);
                world.pass(ms(5));
                assert!(world.push(session, &got));
            }
        }
        let step = s(0) + ms(50) * u32::try_from(n + 1).unwrap();
        let next = (world.start + step).saturating_duration_since(world.now);
        world.pass(next);
    }
    for (ticket, n) in asked {
        assert_eq!(world.answers[&ticket]["id"], n);
        assert_eq!(world.answers[&ticket]["result"]["n"], n, "{n}");
    }
    assert_eq!(flagged, 1);
}

#[test]
fn a_session_is_alive_for_exactly_as_long_as_its_call_is_young() {
    let mut world = World::patient();
    world.ask(1, Some(s(1_000)));
    world.pull("first").unwrap().unwrap();
    world.pass(WORKING - ms(1));
    assert!(world.is_busy("second"));
    assert!(world.pull("second").is_err());
    world.pass(ms(1));
    assert!(!world.is_busy("second"));
    assert!(world.pull("second").unwrap().unwrap().flagged);
}

#[test]
fn a_session_without_a_call_is_alive_for_two_seconds() {
    let mut world = World::new();
    assert!(world.pull("first").unwrap().is_none());
    world.pass(ms(1_999));
    assert!(world.is_busy("second"));
    world.pass(ms(1));
    assert!(!world.is_busy("second"));
    // The first may not come back while the second is alive.
    assert!(world.is_busy("first"));
}

#[test]
fn a_parked_pull_keeps_a_session_alive_for_ever() {
    let mut world = World::new();
    let lease = world
        .desk
        .pull(&mut world.broker, world.now, "first")
        .unwrap();
    world.broker.connections(world.now, lease, 1);
    world.pass(s(3_600));
    assert!(world.is_busy("second"));
    world.broker.connections(world.now, lease, 0);
    world.pass(s(2));
    assert!(!world.is_busy("second"));
}

#[test]
fn a_client_hears_in_time_that_a_slow_tool_runs_and_may_have_the_result_later() {
    let mut world = World::new();
    let ticket = world.ask(1, None);
    let got = world.pull("first").unwrap().unwrap();
    world.pass(s(50));
    let data = world.answers[&ticket]["error"]["data"].clone();
    assert_eq!(data["outcome"], "running");
    // Longer than anybody takes it for alive.
    world.pass(s(350));
    assert!(world.push("first", &got));
    let id = data["operation_id"].as_str().unwrap();
    let result = format!("{:?}", world.broker.operation(id));
    assert!(result.starts_with("Done"), "{result}");
}

#[test]
fn the_push_of_a_tool_of_ten_minutes_is_taken_if_nobody_else_came() {
    let mut world = World::patient();
    let ticket = world.ask(1, Some(s(1_000)));
    let got = world.pull("first").unwrap().unwrap();
    world.pass(s(600));
    assert!(world.push("first", &got));
    assert_eq!(world.answers[&ticket]["result"]["flagged"], false);
    // And not handed out again.
    assert!(world.pull("first").unwrap().is_none());
}

#[test]
fn a_call_that_waited_for_too_long_ends_as_unknown_and_its_late_push_is_kept() {
    let mut world = World::new();
    let ticket = world.ask(1, Some(s(1_000)));
    let got = world.pull("first").unwrap().unwrap();
    world.pass(WORKING);
    let data = world.answers[&ticket]["error"]["data"].clone();
    assert_eq!(data["outcome"], "unknown");
    assert!(world.push("first", &got));
    let id = data["operation_id"].as_str().unwrap();
    let kept = format!("{:?}", world.broker.operation(id));
    assert!(kept.starts_with("Done"), "{kept}");
}

#[test]
fn a_push_after_another_session_took_over_is_refused() {
    let mut world = World::patient();
    let ticket = world.ask(1, Some(s(1_000)));
    let got = world.pull("first").unwrap().unwrap();
    world.pass(WORKING);
    let again = world.pull("second").unwrap().unwrap();
    assert!(!world.push("first", &got));
    assert!(world.push("second", &again));
    assert_eq!(world.answers[&ticket]["result"]["flagged"], true);
}

#[test]
fn what_a_plugin_that_unloads_could_not_run_waits_for_the_next_and_is_no_redelivery() {
    const STOPPING: &str = r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32000,"message":"MCP server is stopping or not ready."}}"#;
    let mut world = World::new();
    let first = world.ask(1, None);
    let second = world.ask(2, None);
    for life in ["first", "first", "second"] {
        let got = world.pull(life).unwrap().unwrap();
        assert_eq!((got.n, got.flagged), (1, false));
        assert!(world.push_body(life, &got.number, STOPPING));
        assert!(world.pull(life).is_err(), "it unloads");
        world.pass(ms(500));
    }
    // One that never gets further is told to the client.
    let got = world.pull("third").unwrap().unwrap();
    assert!(world.push_body("third", &got.number, STOPPING));
    assert_eq!(world.answers[&first]["id"], 1);
    assert_eq!(world.answers[&first]["error"]["code"], -32000);
    // The same words to an id are an answer as any.
    let got = world.pull("third").unwrap().unwrap();
    let told = STOPPING.replace("null", "2");
    assert!(world.push_body("third", &got.number, &told));
    assert_eq!(world.answers[&second]["error"]["code"], -32000);
}

#[test]
fn a_poison_call_ends_as_unknown_after_a_few_crashes() {
    let mut world = World::new();
    let ticket = world.ask(1, Some(s(10_000)));
    let mut handed_out = 0;
    for life in 0..20 {
        let session = format!("life {life}");
        if world.pull(&session).unwrap().is_some() {
            handed_out += 1;
        }
        world.detach(&session);
    }
    assert_eq!(handed_out, 4, "once, and three times again");
    let data = &world.answers[&ticket]["error"]["data"];
    assert_eq!(data["outcome"], "unknown");
}

#[test]
fn a_call_that_the_plugin_guards_never_goes_twice_to_a_host_that_does_not() {
    use mcp_transport_broker::broker::{Attachment, Life};
    use mcp_transport_broker::native::Host;
    let mut world = World::new();
    let seen = world.ask(1, None);
    let unseen = world.ask(2, None);
    world.pull("first").unwrap().unwrap();
    world.detach("first");
    let life = Life::Heard {
        holds_connection: false,
    };
    let other = Attachment::foreign(Host::default(), 10, life);
    let lease = world.broker.attach(world.now, other).unwrap().lease;
    let handouts = world.broker.pull(world.now, lease, 10);
    world.drain();
    assert_eq!(world.answers[&seen]["error"]["data"]["outcome"], "unknown");
    assert_eq!(handouts.len(), 1);
    assert!(!world.answers.contains_key(&unseen));
}

#[test]
fn nobody_in_particular_attaches_nothing() {
    let mut world = World::new();
    assert_eq!(world.attach("").unwrap(), None);
    assert!(world.attach(&"x".repeat(300)).is_err());
    assert!(!world.is_busy("first"));
}

/// What may happen next.
#[derive(Clone, Debug)]
enum Step {
    Ask,
    Pass(u64),
    Attach(u8),
    Pull(u8),
    LosePull(u8),
    Unwritten(u8),
    Push(u8),
    LosePush(u8),
    Detach(u8),
    Crash(u8),
}

fn step() -> impl Strategy<Value = Step> {
    let who = 0..3_u8;
    prop_oneof![
        4 => Just(Step::Ask),
        3 => prop_oneof![0..100_u64, 500..3_000_u64, 10_000..400_000_u64].prop_map(Step::Pass),
        1 => who.clone().prop_map(Step::Attach),
        6 => who.clone().prop_map(Step::Pull),
        1 => who.clone().prop_map(Step::LosePull),
        1 => who.clone().prop_map(Step::Unwritten),
        5 => who.clone().prop_map(Step::Push),
        1 => who.clone().prop_map(Step::LosePush),
        1 => who.clone().prop_map(Step::Detach),
        1 => who.prop_map(Step::Crash),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// Three editors that reload, crash, and lose what they send and get, at any time.
    #[test]
    fn whatever_happens_every_call_is_answered_once_and_none_runs_twice(
        steps in prop::collection::vec(step(), 0..120),
    ) {
        let mut world = World::new();
        let mut lives = [0_u32; 3];
        let mut has: [Option<Got>; 3] = [None, None, None];
        let mut effects = BTreeSet::new();
        let mut asked = BTreeSet::new();
        let name = |who: u8, lives: &[u32; 3]| format!("{who}/{}", lives[usize::from(who)]);
        for step in steps {
            match step {
                Step::Ask => {
                    let n = i64::try_from(asked.len()).unwrap();
                    asked.insert(world.ask(n, None));
                }
                Step::Pass(time) => world.pass(ms(time)),
                Step::Attach(who) => {
                    let _ = world.attach(&name(who, &lives));
                }
                Step::Pull(who) => {
                    if let Ok(got) = world.pull(&name(who, &lives)) {
                        if let Some(got) = got.as_ref().filter(|got| !got.flagged) {
                            prop_assert!(effects.insert(got.n), "{} ran twice", got.n);
                        }
                        has[usize::from(who)] = got;
                    }
                }
                Step::LosePull(who) => {
                    // Handed out, and for all the broker knows it arrived.
                    let _ = world.pull(&name(who, &lives));
                }
                Step::Unwritten(who) => world.pull_into_nothing(&name(who, &lives)),
                Step::Push(who) => {
                    if let Some(got) = has[usize::from(who)].take() {
                        world.push(&name(who, &lives), &got);
                    }
                }
                Step::LosePush(who) => has[usize::from(who)] = None,
                Step::Detach(who) => {
                    world.detach(&name(who, &lives));
                    lives[usize::from(who)] += 1;
                    has[usize::from(who)] = None;
                }
                Step::Crash(who) => {
                    lives[usize::from(who)] += 1;
                    has[usize::from(who)] = None;
                }
            }
        }
        world.pass(s(3_600));
        let answered = BTreeSet::from_iter(world.answers.keys().copied());
        prop_assert_eq!(answered, asked);
    }
}
