//! What an editor's state means: for whoever reads it, for calls that wait, for refreshes.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    missing_docs,
    reason = "tests"
)]

use examples::catalogue::envelope::normalise;
use examples::catalogue::{Call, Catalogue, Reply};
use examples::logic::editor_state::{Absence, Beside, absent, present};
use examples::logic::external::{Watch, is_within};
use examples::logic::preflight::{Connection, FRESH, Gate, Memory, judge, wanted};
use examples::logic::readiness::{Busy, busy_with};
use examples::logic::refresh;
use examples::sim::world::{Command, Project, World};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const NOW: i64 = 1_000_000;

/// The simulated editor's own state, with this changed.
fn state(changes: Value) -> Reply {
    let mut world = World::new(Project::default(), 0);
    let mut answer = world
        .execute(NOW as u64, Command::new("get_editor_state", &json!({})))
        .answer;
    for (pointer, value) in changes.as_object().unwrap() {
        *answer
            .pointer_mut(&format!("/result/data{pointer}"))
            .unwrap() = value.clone();
    }
    normalise(&answer)
}

fn beside() -> Beside {
    Beside::of("Sim@123", Watch::default().shown())
}

fn shown(changes: Value) -> Value {
    present(&state(changes), NOW + 100, &beside())
}

fn call(tool: &str, args: Value) -> Call {
    let tool = Catalogue::builtin().tool(tool).unwrap();
    tool.prepare(args.as_object().cloned().unwrap()).unwrap()
}

#[test]
fn an_idle_editor_is_ready_and_says_so_as_in_the_python_server() {
    let state = shown(json!({}));
    assert_eq!(
        (&state["success"], &state["message"]),
        (&json!(true), &json!("Retrieved editor state."))
    );
    let data = &state["data"];
    assert_eq!(
        data["advice"],
        json!({"ready_for_tools": true, "blocking_reasons": [], "recommended_retry_after_ms": 0, "recommended_next_action": "none"})
    );
    assert_eq!(data["staleness"], json!({"age_ms": 100, "is_stale": false}));
    assert_eq!(data["unity"]["instance_id"], "Sim@123");
    assert_eq!(data["assets"]["external_changes_dirty"], false);
    let names: Vec<&String> = data.as_object().unwrap().keys().collect();
    for name in [
        "schema_version",
        "observed_at_unix_ms",
        "sequence",
        "unity",
        "editor",
        "activity",
        "compilation",
        "assets",
        "tests",
        "transport",
        "settings",
    ] {
        assert!(names.iter().any(|known| *known == name), "{name}");
    }
    assert_eq!(
        data["assets"]["external_changes_dirty_since_unix_ms"],
        json!(null)
    );
}

#[test]
fn each_reason_blocks_by_its_own_word() {
    for (pointer, word) in [
        ("/compilation/is_compiling", "compiling"),
        ("/compilation/is_domain_reload_pending", "domain_reload"),
        ("/tests/is_running", "running_tests"),
        ("/assets/refresh/is_refresh_in_progress", "asset_refresh"),
        ("/assets/is_updating", "asset_import"),
    ] {
        let state = shown(json!({pointer: true}));
        assert_eq!(
            state["data"]["advice"],
            json!({"ready_for_tools": false, "blocking_reasons": [word], "recommended_retry_after_ms": 500, "recommended_next_action": "retry_later"})
        );
    }
}

#[test]
fn a_focused_idle_editor_is_ready_however_old_its_time_stamp_is() {
    let old = NOW - 60_000;
    let focused = shown(json!({"/observed_at_unix_ms": old, "/editor/is_focused": true}));
    assert_eq!(focused["data"]["advice"]["ready_for_tools"], true);
    assert_eq!(
        focused["data"]["staleness"],
        json!({"age_ms": 60_100, "is_stale": false})
    );
    let behind = shown(json!({"/observed_at_unix_ms": old}));
    assert_eq!(
        behind["data"]["advice"]["blocking_reasons"],
        json!(["stale_status"])
    );
    let works = shown(
        json!({"/observed_at_unix_ms": old, "/editor/is_focused": true, "/compilation/is_compiling": true}),
    );
    assert_eq!(
        works["data"]["advice"]["blocking_reasons"],
        json!(["compiling", "stale_status"])
    );
}

