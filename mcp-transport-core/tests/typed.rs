#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    missing_docs,
    reason = "tests"
)]

use futures::{FutureExt, Sink, SinkExt, StreamExt};
use mcp_transport_core::codec::Lines;
use mcp_transport_core::{Error, ErrorKind, Id, Message, TransportExt, Typed, memory};
use serde::{Deserialize, Serialize};
use std::future::poll_fn;
use std::pin::Pin;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

/// Only requests of one method fit.
#[derive(Debug, Deserialize, PartialEq, Serialize)]
struct Add {
    jsonrpc: String,
    id: u32,
    params: [i64; 2],
}

fn add(id: u32) -> Add {
    Add {
        jsonrpc: "2.0".to_owned(),
        id,
        params: [1, 2],
    }
}

fn call(id: u32) -> Message {
    Message::from(format!(
        r#"{{"jsonrpc":"2.0","id":{id},"method":"add","params":[1,2]}}"#
    ))
}

fn typed(room: usize) -> (Typed<memory::End, Add, Add>, memory::End) {
    let (ours, theirs) = memory::pair(room);
    (ours.typed(), theirs)
}

fn code(answer: &Message) -> i64 {
    let body: serde_json::Value = serde_json::from_str(answer.body().unwrap()).unwrap();
    body["code"].as_i64().unwrap()
}

#[tokio::test]
async fn types_go_out_and_come_in() {
    let (mut ours, mut theirs) = typed(4);
    theirs.send(call(1)).await.unwrap();
    assert_eq!(ours.next().await, Some(add(1)));
    ours.send(add(2)).await.unwrap();
    assert_eq!(
        theirs.next().await.unwrap().unwrap().json::<Add>().unwrap(),
        add(2)
    );
}

#[tokio::test]
async fn what_does_not_fit_is_answered_and_nobody_waits() {
    let (mut ours, mut theirs) = typed(16);
    for (text, expected, id) in [
        ("nonsense", -32700, None),
        ("[]", -32600, None),
        (r#"{"jsonrpc":"2.0","id":{},"method":"add"}"#, -32600, None),
        (
            r#"{"jsonrpc":"2.0","id":"a","method":"sub"}"#,
            -32600,
            Some(Id::from("a")),
        ),
    ] {
        theirs.send(Message::from(text)).await.unwrap();
        assert!(ours.next().now_or_never().is_none());
        let answer = theirs.next().await.unwrap().unwrap();
        assert_eq!(
            (code(&answer), answer.id()),
            (expected, id.as_ref()),
            "{text}"
        );
    }
}

#[tokio::test]
async fn what_nobody_waits_for_and_does_not_fit_is_skipped() {
    let (mut ours, mut theirs) = typed(16);
    theirs
        .send(Message::from(r#"{"jsonrpc":"2.0","method":"progress"}"#))
        .await
        .unwrap();
    theirs
        .send(Message::from(r#"{"jsonrpc":"2.0","id":9,"result":1}"#))
        .await
        .unwrap();
    theirs.send(call(1)).await.unwrap();
    assert_eq!(ours.next().await, Some(add(1)));
    assert!(theirs.next().now_or_never().is_none(), "no answer");
}

#[tokio::test]
async fn a_lost_connection_ends_the_stream() {
    let (mut ours, theirs) = typed(4);
    theirs.abort(Error::new(ErrorKind::TimedOut));
    assert_eq!(ours.next().await, None);
}

#[tokio::test]
async fn at_most_64_answers_wait_for_a_peer_that_does_not_read() {
    let (mut ours, mut theirs) = typed(0);
    for _ in 0..200 {
        theirs.feed(Message::from("nonsense")).await.unwrap();
        assert!(ours.next().now_or_never().is_none());
    }
    drop(ours.flush().now_or_never());
    let mut answers = 0;
    while let Some(answer) = theirs.next().now_or_never() {
        assert_eq!(code(&answer.unwrap().unwrap()), -32700);
        drop(ours.flush().now_or_never());
        answers += 1;
    }
    // 64 that waited, and what the way itself holds.
    assert!((64..=66).contains(&answers), "{answers} answers");
}

#[tokio::test]
async fn an_answer_of_ours_never_takes_the_room_of_a_message_of_yours() {
    let (mut ours, mut theirs) = typed(0);
    poll_fn(|cx| Pin::new(&mut ours).poll_ready(cx))
        .await
        .unwrap();
    theirs.send(Message::from("nonsense")).await.unwrap();
    assert!(
        ours.next().now_or_never().is_none(),
        "answers, and takes the room"
    );
    Pin::new(&mut ours).start_send(add(2)).unwrap();

    let both =
        async { [theirs.next().await.unwrap(), theirs.next().await.unwrap()].map(Result::unwrap) };
    let (flushed, [answer, message]) = tokio::join!(ours.flush(), both);
    flushed.unwrap();
    assert_eq!(code(&answer), -32700);
    assert_eq!(message.json::<Add>().unwrap(), add(2));
}

#[tokio::test(start_paused = true)]
async fn an_answer_leaves_although_nobody_sends_or_flushes() {
    // One byte at a time: the answer cannot leave in one poll.
    let (ours, mut wire) = tokio::io::duplex(1);
    let mut ours = Lines::framed(ours).typed::<Add, Add>();
    let talk = async {
        wire.write_all(b"nonsense\n").await.unwrap();
        let mut answer = Vec::new();
        while answer.last() != Some(&b'\n') {
            answer.push(wire.read_u8().await.unwrap());
        }
        assert_eq!(code(&Message::from(answer)), -32700);
        drop(wire);
    };
    let both = async { tokio::join!(ours.next(), talk) };
    // The clock is paused: this passes at once if nothing moves any more.
    let (received, ()) = timeout(Duration::from_secs(1), both).await.unwrap();
    assert_eq!(received, None, "all that our side ever did was to read");
}

#[tokio::test]
async fn closing_hands_over_what_waits() {
    let (mut ours, mut theirs) = typed(4);
    theirs.send(Message::from("nonsense")).await.unwrap();
    assert!(ours.next().now_or_never().is_none());
    ours.close().await.unwrap();
    assert_eq!(code(&theirs.next().await.unwrap().unwrap()), -32700);
    assert!(theirs.next().await.is_none());
}
