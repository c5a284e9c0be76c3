//! What a child writes costs bounded memory. One test in this file: it measures its process.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

use futures::StreamExt;
use mcp_transport_core::Connector;
use mcp_transport_stdio::ChildConnector;
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

#[tokio::test]
async fn a_gibibyte_of_standard_error_costs_bounded_memory_in_lines_or_without() {
    let lines = format!("yes {} | head -c 1073741824 >&2; exit 4", "x".repeat(1000));
    let before = peak();
    for script in [lines.as_str(), "head -c 1073741824 /dev/zero >&2; exit 4"] {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]);
        let mut child = ChildConnector::new(command).connect().await.unwrap();
        let error = child.next().await.unwrap().unwrap_err().to_string();
        assert!(
            error.contains("exit status: 4"),
            "it was never kept from writing: {error}"
        );
        assert!(error.len() < 500, "{error}");
    }
    let grown = peak() - before;
    assert!(grown < 8 * 1024, "it took {grown} KiB more");
}
