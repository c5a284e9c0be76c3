//! One child's life.

use super::{alive, eventually, kill, peer, reaped, sh};
use futures::{FutureExt, SinkExt, StreamExt};
use mcp_transport_core::{Connector, Error, ErrorKind, Id, Message};
use mcp_transport_stdio::{ChildConnector, ChildTransport};
use std::process::Command;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(10);

fn call(id: i64, method: &str) -> Message {
    Message::request(&Id::from(id), method, None::<()>).unwrap()
}

async fn start(command: Command) -> ChildTransport {
    ChildConnector::new(command)
        .exit_timeout(Duration::from_millis(200))
        .terminate_timeout(Duration::from_millis(200))
        .connect()
        .await
        .unwrap()
}

async fn refused(command: Command) -> Error {
    ChildConnector::new(command).connect().await.unwrap_err()
}

/// The pids of the child's group, zombies not counted.
fn group(leader: u32) -> Vec<u32> {
    let processes = std::fs::read_dir("/proc").unwrap();
    let pids = processes.filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok());
    pids.filter(|&pid| alive(pid) && group_of(pid) == Some(leader))
        .collect()
}

fn group_of(pid: u32) -> Option<u32> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit(") ").next()?.split(' ').nth(2)?.parse().ok()
}

#[tokio::test]
async fn connecting_starts_the_program_and_its_greeting_is_no_message() {
    let mut server = start(peer::command("serve")).await;
    server.send(call(1, "pid")).await.unwrap();
    let answer = server.next().await.unwrap().unwrap();
    assert_eq!(answer.body(), Some(server.id().to_string().as_str()));
}

#[tokio::test]
async fn the_exit_status_and_the_last_words_are_in_the_error_once() {
    let mut server = start(peer::command("serve")).await;
    server.send(call(1, "crash")).await.unwrap();
    let error = server.next().await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Disconnected);
    let text = error.to_string();
    assert!(text.contains("exit status: 3"), "{text}");
    assert!(text.contains("cannot go on"), "{text}");
    assert!(text.contains(&server.id().to_string()), "{text}");
    assert!(server.next().await.is_none());
    let error = server.send(call(2, "pid")).await.unwrap_err();
    assert!(
        error.to_string().contains("exit status: 3"),
        "the sink knows, too: {error}"
    );
    assert!(reaped(server.id()), "no zombie");
}

#[tokio::test]
async fn an_exit_that_we_did_not_ask_for_is_an_error_even_if_it_was_a_success() {
    let mut child = start(sh("exit 0")).await;
    let error = child.next().await.unwrap().unwrap_err();
    assert!(error.to_string().contains("exit status: 0"), "{error}");
}

#[tokio::test]
async fn what_a_child_said_before_it_died_is_read_before_its_end() {
    let script =
        r#"for i in 1 2 3; do echo "{\"jsonrpc\":\"2.0\",\"method\":\"n$i\"}"; done; kill -9 $$"#;
    let mut child = start(sh(script)).await;
    eventually("it is dead", SOON, || !alive(child.id())).await;
    for method in ["n1", "n2", "n3"] {
        assert_eq!(child.next().await.unwrap().unwrap().method(), Some(method));
    }
    let error = child.next().await.unwrap().unwrap_err();
    assert!(error.to_string().contains("signal: 9"), "{error}");
}

#[tokio::test]
async fn a_program_that_is_not_there_is_unreachable_and_the_error_says_what_to_do() {
    let error = refused(Command::new("/nowhere/my-server")).await;
    assert_eq!(error.kind(), ErrorKind::Unreachable);
    assert!(error.to_string().contains("/nowhere/my-server"), "{error}");
    assert!(error.to_string().contains("install it"), "{error}");
}

#[tokio::test]
async fn a_folder_that_is_not_there_is_not_blamed_on_the_program() {
    let mut command = sh("exit 0");
    command.current_dir("/nowhere");
    let error = refused(command).await;
    assert_eq!(error.kind(), ErrorKind::Unreachable);
    assert!(error.to_string().contains("no such folder"), "{error}");
}

