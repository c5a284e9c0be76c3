//! Which command is the same one again.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "tests fail where they stand, and have a clock"
)]

use bytes::Bytes;
use mcp_transport_stdio::bridge::resend::{Arrival, MAX_REMEMBERED, REMEMBERED, Resends, Ticket};
use mcp_transport_stdio::bridge::seat::{Peer, SeatConfig, Seats};
use std::time::{Duration, Instant};

const BUILD: Bytes = Bytes::from_static(br#"{"type": "manage_build", "params": {}}"#);
const DONE: Bytes = Bytes::from_static(br#"{"status":"success","result":{}}"#);
const FAILED: Bytes = Bytes::from_static(br#"{"status":"error","error":"no"}"#);

fn peers<const N: usize>(now: Instant) -> [Peer; N] {
    let mut seats = Seats::new(SeatConfig::default());
    std::array::from_fn(|n| seats.arrive(now, n.to_string()).unwrap())
}

#[track_caller]
fn run(resends: &mut Resends, now: Instant, peer: Peer, command: &Bytes) -> Ticket {
    match resends.arrive(now, peer, command) {
        Arrival::Run(ticket) => ticket,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_same_bytes_from_another_connection_attach_to_what_runs() {
    let now = Instant::now();
    let [first, second, third] = peers(now);
    let mut resends = Resends::new();
    let ticket = run(&mut resends, now, first, &BUILD);
    assert!(resends.begin(ticket));
    resends.leave(first);
    assert_eq!(resends.arrive(now, second, &BUILD), Arrival::Attached);
    assert_eq!(resends.arrive(now, third, &BUILD), Arrival::Attached);
    assert_eq!(
        resends.answer(now, ticket, &DONE, false),
        [first, second, third]
    );
    assert!(!resends.begin(ticket));
}

#[test]
fn an_answer_that_was_not_written_is_given_for_ten_seconds() {
    let now = Instant::now();
    let [first, second, third] = peers(now);
    let mut resends = Resends::new();
    let ticket = run(&mut resends, now, first, &BUILD);
    assert!(resends.begin(ticket));
    resends.leave(first);
    resends.answer(now, ticket, &DONE, false);
    let late = now + REMEMBERED - Duration::from_millis(1);
    assert_eq!(
        resends.arrive(late, second, &BUILD),
        Arrival::Answered(DONE)
    );
    run(&mut resends, now + REMEMBERED, third, &BUILD);
}

#[test]
fn two_identical_commands_that_were_each_answered_are_two() {
    let now = Instant::now();
    let [first, second] = peers(now);
    let mut resends = Resends::new();
    for peer in [first, first, second, first] {
        let ticket = run(&mut resends, now, peer, &BUILD);
        assert!(resends.begin(ticket));
        assert_eq!(resends.answer(now, ticket, &DONE, false), [peer]);
        resends.delivered(ticket);
    }
}

#[test]
fn an_error_is_remembered_though_it_was_written_but_not_for_its_own_connection() {
    let now = Instant::now();
    let [first, second] = peers(now);
    let mut resends = Resends::new();
    let ticket = run(&mut resends, now, first, &BUILD);
    assert!(resends.begin(ticket));
    resends.answer(now, ticket, &FAILED, true);
    resends.delivered(ticket);
    assert_eq!(
        resends.arrive(now, second, &BUILD),
        Arrival::Answered(FAILED)
    );
    // Who heard the error and asks again on the same connection means it.
    run(&mut resends, now, first, &BUILD);
}

#[test]
fn other_bytes_are_another_command() {
    let now = Instant::now();
    let [first, second] = peers(now);
    let mut resends = Resends::new();
    let ticket = run(&mut resends, now, first, &BUILD);
    assert!(resends.begin(ticket));
    run(
        &mut resends,
        now,
        second,
        &Bytes::from_static(br#"{"type":"manage_build","params":{}}"#),
    );
}

#[test]
fn a_resend_of_what_has_not_begun_takes_its_place() {
    let now = Instant::now();
    let [first, second] = peers(now);
    let mut resends = Resends::new();
    let former = run(&mut resends, now, first, &BUILD);
    let ticket = run(&mut resends, now, second, &BUILD);
    assert!(!resends.begin(former), "it would run twice");
    assert!(resends.begin(ticket));
    assert_eq!(resends.answer(now, ticket, &DONE, false), [second, first]);
}

#[test]
fn who_leaves_before_the_command_began_withdraws_it() {
    let now = Instant::now();
    let [first, second, third] = peers(now);
    let mut resends = Resends::new();
    let ticket = run(&mut resends, now, first, &BUILD);
    assert!(resends.leave(first).is_empty());
    assert!(!resends.begin(ticket));
    run(&mut resends, now, second, &BUILD);
    run(&mut resends, now, third, &BUILD);
    // The second one's place was taken by the third, which is gone: it must hear so.
    assert_eq!(resends.leave(third), [second]);
}

#[test]
fn a_command_that_the_application_gave_up_is_unknown_and_not_run_again() {
    let now = Instant::now();
    let [first, second, third] = peers(now);
    let mut resends = Resends::new();
    let ticket = run(&mut resends, now, first, &BUILD);
    assert!(resends.begin(ticket));
    assert_eq!(resends.arrive(now, second, &BUILD), Arrival::Attached);
    let (told, answer) = resends.abandon(now, ticket);
    assert_eq!(told, [first, second]);
    assert_eq!(
        resends.arrive(now, third, &BUILD),
        Arrival::Answered(answer)
    );
}

#[test]
fn what_is_remembered_is_bounded() {
    let now = Instant::now();
    let [first, second] = peers(now);
    let mut resends = Resends::new();
    let command = |n: usize| Bytes::from(n.to_string());
    for n in 0..=MAX_REMEMBERED {
        let ticket = run(&mut resends, now, first, &command(n));
        assert!(resends.begin(ticket));
        resends.answer(now, ticket, &DONE, false);
    }
    run(&mut resends, now, second, &command(0));
    assert_eq!(
        resends.arrive(now, second, &command(1)),
        Arrival::Answered(DONE)
    );

    let large = Bytes::from(vec![b'x'; 17 * 1024 * 1024]);
    let ticket = run(&mut resends, now, first, &BUILD);
    assert!(resends.begin(ticket));
    assert_eq!(resends.answer(now, ticket, &large, false), [first]);
    run(&mut resends, now, second, &BUILD);
}
