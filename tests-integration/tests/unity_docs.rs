//! `unity_docs` and `debug_request_context` through the whole server. The documentation is a site of the test's own.
#![allow(
    clippy::disallowed_methods,
    missing_docs,
    reason = "tests wait and spawn"
)]

use examples::calls::{Budget, Calls};
use examples::docs::Docs;
use examples::hub::{Config, Hub};
use examples::server::{Http, Started};
use mcp_transport_core::loopback::Loopback;
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use tests_integration::{Answer, Client, Server};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// A web site, and what it was asked for.
struct Site {
    url: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Site {
    /// `answers`: the beginning of a path, and the head's first lines with the body after a blank one.
    async fn start(answers: &'static [(&'static str, &'static str)]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("bound"));
        let asked = Arc::new(Mutex::new(Vec::new()));
        let seen = asked.clone();
        tokio::spawn(async move {
            while let Ok((mut socket, _)) = listener.accept().await {
                let seen = seen.clone();
                tokio::spawn(async move {
                    let mut head = Vec::new();
                    while !head.ends_with(b"\r\n\r\n") {
                        match socket.read_u8().await {
                            Ok(byte) => head.push(byte),
                            Err(_) => return,
                        }
                    }
                    let head = String::from_utf8_lossy(&head).into_owned();
                    let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
                    let answer = answers.iter().find(|(start, _)| path.starts_with(start));
                    let answer = answer.map_or("404 Not Found\n\nnothing", |(_, answer)| answer);
                    seen.lock().expect("no panic").push(path);
                    let (head, body) = answer.split_once("\n\n").expect("a head and a body");
                    let body = body.replace("MUCH", &"x".repeat(5 * 1024 * 1024));
                    let head = head.replace('\n', "\r\n");
                    let length = body.len();
                    let text = format!(
                        "HTTP/1.1 {head}\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
                    );
                    let _ = socket.write_all(text.as_bytes()).await;
                    let _ = socket.shutdown().await;
                });
            }
        });
        Self { url, asked }
    }

    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.asked.lock().expect("no panic"))
    }
}

/// A server that takes its documentation from there, and a client.
async fn serve(site: &str) -> (Started, Client) {
    let listener = Loopback::bind(0).expect("a free port");
    let url = format!("http://127.0.0.1:{}/mcp", listener.local_port());
    let hub = Hub::new(Config::default());
    let docs: Docs = site.parse().expect("a URL");
    let calls = Calls::new(hub, Budget::default(), || None).docs_at(docs);
    let started = Http::start(listener, &calls, Vec::new());
    let client = Client::legacy_at(&url).await;
    (started, client)
}

async fn docs(client: &Client, args: Value) -> Answer {
    client.call("unity_docs", args).await
}

const RAYCAST: &str = "200 OK\nContent-Type: text/html\n\n<div class=subsection><h3>Description</h3><p>Casts a ray.</p></div>";

#[tokio::test]
async fn a_page_is_found_where_it_is_and_what_is_nowhere_is_no_error() {
    let site = Site::start(&[
        ("/ScriptReference/Physics-gravity.html", RAYCAST),
        (
            "/Manual/execution-order.html",
            "200 OK\n\n<h1>Order</h1><p>One.</p>",
        ),
        (
            "/Packages/com.unity.x@1.0/manual/index.html",
            "302 Found\nLocation: /Packages/com.unity.x@1.0/manual/home.html\n\n",
        ),
        (
            "/Packages/com.unity.x@1.0/manual/home.html",
            "200 OK\n\n<h1>X</h1>",
        ),
    ])
    .await;
    let (started, client) = serve(&site.url).await;
    let args = json!({"action": "get_doc", "class_name": "Physics", "member_name": "gravity", "version": "6000.0.38f1"});
    let answer = docs(&client, args).await;
    assert!(answer.succeeded(), "{answer:?}");
    let data = &answer.value["data"];
    assert_eq!(data["description"], "Casts a ray.");
    assert_eq!(
        data["url"],
        format!("{}/ScriptReference/Physics-gravity.html", site.url)
    );
    assert_eq!(site.asked().len(), 4);

    let args = json!({"action": "get_manual", "slug": "execution-order"});
    assert_eq!(docs(&client, args).await.value["data"]["title"], "Order");
    let args = json!({"action": "get_package_doc", "package": "com.unity.x", "page": "index", "pkg_version": "1.0"});
    let moved = docs(&client, args).await;
    assert_eq!(
        moved.value["data"]["url"],
        format!("{}/Packages/com.unity.x@1.0/manual/home.html", site.url)
    );
    let args = json!({"action": "get_manual", "slug": "nowhere"});
    let nowhere = docs(&client, args).await;
    assert!(
        nowhere.succeeded() && nowhere.value["data"]["found"] == false,
        "{nowhere:?}"
    );
    let missing = docs(&client, json!({"action": "get_doc"})).await;
    assert_eq!(missing.value["cause"], "invalid_arguments", "{missing:?}");
    started.stop().await;
}

