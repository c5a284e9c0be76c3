//! What clients are offered, beside what the Python server (10.3.0) offers: entry by entry.
#![allow(missing_docs, reason = "a test's name says what it proves")]

use std::collections::{BTreeMap, BTreeSet};

use examples::catalogue::{Catalogue, Source};
use examples::server::offer;
use serde_json::{Value, json};

/// Every difference that we chose: where, what, why. The test fails for any other, and for one that
/// stands here and is none.
const CHOSEN: &[(&str, &str, &str)] = &[
    (
        "get_operation",
        "is ours",
        "a late result can be fetched by its operation id",
    ),
    (
        "*",
        "is listed from the start, whatever its group",
        "the Python server begins with the group core over HTTP and with all over stdio; a client that lists once sees all",
    ),
    (
        "*",
        "takes unity_instance",
        "the Python server takes it everywhere and declares it nowhere, so strict clients cannot send it",
    ),
    (
        "execute_menu_item.menu_path",
        "is required, takes string",
        "the plugin refuses a call without it",
    ),
    (
        "manage_gameobject.action",
        "is required, takes enum(create,modify,delete,duplicate,move_relative,look_at)",
        "the plugin refuses a call without it",
    ),
    (
        "manage_gameobject.target",
        "takes integer|null|string",
        "find_gameobjects returns ids as numbers",
    ),
    (
        "manage_gameobject.parent",
        "takes integer|null|string",
        "find_gameobjects returns ids as numbers",
    ),
    (
        "manage_gameobject.reference_object",
        "takes integer|null|string",
        "find_gameobjects returns ids as numbers",
    ),
    (
        "manage_gameobject.look_at_target",
        "takes array<number>|integer|null|string",
        "find_gameobjects returns ids as numbers",
    ),
    (
        "read_console.count",
        "takes enum(all,*)|integer|null|string",
        "`all` is what the Python server takes and does not declare",
    ),
];

/// Where what goes to the plugin differs from the reference's notes.
const OTHER_WIRE: &[(&str, &str)] = &[
    (
        "execute_custom_tool",
        "the command is the custom tool's own name",
    ),
    (
        "run_tests.clear_stuck",
        "the Python server was seen to send it as `clear_stuck`",
    ),
];

/// Every resource: its name, and what is sent for it; `-` = nothing.
const RESOURCES: &[(&str, &str, &str)] = &[
    ("mcpforunity://instances", "unity_instances", "-"),
    ("mcpforunity://tool-groups", "tool_groups", "-"),
    ("mcpforunity://custom-tools", "custom_tools", "-"),
    ("mcpforunity://scene/gameobject-api", "gameobject_api", "-"),
    ("mcpforunity://prefab-api", "prefab_api", "-"),
    (
        "mcpforunity://editor/state",
        "editor_state",
        "get_editor_state",
    ),
    (
        "mcpforunity://editor/active-tool",
        "editor_active_tool",
        "get_active_tool",
    ),
    (
        "mcpforunity://editor/selection",
        "editor_selection",
        "get_selection",
    ),
    (
        "mcpforunity://editor/prefab-stage",
        "editor_prefab_stage",
        "get_prefab_stage",
    ),
    (
        "mcpforunity://editor/windows",
        "editor_windows",
        "get_windows",
    ),
    (
        "mcpforunity://project/info",
        "project_info",
        "get_project_info",
    ),
    ("mcpforunity://project/tags", "project_tags", "get_tags"),
    (
        "mcpforunity://project/layers",
        "project_layers",
        "get_layers",
    ),
    ("mcpforunity://menu-items", "menu_items", "get_menu_items"),
    ("mcpforunity://scene/cameras", "cameras", "get_cameras"),
    ("mcpforunity://scene/volumes", "volumes", "get_volumes"),
    (
        "mcpforunity://rendering/stats",
        "rendering_stats",
        "get_rendering_stats",
    ),
    (
        "mcpforunity://pipeline/renderer-features",
        "renderer_features",
        "get_renderer_features",
    ),
    ("mcpforunity://tests", "get_tests", "get_tests"),
    (
        "mcpforunity://tests/{mode}",
        "get_tests_for_mode",
        "get_tests_for_mode",
    ),
    (
        "mcpforunity://scene/gameobject/{instance_id}",
        "gameobject",
        "get_gameobject",
    ),
    (
        "mcpforunity://scene/gameobject/{instance_id}/components",
        "gameobject_components",
        "get_gameobject_components",
    ),
    (
        "mcpforunity://scene/gameobject/{instance_id}/component/{component_name}",
        "gameobject_component",
        "get_gameobject_component",
    ),
    (
        "mcpforunity://prefab/{encoded_path}",
        "prefab_info",
        "manage_prefabs",
    ),
    (
        "mcpforunity://prefab/{encoded_path}/hierarchy",
        "prefab_hierarchy",
        "manage_prefabs",
    ),
];