#[tokio::test]
async fn a_program_that_may_not_be_executed_waits_for_a_wake() {
    let error = refused(Command::new("/etc/passwd")).await;
    assert_eq!(error.kind(), ErrorKind::Unauthorized);
    assert!(error.to_string().contains("permissions"), "{error}");
}

#[tokio::test]
async fn closing_lets_the_child_leave_by_itself_and_is_over_when_it_has() {
    let folder = std::env::temp_dir().join(format!("mcp-close-{}", std::process::id()));
    let mut command = sh("while read -r line; do last=$line; done; echo \"$last\" > \"$0\"");
    command.arg(&folder);
    let mut child = ChildConnector::new(command).connect().await.unwrap();
    child.feed(call(1, "last")).await.unwrap();
    child.close().await.unwrap();
    assert!(reaped(child.id()));
    let written = std::fs::read_to_string(&folder).unwrap();
    std::fs::remove_file(&folder).unwrap();
    assert_eq!(written.trim_end(), call(1, "last").as_str().unwrap());
    assert!(
        child.next().await.is_none(),
        "an end that we asked for is no error"
    );
    let error = child.send(call(2, "late")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Closed);
}

#[tokio::test]
async fn who_stays_after_its_input_is_closed_is_asked_and_then_killed() {
    for (script, expected) in [
        (
            "trap 'exit 7' TERM; echo '{}'; while :; do sleep 0.05; done",
            "exit status: 7",
        ),
        (
            "trap '' TERM; echo '{}'; while :; do sleep 0.05; done",
            "signal: 9",
        ),
    ] {
        let mut child = start(sh(script)).await;
        assert!(child.next().await.unwrap().is_ok(), "it is ready");
        let (mut tx, mut rx) = child.split();
        // Its output is still read: how it ended is told there, were the close not ours.
        let (closed, end) = tokio::join!(tx.close(), rx.next());
        closed.unwrap();
        assert!(end.is_none());
        let child = tx.reunite(rx).unwrap();
        assert!(reaped(child.id()), "{expected}");
    }
}

#[tokio::test]
async fn a_child_that_closes_its_output_and_stays_is_ended() {
    let mut child = start(sh("exec >&-; trap '' TERM; while :; do sleep 0.05; done")).await;
    let error = child.next().await.unwrap().unwrap_err();
    assert!(error.to_string().contains("signal: 9"), "{error}");
    assert!(reaped(child.id()));
}

