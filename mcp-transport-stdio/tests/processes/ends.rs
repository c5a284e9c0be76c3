//! Our own end, and what becomes of the child.

use super::{alive, eventually, kill, peer};
use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::time::Duration;

/// A process in this role, and its child's process id.
fn start(role: &str) -> (Child, u32) {
    let mut command = peer::command(role);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let mut parent = command.spawn().unwrap();
    let output = BufReader::new(parent.stdout.take().unwrap());
    let told = output.lines().find_map(|line| {
        let line = line.unwrap();
        Some(line.split_once("child ")?.1.trim().parse().unwrap())
    });
    (parent, told.expect("it told of no child"))
}

#[tokio::test]
async fn a_hundred_times_killed_ourselves_no_child_is_alive_after_two_seconds() {
    for _ in 0..10 {
        let families: Vec<_> = (0..10).map(|_| start("keep a child")).collect();
        for (parent, child) in &families {
            assert!(alive(*child));
            kill(parent.id());
        }
        let children: Vec<u32> = families.iter().map(|(_, child)| *child).collect();
        let all_gone = || children.iter().all(|&child| !alive(child));
        eventually("no child is alive", Duration::from_secs(2), all_gone).await;
        for (mut parent, _) in families {
            parent.wait().unwrap();
        }
    }
}

/// Killed at any moment while it starts its child: whatever has come to life by then dies.
#[tokio::test]
async fn killed_in_the_middle_of_a_start_no_child_is_left() {
    let marker = format!("marker-{}", std::process::id());
    let living = || {
        let processes = std::fs::read_dir("/proc").unwrap();
        let pids = processes.filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok());
        let of_ours = |pid: &u32| {
            let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            let marked = environment
                .windows(marker.len())
                .any(|part| part == marker.as_bytes());
            marked && alive(*pid)
        };
        pids.filter(of_ours).count()
    };
    for round in 0..40_u64 {
        let mut command = peer::command("keep a child");
        command.env("MARKER", &marker);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let mut parent = command.spawn().unwrap();
        tokio::time::sleep(Duration::from_micros(250 * round)).await;
        kill(parent.id());
        parent.wait().unwrap();
    }
    eventually(
        "nobody of all these is left",
        Duration::from_secs(3),
        || living() == 0,
    )
    .await;
}

#[tokio::test]
async fn the_end_of_the_runtime_ends_the_child() {
    let (mut parent, child) = start("leave a child");
    parent.wait().unwrap();
    eventually("the child is gone", Duration::from_secs(2), || {
        !alive(child)
    })
    .await;
}
