//! What a client sees of a link whose connections come and go.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    dead_code,
    missing_docs,
    reason = "tests wait, read the clock, and use a part of what supports them"
)]

mod support;

use futures::{Sink, SinkExt, Stream, StreamExt};
use mcp_transport_core::delivery::Replay;
use mcp_transport_core::resilient::Handle;
use mcp_transport_core::{
    Error, ErrorKind, Eviction, EvictionReason, Message, Resilient, RetryPolicy, State,
};
use serde_json::{Value, json};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;
use support::{Host, Hosts, notification, request};
use tokio::sync::oneshot;
use tokio::time::{self, Instant};

async fn hear(link: &mut Resilient) -> Value {
    let message = link.next().await.expect("the link is not over").unwrap();
    message.json().unwrap()
}

async fn hears_nothing(link: &mut Resilient) {
    let heard = time::timeout(Duration::from_millis(50), link.next()).await;
    assert!(heard.is_err(), "{heard:?}");
}

async fn until(link: &Resilient, wanted: impl FnMut(&State) -> bool) {
    link.watch().wait_for(wanted).await.unwrap();
}

fn initialize(id: i64) -> Message {
    request(id, "initialize")
}

/// A link with an initialised session.
async fn session(link: &mut Resilient, hosts: &mut Hosts) -> Host {
    let mut host = hosts.accept().await;
    link.send(initialize(0)).await.unwrap();
    let id = host.hear_request("initialize").await;
    host.answer(id, json!({"serverInfo": {}})).await;
    hear(link).await;
    link.send(notification("notifications/initialized"))
        .await
        .unwrap();
    assert_eq!(host.hear().await["method"], "notifications/initialized");
    host
}

/// The host's part of a replay.
async fn welcome(host: &mut Host) {
    let id = host.hear_request("initialize").await;
    assert_eq!(id, 0, "a replayed request keeps its id");
    host.answer(id, json!({"serverInfo": {}})).await;
    assert_eq!(host.hear().await["method"], "notifications/initialized");
}

#[tokio::test(start_paused = true)]
async fn a_call_goes_out_and_its_answer_comes_back() {
    let (mut hosts, connector) = Hosts::new();
    let mut link = Resilient::spawn(connector);
    link.send(request(1, "tools/call")).await.unwrap();
    let mut host = hosts.accept().await;
    let id = host.hear_request("tools/call").await;
    host.answer(id, json!("done")).await;
    assert_eq!(
        hear(&mut link).await,
        json!({"jsonrpc": "2.0", "id": 1, "result": "done"})
    );
    assert!(matches!(link.state(), State::Connected { session: 1, .. }));
}

#[tokio::test(start_paused = true)]
async fn a_queued_call_survives_until_the_host_is_there() {
    let (mut hosts, connector) = Hosts::new();
    hosts.fail((0..5).map(|_| ErrorKind::Unreachable.into()));
    let mut link = Resilient::spawn(connector);
    link.send(request(1, "tools/call")).await.unwrap();
    let mut host = hosts.accept().await;
    assert_eq!(hosts.times().last().unwrap().as_secs(), 19);
    let id = host.hear_request("tools/call").await;
    host.answer(id, json!(1)).await;
    assert_eq!(hear(&mut link).await["result"], 1);
}

#[tokio::test(start_paused = true)]
async fn the_handshake_is_replayed_before_what_is_queued() {
    let (mut hosts, connector) = Hosts::new();
    let mut link = Resilient::spawn(connector);
    let mut host = session(&mut link, &mut hosts).await;
    for (id, method, uri) in [
        (1, "logging/setLevel", None),
        (2, "resources/subscribe", Some("file:///a")),
        (3, "resources/subscribe", Some("file:///b")),
        (4, "resources/unsubscribe", Some("file:///a")),
    ] {
        let params = json!({ "uri": uri });
        let said = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
        link.send(Message::from_json(&said).unwrap()).await.unwrap();
        let id = host.hear_request(method).await;
        host.answer(id, json!({})).await;
        hear(&mut link).await;
    }
    hosts.fail([ErrorKind::Unreachable.into()]);
    drop(host);
    until(&link, |state| !state.is_connected()).await;
    link.send(request(5, "tools/list")).await.unwrap();

    let mut host = hosts.accept().await;
    welcome(&mut host).await;
    for method in ["logging/setLevel", "resources/subscribe"] {
        let said = host.hear().await;
        assert_eq!(said["method"], method);
        assert_ne!(
            said["params"]["uri"], "file:///a",
            "that one was unsubscribed"
        );
        host.hears_nothing().await; // not before the answer
        host.answer(said["id"].clone(), json!({})).await;
    }
    let id = host.hear_request("tools/list").await;
    host.answer(id, json!("list")).await;
    assert_eq!(
        hear(&mut link).await["result"],
        "list",
        "the client sees no answer of the replay"
    );
}

