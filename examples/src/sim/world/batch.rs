//! `batch_execute`: several commands in a row, on the main thread, within one.

use serde_json::{Map, Value, json};

use super::answer::{Answer, Reply};
use super::params::Params;
use super::{Cause, World};

/// Commands that a batch takes, as a fresh plugin is configured.
pub const BATCH_DEFAULT: usize = 25;

/// Commands that no configuration of the plugin exceeds.
pub const BATCH_MAX: usize = 100;

impl World {
    pub(super) fn batch(
        &mut self,
        now: u64,
        params: Params<'_>,
        reload: &mut Option<Cause>,
    ) -> Reply {
        let commands = params.raw("commands").and_then(Value::as_array);
        let Some(commands) = commands.filter(|commands| !commands.is_empty()) else {
            return Err(Answer::refused(
                "Provide at least one command entry in 'commands'.",
            ));
        };
        let most = self.editor.batch;
        if commands.len() > most {
            return Err(Answer::refused(format!(
                "A maximum of {most} commands are allowed per batch (configurable in MCP \
                 Tools window, hard max {BATCH_MAX})."
            )));
        }
        let fail_fast = params.flag("failFast").unwrap_or(false);
        let mut results = Vec::with_capacity(commands.len());
        let mut failures = 0;
        for command in commands {
            let (succeeded, row) = self.one_of_batch(now, command, reload);
            results.push(row);
            failures += usize::from(!succeeded);
            if !succeeded && fail_fast {
                break;
            }
        }
        let data = json!({
            "callSuccessCount": results.len() - failures,
            "callFailureCount": failures,
            "results": results,
            "parallelRequested": params.flag("parallel").unwrap_or(false),
            "parallelApplied": false,
            "maxParallelism": params.int("maxParallelism"),
        });
        match failures {
            0 => Ok(Answer::done("Batch execution completed.").with(data)),
            _ => Err(Answer::refused("One or more commands failed.").with(data)),
        }
    }

    fn one_of_batch(
        &mut self,
        now: u64,
        command: &Value,
        reload: &mut Option<Cause>,
    ) -> (bool, Value) {
        let failed = |tool: Option<&str>, error: &str| {
            (
                false,
                json!({"tool": tool, "callSucceeded": false, "error": error}),
            )
        };
        if !command.is_object() {
            return failed(None, "Command entries must be JSON objects.");
        }
        let tool = command.get("tool").and_then(Value::as_str).map(str::trim);
        let Some(tool) = tool.filter(|tool| !tool.is_empty()) else {
            return failed(None, "Each command must include a non-empty 'tool' field.");
        };
        if tool == "batch_execute" {
            // The server refuses it as well; a batch of batches would have no bound.
            return failed(Some(tool), "A batch cannot contain a batch.");
        }
        let params = command
            .get("params")
            .cloned()
            .unwrap_or_else(|| Value::Object(Map::new()));
        match self.run(now, tool, &params, reload) {
            Answer::Threw { error } => failed(Some(tool), &error),
            answer => {
                let succeeded = answer.succeeded();
                let result = answer.into_result();
                (
                    succeeded,
                    json!({"tool": tool, "callSucceeded": succeeded, "result": result}),
                )
            }
        }
    }
}
