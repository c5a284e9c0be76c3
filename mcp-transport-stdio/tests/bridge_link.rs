//! Both ends over real sockets.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "tests fail where they stand, and have a clock"
)]

#[path = "bridge_common/mod.rs"]
mod common;

use bytes::Bytes;
use common::{Raw, frame, recordings, soon};
use futures::{SinkExt, StreamExt};
use mcp_transport_core::dial::Dialer;
use mcp_transport_core::{
    Connector, ErrorKind, Eviction, EvictionReason, Listener, Message, State,
};
use mcp_transport_stdio::bridge::wire::{PONG, Refusal, WELCOME};
use mcp_transport_stdio::bridge::{
    BridgeConfig, BridgeConnector, BridgeListener, Claim, Notice, Policy, Served,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{Notify, mpsc};

const SUPERSEDED: ErrorKind = ErrorKind::Evicted(EvictionReason::Superseded);
const DONE: &str = r#"{"status":"success","result":{"success":true}}"#;

fn bind(config: BridgeConfig) -> (BridgeListener, u16) {
    let listener = BridgeListener::bind(0, config).unwrap();
    let port = listener.local_port();
    (listener, port)
}

fn unix_ms() -> u64 {
    SystemTime::UNIX_EPOCH.elapsed().unwrap().as_millis() as u64
}

/// Answers each command with itself.
fn echo(mut listener: BridgeListener) -> mpsc::UnboundedReceiver<Served> {
    let (ended, rx) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok(mut client) = listener.accept().await {
            let ended = ended.clone();
            tokio::spawn(async move {
                while let Some(Ok(command)) = client.next().await {
                    client.send(command).await.unwrap();
                }
                let _ = ended.send(client);
            });
        }
    });
    rx
}

#[tokio::test]
async fn the_recorded_client_gets_the_recorded_bytes() {
    for conversation in recordings() {
        if &conversation[0].bytes[..] != WELCOME {
            continue;
        }
        let (mut listener, port) = bind(BridgeConfig::new());
        let answers: Vec<Bytes> = {
            let mut answers: Vec<_> = conversation
                .iter()
                .filter(|said| said.by_bridge && said.bytes.len() > 8)
                .map(|said| said.bytes.slice(8..))
                .collect();
            answers.retain(|answer| answer != &PONG[..]);
            answers.split_off(1)
        };
        let application = tokio::spawn(async move {
            let mut served = None;
            for answer in answers {
                if served.is_none() {
                    served = Some(listener.accept().await.unwrap());
                }
                let client = served.as_mut().unwrap();
                client.next().await.unwrap().unwrap();
                client.send(Message::from(answer)).await.unwrap();
            }
            (listener, served)
        });
        let mut client = Raw::connect(port).await;
        for said in &conversation[1..] {
            if !said.by_bridge {
                client.0.write_all(&said.bytes).await.unwrap();
            } else if said.bytes.len() > 8 {
                let mut heard = vec![0; said.bytes.len()];
                soon("an answer", client.0.read_exact(&mut heard))
                    .await
                    .unwrap();
                assert_eq!(Bytes::from(heard), said.bytes);
            }
        }
        application.await.unwrap();
    }
}

#[tokio::test]
async fn both_ends_understand_each_other_on_both_families() {
    let (listener, port) = bind(BridgeConfig::new());
    let _ended = echo(listener);
    let mut link = BridgeConnector::new(port).connect().await.unwrap();
    for payload in [&b"{}"[..], b"\xff not utf-8", br#"{"status":"evicte"}"#] {
        link.send(Message::from(payload.to_vec())).await.unwrap();
        let answer = soon("an answer", link.next()).await.unwrap().unwrap();
        assert_eq!(answer.as_bytes(), payload);
    }
    let large = Message::from(vec![b'x'; 64 * 1024 * 1024]);
    link.send(large.clone()).await.unwrap();
    assert!(soon("64 MiB", link.next()).await.unwrap().unwrap() == large);

    let mut six = tokio::net::TcpStream::connect(("::1", port)).await.unwrap();
    let mut welcome = [0; 30];
    soon("a welcome", six.read_exact(&mut welcome))
        .await
        .unwrap();

    let (_four, port) = bind(BridgeConfig::new().ipv4_only());
    assert!(tokio::net::TcpStream::connect(("::1", port)).await.is_err());
    BridgeConnector::new(port).connect().await.unwrap();
}

