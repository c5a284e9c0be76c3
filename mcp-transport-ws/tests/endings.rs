//! How connections end, and what each end knows of it.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    missing_docs,
    reason = "tests own their tasks and timers"
)]

mod common;

use common::{accepted, dialled, pair, raw};
use futures::{FutureExt, SinkExt, StreamExt};
use mcp_transport_core::{Connector, Error, ErrorKind, Eviction, EvictionReason, Message};
use mcp_transport_ws::{WsConfig, WsConnector, WsTransport};
use std::error::Error as _;
use std::io;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::Message as Frame;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

/// Reads to the end, which must be one error and then nothing.
async fn end_of(transport: &mut WsTransport) -> Error {
    let error = loop {
        match transport.next().await.expect("an error before the end") {
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    assert!(transport.next().await.is_none());
    error
}

fn close(code: u16, reason: &str) -> Frame {
    Frame::Close(Some(CloseFrame {
        code: code.into(),
        reason: reason.into(),
    }))
}

#[tokio::test]
async fn each_close_code_of_a_peer_is_the_ending_of_the_table() {
    let codes = [
        1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 3000, 4000, 4001, 4002,
        4999,
    ];
    for code in codes {
        for ours_dialled in [true, false] {
            let (mut ours, mut plain) = match ours_dialled {
                true => dialled(WsConfig::new()).await,
                false => accepted(WsConfig::new()).await,
            };
            plain.send(close(code, "because")).await.unwrap();
            let error = end_of(&mut ours).await;
            assert_eq!(
                error.kind(),
                ErrorKind::from_close_code(Some(code)),
                "{code}"
            );
            assert!(error.to_string().contains("because"), "{code}: {error}");
            assert_eq!(ours.close_code(), Some(code));
            // The peer hears its own code back, before it sees the end.
            assert_eq!(plain.next().await.unwrap().unwrap(), close(code, "because"));
        }
    }
}

#[tokio::test]
async fn each_ending_is_told_with_the_code_of_the_table() {
    let kinds = [
        (ErrorKind::Closed, 1000),
        (ErrorKind::Evicted(EvictionReason::ShuttingDown), 1001),
        (ErrorKind::Incompatible, 1002),
        (ErrorKind::Malformed, 1007),
        (ErrorKind::Unauthorized, 1008),
        (ErrorKind::TooLarge { limit: 1, size: 2 }, 1009),
        (ErrorKind::Disconnected, 1011),
        (ErrorKind::Evicted(EvictionReason::Reloading), 1012),
        (ErrorKind::Overloaded { retry_after: None }, 1013),
        (ErrorKind::Evicted(EvictionReason::Superseded), 4001),
        (ErrorKind::Evicted(EvictionReason::Stale), 4002),
        (ErrorKind::TimedOut, 4002),
    ];
    for (kind, code) in kinds {
        let (left, mut right) = pair(1024, WsConfig::new()).await;
        let (closed, error) = tokio::join!(left.close_with(kind, "so it is"), end_of(&mut right));
        closed.unwrap();
        assert_eq!(
            error.kind(),
            ErrorKind::from_close_code(Some(code)),
            "{kind:?}"
        );
        assert!(error.to_string().contains("so it is"), "{error}");
    }
}

#[tokio::test]
async fn a_host_dialect_closes_with_its_own_code() {
    let (ours, mut plain) = accepted(WsConfig::new()).await;
    let (closed, frame) = tokio::join!(ours.close(4400, "register first"), async {
        let frame = plain.next().await.unwrap().unwrap();
        while plain.next().await.is_some() {}
        frame
    });
    closed.unwrap();
    assert_eq!(frame, close(4400, "register first"));
}

#[tokio::test]
async fn a_code_that_may_not_be_sent_is_refused() {
    let (mut ours, _plain) = accepted(WsConfig::new()).await;
    let error = ours.set_goodbye(1006, "").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Malformed);
    assert_eq!(
        ours.close(1005, "").await.unwrap_err().kind(),
        ErrorKind::Malformed
    );
}

#[tokio::test]
async fn a_long_reason_is_cut_to_what_a_close_frame_holds() {
    let (ours, mut plain) = accepted(WsConfig::new()).await;
    let (_, frame) = tokio::join!(ours.close(4000, &"é".repeat(200)), async {
        let frame = plain.next().await.unwrap().unwrap();
        while plain.next().await.is_some() {}
        frame
    });
    assert_eq!(frame, close(4000, &"é".repeat(61)));
}

#[tokio::test]
async fn a_takeover_is_an_eviction_with_the_text_of_the_peer() {
    let (mut ours, mut plain) = dialled(WsConfig::new()).await;
    plain
        .send(close(4001, "127.0.0.1:5 took the seat"))
        .await
        .unwrap();
    let error = end_of(&mut ours).await;
    assert_eq!(
        error.eviction().unwrap().text(),
        "127.0.0.1:5 took the seat"
    );
}

#[tokio::test]
async fn a_notice_in_the_reason_of_a_takeover_is_read() {
    let notice = Eviction::new(EvictionReason::Superseded)
        .by("127.0.0.1:5")
        .to_notice();
    let notice = String::from_utf8(notice).unwrap();
    let (mut ours, mut plain) = dialled(WsConfig::new()).await;
    plain.send(close(4001, &notice)).await.unwrap();
    let error = end_of(&mut ours).await;
    assert_eq!(error.eviction().unwrap().newcomer(), Some("127.0.0.1:5"));
}

#[tokio::test]
async fn a_close_frame_without_a_code_is_an_end_without_goodbye() {
    let (mut ours, mut plain) = dialled(WsConfig::new()).await;
    plain.send(Frame::Close(None)).await.unwrap();
    assert_eq!(end_of(&mut ours).await.kind(), ErrorKind::Disconnected);
}

#[tokio::test]
async fn a_forbidden_close_code_does_not_keep_anybody_from_dialling_again() {
    for code in [1005_u16, 1006, 1014, 2500] {
        let (mut ours, mut wire) = raw(WsConfig::new()).await;
        let [high, low] = code.to_be_bytes();
        wire.write_all(&[0x88, 0x82, 0, 0, 0, 0, high, low])
            .await
            .unwrap();
        assert_eq!(
            end_of(&mut ours).await.kind(),
            ErrorKind::Disconnected,
            "{code}"
        );
    }
}

#[tokio::test]
async fn a_peer_that_is_gone_without_a_word_is_disconnected() {
    let (mut ours, plain) = dialled(WsConfig::new()).await;
    drop(plain);
    let error = end_of(&mut ours).await;
    assert_eq!(error.kind(), ErrorKind::Disconnected);
    // The sink knows the same.
    let error = ours.send(Message::from("{}")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Disconnected);
}

#[tokio::test]
async fn what_a_peer_sent_before_it_left_still_arrives() {
    let (mut ours, mut plain) = accepted(WsConfig::new()).await;
    plain.send(Frame::text("last words")).await.unwrap();
    drop(plain);
    let message = ours.next().await.unwrap().unwrap();
    assert_eq!(message.as_str(), Some("last words"));
    assert_eq!(end_of(&mut ours).await.kind(), ErrorKind::Disconnected);
}

#[tokio::test]
async fn half_a_message_and_then_the_end_is_disconnected() {
    let (mut ours, mut wire) = raw(WsConfig::new()).await;
    wire.write_all(b"\x81\x85\0\0\0\0ab").await.unwrap();
    drop(wire);
    assert_eq!(end_of(&mut ours).await.kind(), ErrorKind::Disconnected);
}

#[tokio::test]
async fn what_lies_beneath_an_error_is_no_type_of_the_engine() {
    let (mut ours, mut wire) = raw(WsConfig::new()).await;
    wire.write_all(b"\x83\x82\0\0\0\0ab").await.unwrap();
    let error = end_of(&mut ours).await;
    let beneath = error.source().unwrap();
    assert!(beneath.is::<io::Error>(), "{beneath:?}");
    let text = beneath.to_string();
    assert!(text.contains("opcode"), "{text}");
}

#[tokio::test]
async fn frames_against_the_protocol_are_malformed_and_the_peer_is_told() {
    let bad: [(&[u8], u16); 4] = [
        (b"\x81\x82\0\0\0\0\xff\xff", 1007), // text that is not UTF-8
        (b"\x81\x02ab", 1002),               // not masked
        (b"\xf1\x82\0\0\0\0ab", 1002),       // reserved bits
        (b"\x83\x82\0\0\0\0ab", 1002),       // unknown opcode
    ];
    for (bytes, code) in bad {
        let (mut ours, mut wire) = raw(WsConfig::new()).await;
        wire.write_all(bytes).await.unwrap();
        let (error, told) = tokio::join!(end_of(&mut ours), async {
            let mut head = [0; 4];
            wire.read_exact(&mut head).await.unwrap();
            drop(wire);
            u16::from_be_bytes([head[2], head[3]])
        });
        assert_eq!(error.kind(), ErrorKind::Malformed, "{bytes:?}");
        assert_eq!(told, code, "{bytes:?}");
    }
}

#[tokio::test]
async fn closing_is_1000_and_our_own_stream_just_ends() {
    let (mut left, mut right) = pair(1024, WsConfig::new()).await;
    left.feed(Message::from("before")).await.unwrap();
    let (closed, message) = tokio::join!(SinkExt::close(&mut left), async {
        let message = right.next().await.unwrap().unwrap();
        let error = end_of(&mut right).await;
        assert_eq!(
            error.kind(),
            ErrorKind::Evicted(EvictionReason::ShuttingDown)
        );
        message
    });
    closed.unwrap();
    assert_eq!(message.as_str(), Some("before"));
    assert!(left.next().await.is_none());
    let error = left.send(Message::from("after")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Closed);
}

#[tokio::test]
async fn dropping_is_the_end_of_the_stream_for_the_peer() {
    let (ours, mut plain) = accepted(WsConfig::new()).await;
    drop(ours);
    assert!(plain.next().await.unwrap().is_err());
    assert!(plain.next().await.is_none());
}

#[tokio::test]
async fn a_split_transport_says_the_goodbye_that_was_set_and_wakes_its_reader() {
    let (mut left, mut right) = pair(1024, WsConfig::new()).await;
    left.set_goodbye(1012, "reloading").unwrap();
    let (mut sink, mut stream) = left.split();
    let reader = tokio::spawn(async move { stream.next().await.is_none() });
    tokio::task::yield_now().await;
    let (closed, error) = tokio::join!(sink.close(), end_of(&mut right));
    closed.unwrap();
    assert_eq!(error.kind(), ErrorKind::Evicted(EvictionReason::Reloading));
    assert!(reader.await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_never_says_goodbye_holds_a_close_up_for_one_second_only() {
    let (ours, _wire) = raw(WsConfig::new()).await;
    let start = Instant::now();
    let error = ours.close(1000, "").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    assert_eq!(start.elapsed(), Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_reads_nothing_holds_a_close_up_for_one_second_only() {
    let (mut ours, _wire) = raw(WsConfig::new()).await;
    // More than the pipe holds.
    ours.feed(Message::from("x".repeat(100_000))).await.unwrap();
    let start = Instant::now();
    SinkExt::close(&mut ours).await.unwrap();
    assert_eq!(start.elapsed(), Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_stays_after_a_malformed_frame_delays_the_news_for_one_second_only() {
    let (mut ours, mut wire) = raw(WsConfig::new()).await;
    wire.write_all(b"\x81\x02ab").await.unwrap();
    let start = Instant::now();
    assert_eq!(end_of(&mut ours).await.kind(), ErrorKind::Malformed);
    assert_eq!(start.elapsed(), Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn a_close_ends_though_the_reader_goes_meanwhile() {
    let (ours, _silent) = raw(WsConfig::new()).await;
    let (mut sink, mut stream) = ours.split();
    let closing = tokio::spawn(async move { sink.close().await });
    tokio::task::yield_now().await;
    let reader = tokio::spawn(async move { stream.next().await.is_none() });
    tokio::task::yield_now().await;
    reader.abort();
    let closed = tokio::time::timeout(Duration::from_secs(2), closing).await;
    closed.expect("the close hangs").unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_reader_sees_the_end_though_the_close_is_dropped_meanwhile() {
    // Nor does the keep-alive's timer wake it.
    let (ours, _silent) = raw(WsConfig::new().keep_alive(None)).await;
    let (mut sink, mut stream) = ours.split();
    let reader = tokio::spawn(async move { stream.next().await.is_none() });
    tokio::task::yield_now().await;
    let closing = tokio::spawn(async move { sink.close().await });
    tokio::task::yield_now().await;
    closing.abort();
    let read = tokio::time::timeout(Duration::from_secs(2), reader).await;
    assert!(read.expect("the reader hangs").unwrap());
}

#[tokio::test]
async fn a_close_hears_a_peer_out_that_is_in_the_middle_of_too_large_a_message() {
    let (mut ours, mut wire) = raw(WsConfig::new().max_message(1024)).await;
    // More than the pipe holds.
    let size = 100_000_usize;
    let mut frame = vec![0x81, 0xff];
    frame.extend_from_slice(&(size as u64).to_be_bytes());
    frame.resize(frame.len() + 4 + size, 0);
    let (head, rest) = frame.split_at(14);
    wire.write_all(head).await.unwrap();
    assert!(
        ours.next().now_or_never().is_none(),
        "it waits for the peer"
    );
    let refused = ours.feed(Message::from("{}")).await.unwrap_err();
    assert!(matches!(refused.kind(), ErrorKind::TooLarge { .. }));
    let (closed, told) = tokio::join!(
        async {
            let closed = SinkExt::close(&mut ours).await;
            drop(ours);
            closed
        },
        async {
            wire.write_all(rest).await.expect("nobody listens any more");
            let mut head = [0; 4];
            wire.read_exact(&mut head).await.unwrap();
            drop(wire);
            u16::from_be_bytes([head[2], head[3]])
        }
    );
    closed.unwrap();
    assert_eq!(told, 1009);
}

#[tokio::test]
async fn both_may_close_at_once() {
    let (left, right) = pair(1024, WsConfig::new()).await;
    let (a, b) = tokio::join!(left.close(1000, ""), right.close(1001, ""));
    a.unwrap();
    b.unwrap();
}

/// A dialled transport and the other end's socket, over TCP.
async fn over_tcp() -> (WsTransport, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    let mut connector = WsConnector::new(&url);
    let (ours, wire) = tokio::join!(connector.connect(), async {
        let (stream, _) = listener.accept().await.unwrap();
        let plain = tokio_tungstenite::accept_async(stream).await.unwrap();
        plain.into_inner()
    });
    (ours.unwrap(), wire)
}

#[tokio::test]
async fn a_reset_is_disconnected_and_says_so_in_its_source() {
    let (mut ours, wire) = over_tcp().await;
    wire.set_zero_linger().unwrap();
    drop(wire);
    let error = end_of(&mut ours).await;
    assert_eq!(error.kind(), ErrorKind::Disconnected);
    // On Windows a reset may look like an end, depending on when the socket is asked.
    assert!(error.source().is_some() || cfg!(windows));
}

#[tokio::test]
async fn a_peer_that_only_stops_writing_has_ended_the_connection() {
    let (mut ours, mut wire) = over_tcp().await;
    wire.write_all(b"\x81\x02{}").await.unwrap();
    wire.shutdown().await.unwrap();
    assert_eq!(ours.next().await.unwrap().unwrap().as_str(), Some("{}"));
    assert_eq!(end_of(&mut ours).await.kind(), ErrorKind::Disconnected);
    // Our half ends, too, although the transport is still there.
    assert_eq!(wire.read(&mut [0; 16]).await.unwrap(), 0);
}
