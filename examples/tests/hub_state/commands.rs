//! Commands and their results, one at a time.

use crate::hub::*;

#[test]
fn an_editor_has_one_command_at_a_time_in_order() {
    let mut hub = Hub::new();
    let socket = hub.plugin("h");
    let calls: Vec<Ticket> = (0..5).map(|_| hub.submit("h", Replay::Never)).collect();
    for (done, call) in calls.iter().enumerate() {
        assert_eq!(hub.count(socket, "execute"), done + 1);
        assert_eq!(hub.state.standing(*call), Some(Standing::Running));
        let next = calls
            .get(done + 1)
            .and_then(|next| hub.state.standing(*next));
        assert!(next.is_none_or(|next| next == Standing::Queued));
        let (id, _) = hub.command(socket);
        hub.answer(socket, &id);
        assert_eq!(
            hub.end_of(*call),
            Some(End::Answered(json!({"answer_to": id})))
        );
        assert_eq!(hub.state.standing(*call), None);
    }
}

#[test]
fn the_id_of_a_command_has_the_form_of_a_uuid_and_stays_over_a_redelivery() {
    let mut hub = Hub::new();
    let first = hub.plugin("h");
    let read = hub.submit("h", Replay::Safe);
    let (id, _) = hub.command(first);
    assert!(is_uuid(&id), "{id}");
    hub.gone(first, LOST, &[]);
    assert_eq!(hub.state.standing(read), Some(Standing::Away));
    let second = hub.plugin("h");
    assert_eq!(hub.command(second).0, id);
    hub.answer(second, &id);
    assert!(matches!(hub.end_of(read), Some(End::Answered(_))));
}

#[test]
fn ids_of_an_earlier_run_are_nobodys() {
    let mut ids = BTreeSet::new();
    for boot in [0, 1, u64::MAX] {
        let mut hub = Hub::new();
        hub.state = State::new(Config::default(), boot);
        for hash in ["a", "b"] {
            let socket = hub.plugin(hash);
            hub.submit(hash, Replay::Never);
            assert!(ids.insert(hub.command(socket).0));
        }
    }
}

#[test]
fn results_of_others_are_ignored() {
    let mut hub = Hub::new();
    let (holder, standby) = (hub.plugin("h"), hub.plugin("h"));
    let stranger = hub.plugin("other");
    let call = hub.submit("h", Replay::Never);
    let (id, _) = hub.command(holder);
    for socket in [standby, stranger] {
        hub.answer(socket, &id);
    }
    for foreign in [
        "",
        "-",
        "1",
        &id[1..],
        &format!("{id}0"),
        &id.replace('-', ""),
    ] {
        hub.answer(holder, foreign);
    }
    let next = format!("{}{}", &id[..id.len() - 1], "f");
    hub.answer(holder, &next);
    assert_eq!((hub.end_of(call), hub.late.len()), (None, 0));
    hub.answer(holder, &id);
    hub.answer(holder, &id);
    assert!(matches!(hub.end_of(call), Some(End::Answered(_))));
    assert_eq!(hub.late, [], "a second answer is nobody's");
}

#[test]
fn a_call_that_is_given_up_while_queued_is_never_sent() {
    let mut hub = Hub::new();
    let socket = hub.plugin("h");
    hub.submit("h", Replay::Never);
    let queued = hub.submit("h", Replay::Never);
    assert_eq!(hub.abandon(queued), Abandoned::Withdrawn);
    assert_eq!(hub.abandon(queued), Abandoned::Over);
    let (id, _) = hub.command(socket);
    hub.answer(socket, &id);
    assert_eq!(hub.count(socket, "execute"), 1);
}

#[test]
fn the_result_of_a_call_that_was_given_up_is_late_and_frees_the_window() {
    let mut hub = Hub::new();
    let socket = hub.plugin("h");
    let given_up = hub.submit("h", Replay::Never);
    let behind = hub.submit("h", Replay::Never);
    let (id, _) = hub.command(socket);
    assert!(matches!(hub.abandon(given_up), Abandoned::Running(_)));
    assert!(hub.state.is_running(given_up));
    assert_eq!(hub.state.standing(behind), Some(Standing::Queued));
    hub.answer(socket, &id);
    assert_eq!(hub.late, [(given_up, json!({"answer_to": id}))]);
    assert!(!hub.state.is_running(given_up));
    assert_eq!(hub.state.standing(behind), Some(Standing::Running));
    assert_eq!(hub.end_of(given_up), None);
}

#[test]
fn a_result_that_a_plugin_brings_back_over_its_next_connection_is_late() {
    let mut hub = Hub::new();
    let first = hub.plugin("h");
    let change = hub.submit("h", Replay::Never);
    let (id, _) = hub.command(first);
    hub.gone(first, LOST, &[]);
    assert_eq!(hub.end_of(change), lost(Outcome::Unknown, Why::LinkLost));
    assert!(!hub.state.is_running(change));
    let second = hub.plugin("h");
    hub.answer(second, &id);
    hub.answer(second, &id);
    assert_eq!(hub.late, [(change, json!({"answer_to": id}))]);
}

#[test]
fn a_stuck_command_keeps_its_place_and_its_answer_still_counts() {
    let mut hub = Hub::new();
    let socket = hub.plugin("h");
    let slow = hub.submit("h", Replay::Never);
    hub.pass_hearing(s(36), &[socket]);
    assert_eq!(hub.stuck, [slow]);
    assert!(hub.instance("h").stalled);
    let (id, _) = hub.command(socket);
    hub.answer(socket, &id);
    assert!(matches!(hub.end_of(slow), Some(End::Answered(_))));
    assert!(!hub.instance("h").stalled);
}

#[test]
fn a_call_that_waits_as_long_as_it_may_was_not_delivered() {
    let mut hub = Hub::new();
    let socket = hub.plugin("h");
    hub.submit("h", Replay::Never);
    let queued = hub.submit("h", Replay::Never);
    hub.pass_hearing(s(120), &[socket]);
    let expired = lost(Outcome::NotDelivered, Why::HoldExpired);
    assert_eq!(hub.end_of(queued), expired);
}
