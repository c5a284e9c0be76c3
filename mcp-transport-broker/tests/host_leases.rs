//! How a host finds its broker, and what goes from one lease to the next.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    missing_docs,
    reason = "a test has clocks and tasks"
)]

mod host;

use futures::{FutureExt, SinkExt, StreamExt};
use host::*;
use mcp_transport_broker::host::{BrokerClient, BrokerListener};
use mcp_transport_broker::native::Former;
use mcp_transport_core::{ErrorKind, EvictionReason, Listener, Message, RetryPolicy, State};
use serde_json::json;
use std::time::Duration;
use tokio::time::Instant;

async fn state(clients: &BrokerListener, what: &str, holds: impl Fn(&State) -> bool) -> State {
    let mut states = clients.watch();
    let found = states.wait_for(|state| holds(state)).await;
    found.unwrap_or_else(|_| panic!("never {what}")).clone()
}

async fn is_attached_again(broker: &Scripted, times: usize) {
    broker
        .until("it attaches", |inner| {
            inner.attaches.len() == times && inner.parked > 0
        })
        .await;
}

/// A service with one call that runs, one that is answered and not pushed, and one unread.
async fn three_calls(broker: &Scripted, clients: &mut BrokerListener) -> (BrokerClient, Message) {
    broker.give([
        legacy(request(1, "c1", 1)),
        request(2, "c1", 2),
        request(3, "c1", 3),
    ]);
    let mut client = accept(clients).await;
    let runs = client.next().await.unwrap().unwrap();
    let answered = client.next().await.unwrap().unwrap();
    broker.inner().loses_pushes = true;
    client.send(answer(&answered)).await.unwrap();
    pause(10).await;
    broker.inner().loses_pushes = false;
    (client, runs)
}

#[tokio::test(start_paused = true)]
async fn after_a_crash_of_the_link_the_host_says_what_it_has() {
    let broker = Scripted::default();
    let mut clients = broker.attach();
    let (mut client, runs) = three_calls(&broker, &mut clients).await;
    broker.inner().coming = Some(vec![1, 2]);
    broker.crash();
    is_attached_again(&broker, 2).await;
    {
        let inner = broker.inner();
        let former = inner.attaches[1].former.clone().unwrap();
        assert_eq!(inner.attaches[0].former, None);
        let (received, coming) = (vec![1, 2], vec![1, 2]);
        assert_eq!(
            former,
            Former {
                lease: "1".into(),
                received,
                coming
            }
        );
        assert_eq!(
            inner.attaches[0].host.instance,
            inner.attaches[1].host.instance
        );
        assert_eq!(
            (&*inner.attaches[0].reason, &*inner.attaches[1].reason),
            ("start", "reconnect")
        );
    }
    // The push that was lost is pushed again.
    broker.answer_to(2).await;
    // The former service may finish, the broker introduces the client anew, and both can be told
    // apart.
    broker.give([legacy(request(3, "c1", 3))]);
    let mut again = accept(&mut clients).await;
    let unread = again.next().await.unwrap().unwrap();
    assert!(client.next().now_or_never().is_none(), "it owes an answer");
    client.send(answer(&runs)).await.unwrap();
    let end = client.next().await.unwrap().unwrap_err();
    assert_eq!(end.kind(), ErrorKind::Disconnected);
    assert!(client.next().await.is_none());
    again.send(answer(&unread)).await.unwrap();
    broker.answer_to(1).await;
    broker.answer_to(3).await;
    drop(client);
    pause(100).await;
    assert!(
        broker.inner().pushed.iter().all(|said| !said.closed),
        "c1 is served by another"
    );
}

