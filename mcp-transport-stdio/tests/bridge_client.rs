//! The dialling side, against a bridge that says exactly what the test says.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "tests fail where they stand, and have a clock"
)]

#[path = "bridge_common/mod.rs"]
mod common;

use common::{frame, recordings, soon};
use futures::{SinkExt, StreamExt};
use mcp_transport_core::{Error, ErrorKind, Eviction, EvictionReason, Message};
use mcp_transport_stdio::bridge::wire::{PONG, WELCOME};
use mcp_transport_stdio::bridge::{BridgeTransport, Claim, LinkConfig};
use std::io;
use std::task::Poll;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

const SUPERSEDED: ErrorKind = ErrorKind::Evicted(EvictionReason::Superseded);

async fn open(room: usize) -> (BridgeTransport<DuplexStream>, DuplexStream) {
    let (ours, mut theirs) = duplex(room);
    let (opened, written) = tokio::join!(
        BridgeTransport::open(ours, None, LinkConfig::default()),
        theirs.write_all(WELCOME)
    );
    written.unwrap();
    (opened.unwrap(), theirs)
}

async fn read_frame(stream: &mut DuplexStream) -> Vec<u8> {
    let mut header = [0; 8];
    stream.read_exact(&mut header).await.unwrap();
    let mut payload = vec![0; u64::from_be_bytes(header) as usize];
    stream.read_exact(&mut payload).await.unwrap();
    payload
}

fn notice() -> (Eviction, Vec<u8>) {
    let eviction = Eviction::new(EvictionReason::Superseded)
        .by("[::1]:54321")
        .at_unix_ms(1_748_345_678_901)
        .saying("\"quoted\" \\ back\u{1}\n");
    let bytes = frame(&eviction.to_notice());
    (eviction, bytes)
}

fn assert_notice(error: &Error) {
    let (sent, _) = notice();
    assert_eq!(error.kind(), SUPERSEDED);
    let read = error.eviction().unwrap();
    assert_eq!(read.newcomer(), sent.newcomer());
    assert_eq!(read.text(), sent.text());
    assert_eq!(read.evicted_at_unix_ms(), sent.evicted_at_unix_ms());
    assert_eq!(read.wire_reason(), Some("stdio_single_client_stomped"));
    let io = io::Error::from(error.clone());
    assert_eq!(io.kind(), io::ErrorKind::ConnectionAborted);
}

