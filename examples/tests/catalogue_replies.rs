//! From the plugin's answers to what the client sees, and to what a read proves.
#![allow(missing_docs, reason = "a test's name says what it proves")]

use std::time::Duration;

use examples::catalogue::envelope::normalise;
use examples::catalogue::{Call, Catalogue, Reply, Verdict, Verify};
use proptest::prelude::*;
use serde_json::{Value, json};

fn call(tool: &str, args: Value) -> Call {
    let Value::Object(args) = args else {
        panic!("arguments are an object")
    };
    let tool = Catalogue::builtin()
        .tool(tool)
        .expect("a tool of the catalogue");
    tool.prepare(args).expect("good arguments")
}

fn present(tool: &str, args: Value, reply: Value) -> Value {
    let call = call(tool, args);
    Catalogue::builtin()
        .tool(tool)
        .expect("a tool of the catalogue")
        .present(reply, &call)
}

#[test]
fn every_envelope_of_the_recordings_is_read() {
    let reply = normalise(
        &json!({"status": "success", "result": {"success": true, "message": "m", "data": {"a": 1}}}),
    );
    assert!(reply.success && reply.error.is_none());
    assert_eq!(
        (reply.message.as_deref(), &reply.data),
        (Some("m"), &json!({"a": 1}))
    );
    assert_eq!(
        reply.value,
        json!({"success": true, "message": "m", "data": {"a": 1}})
    );

    let reply = normalise(
        &json!({"status": "error", "error": "Tool exploded", "command": "x", "stackTrace": null}),
    );
    assert_eq!(
        reply.value,
        json!({"success": false, "message": null, "error": "Tool exploded", "data": null})
    );

    let reply = normalise(
        &json!({"status": "success", "result": {"success": false, "code": "bad_thing", "error": "bad_thing"}}),
    );
    assert!(!reply.success);
    assert_eq!(
        reply.value,
        json!({"success": false, "code": "bad_thing", "error": "bad_thing"})
    );

    let pong = normalise(&json!({"status": "success", "result": {"message": "pong"}}));
    assert!(pong.success);
    assert_eq!(pong.message.as_deref(), Some("pong"));
}

#[test]
fn a_result_that_is_no_object_is_kept() {
    for result in [json!("text"), json!([1, 2]), json!(7), json!(false)] {
        let reply = normalise(&json!({"status": "success", "result": result}));
        assert!(reply.success);
        assert_eq!(reply.data, result);
    }
}

#[test]
fn fields_beside_the_usual_ones_are_the_data() {
    let reply = normalise(&json!({"status": "success", "result": {"message": "m", "count": 3}}));
    assert_eq!(reply.data, json!({"count": 3}));
}

#[test]
fn a_failure_always_has_a_reason() {
    for envelope in [
        json!({}),
        json!(null),
        json!(4),
        json!({"status": "error"}),
        json!({"success": false}),
        json!({"result": {"success": "yes"}}),
    ] {
        let reply = normalise(&envelope);
        assert!(!reply.success && reply.error.is_some(), "{envelope}");
    }
    let reply = normalise(&json!({"success": false, "message": "why"}));
    assert_eq!(reply.error.as_deref(), Some("why"));
}

#[test]
fn only_the_plugins_own_words_in_its_own_field_are_a_time_out() {
    for error in [
        "Command processing timed out after 30000 ms",
        "Command evicted: stuck too long in queue",
        "Command 'manage_scene' timed out after 30 seconds",
    ] {
        let reply = normalise(&json!({"status": "error", "error": error}));
        assert!(reply.timed_out && !reply.success, "{error}");
        let from_command = json!({"success": false, "error": error});
        for envelope in [
            json!({"status": "success", "result": from_command}),
            json!({"status": "success", "error": error, "result": {"success": true, "message": error}}),
            json!({"status": "error", "error": format!("Exception: {error}")}),
            json!({"status": "error", "message": error}),
            json!({"status": "error", "error": {"text": error}}),
            from_command,
        ] {
            assert!(!normalise(&envelope).timed_out, "{envelope}");
        }
    }
    for error in [
        "Command 'x' timed out after long seconds",
        "Command 'x' failed",
        "' timed out after 3 seconds",
    ] {
        assert!(
            !normalise(&json!({"status": "error", "error": error})).timed_out,
            "{error}"
        );
    }
}

