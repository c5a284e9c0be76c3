//! What clients see of the tools while editors come, go, reload and bring tools of their own; and how such tools are called.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    missing_docs,
    reason = "tests wait and spawn"
)]

use examples::calls::{Budget, Caller};
use examples::server::UnityMcp;
use examples::server::offer::{self, Choices};
use examples::sim::{Editor, Options};
use mcp_transport_core::Outcome;
use rmcp::model::SubscriptionFilter;
use rmcp::service::Subscription;
use rmcp::{Peer, RoleClient, ServiceExt};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};
use tests_integration::ear::Ear;
use tests_integration::plugin::Plugin;
use tests_integration::raw::Session;
use tests_integration::{Answer, Client, Server, reload};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// Nothing that should happen takes longer.
const PATIENCE: Duration = Duration::from_secs(20);

const HOUR: Duration = Duration::from_secs(3_600);

/// One way in, and what is heard there.
enum Way {
    Session(&'static str, Ear),
    Modern(Client, Box<Subscription>),
}

impl Way {
    async fn over_http(server: &Server) -> Self {
        Self::Session("http", Ear::legacy_at(&server.url()).await)
    }

    /// As on the pipes of a client that has started the server.
    async fn over_pipes(server: &Server) -> Self {
        let (near, far) = tokio::io::duplex(64 * 1024);
        let calls = server.calls.clone();
        tokio::spawn(async move {
            let service = UnityMcp::on_link(calls, Some("stdio".to_owned()), Choices::default());
            let service = service.serve(far).await.unwrap();
            let _ = service.waiting().await;
        });
        Self::Session("stdio", Ear::legacy(near).await)
    }

    async fn modern(server: &Server) -> Self {
        let client = server.modern_client().await;
        let filter = SubscriptionFilter::builder().tools_list_changed().build();
        let subscription = client.peer().listen(filter.clone()).await.unwrap();
        assert_eq!(subscription.acknowledged(), &filter);
        Self::Modern(client, Box::new(subscription))
    }

    fn peer(&self) -> &Peer<RoleClient> {
        match self {
            Self::Session(_, ear) => ear.peer(),
            Self::Modern(client, _) => client.peer(),
        }
    }

    /// Waits until it hears of a change.
    async fn hears(&mut self) {
        match self {
            Self::Session(way, ear) => {
                let heard = timeout(PATIENCE, ear.hears()).await;
                heard.unwrap_or_else(|_| panic!("{way} hears of it"));
            }
            Self::Modern(_, subscription) => {
                let next = timeout(PATIENCE, subscription.next()).await;
                let next = next.expect("the listener hears of it").unwrap();
                assert!(next.is_some(), "{:?}", subscription.end());
            }
        }
    }

