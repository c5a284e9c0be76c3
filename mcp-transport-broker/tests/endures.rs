//! What the program takes of the machine, and what it goes on serving through.
//!
//! Each of these froze or ended a broker that somebody had before this one. Only on Linux does `/proc` say what a process takes.
#![cfg(all(feature = "cli", target_os = "linux"))]
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    missing_docs,
    reason = "a test waits for processes"
)]

#[path = "launch/rig.rs"]
#[allow(dead_code, reason = "a part of it is needed")]
mod rig;
mod server_support;

use futures::{SinkExt, StreamExt};
use mcp_transport_broker::host::{BrokerClient, BrokerListener};
use mcp_transport_core::{Listener, Message, State};
use rig::{Rig, is_free, until};
use serde_json::{Value, json};
use server_support::{Raw, TOKEN, modern};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::sleep;

const MIB: usize = 1024 * 1024;

#[tokio::test]
async fn nobody_there_it_takes_less_than_ten_megabytes_and_sleeps() {
    let broker = Broker::start("idle", None).await;
    sleep(Duration::from_millis(500)).await;
    assert!(broker.resident() < 10_000_000, "{}", broker.resident());
    let woken = broker.wakes_within(Duration::from_secs(10)).await;
    // A timer of two seconds would show; a connection of ours that a busy machine ends late does not count.
    assert!(woken < 5, "it woke {woken} times");
}

/// The host says every five seconds that it lives. There are two or three of those pings, and each
/// costs up to three wake-ups: it is read, answered, and its connection's buffers are given back.
#[tokio::test]
async fn with_a_host_that_waits_it_wakes_for_the_pings_alone() {
    let broker = Broker::start("parked", None).await;
    let _host = broker.host().await;
    call(broker.port(), "echo").await;
    sleep(Duration::from_secs(1)).await;
    assert!(broker.resident() < 10_000_000, "{}", broker.resident());
    let woken = broker.wakes_within(Duration::from_secs(10)).await;
    assert!(woken <= 12, "it woke {woken} times");
}

#[tokio::test]
async fn five_thousand_idle_connections_take_less_than_forty_megabytes() {
    let name = "five_thousand_idle_connections_take_less_than_forty_megabytes";
    if !has_files_for(5_200, name) {
        return;
    }
    let broker = Broker::start("crowd", Some(5_200)).await;
    let _host = broker.host().await;
    let threads = broker.threads();
    let mut crowd = Vec::new();
    for _ in 0..5_000 {
        crowd.push(visitor(broker.port()).await);
    }
    assert!(broker.files() > 5_000);
    assert_eq!(broker.threads(), threads);
    // Their buffers are given back in a moment.
    sleep(Duration::from_millis(300)).await;
    println!(
        "5,000 idle connections: {} bytes resident",
        broker.resident()
    );
    assert!(broker.resident() < 40_000_000, "{}", broker.resident());
    call(broker.port(), "echo").await;
    for raw in crowd.iter_mut().step_by(500) {
        hello(raw).await;
    }
    drop(crowd);
    until(|| broker.files() < 50).await;
}

#[tokio::test]
async fn where_files_run_out_whoever_is_there_is_served_and_silence_makes_room() {
    let broker = Broker::start("files", Some(256)).await;
    let _host = broker.host().await;
    let mut early = Raw::to(broker.port()).await;
    ask(&mut early, "echo").await;
    let mut silent = Vec::new();
    for _ in 0..300 {
        silent.push(Raw::to(broker.port()).await);
    }
    until(|| broker.files() == 256).await;
    for _ in 0..20 {
        ask(&mut early, "echo").await;
    }
    // It waits behind those who say nothing, for as long as a head may take.
    call(broker.port(), "echo").await;
    drop(silent);
    until(|| broker.files() < 50).await;
}

#[tokio::test]
async fn readers_that_stop_in_an_answer_of_eight_mebibytes_hold_up_nobody() {
    const STALLED: usize = 8;
    let broker = Broker::start("stalled", None).await;
    let _host = broker.host().await;
    call(broker.port(), "echo").await;
    let before = broker.resident();
    let mut stalled = Vec::new();
    for _ in 0..STALLED {
        let mut raw = Raw::to(broker.port()).await;
        raw.modern(modern(
            1,
            "tools/call",
            json!({"name": "big", "arguments": {}}),
        ))
        .await;
        // The answer has begun to come, and no more of it is taken.
        raw.stream.readable().await.unwrap();
        stalled.push(raw);
    }
    for _ in 0..50 {
        call(broker.port(), "echo").await;
    }
    let held = broker.resident().saturating_sub(before);
    println!("{STALLED} answers of 8 MiB that nobody reads: {held} bytes more");
    assert!(held < (STALLED * 8 + 24) * MIB, "{held}");
    // One of them reads on after all, and the others go.
    let mut last = stalled.pop().unwrap();
    let answer = last.response().await.json();
    let text = answer["result"]["content"][0]["text"].as_str().unwrap();
    assert_eq!(text.len(), 8 * MIB);
    drop(stalled);
    until(|| broker.resident() < before + 24 * MIB).await;
}

/// The program, with a token that is known, and perhaps with fewer files than it likes.
struct Broker {
    rig: Rig,
    child: Child,
}

