//! From arguments to commands: what the real server was seen to send, and what is refused.
#![allow(missing_docs, reason = "a test's name says what it proves")]

use std::collections::BTreeSet;
use std::time::Duration;

use examples::catalogue::{
    BadArguments, Call, Catalogue, Kind, Limits, Param, Reads, Tool, Type, wire_timeout,
};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

fn tool(name: &str) -> &'static Tool {
    Catalogue::builtin()
        .tool(name)
        .expect("a tool of the catalogue")
}

fn try_prepare(name: &str, args: Value) -> Result<Call, BadArguments> {
    let Value::Object(args) = args else {
        panic!("arguments are an object")
    };
    tool(name).prepare(args)
}

#[track_caller]
fn prepare(name: &str, args: Value) -> Call {
    try_prepare(name, args).unwrap_or_else(|bad| panic!("{bad}"))
}

#[track_caller]
fn refused(name: &str, args: Value) -> String {
    match try_prepare(name, args) {
        Err(bad) => bad.to_string(),
        Ok(call) => panic!("accepted: {call:?}"),
    }
}

#[test]
fn calls_go_out_as_the_python_server_was_seen_to_send_them_but_for_the_time_of_long_ones() {
    let seen = [
        (
            "read_console",
            json!({"action": "get", "count": 3}),
            "read_console",
            json!({"action": "get", "types": ["error", "warning", "log"], "count": 3,
                "format": "plain", "includeStacktrace": false}),
            2,
        ),
        (
            "manage_scene",
            json!({"action": "get_hierarchy", "page_size": 10}),
            "manage_scene",
            json!({"action": "get_hierarchy", "pageSize": 10}),
            30,
        ),
        (
            "manage_scene",
            json!({"action": "get_active"}),
            "manage_scene",
            json!({"action": "get_active"}),
            30,
        ),
        (
            "manage_editor",
            json!({"action": "play"}),
            "manage_editor",
            json!({"action": "play"}),
            30,
        ),
        (
            "create_script",
            json!({"path": "Assets/Scripts/Foo.cs", "contents": "public class Foo {}"}),
            "manage_script",
            json!({"action": "create", "name": "Foo", "path": "Assets/Scripts",
                "encodedContents": "cHVibGljIGNsYXNzIEZvbyB7fQ==", "contentsEncoded": true}),
            30,
        ),
        (
            "refresh_unity",
            json!({"compile": "request"}),
            "refresh_unity",
            json!({"mode": "if_dirty", "scope": "all", "compile": "request", "wait_for_ready": true}),
            3_600,
        ),
        (
            "execute_menu_item",
            json!({"menu_path": "Tools/Reload Config"}),
            "execute_menu_item",
            json!({"menuPath": "Tools/Reload Config"}),
            3_600,
        ),
    ];
    for (name, args, command, params, seconds) in seen {
        let call = prepare(name, args);
        assert_eq!(
            (call.command, &call.params),
            (Some(command), &params),
            "{name}"
        );
        assert_eq!(call.timeout, Duration::from_secs(seconds), "{name}");
    }
}

