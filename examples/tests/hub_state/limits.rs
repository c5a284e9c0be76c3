//! Every table has an end.

use crate::hub::*;

#[test]
fn a_project_that_nobody_knows_takes_no_calls() {
    let refused = Hub::new().try_submit("h", request("work", Replay::Safe));
    assert_eq!(refused, Err(Refused::NoSuchProject));
}

#[test]
fn a_project_is_forgotten_ten_minutes_after_its_last_editor_and_its_last_call() {
    let mut hub = Hub::new();
    let socket = hub.plugin("h");
    hub.gone(socket, LOST, &[]);
    hub.pass(s(550));
    let changes = hub.changes;
    hub.submit("h", Replay::Never);
    hub.pass(s(119));
    assert_eq!(hub.state.instances().len(), 1, "a call waits for it");
    hub.pass(s(1));
    assert_eq!(hub.state.instances().len(), 0);
    assert!(hub.changes > changes, "whoever watches is told");
    assert_eq!(hub.state.poll_timeout(), None);
    hub.plugin("h");
    assert_eq!(hub.instance("h").returns, 0);
}

#[test]
fn a_full_house_forgets_who_is_away_and_refuses_only_when_all_are_here() {
    let mut config = Config::default();
    config.max_projects = 2;
    let mut hub = Hub::with(config);
    let (a, b) = (hub.plugin("a"), hub.plugin("b"));
    let refused = hub.plugin("c");
    assert_eq!(hub.code(refused), Some(1013));
    hub.gone(a, LOST, &[]);
    let call = hub.submit("a", Replay::Never);
    let refused = hub.plugin("c");
    assert_eq!(hub.code(refused), Some(1013), "a call waits for a");
    hub.abandon(call);
    let c = hub.plugin("c");
    assert!(hub.is_seated(c));
    assert_eq!(hub.code(b), None);
    let again = hub.plugin("a");
    assert_eq!(hub.code(again), Some(1013));
}

#[test]
fn at_most_eight_editors_wait_for_one_seat() {
    let mut hub = Hub::new();
    let sockets: Vec<SocketId> = (0..10).map(|_| hub.plugin("h")).collect();
    assert_eq!(hub.instance("h").standby, 8);
    assert_eq!(hub.code(sockets[9]), Some(1013));
    assert_eq!(hub.state.sockets(), (9, 0));
}

#[test]
fn a_queue_that_is_full_refuses_by_number_and_by_size() {
    let mut hub = Hub::new();
    hub.plugin("h");
    for _ in 0..1_024 {
        hub.submit("h", Replay::Never);
    }
    let refused = hub.try_submit("h", request("work", Replay::Safe));
    assert_eq!(refused, Err(Refused::Full(Full::Ops { limit: 1_024 })));

    let mut hub = Hub::new();
    hub.plugin("h");
    let mut large = request("work", Replay::Never);
    large.params = json!({"text": "x".repeat(40 * 1024 * 1024)});
    hub.try_submit("h", large.clone()).expect("one fits");
    let refused = hub.try_submit("h", large);
    assert!(matches!(refused, Err(Refused::Full(Full::Bytes { .. }))));
}

#[test]
fn a_command_that_no_message_can_hold_is_refused_for_what_it_is_on_the_wire() {
    let mut hub = Hub::new();
    hub.plugin("h");
    let mut escaped = request("work", Replay::Never);
    escaped.params = json!({"text": "\u{1}".repeat(12 * 1024 * 1024)});
    let refused = hub.try_submit("h", escaped);
    assert!(matches!(refused, Err(Refused::Full(Full::Bytes { .. }))));
}

#[test]
fn what_is_over_leaves_no_trace_in_the_timer() {
    let mut hub = Hub::new();
    let socket = hub.plugin("h");
    for round in 0..1_000_u32 {
        let call = hub.submit("h", Replay::Never);
        let (id, _) = hub.command(socket);
        if round.is_multiple_of(3) {
            hub.abandon(call);
        }
        hub.answer(socket, &id);
    }
    assert_eq!(hub.instance("h").queued, 0);
    hub.gone(socket, QUIT, &[]);
    hub.pass(s(600));
    assert_eq!(hub.state.poll_timeout(), None);
}
