//! The catalogue as data: complete, decided, and faithful to the reference.
#![allow(missing_docs, reason = "a test's name says what it proves")]

use std::collections::BTreeMap;

use examples::catalogue::{Catalogue, Kind, LoadError, Replay, Tool, Type};
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
    ("apply_text_edits", &[("-", NEVER, RELOADS)]),
    ("script_apply_edits", &[("-", NEVER, RELOADS)]),
    ("get_sha", &[("-", SAFE, QUIET)]),
    ("find_in_file", &[("-", SAFE, QUIET)]),
    (
        "manage_asset",
        &[
            ("import", NEVER, RELOADS),
            ("create", NEVER, QUIET),
            ("modify", NEVER, QUIET),
            ("delete", NEVER, RELOADS),
            ("duplicate", NEVER, RELOADS),
            ("move", NEVER, RELOADS),
            ("rename", NEVER, RELOADS),
            ("search", SAFE, QUIET),
            ("get_info", SAFE, QUIET),
            ("create_folder", NEVER, QUIET),
            ("get_components", SAFE, QUIET),
        ],
    ),
    (
        "manage_build",
        &[
            ("build", NEVER, RELOADS),
            ("status", SAFE, QUIET),
            ("platform", NEVER, RELOADS),
            ("settings", NEVER, RELOADS),
            ("scenes", NEVER, QUIET),
            ("profiles", NEVER, RELOADS),
            ("batch", NEVER, RELOADS),
            ("cancel", NEVER, QUIET),
        ],
    ),
    (
        "manage_camera",
        &[
            ("ping", SAFE, QUIET),
            ("ensure_brain", NEVER, QUIET),
            ("get_brain_status", SAFE, QUIET),
            ("create_camera", NEVER, QUIET),
            ("set_target", NEVER, QUIET),
            ("set_priority", NEVER, QUIET),
            ("set_lens", NEVER, QUIET),
            ("set_body", NEVER, QUIET),
            ("set_aim", NEVER, QUIET),
            ("set_noise", NEVER, QUIET),
            ("add_extension", NEVER, QUIET),
            ("remove_extension", NEVER, QUIET),
            ("set_blend", NEVER, QUIET),
            ("force_camera", NEVER, QUIET),
            ("release_override", NEVER, QUIET),
            ("list_cameras", SAFE, QUIET),
            ("screenshot", NEVER, QUIET),
            ("screenshot_multiview", NEVER, QUIET),
        ],
    ),
    (
        "manage_graphics",
        &[
            ("ping", SAFE, QUIET),
            ("volume_create", NEVER, QUIET),
            ("volume_add_effect", NEVER, QUIET),
            ("volume_set_effect", NEVER, QUIET),
            ("volume_remove_effect", NEVER, QUIET),
            ("volume_get_info", SAFE, QUIET),
            ("volume_set_properties", NEVER, QUIET),
            ("volume_list_effects", SAFE, QUIET),
            ("volume_create_profile", NEVER, QUIET),
            ("bake_start", NEVER, QUIET),
            ("bake_cancel", NEVER, QUIET),
            ("bake_status", SAFE, QUIET),
            ("bake_clear", NEVER, QUIET),
            ("bake_reflection_probe", NEVER, QUIET),
            ("bake_get_settings", SAFE, QUIET),
            ("bake_set_settings", NEVER, QUIET),
            ("bake_create_light_probe_group", NEVER, QUIET),
            ("bake_create_reflection_probe", NEVER, QUIET),
            ("bake_set_probe_positions", NEVER, QUIET),
            ("stats_get", SAFE, QUIET),
            ("stats_list_counters", SAFE, QUIET),
            ("stats_set_scene_debug", NEVER, QUIET),
            ("stats_get_memory", SAFE, QUIET),
            ("pipeline_get_info", SAFE, QUIET),
            ("pipeline_set_quality", NEVER, QUIET),
            ("pipeline_get_settings", SAFE, QUIET),
            ("pipeline_set_settings", NEVER, QUIET),
            ("feature_list", SAFE, QUIET),
            ("feature_add", NEVER, QUIET),
            ("feature_remove", NEVER, QUIET),
            ("feature_configure", NEVER, QUIET),
            ("feature_toggle", NEVER, QUIET),
            ("feature_reorder", NEVER, QUIET),
            ("skybox_get", SAFE, QUIET),
            ("skybox_set_material", NEVER, QUIET),
            ("skybox_set_properties", NEVER, QUIET),
            ("skybox_set_ambient", NEVER, QUIET),
            ("skybox_set_fog", NEVER, QUIET),
            ("skybox_set_reflection", NEVER, QUIET),
            ("skybox_set_sun", NEVER, QUIET),
        ],
    ),
    (
        "manage_material",
        &[
            ("ping", SAFE, QUIET),
            ("create", NEVER, QUIET),
            ("set_material_shader_property", NEVER, QUIET),
            ("set_material_color", NEVER, QUIET),
            ("assign_material_to_renderer", NEVER, QUIET),
            ("set_renderer_color", NEVER, QUIET),
            ("get_material_info", SAFE, QUIET),
        ],
    ),
    (
        "manage_packages",
        &[
            ("list_packages", SAFE, QUIET),
            ("search_packages", SAFE, QUIET),
            ("get_package_info", SAFE, QUIET),
            ("ping", SAFE, QUIET),
            ("status", SAFE, QUIET),
            ("add_package", NEVER, RELOADS),
            ("remove_package", NEVER, RELOADS),
            ("embed_package", NEVER, RELOADS),
            ("resolve_packages", NEVER, RELOADS),
            ("add_registry", NEVER, RELOADS),
            ("remove_registry", NEVER, RELOADS),
            ("list_registries", SAFE, QUIET),
        ],
    ),
    (
        "manage_physics",
        &[
            ("ping", SAFE, QUIET),
            ("get_settings", SAFE, QUIET),
            ("set_settings", NEVER, QUIET),
            ("get_collision_matrix", SAFE, QUIET),
            ("set_collision_matrix", NEVER, QUIET),
            ("create_physics_material", NEVER, QUIET),
            ("configure_physics_material", NEVER, QUIET),
            ("assign_physics_material", NEVER, QUIET),
            ("add_joint", NEVER, QUIET),
            ("configure_joint", NEVER, QUIET),
            ("remove_joint", NEVER, QUIET),
            ("raycast", SAFE, QUIET),
            ("raycast_all", SAFE, QUIET),
            ("linecast", SAFE, QUIET),
            ("shapecast", SAFE, QUIET),
            ("overlap", SAFE, QUIET),
            ("validate", SAFE, QUIET),
            ("simulate_step", NEVER, QUIET),
            ("apply_force", NEVER, QUIET),
            ("get_rigidbody", SAFE, QUIET),
            ("configure_rigidbody", NEVER, QUIET),
        ],
    ),
    (
        "manage_prefabs",
        &[
            ("create_from_gameobject", NEVER, QUIET),
            ("get_info", SAFE, QUIET),
            ("get_hierarchy", SAFE, QUIET),
            ("modify_contents", NEVER, QUIET),
            ("open_prefab_stage", NEVER, QUIET),
            ("save_prefab_stage", NEVER, QUIET),
            ("close_prefab_stage", NEVER, QUIET),
        ],
    ),
    (
        "manage_animation",
        &[
            ("animator_get_info", SAFE, QUIET),
            ("animator_get_parameter", SAFE, QUIET),
            ("animator_play", NEVER, QUIET),
            ("animator_crossfade", NEVER, QUIET),
            ("animator_set_parameter", NEVER, QUIET),
            ("animator_set_speed", NEVER, QUIET),
            ("animator_set_enabled", NEVER, QUIET),
            ("controller_create", NEVER, QUIET),
            ("controller_add_state", NEVER, QUIET),
            ("controller_add_transition", NEVER, QUIET),
            ("controller_add_parameter", NEVER, QUIET),
            ("controller_get_info", SAFE, QUIET),
            ("controller_assign", NEVER, QUIET),
            ("controller_add_layer", NEVER, QUIET),
            ("controller_remove_layer", NEVER, QUIET),
            ("controller_set_layer_weight", NEVER, QUIET),
            ("controller_create_blend_tree_1d", NEVER, QUIET),
            ("controller_create_blend_tree_2d", NEVER, QUIET),
            ("controller_add_blend_tree_child", NEVER, QUIET),
            ("clip_create", NEVER, QUIET),
            ("clip_get_info", SAFE, QUIET),
            ("clip_add_curve", NEVER, QUIET),
            ("clip_set_curve", NEVER, QUIET),
            ("clip_set_vector_curve", NEVER, QUIET),
            ("clip_create_preset", NEVER, QUIET),
            ("clip_assign", NEVER, QUIET),
            ("clip_add_event", NEVER, QUIET),
            ("clip_remove_event", NEVER, QUIET),
        ],
    ),
    (
        "generate_model",
        &[
            ("generate", NEVER, QUIET),
            ("status", SAFE, QUIET),
            ("cancel", NEVER, QUIET),
            ("list_providers", SAFE, QUIET),
            ("list_models", SAFE, QUIET),
            ("refresh_models", NEVER, QUIET),
        ],
    ),
    (
        "generate_image",
        &[
            ("generate", NEVER, QUIET),
            ("remove_background", NEVER, QUIET),
            ("status", SAFE, QUIET),
            ("cancel", NEVER, QUIET),
            ("list_providers", SAFE, QUIET),
            ("list_models", SAFE, QUIET),
            ("refresh_models", NEVER, QUIET),
        ],
    ),
    (
        "generate_audio",
        &[
            ("generate", NEVER, QUIET),
            ("status", SAFE, QUIET),
            ("cancel", NEVER, QUIET),
            ("list_providers", SAFE, QUIET),
            ("list_models", SAFE, QUIET),
            ("refresh_models", NEVER, QUIET),
        ],
    ),
    (
        "import_model",
        &[
            ("search", SAFE, QUIET),
            ("preview", SAFE, QUIET),
            ("import", NEVER, QUIET),
            ("status", SAFE, QUIET),
            ("cancel", NEVER, QUIET),
            ("list_providers", SAFE, QUIET),
        ],
    ),
    ("import_model_file", &[("-", NEVER, QUIET)]),
    (
        "blender_bridge",
        &[
            ("status", SAFE, QUIET),
            ("scene_info", SAFE, QUIET),
            ("object_info", SAFE, QUIET),
            ("screenshot", NEVER, QUIET),
            ("run_python", NEVER, QUIET),
            ("import_model", NEVER, QUIET),
            ("compare_screenshot", NEVER, QUIET),
            ("setup_bloom", NEVER, QUIET),
            ("check_updates", NEVER, QUIET),
            ("sync_addon", NEVER, QUIET),
        ],
    ),
    (
        "unity_reflect",
        &[
            ("get_type", SAFE, QUIET),
            ("get_member", SAFE, QUIET),
            ("search", SAFE, QUIET),
        ],
    ),
    (
        "unity_docs",
        &[
            ("get_doc", SAFE, QUIET),
            ("get_manual", SAFE, QUIET),
            ("get_package_doc", SAFE, QUIET),
            ("lookup", SAFE, QUIET),
        ],
    ),
    (
        "manage_probuilder",
        &[
            ("ping", SAFE, QUIET),
            ("create_shape", NEVER, QUIET),
            ("create_poly_shape", NEVER, QUIET),
            ("extrude_faces", NEVER, QUIET),
            ("extrude_edges", NEVER, QUIET),
            ("bevel_edges", NEVER, QUIET),
            ("subdivide", NEVER, QUIET),
            ("delete_faces", NEVER, QUIET),
            ("bridge_edges", NEVER, QUIET),
            ("connect_elements", NEVER, QUIET),
            ("detach_faces", NEVER, QUIET),
            ("flip_normals", NEVER, QUIET),
            ("merge_faces", NEVER, QUIET),
            ("combine_meshes", NEVER, QUIET),
            ("merge_objects", NEVER, QUIET),
            ("duplicate_and_flip", NEVER, QUIET),
            ("create_polygon", NEVER, QUIET),
            ("merge_vertices", NEVER, QUIET),
            ("weld_vertices", NEVER, QUIET),
            ("split_vertices", NEVER, QUIET),
            ("move_vertices", NEVER, QUIET),
            ("insert_vertex", NEVER, QUIET),
            ("append_vertices_to_edge", NEVER, QUIET),
            ("select_faces", NEVER, QUIET),
            ("set_face_material", NEVER, QUIET),
            ("set_face_color", NEVER, QUIET),
            ("set_face_uvs", NEVER, QUIET),
            ("get_mesh_info", SAFE, QUIET),
            ("convert_to_probuilder", NEVER, QUIET),
            ("set_smoothing", NEVER, QUIET),
            ("auto_smooth", NEVER, QUIET),
            ("center_pivot", NEVER, QUIET),
            ("freeze_transform", NEVER, QUIET),
            ("set_pivot", NEVER, QUIET),
            ("validate_mesh", SAFE, QUIET),
            ("repair_mesh", NEVER, QUIET),
        ],
    ),
    (
        "manage_profiler",
        &[
            ("ping", SAFE, QUIET),
            ("profiler_start", NEVER, QUIET),
            ("profiler_stop", NEVER, QUIET),
            ("profiler_status", SAFE, QUIET),
            ("profiler_set_areas", NEVER, QUIET),
            ("get_frame_timing", SAFE, QUIET),
            ("get_counters", SAFE, QUIET),
            ("get_object_memory", SAFE, QUIET),
            ("memory_take_snapshot", NEVER, QUIET),
            ("memory_list_snapshots", SAFE, QUIET),
            ("memory_compare_snapshots", SAFE, QUIET),
            ("frame_debugger_enable", NEVER, QUIET),
            ("frame_debugger_disable", NEVER, QUIET),
            ("frame_debugger_get_events", SAFE, QUIET),
        ],
    ),
    (
        "execute_code",
        &[
            ("execute", NEVER, QUIET),
            ("get_history", SAFE, QUIET),
            ("replay", NEVER, QUIET),
            ("clear_history", NEVER, QUIET),
        ],
    ),
    (
        "manage_scriptable_object",
        &[("create", NEVER, QUIET), ("modify", NEVER, QUIET)],
    ),
    ("run_tests", &[("-", NEVER, RELOADS)]),
    ("get_test_job", &[("-", SAFE, QUIET)]),
    (
        "manage_ui",
        &[
            ("ping", SAFE, QUIET),
            ("create", NEVER, QUIET),
            ("read", SAFE, QUIET),
            ("update", NEVER, QUIET),
            ("delete", NEVER, QUIET),
            ("attach_ui_document", NEVER, QUIET),
            ("detach_ui_document", NEVER, QUIET),
            ("create_panel_settings", NEVER, QUIET),
            ("update_panel_settings", NEVER, QUIET),
            ("get_visual_tree", SAFE, QUIET),
            ("render_ui", NEVER, QUIET),
            ("link_stylesheet", NEVER, QUIET),
            ("list", SAFE, QUIET),
            ("modify_visual_element", NEVER, QUIET),
        ],
    ),
    (
        "manage_shader",
        &[
            ("create", NEVER, QUIET),
            ("read", SAFE, QUIET),
            ("update", NEVER, QUIET),
            ("delete", NEVER, QUIET),
        ],
    ),
    (
        "manage_texture",
        &[
            ("create", NEVER, QUIET),
            ("modify", NEVER, QUIET),
            ("delete", NEVER, QUIET),
            ("create_sprite", NEVER, QUIET),
            ("apply_pattern", NEVER, QUIET),
            ("apply_gradient", NEVER, QUIET),
            ("apply_noise", NEVER, QUIET),
            ("set_import_settings", NEVER, QUIET),
        ],
    ),
    (
        "manage_vfx",
        &[
            ("ping", SAFE, QUIET),
            ("particle_create", NEVER, QUIET),
            ("particle_get_info", SAFE, QUIET),
            ("particle_set_main", NEVER, QUIET),
            ("particle_set_emission", NEVER, QUIET),
            ("particle_set_shape", NEVER, QUIET),
            ("particle_set_color_over_lifetime", NEVER, QUIET),
            ("particle_set_size_over_lifetime", NEVER, QUIET),
            ("particle_set_velocity_over_lifetime", NEVER, QUIET),
            ("particle_set_noise", NEVER, QUIET),
            ("particle_set_renderer", NEVER, QUIET),
            ("particle_enable_module", NEVER, QUIET),
            ("particle_play", NEVER, QUIET),
            ("particle_stop", NEVER, QUIET),
            ("particle_pause", NEVER, QUIET),
            ("particle_restart", NEVER, QUIET),
            ("particle_clear", NEVER, QUIET),
            ("particle_add_burst", NEVER, QUIET),
            ("particle_clear_bursts", NEVER, QUIET),
            ("vfx_create_asset", NEVER, QUIET),
            ("vfx_assign_asset", NEVER, QUIET),
            ("vfx_list_templates", SAFE, QUIET),
            ("vfx_list_assets", SAFE, QUIET),
            ("vfx_get_info", SAFE, QUIET),
            ("vfx_set_float", NEVER, QUIET),
            ("vfx_set_int", NEVER, QUIET),
            ("vfx_set_bool", NEVER, QUIET),
            ("vfx_set_vector2", NEVER, QUIET),
            ("vfx_set_vector3", NEVER, QUIET),
            ("vfx_set_vector4", NEVER, QUIET),
            ("vfx_set_color", NEVER, QUIET),
            ("vfx_set_gradient", NEVER, QUIET),
            ("vfx_set_texture", NEVER, QUIET),
            ("vfx_set_mesh", NEVER, QUIET),
            ("vfx_set_curve", NEVER, QUIET),
            ("vfx_send_event", NEVER, QUIET),
            ("vfx_play", NEVER, QUIET),
            ("vfx_stop", NEVER, QUIET),
            ("vfx_pause", NEVER, QUIET),
            ("vfx_reinit", NEVER, QUIET),
            ("vfx_set_playback_speed", NEVER, QUIET),
            ("vfx_set_seed", NEVER, QUIET),
            ("line_get_info", SAFE, QUIET),
            ("line_set_positions", NEVER, QUIET),
            ("line_add_position", NEVER, QUIET),
            ("line_set_position", NEVER, QUIET),
            ("line_set_width", NEVER, QUIET),
            ("line_set_color", NEVER, QUIET),
            ("line_set_material", NEVER, QUIET),
            ("line_set_properties", NEVER, QUIET),
            ("line_clear", NEVER, QUIET),
            ("line_create_line", NEVER, QUIET),
            ("line_create_circle", NEVER, QUIET),
            ("line_create_arc", NEVER, QUIET),
            ("line_create_bezier", NEVER, QUIET),
            ("trail_get_info", SAFE, QUIET),
            ("trail_set_time", NEVER, QUIET),
            ("trail_set_width", NEVER, QUIET),
            ("trail_set_color", NEVER, QUIET),
            ("trail_set_material", NEVER, QUIET),
            ("trail_set_properties", NEVER, QUIET),
            ("trail_clear", NEVER, QUIET),
            ("trail_emit", NEVER, QUIET),
        ],
    ),
    ("set_active_instance", &[("-", NEVER, QUIET)]),
    ("get_operation", &[("-", SAFE, QUIET)]),
    ("manage_script_capabilities", &[("-", SAFE, QUIET)]),
    (
        "manage_tools",
        &[
            ("list_groups", NEVER, QUIET),
            ("activate", NEVER, QUIET),
            ("deactivate", NEVER, QUIET),
            ("sync", NEVER, QUIET),
            ("reset", NEVER, QUIET),
        ],
    ),
    ("debug_request_context", &[("-", SAFE, QUIET)]),
    ("execute_custom_tool", &[("-", NEVER, QUIET)]),
];
/// Action, may be sent again, reloads.
type Decision = (&'static str, bool, bool);
const SAFE: bool = true;
const NEVER: bool = false;
const RELOADS: bool = true;
const QUIET: bool = false;

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

/// What may take minutes, decided by hand: it has an hour, and is a task where the client takes tasks. `-` = every call.
const LONG: &[(&str, &[&str])] = &[
    ("batch_execute", &["-"]),
    ("blender_bridge", &["run_python", "import_model"]),
    ("execute_code", &["execute", "replay"]),
    ("execute_menu_item", &["-"]),
    ("generate_audio", &["generate"]),
    ("generate_image", &["generate", "remove_background"]),
    ("generate_model", &["generate"]),
    ("get_test_job", &["-"]),
    ("import_model", &["import"]),
    ("import_model_file", &["-"]),
    ("manage_asset", &["import"]),
    ("manage_build", &["build", "platform", "batch"]),
    ("manage_graphics", &["bake_start", "bake_reflection_probe"]),
    (
        "manage_packages",
        &[
            "add_package",
            "remove_package",
            "embed_package",
            "resolve_packages",
        ],
    ),
    ("manage_profiler", &["memory_take_snapshot"]),
    ("refresh_unity", &["-"]),
    ("run_tests", &["-"]),
];

#[test]
fn every_long_call_is_decided_and_has_an_hour() {
    let mut long: Vec<(&str, Vec<&str>)> = tools()
        .iter()
        .filter_map(|tool| {
            let named = tool.long.actions().iter().map(String::as_str);
            let every = tool.is_long(None).then_some("-");
            let actions: Vec<&str> = every.into_iter().chain(named).collect();
            (!actions.is_empty()).then_some((&*tool.name, actions))
        })
        .collect();
    long.sort_unstable();
    let decided: Vec<_> = LONG.iter().map(|(name, of)| (*name, of.to_vec())).collect();
    assert_eq!(long, decided);
    let build = Catalogue::builtin()
        .tool("manage_build")
        .expect("it is there");
    for (action, seconds) in [("build", 3_600), ("status", 30)] {
        let arguments = json!({"action": action}).as_object().cloned();
        let call = build
            .prepare(arguments.expect("an object"))
            .expect("it fits");
        assert_eq!(
            (call.timeout.as_secs(), call.long),
            (seconds, seconds > 30),
            "{action}"
        );
    }
}

#[test]
fn an_unknown_action_is_never_safe() {
    for tool in tools().iter().filter(|tool| tool.replay == Replay::Never) {
        assert!(!tool.is_replay_safe(Some("brand_new")), "{}", tool.name);
        assert!(!tool.is_replay_safe(None), "{}", tool.name);
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
        let file = json!({"group": tool["group"], "about": "What it is for.", "tools": [{
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
