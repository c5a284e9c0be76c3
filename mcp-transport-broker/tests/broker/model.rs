//! Random histories of clients, hosts and time, and what must hold in each.
//!
//! A failure names its seed; `BROKER_SEED=n` plays that one alone, `BROKER_SEEDS=n` the first `n`.

use crate::rig::{self, ending, s};
use fastrand::Rng;
use mcp_transport_broker::broker::{
    Ask, Attachment, Broker, ClientId, Config, HandOver, Handout, Item, Lease, Operation, Output,
    Pushed, Ticket,
};
use mcp_transport_broker::native::{Attach, Detach, DetachReason, Era, Former, Meet, Word};
use mcp_transport_core::delivery::{Limits, Replay};
use mcp_transport_core::{Id, Message, Outcome};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

const STEPS: usize = 200;

fn seeds() -> std::ops::Range<u64> {
    let number = |name| {
        std::env::var(name)
            .ok()
            .map(|value| value.parse::<u64>().unwrap())
    };
    match number("BROKER_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("BROKER_SEEDS").unwrap_or(10_000),
    }
}

#[test]
fn every_history_follows_the_rules() {
    // Two at a time, each with half of the seeds.
    let halves = [0, 1].map(|half| {
        std::thread::spawn(move || {
            let mut sums = Sums::default();
            for seed in seeds().filter(|seed| seed % 2 == half) {
                let told = Told(seed);
                let mut world = World::new(seed);
                for _ in 0..STEPS {
                    world.step();
                }
                sums.add(&world.finish());
                std::mem::forget(told);
            }
            sums
        })
    });
    let mut sums = Sums::default();
    for half in halves {
        sums.add(&half.join().expect("a history failed; its seed is above"));
    }
    if seeds().count() > 1_000 {
        sums.assert_met();
    }
}

/// Names the seed of a history that panics.
struct Told(u64);

impl Drop for Told {
    fn drop(&mut self) {
        eprintln!("this was BROKER_SEED={}", self.0);
    }
}

/// What the histories met, so that none of it is met by accident only.
#[derive(Debug, Default)]
struct Sums {
    answered: u64,
    not_delivered: u64,
    running: u64,
    unknown: u64,
    redelivered: u64,
    late: u64,
    stray: u64,
    resumed: u64,
    replays: u64,
    closed: u64,
    busy: u64,
    unpulled: u64,
    cancelled: u64,
    catalogue: u64,
    replaced: u64,
    inherited: u64,
}

impl Sums {
    fn add(&mut self, other: &Self) {
        self.answered += other.answered;
        self.not_delivered += other.not_delivered;
        self.running += other.running;
        self.unknown += other.unknown;
        self.redelivered += other.redelivered;
        self.late += other.late;
        self.stray += other.stray;
        self.resumed += other.resumed;
        self.replays += other.replays;
        self.closed += other.closed;
        self.busy += other.busy;
        self.unpulled += other.unpulled;
        self.cancelled += other.cancelled;
        self.catalogue += other.catalogue;
        self.replaced += other.replaced;
        self.inherited += other.inherited;
    }

    fn assert_met(&self) {
        let all = [
            self.answered,
            self.not_delivered,
            self.running,
            self.unknown,
            self.redelivered,
            self.late,
            self.stray,
            self.resumed,
            self.replays,
            self.closed,
            self.busy,
            self.unpulled,
            self.cancelled,
            self.catalogue,
            self.replaced,
            self.inherited,
        ];
        assert!(all.iter().all(|&count| count > 100), "{self:?}");
    }
}

struct World {
    rng: Rng,
    broker: Broker,
    config: Config,
    now: Instant,
    clients: BTreeMap<ClientId, Client>,
    asked: BTreeMap<Ticket, Asked>,
    hosts: Vec<Host>,
    /// The lease that is alive, and whose it is.
    seat: Option<(Lease, usize)>,
    next_id: u64,
    next_instance: u64,
    operations: BTreeSet<String>,
    /// The one that a client was told of last.
    newest: Option<String>,
    sums: Sums,
    shut: bool,
}

struct Client {
    legacy: bool,
    initialised: bool,
    /// It has set its log level, which is said again as well.
    levelled: bool,
    /// How many answers of its replay are due on this lease.
    replaying: usize,
    /// The world does not know how many those are.
    unsure: bool,
    /// A lane that was taken over: it goes with its last call.
    once: bool,
}

impl Client {
    /// Its calls may have to wait for its handshake.
    fn is_held(&self) -> bool {
        self.replaying > 0 || self.unsure
    }
}