#[test]
fn a_command_that_is_not_over_says_when_to_ask_again() {
    let pending = |interval: Value| {
        normalise(&json!({"status": "success", "result":
            {"success": true, "_mcp_status": "pending", "_mcp_poll_interval": interval, "message": "wait"}}))
        .pending
    };
    assert_eq!(pending(json!(0.3)), Some(Duration::from_millis(300)));
    assert_eq!(pending(json!(-1)), Some(Duration::from_millis(100)));
    assert_eq!(pending(json!("soon")), Some(Duration::from_secs(1)));
    assert_eq!(
        normalise(&json!({"success": true, "message": "pending"})).pending,
        None
    );
}

#[test]
fn the_console_shows_stack_traces_only_when_asked() {
    let entries = || json!([{"message": "a", "stacktrace": "at b"}, "line"]);
    let bare = json!([{"message": "a"}, "line"]);
    for (wrap, list) in [
        (json!({"success": true, "data": entries()}), "/data"),
        (
            json!({"success": true, "data": {"lines": entries()}}),
            "/data/lines",
        ),
        (
            json!({"success": true, "data": {"items": entries(), "total": 2}}),
            "/data/items",
        ),
    ] {
        let shown = present("read_console", json!({}), wrap.clone());
        assert_eq!(shown.pointer(list), Some(&bare));
        let shown = present(
            "read_console",
            json!({"include_stacktrace": true}),
            wrap.clone(),
        );
        assert_eq!(shown, wrap);
    }
}

#[test]
fn validation_is_reduced_to_counts_unless_the_findings_are_asked_for() {
    let found = json!([{"severity": "error"}, {"severity": "Warning"}, {"severity": "FATAL"}, {"severity": "info"}]);
    let reply = json!({"success": true, "message": "m", "data": {"diagnostics": found}});
    let counts = json!({"warnings": 1, "errors": 2});
    assert_eq!(
        present(
            "validate_script",
            json!({"uri": "Assets/A.cs"}),
            reply.clone()
        ),
        json!({"success": true, "data": counts})
    );
    assert_eq!(
        present(
            "validate_script",
            json!({"uri": "Assets/A.cs", "include_diagnostics": "true"}),
            reply
        ),
        json!({"success": true, "data": {"diagnostics": found, "summary": counts}})
    );
}

#[test]
fn a_failure_is_shown_as_it_came() {
    let failure = json!({"success": false, "code": "c", "error": "e", "data": {"diagnostics": []}});
    for tool in Catalogue::builtin().tools() {
        let any = call("read_console", json!({}));
        assert_eq!(
            tool.present(failure.clone(), &any),
            failure,
            "{}",
            tool.name
        );
    }
}

#[test]
fn a_summary_has_three_fields_and_an_encoded_source_is_read() {
    let shown = present(
        "manage_scene",
        json!({"action": "get_active"}),
        json!({"success": true, "extra": 1}),
    );
    assert_eq!(
        shown,
        json!({"success": true, "message": null, "data": null})
    );
    let reply = json!({"success": true, "data": {"uri": "u", "encodedContents": "w6k=", "contentsEncoded": true}});
    let args = json!({"action": "read", "name": "A", "path": "Assets"});
    let shown = present("manage_script", args, reply);
    assert_eq!(shown["data"], json!({"uri": "u", "contents": "é"}));
}

fn verify(tool: &str, args: Value) -> Verify {
    Verify::for_call(&call(tool, args)).expect("a read can tell")
}

fn read(contents: &str) -> Reply {
    normalise(
        &json!({"status": "success", "result": {"success": true, "data": {"contents": contents}}}),
    )
}

fn not_found() -> Reply {
    let error = "Script not found at 'Assets/Scripts/Foo.cs'.";
    normalise(
        &json!({"status": "success", "result": {"success": false, "code": error, "error": error}}),
    )
}

fn failed(error: &str) -> Reply {
    normalise(&json!({"status": "success", "result": {"success": false, "error": error}}))
}

