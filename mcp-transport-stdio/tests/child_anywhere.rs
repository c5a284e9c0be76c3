//! Servers as children, on every system: the children are this very file, started again, and each holds a connection to the
//! test open for as long as it lives.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    missing_docs,
    reason = "tests wait, spawn, and fail where they stand"
)]

mod impatience;

use futures::{FutureExt, SinkExt, StreamExt};
use impatience::{close, dropped_after, next, send};
use mcp_transport_core::{Connector, ErrorKind, Id, Message, Resilient, RetryPolicy};
use mcp_transport_stdio::{ChildConnector, StdioConfig};
use serde_json::json;
use std::fmt;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tracing::field::{Field, Visit};
use tracing::span;

/// Longer than anything here takes; processes start slowly on some systems.
const SOON: Duration = Duration::from_secs(60);

async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(SOON, future).await {
        Ok(value) => value,
        Err(_) => panic!("not within {SOON:?}: {what}"),
    }
}

/// To whom the other ends connect.
struct Witness(TcpListener);

/// One process, while it lives.
struct Life(TcpStream);

impl Witness {
    async fn new() -> Self {
        Self(TcpListener::bind("127.0.0.1:0").await.unwrap())
    }

    /// This file, in this role.
    fn command(&self, role: &str) -> Command {
        command(role, self.0.local_addr().unwrap().port())
    }

    async fn meet(&self) -> Life {
        Life(soon("a process starts", self.0.accept()).await.unwrap().0)
    }
}

impl Life {
    fn is_over(&self) -> bool {
        let read = self.0.try_read(&mut [0]);
        !read.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock)
    }

    /// What it said before its end, however that came.
    async fn end(mut self) -> String {
        let mut said = Vec::new();
        let _ = soon("the process ends", self.0.read_to_end(&mut said)).await;
        String::from_utf8(said).unwrap()
    }
}

fn command(role: &str, witness: u16) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", "the_other_end", "--nocapture"])
        // With one thread the harness leaves a line open, for our first message to stand in.
        .env("RUST_TEST_THREADS", "2")
        .env("WITNESS", witness.to_string())
        .env("ROLE", role);
    command
}

/// Not a test, but the other end of most: it does nothing unless it was started as one.
#[test]
fn the_other_end() {
    let Ok(role) = std::env::var("ROLE") else {
        return;
    };
    let witness: u16 = std::env::var("WITNESS").unwrap().parse().unwrap();
    let mut life = std::net::TcpStream::connect(("127.0.0.1", witness)).unwrap();
    match role.as_str() {
        "serve" => {
            block_on(serve());
            life.write_all(b"left by itself").unwrap();
        }
        "echo impatiently" => block_on(echo(std::env::var("POLLS").unwrap().parse().unwrap())),
        "complain" => {
            eprintln!("first line");
            eprintln!("second line");
            std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
        }
        "flood" => {
            let piece = [b'x'; 64 * 1024];
            for _ in 0..256 {
                std::io::stderr().write_all(&piece).unwrap();
            }
            eprintln!("\nthe last of 16 MiB");
            std::process::exit(4);
        }
        "stay" => stay(),
        "stay with a child" => {
            start_one_more(witness);
            stay();
        }
        "leave a child behind" => {
            start_one_more(witness);
            std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
        }
        "keep" => block_on(async {
            let _kept = keep(witness).await;
            std::future::pending().await
        }),
        "forget" => block_on(async { drop(keep(witness).await) }),
        other => panic!("no such role: {other}"),
    }
    std::process::exit(0);
}

fn block_on(future: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(future);
}

async fn serve() {
    let mut client = StdioConfig::new().open().unwrap();
    while let Some(message) = client.next().await {
        let message = message.unwrap();
        let Some(id) = message.id() else { continue };
        let result = match message.method().unwrap() {
            "crash" => {
                eprintln!("cannot go on");
                std::process::exit(3);
            }
            "abort" => std::process::abort(),
            _ => json!({"pid": std::process::id(), "echo": message.params()}),
        };
        let answer = Message::response(id, result).unwrap();
        client.send(answer).await.unwrap();
    }
}