#[derive(Debug)]
struct Asked {
    client: ClientId,
    id: u64,
    replay: Replay,
    endless: bool,
    /// It is an `initialize`.
    initialises: bool,
    /// When it must be answered.
    due: Option<Instant>,
    state: State,
    /// Handings out of which no host has proved that they did not count.
    handed: u32,
    /// Where it is, as far as the world knows.
    place: Place,
    /// Told that it runs.
    running: bool,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    Waiting,
    Over,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Place {
    Broker,
    Host,
    /// With a host that is gone, and will still answer.
    Coming,
}

#[derive(Clone, Default)]
struct Host {
    instance: String,
    lease: Option<Lease>,
    name: String,
    window: usize,
    holds: bool,
    connections: usize,
    heard: Option<Instant>,
    unconnected_since: Option<Instant>,
    /// What it got on this lease and has not answered: requests of clients.
    got: BTreeMap<Ticket, Message>,
    started: BTreeSet<Ticket>,
    /// What its former life will still answer.
    coming: BTreeMap<Ticket, Message>,
    /// The broker's own requests: replays and inquiries.
    own: BTreeMap<Ticket, (ClientId, Message)>,
    /// What it has answered, or its former lives got.
    old: Vec<(Ticket, Message)>,
    met: BTreeSet<ClientId>,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let config = Config::default()
            .limits(
                Limits::default()
                    .ops(rng.usize(4..40))
                    .bytes(rng.usize(800..8_000))
                    .redeliveries(2),
            )
            .clients(rng.usize(3..12))
            .sessions(rng.usize(2..6))
            .late(rng.usize(1..8), rng.usize(2_000..9_000), s(600));
        let mut dice = rng.fork();
        let broker = Broker::new(config, move || std::array::from_fn(|_| dice.u8(..)));
        let hosts = (0..2)
            .map(|number| Host {
                instance: format!("i{number}"),
                window: rng.usize(1..8),
                holds: rng.bool(),
                ..Host::default()
            })
            .collect();
        Self {
            rng,
            broker,
            config,
            now: Instant::now(),
            clients: BTreeMap::new(),
            asked: BTreeMap::new(),
            hosts,
            seat: None,
            next_id: 0,
            next_instance: 2,
            operations: BTreeSet::new(),
            newest: None,
            sums: Sums::default(),
            shut: false,
        }
    }

    fn step(&mut self) {
        match self.rng.u32(0..100) {
            0..10 => self.meet(),
            10..32 => self.ask(),
            32..36 => self.hang_up(),
            36..39 => self.go(),
            39..42 => self.tell(),
            42..52 => self.attach(),
            52..68 => self.pull(),
            68..82 => self.answer(),
            82..84 => self.started(),
            84..86 => self.answer_again(),
            86..89 => self.detach(),
            89..91 => self.connect(),
            91..92 if self.rng.bool() => self.close_client(),
            91..92 => self.replace(),
            92..93 => self.ask_for_operations(),
            _ => self.wait(),
        }
        self.drain();
        self.check();
    }

    fn meet(&mut self) {
        let legacy = self.rng.bool();
        let (era, version) = if legacy {
            (Era::Legacy, rig::LEGACY)
        } else {
            (Era::Modern, rig::MODERN)
        };
        let meet = Meet {
            era,
            version: version.to_owned(),
        };
        if let Ok(client) = self.broker.meet(self.now, meet) {
            let new = Client {
                legacy,
                initialised: false,
                levelled: false,
                replaying: 0,
                unsure: false,
                once: false,
            };
            assert!(self.clients.insert(client, new).is_none());
        }
    }

    fn ask(&mut self) {
        let Some(client) = self.some_client() else {
            return;
        };
        self.next_id += 1;
        let id = self.next_id;
        let legacy = self.clients[&client].legacy;
        let initialised = self.clients[&client].initialised;
        let (method, endless) = match self.rng.u32(0..10) {
            _ if legacy && !initialised => ("initialize", false),
            0..5 => ("tools/call", false),
            5..8 => ("tools/list", false),
            8 => ("resources/read", false),
            _ if legacy => ("logging/setLevel", false),
            _ => ("subscriptions/listen", true),
        };
        let token = !endless && self.rng.u32(0..4) == 0;
        let mut params =
            json!({"protocolVersion": rig::LEGACY, "pad": "x".repeat(self.rng.usize(0..60))});
        if token {
            params["_meta"] = json!({"progressToken": id});
        }
        let request = json!({"jsonrpc":"2.0","id":id,"method":method,"params":params}).to_string();
        // Now and then a host that guards itself.
        let guarded = method == "tools/call" && self.rng.u32(0..6) == 0;
        let mut ask = Ask::default();
        if guarded {
            ask = ask.replay(Replay::HostGuards);
        }
        let asked = self
            .broker
            .ask(self.now, client, Message::from(request), ask);
        let Ok(ticket) = asked else {
            return;
        };
        if self.seat.is_none() && self.was_answered_at_once(ticket, id) {
            if let Some(client) = self.clients.get_mut(&client) {
                client.unsure |= method == "initialize" && client.initialised;
                client.initialised |= method == "initialize";
            }
            return;
        }
        let replay = match method {
            "tools/call" if guarded => Replay::HostGuards,
            "tools/call" | "logging/setLevel" => Replay::Never,
            _ => Replay::Safe,
        };
        let asked = Asked {
            client,
            id,
            replay,
            endless,
            initialises: method == "initialize",
            due: (!token && !endless).then(|| self.now + self.config.client_budget),
            state: State::Waiting,
            handed: 0,
            place: Place::Broker,
            running: false,
        };
        assert!(self.asked.insert(ticket, asked).is_none(), "a ticket again");
    }

