//! The program and its port: taken, foreign, refused, given up.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    missing_docs,
    reason = "tests wait and spawn"
)]

use examples::server::flags::stdin_is_pipe;
use mcp_transport_core::loopback;
use std::process::{Stdio, id};
use std::time::Duration;
use tests_integration::process::{output, port_in, unity_server};
use tests_integration::raw::{Session, exchange_at, request};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

const ANY: &[&str] = &["--http-url", "http://127.0.0.1:0"];

async fn health(host: &str, port: u16) -> serde_json::Value {
    let text = request("GET /health", port, &[], "");
    serde_json::from_str(&exchange_at(host, port, &text).await.body).expect("a report")
}

async fn ends(child: Child) -> (Option<i32>, String, String) {
    tokio::time::timeout(Duration::from_secs(10), output(child))
        .await
        .expect("it ends")
}

#[cfg(unix)]
async fn terminate(child: &Child) {
    let id = child.id().expect("it lives").to_string();
    let sent = Command::new("kill").args(["-TERM", &id]).status().await;
    assert!(sent.unwrap().success());
}

#[tokio::test]
async fn a_second_server_on_a_port_says_who_has_it_and_what_to_do() {
    let mut first = unity_server(ANY).spawn().unwrap();
    let port = port_in(first.stdout.take().unwrap()).await;
    let url = format!("http://127.0.0.1:{port}");
    let second = unity_server(&["--http-url", &url]).spawn().unwrap();
    let (code, out, said) = ends(second).await;
    assert_eq!(code, Some(1), "{said}");
    assert_eq!(out, "");
    assert!(said.contains(&format!("port {port}")), "{said}");
    assert!(said.contains("--http-url"), "{said}");
    if cfg!(target_os = "linux") {
        let holder = format!("unity_server (process {})", first.id().unwrap());
        assert!(said.contains(&holder), "{said}");
    }
    // The first one is none the worse for it.
    assert_eq!(
        health("localhost", port).await["faults"],
        serde_json::json!([])
    );
}

#[tokio::test]
async fn a_port_that_is_foreign_on_ipv4_is_named_in_the_log_with_its_holder_until_it_is_free() {
    let foreign = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = foreign.local_addr().unwrap().port();
    let url = format!("http://127.0.0.1:{port}");
    let mut child = unity_server(&["--http-url", &url]).spawn().unwrap();
    let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut line = String::new();
    while !line.contains("is held by") {
        line = log.next_line().await.unwrap().expect("it lives");
    }
    assert!(line.contains(&format!("127.0.0.1:{port}")), "{line}");
    if cfg!(target_os = "linux") {
        // The port's number, which stands before that, may have the same digits.
        let (_, holder) = line.split_once("is held by").unwrap();
        let mut numbers = holder.split(|c: char| !c.is_ascii_digit());
        assert!(numbers.any(|it| it == id().to_string()), "{line}");
    }
    assert_eq!(
        health("[::1]", port).await["listeners"]["ipv4"]["state"],
        "port_taken"
    );
    drop(foreign);
    let healed = async {
        while health("[::1]", port).await["listeners"]["ipv4"]["state"] != "bound" {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(1), healed)
        .await
        .expect("within a second");
    assert_eq!(
        health("127.0.0.1", port).await["faults"],
        serde_json::json!([])
    );
    while !line.contains("listening again") {
        line = log.next_line().await.unwrap().expect("it lives");
    }
}

#[tokio::test]
async fn an_address_that_others_can_reach_is_refused_with_the_reason() {
    for (url, reason) in [
        (
            "http://0.0.0.0:8080",
            "whoever reaches it can drive the editor",
        ),
        (
            "http://192.168.0.1:8080",
            "whoever reaches it can drive the editor",
        ),
        (
            "http://[::]:8080",
            "whoever reaches it can drive the editor",
        ),
        ("https://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("http://127.0.0.1:8080/elsewhere", "give the address only"),
    ] {
        let (code, out, said) = ends(unity_server(&["--http-url", url]).spawn().unwrap()).await;
        assert_eq!(code, Some(2), "{url}: {said}");
        assert_eq!(out, "", "{url}");
        assert!(
            said.contains(reason) && said.contains("--http-url"),
            "{url}: {said}"
        );
    }
}

#[tokio::test]
async fn a_server_with_a_url_serves_http_though_its_input_is_a_pipe() {
    let mut child = unity_server(ANY).stdin(Stdio::piped()).spawn().unwrap();
    let port = port_in(child.stdout.take().unwrap()).await;
    drop(child.stdin.take());
    // Long enough to be gone, if the end of its input meant anything to it.
    tokio::time::sleep(Duration::from_millis(200)).await;
    Session::begin(port).await;
    assert!(child.try_wait().unwrap().is_none());
}

#[cfg(unix)]
#[tokio::test]
async fn a_signal_ends_the_server_in_good_order_and_frees_its_port() {
    let mut flags = ANY.to_vec();
    flags.push("--sim");
    let mut child = unity_server(&flags).spawn().unwrap();
    let port = port_in(child.stdout.as_mut().unwrap()).await;
    let session = Session::begin(port).await;
    let hierarchy = serde_json::json!({"action": "get_hierarchy"});
    assert!(session.call("manage_scene", hierarchy).await.succeeded());
    terminate(&child).await;
    let (code, _, said) = ends(child).await;
    assert_eq!(code, Some(0), "{said}");
    assert!(loopback::connect(port).await.is_err());
}

/// What the test below asks this program about itself.
const ASKED: &str = "TESTS_INTEGRATION_SAY_STDIN";

#[test]
fn says_what_its_input_is() {
    if std::env::var_os(ASKED).is_some() {
        println!("pipe: {}", stdin_is_pipe());
    }
}

#[tokio::test]
async fn a_pipe_as_input_is_told_from_a_file_and_from_nothing() {
    let manifest = std::fs::File::open(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")).unwrap();
    for (input, pipe) in [
        (Stdio::piped(), true),
        (Stdio::null(), false),
        (Stdio::from(manifest), false),
    ] {
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "says_what_its_input_is", "--nocapture"])
            .env(ASKED, "1")
            .stdin(input)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (code, said, _) = ends(child).await;
        assert_eq!(code, Some(0));
        assert!(said.contains(&format!("pipe: {pipe}")), "{said}");
    }
}
