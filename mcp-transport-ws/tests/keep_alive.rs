//! Pings of both ends, and peers that fall silent.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    missing_docs,
    reason = "tests own their tasks and timers"
)]

mod common;

use common::{accepted, dialled, pair, raw};
use futures::{SinkExt, StreamExt};
use mcp_transport_core::keepalive::KeepAliveConfig;
use mcp_transport_core::{ErrorKind, Message};
use mcp_transport_ws::WsConfig;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, sleep, timeout};
use tokio_tungstenite::tungstenite::Message as Frame;

const S: Duration = Duration::from_secs(1);

#[tokio::test]
async fn a_ping_is_answered_while_nobody_writes() {
    let (mut ours, mut plain) = accepted(WsConfig::new()).await;
    let reader = tokio::spawn(async move { ours.next().await });
    plain
        .send(Frame::Ping("are you there".into()))
        .await
        .unwrap();
    let pong = Frame::Pong("are you there".into());
    assert_eq!(plain.next().await.unwrap().unwrap(), pong);
    reader.abort();
}

#[tokio::test]
async fn a_pong_that_finds_no_room_goes_out_when_there_is_some() {
    let (mut ours, mut wire) = raw(WsConfig::new()).await;
    // Fills the pipe towards the peer, and then some.
    ours.feed(Message::from("x".repeat(100_000))).await.unwrap();
    assert!(
        timeout(Duration::from_millis(1), ours.flush())
            .await
            .is_err()
    );
    let reader = tokio::spawn(async move { ours.next().await });
    wire.write_all(b"\x89\x82\0\0\0\0hi").await.unwrap();
    tokio::task::yield_now().await;
    let mut all = vec![0; 10 + 100_000 + 4];
    wire.read_exact(&mut all).await.unwrap();
    assert_eq!(all[10 + 100_000..], *b"\x8a\x02hi");
    reader.abort();
}

#[tokio::test(start_paused = true)]
async fn a_silent_peer_is_pinged_and_then_dead() {
    let (mut ours, mut wire) = raw(WsConfig::new()).await;
    let start = Instant::now();
    let (ended, seen) = tokio::join!(ours.next(), async {
        let mut ping = [0; 2];
        wire.read_exact(&mut ping).await.unwrap();
        let pinged = start.elapsed();
        let mut close = [0; 4];
        wire.read_exact(&mut close).await.unwrap();
        (ping, pinged, close)
    });
    assert_eq!(ended.unwrap().unwrap_err().kind(), ErrorKind::TimedOut);
    assert_eq!(start.elapsed(), 40 * S);
    let (ping, pinged, close) = seen;
    assert_eq!((ping, pinged), ([0x89, 0], 20 * S));
    assert_eq!(close[0], 0x88);
    assert_eq!(u16::from_be_bytes([close[2], close[3]]), 4002);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_takes_no_bytes_dies_as_well() {
    let (mut ours, _wire) = raw(WsConfig::new()).await;
    ours.feed(Message::from("x".repeat(100_000))).await.unwrap();
    let error = ours.next().await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
}

#[tokio::test(start_paused = true)]
async fn two_idle_ends_keep_each_other_alive() {
    let (mut left, mut right) = pair(1024, WsConfig::new()).await;
    let idle = async { tokio::join!(left.next(), right.next()) };
    assert!(timeout(3600 * S, idle).await.is_err());
    left.send(Message::from("still here")).await.unwrap();
    assert!(right.next().await.unwrap().is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_only_listens_is_kept_by_its_pongs() {
    let (mut ours, mut plain) = dialled(WsConfig::new()).await;
    let peer = tokio::spawn(async move { while plain.next().await.is_some() {} });
    assert!(timeout(600 * S, ours.next()).await.is_err());
    peer.abort();
}

#[tokio::test(start_paused = true)]
async fn a_large_message_that_arrives_slowly_is_a_sign_of_life() {
    let (mut ours, mut wire) = raw(WsConfig::new()).await;
    let writer = async {
        wire.write_all(b"\x81\x8a\0\0\0\0").await.unwrap();
        for _ in 0..10 {
            sleep(15 * S).await;
            wire.write_all(b"x").await.unwrap();
        }
        wire
    };
    let (message, _wire) = tokio::join!(ours.next(), writer);
    assert_eq!(message.unwrap().unwrap().as_str(), Some("xxxxxxxxxx"));
}

#[tokio::test(start_paused = true)]
async fn without_a_keep_alive_silence_lasts_for_ever() {
    let (mut ours, _wire) = raw(WsConfig::new().keep_alive(None)).await;
    assert!(timeout(100_000 * S, ours.next()).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn the_keep_alive_can_be_set() {
    let keep_alive = KeepAliveConfig::default().interval(S).patience(2 * S);
    let (mut ours, _wire) = raw(WsConfig::new().keep_alive(keep_alive)).await;
    let start = Instant::now();
    assert!(ours.next().await.unwrap().is_err());
    assert_eq!(start.elapsed(), 3 * S);
}

#[tokio::test(start_paused = true)]
async fn a_ping_does_not_take_the_wake_up_of_a_writer_that_waits() {
    let (ours, mut wire) = raw(WsConfig::new()).await;
    let (mut sink, mut stream) = ours.split();
    let reader = tokio::spawn(async move { stream.next().await });
    let writer = tokio::spawn(async move {
        sink.send(Message::from("x".repeat(100_000))).await.unwrap();
        sink
    });
    // The reader pings meanwhile, and finds no room.
    sleep(21 * S).await;
    let mut all = vec![0; 10 + 100_000];
    wire.read_exact(&mut all).await.unwrap();
    let writer = timeout(S, writer).await.expect("the writer was woken");
    drop(writer.unwrap());
    reader.abort();
}