/// Not in the recordings: as the server's code (10.3.0) builds them.
#[test]
fn the_other_tools_send_what_the_python_server_builds() {
    let built = [
        (
            "find_gameobjects",
            json!({"search_term": "Player"}),
            json!({"searchTerm": "Player", "searchMethod": "by_name", "includeInactive": false,
                "pageSize": 50, "cursor": 0}),
        ),
        (
            "manage_gameobject",
            json!({"action": "create", "name": "Cube", "primitive_type": "Cube", "position": "1,2,3",
                "rotation": {"x": 0, "y": 90, "z": 0}, "scale": "[2, 2, 2]", "is_static": "yes",
                "components_to_add": ["Rigidbody", {"type_name": "BoxCollider", "properties": {"size": 2}}],
                "component_properties": "{\"Rigidbody\": {\"mass\": 2}}"}),
            json!({"action": "create", "name": "Cube", "primitiveType": "Cube",
                "position": [1.0, 2.0, 3.0], "rotation": [0.0, 90.0, 0.0], "scale": [2.0, 2.0, 2.0],
                "isStatic": true, "world_space": true,
                "componentsToAdd": ["Rigidbody", {"typeName": "BoxCollider", "properties": {"size": 2}}],
                "componentProperties": {"Rigidbody": {"mass": 2}}}),
        ),
        (
            "manage_gameobject",
            json!({"action": "look_at", "target": "Cam", "look_at_target": "Player",
                "new_name": null, "components_to_remove": "Light"}),
            json!({"action": "look_at", "target": "Cam", "look_at_target": "Player",
                "world_space": true, "componentsToRemove": ["Light"]}),
        ),
        (
            "manage_gameobject",
            json!({"action": "create", "name": "Tree", "save_as_prefab": "true",
                "prefab_folder": "Assets\\Prefabs\\Trees"}),
            json!({"action": "create", "name": "Tree", "saveAsPrefab": true, "world_space": true,
                "prefabPath": "Assets/Prefabs/Trees/Tree.prefab"}),
        ),
        (
            "manage_components",
            json!({"action": "set_property", "target": -12345, "component_type": "Rigidbody",
                "property": "mass", "value": "5", "component_index": "1"}),
            json!({"action": "set_property", "target": -12345, "componentType": "Rigidbody",
                "property": "mass", "value": "5", "componentIndex": 1}),
        ),
        (
            "manage_components",
            json!({"action": "add", "target": "Player", "component_type": "Rigidbody",
                "property": "mass", "value": 5, "properties": "{\"drag\": 1}"}),
            json!({"action": "add", "target": "Player", "componentType": "Rigidbody",
                "properties": {"drag": 1}}),
        ),
        (
            "manage_scene",
            json!({"action": "load", "name": "", "path": "Assets/A.unity", "build_index": "2",
                "additive": "false", "page_size": "10.0", "parent": "12", "target": 7}),
            json!({"action": "load", "path": "Assets/A.unity", "buildIndex": 2, "additive": false,
                "pageSize": 10, "parent": "12", "target": 7}),
        ),
        (
            "read_console",
            json!({"action": "clear"}),
            json!({"action": "clear", "types": ["error", "warning", "log"], "count": null,
                "format": "plain", "includeStacktrace": false}),
        ),
        (
            "read_console",
            json!({"types": "[\"Error\"]", "count": "ALL", "include_stacktrace": "true",
                "filter_text": "reload", "page_size": "", "cursor": null}),
            json!({"action": "get", "types": ["error"], "count": null, "format": "plain",
                "includeStacktrace": true, "filterText": "reload"}),
        ),
        (
            "manage_script",
            json!({"action": "read", "name": "Foo", "path": "Assets/Scripts"}),
            json!({"action": "read", "name": "Foo", "path": "Assets/Scripts"}),
        ),
        (
            "manage_script",
            json!({"action": "create", "name": "Foo", "path": "Assets", "contents": "é",
                "script_type": "MonoBehaviour", "namespace": "N"}),
            json!({"action": "create", "name": "Foo", "path": "Assets", "encodedContents": "w6k=",
                "contentsEncoded": true, "scriptType": "MonoBehaviour", "namespace": "N"}),
        ),
        (
            "create_script",
            json!({"path": "Assets/Foo.cs", "contents": ""}),
            json!({"action": "create", "name": "Foo", "path": "Assets"}),
        ),
        (
            "validate_script",
            json!({"uri": "Assets/Foo.cs", "include_diagnostics": true}),
            json!({"action": "validate", "name": "Foo", "path": "Assets", "level": "basic"}),
        ),
        (
            "batch_execute",
            json!({"commands": [{"tool": "manage_gameobject", "params": {"action": "create"}, "id": 1},
                {"tool": "get_tags"}], "fail_fast": "true", "max_parallelism": 4}),
            json!({"commands": [{"tool": "manage_gameobject", "params": {"action": "create"}},
                {"tool": "get_tags", "params": {}}], "failFast": true, "maxParallelism": 4}),
        ),
    ];
    for (name, args, params) in built {
        assert_eq!(prepare(name, args).params, params, "{name}");
    }
}

#[test]
fn an_object_named_by_its_number_goes_out_as_text() {
    let args = json!({"action": "modify", "target": -1234, "parent": "7", "look_at_target": 5});
    let params = prepare("manage_gameobject", args).params;
    let sent = (
        &params["target"],
        &params["parent"],
        &params["look_at_target"],
    );
    assert_eq!(sent, (&json!("-1234"), &json!("7"), &json!("5")));
}

