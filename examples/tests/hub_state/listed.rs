//! Editors that are known by their status files before anybody connects to them.

use crate::hub::*;

const KEY: &str = "0123abcd";

#[test]
fn a_listed_editor_is_known_and_holds_calls_until_somebody_connects() {
    let mut hub = Hub::new();
    hub.list(KEY, true);
    let known = hub.instance(KEY);
    assert!(known.by_file && matches!(known.phase, Phase::Listening { .. }));
    assert_eq!(known.id(), format!("Game@{KEY}"));
    let call = hub.submit(KEY, Replay::Never);
    assert_eq!(hub.instance(KEY).queued, 1);
    assert_eq!(hub.state.standing(call), Some(Standing::Away));
    let socket = hub.plugin(KEY);
    let (id, _) = hub.command(socket);
    hub.answer(socket, &id);
    assert!(matches!(hub.end_of(call), Some(End::Answered(_))));
}

#[test]
fn the_same_word_again_is_no_change() {
    let mut hub = Hub::new();
    hub.list(KEY, true);
    let changes = hub.changes;
    hub.list(KEY, true);
    assert_eq!(hub.changes, changes);
}

#[test]
fn a_listed_editor_outlasts_any_silence_and_goes_with_its_file() {
    let mut hub = Hub::new();
    hub.list(KEY, true);
    hub.pass(s(3_600));
    assert_eq!(hub.phases().len(), 1);
    hub.unlist(KEY);
    hub.pass(s(4));
    assert!(matches!(hub.phases()[..], [Phase::Away { .. }]));
    hub.pass(s(2));
    assert_eq!(hub.phases(), []);
    assert_eq!(
        hub.try_submit(KEY, request("work", Replay::Never)),
        Err(Refused::NoSuchProject)
    );
}

#[test]
fn a_file_that_is_away_for_a_moment_costs_no_call() {
    let mut hub = Hub::new();
    hub.list(KEY, true);
    let call = hub.submit(KEY, Replay::Never);
    hub.unlist(KEY);
    hub.pass(s(4));
    hub.list(KEY, false);
    assert!(matches!(hub.phases()[..], [Phase::Away { .. }]));
    hub.pass(s(20));
    assert_eq!(hub.end_of(call), None);
    hub.list(KEY, true);
    assert!(matches!(hub.phases()[..], [Phase::Listening { .. }]));
}

#[test]
fn an_editor_whose_file_stays_away_has_quit_and_its_calls_end() {
    let mut hub = Hub::new();
    hub.list(KEY, true);
    let socket = hub.plugin(KEY);
    hub.gone(socket, LOST, &[]);
    hub.unlist(KEY);
    let call = hub.submit(KEY, Replay::Never);
    hub.pass(s(6));
    assert_eq!(hub.end_of(call), lost(Outcome::NotDelivered, Why::Quit));
    // Who was connected hears of it later, too.
    assert!(matches!(hub.phases()[..], [Phase::Quit { .. }]));
    hub.list(KEY, true);
    assert!(matches!(hub.phases()[..], [Phase::Listening { .. }]));
    hub.submit(KEY, Replay::Never);
}

#[test]
fn a_connection_outlasts_its_file() {
    let mut hub = Hub::new();
    hub.list(KEY, true);
    let socket = hub.plugin(KEY);
    hub.unlist(KEY);
    hub.pass_hearing(s(60), &[socket]);
    assert_eq!(hub.phases(), [Phase::Connected]);
}

#[test]
fn the_gap_of_a_listed_editor_ends_when_its_file_says_so_and_not_when_it_is_called() {
    let mut hub = Hub::new();
    hub.list(KEY, true);
    let socket = hub.plugin(KEY);
    hub.gone(socket, LOST, &[]);
    hub.list(KEY, false);
    hub.pass(s(7));
    hub.list(KEY, true);
    hub.pass(s(300));
    hub.plugin(KEY);
    assert_eq!(hub.instance(KEY).last_gap, Some(s(7)));
}

#[test]
fn one_editor_that_is_known_in_two_ways_is_shown_once() {
    let whole = "0123abcd4567ef89";
    let mut hub = Hub::new();
    hub.list(KEY, true);
    let socket = hub.plugin(whole);
    assert_eq!(hub.phases(), [Phase::Connected]);
    hub.gone(socket, QUIT, &[]);
    assert_eq!(hub.phases().len(), 2);
    let mut hub = Hub::new();
    hub.list(KEY, true);
    let call = hub.submit(KEY, Replay::Never);
    hub.plugin(whole);
    // Somebody waits for it this way.
    assert_eq!(hub.phases().len(), 2);
    hub.abandon(call);
    assert_eq!(hub.phases().len(), 1);
}