#[tokio::test]
async fn pings_are_answered_while_the_application_is_busy() {
    let (mut listener, port) = bind(BridgeConfig::new());
    let mut worker = Raw::connect(port).await;
    worker.send(b"{}").await;
    let mut served = soon("accept", listener.accept()).await.unwrap();
    served.next().await.unwrap().unwrap();
    // From here on nobody polls the listener or the transport.
    for ping in [
        &b"ping"[..],
        br#"{"type":"ping"}"#,
        br#"{"type": "ping", "params": {}}"#,
    ] {
        let mut probe = Raw::connect(port).await;
        assert_eq!(probe.call(ping).await, PONG);
    }
    // On the same connection answers keep their order.
    worker.send(b"ping").await;
    served.send(Message::from(DONE)).await.unwrap();
    assert_eq!(worker.next().await.unwrap(), DONE.as_bytes());
    assert_eq!(worker.next().await.unwrap(), PONG);
}

#[tokio::test]
async fn probes_never_reach_the_application_and_cost_the_incumbent_nothing() {
    let (listener, port) = bind(BridgeConfig::new());
    let mut ended = echo(listener);
    let mut incumbent = Raw::connect(port).await;
    incumbent.call(b"{}").await;
    for _ in 0..100 {
        assert_eq!(Raw::connect(port).await.call(b"ping").await, PONG);
    }
    incumbent.call(b"{}").await;
    assert!(ended.try_recv().is_err());
}

#[tokio::test]
async fn the_loser_hears_the_notice_field_for_field() {
    let (listener, port) = bind(BridgeConfig::new());
    let mut ended = echo(listener);
    let mut loser = Raw::connect(port).await;
    loser.call(b"{}").await;

    let before = unix_ms();
    let mut newcomer = Raw::connect(port).await;
    newcomer.call(b"{}").await;
    let notice = loser.next().await.expect("the notice");
    let after = unix_ms();
    assert_eq!(loser.next().await, None);

    let object: serde_json::Value = serde_json::from_slice(&notice).unwrap();
    let keys: Vec<_> = object
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    let mut sorted = [
        "status",
        "reason",
        "error",
        "new_client_endpoint",
        "evicted_at_unix_ms",
    ];
    sorted.sort_unstable();
    assert_eq!(keys, sorted);
    assert_eq!(object["status"], "evicted");
    assert_eq!(object["reason"], "stdio_single_client_stomped");
    assert_eq!(object["new_client_endpoint"], newcomer.endpoint());
    assert!(
        object["error"]
            .as_str()
            .unwrap()
            .contains(&newcomer.endpoint())
    );
    let at = object["evicted_at_unix_ms"].as_u64().expect("an integer");
    assert!((before..=after).contains(&at), "{before} {at} {after}");

    // The application hears the same.
    let served = soon("the loser's end", ended.recv()).await.unwrap();
    assert_eq!(served.peer_addr(), loser.0.local_addr().unwrap());
}

#[tokio::test]
async fn our_client_yields_the_notice_as_an_eviction_and_does_not_duel() {
    let (listener, port) = bind(BridgeConfig::new());
    let _ended = echo(listener);
    let mut first = BridgeConnector::new(port);
    let mut link = first.connect().await.unwrap();
    let mut newcomer = BridgeConnector::new(port);
    let mut theirs = newcomer.connect().await.unwrap();

    let error = soon("the notice", link.next()).await.unwrap().unwrap_err();
    assert_eq!(error.kind(), SUPERSEDED);
    assert!(
        error
            .eviction()
            .unwrap()
            .newcomer()
            .unwrap()
            .starts_with("127.0.0.1:")
    );

    // Dialling again waits for the seat, and does not take it.
    assert!(first.control().is_waiting());
    let mut again = std::pin::pin!(first.connect());
    let early = tokio::time::timeout(Duration::from_millis(200), &mut again).await;
    assert!(early.is_err());
    theirs.send(Message::from("{}")).await.unwrap();
    soon("the incumbent's answer", theirs.next())
        .await
        .unwrap()
        .unwrap();
    drop(theirs);
    let mut back = soon("the seat", again).await.unwrap();
    back.send(Message::from("{}")).await.unwrap();
    soon("an answer", back.next()).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_notice_in_the_sockets_buffer_is_seen_before_the_next_command_is_written() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (say, said) = std::sync::mpsc::channel::<()>();
    let (done, wait) = std::sync::mpsc::channel::<()>();
    let bridge = std::thread::spawn(move || {
        use std::io::{Read, Write};
        let (mut stream, _) = listener.accept().unwrap();
        stream
            .write_all(b"WELCOME UNITY-MCP 1 FRAMING=1\n")
            .unwrap();
        said.recv().unwrap();
        let notice = Eviction::new(EvictionReason::Superseded)
            .by("x")
            .to_notice();
        stream.write_all(&frame(&notice)).unwrap();
        done.send(()).unwrap();
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).unwrap();
        rest
    });
    let mut link = BridgeConnector::new(port)
        .claim(None)
        .connect()
        .await
        .unwrap();
    say.send(()).unwrap();
    // Blocks the whole runtime: its reactor cannot have seen the notice when the command is sent.
    wait.recv().unwrap();
    assert_eq!(
        link.send(Message::from("{}")).await.unwrap_err().kind(),
        SUPERSEDED
    );
    drop(link);
    assert_eq!(
        bridge.join().unwrap(),
        b"",
        "the command went into a lost connection"
    );
}

