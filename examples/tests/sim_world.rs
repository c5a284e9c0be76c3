//! The simulated editor's pure half: what commands do, and that nothing surprises it.

#![allow(missing_docs, reason = "tests")]

use std::collections::BTreeMap;

use examples::catalogue::Catalogue;
use examples::sim::strike::{Point, Strikes};
use examples::sim::world::csharp;
use examples::sim::world::{
    BATCH_DEFAULT, CONSOLE_ENTRIES, Cause, Command, EFFECT_LINES, LEDGER_ROWS, Outcome, Project,
    Severity, World,
};
use proptest::prelude::*;
use serde_json::{Value, json};

const BROKEN: &str = "public class Broken\n{\n    void Start() {\n}\n";

fn world() -> World {
    World::new(Project::default(), 7)
}

fn run(world: &mut World, name: &str, params: Value) -> Outcome {
    world.execute(1_000, Command::new(name, &params))
}

/// The `data` of a command that must succeed.
fn data(world: &mut World, name: &str, params: Value) -> Value {
    let mut answer = run(world, name, params).answer;
    assert_eq!(answer["status"], "success", "{answer}");
    assert_eq!(answer["result"]["success"], true, "{answer}");
    answer["result"]["data"].take()
}

/// The text of a refusal.
fn refusal(world: &mut World, name: &str, params: Value) -> String {
    let answer = run(world, name, params).answer;
    assert_eq!(
        answer["status"], "success",
        "a refusal is no error of the transport: {answer}"
    );
    assert_eq!(answer["result"]["success"], false, "{answer}");
    assert_eq!(answer["result"]["code"], answer["result"]["error"]);
    answer["result"]["error"]
        .as_str()
        .expect("an error text")
        .to_owned()
}

fn create_script(name: &str, text: &str) -> Value {
    json!({"action": "create", "name": name, "path": "Assets/Scripts", "contents": text})
}

#[test]
fn ping_answers_exactly_what_the_server_compares_with() {
    let answer = run(&mut world(), "ping", json!({})).answer;
    assert_eq!(
        answer,
        json!({"status": "success", "result": {"message": "pong"}})
    );
}

#[test]
fn an_unknown_command_is_the_plugins_own_error() {
    let answer = run(&mut world(), "make_coffee", json!({})).answer;
    assert_eq!(
        answer,
        json!({
            "status": "error",
            "error": "Unknown or unsupported command type: make_coffee",
            "command": "Unknown",
            "stackTrace": null,
        })
    );
}

#[test]
fn two_objects_may_bear_one_name_so_a_create_run_twice_shows() {
    let mut world = world();
    let create = json!({"action": "create", "name": "Cube", "primitiveType": "Cube"});
    let first = data(&mut world, "manage_gameobject", create.clone());
    let second = data(&mut world, "manage_gameobject", create);
    assert_ne!(first["instanceID"], second["instanceID"]);
    assert_eq!(world.objects_named("Cube"), 2);

    let report = world.report();
    assert_eq!(report.objects_created["Cube"], 2);
    let ran = report
        .commands
        .iter()
        .find(|ran| ran.command == "manage_gameobject")
        .unwrap();
    assert_eq!((ran.executed, ran.took_effect), (2, 2));
}

#[test]
fn a_script_created_twice_is_executed_twice_and_takes_effect_once() {
    let mut world = world();
    data(
        &mut world,
        "manage_script",
        create_script("Foo", "class Foo {}"),
    );
    refusal(
        &mut world,
        "manage_script",
        create_script("Foo", "class Foo {}"),
    );
    let report = world.report();
    assert_eq!(report.scripts_created["Assets/Scripts/Foo.cs"], 1);
    assert_eq!(
        (report.commands[0].executed, report.commands[0].took_effect),
        (2, 1)
    );
}

#[test]
fn an_id_that_is_executed_twice_is_reported_even_if_nothing_changed() {
    let mut world = world();
    let params = json!({});
    for id in ["a", "b", "a"] {
        world.execute(1, Command::new("ping", &params).with_id(id));
    }
    assert_eq!(
        world.report().ids_run_twice,
        BTreeMap::from([("a".to_owned(), 2)])
    );
}

