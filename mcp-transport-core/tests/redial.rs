//! Dialling is independent of who is the client: a server that dials, and a client whose host dials.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    dead_code,
    missing_docs,
    reason = "tests wait, read the clock, and use a part of what supports them"
)]

mod support;

use futures::{SinkExt, StreamExt};
use mcp_transport_core::dial::Dialer;
use mcp_transport_core::memory::{self, End};
use mcp_transport_core::{
    Error, ErrorKind, Eviction, EvictionReason, Listener, Redial, Resilient, RetryPolicy, Slot,
    State,
};
use serde_json::{Value, json};
use std::time::Duration;
use support::{Host, Hosts, request};
use tokio::sync::mpsc;
use tokio::time::{self, Instant};

#[tokio::test(start_paused = true)]
async fn the_next_dial_waits_until_the_service_lets_go() {
    let (hosts, connector) = Hosts::new();
    let mut redial = Redial::new(connector);
    let first = redial.accept().await.unwrap();
    let second = time::timeout(Duration::from_secs(3600), redial.accept()).await;
    assert!(second.is_err(), "never two at once");
    assert_eq!(hosts.dials(), 1);
    drop(first);
    redial.accept().await.unwrap();
    assert_eq!(hosts.dials(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_ended_makes_way_though_it_is_still_held() {
    let (mut hosts, connector) = Hosts::new();
    let mut redial = Redial::new(connector);
    let mut first = redial.accept().await.unwrap();
    drop(hosts.accept().await);
    assert!(first.next().await.is_none());
    redial.accept().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn no_client_is_answered_with_what_another_asked_for() {
    let (mut hosts, connector) = Hosts::new();
    let mut redial = Redial::new(connector);
    let mut service = redial.accept().await.unwrap();
    let mut client = hosts.accept().await;
    client
        .say(json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call"}))
        .await;
    service.next().await.unwrap().unwrap();
    drop(client);
    let early = time::timeout(Duration::from_secs(60), redial.accept()).await;
    assert!(early.is_err(), "the old service has not noticed yet");
    // The old service answers late, and its answer goes nowhere.
    let late = mcp_transport_core::Message::response(&1.into(), "old").unwrap();
    assert!(service.send(late).await.is_err());
    let _service = redial.accept().await.unwrap();
    hosts.accept().await.hears_nothing().await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_welcomes_and_closes_is_dialled_by_the_schedule() {
    let (mut hosts, connector) = Hosts::new();
    let mut redial = Redial::new(connector);
    let serve = async {
        loop {
            let mut service = redial.accept().await.unwrap();
            drop(hosts.accept().await);
            assert!(service.next().await.is_none());
        }
    };
    let _: Result<(), _> = time::timeout(Duration::from_secs(48), serve).await;
    assert_eq!(hosts.dials(), 6);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_lost_its_seat_stands_by() {
    let (mut hosts, connector) = Hosts::new();
    let mut redial = Redial::new(connector);
    let (wake, state) = (redial.wake(), redial.watch());
    let mut service = redial.accept().await.unwrap();
    let eviction = Eviction::new(EvictionReason::Superseded);
    hosts.accept().await.0.abort(Error::evicted(eviction));
    service.next().await.unwrap().unwrap_err();
    assert!(
        time::timeout(Duration::from_secs(86_400), redial.accept())
            .await
            .is_err()
    );
    assert!(matches!(&*state.borrow(), State::Standby { .. }));
    wake.wake();
    redial.accept().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn accept_says_when_there_will_be_no_further_dial() {
    let (hosts, connector) = Hosts::new();
    hosts.fail_always(Some(ErrorKind::Unreachable.into()));
    let mut redial = Redial::from(Dialer::new(connector).retry(RetryPolicy::never()));
    let error = redial.accept().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unreachable);
}

struct Queue(mpsc::UnboundedReceiver<End>);

impl Listener for Queue {
    type Transport = End;

    async fn accept(&mut self) -> Result<End, Error> {
        self.0
            .recv()
            .await
            .ok_or_else(|| Error::new(ErrorKind::Disconnected))
    }
}

fn slot() -> (mpsc::UnboundedSender<End>, Slot<Queue>) {
    let (tx, rx) = mpsc::unbounded_channel();
    (tx, Slot::new(Queue(rx)))
}

#[tokio::test(start_paused = true)]
async fn a_host_that_dials_after_an_hour_is_connected_at_once() {
    let (hosts, slot) = slot();
    let mut link = Resilient::builder(slot)
        .hold(Duration::from_secs(7200))
        .spawn();
    link.send(request(1, "tools/list")).await.unwrap();
    time::sleep(Duration::from_secs(3600)).await;
    let start = Instant::now();
    let (ours, host) = memory::pair(4);
    hosts.send(ours).unwrap();
    let mut host = Host(host);
    let id = host.hear_request("tools/list").await;
    assert_eq!(start.elapsed(), Duration::ZERO);
    drop(host);

    let (ours, host) = memory::pair(4);
    hosts.send(ours).unwrap();
    let mut host = Host(host);
    assert_eq!(host.hear_request("tools/list").await, id);
    host.answer(id, json!("list")).await;
    let answer: Value = link.next().await.unwrap().unwrap().json().unwrap();
    assert_eq!(answer["result"], "list");
}

#[tokio::test(start_paused = true)]
async fn a_listener_that_ended_ends_the_link() {
    let (hosts, slot) = slot();
    let mut link = Resilient::spawn(slot);
    drop(hosts);
    let error = link.next().await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Closed);
    assert!(link.next().await.is_none());
}