#[tokio::test]
async fn losers_that_do_not_read_are_told_to_the_application_and_closed() {
    const LARGE: usize = 16 * 1024 * 1024;
    let (mut listener, port) = bind(BridgeConfig::new());
    let mut losers: Vec<(Raw, Served)> = Vec::new();
    for n in 0..8 {
        let mut newcomer = Raw::connect(port).await;
        newcomer.send(n.to_string().as_bytes()).await;
        let mut served = soon("the newcomer's accept", listener.accept())
            .await
            .unwrap();
        soon("the newcomer's command", served.next())
            .await
            .unwrap()
            .unwrap();
        if let Some((_, former)) = losers.last_mut() {
            let error = soon("the loser's end", former.next())
                .await
                .unwrap()
                .unwrap_err();
            assert_eq!(error.kind(), SUPERSEDED);
            assert_eq!(
                error.eviction().unwrap().newcomer(),
                Some(&*newcomer.endpoint())
            );
        }
        // More than any socket's buffers hold: this answer will be stuck half-way.
        served.send(Message::from(vec![b'x'; LARGE])).await.unwrap();
        losers.push((newcomer, served));
    }
    tokio::time::sleep(Duration::from_millis(700)).await;
    losers.pop();
    for (mut loser, _) in losers {
        let mut rest = Vec::new();
        let _ = soon("the end", loser.0.read_to_end(&mut rest)).await;
        assert!(
            rest.len() < LARGE,
            "the answer went on after the seat was lost"
        );
    }
}

