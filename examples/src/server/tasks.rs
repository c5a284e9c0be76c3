//! Long calls as tasks: the extension `io.modelcontextprotocol/tasks` of protocol 2026-07-28.
//!
//! Who takes tasks says so with each request; who does not is answered as ever. It is the server that decides which call
//! becomes one: what the catalogue calls long. (The experimental tasks of 2025-11-25 were another protocol, in which the client
//! asked for one; rmcp 3.9 does not speak it. There a long call is answered in time with `running` and its operation's id.)

use super::answer;
use super::context::is_modern;
use super::mcp::UnityMcp;
use crate::calls::tasks::{MAX_BYTES, Task, TaskStanding};
use crate::calls::{Caller, Calls, diagnose};
use crate::catalogue::{Call, Tool};
use mcp_transport_core::{Ending, Outcome};
use rmcp::model::{
    CallToolResponse, CallToolResult, CancelTaskParams, CreateTaskResult, DetailedTask,
    GetTaskResult, JsonObject, TaskPayload, TaskStatus,
};
use rmcp::service::RequestContext;
use rmcp::{ErrorData, RoleServer};
use serde_json::{Value, json};
use std::time::SystemTime;

/// How often a client is asked to look. A task costs it nothing meanwhile.
const LOOK_EVERY_MS: u64 = 1_000;

/// JSON-RPC's code of a task that ended without a result: the family's `TimedOut`. Its data say more.
const NO_RESULT: i32 = -31003;

impl UnityMcp {
    /// The task that a call becomes, if it is a long one, and its client takes tasks.
    pub(super) fn as_task(
        &self,
        tool: &'static Tool,
        call: &Call,
        selector: Option<&str>,
        context: &RequestContext<RoleServer>,
    ) -> Option<CallToolResponse> {
        if !call.long || !takes_tasks(context) {
            return None;
        }
        let (call, selector) = (call.clone(), selector.map(str::to_owned));
        let worker = Self::behind_broker(self.calls.clone(), self.owner(context));
        let work = |caller| async move { worker.perform(tool, &call, &caller, selector).await };
        Some(self.begin_task(work, context))
    }

    /// Answers with a task.
    pub(super) fn begin_task<F>(
        &self,
        work: impl FnOnce(Caller) -> F,
        context: &RequestContext<RoleServer>,
    ) -> CallToolResponse
    where
        F: Future<Output = CallToolResult> + Send + 'static,
    {
        let begun = self.calls.begin_task(self.owner(context), |caller| {
            let work = work(caller);
            async move { ended(&work.await) }
        });
        match begun {
            Ok(task) => CreateTaskResult::new(shown(&task).task).into(),
            Err(ending) => answer::ending(&ending).into(),
        }
    }

    pub(super) fn look_at_task(
        &self,
        id: &str,
        context: &RequestContext<RoleServer>,
    ) -> Result<GetTaskResult, ErrorData> {
        let task = self.calls.task(id, self.owner(context).as_deref());
        let task = task.ok_or_else(|| unknown_task(id))?;
        Ok(GetTaskResult::new(shown(&task)))
    }

    pub(super) fn give_up_task(
        &self,
        request: &CancelTaskParams,
        context: &RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        let owner = self.owner(context);
        let known = self.calls.cancel_task(&request.task_id, owner.as_deref());
        known
            .then_some(())
            .ok_or_else(|| unknown_task(&request.task_id))
    }
}

/// What `get_operation` answers of a task; `None` where more may be known than the task says.
pub(super) fn as_operation(calls: &Calls, id: &str, owner: Option<&str>) -> Option<CallToolResult> {
    let ending = match calls.task(id, owner)?.standing {
        TaskStanding::Working => diagnose::still_running(),
        TaskStanding::Cancelled => diagnose::withdrawn(),
        TaskStanding::Failed(ending) if ending.outcome == Outcome::Running => return None,
        TaskStanding::Failed(ending) => ending,
        TaskStanding::Ended(result) => {
            let result: CallToolResult = serde_json::from_value(result).ok()?;
            let content = result.structured_content.clone()?;
            // A bad ending is told again as it was; an answer as every late one.
            return Some(match content.get("outcome") {
                Some(_) if result.is_error == Some(true) => result,
                _ => {
                    let success = result.is_error != Some(true);
                    answer::own(success, "The operation has ended.", Some(content))
                }
            });
        }
    };
    Some(answer::ending(&ending.operation_id(id)))
}

pub(super) fn unknown_task(id: &str) -> ErrorData {
    let text = format!(
        "There is no task {id:?}. A task is kept for 10 minutes after its end, for the one who began it. If the id is right and not that old, the server was replaced since: look at what the task should have changed."
    );
    ErrorData::invalid_params(text, None)
}

/// True if a client of protocol 2026-07-28 says so.
pub(super) fn takes_tasks(context: &RequestContext<RoleServer>) -> bool {
    let client = context.client_capabilities();
    is_modern(context) && client.is_some_and(|client| client.supports_tasks())
}

fn ended(result: &CallToolResult) -> TaskStanding {
    let content = result.structured_content.as_ref();
    let cause = content.and_then(|content| content.get("cause"));
    if result.is_error == Some(true) && cause == Some(&json!("cancelled")) {
        return TaskStanding::Cancelled;
    }
    let value = serde_json::to_value(result).expect("a result is text, flags and numbers");
    let bytes = value.to_string().len();
    if bytes > MAX_BYTES {
        let text = format!(
            "It has ended, and its result of {bytes} bytes is too large to be kept. Look at what it did before you call it again."
        );
        return TaskStanding::Failed(Ending::new(Outcome::Unknown, "too_large", text));
    }
    TaskStanding::Ended(value)
}

/// A task as its client sees it.
fn shown(task: &Task) -> DetailedTask {
    let (created, updated) = (stamp(task.created), stamp(task.updated));
    let status = TaskStatus::Working;
    let mut seen = rmcp::model::Task::new(&*task.id, status, created, updated)
        .with_ttl_ms(u64::try_from(task.ttl.as_millis()).unwrap_or(u64::MAX))
        .with_poll_interval_ms(LOOK_EVERY_MS);
    let mut said = task.said.clone();
    let payload = match &task.standing {
        TaskStanding::Working => TaskPayload::Working,
        TaskStanding::Ended(result) => TaskPayload::Completed {
            result: object(result.clone()),
        },
        TaskStanding::Failed(ending) => TaskPayload::Failed {
            error: object(json!({"code": NO_RESULT, "message": ending.message, "data": ending})),
        },
        TaskStanding::Cancelled => {
            said = Some(diagnose::withdrawn().message);
            TaskPayload::Cancelled
        }
    };
    seen.status_message = said;
    DetailedTask::new(seen, payload)
}

fn stamp(time: SystemTime) -> String {
    let stamp = jiff::Timestamp::try_from(time).unwrap_or_default();
    format!("{stamp:.3}")
}

fn object(value: Value) -> JsonObject {
    match value {
        Value::Object(object) => object,
        _ => JsonObject::new(),
    }
}
