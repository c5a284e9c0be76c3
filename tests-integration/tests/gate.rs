//! What a web page can send to the port goes nowhere; what a program sends, or a page that is allowed, goes on.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    missing_docs,
    reason = "tests wait and spawn"
)]

use examples::calls::Budget;
use examples::hub::Config;
use examples::sim::Options;
use mcp_transport_core::loopback::Loopback;
use serde_json::json;
use std::time::Duration;
use tests_integration::Server;
use tests_integration::raw::{self, Response, Session, exchange, request};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const PATHS: &[&str] = &["/mcp", "/hub/plugin", "/health", "/api/command", "/nowhere"];

/// A body is announced in each, and never sent: an answer proves that nobody waited for it.
const UNSENT: (&str, &str) = ("Content-Length", "100000");
const JSON: (&str, &str) = ("Content-Type", "application/json");
const ACCEPT: (&str, &str) = ("Accept", "application/json, text/event-stream");

/// Requests as browsers write them, and how they are refused. `{port}` is the server's own.
type Case = (
    &'static str,
    &'static str,
    &'static [(&'static str, &'static str)],
    u16,
);
const REFUSED: &[Case] = &[
    // Rebound names, and names that only look like ours.
    ("a rebound name", "GET", &[("Host", "evil.example")], 403),
    (
        "a rebound name with our port",
        "GET",
        &[("Host", "evil.example:{port}")],
        403,
    ),
    (
        "a rebound POST",
        "POST",
        &[("Host", "evil.example:{port}"), JSON, UNSENT],
        403,
    ),
    (
        "our name as a subdomain",
        "GET",
        &[("Host", "localhost.evil.example:{port}")],
        403,
    ),
    (
        "our name as a user",
        "GET",
        &[("Host", "localhost:{port}@evil.example")],
        403,
    ),
    (
        "our address in another spelling",
        "GET",
        &[("Host", "127.1:{port}")],
        403,
    ),
    (
        "our address as a number",
        "GET",
        &[("Host", "2130706433:{port}")],
        403,
    ),
    (
        "another loopback address",
        "GET",
        &[("Host", "127.0.0.2:{port}")],
        403,
    ),
    ("every address", "GET", &[("Host", "0.0.0.0:{port}")], 403),
    (
        "a mapped address",
        "GET",
        &[("Host", "[::ffff:127.0.0.1]:{port}")],
        403,
    ),
    ("another port", "GET", &[("Host", "127.0.0.1:1")], 403),
    ("no port", "GET", &[("Host", "127.0.0.1")], 403),
    ("an empty host", "GET", &[("Host", "")], 403),
    (
        "two hosts",
        "GET",
        &[("Host", "127.0.0.1:{port}"), ("Host", "evil.example")],
        403,
    ),
    // Pages of other origins.
    (
        "a page's GET",
        "GET",
        &[("Origin", "https://evil.example")],
        403,
    ),
    (
        "a page's POST",
        "POST",
        &[("Origin", "https://evil.example"), JSON, UNSENT],
        403,
    ),
    (
        "a sandboxed page",
        "POST",
        &[("Origin", "null"), JSON, UNSENT],
        403,
    ),
    (
        "a file",
        "POST",
        &[("Origin", "file://"), JSON, UNSENT],
        403,
    ),
    (
        "an extension",
        "POST",
        &[("Origin", "chrome-extension://abcdef"), JSON, UNSENT],
        403,
    ),
    (
        "a page of another local port",
        "POST",
        &[("Origin", "http://localhost:1"), JSON, UNSENT],
        403,
    ),
    (
        "our origin over TLS",
        "POST",
        &[("Origin", "https://127.0.0.1:{port}"), JSON, UNSENT],
        403,
    ),
    (
        "our origin with more behind it",
        "GET",
        &[("Origin", "http://localhost:{port}.evil.example")],
        403,
    ),
    (
        "our origin with a path",
        "GET",
        &[("Origin", "http://localhost:{port}/")],
        403,
    ),
    ("an empty origin", "GET", &[("Origin", "")], 403),
    (
        "two origins",
        "GET",
        &[
            ("Origin", "http://localhost:{port}"),
            ("Origin", "https://evil.example"),
        ],
        403,
    ),
    (
        "a preflight",
        "OPTIONS",
        &[
            ("Origin", "https://evil.example"),
            ("Access-Control-Request-Method", "POST"),
        ],
        403,
    ),
    (
        "a page's DELETE",
        "DELETE",
        &[("Origin", "https://evil.example"), ("Mcp-Session-Id", "x")],
        403,
    ),
    (
        "a page's WebSocket",
        "GET",
        &[
            ("Origin", "https://evil.example"),
            ("Connection", "Upgrade"),
            ("Upgrade", "websocket"),
            ("Sec-WebSocket-Version", "13"),
            ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ],
        403,
    ),
    // What browsers add by themselves where there is no Origin.
    (
        "an image of another site",
        "GET",
        &[("Sec-Fetch-Site", "cross-site")],
        403,
    ),
    (
        "a page of the same site",
        "GET",
        &[("Sec-Fetch-Site", "same-site")],
        403,
    ),
    (
        "a cross-site event stream",
        "GET",
        &[
            ("Sec-Fetch-Site", "cross-site"),
            ("Accept", "text/event-stream"),
        ],
        403,
    ),
    (
        "two fetch sites",
        "GET",
        &[("Sec-Fetch-Site", "none"), ("Sec-Fetch-Site", "cross-site")],
        403,
    ),
    // Bodies that a page may send without being asked.
    (
        "a form",
        "POST",
        &[
            ("Content-Type", "application/x-www-form-urlencoded"),
            UNSENT,
        ],
        415,
    ),
    (
        "an upload",
        "POST",
        &[("Content-Type", "multipart/form-data; boundary=x"), UNSENT],
        415,
    ),
    (
        "plain text",
        "POST",
        &[("Content-Type", "text/plain"), UNSENT],
        415,
    ),
    (
        "JSON in disguise",
        "POST",
        &[("Content-Type", "text/plain;application/json"), UNSENT],
        415,
    ),
    ("a beacon without a type", "POST", &[UNSENT], 415),
    (
        "two types",
        "POST",
        &[JSON, ("Content-Type", "text/plain"), UNSENT],
        415,
    ),
    (
        "a chunked form",
        "POST",
        &[
            ("Content-Type", "text/plain"),
            ("Transfer-Encoding", "chunked"),
        ],
        415,
    ),
    // More than anybody needs.
    (
        "a huge body",
        "POST",
        &[JSON, ("Content-Length", "16777217")],
        413,
    ),
];

