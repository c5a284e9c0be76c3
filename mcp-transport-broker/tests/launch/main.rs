//! The broker's process: found, started, told to end, gone without a trace.
//!
//! The program is built with `--features cli`; the launcher's own tests run it.
#![cfg(feature = "cli")]
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    missing_docs,
    reason = "a test waits for processes"
)]

mod rig;
mod traces;

use mcp_transport_broker::host::BrokerListener;
use mcp_transport_broker::launch::{LaunchError, Program};
use mcp_transport_core::State;
use rig::{Rig, is_free, until};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::Duration;

#[tokio::test]
async fn two_hosts_at_once_get_the_same_broker() {
    let rig = Rig::new("two");
    let launch = rig.launch();
    let (one, two) = tokio::join!(launch.ensure(), launch.ensure());
    let (one, two) = (one.unwrap(), two.unwrap());
    assert_eq!(one.pid(), two.pid());
    assert_eq!(one.token(), two.token());
}

#[tokio::test]
async fn ten_starts_of_a_host_find_the_broker_of_the_first() {
    let rig = Rig::new("ten");
    let first = rig.launch().ensure().await.unwrap();
    assert!(first.was_started());
    for _ in 0..10 {
        let found = rig.launch().ensure().await.unwrap();
        assert_eq!(found.pid(), first.pid());
        assert!(!found.was_started());
    }
}

#[tokio::test]
async fn to_look_starts_nothing_and_writes_nothing() {
    let rig = Rig::new("look");
    assert!(rig.launch().find().await.unwrap().is_none());
    assert!(!rig.folder().exists());
}

// On Windows the folder for temporary files may be on another drive, where no relative path leads.
#[cfg(unix)]
#[tokio::test]
async fn a_relative_folder_means_the_same_to_the_broker_as_to_its_host() {
    let rig = Rig::new("relative");
    let up = std::env::current_dir().unwrap().components().count() - 1;
    let relative: std::path::PathBuf = std::iter::repeat_n("..", up).collect();
    let relative = relative.join(rig.folder().strip_prefix("/").unwrap());
    let broker = rig.launch().state_dir(relative).ensure().await.unwrap();
    let found = rig.launch().find().await.unwrap().unwrap();
    assert_eq!(found.pid(), broker.pid());
    assert_eq!(found.token(), broker.token());
}

#[tokio::test]
async fn a_broker_that_was_killed_is_back_with_the_next_look() {
    let rig = Rig::new("killed");
    let first = rig.launch().ensure().await.unwrap();
    rig::kill(first.pid());
    until(|| is_free(rig.port())).await;
    let next = rig.launch().ensure().await.unwrap();
    assert_ne!(next.pid(), first.pid());
    assert_eq!(next.token(), first.token(), "hosts know it still");
}

#[tokio::test]
async fn one_that_is_told_to_stop_leaves_no_process_no_file_and_no_port() {
    let rig = Rig::new("stop");
    let broker = rig.launch().ensure().await.unwrap();
    broker.stop().await.unwrap();
    until(|| is_free(rig.port()) && !rig.folder().exists() && rig::is_gone(broker.pid())).await;
}

#[tokio::test]
async fn a_token_file_that_it_was_told_of_stays_when_it_ends() {
    let rig = Rig::new("told");
    let told = rig.folder().with_extension("token");
    let launch = rig.launch_with(|config| config.token_file = Some(told.clone()));
    let broker = launch.ensure().await.unwrap();
    broker.stop().await.unwrap();
    until(|| is_free(rig.port()) && !rig.folder().exists()).await;
    let there = std::fs::read_to_string(&told).unwrap();
    assert_eq!(there.trim(), broker.token());
    std::fs::remove_file(told).unwrap();
}

// Windows has no signal that asks a process without a terminal to end.
#[cfg(unix)]
#[tokio::test]
async fn one_that_is_terminated_leaves_no_file_either() {
    let rig = Rig::new("terminated");
    let broker = rig.launch().ensure().await.unwrap();
    rig::terminate(broker.pid());
    until(|| is_free(rig.port()) && !rig.folder().exists()).await;
}

#[tokio::test]
async fn a_host_that_launches_its_broker_has_it_back_when_it_is_killed() {
    let rig = Rig::new("back");
    let host = BrokerListener::launched(rig.launch()).attach().unwrap();
    let mut state = host.watch();
    state.wait_for(State::is_connected).await.unwrap();
    let first = rig.launch().find().await.unwrap().unwrap();
    rig::kill(first.pid());
    state.wait_for(|state| !state.is_connected()).await.unwrap();
    state.wait_for(State::is_connected).await.unwrap();
    let next = rig.launch().find().await.unwrap().unwrap();
    assert_ne!(next.pid(), first.pid());
}