#[test]
fn a_state_that_nobody_has_is_never_ready() {
    for nothing in [
        json!({"success": true, "data": {}}),
        json!({"success": true}),
        json!({"success": true, "data": "idle"}),
        json!({"success": true, "data": {"compilation": {}}}),
    ] {
        let state = present(&normalise(&nothing), NOW, &beside());
        assert_eq!(
            state["data"]["advice"]["ready_for_tools"], false,
            "{nothing}"
        );
        assert!(!refresh::is_ready(&normalise(&nothing)), "{nothing}");
    }
    let failed = normalise(&json!({"success": false, "error": "no"}));
    assert_eq!(
        present(&failed, NOW, &beside()),
        json!({"success": false, "error": "no"})
    );
    assert!(!refresh::is_ready(&failed));
    for phase in [
        "domain_reload",
        "busy",
        "not_connected",
        "seat_taken",
        "quit",
    ] {
        let state = absent(
            &Absence::new(phase, NOW - 3_000, "It is away."),
            NOW,
            &beside(),
        );
        let advice = &state["data"]["advice"];
        assert_eq!(
            (&advice["ready_for_tools"], &advice["blocking_reasons"]),
            (&json!(false), &json!([phase]))
        );
        assert_eq!(state["data"]["staleness"]["is_stale"], true);
        assert_eq!(state["data"]["activity"]["since_unix_ms"], NOW - 3_000);
        assert_eq!(state["data"]["compilation"], json!(null));
    }
}

#[test]
fn who_is_away_is_looked_for_when_it_usually_comes_back() {
    let retry = |usual: Option<u64>, so_far: i64| {
        let mut absence = Absence::new("domain_reload", NOW - so_far, "");
        absence.usual_ms = usual;
        absent(&absence, NOW, &beside())["data"]["advice"]["recommended_retry_after_ms"].clone()
    };
    assert_eq!(retry(None, 0), 1_000);
    assert_eq!(retry(Some(5_000), 2_000), 3_000);
    assert_eq!(retry(Some(5_000), 9_000), 500);
    assert_eq!(retry(Some(600_000), 0), 10_000);
}

#[test]
fn a_call_is_held_by_what_it_would_suffer_from() {
    let create = call(
        "manage_gameobject",
        json!({"action": "create", "name": "A"}),
    );
    let gate = |call: &Call, changes| judge(call, &state(changes));
    assert!(wanted(&create));
    assert!(matches!(gate(&create, json!({})), Gate::Go));
    assert!(matches!(
        gate(&create, json!({"/compilation/is_compiling": true})),
        Gate::Hold(Busy::Compiling)
    ));
    assert!(matches!(
        gate(
            &create,
            json!({"/compilation/is_domain_reload_pending": true})
        ),
        Gate::Hold(Busy::DomainReload)
    ));
    assert!(matches!(
        gate(&create, json!({"/assets/is_updating": true})),
        Gate::Hold(Busy::AssetImport)
    ));
    // Tests stop tests alone, as in the Python server.
    assert!(matches!(
        gate(&create, json!({"/tests/is_running": true})),
        Gate::Go
    ));
    // A state that nobody can read holds nobody.
    assert!(matches!(
        judge(
            &create,
            &normalise(&json!({"success": false, "error": "Unknown"}))
        ),
        Gate::Go
    ));
    assert!(matches!(
        judge(&create, &normalise(&json!({"success": true, "data": {}}))),
        Gate::Go
    ));
}

