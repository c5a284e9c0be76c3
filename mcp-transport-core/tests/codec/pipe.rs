//! Through a pipe of one byte: every read and every write is torn.

use futures::{FutureExt, Sink, SinkExt, StreamExt};
use mcp_transport_core::codec::{LengthPrefixed, Lines, framed};
use mcp_transport_core::{Defect, Error, ErrorKind, Kind, Message, Transport};
use proptest::prelude::*;
use std::future::Future;
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

fn block_on<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(future)
}

async fn send_all<S>(sink: &mut S, messages: &[Message])
where
    S: Sink<Message, Error = Error> + Unpin,
{
    for message in messages {
        sink.feed(message.clone()).await.unwrap();
    }
    sink.close().await.unwrap();
}

/// Sends both sequences at once; gives back what arrived on the left and on the right.
async fn exchange<T: Transport>(
    left: T,
    right: T,
    there: &[Message],
    back: &[Message],
) -> [Vec<Message>; 2] {
    let (mut left_tx, left_rx) = left.split();
    let (mut right_tx, right_rx) = right.split();
    let ((), (), on_left, on_right) = tokio::join!(
        send_all(&mut left_tx, there),
        send_all(&mut right_tx, back),
        left_rx.map(Result::unwrap).collect(),
        right_rx.map(Result::unwrap).collect(),
    );
    [on_left, on_right]
}

fn messages() -> impl Strategy<Value = Vec<Message>> {
    let text = "[a-z\u{e4}\u{1F600}]{0,20}";
    let message = (any::<i64>(), text).prop_map(|(id, text)| {
        let params = Some(serde_json::json!({ "text": text }));
        Message::request(&id.into(), "echo", params).unwrap()
    });
    prop::collection::vec(message, 0..6)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_message_arrives_in_order_both_ways_in_either_codec(there in messages(), back in messages()) {
        let lines = block_on(async {
            let (left, right) = duplex(1);
            exchange(Lines::framed(left), Lines::framed(right), &there, &back).await
        });
        prop_assert_eq!(&lines, &[back.clone(), there.clone()]);
        let prefixed = block_on(async {
            let (left, right) = duplex(1);
            exchange(LengthPrefixed::framed(left), LengthPrefixed::framed(right), &there, &back).await
        });
        prop_assert_eq!(prefixed, [back, there]);
    }
}

#[tokio::test]
async fn a_line_over_the_limit_is_skipped_and_the_connection_lives() {
    let (mut wire, ours) = duplex(1);
    let mut ours = framed(ours, Lines::with_limit(16));
    let write = async {
        wire.write_all(b"{\"method\":\"x\",\"params\":\"aaaaaaaaaaaaaaaa\",\"id\":1}\n")
            .await
            .unwrap();
        wire.write_all(b"\"after\"\n").await.unwrap();
    };
    let read = async {
        let first = ours.next().await.unwrap().unwrap();
        assert!(matches!(
            first.kind(),
            Kind::Opaque(Defect::TooLarge { id: Some(_), .. })
        ));
        let second = ours.next().await.unwrap().unwrap();
        assert_eq!(second.as_str(), Some("\"after\""));
    };
    tokio::join!(write, read);
}

#[tokio::test]
async fn a_refused_message_costs_nothing_but_itself() {
    let (ours, mut wire) = duplex(64);
    let mut ours = framed(ours, Lines::with_limit(4));
    let refused = ours.send(Message::from("12345")).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::TooLarge { limit: 4, size: 5 });
    ours.send(Message::from("1234")).await.unwrap();
    drop(ours);
    let mut text = String::new();
    wire.read_to_string(&mut text).await.unwrap();
    assert_eq!(text, "1234\n");
}

#[tokio::test]
async fn a_frame_over_the_limit_ends_the_connection_with_its_reason() {
    let (mut wire, ours) = duplex(64);
    let mut ours = framed(ours, LengthPrefixed::with_limit(4));
    wire.write_all(&5_u64.to_be_bytes()).await.unwrap();
    let error = ours.next().await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge { limit: 4, size: 5 });
    assert!(ours.next().await.is_none());
}

#[tokio::test]
async fn an_error_of_the_stream_is_filed_under_its_kind() {
    let broken = tokio_test::io::Builder::new()
        .read(b"{}\n{")
        .read_error(std::io::ErrorKind::ConnectionReset.into())
        .build();
    let mut ours = Lines::framed(broken);
    assert_eq!(ours.next().await.unwrap().unwrap().as_str(), Some("{}"));
    let error = ours.next().await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Disconnected);
}

#[tokio::test]
async fn a_read_that_is_dropped_half_way_loses_nothing() {
    let (mut wire, ours) = duplex(64);
    let mut ours = LengthPrefixed::framed(ours);
    for byte in [&3_u64.to_be_bytes()[..], b"abc"].concat() {
        assert!(ours.next().now_or_never().is_none());
        wire.write_all(&[byte]).await.unwrap();
    }
    assert_eq!(ours.next().await.unwrap().unwrap().as_str(), Some("abc"));
}