#[tokio::test]
async fn recorded_conversations_are_read_whatever_the_chunks() {
    for room in [1, 7, 64 * 1024] {
        for conversation in recordings() {
            let (ours, theirs) = duplex(room);
            let script = conversation.clone();
            let bridge = tokio::spawn(async move {
                let mut theirs = theirs;
                for said in script {
                    if said.by_bridge {
                        theirs.write_all(&said.bytes).await.unwrap();
                    } else {
                        let mut heard = vec![0; said.bytes.len()];
                        theirs.read_exact(&mut heard).await.unwrap();
                        assert_eq!(heard, said.bytes);
                    }
                }
            });
            let opened = BridgeTransport::open(ours, None, LinkConfig::default()).await;
            if &conversation[0].bytes[..] != WELCOME {
                assert_eq!(opened.unwrap_err().kind(), ErrorKind::Incompatible);
                continue;
            }
            let mut link = opened.unwrap();
            for said in &conversation[1..] {
                if !said.by_bridge {
                    link.send(Message::from(said.bytes.slice(8..)))
                        .await
                        .unwrap();
                } else if said.bytes.len() > 8 {
                    let answer = soon("an answer", link.next()).await.unwrap().unwrap();
                    assert_eq!(answer.as_bytes(), &said.bytes[8..]);
                }
            }
            bridge.await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_notice_in_place_of_an_answer_ends_the_connection_with_every_field() {
    for room in [1, 4096] {
        let (mut link, mut bridge) = open(room).await;
        let ((), answer) = tokio::join!(
            async {
                read_frame(&mut bridge).await;
                bridge.write_all(&notice().1).await.unwrap();
            },
            async {
                link.send(Message::from("{}")).await.unwrap();
                link.next().await
            }
        );
        assert_notice(&answer.unwrap().unwrap_err());
        assert!(link.next().await.is_none());
        assert_eq!(
            link.send(Message::from("{}")).await.unwrap_err().kind(),
            SUPERSEDED
        );
    }
}

#[tokio::test]
async fn a_refusal_in_place_of_an_answer_ends_the_connection_and_is_nobodys_answer() {
    let (mut link, mut bridge) = open(4096).await;
    link.send(Message::from("{}")).await.unwrap();
    read_frame(&mut bridge).await;
    let said =
        r#"{"status":"error","reason":"seat_taken","error":"Close it.","seat_holder":"[::1]:1"}"#;
    bridge.write_all(&frame(said.as_bytes())).await.unwrap();
    let error = soon("its end", link.next()).await.unwrap().unwrap_err();
    assert_eq!(error.kind(), SUPERSEDED);
    let eviction = error.eviction().unwrap();
    assert_eq!(eviction.newcomer(), Some("[::1]:1"));
    assert_eq!(eviction.text(), "Close it.");
    assert!(link.next().await.is_none());
}

#[tokio::test]
async fn a_notice_that_lay_in_the_buffer_is_seen_before_anything_is_written() {
    let (mut link, mut bridge) = open(4096).await;
    bridge.write_all(&notice().1).await.unwrap();
    assert_notice(&link.send(Message::from("{}")).await.unwrap_err());
    assert_notice(&link.next().await.unwrap().unwrap_err());
    drop(link);
    assert_eq!(
        bridge.read(&mut [0; 8]).await.unwrap(),
        0,
        "the command was written"
    );
}

#[tokio::test]
async fn a_notice_between_room_and_sending_is_seen_before_anything_is_written() {
    let (mut link, mut bridge) = open(4096).await;
    std::future::poll_fn(|cx| link.poll_ready_unpin(cx))
        .await
        .unwrap();
    bridge.write_all(&notice().1).await.unwrap();
    link.start_send_unpin(Message::from("{}")).unwrap();
    assert_notice(&link.flush().await.unwrap_err());
    drop(link);
    assert_eq!(bridge.read(&mut [0; 8]).await.unwrap(), 0);
}

#[tokio::test]
async fn a_frame_of_which_only_the_beginning_is_there_is_waited_for() {
    let (mut link, mut bridge) = open(4096).await;
    let (_, bytes) = notice();
    bridge.write_all(&bytes[..20]).await.unwrap();
    let mut sending = Box::pin(link.send(Message::from("{}")));
    let early = std::future::poll_fn(|cx| Poll::Ready(sending.as_mut().poll(cx).is_pending()));
    assert!(early.await);
    bridge.write_all(&bytes[20..]).await.unwrap();
    assert_notice(&soon("the error", sending).await.unwrap_err());
}

#[tokio::test]
async fn every_other_frame_passes_unchanged() {
    let (mut link, mut bridge) = open(64).await;
    for payload in [
        &b"no json"[..],
        b"\xff\xfe\x00",
        PONG,
        br#"{"status":"Evicted"}"#,
        br#"["evicted"]"#,
        br#"{"result":{"status":"evicted"}}"#,
        br#"{"status":"error","error":"Command evicted: stuck too long in queue"}"#,
    ] {
        let (answer, ()) = tokio::join!(
            async {
                link.send(Message::from("{}")).await.unwrap();
                link.next().await.unwrap().unwrap()
            },
            async {
                read_frame(&mut bridge).await;
                bridge.write_all(&frame(payload)).await.unwrap();
            }
        );
        assert_eq!(answer.as_bytes(), payload);
    }
}

#[tokio::test]
async fn there_is_one_command_on_the_wire_at_a_time() {
    let (link, mut bridge) = open(4096).await;
    let (mut sink, mut stream) = link.split();
    let sender = tokio::spawn(async move {
        for n in 0..3 {
            sink.send(Message::from(n.to_string())).await.unwrap();
        }
    });
    for n in 0..3 {
        assert_eq!(
            soon("a command", read_frame(&mut bridge)).await,
            n.to_string().as_bytes()
        );
        let more = tokio::time::timeout(Duration::from_millis(20), bridge.read(&mut [0; 1])).await;
        assert!(
            more.is_err(),
            "a second command before the first was answered"
        );
        bridge.write_all(&frame(b"{}")).await.unwrap();
        soon("an answer", stream.next()).await.unwrap().unwrap();
    }
    sender.await.unwrap();
}

#[tokio::test]
async fn an_end_that_owes_an_answer_is_a_loss_of_unknown_outcome() {
    let (mut link, mut bridge) = open(4096).await;
    link.send(Message::from("{}")).await.unwrap();
    assert_eq!(read_frame(&mut bridge).await, b"{}");
    drop(bridge);
    let error = link.next().await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Disconnected);
    assert_eq!(error.outcome(), mcp_transport_core::Outcome::Unknown);
    assert!(link.next().await.is_none());
}

#[tokio::test]
async fn an_end_that_owes_nothing_is_an_end() {
    let (mut link, bridge) = open(4096).await;
    drop(bridge);
    assert!(link.next().await.is_none());
    assert_eq!(
        link.send(Message::from("{}")).await.unwrap_err().kind(),
        ErrorKind::Disconnected
    );
}

#[tokio::test]
async fn what_nobody_asked_for_is_malformed_but_for_a_pong() {
    let (mut link, mut bridge) = open(4096).await;
    bridge.write_all(&frame(PONG)).await.unwrap();
    link.send(Message::from("{}")).await.unwrap();
    bridge.write_all(&frame(b"1")).await.unwrap();
    assert_eq!(link.next().await.unwrap().unwrap().as_str(), Some("1"));

    bridge
        .write_all(&frame(br#"{"status":"success"}"#))
        .await
        .unwrap();
    assert_eq!(
        link.next().await.unwrap().unwrap_err().kind(),
        ErrorKind::Malformed
    );
}

#[tokio::test]
async fn sixteen_heartbeats_are_tolerated_and_do_not_show() {
    let (mut link, mut bridge) = open(4096).await;
    link.send(Message::from("{}")).await.unwrap();
    bridge.write_all(&[0; 16 * 8]).await.unwrap();
    bridge.write_all(&frame(b"1")).await.unwrap();
    assert_eq!(link.next().await.unwrap().unwrap().as_str(), Some("1"));
    bridge.write_all(&[0; 17 * 8]).await.unwrap();
    assert_eq!(
        link.next().await.unwrap().unwrap_err().kind(),
        ErrorKind::Malformed
    );
}

#[tokio::test]
async fn a_large_frame_is_refused_either_way() {
    let (ours, mut bridge) = duplex(4096);
    let mut config = LinkConfig::default();
    config.max_payload = 8;
    let (link, written) = tokio::join!(
        BridgeTransport::open(ours, None, config),
        bridge.write_all(WELCOME)
    );
    written.unwrap();
    let mut link = link.unwrap();
    let too_large = ErrorKind::TooLarge { limit: 8, size: 9 };
    let refused = link.send(Message::from("123456789")).await.unwrap_err();
    assert_eq!(refused.kind(), too_large);
    // Nothing was written, and the connection goes on.
    link.send(Message::from("12345678")).await.unwrap();
    assert_eq!(read_frame(&mut bridge).await, b"12345678");
    bridge.write_all(&9_u64.to_be_bytes()).await.unwrap();
    assert_eq!(link.next().await.unwrap().unwrap_err().kind(), too_large);
}

#[tokio::test(start_paused = true)]
async fn an_idle_bridge_is_pinged_and_a_busy_one_is_not() {
    let (link, mut bridge) = open(4096).await;
    let (mut sink, mut stream) = link.split();
    let reader = tokio::spawn(async move {
        let first = stream.next().await.unwrap().unwrap();
        (first, stream.next().await)
    });
    for _ in 0..3 {
        let idle = tokio::time::Instant::now();
        assert_eq!(read_frame(&mut bridge).await, b"ping");
        assert!(
            idle.elapsed() >= Duration::from_secs(10),
            "{:?}",
            idle.elapsed()
        );
        bridge.write_all(&frame(PONG)).await.unwrap();
    }
    sink.send(Message::from("{}")).await.unwrap();
    assert_eq!(read_frame(&mut bridge).await, b"{}");
    // Ten minutes of a command.
    let quiet = tokio::time::timeout(Duration::from_secs(600), bridge.read(&mut [0; 1])).await;
    assert!(
        quiet.is_err(),
        "something was written while an answer was due"
    );
    bridge.write_all(&frame(b"done")).await.unwrap();
    assert_eq!(read_frame(&mut bridge).await, b"ping");
    let (first, second) = reader.await.unwrap();
    assert_eq!(first.as_str(), Some("done"));
    assert_eq!(second.unwrap().unwrap_err().kind(), ErrorKind::TimedOut);
}

#[tokio::test(start_paused = true)]
async fn a_command_that_meets_a_ping_waits_for_its_answer() {
    let (link, mut bridge) = open(4096).await;
    let (mut sink, mut stream) = link.split();
    let reader = tokio::spawn(async move { stream.next().await.unwrap().unwrap() });
    assert_eq!(read_frame(&mut bridge).await, b"ping");
    let sender = tokio::spawn(async move { sink.send(Message::from("{}")).await });
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(!sender.is_finished());
    bridge.write_all(&frame(PONG)).await.unwrap();
    assert_eq!(read_frame(&mut bridge).await, b"{}");
    bridge.write_all(&frame(b"done")).await.unwrap();
    assert_eq!(reader.await.unwrap().as_str(), Some("done"));
    sender.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_command_that_was_accepted_is_written_by_a_close() {
    let (mut link, mut bridge) = open(4096).await;
    link.feed(Message::from("{}")).await.unwrap();
    link.close().await.unwrap();
    assert_eq!(read_frame(&mut bridge).await, b"{}");
    assert_eq!(bridge.read(&mut [0; 8]).await.unwrap(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_close_waits_for_one_second_only_to_write_a_command() {
    let (mut link, mut bridge) = open(4096).await;
    link.feed(Message::from("{}")).await.unwrap();
    // The beginning of a frame, of which the rest never comes.
    bridge.write_all(&[0; 4]).await.unwrap();
    let start = tokio::time::Instant::now();
    let error = link.close().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    assert_eq!(start.elapsed(), Duration::from_secs(1));
    assert_eq!(bridge.read(&mut [0; 8]).await.unwrap(), 0);
}

#[tokio::test]
async fn a_close_tells_of_a_command_that_was_accepted_and_could_not_be_written() {
    let (mut link, mut bridge) = open(4096).await;
    link.feed(Message::from("{}")).await.unwrap();
    bridge.write_all(&notice().1).await.unwrap();
    assert_notice(&link.next().await.unwrap().unwrap_err());
    assert_notice(&link.close().await.unwrap_err());
    assert_eq!(bridge.read(&mut [0; 8]).await.unwrap(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_is_no_bridge_is_told_apart_from_a_silent_one() {
    let (ours, mut theirs) = duplex(64);
    theirs
        .write_all(b"HTTP/1.1 400 Bad Request\r\n")
        .await
        .unwrap();
    let error = BridgeTransport::open(ours, None, LinkConfig::default())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Incompatible);
    assert!(error.to_string().contains("HTTP/1.1 400"), "{error}");

    let (ours, _silent) = duplex(64);
    let before = tokio::time::Instant::now();
    let error = BridgeTransport::open(ours, None, LinkConfig::default())
        .await
        .unwrap_err();
    assert_eq!(
        (error.kind(), before.elapsed().as_secs()),
        (ErrorKind::TimedOut, 1)
    );

    let (ours, theirs) = duplex(64);
    drop(theirs);
    let error = BridgeTransport::open(ours, None, LinkConfig::default())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Disconnected);
}

#[tokio::test]
async fn a_bridge_that_knows_no_seats_answers_the_claim_as_it_likes() {
    for answer in [
        &PONG[..],
        br#"{"status":"error","error":"Unknown or unsupported command type: ping"}"#,
    ] {
        let (ours, mut bridge) = duplex(4096);
        let (link, ()) = tokio::join!(
            BridgeTransport::open(ours, Some(Claim::Take), LinkConfig::default()),
            async {
                bridge.write_all(WELCOME).await.unwrap();
                assert_eq!(
                    read_frame(&mut bridge).await,
                    br#"{"type":"ping","params":{"seat":"take"}}"#
                );
                bridge.write_all(&frame(answer)).await.unwrap();
            }
        );
        link.unwrap();
    }
}
