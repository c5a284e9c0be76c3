//! What the plugin tells the hub about its tools: `register_tools` and `get_tool_states`.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::answer::Answer;

/// Commands that are tools of the server's own catalogue. It shows those that the editor registers.
const BUILT_IN: [(&str, &str); 12] = [
    ("batch_execute", "core"),
    ("execute_menu_item", "core"),
    ("find_gameobjects", "core"),
    ("get_test_job", "testing"),
    ("manage_components", "core"),
    ("manage_editor", "core"),
    ("manage_gameobject", "core"),
    ("manage_scene", "core"),
    ("manage_script", "core"),
    ("read_console", "core"),
    ("refresh_unity", "core"),
    ("run_tests", "testing"),
];

/// What a project brings with it: tools of its own, and what its user has switched off.
///
/// A tool of its own is written as the plugin registers it; beside the plugin's words it may say under `sim` how the
/// simulator is to answer: after how many `seconds` its work is done, if it is polled, and with which `data`.
///
/// ```
/// use examples::sim::Options;
/// use serde_json::json;
///
/// let bake = json!({
///     "name": "bake_lights", "description": "Bakes the lights of a scene.",
///     "parameters": [{"name": "scene", "type": "string", "required": true}],
///     "requires_polling": true, "sim": {"seconds": 2, "data": {"lights": 3}},
/// });
/// let options = Options::default().tool(bake).switched_off("manage_script");
/// # let _ = options;
/// ```
#[derive(Clone, Debug, Default)]
pub struct Tools {
    own: Vec<Value>,
    off: BTreeSet<String>,
}

/// How the simulator answers a tool of the project's own.
#[derive(Clone, Debug)]
pub(super) struct Own {
    pub(super) name: String,
    pub(super) polled: bool,
    pub(super) poll_action: String,
    pub(super) seconds: f64,
    pub(super) data: Value,
}

impl Tools {
    pub(in crate::sim) fn add(&mut self, definition: Value) {
        self.own.push(definition);
    }

    pub(in crate::sim) fn switch_off(&mut self, name: String) {
        self.off.insert(name);
    }

    pub(super) fn is_off(&self, name: &str) -> bool {
        self.off.contains(name)
    }

    pub(super) fn own(&self, name: &str) -> Option<Own> {
        let tool = self.own.iter().find(|tool| tool["name"] == name)?;
        let action = tool["poll_action"].as_str().unwrap_or("status");
        Some(Own {
            name: name.to_owned(),
            polled: tool["requires_polling"] == true,
            poll_action: action.to_owned(),
            seconds: tool["sim"]["seconds"].as_f64().unwrap_or(1.0),
            data: tool["sim"]["data"].clone(),
        })
    }

    /// The array of `register_tools`.
    pub(super) fn definitions(&self) -> Value {
        let all = self.all().into_iter();
        let on = all.filter(|(tool, _)| !self.is_off(tool["name"].as_str().unwrap_or_default()));
        on.map(|(tool, _)| tool).collect()
    }

    /// The answer to `get_tool_states`.
    pub(super) fn states(&self) -> Answer {
        let states = self.all().into_iter().map(|(mut tool, built_in)| {
            let off = self.is_off(tool["name"].as_str().unwrap_or_default());
            tool["enabled"] = json!(!off);
            tool["auto_register"] = json!(!built_in);
            tool["is_built_in"] = json!(built_in);
            tool
        });
        let tools: Vec<Value> = states.collect();
        let group = |name: &str| {
            let group: Vec<&Value> = tools.iter().filter(|tool| tool["group"] == name).collect();
            let on = group.iter().filter(|tool| tool["enabled"] == true).count();
            json!({"name": name, "enabled_count": on, "total_count": group.len()})
        };
        let groups = [group("core"), group("testing"), group("custom")];
        Answer::done("Retrieved tool states.").with(json!({"tools": tools, "groups": groups}))
    }

    /// Every tool, and whether it is the plugin's.
    fn all(&self) -> Vec<(Value, bool)> {
        let built_in = BUILT_IN
            .iter()
            .map(|(name, group)| tool(name, "Built into the plugin.", group, false, &[]));
        let own = self.own.iter().map(|tool| {
            let mut tool = tool.clone();
            if let Some(tool) = tool.as_object_mut() {
                tool.remove("sim");
                tool.entry("group").or_insert_with(|| "custom".into());
            }
            tool
        });
        let own = custom().chain(own).map(|tool| (tool, false));
        built_in.map(|tool| (tool, true)).chain(own).collect()
    }
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
