//! The server hosted for users: whose key is whose is somebody else's word, and nobody's anything can be reached with another's.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    missing_docs,
    reason = "tests wait and spawn"
)]

use examples::calls::{Budget, Calls};
use examples::hub::{Config, Hub};
use examples::server::remote::{KeyService, Keys, Public, Remote};
use examples::server::{Front, Started};
use http_body_util::{BodyExt, Full};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use mcp_transport_core::loopback::Loopback;
use mcp_transport_core::{Connector, Error, ErrorKind};
use mcp_transport_ws::WsConnector;
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::io;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Duration;
use tests_integration::plugin::Plugin;
use tests_integration::raw::{self, exchange, request};
use tests_integration::{Answer, Client};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

const ANN: &str = "key-of-ann-5b1e";
const ANN_TOO: &str = "second-key-of-ann-77f0";
const BOB: &str = "key-of-bob-90cc";
const NOBODY: &str = "key-of-nobody-31d2";
const TOKEN: &str = "service-token-e4a8";

/// Each key that was asked for, and the token that came with it.
type Asked = Arc<Mutex<Vec<(String, Option<String>)>>>;

/// A key service as the Python server's users run one.
struct Service {
    port: u16,
    asked: Asked,
    task: JoinHandle<()>,
}

impl Service {
    async fn start() -> Self {
        Self::on(TcpListener::bind("127.0.0.1:0").await.unwrap())
    }

    fn on(listener: TcpListener) -> Self {
        let port = listener.local_addr().unwrap().port();
        let asked = Asked::default();
        let seen = asked.clone();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let seen = seen.clone();
                let answer = service_fn(move |request| answer(request, seen.clone()));
                let one = hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), answer);
                tokio::spawn(one);
            }
        });
        Self { port, asked, task }
    }

    fn of(&self) -> KeyService {
        KeyService::new(
            format!("http://127.0.0.1:{}/validate", self.port)
                .parse()
                .unwrap(),
        )
    }

    fn asked(&self) -> usize {
        self.asked.lock().unwrap().len()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn answer(
    request: Request<hyper::body::Incoming>,
    seen: Asked,
) -> Result<Response<Full<bytes::Bytes>>, hyper::Error> {
    assert_eq!(
        (request.method().as_str(), request.uri().path()),
        ("POST", "/validate")
    );
    assert_eq!(request.headers()["content-type"], "application/json");
    let token = request.headers().get("x-service-token");
    let token = token.map(|token| token.to_str().unwrap().to_owned());
    let body = request.into_body().collect().await?.to_bytes();
    let body: Value = serde_json::from_slice(&body).unwrap();
    let key = body["api_key"].as_str().unwrap().to_owned();
    assert_eq!(body, json!({"api_key": key}));
    let (status, said) = match &*key {
        ANN | ANN_TOO => (
            200,
            json!({"valid": true, "user_id": "ann", "metadata": {"plan": "a"}}),
        ),
        BOB => (200, json!({"valid": true, "user_id": "bob"})),
        "unauthorized" => (401, json!("who?")),
        "broken" => (500, json!({})),
        "slow" => std::future::pending().await,
        _ => (
            200,
            json!({"valid": false, "error": format!("{key} is nobody's")}),
        ),
    };
    seen.lock().unwrap().push((key, token));
    let answer = Response::builder().status(status);
    Ok(answer.body(Full::from(said.to_string())).unwrap())
}

/// Every line that this process logs, at every level.
static LOG: LazyLock<Arc<Mutex<Vec<u8>>>> = LazyLock::new(|| {
    let lines = Arc::<Mutex<Vec<u8>>>::default();
    let writer = lines.clone();
    tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::TRACE)
        .with_writer(move || Lines(writer.clone()))
        .init();
    lines
});

struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Hosted {
    port: u16,
    started: Started,
}

impl Hosted {
    fn start(service: KeyService) -> Self {
        Self::with(service, Budget::default())
    }

    fn with(service: KeyService, budget: Budget) -> Self {
        LazyLock::force(&LOG);
        let listener = Loopback::bind_with(Public::of("localhost").unwrap(), 0).unwrap();
        let port = listener.local_port();
        let remote = Remote::new(Keys::new(service).unwrap());
        let front = Front::new().login_url(Some("https://keys.example/".to_owned()));
        let started = front.start_remote(listener, remote, move || {
            Calls::new(Hub::new(Config::default()), budget, || None)
        });
        Self { port, started }
    }

