#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

use futures::{FutureExt, SinkExt, StreamExt};
use mcp_transport_core::{
    BoxTransport, Connector, Error, ErrorKind, Message, Transport, TransportExt, memory,
};

fn numbered(number: u32) -> Message {
    Message::from(number.to_string())
}

#[tokio::test]
async fn messages_arrive_in_order_both_ways() {
    let (mut left, mut right) = memory::pair(2);
    for number in 0..2 {
        left.send(numbered(number)).await.unwrap();
        right.send(numbered(number + 10)).await.unwrap();
    }
    for number in 0..2 {
        assert_eq!(right.next().await.unwrap().unwrap(), numbered(number));
        assert_eq!(left.next().await.unwrap().unwrap(), numbered(number + 10));
    }
}

#[tokio::test]
async fn a_sender_waits_for_room_and_room_is_bounded() {
    for room in [0, 1, 8] {
        let (mut left, mut right) = memory::pair(room);
        let mut sent = 0;
        while left.feed(numbered(sent)).now_or_never().is_some() {
            sent += 1;
            assert!(sent as usize <= room + 1, "no end of room");
        }
        assert!(sent as usize >= room);
        right.next().await.unwrap().unwrap();
        left.feed(numbered(sent)).await.unwrap();
    }
}

#[tokio::test]
async fn a_dropped_or_closed_end_ends_the_other_after_what_was_sent() {
    for close in [true, false] {
        let (mut left, mut right) = memory::pair(4);
        left.send(numbered(1)).await.unwrap();
        if close {
            left.close().await.unwrap();
        } else {
            drop(left);
        }
        assert_eq!(right.next().await.unwrap().unwrap(), numbered(1));
        assert!(right.next().await.is_none());
    }
}

#[tokio::test]
async fn sending_to_an_end_that_is_gone_is_a_lost_connection() {
    let (mut left, right) = memory::pair(4);
    drop(right);
    let error = left.send(numbered(1)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Disconnected);
}

#[tokio::test]
async fn an_abort_arrives_after_what_was_sent_and_before_the_end() {
    let (mut left, mut right) = memory::pair(4);
    left.send(numbered(1)).await.unwrap();
    left.abort(Error::new(ErrorKind::TimedOut));
    assert_eq!(right.next().await.unwrap().unwrap(), numbered(1));
    assert_eq!(
        right.next().await.unwrap().unwrap_err().kind(),
        ErrorKind::TimedOut
    );
    assert!(right.next().await.is_none());
}

#[tokio::test]
async fn an_end_is_a_transport_boxed_or_not_and_a_function_is_a_connector() {
    async fn greeted() -> memory::End {
        let (ours, mut theirs) = memory::pair(1);
        theirs.send(numbered(7)).await.unwrap();
        ours
    }
    async fn dial() -> Result<impl Transport, Error> {
        Ok(greeted().await)
    }
    async fn dial_boxed() -> Result<BoxTransport, Error> {
        Ok(TransportExt::boxed(greeted().await))
    }
    async fn first<C: Connector>(mut connector: C) -> Message {
        let mut link = Box::pin(connector.connect().await.unwrap());
        link.next().await.unwrap().unwrap()
    }
    assert_eq!(first(dial).await, numbered(7));
    assert_eq!(first(dial_boxed).await, numbered(7));
}

#[tokio::test]
async fn what_found_room_is_sent_though_nobody_reads_yet() {
    let (mut left, mut right) = memory::pair(0);
    left.send(numbered(1)).await.unwrap();
    right.send(numbered(2)).await.unwrap();
    assert_eq!(right.next().await.unwrap().unwrap(), numbered(1));
    assert_eq!(left.next().await.unwrap().unwrap(), numbered(2));
}
