//! A newer broker takes over from one that holds calls: nobody who waits notices.
//!
//! Both are the program, which is built with `--features cli`; that an older version is replaced is
//! decided, and tested, in `launch::decide`.
#![cfg(feature = "cli")]
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    dead_code,
    missing_docs,
    reason = "a test waits for processes"
)]

#[path = "launch/rig.rs"]
mod rig;
mod server_support;

use mcp_transport_broker::launch::{Files, Launched, Record, read_token};
use mcp_transport_broker::native::{Attached, Given};
use rig::{Rig, until};
use serde_json::{Value, json};
use server_support::*;
use std::collections::BTreeMap;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tokio::net::TcpStream;

/// A broker that runs, and what replaces it.
struct Scene {
    rig: Rig,
    older: Launched,
    newer: Vec<Child>,
}

impl Scene {
    async fn new(name: &str) -> Self {
        let rig = Rig::new(name);
        rig.token(TOKEN);
        let older = rig.launch().ensure().await.unwrap();
        let newer = Vec::new();
        Self { rig, older, newer }
    }

    fn port(&self) -> u16 {
        self.rig.port()
    }

    fn start(&mut self, more: &[&str]) {
        let child = Command::new(rig::BINARY)
            .args(self.rig.flags())
            .arg("--replace")
            .args(more)
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        self.newer.push(child.unwrap());
    }

    /// Starts the newer one, and waits until it has the port.
    async fn replace(&mut self) -> Launched {
        self.start(&[]);
        self.found().await
    }

