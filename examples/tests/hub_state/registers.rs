//! Registers, and who says anything else first.

use crate::hub::*;

#[test]
fn the_welcome_asks_to_be_heard_every_five_seconds() {
    let mut hub = Hub::new();
    hub.open();
    let welcome = json!({"type": "welcome", "serverTimeout": 30, "keepAliveInterval": 5});
    assert_eq!(hub.sent[0].message, welcome);
}

#[test]
fn a_register_is_answered_with_a_session_of_its_own() {
    let mut hub = Hub::new();
    let (a, b) = (hub.plugin("a"), hub.plugin("b"));
    let session = |socket| {
        let mut sent = hub.sent.iter();
        let registered = sent
            .find(|sent| sent.socket == socket && sent.message["type"] == "registered")
            .expect("registered");
        registered.message["session_id"]
            .as_str()
            .expect("text")
            .to_owned()
    };
    assert!(is_uuid(&session(a)), "{}", session(a));
    assert_ne!(session(a), session(b));
}

#[test]
fn an_empty_hash_is_closed_with_4400() {
    let mut hub = Hub::new();
    let socket = hub.plugin("");
    assert_eq!(hub.code(socket), Some(4400));
    assert_eq!(hub.state.instances().len(), 0);
}

#[test]
fn a_register_without_a_hash_is_ignored_and_after_ten_seconds_the_socket_is_closed_with_1008() {
    let mut hub = Hub::new();
    let socket = hub.open();
    hub.say(socket, r#"{"type":"register","project_name":"P"}"#);
    hub.say(socket, r#"{"type":"register","project_hash":7}"#);
    for _ in 0..9 {
        hub.pass(s(1));
        hub.pong(socket);
    }
    hub.pass(s(1) - ms(1));
    assert_eq!(hub.code(socket), None);
    hub.pass(ms(1));
    assert_eq!(hub.code(socket), Some(1008), "pongs are no register");
}

#[test]
fn a_second_register_on_one_socket_is_ignored() {
    let mut hub = Hub::new();
    let socket = hub.plugin("h");
    hub.register(socket, "h");
    hub.register(socket, "other");
    hub.register(socket, "");
    assert_eq!(hub.told(socket), ["welcome", "registered"]);
    assert_eq!(hub.state.instances().len(), 1);
    assert_eq!(hub.code(socket), None);
}

#[test]
fn what_is_no_json_is_closed_with_1003_and_wrong_shapes_are_ignored() {
    let mut hub = Hub::new();
    let (early, late, odd) = (hub.open(), hub.plugin("late"), hub.plugin("odd"));
    for text in [
        "[]",
        "7",
        "{}",
        "null",
        r#"{"type":["pong"]}"#,
        r#"{"type":"fly"}"#,
    ] {
        hub.say(odd, text);
    }
    for text in [
        r#"{"type":"command_result"}"#,
        r#"{"type":"command_result","id":7,"result":{}}"#,
        r#"{"type":"register_tools","tools":"none"}"#,
    ] {
        hub.say(odd, text);
    }
    hub.say(early, "hello");
    hub.say(late, "{\"type\":");
    assert_eq!(hub.code(early), Some(1003));
    assert_eq!(hub.code(late), Some(1003));
    assert_eq!(hub.code(odd), None);
}

#[test]
fn who_has_not_registered_may_not_say_much() {
    let mut hub = Hub::new();
    let socket = hub.open();
    hub.register(socket, &"h".repeat(100_000));
    assert_eq!(hub.code(socket), Some(1009));
    assert_eq!(hub.state.instances().len(), 0);
}

#[test]
fn at_most_sixty_four_sockets_have_not_registered() {
    let mut hub = Hub::new();
    let sockets: Vec<SocketId> = (0..64).map(|_| hub.open()).collect();
    assert_eq!(hub.try_open(), None);
    hub.register(sockets[0], "h");
    let one_more = hub.open();
    assert_eq!(hub.try_open(), None);
    assert_eq!(hub.state.sockets(), (65, 64));
    hub.pass(s(10));
    assert_eq!(hub.state.sockets(), (1, 0));
    assert_eq!(hub.code(one_more), Some(1008));
}

#[test]
fn a_socket_that_goes_before_its_register_leaves_nothing() {
    let mut hub = Hub::new();
    let socket = hub.open();
    hub.gone(socket, LOST, &[]);
    hub.register(socket, "h");
    assert_eq!(hub.state.sockets(), (0, 0));
    assert_eq!(hub.state.poll_timeout(), None);
}
