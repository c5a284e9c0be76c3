//! What the integration tests share: the whole server in this process, its simulated editor, and real MCP clients.
#![expect(clippy::disallowed_methods, reason = "a harness waits")]

pub mod ear;
pub mod fixture;
pub mod folder;
pub mod plugin;
pub mod process;
pub mod raw;

use examples::bridge::BridgeLeg;
use examples::calls::{Budget, Calls, Port};
use examples::hub::{Config, Hub, Instance, Phase};
use examples::server::{Http, Started};
use examples::sim::world::World;
use examples::sim::{Editor, Options, State};
use folder::Folder;
use mcp_transport_core::Ending;
use mcp_transport_core::guard::Origin;
use mcp_transport_core::loopback::{Bind, Health, Loopback};
use mcp_transport_stdio::discovery::Discovery;
use rmcp::model::{CallToolRequestParams, CallToolResult, ProtocolVersion};
use rmcp::service::{RunningService, ServiceError};
use rmcp::transport::{IntoTransport, StreamableHttpClientTransport};
use rmcp::{ClientLifecycleMode, ClientServiceExt, RoleClient, ServiceExt};
use serde_json::{Map, Value, json};
use std::path::Path;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;
use tokio::sync::watch;

/// The server of `unity_server`, on a port of its own.
#[derive(Debug)]
pub struct Server {
    /// The hub beneath.
    pub hub: Hub,
    /// The calls' way.
    pub calls: Calls,
    /// Its port.
    pub port: u16,
    /// How its two families are.
    pub families: watch::Receiver<Health>,
    started: Started,
    bridge: Option<Bridged>,
}

/// The second leg, and where its editors say that they listen.
#[derive(Debug)]
struct Bridged {
    _leg: BridgeLeg,
    directory: Arc<Folder>,
}

impl Server {
    /// Starts one on a free port.
    ///
    /// # Panics
    /// If there is no free port.
    pub fn start(budget: Budget) -> Self {
        Self::on(Loopback::bind(0).expect("a free port"), budget)
    }

    /// Starts one on this listener.
    pub fn on(listener: Loopback, budget: Budget) -> Self {
        Self::with(listener, budget, Config::default(), Vec::new())
    }

