//! How a host leaves, and comes back.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    missing_docs,
    reason = "a test has clocks and tasks"
)]

mod host;

use futures::{SinkExt, StreamExt};
use host::*;
use mcp_transport_broker::host::{BrokerClient, BrokerListener, Carried};
use mcp_transport_broker::native::{Detach, DetachReason};
use mcp_transport_core::{ErrorKind, Listener, Message, State};
use std::time::Duration;
use tokio::time::Instant;

const GAP: Duration = Duration::from_secs(8);

/// A service with one call that runs, one that is answered, and two unread.
async fn four_calls(broker: &Scripted, clients: &mut BrokerListener) -> (BrokerClient, Message) {
    broker.give([
        legacy(request(1, "c1", 1)),
        request(2, "c1", 2),
        request(3, "c1", 3),
        request(4, "c1", 4),
    ]);
    let mut client = accept(clients).await;
    let runs = client.next().await.unwrap().unwrap();
    let answered = client.next().await.unwrap().unwrap();
    client.send(answer(&answered)).await.unwrap();
    (client, runs)
}

fn detach(broker: &Scripted) -> Detach {
    let inner = broker.inner();
    assert_eq!(inner.detaches.len(), 1);
    inner.detaches[0].clone()
}

#[tokio::test(start_paused = true)]
async fn a_host_that_announces_its_reload_loses_nothing() {
    let broker = Scripted::default();
    let mut clients = broker.attach();
    let (mut client, runs) = four_calls(&broker, &mut clients).await;
    broker.inner().coming = Some(vec![1]);
    clients.handle().announce_reload(GAP).await;
    let said = detach(&broker);
    assert_eq!(
        (said.reason, said.gap_ms),
        (DetachReason::Reloading, Some(8_000))
    );
    assert_eq!(said.received, Some(vec![1, 3, 4]));
    assert_eq!((said.untouched, said.coming), (vec![3, 4], vec![1]));
    broker.answer_to(2).await;
    assert!(matches!(
        clients.state(),
        State::Waiting {
            delay: Some(GAP),
            ..
        }
    ));

    let left = Instant::now();
    broker
        .until("it is back", |inner| inner.attaches.len() == 2)
        .await;
    assert_eq!(left.elapsed(), GAP);
    let back = broker.inner().attaches[1].clone();
    assert_eq!(back.reason, "reload");
    assert_eq!(back.former.unwrap().coming, [1]);
    client.send(answer(&runs)).await.unwrap();
    broker.answer_to(1).await;
    assert!(client.next().await.is_none());
    // What was not read comes again, to a new service.
    broker.give([legacy(request(3, "c1", 3))]);
    assert!(accept(&mut clients).await.next().await.unwrap().is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_wake_ends_the_gap() {
    let broker = Scripted::default();
    let clients = broker.attach();
    broker.is_pulled().await;
    let handle = clients.handle();
    handle.announce_reload(Duration::from_secs(3_600)).await;
    let left = Instant::now();
    handle.wake();
    broker
        .until("it is back", |inner| inner.attaches.len() == 2)
        .await;
    assert!(left.elapsed() < Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn the_next_life_answers_the_call_that_caused_the_reload() {
    let broker = Scripted::default();
    let mut clients = broker.attach();
    let (mut client, _runs) = four_calls(&broker, &mut clients).await;
    let carried = clients.handle().detach_for_reload(GAP).await.unwrap();
    assert_eq!((carried.calls(), detach(&broker).coming), (1, vec![1]));
    assert!(client.next().await.is_none());
    assert_eq!(
        clients.accept().await.unwrap_err().kind(),
        ErrorKind::Closed
    );
    assert!(clients.handle().detach_for_reload(GAP).await.is_err());
    let stored = serde_json::to_string(&carried).unwrap();
    drop((clients, client, carried));

    let carried: Carried = serde_json::from_str(&stored).unwrap();
    broker.inner().coming = Some(vec![1]);
    let mut clients = broker.builder().resume(carried).attach().unwrap();
    let call = clients.carried().pop().unwrap();
    assert_eq!(
        (call.client(), call.request().method()),
        ("c1", Some("tools/call"))
    );
    let answer = answer(call.request());
    call.answer(answer).unwrap();
    assert!(broker.answer_to(1).await["result"].is_object());
    let inner = broker.inner();
    let (before, after) = (&inner.attaches[0], &inner.attaches[1]);
    assert_eq!(before.host.instance, after.host.instance);
    assert_eq!(after.former.as_ref().unwrap().received, [1]);
    assert_eq!(
        (&*after.former.as_ref().unwrap().lease, &*after.reason),
        ("1", "reload")
    );
}

#[tokio::test(start_paused = true)]
async fn what_the_next_life_does_not_answer_ends_as_unknown() {
    for takes in [false, true] {
        let broker = Scripted::default();
        let mut clients = broker.attach();
        let _service = four_calls(&broker, &mut clients).await;
        let carried = clients.handle().detach_for_reload(GAP).await.unwrap();
        broker.inner().coming = Some(vec![1]);
        let mut clients = broker.builder().resume(carried).attach().unwrap();
        if takes {
            let call = clients.carried().pop().unwrap();
            let other = Message::from(r#"{"jsonrpc":"2.0","id":77,"result":{}}"#);
            assert_eq!(call.answer(other).unwrap_err().kind(), ErrorKind::Malformed);
        } else {
            let _ = tokio::time::timeout(Duration::from_millis(10), clients.accept()).await;
        }
        assert_eq!(
            broker.answer_to(1).await["error"]["data"]["outcome"],
            "unknown"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn answers_that_could_not_be_pushed_are_carried_over() {
    let broker = Scripted::default();
    let mut clients = broker.attach();
    let (_client, _runs) = four_calls(&broker, &mut clients).await;
    broker.inner().loses_pushes = true;
    pause(10).await;
    let before = Instant::now();
    let carried = clients.handle().detach_for_reload(GAP).await.unwrap();
    assert!(
        before.elapsed() < Duration::from_secs(2),
        "a reload waits for nobody"
    );
    broker.inner().loses_pushes = false;
    broker.inner().coming = Some(vec![1, 2]);
    let _clients = broker.builder().resume(carried).attach().unwrap();
    assert!(broker.answer_to(2).await["result"].is_object());
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_waits_for_what_runs_and_begins_nothing() {
    let broker = Scripted::default();
    let mut clients = broker.attach();
    let (mut client, runs) = four_calls(&broker, &mut clients).await;
    let service = tokio::spawn(async move {
        pause(3_000).await;
        client.send(answer(&runs)).await.unwrap();
        let end = client.next().await;
        assert!(end.is_none(), "a call began: {end:?}");
    });
    let before = Instant::now();
    clients.handle().shut_down(Duration::from_secs(60)).await;
    assert_eq!(before.elapsed().as_secs(), 3);
    broker.answer_to(1).await;
    let said = detach(&broker);
    assert_eq!(
        (said.reason, said.untouched),
        (DetachReason::ShuttingDown, vec![3, 4])
    );
    assert!(said.coming.is_empty());
    service.await.unwrap();
    assert_eq!(
        clients.accept().await.unwrap_err().kind(),
        ErrorKind::Closed
    );
    assert!(clients.state().is_closed());
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_ends_in_time_whatever_runs() {
    let broker = Scripted::default();
    let mut clients = broker.attach();
    let (mut client, _runs) = four_calls(&broker, &mut clients).await;
    let before = Instant::now();
    clients.handle().shut_down(Duration::from_secs(2)).await;
    assert_eq!(before.elapsed().as_secs(), 2);
    assert_eq!(detach(&broker).received, Some(vec![1, 3, 4]));
    assert!(client.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_drop_pushes_what_is_answered_and_gives_back_what_is_not_read() {
    let broker = Scripted::default();
    let mut clients = broker.attach();
    let (mut client, _runs) = four_calls(&broker, &mut clients).await;
    drop(clients);
    broker
        .until("it has left", |inner| !inner.detaches.is_empty())
        .await;
    let said = detach(&broker);
    assert_eq!(
        (said.reason, said.untouched),
        (DetachReason::ShuttingDown, vec![3, 4])
    );
    broker.answer_to(2).await;
    assert!(client.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_while_the_broker_is_away_waits_for_it_if_an_answer_is_kept() {
    let broker = Scripted::default();
    let mut clients = broker.attach();
    let (_client, _runs) = four_calls(&broker, &mut clients).await;
    broker.answer_to(2).await;
    broker.inner().is_away = true;
    broker.crash();
    pause(10).await;
    let (mut client, runs) = (_client, _runs);
    client.send(answer(&runs)).await.unwrap();
    let handle = clients.handle();
    let down = tokio::spawn(async move { handle.shut_down(Duration::from_secs(60)).await });
    pause(2_000).await;
    broker.inner().coming = Some(vec![1]);
    broker.inner().is_away = false;
    down.await.unwrap();
    broker.answer_to(1).await;
    assert!(clients.state().is_closed());
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_with_nobody_there_is_at_once() {
    let broker = Scripted::default();
    broker.inner().is_away = true;
    let mut clients = broker.attach();
    let before = Instant::now();
    clients.handle().shut_down(Duration::from_secs(60)).await;
    assert!(before.elapsed() < Duration::from_secs(1));
    assert_eq!(
        clients.accept().await.unwrap_err().kind(),
        ErrorKind::Closed
    );
}
