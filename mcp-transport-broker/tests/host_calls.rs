//! Calls, answers and what is said besides, while a lease is up.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    missing_docs,
    reason = "a test has clocks and tasks"
)]

mod host;

use futures::{FutureExt, SinkExt, StreamExt};
use host::*;
use mcp_transport_broker::native::Era;
use mcp_transport_core::{ErrorKind, Id, Kind, Listener, Message};
use serde_json::{Value, json};

#[tokio::test(start_paused = true)]
async fn a_call_reaches_a_service_and_its_answer_the_broker() {
    let broker = Scripted::default();
    let mut clients = broker.attach();
    broker.give([legacy(request(7, "c1", 1))]);
    let mut client = accept(&mut clients).await;
    assert_eq!(client.id(), "c1");
    assert_eq!(
        (client.meet().era, &*client.meet().version),
        (Era::Legacy, "2025-11-25")
    );
    let call = client.next().await.unwrap().unwrap();
    client.send(answer(&call)).await.unwrap();
    assert_eq!(broker.answer_to(7).await["id"], 1);
}

#[tokio::test(start_paused = true)]
async fn a_message_stays_byte_for_byte_what_it_was() {
    let broker = Scripted::default();
    let mut clients = broker.attach();
    let raw =
        r#"{"jsonrpc":"2.0","id":1.0,"method":"tools/call","params":{"n":1e400,"s":"\u0041"}}"#;
    // Through a value the number would not survive.
    let given: Value = serde_json::from_str(r#"{"ticket":7,"client":"c1"}"#).unwrap();
    let mut item = legacy(given);
    item["message"] = serde_json::from_str(r#"{"jsonrpc":"2.0","id":1.0,"method":"x"}"#).unwrap();
    broker.give([item]);
    let mut client = accept(&mut clients).await;
    let call = client.next().await.unwrap().unwrap();
    assert_eq!(call.id().unwrap().to_string(), "1.0");
    let says = Message::from(raw.replace("tools/call", "sampling/createMessage"));
    client.send(says.clone()).await.unwrap();
    broker
        .until("it is said", |inner| !inner.pushed.is_empty())
        .await;
    let inner = broker.inner();
    let said = inner.pushed[0].message.as_ref().unwrap();
    assert_eq!(said.get(), says.as_str().unwrap());
}

#[tokio::test(start_paused = true)]
async fn two_eras_are_two_clients_with_a_service_each() {
    let broker = Scripted::default();
    let mut clients = broker.attach();
    broker.give([
        legacy(request(1, "c1", 1)),
        modern(request(2, "c2", 1)),
        request(3, "c1", 2),
    ]);
    let mut old = accept(&mut clients).await;
    let mut new = accept(&mut clients).await;
    assert_eq!(new.meet().era, Era::Modern);
    let first = old.next().await.unwrap().unwrap();
    let second = new.next().await.unwrap().unwrap();
    let third = old.next().await.unwrap().unwrap();
    // The same JSON-RPC id, and answered in another order.
    old.send(answer(&third)).await.unwrap();
    new.send(answer(&second)).await.unwrap();
    old.send(answer(&first)).await.unwrap();
    for ticket in 1..=3 {
        let answer = broker.answer_to(ticket).await;
        assert!(
            answer["result"]["echo"]
                .as_str()
                .unwrap()
                .contains(&format!("t{ticket}"))
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_clients_messages_are_in_order_over_both_lanes() {
    let broker = Scripted::default();
    broker.inner().one_by_one = true;
    let mut clients = broker.attach();
    broker.give([legacy(request(1, "c1", 1))]);
    let mut client = accept(&mut clients).await;
    let mut read = 1;
    broker.give((2..=200).map(|n| request(n, "c1", n)));
    while read <= 200 {
        let call = client.next().await.unwrap().unwrap();
        assert_eq!(call.id(), Some(&Id::from(read)));
        client.send(answer(&call)).await.unwrap();
        read += 1;
    }
}

#[tokio::test(start_paused = true)]
async fn answers_go_along_with_the_next_pull() {
    let broker = Scripted::default();
    let mut clients = broker.attach();
    broker.give([modern(request(1, "c1", 1))]);
    let mut client = accept(&mut clients).await;
    for ticket in 1..=50 {
        let call = client.next().await.unwrap().unwrap();
        client.send(answer(&call)).await.unwrap();
        broker.answer_to(ticket).await;
        broker.give([request(ticket + 1, "c1", ticket + 1)]);
    }
    let inner = broker.inner();
    assert_eq!((inner.pushes, inner.combined), (50, 50));
}

#[tokio::test(start_paused = true)]
async fn what_no_service_has_read_is_withdrawn_by_a_cancel() {
    let broker = Scripted::default();
    let mut clients = broker.attach();
    broker.give([
        legacy(request(1, "c1", 1)),
        json!({"client": "c1", "ticket": 1, "cancel": true}),
        request(2, "c1", 2),
    ]);
    let mut client = accept(&mut clients).await;
    broker
        .until("all is handed out", |inner| inner.parked > 0)
        .await;
    let call = client.next().await.unwrap().unwrap();
    assert_eq!(call.id(), Some(&Id::from(2)));
    client.send(answer(&call)).await.unwrap();
    broker.answer_to(2).await;
    assert!(client.next().now_or_never().is_none());
    assert_eq!(broker.inner().pushed.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_runs_is_cancelled_by_its_id() {
    let broker = Scripted::default();
    let mut clients = broker.attach();
    broker.give([legacy(request(1, "c1", 41))]);
    let mut client = accept(&mut clients).await;
    let call = client.next().await.unwrap().unwrap();
    broker.give([json!({"client": "c1", "ticket": 1, "cancel": true})]);
    let cancel = client.next().await.unwrap().unwrap();
    assert_eq!(cancel.method(), Some("notifications/cancelled"));
    let params: Value = serde_json::from_str(cancel.params().unwrap()).unwrap();
    assert_eq!(params["requestId"], 41);
    // A service may answer all the same.
    client.send(answer(&call)).await.unwrap();
    broker.give([request(2, "c1", 42)]);
    let call = client.next().await.unwrap().unwrap();
    client.send(answer(&call)).await.unwrap();
    broker.answer_to(2).await;
    assert_eq!(
        broker.inner().pushed.len(),
        1,
        "nobody waits for the cancelled one"
    );
}

#[tokio::test(start_paused = true)]
async fn a_client_that_is_gone_ends_its_transport_and_its_answers_are_dropped() {
    let broker = Scripted::default();
    let mut clients = broker.attach();
    broker.give([modern(request(1, "c1", 1)), modern(request(2, "c2", 1))]);
    let mut gone = accept(&mut clients).await;
    let mut stays = accept(&mut clients).await;
    let call = gone.next().await.unwrap().unwrap();
    broker.give([json!({"client": "c1", "gone": true})]);
    assert!(gone.next().await.is_none());
    gone.send(answer(&call)).await.unwrap();
    let hello = Message::from(r#"{"jsonrpc":"2.0","method":"hello"}"#);
    assert_eq!(
        gone.send(hello).await.unwrap_err().kind(),
        ErrorKind::Disconnected
    );
    drop(gone);
    let call = stays.next().await.unwrap().unwrap();
    stays.send(answer(&call)).await.unwrap();
    broker.answer_to(2).await;
    assert_eq!(broker.inner().pushed.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_a_service_says_comes_before_the_answer_that_it_gives_next() {
    let broker = Scripted::default();
    let mut clients = broker.attach();
    broker.give([legacy(request(1, "c1", 1))]);
    let mut client = accept(&mut clients).await;
    let call = client.next().await.unwrap().unwrap();
    let hello = Message::from(r#"{"jsonrpc":"2.0","method":"hello"}"#);
    let asks = Message::from(r#"{"jsonrpc":"2.0","id":"s1","method":"roots/list"}"#);
    client.send(hello).await.unwrap();
    client.send(asks).await.unwrap();
    client.send(answer(&call)).await.unwrap();
    broker.answer_to(1).await;
    let order: Vec<_> = broker
        .inner()
        .pushed
        .iter()
        .map(|said| (said.client.clone(), said.about, said.ticket))
        .collect();
    let c1 = Some("c1".to_owned());
    assert_eq!(
        order,
        [
            (c1.clone(), None, None),
            (c1, Some(1), None),
            (None, None, Some(1))
        ]
    );
    // The client's answer to what the host asked needs no ticket.
    broker.give([json!({"client": "c1", "message": {"jsonrpc": "2.0", "id": "s1", "result": {}}})]);
    let answered = client.next().await.unwrap().unwrap();
    assert!(matches!(answered.kind(), Kind::Response { .. }));
}

#[tokio::test(start_paused = true)]
async fn a_slow_service_holds_up_nobody_else() {
    let broker = Scripted::default();
    let mut clients = broker.attach();
    broker.give([legacy(request(1, "c1", 1)), legacy(request(2, "c2", 1))]);
    let mut slow = accept(&mut clients).await;
    let mut fast = accept(&mut clients).await;
    broker.give((10..200).map(|n| request(n, "c1", n)));
    for n in 0..300 {
        broker.give([tell("c1", "notifications/progress")]);
        let call = fast.next().await.unwrap().unwrap();
        client_answers(&mut fast, &call).await;
        broker.give([request(1_000 + n, "c2", 1_000 + n)]);
    }
    broker.answer_to(1_000 + 298).await;
    // What it did not read came to its limit: it is let go, and its client told.
    broker
        .until("c1 is closed", |inner| {
            inner
                .pushed
                .iter()
                .any(|said| said.closed && said.client.as_deref() == Some("c1"))
        })
        .await;
    let unread = broker.answer_to(150).await;
    assert_eq!(unread["error"]["data"]["outcome"], "not_delivered");
    let last = loop {
        match slow.next().await {
            Some(Ok(_)) => {}
            last => break last,
        }
    };
    let error = last.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Overloaded { retry_after: None });
}

async fn client_answers(client: &mut mcp_transport_broker::host::BrokerClient, call: &Message) {
    client.send(answer(call)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_service_that_ends_leaves_no_call_without_an_answer() {
    let broker = Scripted::default();
    let mut clients = broker.attach();
    broker.give([
        legacy(request(1, "c1", 1)),
        request(2, "c1", 2),
        request(3, "c1", 3),
    ]);
    let mut client = accept(&mut clients).await;
    let call = client.next().await.unwrap().unwrap();
    client.next().await.unwrap().unwrap();
    client.send(answer(&call)).await.unwrap();
    drop(client);
    assert!(broker.answer_to(1).await["result"].is_object());
    assert_eq!(
        broker.answer_to(2).await["error"]["data"]["outcome"],
        "unknown"
    );
    assert_eq!(
        broker.answer_to(3).await["error"]["data"]["outcome"],
        "not_delivered"
    );
    broker
        .until("it is closed", |inner| inner.pushed.last().unwrap().closed)
        .await;
    // A legacy client has to initialise again.
    broker.give([request(4, "c1", 4)]);
    assert_eq!(
        broker.answer_to(4).await["error"]["data"]["outcome"],
        "not_delivered"
    );
    assert!(clients.accept().now_or_never().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_modern_client_is_served_afresh_after_its_service_has_ended() {
    let broker = Scripted::default();
    let mut clients = broker.attach();
    broker.give([modern(request(1, "c1", 1))]);
    drop(accept(&mut clients).await);
    broker.answer_to(1).await;
    broker.give([request(2, "c1", 1)]);
    let mut client = accept(&mut clients).await;
    let call = client.next().await.unwrap().unwrap();
    client.send(answer(&call)).await.unwrap();
    assert!(broker.answer_to(2).await["result"].is_object());
}

#[tokio::test(start_paused = true)]
async fn an_id_whose_answer_is_owed_is_not_given_to_the_same_service_again() {
    let broker = Scripted::default();
    let mut clients = broker.attach();
    broker.give([modern(request(1, "c1", 1)), request(2, "c1", 1)]);
    broker.give([legacy(request(3, "c2", 1)), request(4, "c2", 1)]);
    let mut first = accept(&mut clients).await;
    let mut second = accept(&mut clients).await;
    assert_eq!((first.id(), second.id()), ("c1", "c1"));
    let one = first.next().await.unwrap().unwrap();
    let two = second.next().await.unwrap().unwrap();
    second.send(answer(&two)).await.unwrap();
    first.send(answer(&one)).await.unwrap();
    for ticket in [1, 2] {
        let echo = broker.answer_to(ticket).await["result"]["echo"].to_string();
        assert!(echo.contains(&format!("t{ticket}")), "{echo}");
    }
    assert_eq!(broker.answer_to(4).await["error"]["code"], -32600);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_too_large_is_told_to_both_ends() {
    let broker = Scripted::default();
    let mut clients = broker.attach();
    broker.give([legacy(request(1, "c1", 1))]);
    let mut client = accept(&mut clients).await;
    let call = client.next().await.unwrap().unwrap();
    let huge = Message::response(call.id().unwrap(), "x".repeat(64 * 1024 * 1024)).unwrap();
    let error = client.send(huge).await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::TooLarge { .. }));
    assert_eq!(broker.answer_to(1).await["error"]["code"], error.code());
    let nonsense = client.send(Message::from("nonsense")).await.unwrap_err();
    assert_eq!(nonsense.kind(), ErrorKind::Malformed);
    let hello = Message::from(r#"{"jsonrpc":"2.0","method":"hello"}"#);
    client.send(hello).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_the_broker_does_not_take_is_answered_with_that() {
    let broker = Scripted::default();
    let mut clients = broker.attach();
    broker.give([legacy(request(1, "c1", 1)), request(2, "c1", 2)]);
    let mut client = accept(&mut clients).await;
    let first = client.next().await.unwrap().unwrap();
    let second = client.next().await.unwrap().unwrap();
    broker.inner().most = Some(1024 * 1024);
    let large = Message::response(first.id().unwrap(), "x".repeat(2 * 1024 * 1024)).unwrap();
    client.send(large).await.unwrap();
    client.send(answer(&second)).await.unwrap();
    assert_eq!(broker.answer_to(1).await["error"]["code"], -31005);
    assert!(broker.answer_to(2).await["result"].is_object());
    assert_eq!(broker.inner().attaches.len(), 1, "the lease goes on");
}

#[tokio::test(start_paused = true)]
async fn a_large_answer_holds_up_no_pull_and_no_small_one() {
    let broker = Scripted::default();
    let mut clients = broker.attach();
    broker.give([legacy(request(1, "c1", 1)), request(2, "c1", 2)]);
    let mut client = accept(&mut clients).await;
    let first = client.next().await.unwrap().unwrap();
    let second = client.next().await.unwrap().unwrap();
    let large = Message::response(first.id().unwrap(), "x".repeat(32 * 1024 * 1024)).unwrap();
    client.send(large.clone()).await.unwrap();
    client.send(answer(&second)).await.unwrap();
    broker.answer_to(2).await;
    assert_eq!(
        broker.answer_to(1).await["result"],
        "x".repeat(32 * 1024 * 1024)
    );
    assert_eq!(
        broker.inner().combined,
        1,
        "the small one went along with a pull"
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_handed_out_twice_runs_once() {
    let broker = Scripted::default();
    let mut clients = broker.attach();
    broker.give([legacy(request(1, "c1", 1)), request(1, "c1", 1)]);
    let mut client = accept(&mut clients).await;
    client.next().await.unwrap().unwrap();
    pause(100).await;
    assert!(client.next().now_or_never().is_none());
}

#[tokio::test(start_paused = true)]
async fn pings_come_from_a_task_of_their_own_every_five_seconds() {
    let broker = Scripted::default();
    let mut clients = broker.attach();
    broker.give([legacy(request(1, "c1", 1))]);
    let _busy = accept(&mut clients).await;
    pause(61_000).await;
    let pings = broker.inner().pings.clone();
    assert_eq!(pings.len(), 12);
    assert!(pings.windows(2).all(|two| (two[1] - two[0]).as_secs() == 5));
    assert_eq!(broker.inner().attaches.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_service_waits_for_room_while_the_broker_takes_nothing() {
    let broker = Scripted::default();
    let mut clients = broker.attach();
    broker.give([legacy(request(1, "c1", 1))]);
    let mut client = accept(&mut clients).await;
    client.next().await.unwrap().unwrap();
    broker.inner().loses_pushes = true;
    let hello = Message::from(r#"{"jsonrpc":"2.0","method":"hello"}"#);
    client.send(hello.clone()).await.unwrap();
    pause(10).await;
    let mut sent = 0;
    while client.send(hello.clone()).now_or_never().is_some() {
        sent += 1;
        assert!(sent <= 64, "a queue without end");
    }
    assert_eq!(sent, 64);
}
