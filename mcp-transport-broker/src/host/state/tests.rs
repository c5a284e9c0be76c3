//! The state against a broker and services that do whatever they may, in any order.

use super::*;
use crate::native::{Attached, BrokerInfo, Given, Resumed};
use proptest::prelude::*;
use std::collections::BTreeMap;

/// What one ticket has come to, as a broker and its services see it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Fate {
    /// At the broker: to be handed out, again perhaps.
    Queued,
    Unread,
    Read,
    Answered,
    Acknowledged,
    /// Nobody waits for it any more.
    Over,
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Ask(u8),
    Read(u8),
    Answer(u8),
    Say(u8),
    Cancel(u8),
    Gone(u8),
    Drop(u8),
    Push(bool),
    Acknowledge(u8),
    /// The lease breaks; another follows, of the same broker or of one that knows nothing.
    Lose(bool),
    /// The host goes and comes back.
    Leave,
}

fn step() -> impl Strategy<Value = Step> {
    let any = || any::<u8>();
    let whether = || prop::bool::ANY;
    prop_oneof![
        8 => any().prop_map(Step::Ask),
        8 => any().prop_map(Step::Read),
        6 => any().prop_map(Step::Answer),
        2 => any().prop_map(Step::Say),
        1 => any().prop_map(Step::Cancel),
        1 => any().prop_map(Step::Gone),
        1 => any().prop_map(Step::Drop),
        5 => whether().prop_map(Step::Push),
        4 => any().prop_map(Step::Acknowledge),
        1 => whether().prop_map(Step::Lose),
        1 => Just(Step::Leave),
    ]
}

struct World {
    state: State,
    /// Who asked it, and what became of it.
    tickets: BTreeMap<u64, (u8, Fate)>,
    /// The services, and what each has read and not answered.
    services: Vec<(Accepted, Vec<Message>)>,
    /// The clients that the broker has introduced on this lease.
    met: BTreeMap<u8, bool>,
    gone: BTreeSet<u8>,
    flying: Vec<(u64, Vec<Item>)>,
    leases: u64,
}

/// How many clients there are.
const CLIENTS: u8 = 3;

impl World {
    fn new() -> Self {
        let mut world = Self {
            state: State::default(),
            tickets: BTreeMap::new(),
            services: Vec::new(),
            met: BTreeMap::new(),
            gone: BTreeSet::new(),
            flying: Vec::new(),
            leases: 0,
        };
        world.attach(Vec::new());
        world
    }

    fn attach(&mut self, coming: Vec<u64>) {
        self.leases += 1;
        self.met.clear();
        let former = (self.leases > 1).then_some(Resumed { coming });
        self.state.attached(&Attached {
            lease: format!("lease {}", self.leases),
            ping_ms: 1,
            silence_ms: 1,
            broker: BrokerInfo {
                name: String::new(),
                version: String::new(),
                pid: 0,
            },
            former,
        });
        self.hand_out();
    }

    /// The broker hands out what it has.
    fn hand_out(&mut self) {
        let mut items = Vec::new();
        for (&ticket, (client, fate)) in &mut self.tickets {
            if *fate != Fate::Queued {
                continue;
            }
            *fate = Fate::Unread;
            let text = format!(
                r#"{{"jsonrpc":"2.0","id":{ticket},"method":"tools/call","params":{{"n":{ticket}}}}}"#
            );
            let first = self.met.insert(*client, true).is_none();
            items.push(Given {
                client: format!("c{client}"),
                ticket: Some(ticket),
                meet: first.then(|| Meet {
                    era: crate::native::Era::Modern,
                    version: "2026-07-28".to_owned(),
                }),
                message: serde_json::value::RawValue::from_string(text).ok(),
                ..Given::default()
            });
        }
        self.state.given(items);
        while let Ok(Some(accepted)) = self.state.accept() {
            self.services.push((accepted, Vec::new()));
        }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Ask(client) => {
                let client = client % CLIENTS;
                if !self.gone.contains(&client) {
                    let ticket = self.tickets.len() as u64 + 1;
                    self.tickets.insert(ticket, (client, Fate::Queued));
                    self.hand_out();
                }
            }
            Step::Read(which) => self.read(which),
            Step::Answer(which) => self.answer(which),
            Step::Say(which) => {
                if let Some((accepted, _)) = self.service(which) {
                    let key = accepted.key;
                    let says = Message::from(r#"{"jsonrpc":"2.0","method":"says"}"#);
                    let _ = self.state.write(key, says);
                }
            }
            Step::Cancel(which) => self.cancel(which),
            Step::Gone(client) => self.gone(client % CLIENTS),
            Step::Drop(which) => self.drop(which),
            Step::Push(may_go_alone) => self.push(may_go_alone),
            Step::Acknowledge(which) => self.acknowledge(usize::from(which)),
            Step::Lose(is_new) => self.lose(is_new),
            Step::Leave => self.leave(),
        }
        self.check();
    }