/// Gives each message back; whatever it does is dropped after so many polls, and begun again.
async fn echo(polls: usize) {
    let mut client = StdioConfig::new().open().unwrap();
    while let Some(message) = next(polls, &mut client).await {
        send(polls, &mut client, message).await;
    }
    close(polls, &mut client).await;
}

/// Minds neither its input nor its end.
fn stay() -> ! {
    println!("{{}}");
    loop {
        std::thread::sleep(Duration::from_secs(1000));
    }
}

/// Over when that one has met the witness.
#[expect(clippy::zombie_processes, reason = "it is to be left behind")]
fn start_one_more(witness: u16) {
    let mut child = command("stay", witness);
    child.stdin(Stdio::null()).stdout(Stdio::piped());
    let mut child = child.stderr(Stdio::null()).spawn().unwrap();
    let output = BufReader::new(child.stdout.take().unwrap());
    let mut lines = output.lines().map(Result::unwrap);
    assert!(lines.any(|line| line == "{}"));
}

/// A child that has a child, and stays.
async fn keep(witness: u16) -> impl Sized {
    let mut child = ChildConnector::new(command("stay with a child", witness))
        .connect()
        .await
        .unwrap();
    assert!(child.next().await.unwrap().is_ok(), "it has started one");
    child
}

fn call(id: i64, method: &str) -> Message {
    Message::request(&Id::from(id), method, None::<()>).unwrap()
}

fn impatient(command: Command) -> ChildConnector {
    ChildConnector::new(command)
        .exit_timeout(Duration::from_millis(200))
        .terminate_timeout(Duration::from_millis(200))
}

#[tokio::test]
async fn connecting_starts_the_program_and_messages_pass_both_ways() {
    let witness = Witness::new().await;
    let mut server = ChildConnector::new(witness.command("serve"))
        .connect()
        .await
        .unwrap();
    let _life = witness.meet().await;
    let large = "x".repeat(300_000);
    for id in 0..3 {
        let call = Message::request(&Id::from(id), "echo", Some(json!([large]))).unwrap();
        server.send(call).await.unwrap();
        let answer = soon("an answer", server.next()).await.unwrap().unwrap();
        let body: serde_json::Value = serde_json::from_str(answer.body().unwrap()).unwrap();
        assert_eq!(body["pid"], server.id());
        assert!(answer.len() > large.len());
    }
}

#[tokio::test]
async fn the_exit_status_and_the_last_words_are_in_the_error() {
    let witness = Witness::new().await;
    let mut server = ChildConnector::new(witness.command("serve"))
        .connect()
        .await
        .unwrap();
    server.send(call(1, "crash")).await.unwrap();
    let error = soon("its end", server.next()).await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Disconnected);
    let status = if cfg!(windows) {
        "exit code: 3"
    } else {
        "exit status: 3"
    };
    for part in [status, "cannot go on", &server.id().to_string()] {
        assert!(error.to_string().contains(part), "{part}: {error}");
    }
    assert!(server.next().await.is_none());
    let error = server.send(call(2, "echo")).await.unwrap_err();
    assert!(error.to_string().contains(status), "{error}");
}

#[tokio::test]
async fn closing_lets_the_child_leave_by_itself_and_is_over_when_it_has() {
    let witness = Witness::new().await;
    let mut server = ChildConnector::new(witness.command("serve"))
        .exit_timeout(SOON)
        .connect()
        .await
        .unwrap();
    let life = witness.meet().await;
    soon("the child leaves", server.close()).await.unwrap();
    assert_eq!(life.end().await, "left by itself");
    assert!(server.next().await.is_none(), "that was no error");
}

#[tokio::test]
async fn who_stays_after_its_input_is_closed_is_killed() {
    let witness = Witness::new().await;
    let mut child = impatient(witness.command("stay")).connect().await.unwrap();
    let life = witness.meet().await;
    soon("its greeting", child.next()).await.unwrap().unwrap();
    assert!(!life.is_over());
    soon("it is killed", child.close()).await.unwrap();
    assert_eq!(life.end().await, "");
}

