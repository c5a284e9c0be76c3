//! The delivery rule: sentence by sentence in `rule`, and as one property over random histories here.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    missing_docs,
    reason = "tests"
)]

mod audit;
mod harness;
mod machine;
mod model;
mod rule;

use harness::{Seen, Step, play, steps};
use machine::{Backwards, Chatty, Machine, Roomy, Stubborn};
use mcp_transport_core::delivery::{Delivery, Limits};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};
use std::cell::RefCell;

/// Small, so that every limit is met often.
fn limits() -> Limits {
    Limits::default()
        .ops(6)
        .bytes(100)
        .remembered(3)
        .redeliveries(2)
}

proptest! {
    #![proptest_config(Config::with_cases(512))]

    #[test]
    fn every_history_follows_the_rule(history in steps()) {
        play::<Delivery<u32>>(limits(), &history)?;
    }
}

/// The same histories in every run.
fn runner(cases: u32) -> TestRunner {
    let config = Config {
        cases,
        failure_persistence: None,
        max_shrink_iters: 0,
        ..Config::default()
    };
    TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha))
}

fn verdict<M: Machine>() -> Result<(), TestError<Vec<Step>>> {
    runner(1_000).run(&steps(), |history| play::<M>(limits(), &history).map(drop))
}

#[track_caller]
fn assert_caught<M: Machine>(sentence: &str) {
    match verdict::<M>() {
        Err(TestError::Fail(reason, _)) => {
            assert!(
                reason.message().contains(sentence),
                "caught, but as: {reason}"
            );
        }
        other => panic!("the fault was not caught: {other:?}"),
    }
}

#[test]
fn a_machine_that_sends_again_for_ever_is_caught() {
    assert_caught::<Stubborn>("outputs");
}

#[test]
fn a_machine_without_a_cap_on_operations_is_caught() {
    assert_caught::<Roomy>("submit");
}

#[test]
fn a_machine_that_changes_the_order_after_a_loss_is_caught() {
    assert_caught::<Backwards>("take");
}

#[test]
fn a_machine_that_settles_twice_is_caught() {
    assert_caught::<Chatty>("outputs");
}

#[test]
fn the_random_histories_reach_every_row_of_the_rule() {
    let seen = RefCell::new(Seen::default());
    runner(500)
        .run(&steps(), |history| {
            seen.borrow_mut()
                .add(&play::<Delivery<u32>>(limits(), &history)?);
            Ok::<_, TestCaseError>(())
        })
        .expect("the machine follows the rule");
    let rare: Vec<_> = seen
        .into_inner()
        .counts()
        .into_iter()
        .filter(|(_, count)| *count < 10)
        .collect();
    assert!(rare.is_empty(), "hardly or never reached: {rare:?}");
}
