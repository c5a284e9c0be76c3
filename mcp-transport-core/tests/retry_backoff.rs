#![allow(clippy::disallowed_methods, missing_docs, reason = "tests")]
#![cfg(feature = "backoff")]

use backoff::ExponentialBackoffBuilder;
use backoff::backoff::{Backoff, Constant, Stop};
use mcp_transport_core::RetryPolicy;
use std::cell::RefCell;
use std::time::Duration;
use tokio::time::{Instant, sleep};

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// Counts 1, 2, 3 … s and gives up after `last`; not `Clone`, like most.
struct Counting {
    next: u64,
    last: u64,
}

impl Backoff for Counting {
    fn reset(&mut self) {
        self.next = 0;
    }

    fn next_backoff(&mut self) -> Option<Duration> {
        self.next += 1;
        (self.next <= self.last).then(|| secs(self.next))
    }
}

fn counting(last: u64) -> RetryPolicy {
    RetryPolicy::from_backoff(move || Counting { next: 0, last })
}

#[tokio::test(start_paused = true)]
async fn our_policy_drives_the_crates_own_retry() {
    let began = Instant::now();
    let dials = RefCell::new(Vec::new());
    let answer = backoff::future::retry(RetryPolicy::local().delays(), || async {
        let mut dials = dials.borrow_mut();
        dials.push(began.elapsed().as_secs());
        match dials.len() {
            7 => Ok("up"),
            _ => Err(backoff::Error::transient("down")),
        }
    });
    assert_eq!(answer.await, Ok("up"));
    // At once, then after 0, 1, 3, 5, 10 and 30 s.
    assert_eq!(dials.into_inner(), [0, 0, 1, 4, 9, 19, 49]);
}

#[tokio::test(start_paused = true)]
async fn a_policy_that_gives_up_ends_the_crates_own_retry() {
    let mut dials = 0;
    let delays = RetryPolicy::steps([secs(1)], None).delays();
    let answer: Result<(), _> = backoff::future::retry(delays, || {
        dials += 1;
        async { Err(backoff::Error::transient("down")) }
    })
    .await;
    assert_eq!((answer, dials), (Err("down"), 2));
}

#[tokio::test(start_paused = true)]
async fn their_backoff_is_our_schedule() {
    let policy = RetryPolicy::from_backoff(|| {
        ExponentialBackoffBuilder::new()
            .with_initial_interval(secs(1))
            .with_multiplier(2.0)
            .with_randomization_factor(0.0)
            .with_max_interval(secs(5))
            .with_max_elapsed_time(None)
            .build()
    });
    let began = Instant::now();
    let mut dials = Vec::new();
    for wait in policy.delays().take(5) {
        sleep(wait).await;
        dials.push(began.elapsed().as_secs());
    }
    assert_eq!(dials, [1, 3, 7, 12, 17]);
}

#[test]
fn any_backoff_will_do() {
    let constant = RetryPolicy::from_backoff(|| Constant::new(secs(4)));
    assert_eq!(constant.delay(9), Some(secs(4)));
    assert_eq!(RetryPolicy::from_backoff(|| Stop {}).delay(0), None);
    let boxed = RetryPolicy::from_backoff(|| Box::new(Stop {}) as Box<dyn Backoff + Send>);
    assert_eq!(boxed.delays().next(), None);
}

#[test]
fn the_first_attempt_starts_over() {
    let policy = counting(9);
    assert_eq!(policy.delay(0), Some(secs(1)));
    assert_eq!(policy.delay(1), Some(secs(2)));
    assert_eq!(policy.delay(1), Some(secs(2)), "asked again");
    assert_eq!(policy.delay(0), Some(secs(1)));
    assert_eq!(policy.delay(5), Some(secs(6)), "a jump ahead");
    assert_eq!(policy.delay(2), Some(secs(3)), "and one back");
}

#[test]
fn what_gave_up_stays_so_until_it_starts_over() {
    let policy = counting(2);
    assert_eq!(policy.delays().collect::<Vec<_>>(), [secs(1), secs(2)]);
    assert_eq!(policy.delay(2), None);
    assert_eq!(policy.delay(3), None);
    assert_eq!(policy.delay(0), Some(secs(1)));
}

#[test]
fn a_backoff_that_gave_up_is_not_asked_again() {
    struct Once(bool);
    impl Backoff for Once {
        fn next_backoff(&mut self) -> Option<Duration> {
            assert!(
                !std::mem::replace(&mut self.0, true),
                "stepped after the end"
            );
            None
        }
    }
    let policy = RetryPolicy::from_backoff(|| Once(false));
    assert_eq!(
        (policy.delay(0), policy.delay(1), policy.delay(9)),
        (None, None, None)
    );
}

#[test]
fn clones_do_not_share_their_steps() {
    let policy = counting(9);
    policy.delay(0);
    policy.delay(1);
    let clone = policy.clone();
    assert_eq!(clone.delay(0), Some(secs(1)));
    assert_eq!(policy.delay(2), Some(secs(3)));
}

#[test]
fn a_far_jump_is_bounded() {
    let policy = counting(u64::MAX);
    assert_eq!(policy.delay(u32::MAX), Some(secs(1_024)));
}

#[test]
fn the_delays_are_reset_by_the_crate() {
    let mut waits = RetryPolicy::steps([secs(3)], None).delays();
    assert_eq!(waits.next_backoff(), Some(secs(3)));
    assert_eq!(waits.next_backoff(), None);
    waits.reset();
    assert_eq!(waits.next_backoff(), Some(secs(3)));
}
