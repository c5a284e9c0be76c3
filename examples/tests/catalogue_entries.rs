//! The catalogue as data: complete, decided, and faithful to the reference.
#![allow(missing_docs, reason = "a test's name says what it proves")]

use std::collections::{BTreeMap, BTreeSet};

use examples::catalogue::{Catalogue, Kind, LoadError, Replay, Source, Tool, Type};
use serde_json::{Map, Value, json};

/// Every tool with every action: may it be sent again, does it reload the domain? Whoever adds a
/// tool or an action decides here as well, or the test fails. `-` = a tool without actions.
const DECIDED: &[(&str, &[Decision])] = &[
    ("batch_execute", &[("-", NEVER, QUIET)]),
    ("execute_menu_item", &[("-", NEVER, QUIET)]),
    ("find_gameobjects", &[("-", SAFE, QUIET)]),
    (
        "manage_components",
        &[
            ("add", NEVER, QUIET),
            ("remove", NEVER, QUIET),
            ("set_property", NEVER, QUIET),
        ],
    ),
    (
        "manage_editor",
        &[
            ("telemetry_status", SAFE, QUIET),
            ("telemetry_ping", NEVER, QUIET),
            ("play", NEVER, RELOADS),
            ("pause", NEVER, QUIET),
            ("stop", NEVER, RELOADS),
            ("set_active_tool", NEVER, QUIET),
            ("add_tag", NEVER, QUIET),
            ("remove_tag", NEVER, QUIET),
            ("add_layer", NEVER, QUIET),
            ("remove_layer", NEVER, QUIET),
            ("deploy_package", NEVER, RELOADS),
            ("restore_package", NEVER, RELOADS),
            ("undo", NEVER, QUIET),
            ("redo", NEVER, QUIET),
        ],
    ),
    (
        "manage_gameobject",
        &[
            ("create", NEVER, QUIET),
            ("modify", NEVER, QUIET),
            ("delete", NEVER, QUIET),
            ("duplicate", NEVER, QUIET),
            ("move_relative", NEVER, QUIET),
            ("look_at", NEVER, QUIET),
        ],
    ),
    (
        "manage_scene",
        &[
            ("create", NEVER, QUIET),
            ("load", NEVER, QUIET),
            ("save", NEVER, QUIET),
            ("get_hierarchy", SAFE, QUIET),
            ("get_active", SAFE, QUIET),
            ("get_build_settings", SAFE, QUIET),
            ("scene_view_frame", NEVER, QUIET),
            ("close_scene", NEVER, QUIET),
            ("set_active_scene", NEVER, QUIET),
            ("get_loaded_scenes", SAFE, QUIET),
            ("move_to_scene", NEVER, QUIET),
            ("validate", NEVER, QUIET),
        ],
    ),
    ("refresh_unity", &[("-", NEVER, RELOADS)]),
    ("create_script", &[("-", NEVER, RELOADS)]),
    ("delete_script", &[("-", NEVER, RELOADS)]),
    ("validate_script", &[("-", SAFE, QUIET)]),
    (
        "manage_script",
        &[
            ("create", NEVER, RELOADS),
            ("read", SAFE, QUIET),
            ("delete", NEVER, RELOADS),
        ],
    ),
    (
        "read_console",
        &[("get", SAFE, QUIET), ("clear", NEVER, QUIET)],
    ),
    ("set_active_instance", &[("-", NEVER, QUIET)]),
    ("get_operation", &[("-", SAFE, QUIET)]),
];
/// Action, may be sent again, reloads.
type Decision = (&'static str, bool, bool);
const SAFE: bool = true;
const NEVER: bool = false;
const RELOADS: bool = true;
const QUIET: bool = false;

/// Tools that the reference does not have.
const OURS: &[&str] = &["get_operation"];

/// Where an entry's types differ from the reference on purpose.
const OTHER_TYPES: &[(&str, &str)] = &[
    // Required: without it the plugin refuses.
    ("execute_menu_item", "menu_path"),
    ("manage_gameobject", "action"),
    // Ids are numbers where find_gameobjects returns them.
    ("manage_gameobject", "target"),
    ("manage_gameobject", "parent"),
    ("manage_gameobject", "reference_object"),
    // Text first, since it may be an object's name and goes out as it came.
    ("manage_gameobject", "look_at_target"),
    ("manage_gameobject", "look_at_up"),
    // `all` is declared.
    ("read_console", "count"),
];

fn tools() -> &'static [Tool] {
    Catalogue::builtin().tools()
}

fn reference() -> BTreeMap<String, Value> {
    let list: Vec<Value> = serde_json::from_str(include_str!("../fixtures/unity-tools.json"))
        .expect("the reference is JSON");
    list.into_iter()
        .map(|tool| (tool["name"].as_str().expect("a name").to_owned(), tool))
        .collect()
}