#[test]
fn the_order_of_keys_does_not_make_another_command() {
    let mut world = world();
    run(
        &mut world,
        "ping",
        serde_json::from_str(r#"{"a":1,"b":{"x":1,"y":2}}"#).unwrap(),
    );
    run(
        &mut world,
        "ping",
        serde_json::from_str(r#"{"b":{"y":2,"x":1},"a":1}"#).unwrap(),
    );
    run(&mut world, "ping", json!({"a": 2}));
    let counts: Vec<u64> = world
        .report()
        .commands
        .iter()
        .map(|ran| ran.executed)
        .collect();
    assert_eq!(counts, [2, 1]);
}

#[test]
fn objects_are_found_by_every_method() {
    let mut world = world();
    let root = data(
        &mut world,
        "manage_gameobject",
        json!({
            "action": "create", "name": "Root", "tag": "Enemy", "layer": "UI",
        }),
    );
    let leaf = data(
        &mut world,
        "manage_gameobject",
        json!({
            "action": "create", "name": "Leaf", "parent": "Root", "primitiveType": "Sphere",
            "position": [1, 2, 3], "setActive": "false",
        }),
    );
    assert_eq!(leaf["parentInstanceID"], root["instanceID"]);
    assert_eq!(
        leaf["transform"]["position"],
        json!({"x": 1.0, "y": 2.0, "z": 3.0})
    );
    let id = leaf["instanceID"].clone();
    for (method, term, found) in [
        ("by_name", json!("Leaf"), &leaf),
        ("by_path", json!("Root/Leaf"), &leaf),
        ("by_id", id, &leaf),
        ("by_component", json!("SphereCollider"), &leaf),
        ("by_tag", json!("Enemy"), &root),
        ("by_layer", json!("UI"), &root),
    ] {
        let search = json!({
            "searchTerm": term, "searchMethod": method, "includeInactive": true,
        });
        let result = data(&mut world, "find_gameobjects", search);
        assert_eq!(
            result["instanceIDs"],
            json!([found["instanceID"]]),
            "{method}"
        );
    }
    let inactive = data(
        &mut world,
        "find_gameobjects",
        json!({"searchTerm": "Leaf"}),
    );
    assert_eq!(inactive["totalCount"], 0);
}

#[test]
fn deleting_an_object_takes_its_children_along() {
    let mut world = world();
    data(
        &mut world,
        "manage_gameobject",
        json!({"action": "create", "name": "Root"}),
    );
    let leaf = json!({"action": "create", "name": "Leaf", "parent": "Root"});
    data(&mut world, "manage_gameobject", leaf);
    data(
        &mut world,
        "manage_gameobject",
        json!({"action": "delete", "target": "Root"}),
    );
    assert_eq!(world.objects_named("Leaf"), 0);
    refusal(
        &mut world,
        "manage_gameobject",
        json!({"action": "delete", "target": "Root"}),
    );
}

#[test]
fn an_object_is_never_its_own_ancestor() {
    let mut world = world();
    data(
        &mut world,
        "manage_gameobject",
        json!({"action": "create", "name": "A"}),
    );
    data(
        &mut world,
        "manage_gameobject",
        json!({"action": "create", "name": "B", "parent": "A"}),
    );
    let twist = json!({"action": "modify", "target": "A", "parent": "B"});
    assert!(refusal(&mut world, "manage_gameobject", twist).contains("ancestor"));
}

#[test]
fn moving_to_another_parent_keeps_the_place_in_the_world() {
    let mut world = world();
    for (name, x) in [("A", 5), ("B", 7)] {
        let create = json!({"action": "create", "name": name, "position": [x, 0, 0]});
        data(&mut world, "manage_gameobject", create);
    }
    let adopt = json!({"action": "modify", "target": "B", "parent": "A"});
    let b = data(&mut world, "manage_gameobject", adopt);
    assert_eq!(b["transform"]["position"]["x"], 7.0);
    assert_eq!(b["transform"]["localPosition"]["x"], 2.0);
}

#[test]
fn the_hierarchy_comes_in_pages() {
    let mut world = world();
    data(
        &mut world,
        "sim_spawn_row",
        json!({"prefix": "P", "count": 5}),
    );
    let mut cursor = json!(0);
    let mut names = Vec::new();
    loop {
        let page = data(
            &mut world,
            "manage_scene",
            json!({
                "action": "get_hierarchy", "pageSize": 3, "cursor": cursor,
            }),
        );
        assert_eq!(page["total"], 7, "camera, light and five");
        names.extend(
            page["items"]
                .as_array()
                .unwrap()
                .iter()
                .map(|item| item["name"].clone()),
        );
        if page["truncated"] == false {
            break;
        }
        cursor = page["next_cursor"].clone();
    }
    assert_eq!(names.len(), 7);
    assert_eq!(names[0], "Main Camera");
    assert_eq!(names[6], "P_4");
}

#[test]
fn a_scene_is_saved_before_another_is_loaded() {
    let mut world = world();
    data(
        &mut world,
        "manage_scene",
        json!({"action": "create", "name": "Level"}),
    );
    data(
        &mut world,
        "manage_gameobject",
        json!({"action": "create", "name": "Cube"}),
    );
    let back = json!({"action": "load", "path": "Assets/Scenes/SampleScene.unity"});
    assert!(refusal(&mut world, "manage_scene", back.clone()).contains("unsaved"));
    data(&mut world, "manage_scene", json!({"action": "save"}));
    data(&mut world, "manage_scene", back);
    assert_eq!(world.objects_named("Cube"), 0);
    let level = json!({"action": "load", "name": "Level", "path": "Scenes"});
    data(&mut world, "manage_scene", level);
    assert_eq!(world.objects_named("Cube"), 1);
}

#[test]
fn a_component_can_be_a_script_once_the_script_compiles() {
    let mut world = world();
    data(
        &mut world,
        "manage_gameobject",
        json!({"action": "create", "name": "Cube"}),
    );
    let add = json!({"action": "add", "target": "Cube", "componentType": "Mover"});
    refusal(&mut world, "manage_components", add.clone());
    data(
        &mut world,
        "manage_script",
        create_script("Mover", "class Mover {}"),
    );
    data(&mut world, "manage_components", add);
    let set = json!({
        "action": "set_property", "target": "Cube", "componentType": "Mover",
        "property": "speed", "value": 3,
    });
    data(&mut world, "manage_components", set);
    let remove = json!({"action": "remove", "target": "Cube", "componentType": "Mover"});
    data(&mut world, "manage_components", remove.clone());
    refusal(&mut world, "manage_components", remove);
}

#[test]
fn a_script_is_read_as_it_was_written_plain_or_encoded() {
    let mut world = world();
    let encoded = json!({
        "action": "create", "name": "Foo", "path": "Assets/Scripts",
        "encodedContents": "cHVibGljIGNsYXNzIEZvbyB7fQ==", "contentsEncoded": true,
    });
    let outcome = run(&mut world, "manage_script", encoded);
    assert_eq!(outcome.reload, Some(Cause::Scripts));
    let read = json!({"action": "read", "name": "Foo", "path": "Assets/Scripts"});
    assert_eq!(
        data(&mut world, "manage_script", read)["contents"],
        "public class Foo {}"
    );
    assert_eq!(
        world.script("Assets/Scripts/Foo.cs"),
        Some("public class Foo {}")
    );
}

#[test]
fn edits_apply_against_the_hash_that_they_were_made_for() {
    let mut world = world();
    data(
        &mut world,
        "manage_script",
        create_script("Foo", "class Foo\n{\n}\n"),
    );
    let at = |action: &str| json!({"action": action, "name": "Foo", "path": "Assets/Scripts"});
    let sha = data(&mut world, "manage_script", at("get_sha"))["sha256"].clone();
    let mut edit = at("apply_text_edits");
    edit["edits"] = json!([{
        "startLine": 2, "startCol": 2, "endLine": 2, "endCol": 2, "newText": "\n    int x;",
    }]);
    assert_eq!(
        refusal(&mut world, "manage_script", edit.clone()),
        "precondition_required"
    );
    edit["precondition_sha256"] = sha;
    let outcome = run(&mut world, "manage_script", edit.clone());
    assert_eq!(
        outcome.answer["result"]["success"], true,
        "{}",
        outcome.answer
    );
    assert_eq!(outcome.reload, Some(Cause::Scripts));
    assert_eq!(
        world.script("Assets/Scripts/Foo.cs"),
        Some("class Foo\n{\n    int x;\n}\n")
    );
    // The same edit again, as a redelivery would bring it, does not fit any more.
    assert_eq!(refusal(&mut world, "manage_script", edit), "stale_file");
}

#[test]
fn scripts_stay_inside_assets() {
    let mut world = world();
    for path in ["../..", "Assets/../..", "C:/Windows"] {
        let create = json!({"action": "create", "name": "Foo", "path": path});
        assert!(
            refusal(&mut world, "manage_script", create).contains("within 'Assets/'"),
            "{path}"
        );
    }
    let create = json!({"action": "create", "name": "1Foo", "path": "Assets"});
    assert!(refusal(&mut world, "manage_script", create).contains("Invalid script name"));
}

#[test]
fn while_scripts_do_not_compile_nothing_reloads_the_domain() {
    let mut world = world();
    assert_eq!(
        run(&mut world, "manage_script", create_script("Broken", BROKEN)).reload,
        None
    );
    for params in [json!({"compile": "request"}), json!({"mode": "force"})] {
        assert_eq!(run(&mut world, "refresh_unity", params).reload, None);
    }
    assert_eq!(
        run(&mut world, "manage_editor", json!({"action": "play"})).reload,
        None
    );
    assert!(!world.is_playing());

    let get = json!({"types": ["error"], "filterText": "syntax error", "format": "json"});
    let errors = data(&mut world, "read_console", get.clone());
    assert_eq!(
        errors.as_array().unwrap().len(),
        1,
        "one error, however often it was compiled"
    );
    let message = errors[0]["message"].as_str().unwrap();
    assert!(message.starts_with("Assets/Scripts/Broken.cs(2,1): error CS1513: syntax error"));
    let validate = json!({"action": "validate", "name": "Broken", "path": "Assets/Scripts"});
    let answer = run(&mut world, "manage_script", validate).answer;
    assert_eq!(answer["result"]["data"]["diagnostics"][0]["line"], 2);

    // Mending it compiles everything at once.
    let mend = json!({
        "action": "update", "name": "Broken", "path": "Assets/Scripts", "contents": "class B {}",
    });
    assert_eq!(
        run(&mut world, "manage_script", mend).reload,
        Some(Cause::Scripts)
    );
    assert_eq!(data(&mut world, "read_console", get), json!([]));
}

#[test]
fn a_refresh_reloads_only_what_changed_unless_it_is_forced() {
    let mut world = world();
    let request = json!({"mode": "if_dirty", "compile": "request"});
    assert_eq!(run(&mut world, "refresh_unity", request).reload, None);
    let force = json!({"mode": "force"});
    assert_eq!(
        run(&mut world, "refresh_unity", force).reload,
        Some(Cause::Scripts)
    );
}

#[test]
fn play_mode_reloads_the_domain_when_it_changes() {
    let mut world = world();
    for (action, reload) in [
        ("stop", None),
        ("play", Some(Cause::PlayMode)),
        ("play", None),
        ("stop", Some(Cause::PlayMode)),
    ] {
        let outcome = run(&mut world, "manage_editor", json!({"action": action}));
        assert_eq!(outcome.reload, reload, "{action}");
    }
}

#[test]
fn the_editor_state_shows_the_reload_and_its_sequence_moves() {
    let mut world = world();
    let before = data(&mut world, "get_editor_state", json!({}));
    assert_eq!(before["schema_version"], "unity-mcp/editor_state@2");
    assert_eq!(
        before["compilation"]["last_domain_reload_after_unix_ms"],
        Value::Null
    );
    world.begin_reload(5_000, Cause::Timer);
    world.end_reload(9_000);
    let after = data(&mut world, "get_editor_state", json!({}));
    assert_eq!(
        after["compilation"]["last_domain_reload_before_unix_ms"],
        5_000
    );
    assert_eq!(
        after["compilation"]["last_domain_reload_after_unix_ms"],
        9_000
    );
    assert_eq!(after["compilation"]["is_domain_reload_pending"], false);
    assert!(after["sequence"].as_u64() > before["sequence"].as_u64());
}

#[test]
fn the_console_is_filtered_paged_cleared_and_bounded() {
    let mut world = world();
    for number in 0..CONSOLE_ENTRIES + 10 {
        world.log(Severity::Log, format!("line {number}"));
    }
    world.log(Severity::Warning, "careful");
    let page = data(
        &mut world,
        "read_console",
        json!({
            "types": ["log"], "pageSize": 2, "cursor": 0, "format": "plain",
        }),
    );
    assert_eq!(page["items"], json!(["line 11", "line 12"]));
    assert_eq!(page["total"], CONSOLE_ENTRIES - 1);
    assert_eq!(page["nextCursor"], "2");
    let defaults = data(
        &mut world,
        "read_console",
        json!({"action": "get", "count": 10}),
    );
    assert_eq!(
        defaults,
        json!(["careful"]),
        "no logs unless they are asked for"
    );
    data(&mut world, "read_console", json!({"action": "clear"}));
    assert_eq!(
        data(&mut world, "read_console", json!({"types": ["all"]})),
        json!([])
    );
}

#[test]
fn the_menu_reloads_reports_and_fails_like_the_plugins() {
    let mut world = world();
    let menu = |path: &str| json!({"menuPath": path});
    let reload = run(
        &mut world,
        "execute_menu_item",
        menu("Simulator/Reload Domain"),
    );
    assert_eq!(reload.reload, Some(Cause::Menu));
    let message = reload.answer["result"]["message"].as_str().unwrap();
    assert!(message.starts_with("Attempted to execute menu item: 'Simulator/Reload Domain'"));
    assert!(refusal(&mut world, "execute_menu_item", menu("Tools/Nope")).starts_with("Failed to"));
    assert!(refusal(&mut world, "execute_menu_item", menu("File/Quit")).contains("blocked"));
    data(
        &mut world,
        "execute_menu_item",
        menu("GameObject/3D Object/Cube"),
    );
    let report = data(&mut world, "execute_menu_item", menu("Simulator/Report"));
    assert_eq!(report["objects_created"]["Cube"], 1);
    assert_eq!(report["strikes"]["before_read"], 0);
}

#[test]
fn a_batch_runs_in_order_and_stops_early_only_if_asked() {
    let mut world = world();
    let create = |name: &str| json!({"tool": "manage_gameobject", "params": {"action": "create", "name": name}});
    let broken = json!({"tool": "nope", "params": {}});
    let commands = json!([create("A"), broken, create("B")]);
    let fast = json!({"commands": commands, "failFast": true});
    let answer = run(&mut world, "batch_execute", fast).answer;
    assert_eq!(answer["result"]["data"]["callSuccessCount"], 1);
    assert_eq!(world.objects_named("B"), 0);
    let slow = run(&mut world, "batch_execute", json!({"commands": commands})).answer;
    assert_eq!(slow["result"]["success"], false);
    assert_eq!(slow["result"]["data"]["callSuccessCount"], 2);
    assert_eq!((world.objects_named("A"), world.objects_named("B")), (2, 1));

    let many = vec![create("C"); BATCH_DEFAULT + 1];
    refusal(&mut world, "batch_execute", json!({"commands": many}));
    assert_eq!(world.objects_named("C"), 0);
}

#[test]
fn a_polled_job_is_pending_until_its_time_has_come() {
    let mut world = world();
    let begin = json!({"name": "bake", "seconds": 2});
    let poll = json!({"name": "bake", "action": "status"});
    let mut at = |ms, params: &Value| {
        world
            .execute(ms, Command::new("sim_slow_job", params))
            .answer["result"]
            .take()
    };
    assert_eq!(at(0, &begin)["_mcp_status"], "pending");
    assert_eq!(at(1_999, &poll)["_mcp_status"], "pending");
    assert_eq!(at(2_000, &poll)["_mcp_status"], Value::Null);
    assert_eq!(
        at(2_001, &poll)["success"],
        false,
        "it was told, and is forgotten"
    );
}

#[test]
fn required_parameters_stand_before_optional_ones() {
    let tools = world().tools();
    for tool in tools.as_array().unwrap() {
        let required: Vec<bool> = tool["parameters"]
            .as_array()
            .unwrap()
            .iter()
            .map(|parameter| parameter["required"].as_bool().unwrap())
            .collect();
        assert!(required.is_sorted_by(|a, b| a >= b), "{tool}");
    }
}

/// Commands of the catalogue that the simulated editor does not know: it has a scene, scripts and a
/// console, and nothing that could be built, drawn or animated.
const BEYOND: &[&str] = &[
    "blender_bridge",
    "execute_code",
    "generate_audio",
    "generate_image",
    "generate_model",
    "import_model",
    "import_model_file",
    "manage_animation",
    "manage_asset",
    "manage_build",
    "manage_camera",
    "manage_graphics",
    "manage_material",
    "manage_packages",
    "manage_physics",
    "manage_prefabs",
    "manage_probuilder",
    "manage_profiler",
    "manage_scriptable_object",
    "manage_shader",
    "manage_texture",
    "manage_ui",
    "manage_vfx",
    "unity_reflect",
];

#[test]
fn every_tool_of_the_catalogue_meets_an_editor_that_knows_its_command_and_action() {
    for tool in Catalogue::builtin().tools() {
        let actions = tool.actions().iter().map(|action| Some(action.as_str()));
        for action in actions.chain([None]) {
            let Some(command) = tool.command_for(action) else {
                continue;
            };
            let answer = run(
                &mut world(),
                command,
                json!({"action": action, "name": "X"}),
            )
            .answer;
            if BEYOND.contains(&command) {
                assert_eq!(answer["status"], "error", "{command} is known by now");
                continue;
            }
            assert_eq!(answer["status"], "success", "{}: {answer}", tool.name);
            let error = answer["result"]["error"].as_str().unwrap_or_default();
            assert!(!error.contains("Unknown action"), "{}: {error}", tool.name);
        }
    }
}

#[test]
fn what_reloads_the_domain_here_is_what_the_catalogue_expects_to() {
    let script = create_script("Foo", "class Foo {}");
    let deleted = json!({"action": "delete", "name": "Foo", "path": "Assets/Scripts"});
    let mut world = world();
    for (name, params) in [
        ("manage_script", script),
        ("manage_script", deleted),
        ("refresh_unity", json!({"mode": "force"})),
        ("manage_editor", json!({"action": "play"})),
        ("manage_editor", json!({"action": "stop"})),
    ] {
        assert!(
            run(&mut world, name, params.clone()).reload.is_some(),
            "{name} {params}"
        );
        let tool = Catalogue::builtin().tool(name).expect(name);
        assert!(tool.reloads(params["action"].as_str()), "{name} {params}");
    }
}

fn editor(world: &mut World, at: u64) -> Value {
    let answer = world
        .execute(at, Command::new("get_editor_state", &Value::Null))
        .answer;
    answer["result"]["data"].clone()
}

#[test]
fn what_takes_a_moment_shows_in_the_state_and_passes() {
    for (item, flag, phase) in [
        (
            "Simulator/Slow Compilation",
            "/compilation/is_compiling",
            "compiling",
        ),
        (
            "Simulator/Slow Import",
            "/assets/is_updating",
            "asset_import",
        ),
        (
            "Simulator/Run All Tests",
            "/tests/is_running",
            "running_tests",
        ),
    ] {
        let mut world = world();
        let params = json!({"menuPath": item});
        world.execute(1_000, Command::new("execute_menu_item", &params));
        let busy = editor(&mut world, 2_999);
        assert_eq!(busy.pointer(flag), Some(&json!(true)), "{item}");
        assert_eq!(busy["activity"]["phase"], phase);
        assert_eq!(
            editor(&mut world, 3_000).pointer(flag),
            Some(&json!(false)),
            "{item}"
        );
    }
}

#[test]
fn tests_run_as_one_job_that_is_asked_for_and_that_a_reload_leaves_alone() {
    let mut world = world();
    let none = json!({});
    let mut at = |now, name, params: &Value| {
        world.execute(now, Command::new(name, params)).answer["result"].clone()
    };
    let begun = at(1_000, "run_tests", &json!({"mode": "PlayMode"}));
    let job = json!({"job_id": begun["data"]["job_id"]});
    assert_eq!(
        at(1_100, "run_tests", &none)["data"]["reason"],
        "tests_running"
    );
    let running = at(2_000, "get_test_job", &job);
    assert_eq!(
        (
            &running["data"]["status"],
            &running["data"]["progress"]["completed"]
        ),
        (&json!("running"), &json!(2))
    );
    assert_eq!(
        at(2_000, "get_editor_state", &none)["data"]["tests"]["current_job_id"],
        job["job_id"]
    );
    let ended = at(3_000, "get_test_job", &job);
    assert_eq!(ended["data"]["status"], "failed");
    assert_eq!(ended["data"]["result"]["summary"]["failed"], 1);
    assert_eq!(
        at(3_000, "get_test_job", &json!({"job_id": "?"}))["success"],
        false
    );

    let one = at(
        4_000,
        "run_tests",
        &json!({"testNames": ["Sim.Save.Keeps"]}),
    );
    let one = json!({"job_id": one["data"]["job_id"]});
    assert_eq!(
        at(4_100, "run_tests", &json!({"clear_stuck": true}))["success"],
        true
    );
    assert_eq!(at(4_200, "get_test_job", &one)["data"]["status"], "failed");
    let again = at(
        4_300,
        "run_tests",
        &json!({"testNames": ["Sim.Save.Keeps"]}),
    );
    let again = json!({"job_id": again["data"]["job_id"]});
    assert_eq!(
        at(4_800, "get_test_job", &again)["data"]["status"],
        "succeeded"
    );
}

#[test]
fn the_project_hash_is_the_plugins() {
    // printf %s /proj/FakeGame/Assets | sha1sum | cut -c1-16
    assert_eq!(
        Project::new("FakeGame", "/proj/FakeGame/").hash(),
        "f75772068d265781"
    );
    assert_eq!(Project::new("x", "C:\\p").data_path(), "C:/p/Assets");
}

#[test]
fn the_ledger_is_bounded_and_says_what_it_forgot() {
    let mut world = world();
    for number in 0..LEDGER_ROWS + 3 {
        run(
            &mut world,
            "manage_editor",
            json!({"action": "add_tag", "tagName": number}),
        );
        run(
            &mut world,
            "manage_editor",
            json!({"action": "remove_tag", "tagName": number}),
        );
    }
    let report = world.report();
    assert_eq!(report.commands.len(), LEDGER_ROWS);
    assert_eq!(report.effects.len(), EFFECT_LINES);
    assert_eq!(report.forgotten, LEDGER_ROWS as u64 + 6);
}

#[test]
fn c_sharp_that_compiles_passes() {
    for text in [
        "",
        "class A { string s = \"} \\\" {\"; char c = '{'; char q = '\\''; }",
        "class A { /* } ' \" */ } // }}} \"",
        "#region Don't mind the quote\nclass A {}\n#endregion",
        "class A { string s = @\"c:\\\"; string t = @\"say \"\"hi\"\" {\"; }",
        "class A { string s = $\"{d[\"k\"]} {{}} {(a ? \"x\" : \"y\")}\"; }",
        "class A { string s = $@\"{a}\n{{\"; string e = \"\"; }",
        "class A { string s = \"\"\"\n { \" \"\" \n\"\"\"; }",
    ] {
        assert_eq!(csharp::check(text), None, "{text}");
    }
}

#[test]
fn a_mistake_is_found_where_it_is() {
    for (text, line, col, code) in [
        ("class A {", 1, 9, "CS1513"),
        ("class A {}\n}", 2, 1, "CS1022"),
        ("class A { void F( { } }", 1, 23, "CS1026"),
        ("class A {\n  string s = \"open;\n}", 2, 14, "CS1010"),
        ("class A { /* open", 1, 12, "CS1035"),
        ("#error not yet\nclass A {}", 1, 1, "CS1029"),
    ] {
        let found = csharp::check(text).expect(text);
        assert_eq!(
            (found.line, found.col, found.code),
            (line, col, code),
            "{text}: {found}"
        );
    }
}

#[test]
fn strikes_reach_each_point_evenly() {
    for seed in 0..50 {
        let mut strikes = Strikes::new(seed);
        for _ in 0..25 {
            let mut four: Vec<Point> = (0..4).map(|_| strikes.draw()).collect();
            four.sort();
            assert_eq!(four, Point::ALL, "seed {seed}");
            let mut two: Vec<Point> = (0..2).map(|_| strikes.draw_caused()).collect();
            two.sort();
            assert_eq!(two, Point::AFTER_ITS_CAUSE, "seed {seed}");
        }
    }
}

#[test]
fn different_seeds_tell_different_stories() {
    let story = |seed| {
        let mut strikes = Strikes::new(seed);
        (0..16).map(|_| strikes.draw()).collect::<Vec<_>>()
    };
    let stories: std::collections::BTreeSet<_> = (0..20).map(story).collect();
    assert!(stories.len() > 15, "{} of 20", stories.len());
}

#[test]
fn an_armed_strike_waits_for_its_command_and_is_counted_once() {
    let mut strikes = Strikes::new(1);
    strikes.arm(Point::AfterEffect);
    strikes.arm_drawn();
    assert_eq!(
        strikes.armed(),
        Some(Point::AfterEffect),
        "one waits at a time"
    );
    strikes.struck(Point::AfterEffect);
    assert_eq!(strikes.armed(), None);
    let counts: Vec<u64> = strikes.counts().map(|(_, count)| count).collect();
    assert_eq!(counts, [0, 0, 1, 0]);
}

const NAMES: &[&str] = &[
    "ping",
    "get_editor_state",
    "get_project_info",
    "get_tool_states",
    "get_tags",
    "get_layers",
    "manage_scene",
    "manage_gameobject",
    "find_gameobjects",
    "get_gameobject",
    "manage_components",
    "manage_script",
    "refresh_unity",
    "read_console",
    "manage_editor",
    "execute_menu_item",
    "get_menu_items",
    "batch_execute",
    "sim_spawn_row",
    "sim_slow_job",
    "nonsense",
];

const KEYS: &[&str] = &[
    "action",
    "name",
    "path",
    "target",
    "searchTerm",
    "searchMethod",
    "parent",
    "position",
    "tag",
    "layer",
    "componentType",
    "properties",
    "property",
    "value",
    "contents",
    "encodedContents",
    "contentsEncoded",
    "edits",
    "precondition_sha256",
    "pageSize",
    "cursor",
    "count",
    "types",
    "menuPath",
    "commands",
    "mode",
    "compile",
    "prefix",
    "seconds",
    "offset",
    "direction",
    "componentsToAdd",
    "componentProperties",
    "look_at_target",
    "reference_object",
    "toolName",
    "startLine",
    "startCol",
    "endLine",
    "endCol",
    "newText",
    "tool",
    "params",
    "buildIndex",
];

const WORDS: &[&str] = &[
    "create",
    "modify",
    "delete",
    "duplicate",
    "move_relative",
    "look_at",
    "add",
    "remove",
    "set_property",
    "read",
    "update",
    "validate",
    "get_sha",
    "apply_text_edits",
    "play",
    "stop",
    "pause",
    "get",
    "clear",
    "get_hierarchy",
    "load",
    "save",
    "get_active",
    "add_tag",
    "Cube",
    "Main Camera",
    "Light",
    "by_path",
    "by_id",
    "Foo",
    "Assets",
    "../x",
    "force",
    "request",
    "status",
    "class Foo { ä",
    "\u{1F600}",
    "",
    "manage_script",
    "sim_spawn_row",
    "Simulator/Report",
    "GameObject/3D Object/Cube",
    "1,2,3",
    "[1,2]",
    "-1",
    "1e308",
];

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        4 => proptest::sample::select(WORDS).prop_map(Value::from),
        1 => any::<i64>().prop_map(Value::from),
        1 => (-3i64..20).prop_map(Value::from),
        1 => any::<f64>().prop_map(Value::from),
        1 => any::<bool>().prop_map(Value::from),
        1 => any::<String>().prop_map(Value::from),
        1 => Just(Value::Null),
    ];
    leaf.prop_recursive(3, 32, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            proptest::collection::btree_map(proptest::sample::select(KEYS), inner, 0..6)
                .prop_map(|map| json!(map)),
        ]
    })
}

