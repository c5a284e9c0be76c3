//! When the dial loop dials.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    dead_code,
    missing_docs,
    reason = "tests wait, read the clock, and use a part of what supports them"
)]

mod support;

use mcp_transport_core::dial::{Dialer, Next, Schedule};
use mcp_transport_core::{
    Connector, Error, ErrorKind, Eviction, EvictionReason, RetryPolicy, State, memory,
};
use proptest::prelude::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use support::Hosts;
use tokio::time::{self, Instant};

const DAY: Duration = Duration::from_secs(24 * 3600);

fn unreachable() -> Error {
    Error::new(ErrorKind::Unreachable)
}

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

#[tokio::test(start_paused = true)]
async fn the_schedule_is_exact_over_a_day() {
    let (hosts, connector) = Hosts::new();
    hosts.fail_always(Some(unreachable()));
    let mut dialer = Dialer::new(connector);
    assert!(time::timeout(DAY, dialer.connect()).await.is_err());

    let mut expected = vec![secs(0)];
    let mut at = secs(0);
    for wait in RetryPolicy::local().delays() {
        at += wait;
        if at >= DAY {
            break;
        }
        expected.push(at);
    }
    let times = hosts.times();
    assert_eq!(&times[..8], [0, 0, 1, 4, 9, 19, 49, 79].map(secs));
    // The timer's grain is 1 ms, and every dial may add one.
    assert_eq!(times.len(), expected.len());
    for (dial, time) in times.iter().enumerate() {
        let late = *time - expected[dial];
        assert!(
            late < Duration::from_millis(dial as u64 + 1),
            "dial {dial} was {late:?} late"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_accepts_welcomes_and_closes_is_no_busy_loop() {
    let (hosts, connector) = Hosts::new();
    let mut dialer = Dialer::new(connector);
    let greet = async {
        loop {
            drop(dialer.connect().await.unwrap());
            dialer.established();
            dialer.ended(&Error::new(ErrorKind::Disconnected));
        }
    };
    let _: Result<(), _> = time::timeout(secs(48), greet).await;
    assert_eq!(hosts.dials(), 6, "{:?}", hosts.times());
}

#[tokio::test(start_paused = true)]
async fn the_schedule_starts_over_only_after_a_proof() {
    let (hosts, connector) = Hosts::new();
    hosts.fail((0..5).map(|_| unreachable()));
    let mut dialer = Dialer::new(connector);
    let _link = dialer.connect().await.unwrap();
    dialer.established();
    time::sleep(Duration::from_millis(4_900)).await;
    dialer.ended(&Error::new(ErrorKind::Disconnected));

    let lost = Instant::now();
    let _link = dialer.connect().await.unwrap();
    assert_eq!(lost.elapsed().as_secs(), 30, "not proved: the next step");
    dialer.established();
    time::sleep(secs(5)).await;
    dialer.ended(&Error::new(ErrorKind::Disconnected));

    let lost = Instant::now();
    dialer.connect().await.unwrap();
    assert_eq!(lost.elapsed().as_secs(), 0, "proved: from the start");
}

#[tokio::test(start_paused = true)]
async fn a_wake_in_the_tail_connects_at_once() {
    let (hosts, connector) = Hosts::new();
    hosts.fail_always(Some(unreachable()));
    let mut dialer = Dialer::new(connector);
    let wake = dialer.wake();
    assert!(time::timeout(secs(60), dialer.connect()).await.is_err());

    hosts.fail_always(None);
    let woken = Instant::now();
    wake.wake();
    dialer.connect().await.unwrap();
    assert_eq!(woken.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_wakes_up_dials_once_within_a_second_and_then_by_the_schedule() {
    let (hosts, connector) = Hosts::new();
    hosts.fail_always(Some(unreachable()));
    let hourly = RetryPolicy::every(secs(3600));
    let mut dialer = Dialer::new(connector).retry(hourly);
    let asleep = async {
        time::sleep(secs(60)).await;
        // The clock goes on while the machine sleeps, as Windows's does.
        time::advance(secs(600)).await;
    };
    let (dialled, ()) = tokio::join!(time::timeout(secs(4_000), dialer.connect()), asleep);
    assert!(dialled.is_err(), "no host is there");
    let times = hosts.times();
    assert_eq!(times.len(), 2, "{times:?}");
    assert!((secs(660)..=secs(661)).contains(&times[1]), "{times:?}");
}

#[tokio::test(start_paused = true)]
async fn dropping_connect_keeps_the_rest_of_the_wait() {
    let (hosts, connector) = Hosts::new();
    hosts.fail((0..6).map(|_| unreachable()));
    let mut dialer = Dialer::new(connector);
    while time::timeout(secs(2), dialer.connect()).await.is_err() {}
    assert_eq!(hosts.times().last().unwrap().as_secs(), 49);
}

#[tokio::test(start_paused = true)]
async fn a_superseded_link_dials_only_when_woken() {
    let (hosts, connector) = Hosts::new();
    let mut dialer = Dialer::new(connector);
    let wake = dialer.wake();
    let _link = dialer.connect().await.unwrap();
    dialer.established();
    wake.wake(); // while connected: must not take the seat back later
    let eviction = Eviction::new(EvictionReason::Superseded).by("127.0.0.1:54321");
    dialer.ended(&Error::evicted(eviction));
    let state = dialer.watch();
    assert!(
        matches!(&*state.borrow(), State::Standby { eviction, .. } if eviction.newcomer() == Some("127.0.0.1:54321"))
    );
    assert!(time::timeout(DAY, dialer.connect()).await.is_err());
    assert_eq!(hosts.dials(), 1);
    wake.wake();
    dialer.connect().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_wake_during_a_handshake_that_fails_dials_at_once() {
    let (_hosts, connector) = Hosts::new();
    let mut dialer = Dialer::new(connector).retry(RetryPolicy::every(DAY));
    let _link = dialer.connect().await.unwrap();
    dialer.wake().wake();
    dialer.ended(&Error::new(ErrorKind::TimedOut));
    let ended = Instant::now();
    let _link = dialer.connect().await.unwrap();
    assert_eq!(ended.elapsed(), Duration::ZERO);
    dialer.ended(&Error::new(ErrorKind::TimedOut));
    assert!(
        time::timeout(DAY / 2, dialer.connect()).await.is_err(),
        "it counted once"
    );
}

#[tokio::test(start_paused = true)]
async fn a_wake_during_a_handshake_takes_no_seat_back_from_a_newer_client() {
    let (hosts, connector) = Hosts::new();
    let mut dialer = Dialer::new(connector);
    let wake = dialer.wake();
    let _link = dialer.connect().await.unwrap();
    wake.wake();
    dialer.ended(&Error::evicted(Eviction::new(EvictionReason::Superseded)));
    assert!(time::timeout(DAY, dialer.connect()).await.is_err());
    assert_eq!(hosts.dials(), 1);
    wake.wake();
    dialer.connect().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_wake_during_a_dial_takes_no_seat_back_from_a_newer_client() {
    let dials = Arc::<AtomicUsize>::default();
    let counted = dials.clone();
    let mut dialer = Dialer::new(move || {
        counted.fetch_add(1, Ordering::Relaxed);
        async {
            time::sleep(secs(2)).await;
            let eviction = Eviction::new(EvictionReason::Superseded);
            Err::<memory::End, _>(Error::evicted(eviction))
        }
    });
    let wake = dialer.wake();
    let waking = async {
        time::sleep(secs(1)).await;
        wake.wake();
    };
    let (dialled, ()) = tokio::join!(time::timeout(DAY, dialer.connect()), waking);
    assert!(dialled.is_err());
    assert_eq!(dials.load(Ordering::Relaxed), 1);
}

#[tokio::test(start_paused = true)]
async fn refused_credentials_wait_for_a_wake_and_say_so() {
    let (hosts, connector) = Hosts::new();
    hosts.fail([Error::new(ErrorKind::Unauthorized)]);
    let mut dialer = Dialer::new(connector);
    let (wake, state) = (dialer.wake(), dialer.watch());
    assert!(time::timeout(DAY, dialer.connect()).await.is_err());
    assert!(matches!(
        &*state.borrow(),
        State::Waiting { delay: None, .. }
    ));
    wake.wake();
    dialer.connect().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_policy_that_gives_up_ends_the_loop_with_the_cause() {
    let (hosts, connector) = Hosts::new();
    hosts.fail_always(Some(unreachable()));
    let mut dialer = Dialer::new(connector).retry(RetryPolicy::never());
    for _ in 0..2 {
        let error = dialer.connect().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unreachable);
    }
    assert_eq!(hosts.dials(), 1);
    assert!(dialer.watch().borrow().is_closed());
}

#[tokio::test(start_paused = true)]
async fn a_dial_that_hangs_is_given_up_after_five_seconds() {
    let mut dialer = Dialer::new(|| async {
        time::sleep(DAY).await;
        Ok(memory::pair(1).0)
    })
    .retry(RetryPolicy::never());
    let start = Instant::now();
    let error = dialer.connect().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    assert_eq!(start.elapsed(), secs(5));
}

#[tokio::test(start_paused = true)]
async fn a_patient_connector_may_take_its_time() {
    struct Patient;
    impl Connector for Patient {
        type Transport = memory::End;
        async fn connect(&mut self) -> Result<memory::End, Error> {
            time::sleep(DAY).await;
            Ok(memory::pair(1).0)
        }
        fn patience(&self) -> Option<Duration> {
            Some(Duration::MAX)
        }
    }
    Dialer::new(Patient).connect().await.unwrap();
}

#[test]
fn a_host_that_leaves_is_dialled_from_the_five_second_step() {
    let now = std::time::Instant::now();
    let mut schedule = Schedule::new(RetryPolicy::local());
    let leaving = Error::evicted(Eviction::new(EvictionReason::ShuttingDown));
    schedule.established(now);
    let next = schedule.ended(now + secs(60), &leaving);
    assert_eq!(next, Next::Wait(secs(5)));
    assert_eq!(schedule.ended(now, &unreachable()), Next::Wait(secs(10)));
}

#[test]
fn a_peer_that_asks_for_time_gets_it_up_to_a_limit() {
    let now = std::time::Instant::now();
    let mut schedule = Schedule::new(RetryPolicy::local());
    for (asked, granted) in [(7, 7), (1_000_000, 300)] {
        let busy = Error::new(ErrorKind::Overloaded {
            retry_after: Some(secs(asked)),
        });
        assert_eq!(schedule.ended(now, &busy), Next::Wait(secs(granted)));
    }
}

proptest! {
    #[test]
    fn without_a_proof_a_wait_of_zero_is_given_once(
        lives in proptest::collection::vec(proptest::option::of(0_u64..5_000), 1..40),
        policy in prop_oneof![
            Just(RetryPolicy::local()),
            Just(RetryPolicy::every(Duration::ZERO)),
            Just(RetryPolicy::from_fn(|_| Some(Duration::ZERO))),
        ],
    ) {
        let mut now = std::time::Instant::now();
        let mut schedule = Schedule::new(policy);
        let mut zeros = 0;
        for life in lives {
            if let Some(life) = life {
                schedule.established(now);
                now += Duration::from_millis(life);
            }
            match schedule.ended(now, &unreachable()) {
                Next::Wait(wait) => {
                    zeros += u32::from(wait.is_zero());
                    prop_assert!(wait.is_zero() || wait >= Schedule::LEAST);
                }
                other => prop_assert!(false, "{other:?}"),
            }
        }
        prop_assert!(zeros <= 1);
    }
}