fn reference() -> BTreeMap<String, Value> {
    let list: Vec<Value> = serde_json::from_str(include_str!("../fixtures/unity-tools.json"))
        .expect("the reference is JSON");
    let named = |tool: Value| (tool["name"].as_str().expect("a name").to_owned(), tool);
    list.into_iter().map(named).collect()
}

/// `tools/list` as a client sees it.
fn listed() -> BTreeMap<String, Value> {
    let tools = offer::tools().iter();
    let tools = tools.map(|tool| serde_json::to_value(tool).expect("a tool is JSON"));
    tools
        .map(|tool| (tool["name"].as_str().expect("a name").to_owned(), tool))
        .collect()
}

#[test]
fn what_is_listed_is_the_reference_but_for_what_we_chose() {
    let (theirs, ours) = (reference(), listed());
    let mut found = BTreeSet::new();
    for (name, reference) in &theirs {
        if let Some(ours) = ours.get(name) {
            differences(name, reference, ours, &mut found);
        } else {
            found.insert((name.clone(), "is missing".to_owned()));
        }
    }
    let strangers = ours.keys().filter(|name| !theirs.contains_key(*name));
    found.extend(strangers.map(|name| (name.clone(), "is ours".to_owned())));
    let chosen = CHOSEN
        .iter()
        .map(|(place, what, _)| ((*place).to_owned(), (*what).to_owned()));
    assert_eq!(found, chosen.collect());
    assert!(CHOSEN.iter().all(|(.., why)| !why.is_empty()));
}

#[test]
fn every_tool_that_is_declared_is_offered() {
    let ours = listed();
    let all = Catalogue::builtin().tools();
    let missing = all.iter().filter(|tool| !ours.contains_key(&tool.name));
    let missing: Vec<_> = missing.map(|tool| &tool.name).collect();
    assert!(missing.is_empty(), "{missing:?}");
    assert_eq!(
        all.len(),
        49 + 1,
        "those of the reference, and get_operation"
    );
}

#[test]
fn every_entry_stands_in_its_group_and_sends_what_the_reference_notes() {
    let mut found = BTreeSet::new();
    for (name, theirs) in reference() {
        let tool = Catalogue::builtin().tool(&name).expect("declared");
        assert_eq!(json!(tool.group), theirs["group"], "{name}");
        if json!(tool.command) != theirs["unity_command"] {
            found.insert(name.clone());
        }
        for param in theirs["params"].as_array().expect("a list") {
            // What is no plain name in the reference is a shape's, and tested by what it sends.
            let plain = |wire: &&str| wire.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
            let wire = param["wire_name"].as_str().filter(plain);
            let place = format!("{name}.{}", param["name"].as_str().expect("a name"));
            let own = tool.param(param["name"].as_str().expect("a name"));
            let own = own.unwrap_or_else(|| panic!("{place} is missing"));
            let sends = tool.handler.is_some() || own.wire.as_deref() == wire;
            if wire.is_some() && !sends {
                found.insert(place.clone());
            }
            if let Some(default) = param.get("default") {
                assert_eq!(own.default.as_ref(), Some(default), "{place}");
            }
        }
    }
    let chosen: BTreeSet<_> = OTHER_WIRE
        .iter()
        .map(|(place, _)| (*place).to_owned())
        .collect();
    assert_eq!(found, chosen);
}

