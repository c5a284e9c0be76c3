//! A unity_server behind a broker: it may be killed and started again, and neither clients nor editors notice more than time.
#![cfg(unix)]
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    missing_docs,
    reason = "tests wait and spawn"
)]

use examples::sim::{self, Editor};
use mcp_transport_broker::launch::Launch;
use mcp_transport_core::loopback;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, ClientCapabilities, ClientConfig, GetTaskParams,
    Implementation, ProtocolVersion, SubscriptionFilter, TaskPayload,
};
use rmcp::service::ServiceError;
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::{ClientLifecycleMode, ClientServiceExt};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr, TcpListener};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tests_integration::ear::Ear;
use tests_integration::folder::Folder;
use tests_integration::process::unity_server;
use tests_integration::{Answer, Client};
use tokio::process::Child;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

/// A port, the folder of its broker, and the server behind it.
struct Rig {
    port: u16,
    folder: Folder,
    server: Child,
}

impl Rig {
    async fn start() -> Self {
        let (port, folder) = (free_port(), Folder::new());
        let server = server(port, &folder, &["--behind-broker"]);
        let rig = Self {
            port,
            folder,
            server,
        };
        while rig
            .status()
            .await
            .is_none_or(|status| status["host"].is_null())
        {
            pause().await;
        }
        rig
    }

    /// As a crash does it.
    async fn kill(&mut self) {
        self.server.kill().await.unwrap();
    }

    /// As a service manager does it. It has ended when this returns.
    async fn tell_to_end(&mut self) {
        let pid = self.server.id().unwrap().to_string();
        let told = std::process::Command::new("kill")
            .args(["-TERM", &pid])
            .status();
        assert!(told.unwrap().success());
        self.server.wait().await.unwrap();
    }

    fn start_again(&mut self) {
        self.server = server(self.port, &self.folder, &["--behind-broker"]);
    }

    fn launch(&self) -> Launch {
        Launch::new(self.port).state_dir(self.folder.path().join("broker"))
    }

    /// What the broker says of itself, if there is one.
    async fn status(&self) -> Option<Value> {
        let broker = self.launch().find().await.ok()??;
        serde_json::from_str(&broker.status().await.ok()?).ok()
    }

    async fn broker_pid(&self) -> u32 {
        self.launch().find().await.unwrap().unwrap().pid()
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}/mcp", self.port)
    }

    async fn legacy(&self) -> Client {
        Client::legacy_at(&self.url()).await
    }

    async fn modern(&self) -> Client {
        Client::modern_at(&self.url()).await
    }

    fn editor(&self, options: sim::Options) -> Editor {
        Editor::spawn(&format!("ws://127.0.0.1:{}/hub/plugin", self.port), options)
    }

    async fn end(mut self) {
        let _ = self.server.kill().await;
        if let Some(broker) = self.launch().find().await.unwrap() {
            broker.stop().await.unwrap();
        }
    }
}