#[test]
fn a_script_is_found_by_uri_and_by_path() {
    let same = [
        "Assets/My Scripts/Foo.cs",
        "Assets\\My Scripts\\Foo.cs",
        "./Assets//My Scripts/Bar/../Foo.cs",
        "Assets/My Scripts/Foo",
        "mcpforunity://path/Assets/My%20Scripts/Foo.cs",
        "file:///home/me/assets/game/Assets/My%20Scripts/Foo.cs",
        "file:///C:/game/Assets/My%20Scripts/Foo.cs",
        "file://localhost/game/Assets/My Scripts/Foo.CS",
        "/home/me/game/Assets/My Scripts/Foo.cs",
    ];
    for uri in same {
        let params = prepare("delete_script", json!({"uri": uri})).params;
        let expected = json!({"action": "delete", "name": "Foo", "path": "Assets/My Scripts"});
        assert_eq!(params, expected, "{uri}");
    }
}

#[test]
fn a_path_that_is_no_script_under_assets_is_refused() {
    for uri in [
        "",
        "Foo.cs",
        "Scripts/Foo.cs",
        "Assets",
        "Assets/",
        "Assets/../Foo.cs",
        "../Assets/Foo.cs",
        "file:///etc/passwd",
        "Assets/Foo.txt",
        "Assets/.cs",
        "mcpforunity://path/Assets/%ff.cs",
    ] {
        for name in ["delete_script", "validate_script"] {
            assert!(
                refused(name, json!({"uri": uri})).contains("`uri` expects"),
                "{uri}"
            );
        }
        let bad = refused("create_script", json!({"path": uri, "contents": "x"}));
        assert!(bad.contains("`path` expects"), "{uri}");
    }
    for path in [
        "/Assets/Foo.cs",
        "Assets/Foo",
        "x/Assets/Foo.cs",
        "Packages/Foo.cs",
    ] {
        let bad = refused("create_script", json!({"path": path, "contents": "x"}));
        assert!(bad.contains("`path` expects"), "{path}");
    }
}

#[test]
fn a_refusal_names_the_parameter_what_it_takes_and_what_came() {
    let cases = [
        (
            "manage_scene",
            json!({}),
            "`action` expects one of create, load",
        ),
        (
            "manage_scene",
            json!({"action": "destroy"}),
            "got the text \"destroy\"",
        ),
        (
            "manage_scene",
            json!({"action": "load", "build_index": "two"}),
            "`build_index` expects a whole number, got the text \"two\"",
        ),
        (
            "manage_scene",
            json!({"action": "load", "build_index": 1.5}),
            "got the number 1.5",
        ),
        (
            "manage_scene",
            json!({"action": "load", "pageSize": 1}),
            "did you mean `page_size`?",
        ),
        (
            "manage_scene",
            json!({"action": "load", "aditive": true}),
            "did you mean `additive`?",
        ),
        (
            "manage_scene",
            json!({"action": "load", "name": 3}),
            "`name` expects text, got the number 3",
        ),
        (
            "set_active_instance",
            json!({"instance": "a", "zzz": 1}),
            "it takes instance, unity_instance",
        ),
        (
            "find_gameobjects",
            json!({"search_term": ""}),
            "`search_term` expects text, got empty text",
        ),
        (
            "manage_gameobject",
            json!({"action": "create", "position": [1, 2]}),
            "`position` expects three numbers: [x, y, z]",
        ),
        (
            "manage_gameobject",
            json!({"action": "create", "scale": "1,2,NaN"}),
            "`scale` expects",
        ),
        (
            "manage_gameobject",
            json!({"action": "create", "components_to_add": [{"name": "X"}]}),
            "`components_to_add[].typeName` expects",
        ),
        (
            "manage_gameobject",
            json!({"action": "create", "component_properties": "[object Object]"}),
            "`component_properties` expects an object",
        ),
        (
            "manage_gameobject",
            json!({"action": "create", "save_as_prefab": true}),
            "or give prefab_path",
        ),
        (
            "manage_gameobject",
            json!({"action": "create", "save_as_prefab": true, "name": "A",
            "prefab_path": "Assets/A"}),
            "`prefab_path` expects",
        ),
        (
            "manage_components",
            json!({"action": "set_property", "target": "A", "component_type": "B",
            "property": "mass"}),
            "`value` expects a value: `set_property` needs property and value, or properties",
        ),
        (
            "manage_components",
            json!({"action": "add", "target": "A", "component_type": "B",
            "properties": [1]}),
            "got a list of 1",
        ),
        (
            "read_console",
            json!({"types": ["fatal"]}),
            "`types` expects a list",
        ),
        (
            "refresh_unity",
            json!({"wait_for_ready": "maybe"}),
            "`wait_for_ready` expects true or false",
        ),
        (
            "refresh_unity",
            json!({"unity_instance": []}),
            "`unity_instance` expects",
        ),
        (
            "batch_execute",
            json!({"commands": []}),
            "`commands` expects 1 to 25 commands, got a list of 0",
        ),
        (
            "batch_execute",
            json!({"commands": [{"params": {}}]}),
            "`commands[0].tool` expects",
        ),
        (
            "batch_execute",
            json!({"commands": [{"tool": "a", "params": 1}]}),
            "`commands[0].params` expects an object",
        ),
        (
            "batch_execute",
            json!({"commands": [{"tool": "a", "params": {"unity_instance": "b"}}]}),
            "set unity_instance beside `commands`",
        ),
    ];
    for (name, args, says) in cases {
        let bad = refused(name, args);
        assert!(bad.starts_with(&format!("{name} was not sent: ")), "{bad}");
        assert!(bad.contains(says), "{bad}\nlacks: {says}");
    }
}