#[test]
fn a_second_test_run_is_answered_with_the_job_of_the_first() {
    let run = call("run_tests", json!({}));
    let running = json!({"/tests": {"is_running": true, "current_job_id": "j1", "mode": "EditMode", "started_unix_ms": 5}, "/compilation/is_compiling": true});
    let Gate::Refuse(reply) = judge(&run, &state(running)) else {
        panic!("it was not refused")
    };
    assert!(!reply.success);
    assert_eq!(
        reply.value["data"],
        json!({"reason": "tests_running", "retry_after_ms": 5_000, "job_id": "j1", "mode": "EditMode", "started_unix_ms": 5})
    );
    assert_eq!(
        (&reply.value["error"], &reply.value["hint"]),
        (&json!("busy"), &json!("retry"))
    );
    assert!(
        reply
            .message
            .unwrap()
            .contains("get_test_job for job_id j1")
    );
    // What frees a blocked runner waits for nothing.
    assert!(!wanted(&call("run_tests", json!({"clear_stuck": true}))));
}

#[test]
fn the_tools_that_wait_are_those_of_the_python_server() {
    let waits = Catalogue::builtin()
        .tools()
        .iter()
        .filter(|tool| tool.preflight);
    let mut names: Vec<&str> = waits.map(|tool| &*tool.name).collect();
    names.sort_unstable();
    assert_eq!(
        names,
        [
            "find_gameobjects",
            "manage_asset",
            "manage_components",
            "manage_gameobject",
            "manage_prefabs",
            "manage_scene",
            "manage_texture",
            "run_tests"
        ]
    );
}

/// An editor that said at `at` that it is quiet.
fn quiet(at: Instant) -> (Memory, Connection) {
    let (mut memory, connection) = (Memory::default(), (Some("s".to_owned()), 0));
    memory.heard(at, "h", connection.clone(), &state(json!({})));
    (memory, connection)
}

#[test]
fn an_editor_that_was_quiet_is_not_asked_again_for_two_seconds() {
    let now = Instant::now();
    let (memory, connection) = quiet(now);
    assert!(memory.is_quiet(now + FRESH - Duration::from_millis(1), "h", &connection));
    assert!(!memory.is_quiet(now + FRESH, "h", &connection));
    assert!(!memory.is_quiet(now, "other", &connection));
    // After a reload nothing counts that was said before.
    assert!(!memory.is_quiet(now, "h", &(Some("t".to_owned()), 1)));
}

#[test]
fn what_can_make_an_editor_busy_makes_the_next_call_ask() {
    let ms = Duration::from_millis;
    for (tool, args, stirs) in [
        (
            "manage_gameobject",
            json!({"action": "create", "name": "A"}),
            false,
        ),
        ("read_console", json!({}), false),
        (
            "create_script",
            json!({"path": "Assets/A.cs", "contents": "class A {}"}),
            true,
        ),
        ("refresh_unity", json!({}), true),
        ("execute_menu_item", json!({"menu_path": "A/B"}), true),
        (
            "manage_asset",
            json!({"action": "import", "path": "Assets/a.png"}),
            true,
        ),
        ("run_tests", json!({}), true),
        (
            "batch_execute",
            json!({"commands": [{"tool": "manage_gameobject"}]}),
            true,
        ),
    ] {
        let now = Instant::now();
        let (mut memory, connection) = quiet(now);
        memory.sent(now + ms(10), "h", &call(tool, args));
        assert_eq!(
            memory.is_quiet(now + ms(20), "h", &connection),
            !stirs,
            "{tool}"
        );
        // It may begin a moment later: quiet at first says nothing.
        memory.heard(now + ms(30), "h", connection.clone(), &state(json!({})));
        assert_eq!(
            memory.is_quiet(now + ms(40), "h", &connection),
            !stirs,
            "{tool}"
        );
        memory.heard(now + ms(1_100), "h", connection.clone(), &state(json!({})));
        assert!(memory.is_quiet(now + ms(1_200), "h", &connection), "{tool}");
    }
}

#[test]
fn a_busy_editor_is_remembered_as_none_that_is_quiet_and_its_limit_is_kept() {
    let now = Instant::now();
    let (mut memory, connection) = quiet(now);
    assert_eq!(memory.batch("h"), Some(25));
    memory.heard(
        now,
        "h",
        connection.clone(),
        &state(
            json!({"/compilation/is_compiling": true, "/settings/batch_execute_max_commands": 60}),
        ),
    );
    assert!(!memory.is_quiet(now, "h", &connection));
    assert_eq!(memory.batch("h"), Some(60));
    assert_eq!(memory.batch("other"), None);
}

