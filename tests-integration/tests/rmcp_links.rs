//! rmcp, unmodified, over links that break: a client over `Resilient`, a server over `Redial`.
#![allow(
    clippy::disallowed_methods,
    missing_docs,
    reason = "tests wait and spawn"
)]

use futures::StreamExt;
use mcp_transport_core::dial::Dialer;
use mcp_transport_core::loopback::Loopback;
use mcp_transport_core::{
    Connector, ErrorKind, EvictionReason, Listener, Redial, Resilient, RetryPolicy, TransportExt,
};
use mcp_transport_ws::{WsConnector, WsListener, WsTransport};
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, ListToolsResult,
    PaginatedRequestParams, ServerCapabilities, ServerConfig,
};
use rmcp::service::{RequestContext, RunningService};
use rmcp::{ErrorData, RoleClient, RoleServer, ServerHandler, ServiceExt};
use serde_json::{Map, Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::task::{JoinHandle, JoinSet};

/// These connections are too short to prove themselves, and the local schedule would soon be at 30 s.
const SOON: Duration = Duration::from_millis(50);

/// Says its name with what it was told, and counts how often it was asked.
#[derive(Clone)]
struct Echo {
    name: String,
    asked: Arc<AtomicUsize>,
}

impl Echo {
    fn new(name: impl Into<String>, asked: &Arc<AtomicUsize>) -> Self {
        Self {
            name: name.into(),
            asked: asked.clone(),
        }
    }
}

impl ServerHandler for Echo {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let schema = Arc::new(Map::from_iter([("type".to_owned(), json!("object"))]));
        Ok(ListToolsResult::with_all_items(vec![
            rmcp::model::Tool::new("echo", "says it again", schema),
        ]))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let arguments = request.arguments.unwrap_or_default();
        if let Some(wait) = arguments.get("wait_ms").and_then(Value::as_u64) {
            tokio::time::sleep(Duration::from_millis(wait)).await;
        }
        let said = arguments
            .get("say")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let text = format!("{}: {said}", self.name);
        Ok(CallToolResult::success(vec![ContentBlock::text(text)]).into())
    }
}

/// A server on WebSocket, one rmcp service for each connection. Aborting it breaks every connection.
async fn serve(mut listener: WsListener, echo: Echo) {
    let mut services = JoinSet::new();
    while let Ok(link) = listener.accept().await {
        let echo = echo.clone();
        services.spawn(async move {
            let service = echo.serve(link.typed()).await?;
            service.waiting().await?;
            Ok::<_, Box<dyn std::error::Error + Send + Sync>>(())
        });
    }
}

