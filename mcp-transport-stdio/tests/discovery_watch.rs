//! Status files on a real file system.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "tests fail where they stand, and have a clock"
)]

use mcp_transport_core::dial::Dialer;
use mcp_transport_core::{Connector, ErrorKind, Listener, State};
use mcp_transport_stdio::bridge::{BridgeConfig, BridgeConnector, BridgeListener, Seated};
use mcp_transport_stdio::discovery::{Discovery, PortFile, Projects, Reason, Status, StatusFile};
use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime};
use tokio::sync::{mpsc, watch};

/// A directory of its own, which is gone when the test is.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!(
            "mcp-discovery-{}-{}",
            std::process::id(),
            COUNT.fetch_add(1, Ordering::Relaxed)
        );
        Self(std::env::temp_dir().join(name))
    }

    fn discovery(&self) -> Discovery {
        Discovery::at(&self.0)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

const GAME: &str = "/p/Game/Assets";

async fn until(projects: &mut watch::Receiver<Projects>, what: impl Fn(&Projects) -> bool) {
    let found = tokio::time::timeout(Duration::from_secs(10), projects.wait_for(|p| what(p)));
    assert!(found.await.expect("the change was not seen").is_ok());
}

#[tokio::test]
async fn a_watch_sees_what_appears_changes_and_goes() {
    let scratch = Scratch::new();
    let watch = scratch.discovery().watch().unwrap();
    let mut projects = watch.projects();
    assert!(projects.borrow().is_empty());

    // The directory did not even exist.
    let mut file = StatusFile::publish(&scratch.0, &Status::new(6400, GAME)).unwrap();
    until(&mut projects, |p| {
        p.port_of(None).is_ok_and(|port| port == 6400)
    })
    .await;
    file.update(&Status::new(6401, GAME)).unwrap();
    until(&mut projects, |p| {
        p.port_of(None).is_ok_and(|port| port == 6401)
    })
    .await;
    let mut reloading = Status::new(6401, GAME);
    (reloading.reloading, reloading.reason) = (true, Reason::Reloading);
    file.update(&reloading).unwrap();
    until(&mut projects, |p| p.port_of(None).is_err()).await;
    assert_eq!(projects.borrow().len(), 1);
    drop(file);
    until(&mut projects, Projects::is_empty).await;
}

#[tokio::test]
async fn a_torn_file_leaves_what_was_known() {
    let scratch = Scratch::new();
    let watch = scratch.discovery().watch().unwrap();
    let mut projects = watch.projects();
    let file = StatusFile::publish(&scratch.0, &Status::new(6400, GAME)).unwrap();
    until(&mut projects, |p| p.len() == 1).await;
    let whole = fs::read(file.path()).unwrap();
    let mut other = StatusFile::publish(&scratch.0, &Status::new(6500, "/p/Other/Assets")).unwrap();
    until(&mut projects, |p| p.len() == 2).await;
    for (n, torn) in [&whole[..0], &whole[..1], &whole[..whole.len() - 1]]
        .into_iter()
        .enumerate()
    {
        fs::write(file.path(), torn).unwrap();
        // The other one's news prove that the torn one was looked at.
        let mut news = Status::new(6500, "/p/Other/Assets");
        news.seq = n as u64 + 1;
        other.update(&news).unwrap();
        until(&mut projects, |p| {
            p.iter().any(|project| project.status.seq == news.seq)
        })
        .await;
        assert_eq!(projects.borrow().port_of(Some("Game")).unwrap(), 6400);
    }
    // Whoever tore it has it now: ours is not removed.
    let path = file.path().to_owned();
    drop(file);
    assert!(path.exists());
}

#[tokio::test]
async fn a_mere_heartbeat_wakes_nobody() {
    let scratch = Scratch::new();
    let status = Status::new(6400, GAME);
    let mut file = StatusFile::publish(&scratch.0, &status).unwrap();
    let watch = scratch.discovery().watch().unwrap();
    let (called, mut calls) = mpsc::unbounded_channel();
    watch.on_ready(None, move || called.send(()).unwrap());
    let mut projects = watch.projects();
    projects.mark_unchanged();
    let first = projects.borrow().iter().next().unwrap().heard;
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_millis(20)).await;
        file.update(&status).unwrap();
    }
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    while projects.borrow().iter().next().unwrap().heard == first {
        assert!(tokio::time::Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(!projects.has_changed().unwrap());
    assert!(calls.try_recv().is_err());
}

#[tokio::test]
async fn a_project_that_is_back_wakes_and_one_that_reloads_does_not() {
    let scratch = Scratch::new();
    let mut status = Status::new(6400, GAME);
    let mut file = StatusFile::publish(&scratch.0, &status).unwrap();
    let watch = scratch.discovery().watch().unwrap();
    let (called, mut calls) = mpsc::unbounded_channel();
    watch.on_ready(Some("Game"), move || called.send(()).unwrap());
    let mut projects = watch.projects();

    (status.reloading, status.reason) = (true, Reason::Reloading);
    file.update(&status).unwrap();
    until(&mut projects, |p| p.port_of(None).is_err()).await;
    let _other = StatusFile::publish(&scratch.0, &Status::new(6500, "/p/Other/Assets")).unwrap();
    until(&mut projects, |p| p.len() == 2).await;
    assert!(calls.try_recv().is_err());
    file.update(&Status::new(6401, GAME)).unwrap();
    tokio::time::timeout(Duration::from_secs(10), calls.recv())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(projects.borrow().port_of(Some("Game")).unwrap(), 6401);
}

#[tokio::test]
async fn a_hook_that_panics_keeps_nobody_from_hearing_of_changes() {
    let scratch = Scratch::new();
    let watch = scratch.discovery().watch().unwrap();
    let (called, mut calls) = mpsc::unbounded_channel();
    watch.on_ready(None, || panic!("on purpose"));
    watch.on_ready(None, move || called.send(()).unwrap());
    let mut projects = watch.projects();
    let mut file = StatusFile::publish(&scratch.0, &Status::new(6400, GAME)).unwrap();
    for port in [6401, 6402] {
        let call = tokio::time::timeout(Duration::from_secs(10), calls.recv());
        call.await.expect("the other hook was not called").unwrap();
        file.update(&Status::new(port, GAME)).unwrap();
        until(&mut projects, |p| p.port_of(None).is_ok_and(|p| p == port)).await;
    }
}

#[tokio::test]
async fn a_link_finds_its_host_when_the_file_appears_and_again_when_the_port_moves() {
    let scratch = Scratch::new();
    let watch = scratch.discovery().watch().unwrap();
    let projects = watch.projects();
    let connector = BridgeConnector::new(move || projects.borrow().port_of(Some("Game")));
    // By schedule it would dial in an hour.
    let policy = mcp_transport_core::RetryPolicy::every(Duration::from_secs(3600));
    let mut dialer = Dialer::new(connector).retry(policy);
    let (wake, state) = (dialer.wake(), dialer.watch());
    watch.on_ready(Some("Game"), move || wake.wake());

    let (links, mut connected) = mpsc::unbounded_channel::<Seated>();
    let (lose, mut lost) = mpsc::unbounded_channel::<()>();
    tokio::spawn(async move {
        loop {
            links.send(dialer.connect().await.unwrap()).unwrap();
            dialer.established();
            lost.recv().await.unwrap();
            dialer.ended(&ErrorKind::Disconnected.into());
        }
    });
    let mut waiting = state.clone();
    waiting
        .wait_for(|state| matches!(state, State::Waiting { .. }))
        .await
        .unwrap();

    let mut file = None;
    for n in 0..2 {
        let mut listener = BridgeListener::bind(0, BridgeConfig::new()).unwrap();
        let status = Status::new(listener.local_port(), GAME);
        match &mut file {
            None => file = Some(StatusFile::publish(&scratch.0, &status).unwrap()),
            Some(file) => file.update(&status).unwrap(),
        }
        let link = tokio::time::timeout(Duration::from_secs(10), connected.recv());
        let link = link.await.unwrap_or_else(|_| panic!("dial {n}")).unwrap();
        listener.accept().await.unwrap();
        drop((link, listener));
        lose.send(()).unwrap();
        waiting
            .wait_for(|state| matches!(state, State::Waiting { .. }))
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn a_heartbeat_goes_on_changes_and_is_gone_with_its_owner() {
    let scratch = Scratch::new();
    let status = Status::new(6400, GAME);
    let file = StatusFile::publish(&scratch.0, &status).unwrap();
    let path = file.path().to_owned();
    let heartbeat = file.heartbeat(status.clone());
    let at = || {
        let status: Status = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        status.written().unwrap()
    };
    let first = at();
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    while at() < first + Duration::from_millis(900) {
        assert!(tokio::time::Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let mut reloading = status;
    reloading.reloading = true;
    heartbeat.set(reloading);
    while !fs::read_to_string(&path)
        .unwrap()
        .contains("\"reloading\":true")
    {
        assert!(tokio::time::Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    drop(heartbeat);
    assert!(!path.exists());
    tokio::time::sleep(Duration::from_millis(600)).await;
    let left: Vec<_> = fs::read_dir(&scratch.0).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn readers_never_see_a_part_of_what_we_write() {
    let scratch = Scratch::new();
    let mut status = Status::new(6400, GAME);
    let mut file = StatusFile::publish(&scratch.0, &status).unwrap();
    let discovery = scratch.discovery();
    std::thread::scope(|scope| {
        let writer = scope.spawn(move || {
            for n in 0..500 {
                status.unity_version = "x".repeat(n * 7 % 3000);
                file.update(&status).unwrap();
            }
            file
        });
        while !writer.is_finished() {
            assert_eq!(discovery.scan().len(), 1);
        }
    });
}

#[test]
fn several_who_write_the_same_file_at_once_do_not_disturb_each_other() {
    let scratch = Scratch::new();
    std::thread::scope(|scope| {
        for port in [6400, 6401] {
            let file = PortFile::new(port, format!("/p/{port}/Assets"), SystemTime::now());
            let directory = &scratch.0;
            scope.spawn(move || {
                for _ in 0..300 {
                    file.publish(directory).unwrap();
                }
            });
        }
    });
    let shared = fs::read(scratch.0.join("unity-mcp-port.json")).unwrap();
    assert!(PortFile::read(&shared).is_some());
    assert_eq!(fs::read_dir(&scratch.0).unwrap().count(), 3);
}

#[test]
fn a_directory_that_was_removed_is_made_again_by_the_next_update() {
    let scratch = Scratch::new();
    let status = Status::new(6400, GAME);
    let mut file = StatusFile::publish(&scratch.0, &status).unwrap();
    fs::remove_dir_all(&scratch.0).unwrap();
    file.update(&status).unwrap();
    assert_eq!(scratch.discovery().scan().len(), 1);
}

#[cfg(unix)]
#[test]
fn what_is_no_file_is_passed_over() {
    let scratch = Scratch::new();
    let _file = StatusFile::publish(&scratch.0, &Status::new(6400, GAME)).unwrap();
    fs::create_dir(scratch.0.join("unity-mcp-status-aaaaaaaa.json")).unwrap();
    std::os::unix::fs::symlink(
        "/dev/zero",
        scratch.0.join("unity-mcp-status-bbbbbbbb.json"),
    )
    .unwrap();
    fs::write(
        scratch.0.join("unity-mcp-status-cccccccc.json"),
        vec![b' '; 1 << 20],
    )
    .unwrap();
    assert_eq!(scratch.discovery().scan().len(), 1);
}

#[test]
fn port_files_come_newest_first() {
    let scratch = Scratch::new();
    fs::create_dir_all(&scratch.0).unwrap();
    for (age, port) in [(30, 6401_u16), (10, 6402), (20, 6403)] {
        let path = scratch.0.join(format!("unity-mcp-port-0000{port}.json"));
        let file = PortFile::new(port, GAME, SystemTime::now());
        fs::write(&path, serde_json::to_vec_pretty(&file).unwrap()).unwrap();
        let modified = SystemTime::now() - Duration::from_secs(age);
        fs::File::options()
            .write(true)
            .open(&path)
            .unwrap()
            .set_modified(modified)
            .unwrap();
    }
    fs::write(scratch.0.join("unity-mcp-port.json"), b"{").unwrap();
    let ports: Vec<_> = scratch
        .discovery()
        .port_files()
        .iter()
        .map(|f| f.unity_port)
        .collect();
    assert_eq!(ports, [6402, 6403, 6401]);
}

#[test]
fn a_port_that_was_chosen_is_written_as_the_plugin_does_and_found_again() {
    let scratch = Scratch::new();
    let file = PortFile::new(6407, GAME, SystemTime::now());
    file.publish(&scratch.0).unwrap();
    let keyed = format!("unity-mcp-port-{}.json", file.key());
    let text = fs::read_to_string(scratch.0.join(&keyed)).unwrap();
    assert!(text.starts_with("{\n  \"unity_port\": 6407,\n  \"created_date\": "));
    assert_eq!(
        text,
        fs::read_to_string(scratch.0.join("unity-mcp-port.json")).unwrap()
    );
    assert_eq!(scratch.discovery().port_files(), [file]);
}

#[tokio::test]
async fn a_link_without_a_host_says_what_to_do() {
    let scratch = Scratch::new();
    let watch = scratch.discovery().watch().unwrap();
    let projects = watch.projects();
    let mut connector = BridgeConnector::new(move || projects.borrow().port_of(None));
    let error = connector.connect().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unreachable);
    assert!(error.to_string().contains("open one"), "{error}");
}
