//! Hosts of the seed's dialect: one anonymous lease, and what becomes of its calls.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    missing_docs,
    reason = "tests wait"
)]

mod foreign_support;
mod server_support;

use foreign_support::{call, connections, post, posts, queued, seed};
use mcp_transport_broker::server::ServerConfig;
use serde_json::{Value, json};
use server_support::{Raw, Response, TOKEN, Up, up};
use std::time::Duration;
use tokio::time::{sleep, timeout};

const BEARER: &str = "Bearer a-token-for-tests";

/// A broker, and its host, which is nobody.
struct Seed {
    _up: Up,
    port: u16,
}

impl Seed {
    fn new(config: ServerConfig) -> Self {
        assert_eq!(BEARER.strip_prefix("Bearer "), Some(TOKEN));
        let up = up(config);
        let port = up.port;
        Self { _up: up, port }
    }

    async fn pulling(&self) -> Raw {
        let mut raw = Raw::to(self.port).await;
        raw.send("GET /_b/pull", &[("Authorization", BEARER)], None)
            .await;
        raw
    }

    /// The number and the body of what there is.
    async fn pull(&self) -> Option<(String, Value)> {
        got(&self.pulling().await.response().await)
    }

    async fn push(&self, number: &str, body: &Value) -> u16 {
        let headers = [("Authorization", BEARER), ("X-Broker-ReqId", number)];
        let mut raw = Raw::to(self.port).await;
        raw.ask("POST /_b/push", &headers, Some(&body.to_string()))
            .await
            .status
    }
}

fn got(response: &Response) -> Option<(String, Value)> {
    match response.status {
        200 => {
            let number = response.header("x-broker-reqid").expect("a number");
            assert!(number.parse::<i64>().is_ok_and(|number| number > 0));
            Some((number.to_owned(), response.json()))
        }
        status => {
            assert_eq!(status, 204, "{}", response.text());
            None
        }
    }
}

fn answer(n: i64) -> Value {
    json!({"jsonrpc": "2.0", "id": n, "result": {"n": n}})
}

#[tokio::test]
async fn a_call_made_before_any_host_is_held_and_served() {
    let seed = Seed::new(seed());
    let mut client = posts(seed.port, &call(1, 0)).await;
    queued(seed.port, 1).await;
    let (number, body) = seed.pull().await.unwrap();
    assert_eq!(body, call(1, 0));
    assert_eq!(seed.push(&number, &answer(1)).await, 200);
    let response = client.response().await;
    assert_eq!((response.status, response.json()), (200, answer(1)));
}

#[tokio::test]
async fn bodies_pass_as_they_are() {
    let seed = Seed::new(seed());
    let body = "{\"id\" : 9007199254740993.0 ,\n \"method\":\"x\\/y\", \"jsonrpc\":\"2.0\"}";
    let mut client = Raw::to(seed.port).await;
    client.send("POST /anything?at=all", &[], Some(body)).await;
    let response = seed.pulling().await.response().await;
    assert_eq!(response.text(), body);
    let number = response.header("x-broker-reqid").unwrap();
    let odd = "{\"result\": [ 1 ] ,\"id\":0}";
    let headers = [("Authorization", BEARER), ("X-Broker-ReqId", number)];
    let mut raw = Raw::to(seed.port).await;
    let pushed = raw.ask("POST /_b/push", &headers, Some(odd)).await;
    assert_eq!((pushed.status, pushed.json()), (200, json!({"ok": true})));
    assert_eq!(client.response().await.text(), odd);
}

#[tokio::test]
async fn an_empty_poll_ends_with_204() {
    let seed = Seed::new(seed().park(Duration::from_millis(100)));
    assert_eq!(seed.pull().await, None);
}

#[tokio::test]
async fn a_slow_tool_runs_once_while_the_host_pulls_on() {
    // The original handed it out again after 1.5 s.
    let seed = Seed::new(seed().park(Duration::from_millis(200)));
    let mut client = posts(seed.port, &call(1, 0)).await;
    let (number, _) = seed.pull().await.unwrap();
    for n in 2..10 {
        let mut other = posts(seed.port, &call(n, 0)).await;
        let (number, body) = seed.pull().await.unwrap();
        assert_eq!(body["id"], n, "the slow one is not handed out again");
        assert_eq!(seed.push(&number, &answer(n)).await, 200);
        assert_eq!(other.response().await.json(), answer(n));
        for _ in 0..2 {
            assert_eq!(seed.pull().await, None);
        }
    }
    // Four seconds have gone by.
    assert_eq!(seed.push(&number, &answer(1)).await, 200);
    assert_eq!(client.response().await.json(), answer(1));
}

