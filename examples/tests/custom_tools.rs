//! Tools that projects define themselves: what is made of what a plugin says of them, and of what clients send.
#![allow(missing_docs, reason = "a test's name says what it proves")]

use examples::catalogue::Toolset;
use examples::catalogue::custom::{CustomCall, CustomTool, Definition};
use serde_json::{Map, Value, json};
use std::time::Duration;

fn read(tools: &[Value]) -> Toolset {
    Toolset::read(tools.iter().map(Value::to_string))
}

fn tool(definition: Value) -> CustomTool {
    let definition: Definition = serde_json::from_value(definition).expect("a definition");
    CustomTool::new(definition).expect("a tool")
}

fn args(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(args) => args,
        other => panic!("no object: {other}"),
    }
}

fn sent(tool: &CustomTool, given: Value) -> CustomCall {
    tool.prepare(args(given)).expect("good arguments")
}

fn typed() -> CustomTool {
    let parameter = |name: &str, kind: &str| json!({"name": name, "type": kind, "required": false});
    tool(json!({"name": "typed", "parameters": [
        parameter("i", "int"), parameter("n", "float"), parameter("b", "bool"),
        parameter("a", "list"), parameter("o", "dict"), parameter("s", "Vector3"),
    ]}))
}

#[test]
fn the_words_for_types_are_those_of_the_python_server() {
    let schema = typed().input_schema();
    let kinds = ["i", "n", "b", "a", "o", "s"].map(|name| {
        let property = &schema["properties"][name];
        let alternative = property["anyOf"][0]["type"].clone();
        match property["type"][0].clone() {
            Value::Null => alternative,
            kind => kind,
        }
    });
    let wanted = ["integer", "number", "boolean", "array", "object", "string"];
    assert_eq!(kinds.as_slice(), wanted.map(Value::from).as_slice());
}

#[test]
fn arguments_are_read_as_those_of_the_catalogues_tools() {
    let given = json!({"i": "5", "n": "2.5", "b": "yes", "a": "[1, \"x\"]", "o": "{\"k\": 1}",
        "s": "text", "unity_instance": "Game@ab12"});
    let call = sent(&typed(), given);
    let wanted = json!({"i": 5, "n": 2.5, "b": true, "a": [1, "x"], "o": {"k": 1}, "s": "text"});
    assert_eq!(Value::from(call.params), wanted);
    assert_eq!(call.unity_instance.as_deref(), Some("Game@ab12"));
    assert_eq!(call.command, "typed");
    // Null is nothing.
    assert!(
        sent(&typed(), json!({"i": null, "s": null}))
            .params
            .is_empty()
    );
}

#[test]
fn what_does_not_fit_is_named_before_anything_is_sent() {
    let tool = tool(json!({"name": "bake", "parameters": [
        {"name": "quality", "type": "integer", "required": false},
        {"name": "scene", "type": "string"},
    ]}));
    let bad = tool.prepare(args(json!({"quality": "high", "scen": "A"})));
    let text = bad.expect_err("three mistakes").to_string();
    for part in [
        "bake was not sent",
        "`quality` expects a whole number",
        "`scene` expects",
        "did you mean `scene`",
    ] {
        assert!(text.contains(part), "{text}");
    }
}

#[test]
fn a_default_is_sent_as_its_type_says_and_one_that_does_not_fit_is_left_out() {
    let parameter = |name: &str, kind: &str, default: &str| json!({"name": name, "type": kind, "required": false, "default_value": default});
    let tool = tool(json!({"name": "t", "parameters": [
        parameter("i", "integer", "7"), parameter("b", "boolean", "True"),
        parameter("bad", "integer", "seven"), parameter("s", "string", ""),
        {"name": "r", "type": "string", "required": true, "default_value": "never"},
    ]}));
    let call = sent(&tool, json!({"r": ""}));
    assert_eq!(
        Value::from(call.params),
        json!({"i": 7, "b": true, "s": "", "r": ""})
    );
    assert!(tool.prepare(Map::new()).is_err(), "`r` is required");
}