#[tokio::test]
async fn a_dropped_transport_ends_its_child() {
    let witness = Witness::new().await;
    let child = impatient(witness.command("stay")).connect().await.unwrap();
    let life = witness.meet().await;
    drop(child);
    life.end().await;
}

#[tokio::test]
async fn whatever_is_dropped_wherever_it_waits_no_message_is_lost_at_either_end() {
    for polls in [0, 1, 2, 3, 5, 8, 13] {
        let witness = Witness::new().await;
        let mut command = witness.command("echo impatiently");
        command.env("POLLS", polls.to_string());
        let mut connector = ChildConnector::new(command).exit_timeout(SOON);
        // What was begun before this one was dropped starts no child, or ends it.
        drop(dropped_after(polls, connector.connect()).await);
        let mut child = connector.connect().await.unwrap();
        for id in 0..4 {
            // Larger than a pipe, so that both ends wait in the middle.
            let params = json!(["x".repeat(100_000)]);
            let call = Message::request(&Id::from(id), "echo", Some(params)).unwrap();
            // Who sends so much reads, too.
            let (mut tx, mut rx) = child.split();
            let ((), answer) = tokio::join!(
                send(polls, &mut tx, call.clone()),
                soon("the echo", next(polls, &mut rx))
            );
            child = tx.reunite(rx).unwrap();
            assert!(answer == Some(call), "message {id} after {polls} polls");
        }
        close(polls, &mut child).await;
        assert_eq!(next(polls, &mut child).await, None);
    }
}

#[tokio::test]
async fn a_close_that_is_dropped_goes_on() {
    for polls in 0..4 {
        let witness = Witness::new().await;
        let mut child = impatient(witness.command("stay")).connect().await.unwrap();
        let life = witness.meet().await;
        dropped_after(polls, child.close()).await;
        if polls > 0 {
            life.end().await;
        }
        soon("it is over", child.close()).await.unwrap();
    }
}

#[tokio::test]
async fn a_bad_line_is_answered_through_the_childs_own_pipes() {
    let witness = Witness::new().await;
    let mut server = ChildConnector::new(witness.command("serve"))
        .connect()
        .await
        .unwrap();
    server.send(Message::from("nonsense")).await.unwrap();
    let answer = soon("an answer", server.next()).await.unwrap().unwrap();
    assert!(answer.body().unwrap().contains("-32700"), "{answer:?}");
}

#[tokio::test]
async fn what_a_child_leaves_behind_is_killed() {
    let witness = Witness::new().await;
    let mut child = ChildConnector::new(witness.command("leave a child behind"))
        .exit_timeout(SOON)
        .connect()
        .await
        .unwrap();
    let lives = [witness.meet().await, witness.meet().await];
    assert!(lives.iter().all(|life| !life.is_over()));
    soon("the child leaves", child.close()).await.unwrap();
    for life in lives {
        life.end().await;
    }
}

#[tokio::test]
async fn killed_ourselves_no_child_and_no_grandchild_is_left() {
    for _ in 0..10 {
        let witness = Witness::new().await;
        let mut keeper = witness.command("keep");
        keeper.stdin(Stdio::null()).stdout(Stdio::null());
        let mut keeper = keeper.stderr(Stdio::null()).spawn().unwrap();
        let mut lives = Vec::new();
        for _ in ["we", "child", "grandchild"] {
            lives.push(witness.meet().await);
        }
        assert!(lives.iter().all(|life| !life.is_over()));
        keeper.kill().unwrap();
        keeper.wait().unwrap();
        for life in lives {
            life.end().await;
        }
    }
}

#[tokio::test]
async fn the_end_of_the_runtime_ends_the_child_and_the_grandchild() {
    let witness = Witness::new().await;
    let mut forgetter = witness.command("forget");
    forgetter.stdin(Stdio::null()).stdout(Stdio::null());
    let mut forgetter = forgetter.stderr(Stdio::null()).spawn().unwrap();
    let mut lives = Vec::new();
    for _ in ["we", "child", "grandchild"] {
        lives.push(witness.meet().await);
    }
    for life in lives {
        life.end().await;
    }
    forgetter.wait().unwrap();
}

