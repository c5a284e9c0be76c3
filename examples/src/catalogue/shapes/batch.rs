//! `batch_execute`: a list of the plugin's own commands.

use serde_json::{Map, Value, json};

use super::super::prepare::Limits;
use super::super::problem::Problem;
use super::super::{Catalogue, UNITY_INSTANCE};
use super::Draft;

/// Checks every item before any is sent, and keeps of each what the plugin reads.
pub(super) fn apply(draft: &mut Draft, limits: Limits) -> Result<(), Problem> {
    let Some(Value::Array(items)) = draft.wire.get_mut("commands") else {
        return Ok(());
    };
    if items.is_empty() || items.len() > limits.batch {
        let expected = format!("1 to {} commands", limits.batch);
        let problem = Problem::new("commands", expected, &Value::Array(std::mem::take(items)));
        return Err(problem.hint("split a longer list into several batches"));
    }
    for (index, item) in items.iter_mut().enumerate() {
        let (tool, params) = read(index, item)?;
        draft.reload |= reloads(&tool, &params);
        *item = json!({"tool": tool, "params": params});
    }
    Ok(())
}

fn read(index: usize, item: &mut Value) -> Result<(String, Map<String, Value>), Problem> {
    let part = |name: &str| format!("commands[{index}].{name}");
    let tool = match item.get("tool").unwrap_or(&Value::Null) {
        Value::String(tool) if !tool.is_empty() => tool.clone(),
        other => return Err(Problem::new(&part("tool"), "the name of a command", other)),
    };
    let given = item.get_mut("params").map_or(Value::Null, Value::take);
    let params = match given {
        Value::Null => Map::new(),
        Value::Object(params) => params,
        Value::String(text) => match serde_json::from_str(&text) {
            Ok(Value::Object(params)) => params,
            _ => {
                return Err(Problem::new(
                    &part("params"),
                    "an object",
                    &Value::String(text),
                ));
            }
        },
        other => return Err(Problem::new(&part("params"), "an object", &other)),
    };
    let misplaced = params
        .get(UNITY_INSTANCE)
        .or_else(|| item.get(UNITY_INSTANCE));
    match misplaced {
        Some(instance) => Err(
            Problem::new(&part(UNITY_INSTANCE), "to be left out", instance)
                .hint("a batch runs in one editor: set unity_instance beside `commands`"),
        ),
        None => Ok((tool, params)),
    }
}

/// The plugin ignores the case of actions, so this does.
fn reloads(command: &str, params: &Map<String, Value>) -> bool {
    let action = params
        .get("action")
        .and_then(Value::as_str)
        .map(str::to_ascii_lowercase);
    let tool = Catalogue::builtin().tool(command);
    tool.is_some_and(|tool| tool.reloads(action.as_deref()))
}