    async fn found(&self) -> Launched {
        for _ in 0..1_000 {
            if let Ok(Some(found)) = self.rig.launch().find().await {
                if found.pid() != self.older.pid() {
                    return found;
                }
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("no newer broker has come");
    }

    async fn until_held(&self, calls: u64) {
        until_held(&self.older, calls).await;
    }

    async fn until_the_older_is_gone(&self) {
        until(|| rig::is_gone(self.older.pid())).await;
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        for child in &mut self.newer {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

async fn held(broker: &Launched) -> u64 {
    let status: Value = serde_json::from_str(&broker.status().await.unwrap()).unwrap();
    status["queued"].as_u64().unwrap()
}

async fn until_held(broker: &Launched, calls: u64) {
    for _ in 0..1_000 {
        if held(broker).await == calls {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{} are held", held(broker).await);
}

/// Tells the longest time for which the port was refused, when it is stopped.
async fn watch(port: u16, mut stop: tokio::sync::oneshot::Receiver<()>) -> Duration {
    let (mut longest, mut refused) = (Duration::ZERO, None);
    while stop.try_recv().is_err() {
        match TcpStream::connect(("127.0.0.1", port)).await {
            Ok(_) => refused = None,
            Err(_) => {
                let since: Instant = *refused.get_or_insert_with(Instant::now);
                longest = longest.max(since.elapsed());
            }
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    longest
}

const STREAM_FIRST: (&str, &str) = ("Accept", "text/event-stream, application/json");

fn legacy_call(id: u64) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "method": "tools/call",
        "params": {"name": "echo", "arguments": {"n": id}}})
}

/// Sends a call that is answered as an event stream.
async fn stream(session: &Session, message: &Value) -> Raw {
    let mut raw = Raw::to(session.port).await;
    let mut headers = session.headers();
    headers.retain(|(name, _)| *name != "Accept");
    headers.push(STREAM_FIRST);
    raw.send("POST /mcp", &headers, Some(&message.to_string()))
        .await;
    let head = raw.head().await;
    assert_eq!(head.status, 200);
    raw
}

/// The next message of a stream; what only says where to resume is skipped.
async fn next(raw: &mut Raw) -> Value {
    loop {
        let event = raw.event().await.expect("an event");
        if !event.data.is_empty() {
            return event.json();
        }
    }
}

/// What there is for clients, waiting for it: the broker's own questions are refused, and handshakes
/// that are said again are not its own.
async fn pull(host: &mut Host) -> Vec<Given> {
    loop {
        let mut clients = Vec::new();
        for given in host.pull_raw(5_000).await {
            let text = given.message.as_ref().map_or("", |message| message.get());
            if text.contains(r#""name":"mcp-transport-broker""#) {
                let error = json!({"jsonrpc": "2.0", "id": message(&given)["id"],
                    "error": {"code": -32601, "message": "not here"}});
                host.answer(given.ticket.unwrap(), error).await;
            } else if !text.is_empty() {
                clients.push(given);
            }
        }
        if !clients.is_empty() {
            return clients;
        }
    }
}

/// Pulls and answers until this many calls have run. Returns how often each ran, by its number.
async fn serve(host: &mut Host, calls: usize) -> BTreeMap<u64, u32> {
    let mut ran = BTreeMap::new();
    while ran.len() < calls {
        for given in pull(host).await {
            if let Some(n) = answer(host, &given).await {
                *ran.entry(n).or_default() += 1;
            }
        }
    }
    ran
}

async fn answer(host: &mut Host, given: &Given) -> Option<u64> {
    given.ticket?;
    let asked = message(given);
    if asked["method"] == "initialize" {
        let result = json!({"protocolVersion": asked["params"]["protocolVersion"],
            "capabilities": {"tools": {"listChanged": true}},
            "serverInfo": {"name": "test", "version": "1"}});
        host.result(given, result).await;
        return None;
    }
    let n = asked["params"]["arguments"]["n"].as_u64();
    host.result(given, json!({"n": n})).await;
    n
}

/// A modern call with this number.
fn modern_call(n: u64) -> (Vec<(String, String)>, String) {
    modern(
        n,
        "tools/call",
        json!({"name": "echo", "arguments": {"n": n}}),
    )
}

async fn asks(port: u16, n: u64) -> Raw {
    let mut raw = Raw::to(port).await;
    raw.modern(modern_call(n)).await;
    raw
}

#[tokio::test]
async fn fifty_calls_that_are_held_are_answered_and_no_session_is_lost() {
    let mut scene = Scene::new("fifty").await;
    let port = scene.port();
    let mut host = Host::attach(port).await;
    let mut sessions = Vec::new();
    for _ in 0..5 {
        sessions.push(Session::begin(&mut host, "2025-11-25").await);
    }
    // One that runs, and then fifty for which the host has not asked.
    let mut running = asks(port, 1_000).await;
    let runs = host.pull().await.remove(0);
    let (mut old, mut new) = (Vec::new(), Vec::new());
    for n in 0..25 {
        let session = &sessions[n as usize % 5];
        old.push((n, stream(session, &legacy_call(n)).await));
        new.push((100 + n, asks(port, 100 + n).await));
    }
    let mut gets = Vec::new();
    for session in &sessions {
        let mut get = session.get(None).await;
        assert_eq!(get.head().await.status, 200);
        gets.push(get);
    }
    scene.until_held(50).await;

    let (stop, stopped) = tokio::sync::oneshot::channel();
    let watched = tokio::spawn(watch(port, stopped));
    let newer = scene.replace().await;
    stop.send(()).unwrap();
    let refused = watched.await.unwrap();
    assert!(refused < Duration::from_secs(1), "{refused:?}");
    assert_eq!(held(&newer).await, 50);

    // What ran, runs on where it was, and then its host is sent to the newer one.
    host.result(&runs, json!({"n": 1_000})).await;
    let answered = running.response().await.json();
    assert_eq!(answered["result"]["n"], 1_000, "{answered}");
    let over = host.say("ping", &json!({})).await;
    assert_eq!(
        (over.status, &over.json()["reason"]),
        (409, &json!("moved"))
    );
    for mut get in gets {
        while get.event().await.is_some() {}
    }

    let former = json!({"lease": host.lease, "received": [], "coming": []});
    let mut host = Host::attach_as(port, "one", json!({"former": former})).await;
    let ran = serve(&mut host, 50).await;
    assert!(ran.values().all(|times| *times == 1), "{ran:?}");
    for (n, mut raw) in old {
        let answered = next(&mut raw).await;
        assert_eq!(
            (&answered["id"], &answered["result"]["n"]),
            (&json!(n), &json!(n))
        );
        assert!(
            raw.event().await.is_none(),
            "the stream ends with its answer"
        );
    }
    for (n, mut raw) in new {
        let answered = raw.response().await.json();
        assert_eq!(answered["result"]["n"], n, "{answered}");
    }
    for session in &sessions {
        let mut raw = session.sends(&legacy_call(7_000)).await;
        serve(&mut host, 1).await;
        assert_eq!(raw.response().await.json()["result"]["n"], 7_000);
    }

    scene.until_the_older_is_gone().await;
    let files = Files::new(scene.rig.folder(), port);
    assert_eq!(Record::read(&files).unwrap().pid, newer.pid());
    assert_eq!(read_token(&files.token).unwrap().as_deref(), Some(TOKEN));
    newer.stop().await.unwrap();
    // The catalogue stays.
    until(|| rig::is_free(port) && !files.record.exists() && !files.token.exists()).await;
}

#[tokio::test]
async fn progress_reaches_a_client_that_is_still_connected_to_the_older_one() {
    let mut scene = Scene::new("progress").await;
    let mut host = Host::attach(scene.port()).await;
    let session = Session::begin(&mut host, "2025-11-25").await;
    let mut call = legacy_call(1);
    call["params"]["_meta"]["progressToken"] = json!("p");
    let mut raw = stream(&session, &call).await;
    scene.until_held(1).await;
    scene.replace().await;
    let mut host = Host::attach(scene.port()).await;
    let given = loop {
        let mut items = pull(&mut host).await;
        let place = items
            .iter()
            .position(|given| message(given)["method"] == "tools/call");
        if let Some(place) = place {
            break items.remove(place);
        }
        for given in &items {
            answer(&mut host, given).await;
        }
    };
    let progress = json!({"jsonrpc": "2.0", "method": "notifications/progress",
        "params": {"progressToken": "p", "progress": 5, "message": "half"}});
    host.push(json!([{"client": given.client, "about": given.ticket, "message": progress}]))
        .await;
    host.result(&given, json!({"n": 1})).await;
    let mut said = Vec::new();
    loop {
        let event = next(&mut raw).await;
        if event["id"] == 1 {
            break;
        }
        said.push(event["params"]["message"].clone());
    }
    assert!(said.contains(&json!("half")), "{said:?}");
}

#[tokio::test]
async fn an_answer_that_a_host_announced_before_its_reload_is_taken_by_the_newer_one() {
    let mut scene = Scene::new("announced").await;
    let port = scene.port();
    let mut host = Host::attach(port).await;
    let mut raw = asks(port, 1).await;
    let given = host.pull().await.remove(0);
    let ticket = given.ticket.unwrap();
    let detach = json!({"reason": "reloading", "gap_ms": 5_000, "coming": [ticket]});
    assert_eq!(host.say("detach", &detach).await.status, 200);
    scene.replace().await;
    let mut stranger = Raw::to(port).await;
    let former = json!({"lease": host.lease, "received": [ticket], "coming": [ticket]});
    let attach = json!({"protocol": 1, "former": former,
        "host": {"name": "test", "instance": "after its reload"}});
    let attached = host_ask(&mut stranger, None, "attach", &attach).await;
    let attached: Attached = serde_json::from_slice(&attached.body).unwrap();
    assert_eq!(attached.former.unwrap().coming, [ticket]);
    (host.raw, host.lease) = (stranger, attached.lease);
    let pushed = host.result(&given, json!({"n": 1})).await;
    assert!(
        pushed["stray"].as_array().is_none_or(Vec::is_empty),
        "{pushed}"
    );
    assert_eq!(raw.response().await.json()["result"]["n"], 1);
    scene.until_the_older_is_gone().await;
}

#[tokio::test]
async fn a_client_that_hangs_up_withdraws_its_call_from_the_newer_one() {
    let mut scene = Scene::new("hangs-up").await;
    let raw = asks(scene.port(), 1).await;
    let mut stays = asks(scene.port(), 2).await;
    scene.until_held(2).await;
    let newer = scene.replace().await;
    drop(raw);
    until_held(&newer, 1).await;
    let mut host = Host::attach(scene.port()).await;
    let ran = serve(&mut host, 1).await;
    assert_eq!(Vec::from_iter(ran.keys().copied()), [2]);
    assert_eq!(stays.response().await.json()["result"]["n"], 2);
}

#[tokio::test]
async fn what_comes_on_a_kept_connection_goes_to_the_newer_one() {
    let mut scene = Scene::new("kept").await;
    let port = scene.port();
    let mut kept = Raw::to(port).await;
    let nothing = "GET /_broker/v1/operations/0";
    assert_eq!(kept.ask(nothing, &[], None).await.status, 404);
    let _held = asks(port, 1).await;
    scene.until_held(1).await;
    scene.replace().await;
    kept.modern(modern_call(2)).await;
    let mut host = Host::attach(port).await;
    serve(&mut host, 2).await;
    let answered = kept.response().await;
    assert_eq!(answered.header("connection"), Some("close"));
    assert_eq!(answered.json()["result"]["n"], 2);
    assert!(kept.closed().await);
}

#[tokio::test]
async fn of_two_that_take_over_at_once_one_wins_and_nothing_is_lost() {
    let mut scene = Scene::new("two-newer").await;
    let port = scene.port();
    let mut calls = Vec::new();
    for n in 0..20 {
        calls.push((n, asks(port, n).await));
    }
    scene.until_held(20).await;
    let pid = scene.older.pid().to_string();
    scene.start(&["--replace-pid", &pid]);
    scene.start(&["--replace-pid", &pid]);
    let newer = scene.found().await;
    let mut tries = 0;
    let ended = loop {
        let ended = scene.newer.iter_mut().filter_map(|child| {
            let status = child.try_wait().unwrap()?;
            Some((child.id(), status.code()))
        });
        if let Some(ended) = ended.last() {
            break ended;
        }
        tries += 1;
        assert!(tries < 1_000, "both go on");
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    assert_ne!(ended.0, newer.pid());
    assert_eq!(ended.1, Some(3), "it says that the port is taken");
    let mut host = Host::attach(port).await;
    serve(&mut host, 20).await;
    for (n, mut raw) in calls {
        assert_eq!(raw.response().await.json()["result"]["n"], n);
    }
}

#[tokio::test]
async fn where_the_newer_one_dies_whoever_waits_hears_that_nobody_knows() {
    let mut scene = Scene::new("dies").await;
    let mut raw = asks(scene.port(), 1).await;
    scene.until_held(1).await;
    let newer = scene.replace().await;
    until_held(&newer, 1).await;
    // It has claimed by the time that anybody could have asked it twice.
    tokio::time::sleep(Duration::from_millis(200)).await;
    rig::kill(newer.pid());
    let ending = raw.response().await.json()["error"]["data"].clone();
    assert_eq!(ending["outcome"], "unknown", "{ending}");
    assert_eq!(ending["cause"], "successor_lost", "{ending}");
    scene.until_the_older_is_gone().await;
}

#[tokio::test]
async fn a_broker_that_nobody_has_is_simply_started() {
    let rig = Rig::new("nobody");
    let launch = rig.launch_with(|config| config.replace = true);
    let started = launch.ensure().await.unwrap();
    assert!(started.was_started());
    started.stop().await.unwrap();
}
