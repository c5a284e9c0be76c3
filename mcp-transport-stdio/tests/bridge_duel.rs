//! Eight clients with the dial loop and one seat, over real sockets, for ten minutes of a clock that jumps: who has the seat
//! changes when somebody takes it or its owner goes, and never else.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    missing_docs,
    reason = "tests fail where they stand, and have a clock"
)]

use futures::{SinkExt, StreamExt};
use mcp_transport_core::dial::{Dialer, Wake};
use mcp_transport_core::{Connector, ErrorKind, EvictionReason, Listener, Message, State};
use mcp_transport_stdio::bridge::{
    BridgeConfig, BridgeConnector, BridgeListener, Claim, SeatControl,
};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout};

const CLIENTS: usize = 8;
const MINUTES: Duration = Duration::from_secs(600);

/// Who has the seat, by the clients' own account.
#[derive(Default)]
struct Account {
    owner: Option<usize>,
    changes: usize,
    /// Explicit takes, and owners that died.
    reasons: usize,
    /// What each loser printed, and who it was.
    printed: Vec<(usize, String)>,
}

struct Client {
    control: SeatControl,
    wake: Wake,
    die: Arc<Notify>,
}

impl Client {
    fn start(n: usize, port: u16, account: Arc<Mutex<Account>>) -> Self {
        let claim = if n == 0 { Claim::Take } else { Claim::IfFree };
        let connector = BridgeConnector::new(port).claim(Some(claim));
        let control = connector.control();
        let die = Arc::new(Notify::new());
        let mut dialer = Dialer::new(connector);
        let (wake, death) = (dialer.wake(), Arc::clone(&die));
        let again = wake.clone();
        tokio::spawn(async move {
            loop {
                let Ok(mut link) = dialer.connect().await else {
                    panic!("the dial loop gave up");
                };
                dialer.established();
                {
                    let mut account = account.lock().unwrap();
                    account.changes += 1;
                    account.owner = Some(n);
                    assert!(
                        account.changes <= account.reasons,
                        "somebody stole the seat"
                    );
                }
                // Now and then a command, as of a client that works.
                let lost = loop {
                    tokio::select! {
                        heard = link.next() => match heard {
                            Some(Ok(answer)) => assert_eq!(answer.as_str(), Some("{}")),
                            Some(Err(lost)) => break Some(lost),
                            None => break None,
                        },
                        () = sleep(Duration::from_secs(7)) => {
                            // A loss is heard by the stream above.
                            let _ = link.send(Message::from("{}")).await;
                        }
                        () = death.notified() => break None,
                    }
                };
                drop(link);
                let Some(lost) = lost else {
                    // Another process of the same user starts, and waits.
                    let mut account = account.lock().unwrap();
                    account.owner = account.owner.filter(|owner| *owner != n);
                    continue;
                };
                let superseded = ErrorKind::Evicted(EvictionReason::Superseded);
                assert_eq!(lost.kind(), superseded, "{lost}");
                dialer.ended(&lost);
                assert!(matches!(*dialer.watch().borrow(), State::Standby { .. }));
                let told = lost.eviction().unwrap();
                let printed = format!(
                    "{} at {}: {lost}",
                    told.newcomer().unwrap(),
                    told.evicted_at_unix_ms().unwrap()
                );
                account.lock().unwrap().printed.push((n, printed));
                // Back into the queue: to dial does not mean to take.
                again.wake();
            }
        });
        Self { control, wake, die }
    }
}

/// Echoes each command to who sent it.
fn serve(mut listener: BridgeListener) -> Arc<Mutex<Option<String>>> {
    let served_last = Arc::new(Mutex::new(None));
    let last = Arc::clone(&served_last);
    tokio::spawn(async move {
        while let Ok(mut client) = listener.accept().await {
            *last.lock().unwrap() = Some(client.peer_addr().to_string());
            tokio::spawn(async move {
                while let Some(Ok(command)) = client.next().await {
                    let _ = client.send(command).await;
                }
            });
        }
    });
    served_last
}

async fn ten_minutes(seed: u64) {
    let listener = BridgeListener::bind(0, BridgeConfig::new()).unwrap();
    let port = listener.local_port();
    let newcomer = serve(listener);
    let account = Arc::new(Mutex::new(Account {
        // The first taker.
        reasons: 1,
        ..Account::default()
    }));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|n| Client::start(n, port, Arc::clone(&account)))
        .collect();
    sleep(Duration::from_secs(1)).await;
    let (mut takes, mut deaths) = (1, 0);
    let mut random = seed;
    let start = Instant::now();
    while start.elapsed() < MINUTES {
        // xorshift
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        sleep(Duration::from_millis(random % 9_000)).await;
        let owner = account.lock().unwrap().owner.expect("somebody has it");
        let n = usize::try_from(random >> 32).unwrap() % CLIENTS;
        let losses = account.lock().unwrap().printed.len();
        account.lock().unwrap().reasons += 1;
        let expected = if n == owner {
            deaths += 1;
            clients[n].control.wait();
            clients[n].die.notify_one();
            None
        } else {
            takes += 1;
            clients[n].control.take();
            clients[n].wake.wake();
            Some(n)
        };
        // Within a second of its clock there is one owner, and who was to have it has it.
        sleep(Duration::from_secs(1)).await;
        let account = account.lock().unwrap();
        match expected {
            Some(n) => {
                assert_eq!(account.owner, Some(n), "seed {seed}");
                let (loser, printed) = account.printed.last().expect("a loser");
                assert_eq!((*loser, account.printed.len()), (owner, losses + 1));
                let by = newcomer.lock().unwrap().clone().unwrap();
                assert!(printed.starts_with(&by), "{by}: {printed}");
            }
            None => assert!(account.owner.is_some_and(|new| new != owner), "seed {seed}"),
        }
    }
    let account = account.lock().unwrap();
    assert_eq!(account.changes, takes + deaths, "seed {seed}");
    assert!(takes > 20 && deaths > 3, "seed {seed}: {takes} {deaths}");
}

#[tokio::test(start_paused = true)]
async fn for_ten_minutes_the_seat_changes_when_it_is_taken_or_left_and_every_loser_knows_by_whom() {
    for seed in [1, 0xDEAD_BEEF, 0x5EED_5EED_5EED] {
        ten_minutes(seed).await;
    }
}

#[tokio::test]
async fn who_waits_for_the_seat_takes_it_when_told_to() {
    for configured in [Claim::Take, Claim::IfFree] {
        let listener = BridgeListener::bind(0, BridgeConfig::new()).unwrap();
        let port = listener.local_port();
        let _newcomer = serve(listener);
        let mut owner = BridgeConnector::new(port).connect().await.unwrap();
        let mut waiting = BridgeConnector::new(port).claim(Some(configured));
        let control = waiting.control();
        control.wait();
        let mut dial = std::pin::pin!(waiting.connect());
        assert!(timeout(Duration::from_millis(50), &mut dial).await.is_err());
        control.take();
        let link = timeout(Duration::from_secs(10), dial).await;
        drop(link.expect("it takes the seat").unwrap());
        assert!(owner.next().await.unwrap().is_err());
        // That was for once.
        assert!(!control.is_waiting());
    }
}
