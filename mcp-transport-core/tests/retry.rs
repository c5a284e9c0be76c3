#![allow(missing_docs, reason = "tests")]

use mcp_transport_core::RetryPolicy;
use mcp_transport_core::retry::Delays;
use proptest::prelude::*;
use std::time::Duration;

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

fn first(policy: &RetryPolicy, count: usize) -> Vec<Duration> {
    policy.delays().take(count).collect()
}

#[test]
fn the_local_schedule_is_exact_and_never_ends() {
    let policy = RetryPolicy::local();
    assert_eq!(first(&policy, 8), [0, 1, 3, 5, 10, 30, 30, 30].map(secs));
    for attempt in [1_000, u32::MAX - 1, u32::MAX] {
        assert_eq!(policy.delay(attempt), Some(secs(30)));
    }
    assert_eq!(policy.delays().take(10_000).count(), 10_000);
    assert_eq!(first(&RetryPolicy::default(), 8), first(&policy, 8));
}

#[test]
fn never_gives_up_at_once() {
    assert_eq!(RetryPolicy::never().delay(0), None);
    assert_eq!(RetryPolicy::never().delays().next(), None);
}

#[test]
fn every_waits_the_same_for_ever() {
    let policy = RetryPolicy::every(secs(2));
    assert_eq!(first(&policy, 3), [secs(2); 3]);
    assert_eq!(policy.delay(u32::MAX), Some(secs(2)));
}

#[test]
fn steps_without_a_tail_give_up_after_the_last() {
    let policy = RetryPolicy::steps([secs(1), secs(2)], None);
    assert_eq!(
        policy.delays().collect::<Vec<_>>(),
        [secs(1), secs(2)],
        "and the iterator ends"
    );
    assert_eq!(policy.delay(2), None);
}

#[test]
fn steps_without_an_end_are_bounded() {
    let policy = RetryPolicy::steps(std::iter::repeat(secs(1)), Some(secs(9)));
    assert_eq!(policy.delay(1_023), Some(secs(1)));
    assert_eq!(policy.delay(1_024), Some(secs(9)));
}

#[test]
fn a_function_decides_attempt_by_attempt() {
    let policy = RetryPolicy::from_fn(|attempt| (attempt != 2).then(|| secs(u64::from(attempt))));
    assert_eq!(policy.delay(7), Some(secs(7)));
    let mut delays = policy.delays();
    assert_eq!(delays.by_ref().collect::<Vec<_>>(), [secs(0), secs(1)]);
    assert_eq!(delays.next(), None, "what gave up stays so");
}

#[test]
fn a_clone_of_the_delays_goes_on_from_the_same_place() {
    let mut delays = RetryPolicy::local().delays();
    delays.next();
    delays.next();
    assert_eq!(delays.clone().next(), Some(secs(3)));
    assert_eq!(delays.next(), Some(secs(3)));
}

#[test]
fn the_delays_fit_the_retry_crates() {
    // backon asks for the first set of bounds, tokio-retry for the second.
    fn fits<T: Iterator<Item = Duration> + Clone + Send + Sync + Unpin + 'static>(_: &T) {}
    let delays: Delays = RetryPolicy::local().delays();
    fits(&delays);
    fn is<T: Clone + std::fmt::Debug + Send + Sync + 'static>(_: &T) {}
    is(&RetryPolicy::local());
}

#[test]
fn debug_names_the_schedule() {
    assert_eq!(
        format!("{:?}", RetryPolicy::every(secs(2)).with_jitter(7)),
        "RetryPolicy { steps: [], tail: Some(2s), jitter: Some(7) }"
    );
    let function = RetryPolicy::from_fn(|_| None);
    assert!(format!("{function:?}").contains("a function"));
}

#[test]
fn jitter_spreads_both_ways_and_differs_by_seed() {
    let waits = |seed| first(&RetryPolicy::every(secs(10)).with_jitter(seed), 200);
    let spread = waits(1);
    assert!(spread.iter().any(|wait| *wait < secs(9)));
    assert!(spread.iter().any(|wait| *wait > secs(11)));
    assert_ne!(spread, waits(2));
    assert_eq!(spread, waits(1), "the same seed gives the same waits");
}

proptest! {
    #[test]
    fn jitter_stays_within_a_fifth(
        seed: u64,
        attempt: u32,
        nanos in prop_oneof![0..10_u64, any::<u64>()],
    ) {
        let exact = Duration::from_nanos(nanos);
        let wait = RetryPolicy::every(exact).with_jitter(seed).delay(attempt).expect("every never ends");
        let (low, high) = (exact.as_nanos() * 8 / 10, (exact.as_nanos() * 12).div_ceil(10));
        prop_assert!((low..=high).contains(&wait.as_nanos()), "{exact:?} became {wait:?}");
        prop_assert_eq!(wait.is_zero(), exact.is_zero());
    }

    #[test]
    fn the_longest_wait_has_jitter_without_overflow(seed: u64, attempt: u32) {
        let wait = RetryPolicy::every(Duration::MAX).with_jitter(seed).delay(attempt);
        prop_assert!(wait.expect("every never ends") >= Duration::MAX / 10 * 7);
    }

    #[test]
    fn delays_and_delay_agree(steps in prop::collection::vec(0..100_u64, 0..20), tail: Option<u16>, seed: Option<u64>) {
        let tail = tail.map(|tail| secs(u64::from(tail)));
        let mut policy = RetryPolicy::steps(steps.into_iter().map(secs), tail);
        if let Some(seed) = seed {
            policy = policy.with_jitter(seed);
        }
        let by_number: Vec<_> = (0..30).map_while(|attempt| policy.delay(attempt)).collect();
        prop_assert_eq!(first(&policy, 30), by_number);
    }
}
