//! Pings, and who is given up.

use crate::hub::*;

#[test]
fn a_quiet_plugin_is_pinged_once_and_dead_after_twenty_seconds() {
    let mut hub = Hub::new();
    let socket = hub.plugin("h");
    hub.pass(s(8) - ms(1));
    assert_eq!(hub.count(socket, "ping"), 0);
    hub.pass(s(12));
    assert_eq!(hub.count(socket, "ping"), 1);
    assert_eq!(hub.code(socket), None);
    hub.pass(ms(1));
    assert_eq!(hub.code(socket), Some(4002));
    assert!(matches!(hub.instance("h").phase, Phase::Away { .. }));
}

#[test]
fn whatever_a_plugin_says_proves_that_it_lives() {
    let mut hub = Hub::new();
    let socket = hub.plugin("h");
    for text in [r#"{"type":"pong","session_id":null}"#, "{}", "[]"].repeat(20) {
        hub.pass(s(12));
        hub.say(socket, text);
    }
    assert_eq!(hub.code(socket), None);
    assert_eq!(hub.count(socket, "ping"), 60);
}

#[test]
fn a_call_of_a_plugin_that_fell_silent_is_unknown_and_says_so() {
    let mut hub = Hub::new();
    hub.plugin("h");
    let call = hub.submit("h", Replay::Never);
    hub.pass(s(20));
    assert_eq!(hub.end_of(call), lost(Outcome::Unknown, Why::Silent));
}
