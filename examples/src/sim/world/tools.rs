//! What the plugin tells the hub about its tools: `register_tools` and `get_tool_states`.

use serde_json::{Value, json};

use super::answer::Answer;

/// Commands that are tools of the server's own catalogue. It shows those that the editor registers.
const BUILT_IN: [&str; 10] = [
    "batch_execute",
    "execute_menu_item",
    "find_gameobjects",
    "manage_components",
    "manage_editor",
    "manage_gameobject",
    "manage_scene",
    "manage_script",
    "read_console",
    "refresh_unity",
];

/// The array of `register_tools`.
pub(super) fn definitions() -> Value {
    let built_in = BUILT_IN
        .iter()
        .map(|name| tool(name, "Built into the plugin.", "core", false, &[]));
    Value::Array(built_in.chain(custom()).collect())
}

pub(super) fn states() -> Answer {
    let with = |mut tool: Value, built_in: bool| {
        tool["enabled"] = json!(true);
        tool["auto_register"] = json!(!built_in);
        tool["is_built_in"] = json!(built_in);
        tool
    };
    let built_in = BUILT_IN.iter().map(|name| {
        with(
            tool(name, "Built into the plugin.", "core", false, &[]),
            true,
        )
    });
    let tools: Vec<Value> = built_in
        .chain(custom().map(|tool| with(tool, false)))
        .collect();
    let group = |name: &str| {
        let count = tools.iter().filter(|tool| tool["group"] == name).count();
        json!({"name": name, "enabled_count": count, "total_count": count})
    };
    let groups = [group("core"), group("custom")];
    Answer::done("Retrieved tool states.").with(json!({"tools": tools, "groups": groups}))
}

/// The project's own tools. Required parameters stand before optional ones: the Python server
/// cannot build a signature otherwise, and drops the tool and all after it.
fn custom() -> impl Iterator<Item = Value> {
    [
        tool(
            "sim_spawn_row",
            "Creates objects prefix_0, prefix_1, … in a row (simulator).",
            "custom",
            false,
            &[
                parameter("prefix", "What the names begin with", "string", None),
                parameter("count", "How many, 1 to 100", "integer", None),
                parameter("spacing", "Metres between two", "number", Some("1")),
            ],
        ),
        tool(
            "sim_slow_job",
            "Begins a job that takes a while and is polled (simulator).",
            "custom",
            true,
            &[
                parameter("name", "The job's name", "string", None),
                parameter("seconds", "How long it takes", "number", Some("1")),
            ],
        ),
    ]
    .into_iter()
}

fn tool(name: &str, description: &str, group: &str, polling: bool, parameters: &[Value]) -> Value {
    json!({
        "name": name,
        "description": description,
        "structured_output": true,
        "requires_polling": polling,
        "poll_action": "status",
        "max_poll_seconds": if polling { 3_600 } else { 0 },
        "group": group,
        "parameters": parameters,
    })
}

fn parameter(name: &str, description: &str, kind: &str, default: Option<&str>) -> Value {
    json!({
        "name": name,
        "description": description,
        "type": kind,
        "required": default.is_none(),
        "default_value": default,
    })
}
