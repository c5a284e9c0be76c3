//! Calls that take minutes, on a paused clock: hours of them pass in no time, through the hub and the calls' way as they are.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    missing_docs,
    reason = "tests wait and spawn"
)]

use examples::calls::{Budget, Caller, Calls};
use examples::catalogue::{Call, Catalogue};
use examples::hub::socket::{PluginSocket, serve};
use examples::hub::{Config, Hub, Request};
use futures::{Sink, SinkExt, Stream, StreamExt};
use mcp_transport_core::delivery::Replay;
use mcp_transport_core::memory::{self, End};
use mcp_transport_core::{Error, Message, Outcome};
use serde_json::{Value, json};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

const MINUTE: Duration = s(60);

/// A hub whose wall clock goes with the paused one, so that nobody seems to sleep.
fn hub() -> Hub {
    let (began, wall) = (Instant::now(), SystemTime::now());
    Hub::with_wall_clock(Config::default(), move || wall + began.elapsed())
}

/// For clients that give up after 60 s.
fn calls(hub: &Hub) -> Calls {
    Calls::new(hub.clone(), Budget::new(s(120), Some(s(50))), || None)
}

fn caller(cancelled: &CancellationToken) -> Caller {
    Caller::new(Some("me".to_owned()), cancelled.clone(), None, None)
}

fn build() -> Call {
    let arguments = json!({"action": "build", "target": "windows64"});
    let tool = Catalogue::builtin().tool("manage_build").unwrap();
    tool.prepare(arguments.as_object().cloned().unwrap())
        .unwrap()
}

/// The hub's end of a connection in memory.
struct Socket(End);

impl Stream for Socket {
    type Item = Result<Message, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_next_unpin(cx)
    }
}

impl Sink<Message> for Socket {
    type Error = Error;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.0.poll_ready_unpin(cx)
    }

    fn start_send(mut self: Pin<&mut Self>, message: Message) -> Result<(), Error> {
        self.0.start_send_unpin(message)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.0.poll_flush_unpin(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.0.poll_close_unpin(cx)
    }
}

impl PluginSocket for Socket {
    async fn goodbye(self, _: u16, _: &str) {}
}

/// An editor's end. Its main loop is at work for as long as nobody answers; its pongs go on.
struct Plugin {
    end: End,
    executed: Vec<Value>,
}

impl Plugin {
    async fn connect(hub: &Hub, hash: &str) -> Self {
        let (ours, theirs) = memory::pair(16);
        tokio::spawn(serve(hub.clone(), Socket(theirs)));
        let executed = Vec::new();
        let mut plugin = Self {
            end: ours,
            executed,
        };
        let register = json!({"type": "register", "project_hash": hash, "project_name": hash});
        plugin.say(&register).await;
        while plugin.hear().await["type"] != "registered" {}
        plugin
    }

    async fn say(&mut self, what: &Value) {
        self.end
            .send(Message::from(what.to_string()))
            .await
            .unwrap();
    }

    async fn hear(&mut self) -> Value {
        self.end.next().await.unwrap().unwrap().json().unwrap()
    }

    /// Lives for a while: answers pings, and takes commands without an answer.
    async fn live(&mut self, time: Duration) {
        let until = Instant::now() + time;
        while let Ok(said) = timeout_at(until, self.hear()).await {
            match said["type"].as_str() {
                Some("ping") => self.say(&json!({"type": "pong", "session_id": "s"})).await,
                Some("execute") => self.executed.push(said),
                _ => {}
            }
        }
    }

    /// The next command.
    async fn take(&mut self) -> Value {
        loop {
            let said = self.hear().await;
            if said["type"] == "execute" {
                return said;
            }
        }
    }

    async fn answer(&mut self, execute: &Value, data: &Value) {
        let result = json!({"status": "success", "result": {"success": true, "data": data}});
        let answer = json!({"type": "command_result", "id": execute["id"], "result": result});
        self.say(&answer).await;
    }
}

/// Until what was said has been heard.
async fn settle() {
    tokio::time::sleep(Duration::from_millis(1)).await;
}

/// A call by a client without progress, which is told after 50 s that it runs: by which id.
async fn told_that_it_runs(
    ended: tokio::task::JoinHandle<Result<examples::catalogue::Reply, mcp_transport_core::Ending>>,
) -> String {
    let ending = ended.await.unwrap().unwrap_err();
    assert_eq!(ending.outcome, Outcome::Running, "{ending:?}");
    assert!(!ending.retryable, "{ending:?}");
    ending.operation_id.unwrap()
}

fn begin(
    calls: &Calls,
) -> tokio::task::JoinHandle<Result<examples::catalogue::Reply, mcp_transport_core::Ending>> {
    let calls = calls.clone();
    tokio::spawn(async move {
        let caller = caller(&CancellationToken::new());
        calls.run(&caller, None, &build()).await
    })
}

fn result(calls: &Calls, id: &str) -> Value {
    let reply = calls.operation(id, Some("me")).unwrap();
    assert!(reply.success);
    reply.data
}

fn known(calls: &Calls, id: &str) -> Outcome {
    calls.operation(id, Some("me")).unwrap_err().outcome
}

