//! What is known of a command that did not come by a tool.

use super::{Catalogue, Replay, Source, Tool};
use serde_json::Value;

/// The plugin's own questions, which no entry has.
const QUESTIONS: &[&str] = &["get_tool_states", "ping"];

impl Catalogue {
    /// Whether a command with these wire parameters only reads, as far as the entries know: each that can send it says so,
    /// and there is one.
    pub fn is_known_to_read(&self, command: &str, params: &Value) -> bool {
        let action = params.get("action").and_then(Value::as_str);
        let mut senders = self
            .tools()
            .iter()
            .filter(|tool| sends(tool, command, action));
        let mut resources = self.resources().iter();
        match senders.next() {
            Some(first) => reads(first, action) && senders.all(|tool| reads(tool, action)),
            // A command with actions is known by its action, or not at all.
            None if self
                .tools()
                .iter()
                .any(|tool| tool.command.as_deref() == Some(command)) =>
            {
                false
            }
            None => {
                QUESTIONS.contains(&command)
                    || resources
                        .any(|one| matches!(&one.source, Source::Command(it) if it == command))
            }
        }
    }
}

/// Whether a call of this tool can go out as this command with this action.
fn sends(tool: &Tool, command: &str, action: Option<&str>) -> bool {
    if tool.command.as_deref() != Some(command) || tool.handler.is_some() {
        return false;
    }
    match tool.constants.get("action") {
        Some(constant) => constant.as_str() == action,
        None => {
            let actions = tool.actions();
            actions.is_empty() || action.is_some_and(|it| actions.iter().any(|one| one == it))
        }
    }
}

fn reads(tool: &Tool, action: Option<&str>) -> bool {
    match tool.constants.get("action") {
        Some(_) => tool.replay == Replay::Safe,
        None => tool.is_replay_safe(action),
    }
}
