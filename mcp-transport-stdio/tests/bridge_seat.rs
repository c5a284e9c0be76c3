//! Who has the seat, as a pure machine.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "tests fail where they stand, and have a clock"
)]

use mcp_transport_stdio::bridge::Claim;
use mcp_transport_stdio::bridge::seat::{Notice, Output, Peer, Policy, SeatConfig, Seats};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

fn seats(policy: Policy, notice: Notice) -> Seats {
    let mut config = SeatConfig::default();
    config.policy = policy;
    config.notice = notice;
    Seats::new(config)
}

fn outputs(seats: &mut Seats) -> Vec<Output> {
    std::iter::from_fn(|| seats.poll_output()).collect()
}

fn holder(seats: &Seats) -> Option<Peer> {
    seats.holder().map(|(peer, _)| peer)
}

#[test]
fn a_probe_costs_the_incumbent_nothing() {
    for policy in [Policy::NewestWins, Policy::ProtectIncumbent] {
        let now = Instant::now();
        let mut seats = seats(policy, Notice::Always);
        let incumbent = seats.arrive(now, "127.0.0.1:1").unwrap();
        seats.command(now, 0, incumbent).unwrap();
        for n in 0..63 {
            let probe = seats.arrive(now, n.to_string()).unwrap();
            seats.heard(now, probe);
            seats.leave(probe);
        }
        assert_eq!(outputs(&mut seats), []);
        assert_eq!(holder(&seats), Some(incumbent));
    }
}

#[test]
fn the_newest_wins_and_the_loser_is_told_by_whom_and_when() {
    let now = Instant::now();
    let mut seats = seats(Policy::NewestWins, Notice::Always);
    let first = seats.arrive(now, "127.0.0.1:1").unwrap();
    let second = seats.arrive(now, "[::1]:54321").unwrap();
    seats.command(now, 5, first).unwrap();
    seats.command(now, 7, second).unwrap();
    let [
        Output::Evict {
            peer,
            eviction,
            tell: true,
        },
    ] = &outputs(&mut seats)[..]
    else {
        panic!("one eviction");
    };
    assert_eq!(*peer, first);
    assert_eq!(eviction.newcomer(), Some("[::1]:54321"));
    assert_eq!(eviction.evicted_at_unix_ms(), Some(7));
    assert!(
        eviction.text().contains("[::1]:54321"),
        "{}",
        eviction.text()
    );
    // A frame that the loser had sent before is refused, and takes nothing back.
    let refusal = seats.command(now, 8, first).unwrap_err();
    assert_eq!(refusal.holder, "[::1]:54321");
    seats.claim(now, 9, first, Claim::Take);
    assert!(matches!(&outputs(&mut seats)[..], [Output::Refuse(peer, _)] if *peer == first));
    assert_eq!(holder(&seats), Some(second));
}

#[test]
fn the_notice_goes_to_whom_the_policy_says() {
    for (notice, announced, silent) in [
        (Notice::Always, true, true),
        (Notice::Announced, true, false),
        (Notice::Never, false, false),
    ] {
        let now = Instant::now();
        let mut seats = seats(Policy::NewestWins, notice);
        let peers: Vec<_> = (0..3)
            .map(|n| seats.arrive(now, n.to_string()).unwrap())
            .collect();
        seats.claim(now, 0, peers[0], Claim::Take);
        seats.command(now, 0, peers[1]).unwrap();
        seats.command(now, 0, peers[2]).unwrap();
        let told: Vec<_> = outputs(&mut seats)
            .iter()
            .filter_map(|output| match output {
                Output::Evict { tell, .. } => Some(*tell),
                _ => None,
            })
            .collect();
        assert_eq!(told, [announced, silent]);
    }
}

