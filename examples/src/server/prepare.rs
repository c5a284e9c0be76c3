//! From a client's arguments to a call, with what the editor has to say of its limits.

use super::mcp::UnityMcp;
use crate::calls::Caller;
use crate::catalogue::{BadArguments, Call, Limits, Tool};
use mcp_transport_core::{Ending, Outcome};
use serde_json::{Map, Value};
use std::time::Duration;

impl UnityMcp {
    /// Checks the arguments. Where a long call is going to be a task, its client sets no limit to it.
    ///
    /// Only a batch beyond the limit that every plugin starts with asks the editor for its own, once for each editor: a plugin
    /// with a lower one refuses the batch as a whole, and says so.
    pub(super) async fn prepare(
        &self,
        tool: &'static Tool,
        arguments: Map<String, Value>,
        caller: &Caller,
        takes_tasks: bool,
    ) -> Result<Call, Ending> {
        let usual = Limits::default();
        if tool.name != "batch_execute" {
            let call = tool.prepare(arguments).map_err(|bad| refused(&bad))?;
            let is_task = call.long && takes_tasks;
            return Ok(if is_task {
                call
            } else {
                self.patient(call, caller)
            });
        }
        let largest = usual.batch(usize::MAX);
        let call = tool.prepare_within(arguments.clone(), largest);
        let call = call.map_err(|bad| refused(&bad))?;
        if call.params["commands"].as_array().map_or(0, Vec::len) <= usual.batch {
            return Ok(call);
        }
        let selector = call.unity_instance.clone().or_else(|| self.active());
        let told = self.calls.batch_limit(caller, selector.as_deref()).await?;
        let limits = told.map_or(usual, |most| usual.batch(most));
        let call = tool.prepare_within(arguments, limits);
        call.map_err(|bad| refused(&bad))
    }

    /// A wait that the client asks for, within the time that it has itself.
    fn patient(&self, mut call: Call, caller: &Caller) -> Call {
        let wait = call.params.get("wait_timeout").and_then(Value::as_u64);
        let patience = self.calls.patience(caller);
        if let (Some(wait), Some(patience)) = (wait.filter(|wait| *wait > 0), patience) {
            let most = patience.saturating_sub(LAST_WORD).as_secs();
            call.params["wait_timeout"] = wait.min(most).into();
        }
        call
    }
}

/// What is left to ask once more, and to answer.
const LAST_WORD: Duration = Duration::from_secs(5);

/// Nothing was sent.
pub(super) fn refused(bad: &BadArguments) -> Ending {
    Ending::new(Outcome::NotDelivered, "invalid_arguments", bad.to_string()).retryable(false)
}