    /// What a request with these headers comes to: `/mcp`, and an upgrade.
    async fn status(&self, keys: &[&str]) -> (u16, u16) {
        let mut headers = vec![("Content-Type", "application/json")];
        headers.extend(keys.iter().map(|key| ("X-API-Key", *key)));
        // Whoever is let in is told 406, since the request accepts nothing.
        let mcp = request("POST /mcp", self.port, &headers, "{}");
        let mut headers = vec![
            ("Connection", "Upgrade"),
            ("Upgrade", "websocket"),
            ("Sec-WebSocket-Version", "13"),
            ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ];
        headers.extend(keys.iter().map(|key| ("X-API-Key", *key)));
        let upgrade = request("GET /hub/plugin", self.port, &headers, "");
        let (mcp, upgrade) = (exchange(self.port, &mcp), exchange(self.port, &upgrade));
        let (mcp, upgrade) = tokio::join!(mcp, upgrade);
        (mcp.status, upgrade.status)
    }

    async fn dial(&self, key: &str) -> Result<Plugin, Error> {
        let url = format!("ws://127.0.0.1:{}/hub/plugin", self.port);
        let mut connector = WsConnector::new(&url)
            .config(Plugin::config())
            .header("X-API-Key", key);
        connector.connect().await.map(Plugin::over)
    }

    /// An editor of this user's.
    async fn plugin(&self, key: &str, project: &str, hash: &str) -> Plugin {
        self.dial(key)
            .await
            .unwrap()
            .registered(project, hash)
            .await
    }

    async fn client(&self, key: &str) -> Client {
        examples::tls::choose_ring();
        let url = format!("http://127.0.0.1:{}/mcp", self.port);
        let headers = HashMap::from([("x-api-key".parse().unwrap(), key.parse().unwrap())]);
        let config = StreamableHttpClientTransportConfig::with_uri(url).custom_headers(headers);
        Client::legacy(StreamableHttpClientTransport::from_config(config)).await
    }
}

const LET_IN: (u16, u16) = (406, 101);

#[tokio::test]
async fn without_a_key_nobody_gets_in_and_nobody_is_asked() {
    let service = Service::start().await;
    let hosted = Hosted::start(service.of());
    assert_eq!(hosted.status(&[]).await, (401, 403));
    assert_eq!(hosted.status(&[""]).await, (401, 403));
    assert_eq!(hosted.status(&[ANN, BOB]).await, (401, 403));
    assert_eq!(service.asked(), 0);
    let headers = [("Content-Type", "application/json")];
    let refused = exchange(
        hosted.port,
        &request("POST /mcp", hosted.port, &headers, "{}"),
    )
    .await;
    assert!(refused.header("www-authenticate").is_some());
    let error: Value = serde_json::from_str(&refused.body).unwrap();
    assert_eq!(error["error"]["code"], ErrorKind::Unauthorized.code());
    assert_eq!(error["error"]["data"]["outcome"], "not_delivered");
    hosted.started.stop().await;
}

#[tokio::test]
async fn a_key_is_asked_for_once_and_its_word_holds_good_or_bad() {
    let service = Service::start().await;
    let hosted = Hosted::start(service.of());
    for _ in 0..5 {
        assert_eq!(hosted.status(&[ANN]).await, LET_IN);
        assert_eq!(hosted.status(&[NOBODY]).await, (401, 403));
        assert_eq!(hosted.status(&["unauthorized"]).await, (401, 403));
    }
    assert_eq!(service.asked(), 3);
    hosted.started.stop().await;
}

#[tokio::test]
async fn with_no_time_to_live_each_request_asks() {
    let service = Service::start().await;
    let hosted = Hosted::start(service.of().ttl(Duration::ZERO));
    assert_eq!(hosted.status(&[ANN]).await, LET_IN);
    assert_eq!(hosted.status(&[ANN]).await, LET_IN);
    assert_eq!(service.asked(), 4);
    hosted.started.stop().await;
}

#[tokio::test]
async fn the_service_knows_us_by_our_token() {
    let service = Service::start().await;
    let token = service
        .of()
        .token("X-Service-Token".parse().unwrap(), TOKEN.parse().unwrap());
    let hosted = Hosted::start(token);
    assert_eq!(hosted.status(&[ANN]).await, LET_IN);
    let asked = service.asked.lock().unwrap().clone();
    assert_eq!(asked, [(ANN.to_owned(), Some(TOKEN.to_owned()))]);
    hosted.started.stop().await;
}

#[tokio::test]
async fn while_the_service_is_down_nobody_gets_in_and_once_it_is_up_all_do() {
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = gone.local_addr().unwrap().port();
    drop(gone);
    let url = format!("http://127.0.0.1:{port}/validate").parse().unwrap();
    let hosted = Hosted::start(KeyService::new(url));
    assert_eq!(hosted.status(&[ANN]).await, (503, 503));
    let service = Service::on(TcpListener::bind(("127.0.0.1", port)).await.unwrap());
    assert_eq!(hosted.status(&[ANN]).await, LET_IN);
    // A broken one says nothing either, and is asked again.
    assert_eq!(hosted.status(&["broken"]).await, (503, 503));
    assert_eq!(service.asked(), 1 + 2);
    hosted.started.stop().await;
}

