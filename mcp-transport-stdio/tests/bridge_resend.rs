//! Which command is the same one again.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "tests fail where they stand, and have a clock"
)]

use bytes::Bytes;
use mcp_transport_core::ErrorKind;
use mcp_transport_stdio::bridge::resend::{
    Arrival, MAX_REMEMBERED, REMEMBERED, Repeats, Resends, Ticket,
};
use mcp_transport_stdio::bridge::seat::{Peer, SeatConfig, Seats};
use mcp_transport_stdio::bridge::{LONGEST_GAP, Memory};
use proptest::prelude::*;
use std::time::{Duration, Instant};

const BUILD: Bytes = Bytes::from_static(br#"{"type": "manage_build", "params": {}}"#);
const DONE: Bytes = Bytes::from_static(br#"{"status":"success","result":{}}"#);
const FAILED: Bytes = Bytes::from_static(br#"{"status":"error","error":"no"}"#);

fn peers<const N: usize>(now: Instant) -> [Peer; N] {
    let mut seats = Seats::new(SeatConfig::default());
    std::array::from_fn(|n| seats.arrive(now, n.to_string()).unwrap())
}

fn arrive(resends: &mut Resends, now: Instant, peer: Peer, command: &Bytes) -> Arrival {
    resends.arrive(now, peer, Repeats::Blindly, command)
}

#[track_caller]
fn run(resends: &mut Resends, now: Instant, peer: Peer, command: &Bytes) -> Ticket {
    match arrive(resends, now, peer, command) {
        Arrival::Run(ticket) => ticket,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn answered(resends: &mut Resends, now: Instant, peer: Peer, command: &Bytes) -> (Ticket, Bytes) {
    match arrive(resends, now, peer, command) {
        Arrival::Answered(ticket, answer) => (ticket, answer),
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
    assert_eq!(arrive(&mut resends, now, second, &BUILD), Arrival::Attached);
    assert_eq!(arrive(&mut resends, now, third, &BUILD), Arrival::Attached);
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
    assert_eq!(answered(&mut resends, late, second, &BUILD).1, DONE);
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
    assert_eq!(answered(&mut resends, now, second, &BUILD).1, FAILED);
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
    assert_eq!(arrive(&mut resends, now, second, &BUILD), Arrival::Attached);
    let (told, answer) = resends.abandon(now, ticket);
    assert_eq!(told, [first, second]);
    assert_eq!(answered(&mut resends, now, third, &BUILD).1, answer);
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
    assert_eq!(answered(&mut resends, now, second, &command(1)).1, DONE);

    let large = Bytes::from(vec![b'x'; 17 * 1024 * 1024]);
    let ticket = run(&mut resends, now, first, &BUILD);
    assert!(resends.begin(ticket));
    assert_eq!(resends.answer(now, ticket, &large, false), [first]);
    run(&mut resends, now, second, &BUILD);
}

#[test]
fn a_remembered_answer_that_has_arrived_is_given_once_and_the_next_such_command_is_another() {
    let now = Instant::now();
    let [first, second, third] = peers(now);
    let mut resends = Resends::new();
    let ticket = run(&mut resends, now, first, &BUILD);
    assert!(resends.begin(ticket));
    resends.leave(first);
    resends.answer(now, ticket, &DONE, false);
    let (ticket, answer) = answered(&mut resends, now, second, &BUILD);
    assert_eq!(answer, DONE);
    // Until it is written, whoever asks may be the same client, which has given up on that connection.
    let (same, _) = answered(&mut resends, now, third, &BUILD);
    assert_eq!(same, ticket);
    resends.delivered(ticket);
    run(&mut resends, now, second, &BUILD);
}

#[test]
fn who_was_given_a_remembered_error_and_asks_again_on_that_connection_means_it() {
    let now = Instant::now();
    let [first, second, third] = peers(now);
    let mut resends = Resends::new();
    let ticket = run(&mut resends, now, first, &BUILD);
    assert!(resends.begin(ticket));
    resends.answer(now, ticket, &FAILED, true);
    let (ticket, _) = answered(&mut resends, now, second, &BUILD);
    resends.delivered(ticket);
    let (ticket, _) = answered(&mut resends, now, third, &BUILD);
    resends.delivered(ticket);
    run(&mut resends, now, second, &BUILD);
}

/// A reload that takes 5 s, over which the memory travels as bytes.
fn reload(resends: &Resends, now: Instant) -> (Resends, Instant) {
    let memory = resends.memory(now, UNIX_MS);
    let memory = Memory::from_bytes(&memory.to_bytes()).unwrap();
    let away = Duration::from_secs(5);
    let now = now + away;
    (Resends::resume(now, UNIX_MS + 5_000, memory), now)
}

const UNIX_MS: u64 = 1_748_345_678_901;

#[test]
fn what_ran_when_the_application_reloaded_is_not_run_again_and_its_sender_hears_why() {
    let now = Instant::now();
    let mut resends = Resends::new();
    let [first] = peers(now);
    let ticket = run(&mut resends, now, first, &BUILD);
    assert!(resends.begin(ticket));
    let (mut resends, now) = reload(&resends, now);
    // Their numbers begin anew.
    let [first, second, third] = peers(now);
    let late = now + REMEMBERED - Duration::from_millis(1);
    for (peer, now) in [(first, now), (second, late)] {
        let (ticket, answer) = answered(&mut resends, now, peer, &BUILD);
        resends.delivered(ticket);
        let answer = String::from_utf8(answer.to_vec()).unwrap();
        assert!(answer.starts_with(r#"{"status":"error""#), "{answer}");
        for word in ["reload", "unknown", "not run again"] {
            assert!(answer.contains(word), "{answer}");
        }
    }
    run(&mut resends, now + REMEMBERED, third, &BUILD);
}

#[test]
fn what_an_application_gave_up_before_it_reloaded_is_not_run_again_either() {
    let now = Instant::now();
    let [first] = peers(now);
    let mut resends = Resends::new();
    let ticket = run(&mut resends, now, first, &BUILD);
    assert!(resends.begin(ticket));
    resends.abandon(now, ticket);
    let (mut resends, now) = reload(&resends, now);
    let (_, answer) = answered(&mut resends, now, peers::<1>(now)[0], &BUILD);
    assert!(
        String::from_utf8(answer.to_vec())
            .unwrap()
            .contains("reload")
    );
}

#[test]
fn who_repeats_only_what_may_run_twice_has_its_interrupted_command_run_again() {
    let now = Instant::now();
    let [first] = peers(now);
    let mut resends = Resends::new();
    let ticket = run(&mut resends, now, first, &BUILD);
    assert!(resends.begin(ticket));
    let (mut resends, now) = reload(&resends, now);
    let [first, second, third] = peers(now);
    let Arrival::Run(ticket) = resends.arrive(now, first, Repeats::Knowingly, &BUILD) else {
        panic!("it is to run");
    };
    assert!(resends.begin(ticket));
    // Of what runs now it is a resend like any other.
    assert_eq!(
        resends.arrive(now, second, Repeats::Knowingly, &BUILD),
        Arrival::Attached
    );
    assert_eq!(arrive(&mut resends, now, third, &BUILD), Arrival::Attached);
}

#[test]
fn what_the_application_says_may_run_twice_runs_again_after_the_reload() {
    let now = Instant::now();
    let [first] = peers(now);
    let mut resends = Resends::new();
    let [read, lost] = [b"read", b"lost"].map(|command| Bytes::from_static(command));
    for command in [&BUILD, &read, &lost] {
        let ticket = run(&mut resends, now, first, command);
        assert!(resends.begin(ticket));
        if *command == lost {
            resends.answer(now, ticket, &DONE, false);
        }
    }
    let mut memory = resends.memory(now, UNIX_MS);
    memory.retain_unknown(|command| command == BUILD);
    let mut resends = Resends::resume(now, UNIX_MS, memory);
    run(&mut resends, now, first, &read);
    answered(&mut resends, now, first, &BUILD);
    assert_eq!(answered(&mut resends, now, first, &lost).1, DONE);
}

#[test]
fn an_answer_that_was_not_written_is_given_after_the_reload_and_one_that_was_is_not() {
    let now = Instant::now();
    let [first, second] = peers(now);
    let mut resends = Resends::new();
    for command in [BUILD, DONE, FAILED] {
        let ticket = run(&mut resends, now, first, &command);
        assert!(resends.begin(ticket));
        let answer = if command == FAILED { FAILED } else { DONE };
        resends.answer(now, ticket, &answer, command == FAILED);
        if command != BUILD {
            resends.delivered(ticket);
        }
    }
    let queued = Bytes::from_static(b"queued");
    run(&mut resends, now, second, &queued);
    let memory = resends.memory(now, UNIX_MS);
    assert_eq!(memory.len(), 2, "{memory:?}");
    let (mut resends, now) = reload(&resends, now);
    let [peer] = peers(now);
    assert_eq!(answered(&mut resends, now, peer, &BUILD).1, DONE);
    assert_eq!(answered(&mut resends, now, peer, &FAILED).1, FAILED);
    run(&mut resends, now, peer, &DONE);
    run(&mut resends, now, peer, &queued);
}

#[test]
fn however_often_the_application_reloads_a_command_is_remembered_for_ten_seconds_of_listening() {
    let mut now = Instant::now();
    let [first] = peers(now);
    let mut resends = Resends::new();
    let ticket = run(&mut resends, now, first, &BUILD);
    assert!(resends.begin(ticket));
    for _ in 0..10 {
        (resends, now) = reload(&resends, now);
        assert_eq!(resends.memory(now, UNIX_MS).len(), 1);
        now += REMEMBERED / 10;
    }
    assert!(resends.memory(now, UNIX_MS).is_empty());
    run(&mut resends, now, first, &BUILD);
}

#[test]
fn a_memory_from_long_ago_counts_for_nothing() {
    let now = Instant::now();
    let [first] = peers(now);
    let mut resends = Resends::new();
    let ticket = run(&mut resends, now, first, &BUILD);
    assert!(resends.begin(ticket));
    let memory = resends.memory(now, UNIX_MS);
    let gap = UNIX_MS + u64::try_from(LONGEST_GAP.as_millis()).unwrap();
    // A wall clock that was set back says nothing about the gap.
    for taken_up in [0, UNIX_MS, gap] {
        let mut resends = Resends::resume(now, taken_up, memory.clone());
        answered(&mut resends, now, first, &BUILD);
    }
    let mut resends = Resends::resume(now, gap + 1, memory);
    run(&mut resends, now, first, &BUILD);
}

#[test]
fn what_is_taken_up_is_as_bounded_as_what_is_remembered() {
    let now = Instant::now();
    let mut config = SeatConfig::default();
    config.connections = 2 * MAX_REMEMBERED;
    let mut seats = Seats::new(config);
    let mut resends = Resends::new();
    for n in 0..2 * MAX_REMEMBERED {
        let peer = seats.arrive(now, "").unwrap();
        let ticket = run(&mut resends, now, peer, &Bytes::from(n.to_string()));
        assert!(resends.begin(ticket));
    }
    assert_eq!(resends.memory(now, UNIX_MS).len(), 2 * MAX_REMEMBERED);
    let (resends, now) = reload(&resends, now);
    assert_eq!(resends.memory(now, UNIX_MS).len(), MAX_REMEMBERED);
}

/// What may happen around one command whose client sends it again on a fresh connection.
#[derive(Clone, Debug)]
enum Step {
    Send,
    /// The application takes what is there.
    Begin,
    Answer {
        is_error: bool,
    },
    GiveUp,
    /// Every connection is gone.
    Leave,
    Reload,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => Just(Step::Send),
        4 => Just(Step::Begin),
        1 => any::<bool>().prop_map(|is_error| Step::Answer { is_error }),
        1 => Just(Step::GiveUp),
        1 => Just(Step::Leave),
        1 => Just(Step::Reload),
    ]
}

fn memory_of(commands: &[(Vec<u8>, Option<Vec<u8>>)]) -> Memory {
    let now = Instant::now();
    let [peer] = peers(now);
    let mut resends = Resends::new();
    for (command, answer) in commands {
        let ticket = run(&mut resends, now, peer, &Bytes::from(command.clone()));
        assert!(resends.begin(ticket));
        if let Some(answer) = answer {
            resends.answer(now, ticket, &Bytes::from(answer.clone()), false);
        }
    }
    resends.memory(now, UNIX_MS)
}

proptest! {
    #[test]
    fn a_command_whose_answer_never_arrives_begins_once_whatever_happens_around_it(
        steps in proptest::collection::vec(step(), 1..60),
    ) {
        let mut now = Instant::now();
        let (mut seats, mut resends) = (Seats::new(SeatConfig::default()), Resends::new());
        let (mut there, mut tickets, mut begun) = (Vec::new(), Vec::new(), 0);
        for step in steps {
            now += Duration::from_millis(100);
            match step {
                Step::Send => {
                    let peer = seats.arrive(now, "").unwrap();
                    there.push(peer);
                    if let Arrival::Run(ticket) = arrive(&mut resends, now, peer, &BUILD) {
                        tickets.push(ticket);
                    }
                }
                Step::Begin => {
                    begun += tickets.iter().filter(|ticket| resends.begin(**ticket)).count();
                }
                Step::Answer { is_error } => {
                    for ticket in tickets.iter().filter(|_| begun > 0) {
                        let answer = if is_error { FAILED } else { DONE };
                        resends.answer(now, *ticket, &answer, is_error);
                    }
                }
                Step::GiveUp => {
                    for ticket in &tickets {
                        resends.abandon(now, *ticket);
                    }
                }
                Step::Leave => {
                    for peer in there.drain(..) {
                        resends.leave(peer);
                    }
                }
                Step::Reload => {
                    (resends, now) = reload(&resends, now);
                    seats = Seats::new(SeatConfig::default());
                    there.clear();
                    tickets.clear();
                }
            }
        }
        prop_assert!(begun <= 1, "it began {begun} times");
    }

    #[test]
    fn a_memory_is_the_same_one_after_it_was_bytes_and_a_part_of_it_is_none(
        commands in proptest::collection::vec(
            (any::<Vec<u8>>(), proptest::option::of(any::<Vec<u8>>())),
            0..4,
        ),
        cut in any::<proptest::sample::Index>(),
    ) {
        let memory = memory_of(&commands);
        let bytes = memory.to_bytes();
        prop_assert_eq!(Memory::from_bytes(&bytes).unwrap(), memory);
        let part = &bytes[..cut.index(bytes.len())];
        prop_assert_eq!(Memory::from_bytes(part).unwrap_err().kind(), ErrorKind::Malformed);
    }

    #[test]
    fn no_bytes_are_too_strange_to_be_refused(
        headed in any::<bool>(),
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        let mut all = if headed { Memory::default().to_bytes()[..16].to_vec() } else { Vec::new() };
        all.extend(bytes);
        let _ = Memory::from_bytes(&all);
    }
}