#[tokio::test]
async fn a_child_that_crashes_again_and_again_is_there_for_the_next_request() {
    let witness = Witness::new().await;
    let mut server = Resilient::builder(ChildConnector::new(witness.command("serve")))
        .retry(RetryPolicy::every(Duration::from_millis(1)))
        .spawn();
    for id in 0..10 {
        // A read by MCP's table, so it is kept until there is a child.
        server.send(call(id, "tools/list")).await.unwrap();
        let answer = soon("an answer", server.next()).await.unwrap().unwrap();
        assert!(answer.body().unwrap().contains("pid"), "{id}");
        let life = witness.meet().await;
        server.send(call(-1 - id, "abort")).await.unwrap();
        let lost = soon("its end", server.next()).await.unwrap().unwrap();
        assert_eq!(lost.id(), Some(&Id::from(-1 - id)));
        life.end().await;
    }
    server.close().await.unwrap();
}

#[tokio::test]
async fn a_child_that_never_reads_makes_the_sender_wait_and_can_still_be_closed() {
    let witness = Witness::new().await;
    let mut child = impatient(witness.command("stay")).connect().await.unwrap();
    let life = witness.meet().await;
    let big = Message::from(format!("\"{}\"", "x".repeat(100_000)));
    let mut taken = 0;
    // A system's pipe takes some, perhaps by way of a thread.
    while let Ok(sent) = tokio::time::timeout(Duration::from_secs(1), child.send(big.clone())).await
    {
        sent.unwrap();
        taken += 1;
        assert!(taken < 100, "it takes without bound");
    }
    assert!(child.send(big).now_or_never().is_none());
    soon("it is killed", child.close()).await.unwrap();
    life.end().await;
}

#[tokio::test]
async fn a_child_that_floods_its_standard_error_never_waits_to_write() {
    let witness = Witness::new().await;
    let mut child = ChildConnector::new(witness.command("flood"))
        .connect()
        .await
        .unwrap();
    let error = soon("its end", child.next()).await.unwrap().unwrap_err();
    assert!(error.to_string().contains(": 4"), "{error}");
    assert!(error.to_string().contains("the last of 16 MiB"), "{error}");
    assert!(error.to_string().len() < 500);
}

#[tokio::test]
async fn what_cannot_be_started_is_unreachable_and_the_error_says_what_to_do() {
    let mut nothing = ChildConnector::new(Command::new("no-such-server-anywhere"));
    let error = nothing.connect().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unreachable);
    assert!(error.to_string().contains("no-such-server-anywhere"));
    assert!(error.to_string().contains("install it"), "{error}");

    let mut nowhere = Witness::new().await.command("serve");
    nowhere.current_dir(std::env::temp_dir().join("no such folder"));
    let error = ChildConnector::new(nowhere).connect().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unreachable);
    assert!(error.to_string().contains("no such folder"), "{error}");
    assert!(error.to_string().contains("there is no"), "{error}");
}

/// Keeps what is logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl tracing::Subscriber for Log {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        let mut line = Line(format!("{}", event.metadata().level()));
        event.record(&mut line);
        self.0.lock().unwrap().push(line.0);
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0 += &format!(" {}={value:?}", field.name());
    }
}

#[tokio::test]
async fn lines_of_standard_error_are_logged_with_the_childs_name() {
    let log = Log::default();
    let _guard = tracing::subscriber::set_default(log.clone());
    let witness = Witness::new().await;
    let mut child = ChildConnector::new(witness.command("complain"))
        .exit_timeout(SOON)
        .connect()
        .await
        .unwrap();
    let pid = child.id();
    soon("it leaves", child.close()).await.unwrap();
    let log = log.0.lock().unwrap();
    for said in ["first line", "second line"] {
        let lines = log.iter().filter(|line| line.contains(said));
        let lines: Vec<_> = lines.collect();
        assert_eq!(lines.len(), 1, "{said}: {log:?}");
        assert!(lines[0].starts_with("INFO"), "{}", lines[0]);
        assert!(
            lines[0].contains(&format!("(process {pid})")),
            "{}",
            lines[0]
        );
    }
}