#[test]
fn every_resource_of_the_reference_is_there_and_sends_its_command() {
    let resources = Catalogue::builtin().resources().iter();
    let found: BTreeSet<_> = resources
        .map(|resource| {
            let command = match &resource.source {
                Source::Command(command) => command.as_str(),
                Source::Document(_) | Source::Server(_) => "-",
            };
            (resource.uri.as_str(), resource.name.as_str(), command)
        })
        .collect();
    assert_eq!(found, RESOURCES.iter().copied().collect());

    let fixed = offer::resources();
    let fixed = fixed.iter().map(|resource| resource.uri.as_str());
    let templates = offer::resource_templates();
    let templates = templates
        .iter()
        .map(|resource| resource.uri_template.as_str());
    let listed: BTreeSet<_> = fixed.chain(templates).collect();
    let wanted = RESOURCES.iter().map(|(uri, ..)| *uri);
    assert_eq!(listed, wanted.collect());
}

/// Where our listing of a tool differs from the reference.
fn differences(name: &str, theirs: &Value, ours: &Value, found: &mut BTreeSet<(String, String)>) {
    if !matches!(theirs["group"].as_str(), None | Some("core")) {
        let what = "is listed from the start, whatever its group";
        found.insert(("*".to_owned(), what.to_owned()));
    }
    assert_eq!(theirs["annotations"]["title"], ours["title"], "{name}");
    assert_eq!(theirs["annotations"], ours["annotations"], "{name}");
    let schema = &ours["inputSchema"];
    let mut properties = schema["properties"].as_object().expect("an object").clone();
    if properties.remove("unity_instance").is_some() {
        found.insert(("*".to_owned(), "takes unity_instance".to_owned()));
    }
    let required = schema["required"].as_array().expect("a list");
    for param in theirs["params"].as_array().expect("a list") {
        let key = param["name"].as_str().expect("a name");
        let place = format!("{name}.{key}");
        let Some(own) = properties.remove(key) else {
            found.insert((place, "is missing".to_owned()));
            continue;
        };
        let mut what = Vec::new();
        let is_required = required.contains(&param["name"]);
        if json!(is_required) != param["required"] {
            what.push(
                if is_required {
                    "is required"
                } else {
                    "is optional"
                }
                .to_owned(),
            );
        }
        let (own, their) = (
            spelled(&own),
            declared(param["type"].as_str().expect("a type")),
        );
        if own != their {
            what.push(format!("takes {own}"));
        }
        if !what.is_empty() {
            found.insert((place, what.join(", ")));
        }
    }
    found.extend(
        properties
            .keys()
            .map(|key| (format!("{name}.{key}"), "is ours".to_owned())),
    );
}

/// The types that a schema takes, in the reference's words and in order.
fn spelled(schema: &Value) -> String {
    let mut types = BTreeSet::new();
    let alternatives = schema["anyOf"].as_array();
    for one in alternatives.map_or_else(|| std::slice::from_ref(schema), Vec::as_slice) {
        match &one["type"] {
            Value::Null => drop(types.insert("any".to_owned())),
            Value::Array(list) => types.extend(
                list.iter()
                    .map(|one| one.as_str().expect("a type").to_owned()),
            ),
            Value::String(kind) if kind == "array" => {
                types.insert(format!("array<{}>", spelled(&one["items"])));
            }
            Value::String(kind) => match one["enum"].as_array() {
                Some(words) => {
                    let words: Vec<_> = words.iter().filter_map(Value::as_str).collect();
                    types.insert(format!("enum({})", words.join(",")));
                }
                None => drop(types.insert(kind.clone())),
            },
            other => panic!("no type: {other}"),
        }
    }
    join(types)
}

/// A type of the reference with its alternatives in order.
fn declared(text: &str) -> String {
    let (mut depth, mut from) = (0, 0);
    let mut types = BTreeSet::new();
    let ends = text.char_indices().chain([(text.len(), '|')]);
    for (at, c) in ends {
        match c {
            '<' | '(' => depth += 1,
            '>' | ')' => depth -= 1,
            '|' if depth == 0 => {
                let part = &text[from..at];
                let item = part
                    .strip_prefix("array<")
                    .and_then(|rest| rest.strip_suffix('>'));
                types.insert(item.map_or_else(
                    || part.to_owned(),
                    |item| format!("array<{}>", declared(item)),
                ));
                from = at + 1;
            }
            _ => {}
        }
    }
    join(types)
}

/// What takes anything takes null.
fn join(types: BTreeSet<String>) -> String {
    if types.contains("any") {
        return "any".to_owned();
    }
    types.into_iter().collect::<Vec<_>>().join("|")
}