#[tokio::test(start_paused = true)]
async fn answers_wait_for_a_broker_that_is_away() {
    let broker = Scripted::default();
    let mut clients = broker.attach();
    broker.give((1..=100).map(|n| {
        let item = request(n, "c1", n);
        if n == 1 { legacy(item) } else { item }
    }));
    let mut client = accept(&mut clients).await;
    let mut calls = Vec::new();
    for _ in 0..50 {
        calls.push(client.next().await.unwrap().unwrap());
    }
    broker.inner().is_away = true;
    broker.crash();
    state(&clients, "waiting", |state| {
        matches!(state, State::Waiting { .. })
    })
    .await;
    for call in &calls {
        client.send(answer(call)).await.unwrap();
    }
    assert!(
        client.next().await.unwrap().is_err(),
        "nothing is owed any more"
    );
    pause(60_000).await;
    broker.inner().coming = Some((1..=50).collect());
    broker.inner().is_away = false;
    clients.handle().wake();
    is_attached_again(&broker, 2).await;
    for ticket in 1..=50 {
        broker.answer_to(ticket).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_was_started_anew_hears_of_no_old_ticket() {
    let broker = Scripted::default();
    let mut clients = broker.attach();
    let (mut client, runs) = three_calls(&broker, &mut clients).await;
    broker.crash();
    is_attached_again(&broker, 2).await;
    let cancel = client.next().await.unwrap().unwrap();
    assert_eq!(cancel.method(), Some("notifications/cancelled"));
    client.send(answer(&runs)).await.unwrap();
    // The new broker counts from one as well.
    broker.give([legacy(request(1, "c1", 9))]);
    let mut again = accept(&mut clients).await;
    let call = again.next().await.unwrap().unwrap();
    again.send(answer(&call)).await.unwrap();
    assert_eq!(broker.answer_to(1).await["id"], 9);
    assert_eq!(broker.inner().pushed.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_subscription_is_left_to_the_broker_to_ask_for_anew() {
    let broker = Scripted::default();
    let mut clients = broker.attach();
    let mut listen = modern(request(1, "c1", 1));
    listen["message"]["method"] = "subscriptions/listen".into();
    broker.give([listen]);
    let mut client = accept(&mut clients).await;
    client.next().await.unwrap().unwrap();
    broker.crash();
    is_attached_again(&broker, 2).await;
    let former = broker.inner().attaches[1].former.clone().unwrap();
    assert_eq!((former.received, former.coming), (vec![], vec![]));
    assert!(
        client.next().await.unwrap().is_err(),
        "nothing of it is owed"
    );
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_ended_is_asked_for_anew() {
    let broker = Scripted::default();
    let clients = broker.attach();
    broker.is_pulled().await;
    let stale = json!({"error": "lease_over", "message": "silent", "reason": "stale"});
    broker.refuse("ping", 409, stale);
    is_attached_again(&broker, 2).await;
    assert!(clients.state().is_connected());
}

#[tokio::test(start_paused = true)]
async fn whoever_was_superseded_stands_by() {
    let broker = Scripted::default();
    let clients = broker.attach();
    broker.is_pulled().await;
    let over = json!({"error": "lease_over", "message": "a newer life", "reason": "superseded"});
    broker.refuse("ping", 409, over);
    let standby = state(&clients, "standby", |state| {
        matches!(state, State::Standby { .. })
    })
    .await;
    let State::Standby { eviction, .. } = standby else {
        unreachable!()
    };
    assert_eq!(eviction.reason(), EvictionReason::Superseded);
    pause(3_600_000).await;
    assert_eq!(broker.inner().attaches.len(), 1);
    clients.handle().wake();
    is_attached_again(&broker, 2).await;
}

#[tokio::test(start_paused = true)]
async fn nobody_there_is_dialled_by_the_schedule_or_when_woken() {
    let broker = Scripted::default();
    broker.inner().is_away = true;
    let clients = broker
        .builder()
        .retry(RetryPolicy::every(Duration::from_secs(3_600)))
        .attach();
    let clients = clients.unwrap();
    let waiting = state(&clients, "waiting", |state| {
        matches!(state, State::Waiting { .. })
    })
    .await;
    assert!(
        matches!(waiting, State::Waiting { ref cause, .. } if cause.kind() == ErrorKind::Unreachable)
    );
    broker.inner().is_away = false;
    let before = Instant::now();
    clients.handle().wake();
    broker.is_pulled().await;
    assert!(before.elapsed() < Duration::from_secs(3_600));
}

#[tokio::test(start_paused = true)]
async fn a_busy_broker_is_asked_again_when_it_says() {
    let broker = Scripted::default();
    let busy = json!({"error": "busy", "message": "taken", "retry_after_ms": 4_000,
        "holder": {"name": "other", "pid": 7}});
    broker.refuse("attach", 409, busy);
    let before = Instant::now();
    let clients = broker.attach();
    let waiting = state(&clients, "waiting", |state| {
        matches!(state, State::Waiting { .. })
    })
    .await;
    let State::Waiting { delay, cause, .. } = waiting else {
        unreachable!()
    };
    assert_eq!(delay, Some(Duration::from_secs(4)));
    assert!(cause.to_string().contains("other"), "{cause}");
    broker.is_pulled().await;
    assert_eq!(before.elapsed().as_secs(), 4);
}

#[tokio::test(start_paused = true)]
async fn another_version_is_dialled_only_when_woken() {
    let broker = Scripted::default();
    broker.refuse(
        "attach",
        426,
        json!({"error": "incompatible", "protocols": [2]}),
    );
    let clients = broker.attach();
    let waiting = state(&clients, "waiting", |state| {
        matches!(state, State::Waiting { .. })
    })
    .await;
    assert!(
        matches!(waiting, State::Waiting { delay: None, ref cause, .. }
        if cause.kind() == ErrorKind::Incompatible)
    );
    pause(3_600_000).await;
    assert!(broker.inner().attaches.is_empty());
    clients.handle().wake();
    broker.is_pulled().await;
}

#[tokio::test(start_paused = true)]
async fn a_refused_token_is_tried_again_when_its_file_has_changed() {
    let folder = std::env::temp_dir().join(format!("host-token-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("token");
    std::fs::write(&file, "of yesterday\n").unwrap();
    // A space is none of a token's.
    let broker = Scripted::default();
    let clients = broker.builder().token(file.as_path()).attach().unwrap();
    let waiting = state(&clients, "waiting", |state| {
        matches!(state, State::Waiting { .. })
    })
    .await;
    assert!(
        matches!(waiting, State::Waiting { delay: None, .. }),
        "{waiting:?}"
    );
    std::fs::write(&file, "0123").unwrap();
    clients.handle().wake();
    pause(1).await;
    let refused = |state: &State| {
        matches!(state, State::Waiting { delay: None, cause, .. }
        if cause.kind() == ErrorKind::Unauthorized)
    };
    state(&clients, "refused", refused).await;
    pause(60_000).await;
    assert!(broker.inner().attaches.is_empty());
    std::fs::write(&file, format!("{TOKEN}\n")).unwrap();
    broker.is_pulled().await;
    std::fs::remove_dir_all(&folder).unwrap();
}

#[tokio::test(start_paused = true)]
async fn whoever_cannot_prove_to_know_the_token_is_not_sent_it() {
    let broker = Scripted::default();
    broker.inner().token = "of somebody else".to_owned();
    // It would take any token.
    broker.refuse("attach", 200, json!({}));
    let clients = broker.attach();
    let refused = |state: &State| {
        matches!(state, State::Waiting { delay: None, cause, .. }
            if cause.kind() == ErrorKind::Unauthorized && cause.to_string().contains("8765"))
    };
    state(&clients, "refused", refused).await;
    assert_eq!(
        broker.inner().refusals["attach"].len(),
        1,
        "nothing was asked of it"
    );
}

#[tokio::test(start_paused = true)]
async fn a_policy_that_gives_up_ends_the_listener() {
    let broker = Scripted::default();
    broker.inner().is_away = true;
    let mut clients = broker
        .builder()
        .retry(RetryPolicy::never())
        .attach()
        .unwrap();
    assert_eq!(
        clients.accept().await.unwrap_err().kind(),
        ErrorKind::Unreachable
    );
    assert!(clients.state().is_closed());
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_never_answers_is_left() {
    let broker = Scripted::default();
    let mut clients = broker.attach();
    broker.give([legacy(request(1, "c1", 1))]);
    let mut client = accept(&mut clients).await;
    let call = client.next().await.unwrap().unwrap();
    broker.inner().loses_pushes = true;
    broker.inner().coming = Some(vec![1]);
    client.send(answer(&call)).await.unwrap();
    pause(60_000).await;
    broker.inner().loses_pushes = false;
    broker.answer_to(1).await;
    assert!(broker.inner().attaches.len() > 1);
}

#[tokio::test]
async fn what_a_host_says_of_itself_is_what_it_was_told() {
    let broker = Scripted::default();
    let tunnel = "127.0.0.1:4123".parse().unwrap();
    let clients = broker
        .builder()
        .name("unity_server")
        .version("0.1.0")
        .project("Game@1a2b")
        .window(7)
        .tunnel(tunnel)
        .attach()
        .unwrap();
    broker.is_pulled().await;
    let attach = broker.inner().attaches[0].clone();
    assert_eq!(
        (attach.protocol, attach.window, attach.tunnel),
        (1, 7, Some(tunnel))
    );
    assert_eq!(
        (&*attach.host.name, &*attach.host.version),
        ("unity_server", "0.1.0")
    );
    assert_eq!(
        (&*attach.host.project, attach.host.instance.len()),
        ("Game@1a2b", 32)
    );
    assert!(attach.holds_connection && attach.host.pid == Some(std::process::id()));
    assert!(!format!("{clients:?}").contains(TOKEN));
}

#[test]
fn what_cannot_be_attached_to_is_said_at_once() {
    let builder = BrokerListener::builder("https://127.0.0.1:8765").token(TOKEN);
    assert_eq!(
        builder.attach().unwrap_err().kind(),
        ErrorKind::Incompatible
    );
    let builder = BrokerListener::builder("http://127.0.0.1:8765");
    assert_eq!(
        builder.attach().unwrap_err().kind(),
        ErrorKind::Unauthorized
    );
}

#[tokio::test]
async fn it_dials_tcp_and_no_other_machine() {
    let port = std::net::TcpListener::bind(("127.0.0.1", 0))
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let clients = BrokerListener::attach(&format!("http://localhost:{port}"), TOKEN).unwrap();
    let waits = |state: &State| {
        matches!(state, State::Waiting { cause, .. }
        if cause.kind() == ErrorKind::Unreachable)
    };
    state(&clients, "unreachable", waits).await;
    let clients = BrokerListener::attach("http://example.com:80", TOKEN).unwrap();
    let waits = |state: &State| {
        matches!(state, State::Waiting { delay: None, cause, .. }
        if cause.kind() == ErrorKind::Incompatible)
    };
    state(&clients, "incompatible", waits).await;
}