#[tokio::test]
async fn a_service_that_does_not_answer_is_given_up_and_its_user_told_to_come_again() {
    let service = Service::start().await;
    let hosted = Hosted::start(service.of());
    {
        let slow = hosted.status(&["slow"]);
        let other = hosted.status(&[ANN]);
        tokio::pin!(slow, other);
        // Meanwhile the others are let in.
        tokio::select! {
            biased;
            _ = &mut slow => panic!("nothing is known yet"),
            let_in = &mut other => assert_eq!(let_in, LET_IN),
        }
        assert_eq!(slow.await, (503, 503));
    }
    hosted.started.stop().await;
}

#[tokio::test]
async fn a_plugin_with_a_wrong_key_is_refused_for_good() {
    let service = Service::start().await;
    let hosted = Hosted::start(service.of());
    let refused = hosted.dial(NOBODY).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Unauthorized);
    hosted.started.stop().await;
}

#[tokio::test]
async fn two_users_with_the_same_project_neither_see_nor_evict_each_other() {
    let service = Service::start().await;
    let hosted = Hosted::start(service.of());
    let mut anns = hosted.plugin(ANN, "Game", "aa11").await;
    let mut bobs = hosted.plugin(BOB, "Game", "aa11").await;
    let (ann, bob) = (hosted.client(ANN_TOO).await, hosted.client(BOB).await);
    for (client, plugin, name) in [(&ann, &mut anns, "Anns"), (&bob, &mut bobs, "Bobs")] {
        let read = client
            .peer()
            .read_resource(rmcp::model::ReadResourceRequestParams::new(
                "mcpforunity://instances",
            ));
        let read = serde_json::to_string(&read.await.unwrap()).unwrap();
        assert!(read.contains(r#"\"instance_count\":1"#), "{read}");
        let create = client.call("execute_menu_item", json!({"menu_path": name}));
        let answer = async {
            let execute = plugin.command().await;
            assert_eq!(execute["params"]["menuPath"], name, "{execute}");
            plugin
                .answer(&execute, &json!({"success": true, "message": name}))
                .await;
        };
        let (created, ()) = tokio::join!(create, answer);
        assert_eq!(created.value["message"], name);
    }
    ann.close().await;
    bob.close().await;
    hosted.started.stop().await;
}

#[tokio::test]
async fn a_user_without_an_editor_reaches_nobody_elses() {
    let service = Service::start().await;
    let budget = Budget::new(Duration::from_millis(100), None);
    let hosted = Hosted::with(service.of(), budget);
    let _anns = hosted.plugin(ANN, "Game", "aa11").await;
    let bob = hosted.client(BOB).await;
    let named = json!({"menu_path": "A", "unity_instance": "Game@aa11"});
    for arguments in [json!({"menu_path": "A"}), named] {
        let answer = bob.call("execute_menu_item", arguments).await;
        assert_eq!(answer.outcome(), Some("not_delivered"), "{answer:?}");
        assert!(!answer.text.contains("of: Game"), "{answer:?}");
    }
    bob.close().await;
    hosted.started.stop().await;
}

#[tokio::test]
async fn a_late_result_is_its_users_and_nobody_elses() {
    let service = Service::start().await;
    let budget = Budget::new(Duration::from_secs(30), Some(Duration::from_millis(200)));
    let hosted = Hosted::with(service.of(), budget);
    let mut plugin = hosted.plugin(ANN, "Game", "aa11").await;
    // Without a session whoever knows the operation's id may ask, if he is the same user.
    let call = |key: &str, tool: &str, arguments: Value| {
        let text = raw::modern_call(hosted.port, tool, &arguments, false);
        text.replacen("\r\n", &format!("\r\nX-API-Key: {key}\r\n"), 1)
    };
    let answered = async |text: String| -> Answer { exchange(hosted.port, &text).await.answer() };
    let build = call(ANN, "execute_menu_item", json!({"menu_path": "Build"}));
    let (late, execute) = tokio::join!(answered(build), plugin.command());
    assert_eq!(late.outcome(), Some("running"), "{late:?}");
    let asked = json!({"operation_id": late.value["operation_id"]});
    plugin
        .answer(&execute, &json!({"success": true, "message": "built"}))
        .await;
    loop {
        let theirs = answered(call(BOB, "get_operation", asked.clone())).await;
        assert_eq!(theirs.value["cause"], "unknown_operation", "{theirs:?}");
        let mine = answered(call(ANN_TOO, "get_operation", asked.clone())).await;
        if mine.succeeded() {
            break;
        }
    }
    let theirs = answered(call(BOB, "get_operation", asked)).await;
    assert_eq!(theirs.value["cause"], "unknown_operation", "{theirs:?}");
    hosted.started.stop().await;
}

#[tokio::test]
async fn a_session_is_none_with_another_users_key() {
    let service = Service::start().await;
    let hosted = Hosted::start(service.of());
    let said = |key: &str, session: Option<&str>, body: &Value| {
        let mut headers = vec![
            ("Content-Type", "application/json"),
            ("Accept", "application/json, text/event-stream"),
            ("MCP-Protocol-Version", "2025-11-25"),
            ("X-API-Key", key),
        ];
        headers.extend(session.map(|id| ("Mcp-Session-Id", id)));
        request("POST /mcp", hosted.port, &headers, &body.to_string())
    };
    let begin = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {
        "protocolVersion": "2025-11-25", "capabilities": {},
        "clientInfo": {"name": "raw", "version": "0"},
    }});
    let begun = exchange(hosted.port, &said(ANN, None, &begin)).await;
    let id = begun.header("mcp-session-id").unwrap().to_owned();
    let list = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list"});
    let theirs = exchange(hosted.port, &said(BOB, Some(&id), &list)).await;
    assert_eq!(theirs.status, 404, "{theirs:?}");
    let mine = exchange(hosted.port, &said(ANN_TOO, Some(&id), &list)).await;
    assert_eq!(mine.status, 200, "{mine:?}");
    hosted.started.stop().await;
}