#[tokio::test(start_paused = true)]
async fn a_six_minute_build_behind_a_reload_runs_once_and_its_result_can_be_had_by_its_id() {
    let hub = hub();
    let calls = calls(&hub);
    drop(Plugin::connect(&hub, "game").await);
    settle().await;
    // The call comes while the editor reloads.
    let (began, client) = (Instant::now(), begin(&calls));
    tokio::time::sleep(s(5)).await;
    let mut plugin = Plugin::connect(&hub, "game").await;
    plugin.live(s(46)).await;
    let id = told_that_it_runs(client).await;
    assert_eq!(began.elapsed().as_secs(), 51, "in time for a limit of 60 s");
    // What goes out lets the plugin work for as long as it takes.
    let [build] = &plugin.executed.clone()[..] else {
        panic!("it is sent once: {:?}", plugin.executed);
    };
    assert!(build["timeout"].as_f64().unwrap() >= 360.0, "{build}");
    for _ in 0..5 {
        assert_eq!(known(&calls, &id), Outcome::Running);
        plugin.live(MINUTE).await;
    }
    plugin.answer(build, &json!("built")).await;
    settle().await;
    assert_eq!(result(&calls, &id), "built");
    assert_eq!(
        calls.operation(&id, Some("you")).unwrap_err().cause,
        "unknown_operation"
    );
    assert_eq!(plugin.executed.len(), 1);
    // It can be fetched for ten minutes.
    plugin.live(s(590)).await;
    assert_eq!(result(&calls, &id), "built");
    plugin.live(s(20)).await;
    assert!(calls.operation(&id, Some("me")).is_err());
}

#[tokio::test(start_paused = true)]
async fn a_six_minute_build_that_outlives_its_connection_runs_once_and_its_result_can_be_had() {
    let hub = hub();
    let calls = calls(&hub);
    let mut plugin = Plugin::connect(&hub, "game").await;
    let client = begin(&calls);
    plugin.live(s(51)).await;
    let id = told_that_it_runs(client).await;
    plugin.live(s(129)).await;
    let build = plugin.executed.pop().unwrap();
    drop(plugin);
    settle().await;
    // Nobody can say now what becomes of it, and so nobody repeats it.
    assert_eq!(known(&calls, &id), Outcome::Unknown);
    tokio::time::sleep(s(5)).await;
    let mut plugin = Plugin::connect(&hub, "game").await;
    plugin.live(s(175)).await;
    assert_eq!(plugin.executed, [Value::Null; 0]);
    plugin.answer(&build, &json!("built")).await;
    settle().await;
    assert_eq!(result(&calls, &id), "built");
}

#[tokio::test(start_paused = true)]
async fn what_an_editor_works_on_is_remembered_whatever_else_is_given_up() {
    let hub = hub();
    let calls = calls(&hub);
    let mut plugin = Plugin::connect(&hub, "game").await;
    let client = begin(&calls);
    plugin.live(s(51)).await;
    let id = told_that_it_runs(client).await;
    // 300 other calls are given up while they run, and are never answered.
    for _ in 0..300 {
        let mut other = Plugin::connect(&hub, "other").await;
        let call = hub.submit("other", request(), None).unwrap();
        other.take().await;
        drop(call);
        drop(other);
        settle().await;
    }
    let build = plugin.executed[0].clone();
    plugin.answer(&build, &json!("built")).await;
    settle().await;
    assert_eq!(result(&calls, &id), "built");
}

fn request() -> Request {
    Request {
        command: "work".to_owned(),
        params: json!({}),
        timeout: s(30),
        replay: Replay::Never,
        hold: s(120),
    }
}

/// Calls whose result comes when nobody waits for it any more; their ids.
async fn unclaimed(hub: &Hub, plugin: &mut Plugin, count: usize, data: &Value) -> Vec<String> {
    let mut ids = Vec::with_capacity(count);
    for _ in 0..count {
        let call = hub.submit("game", request(), None).unwrap();
        ids.push(call.id().to_owned());
        let execute = plugin.take().await;
        drop(call);
        plugin.answer(&execute, data).await;
    }
    settle().await;
    ids
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_unclaimed_results_stay_under_their_cap() {
    let hub = hub();
    let mut plugin = Plugin::connect(&hub, "game").await;
    let kept = |ids: &[String]| -> Vec<usize> {
        let results = ids.iter().filter_map(|id| hub.late_result(id, None));
        results.map(|result| result.to_string().len()).collect()
    };
    let small = unclaimed(&hub, &mut plugin, 10_000, &json!("small")).await;
    assert_eq!(kept(&small).len(), 256);
    assert_eq!(kept(&small[10_000 - 256..]).len(), 256, "the newest");
    // Where they are large, their bytes count.
    let large = json!("x".repeat(200_000));
    let large = unclaimed(&hub, &mut plugin, 300, &large).await;
    let sizes = kept(&large);
    let bytes: usize = sizes.iter().sum();
    assert!(
        bytes <= 16 * 1024 * 1024 && bytes > 15 * 1024 * 1024,
        "{bytes}"
    );
    assert!(kept(&small).is_empty());
    assert!(hub.late_result(large.last().unwrap(), None).is_some());
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_call_that_is_queued_is_never_seen_and_one_that_runs_keeps_its_result() {
    let hub = hub();
    let calls = calls(&hub);
    let mut plugin = Plugin::connect(&hub, "game").await;
    let client = begin(&calls);
    plugin.live(s(51)).await;
    let id = told_that_it_runs(client).await;
    // Behind the build one waits, and is cancelled.
    let cancelled = CancellationToken::new();
    let waiting = {
        let (calls, caller) = (calls.clone(), caller(&cancelled));
        tokio::spawn(async move { calls.run(&caller, None, &build()).await })
    };
    plugin.live(s(10)).await;
    cancelled.cancel();
    assert_eq!(waiting.await.unwrap().unwrap_err().cause, "cancelled");
    // One that is cancelled before it begins is not even queued.
    let caller = caller(&cancelled);
    assert!(calls.run(&caller, None, &build()).await.is_err());
    let build = plugin.executed[0].clone();
    plugin.answer(&build, &json!("built")).await;
    plugin.live(s(60)).await;
    assert_eq!(plugin.executed.len(), 1);
    assert_eq!(result(&calls, &id), "built");
}
