//! What a lost connection, a quit and a shutdown cost.

use crate::hub::*;

#[test]
fn a_lost_connection_settles_a_change_sends_a_read_again_and_keeps_what_is_queued() {
    let mut hub = Hub::new();
    let first = hub.plugin("h");
    let change = hub.submit("h", Replay::Never);
    let read = hub.submit("h", Replay::Safe);
    hub.gone(first, LOST, &[]);
    assert_eq!(hub.end_of(change), lost(Outcome::Unknown, Why::LinkLost));
    let second = hub.plugin("h");
    let (id, _) = hub.command(second);
    hub.gone(second, LOST, &[]);
    assert_eq!(hub.end_of(read), None);
    let third = hub.plugin("h");
    assert_eq!(hub.command(third).0, id);
    hub.answer(third, &id);
    assert!(matches!(hub.end_of(read), Some(End::Answered(_))));
}

#[test]
fn a_command_that_was_never_written_is_sent_again_whatever_it_is() {
    let mut hub = Hub::new();
    let first = hub.plugin("h");
    let change = hub.submit("h", Replay::Never);
    let (id, op) = hub.command(first);
    hub.gone(first, LOST, &[op]);
    assert_eq!(hub.end_of(change), None);
    let second = hub.plugin("h");
    assert_eq!(hub.command(second), (id.clone(), op));
    hub.answer(second, &id);
    assert!(matches!(hub.end_of(change), Some(End::Answered(_))));
}

#[test]
fn a_read_is_sent_again_three_times_and_then_unknown() {
    let mut hub = Hub::new();
    let socket = hub.plugin("h");
    let read = hub.submit("h", Replay::Safe);
    hub.gone(socket, LOST, &[]);
    for _ in 0..3 {
        assert_eq!(hub.end_of(read), None);
        let socket = hub.plugin("h");
        assert_eq!(hub.count(socket, "execute"), 1);
        hub.gone(socket, LOST, &[]);
    }
    assert_eq!(hub.end_of(read), lost(Outcome::Unknown, Why::LinkLost));
}

#[test]
fn a_quit_fails_what_waits_at_once_and_refuses_more_until_the_editor_is_back() {
    let mut hub = Hub::new();
    let socket = hub.plugin("h");
    let change = hub.submit("h", Replay::Never);
    let queued = hub.submit("h", Replay::Never);
    hub.gone(socket, QUIT, &[]);
    assert_eq!(hub.end_of(change), lost(Outcome::Unknown, Why::Quit));
    assert_eq!(hub.end_of(queued), lost(Outcome::NotDelivered, Why::Quit));
    let refused = hub.try_submit("h", request("work", Replay::Safe));
    assert_eq!(refused, Err(Refused::Quit));
    assert!(matches!(hub.instance("h").phase, Phase::Quit { .. }));
    let back = hub.plugin("h");
    hub.submit("h", Replay::Never);
    assert_eq!(hub.count(back, "execute"), 1);
}

#[test]
fn a_read_that_an_editor_had_when_it_quit_is_unknown_and_not_undelivered() {
    let mut hub = Hub::new();
    let socket = hub.plugin("h");
    let read = hub.submit("h", Replay::Safe);
    hub.gone(socket, QUIT, &[]);
    assert_eq!(hub.end_of(read), lost(Outcome::Unknown, Why::Quit));
}

#[test]
fn a_quit_with_another_editor_in_standby_fails_nothing_that_is_queued() {
    let mut hub = Hub::new();
    let (first, second) = (hub.plugin("h"), hub.plugin("h"));
    hub.submit("h", Replay::Never);
    let queued = hub.submit("h", Replay::Never);
    hub.gone(first, QUIT, &[]);
    assert_eq!(hub.state.standing(queued), Some(Standing::Running));
    assert_eq!(hub.count(second, "execute"), 1);
}

#[test]
fn a_call_given_up_before_its_connection_went_ends_quietly() {
    let mut hub = Hub::new();
    let socket = hub.plugin("h");
    let call = hub.submit("h", Replay::Safe);
    hub.abandon(call);
    hub.gone(socket, LOST, &[]);
    let next = hub.plugin("h");
    assert_eq!(hub.count(next, "execute"), 0);
    assert_eq!(hub.end_of(call), None);
    assert!(!hub.state.is_running(call));
}

#[test]
fn a_gap_is_measured_from_the_loss_to_the_return_and_a_change_of_seats_is_none() {
    let mut hub = Hub::new();
    let first = hub.plugin("h");
    assert_eq!(
        (hub.instance("h").returns, hub.instance("h").last_gap),
        (0, None)
    );
    hub.gone(first, LOST, &[]);
    hub.pass(s(7));
    let second = hub.plugin("h");
    assert_eq!(
        (hub.instance("h").returns, hub.instance("h").last_gap),
        (1, Some(s(7)))
    );
    hub.plugin("h");
    hub.gone(second, LOST, &[]);
    assert_eq!(hub.instance("h").last_gap, Some(s(7)));
}

#[test]
fn a_server_that_goes_down_says_so_to_everybody() {
    let mut hub = Hub::new();
    let sockets = [
        hub.plugin("a"),
        hub.plugin("a"),
        hub.plugin("b"),
        hub.open(),
    ];
    hub.state.shut_down(hub.now);
    hub.drain();
    assert!(sockets.iter().all(|socket| hub.code(*socket) == Some(1012)));
}