    /// Starts one on this listener, with other patience for editors, and for pages of these origins.
    pub fn with<B: Bind + 'static>(
        listener: Loopback<B>,
        budget: Budget,
        config: Config,
        origins: Vec<Origin>,
    ) -> Self {
        let (port, health) = (listener.local_port(), listener.watch_health());
        let hub = Hub::new(config);
        let seen = health.clone();
        let calls = Calls::new(hub.clone(), budget, move || {
            Some(Port {
                number: port,
                health: seen.borrow().clone(),
                known: None,
            })
        });
        let started = Http::start(listener, &calls, origins);
        Self {
            hub,
            calls,
            port,
            families: health,
            started,
            bridge: None,
        }
    }

    /// Starts one whose editors listen, in a directory of their own.
    ///
    /// # Panics
    /// If there is no free port, or no place for a directory.
    pub fn dialling(budget: Budget) -> Self {
        Self::dialling_in(budget, Arc::new(Folder::new()))
    }

    /// The same, with editors that others may know as well.
    ///
    /// # Panics
    /// If there is no free port.
    pub fn dialling_in(budget: Budget, directory: Arc<Folder>) -> Self {
        let mut server = Self::start(budget);
        let discovery = Discovery::at(directory.path());
        let leg = BridgeLeg::start(&server.hub, &discovery).expect("a thread");
        server.bridge = Some(Bridged {
            _leg: leg,
            directory,
        });
        server
    }

    /// The directory of its editors, if it dials: for another one that is to know them, too.
    pub fn folder(&self) -> Option<Arc<Folder>> {
        Some(self.bridge.as_ref()?.directory.clone())
    }

    /// Where its editors say that they listen, if it dials.
    fn directory(&self) -> Option<&Path> {
        Some(self.bridge.as_ref()?.directory.path())
    }

    /// Where clients connect.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/mcp", self.port)
    }

    /// Where editors connect.
    pub fn hub_url(&self) -> String {
        format!("ws://127.0.0.1:{}/hub/plugin", self.port)
    }

    /// A simulated editor that can be called: it dials, or it listens and is known, if this server dials.
    pub async fn editor(&self, options: Options) -> Editor {
        let editor = self.started(options);
        self.sees(&editor).await;
        editor
    }

    /// The same, not to be called yet.
    pub fn started(&self, options: Options) -> Editor {
        match self.directory() {
            Some(directory) => Editor::listen(directory, 0, options),
            None => Editor::spawn(&self.hub_url(), options),
        }
    }

    /// The same, started again with what it knew.
    pub async fn editor_again(&self, options: Options, world: Arc<Mutex<World>>) -> Editor {
        let editor = match self.directory() {
            Some(directory) => Editor::listen_again(directory, 0, options, world),
            None => Editor::resume(&self.hub_url(), options, world),
        };
        self.sees(&editor).await;
        editor
    }

    /// Waits until this editor can be called: it is connected to the hub, or listens, and a call connects it.
    ///
    /// # Panics
    /// If a panic befell its world.
    pub async fn sees(&self, editor: &Editor) {
        editor.connected().await;
        let hash = editor.world().lock().expect("a world").project().hash();
        // The bridge's key is the beginning of the plugin's hash.
        let callable =
            |one: &Instance| matches!(one.phase, Phase::Connected | Phase::Listening { .. });
        self.until(|one| hash.starts_with(&one.hash) && callable(one))
            .await;
    }

    /// Waits until one editor looks so.
    ///
    /// # Panics
    /// If the hub is gone.
    pub async fn until(&self, wanted: impl Fn(&Instance) -> bool) {
        let mut instances = self.hub.instances();
        instances
            .wait_for(|instances| instances.iter().any(&wanted))
            .await
            .expect("the hub lives");
    }

    /// A real MCP client.
    ///
    /// # Panics
    /// If it does not get in.
    pub async fn client(&self) -> Client {
        Client::legacy_at(&self.url()).await
    }

    /// A real MCP client of protocol 2026-07-28.
    ///
    /// # Panics
    /// If it does not get in.
    pub async fn modern_client(&self) -> Client {
        Client::modern_at(&self.url()).await
    }

    /// What `/health` says.
    ///
    /// # Panics
    /// If it says nothing.
    pub async fn health(&self) -> Value {
        self.health_at("localhost").await
    }

    /// What `/health` says at this loopback host.
    ///
    /// # Panics
    /// If it says nothing.
    pub async fn health_at(&self, host: &str) -> Value {
        let text = raw::request("GET /health", self.port, &[("Connection", "close")], "");
        let answer = raw::exchange_at(host, self.port, &text).await;
        serde_json::from_str(&answer.body).expect("a report")
    }

    /// Waits until one editor at least has this many calls waiting.
    pub async fn queued(&self, calls: usize) {
        while self
            .hub
            .snapshot()
            .iter()
            .all(|editor| editor.queued < calls)
        {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// Waits until no call waits anywhere.
    pub async fn nothing_queued(&self) {
        while self.hub.snapshot().iter().any(|editor| editor.queued > 0) {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// Ends it.
    pub async fn stop(self) {
        self.started.stop().await;
    }
}

/// Reloads an editor's scripts. It is away when this returns.
///
/// # Panics
/// If it has ended.
pub async fn reload(editor: &Editor) {
    editor.reload();
    let mut state = editor.watch();
    let away = state.wait_for(|state| *state == State::Away).await;
    away.expect("the editor lives");
}

/// rmcp's own client, unmodified.
#[derive(Debug)]
pub struct Client {
    service: RunningService<RoleClient, ()>,
}

impl Client {
    /// A client of 2025-11-25, by HTTP.
    ///
    /// # Panics
    /// If it does not get in.
    pub async fn legacy_at(url: &str) -> Self {
        examples::tls::choose_ring();
        Self::legacy(StreamableHttpClientTransport::from_uri(url)).await
    }

    /// A client of 2026-07-28, by HTTP.
    ///
    /// # Panics
    /// If it does not get in.
    pub async fn modern_at(url: &str) -> Self {
        examples::tls::choose_ring();
        Self::modern(StreamableHttpClientTransport::from_uri(url)).await
    }

    /// A client of 2025-11-25, over any transport.
    ///
    /// # Panics
    /// If it does not get in.
    pub async fn legacy<T, E, A>(transport: T) -> Self
    where
        T: IntoTransport<RoleClient, E, A>,
        E: std::error::Error + Send + Sync + 'static,
    {
        Self {
            service: ().serve(transport).await.expect("the handshake"),
        }
    }

    /// A client of 2026-07-28, over any transport.
    ///
    /// # Panics
    /// If it does not get in.
    pub async fn modern<T, E, A>(transport: T) -> Self
    where
        T: IntoTransport<RoleClient, E, A>,
        E: std::error::Error + Send + Sync + 'static,
    {
        let lifecycle = ClientLifecycleMode::Discover {
            preferred_versions: vec![ProtocolVersion::V_2026_07_28],
        };
        let service = ().serve_with_lifecycle(transport, lifecycle).await;
        Self {
            service: service.expect("the discovery"),
        }
    }

    /// Calls a tool.
    ///
    /// # Errors
    /// What the transport or the protocol has to complain of; a tool that failed is no error.
    pub async fn try_call(
        &self,
        tool: &str,
        arguments: Value,
    ) -> Result<CallToolResult, ServiceError> {
        let mut params = CallToolRequestParams::new(tool.to_owned());
        params.arguments = Some(object(arguments));
        self.service.peer().call_tool(params).await
    }

    /// Calls a tool and reads its structured content.
    ///
    /// # Panics
    /// On any error of the transport or the protocol.
    pub async fn call(&self, tool: &str, arguments: Value) -> Answer {
        let result = self
            .try_call(tool, arguments)
            .await
            .expect("no transport or protocol error");
        Answer::of(&result)
    }

    /// rmcp's handle.
    pub fn peer(&self) -> &rmcp::Peer<RoleClient> {
        self.service.peer()
    }

    /// Ends the session.
    pub async fn close(self) {
        let _ = self.service.cancel().await;
    }
}

/// What a tool answered.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_structs, reason = "a test helper")]
pub struct Answer {
    /// Whether MCP calls it an error.
    pub is_error: bool,
    /// The structured content.
    pub value: Value,
    /// The text.
    pub text: String,
}

impl Answer {
    /// Reads a result.
    ///
    /// # Panics
    /// If it ends badly in another shape than the published one, or without a text that says the same.
    pub fn of(result: &CallToolResult) -> Self {
        let answer = Self {
            is_error: result.is_error == Some(true),
            value: result.structured_content.clone().unwrap_or_default(),
            text: result
                .content
                .iter()
                .filter_map(|block| block.as_text())
                .map(|text| text.text.clone())
                .collect(),
        };
        if answer.is_error && answer.value.get("success").is_none() {
            answer.is_an_ending();
        }
        answer
    }

    /// What is no answer of the editor's is a bad ending, and those have one shape.
    fn is_an_ending(&self) {
        static SCHEMA: LazyLock<jsonschema::Validator> = LazyLock::new(|| {
            let schema = serde_json::from_str(Ending::SCHEMA).expect("JSON");
            jsonschema::validator_for(&schema).expect("a schema")
        });
        if let Err(error) = SCHEMA.validate(&self.value) {
            panic!("{error}: {self:?}");
        }
        let message = self.value["message"].as_str().unwrap_or_default();
        assert!(self.text.starts_with(message), "{self:?}");
    }

    /// The outcome of a bad ending.
    pub fn outcome(&self) -> Option<&str> {
        self.value.get("outcome")?.as_str()
    }

    /// Whether the command succeeded.
    pub fn succeeded(&self) -> bool {
        !self.is_error && self.value["success"] == json!(true)
    }
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}
