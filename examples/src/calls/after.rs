//! What is read after a command: whether a change is there whose answer a reload ate, and whether the editor is quiet again.
#![expect(clippy::disallowed_methods, reason = "a shell that waits by the clock")]

use super::{Caller, Calls, Clock, diagnose, now};
use crate::catalogue::envelope::{Reply, normalise};
use crate::catalogue::{Call, Verdict, Verify, wire_timeout};
use crate::hub::Request;
use crate::logic::refresh;
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

    /// `refresh_unity` with `wait_for_ready`: the answer waits until the editor says that it is quiet again, and says so.
    pub(super) async fn when_ready(
        &self,
        caller: &Caller,
        hash: &str,
        clock: &mut Clock,
        reply: Reply,
    ) -> Reply {
        let began = now();
        let patience = began + self.budget.hold;
        // Time to say that it is not ready yet, before the client is told the same of a question that it did not ask.
        let patience = clock.answer_by.map_or(patience, |by| by.min(patience)) - ASK_AGAIN;
        let mut last = None;
        while now() + ASK_AGAIN < patience {
            // Shortly after its answer the editor may not have begun yet.
            tokio::select! {
                () = tokio::time::sleep(ASK_AGAIN) => {}
                () = caller.gone() => break,
                () = self.stopping.cancelled() => break,
            }
            if now() >= clock.next_progress {
                let text = diagnose::settling(last.as_ref(), now() - began);
                self.tell(caller, clock, text).await;
            }
            let mut within = Clock {
                answer_by: Some(patience),
                ..*clock
            };
            let asked = self.state(caller, hash, &mut within).await;
            clock.next_progress = within.next_progress;
            match asked {
                Ok(state) if refresh::is_ready(&state) => {
                    return refresh::ready(reply, now() - began);
                }
                state => last = state.ok(),
            }
        }
        refresh::not_ready(now() - began, last.as_ref())
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