#[test]
fn what_ran_when_the_seat_was_taken_is_over_and_what_waits_is_held() {
    for replay in [Replay::Never, Replay::Safe] {
        let mut hub = Hub::new();
        hub.list(KEY, true);
        let socket = hub.plugin(KEY);
        let running = hub.submit(KEY, replay);
        let waiting = hub.submit(KEY, replay);
        hub.gone(socket, TAKEN, &[]);
        assert_eq!(hub.end_of(running), lost(Outcome::Unknown, Why::SeatTaken));
        assert_eq!(hub.end_of(waiting), None);
        assert!(matches!(hub.phases()[..], [Phase::Listening { .. }]));
        assert_eq!(hub.instance(KEY).queued, 1);
    }
}

#[test]
fn the_call_for_which_a_connection_was_made_ends_with_it_written_or_not() {
    let mut hub = Hub::new();
    hub.list(KEY, true);
    let first = hub.submit(KEY, Replay::Never);
    let second = hub.submit(KEY, Replay::Never);
    let socket = hub.plugin(KEY);
    let (_, op) = hub.command(socket);
    hub.gone(socket, TAKEN, &[op]);
    assert_eq!(
        hub.end_of(first),
        lost(Outcome::NotDelivered, Why::SeatTaken)
    );
    // A later one on the same connection waits on: that connection has answered for a call.
    let socket = hub.plugin(KEY);
    let (id, _) = hub.command(socket);
    hub.answer(socket, &id);
    assert!(matches!(hub.end_of(second), Some(End::Answered(_))));
    let third = hub.submit(KEY, Replay::Never);
    let op = hub.command(socket).1;
    hub.gone(socket, TAKEN, &[op]);
    assert_eq!(hub.end_of(third), None);
    assert_eq!(hub.instance(KEY).queued, 1);
}

#[test]
fn a_read_that_an_earlier_connection_had_is_not_said_to_be_undelivered() {
    let mut hub = Hub::new();
    hub.list(KEY, true);
    let read = hub.submit(KEY, Replay::Safe);
    let socket = hub.plugin(KEY);
    hub.gone(socket, LOST, &[]);
    let socket = hub.plugin(KEY);
    let (_, op) = hub.command(socket);
    hub.gone(socket, TAKEN, &[op]);
    assert_eq!(hub.end_of(read), lost(Outcome::Unknown, Why::SeatTaken));
}

#[test]
fn a_connection_that_outlasted_its_file_leaves_it_time_to_appear_again() {
    let mut hub = Hub::new();
    hub.list(KEY, true);
    let socket = hub.plugin(KEY);
    hub.unlist(KEY);
    hub.pass(s(6));
    hub.gone(socket, LOST, &[]);
    hub.pass(s(4));
    assert!(matches!(hub.phases()[..], [Phase::Away { .. }]));
    hub.pass(s(2));
    assert!(matches!(hub.phases()[..], [Phase::Quit { .. }]));
}

#[test]
fn a_dial_that_is_cut_off_ends_the_oldest_call_and_no_other() {
    let mut hub = Hub::new();
    hub.list(KEY, true);
    let first = hub.submit(KEY, Replay::Never);
    let second = hub.submit(KEY, Replay::Never);
    hub.cut_off(KEY);
    assert_eq!(
        hub.end_of(first),
        lost(Outcome::NotDelivered, Why::SeatTaken)
    );
    assert_eq!(hub.end_of(second), None);
    // With nobody waiting there is nothing to end.
    hub.abandon(second);
    hub.cut_off(KEY);
}

#[test]
fn who_stands_by_refuses_calls_until_it_stands_down_or_has_the_seat() {
    let mut hub = Hub::new();
    hub.list(KEY, true);
    let taken = Err(Refused::SeatTaken("them".to_owned()));
    hub.stand_by(KEY);
    assert_eq!(hub.try_submit(KEY, request("work", Replay::Safe)), taken);
    hub.stand_down(KEY);
    hub.submit(KEY, Replay::Safe);
    let socket = hub.plugin(KEY);
    hub.gone(socket, TAKEN, &[]);
    hub.stand_by(KEY);
    assert_eq!(hub.try_submit(KEY, request("work", Replay::Safe)), taken);
    hub.plugin(KEY);
    assert_eq!(hub.instance(KEY).evicted, None);
    hub.submit(KEY, Replay::Safe);
}
