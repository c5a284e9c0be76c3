//! Each future of a transport over bytes, dropped at each point at which it waits.

use futures::{Sink, SinkExt, Stream, StreamExt};
use mcp_transport_core::codec::{LengthPrefixed, Lines};
use mcp_transport_core::{Answering, Error, Message, Transport, TransportExt};
use serde_json::{Value, json};
use std::fmt::Debug;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use tokio::io::duplex;

/// Polls a future so many times, whenever it is woken, and drops it.
async fn dropped_after<F: Future>(polls: usize, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut left = polls;
    poll_fn(|cx| {
        if left > 0 {
            left -= 1;
            match future.as_mut().poll(cx) {
                Poll::Ready(output) => return Poll::Ready(Some(output)),
                Poll::Pending if left > 0 => return Poll::Pending,
                Poll::Pending => {}
            }
        }
        Poll::Ready(None)
    })
    .await
}

/// Sends by steps, each of them dropped after so many polls and then begun again.
async fn send<T, S>(polls: usize, sink: &mut S, item: T)
where
    S: Sink<T, Error = Error> + Unpin,
{
    dropped_after(polls, poll_fn(|cx| sink.poll_ready_unpin(cx))).await;
    poll_fn(|cx| sink.poll_ready_unpin(cx)).await.unwrap();
    sink.start_send_unpin(item).unwrap();
    dropped_after(polls, sink.flush()).await;
    sink.flush().await.unwrap();
}

/// Reads, dropped after so many polls and then begun again.
async fn next<S: Stream + Unpin>(polls: usize, stream: &mut S) -> Option<S::Item> {
    match dropped_after(polls, stream.next()).await {
        Some(item) => item,
        None => stream.next().await,
    }
}

async fn say_all<T, S>(polls: usize, mut sink: S, items: Vec<T>)
where
    S: Sink<T, Error = Error> + Unpin,
{
    for item in items {
        send(polls, &mut sink, item).await;
    }
    dropped_after(polls, sink.close()).await;
    sink.close().await.unwrap();
}

async fn hear_all<S: Stream + Unpin>(polls: usize, mut stream: S) -> Vec<S::Item> {
    let mut heard = Vec::new();
    while let Some(item) = next(polls, &mut stream).await {
        heard.push(item);
    }
    heard
}

fn messages(who: &str) -> Vec<Message> {
    let message = |n: i64| Message::request(&n.into(), who, Some(json!({"text": "\u{e4}"})));
    (0..3).map(|n| message(n).unwrap()).collect()
}

async fn nothing_is_lost<L: Transport, R: Transport>(left: L, right: R, polls: usize) {
    let (left_tx, left_rx) = left.split();
    let (right_tx, right_rx) = right.split();
    let ((), (), on_left, on_right) = tokio::join!(
        say_all(polls, left_tx, messages("left")),
        say_all(polls, right_tx, messages("right")),
        hear_all(polls, left_rx.map(Result::unwrap)),
        hear_all(polls, right_rx.map(Result::unwrap)),
    );
    assert_eq!(on_left, messages("right"), "after {polls} polls");
    assert_eq!(on_right, messages("left"), "after {polls} polls");
}

/// More than any of these futures is polled: a message has less than so many bytes.
const POLLS: usize = 100;

#[tokio::test]
async fn whatever_is_dropped_wherever_it_waits_no_message_is_lost_or_torn_in_either_codec() {
    assert!(messages("right").iter().all(|m| m.len() + 8 < POLLS));
    for polls in 0..POLLS {
        let (left, right) = duplex(1);
        nothing_is_lost(Lines::framed(left), Lines::framed(right), polls).await;
        let (left, right) = duplex(1);
        nothing_is_lost(
            LengthPrefixed::framed(left),
            LengthPrefixed::framed(right),
            polls,
        )
        .await;
    }
}

#[tokio::test]
async fn nor_is_any_in_an_answering_transport() {
    for polls in 0..POLLS {
        let (left, right) = duplex(1);
        let left = Answering::new(Lines::framed(left));
        nothing_is_lost(left, Lines::framed(right), polls).await;
    }
}

#[tokio::test]
async fn nor_is_any_in_a_typed_one_and_each_bad_line_has_its_answer() {
    fn values(messages: Vec<Message>) -> Vec<Value> {
        messages.iter().map(|m| m.json().unwrap()).collect()
    }
    fn same<T: PartialEq + Debug>(left: T, right: T, polls: usize) {
        assert_eq!(left, right, "after {polls} polls");
    }
    for polls in 0..POLLS {
        let (left, right) = duplex(1);
        let (ours_tx, ours_rx) = Lines::framed(left).typed::<Value, Value>().split();
        let (theirs_tx, theirs_rx) = Lines::framed(right).split();
        let mut with_bad = messages("right");
        with_bad.insert(1, Message::from("nonsense"));
        let ((), heard, heard_back) = tokio::join!(
            say_all(polls, theirs_tx, with_bad),
            async {
                let heard = hear_all(polls, ours_rx).await;
                say_all(polls, ours_tx, values(messages("left"))).await;
                heard
            },
            hear_all(polls, theirs_rx.map(Result::unwrap)),
        );
        same(heard, values(messages("right")), polls);
        same(heard_back[0].id(), None, polls);
        same(
            values(heard_back[1..].to_vec()),
            values(messages("left")),
            polls,
        );
    }
}
