//! What is read after a command: whether a change is there whose answer a reload ate, and whether the editor is quiet again.
#![expect(clippy::disallowed_methods, reason = "a shell that waits by the clock")]

use super::{Caller, Calls, Clock, now};
use crate::catalogue::envelope::{Reply, normalise};
use crate::catalogue::{Call, Verdict, Verify, wire_timeout};
use crate::hub::Request;
use mcp_transport_core::delivery::Replay;
use std::time::Duration;

/// How long an editor may take from the loss of an answer until a read tells what became of it.
const READ_BACK: Duration = Duration::from_secs(60);
const ASK_AGAIN: Duration = Duration::from_millis(500);

impl Calls {
    /// Asks the editor, once it is back, whether the change is there.
    pub(super) async fn read_back(
        &self,
        caller: &Caller,
        hash: &str,
        verify: &Verify,
        clock: &mut Clock,
    ) -> Option<Verdict> {
        let mut until = None;
        loop {
            let (command, params) = verify.question();
            let reply = self.ask(caller, hash, command, params, clock).await?;
            let verdict = verify.judge(&reply);
            if verdict != Verdict::CannotTell {
                return Some(verdict);
            }
            // The time runs from the editor's return on.
            if now() >= *until.get_or_insert_with(|| now() + READ_BACK) {
                return None;
            }
            tokio::time::sleep(ASK_AGAIN).await;
        }
    }

    /// `refresh_unity` with `wait_for_ready`: the answer waits until the editor is quiet again.
    pub(super) async fn when_ready(
        &self,
        caller: &Caller,
        hash: &str,
        clock: &mut Clock,
        mut reply: Reply,
    ) -> Reply {
        let until = now() + READ_BACK;
        while now() < until {
            // Shortly after its answer the editor may not have begun yet.
            tokio::time::sleep(ASK_AGAIN).await;
            let params = serde_json::json!({});
            let Some(state) = self
                .ask(caller, hash, "get_editor_state", params, clock)
                .await
            else {
                break;
            };
            if is_ready(&state) {
                return reply;
            }
        }
        let text = "The editor took the refresh, but is not ready yet.";
        reply.value["message"] = text.into();
        reply.message = Some(text.to_owned());
        reply
    }

    async fn ask(
        &self,
        caller: &Caller,
        hash: &str,
        command: &str,
        params: serde_json::Value,
        clock: &mut Clock,
    ) -> Option<Reply> {
        let request = Request {
            command: command.to_owned(),
            params,
            timeout: wire_timeout(command, &serde_json::Value::Null),
            replay: Replay::Safe,
            hold: self.budget.hold,
        };
        self.once(caller, hash, request, clock).await.ok()
    }
}

pub(super) fn waits_for_readiness(call: &Call) -> bool {
    call.command == Some("refresh_unity")
        && call.params["wait_for_ready"] != serde_json::Value::Bool(false)
}

fn is_ready(state: &Reply) -> bool {
    let flag = |pointer| {
        state
            .data
            .pointer(pointer)
            .and_then(serde_json::Value::as_bool)
    };
    state.success
        && flag("/compilation/is_compiling") != Some(true)
        && flag("/compilation/is_domain_reload_pending") != Some(true)
}

/// The answer of a change whose own answer was lost, and that a read found to be there.
pub(super) fn verified(call: &Call) -> Reply {
    let message = match call.command {
        // Whose reload it was cannot be read; that there was one, and that it is over, can.
        Some("refresh_unity") => {
            "The editor reloaded its scripts after the request, and is ready (verified after reload)".to_owned()
        }
        _ => format!("{} took effect (verified after reload)", call.tool),
    };
    // Within the data, since that is what every tool shows of an answer.
    let data = serde_json::json!({"verified_after_reload": true});
    normalise(&serde_json::json!({"success": true, "message": message, "data": data}))
}