#[tokio::test]
async fn what_is_no_page_is_an_error_that_says_what_failed() {
    let site = Site::start(&[
        ("/Manual/broken.html", "503 Service Unavailable\n\n"),
        ("/Manual/kept.html", "403 Forbidden\n\n"),
        (
            "/Manual/round.html",
            "302 Found\nLocation: /Manual/round.html\n\n",
        ),
        (
            "/Manual/away.html",
            "302 Found\nLocation: http://127.0.0.2:1/x\n\n",
        ),
        ("/Manual/huge.html", "200 OK\n\nMUCH"),
    ])
    .await;
    let (started, client) = serve(&site.url).await;
    for (slug, cause) in [
        ("broken", "site_failed"),
        ("kept", "site_refused"),
        ("round", "redirected"),
        ("away", "redirected"),
        ("huge", "too_large"),
    ] {
        let answer = docs(&client, json!({"action": "get_manual", "slug": slug})).await;
        assert!(answer.is_error, "{slug}: {answer:?}");
        assert_eq!(answer.value["error"], cause, "{answer:?}");
        let message = answer.value["message"].as_str().expect("a message");
        assert!(
            message.contains(&format!("/Manual/{slug}.html")),
            "{message}"
        );
    }
    // At most five hops.
    assert!(
        site.asked()
            .iter()
            .filter(|path| path.contains("round"))
            .count()
            <= 6
    );
    started.stop().await;

    let (started, client) = serve("http://127.0.0.1:1").await;
    let answer = docs(&client, json!({"action": "get_manual", "slug": "a"})).await;
    assert_eq!(answer.value["error"], "unreachable", "{answer:?}");
    let answer = docs(&client, json!({"action": "lookup", "query": "a"})).await;
    assert!(answer.is_error, "{answer:?}");
    started.stop().await;
}

#[tokio::test]
async fn a_lookup_asks_all_sources_and_says_what_each_has() {
    let site = Site::start(&[
        ("/ScriptReference/Physics.Raycast.html", RAYCAST),
        ("/Manual/physics.raycast.html", "200 OK\n\n<h1>Rays</h1>"),
        ("/Manual/Broken.html", "500 Internal Server Error\n\n"),
    ])
    .await;
    let (started, client) = serve(&site.url).await;
    let args = json!({"action": "lookup", "queries": "Physics.Raycast,Broken", "package": "p", "pkg_version": "1"});
    let answer = docs(&client, args).await;
    assert!(answer.succeeded(), "{answer:?}");
    let data = &answer.value["data"];
    assert_eq!(
        data["summary"],
        json!({"total": 2, "found": 1, "missed": 1})
    );
    let hits: Vec<_> = data["results"][0]["hits"]
        .as_array()
        .expect("hits")
        .iter()
        .map(|hit| &hit["source"])
        .collect();
    assert_eq!(hits, [&json!("script_ref"), &json!("manual_lc")]);
    assert_eq!(
        data["results"][0]["sources_checked"],
        json!(["script_ref", "manual", "manual_lc", "package", "package_lc"])
    );
    assert_eq!(data["results"][1]["errors"][0]["source"], "manual");
    let args = json!({"action": "lookup", "queries": vec!["a"; 21].join(",")});
    assert!(docs(&client, args).await.is_error);
    started.stop().await;
}

#[tokio::test]
async fn the_request_is_shown_as_this_server_sees_it_on_either_era() {
    let server = Server::start(Budget::default());
    let client = server.client().await;
    let answer = client.call("debug_request_context", json!({})).await;
    assert!(answer.succeeded(), "{answer:?}");
    let data = &answer.value["data"];
    assert!(data["request_context"]["session_id"].is_string(), "{data}");
    assert_eq!(data["request_context"]["stateless"], false);
    assert_eq!(
        data["request_context"]["client_id"],
        data["client"]["info"]["name"]
    );
    assert_eq!(data["session_state"]["active_instance"], Value::Null);
    assert_eq!(
        data["server"]["version"],
        env!("CARGO_PKG_VERSION").replace("0.0.0", "0.1.0")
    );
    assert!(data["server"]["argv"].is_array() && data["server"]["env"].is_object());

    let editor = server.editor(examples::sim::Options::default()).await;
    let id = server.hub.snapshot()[0].id();
    client
        .call("set_active_instance", json!({"instance": id}))
        .await;
    let answer = client.call("debug_request_context", json!({})).await;
    assert_eq!(answer.value["data"]["session_state"]["active_instance"], id);
    let modern = server.modern_client().await;
    let answer = modern.call("debug_request_context", json!({})).await;
    let context = &answer.value["data"]["request_context"];
    assert_eq!(
        (&context["stateless"], &context["session_id"]),
        (&json!(true), &Value::Null)
    );
    assert_eq!(context["protocol_version"], "2026-07-28");
    drop(editor);
    server.stop().await;
}