    fn service(&mut self, which: u8) -> Option<&mut (Accepted, Vec<Message>)> {
        let count = self.services.len().max(1);
        self.services.get_mut(usize::from(which) % count)
    }

    fn read(&mut self, which: u8) {
        let Some((accepted, _)) = self.service(which) else {
            return;
        };
        let key = accepted.key;
        let Read::Message(message) = self.state.read(key) else {
            return;
        };
        let Some(ticket) = message.id().and_then(Id::as_i64) else {
            return;
        };
        let fate = &mut self.tickets.get_mut(&(ticket as u64)).unwrap().1;
        assert_eq!(
            *fate,
            Fate::Unread,
            "{ticket} is read twice, or though it is over"
        );
        *fate = Fate::Read;
        self.service(which).unwrap().1.push(message);
    }

    fn answer(&mut self, which: u8) {
        let Some((accepted, owed)) = self.service(which) else {
            return;
        };
        let Some(request) = owed.pop() else { return };
        let key = accepted.key;
        let id = request.id().unwrap();
        let answer = Message::response(id, format!("answer {id}")).unwrap();
        let ticket = id.as_i64().unwrap() as u64;
        self.state.write(key, answer).unwrap();
        let fate = &mut self.tickets.get_mut(&ticket).unwrap().1;
        if *fate == Fate::Read {
            *fate = Fate::Answered;
        }
    }

    fn cancel(&mut self, which: u8) {
        let handed = |fate| matches!(fate, Fate::Unread | Fate::Read);
        let out: Vec<_> = self.tickets.iter().filter(|(_, it)| handed(it.1)).collect();
        let Some(&(&ticket, &(client, _))) = out.get(usize::from(which) % out.len().max(1)) else {
            return;
        };
        self.state.given(vec![Given {
            client: format!("c{client}"),
            ticket: Some(ticket),
            cancel: true,
            ..Given::default()
        }]);
        self.tickets.get_mut(&ticket).unwrap().1 = Fate::Over;
    }

    fn gone(&mut self, client: u8) {
        self.gone.insert(client);
        // A former service of it may be at work still; the broker waits for that no more, either.
        let met = self.met.contains_key(&client);
        for (&ticket, (of, fate)) in &mut self.tickets {
            if *of != client || matches!(fate, Fate::Acknowledged | Fate::Over) {
                continue;
            }
            if matches!(fate, Fate::Unread | Fate::Read) {
                let client = format!("c{client}");
                let (ticket, cancel) = (Some(ticket), true);
                self.state.given(vec![Given {
                    client,
                    ticket,
                    cancel,
                    ..Given::default()
                }]);
            }
            if *fate != Fate::Answered {
                *fate = Fate::Over;
            }
        }
        if met {
            let client = format!("c{client}");
            self.state.given(vec![Given {
                client,
                gone: true,
                ..Given::default()
            }]);
        }
    }

    fn drop(&mut self, which: u8) {
        if self.services.is_empty() {
            return;
        }
        let (accepted, _) = self
            .services
            .remove(usize::from(which) % self.services.len());
        // What it had is answered for it.
        let client = self.state.clients.get(&accepted.key);
        let had: Vec<_> = client
            .map(|it| it.ids.values().copied().collect())
            .unwrap_or_default();
        self.state.dropped(accepted.key);
        for ticket in had {
            let fate = &mut self.tickets.get_mut(&ticket).unwrap().1;
            assert!(matches!(fate, Fate::Unread | Fate::Read));
            *fate = Fate::Answered;
        }
    }

    fn push(&mut self, may_go_alone: bool) {
        let ready = match self.state.ready() {
            Ready::Alone if !may_go_alone => Ready::Nothing,
            ready => ready,
        };
        if ready != Ready::Nothing {
            let batch = self.state.batch(ready);
            assert!(!batch.1.is_empty());
            self.flying.push(batch);
        }
    }