#[tokio::test]
async fn a_broker_that_is_killed_again_and_again_is_started_at_once_and_not_by_the_retry_schedule()
{
    let rig = Rig::new("again");
    let host = BrokerListener::launched(rig.launch()).attach().unwrap();
    let mut state = host.watch();
    let seen = tokio::spawn({
        let mut state = host.watch();
        async move {
            let mut waits = Vec::new();
            while state.changed().await.is_ok() {
                if let waiting @ State::Waiting { .. } = &*state.borrow_and_update() {
                    waits.push(format!("{waiting:?}"));
                }
            }
            waits
        }
    });
    state.wait_for(State::is_connected).await.unwrap();
    let mut pid = rig.launch().find().await.unwrap().unwrap().pid();
    for _ in 0..4 {
        rig::kill(pid);
        // By the schedule, the fourth would wait for 5 s: the line only keeps the test from hanging.
        let back = tokio::time::timeout(Duration::from_secs(5), rig.another_than(pid)).await;
        pid = back.expect("the port is back");
        state.wait_for(State::is_connected).await.unwrap();
    }
    host.handle().shut_down(Duration::from_secs(1)).await;
    drop((host, state));
    let waits = seen.await.unwrap();
    assert!(waits.is_empty(), "{waits:?}");
}

// A shell script stands in for the broker.
#[cfg(unix)]
#[tokio::test]
async fn a_program_that_dies_at_once_is_started_as_seldom_as_the_schedule_says() {
    use std::os::unix::fs::PermissionsExt;
    let rig = Rig::new("dies");
    std::fs::create_dir_all(rig.folder()).unwrap();
    let (program, starts) = (rig.folder().join("dies"), rig.folder().join("starts"));
    let script = format!("#!/bin/sh\necho started >>'{}'\nexit 1\n", starts.display());
    std::fs::write(&program, script).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    let launch = rig.launch().program(Program::At(program));
    let host = BrokerListener::launched(launch).attach().unwrap();
    let second = Duration::from_secs(1);
    let is_waiting = |state: &State| matches!(state, State::Waiting { delay: Some(delay), .. } if *delay >= second);
    host.watch().wait_for(is_waiting).await.unwrap();
    let starts = std::fs::read_to_string(starts).unwrap();
    assert_eq!(
        starts.lines().count(),
        2,
        "at once, once more, and then later"
    );
}

#[tokio::test]
async fn a_broker_that_is_told_to_stop_is_not_started_again_at_once() {
    let rig = Rig::new("stopped");
    let host = BrokerListener::launched(rig.launch()).attach().unwrap();
    let mut state = host.watch();
    state.wait_for(State::is_connected).await.unwrap();
    let broker = rig.launch().find().await.unwrap().unwrap();
    broker.stop().await.unwrap();
    let next = state.wait_for(|state| !state.is_connected()).await.unwrap();
    assert!(
        matches!(&*next, State::Waiting { delay: Some(delay), .. } if *delay >= Duration::from_secs(5)),
        "{next:?}"
    );
}

#[tokio::test]
async fn one_whose_host_does_not_come_back_ends_by_itself() {
    let rig = Rig::new("orphan");
    let launch = rig
        .launch()
        .exit_when_orphaned(Some(Duration::from_millis(300)));
    let broker = launch.ensure().await.unwrap();
    let host = BrokerListener::attach(&broker.url(), broker.token()).unwrap();
    host.watch().wait_for(State::is_connected).await.unwrap();
    // Far longer than it may be alone.
    tokio::time::sleep(Duration::from_millis(900)).await;
    assert!(rig.is_served_by(broker.pid()).await, "its host is there");
    host.handle().announce_reload(Duration::from_secs(60)).await;
    until(|| is_free(rig.port()) && !rig.folder().exists()).await;
}

#[tokio::test]
async fn one_that_ends_with_its_host_outlives_reloads_and_goes_when_the_host_goes_for_good() {
    let rig = Rig::new("with-host");
    let broker = rig.launch().exit_with_host(true).ensure().await.unwrap();
    let host = BrokerListener::attach(&broker.url(), broker.token()).unwrap();
    let mut state = host.watch();
    state.wait_for(State::is_connected).await.unwrap();
    let handle = host.handle();
    handle.announce_reload(Duration::ZERO).await;
    handle.wake();
    state.wait_for(State::is_connected).await.unwrap();
    assert!(rig.is_served_by(broker.pid()).await);
    handle.shut_down(Duration::from_secs(1)).await;
    until(|| is_free(rig.port()) && !rig.folder().exists()).await;
}

#[tokio::test]
async fn the_program_says_its_status_and_stops_its_like() {
    let rig = Rig::new("cli");
    let broker = rig.launch().ensure().await.unwrap();
    let said = rig.run(&["status"]).await;
    assert!(said.status.success(), "{said:?}");
    let status: serde_json::Value = serde_json::from_slice(&said.stdout).unwrap();
    assert!(status["host"].is_null(), "{status}");
    let said = rig.run(&["stop"]).await;
    assert!(said.status.success(), "{said:?}");
    until(|| is_free(rig.port()) && rig::is_gone(broker.pid())).await;
    let said = rig.run(&["status"]).await;
    assert!(!said.status.success());
    let words = String::from_utf8_lossy(&said.stderr);
    assert!(words.contains("nobody listens"), "{words}");
}

