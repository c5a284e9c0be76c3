//! Long calls as tasks, to rmcp's own client of protocol 2026-07-28.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    missing_docs,
    reason = "tests wait and spawn"
)]

use examples::calls::Budget;
use examples::sim::{Editor, Options};
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, CancelTaskParams, ClientCapabilities,
    ClientConfig, GetTaskParams, Implementation, ProtocolVersion, Task, TaskPayload, TaskStatus,
};
use rmcp::service::RunningService;
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::{ClientLifecycleMode, ClientServiceExt, RoleClient};
use serde_json::{Value, json};
use std::time::Duration;
use tests_integration::{Answer, Server, raw, reload};

/// What the editor takes for a menu entry, which is a long call.
const SLOW: Duration = Duration::from_millis(1_500);

/// A client that takes tasks.
struct Client(RunningService<RoleClient, ClientConfig>);

impl Client {
    async fn of(server: &Server) -> Self {
        examples::tls::choose_ring();
        let capabilities = ClientCapabilities::builder().enable_tasks().build();
        let config = ClientConfig::new(capabilities, Implementation::new("tasks", "0"));
        let lifecycle = ClientLifecycleMode::Discover {
            preferred_versions: vec![ProtocolVersion::V_2026_07_28],
        };
        let transport = StreamableHttpClientTransport::from_uri(server.url());
        Self(
            config
                .serve_with_lifecycle(transport, lifecycle)
                .await
                .unwrap(),
        )
    }

    async fn call(&self, tool: &str, arguments: Value) -> CallToolResponse {
        let arguments = arguments.as_object().cloned().unwrap();
        let params = CallToolRequestParams::new(tool.to_owned()).with_arguments(arguments);
        self.0.peer().call_tool_once(params).await.unwrap()
    }

    /// A call that becomes a task.
    async fn begin(&self, tool: &str, arguments: Value) -> Task {
        match self.call(tool, arguments).await {
            CallToolResponse::Task(begun) => begun.task,
            other => panic!("no task: {other:?}"),
        }
    }

    async fn answer(&self, tool: &str, arguments: Value) -> Answer {
        match self.call(tool, arguments).await {
            CallToolResponse::Complete(result) => Answer::of(&result),
            other => panic!("no answer: {other:?}"),
        }
    }

    async fn look(&self, id: &str) -> (Task, TaskPayload) {
        let seen = self
            .0
            .peer()
            .get_task(GetTaskParams::new(id))
            .await
            .unwrap();
        (seen.task.task, seen.task.payload)
    }

