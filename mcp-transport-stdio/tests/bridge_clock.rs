//! How long who loses a seat may take, and that nobody waits for it: on a clock that stands still, or jumps.
//!
//! | what | how long |
//! |---|---|
//! | a loser's notice and its goodbye | 500 ms |
//! | an answer that its client does not read | 30 s, or until somebody takes the seat |
//! | silence of a connection that never had the seat | 30 s |
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    missing_docs,
    reason = "tests fail where they stand, and have a clock"
)]

#[path = "bridge_common/mod.rs"]
mod common;

use common::Raw;
use futures::{SinkExt, StreamExt};
use mcp_transport_core::{ErrorKind, Eviction, EvictionReason, Listener, Message};
use mcp_transport_stdio::bridge::wire::WELCOME;
use mcp_transport_stdio::bridge::{BridgeConfig, BridgeListener, Notice, Served};
use std::net::Ipv6Addr;
use std::time::{Duration, SystemTime};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::sleep;

const NOTICE: Duration = Duration::from_millis(500);
const UNREAD: Duration = Duration::from_secs(30);
const IDLE: Duration = Duration::from_secs(30);
const A_MOMENT: Duration = Duration::from_millis(50);

/// More than the buffers of two sockets hold: Linux gives 6 MiB to who reads and 4 MiB to who writes, at most. An answer of
/// this size stays stuck for as long as nobody reads.
const STUCK: usize = 16 * 1024 * 1024;

/// The clock stands still while this lives. Whatever happens then, happens without waiting for any time-out.
struct Still {
    release: std::sync::mpsc::Sender<()>,
    held: JoinHandle<()>,
}

impl Still {
    fn new() -> Self {
        let (release, until) = std::sync::mpsc::channel();
        // A paused clock does not jump while such a thread is busy.
        let held = spawn_blocking(move || until.recv().unwrap_or_default());
        Self { release, held }
    }

    /// Lets so much time pass at once, and stops the clock again.
    async fn pass(self, time: Duration) -> Self {
        self.release.send(()).unwrap();
        self.held.await.unwrap();
        sleep(time).await;
        Self::new()
    }
}

fn bind(config: BridgeConfig) -> (BridgeListener, u16) {
    let listener = BridgeListener::bind(0, config).unwrap();
    let port = listener.local_port();
    (listener, port)
}

/// Takes the seat, and has it served. No two clients send the same command: that would be one command sent again.
async fn seated(listener: &mut BridgeListener, mut client: Raw) -> (Raw, Served) {
    let command = client.endpoint();
    client.send(command.as_bytes()).await;
    let mut served = listener.accept().await.unwrap();
    let heard = served.next().await.unwrap().unwrap();
    assert_eq!(heard.as_str(), Some(&*command));
    (client, served)
}

/// Whether the bridge has room for one more connection; it says so by its welcome.
async fn has_room(port: u16) -> bool {
    let mut probe = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let mut welcome = [0; WELCOME.len()];
    probe.read_exact(&mut welcome).await.is_ok()
}

#[tokio::test(start_paused = true)]
async fn a_newcomer_is_served_while_the_notice_of_a_half_dead_loser_is_unwritten() {
    for notice in [Notice::Always, Notice::Never] {
        let clock = Still::new();
        let (mut listener, port) = bind(BridgeConfig::new().connections(2).notice(notice));
        let loser = Raw::connect(port).await;
        let (loser, mut lost) = seated(&mut listener, loser).await;
        lost.send(Message::from(vec![b'x'; STUCK])).await.unwrap();

        let newcomer = Raw::connect(port).await;
        let (mut newcomer, mut served) = seated(&mut listener, newcomer).await;
        served.send(Message::from("done")).await.unwrap();
        assert_eq!(newcomer.next().await.unwrap(), b"done");
        let error = lost.next().await.unwrap().unwrap_err();
        let superseded = ErrorKind::Evicted(EvictionReason::Superseded);
        assert_eq!(error.kind(), superseded);
        assert!(!has_room(port).await, "the loser is there still");

        let clock = clock.pass(NOTICE + A_MOMENT).await;
        assert!(has_room(port).await, "the loser is closed by now");
        drop((clock, loser));
    }
}

