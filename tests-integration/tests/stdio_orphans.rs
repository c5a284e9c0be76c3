//! A client that is killed leaves no server behind, also where another process holds its pipes open.
#![cfg(target_os = "linux")]
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    missing_docs,
    reason = "tests wait and spawn"
)]

use std::process::Stdio;
use std::time::{Duration, Instant};
use tests_integration::process::unity_server;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;
use tokio::task::JoinSet;

/// A client that starts a server on its pipes and says its process id. The pipe into the server has a holder of its own, as
/// it has where a client has started other servers since.
const CLIENT: &str = r#"sleep 15 | "$@" > /dev/null 2>&1 & echo $!; wait"#;

/// A zombie counts as dead: whoever inherited it has not looked yet.
fn is_alive(process: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{process}/stat"))
        .ok()
        .and_then(|stat| {
            stat.rsplit_once(") ")
                .map(|(_, rest)| !rest.starts_with('Z'))
        })
        .unwrap_or(false)
}

async fn kill_a_client() {
    let server = unity_server(&["--transport", "stdio", "--http-url", "http://127.0.0.1:0"]);
    let server = server.as_std();
    let mut client = Command::new("/bin/sh")
        .args(["-c", CLIENT, "client"])
        .arg(server.get_program())
        .args(server.get_args())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let said = client.stdout.take().unwrap();
    let line = BufReader::new(said).lines().next_line().await.unwrap();
    let server: u32 = line.unwrap().parse().unwrap();
    // Alive, and past its start, where it begins to watch.
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(is_alive(server), "the server runs");
    client.kill().await.unwrap();
    let until = Instant::now() + Duration::from_secs(2);
    while is_alive(server) {
        assert!(Instant::now() < until, "the server outlives its client");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_hundred_clients_that_are_killed_leave_no_server_alive_after_two_seconds() {
    for _ in 0..10 {
        let mut clients = JoinSet::new();
        for _ in 0..10 {
            clients.spawn(kill_a_client());
        }
        clients.join_all().await;
    }
}
