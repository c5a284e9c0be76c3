//! What a client sees of the tools, by what its editors have registered and by what its session has switched off.
#![allow(
    clippy::disallowed_methods,
    missing_docs,
    reason = "a test may read the clock"
)]

use examples::catalogue::{Catalogue, Toolset};
use examples::hub::{Config, Instance, Said, State};
use examples::server::offer::{self, Choices, Hidden, Known, Offer, visible};
use mcp_transport_core::{ErrorKind, Message};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::Instant;

/// A hub with editors that have registered these tools; `None` has said nothing yet.
struct Rig {
    state: State,
    sockets: Vec<examples::hub::SocketId>,
    now: Instant,
}

impl Rig {
    fn with(editors: &[Option<Value>]) -> Self {
        let mut rig = Self {
            state: State::new(Config::default(), 7),
            sockets: Vec::new(),
            now: Instant::now(),
        };
        for (number, tools) in editors.iter().enumerate() {
            let socket = rig.state.open(rig.now).expect("room");
            rig.sockets.push(socket);
            let register = json!({"type": "register", "project_hash": format!("h{number}")});
            rig.say(number, &register);
            if let Some(tools) = tools {
                rig.say(number, &json!({"type": "register_tools", "tools": tools}));
            }
        }
        rig
    }

    fn say(&mut self, editor: usize, what: &Value) {
        let said = Said::read(&Message::from(what.to_string()));
        self.state.receive(self.now, self.sockets[editor], said);
    }

    fn gone(&mut self, editor: usize, why: ErrorKind) {
        self.state.gone(self.now, self.sockets[editor], why, &[]);
    }

    fn instances(&self) -> Vec<Instance> {
        self.state.instances()
    }

    fn sees(&self, choices: &Choices) -> BTreeSet<String> {
        let known = Known::of(&self.instances(), choices.active.as_deref());
        let offer = Offer::of(&known, choices);
        offer.names().map(str::to_owned).collect()
    }
}

fn named(names: &[&str]) -> Value {
    names.iter().map(|name| json!({"name": name})).collect()
}

fn everything() -> BTreeSet<String> {
    let tools = offer::tools().iter();
    tools.map(|tool| tool.name.to_string()).collect()
}

fn chosen(hash: &str) -> Choices {
    let mut choices = Choices::default();
    choices.active = Some(hash.to_owned());
    choices
}

fn without(group: &str) -> Choices {
    let mut choices = Choices::default();
    choices.off.insert(group.to_owned());
    choices
}

const SERVERS_OWN: &[&str] = &[
    "execute_custom_tool",
    "get_operation",
    "manage_script_capabilities",
    "manage_tools",
    "set_active_instance",
];

#[test]
fn without_an_editor_or_with_one_that_has_said_nothing_everything_is_listed() {
    assert_eq!(Rig::with(&[]).sees(&Choices::default()), everything());
    assert_eq!(Rig::with(&[None]).sees(&Choices::default()), everything());
}

#[test]
fn what_an_editor_has_not_registered_is_hidden_and_the_servers_own_tools_stay() {
    let rig = Rig::with(&[Some(named(&["manage_scene", "manage_script"]))]);
    let seen = rig.sees(&Choices::default());
    let has = |name: &str| seen.contains(name);
    assert!(has("manage_scene") && !has("manage_gameobject") && !has("manage_vfx"));
    // Those that are the same command by another name follow it.
    assert!(has("create_script") && has("script_apply_edits") && has("find_in_file"));
    assert!(SERVERS_OWN.iter().all(|name| has(name)), "{seen:?}");
    // An editor that has switched everything off has said so.
    let seen = Rig::with(&[Some(json!([]))]).sees(&Choices::default());
    assert!(SERVERS_OWN.iter().all(|name| seen.contains(*name)));
    assert!(!seen.contains("manage_scene"));
}

#[test]
fn a_tool_without_a_command_follows_its_group() {
    let docs = Catalogue::builtin().tool("unity_docs").expect("declared");
    for (registered, seen) in [
        ("unity_reflect", Ok(())),
        ("manage_scene", Err(Hidden::ByEditor)),
    ] {
        let rig = Rig::with(&[Some(named(&[registered]))]);
        let known = Known::of(&rig.instances(), None);
        assert_eq!(
            visible(docs, &known, &Choices::default()),
            seen,
            "{registered}"
        );
    }
}

#[test]
fn several_editors_without_a_choice_give_the_union_and_a_choice_gives_that_ones() {
    let rig = Rig::with(&[
        Some(named(&["manage_scene", "bake_a"])),
        Some(named(&["manage_vfx", "bake_b"])),
    ]);
    let seen = rig.sees(&Choices::default());
    for name in ["manage_scene", "manage_vfx", "bake_a", "bake_b"] {
        assert!(seen.contains(name), "{name}");
    }
    assert!(!seen.contains("manage_ui"));
    let seen = rig.sees(&chosen("h1"));
    assert!(seen.contains("manage_vfx") && seen.contains("bake_b"));
    assert!(!seen.contains("manage_scene") && !seen.contains("bake_a"));
}