#[test]
fn all_problems_are_told_at_once_but_not_without_end() {
    let bad = refused(
        "manage_scene",
        json!({"action": "x", "cursor": [], "additive": "perhaps"}),
    );
    for name in ["`action`", "`cursor`", "`additive`"] {
        assert!(bad.contains(name), "{bad}");
    }
    let many: Map<_, _> = (0..1000)
        .map(|n| (format!("{n}{}", "x".repeat(9000)), json!(1)))
        .collect();
    let bad = refused("find_gameobjects", many.into());
    assert!(bad.ends_with("and 993 more"), "{bad}");
    assert!(bad.len() < 4000);
}

#[test]
fn a_batch_is_as_long_as_the_editor_allows() {
    let batch = |n: usize| {
        let commands = vec![json!({"tool": "get_tags"}); n];
        Map::from_iter([("commands".to_owned(), Value::from(commands))])
    };
    let tool = tool("batch_execute");
    assert!(tool.prepare(batch(25)).is_ok());
    assert!(tool.prepare(batch(26)).is_err());
    assert!(
        tool.prepare_within(batch(40), Limits::default().batch(40))
            .is_ok()
    );
    assert!(
        tool.prepare_within(batch(101), Limits::default().batch(1000))
            .is_err()
    );
}

#[test]
fn a_batch_reloads_if_one_of_its_items_does() {
    let reloads = |item: Value| prepare("batch_execute", json!({"commands": [item]})).reload;
    assert!(reloads(
        json!({"tool": "manage_script", "params": {"action": "CREATE"}})
    ));
    assert!(reloads(json!({"tool": "refresh_unity"})));
    assert!(!reloads(
        json!({"tool": "manage_script", "params": {"action": "read"}})
    ));
    assert!(!reloads(
        json!({"tool": "manage_gameobject", "params": {"action": "create"}})
    ));
}

#[test]
fn what_only_reads_is_replay_safe_and_what_reloads_says_so() {
    let flags = |name, args| {
        let call = prepare(name, args);
        (call.replay_safe, call.reload, call.preflight)
    };
    assert_eq!(
        flags("manage_scene", json!({"action": "Get_Active"})),
        (true, false, true)
    );
    assert_eq!(
        flags("manage_scene", json!({"action": "save"})),
        (false, false, true)
    );
    assert_eq!(flags("read_console", json!({})), (true, false, false));
    assert_eq!(
        flags("read_console", json!({"action": "clear"})),
        (false, false, false)
    );
    assert_eq!(
        flags("validate_script", json!({"uri": "Assets/A.cs"})),
        (true, false, false)
    );
    assert_eq!(
        flags("delete_script", json!({"uri": "Assets/A.cs"})),
        (false, true, false)
    );
    assert_eq!(
        flags("manage_editor", json!({"action": "stop"})),
        (false, true, false)
    );
    assert_eq!(
        flags("find_gameobjects", json!({"search_term": "A"})),
        (true, false, true)
    );
    assert_eq!(
        flags("batch_execute", json!({"commands": [{"tool": "get_tags"}]})),
        (false, false, false)
    );
}

#[test]
fn the_server_answers_itself_what_never_reaches_the_editor() {
    let call = prepare("manage_editor", json!({"action": "telemetry_status"}));
    assert_eq!(
        (call.command, call.params),
        (None, json!({"action": "telemetry_status"}))
    );
    let call = prepare("set_active_instance", json!({"instance": "Game@f757"}));
    assert_eq!(
        (call.command, call.params),
        (None, json!({"instance": "Game@f757"}))
    );
    let call = prepare("get_operation", json!({"operation_id": "0f"}));
    assert_eq!(
        (call.command, call.params),
        (None, json!({"operation_id": "0f"}))
    );
}