fn write(port: u16, path: &str, method: &str, headers: &[(&str, &str)]) -> String {
    let own = port.to_string();
    let values: Vec<String> = headers
        .iter()
        .map(|(_, value)| value.replace("{port}", &own))
        .collect();
    let headers: Vec<(&str, &str)> = headers
        .iter()
        .zip(&values)
        .map(|((name, _), value)| (*name, value.as_str()))
        .collect();
    request(&format!("{method} {path}"), port, &headers, "")
}

async fn send(port: u16, text: &str) -> Response {
    tokio::time::timeout(Duration::from_secs(5), exchange(port, text))
        .await
        .unwrap_or_else(|_| panic!("no answer to {text:?}"))
}

#[tokio::test]
async fn what_a_page_can_send_is_refused_on_every_path_before_anybody_reads_it() {
    let server = Server::start(Budget::default());
    let editor = server.editor(Options::default()).await;
    for (name, method, headers, status) in REFUSED {
        for path in PATHS {
            let response = send(server.port, &write(server.port, path, method, headers)).await;
            assert_eq!(response.status, *status, "{name} to {path}: {response:?}");
            let none = response.header("access-control-allow-origin");
            assert_eq!(none, None, "{name} to {path}");
            assert_eq!(
                response.header("connection"),
                Some("close"),
                "{name} to {path}"
            );
            assert_ne!(
                response.body.trim(),
                "",
                "{name} to {path}: it does not say why"
            );
        }
    }
    assert!(REFUSED.len() >= 30);
    assert_eq!(editor.report().executed, 0);
    assert_eq!(server.hub.sockets(), (1, 0));
    server.stop().await;
}