#[test]
fn an_editor_that_is_away_keeps_its_tools_until_it_registers_again_or_quits() {
    let mut rig = Rig::with(&[Some(named(&["manage_scene", "bake"]))]);
    let before = rig.sees(&Choices::default());
    rig.gone(0, ErrorKind::Disconnected);
    assert_eq!(rig.sees(&Choices::default()), before);
    let socket = rig.state.open(rig.now).expect("room");
    rig.sockets.push(socket);
    rig.say(1, &json!({"type": "register", "project_hash": "h0"}));
    assert_eq!(rig.sees(&Choices::default()), before);
    rig.say(
        1,
        &json!({"type": "register_tools", "tools": named(&["manage_scene"])}),
    );
    let after = rig.sees(&Choices::default());
    assert!(after.contains("manage_scene") && !after.contains("bake"));
    let quit = ErrorKind::Evicted(mcp_transport_core::EvictionReason::ShuttingDown);
    rig.gone(1, quit);
    assert_eq!(rig.sees(&Choices::default()), everything());
}

#[test]
fn a_group_that_the_session_has_switched_off_is_hidden_whatever_the_editor_has() {
    let vfx = Catalogue::builtin().tool("manage_vfx").expect("declared");
    for rig in [Rig::with(&[]), Rig::with(&[Some(named(&["manage_vfx"]))])] {
        assert!(rig.sees(&Choices::default()).contains("manage_vfx"));
        assert!(!rig.sees(&without("vfx")).contains("manage_vfx"));
        let known = Known::of(&rig.instances(), None);
        assert_eq!(visible(vfx, &known, &without("vfx")), Err(Hidden::ByGroup));
    }
}

#[test]
fn every_group_of_the_catalogue_has_tools_and_says_what_it_is_for() {
    let groups = Catalogue::builtin().groups();
    assert_eq!(groups.len(), 10);
    for group in groups {
        assert!(Catalogue::builtin().tools_of(&group.name).count() > 0);
        assert!(!group.about.is_empty());
    }
}

#[test]
fn a_projects_own_tool_is_listed_with_its_schema_and_description() {
    let bake = json!({"name": "bake_lights", "description": "Bakes the lights.", "parameters": [
        {"name": "quality", "type": "integer", "required": false, "default_value": "3", "description": "1 to 5"},
        {"name": "scene", "type": "string", "required": true, "description": "Its path"},
    ]});
    let rig = Rig::with(&[Some(json!([bake]))]);
    let known = Known::of(&rig.instances(), None);
    let listed = Offer::of(&known, &Choices::default()).listed();
    let listed = listed.iter().find(|tool| tool.name == "bake_lights");
    let listed = serde_json::to_value(listed.expect("it is listed")).expect("JSON");
    assert_eq!(listed["description"], "Bakes the lights.");
    let schema = &listed["inputSchema"];
    assert_eq!(schema["required"], json!(["scene"]));
    assert_eq!(
        schema["properties"]["quality"],
        json!({"type": ["integer", "null"], "default": 3, "description": "1 to 5"})
    );
    assert_eq!(schema["properties"]["unity_instance"]["type"], "string");
    assert_eq!(schema["additionalProperties"], false);
}

#[test]
fn the_listing_of_a_filtered_offer_is_in_the_order_of_its_names() {
    let names = ["manage_scene", "manage_vfx", "read_console", "mine"];
    let rig = Rig::with(&[Some(named(&names))]);
    let offer = Offer::of(&Known::of(&rig.instances(), None), &Choices::default());
    let listed = offer.listed();
    let listed: Vec<&str> = listed.iter().map(|tool| &*tool.name).collect();
    assert_eq!(listed, offer.names().collect::<Vec<_>>());
}

proptest! {
    /// The Python server loses a tool whose required parameters stand behind optional ones, and all tools behind it.
    #[test]
    fn whatever_the_order_of_required_and_optional_parameters_no_tool_is_lost(
        tools in prop::collection::vec(prop::collection::vec(any::<bool>(), 0..8), 1..8),
    ) {
        let tools: Vec<String> = tools.iter().enumerate().map(|(at, required)| {
            let parameters: Vec<Value> = required.iter().enumerate().map(|(at, required)| {
                json!({"name": format!("p{at}"), "type": "string", "required": required})
            }).collect();
            json!({"name": format!("tool_{at}"), "parameters": parameters}).to_string()
        }).collect();
        let set = Toolset::read(&tools);
        prop_assert_eq!(set.custom().len(), tools.len());
        prop_assert_eq!(set.skipped(), (&[][..], 0));
    }
}