#[test]
fn the_editor_named_for_one_call_is_taken_out_of_its_parameters() {
    let named = |value: Value| {
        let call = prepare(
            "manage_scene",
            json!({"action": "get_active", "unity_instance": value}),
        );
        assert_eq!(call.params, json!({"action": "get_active"}));
        call.unity_instance
    };
    assert_eq!(named(json!(" Game@f757 ")).as_deref(), Some("Game@f757"));
    assert_eq!(named(json!(6400)).as_deref(), Some("6400"));
    assert_eq!(named(json!("")), None);
    assert_eq!(named(Value::Null), None);
}

#[test]
fn the_wire_time_out_follows_the_command_and_what_its_parameters_ask_for() {
    let seconds = |command, params| wire_timeout(command, &params).as_secs_f64();
    assert_eq!(seconds("get_editor_state", json!({})), 2.0);
    assert_eq!(seconds("get_project_info", json!({})), 30.0);
    assert_eq!(seconds("run_tests", json!({"timeout_seconds": 100})), 100.0);
    assert_eq!(seconds("run_tests", json!({"timeoutSeconds": "45"})), 45.0);
    assert_eq!(seconds("run_tests", json!({"timeout_seconds": 5})), 30.0);
    assert_eq!(
        seconds("run_tests", json!({"timeout_seconds": 1e9})),
        3600.0
    );
    assert_eq!(
        seconds("run_tests", json!({"timeout_seconds": "nan"})),
        30.0
    );
    assert_eq!(
        seconds("run_tests", json!({"timeout_seconds": "inf"})),
        3600.0
    );
    assert_eq!(seconds("run_tests", json!({"timeout_seconds": [1]})), 30.0);
    assert_eq!(
        seconds("read_console", json!({"timeout_seconds": 100})),
        2.0
    );
    assert_eq!(seconds("blender_bridge", json!({})), 210.0);
    assert_eq!(
        seconds("blender_bridge", json!({"timeout_seconds": 1})),
        35.0
    );
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "\\PC{0,12}".prop_map(Value::from),
        prop::sample::select(vec![
            "true",
            "1",
            "-0",
            "1e999",
            "nan",
            "[1,2,3]",
            "{\"x\":1,\"y\":2,\"z\":3}",
            "1 2 3",
            "[",
            "{}",
            "[object Object]",
            "null",
            "Assets/A.cs",
            "file:///Assets/é.cs",
            "mcpforunity://path/%",
            "all",
            "create",
            "read",
            "delete",
            "set_property",
        ])
        .prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::hash_map("[a-z_]{1,8}|tool|params|typeName", inner, 0..4)
                .prop_map(|map| map.into_iter().collect::<Map<_, _>>().into()),
        ]
    })
}

/// A call of any tool, mostly of values that its parameters declare, so that many calls get
/// through; now and then with anything in one of them, or with a stranger.
fn any_call() -> impl Strategy<Value = (&'static Tool, Map<String, Value>)> {
    let any_json = any_json().boxed(); // built once: its patterns are slow to compile
    let tools: Vec<_> = Catalogue::builtin().tools().iter().collect();
    prop::sample::select(tools).prop_flat_map(move |tool| {
        let maybe = |name: &str, declared: Vec<Value>, required: bool| {
            let left_out = if required { 0 } else { 30 };
            let name = name.to_owned();
            prop_oneof![
                30 => prop::sample::select(declared).prop_map(Some),
                left_out => Just(None),
                1 => any_json.clone().prop_map(Some),
            ]
            .prop_map(move |value| Some((name.clone(), value?)))
            .boxed()
        };
        let mut args: Vec<_> = tool
            .params
            .iter()
            .map(|param| maybe(&param.name, declared(param), param.required))
            .collect();
        args.push(maybe(
            "unity_instance",
            vec!["Game@f757".into(), 1.into()],
            false,
        ));
        let stranger = (any::<u8>(), any_json.clone());
        let stranger =
            stranger.prop_map(|(n, value)| (n < 8).then(|| ("stranger".to_owned(), value)));
        args.push(stranger.boxed());
        args.prop_map(move |args| (tool, args.into_iter().flatten().collect()))
    })
}