fn server(port: u16, folder: &Folder, flags: &[&str]) -> Child {
    let url = format!("http://127.0.0.1:{port}");
    let mut command = unity_server(&["--transport", "http", "--editor", "hub"]);
    command
        .args(["--http-url", &url])
        .args(flags)
        .env("MCP_BROKER_STATE_DIR", folder.path().join("broker"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

fn free_port() -> u16 {
    loop {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        if TcpListener::bind((Ipv6Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
}

async fn pause() {
    tokio::time::sleep(Duration::from_millis(20)).await;
}

async fn until<F: Future<Output = bool>>(mut holds: impl FnMut() -> F) {
    while !holds().await {
        pause().await;
    }
}

/// What became of a call, as its client sees it: whether it succeeded, and if not, what is known.
async fn call(client: &Client, tool: &str, arguments: Value) -> Result<Answer, String> {
    match client.try_call(tool, arguments).await {
        Ok(result) => {
            let answer = Answer::of(&result);
            match answer.succeeded() {
                true => Ok(answer),
                false => Err(answer.outcome().unwrap_or("none").to_owned()),
            }
        }
        Err(ServiceError::McpError(error)) => {
            let outcome = error
                .data
                .as_ref()
                .and_then(|data| data["outcome"].as_str());
            Err(outcome.unwrap_or(&error.message).to_owned())
        }
        Err(other) => Err(other.to_string()),
    }
}

async fn creates(client: &Client, name: &str) -> Result<Answer, String> {
    let arguments = json!({"action": "create", "name": name});
    call(client, "manage_gameobject", arguments).await
}

/// Calls of one client, one every 50 ms, until told to stop: what became of each. Counts those that succeed meanwhile.
async fn load(
    client: Arc<Client>,
    prefix: String,
    stop: Arc<AtomicBool>,
    succeeded: Arc<AtomicUsize>,
) -> Vec<(String, Result<Answer, String>)> {
    let (mut calls, patience) = (JoinSet::new(), Arc::new(Semaphore::new(100)));
    let mut tick = tokio::time::interval(Duration::from_millis(50));
    for number in 0.. {
        tick.tick().await;
        let permit = patience.clone().acquire_owned().await.unwrap();
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let (client, name) = (client.clone(), format!("{prefix}-{number}"));
        let succeeded = succeeded.clone();
        calls.spawn(async move {
            let answer = creates(&client, &name).await;
            succeeded.fetch_add(usize::from(answer.is_ok()), Ordering::Relaxed);
            drop(permit);
            (name, answer)
        });
    }
    calls.join_all().await
}

#[tokio::test]
async fn twenty_kills_of_the_server_under_load_cost_no_client_its_session_and_no_call_its_answer() {
    let mut rig = Rig::start().await;
    let editor = rig.editor(sim::Options::default());
    editor.connected().await;
    let stop = Arc::new(AtomicBool::new(false));
    let succeeded = Arc::<AtomicUsize>::default();
    let clients = [
        rig.legacy().await,
        rig.legacy().await,
        rig.modern().await,
        rig.modern().await,
    ];
    let clients = clients.map(Arc::new);
    let mut loads = JoinSet::new();
    for (number, client) in clients.iter().enumerate() {
        loads.spawn(load(
            client.clone(),
            format!("client{number}"),
            stop.clone(),
            succeeded.clone(),
        ));
    }
    let broker = rig.broker_pid().await;
    for _ in 0..20 {
        // Each server lives until calls have come to an end with it, however busy the machine is.
        let before = succeeded.load(Ordering::Relaxed);
        let enough = until(async || succeeded.load(Ordering::Relaxed) >= before + 10);
        if tokio::time::timeout(Duration::from_secs(60), enough)
            .await
            .is_err()
        {
            let since = succeeded.load(Ordering::Relaxed) - before;
            panic!("a server has had 60 s, and {since} calls succeeded, not 10");
        }
        rig.kill().await;
        rig.start_again();
        editor.connected().await;
        let mut state = editor.watch();
        state
            .wait_for(|state| *state == sim::State::Connected)
            .await
            .unwrap();
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    stop.store(true, Ordering::Relaxed);
    let answers: Vec<_> = loads.join_all().await.into_iter().flatten().collect();

    let created = editor.report().objects_created;
    let twice: BTreeMap<_, _> = created.iter().filter(|(_, count)| **count > 1).collect();
    assert!(twice.is_empty(), "these took effect twice: {twice:?}");
    for (name, answer) in &answers {
        match answer {
            Ok(_) => assert_eq!(
                created.get(name),
                Some(&1),
                "{name} was answered and is not there"
            ),
            Err(outcome) => assert_eq!(outcome, "unknown", "{name}"),
        }
    }
    assert_eq!(
        rig.broker_pid().await,
        broker,
        "the broker has lived through it"
    );
    let status = rig.status().await.unwrap();
    assert_eq!(status["sessions"], 2, "no client began anew: {status}");
    rig.end().await;
}

#[tokio::test]
async fn an_editor_is_registered_within_a_second_of_the_servers_return_after_seventy_seconds() {
    let mut rig = Rig::start().await;
    let editor = rig.editor(sim::Options::default().away(Duration::from_secs(5)));
    editor.connected().await;
    let client = rig.legacy().await;
    creates(&client, "Before").await.unwrap();
    rig.kill().await;
    // Its scripts are compiled meanwhile, which ends what it had waiting.
    editor.reload();
    tokio::time::sleep(Duration::from_secs(70)).await;
    // It is at the broker's door. By its own schedule it would wait there for up to 30 s.
    assert_eq!(*editor.watch().borrow(), sim::State::Connecting);
    let waits = tokio::spawn(has_to_wait(editor.watch()));
    rig.start_again();
    until(async || {
        rig.status()
            .await
            .is_some_and(|status| !status["host"].is_null())
    })
    .await;
    // Beside it somebody dials who waits for nothing, so that a busy machine counts for both.
    let newcomer = rig.editor(sim::Options::default().project("Newcomer", "/newcomer"));
    let since = Instant::now();
    let took = async |editor: &Editor| {
        editor.connected().await;
        since.elapsed()
    };
    let (back, new) = tokio::join!(took(&editor), took(&newcomer));
    assert!(!waits.await.unwrap(), "no schedule is between");
    assert!(
        back < new + Duration::from_secs(1),
        "it took {back:?}, and a newcomer {new:?}"
    );
    let after = json!({"action": "create", "name": "After", "unity_instance": "SimProject"});
    call(&client, "manage_gameobject", after).await.unwrap();
    rig.end().await;
}

/// Whether an editor waits for the next time by its schedule before it is connected.
async fn has_to_wait(mut state: watch::Receiver<sim::State>) -> bool {
    let is_over =
        |state: &sim::State| matches!(state, sim::State::Connected | sim::State::Waiting { .. });
    let state = state.wait_for(is_over).await.unwrap();
    *state != sim::State::Connected
}

#[tokio::test]
async fn tools_are_listed_at_once_while_the_server_is_away() {
    let mut rig = Rig::start().await;
    let (legacy, modern) = (rig.legacy().await, rig.modern().await);
    let with_server = legacy.peer().list_all_tools().await.unwrap().len();
    assert!(with_server > 10);
    // The broker has asked for itself by now, or does in a moment.
    until(async || modern.peer().list_all_tools().await.is_ok()).await;
    rig.kill().await;
    until(async || {
        rig.status()
            .await
            .is_some_and(|status| status["host"].is_null())
    })
    .await;
    for client in [&legacy, &modern, &rig.legacy().await] {
        assert_eq!(
            client.peer().list_all_tools().await.unwrap().len(),
            with_server
        );
    }
    rig.end().await;
}

#[tokio::test]
async fn clients_of_both_eras_hear_through_the_broker_that_an_editor_brings_other_tools() {
    const PATIENCE: Duration = Duration::from_secs(60);
    let rig = Rig::start().await;
    let mut legacy = Ear::legacy_at(&rig.url()).await;
    let modern = rig.modern().await;
    let filter = SubscriptionFilter::builder().tools_list_changed().build();
    let mut listener = modern.peer().listen(filter).await.unwrap();
    let bake = json!({"name": "bake", "description": "Bakes."});
    let _editor = rig.editor(sim::Options::default().tool(bake));
    // The broker may have told of this server itself first: it has not known it before.
    for heard in ["legacy", "modern"] {
        let listed = async {
            loop {
                let peer = match heard {
                    "legacy" => {
                        legacy.hears().await;
                        legacy.peer()
                    }
                    _ => {
                        assert!(listener.next().await.unwrap().is_some());
                        modern.peer()
                    }
                };
                let tools = peer.list_all_tools().await.unwrap();
                if tools.iter().any(|tool| tool.name == "bake") {
                    return tools;
                }
            }
        };
        let listed = tokio::time::timeout(PATIENCE, listed).await;
        let listed = listed.unwrap_or_else(|_| panic!("{heard} hears of it"));
        assert!(listed.iter().all(|tool| tool.name != "manage_vfx"));
    }
    rig.end().await;
}

#[tokio::test]
async fn a_server_that_is_told_to_end_leaves_no_broker_and_no_port() {
    let mut rig = Rig::start().await;
    rig.tell_to_end().await;
    until(async || loopback::connect(rig.port).await.is_err()).await;
    let files = rig.launch().files();
    until(async || !files.record.exists() && !files.token.exists() && !files.log.exists()).await;
}

#[tokio::test]
async fn a_call_that_a_server_holds_when_it_is_told_to_end_is_not_delivered() {
    let mut rig = Rig::start().await;
    let (legacy, modern) = (rig.legacy().await, rig.modern().await);
    // There is no editor, and one may be just starting.
    let ends = async {
        until(async || {
            rig.status()
                .await
                .is_some_and(|status| status["running"] == 2)
        })
        .await;
        rig.tell_to_end().await;
    };
    let (one, other, ()) = tokio::join!(creates(&legacy, "A"), creates(&modern, "B"), ends);
    for outcome in [one, other] {
        assert_eq!(outcome.unwrap_err(), "not_delivered");
    }
}

#[tokio::test]
async fn a_server_without_the_flag_takes_the_port_from_a_broker_that_a_crash_has_left() {
    let mut rig = Rig::start().await;
    let broker = rig.broker_pid().await;
    rig.kill().await;
    until(async || {
        rig.status()
            .await
            .is_some_and(|status| status["host"].is_null())
    })
    .await;
    rig.server = server(rig.port, &rig.folder, &[]);
    let path = format!("/proc/{broker}");
    if cfg!(target_os = "linux") {
        until(async || !std::path::Path::new(&path).exists()).await;
    }
    until(async || loopback::connect(rig.port).await.is_ok()).await;
    let client = rig.legacy().await;
    assert!(client.peer().list_all_tools().await.unwrap().len() > 10);
    assert!(
        rig.launch().find().await.is_err(),
        "no broker listens there"
    );
    rig.server.kill().await.unwrap();
}

#[tokio::test]
async fn a_server_without_the_flag_leaves_a_broker_alone_that_has_a_server() {
    let rig = Rig::start().await;
    let other = server(rig.port, &rig.folder, &[]);
    let ended = other.wait_with_output().await.unwrap();
    assert!(!ended.status.success());
    assert!(!rig.status().await.unwrap()["host"].is_null());
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_call_is_a_task_through_the_broker_too() {
    let rig = Rig::start().await;
    let options = sim::Options::default();
    let editor = rig.editor(options.latency_for("execute_menu_item", Duration::from_secs(1)));
    editor.connected().await;
    examples::tls::choose_ring();
    let capabilities = ClientCapabilities::builder().enable_tasks().build();
    let config = ClientConfig::new(capabilities, Implementation::new("tasks", "0"));
    let lifecycle = ClientLifecycleMode::Discover {
        preferred_versions: vec![ProtocolVersion::V_2026_07_28],
    };
    let transport = StreamableHttpClientTransport::from_uri(rig.url());
    let client = config
        .serve_with_lifecycle(transport, lifecycle)
        .await
        .unwrap();
    let menu = json!({"menu_path": "File/Save"})
        .as_object()
        .cloned()
        .unwrap();
    let params = CallToolRequestParams::new("execute_menu_item").with_arguments(menu);
    let CallToolResponse::Task(begun) = client.peer().call_tool_once(params).await.unwrap() else {
        panic!("it is a task");
    };
    let result = loop {
        let look = GetTaskParams::new(&*begun.task.task_id);
        match client.peer().get_task(look).await.unwrap().task.payload {
            TaskPayload::Completed { result } => break result,
            TaskPayload::Working => pause().await,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(result["structuredContent"]["success"], true, "{result:?}");
    let _ = client.cancel().await;
    rig.end().await;
}