#[test]
fn a_protected_incumbent_keeps_the_seat_until_it_is_silent() {
    let start = Instant::now();
    let mut seats = seats(Policy::ProtectIncumbent, Notice::Always);
    let incumbent = seats.arrive(start, "127.0.0.1:1").unwrap();
    let newcomer = seats.arrive(start, "127.0.0.1:2").unwrap();
    seats.command(start, 0, incumbent).unwrap();

    // While its command runs it cannot speak, however long that takes.
    let late = start + Duration::from_secs(3600);
    let refusal = seats.command(late, 0, newcomer).unwrap_err();
    assert_eq!(refusal.holder, "127.0.0.1:1");
    assert!(refusal.text.contains("127.0.0.1:1"), "{}", refusal.text);
    seats.answered(late, incumbent);
    seats.claim(late + Duration::from_secs(30), 0, newcomer, Claim::Take);
    assert!(matches!(&outputs(&mut seats)[..], [Output::Refuse(peer, _)] if *peer == newcomer));

    seats.claim(late + Duration::from_secs(31), 0, newcomer, Claim::Take);
    let outputs = outputs(&mut seats);
    assert!(
        matches!(&outputs[..], [Output::Evict { .. }, Output::Grant(peer)] if *peer == newcomer)
    );
}

#[test]
fn whoever_waits_longest_gets_the_free_seat() {
    let now = Instant::now();
    let mut seats = seats(Policy::NewestWins, Notice::Always);
    let peers: Vec<_> = (0..4)
        .map(|n| seats.arrive(now, n.to_string()).unwrap())
        .collect();
    for peer in &peers {
        seats.claim(now, 0, *peer, Claim::IfFree);
    }
    assert_eq!(outputs(&mut seats), [Output::Grant(peers[0])]);
    seats.leave(peers[1]);
    seats.leave(peers[0]);
    assert_eq!(outputs(&mut seats), [Output::Grant(peers[2])]);
    seats.claim(now, 0, peers[3], Claim::Take);
    assert_eq!(holder(&seats), Some(peers[3]));
    assert_eq!(seats.waiting(), 0);
}

#[test]
fn who_shares_serves_everybody() {
    let now = Instant::now();
    let mut seats = seats(Policy::Share, Notice::Always);
    let peers: Vec<_> = (0..4)
        .map(|n| seats.arrive(now, n.to_string()).unwrap())
        .collect();
    seats.claim(now, 0, peers[0], Claim::Take);
    seats.claim(now, 0, peers[1], Claim::IfFree);
    seats.command(now, 0, peers[2]).unwrap();
    assert_eq!(
        outputs(&mut seats),
        [Output::Grant(peers[0]), Output::Grant(peers[1])]
    );
    assert!(peers.iter().all(|peer| seats.is_served(*peer)));
    assert_eq!(seats.holder(), None);
}

#[test]
fn connections_are_bounded() {
    let now = Instant::now();
    let mut seats = seats(Policy::NewestWins, Notice::Always);
    let peers: Vec<_> = (0..64)
        .map(|n| seats.arrive(now, n.to_string()).unwrap())
        .collect();
    assert!(seats.arrive(now, "one more").is_err());
    seats.leave(peers[17]);
    assert!(seats.arrive(now, "one more").is_ok());
}

/// A client of the simulation: it takes the seat once, or waits for it, and after a loss it waits.
#[derive(Debug)]
struct Client {
    peer: Option<Peer>,
    owns: bool,
}

/// Eight clients for ten minutes, in steps of 100 ms.
#[derive(Debug)]
struct World {
    seats: Seats,
    now: Instant,
    unix_ms: u64,
    clients: Vec<Client>,
    changes: usize,
    takes: usize,
    deaths: usize,
    last: Option<Peer>,
    told: BTreeMap<usize, (String, u64)>,
}

impl World {
    fn new() -> Self {
        let mut world = Self {
            seats: seats(Policy::NewestWins, Notice::Always),
            now: Instant::now(),
            unix_ms: 1_000_000,
            clients: (0..8)
                .map(|_| Client {
                    peer: None,
                    owns: false,
                })
                .collect(),
            changes: 0,
            takes: 0,
            deaths: 0,
            last: None,
            told: BTreeMap::new(),
        };
        world.dial(0, Claim::Take);
        (1..8).for_each(|n| world.dial(n, Claim::IfFree));
        world
    }