    /// From the catalogue.
    fn was_answered_at_once(&mut self, ticket: Ticket, id: u64) -> bool {
        let mut answered = false;
        self.drain_with(|output| match output {
            Output::Answer {
                ticket: of,
                message,
            } if *of == ticket => {
                let asked = message.id().and_then(Id::as_i64);
                assert_eq!(asked, i64::try_from(id).ok());
                answered = true;
                true
            }
            _ => false,
        });
        self.sums.catalogue += u64::from(answered);
        answered
    }

    fn hang_up(&mut self) {
        let waiting = self.tickets(|asked| asked.state == State::Waiting);
        let Some(ticket) = self.some(&waiting) else {
            return;
        };
        let (client, id) = (self.asked[&ticket].client, self.asked[&ticket].id);
        if self.clients[&client].legacy && self.rng.bool() {
            let cancelled = json!({"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":id}});
            let cancelled = Message::from(cancelled.to_string());
            self.broker.tell(self.now, client, cancelled).unwrap();
            self.sums.cancelled += 1;
            let mut ended = false;
            self.drain_with(|output| match output {
                Output::Cancelled { ticket: over } => {
                    assert_eq!(*over, ticket);
                    ended = true;
                    true
                }
                _ => false,
            });
            assert!(ended, "a cancelled call is ended without an answer");
        } else {
            self.broker.hang_up(self.now, ticket);
        }
        self.asked.get_mut(&ticket).unwrap().state = State::Over;
    }

    fn go(&mut self) {
        let Some(client) = self.some_client() else {
            return;
        };
        self.broker.gone(self.now, client);
        self.forget_client(client);
    }

    fn forget_client(&mut self, client: ClientId) {
        self.clients.remove(&client);
        for asked in self.asked.values_mut() {
            if asked.client == client {
                asked.state = State::Over;
            }
        }
    }

    fn tell(&mut self) {
        let Some(client) = self.some_client() else {
            return;
        };
        let method = if self.rng.bool() {
            "notifications/initialized"
        } else {
            "notifications/roots/list_changed"
        };
        let message = rig::notification(method);
        let told = self.broker.tell(self.now, client, message);
        assert!(told.is_ok() || self.clients[&client].once, "{told:?}");
    }

    fn attach(&mut self) {
        let number = self.rng.usize(0..self.hosts.len());
        let holder = self.seat;
        let is_holder = holder.is_some_and(|(_, whose)| whose == number);
        if is_holder && self.rng.u32(0..4) != 0 {
            return;
        }
        let before = self.hosts[number].clone();
        let crashed = self.rng.u32(0..4) == 0;
        if crashed {
            self.next_instance += 1;
            let host = &mut self.hosts[number];
            host.instance = format!("i{}", self.next_instance);
            host.got.clear();
            host.coming.clear();
            host.name.clear();
        }
        let host = &mut self.hosts[number];
        let mut attach: Attach = rig::attach_of(&host.instance);
        attach.window = host.window;
        attach.holds_connection = host.holds;
        let mut resumes = false;
        if !host.name.is_empty() && self.rng.bool() {
            // It names what it got; now and then something of that was lost on the way, which it
            // proves by not naming it.
            let coming: Vec<u64> = host
                .got
                .iter()
                .chain(&host.coming)
                .filter(|_| self.rng.bool())
                .map(|(ticket, _)| ticket.get())
                .collect();
            let lost: Vec<Ticket> = host
                .got
                .keys()
                .copied()
                .filter(|ticket| {
                    !coming.contains(&ticket.get())
                        && !host.started.contains(ticket)
                        && self.rng.u32(0..4) == 0
                })
                .collect();
            let received = host.got.keys().filter(|ticket| !lost.contains(ticket));
            attach.former = Some(Former {
                lease: host.name.clone(),
                received: received.map(|ticket| ticket.get()).collect(),
                coming: coming.clone(),
            });
            if is_holder {
                for ticket in &lost {
                    if let Some(asked) = self.asked.get_mut(ticket) {
                        asked.handed -= u32::from(asked.place == Place::Host);
                    }
                }
            }
            let mut all = std::mem::take(&mut host.got);
            all.append(&mut host.coming);
            all.retain(|ticket, _| coming.contains(&ticket.get()));
            host.coming = all;
            resumes = true;
        }
        let alive = holder.is_some_and(|(_, whose)| self.is_alive(whose));
        let former = self.hosts[number].lease;
        let granted = self.broker.attach(self.now, Attachment::from(attach));
        let granted = match granted {
            Ok(granted) => granted,
            Err(refused) => {
                assert_eq!(
                    refused.error,
                    if self.shut {
                        Word::ShuttingDown
                    } else {
                        Word::Busy
                    }
                );
                assert!(self.shut || alive, "refused for a host that is gone");
                self.sums.busy += 1;
                // It is as if it had not asked.
                self.hosts[number] = before;
                self.drain();
                return;
            }
        };
        let superseded = is_holder && (!crashed || resumes);
        assert!(
            !alive || superseded || is_holder && former.is_none(),
            "a second host is attached while the first is alive"
        );
        self.sums.resumed += u64::from(resumes);
        self.drain();
        assert!(
            self.seat.is_none(),
            "the former lease was not said to be over"
        );
        self.seat = Some((granted.lease, number));
        for client in self.clients.values_mut() {
            client.replaying = if client.initialised {
                1 + usize::from(client.levelled)
            } else {
                0
            };
        }
        let host = &mut self.hosts[number];
        if !resumes {
            host.coming.clear();
        }
        for ticket in host.coming.keys() {
            let asked = self.asked.get_mut(ticket).unwrap();
            if asked.place == Place::Coming {
                asked.place = Place::Host;
            }
        }
        host.lease = Some(granted.lease);
        host.name = granted.name;
        host.got.clear();
        host.own.clear();
        host.met.clear();
        host.started.clear();
        host.heard = Some(self.now);
        host.unconnected_since = Some(self.now);
        host.connections = 0;
        if host.holds && self.rng.u32(0..8) != 0 {
            self.connect();
        }
    }

    /// By the world's own reckoning.
    fn is_alive(&self, number: usize) -> bool {
        let host = &self.hosts[number];
        let silent = host
            .heard
            .is_none_or(|heard| heard + self.config.silence <= self.now);
        let unconnected = host.holds
            && host
                .unconnected_since
                .is_some_and(|since| since + self.config.grace <= self.now);
        !silent && !unconnected
    }

    fn connect(&mut self) {
        let Some((lease, number)) = self.seat else {
            return;
        };
        let host = &mut self.hosts[number];
        let open = self.rng.usize(0..3);
        if open > 0 {
            host.unconnected_since = None;
        } else if host.connections > 0 {
            host.unconnected_since = Some(self.now);
        }
        host.connections = open;
        self.broker.connections(self.now, lease, open);
    }

    fn pull(&mut self) {
        let Some((lease, number)) = self.seat else {
            return;
        };
        self.broker.heard(self.now, lease);
        self.hosts[number].heard = Some(self.now);
        let max = self.rng.usize(1..12);
        let handouts = self.broker.pull(self.now, lease, max);
        assert!(handouts.len() <= max);
        self.drain();
        if self.seat.is_none() {
            assert!(handouts.is_empty());
            return;
        }
        if self.rng.u32(0..8) == 0 {
            // It could not be written.
            self.sums.unpulled += 1;
            if self.rng.bool() {
                self.hang_up_one_of(&handouts);
            }
            self.broker.unpull(self.now, lease, handouts);
            return;
        }
        self.take(number, max, handouts);
    }

    /// Between the pull and its failure a client hangs up.
    fn hang_up_one_of(&mut self, handouts: &[Handout]) {
        for handout in handouts {
            if let Item::Request { ticket, .. } = handout.item {
                if let Some(asked) = self.asked.get_mut(&ticket) {
                    if asked.state == State::Waiting {
                        asked.state = State::Over;
                        self.broker.hang_up(self.now, ticket);
                        return;
                    }
                }
            }
        }
    }

    fn take(&mut self, number: usize, max: usize, handouts: Vec<Handout>) {
        let full = handouts.len() == max;
        let mut last = 0;
        for handout in handouts {
            if !self.hosts[number].met.contains(&handout.client) && handout.item != Item::Gone {
                assert!(
                    handout.meet.is_some(),
                    "the host meets a client without a word"
                );
                self.hosts[number].met.insert(handout.client);
            } else {
                assert!(handout.meet.is_none(), "the host meets a client again");
            }
            match handout.item {
                Item::Request {
                    ticket,
                    message,
                    redelivered,
                } => {
                    if self.asked.contains_key(&ticket) {
                        assert!(ticket.get() > last, "out of order");
                        last = ticket.get();
                        self.hand_out(number, ticket, message, redelivered);
                    } else {
                        let host = &mut self.hosts[number];
                        host.own.insert(ticket, (handout.client, message));
                    }
                }
                Item::Aside(message) => {
                    let is_waiting = self
                        .clients
                        .get(&handout.client)
                        .is_some_and(|client| client.replaying > 0 && !client.unsure);
                    let is_replay = message.method() == Some("notifications/initialized");
                    assert!(
                        !is_waiting || is_replay,
                        "an aside came before the handshake"
                    );
                }
                Item::Cancel(ticket) => {
                    assert_eq!(self.asked[&ticket].state, State::Over);
                    self.hosts[number].got.remove(&ticket);
                    self.hosts[number].coming.remove(&ticket);
                }
                Item::Gone => {
                    if self
                        .clients
                        .get(&handout.client)
                        .is_some_and(|client| client.once)
                    {
                        self.forget_client(handout.client);
                    }
                    assert!(
                        !self.clients.contains_key(&handout.client),
                        "gone, and here"
                    );
                    self.hosts[number].met.remove(&handout.client);
                }
            }
        }
        let overtaken = self.asked.iter().find(|(ticket, asked)| {
            ticket.get() < last
                && asked.state == State::Waiting
                && asked.place == Place::Broker
                && !self.clients[&asked.client].is_held()
        });
        assert!(overtaken.is_none(), "{overtaken:?} was overtaken by {last}");
        let host = &self.hosts[number];
        let counted = host.got.keys().filter(|ticket| {
            let asked = &self.asked[ticket];
            !asked.endless && (asked.state == State::Waiting || asked.running)
        });
        let resumed = host.coming.keys().filter(|ticket| {
            let asked = &self.asked[ticket];
            let is_there = asked.place == Place::Host && !host.got.contains_key(ticket);
            is_there && (asked.state == State::Waiting || asked.running)
        });
        let (counted, resumed) = (counted.count(), resumed.count());
        assert!(
            counted <= host.window,
            "{counted} in a window of {}",
            host.window
        );
        if !full && counted + resumed < host.window {
            let left = self.asked.iter().find(|(_, asked)| {
                asked.state == State::Waiting
                    && asked.place == Place::Broker
                    && !self.clients[&asked.client].is_held()
            });
            assert!(
                left.is_none(),
                "{left:?} was not handed out; {counted} of {}, {:?} {:?}",
                host.window,
                self.broker,
                self.broker.status(self.now)
            );
        }
    }

    fn hand_out(&mut self, number: usize, ticket: Ticket, message: Message, redelivered: bool) {
        let asked = self.asked.get_mut(&ticket).unwrap();
        assert!(
            asked.state == State::Waiting || asked.running,
            "handed out, and nobody waits: {asked:?}"
        );
        assert_eq!(asked.place, Place::Broker, "handed out twice to one host");
        if let Some(client) = self.clients.get(&asked.client) {
            assert!(
                client.replaying == 0 || client.unsure,
                "handed out before its handshake"
            );
        }
        if asked.handed > 0 {
            assert_ne!(asked.replay, Replay::Never, "run twice: {asked:?}");
            assert!(redelivered, "again, and not flagged: {asked:?}");
            self.sums.redelivered += 1;
        } else {
            assert!(!redelivered, "flagged, and never handed out: {asked:?}");
        }
        asked.handed += 1;
        asked.place = Place::Host;
        self.hosts[number].got.insert(ticket, message);
    }

    fn answer(&mut self) {
        let Some((lease, number)) = self.seat else {
            return;
        };
        self.broker.heard(self.now, lease);
        self.hosts[number].heard = Some(self.now);
        if self.rng.bool() {
            self.answer_own(lease, number);
            return;
        }
        let host = &mut self.hosts[number];
        let from_former = self.rng.u32(0..3) == 0 && !host.coming.is_empty();
        let from = if from_former {
            &mut host.coming
        } else {
            &mut host.got
        };
        let tickets: Vec<Ticket> = from.keys().copied().collect();
        let Some(ticket) = self.some(&tickets) else {
            return;
        };
        let host = &mut self.hosts[number];
        let from = if from_former {
            &mut host.coming
        } else {
            &mut host.got
        };
        let message = from.remove(&ticket).unwrap();
        if from_former {
            host.got.remove(&ticket);
        }
        host.old.push((ticket, message.clone()));
        self.push(lease, ticket, &message, from_former);
    }

    fn push(&mut self, lease: Lease, ticket: Ticket, request: &Message, from_former: bool) {
        let method = request.method().unwrap();
        let fails = self.rng.u32(0..6) == 0;
        let answer = if fails {
            Message::error(request.id(), -32000, "no", None::<()>)
        } else if method == "initialize" {
            rig::result_of(request, &rig::initialize_result())
        } else {
            rig::result_of(request, &json!({"n": ticket.get()}))
        };
        let (state, running, client) = {
            let asked = &self.asked[&ticket];
            (asked.state, asked.running, asked.client)
        };
        let waits = state == State::Waiting;
        let pushed = self.broker.answer(self.now, lease, ticket, answer.clone());
        let mut answered = None;
        self.drain_with(|output| match output {
            Output::Answer {
                ticket: of,
                message,
            } if *of == ticket => {
                answered = Some(message.clone());
                true
            }
            _ => false,
        });
        match pushed {
            Pushed::Answered => {
                assert!(waits && !running);
                self.sums.inherited += u64::from(from_former && self.sums.replaced > 0);
                assert_eq!(answered, Some(answer), "not what the host said");
                self.sums.answered += 1;
                let asked = self.asked.get_mut(&ticket).unwrap();
                asked.state = State::Over;
                asked.place = Place::Host;
                if let Some(client) = self.clients.get_mut(&client) {
                    // To initialise twice starts over; and what a former life answered, this one
                    // has to hear again.
                    client.unsure |= method == "initialize" && (client.initialised || from_former);
                    client.initialised |= method == "initialize" && !fails;
                    client.levelled |= method == "logging/setLevel" && !fails;
                }
            }
            Pushed::Late => {
                assert!(!waits && answered.is_none());
                if let Some(client) = self.clients.get_mut(&client) {
                    client.unsure |= matches!(method, "initialize" | "logging/setLevel");
                }
                self.sums.late += 1;
            }
            // A former life's, and somebody else has answered since, or it was given up.
            Pushed::Stray => assert!(from_former && answered.is_none(), "{ticket} is stray"),
        }
    }

    fn answer_own(&mut self, lease: Lease, number: usize) {
        let tickets: Vec<Ticket> = self.hosts[number].own.keys().copied().collect();
        let Some(ticket) = self.some(&tickets) else {
            return;
        };
        let (client, message) = self.hosts[number].own.remove(&ticket).unwrap();
        let refuses = self.rng.u32(0..12) == 0;
        let answer = if refuses {
            Message::error(message.id(), -32000, "no", None::<()>)
        } else if message.method() == Some("initialize") {
            rig::result_of(&message, &rig::initialize_result())
        } else {
            let capabilities = json!({"tools":{}});
            rig::result_of(
                &message,
                &json!({"tools": [], "capabilities": capabilities}),
            )
        };
        let pushed = self.broker.answer(self.now, lease, ticket, answer);
        if let Some(client) = self.clients.get_mut(&client) {
            assert_eq!(pushed, Pushed::Answered);
            self.sums.replays += 1;
            client.replaying = client.replaying.saturating_sub(1);
        }
    }

    /// What was answered already, or was never this host's, is stray.
    fn answer_again(&mut self) {
        let Some((lease, number)) = self.seat else {
            return;
        };
        let old = &self.hosts[number].old;
        let Some((ticket, request)) = old.last().cloned() else {
            return;
        };
        let known = self.hosts[number].got.contains_key(&ticket)
            || self.hosts[number].coming.contains_key(&ticket);
        if known {
            return;
        }
        let answer = rig::result_of(&request, &json!({}));
        let pushed = self.broker.answer(self.now, lease, ticket, answer);
        assert_ne!(pushed, Pushed::Answered, "answered twice");
        self.sums.stray += u64::from(pushed == Pushed::Stray);
    }

    fn started(&mut self) {
        let Some((lease, number)) = self.seat else {
            return;
        };
        let tickets: Vec<Ticket> = self.hosts[number].got.keys().copied().collect();
        if let Some(ticket) = self.some(&tickets) {
            self.broker.started(lease, ticket);
            self.hosts[number].started.insert(ticket);
        }
    }

    fn detach(&mut self) {
        let Some((lease, number)) = self.seat else {
            return;
        };
        let host = &mut self.hosts[number];
        let had: Vec<u64> = host.got.keys().map(|ticket| ticket.get()).collect();
        let mut coming = BTreeMap::new();
        let mut untouched = Vec::new();
        for (ticket, message) in std::mem::take(&mut host.got) {
            match self.rng.u32(0..3) {
                0 => drop(coming.insert(ticket, message)),
                1 if !host.started.contains(&ticket) => untouched.push(ticket.get()),
                _ => {}
            }
        }
        // Now and then it says what it got: here, all of it.
        let received = self.rng.bool().then(|| had.clone());
        let detach = Detach {
            received,
            reason: if self.rng.bool() {
                DetachReason::Reloading
            } else {
                DetachReason::ShuttingDown
            },
            gap_ms: self.rng.bool().then(|| self.rng.u64(0..30_000)),
            untouched: untouched.clone(),
            coming: coming.keys().map(|ticket| ticket.get()).collect(),
        };
        host.coming.append(&mut coming);
        for ticket in untouched {
            if let Some(asked) = self.asked.get_mut(&Ticket::from(ticket)) {
                asked.handed -= u32::from(asked.place == Place::Host);
            }
        }
        self.broker.detach(self.now, lease, &detach);
    }

    fn close_client(&mut self) {
        let (Some((lease, number)), Some(client)) = (self.seat, self.some_client()) else {
            return;
        };
        if self.hosts[number].met.contains(&client) {
            self.broker.closed(self.now, lease, client);
            self.hosts[number].met.remove(&client);
            let asked = &self.asked;
            self.hosts[number]
                .got
                .retain(|ticket, _| asked[ticket].client != client);
        }
    }

    /// A newer broker takes over, while the older one's host finishes what it can.
    fn replace(&mut self) {
        let over = self.broker.hand_over(self.now);
        let mut ended = Vec::new();
        self.drain_with(|output| match output {
            Output::Cancelled { ticket } => {
                ended.push(*ticket);
                true
            }
            _ => false,
        });
        for ticket in ended {
            let asked = self.asked.get_mut(&ticket).unwrap();
            assert!(asked.endless, "ended by a replacement: {asked:?}");
            asked.state = State::Over;
        }
        let text = serde_json::to_string(&over).unwrap();
        let over: HandOver = serde_json::from_str(&text).unwrap();
        for call in &over.calls {
            let asked = &self.asked[&Ticket::from(call.ticket)];
            let is_waiting = asked.state == State::Waiting;
            assert!(is_waiting != call.told, "{asked:?} {call:?}");
            assert!(
                asked.handed == 0 || call.seen || call.coming_ms.is_some(),
                "{asked:?} {call:?}"
            );
        }
        let mut dice = self.rng.fork();
        let mut newer = Broker::new(self.config, move || std::array::from_fn(|_| dice.u8(..)));
        let taken = newer.take_over(self.now, over);
        let given = Vec::from_iter(taken.into_iter().map(|taken| taken.ticket));
        for _ in 0..self.rng.u32(0..12) {
            self.answer();
            self.drain();
        }
        while self.seat.is_some() {
            self.now = self.broker.poll_timeout().expect("it ends in time");
            self.broker.handle_timeout(self.now);
            self.drain();
        }
        // What the older one's host has answered after all, nobody claims any more.
        for ticket in given {
            if self.asked[&ticket].state == State::Over {
                newer.hang_up(self.now, ticket);
            }
        }
        // It has made room since for what came after.
        let is_kept = |id: &String| self.broker.operation(id) != Operation::Unknown;
        self.newest = self.newest.take().filter(is_kept);
        newer.take_rest(self.now, self.broker.rest(self.now));
        self.broker = newer;
        self.broker.handle_timeout(self.now);
        self.clients.retain(|client, who| {
            who.once = !who.legacy;
            let calls = self.asked.values();
            let mut waiting = calls.filter(|asked| asked.state == State::Waiting);
            who.legacy || waiting.any(|asked| asked.client == *client)
        });
        self.sums.replaced += 1;
    }

    fn ask_for_operations(&mut self) {
        let ids: Vec<String> = self.operations.iter().cloned().collect();
        for id in ids {
            if let Operation::Done(message) = self.broker.operation(&id) {
                assert!(message.body().is_some());
            }
        }
        assert_eq!(self.broker.operation("nobody's"), Operation::Unknown);
    }

    fn wait(&mut self) {
        let millis = match self.rng.u32(0..10) {
            0..5 => self.rng.u64(0..1_000),
            5..9 => self.rng.u64(0..15_000),
            _ => self.rng.u64(0..200_000),
        };
        let until = self.now + Duration::from_millis(millis);
        if self.rng.u32(0..20) == 0 {
            // The machine sleeps, and nobody's time is up for it.
            let gap = until - self.now;
            self.now = until;
            self.broker.slept(gap);
            for asked in self.asked.values_mut() {
                asked.due = asked.due.map(|due| due + gap);
            }
            for host in &mut self.hosts {
                host.heard = host.heard.map(|at| at + gap);
                host.unconnected_since = host.unconnected_since.map(|at| at + gap);
            }
            return;
        }
        let alive = self.rng.bool();
        while self.now < until {
            let step = (until - self.now).min(s(5));
            let next = self.broker.poll_timeout().map_or(step, |at| {
                at.saturating_duration_since(self.now)
                    .clamp(Duration::from_millis(1), step)
            });
            self.now += next;
            if let Some((lease, number)) = self.seat.filter(|_| alive) {
                self.broker.heard(self.now, lease);
                self.hosts[number].heard = Some(self.now);
            }
            self.broker.handle_timeout(self.now);
            self.drain();
        }
    }

    fn drain(&mut self) {
        self.drain_with(|_| false);
    }

    /// Takes what the broker wants done; what `takes` takes is not looked at further.
    fn drain_with(&mut self, mut takes: impl FnMut(&Output) -> bool) {
        while let Some(output) = self.broker.poll_output() {
            if takes(&output) {
                continue;
            }
            match output {
                Output::Answer { ticket, message } => self.ended(ticket, &message),
                Output::LeaseOver { lease } => {
                    let (current, number) = self.seat.take().expect("no lease is alive");
                    assert_eq!(lease, current);
                    let host = &mut self.hosts[number];
                    host.lease = None;
                    host.own.clear();
                    for asked in self.asked.values_mut() {
                        asked.place = if asked.handed > 0 && asked.replay == Replay::Never {
                            Place::Coming
                        } else {
                            Place::Broker
                        };
                    }
                    for client in self.clients.values_mut() {
                        client.replaying = 0;
                    }
                }
                Output::Closed { client } => {
                    let waits = self
                        .asked
                        .values()
                        .find(|asked| asked.client == client && asked.state == State::Waiting);
                    assert!(waits.is_none(), "closed, and {waits:?} waits");
                    self.sums.closed += 1;
                    self.forget_client(client);
                }
                Output::Tell { client, about, .. } => {
                    assert!(self.clients.contains_key(&client));
                    if let Some(about) = about {
                        assert_eq!(self.asked[&about].state, State::Waiting);
                    }
                }
                Output::Ready | Output::Catalogue(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    /// The broker ended a call itself: what it says must be true.
    fn ended(&mut self, ticket: Ticket, message: &Message) {
        let asked = self.asked.get_mut(&ticket).expect("a call");
        assert_eq!(
            asked.state,
            State::Waiting,
            "answered twice: {asked:?} {message:?}"
        );
        assert_eq!(
            message.id().and_then(Id::as_i64),
            i64::try_from(asked.id).ok()
        );
        asked.state = State::Over;
        let Some(ending) = ending(message) else {
            // The last host's catalogue answers what waited for it.
            assert!(self.seat.is_none() && asked.replay == Replay::Safe && !asked.endless);
            self.sums.catalogue += 1;
            if asked.initialises {
                let client = self.clients.get_mut(&asked.client).expect("it waits");
                // To initialise twice starts over.
                client.unsure |= client.initialised;
                client.initialised = true;
            }
            return;
        };
        match ending.outcome {
            Outcome::NotDelivered => {
                assert_eq!(asked.handed, 0, "it was delivered: {asked:?}");
                self.sums.not_delivered += 1;
            }
            Outcome::Running => {
                assert_eq!(asked.place, Place::Host, "it does not run: {asked:?}");
                asked.running = true;
                self.sums.running += 1;
            }
            Outcome::Unknown => {
                assert!(
                    asked.handed > 0,
                    "it was never delivered: {asked:?} {ending:?}"
                );
                self.sums.unknown += 1;
            }
        }
        if ending.outcome != Outcome::NotDelivered {
            let id = ending.operation_id.expect("an operation can be asked for");
            self.newest = Some(id.clone());
            self.operations.insert(id);
        }
    }

    fn check(&mut self) {
        if let Some(id) = self.newest.take() {
            let known = self.broker.operation(&id);
            // What ended after it in the same step may have taken its room.
            let results = self.broker.rest(self.now).results;
            let messages = results.iter().filter_map(|result| result.message.as_ref());
            let bytes: usize = messages.map(|message| message.get().len()).sum();
            assert!(
                known != Operation::Unknown || bytes + 1_000 > self.config.late.bytes,
                "a client was just told of it"
            );
        }
        let status = self.broker.status(self.now);
        let calls = status.queued + status.running + status.deferred;
        assert!(calls <= self.config.limits.ops);
        assert!(status.late <= self.config.late.results);
        assert!(status.sessions <= self.config.sessions && status.clients <= self.config.clients);
        assert_eq!(status.host.is_some(), self.seat.is_some());
        let waiting = self
            .asked
            .values()
            .filter(|asked| asked.state == State::Waiting);
        let mut count = 0;
        for asked in waiting {
            count += 1;
            let due = asked.due.is_none_or(|due| {
                due > self.now || self.broker.poll_timeout().is_some_and(|at| at <= self.now)
            });
            assert!(due, "it is overdue: {asked:?}");
        }
        assert!(count <= calls, "{count} wait, of {calls}");
    }

    fn finish(mut self) -> Sums {
        self.shut = true;
        self.broker.shut_down(self.now);
        self.drain();
        let waits = self
            .asked
            .iter()
            .find(|(_, asked)| asked.state == State::Waiting);
        assert!(waits.is_none(), "{waits:?} has no answer");
        let status = self.broker.status(self.now);
        assert_eq!((status.queued, status.running, status.deferred), (0, 0, 0));
        assert_eq!((status.clients, status.sessions), (0, 0));
        assert!(self.seat.is_none());
        self.attach();
        self.broker.handle_timeout(self.now + s(601));
        assert_eq!(
            self.broker.poll_timeout(),
            None,
            "something is left: {:?}",
            self.broker
        );
        assert_eq!(self.broker.status(self.now).late, 0);
        self.sums
    }

    fn some_client(&mut self) -> Option<ClientId> {
        let clients: Vec<ClientId> = self.clients.keys().copied().collect();
        self.some(&clients)
    }

    fn tickets(&self, which: impl Fn(&Asked) -> bool) -> Vec<Ticket> {
        self.asked
            .iter()
            .filter(|(_, asked)| which(asked))
            .map(|(&ticket, _)| ticket)
            .collect()
    }

    fn some<T: Copy>(&mut self, from: &[T]) -> Option<T> {
        self.rng.choice(from).copied()
    }
}