    async fn tools(&self) -> BTreeSet<String> {
        names(self.peer()).await
    }
}

async fn names(peer: &Peer<RoleClient>) -> BTreeSet<String> {
    let tools = timeout(PATIENCE, peer.list_all_tools()).await;
    let tools = tools.expect("a list waits for nobody").unwrap();
    tools.iter().map(|tool| tool.name.to_string()).collect()
}

fn own(name: &str) -> Value {
    json!({"name": name, "description": "Of the project.", "parameters": [
        {"name": "quality", "type": "integer", "required": false, "default_value": "3"},
        {"name": "scene", "type": "string", "required": true},
    ]})
}

fn polled(name: &str, seconds: f64) -> Value {
    json!({"name": name, "requires_polling": true, "sim": {"seconds": seconds, "data": {"lights": 3}}})
}

fn effects(editor: &Editor, what: &str) -> usize {
    let report = serde_json::to_value(editor.report()).unwrap();
    let effects = report["effects"].as_array().cloned().unwrap_or_default();
    effects
        .iter()
        .filter(|effect| effect["what"] == what)
        .count()
}

async fn until_listed(server: &Server, tool: &str) {
    let has =
        |one: &examples::hub::Instance| one.tools.as_ref().is_some_and(|tools| tools.has(tool));
    timeout(PATIENCE, server.until(has))
        .await
        .expect("it registers");
}

#[tokio::test]
async fn an_editor_that_comes_and_goes_with_other_tools_is_heard_of_on_every_way_in() {
    let server = Server::start(Budget::default());
    let mut ways = [
        Way::over_http(&server).await,
        Way::over_pipes(&server).await,
        Way::modern(&server).await,
    ];
    let all = ways[0].tools().await;
    assert!(all.contains("manage_vfx"));
    // It comes: what it has not registered is gone, what its project defines is there.
    let editor = server.editor(Options::default().tool(own("bake"))).await;
    for way in &mut ways {
        way.hears().await;
        let seen = way.tools().await;
        assert!(
            seen.contains("bake") && seen.contains("manage_scene"),
            "{seen:?}"
        );
        assert!(!seen.contains("manage_vfx"), "{seen:?}");
    }
    // It quits.
    editor.quit().await;
    for way in &mut ways {
        way.hears().await;
        assert_eq!(way.tools().await, all);
    }
    // It comes with others.
    let options = Options::default()
        .tool(own("paint"))
        .switched_off("read_console");
    let _editor = server.editor(options).await;
    for way in &mut ways {
        way.hears().await;
        let seen = way.tools().await;
        assert!(seen.contains("paint") && !seen.contains("bake"), "{seen:?}");
        assert!(!seen.contains("read_console"), "{seen:?}");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_listener_is_told_that_the_server_stops() {
    let server = Server::start(Budget::default());
    let Way::Modern(client, mut subscription) = Way::modern(&server).await else {
        unreachable!("it is a modern one");
    };
    server.stop().await;
    let next = timeout(PATIENCE, subscription.next()).await;
    assert!(!matches!(next.expect("it ends"), Ok(Some(_))));
    drop(client);
}

#[tokio::test]
async fn a_reload_changes_no_list_and_a_list_waits_for_no_editor() {
    let server = Server::start(Budget::default());
    let began = Instant::now();
    let client = server.client().await;
    let connected = began.elapsed();
    let began = Instant::now();
    let all = names(client.peer()).await;
    let listed = began.elapsed();
    // Less than 50 ms is what it should be, and what is printed; a test does not fail for a busy machine.
    println!(
        "tools/list without an editor: {} tools in {listed:?} (handshake {connected:?})",
        all.len()
    );
    assert!(listed < Duration::from_secs(1), "{listed:?}");
    let whole = offer::tools().iter().map(|tool| tool.name.to_string());
    assert_eq!(all, whole.collect());
    let mut way = Way::over_http(&server).await;
    let editor = server
        .editor(Options::default().away(HOUR).tool(own("bake")))
        .await;
    way.hears().await;
    let before = way.tools().await;
    reload(&editor).await;
    let began = Instant::now();
    assert_eq!(way.tools().await, before);
    println!("tools/list with an editor away: {:?}", began.elapsed());
    let Way::Session(_, mut ear) = way else {
        unreachable!("it is a session");
    };
    assert!(!ear.has_heard(), "nothing has changed");
    server.stop().await;
}

#[tokio::test]
async fn a_plugin_that_registers_again_is_heard_of_once_for_many_changes() {
    let server = Server::start(Budget::default());
    let mut way = Way::over_http(&server).await;
    let mut plugin = Plugin::dial(&server).await.registered("Game", "h").await;
    for number in 0..20 {
        let tools = json!([{"name": "manage_scene"}, {"name": format!("own_{number}")}]);
        plugin
            .say(&json!({"type": "register_tools", "tools": tools}))
            .await;
    }
    until_listed(&server, "own_19").await;
    way.hears().await;
    while !way.tools().await.contains("own_19") {
        way.hears().await;
    }
    server.stop().await;
}

#[tokio::test]
async fn a_session_switches_groups_for_itself_alone() {
    let server = Server::start(Budget::default());
    let (mut way, other) = (Way::over_http(&server).await, server.client().await);
    let call = |client: &Peer<RoleClient>, arguments: Value| {
        let mut params = rmcp::model::CallToolRequestParams::new("manage_tools");
        params.arguments = arguments.as_object().cloned();
        let client = client.clone();
        async move { Answer::of(&client.call_tool(params).await.unwrap()) }
    };
    let off = call(way.peer(), json!({"action": "deactivate", "group": "VFX"})).await;
    assert!(off.succeeded(), "{off:?}");
    assert_eq!(off.value["deactivated"], "vfx");
    way.hears().await;
    assert!(!way.tools().await.contains("manage_vfx"));
    assert!(names(other.peer()).await.contains("manage_vfx"));
    let groups = call(way.peer(), json!({"action": "list_groups"})).await;
    let vfx = groups.value["groups"].as_array().unwrap().iter();
    let vfx = vfx.clone().find(|group| group["name"] == "vfx").unwrap();
    assert_eq!(
        (&vfx["enabled"], &vfx["default_enabled"]),
        (&json!(false), &json!(true))
    );
    // Who calls it all the same hears what to do.
    let mut params = rmcp::model::CallToolRequestParams::new("manage_vfx");
    params.arguments = json!({"action": "ping"}).as_object().cloned();
    let hidden = Answer::of(&way.peer().call_tool(params).await.unwrap());
    assert_eq!(hidden.value["cause"], "group_deactivated", "{hidden:?}");
    assert!(
        hidden.text.contains("action=activate and group=vfx"),
        "{hidden:?}"
    );
    let on = call(way.peer(), json!({"action": "reset"})).await;
    assert!(on.succeeded(), "{on:?}");
    way.hears().await;
    assert!(way.tools().await.contains("manage_vfx"));
    for arguments in [
        json!({"action": "activate"}),
        json!({"action": "activate", "group": "vfz"}),
    ] {
        let refused = call(way.peer(), arguments).await;
        assert_eq!(refused.value["cause"], "invalid_arguments", "{refused:?}");
    }
    // Protocol 2026-07-28 has no session for which to switch.
    let modern = server.modern_client().await;
    let refused = modern
        .call(
            "manage_tools",
            json!({"action": "deactivate", "group": "vfx"}),
        )
        .await;
    assert_eq!(refused.value["cause"], "no_session", "{refused:?}");
    let listed = modern
        .call("manage_tools", json!({"action": "list_groups"}))
        .await;
    assert!(listed.succeeded(), "{listed:?}");
    server.stop().await;
}

#[tokio::test]
async fn a_tool_that_is_off_in_the_editor_is_refused_with_the_switch_that_turns_it_on() {
    let server = Server::start(Budget::default());
    let editor = server
        .editor(Options::default().switched_off("manage_scene"))
        .await;
    until_listed(&server, "manage_gameobject").await;
    let client = server.client().await;
    let answer = client
        .call("manage_scene", json!({"action": "get_hierarchy"}))
        .await;
    assert_eq!(answer.value["cause"], "tool_switched_off", "{answer:?}");
    assert!(answer.text.contains("MCP for Unity"), "{answer:?}");
    assert_eq!(editor.report().executed, 0);
    server.stop().await;
}

#[tokio::test]
async fn a_projects_own_tool_is_checked_and_called_by_either_name_once() {
    let server = Server::start(Budget::default());
    let editor = server.editor(Options::default().tool(own("bake"))).await;
    until_listed(&server, "bake").await;
    let client = server.client().await;
    let answer = client
        .call("bake", json!({"scene": "A", "quality": "5"}))
        .await;
    assert!(answer.succeeded(), "{answer:?}");
    let arguments = json!({"tool_name": "bake", "parameters": {"scene": "A"}});
    let answer = client.call("execute_custom_tool", arguments).await;
    assert!(answer.succeeded(), "{answer:?}");
    assert_eq!(effects(&editor, "tool_ran"), 2);
    for (tool, arguments, part) in [
        ("bake", json!({"quality": 1}), "`scene`"),
        (
            "bake",
            json!({"scene": "A", "quality": "high"}),
            "a whole number",
        ),
        (
            "execute_custom_tool",
            json!({"tool_name": "bake", "parameters": {}}),
            "`scene`",
        ),
        (
            "execute_custom_tool",
            json!({"tool_name": "burn"}),
            "offers no tool \"burn\"",
        ),
        (
            "execute_custom_tool",
            json!({"tool_name": "manage_scene"}),
            "by its own name",
        ),
    ] {
        let answer = client.call(tool, arguments).await;
        assert_eq!(answer.outcome(), Some("not_delivered"), "{answer:?}");
        assert!(answer.text.contains(part), "{part} not in {answer:?}");
    }
    assert_eq!(effects(&editor, "tool_ran"), 2);
    let read = rmcp::model::ReadResourceRequestParams::new("mcpforunity://custom-tools");
    let read = client.peer().read_resource(read).await.unwrap();
    let read = serde_json::to_string(&read).unwrap();
    assert!(
        read.contains("bake") && !read.contains("manage_scene"),
        "{read}"
    );
    server.stop().await;
}

#[tokio::test]
async fn a_projects_own_tool_waits_for_its_editor_as_every_other_tool_does() {
    let execute = json!({"tool_name": "bake", "parameters": {"scene": "A"}});
    for (tool, arguments) in [
        ("bake", json!({"scene": "A"})),
        ("execute_custom_tool", execute),
    ] {
        let server = Server::start(Budget::default());
        let client = server.client().await;
        let comes = async {
            while !server.calls.is_busy() {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            server.editor(Options::default().tool(own("bake"))).await
        };
        let both = async { tokio::join!(client.try_call(tool, arguments), comes) };
        let (answer, editor) = timeout(PATIENCE, both).await.expect("it waits");
        let answer = Answer::of(&answer.expect("no error of the protocol"));
        assert!(answer.succeeded(), "{answer:?}");
        assert_eq!(effects(&editor, "tool_ran"), 1);
        server.stop().await;
    }
}

#[tokio::test]
async fn a_name_that_is_nobodys_is_refused_at_once_whoever_is_meant() {
    let server = Server::start(Budget::default());
    let mut editors = Vec::new();
    for (name, tool) in [("A", "bake"), ("B", "paint")] {
        let options = Options::default().project(name, format!("/{name}"));
        editors.push(server.editor(options.tool(own(tool))).await);
        until_listed(&server, tool).await;
    }
    reload(&editors[0]).await;
    let client = server.client().await;
    let answer = client.try_call("baek", json!({})).await;
    let text = answer.unwrap_err().to_string();
    assert!(text.contains("There is no tool \"baek\""), "{text}");
    let executed: u64 = editors.iter().map(|one| one.report().executed).sum();
    assert_eq!(executed, 0, "nobody was asked");
    server.stop().await;
}

#[tokio::test]
async fn a_projects_own_tool_that_waits_for_an_editor_when_the_server_stops_was_not_delivered() {
    let server = Server::start(Budget::default());
    let client = server.client().await;
    let stop = async {
        while !server.calls.is_busy() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        server.calls.stop().await;
    };
    let both = async { tokio::join!(client.call("bake", json!({"scene": "A"})), stop) };
    let (answer, ()) = timeout(PATIENCE, both).await.expect("no call hangs");
    assert_eq!(answer.outcome(), Some("not_delivered"), "{answer:?}");
    assert_eq!(answer.value["cause"], "shutting_down", "{answer:?}");
    server.stop().await;
}

#[tokio::test]
async fn a_tool_of_another_project_is_refused_with_the_name_of_that_editor() {
    let server = Server::start(Budget::default());
    let mut editors = Vec::new();
    for (name, tool) in [("A", "bake"), ("B", "paint")] {
        let options = Options::default().project(name, format!("/{name}"));
        editors.push(server.editor(options.tool(own(tool))).await);
        until_listed(&server, tool).await;
    }
    let client = server.client().await;
    let ids: Vec<String> = server.hub.snapshot().iter().map(|one| one.id()).collect();
    let id = |name: &str| ids.iter().find(|id| id.starts_with(name)).unwrap().clone();
    let call = |editor: &str| json!({"scene": "S", "unity_instance": id(editor)});
    assert!(client.call("bake", call("A")).await.succeeded());
    let answer = client.call("bake", call("B")).await;
    assert_eq!(answer.value["cause"], "no_such_tool", "{answer:?}");
    assert!(answer.text.contains(&id("A")), "{answer:?}");
    let answer = client.call("bake", json!({"scene": "S"})).await;
    assert!(
        answer.is_error && answer.text.contains(&id("B")),
        "{answer:?}"
    );
    // Who has chosen sees what it can call.
    let chosen = client
        .call("set_active_instance", json!({"instance": id("B")}))
        .await;
    assert!(chosen.succeeded());
    let seen = names(client.peer()).await;
    assert!(seen.contains("paint") && !seen.contains("bake"), "{seen:?}");
    server.stop().await;
}

#[tokio::test]
async fn a_polled_tool_outlives_a_reload_and_is_begun_once() {
    let server = Server::start(Budget::default());
    let options = Options::default().away(Duration::from_millis(500));
    let editor = server.editor(options.tool(polled("bake", 1.5))).await;
    until_listed(&server, "bake").await;
    let client = server.client().await;
    let call = client.call("bake", json!({}));
    let meanwhile = async {
        while effects(&editor, "job_begun") == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        reload(&editor).await;
    };
    let both = async { tokio::join!(call, meanwhile) };
    let (answer, ()) = timeout(PATIENCE, both).await.expect("no call hangs");
    assert!(answer.succeeded(), "{answer:?}");
    assert_eq!(answer.value["data"]["lights"], 3, "{answer:?}");
    assert_eq!(effects(&editor, "job_begun"), 1);
    server.stop().await;
}

#[tokio::test]
async fn a_polled_tool_that_is_given_up_after_it_began_is_not_said_to_be_undelivered() {
    let server = Server::start(Budget::default());
    let editor = server
        .editor(Options::default().tool(polled("bake", 60.0)))
        .await;
    until_listed(&server, "bake").await;
    let known = server.calls.choose(None).unwrap();
    let tools = known.tools.clone().unwrap();
    let tool = tools.custom().iter().find(|tool| tool.name() == "bake");
    let call = tool.unwrap().prepare(Map::new()).unwrap();
    let cancelled = CancellationToken::new();
    let caller = Caller::new(None, cancelled.clone(), None, None);
    let cancel = async {
        while effects(&editor, "job_begun") == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        // Its answer, that it has begun, is on the way, or was here.
        tokio::time::sleep(Duration::from_millis(50)).await;
        cancelled.cancel();
    };
    let both = async { tokio::join!(server.calls.run_custom(&caller, &known.hash, &call), cancel) };
    let (ended, ()) = timeout(PATIENCE, both).await.expect("no call hangs");
    let ending = ended.unwrap_err();
    assert_eq!(ending.outcome, Outcome::Running, "{ending:?}");
    assert_eq!(effects(&editor, "job_begun"), 1);
    server.stop().await;
}

#[tokio::test]
async fn a_client_whose_patience_ends_first_fetches_the_result_by_the_operations_id() {
    let budget = Budget::new(HOUR, Some(Duration::from_millis(300)));
    let server = Server::start(budget);
    let editor = server
        .editor(Options::default().tool(polled("bake", 1.0)))
        .await;
    until_listed(&server, "bake").await;
    let session = Session::begin(server.port).await;
    let answer = session.call("bake", json!({})).await;
    assert_eq!(answer.outcome(), Some("running"), "{answer:?}");
    let id = json!({"operation_id": answer.value["operation_id"]});
    let stranger = Session::begin(server.port).await;
    let told = stranger.call("get_operation", id.clone()).await;
    assert_eq!(told.value["cause"], "unknown_operation", "{told:?}");
    let result = async {
        loop {
            let answer = session.call("get_operation", id.clone()).await;
            if answer.outcome() != Some("running") {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let result = timeout(PATIENCE, result)
        .await
        .expect("it is done some time");
    assert!(result.succeeded(), "{result:?}");
    assert_eq!(result.value["data"]["data"]["lights"], 3, "{result:?}");
    assert_eq!(effects(&editor, "job_begun"), 1);
    server.stop().await;
}

#[tokio::test]
async fn a_server_is_busy_until_what_its_clients_were_told_to_ask_for_later_is_over() {
    let server = Server::start(Budget::new(HOUR, Some(Duration::from_millis(200))));
    let options = Options::default().tool(polled("bake", 1.0));
    let slow = options.latency_for("execute_menu_item", Duration::from_secs(1));
    let _editor = server.editor(slow).await;
    until_listed(&server, "bake").await;
    let session = Session::begin(server.port).await;
    for (tool, arguments) in [
        ("bake", json!({})),
        ("execute_menu_item", json!({"menu_path": "File/Save"})),
    ] {
        let answer = session.call(tool, arguments).await;
        assert_eq!(answer.outcome(), Some("running"), "{answer:?}");
        let id = json!({"operation_id": answer.value["operation_id"]});
        let over = async {
            loop {
                let was_busy = server.calls.is_busy();
                let answer = session.call("get_operation", id.clone()).await;
                if answer.outcome() != Some("running") {
                    break answer;
                }
                assert!(was_busy, "{tool} is under way");
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let answer = timeout(PATIENCE, over).await.expect("it ends some time");
        assert!(answer.succeeded(), "{answer:?}");
        let idle = async {
            while server.calls.is_busy() {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        timeout(PATIENCE, idle).await.expect("nothing is under way");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_editor_that_listens_says_what_it_has_once_it_is_called_and_is_not_dialled_for_that() {
    for options in [Options::default(), Options::default().installed_rule()] {
        let server = Server::dialling(Budget::default());
        let editor = server.editor(options.tool(own("bake"))).await;
        let mut way = Way::over_http(&server).await;
        assert!(way.tools().await.contains("manage_vfx"));
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert_eq!(editor.clients(), 0, "nobody needs it");
        let mut params = rmcp::model::CallToolRequestParams::new("manage_scene");
        params.arguments = json!({"action": "get_hierarchy"}).as_object().cloned();
        let called = way.peer().call_tool(params).await.unwrap();
        assert!(Answer::of(&called).succeeded());
        way.hears().await;
        let seen = way.tools().await;
        assert!(
            seen.contains("bake") && !seen.contains("manage_vfx"),
            "{seen:?}"
        );
        assert_eq!(editor.clients(), 1);
        server.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_that_finds_an_editor_standing_still_over_our_own_question_is_sent_when_it_goes_on()
 {
    let server = Server::dialling(Budget::default());
    let editor = server.editor(Options::default()).await;
    let client = server.client().await;
    let create = |name: &str| {
        client.call(
            "manage_gameobject",
            json!({"action": "create", "name": name}),
        )
    };
    assert!(create("First").await.succeeded());
    editor.freeze(true);
    // The question goes out, and is not answered.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let meanwhile = async {
        // Longer than a command waits for that.
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        assert!(!editor.report().objects_created.contains_key("Second"));
        editor.freeze(false);
    };
    let both = async { tokio::join!(create("Second"), meanwhile) };
    let (answer, ()) = timeout(PATIENCE, both).await.expect("no call hangs");
    assert!(answer.succeeded(), "{answer:?}");
    assert_eq!(editor.report().objects_created["Second"], 1);
    until_listed(&server, "manage_scene").await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_editor_is_asked_what_it_has_when_somebody_wants_to_know() {
    for server in [
        Server::start(Budget::default()),
        Server::dialling(Budget::default()),
    ] {
        let client = server.client().await;
        let none = client.call("manage_tools", json!({"action": "sync"})).await;
        assert_eq!(none.value["cause"], "no_editor", "{none:?}");
        let options = Options::default()
            .tool(own("bake"))
            .switched_off("read_console");
        let _editor = server.editor(options).await;
        let synced = client.call("manage_tools", json!({"action": "sync"})).await;
        assert!(synced.succeeded(), "{synced:?}");
        assert_eq!(
            synced.value["enabled_groups"],
            json!(["core", "testing"]),
            "{synced:?}"
        );
        let (on, all) = (
            &synced.value["enabled_tool_count"],
            &synced.value["total_tool_count"],
        );
        assert_eq!(
            on.as_u64().unwrap() + 1,
            all.as_u64().unwrap(),
            "{synced:?}"
        );
        let seen = names(client.peer()).await;
        assert!(
            seen.contains("bake") && !seen.contains("read_console"),
            "{seen:?}"
        );
        server.stop().await;
    }
}