#[tokio::test]
async fn a_refused_connection_is_not_used_again() {
    let server = Server::start(Budget::default());
    let mut stream = TcpStream::connect(("127.0.0.1", server.port))
        .await
        .unwrap();
    let evil = write(
        server.port,
        "/health",
        "GET",
        &[("Origin", "https://evil.example")],
    );
    let good = write(server.port, "/health", "GET", &[]);
    stream
        .write_all(format!("{evil}{good}").as_bytes())
        .await
        .unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
    assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{answer}");
    server.stop().await;
}

#[tokio::test]
async fn a_request_without_a_host_is_refused() {
    let server = Server::start(Budget::default());
    for version in ["1.0", "1.1"] {
        let response = send(server.port, &format!("GET /health HTTP/{version}\r\n\r\n")).await;
        assert!(matches!(response.status, 400 | 403), "{response:?}");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_head_that_is_too_large_is_431_whichever_way_it_is() {
    let server = Server::start(Budget::default());
    let long = "x".repeat(70 * 1024);
    let many: Vec<(String, &str)> = (0..150)
        .map(|number| (format!("X-{number}"), "1"))
        .collect();
    let many: Vec<(&str, &str)> = many.iter().map(|(name, it)| (name.as_str(), *it)).collect();
    for headers in [&[("X-Long", long.as_str())][..], &many] {
        for path in PATHS {
            let response = send(server.port, &write(server.port, path, "GET", headers)).await;
            assert_eq!(response.status, 431, "{path}");
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn a_body_that_grows_too_large_on_the_way_is_413() {
    let server = Server::start(Budget::default());
    let editor = server.editor(Options::default()).await;
    let head = write(
        server.port,
        "/mcp",
        "POST",
        &[JSON, ACCEPT, ("Transfer-Encoding", "chunked")],
    );
    let mut stream = TcpStream::connect(("127.0.0.1", server.port))
        .await
        .unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    let (mut from, mut to) = stream.split();
    let sending = async {
        let megabyte = format!("100000\r\n{}\r\n", " ".repeat(1 << 20));
        for _ in 0..20 {
            if to.write_all(megabyte.as_bytes()).await.is_err() {
                break;
            }
        }
        // The rest is never sent: the answer must come without it.
        std::future::pending::<()>().await;
    };
    let mut first = [0; 12];
    let answer = async { from.read_exact(&mut first).await };
    tokio::select! {
        () = sending => unreachable!("it never ends"),
        answered = tokio::time::timeout(Duration::from_secs(5), answer) => {
            answered.expect("in time").expect("an answer");
        }
    }
    assert_eq!(&first, b"HTTP/1.1 413");
    assert_eq!(editor.report().executed, 0);
    server.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_head_that_never_ends_is_given_up_after_ten_seconds() {
    let server = Server::start(Budget::default());
    let mut stream = TcpStream::connect(("127.0.0.1", server.port))
        .await
        .unwrap();
    let begun = tokio::time::Instant::now();
    stream
        .write_all(b"GET /health HTTP/1.1\r\nHost: 127")
        .await
        .unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    let waited = begun.elapsed();
    assert!((9..=11).contains(&waited.as_secs()), "{waited:?}");
    assert!(!answer.starts_with(b"HTTP/1.1 200"), "{answer:?}");
    server.stop().await;
}

#[tokio::test]
async fn a_program_passes_by_every_name_of_this_machine() {
    let server = Server::start(Budget::default());
    let editor = server.editor(Options::default()).await;
    let session = Session::begin(server.port).await;
    let call = json!({"action": "get_hierarchy"});
    assert!(session.call("manage_scene", call.clone()).await.succeeded());
    let modern = raw::modern_call(server.port, "manage_scene", &call, false);
    assert!(send(server.port, &modern).await.answer().succeeded());
    for host in ["127.0.0.1", "localhost", "LOCALHOST", "[::1]"] {
        let host = format!("{host}:{}", server.port);
        let text = write(server.port, "/health", "GET", &[("Host", &host)]);
        assert_eq!(send(server.port, &text).await.status, 200, "{host}");
    }
    // What this server itself would serve, and what the user typed into the address bar.
    let own = [
        ("Origin", "http://localhost:{port}"),
        ("Sec-Fetch-Site", "same-origin"),
    ];
    for headers in [&own[..], &[("Sec-Fetch-Site", "none")]] {
        let text = write(server.port, "/health", "GET", headers);
        let response = send(server.port, &text).await;
        assert_eq!(response.status, 200, "{headers:?}");
        assert_eq!(response.header("access-control-allow-origin"), None);
    }
    let text = write(server.port, "/nowhere", "GET", &[]);
    assert_eq!(send(server.port, &text).await.status, 404);
    let text = write(server.port, "/health", "POST", &[]);
    assert_eq!(send(server.port, &text).await.status, 405);
    // Once asked whether it is ready, and called twice.
    assert_eq!(editor.report().executed, 3);
    server.stop().await;
}

#[tokio::test]
async fn a_page_that_is_allowed_is_told_so_in_every_answer() {
    const APP: (&str, &str) = ("Origin", "https://app.example");
    const CROSS: (&str, &str) = ("Sec-Fetch-Site", "cross-site");
    let listener = Loopback::bind(0).unwrap();
    let origins = vec!["https://app.example".parse().unwrap()];
    let server = Server::with(listener, Budget::default(), Config::default(), origins);
    for path in PATHS {
        let asks = [
            APP,
            CROSS,
            ("Access-Control-Request-Method", "POST"),
            (
                "Access-Control-Request-Headers",
                "content-type,mcp-session-id",
            ),
        ];
        let response = send(server.port, &write(server.port, path, "OPTIONS", &asks)).await;
        assert_eq!(response.status, 204, "{path}: {response:?}");
        assert_eq!(
            response.header("access-control-allow-origin"),
            Some("https://app.example")
        );
        assert_eq!(response.header("vary"), Some("origin"));
        let methods = response.header("access-control-allow-methods").unwrap();
        assert!(
            methods.contains("post") && methods.contains("delete"),
            "{methods}"
        );
        let headers = response.header("access-control-allow-headers").unwrap();
        for needed in [
            "content-type",
            "mcp-session-id",
            "mcp-protocol-version",
            "mcp-method",
            "mcp-name",
        ] {
            assert!(headers.contains(needed), "{needed} not in {headers}");
        }
    }
    let health = send(
        server.port,
        &write(server.port, "/health", "GET", &[APP, CROSS]),
    )
    .await;
    assert_eq!(
        (health.status, health.header("vary")),
        (200, Some("origin"))
    );
    assert_eq!(
        health.header("access-control-allow-origin"),
        Some("https://app.example")
    );
    let body = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {
        "protocolVersion": "2025-11-25", "capabilities": {},
        "clientInfo": {"name": "page", "version": "0"},
    }});
    let text = request(
        "POST /mcp",
        server.port,
        &[APP, CROSS, JSON, ACCEPT],
        &body.to_string(),
    );
    let begun = send(server.port, &text).await;
    assert_eq!(begun.status, 200, "{begun:?}");
    assert_eq!(
        begun.header("access-control-allow-origin"),
        Some("https://app.example")
    );
    assert!(
        begun
            .header("access-control-expose-headers")
            .unwrap()
            .contains("mcp-session-id")
    );
    // Another page is none the better for it.
    let other = write(
        server.port,
        "/health",
        "GET",
        &[("Origin", "https://other.example")],
    );
    assert_eq!(send(server.port, &other).await.status, 403);
    server.stop().await;
}
