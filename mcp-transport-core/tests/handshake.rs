//! What of a session is said again on a fresh connection.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

use mcp_transport_core::handshake::{Handshake, MAX_SUBSCRIPTIONS, Replay};
use mcp_transport_core::{Id, Message};
use serde_json::json;

fn request(id: i64, method: &str, uri: &str) -> Message {
    Message::request(&Id::from(id), method, Some(json!({ "uri": uri }))).unwrap()
}

fn answer(id: i64) -> Message {
    Message::response(&Id::from(id), json!({})).unwrap()
}

fn refusal(id: i64) -> Message {
    Message::error(Some(&Id::from(id)), -32603, "no", None::<()>)
}

fn initialized() -> Message {
    Message::notification("notifications/initialized", None::<()>).unwrap()
}

fn agree(handshake: &mut Handshake, id: i64, method: &str, uri: &str) {
    handshake.said(&request(id, method, uri));
    handshake.answered(&answer(id));
}

/// The ids and methods of a replay whose requests are all answered.
fn play(mut replay: Replay) -> Vec<String> {
    let mut said = Vec::new();
    while let Some(message) = replay.next() {
        said.push(message.method().unwrap().to_owned());
        if let Some(id) = message.id() {
            assert!(replay.next().is_none(), "one request at a time");
            let answer = Message::response(id, json!({})).unwrap();
            assert!(replay.answered(&answer).unwrap());
        }
    }
    assert!(replay.is_over());
    said
}

#[test]
fn a_stateless_client_has_nothing_to_replay() {
    let mut handshake = Handshake::new();
    agree(&mut handshake, 1, "server/discover", "");
    agree(&mut handshake, 2, "resources/subscribe", "file:///a");
    assert!(play(handshake.replay()).is_empty());
}

#[test]
fn what_the_host_refused_is_not_said_again() {
    let mut handshake = Handshake::new();
    agree(&mut handshake, 0, "initialize", "");
    handshake.said(&request(1, "resources/subscribe", "file:///gone"));
    handshake.answered(&refusal(1));
    assert_eq!(play(handshake.replay()), ["initialize"]);
}

#[test]
fn what_was_in_flight_when_the_connection_went_is_not_recorded() {
    let mut handshake = Handshake::new();
    agree(&mut handshake, 0, "initialize", "");
    handshake.said(&request(1, "logging/setLevel", ""));
    handshake.lost();
    handshake.answered(&answer(1));
    assert_eq!(play(handshake.replay()), ["initialize"]);
}

#[test]
fn a_new_initialize_begins_a_new_session() {
    let mut handshake = Handshake::new();
    agree(&mut handshake, 0, "initialize", "");
    handshake.said(&initialized());
    agree(&mut handshake, 1, "resources/subscribe", "file:///a");
    agree(&mut handshake, 2, "initialize", "");
    assert_eq!(play(handshake.replay()), ["initialize"]);
    handshake.said(&initialized());
    let said = play(handshake.replay());
    assert_eq!(said, ["initialize", "notifications/initialized"]);
}

#[test]
fn initialized_counts_also_where_it_overtook_the_answer() {
    let mut handshake = Handshake::new();
    handshake.said(&request(0, "initialize", ""));
    handshake.said(&initialized());
    handshake.answered(&answer(0));
    let said = play(handshake.replay());
    assert_eq!(said, ["initialize", "notifications/initialized"]);
}

#[test]
fn a_resource_is_subscribed_once_and_no_longer_than_it_is_wanted() {
    let mut handshake = Handshake::new();
    agree(&mut handshake, 0, "initialize", "");
    for (id, method, uri) in [
        (1, "resources/subscribe", "file:///a"),
        (2, "resources/subscribe", "file:///a"),
        (3, "resources/subscribe", "file:///b"),
        (4, "resources/unsubscribe", "file:///b"),
    ] {
        agree(&mut handshake, id, method, uri);
    }
    let said = play(handshake.replay());
    assert_eq!(said, ["initialize", "resources/subscribe"]);
}

#[test]
fn the_record_is_bounded() {
    let mut handshake = Handshake::new();
    agree(&mut handshake, 0, "initialize", "");
    for id in 1..3_000 {
        agree(
            &mut handshake,
            id,
            "resources/subscribe",
            &format!("file:///{id}"),
        );
    }
    assert_eq!(play(handshake.replay()).len(), 1 + MAX_SUBSCRIPTIONS);
}

#[test]
fn only_the_refusal_to_initialise_fails_the_connection() {
    let mut handshake = Handshake::new();
    agree(&mut handshake, 0, "initialize", "");
    agree(&mut handshake, 1, "resources/subscribe", "file:///a");
    let mut replay = handshake.replay();
    replay.next().unwrap();
    assert!(
        replay
            .clone()
            .answered(&refusal(0))
            .unwrap_err()
            .is_retryable()
    );
    assert!(
        !replay.answered(&answer(7)).unwrap(),
        "that is somebody else's"
    );
    assert!(replay.answered(&answer(0)).unwrap());
    replay.next().unwrap();
    assert!(replay.answered(&refusal(1)).unwrap());
    assert!(replay.is_over());
}