    fn acknowledge(&mut self, which: usize) {
        if self.flying.is_empty() {
            return;
        }
        let (number, items) = self.flying.remove(which % self.flying.len());
        self.state.acknowledged(number, &[]);
        for item in items {
            let What::Answer { ticket } = item.what else {
                continue;
            };
            let (_, fate) = self.tickets.get_mut(&ticket).unwrap();
            assert!(
                matches!(fate, Fate::Answered | Fate::Acknowledged),
                "{ticket} is answered though it is {fate:?}"
            );
            assert_eq!(item.message.id().and_then(Id::as_i64), Some(ticket as i64));
            *fate = Fate::Acknowledged;
        }
    }

    /// What a broker must hear that the host has.
    fn expected(&self) -> Vec<u64> {
        let has = |fate| matches!(fate, Fate::Read | Fate::Answered);
        let has = self.tickets.iter().filter(|(_, it)| has(it.1));
        has.map(|(&ticket, _)| ticket).collect()
    }

    fn lose(&mut self, is_new: bool) {
        self.state.lost(&Error::new(ErrorKind::Disconnected));
        self.flying.clear();
        let former = self.state.former().unwrap();
        assert_eq!(former.received, self.expected());
        assert_eq!(former.coming, former.received);
        assert_eq!(former.lease, format!("lease {}", self.leases));
        self.back(is_new, former.coming);
    }

    fn leave(&mut self) {
        let unread = |it: &(u8, Fate)| it.1 == Fate::Unread;
        let unread = self.tickets.iter().filter(|(_, it)| unread(it));
        let unread: Vec<_> = unread.map(|(&ticket, _)| ticket).collect();
        let expected = self.expected();
        let departure = self.state.depart(true);
        self.flying.clear();
        assert_eq!(
            (&departure.untouched, &departure.coming),
            (&unread, &expected)
        );
        let mut all = [unread, expected].concat();
        all.sort_unstable();
        assert_eq!(departure.received, all);
        self.back(false, departure.coming);
    }

    fn back(&mut self, is_new: bool, coming: Vec<u64>) {
        for (_, fate) in self.tickets.values_mut() {
            match fate {
                Fate::Unread => *fate = Fate::Queued,
                Fate::Read | Fate::Answered if is_new => *fate = Fate::Over,
                _ => {}
            }
        }
        self.attach(if is_new { Vec::new() } else { coming });
    }

    /// What holds at any time.
    fn check(&self) {
        let state = &self.state;
        for (&ticket, entry) in &state.tickets {
            let fate = self.tickets[&ticket].1;
            let expected = match entry.state {
                Progress::Unread => Fate::Unread,
                Progress::Read => Fate::Read,
            };
            assert_eq!(fate, expected, "{ticket}");
        }
        for client in state.clients.values() {
            let read = client
                .ids
                .values()
                .filter(|it| state.tickets[it].state == Progress::Read);
            assert_eq!(client.owed, read.count());
        }
        let waiting: usize = state.clients.values().map(|client| client.waiting).sum();
        assert!(waiting <= state.outbox.waiting().count());
    }

    /// Everybody does what is left to do.
    fn finish(&mut self) {
        for round in 0..2_000 {
            for which in 0..self.services.len() {
                self.step(Step::Read(which as u8));
                self.step(Step::Answer(which as u8));
            }
            self.step(Step::Push(true));
            self.step(Step::Acknowledge(0));
            let over = |it: &(u8, Fate)| matches!(it.1, Fate::Acknowledged | Fate::Over);
            let pushed = self.flying.is_empty() && self.state.outbox.bytes() == 0;
            if self.tickets.values().all(over) && pushed && round > 1 {
                break;
            }
        }
    }
}

proptest! {
    #[test]
    fn every_call_is_read_at_most_once_on_a_lease_and_answered_once(
        steps in prop::collection::vec(step(), 0..160)
    ) {
        let mut world = World::new();
        for step in steps {
            world.step(step);
        }
        world.finish();
        for (ticket, (client, fate)) in &world.tickets {
            prop_assert!(
                matches!(fate, Fate::Acknowledged | Fate::Over),
                "{} of c{} is {:?}", ticket, client, fate
            );
        }
        prop_assert!(world.state.tickets.is_empty());
        prop_assert!(world.state.is_settled());
        prop_assert_eq!(world.state.outbox.bytes(), 0);
    }
}
