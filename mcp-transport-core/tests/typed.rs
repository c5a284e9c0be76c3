#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    missing_docs,
    reason = "tests"
)]

use futures::{FutureExt, Sink, SinkExt, StreamExt};
use mcp_transport_core::codec::{Lines, framed};
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

/// Answers of one kind, and errors.
#[derive(Debug, Deserialize, PartialEq)]
#[serde(untagged)]
enum Answer {
    Sum { id: u32, result: i64 },
    Failure { id: u32, error: Failure },
}

#[derive(Debug, Deserialize, PartialEq)]
struct Failure {
    code: i32,
    message: String,
}

#[tokio::test]
async fn an_answer_that_does_not_fit_is_an_error_to_who_waits_for_it() {
    let (ours, mut theirs) = memory::pair(4);
    let mut ours = ours.typed::<Add, Answer>();
    for text in [
        r#"{"jsonrpc":"2.0","id":8,"result":3}"#,
        r#"{"jsonrpc":"2.0","id":9,"result":"three"}"#,
    ] {
        theirs.send(Message::from(text)).await.unwrap();
    }
    assert_eq!(ours.next().await, Some(Answer::Sum { id: 8, result: 3 }));
    let Some(Answer::Failure { id: 9, error }) = ours.next().await else {
        panic!("no error under its id");
    };
    assert_eq!(error.code, -31012);
    assert!(error.message.contains("another type"), "{}", error.message);
    assert!(
        theirs.next().now_or_never().is_none(),
        "the peer is not told"
    );
}

#[tokio::test]
async fn an_answer_over_the_limit_is_an_error_to_who_waits_for_it() {
    let (ours, mut wire) = tokio::io::duplex(4_096);
    let mut ours = framed(ours, Lines::with_limit(100)).typed::<Add, Answer>();
    let long = "x".repeat(200);
    let line = format!("{{\"jsonrpc\":\"2.0\",\"result\":\"{long}\",\"id\":9}}\n");
    wire.write_all(line.as_bytes()).await.unwrap();
    let Some(Answer::Failure { id: 9, error }) = ours.next().await else {
        panic!("no error under its id");
    };
    assert_eq!(error.code, -31005);
    assert!(error.message.contains("100 bytes"), "{}", error.message);
}

#[tokio::test]
async fn a_lost_connection_ends_the_stream() {
    let (mut ours, theirs) = typed(4);
    theirs.abort(Error::new(ErrorKind::TimedOut));
    assert_eq!(ours.next().await, None);
}

/// The second of each pair fits no request of ours, which only the types can tell.
fn bad(n: usize) -> Message {
    match n % 2 {
        0 => Message::from("nonsense"),
        _ => Message::from(format!(r#"{{"jsonrpc":"2.0","id":{n},"method":"sub"}}"#)),
    }
}

#[tokio::test]
async fn from_a_peer_that_does_not_read_no_more_is_read_and_no_answer_is_lost() {
    const ALL: usize = 300;
    let (mut ours, mut theirs) = typed(0);
    let mut said = 0;
    while said < ALL && theirs.feed(bad(said)).now_or_never().is_some() {
        assert!(ours.next().now_or_never().is_none());
        said += 1;
    }
    // 64 that wait, and what the ways themselves hold.
    assert!((64..=70).contains(&said), "{said} were read");
    for n in 0..ALL {
        let answer = loop {
            if let Some(answer) = theirs.next().now_or_never() {
                break answer.unwrap().unwrap();
            }
            assert!(ours.next().now_or_never().is_none());
        };
        assert_eq!(code(&answer), if n % 2 == 0 { -32700 } else { -32600 });
        assert_eq!(answer.id().is_some(), n % 2 == 1);
        if said < ALL && theirs.feed(bad(said)).now_or_never().is_some() {
            said += 1;
        }
    }
    assert_eq!(said, ALL);
}

/// A service reads and writes in tasks of its own; a pipe as small as this makes both wait.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_tasks_never_take_each_others_wake_up() {
    const CALLS: u32 = 500;
    let (ours, theirs) = tokio::io::duplex(7);
    let (mut tx, mut rx) = Lines::framed(ours).typed::<Add, Add>().split();
    let (to_writer, mut calls) = tokio::sync::mpsc::channel(4);
    let reader = tokio::spawn(async move {
        while let Some(add) = rx.next().await {
            to_writer.send(add).await.unwrap();
        }
    });
    let writer = tokio::spawn(async move {
        while let Some(add) = calls.recv().await {
            tx.send(add).await.unwrap();
        }
        tx.close().await.unwrap();
    });
    let (out, mut into) = tokio::io::split(theirs);
    let peer = tokio::spawn(async move {
        for id in 0..CALLS {
            let lines = format!("bad\n{}\n", call(id).as_str().unwrap());
            into.write_all(lines.as_bytes()).await.unwrap();
        }
        into.shutdown().await.unwrap();
    });
    let mut answers = Lines::framed(tokio::io::join(out, tokio::io::sink()));
    let all = async {
        let (mut good, mut bad) = (0, 0);
        while let Some(answer) = answers.next().await {
            match answer.unwrap().json::<Add>() {
                Ok(add) => {
                    assert_eq!(add.id, good);
                    good += 1;
                }
                Err(_) => bad += 1,
            }
        }
        (good, bad)
    };
    let counts = timeout(Duration::from_secs(60), all).await;
    assert_eq!(counts.expect("somebody was never woken"), (CALLS, CALLS));
    for task in [reader, writer, peer] {
        task.await.unwrap();
    }
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