/// Listens like somebody else's server, and keeps what it was sent.
fn foreign(listener: TcpListener, answer: &'static str) -> std::sync::mpsc::Receiver<String> {
    let (sender, heard) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut stream = stream;
            let mut bytes = [0; 4096];
            let read = stream.read(&mut bytes).unwrap_or(0);
            let heard = String::from_utf8_lossy(&bytes[..read]).into_owned();
            if sender.send(heard).is_err() {
                return;
            }
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    heard
}

#[tokio::test]
async fn whoever_leaves_while_being_asked_is_nobody_and_no_stranger() {
    let rig = Rig::new("leaves");
    let listener = rig.listen();
    let leaving = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.read(&mut [0; 4096]).unwrap()
    });
    assert!(rig.launch().find().await.unwrap().is_none());
    assert!(leaving.join().unwrap() > 0, "it was asked");
}

#[tokio::test]
async fn a_foreign_listener_is_named_and_neither_adopted_nor_sent_the_token() {
    let mimic = r#"{"name":"mcp-broker","version":"9.9.9","protocols":[1],"pid":1,"proof":"00"}"#;
    let mimic: &'static str = Box::leak(
        format!(
            "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{mimic}",
            mimic.len()
        )
        .into_boxed_str(),
    );
    for answer in [
        "SSH-2.0-OpenSSH_9.2\r\n",
        "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}",
        mimic,
    ] {
        let rig = Rig::new("foreign");
        let token = rig.token("5ecret");
        let heard = foreign(rig.listen(), answer);
        let error = rig.launch().ensure().await.unwrap_err();
        assert!(
            matches!(error, LaunchError::Foreign { port, .. } if port == rig.port()),
            "{error}"
        );
        let heard: String = heard.try_iter().collect();
        assert!(heard.contains("/_broker/v1/hello"), "{heard}");
        assert!(!heard.contains(token), "{heard}");
    }
}

#[tokio::test]
async fn without_a_program_the_error_names_the_places_that_were_searched() {
    let rig = Rig::new("nowhere");
    let error = rig
        .launch()
        .program(Program::Search)
        .ensure()
        .await
        .unwrap_err();
    let LaunchError::NoProgram { searched } = &error else {
        panic!("{error}");
    };
    assert!(!searched.is_empty());
    for place in searched {
        assert!(error.to_string().contains(&place.display().to_string()));
    }
}

#[tokio::test]
async fn without_a_program_the_host_keeps_the_port_itself_if_it_is_told_to() {
    let rig = Rig::new("fallback");
    let launch = rig.launch().program(Program::Search).or_in_process();
    let host = BrokerListener::launched(launch.clone()).attach().unwrap();
    host.watch().wait_for(State::is_connected).await.unwrap();
    let broker = launch.find().await.unwrap().unwrap();
    assert_eq!(broker.pid(), std::process::id());
    // Another one finds it, and starts none.
    assert_eq!(rig.launch().ensure().await.unwrap().pid(), broker.pid());
    host.handle().shut_down(Duration::from_secs(1)).await;
    until(|| is_free(rig.port()) && !rig.folder().exists()).await;
}

#[tokio::test]
async fn a_program_that_ends_at_once_is_an_error_that_says_how() {
    let rig = Rig::new("ends");
    let token = rig.folder().join("readable.token");
    std::fs::create_dir_all(rig.folder()).unwrap();
    std::fs::write(&token, "").unwrap();
    // No origin: it says so, and ends.
    let error = rig.launch_with(|config| config.allow_origins = vec!["nonsense".to_owned()]);
    let error = error.ensure().await.unwrap_err().to_string();
    assert!(error.contains("nonsense"), "{error}");
}

#[tokio::test]
async fn nobody_reads_its_standard_error_and_it_goes_on() {
    use std::process::{Command, Stdio};
    let rig = Rig::new("stderr");
    let mut child = Command::new(rig::BINARY)
        .args(rig.flags())
        .env("MCP_BROKER_LOG", "trace")
        .stderr(Stdio::piped())
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    until(|| !is_free(rig.port())).await;
    drop(child.stderr.take());
    let launch = rig.launch();
    for _ in 0..20 {
        let found = launch.find().await.unwrap().unwrap();
        assert_eq!(found.pid(), child.id());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    launch.find().await.unwrap().unwrap().stop().await.unwrap();
    assert!(child.wait().unwrap().success());
}

#[tokio::test]
async fn in_the_place_of_an_editors_runtime_it_compiles_to_something_that_is_there() {
    let rig = Rig::new("mono");
    std::fs::create_dir_all(rig.folder()).unwrap();
    let out = rig.folder().join("keepalive-broker.exe");
    let said = rig
        .run_plainly(&[
            "/anywhere/mcs.exe",
            "-nologo",
            "-target:exe",
            &format!("-out:{}", out.display()),
            "x.cs",
        ])
        .await;
    assert!(said.status.success(), "{said:?}");
    assert!(out.is_file());
}