#[test]
fn every_action_of_every_tool_is_decided() {
    let found: Vec<(&str, Vec<Decision>)> = tools()
        .iter()
        .map(|tool| {
            let decided = |action: Option<&'static str>| {
                (
                    action.unwrap_or("-"),
                    tool.is_replay_safe(action),
                    tool.reloads(action),
                )
            };
            let actions: Vec<_> = tool.actions().iter().map(|it| decided(Some(it))).collect();
            let whole = || vec![decided(None)];
            (
                tool.name.as_str(),
                if actions.is_empty() { whole() } else { actions },
            )
        })
        .collect();
    let decided: Vec<_> = DECIDED
        .iter()
        .map(|(tool, list)| (*tool, list.to_vec()))
        .collect();
    assert_eq!(found, decided);
}

#[test]
fn an_unknown_action_is_never_safe() {
    for tool in tools().iter().filter(|tool| tool.replay == Replay::Never) {
        assert!(!tool.is_replay_safe(Some("brand_new")), "{}", tool.name);
        assert!(!tool.is_replay_safe(None), "{}", tool.name);
    }
}

#[test]
fn every_entry_agrees_with_the_reference() {
    let reference = reference();
    for tool in tools() {
        let Some(theirs) = reference.get(&tool.name) else {
            assert!(OURS.contains(&tool.name.as_str()), "{}", tool.name);
            continue;
        };
        assert_eq!(json!(tool.group), theirs["group"], "{}", tool.name);
        assert_eq!(
            json!(tool.command),
            theirs["unity_command"],
            "{}",
            tool.name
        );
        let hints = &theirs["annotations"];
        let ours = &tool.annotations;
        assert_eq!(json!(ours.title), hints["title"]);
        assert_eq!(
            json!(ours.read_only_hint),
            hints["readOnlyHint"],
            "{}",
            tool.name
        );
        assert_eq!(
            json!(ours.destructive_hint),
            hints["destructiveHint"],
            "{}",
            tool.name
        );
        assert_eq!(
            json!(ours.idempotent_hint),
            hints["idempotentHint"],
            "{}",
            tool.name
        );
        assert_eq!(
            json!(ours.open_world_hint),
            hints["openWorldHint"],
            "{}",
            tool.name
        );

        let params = theirs["params"].as_array().expect("a list");
        let names = |list: &[Value]| -> BTreeSet<String> {
            list.iter()
                .map(|it| it["name"].as_str().expect("a name").to_owned())
                .collect()
        };
        let own: BTreeSet<_> = tool.params.iter().map(|param| param.name.clone()).collect();
        assert_eq!(own, names(params), "{}", tool.name);
        for theirs in params {
            let param = tool
                .param(theirs["name"].as_str().expect("a name"))
                .expect("compared");
            let place = format!("{}.{}", tool.name, param.name);
            if !OTHER_TYPES.contains(&(tool.name.as_str(), param.name.as_str())) {
                let text = theirs["type"].as_str().expect("a type").to_owned();
                assert_eq!(Ok(&param.ty), Type::try_from(text).as_ref(), "{place}");
                assert_eq!(json!(param.required), theirs["required"], "{place}");
            }
            // What is no plain name in the reference is a shape's, and tested by what it sends.
            let plain = |wire: &&str| wire.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
            if let Some(wire) = theirs["wire_name"].as_str().filter(plain) {
                assert_eq!(param.wire.as_deref(), Some(wire), "{place}");
            }
            if let Some(default) = theirs.get("default") {
                assert_eq!(param.default.as_ref(), Some(default), "{place}");
            }
        }
    }
}

#[test]
fn the_type_language_covers_the_whole_reference() {
    for (name, tool) in reference() {
        for param in tool["params"].as_array().expect("a list") {
            let text = param["type"].as_str().expect("a type").to_owned();
            assert!(Type::try_from(text).is_ok(), "{name}.{}", param["name"]);
        }
    }
}

#[test]
fn a_pass_through_tool_of_the_reference_needs_no_rust() {
    for (name, tool) in reference()
        .into_iter()
        .filter(|(_, tool)| tool["passthrough"] == true)
    {
        let params: Vec<Value> = tool["params"]
            .as_array()
            .expect("a list")
            .iter()
            .map(entry)
            .collect();
        let file = json!({"group": tool["group"], "tools": [{
            "name": name, "title": name, "description": "…", "annotations": tool["annotations"],
            "command": tool["unity_command"], "replay": "never", "params": params,
        }]});
        let parsed = Catalogue::parse(&[&file.to_string()], "[]");
        assert!(parsed.is_ok(), "{name}: {parsed:?}");
    }

    fn entry(param: &Value) -> Value {
        json!({"name": param["name"], "type": param["type"], "required": param["required"],
            "description": "…", "wire": param["wire_name"]})
    }
}