async fn start(port: u16, echo: Echo) -> (u16, JoinHandle<()>) {
    // The port of the server before may take a moment to be free.
    for _ in 0..200 {
        if let Ok(loopback) = Loopback::bind(port) {
            let listener = WsListener::on(loopback).path("/mcp");
            return (listener.local_port(), tokio::spawn(serve(listener, echo)));
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("port {port} does not become free");
}

async fn say(client: &RunningService<RoleClient, ()>, arguments: Value) -> Result<String, String> {
    let mut params = CallToolRequestParams::new("echo");
    params.arguments = arguments.as_object().cloned();
    let result = client
        .peer()
        .call_tool(params)
        .await
        .map_err(|error| error.to_string())?;
    Ok(result.content[0].as_text().expect("text").text.clone())
}

#[tokio::test]
async fn an_unmodified_client_survives_ten_replacements_of_its_server() {
    let asked = Arc::default();
    let (port, mut server) = start(0, Echo::new("server 0", &asked)).await;
    let link = Resilient::spawn(WsConnector::new(&format!("ws://127.0.0.1:{port}/mcp")));
    let handle = link.handle();
    let client = ().serve(link.typed()).await.expect("the handshake");
    for number in 1..=10 {
        let before = say(&client, json!({"say": number}))
            .await
            .expect("an answer");
        assert_eq!(before, format!("server {}: ", number - 1));
        server.abort();
        let _ = server.await;
        let mut state = handle.watch();
        let lost = state.wait_for(|state| !state.is_connected()).await;
        lost.expect("the link lives");
        server = start(port, Echo::new(format!("server {number}"), &asked))
            .await
            .1;
        handle.wake();
        let after = say(&client, json!({"say": "again"}))
            .await
            .expect("a call that waited for the new server");
        assert_eq!(after, format!("server {number}: again"));
    }
    assert_eq!(asked.load(Ordering::SeqCst), 20, "each call ran once");
    client.cancel().await.expect("an orderly end");
    server.abort();
}

#[tokio::test]
async fn a_call_under_way_when_its_server_dies_ends_at_once_and_says_that_nobody_knows() {
    let asked = Arc::default();
    let (port, server) = start(0, Echo::new("server", &asked)).await;
    let link = Resilient::spawn(WsConnector::new(&format!("ws://127.0.0.1:{port}/mcp")));
    let client = ().serve(link.typed()).await.expect("the handshake");
    let slow = say(&client, json!({"wait_ms": 60_000}));
    let kill = async {
        while asked.load(Ordering::SeqCst) == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        server.abort();
    };
    let (slow, ()) = tokio::join!(slow, kill);
    let error = slow.expect_err("no answer can come any more");
    assert!(error.contains("look before you send it again"), "{error}");
}

#[tokio::test]
async fn a_peer_sees_an_orderly_end_when_the_client_is_cancelled() {
    let mut listener = WsListener::bind(0).expect("a port").path("/mcp");
    let port = listener.local_port();
    let accept = tokio::spawn(async move {
        let link = listener.accept().await.expect("a connection");
        (listener, link)
    });
    let link = Resilient::spawn(WsConnector::new(&format!("ws://127.0.0.1:{port}/mcp")));
    let (_listener, mut host) = accept.await.expect("accepted");
    let client = tokio::spawn(async move { ().serve(link.typed()).await });
    answer_initialize(&mut host).await;
    let client = client.await.expect("no panic").expect("the handshake");
    let initialized = host
        .next()
        .await
        .expect("a notification")
        .expect("a message");
    assert_eq!(initialized.method(), Some("notifications/initialized"));
    client.cancel().await.expect("an orderly end");
    let end = tokio::time::timeout(Duration::from_secs(1), host.next())
        .await
        .expect("within a second");
    let error = end
        .expect("an end that says why")
        .expect_err("no further message");
    assert_eq!(
        error.kind(),
        ErrorKind::Evicted(EvictionReason::ShuttingDown)
    );
    assert_eq!(host.close_code(), Some(1000));
}

async fn answer_initialize(host: &mut WsTransport) {
    use futures::SinkExt;
    let request = host.next().await.expect("a request").expect("a message");
    assert_eq!(request.method(), Some("initialize"));
    let answer = mcp_transport_core::Message::response(
        request.id().expect("an id"),
        json!({"protocolVersion": "2025-06-18", "capabilities": {}, "serverInfo": {"name": "h", "version": "0"}}),
    );
    SinkExt::send(host, answer.expect("JSON"))
        .await
        .expect("sent");
}

#[tokio::test]
async fn an_unmodified_server_serves_ten_successive_clients_and_never_answers_one_with_anothers_answer()
 {
    let mut listener = WsListener::bind(0).expect("a port").path("/mcp");
    let url = format!("ws://127.0.0.1:{}/mcp", listener.local_port());
    let asked = Arc::default();
    let echo = Echo::new("server", &asked);
    let server = tokio::spawn(async move {
        let mut clients =
            Redial::from(Dialer::new(WsConnector::new(&url)).retry(RetryPolicy::every(SOON)));
        while let Ok(link) = clients.accept().await {
            if let Ok(service) = echo.clone().serve(link.typed()).await {
                let _ = service.waiting().await;
            }
        }
    });
    for number in 0..10 {
        let link = listener.accept().await.expect("the server dials again");
        let client = ().serve(link.typed()).await.expect("the handshake");
        let answer = say(&client, json!({"say": format!("client {number}")}))
            .await
            .expect("an answer");
        assert_eq!(answer, format!("server: client {number}"));
        // Left unanswered: its id is the one that the next client's calls will have.
        let _ = tokio::time::timeout(
            Duration::from_millis(20),
            say(
                &client,
                json!({"say": format!("late {number}"), "wait_ms": 100}),
            ),
        )
        .await;
        drop(client);
    }
    server.abort();
}

#[tokio::test]
async fn any_connector_and_any_listener_fit_their_counterparts() {
    fn connects<C: Connector>(_: &C) {}
    fn listens<L: Listener>(_: &L) {}
    let connector = WsConnector::new("ws://127.0.0.1:1/mcp");
    connects(&connector);
    listens(&Redial::new(connector));
}