#[tokio::test]
async fn a_parked_socket_that_dies_ends_the_lease_at_once() {
    let seed = Seed::new(seed().host_lease(Duration::from_secs(60)));
    let list = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list"});
    let mut read = posts(seed.port, &list).await;
    queued(seed.port, 1).await;
    let mut effect = posts(seed.port, &call(2, 0)).await;
    assert_eq!(seed.pull().await.unwrap().1["id"], 1);
    let (number, _) = seed.pull().await.unwrap();
    let parked = seed.pulling().await;
    connections(seed.port, 1).await;
    drop(parked);
    // What may have had an effect ends as unknown, long before any time-out.
    let ended = effect.response().await;
    assert_eq!(ended.status, 200);
    assert_eq!(ended.json()["id"], 2);
    assert_eq!(ended.json()["error"]["data"]["outcome"], "unknown");
    // What only reads is handed out again.
    let (again, body) = seed.pull().await.unwrap();
    assert_eq!(body, list);
    assert_eq!(seed.push(&again, &answer(1)).await, 200);
    assert_eq!(read.response().await.json(), answer(1));
    // The host was alive after all: nobody waits, but the result is no stray.
    assert_eq!(seed.push(&number, &answer(2)).await, 200);
    let id = ended.json()["error"]["data"]["operation_id"].clone();
    let line = format!("GET /_broker/v1/operations/{}", id.as_str().unwrap());
    let late = Raw::to(seed.port).await.ask(&line, &[], None).await;
    assert_eq!((late.status, late.json()), (200, answer(2)));
}

#[tokio::test]
async fn a_host_without_a_sign_is_gone_after_its_lease() {
    let seed = Seed::new(seed().host_lease(Duration::from_millis(300)));
    let mut client = posts(seed.port, &call(1, 0)).await;
    seed.pull().await.unwrap();
    let ended = client.response().await.json();
    assert_eq!(ended["error"]["data"]["outcome"], "unknown");
}

#[tokio::test]
async fn signs_of_life_keep_the_lease() {
    let seed = Seed::new(
        seed()
            .host_lease(Duration::from_millis(1_500))
            .park(Duration::from_millis(10)),
    );
    let mut client = posts(seed.port, &call(1, 0)).await;
    let (number, _) = seed.pull().await.unwrap();
    for _ in 0..6 {
        sleep(Duration::from_millis(400)).await;
        assert_eq!(seed.pull().await, None);
    }
    assert_eq!(seed.push(&number, &answer(1)).await, 200);
    assert_eq!(client.response().await.json(), answer(1));
}

#[tokio::test]
async fn the_seeds_own_rule_can_be_had() {
    let config = seed().seed_redeliver(true);
    let seed = Seed::new(config.host_lease(Duration::from_millis(200)));
    let mut client = posts(seed.port, &call(1, 0)).await;
    let (first, _) = seed.pull().await.unwrap();
    sleep(Duration::from_millis(400)).await;
    let (again, body) = seed.pull().await.unwrap();
    assert_eq!((again.as_str(), &body), (first.as_str(), &call(1, 0)));
    assert_eq!(seed.push(&again, &answer(1)).await, 200);
    assert_eq!(client.response().await.json(), answer(1));
}