#[test]
fn the_memory_is_bounded() {
    let now = Instant::now();
    let (mut memory, connection) = quiet(now);
    for number in 1_u32..=200 {
        let at = now + Duration::from_millis(number.into());
        memory.heard(
            at,
            &number.to_string(),
            connection.clone(),
            &state(json!({})),
        );
    }
    assert_eq!(memory.batch("h"), None);
    assert_eq!(memory.batch("136"), None);
    assert_eq!(memory.batch("137"), Some(25));
}

#[test]
fn files_are_dirty_if_others_changed_them_after_the_first_look() {
    let now = Instant::now();
    let mut files = Watch::default();
    assert_eq!(files.due(now), Some(vec![]));
    assert_eq!(files.due(now + Duration::from_secs(1)), None);
    files.looked(NOW, Some(500));
    assert!(!files.is_dirty());
    files.looked(NOW + 1, Some(500));
    files.looked(NOW + 1, None);
    assert!(!files.is_dirty());
    files.looked(NOW + 2, Some(501));
    files.looked(NOW + 3, Some(502));
    assert!(files.is_dirty());
    assert_eq!(
        json!(files.shown()),
        json!({"external_changes_dirty": true, "external_changes_last_seen_unix_ms": NOW + 3, "external_changes_dirty_since_unix_ms": NOW + 2, "external_changes_last_cleared_unix_ms": null})
    );
    files.refreshed(NOW + 4);
    files.looked(NOW + 5, Some(502));
    assert!(!files.is_dirty());
    assert_eq!(
        files.shown()["external_changes_last_cleared_unix_ms"],
        NOW + 4
    );
    // What is written while a command of ours runs is the editor's own.
    files.wrote((10_000, 12_000));
    let spans = files.due(now + Duration::from_secs(2)).unwrap();
    assert!(is_within(&spans, 9_500) && is_within(&spans, 12_500));
    assert!(!is_within(&spans, 8_000) && !is_within(&spans, 14_000));
}

#[test]
fn a_refresh_says_whether_the_editor_is_ready() {
    let took = || {
        normalise(
            &json!({"success": true, "message": "Refresh requested.", "data": {"compile_requested": true}}),
        )
    };
    let waited = Duration::from_secs(7);
    let ready = refresh::ready(took(), waited);
    assert!(ready.success);
    assert_eq!(ready.value["message"], "Refresh requested.");
    assert_eq!(
        ready.data,
        json!({"compile_requested": true, "ready": true, "ready_after_ms": 7_000})
    );
    let compiles = state(json!({"/compilation/is_compiling": true}));
    let not = refresh::not_ready(waited, Some(&compiles));
    assert!(!not.success);
    assert!(
        not.message
            .unwrap()
            .contains("still compiles scripts after 7 s")
    );
    assert_eq!(not.data["blocking_reasons"], json!(["compiling"]));
    assert_eq!(
        refresh::not_ready(waited, None).data["blocking_reasons"],
        json!(["unknown_state"])
    );
    assert!(refresh::is_ready(&state(json!({}))) && !refresh::is_ready(&compiles));
    assert!(refresh::waits(&call("refresh_unity", json!({}))));
    assert!(!refresh::waits(&call(
        "refresh_unity",
        json!({"wait_for_ready": false})
    )));
}

#[test]
fn a_state_is_read_by_its_fields() {
    assert_eq!(busy_with(&state(json!({})).data), Some(vec![]));
    let both = state(json!({"/compilation/is_compiling": true, "/tests/is_running": true}));
    assert_eq!(
        busy_with(&both.data),
        Some(vec![Busy::Compiling, Busy::RunningTests])
    );
    assert_eq!(
        busy_with(&json!({"compilation": {"is_compiling": "true"}})),
        None
    );
}