#[test]
fn a_created_script_is_verified_by_its_contents() {
    let args = json!({"path": "Assets/Scripts/Foo.cs", "contents": "class Foo {}"});
    let verify = verify("create_script", args);
    let question = json!({"action": "read", "name": "Foo", "path": "Assets/Scripts"});
    assert_eq!(verify.question(), ("manage_script", question));
    assert_eq!(verify.judge(&read("class Foo {}")), Verdict::Took);
    assert_eq!(verify.judge(&read("\u{feff}class Foo {}")), Verdict::Took);
    assert_eq!(verify.judge(&read("class Old {}")), Verdict::Unknown);
    assert_eq!(verify.judge(&not_found()), Verdict::Unknown);
    assert_eq!(
        verify.judge(&failed("Unity is reloading")),
        Verdict::CannotTell
    );
    // The stand-in of the recordings answers a read without contents.
    let echo =
        normalise(&json!({"status": "success", "result": {"success": true, "data": {"echo": {}}}}));
    assert_eq!(verify.judge(&echo), Verdict::Unknown);
}

#[test]
fn a_template_that_is_there_proves_nothing() {
    let verify = verify(
        "manage_script",
        json!({"action": "create", "name": "Foo", "path": "Assets"}),
    );
    // Now or later.
    assert_eq!(verify.judge(&read("anything")), Verdict::Unknown);
    assert_eq!(verify.judge(&not_found()), Verdict::Unknown);
}

#[test]
fn a_deleted_script_is_verified_by_its_absence() {
    for (tool, args) in [
        ("delete_script", json!({"uri": "Assets/Scripts/Foo.cs"})),
        (
            "manage_script",
            json!({"action": "delete", "name": "Foo", "path": "Assets/Scripts"}),
        ),
    ] {
        let verify = verify(tool, args);
        assert_eq!(verify.judge(&not_found()), Verdict::Took);
        assert_eq!(verify.judge(&read("class Foo {}")), Verdict::Unknown);
        assert_eq!(
            verify.judge(&failed("Failed to read script: not found")),
            Verdict::CannotTell
        );
        let timeout =
            json!({"status": "error", "error": "Command processing timed out after 30000 ms"});
        assert_eq!(verify.judge(&normalise(&timeout)), Verdict::CannotTell);
    }
}

fn state(
    compiling: bool,
    pending: bool,
    reloaded: Option<i64>,
    playing: bool,
    changing: bool,
) -> Reply {
    normalise(
        &json!({"status": "success", "result": {"success": true, "data": {
            "schema_version": "unity-mcp/editor_state@2",
            "editor": {"play_mode": {"is_playing": playing, "is_paused": false, "is_changing": changing}},
            "compilation": {"is_compiling": compiling, "is_domain_reload_pending": pending,
                "last_domain_reload_before_unix_ms": null, "last_domain_reload_after_unix_ms": reloaded},
            "assets": {"is_updating": false},
        }}}),
    )
}

#[test]
fn a_refresh_is_verified_by_a_reload_that_ended_after_it_was_sent() {
    let verify = verify("refresh_unity", json!({"compile": "request"}));
    assert_eq!(verify.question(), ("get_editor_state", json!({})));
    let sent = verify.clone().sent_at(1_000);
    assert_eq!(
        sent.judge(&state(false, false, Some(1_500), false, false)),
        Verdict::Took
    );
    assert_eq!(
        sent.judge(&state(true, false, Some(1_500), false, false)),
        Verdict::CannotTell
    );
    assert_eq!(
        sent.judge(&state(false, true, Some(1_500), false, false)),
        Verdict::CannotTell
    );
    assert_eq!(
        sent.judge(&state(false, false, Some(900), false, false)),
        Verdict::CannotTell
    );
    assert_eq!(
        sent.judge(&state(false, false, None, false, false)),
        Verdict::CannotTell
    );
    assert_eq!(sent.judge(&failed("no")), Verdict::CannotTell);
    assert_eq!(
        verify.judge(&state(false, false, Some(1_500), false, false)),
        Verdict::CannotTell
    );
}

