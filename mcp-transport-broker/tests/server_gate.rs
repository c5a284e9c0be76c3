//! Who may come in, on either plane.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    missing_docs,
    reason = "tests wait"
)]

mod server_support;

use serde_json::json;
use server_support::{Host, Raw, TOKEN, call, config, host_ask, message, up};

const PLANES: [&str; 2] = ["/mcp", "/_broker/v1/attach"];

#[tokio::test]
async fn a_foreign_page_is_refused_on_both_planes() {
    let up = up(config());
    let bearer = format!("Bearer {TOKEN}");
    for path in PLANES {
        for foreign in [
            ("Origin", "https://evil.example"),
            ("Origin", "null"),
            ("Sec-Fetch-Site", "cross-site"),
        ] {
            let mut page = Raw::to(up.port).await;
            let headers = [("Authorization", bearer.as_str()), foreign];
            let response = page
                .ask(&format!("POST {path}"), &headers, Some("{}"))
                .await;
            assert_eq!(response.status, 403, "{path} {foreign:?}");
            assert_eq!(response.header("access-control-allow-origin"), None);
            assert!(page.closed().await);
        }
    }
}

#[tokio::test]
async fn a_foreign_host_is_refused_on_both_planes() {
    let up = up(config());
    for path in PLANES {
        for host in ["evil.example", "127.0.0.1", "127.0.0.1:1", ""] {
            let mut client = Raw::to(up.port).await;
            let head = format!(
                "POST {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {TOKEN}\r\n\
                 Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{{}}"
            );
            client.write(head).await;
            assert_eq!(client.response().await.status, 403, "{path} {host}");
        }
    }
}

#[tokio::test]
async fn a_body_that_is_not_declared_as_json_is_refused_on_both_planes() {
    let up = up(config());
    for path in PLANES {
        let mut client = Raw::to(up.port).await;
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nAuthorization: Bearer {TOKEN}\r\n\
             Content-Type: text/plain\r\nContent-Length: 2\r\n\r\n{{}}",
            up.port
        );
        client.write(head).await;
        let status = client.response().await.status;
        assert_eq!(status, 415, "{path}");
    }
}

#[tokio::test]
async fn only_who_knows_the_token_is_a_host() {
    let up = up(config());
    for what in ["attach", "pull", "push", "ping", "detach", "status", "stop"] {
        for token in ["", "Bearer wrong", "Bearer a-token-for-testz", TOKEN] {
            let mut raw = Raw::to(up.port).await;
            let headers = [("Authorization", token)];
            let headers = if token.is_empty() { &[][..] } else { &headers };
            let line = format!("POST /_broker/v1/{what}");
            let response = raw.ask(&line, headers, Some("{}")).await;
            assert_eq!(response.status, 401, "{what} {token}");
            assert_eq!(response.header("www-authenticate"), Some("Bearer"));
            assert_eq!(response.json()["error"], "unauthorized");
        }
    }
    assert!(!up.serving.is_finished());
}

#[tokio::test]
async fn a_stranger_neither_pulls_nor_answers() {
    let up = up(config());
    let mut host = Host::attach(up.port).await;
    let mut client = Raw::to(up.port).await;
    client.modern(call(1)).await;
    let items = host.pull().await;
    let ticket = items[0].ticket.unwrap();

    let forged = json!({"items": [{"ticket": ticket, "message":
        {"jsonrpc": "2.0", "id": 1, "result": {"forged": true}}}]});
    let mut stranger = Raw::to(up.port).await;
    let response = host_ask(&mut stranger, Some("0123456789abcdef"), "push", &forged).await;
    assert_eq!(response.status, 409);
    assert_eq!(response.json()["error"], "lease_over");
    assert_eq!(response.json()["reason"], "unknown");
    let response = host_ask(&mut stranger, None, "push", &forged).await;
    assert_eq!(response.status, 400);

    host.result(&items[0], json!({"forged": false})).await;
    assert_eq!(client.response().await.json()["result"]["forged"], false);
}

#[tokio::test]
async fn a_listed_page_may_call_and_read_the_answer() {
    let origin = "https://inspector.example";
    let up = up(config().allow_origin(origin.parse().unwrap()));
    let mut page = Raw::to(up.port).await;
    let preflight = [
        ("Origin", origin),
        ("Sec-Fetch-Site", "cross-site"),
        ("Access-Control-Request-Method", "POST"),
    ];
    let response = page.ask("OPTIONS /mcp", &preflight, None).await;
    assert_eq!(response.status, 204);
    assert_eq!(response.header("access-control-allow-origin"), Some(origin));

    let mut host = Host::attach(up.port).await;
    let (headers, body) = call(1);
    let mut headers = server_support::borrowed(&headers);
    headers.extend([("Origin", origin), ("Sec-Fetch-Site", "cross-site")]);
    page.send("POST /mcp", &headers, Some(&body)).await;
    let items = host.pull().await;
    assert_eq!(message(&items[0])["id"], 1);
    host.result(&items[0], json!({})).await;
    let response = page.response().await;
    assert_eq!(response.status, 200);
    assert_eq!(response.header("access-control-allow-origin"), Some(origin));
}

#[tokio::test]
async fn a_broker_proves_to_a_host_that_it_knows_the_token_and_does_not_say_it() {
    let up = up(config());
    let mut raw = Raw::to(up.port).await;
    let response = raw.ask("GET /_broker/v1/hello?nonce=0f1e", &[], None).await;
    assert_eq!(response.status, 200, "{}", response.text());
    let hello = response.json();
    assert_eq!(hello["name"], "mcp-broker");
    let proof = hello["proof"].as_str().unwrap();
    assert!(mcp_transport_broker::native::is_proof(
        proof, TOKEN, up.port, "0f1e"
    ));
    assert!(!response.text().contains(TOKEN));
    let response = raw.ask("GET /_broker/v1/hello?nonce=zz", &[], None).await;
    assert_eq!(response.status, 400);
}
