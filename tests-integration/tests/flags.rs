//! The program in the place of `uvx mcp-for-unity`: the command lines that users and editors have, run.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    missing_docs,
    reason = "tests wait and spawn"
)]

use std::time::Duration;
use tests_integration::folder::Folder;
use tests_integration::process::{output, port_in, unity_server};
use tests_integration::raw::{exchange, request};

async fn refused(line: &[&str]) -> String {
    let child = unity_server(line).spawn().unwrap();
    let (code, _, told) = output(child).await;
    assert_eq!(code, Some(2), "{told}");
    told
}

/// On Windows a process cannot be asked to end.
#[cfg(unix)]
#[tokio::test]
async fn an_editor_starts_it_finds_it_by_its_file_and_ends_it() {
    use std::process::Command;
    let folder = Folder::new();
    let file = folder.path().join("run state/server.pid");
    let mut child = unity_server(&[
        "--transport",
        "http",
        "--http-url",
        "http://127.0.0.1:0",
        "--project-scoped-tools",
        "--pidfile",
        file.to_str().unwrap(),
        "--unity-instance-token",
        "0f1e2d",
        "--editor",
        "hub",
    ])
    .spawn()
    .unwrap();
    let port = port_in(child.stdout.take().unwrap()).await;
    let pid = child.id().unwrap().to_string();
    assert_eq!(std::fs::read_to_string(&file).unwrap(), pid);
    let health = exchange(port, &request("GET /health", port, &[], "")).await;
    assert_eq!(health.status, 200);
    assert!(
        Command::new("kill")
            .args(["-TERM", &pid])
            .status()
            .unwrap()
            .success()
    );
    let (code, _, told) = output(child).await;
    assert_eq!(code, Some(0), "{told}");
    assert!(!file.exists());
}

#[cfg(unix)]
#[tokio::test]
async fn a_file_that_names_somebody_else_by_then_is_left_alone() {
    use std::process::Command;
    let folder = Folder::new();
    let file = folder.path().join("server.pid");
    let url = "http://127.0.0.1:0";
    let line = [
        "--http-url",
        url,
        "--editor",
        "hub",
        "--pidfile",
        file.to_str().unwrap(),
    ];
    let mut child = unity_server(&line).spawn().unwrap();
    port_in(child.stdout.take().unwrap()).await;
    std::fs::write(&file, "1").unwrap();
    let pid = child.id().unwrap().to_string();
    assert!(
        Command::new("kill")
            .args(["-TERM", &pid])
            .status()
            .unwrap()
            .success()
    );
    output(child).await;
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "1");
}

#[tokio::test]
async fn what_it_does_not_take_it_refuses_with_what_to_do() {
    for (line, words) in [
        (&["--http-prt", "1"][..], "--http-port"),
        (
            &["--from", "mcpforunityserver==10.3.0", "mcp-for-unity"],
            "uvx",
        ),
        (&["--instance", "Game"], "--default-instance"),
        (&["--http-host", "0.0.0.0"], "loopback"),
        (&["--http-remote-hosted"], "--api-key-validation-url"),
        (
            &[
                "--http-remote-hosted",
                "--api-key-validation-url",
                "https://k.example",
                "--behind-broker",
            ],
            "--behind-broker",
        ),
    ] {
        let told = refused(line).await;
        assert!(told.contains(words), "{line:?}: {told}");
    }
}

#[tokio::test]
async fn what_means_nothing_here_is_said_once_with_the_reason() {
    let mut child = unity_server(&["--http-url", "http://127.0.0.1:0", "--editor", "hub"]);
    child
        .env("UNITY_MCP_TRANSPORT", "stdio")
        .env("UNITY_MCP_SKIP_STARTUP_CONNECT", "1")
        .env("UNITY_MCP_NO_SUCH_THING", "1");
    let mut child = child.spawn().unwrap();
    port_in(child.stdout.take().unwrap()).await;
    child.start_kill().unwrap();
    let (_, _, told) = output(child).await;
    assert_eq!(
        told.matches("UNITY_MCP_TRANSPORT means nothing here")
            .count(),
        1,
        "{told}"
    );
    assert_eq!(told.matches("UNITY_MCP_NO_SUCH_THING").count(), 1, "{told}");
    assert!(!told.contains("SKIP_STARTUP"), "{told}");
}

#[tokio::test]
async fn hosted_it_says_where_and_lets_nobody_in_without_a_key() {
    let secret = "s3cr3t-of-the-service";
    let mut child = unity_server(&[
        "--http-remote-hosted",
        "--http-host",
        "localhost",
        "--http-port",
        "0",
        "--allow-host",
        "localhost",
        "--api-key-validation-url",
        "http://127.0.0.1:9/",
        "--api-key-service-token-header",
        "X-Service-Token",
    ]);
    child
        .env("UNITY_MCP_API_KEY_SERVICE_TOKEN", secret)
        .env("RUST_LOG", "trace");
    let mut child = child.spawn().unwrap();
    let stdout = child.stdout.take().unwrap();
    let port = hosted_port(stdout).await;
    let mcp = |host: &str, key: &str| {
        let headers = [
            ("Host", host),
            ("Content-Type", "application/json"),
            ("X-API-Key", key),
        ];
        let text = request("POST /mcp", port, &headers, "{}");
        async move { exchange(port, &text).await.status }
    };
    let host = format!("localhost:{port}");
    assert_eq!(mcp(&host, "").await, 401);
    assert_eq!(mcp(&host, "key-of-somebody").await, 503);
    assert_eq!(mcp("evil.example", "key-of-somebody").await, 403);
    child.start_kill().unwrap();
    let (_, _, told) = output(child).await;
    assert!(told.contains("there is no TLS here"), "{told}");
    assert!(
        !told.contains(secret) && !told.contains("key-of-somebody"),
        "{told}"
    );
}

async fn hosted_port(banner: impl tokio::io::AsyncRead + Unpin) -> u16 {
    use tokio::io::{AsyncBufReadExt, BufReader};
    let mut lines = BufReader::new(banner).lines();
    let within = Duration::from_secs(60);
    let line = tokio::time::timeout(within, lines.next_line())
        .await
        .unwrap()
        .unwrap()
        .unwrap();
    let port = line
        .strip_suffix("/mcp")
        .and_then(|rest| rest.rsplit_once(':'));
    port.unwrap().1.parse().unwrap()
}