#[test]
fn play_and_stop_are_verified_by_the_play_mode() {
    // (playing, changing): changing is Unity's "is playing or will".
    let (on, off, entering, leaving) = ((true, true), (false, false), (false, true), (true, false));
    let play = verify("manage_editor", json!({"action": "play"}));
    let stop = verify("manage_editor", json!({"action": "stop"}));
    let judge = |verify: &Verify, (playing, changing), busy| {
        verify.judge(&state(busy, false, None, playing, changing))
    };
    assert_eq!(judge(&play, on, false), Verdict::Took);
    assert_eq!(judge(&play, off, false), Verdict::Unknown);
    assert_eq!(judge(&play, off, true), Verdict::CannotTell);
    assert_eq!(judge(&play, entering, false), Verdict::CannotTell);
    assert_eq!(judge(&stop, off, false), Verdict::Took);
    assert_eq!(judge(&stop, on, false), Verdict::Unknown);
    assert_eq!(judge(&stop, leaving, false), Verdict::CannotTell);
    assert_eq!(play.judge(&failed("no")), Verdict::CannotTell);
}

#[test]
fn every_question_only_reads() {
    for (tool, args) in [
        (
            "create_script",
            json!({"path": "Assets/A.cs", "contents": "x"}),
        ),
        ("delete_script", json!({"uri": "Assets/A.cs"})),
        ("refresh_unity", json!({})),
        ("manage_editor", json!({"action": "play"})),
    ] {
        let (command, params) = verify(tool, args).question();
        let read = command == "get_editor_state" || params["action"] == "read";
        assert!(read, "{tool}: {command} {params}");
    }
}

#[test]
fn what_no_read_can_tell_has_no_verification() {
    for (tool, args) in [
        (
            "manage_gameobject",
            json!({"action": "create", "name": "A"}),
        ),
        ("execute_menu_item", json!({"menu_path": "File/Save"})),
        ("manage_editor", json!({"action": "pause"})),
        ("manage_editor", json!({"action": "telemetry_ping"})),
        (
            "manage_script",
            json!({"action": "read", "name": "A", "path": "Assets"}),
        ),
        (
            "batch_execute",
            json!({"commands": [{"tool": "refresh_unity"}]}),
        ),
    ] {
        assert_eq!(Verify::for_call(&call(tool, args)), None, "{tool}");
    }
}

fn any_envelope() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        prop::sample::select(vec![
            "success",
            "error",
            "pending",
            "Script not found at '",
            "x"
        ])
        .prop_map(Value::from),
    ];
    let keys = vec![
        "status",
        "result",
        "success",
        "error",
        "message",
        "data",
        "_mcp_status",
        "_mcp_poll_interval",
        "contents",
        "encodedContents",
        "diagnostics",
        "lines",
        "items",
        "compilation",
        "severity",
    ];
    leaf.prop_recursive(4, 32, 6, move |inner| {
        let object =
            prop::collection::hash_map(prop::sample::select(keys.clone()), inner.clone(), 0..6);
        prop_oneof![
            prop::collection::vec(inner, 0..4).prop_map(Value::from),
            object.prop_map(|map| {
                Value::Object(
                    map.into_iter()
                        .map(|(key, value)| (key.to_owned(), value))
                        .collect(),
                )
            }),
        ]
    })
}

proptest! {
    #[test]
    fn whatever_the_plugin_answers_it_is_read_shown_and_judged(envelope in any_envelope()) {
        let reply = normalise(&envelope);
        prop_assert_eq!(reply.success, reply.value["success"] == true);
        prop_assert!(reply.success || reply.error.is_some());
        let any = call("validate_script", json!({"uri": "Assets/A.cs"}));
        for tool in Catalogue::builtin().tools() {
            let shown = tool.present(reply.value.clone(), &any);
            prop_assert_eq!(&shown["success"], &reply.value["success"]);
        }
        let _ = verify("delete_script", json!({"uri": "Assets/A.cs"})).judge(&reply);
        let _ = verify("refresh_unity", json!({})).sent_at(0).judge(&reply);
        let _ = verify("manage_editor", json!({"action": "stop"})).judge(&reply);
    }
}
