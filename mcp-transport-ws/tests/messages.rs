//! Messages on their way: content, kind of frame, limits, torn frames.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    missing_docs,
    reason = "tests own their tasks and timers"
)]

mod common;

use bytes::Bytes;
use common::{accepted, dialled, pair, raw};
use futures::{SinkExt, StreamExt};
use mcp_transport_core::{Connector, ErrorKind, Listener, Message};
use mcp_transport_ws::{WsConfig, WsConnector, WsListener};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf};
use tokio_tungstenite::tungstenite::Message as Frame;

#[tokio::test]
async fn messages_go_both_ways_untouched() {
    let (mut left, mut right) = pair(1024, WsConfig::new()).await;
    for text in [
        "{}",
        r#"{"jsonrpc" : "2.0", "id":1.0, "method":"ä"}"#,
        "",
        "no json",
    ] {
        left.send(Message::from(text)).await.unwrap();
        assert_eq!(right.next().await.unwrap().unwrap(), Message::from(text));
        right.send(Message::from(text)).await.unwrap();
        assert_eq!(left.next().await.unwrap().unwrap(), Message::from(text));
    }
}

#[tokio::test]
async fn nobody_who_keeps_a_small_message_keeps_the_room_of_a_large_one() {
    let (mut left, mut right) = pair(64 * 1024, WsConfig::new()).await;
    for size in [5 << 20, 2_000, 64 * 1024] {
        let sent = Message::from(vec![b'1'; size]);
        let (sent, received) = tokio::join!(left.send(sent), right.next());
        sent.unwrap();
        let kept = received.unwrap().unwrap().into_bytes();
        assert_eq!(kept.len(), size);
        if size <= 64 * 1024 {
            // Nobody else has a part of its room: not the connection's buffer, above all.
            assert!(kept.is_unique());
        }
    }
}

#[tokio::test]
async fn utf8_goes_as_text_and_the_rest_as_binary() {
    let (mut ours, mut plain) = dialled(WsConfig::new()).await;
    ours.send(Message::from("text")).await.unwrap();
    ours.send(Message::from(vec![0xff, 0])).await.unwrap();
    assert_eq!(plain.next().await.unwrap().unwrap(), Frame::text("text"));
    let binary = Frame::binary(vec![0xff, 0]);
    assert_eq!(plain.next().await.unwrap().unwrap(), binary);

    plain.send(binary).await.unwrap();
    let message = ours.next().await.unwrap().unwrap();
    assert_eq!(message.as_bytes().as_ref(), [0xff, 0]);
}

#[tokio::test]
async fn text_goes_as_binary_where_the_config_says_so() {
    let (mut ours, mut plain) = accepted(WsConfig::new().binary(true)).await;
    ours.send(Message::from("text")).await.unwrap();
    assert_eq!(plain.next().await.unwrap().unwrap(), Frame::binary("text"));
}

#[tokio::test]
async fn a_connection_over_a_pipe_with_room_for_one_byte_works() {
    let (mut left, mut right) = pair(1, WsConfig::new()).await;
    let messages: Vec<_> = (0..20).map(|n| Message::from("x".repeat(n * 7))).collect();
    let sent = messages.clone();
    let (mut tx, mut rx) = (Vec::new(), Vec::new());
    let sender = async {
        for message in sent {
            left.send(message.clone()).await.unwrap();
            tx.push(message);
        }
    };
    let receiver = async {
        while rx.len() < 20 {
            rx.push(right.next().await.unwrap().unwrap());
        }
    };
    tokio::join!(sender, receiver);
    assert_eq!(tx, messages);
    assert_eq!(rx, messages);
}

#[tokio::test]
async fn fed_messages_travel_together_and_arrive_in_order() {
    let (mut left, mut right) = pair(256, WsConfig::new().write_buffer(1024)).await;
    let (mut sink, _stream) = (&mut left).split();
    let sender = async {
        for n in 0..1000 {
            sink.feed(Message::from(n.to_string())).await.unwrap();
        }
        sink.flush().await.unwrap();
    };
    let receiver = async {
        for n in 0..1000 {
            let message = right.next().await.unwrap().unwrap();
            assert_eq!(message.as_str().unwrap(), n.to_string());
        }
    };
    tokio::join!(sender, receiver);
}

#[tokio::test]
async fn small_messages_are_read_many_at_once_also_if_they_are_kept() {
    const COUNT: usize = 2_000;
    let (here, there) = tokio::io::duplex(64 * 1024);
    let reads = Arc::new(AtomicUsize::new(0));
    let here = Counted(here, Arc::clone(&reads));
    let connector = WsConnector::new("ws://localhost/");
    let (ours, plain) = tokio::join!(
        connector.connect_over(here),
        tokio_tungstenite::accept_async(there)
    );
    let (mut ours, mut plain) = (ours.unwrap(), plain.unwrap());
    let before = reads.load(Relaxed);
    let sender = async {
        for _ in 0..COUNT {
            plain.feed(Frame::text("x".repeat(60))).await.unwrap();
        }
        plain.flush().await.unwrap();
    };
    let mut kept = Vec::new();
    let receiver = async {
        while kept.len() < COUNT {
            kept.push(ours.next().await.unwrap().unwrap());
        }
    };
    tokio::join!(sender, receiver);
    let reads = reads.load(Relaxed) - before;
    assert!(reads < 100, "{COUNT} messages took {reads} reads");
}