fn command() -> impl Strategy<Value = (&'static str, Value)> {
    let params = proptest::collection::btree_map(proptest::sample::select(KEYS), value(), 0..8);
    let action = proptest::option::weighted(0.8, proptest::sample::select(WORDS));
    (proptest::sample::select(NAMES), params, action).prop_map(|(name, params, action)| {
        let mut params = json!(params);
        if let Some(action) = action {
            params["action"] = action.into();
        }
        (name, params)
    })
}

proptest! {
    #[test]
    fn the_same_commands_tell_the_same_story_and_none_panics(
        commands in proptest::collection::vec(command(), 0..24),
        seed in any::<u64>(),
    ) {
        let mut twins = [World::new(Project::default(), seed), World::new(Project::default(), seed)];
        for (at, (name, params)) in commands.iter().enumerate() {
            let [left, right] = twins.each_mut().map(|world| {
                world.execute(at as u64, Command::new(name, params))
            });
            prop_assert_eq!(&left, &right);
            let status = left.answer["status"].as_str();
            prop_assert!(matches!(status, Some("success" | "error")), "{}", left.answer);
        }
        prop_assert_eq!(twins[0].report(), twins[1].report());
    }

    #[test]
    fn params_that_are_no_object_are_survived(name in proptest::sample::select(NAMES), params in value()) {
        let outcome = World::new(Project::default(), 0).execute(0, Command::new(name, &params));
        prop_assert!(outcome.answer.is_object());
    }

    #[test]
    fn any_text_can_be_checked(text in "[\\PC\n\"'{}()@$#/*\\\\]{0,64}") {
        if let Some(found) = csharp::check(&text) {
            prop_assert!(found.line >= 1 && found.col >= 1);
            prop_assert!(found.line <= text.split('\n').count());
        }
    }
}