#[tokio::test]
async fn a_child_that_closes_its_input_and_stays_is_ended_at_the_next_message() {
    let mut child = start(sh("exec <&-; echo '{}'; while :; do sleep 0.05; done")).await;
    child.next().await.unwrap().unwrap();
    // A process that is being started next to it may hold the pipe open for a moment.
    let error = loop {
        if let Err(error) = child.send(call(1, "x")).await {
            break error;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    assert_eq!(error.kind(), ErrorKind::Disconnected);
    assert!(error.to_string().contains("signal: 15"), "{error}");
}

#[tokio::test]
async fn what_a_child_leaves_behind_is_killed_with_its_watcher() {
    let script = "trap '' TERM; sleep 1000 & echo \"{\\\"child\\\":$!}\"; read -r line; exit 5";
    let mut child = start(sh(script)).await;
    let line = child.next().await.unwrap().unwrap();
    let left: serde_json::Value = line.json().unwrap();
    let left = u32::try_from(left["child"].as_u64().unwrap()).unwrap();
    let leader = group_of(child.id()).unwrap();
    assert_ne!(leader, child.id());
    assert!(alive(left) && group(leader).len() >= 3);
    child.send(call(1, "go")).await.unwrap();
    let error = child.next().await.unwrap().unwrap_err();
    assert!(error.to_string().contains("exit status: 5"), "{error}");
    eventually("all of its group are gone", SOON, || {
        !alive(left) && group(leader).is_empty()
    })
    .await;
    assert!(reaped(leader), "the watcher is no zombie");
}

#[tokio::test]
async fn a_dropped_transport_ends_its_child_and_the_next_dial_waits_for_that() {
    let script = "trap '' TERM; echo '{}'; while :; do sleep 0.05; done";
    let mut connector = ChildConnector::new(sh(script))
        .exit_timeout(Duration::from_millis(100))
        .terminate_timeout(Duration::from_millis(100));
    let mut first = connector.connect().await.unwrap();
    first.next().await.unwrap().unwrap();
    let pid = first.id();
    let second = connector.connect().await.unwrap();
    assert!(alive(pid), "two at once are two children");
    drop(second);
    drop(first);
    let third = connector.connect().await.unwrap();
    eventually("the first one is gone", SOON, || reaped(pid)).await;
    drop(third);
}

#[tokio::test]
async fn a_dial_waits_for_a_child_whose_transport_is_being_closed() {
    let script = "trap '' TERM; echo '{}'; while :; do sleep 0.05; done";
    let mut connector = ChildConnector::new(sh(script))
        .exit_timeout(Duration::from_millis(100))
        .terminate_timeout(Duration::from_millis(100));
    let mut first = connector.connect().await.unwrap();
    first.next().await.unwrap().unwrap();
    assert!(first.close().now_or_never().is_none(), "it takes its time");
    let second = connector.connect().await.unwrap();
    assert!(!alive(first.id()), "two at once are two children");
    drop(second);
}

#[tokio::test]
async fn a_dial_that_is_dropped_at_any_point_leaves_no_child() {
    for polls in 0..20 {
        let mut connector =
            ChildConnector::new(sh("sleep 1000")).exit_timeout(Duration::from_millis(10));
        let mut dial = Box::pin(connector.connect());
        let mut done = None;
        for _ in 0..polls {
            done = (&mut dial).now_or_never();
            if done.is_some() {
                break;
            }
            tokio::time::sleep(Duration::from_micros(200)).await;
        }
        drop(dial);
        let pid = done.map(|child| child.unwrap().id());
        if let Some(pid) = pid {
            eventually("it is gone", SOON, || reaped(pid)).await;
        }
    }
    let mine = std::process::id();
    let orphans = || {
        let tasks = std::fs::read_dir("/proc/self/task").unwrap();
        let children = tasks
            .filter_map(|task| std::fs::read_to_string(task.unwrap().path().join("children")).ok());
        let all: String = children.collect();
        all.split_whitespace()
            .filter(|pid| {
                std::fs::read_to_string(format!("/proc/{pid}/cmdline"))
                    .is_ok_and(|line| line.contains("sleep 1000") && !line.contains("trap"))
            })
            .count()
    };
    eventually(&format!("children of {mine} are gone"), SOON, || {
        orphans() == 0
    })
    .await;
}

#[tokio::test]
async fn a_child_that_never_reads_makes_the_sender_wait_and_can_still_be_closed() {
    let mut child = start(sh("trap '' TERM; while :; do sleep 1000; done")).await;
    let big = Message::from(format!("\"{}\"", "x".repeat(100_000)));
    let mut taken = 0;
    while child.send(big.clone()).now_or_never().is_some() {
        taken += 1;
        assert!(taken < 100, "it takes without bound");
    }
    child.close().await.unwrap();
    assert!(reaped(child.id()));
}

#[tokio::test]
async fn a_killed_child_is_noticed_while_somebody_else_holds_its_output_open() {
    // It leaves the group, so that nobody ends it with the child; it leaves by itself soon after the test.
    let mut child = start(sh("setsid sleep 5 & echo '{}'; sleep 1000")).await;
    child.next().await.unwrap().unwrap();
    kill(child.id());
    let error = tokio::time::timeout(Duration::from_secs(3), child.next()).await;
    let error = error
        .expect("it waits for the end of the output")
        .unwrap()
        .unwrap_err();
    assert!(error.to_string().contains("signal: 9"), "{error}");
}