#[tokio::test]
async fn announced_notices_go_to_who_asked_for_the_seat() {
    let (listener, port) = bind(BridgeConfig::new().notice(Notice::Announced));
    let _ended = echo(listener);
    let mut loser = Raw::connect(port).await;
    assert_eq!(
        loser
            .call(br#"{"type":"ping","params":{"seat":"take"}}"#)
            .await,
        PONG
    );
    let mut newcomer = Raw::connect(port).await;
    newcomer.call(b"{}").await;
    assert!(Eviction::from_notice(&loser.next().await.unwrap()).is_some());
}

#[tokio::test]
async fn a_protected_incumbent_is_named_to_the_newcomer() {
    let (listener, port) = bind(BridgeConfig::new().policy(Policy::ProtectIncumbent));
    let _ended = echo(listener);
    let mut incumbent = Raw::connect(port).await;
    incumbent.call(b"{}").await;

    let mut newcomer = Raw::connect(port).await;
    let refusal = Refusal::from_frame(&newcomer.call(b"{}").await).expect("a refusal");
    assert_eq!(refusal.holder, incumbent.endpoint());
    let error = BridgeConnector::new(port).connect().await.unwrap_err();
    assert_eq!(error.kind(), SUPERSEDED);
    assert_eq!(
        error.eviction().unwrap().newcomer(),
        Some(&*incumbent.endpoint())
    );
    assert_eq!(incumbent.call(b"{}").await, b"{}");
}

#[tokio::test]
async fn a_silent_incumbent_is_not_protected() {
    let config = BridgeConfig::new()
        .policy(Policy::ProtectIncumbent)
        .silence(Duration::from_millis(50));
    let (listener, port) = bind(config);
    let _ended = echo(listener);
    let mut incumbent = Raw::connect(port).await;
    incumbent.call(b"{}").await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    let mut newcomer = Raw::connect(port).await;
    assert_eq!(newcomer.call(b"{}").await, b"{}");
    assert!(Eviction::from_notice(&incumbent.next().await.unwrap()).is_some());
}

#[tokio::test]
async fn who_shares_serves_several_at_once() {
    let (listener, port) = bind(BridgeConfig::new().policy(Policy::Share));
    let _ended = echo(listener);
    let mut clients = Vec::new();
    for _ in 0..4 {
        clients.push(Raw::connect(port).await);
    }
    for _ in 0..2 {
        for (n, client) in clients.iter_mut().enumerate() {
            assert_eq!(
                client.call(n.to_string().as_bytes()).await,
                n.to_string().as_bytes()
            );
        }
    }
}

#[tokio::test]
async fn one_standby_of_seven_gets_the_seat_when_the_owner_dies() {
    let (listener, port) = bind(BridgeConfig::new());
    let _ended = echo(listener);
    let owner = BridgeConnector::new(port).connect().await.unwrap();
    let granted = Arc::new(AtomicUsize::new(0));
    let (release, released) = tokio::sync::watch::channel(());
    for _ in 0..7 {
        let (granted, mut released) = (Arc::clone(&granted), released.clone());
        tokio::spawn(async move {
            let mut connector = BridgeConnector::new(port).claim(Some(Claim::IfFree));
            let link = connector.connect().await.unwrap();
            granted.fetch_add(1, Ordering::SeqCst);
            let _ = released.changed().await;
            drop(link);
        });
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(granted.load(Ordering::SeqCst), 0);
    drop(owner);
    let before = Instant::now();
    while granted.load(Ordering::SeqCst) == 0 {
        assert!(
            before.elapsed() < Duration::from_secs(1),
            "nobody has the seat"
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(granted.load(Ordering::SeqCst), 1);
    drop(release);
}

#[tokio::test]
async fn a_command_that_a_dead_connection_sent_is_not_run_again() {
    let (mut listener, port) = bind(BridgeConfig::new());
    let runs = Arc::new(AtomicUsize::new(0));
    let finish = Arc::new(Notify::new());
    tokio::spawn({
        let (runs, finish) = (Arc::clone(&runs), Arc::clone(&finish));
        async move {
            // One client after the other, and one command at a time: the simplest application there is.
            while let Ok(mut client) = listener.accept().await {
                while let Some(Ok(_)) = client.next().await {
                    let run = runs.fetch_add(1, Ordering::SeqCst) + 1;
                    finish.notified().await;
                    client
                        .send(Message::from(format!("{{\"run\":{run}}}")))
                        .await
                        .unwrap();
                }
            }
        }
    });
    let command = br#"{"type": "manage_build", "params": {}}"#;
    for expected in 1..=2 {
        let mut first = Raw::connect(port).await;
        first.send(command).await;
        while runs.load(Ordering::SeqCst) < expected {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        drop(first);
        // While it runs …
        let mut second = Raw::connect(port).await;
        second.send(command).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
        finish.notify_one();
        assert_eq!(
            second.next().await.unwrap(),
            format!("{{\"run\":{expected}}}").as_bytes()
        );
        // … and once it was answered, the next one is another.
        drop(second);
    }
    assert_eq!(runs.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn an_answer_that_nobody_was_there_to_read_is_given_to_who_asks_again() {
    let (mut listener, port) = bind(BridgeConfig::new());
    let mut first = Raw::connect(port).await;
    first.send(b"{\"type\":\"x\"}").await;
    let mut served = listener.accept().await.unwrap();
    served.next().await.unwrap().unwrap();
    drop(first);
    assert!(soon("the end", served.next()).await.is_none());
    served.send(Message::from(DONE)).await.unwrap();
    let mut again = Raw::connect(port).await;
    assert_eq!(again.call(b"{\"type\":\"x\"}").await, DONE.as_bytes());
    // Now it has arrived, and whoever sends it once more means it.
    again.send(b"{\"type\":\"x\"}").await;
    let mut served = soon("the second", listener.accept()).await.unwrap();
    served.next().await.unwrap().unwrap();
    served.send(Message::from("another")).await.unwrap();
    assert_eq!(again.next().await.unwrap(), b"another");
}

#[tokio::test]
async fn an_error_that_the_python_client_takes_for_a_fault_is_repeated_and_not_the_command() {
    let (mut listener, port) = bind(BridgeConfig::new());
    let failed = br#"{"status":"error","error":"no such object"}"#;
    let runs = Arc::new(AtomicUsize::new(0));
    tokio::spawn({
        let runs = Arc::clone(&runs);
        async move {
            while let Ok(mut client) = listener.accept().await {
                while let Some(Ok(_)) = client.next().await {
                    runs.fetch_add(1, Ordering::SeqCst);
                    client.send(Message::from(failed.to_vec())).await.unwrap();
                }
            }
        }
    });
    for _ in 0..6 {
        let mut attempt = Raw::connect(port).await;
        assert_eq!(attempt.call(b"{\"type\":\"x\"}").await, failed);
    }
    assert_eq!(runs.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_command_that_was_not_begun_dies_with_its_connection() {
    let (mut listener, port) = bind(BridgeConfig::new());
    let mut loser = Raw::connect(port).await;
    loser.send(b"{\"type\":\"late\"}").await;
    let mut served = listener.accept().await.unwrap();
    // It lies there, and the seat changes hands before the application looks.
    let mut newcomer = Raw::connect(port).await;
    newcomer.send(b"{\"type\":\"new\"}").await;
    let mut second = listener.accept().await.unwrap();
    assert_eq!(
        second.next().await.unwrap().unwrap().as_str(),
        Some("{\"type\":\"new\"}")
    );
    let error = soon("the loser's end", served.next())
        .await
        .unwrap()
        .unwrap_err();
    assert_eq!(error.kind(), SUPERSEDED);
}

#[tokio::test]
async fn an_application_that_drops_a_connection_closes_it_and_its_command_is_unknown() {
    let (mut listener, port) = bind(BridgeConfig::new());
    let mut client = Raw::connect(port).await;
    client.send(b"{\"type\":\"x\"}").await;
    let mut served = listener.accept().await.unwrap();
    served.next().await.unwrap().unwrap();
    drop(served);
    assert_eq!(client.next().await, None);
    let mut again = Raw::connect(port).await;
    let answer = again.call(b"{\"type\":\"x\"}").await;
    assert!(String::from_utf8(answer).unwrap().contains("unknown"));
}

#[tokio::test]
async fn the_sink_refuses_what_the_wire_cannot_carry_and_goes_on() {
    let (mut listener, port) = bind(BridgeConfig::new());
    let mut client = Raw::connect(port).await;
    client.send(b"{}").await;
    let mut served = listener.accept().await.unwrap();
    let unasked = served.send(Message::from(DONE)).await.unwrap_err();
    assert_eq!(unasked.kind(), ErrorKind::Malformed);
    served.next().await.unwrap().unwrap();
    let large = Message::from(vec![0; 64 * 1024 * 1024 + 1]);
    let refused = served.send(large).await.unwrap_err();
    assert!(matches!(refused.kind(), ErrorKind::TooLarge { .. }));
    assert_eq!(
        served.send(Message::from("")).await.unwrap_err().kind(),
        ErrorKind::Malformed
    );
    served.send(Message::from(DONE)).await.unwrap();
    assert_eq!(client.next().await.unwrap(), DONE.as_bytes());
}

#[tokio::test]
async fn a_frame_over_the_limit_ends_that_connection_alone() {
    let (listener, port) = bind(BridgeConfig::new());
    let _ended = echo(listener);
    let mut client = Raw::connect(port).await;
    client.call(b"{}").await;
    for garbage in [
        &b"POST / HTTP/1.1\r\nHost: localhost\r\n\r\n"[..],
        &[0xff; 8],
    ] {
        let mut other = Raw::connect(port).await;
        other.0.write_all(garbage).await.unwrap();
        assert_eq!(other.next().await, None);
    }
    assert_eq!(client.call(b"{}").await, b"{}");
}

#[tokio::test]
async fn a_lost_link_stands_by_and_is_woken_into_the_free_seat() {
    let (listener, port) = bind(BridgeConfig::new());
    let _ended = echo(listener);
    let connector = BridgeConnector::new(port);
    let mut dialer = Dialer::new(connector);
    let (wake, mut state) = (dialer.wake(), dialer.watch());
    let mut link = dialer.connect().await.unwrap();
    dialer.established();
    let newcomer = BridgeConnector::new(port).connect().await.unwrap();
    let lost = soon("the notice", link.next()).await.unwrap().unwrap_err();
    dialer.ended(&lost);
    assert!(matches!(*state.borrow_and_update(), State::Standby { .. }));
    wake.wake();
    let back = tokio::spawn(async move { dialer.connect().await.map(|_| ()) });
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(!back.is_finished());
    drop(newcomer);
    soon("the seat", back).await.unwrap().unwrap();
}

#[tokio::test]
async fn dropping_the_listener_frees_the_port_and_closes_who_was_not_accepted() {
    let (mut listener, port) = bind(BridgeConfig::new());
    let mut probe = Raw::connect(port).await;
    let mut client = Raw::connect(port).await;
    client.send(b"{}").await;
    let mut served = listener.accept().await.unwrap();
    drop(listener);
    assert_eq!(probe.next().await, None);
    served.next().await.unwrap().unwrap();
    served.send(Message::from(DONE)).await.unwrap();
    assert_eq!(client.next().await.unwrap(), DONE.as_bytes());
}