/// One value of each alternative, every word of a list of words.
fn declared(param: &Param) -> Vec<Value> {
    if !param.one_of.is_empty() {
        return param.one_of.iter().cloned().map(Value::from).collect();
    }
    let kinds = param.ty.kinds.iter().enumerate();
    let values = kinds.flat_map(|(at, kind)| match kind {
        Kind::Enum(words) => words.iter().cloned().map(Value::from).collect(),
        _ => vec![sample(param, &param.ty, at)],
    });
    values.collect()
}

proptest! {
    #[test]
    fn whatever_comes_prepare_answers_and_sends_only_known_names((tool, args) in any_call()) {
        match tool.prepare(args) {
            Err(bad) => {
                prop_assert!(!bad.problems.is_empty());
                prop_assert!(bad.to_string().len() < 8000);
            }
            Ok(call) => {
                let params = call.params.as_object().expect("parameters are an object");
                let known: BTreeSet<&str> = if call.command.is_some() {
                    tool.wire_names().collect()
                } else {
                    tool.params.iter().map(|param| param.name.as_str()).collect()
                };
                prop_assert!(params.keys().all(|name| known.contains(name.as_str())), "{params:?}");
                let null = |(name, value): (&String, &Value)| value.is_null() && name != "count";
                prop_assert!(!params.iter().any(null), "{params:?}");
            }
        }
    }
}

#[test]
fn every_value_that_a_parameter_declares_is_taken() {
    for tool in Catalogue::builtin().tools() {
        for param in &tool.params {
            let others = tool
                .params
                .iter()
                .filter(|it| it.required && it.name != param.name);
            let others: Map<_, _> = others
                .map(|it| (it.name.clone(), sample(it, &it.ty, 0)))
                .collect();
            for value in declared(param) {
                let mut args = others.clone();
                args.insert(param.name.clone(), value.clone());
                if param.name == "save_as_prefab" {
                    args.insert("name".to_owned(), "Tree".into());
                }
                if param.name == "pixels" {
                    args.extend([
                        ("width".to_owned(), 1.into()),
                        ("height".to_owned(), 1.into()),
                    ]);
                }
                let action = args.get("action").and_then(Value::as_str);
                let needs = action.and_then(|action| tool.needs.get(action)?.last());
                for name in needs.into_iter().flatten() {
                    let needed = tool.param(name).expect("a parameter");
                    let sample = sample(needed, &needed.ty, 0);
                    args.entry(name.clone()).or_insert(sample);
                }
                let prepared = tool.prepare(args);
                assert!(prepared.is_ok(), "{}: {prepared:?}", param.name);
            }
        }
    }
}

/// A value of one of the alternatives; text spells what the first one takes.
fn sample(param: &Param, ty: &Type, at: usize) -> Value {
    let special = match param.name.as_str() {
        "commands" => Some(json!([{"tool": "get_tags"}])),
        "uri" => Some("Assets/A.cs".into()),
        "path" if param.required => Some("Assets/A.cs".into()),
        "import_settings" => Some(json!({"readable": true})),
        "palette" | "pixels" if at == 0 => Some(json!([[255, 0, 0]])),
        "palette" => Some("[[0, 0, 1]]".into()),
        "color" | "fill_color" if param.reads.is_some() => Some(
            [
                json!([1, 0, 0]),
                json!({"r": 1, "g": 0, "b": 0}),
                "#F00".into(),
            ][at]
                .clone(),
        ),
        _ if param.reads == Some(Reads::Boolean) => Some("true".into()),
        _ if !param.one_of.is_empty() => Some(param.one_of[0].clone().into()),
        "components_to_add" if param.ty.kinds.contains(&Kind::Object) => {
            Some(json!({"typeName": "Light"}))
        }
        _ => None,
    };
    let vector = param.vector.map(|n| vec![json!(1.5); n]);
    match &ty.kinds[at] {
        _ if special.is_some() => special.unwrap_or_default(),
        Kind::Object if param.vector.is_some() => json!({"x": 1, "y": 2, "z": 3}),
        Kind::Array(item) => vector
            .unwrap_or_else(|| vec![sample(param, item, 0)])
            .into(),
        Kind::String if at == 0 => "text".into(),
        Kind::String => match sample(param, ty, 0) {
            Value::String(text) => text.into(),
            other => other.to_string().into(),
        },
        Kind::Any | Kind::Boolean => true.into(),
        Kind::Integer => 3.into(),
        Kind::Number => 1.5.into(),
        Kind::Object => json!({"a": 1}),
        Kind::Enum(words) => words[0].clone().into(),
    }
}
