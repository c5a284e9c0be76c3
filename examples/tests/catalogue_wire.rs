//! What is known of a command that did not come by a tool.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

use examples::catalogue::{Catalogue, Source};
use serde_json::{Value, json};

fn reads(command: &str, params: &Value) -> bool {
    Catalogue::builtin().is_known_to_read(command, params)
}

#[test]
fn a_command_reads_only_where_every_entry_that_can_send_it_says_so() {
    for (command, params) in [
        ("ping", json!({})),
        ("get_tool_states", json!({})),
        ("get_editor_state", json!({})),
        ("find_gameobjects", json!({"searchTerm": "x"})),
        ("manage_scene", json!({"action": "get_hierarchy"})),
        ("manage_script", json!({"action": "read", "name": "A"})),
        ("manage_script", json!({"action": "validate"})),
        ("manage_script", json!({"action": "get_sha"})),
    ] {
        assert!(reads(command, &params), "{command} {params}");
    }
    for (command, params) in [
        ("manage_scene", json!({"action": "save"})),
        ("manage_scene", json!({"action": "GET_HIERARCHY"})),
        ("manage_scene", json!({})),
        ("manage_scene", json!({"action": ["get_hierarchy"]})),
        ("manage_script", json!({"action": "delete"})),
        ("manage_script", json!({"action": "apply_text_edits"})),
        ("manage_script", json!({"action": "unheard_of"})),
        ("execute_code", json!({"action": "execute"})),
        ("execute_menu_item", json!({"menu_path": "File/Save"})),
        ("batch_execute", json!({"commands": []})),
        ("refresh_unity", json!({})),
        ("a_custom_tool", json!({"action": "status"})),
        ("", json!({})),
        ("ping", Value::Null),
    ] {
        assert_eq!(
            reads(command, &params),
            command == "ping",
            "{command} {params}"
        );
    }
}

#[test]
fn whatever_a_tool_may_repeat_may_be_repeated_as_a_command_and_nothing_else() {
    for tool in Catalogue::builtin().tools() {
        for action in tool.actions() {
            let Some(command) = tool.command_for(Some(action)) else {
                continue;
            };
            let params = json!({"action": action});
            let safe = tool.is_replay_safe(Some(action));
            assert_eq!(reads(command, &params), safe, "{command} {action}");
        }
    }
    for resource in Catalogue::builtin().resources() {
        if let Source::Command(command) = &resource.source {
            let is_tools = Catalogue::builtin()
                .tools()
                .iter()
                .any(|tool| tool.command.as_ref() == Some(command));
            assert_eq!(reads(command, &json!({})), !is_tools, "{command}");
        }
    }
}