impl Broker {
    async fn start(name: &str, files: Option<usize>) -> Self {
        let rig = Rig::new(name);
        std::fs::create_dir_all(rig.folder()).unwrap();
        let mut command = limited(Path::new(rig::BINARY), files);
        let child = command
            .args(rig.flags())
            .env("MCP_BROKER_TOKEN", TOKEN)
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        until(|| !is_free(rig.port())).await;
        Self { rig, child }
    }

    fn port(&self) -> u16 {
        self.rig.port()
    }

    /// A host that is attached, and has a lease.
    async fn host(&self) -> JoinHandle<()> {
        let url = format!("http://127.0.0.1:{}", self.port());
        let mut clients = BrokerListener::attach(&url, TOKEN).unwrap();
        let mut state = clients.watch();
        state.wait_for(State::is_connected).await.unwrap();
        tokio::spawn(async move {
            while let Ok(client) = clients.accept().await {
                tokio::spawn(serve(client));
            }
        })
    }

    fn status(&self, task: &str, field: &str) -> usize {
        let path = format!("/proc/{}/{task}status", self.child.id());
        let status = std::fs::read_to_string(path).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(field));
        let number = line.unwrap().split_whitespace().next().unwrap();
        number.parse().unwrap()
    }

    /// In bytes. Of a program that is not optimised, without the program itself, which is larger by
    /// itself than what an optimised one takes altogether.
    fn resident(&self) -> usize {
        let field = if cfg!(debug_assertions) {
            "RssAnon:"
        } else {
            "VmRSS:"
        };
        self.status("", field) * 1024
    }

    fn entries(&self, what: &str) -> Vec<String> {
        let folder = format!("/proc/{}/{what}", self.child.id());
        let entries = std::fs::read_dir(folder).unwrap().flatten();
        entries
            .map(|entry| entry.file_name().into_string().unwrap())
            .collect()
    }

    fn files(&self) -> usize {
        self.entries("fd").len()
    }

    fn threads(&self) -> usize {
        self.entries("task").len()
    }

    /// How often any thread of it went to sleep by itself, after something had woken it.
    async fn wakes_within(&self, time: Duration) -> usize {
        let switches = || {
            let tasks = self.entries("task").into_iter();
            tasks
                .map(|task| self.status(&format!("task/{task}/"), "voluntary_ctxt_switches:"))
                .sum::<usize>()
        };
        let before = switches();
        sleep(time).await;
        let woken = switches() - before;
        println!(
            "{woken} wake-ups within {time:?}, {} bytes resident",
            self.resident()
        );
        woken
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The shell sets the limit, and becomes the program.
fn limited(program: &Path, files: Option<usize>) -> Command {
    let Some(files) = files else {
        return Command::new(program);
    };
    let mut command = Command::new("sh");
    let script = format!("ulimit -n {files} && exec \"$0\" \"$@\"");
    command.args(["-c", &script]).arg(program);
    command
}

/// Whether this process may have so many files open. If not, the test runs in one that may.
fn has_files_for(files: usize, test: &str) -> bool {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap();
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"));
    let soft = line.unwrap().split_whitespace().next().unwrap();
    if soft.parse().map_or(true, |soft: usize| soft >= files) {
        return true;
    }
    let status = limited(&std::env::current_exe().unwrap(), Some(files))
        .args(["--exact", test, "--nocapture"])
        .status();
    assert!(status.unwrap().success(), "see above");
    false
}

async fn serve(client: BrokerClient) {
    let (mut answers, mut requests) = client.split();
    while let Some(Ok(request)) = requests.next().await {
        let Some(id) = request.id().filter(|_| request.method().is_some()) else {
            continue;
        };
        let params: Value = serde_json::from_str(request.params().unwrap_or("{}")).unwrap();
        let text = match params["name"].as_str() {
            Some("echo") => "echo".to_owned(),
            Some("big") => "x".repeat(8 * MIB),
            _ => {
                let refusal = Message::error(Some(id), -32601, "not here", None::<()>);
                let _ = answers.send(refusal).await;
                continue;
            }
        };
        let content = json!([{"type": "text", "text": text}]);
        let result = json!({"content": content, "resultType": "complete"});
        let answer = Message::response(id, result).unwrap();
        let _ = answers.send(answer).await;
    }
}

/// A call on a connection of its own.
async fn call(port: u16, tool: &str) {
    ask(&mut Raw::to(port).await, tool).await;
}

async fn ask(raw: &mut Raw, tool: &str) {
    raw.modern(modern(
        7,
        "tools/call",
        json!({"name": tool, "arguments": {}}),
    ))
    .await;
    let answer = raw.response().await.json();
    assert_eq!(answer["result"]["content"][0]["text"], tool, "{answer}");
}

/// Has asked once, and stays.
async fn visitor(port: u16) -> Raw {
    let mut raw = Raw::to(port).await;
    hello(&mut raw).await;
    raw
}

async fn hello(raw: &mut Raw) {
    let nonce = "0123456789abcdef0123456789abcdef";
    let line = format!("GET /_broker/v1/hello?nonce={nonce}");
    let response = raw.ask(&line, &[], None).await;
    assert_eq!(response.status, 200, "{}", response.text());
}