#[tokio::test(start_paused = true)]
async fn a_loser_that_reads_hears_its_notice_and_its_end_in_no_time() {
    for notice in [Notice::Always, Notice::Announced, Notice::Never] {
        let clock = Still::new();
        let (mut listener, port) = bind(BridgeConfig::new().connections(2).notice(notice));
        let (mut loser, _lost) = seated(&mut listener, Raw::connect(port).await).await;
        let _newcomer = seated(&mut listener, Raw::connect(port).await).await;
        if notice == Notice::Always {
            let heard = loser.next().await.expect("the notice");
            assert!(Eviction::from_notice(&heard).is_some());
        }
        assert_eq!(loser.next().await, None, "{notice:?}");

        // It has heard its end, and does not go: its place is taken from it all the same.
        assert!(!has_room(port).await);
        let clock = clock.pass(NOTICE + A_MOMENT).await;
        assert!(has_room(port).await);
        drop(clock);
    }
}

#[tokio::test]
async fn the_notice_names_a_newcomer_on_either_family_and_reads_back_as_it_was_written() {
    for six in [false, true] {
        let (mut listener, port) = bind(BridgeConfig::new());
        let (mut loser, _lost) = seated(&mut listener, Raw::connect(port).await).await;
        let before = unix_ms();
        let newcomer = if six {
            let Ok(mut stream) = TcpStream::connect((Ipv6Addr::LOCALHOST, port)).await else {
                // A machine without IPv6.
                continue;
            };
            stream.read_exact(&mut [0; WELCOME.len()]).await.unwrap();
            Raw(stream)
        } else {
            Raw::connect(port).await
        };
        let (newcomer, _served) = seated(&mut listener, newcomer).await;
        let notice = loser.next().await.expect("the notice");
        let after = unix_ms();

        let read = Eviction::from_notice(&notice).unwrap();
        let endpoint = newcomer.endpoint();
        assert_eq!(endpoint.starts_with("[::1]:"), six);
        assert_eq!(read.newcomer(), Some(&*endpoint));
        assert!(read.text().contains(&endpoint), "{}", read.text());
        let at = read.evicted_at_unix_ms().unwrap();
        assert!((before..=after).contains(&at), "{before} {at} {after}");
        assert_eq!(read.to_notice(), notice, "no other field, in this order");
    }
}

fn unix_ms() -> u64 {
    let now = SystemTime::UNIX_EPOCH.elapsed().unwrap();
    u64::try_from(now.as_millis()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_not_read_ends_its_connection_after_30_s() {
    let clock = Still::new();
    let (mut listener, port) = bind(BridgeConfig::new().connections(1));
    let (client, mut served) = seated(&mut listener, Raw::connect(port).await).await;
    served.send(Message::from(vec![b'x'; STUCK])).await.unwrap();
    let clock = clock.pass(UNREAD - A_MOMENT).await;
    assert!(!has_room(port).await);
    let clock = clock.pass(2 * A_MOMENT).await;
    let error = served.next().await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    assert!(has_room(port).await);
    drop((clock, client));
}

#[tokio::test(start_paused = true)]
async fn who_says_nothing_and_never_had_the_seat_is_closed_after_30_s() {
    let clock = Still::new();
    let (mut listener, port) = bind(BridgeConfig::new());
    let mut probe = Raw::connect(port).await;
    let (mut client, mut served) = seated(&mut listener, Raw::connect(port).await).await;
    let clock = clock.pass(IDLE - A_MOMENT).await;
    // A ping is something said.
    let mut pinger = Raw::connect(port).await;
    pinger.call(b"ping").await;
    let clock = clock.pass(2 * A_MOMENT).await;
    assert_eq!(probe.next().await, None);
    pinger.call(b"ping").await;
    // Who has the seat is as silent, and stays.
    served.send(Message::from("done")).await.unwrap();
    assert_eq!(client.next().await.unwrap(), b"done");
    drop(clock);
}
