//! The lid closes for eight hours over a hub that holds calls, on both kinds of clock.
//!
//! Time stands still here: sockets are pipes in memory, and clocks go where the test moves them.
#![allow(
    clippy::disallowed_methods,
    missing_docs,
    reason = "tests wait and spawn"
)]

use examples::hub::{Call, Config, Event, Hub, Lost, Standing, socket};
use futures::{SinkExt, StreamExt};
use http::Response;
use http_body_util::Empty;
use hyper::body::Bytes;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use mcp_transport_core::Message;
use mcp_transport_core::delivery::Replay;
use mcp_transport_ws::{WsConnector, WsTransport, upgrade};
use serde_json::{Value, json};
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, UNIX_EPOCH};
use tests_integration::plugin::{Plugin, request};
use tokio::sync::watch;
use tokio::time::{Instant, advance, sleep, timeout};

const NIGHT: Duration = Duration::from_secs(8 * 3_600);

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Whether the monotonic clock counts sleep.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Clock {
    Counts,
    StandsStill,
}

/// A hub whose machine can sleep.
struct Machine {
    hub: Hub,
    /// By how much the wall clock is ahead of the monotonic one, in seconds.
    ahead: Arc<AtomicU64>,
}

impl Machine {
    fn new() -> Self {
        let ahead = Arc::new(AtomicU64::new(1_700_000_000));
        let (offset, start) = (ahead.clone(), Instant::now());
        let wall = move || UNIX_EPOCH + s(offset.load(Ordering::Relaxed)) + start.elapsed();
        let hub = Hub::with_wall_clock(Config::default(), wall);
        Self { hub, ahead }
    }

    /// A plugin's connection, through the real handshake and the real WebSocket.
    async fn dial(&self) -> Plugin {
        let (ours, theirs) = tokio::io::duplex(64 * 1024);
        let hub = self.hub.clone();
        let service = service_fn(move |request| {
            let (answer, connection) =
                upgrade(request, &Plugin::config()).expect("it asks for a WebSocket");
            let hub = hub.clone();
            tokio::spawn(async move {
                socket::serve(hub, connection.await.expect("it is handed over")).await;
            });
            let answer: Response<Empty<Bytes>> = answer.map(|()| Empty::new());
            async { Ok::<_, Infallible>(answer) }
        });
        tokio::spawn(async move {
            let connection = hyper::server::conn::http1::Builder::new();
            let connection = connection.serve_connection(TokioIo::new(theirs), service);
            connection.with_upgrades().await.expect("it is well served");
        });
        let connector = WsConnector::new("ws://127.0.0.1/hub/plugin").config(Plugin::config());
        Plugin::over(connector.connect_over(ours).await.expect("it is upgraded"))
    }

    async fn plugin(&self, hash: &str) -> Plugin {
        self.dial().await.registered(hash, hash).await
    }

    fn submit(&self, hash: &str, replay: Replay) -> Call {
        let call = self.hub.submit(hash, request(replay), None);
        call.expect("it is taken")
    }

    async fn sleep(&self, clock: Clock) {
        match clock {
            Clock::Counts => advance(NIGHT).await,
            Clock::StandsStill => {
                self.ahead.fetch_add(NIGHT.as_secs(), Ordering::Relaxed);
            }
        }
    }
}

