//! Each public future of the bridge, dropped at each point at which it waits: what is begun again finds everything that its
//! documentation promises.
//!
//! | future | where it is dropped |
//! |---|---|
//! | `BridgeTransport::open`, `BridgeConnector::connect` | here |
//! | `next`, `ready`, `flush`, `close`, `send` of `BridgeTransport` and `Seated` | here |
//! | `BridgeListener::accept`; `next`, `ready`, `flush`, `close` of `Served` | here |
//! | `ChildConnector::connect`; the halves of `ChildTransport` and of `StdioTransport` | `child_anywhere.rs` |
//! | the halves of the codecs' `Framed`, of `Answering` and `Typed` | `mcp-transport-core`, `codec/cancel.rs` |
//!
//! `discovery` has none: it reads and writes files in threads, and tells of them by `tokio::sync::watch`.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    missing_docs,
    reason = "tests fail where they stand, and have a clock"
)]

#[path = "bridge_common/mod.rs"]
mod common;
mod impatience;

use common::{Raw, soon};
use futures::{SinkExt, StreamExt};
use impatience::{close, dropped_after, next, send};
use mcp_transport_core::codec::LengthPrefixed;
use mcp_transport_core::{Connector, Listener, Message, Transport};
use mcp_transport_stdio::bridge::wire::{self, PONG, WELCOME};
use mcp_transport_stdio::bridge::{
    BridgeConfig, BridgeConnector, BridgeListener, BridgeTransport, Claim, LinkConfig,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

/// More than any of these futures is polled through a pipe of one byte.
const POLLS: usize = 100;

/// The same over a socket, which is written and read in one piece.
const SOCKET_POLLS: usize = 12;

fn command(n: usize) -> Message {
    Message::from(format!(r#"{{"type":"command {n}"}}"#))
}

/// A bridge that answers each command with itself, and is as impatient as its client.
async fn echo(mut io: DuplexStream, polls: usize) -> Vec<Message> {
    io.write_all(WELCOME).await.unwrap();
    let mut io = LengthPrefixed::framed(io);
    let mut heard = Vec::new();
    while let Some(command) = next(polls, &mut io).await {
        send(polls, &mut io, command.clone()).await;
        heard.push(command);
    }
    heard
}

async fn talk<T: Transport + Unpin>(link: &mut T, polls: usize) {
    for n in 0..3 {
        send(polls, link, command(n)).await;
        let answer = soon("an answer", next(polls, link)).await;
        assert_eq!(answer, Some(command(n)), "after {polls} polls");
    }
    close(polls, link).await;
}

#[tokio::test]
async fn no_command_and_no_answer_is_lost_whatever_is_dropped_wherever_it_waits() {
    for polls in 0..POLLS {
        let (ours, theirs) = duplex(1);
        let ((), heard) = tokio::join!(
            async {
                let config = LinkConfig::default();
                let mut link = BridgeTransport::open(ours, None, config).await.unwrap();
                talk(&mut link, polls).await;
            },
            echo(theirs, polls)
        );
        assert_eq!(heard, [command(0), command(1), command(2)]);
    }
}

#[tokio::test]
async fn a_send_that_is_dropped_has_sent_its_command_whole_or_not_and_once() {
    for polls in 0..POLLS {
        let (ours, theirs) = duplex(1);
        let (got, heard) = tokio::join!(
            async {
                let config = LinkConfig::default();
                let link = BridgeTransport::open(ours, None, config).await.unwrap();
                let (mut tx, mut rx) = link.split();
                dropped_after(polls, tx.send(command(0))).await;
                let last = async {
                    tx.send(command(1)).await.unwrap();
                    tx
                };
                let answers = async {
                    let mut got = Vec::new();
                    while got.last() != Some(&command(1)) {
                        let answer = soon("an answer", rx.next()).await;
                        got.push(answer.unwrap().unwrap());
                    }
                    (got, rx)
                };
                let (mut tx, (got, _rx)) = tokio::join!(last, answers);
                tx.close().await.unwrap();
                got
            },
            echo(theirs, 1)
        );
        assert_eq!(got, heard, "after {polls} polls");
        assert!(heard == [command(1)] || heard == [command(0), command(1)]);
    }
}

#[tokio::test]
async fn a_dropped_open_drops_its_stream() {
    let mut opened = 0;
    // A welcome, a claim and its answer.
    for polls in 0..2 * POLLS {
        let (ours, mut theirs) = duplex(1);
        let bridge = tokio::spawn(async move {
            theirs.write_all(WELCOME).await.ok()?;
            let mut claim = vec![0; 8 + wire::claim(Claim::Take).len()];
            theirs.read_exact(&mut claim).await.ok()?;
            theirs.write_all(&common::frame(PONG)).await.ok()?;
            // The end, once the transport is dropped.
            theirs.read(&mut [0]).await.ok()
        });
        let open = BridgeTransport::open(ours, Some(Claim::Take), LinkConfig::default());
        let done = dropped_after(polls, open).await;
        opened += usize::from(done.is_some_and(|link| link.is_ok()));
        let end = soon("the bridge hears of it", bridge).await.unwrap();
        assert!(matches!(end, None | Some(0)), "after {polls} polls");
    }
    assert!(opened > 0, "it was never polled to its end");
}

/// Serves everybody, as impatiently as they ask.
fn serve(mut listener: BridgeListener, polls: usize) {
    tokio::spawn(async move {
        loop {
            let served = match dropped_after(polls, listener.accept()).await {
                Some(served) => served,
                None => listener.accept().await,
            };
            let mut served = served.unwrap();
            tokio::spawn(async move {
                while let Some(Ok(command)) = match dropped_after(polls, served.next()).await {
                    Some(command) => command,
                    None => served.next().await,
                } {
                    send(polls, &mut served, command).await;
                }
                close(polls, &mut served).await;
            });
        }
    });
}

#[tokio::test]
async fn a_dropped_dial_leaves_the_seat_free_and_the_next_one_gets_it() {
    for claim in [Some(Claim::Take), Some(Claim::IfFree), None] {
        for polls in 0..SOCKET_POLLS {
            let listener = BridgeListener::bind(0, BridgeConfig::new()).unwrap();
            let port = listener.local_port();
            serve(listener, polls);
            let mut connector = BridgeConnector::new(port).claim(claim);
            drop(dropped_after(polls, connector.connect()).await);

            // Never by stealing: whoever was given the seat has to be gone.
            let mut other = BridgeConnector::new(port).claim(Some(Claim::IfFree));
            let mut link = soon("the free seat", other.connect()).await.unwrap();
            talk(&mut link, polls).await;
            drop(link);

            let mut link = soon("a connection", connector.connect()).await.unwrap();
            talk(&mut link, polls).await;
        }
    }
}

#[tokio::test]
async fn a_standby_that_gives_up_is_passed_over() {
    for polls in 0..SOCKET_POLLS {
        let listener = BridgeListener::bind(0, BridgeConfig::new()).unwrap();
        let port = listener.local_port();
        serve(listener, polls);
        let owner = BridgeConnector::new(port).connect().await.unwrap();
        let mut gives_up = BridgeConnector::new(port).claim(Some(Claim::IfFree));
        let mut stays = BridgeConnector::new(port).claim(Some(Claim::IfFree));
        // Nothing wakes it once it waits for the seat.
        let waiting = dropped_after(polls, gives_up.connect());
        let _ = tokio::time::timeout(std::time::Duration::from_millis(20), waiting).await;
        let (link, ()) = tokio::join!(soon("the seat", stays.connect()), async {
            tokio::task::yield_now().await;
            drop(owner);
        });
        talk(&mut link.unwrap(), polls).await;
    }
}

#[tokio::test]
async fn a_dropped_accept_loses_no_connection_and_no_command() {
    for polls in 0..SOCKET_POLLS {
        let mut listener = BridgeListener::bind(0, BridgeConfig::new()).unwrap();
        let mut client = Raw::connect(listener.local_port()).await;
        client.send(command(7).as_bytes()).await;
        let served = match dropped_after(polls, listener.accept()).await {
            Some(served) => served,
            None => soon("the connection", listener.accept()).await,
        };
        let mut served = served.unwrap();
        assert_eq!(next(polls, &mut served).await, Some(command(7)));
        send(polls, &mut served, Message::from("done")).await;
        assert_eq!(client.next().await.unwrap(), b"done");
        close(polls, &mut served).await;
        assert_eq!(client.next().await, None);
    }
}