#[tokio::test]
async fn forged_pushes_and_foreign_pulls_are_refused() {
    let seed = Seed::new(seed());
    let mut client = posts(seed.port, &call(1, 0)).await;
    let (number, _) = seed.pull().await.unwrap();
    for authorization in [None, Some("Bearer wrong"), Some(TOKEN), Some("Basic x")] {
        let mut headers = vec![("X-Broker-ReqId", number.as_str())];
        headers.extend(authorization.map(|value| ("Authorization", value)));
        let body = answer(666).to_string();
        let mut raw = Raw::to(seed.port).await;
        let refused = raw.ask("POST /_b/push", &headers, Some(&body)).await;
        assert_eq!(refused.status, 401);
        assert_eq!(refused.header("www-authenticate"), Some("Bearer"));
        let mut raw = Raw::to(seed.port).await;
        assert_eq!(raw.ask("GET /_b/pull", &headers, None).await.status, 401);
    }
    // From a page, even with the token.
    let headers = [
        ("Authorization", BEARER),
        ("Origin", "https://evil.example"),
    ];
    let mut raw = Raw::to(seed.port).await;
    let refused = raw.ask("GET /_b/pull", &headers, None).await;
    assert_eq!(refused.status, 403);
    assert_eq!(refused.header("access-control-allow-origin"), None);
    // What was never handed out has no answer.
    for number in ["1", "0", "-1", "x", "", "9223372036854775807"] {
        assert_eq!(seed.push(number, &answer(666)).await, 409, "{number}");
    }
    assert_eq!(seed.push(&number, &answer(1)).await, 200);
    assert_eq!(seed.push(&number, &answer(666)).await, 409, "once");
    assert_eq!(client.response().await.json(), answer(1));
}

#[tokio::test]
async fn a_host_without_a_token_must_be_allowed_by_name() {
    let seed = Seed::new(
        seed()
            .allow_unauthenticated_host(true)
            .park(Duration::from_millis(50)),
    );
    let mut raw = Raw::to(seed.port).await;
    assert_eq!(raw.ask("GET /_b/pull", &[], None).await.status, 204);
    let wrong = ("Authorization", "Bearer wrong");
    let mut raw = Raw::to(seed.port).await;
    assert_eq!(raw.ask("GET /_b/pull", &[wrong], None).await.status, 401);
}

#[tokio::test]
async fn no_other_verb_is_ever_queued() {
    let seed = Seed::new(seed().park(Duration::from_millis(50)));
    for (line, allow) in [
        ("GET /favicon.ico", "POST"),
        ("DELETE /", "POST"),
        ("PUT /_b/other", "POST"),
        ("POST /_b/pull", "GET"),
        ("GET /_b/push", "POST"),
    ] {
        let mut raw = Raw::to(seed.port).await;
        let refused = raw.ask(line, &[("Authorization", BEARER)], None).await;
        assert_eq!(refused.status, 405, "{line}");
        assert_eq!(refused.header("allow"), Some(allow), "{line}");
    }
    assert_eq!(seed.pull().await, None);
}

#[tokio::test]
async fn a_notification_is_accepted_and_what_the_host_says_to_it_is_dropped() {
    let seed = Seed::new(seed());
    let notification = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
    // Nobody is there who could want it.
    assert_eq!(post(seed.port, &notification).await.status, 202);
    let mut parked = seed.pulling().await;
    connections(seed.port, 1).await;
    assert_eq!(post(seed.port, &notification).await.status, 202);
    let (number, body) = got(&parked.response().await).unwrap();
    assert_eq!(body, notification);
    assert_eq!(seed.push(&number, &answer(0)).await, 200);
}

#[tokio::test]
async fn many_calls_are_with_the_host_at_once_and_each_gets_its_own_answer() {
    let seed = Seed::new(seed());
    let mut clients = Vec::new();
    for n in 0..20 {
        clients.push(posts(seed.port, &call(n, 0)).await);
    }
    let mut taken = Vec::new();
    for _ in 0..20 {
        taken.push(seed.pull().await.unwrap());
    }
    for (number, body) in taken.into_iter().rev() {
        let n = body["id"].as_i64().unwrap();
        assert_eq!(seed.push(&number, &answer(n)).await, 200);
    }
    for (n, mut client) in (0..20).zip(clients) {
        assert_eq!(client.response().await.json(), answer(n));
    }
}

#[tokio::test]
async fn a_client_that_takes_events_is_kept_waiting_on_a_stream() {
    let seed = Seed::new(seed().head_after(Duration::from_millis(50)));
    let mut client = Raw::to(seed.port).await;
    let both = ("Accept", "application/json, text/event-stream");
    client
        .send("POST /", &[both], Some(&call(1, 0).to_string()))
        .await;
    let head = timeout(Duration::from_secs(10), client.head())
        .await
        .unwrap();
    assert_eq!(head.header("content-type"), Some("text/event-stream"));
    let (number, _) = seed.pull().await.unwrap();
    assert_eq!(seed.push(&number, &answer(1)).await, 200);
    assert_eq!(client.event().await.unwrap().json(), answer(1));
}
