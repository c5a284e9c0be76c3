//! Clients, the broker and the host, each a process of its own, each killed at random moments.
//!
//! A failure names the seed of its kills: `CHAOS_SEED=n` plays them again, as far as processes
//! repeat themselves. `CHAOS_ROUNDS=n` sets how many there are. What processes leave behind is seen on
//! Linux alone, in `/proc`.
#![cfg(feature = "cli")]
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    missing_docs,
    reason = "a test waits for processes"
)]

mod actor;
mod client;
mod host;
mod ledger;
#[path = "../launch/rig.rs"]
#[allow(dead_code, reason = "a part of it is needed")]
mod rig;
#[path = "../server_support/mod.rs"]
mod server_support;

use actor::Actor;
use fastrand::Rng;
use futures::future::join_all;
use ledger::{Sums, Tail};
use mcp_transport_broker::launch::Launched;
use rig::{Rig, is_free, until};
use serde_json::Value;
use std::path::Path;
use std::time::Duration;
use tokio::time::sleep;

/// So many at once: most of the time they wait for one another.
const RIGS: u64 = 25;

#[tokio::test]
async fn whoever_is_killed_every_request_is_answered_or_unknown_and_none_runs_twice() {
    let number = |name: &str| std::env::var(name).ok()?.parse::<u64>().ok();
    let seed = number("CHAOS_SEED").unwrap_or_else(|| fastrand::u64(..));
    let rounds = number("CHAOS_ROUNDS").unwrap_or(200).div_ceil(RIGS);
    println!("CHAOS_SEED={seed}");
    let rigs = (0..RIGS).map(|rig| {
        // Every other broker lives through it all, and has time to gather what it should not keep.
        let spare = rig % 2 == 1;
        chaos(Rng::with_seed(seed ^ rig), rounds, spare)
    });
    let mut sums = Sums::default();
    for (rig, one) in (0..).zip(join_all(rigs).await) {
        println!("rig {rig}: {one:?}");
        if rig % 2 == 1 {
            assert_eq!(one.ended, 0, "a broker that lives cuts nobody off");
        }
        sums.add(&one);
    }
    println!("together: {sums:?}");
    assert!(sums.kills.iter().all(|&kills| kills > rounds));
    let met = [sums.answered, sums.unknown, sums.ended, sums.redelivered];
    assert!(rounds < 8 || met.iter().all(|&count| count > 0), "{met:?}");
}

async fn chaos(mut rng: Rng, rounds: u64, spare_the_broker: bool) -> Sums {
    let rig = Rig::new("chaos");
    std::fs::create_dir_all(rig.folder()).unwrap();
    let [journal, ledger] = ["journal", "ledger"].map(|name| rig.folder().join(name));
    let mut host = Actor::start("host", &rig, &journal);
    let mut client = Actor::start("client", &rig, &ledger);
    let mut tail = Tail::of(&ledger);
    let mut kills = [0; 3];
    tail.until_an_answer().await;
    for _ in 0..rounds {
        // Else it happens while they are still getting over the last time.
        if rng.u8(..4) > 0 {
            tail.until_an_answer().await;
        }
        sleep(Duration::from_millis(rng.u64(..100))).await;
        let broker = rig.launch().find().await.ok().flatten();
        // Nor can it be killed while nobody has started it again.
        let spared = spare_the_broker || broker.is_none();
        let victim = rng.usize(usize::from(spared)..3);
        kills[victim] += 1;
        match (victim, broker) {
            (0, Some(broker)) => rig::kill(broker.pid()),
            (1, _) => host.is_killed_and_comes_back(&rig, &mut rng).await,
            _ => client.is_killed_and_comes_back(&rig, &mut rng).await,
        }
    }
    // Who is left goes on; what a broker said before it was killed may be read after that.
    let broker = found(&rig).await;
    tail.until_an_answer().await;
    client.ends_in_order().await;
    host.ends_in_order().await;
    leaves_nothing(&rig, &broker).await;
    let mut sums = ledger::judge(&ledger, &journal, client.killed());
    sums.kills = kills;
    std::fs::remove_file(ledger).unwrap();
    std::fs::remove_file(journal).unwrap();
    broker.stop().await.unwrap();
    until(|| is_free(rig.port()) && of_folder(rig.folder()) == 0).await;
    sums
}

/// The broker, once the host has one again.
async fn found(rig: &Rig) -> Launched {
    for _ in 0..2_000 {
        if let Ok(Some(broker)) = rig.launch().find().await {
            return broker;
        }
        sleep(Duration::from_millis(10)).await;
    }
    panic!("nobody starts a broker");
}

/// It has what a broker has that was started a moment ago, and nobody's call.
async fn leaves_nothing(rig: &Rig, broker: &Launched) {
    let mut status = Value::Null;
    let mut is_settled = false;
    // That a process is gone is seen before the end of its connections is.
    for _ in 0..2_000 {
        status = serde_json::from_str(&broker.status().await.unwrap()).unwrap();
        let calls = ["queued", "running", "deferred"];
        // A session outlives its client's process; a lane does not.
        is_settled =
            calls.iter().all(|&what| status[what] == 0) && status["clients"] == status["sessions"];
        if is_settled {
            break;
        }
        sleep(Duration::from_millis(10)).await;
    }
    assert!(is_settled, "{status}");
    if !cfg!(target_os = "linux") {
        return;
    }
    let fresh = Rig::new("fresh");
    let other = fresh.launch().ensure().await.unwrap();
    let has = |pid: u32, what: &str| {
        std::fs::read_dir(format!("/proc/{pid}/{what}")).map_or(0, Iterator::count)
    };
    for what in ["fd", "task"] {
        let due = has(other.pid(), what);
        until(|| has(broker.pid(), what) <= due).await;
    }
    other.stop().await.unwrap();
    until(|| is_free(fresh.port()) && of_folder(fresh.folder()) == 0).await;
    assert_eq!(of_folder(rig.folder()), 1, "the broker alone is left");
}

/// How many processes there are that were started for this folder; none that we can see, but on
/// Linux.
fn of_folder(folder: &Path) -> usize {
    if !cfg!(target_os = "linux") {
        return 0;
    }
    let folder = folder.to_str().unwrap();
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let named = |path: &Path| {
        let read = |name| std::fs::read(path.join(name)).unwrap_or_default();
        let told = [read("cmdline"), read("environ")].concat();
        let told = String::from_utf8_lossy(&told);
        // As a word of its own: the folder of another is longer by a digit.
        told.split(['\0', '=']).any(|word| word == folder)
    };
    processes.filter(|process| named(&process.path())).count()
}