/// Counts the reads that found something.
struct Counted(DuplexStream, Arc<AtomicUsize>);

impl AsyncRead for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.0).poll_read(cx, buf);
        self.1.fetch_add(usize::from(read.is_ready()), Relaxed);
        read
    }
}

impl AsyncWrite for Counted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

#[tokio::test]
async fn an_outgoing_message_over_the_limit_is_refused_and_the_link_stays() {
    let (mut left, mut right) = pair(1024, WsConfig::new().max_message(10)).await;
    let error = left.send(Message::from("12345678901")).await.unwrap_err();
    assert_eq!(
        error.kind(),
        ErrorKind::TooLarge {
            limit: 10,
            size: 11
        }
    );
    left.send(Message::from("1234567890")).await.unwrap();
    assert_eq!(
        right.next().await.unwrap().unwrap().as_str(),
        Some("1234567890")
    );
}

#[tokio::test]
async fn an_incoming_message_over_the_limit_ends_the_link_and_the_peer_is_told() {
    let (mut ours, mut plain) = accepted(WsConfig::new().max_message(10)).await;
    plain.send(Frame::text("12345678901")).await.unwrap();
    let reader = async {
        let error = ours.next().await.unwrap().unwrap_err();
        assert_eq!(
            error.kind(),
            ErrorKind::TooLarge {
                limit: 10,
                size: 11
            }
        );
        assert!(ours.next().await.is_none());
        drop(ours);
    };
    let peer = async {
        let Frame::Close(Some(frame)) = plain.next().await.unwrap().unwrap() else {
            panic!("no close frame");
        };
        assert_eq!(u16::from(frame.code), 1009);
        while plain.next().await.is_some() {}
    };
    tokio::join!(reader, peer);
}

#[tokio::test]
async fn a_message_in_many_frames_is_one_message_and_has_one_limit() {
    let (mut ours, mut wire) = raw(WsConfig::new().max_message(6)).await;
    // Masked with zeros: text "abc", not final; continuation "def", final.
    let fragments = [
        b"\x01\x83\0\0\0\0abc".as_slice(),
        b"\x80\x83\0\0\0\0def",
        b"\x01\x84\0\0\0\0abcd",
        b"\x80\x83\0\0\0\0efg",
    ];
    for fragment in fragments {
        wire.write_all(fragment).await.unwrap();
    }
    assert_eq!(ours.next().await.unwrap().unwrap().as_str(), Some("abcdef"));
    drop(wire);
    let error = ours.next().await.unwrap().unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::TooLarge { limit: 6, .. }));
}

#[tokio::test]
async fn a_single_frame_larger_than_the_library_allows_by_itself_arrives() {
    let (mut left, mut right) = pair(1024 * 1024, WsConfig::new()).await;
    let large = Message::from(Bytes::from(vec![b'x'; 17 * 1024 * 1024]));
    let (sent, received) = tokio::join!(left.send(large.clone()), right.next());
    sent.unwrap();
    assert_eq!(received.unwrap().unwrap().len(), large.len());
}

#[tokio::test]
async fn a_peer_in_the_middle_of_a_large_message_hears_why_over_tcp() {
    // The peer is heard out for so long; a slow machine must not make it a reset.
    let config = WsConfig::new()
        .max_message(1024)
        .close_timeout(Duration::from_secs(60));
    let mut listener = WsListener::bind(0).unwrap().config(config);
    let url = format!("ws://localhost:{}/", listener.local_port());
    let mut connector = WsConnector::new(&url);
    let (mut dialled, accepted) = {
        let (dialled, accepted) = tokio::join!(connector.connect(), listener.accept());
        (dialled.unwrap(), accepted.unwrap())
    };
    let reader = async {
        let mut accepted = accepted;
        let error = accepted.next().await.unwrap().unwrap_err();
        assert!(matches!(
            error.kind(),
            ErrorKind::TooLarge { limit: 1024, .. }
        ));
    };
    let writer = async {
        // More than the sockets hold: it is still being written when the other end gives up.
        let large = "x".repeat(16 * 1024 * 1024);
        dialled.send(Message::from(large)).await.unwrap();
        let error = dialled.next().await.unwrap().unwrap_err();
        assert!(
            matches!(error.kind(), ErrorKind::TooLarge { .. }),
            "{error}"
        );
    };
    tokio::join!(reader, writer);
}