#[tokio::test]
async fn what_needs_no_key_tells_nothing_of_anybody() {
    let service = Service::start().await;
    let hosted = Hosted::start(service.of());
    let _plugin = hosted.plugin(ANN, "Secret Game", "aa11").await;
    let get = async |path: &str| {
        let text = request(
            &format!("GET {path}"),
            hosted.port,
            &[("Host", "unity.example")],
            "",
        );
        exchange(hosted.port, &text).await
    };
    let health = get("/health").await;
    let value: Value = serde_json::from_str(&health.body).unwrap();
    let names: Vec<_> = value.as_object().unwrap().keys().cloned().collect();
    assert_eq!(
        names,
        ["message", "server", "status", "timestamp", "version"],
        "{health:?}"
    );
    let login = get("/api/auth/login-url").await;
    let value: Value = serde_json::from_str(&login.body).unwrap();
    assert_eq!(
        value,
        json!({"success": true, "login_url": "https://keys.example/"})
    );
    for path in [
        "/api/instances",
        "/api/custom-tools",
        "/register-tools",
        "/nowhere",
    ] {
        assert_eq!(get(path).await.status, 404, "{path}");
    }
    // With a key as well.
    let headers = [("Content-Type", "application/json"), ("X-API-Key", ANN)];
    let text = request(
        "POST /api/command",
        hosted.port,
        &headers,
        r#"{"type":"ping"}"#,
    );
    assert_eq!(exchange(hosted.port, &text).await.status, 404);
    hosted.started.stop().await;
}

#[tokio::test]
async fn it_listens_on_the_host_that_it_was_told_and_on_no_other_address() {
    for (host, other) in [("127.0.0.1", "[::1]"), ("[::1]", "127.0.0.1")] {
        let listener = Loopback::bind_with(Public::of(host).unwrap(), 0).unwrap();
        let port = listener.local_port();
        TcpStream::connect(format!("{host}:{port}")).await.unwrap();
        TcpStream::connect(format!("{other}:{port}"))
            .await
            .unwrap_err();
    }
    Public::of("no-such-host.invalid").unwrap_err();
}

#[tokio::test]
async fn no_key_and_no_token_is_ever_logged() {
    let service = Service::start().await;
    let token = service
        .of()
        .token("X-Service-Token".parse().unwrap(), TOKEN.parse().unwrap());
    assert!(!format!("{token:?}").contains(TOKEN));
    let hosted = Hosted::start(token);
    let client = hosted.client(ANN).await;
    client.close().await;
    hosted.status(&[BOB]).await;
    hosted.status(&[NOBODY]).await;
    hosted.status(&["broken"]).await;
    let lines = LOG.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let lines = String::from_utf8_lossy(&lines).into_owned();
    // Of other people's programs in this process: the client's own transport is none of ours.
    let ours: Vec<_> = lines
        .lines()
        .filter(|line| !line.contains("streamable_http_client"))
        .collect();
    assert!(
        ours.iter().any(|line| line.contains("a key was refused")),
        "it is logged at all"
    );
    for secret in [ANN, ANN_TOO, BOB, NOBODY, TOKEN] {
        let told: Vec<_> = ours.iter().filter(|line| line.contains(secret)).collect();
        assert!(told.is_empty(), "{told:#?}");
    }
    hosted.started.stop().await;
}
