//! What a child writes, or does not read, costs bounded memory. One test in this file: it measures its process.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

use futures::{FutureExt, SinkExt, StreamExt};
use mcp_transport_core::{Connector, Message};
use mcp_transport_stdio::{ChildConnector, ChildTransport};
use std::process::Command;

/// The most memory that this process ever had, in KiB.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmHWM:"))
        .unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

async fn start(script: &str) -> ChildTransport {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", script]);
    ChildConnector::new(command).connect().await.unwrap()
}

/// Offers it a gibibyte, which the sink must not take.
async fn offer_a_gibibyte(child: &mut ChildTransport) {
    for n in 0..1024 {
        let message = Message::from("1".repeat(1024 * 1024));
        if child.send(message).now_or_never().is_none() {
            assert!(n < 8, "it took {n} MiB");
            return;
        }
    }
    panic!("it took all of it");
}

#[tokio::test]
async fn a_gibibyte_of_standard_error_and_one_that_is_never_read_cost_bounded_memory() {
    let lines = format!("yes {} | head -c 1073741824 >&2; exit 4", "x".repeat(1000));
    let before = peak();
    for script in [lines.as_str(), "head -c 1073741824 /dev/zero >&2; exit 4"] {
        let mut child = start(script).await;
        let error = child.next().await.unwrap().unwrap_err().to_string();
        assert!(
            error.contains("exit status: 4"),
            "it was never kept from writing: {error}"
        );
        assert!(error.len() < 500, "{error}");
    }
    let mut child = start("exec sleep 1000").await;
    offer_a_gibibyte(&mut child).await;
    offer_a_gibibyte(&mut child).await;
    let grown = peak() - before;
    assert!(grown < 8 * 1024, "it took {grown} KiB more");
}