/// A plugin in the background that pongs every 5 s and when asked, and counts how often it was.
fn living(plugin: Plugin) -> watch::Receiver<usize> {
    let (pings, counted) = watch::channel(0);
    let mut socket: WsTransport = plugin.into_inner();
    tokio::spawn(async move {
        let pong = || Message::from(r#"{"type":"pong","session_id":"s"}"#);
        loop {
            match timeout(s(5), socket.next()).await {
                Ok(Some(Ok(message))) => {
                    let message: Value = message.json().expect("JSON");
                    if message["type"] == "ping" {
                        pings.send_modify(|count| *count += 1);
                    } else {
                        continue;
                    }
                }
                Ok(_) => return,
                Err(_) => {}
            }
            socket.send(pong()).await.expect("it is open");
        }
    });
    counted
}

async fn nothing_happens_to(call: &mut Call, time: Duration) {
    if let Ok(event) = timeout(time, call.event()).await {
        panic!("{event:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_night_costs_a_held_call_nothing() {
    for clock in [Clock::Counts, Clock::StandsStill] {
        let machine = Machine::new();
        drop(machine.plugin("away").await);
        let mut hub_sees = machine.hub.instances();
        let away = |all: &Arc<[examples::hub::Instance]>| all[0].session_id.is_none();
        hub_sees.wait_for(away).await.expect("the hub lives");
        let mut call = machine.submit("away", Replay::Never);
        nothing_happens_to(&mut call, s(100)).await;
        machine.sleep(clock).await;
        nothing_happens_to(&mut call, s(15)).await;
        assert_eq!(call.standing(), Some(Standing::Away), "{clock:?}");
        let mut back = machine.plugin("away").await;
        let id = back.command().await;
        back.answer(&id, &json!({"success": true})).await;
        assert!(
            matches!(call.event().await, Event::Answered(_)),
            "{clock:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn the_rest_of_a_budget_still_ends_after_a_night() {
    for clock in [Clock::Counts, Clock::StandsStill] {
        let machine = Machine::new();
        let mut plugin = machine.plugin("busy").await;
        let first = machine.submit("busy", Replay::Never);
        plugin.command().await;
        living(plugin);
        let mut held = machine.submit("busy", Replay::Never);
        nothing_happens_to(&mut held, s(100)).await;
        machine.sleep(clock).await;
        nothing_happens_to(&mut held, s(18)).await;
        let event = timeout(s(4), held.event()).await.expect("two seconds more");
        assert!(matches!(event, Event::Lost(Lost { .. })), "{event:?}");
        drop(first);
    }
}

#[tokio::test(start_paused = true)]
async fn within_a_second_of_waking_every_plugin_is_asked_once() {
    for clock in [Clock::Counts, Clock::StandsStill] {
        let machine = Machine::new();
        let mut asked = Vec::new();
        for hash in ["a", "b", "c"] {
            asked.push(living(machine.plugin(hash).await));
        }
        sleep(s(60)).await;
        let pings = || {
            asked
                .iter()
                .map(|pings| *pings.borrow())
                .collect::<Vec<_>>()
        };
        assert_eq!(pings(), [0, 0, 0], "who pongs every 5 s is not asked");
        machine.sleep(clock).await;
        sleep(s(1) + Duration::from_millis(10)).await;
        assert_eq!(pings(), [1, 1, 1], "{clock:?}");
        sleep(s(60)).await;
        assert_eq!(pings(), [1, 1, 1], "{clock:?}");
        assert_eq!(machine.hub.sockets(), (3, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_read_before_the_timer_wakes_meets_no_deadline_of_the_evening() {
    let machine = Machine::new();
    let mut plugin = machine.plugin("p").await;
    let mut running = machine.submit("p", Replay::Never);
    let id = plugin.command().await;
    let mut behind = machine.submit("p", Replay::Never);
    // The answer lies in the pipe as the lid closes; its reader may wake before any timer does.
    plugin.answer(&id, &json!({"success": true})).await;
    machine.sleep(Clock::Counts).await;
    assert!(matches!(running.event().await, Event::Answered(_)));
    let id = plugin.command().await;
    plugin.answer(&id, &json!({"success": true})).await;
    let event = behind.event().await;
    assert!(matches!(event, Event::Answered(_)), "{event:?}");
}

#[tokio::test(start_paused = true)]
async fn who_does_not_come_back_from_the_night_is_given_up_twenty_seconds_later() {
    for clock in [Clock::Counts, Clock::StandsStill] {
        let machine = Machine::new();
        let mut plugin = machine.plugin("p").await;
        let mut call = machine.submit("p", Replay::Never);
        plugin.command().await;
        machine.sleep(clock).await;
        nothing_happens_to(&mut call, s(19)).await;
        let (code, _) = plugin.end().await;
        assert_eq!(code, Some(4002), "{clock:?}");
        let Event::Lost(lost) = call.event().await else {
            panic!("nobody answered");
        };
        assert_eq!(lost.why, examples::hub::Why::Silent);
    }
}

#[tokio::test(start_paused = true)]
async fn a_wall_clock_that_is_set_back_is_no_sleep() {
    let machine = Machine::new();
    let pings = living(machine.plugin("p").await);
    sleep(s(10)).await;
    machine.ahead.fetch_sub(NIGHT.as_secs(), Ordering::Relaxed);
    sleep(s(60)).await;
    assert_eq!(*pings.borrow(), 0);
}