    /// Looks until it is over.
    async fn over(&self, id: &str) -> (Task, TaskPayload) {
        loop {
            let (task, payload) = self.look(id).await;
            if task.status.is_terminal() {
                return (task, payload);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn result(&self, id: &str) -> Answer {
        let TaskPayload::Completed { result } = self.over(id).await.1 else {
            panic!("it has a result");
        };
        let result: CallToolResult = serde_json::from_value(result.into()).unwrap();
        Answer::of(&result)
    }

    async fn cancel(&self, id: &str) {
        let asked = self.0.peer().cancel_task(CancelTaskParams::new(id)).await;
        asked.unwrap();
    }

    async fn operation(&self, id: &str) -> Answer {
        self.answer("get_operation", json!({"operation_id": id}))
            .await
    }
}

/// An editor that takes its time for menu entries.
fn slow() -> Options {
    let options = Options::default().away(Duration::from_secs(1));
    options.latency_for("execute_menu_item", SLOW)
}

fn menu() -> Value {
    json!({"menu_path": "File/Save"})
}

fn ran(editor: &Editor, command: &str) -> u64 {
    let commands = editor.report().commands;
    let ran = commands.iter().filter(|ran| ran.command == command);
    ran.map(|ran| ran.executed).sum()
}

async fn running(server: &Server) {
    while server
        .hub
        .snapshot()
        .iter()
        .all(|one| one.running.is_none())
    {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test]
async fn a_long_call_is_answered_with_a_task_at_once_and_ends_with_its_true_result() {
    let server = Server::start(Budget::default());
    let editor = server.editor(slow()).await;
    let client = Client::of(&server).await;
    let task = client.begin("execute_menu_item", menu()).await;
    assert_eq!(task.status, TaskStatus::Working);
    assert_eq!(ran(&editor, "execute_menu_item"), 0, "it takes its time");
    assert!(
        task.ttl_ms.unwrap() > 3_600_000 && task.poll_interval_ms.is_some(),
        "{task:?}"
    );
    // The task is the operation.
    let asked = client.operation(&task.task_id).await;
    assert_eq!(asked.outcome(), Some("running"), "{asked:?}");
    assert_eq!(asked.value["operation_id"], task.task_id);

    let result = client.result(&task.task_id).await;
    assert!(result.succeeded(), "{result:?}");
    let kept = client.operation(&task.task_id).await;
    assert_eq!(kept.value["data"], result.value, "{kept:?}");
    assert_eq!(ran(&editor, "execute_menu_item"), 1);
    let (ended, _) = client.look(&task.task_id).await;
    assert!(
        ended.ttl_ms < task.ttl_ms && ended.ttl_ms.unwrap() >= 600_000,
        "{ended:?}"
    );
    server.stop().await;
}

#[tokio::test]
async fn only_long_calls_of_clients_that_take_tasks_become_tasks() {
    let server = Server::start(Budget::default());
    let editor = server.editor(Options::default()).await;
    let client = Client::of(&server).await;
    let short = client.answer(
        "manage_gameobject",
        json!({"action": "create", "name": "A"}),
    );
    assert!(short.await.succeeded());
    // One that says of no tasks.
    let other = server.modern_client().await;
    assert!(other.call("execute_menu_item", menu()).await.succeeded());
    let refused = other.peer().get_task(GetTaskParams::new("x")).await;
    assert!(refused.unwrap_err().to_string().contains("apabilit"));
    // What is wrong with a call is said at once.
    let wrong = client
        .answer("execute_menu_item", json!({"menu_path": 1, "x": 2}))
        .await;
    assert_eq!(wrong.value["cause"], "invalid_arguments", "{wrong:?}");
    assert_eq!(ran(&editor, "execute_menu_item"), 1);
    server.stop().await;
}

#[tokio::test]
async fn a_task_waits_for_a_reload_and_says_so() {
    let server = Server::start(Budget::default());
    let editor = server
        .editor(slow().away(Duration::from_millis(3_500)))
        .await;
    reload(&editor).await;
    let client = Client::of(&server).await;
    let task = client.begin("execute_menu_item", menu()).await;
    let said = loop {
        let (task, _) = client.look(&task.task_id).await;
        if let Some(said) = task.status_message {
            break said;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert_eq!(said, "editor reloading, 3 s so far");
    assert!(client.result(&task.task_id).await.succeeded());
    assert_eq!(ran(&editor, "execute_menu_item"), 1);
    server.stop().await;
}

#[tokio::test]
async fn a_cancelled_task_that_is_queued_is_never_seen_by_the_editor() {
    let server = Server::start(Budget::default());
    let editor = server.editor(slow()).await;
    reload(&editor).await;
    let client = Client::of(&server).await;
    let task = client.begin("execute_menu_item", menu()).await;
    server.queued(1).await;
    client.cancel(&task.task_id).await;
    let (over, payload) = client.over(&task.task_id).await;
    assert_eq!(payload, TaskPayload::Cancelled);
    assert!(over.status_message.unwrap().contains("did nothing"));
    let asked = client.operation(&task.task_id).await;
    assert_eq!(asked.outcome(), Some("not_delivered"), "{asked:?}");
    editor.connected().await;
    let witness = client.answer(
        "manage_gameobject",
        json!({"action": "create", "name": "W"}),
    );
    assert!(witness.await.succeeded());
    assert_eq!(ran(&editor, "execute_menu_item"), 0);
    server.stop().await;
}

#[tokio::test]
async fn a_cancelled_task_that_runs_goes_on_and_keeps_its_true_result() {
    let server = Server::start(Budget::default());
    let editor = server.editor(slow()).await;
    let client = Client::of(&server).await;
    let task = client.begin("execute_menu_item", menu()).await;
    running(&server).await;
    client.cancel(&task.task_id).await;
    let (working, _) = client.look(&task.task_id).await;
    assert_eq!(working.status, TaskStatus::Working);
    assert!(working.status_message.unwrap().contains("goes on"));
    assert!(client.result(&task.task_id).await.succeeded());
    assert_eq!(ran(&editor, "execute_menu_item"), 1);
    // What is over cannot be cancelled any more.
    client.cancel(&task.task_id).await;
    assert!(client.result(&task.task_id).await.succeeded());
    server.stop().await;
}

#[tokio::test]
async fn a_task_whose_editor_reloads_while_it_runs_ends_as_unknown_and_does_not_run_twice() {
    let server = Server::start(Budget::default());
    let editor = server.editor(slow()).await;
    let client = Client::of(&server).await;
    let task = client.begin("execute_menu_item", menu()).await;
    running(&server).await;
    reload(&editor).await;
    let result = client.result(&task.task_id).await;
    assert_eq!(result.outcome(), Some("unknown"), "{result:?}");
    assert_eq!(result.value["operation_id"], task.task_id);
    assert_eq!(client.operation(&task.task_id).await.value, result.value);
    editor.connected().await;
    assert_eq!(
        ran(&editor, "execute_menu_item"),
        0,
        "it was lost unexecuted"
    );
    server.stop().await;
}

#[tokio::test]
async fn a_server_that_stops_ends_its_tasks() {
    let server = Server::start(Budget::default());
    let editor = server.editor(slow().away(Duration::from_secs(60))).await;
    reload(&editor).await;
    let client = Client::of(&server).await;
    client.begin("execute_menu_item", menu()).await;
    server.queued(1).await;
    let stopped = tokio::time::timeout(Duration::from_secs(10), server.stop());
    stopped.await.expect("no task holds the end up");
}

#[tokio::test]
async fn nobody_elses_task_and_none_that_never_was_can_be_looked_at() {
    let server = Server::start(Budget::default());
    let client = Client::of(&server).await;
    let ask = client.0.peer().get_task(GetTaskParams::new("0123")).await;
    assert!(ask.unwrap_err().to_string().contains("no task"));
    let ask = client
        .0
        .peer()
        .cancel_task(CancelTaskParams::new("0123"))
        .await;
    assert!(ask.is_err());
    // A client of the former era that has a session gets no tasks, whatever it says it takes.
    let editor = server.editor(Options::default()).await;
    let session = raw::Session::begin(server.port).await;
    assert!(session.call("execute_menu_item", menu()).await.succeeded());
    drop(editor);
    server.stop().await;
}

#[tokio::test]
async fn a_projects_own_tool_that_is_polled_is_a_task_until_its_work_is_done() {
    let server = Server::start(Budget::default());
    let editor = server.editor(Options::default()).await;
    let client = Client::of(&server).await;
    let job = |name: &str| json!({"name": name, "seconds": 1});
    let named = client.begin("sim_slow_job", job("one")).await;
    let by_name = json!({"tool_name": "sim_slow_job", "parameters": job("two")});
    let executed = client.begin("execute_custom_tool", by_name).await;
    let asked = client.operation(&named.task_id).await;
    assert_eq!(asked.outcome(), Some("running"), "{asked:?}");
    // Its work has begun, so it goes on.
    while ran(&editor, "sim_slow_job") < 2 {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    client.cancel(&named.task_id).await;
    for task in [named, executed] {
        let result = client.result(&task.task_id).await;
        assert!(result.succeeded(), "{result:?}");
        assert_eq!(
            client.operation(&task.task_id).await.value["data"],
            result.value
        );
    }
    server.stop().await;
}