#[test]
fn a_broken_entry_is_refused() {
    let good = json!({
        "name": "t", "title": "T", "description": "d", "annotations": {"title": "T"},
        "command": "t", "replay": "never",
        "params": [{"name": "action", "type": "enum(get,set)", "required": true, "wire": "action",
            "description": "d"}],
    });
    let parse = |tool: &Value| {
        let file = json!({"group": null, "tools": [tool]});
        Catalogue::parse(&[&file.to_string()], "[]").map(|_| ())
    };
    assert!(parse(&good).is_ok());

    let broken: &[(&str, Value)] = &[
        ("command", Value::Null),  // a wire name without a command
        ("replay", json!("safe")), // not decided per action
        ("replay", json!("sometimes")),
        ("safe_actions", json!(["got"])), // no such action
        ("server_actions", json!(["got"])),
        ("reload", json!(["got"])),
        ("needs", json!({"set": [["value"]]})), // no such parameter
        ("shape", json!("spiral")),
        ("description", json!("")),
        ("colour", json!("red")),                // no such field
        ("constants", json!({"action": "get"})), // a wire name twice
    ];
    for (field, value) in broken {
        let mut tool = good.clone();
        tool[*field] = value.clone();
        assert!(parse(&tool).is_err(), "{field}: {value}");
    }
    for (field, value) in [
        ("type", json!("enum()")),
        ("type", json!("null")),
        ("default", json!("got")),
        ("name", json!("unity_instance")),
        ("actions", json!(["got"])),
    ] {
        let mut tool = good.clone();
        tool["params"][0]["required"] = false.into();
        tool["params"][0][field] = value.clone();
        assert!(parse(&tool).is_err(), "{field}: {value}");
    }
    for field in ["command", "replay", "annotations", "params"] {
        let mut tool = good.clone();
        tool.as_object_mut().expect("an object").remove(field);
        assert!(matches!(parse(&tool), Err(LoadError::Format(_))), "{field}");
    }
}

#[test]
fn every_schema_compiles_and_takes_a_valid_call() {
    for tool in tools() {
        let schema = Value::Object(tool.input_schema());
        assert!(
            jsonschema::draft202012::meta::is_valid(&schema),
            "{}",
            tool.name
        );
        let validator = jsonschema::draft202012::new(&schema).expect("a schema");
        assert!(!schema.to_string().contains("$ref"), "{}", tool.name);

        let call = example(tool, |_| true);
        assert!(
            validator.is_valid(&call.clone().into()),
            "{}: {call:?}",
            tool.name
        );
        let required = example(tool, |required| required);
        assert!(validator.is_valid(&required.into()), "{}", tool.name);
        assert_eq!(
            validator.is_valid(&json!({})),
            tool.params.iter().all(|param| !param.required),
            "{}",
            tool.name
        );
        let mut unknown = call;
        unknown.insert("no_such_parameter".to_owned(), 1.into());
        assert!(!validator.is_valid(&unknown.into()), "{}", tool.name);
    }
}

#[test]
fn the_schema_says_what_a_union_a_list_of_words_and_a_vector_take() {
    let schema = |tool| {
        Catalogue::builtin()
            .tool(tool)
            .expect("a tool")
            .input_schema()
    };
    let console = schema("read_console");
    assert_eq!(
        console["properties"]["cursor"]["type"],
        json!(["integer", "string", "null"])
    );
    let words = json!({"type": "array", "items": {"type": "string", "enum": ["error", "warning", "log", "all"]}});
    assert_eq!(console["properties"]["types"]["anyOf"][0], words);
    assert_eq!(console["additionalProperties"], json!(false));
    let object = schema("manage_gameobject");
    let vector =
        json!({"type": "array", "items": {"type": "number"}, "minItems": 3, "maxItems": 3});
    assert_eq!(object["properties"]["position"]["anyOf"][0], vector);
    assert_eq!(object["required"], json!(["action"]));
    assert_eq!(
        object["properties"]["unity_instance"]["type"],
        json!("string")
    );
}

#[test]
fn every_resource_says_where_its_contents_come_from() {
    let found: Vec<_> = Catalogue::builtin()
        .resources()
        .iter()
        .map(|resource| (resource.uri.as_str(), resource.source.clone()))
        .collect();
    let command = |name: &str| Source::Command(name.to_owned());
    assert_eq!(
        found,
        [
            ("mcpforunity://instances", Source::Server),
            ("mcpforunity://editor/state", command("get_editor_state")),
            ("mcpforunity://project/info", command("get_project_info")),
        ]
    );
}

/// A call with the parameters whose `required` flag is picked: for all of them, pick everything.
fn example(tool: &Tool, pick: impl Fn(bool) -> bool) -> Map<String, Value> {
    let picked = tool.params.iter().filter(|param| pick(param.required));
    picked
        .map(|param| (param.name.clone(), value(&param.ty, param.vector)))
        .collect()
}

fn value(ty: &Type, vector: Option<usize>) -> Value {
    match &ty.kinds[0] {
        Kind::Any | Kind::Boolean => true.into(),
        Kind::Integer => 3.into(),
        Kind::Number => 1.5.into(),
        Kind::String => "text".into(),
        Kind::Object => json!({}),
        Kind::Enum(words) => words[0].clone().into(),
        Kind::Array(item) => vec![value(item, None); vector.unwrap_or(1)].into(),
    }
}