#[test]
fn a_tool_that_is_polled_says_how_and_for_how_long() {
    let polled = |more: Value| {
        let mut definition = json!({"name": "t", "requires_polling": true});
        definition
            .as_object_mut()
            .expect("an object")
            .extend(args(more));
        sent(&tool(definition), json!({}))
    };
    let usual = polled(json!({"poll_action": null, "max_poll_seconds": null}));
    assert_eq!(usual.poll_params(), Some(json!({"action": "status"})));
    assert_eq!(
        usual.polling.expect("polled").within,
        Duration::from_secs(600)
    );
    let own = polled(json!({"poll_action": "progress", "max_poll_seconds": 5}));
    assert_eq!(own.poll_params(), Some(json!({"action": "progress"})));
    assert_eq!(own.polling.expect("polled").within, Duration::from_secs(5));
    assert_eq!(sent(&tool(json!({"name": "t"})), json!({})).polling, None);
}

#[test]
fn a_tool_that_nobody_can_use_is_skipped_with_its_reason_and_the_others_stay() {
    let parameters: Vec<Value> = (0..65).map(|n| json!({"name": format!("p{n}")})).collect();
    let bad = [
        (json!({"name": "with space"}), "letters"),
        (json!({"name": ""}), "no name"),
        (json!({"description": "nameless"}), "cannot be read"),
        (json!({"name": "many", "parameters": parameters}), "64"),
        (
            json!({"name": "twice", "parameters": [{"name": "a"}, {"name": "a"}]}),
            "`a`",
        ),
        (
            json!({"name": "hollow", "parameters": [{"name": ""}]}),
            "no name",
        ),
        (
            json!({"name": "editor", "parameters": [{"name": "unity_instance"}]}),
            "unity_instance",
        ),
        (
            json!({"name": "long", "description": "x".repeat(70_000)}),
            "65536",
        ),
        (json!({"name": "good"}), "same name"),
        (json!(7), "cannot be read"),
    ];
    let mut tools = vec![json!({"name": "good"})];
    tools.extend(bad.iter().map(|(tool, _)| tool.clone()));
    tools.push(json!({"name": "last"}));
    let set = read(&tools);
    let names: Vec<&str> = set.custom().iter().map(|tool| tool.name()).collect();
    assert_eq!(names, ["good", "last"]);
    let (skipped, more) = set.skipped();
    assert_eq!((skipped.len(), more), (bad.len(), 0));
    for (skipped, (tool, part)) in skipped.iter().zip(&bad) {
        assert!(skipped.why.contains(part), "{tool}: {skipped:?}");
        assert_eq!(skipped.name, tool["name"].as_str().unwrap_or_default());
    }
}

#[test]
fn what_a_plugin_registers_is_bounded_in_number_and_in_bytes() {
    let many: Vec<Value> = (0..600).map(|n| json!({"name": format!("t{n}")})).collect();
    let set = read(&many);
    assert_eq!(set.custom().len(), 512);
    let (skipped, more) = set.skipped();
    assert_eq!((skipped.len(), more), (32, 600 - 512 - 32));
    let large: Vec<Value> = (0..20)
        .map(|n| json!({"name": format!("t{n}"), "description": "x".repeat(60_000)}))
        .collect();
    assert_eq!(read(&large).custom().len(), 1024 * 1024 / 60_100);
}

#[test]
fn tool_states_tell_what_is_switched_on_and_what_is_the_projects_own() {
    let state = |name: &str, enabled: bool, built_in: Option<bool>| {
        let mut state = json!({"name": name, "enabled": enabled});
        if let Some(built_in) = built_in {
            state["is_built_in"] = built_in.into();
        }
        state
    };
    let set = read(&[
        state("manage_scene", true, Some(true)),
        state("manage_vfx", false, Some(true)),
        state("of_a_newer_plugin", true, Some(true)),
        state("mine", true, Some(false)),
        state("mine_off", false, Some(false)),
    ]);
    assert_eq!(
        set.registered().collect::<Vec<_>>(),
        ["manage_scene", "mine"]
    );
    assert_eq!(set.custom().len(), 1);
    // An older plugin's states have names alone: what the project registered before stays.
    let vague = read(&[state("manage_scene", true, None), state("mine", true, None)]);
    assert!(vague.custom().is_empty());
    let vague = vague.or_custom_of(Some(&set));
    assert_eq!(vague.custom(), set.custom());
    assert!(vague.has("mine") && vague.has("manage_scene"));
}
