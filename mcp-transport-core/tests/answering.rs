//! Bad messages are answered, each once, and nothing is lost on the way.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    missing_docs,
    reason = "tests"
)]

use futures::{FutureExt, Sink, SinkExt, StreamExt};
use mcp_transport_core::codec::{Framed, Lines, framed};
use mcp_transport_core::{Answering, Error, Id, Message, TransportExt, memory};
use serde_json::Value;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

const LIMIT: usize = 2000;

fn over(io: DuplexStream) -> Answering<Framed<DuplexStream, Lines>> {
    Answering::new(framed(io, Lines::with_limit(LIMIT)))
}

fn call(id: i64) -> Message {
    Message::request(&Id::from(id), "ping", None::<()>).unwrap()
}

fn code(answer: &Message) -> i64 {
    let body: Value = serde_json::from_str(answer.body().unwrap()).unwrap();
    body["code"].as_i64().unwrap()
}

/// What a line gets: an answer under this code and id, nothing, or its way up.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Gets {
    Answer(i64, Option<i64>),
    Nothing,
    Through,
}
use Gets::{Answer, Nothing, Through};

/// The table in the README, in its order.
fn table() -> Vec<(Vec<u8>, Gets)> {
    let long = "x".repeat(LIMIT);
    let not_utf8 = |json: &str| json.replace('?', "\u{1}").into_bytes();
    let mut table: Vec<(Vec<u8>, Gets)> = [
        ("nonsense", Answer(-32700, None)),
        (
            r#"{"jsonrpc":"2.0","id":7,"method":"ping","params":{"#,
            Answer(-32700, None),
        ),
        (
            r#"{"jsonrpc":"2.0","id":7,"method":"ping"}{}"#,
            Answer(-32700, None),
        ),
        (
            "{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"ping\"}\0",
            Answer(-32700, None),
        ),
        (r#"{"id":7,"method":"ping"}"#, Answer(-32600, Some(7))),
        (
            r#"{"jsonrpc":"1.0","method":"ping","id":7}"#,
            Answer(-32600, Some(7)),
        ),
        (r#"{"jsonrpc":"2.0","id":7}"#, Answer(-32600, None)),
        (r#"{"id":7,"result":{}}"#, Answer(-32600, None)),
        (
            r#"{"jsonrpc":"2.0","id":7,"method":{}}"#,
            Answer(-32600, Some(7)),
        ),
        ("7", Answer(-32600, None)),
        ("null", Answer(-32600, None)),
        (
            r#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#,
            Answer(-32600, None),
        ),
        (
            r#"{"jsonrpc":"2.0","id":true,"method":"ping"}"#,
            Answer(-32600, None),
        ),
        (
            r#"{"jsonrpc":"2.0","id":[7],"method":"ping"}"#,
            Answer(-32600, None),
        ),
        (
            r#"{"jsonrpc":"2.0","id":{"id":7},"method":"ping"}"#,
            Answer(-32600, None),
        ),
        (
            r#"{"jsonrpc":"2.0","id":7,"method":"a","method":"b"}"#,
            Answer(-32600, Some(7)),
        ),
        (
            r#"{"jsonrpc":"2.0","id":7,"id":8,"method":"a"}"#,
            Answer(-32600, None),
        ),
        (
            r#"[{"jsonrpc":"2.0","id":7,"method":"ping"}]"#,
            Answer(-32600, None),
        ),
        ("", Nothing),
        (" \t ", Nothing),
        ("\r", Nothing),
        (
            "{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"ping\"}\r",
            Through,
        ),
        (
            "\u{FEFF}{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"ping\"}",
            Answer(-32700, None),
        ),
    ]
    .map(|(line, gets)| (line.as_bytes().to_vec(), gets))
    .to_vec();
    for (json, gets) in [
        (
            r#"{"jsonrpc":"2.0","id":7,"method":"ping","params":{"a":"?"}}"#,
            Answer(-32700, Some(7)),
        ),
        (
            r#"{"jsonrpc":"2.0","id":"?","method":"ping"} and more"#,
            Answer(-32700, None),
        ),
        (r#"{"jsonrpc":"2.0","method":"?"}"#, Answer(-32700, None)),
    ] {
        let mut line = not_utf8(json);
        for byte in &mut line {
            if *byte == 1 {
                *byte = 0xFF;
            }
        }
        table.push((line, gets));
    }
    table.extend([
        (
            format!(r#"{{"jsonrpc":"2.0","id":7,"method":"ping","params":"{long}"}}"#).into_bytes(),
            Answer(-31005, Some(7)),
        ),
        (
            format!(r#"{{"jsonrpc":"2.0","method":"ping","params":"{long}","id":7}}"#).into_bytes(),
            Answer(-31005, Some(7)),
        ),
        (
            format!(r#"{{"jsonrpc":"2.0","method":"ping","params":"{long}"}}"#).into_bytes(),
            Answer(-31005, None),
        ),
    ]);
    table
}

/// Sends each line and a call after it, over a pipe of so many bytes.
async fn each_line_gets_what_the_table_says(room: usize) {
    let (ours, theirs) = duplex(room);
    let mut ours = over(ours);
    let (their_output, mut their_input) = tokio::io::split(theirs);
    let mut answers = framed(
        tokio::io::join(their_output, tokio::io::sink()),
        Lines::new(),
    );
    let lines = table();
    let writer = async {
        their_input.write_all(b"\xEF\xBB\xBF").await.unwrap();
        for (number, (line, _)) in lines.iter().enumerate() {
            let check = call(1000 + number as i64);
            their_input.write_all(check.as_bytes()).await.unwrap();
            their_input.write_all(b"\n").await.unwrap();
            their_input.write_all(line).await.unwrap();
            their_input.write_all(b"\n").await.unwrap();
        }
        // The last line has no end.
        their_input.write_all(call(9).as_bytes()).await.unwrap();
        their_input.shutdown().await.unwrap();
    };
    let server = async {
        let mut through = Vec::new();
        while let Some(message) = ours.next().await {
            through.push(message.unwrap().id().unwrap().as_i64().unwrap());
        }
        drop(ours);
        through
    };
    let client = async {
        let mut got = Vec::new();
        while let Some(answer) = answers.next().await {
            let answer = answer.unwrap();
            got.push((code(&answer), answer.id().map(|id| id.as_i64().unwrap())));
        }
        got
    };
    let ((), through, got) = tokio::join!(writer, server, client);

    let answered = lines.iter().filter_map(|(_, gets)| match gets {
        Answer(code, id) => Some((*code, *id)),
        Nothing | Through => None,
    });
    assert_eq!(got, answered.collect::<Vec<_>>());
    let mut expected = Vec::new();
    for (number, (_, gets)) in lines.iter().enumerate() {
        expected.push(1000 + number as i64);
        expected.extend((*gets == Through).then_some(7));
    }
    expected.push(9);
    assert_eq!(
        through, expected,
        "good lines come through, around each bad one"
    );
}

#[tokio::test]
async fn each_bad_line_has_its_answer_and_the_good_ones_come_through() {
    each_line_gets_what_the_table_says(64 * 1024).await;
}

#[tokio::test]
async fn torn_into_single_bytes_each_bad_line_has_its_answer_too() {
    each_line_gets_what_the_table_says(1).await;
}

#[tokio::test]
async fn the_answer_to_what_is_too_large_names_limit_and_size() {
    let (ours, mut theirs) = duplex(4096);
    let mut ours = over(ours);
    let line = format!(
        r#"{{"jsonrpc":"2.0","id":"a","method":"{}"}}"#,
        "x".repeat(LIMIT)
    );
    theirs
        .write_all(format!("{line}\n").as_bytes())
        .await
        .unwrap();
    assert!(ours.next().now_or_never().is_none());
    let mut answer = vec![0; 4096];
    let count = theirs.read(&mut answer).await.unwrap();
    let answer = String::from_utf8_lossy(&answer[..count]).into_owned();
    assert!(answer.contains(r#""id":"a""#), "{answer}");
    assert!(
        answer.contains(&format!("{} bytes", line.len())),
        "{answer}"
    );
    assert!(answer.contains(&format!("{LIMIT} bytes")), "{answer}");
}

#[tokio::test]
async fn from_a_peer_that_does_not_read_no_more_is_read_and_no_answer_is_lost() {
    let (ours, mut theirs) = memory::pair(0);
    let mut ours = Answering::new(ours);
    let mut sent = 0;
    // Room for one message: whatever was sent beyond that was taken out by the other end.
    while poll_fn(|cx| std::task::Poll::Ready(Pin::new(&mut theirs).poll_ready(cx).is_ready()))
        .await
    {
        theirs.feed(Message::from("nonsense")).await.unwrap();
        sent += 1;
        assert!(sent < 200, "it reads without bound");
        assert!(ours.next().now_or_never().is_none());
    }
    assert!((60..80).contains(&sent), "{sent}");
    let reading = async { ours.next().await.unwrap().unwrap() };
    let peer = async {
        for _ in 0..sent {
            assert_eq!(code(&theirs.next().await.unwrap().unwrap()), -32700);
        }
        theirs.send(call(1)).await.unwrap();
    };
    let (message, ()) = tokio::join!(reading, peer);
    assert_eq!(message, call(1));
}

#[tokio::test]
async fn the_stream_ends_after_the_last_answer_has_left() {
    let (ours, mut theirs) = duplex(16);
    let mut ours = over(ours);
    let peer = async {
        theirs.write_all(b"nonsense").await.unwrap();
        theirs.shutdown().await.unwrap();
        let mut answer = String::new();
        theirs.read_to_string(&mut answer).await.unwrap();
        answer
    };
    let server = async {
        assert!(ours.next().await.is_none());
        drop(ours);
    };
    let (answer, ()) = tokio::join!(peer, server);
    assert!(
        answer.contains("-32700") && answer.ends_with('\n'),
        "{answer}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_left_without_reading_holds_the_end_up_for_a_second() {
    let (ours, mut theirs) = duplex(16);
    let mut ours = over(ours);
    theirs.write_all(b"nonsense").await.unwrap();
    theirs.shutdown().await.unwrap();
    let start = tokio::time::Instant::now();
    assert!(ours.next().await.is_none());
    assert_eq!(start.elapsed(), Duration::from_secs(1));
}

#[tokio::test]
async fn an_error_is_yielded_after_the_answers_and_the_stream_ends() {
    let (ours, mut theirs) = memory::pair(4);
    let mut ours = Answering::new(ours);
    theirs.send(Message::from("nonsense")).await.unwrap();
    theirs.abort(Error::new(mcp_transport_core::ErrorKind::Disconnected));
    assert!(ours.next().await.unwrap().is_err());
    assert!(ours.next().await.is_none());
}

#[tokio::test]
async fn a_message_whose_room_an_answer_took_follows_it() {
    let (ours, mut theirs) = memory::pair(0);
    let mut ours = Answering::new(ours);
    poll_fn(|cx| Pin::new(&mut ours).poll_ready(cx))
        .await
        .unwrap();
    theirs.send(Message::from("nonsense")).await.unwrap();
    assert!(ours.next().now_or_never().is_none());
    Pin::new(&mut ours).start_send(call(1)).unwrap();
    let flush = poll_fn(|cx| Pin::new(&mut ours).poll_flush(cx));
    let peer = async {
        let first = theirs.next().await.unwrap().unwrap();
        (code(&first), theirs.next().await.unwrap().unwrap())
    };
    let (flushed, got) = tokio::join!(flush, peer);
    flushed.unwrap();
    assert_eq!(got, (-32700, call(1)));
}

#[tokio::test]
async fn what_lies_above_has_nothing_left_to_answer() {
    let (ours, mut theirs) = memory::pair(8);
    let mut ours = Answering::new(ours).typed::<Value, Value>();
    theirs.send(Message::from("nonsense")).await.unwrap();
    theirs.send(call(1)).await.unwrap();
    assert_eq!(ours.next().await.unwrap()["id"], 1);
    assert_eq!(code(&theirs.next().await.unwrap().unwrap()), -32700);
    assert!(theirs.next().now_or_never().is_none());
}

/// A reader and a writer in tasks of their own, over a pipe so small that both wait for it all the time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_tasks_never_take_each_others_wake_up() {
    const CALLS: i64 = 500;
    let (ours, theirs) = duplex(7);
    let (mut tx, mut rx) = over(ours).split();
    let (to_writer, mut calls) = tokio::sync::mpsc::channel(4);
    let reader = tokio::spawn(async move {
        while let Some(message) = rx.next().await {
            to_writer
                .send(message.unwrap().id().unwrap().clone())
                .await
                .unwrap();
        }
    });
    let writer = tokio::spawn(async move {
        while let Some(id) = calls.recv().await {
            tx.send(Message::response(&id, ()).unwrap()).await.unwrap();
        }
        tx.close().await.unwrap();
    });
    let (theirs_out, mut theirs_in) = tokio::io::split(theirs);
    let peer = tokio::spawn(async move {
        for id in 0..CALLS {
            theirs_in.write_all(b"bad\n").await.unwrap();
            let call = call(id);
            theirs_in.write_all(call.as_bytes()).await.unwrap();
            theirs_in.write_all(b"\n").await.unwrap();
        }
        theirs_in.shutdown().await.unwrap();
    });
    let mut answers = framed(tokio::io::join(theirs_out, tokio::io::sink()), Lines::new());
    let all = async {
        let (mut good, mut bad) = (0, 0);
        while let Some(answer) = answers.next().await {
            match answer.unwrap().id() {
                Some(id) => {
                    assert_eq!(id, &Id::from(good));
                    good += 1;
                }
                None => bad += 1,
            }
        }
        (good, bad)
    };
    let counts = tokio::time::timeout(Duration::from_secs(60), all).await;
    assert_eq!(counts.expect("somebody was never woken"), (CALLS, CALLS));
    reader.await.unwrap();
    writer.await.unwrap();
    peer.await.unwrap();
}

/// Polls a future so many times, and drops it.
async fn dropped_after<F: Future>(polls: usize, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    for _ in 0..polls {
        if let Some(output) = (&mut future).now_or_never() {
            return Some(output);
        }
        tokio::task::yield_now().await;
    }
    None
}

#[tokio::test]
async fn a_read_that_is_dropped_at_any_point_loses_nothing() {
    for polls in 1..40 {
        let (ours, theirs) = duplex(3);
        let mut ours = over(ours);
        let (mut theirs_out, mut theirs_in) = tokio::io::split(theirs);
        let writer = tokio::spawn(async move {
            for id in 0..3 {
                let lines = format!("bad\n{}\n", call(id).as_str().unwrap());
                theirs_in.write_all(lines.as_bytes()).await.unwrap();
            }
            theirs_in.shutdown().await.unwrap();
        });
        let reader = tokio::spawn(async move {
            let mut all = String::new();
            theirs_out.read_to_string(&mut all).await.unwrap();
            all
        });
        let mut got = Vec::new();
        loop {
            match dropped_after(polls, ours.next()).await {
                Some(Some(message)) => got.push(message.unwrap()),
                Some(None) => break,
                None => tokio::task::yield_now().await,
            }
        }
        drop(ours);
        assert_eq!(
            got,
            [call(0), call(1), call(2)],
            "dropped after {polls} polls"
        );
        assert_eq!(reader.await.unwrap().matches("-32700").count(), 3);
        writer.await.unwrap();
    }
}

#[tokio::test]
async fn a_send_that_is_dropped_at_any_point_sends_its_message_whole_or_not() {
    for polls in 1..60 {
        let (ours, theirs) = duplex(3);
        let mut ours = over(ours);
        let reader = tokio::spawn(
            framed(theirs, Lines::new())
                .map(Result::unwrap)
                .collect::<Vec<_>>(),
        );
        for id in 0..3 {
            dropped_after(polls, ours.send(call(id))).await;
        }
        ours.send(call(3)).await.unwrap();
        ours.close().await.unwrap();
        drop(ours);
        let got: Vec<_> = reader
            .await
            .unwrap()
            .iter()
            .map(|call| call.id().unwrap().as_i64().unwrap())
            .collect();
        assert_eq!(got.last(), Some(&3));
        assert!(
            got.windows(2).all(|two| two[0] < two[1]),
            "{got:?} after {polls} polls"
        );
    }
}
