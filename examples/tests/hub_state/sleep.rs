//! A night with the lid closed, on both kinds of clock.

use crate::hub::*;

const NIGHT: Duration = s(8 * 3_600);

/// Away for 100 of 120 s when the lid closes.
fn held(counted: Duration) -> (Hub, Ticket) {
    let mut hub = Hub::new();
    let socket = hub.plugin("h");
    hub.gone(socket, LOST, &[]);
    let call = hub.submit("h", Replay::Never);
    hub.pass(s(100));
    hub.sleep(counted);
    (hub, call)
}

#[test]
fn a_night_costs_a_held_call_nothing_of_its_budget_on_either_kind_of_clock() {
    for counted in [NIGHT, Duration::ZERO] {
        let (mut hub, call) = held(counted);
        hub.pass(s(20) - ms(1));
        assert_eq!(hub.end_of(call), None);
        hub.pass(ms(1));
        let expired = lost(Outcome::NotDelivered, Why::HoldExpired);
        assert_eq!(hub.end_of(call), expired);
    }
}

#[test]
fn after_a_night_every_plugin_is_asked_once_and_has_its_whole_patience_to_answer() {
    for counted in [NIGHT, Duration::ZERO] {
        let mut hub = Hub::new();
        let (quiet, pinged) = (hub.plugin("quiet"), hub.plugin("pinged"));
        hub.pass(s(7));
        hub.pong(quiet);
        // The other was pinged before the lid was closed, and had a second left.
        hub.pass_hearing(s(12), &[quiet]);
        assert_eq!(
            (hub.count(quiet, "ping"), hub.count(pinged, "ping")),
            (0, 1)
        );
        hub.sleep(counted);
        assert_eq!(
            (hub.count(quiet, "ping"), hub.count(pinged, "ping")),
            (1, 2)
        );
        hub.pass(s(20) - ms(1));
        assert_eq!(hub.closed, []);
        assert_eq!(
            (hub.count(quiet, "ping"), hub.count(pinged, "ping")),
            (1, 2)
        );
        hub.pong(quiet);
        hub.pass(ms(1));
        assert_eq!((hub.code(quiet), hub.code(pinged)), (None, Some(4002)));
    }
}

#[test]
fn a_night_costs_nobody_the_seat() {
    let mut hub = Hub::new();
    let (holder, standby) = (hub.plugin("h"), hub.plugin("h"));
    hub.pass_hearing(s(9), &[standby]);
    hub.sleep(NIGHT);
    hub.pong(standby);
    hub.pass_hearing(s(10), &[standby]);
    assert_eq!(hub.code(holder), None);
    hub.pass(ms(2));
    assert_eq!(hub.code(holder), Some(4002));
}

#[test]
fn a_night_is_no_register_time() {
    let mut hub = Hub::new();
    let socket = hub.open();
    hub.pass(s(5));
    hub.sleep(NIGHT);
    hub.pass(s(5) - ms(1));
    assert_eq!(hub.code(socket), None);
    hub.register(socket, "h");
    assert!(hub.is_seated(socket));
}

#[test]
fn a_running_command_gets_its_time_back() {
    let mut hub = Hub::new();
    let socket = hub.plugin("h");
    hub.submit("h", Replay::Never);
    hub.pass_hearing(s(30), &[socket]);
    hub.sleep(NIGHT);
    hub.pong(socket);
    assert_eq!(hub.stuck, []);
    hub.pass(s(5));
    assert_eq!(hub.stuck.len(), 1);
}