/// The host asks, and the client answers.
async fn ask_back(host: &mut Host, link: &mut Resilient, id: i64, method: &str) {
    host.say(json!({"jsonrpc": "2.0", "id": id, "method": method}))
        .await;
    assert_eq!(hear(link).await["method"], method);
    let answer = Message::response(&id.into(), method).unwrap();
    link.send(answer).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_host_that_asks_back_before_it_goes_on_with_the_replay_gets_its_answer() {
    let (mut hosts, connector) = Hosts::new();
    let mut link = Resilient::spawn(connector);
    let mut host = session(&mut link, &mut hosts).await;
    link.send(request(1, "logging/setLevel")).await.unwrap();
    host.hear_request("logging/setLevel").await;
    host.answer(json!(1), json!({})).await;
    hear(&mut link).await;
    drop(host);

    let mut host = hosts.accept().await;
    host.hear_request("initialize").await;
    ask_back(&mut host, &mut link, 7, "ping").await;
    link.send(request(2, "tools/list")).await.unwrap();
    assert_eq!(host.hear().await["result"], "ping");
    host.answer(json!(0), json!({})).await;
    assert_eq!(host.hear().await["method"], "notifications/initialized");
    host.hear_request("logging/setLevel").await;
    ask_back(&mut host, &mut link, 8, "roots/list").await;
    assert_eq!(host.hear().await["result"], "roots/list");
    host.hears_nothing().await; // what is queued waits for the end of the replay
    host.answer(json!(1), json!({})).await;
    host.hear_request("tools/list").await;
    assert!(link.state().is_connected());
}

#[tokio::test(start_paused = true)]
async fn a_session_without_initialized_is_replayed_as_far_as_it_went() {
    let (mut hosts, connector) = Hosts::new();
    let mut link = Resilient::spawn(connector);
    link.send(initialize(0)).await.unwrap();
    let mut host = hosts.accept().await;
    let id = host.hear_request("initialize").await;
    host.answer(id, json!({"first": true})).await;
    assert_eq!(hear(&mut link).await["result"]["first"], true);
    drop(host);

    let mut host = hosts.accept().await;
    let id = host.hear_request("initialize").await;
    host.answer(id, json!({"first": false})).await;
    hears_nothing(&mut link).await;
    link.send(notification("notifications/initialized"))
        .await
        .unwrap();
    assert_eq!(host.hear().await["method"], "notifications/initialized");
}

#[tokio::test(start_paused = true)]
async fn an_initialize_that_was_not_answered_is_sent_once_per_connection() {
    let (mut hosts, connector) = Hosts::new();
    let mut link = Resilient::spawn(connector);
    link.send(initialize(0)).await.unwrap();
    let mut host = hosts.accept().await;
    host.hear_request("initialize").await;
    drop(host);
    let mut host = hosts.accept().await;
    let id = host.hear_request("initialize").await;
    host.hears_nothing().await;
    host.answer(id, json!({})).await;
    assert_eq!(hear(&mut link).await["id"], 0);
}

#[tokio::test(start_paused = true)]
async fn initialized_that_was_said_while_down_is_replayed() {
    let (mut hosts, connector) = Hosts::new();
    let mut link = Resilient::spawn(connector);
    link.send(initialize(0)).await.unwrap();
    let mut host = hosts.accept().await;
    let id = host.hear_request("initialize").await;
    host.answer(id, json!({})).await;
    hear(&mut link).await;
    hosts.fail((0..3).map(|_| ErrorKind::Unreachable.into()));
    drop(host);
    until(&link, |state| !state.is_connected()).await;
    link.send(notification("notifications/initialized"))
        .await
        .unwrap();
    link.send(notification("notifications/roots/list_changed"))
        .await
        .unwrap();
    let mut host = hosts.accept().await;
    welcome(&mut host).await;
    host.hears_nothing().await;
}

#[tokio::test(start_paused = true)]
async fn a_stateless_client_has_nothing_replayed() {
    let (mut hosts, connector) = Hosts::new();
    let mut link = Resilient::spawn(connector);
    let mut host = hosts.accept().await;
    link.send(request(1, "server/discover")).await.unwrap();
    let id = host.hear_request("server/discover").await;
    host.answer(id, json!({})).await;
    hear(&mut link).await;
    drop(host);
    hosts.accept().await.hears_nothing().await;
}

#[tokio::test(start_paused = true)]
async fn a_host_that_does_not_answer_the_replay_within_ten_seconds_counts_as_failed() {
    let (mut hosts, connector) = Hosts::new();
    let mut link = Resilient::spawn(connector);
    let host = session(&mut link, &mut hosts).await;
    drop(host);
    let mut mute = hosts.accept().await;
    let start = Instant::now();
    mute.hear_request("initialize").await;
    assert!(mute.0.next().await.is_none(), "the link gives it up");
    assert_eq!(start.elapsed().as_secs(), 10);
    let mut host = hosts.accept().await;
    welcome(&mut host).await;
    until(&link, State::is_connected).await;
}

#[tokio::test(start_paused = true)]
async fn a_host_that_refuses_the_replay_is_dialled_by_the_schedule() {
    let (mut hosts, connector) = Hosts::new();
    let mut link = Resilient::spawn(connector);
    let host = session(&mut link, &mut hosts).await;
    drop(host);
    let start = Instant::now();
    for _ in 0..4 {
        let mut host = hosts.accept().await;
        let id = host.hear_request("initialize").await;
        host.say(json!({"jsonrpc": "2.0", "id": id, "error": {"code": -32603, "message": "no"}}))
            .await;
    }
    assert_eq!(start.elapsed().as_secs(), 9, "0, 1, 3 and 5 s");
}

#[tokio::test(start_paused = true)]
async fn a_write_in_flight_is_settled_as_unknown_exactly_once() {
    let (mut hosts, connector) = Hosts::new();
    let mut link = Resilient::spawn(connector);
    link.send(request(7, "tools/call")).await.unwrap();
    let mut host = hosts.accept().await;
    host.hear_request("tools/call").await;
    host.0
        .abort(Error::evicted(Eviction::new(EvictionReason::Reloading)));

    let answer = hear(&mut link).await;
    assert_eq!(answer["id"], 7);
    assert_eq!(answer["error"]["code"], -31006);
    let data = &answer["error"]["data"];
    assert_eq!(data["outcome"], "unknown");
    assert_eq!(data["retryable"], false);
    assert!(data["operation_id"].is_string());

    let mut host = hosts.accept().await;
    host.hears_nothing().await;
    host.answer(json!(7), json!("late")).await;
    hears_nothing(&mut link).await;
}

#[tokio::test(start_paused = true)]
async fn a_read_in_flight_is_sent_again_at_most_three_times() {
    let (mut hosts, connector) = Hosts::new();
    let mut link = Resilient::spawn(connector);
    link.send(request(7, "tools/list")).await.unwrap();
    for _ in 0..4 {
        let mut host = hosts.accept().await;
        assert_eq!(host.hear_request("tools/list").await, 7);
    }
    let answer = hear(&mut link).await;
    assert_eq!(answer["error"]["data"]["cause"], "redelivered");
    hosts.accept().await.hears_nothing().await;
}

#[tokio::test(start_paused = true)]
async fn whoever_knows_its_methods_says_what_may_be_sent_again() {
    let (mut hosts, connector) = Hosts::new();
    let mut link = Resilient::builder(connector)
        .replay(|request| match request.method() {
            Some("hover") => Replay::Safe,
            _ => Replay::Never,
        })
        .spawn();
    link.send(request(1, "hover")).await.unwrap();
    link.send(request(2, "tools/list")).await.unwrap();
    let mut host = hosts.accept().await;
    assert_eq!(host.hear_request("hover").await, 1);
    assert_eq!(host.hear_request("tools/list").await, 2);
    drop(host);

    let answer = hear(&mut link).await;
    assert_eq!(answer["id"], 2, "MCP's own table is out of force");
    assert_eq!(answer["error"]["data"]["outcome"], "unknown");
    let mut host = hosts.accept().await;
    assert_eq!(host.hear_request("hover").await, 1);
    host.answer(json!(1), json!("here")).await;
    assert_eq!(hear(&mut link).await["result"], "here");
}

#[tokio::test(start_paused = true)]
async fn a_session_outlives_ten_replacements_of_its_host() {
    let (mut hosts, connector) = Hosts::new();
    let mut link = Resilient::spawn(connector);
    let mut host = session(&mut link, &mut hosts).await;
    for round in 1..=10 {
        time::sleep(Duration::from_secs(6)).await;
        link.send(request(round, "tools/list")).await.unwrap();
        host.hear_request("tools/list").await;
        drop(host);
        host = hosts.accept().await;
        welcome(&mut host).await;
        let id = host.hear_request("tools/list").await;
        host.answer(id, json!(round)).await;
        assert_eq!(hear(&mut link).await["result"], round);
    }
    assert_eq!(hosts.dials(), 11);
    assert!(matches!(link.state(), State::Connected { session: 11, .. }));
}

#[tokio::test(start_paused = true)]
async fn an_id_in_flight_is_refused_and_the_first_call_lives() {
    let (mut hosts, connector) = Hosts::new();
    let mut link = Resilient::spawn(connector);
    let mut host = hosts.accept().await;
    link.send(request(1, "tools/call")).await.unwrap();
    link.send(Message::from(
        r#"{"jsonrpc":"2.0","id":1.0,"method":"tools/list"}"#,
    ))
    .await
    .unwrap();
    assert_eq!(hear(&mut link).await["error"]["code"], -32600);
    let id = host.hear_request("tools/call").await;
    host.hears_nothing().await;
    host.answer(id, json!(1)).await;
    assert_eq!(hear(&mut link).await["result"], 1);
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_answers_overloaded_at_once() {
    let (hosts, connector) = Hosts::new();
    hosts.fail_always(Some(ErrorKind::Unreachable.into()));
    let mut link = Resilient::builder(connector).buffer(2).spawn();
    for id in 0..200 {
        link.send(request(id, "tools/call")).await.unwrap();
        if id >= 2 {
            let answer = hear(&mut link).await;
            assert_eq!(answer["id"], id);
            assert_eq!(answer["error"]["code"], -31004);
            assert_eq!(answer["error"]["data"]["outcome"], "not_delivered");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_never_reads_is_not_heard_for_ever() {
    let (hosts, connector) = Hosts::new();
    hosts.fail_always(Some(ErrorKind::Unreachable.into()));
    let mut link = Resilient::builder(connector).buffer(1).spawn();
    let flood = async {
        for id in 0..100_000 {
            link.send(request(id, "tools/call")).await.unwrap();
        }
    };
    assert!(time::timeout(Duration::from_secs(1), flood).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_held_call_is_answered_when_its_hold_is_over() {
    let (hosts, connector) = Hosts::new();
    hosts.fail_always(Some(
        Error::new(ErrorKind::Unreachable).context("127.0.0.1:6400"),
    ));
    let mut link = Resilient::builder(connector)
        .hold(Duration::from_secs(20))
        .spawn();
    link.send(request(1, "tools/call")).await.unwrap();
    let start = Instant::now();
    let answer = hear(&mut link).await;
    assert_eq!(start.elapsed().as_secs(), 20);
    assert_eq!(answer["error"]["code"], -31003);
    assert_eq!(answer["error"]["data"]["cause"], "hold_expired");
    assert_eq!(answer["error"]["data"]["outcome"], "not_delivered");
    let text = answer["error"]["message"].as_str().unwrap();
    assert!(text.contains("127.0.0.1:6400"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn a_read_that_ran_for_longer_than_its_hold_is_sent_again() {
    let (mut hosts, connector) = Hosts::new();
    let mut link = Resilient::spawn(connector);
    link.send(request(1, "tasks/result")).await.unwrap();
    let mut host = hosts.accept().await;
    host.hear_request("tasks/result").await;
    time::sleep(Duration::from_secs(130)).await;
    drop(host);
    let mut host = hosts.accept().await;
    let asked = time::timeout(Duration::from_secs(1), host.hear_request("tasks/result"));
    let id = asked.await.expect("it is sent again");
    host.answer(id, json!("done")).await;
    assert_eq!(hear(&mut link).await["result"], "done");
}

/// A laptop sleeps whose clock goes on meanwhile, as Windows's does: every timer is late at once.
async fn night() {
    time::advance(Duration::from_secs(8 * 3600)).await;
}

#[tokio::test(start_paused = true)]
async fn a_night_costs_a_held_call_nothing_of_its_time() {
    let (mut hosts, connector) = Hosts::new();
    hosts.fail_always(Some(ErrorKind::Unreachable.into()));
    let mut link = Resilient::spawn(connector);
    link.send(request(1, "tools/call")).await.unwrap();
    time::sleep(Duration::from_secs(60)).await;
    night().await;
    let heard = time::timeout(Duration::from_secs(55), link.next()).await;
    assert!(heard.is_err(), "it had 60 s left: {heard:?}");
    hosts.fail_always(None);
    link.handle().wake();
    let mut host = hosts.accept().await;
    let id = host.hear_request("tools/call").await;
    host.answer(id, json!("done")).await;
    assert_eq!(hear(&mut link).await["result"], "done");
}

#[tokio::test(start_paused = true)]
async fn the_rest_of_a_hold_still_ends_after_a_night() {
    let (hosts, connector) = Hosts::new();
    hosts.fail_always(Some(ErrorKind::Unreachable.into()));
    let mut link = Resilient::spawn(connector);
    link.send(request(1, "tools/call")).await.unwrap();
    time::sleep(Duration::from_secs(60)).await;
    night().await;
    let woke = Instant::now();
    assert_eq!(
        hear(&mut link).await["error"]["data"]["cause"],
        "hold_expired"
    );
    assert!((58..=62).contains(&woke.elapsed().as_secs()));
}

#[tokio::test(start_paused = true)]
async fn a_host_that_came_back_by_night_is_dialled_once_and_gets_what_was_held() {
    let (mut hosts, connector) = Hosts::new();
    hosts.fail_always(Some(ErrorKind::Unreachable.into()));
    let mut link = Resilient::spawn(connector);
    link.send(request(1, "tools/call")).await.unwrap();
    time::sleep(Duration::from_secs(60)).await;
    let (dials, woke) = (hosts.dials(), Instant::now());
    hosts.fail_always(None);
    night().await;
    let mut host = hosts.accept().await;
    let asked = time::timeout(Duration::from_secs(1), host.hear_request("tools/call"));
    let id = asked.await.expect("it was held");
    let night = Duration::from_secs(8 * 3600);
    assert!(woke.elapsed() - night <= Duration::from_secs(1));
    host.answer(id, json!("done")).await;
    assert_eq!(hear(&mut link).await["result"], "done");
    assert_eq!(hosts.dials(), dials + 1);
}

#[tokio::test(start_paused = true)]
async fn a_night_costs_a_running_call_nothing_of_its_time() {
    let (mut hosts, connector) = Hosts::new();
    let mut link = Resilient::builder(connector)
        .run(Duration::from_secs(30))
        .spawn();
    let mut host = hosts.accept().await;
    link.send(request(1, "tools/call")).await.unwrap();
    let id = host.hear_request("tools/call").await;
    time::sleep(Duration::from_secs(10)).await;
    night().await;
    let heard = time::timeout(Duration::from_secs(15), link.next()).await;
    assert!(heard.is_err(), "it had 20 s left: {heard:?}");
    host.answer(id, json!("done")).await;
    assert_eq!(hear(&mut link).await["result"], "done");
}

#[tokio::test(start_paused = true)]
async fn a_call_that_no_host_answers_ends_and_the_host_is_told() {
    let (mut hosts, connector) = Hosts::new();
    let mut link = Resilient::builder(connector)
        .run(Duration::from_secs(30))
        .spawn();
    let mut host = hosts.accept().await;
    link.send(request(1, "tools/call")).await.unwrap();
    link.send(request(2, "subscriptions/listen")).await.unwrap();
    host.hear_request("tools/call").await;
    host.hear_request("subscriptions/listen").await;
    let answer = hear(&mut link).await;
    assert_eq!(answer["id"], 1);
    assert_eq!(answer["error"]["data"]["outcome"], "unknown");
    let told = host.hear().await;
    assert_eq!(told["method"], "notifications/cancelled");
    assert_eq!(told["params"]["requestId"], 1);
    hears_nothing(&mut link).await;
}

#[tokio::test(start_paused = true)]
async fn a_superseded_link_stands_by_answers_at_once_and_dials_only_when_woken() {
    let (mut hosts, connector) = Hosts::new();
    let mut link = Resilient::spawn(connector);
    let mut host = hosts.accept().await;
    link.send(request(1, "tools/call")).await.unwrap();
    link.send(request(2, "tools/list")).await.unwrap();
    host.hear_request("tools/call").await;
    host.hear_request("tools/list").await;
    let notice = Eviction::new(EvictionReason::Superseded).saying("Close the other editor window");
    host.0.abort(Error::evicted(notice));
    for _ in 0..2 {
        let answer = hear(&mut link).await;
        assert_eq!(answer["error"]["code"], -31009, "{answer}");
        let (data, read) = (&answer["error"]["data"], answer["id"] == 2);
        assert_eq!(data["outcome"], "unknown", "both were sent");
        assert_eq!(data["retryable"], read, "only the read may be sent again");
    }
    assert!(matches!(link.state(), State::Standby { .. }));

    time::sleep(Duration::from_secs(24 * 3600)).await;
    assert_eq!(hosts.dials(), 1, "never duel");
    let start = Instant::now();
    link.send(request(3, "tools/list")).await.unwrap();
    let answer = hear(&mut link).await;
    assert_eq!(start.elapsed(), Duration::ZERO);
    assert_eq!(answer["error"]["data"]["outcome"], "not_delivered");
    let text = answer["error"]["message"].as_str().unwrap();
    assert!(text.contains("Close the other editor window"), "{text}");

    link.handle().wake();
    let mut host = hosts.accept().await;
    until(&link, State::is_connected).await;
    link.send(request(4, "tools/list")).await.unwrap();
    host.hear_request("tools/list").await;
}

#[tokio::test(start_paused = true)]
async fn a_guarded_call_that_was_sent_may_have_taken_effect_however_the_link_ends() {
    let superseded = Error::evicted(Eviction::new(EvictionReason::Superseded));
    for end in [Some(superseded), Some(ErrorKind::Unauthorized.into()), None] {
        let (mut hosts, connector) = Hosts::new();
        let mut link = Resilient::builder(connector)
            .replay(|_| Replay::HostGuards)
            .spawn();
        link.send(request(1, "tools/call")).await.unwrap();
        let mut host = hosts.accept().await;
        host.hear_request("tools/call").await;
        match end {
            Some(error) => host.0.abort(error),
            None => link.handle().close(Duration::ZERO).await,
        }
        let answer = hear(&mut link).await;
        let data = &answer["error"]["data"];
        assert_eq!(data["outcome"], "unknown");
        assert_eq!(
            data["retryable"], false,
            "no host knows it under another id: {answer}"
        );
        let text = answer["error"]["message"].as_str().unwrap();
        assert!(text.contains("may have taken effect"), "{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn refused_credentials_are_answered_at_once() {
    let (mut hosts, connector) = Hosts::new();
    hosts.fail([ErrorKind::Unauthorized.into()]);
    let mut link = Resilient::spawn(connector);
    link.send(request(1, "tools/list")).await.unwrap();
    assert_eq!(hear(&mut link).await["error"]["code"], -31010);
    link.handle().wake();
    hosts.accept().await;
}

#[tokio::test(start_paused = true)]
async fn a_wake_dials_at_once() {
    let (mut hosts, connector) = Hosts::new();
    hosts.fail_always(Some(ErrorKind::Unreachable.into()));
    let link = Resilient::spawn(connector);
    time::sleep(Duration::from_secs(50)).await;
    hosts.fail_always(None);
    let start = Instant::now();
    link.handle().wake();
    hosts.accept().await;
    assert_eq!(start.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_cancelled_while_held_is_never_seen() {
    let (mut hosts, connector) = Hosts::new();
    hosts.fail((0..3).map(|_| ErrorKind::Unreachable.into()));
    let mut link = Resilient::spawn(connector);
    link.send(request(1, "tools/call")).await.unwrap();
    link.send(cancel(1)).await.unwrap();
    hosts.accept().await.hears_nothing().await;
    hears_nothing(&mut link).await;
}

fn cancel(id: i64) -> Message {
    Message::notification("notifications/cancelled", Some(json!({"requestId": id}))).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_cancel_of_a_running_call_goes_to_the_host_and_a_late_answer_is_dropped() {
    let (mut hosts, connector) = Hosts::new();
    let mut link = Resilient::spawn(connector);
    let mut host = hosts.accept().await;
    link.send(request(1, "tools/call")).await.unwrap();
    host.hear_request("tools/call").await;
    link.send(cancel(1)).await.unwrap();
    link.send(cancel(99)).await.unwrap();
    assert_eq!(host.hear().await["params"]["requestId"], 1);
    host.hears_nothing().await;
    host.answer(json!(1), json!("late")).await;
    hears_nothing(&mut link).await;
    drop(host);
    hears_nothing(&mut link).await;
}

#[tokio::test(start_paused = true)]
async fn a_request_of_the_host_is_answered_over_its_own_connection_only() {
    let (mut hosts, connector) = Hosts::new();
    let mut link = Resilient::spawn(connector);
    let ask = json!({"jsonrpc": "2.0", "id": 0, "method": "sampling/createMessage"});
    let answer = Message::from(r#"{"jsonrpc":"2.0","id":0,"result":"yes"}"#);

    let mut host = hosts.accept().await;
    host.say(ask.clone()).await;
    assert_eq!(hear(&mut link).await["method"], "sampling/createMessage");
    link.send(answer.clone()).await.unwrap();
    assert_eq!(host.hear().await["result"], "yes");

    host.say(ask.clone()).await;
    hear(&mut link).await;
    drop(host);
    let told = hear(&mut link).await;
    assert_eq!(
        told["method"], "notifications/cancelled",
        "nobody waits for the answer any more"
    );

    let mut host = hosts.accept().await;
    until(&link, State::is_connected).await;
    // The next host asks under the same id, and the client answers the former one before it has read that.
    host.say(ask).await;
    tokio::task::yield_now().await;
    link.send(answer.clone()).await.unwrap();
    host.hears_nothing().await;
    assert_eq!(hear(&mut link).await["method"], "sampling/createMessage");
    link.send(answer).await.unwrap();
    assert_eq!(host.hear().await["result"], "yes");
}

#[tokio::test(start_paused = true)]
async fn messages_keep_their_order() {
    let (mut hosts, connector) = Hosts::new();
    let link = Resilient::spawn(connector);
    let mut host = hosts.accept().await;
    until(&link, State::is_connected).await;
    let (mut out, mut back) = link.split();
    let send = async {
        for id in 0..500 {
            let message = match id % 3 {
                0 => notification(&format!("n/{id}")),
                _ => request(id, &format!("n/{id}")),
            };
            out.send(message).await.unwrap();
        }
    };
    let serve = async {
        for id in 0..500 {
            let heard = host.hear().await;
            assert_eq!(heard["method"], format!("n/{id}"));
            if !heard["id"].is_null() {
                host.answer(heard["id"].clone(), json!(id)).await;
            }
        }
    };
    let read = async {
        for id in (0..500).filter(|id| id % 3 != 0) {
            let message = back.next().await.unwrap().unwrap();
            assert_eq!(message.json::<Value>().unwrap()["result"], id);
        }
    };
    tokio::join!(send, serve, read);
}

#[tokio::test(start_paused = true)]
async fn dropping_the_link_writes_what_is_queued_and_closes_the_connection() {
    let (mut hosts, connector) = Hosts::new();
    let mut link = Resilient::spawn(connector);
    let mut host = hosts.accept().await;
    until(&link, State::is_connected).await;
    for id in 0..4 {
        link.feed(request(id, "tools/call")).await.unwrap();
    }
    let mut state = link.watch();
    drop(link);
    let start = Instant::now();
    for _ in 0..4 {
        host.hear_request("tools/call").await;
    }
    assert!(host.0.next().await.is_none());
    state.wait_for(State::is_closed).await.unwrap();
    assert_eq!(start.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn dropping_the_link_takes_a_second_at_most_whatever_the_host_does() {
    let (mut hosts, connector) = Hosts::new();
    let mut link = Resilient::spawn(connector);
    let _deaf = hosts.accept().await;
    until(&link, State::is_connected).await;
    for id in 0..60 {
        link.feed(request(id, "tools/call")).await.unwrap();
    }
    let mut state = link.watch();
    let start = Instant::now();
    drop(link);
    state.wait_for(State::is_closed).await.unwrap();
    assert!(
        start.elapsed() <= Duration::from_secs(2),
        "1 s to drain, 1 s for the goodbye"
    );
}

#[tokio::test(start_paused = true)]
async fn dropping_a_link_that_is_down_ends_its_dialling() {
    let (hosts, connector) = Hosts::new();
    hosts.fail_always(Some(ErrorKind::Unreachable.into()));
    let link = Resilient::spawn(connector);
    time::sleep(Duration::from_secs(60)).await;
    let mut state = link.watch();
    drop(link);
    state.wait_for(State::is_closed).await.unwrap();
    let dials = hosts.dials();
    time::sleep(Duration::from_secs(600)).await;
    assert_eq!(hosts.dials(), dials);
}

/// Ends at once, and notes that it is being closed, which takes its time.
struct Fleeting(Arc<AtomicBool>);

impl Stream for Fleeting {
    type Item = Result<Message, Error>;

    fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Poll::Ready(None)
    }
}

impl Sink<Message> for Fleeting {
    type Error = Error;

    fn poll_ready(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn start_send(self: Pin<&mut Self>, _: Message) -> Result<(), Error> {
        Ok(())
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.0.store(true, Ordering::Relaxed);
        Poll::Pending
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_is_over_hears_of_its_close_before_the_next_dial() {
    let handle = Arc::<OnceLock<Handle>>::default();
    let (tell, told) = oneshot::channel();
    let closing = Arc::<AtomicBool>::default();
    let (waking, mut tell, mut first) = (handle.clone(), Some(tell), true);
    let link = Resilient::spawn(move || {
        if std::mem::take(&mut first) {
            // So that the next dial is at once.
            waking.get().unwrap().wake();
        } else if let Some(tell) = tell.take() {
            tell.send(closing.load(Ordering::Relaxed)).unwrap();
        }
        std::future::ready(Ok(Fleeting(closing.clone())))
    });
    handle.set(link.handle()).unwrap();
    assert!(told.await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn close_waits_for_answers_and_then_answers_the_rest() {
    let (mut hosts, connector) = Hosts::new();
    let mut link = Resilient::spawn(connector);
    let mut host = hosts.accept().await;
    for id in 1..=2 {
        link.send(request(id, "tools/call")).await.unwrap();
        host.hear_request("tools/call").await;
    }
    let handle = link.handle();
    let start = Instant::now();
    let closing = tokio::spawn(async move { handle.close(Duration::from_secs(5)).await });
    time::sleep(Duration::from_secs(1)).await;
    host.answer(json!(1), json!("in time")).await;
    link.send(request(3, "tools/call")).await.unwrap();
    closing.await.unwrap();
    assert_eq!(start.elapsed().as_secs(), 5);
    assert!(host.0.next().await.is_none());

    let mut answers = Vec::new();
    while let Some(answer) = link.next().await {
        answers.push(answer.unwrap().json::<Value>().unwrap());
    }
    answers.sort_by_key(|answer| answer["id"].as_i64());
    assert_eq!(answers.len(), 3);
    assert_eq!(answers[0]["result"], "in time");
    assert_eq!(answers[1]["error"]["data"]["outcome"], "unknown");
    assert_eq!(answers[2]["error"]["data"]["outcome"], "not_delivered");
    let error = link.send(request(4, "ping")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Closed);
}

#[tokio::test(start_paused = true)]
async fn what_was_said_before_the_close_is_sent() {
    let (mut hosts, connector) = Hosts::new();
    let mut link = Resilient::spawn(connector);
    let mut host = hosts.accept().await;
    link.feed(request(1, "tools/call")).await.unwrap();
    let handle = link.handle();
    let serving = async {
        let id = host.hear_request("tools/call").await;
        host.answer(id, json!("done")).await;
    };
    tokio::join!(handle.close(Duration::from_secs(5)), serving);
    assert_eq!(hear(&mut link).await["result"], "done");
}

#[tokio::test(start_paused = true)]
async fn a_host_that_goes_while_the_link_waits_to_close_is_what_its_calls_are_told_of() {
    let (mut hosts, connector) = Hosts::new();
    let mut link = Resilient::spawn(connector);
    let mut host = hosts.accept().await;
    link.send(request(1, "tools/call")).await.unwrap();
    host.hear_request("tools/call").await;
    let handle = link.handle();
    let closing = tokio::spawn(async move { handle.close(Duration::from_secs(5)).await });
    time::sleep(Duration::from_secs(1)).await;
    host.0
        .abort(Error::evicted(Eviction::new(EvictionReason::Reloading)));
    closing.await.unwrap();
    let answer = hear(&mut link).await;
    assert_eq!(answer["error"]["code"], -31006, "{answer}");
    assert_eq!(answer["error"]["data"]["outcome"], "unknown");
}

#[tokio::test(start_paused = true)]
async fn closing_the_sink_closes_the_connection() {
    let (mut hosts, connector) = Hosts::new();
    let mut link = Resilient::spawn(connector);
    let mut host = hosts.accept().await;
    link.send(request(1, "tools/call")).await.unwrap();
    link.close().await.unwrap();
    host.hear_request("tools/call").await;
    assert!(host.0.next().await.is_none());
    assert_eq!(hear(&mut link).await["error"]["data"]["outcome"], "unknown");
    assert!(link.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn closing_the_sink_takes_a_second_at_most_also_for_a_client_that_does_not_read() {
    let (mut hosts, connector) = Hosts::new();
    let mut link = Resilient::builder(connector).buffer(64).spawn();
    let (mut out, mut heard) = hosts.accept().await.0.split();
    let flood = async move {
        let noise = || notification("notifications/message");
        while out.send(noise()).await.is_ok() {}
    };
    tokio::spawn(flood);
    time::sleep(Duration::from_secs(1)).await;
    link.feed(request(1, "tools/call")).await.unwrap();
    let start = Instant::now();
    let closed = time::timeout(Duration::from_secs(60), link.close()).await;
    closed.expect("it ends").unwrap();
    assert!(start.elapsed() <= Duration::from_secs(1));
    let written = heard.next().await.expect("what was queued is written");
    assert_eq!(written.unwrap().method(), Some("tools/call"));
    assert!(heard.next().await.is_none());

    let owed: Vec<_> = link.collect().await;
    let last: Value = owed.last().unwrap().as_ref().unwrap().json().unwrap();
    assert_eq!(last["error"]["data"]["outcome"], "unknown");
}

#[tokio::test(start_paused = true)]
async fn the_loss_that_is_never_retried_is_told_once() {
    let (hosts, connector) = Hosts::new();
    hosts.fail_always(Some(ErrorKind::Unreachable.into()));
    let mut link = Resilient::builder(connector)
        .retry(RetryPolicy::never())
        .spawn();
    link.send(request(1, "tools/call")).await.unwrap();
    assert_eq!(hear(&mut link).await["id"], 1);
    let loss = link.next().await.unwrap().unwrap_err();
    assert_eq!(loss.kind(), ErrorKind::Unreachable);
    assert!(link.next().await.is_none());
    let error = link.send(request(2, "tools/call")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unreachable);
}

#[tokio::test(start_paused = true)]
async fn what_is_no_message_is_answered_here() {
    let (mut hosts, connector) = Hosts::new();
    let mut link = Resilient::spawn(connector);
    let mut host = hosts.accept().await;
    link.send(Message::from("[]")).await.unwrap();
    assert_eq!(hear(&mut link).await["error"]["code"], -32600);
    host.hears_nothing().await;
    host.say(json!({"jsonrpc": "1.0"})).await;
    assert_eq!(host.hear().await["error"]["code"], -32600);
    hears_nothing(&mut link).await;
}

#[tokio::test(start_paused = true)]
async fn an_answer_over_the_limit_ends_its_call_and_no_other() {
    let (mut hosts, connector) = Hosts::new();
    let mut link = Resilient::spawn(connector);
    let mut host = hosts.accept().await;
    link.send(request(1, "tools/call")).await.unwrap();
    link.send(request(2, "tools/call")).await.unwrap();
    host.hear_request("tools/call").await;
    host.hear_request("tools/call").await;
    host.0
        .send(Message::answer_too_large(1.into(), 2_000, 1_000))
        .await
        .unwrap();
    let answer = hear(&mut link).await;
    assert_eq!(answer["id"], 1);
    assert_eq!(answer["error"]["code"], -31005);
    assert_eq!(answer["error"]["data"]["outcome"], "unknown");
    host.answer(json!(2), json!("fine")).await;
    assert_eq!(hear(&mut link).await["result"], "fine");
}

#[tokio::test(start_paused = true)]
async fn an_answer_over_the_limit_of_a_line_ends_its_call_and_a_request_over_it_ends_none() {
    use mcp_transport_core::codec::{self, Lines};
    let (tx, mut ends) = tokio::sync::mpsc::unbounded_channel();
    let mut link = Resilient::spawn(move || {
        let (ours, theirs) = tokio::io::duplex(4_096);
        tx.send(theirs).unwrap();
        async move { Ok(codec::framed(ours, Lines::with_limit(500))) }
    });
    let mut host = Lines::framed(ends.recv().await.unwrap());
    link.send(request(1, "tools/call")).await.unwrap();
    host.next().await.unwrap().unwrap();
    let text = "x".repeat(1_000);
    // The host's own request of that id is another one, and the host is told.
    let theirs = Message::request(&1.into(), "roots/list", Some(json!({ "text": text }))).unwrap();
    host.send(theirs).await.unwrap();
    let refused: Value = host.next().await.unwrap().unwrap().json().unwrap();
    assert_eq!(
        (&refused["id"], &refused["error"]["code"]),
        (&json!(1), &json!(-31005))
    );
    hears_nothing(&mut link).await;

    let answer = Message::response(&1.into(), json!({ "text": text })).unwrap();
    host.send(answer).await.unwrap();
    let answer = hear(&mut link).await;
    assert_eq!(
        (&answer["id"], &answer["error"]["code"]),
        (&json!(1), &json!(-31005))
    );
    assert_eq!(answer["error"]["data"]["outcome"], "unknown");
    assert!(link.state().is_connected());
}

#[tokio::test(start_paused = true)]
async fn an_answer_over_a_limit_that_not_even_an_error_fits_under_is_dropped_and_the_link_stays() {
    use mcp_transport_core::codec::{self, Lines};
    let (tx, mut ends) = tokio::sync::mpsc::unbounded_channel();
    let mut link = Resilient::spawn(move || {
        let (ours, theirs) = tokio::io::duplex(4_096);
        tx.send(theirs).unwrap();
        async move { Ok(codec::framed(ours, Lines::with_limit(100))) }
    });
    let mut host = Lines::framed(ends.recv().await.unwrap());
    host.send(request(1, "ping")).await.unwrap();
    assert_eq!(hear(&mut link).await["method"], "ping");
    let answer = Message::response(&1.into(), "x".repeat(200)).unwrap();
    link.send(answer).await.unwrap();
    link.send(request(2, "tools/list")).await.unwrap();
    assert_eq!(
        host.next().await.unwrap().unwrap().method(),
        Some("tools/list")
    );
    assert!(link.state().is_connected());
}

#[tokio::test(start_paused = true)]
async fn a_call_over_the_limit_is_settled_as_not_delivered_and_the_link_stays() {
    use mcp_transport_core::codec::{self, Lines};
    let (tx, mut ends) = tokio::sync::mpsc::unbounded_channel();
    let mut link = Resilient::spawn(move || {
        let (ours, theirs) = tokio::io::duplex(4_096);
        tx.send(theirs).unwrap();
        async move { Ok(codec::framed(ours, Lines::with_limit(100))) }
    });
    let mut host = Lines::framed(ends.recv().await.unwrap());
    let text = "x".repeat(200);
    let big = Message::request(&1.into(), "tools/call", Some(json!({ "text": text }))).unwrap();
    link.send(big).await.unwrap();
    link.send(request(2, "tools/list")).await.unwrap();
    let answer = hear(&mut link).await;
    assert_eq!(answer["id"], 1);
    assert_eq!(answer["error"]["data"]["outcome"], "not_delivered");
    assert_eq!(answer["error"]["data"]["retryable"], false);
    assert_eq!(
        host.next().await.unwrap().unwrap().method(),
        Some("tools/list")
    );
    assert!(link.state().is_connected());
}