    fn dial(&mut self, n: usize, claim: Claim) {
        self.takes += usize::from(claim == Claim::Take);
        let peer = self
            .seats
            .arrive(self.now, format!("127.0.0.1:{n}"))
            .unwrap();
        self.clients[n].peer = Some(peer);
        self.seats.claim(self.now, self.unix_ms, peer, claim);
        self.drain();
    }

    /// Whoever loses the seat comes back as a standby: it never duels.
    fn drain(&mut self) {
        let mut losers = Vec::new();
        while let Some(output) = self.seats.poll_output() {
            let of =
                |peer: Peer, clients: &[Client]| clients.iter().position(|c| c.peer == Some(peer));
            match output {
                Output::Grant(peer) => {
                    let n = of(peer, &self.clients).expect("granted to one that is there");
                    self.clients[n].owns = true;
                }
                Output::Evict {
                    peer,
                    eviction,
                    tell,
                } => {
                    assert!(tell);
                    let n = of(peer, &self.clients).expect("evicted one that is there");
                    assert!(self.clients[n].owns, "evicted one that had nothing");
                    self.clients[n] = Client {
                        peer: None,
                        owns: false,
                    };
                    let by = eviction.newcomer().unwrap().to_owned();
                    self.told
                        .insert(n, (by, eviction.evicted_at_unix_ms().unwrap()));
                    losers.push((n, peer));
                }
                other => panic!("{other:?}"),
            }
            self.count();
        }
        for (n, peer) in losers {
            let (by, at) = &self.told[&n];
            assert_eq!(
                (by.as_str(), *at),
                (self.seats.holder().unwrap().1, self.unix_ms)
            );
            self.seats.leave(peer);
            self.dial(n, Claim::IfFree);
        }
    }

    fn count(&mut self) {
        let holder = holder(&self.seats);
        if holder.is_some() && holder != self.last {
            self.changes += 1;
            self.last = holder;
        }
    }

    fn take(&mut self, n: usize) {
        if let Some(peer) = self.clients[n].peer {
            // A client has one claim out at a time, so it hangs up and dials again.
            if self.clients[n].owns {
                return;
            }
            self.seats.leave(peer);
        }
        self.dial(n, Claim::Take);
    }

    fn kill_owner(&mut self) -> bool {
        let Some(n) = self.clients.iter().position(|client| client.owns) else {
            return false;
        };
        let peer = self.clients[n].peer.take().unwrap();
        self.clients[n].owns = false;
        self.deaths += 1;
        self.seats.leave(peer);
        self.drain();
        self.count();
        true
    }

    fn check(&self) {
        let owners: BTreeSet<_> = self
            .clients
            .iter()
            .filter(|c| c.owns)
            .map(|c| c.peer)
            .collect();
        assert_eq!(owners.len(), usize::from(self.seats.holder().is_some()));
        assert!(owners.iter().all(|peer| *peer == holder(&self.seats)));
        assert!(
            self.changes <= self.takes + self.deaths,
            "{} changes, {} takes, {} deaths",
            self.changes,
            self.takes,
            self.deaths
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn nobody_steals_the_seat_in_ten_minutes(
        events in proptest::collection::vec((0..6000_u64, 0..8_usize, 0..4_u8), 0..120),
    ) {
        let mut by_step: BTreeMap<u64, Vec<(usize, u8)>> = BTreeMap::new();
        for (step, client, what) in events {
            by_step.entry(step).or_default().push((client, what));
        }
        let mut world = World::new();
        let start = world.now;
        for step in 0..6000_u64 {
            world.now = start + Duration::from_millis(100 * step);
            world.unix_ms = 1_000_000 + 100 * step;
            for (client, what) in by_step.remove(&step).unwrap_or_default() {
                if what > 0 {
                    world.take(client);
                } else if world.kill_owner() && world.clients.iter().any(|c| c.peer.is_some()) {
                    // Exactly one standby has it, in the same step.
                    prop_assert!(world.seats.holder().is_some());
                }
                world.check();
            }
        }
    }
}
