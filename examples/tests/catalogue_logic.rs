//! What a tool does beyond one command, step by step.
#![allow(missing_docs, reason = "a test's name says what it proves")]

use std::time::Duration;

use examples::catalogue::envelope::normalise;
use examples::catalogue::{Call, Catalogue, Reply, Verdict, Verify};
use examples::logic::{self, Logic, Step};
use mcp_transport_core::{Ending, Outcome};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// Begins a call; the error is what the client would read.
fn try_begin(tool: &str, args: &Value) -> Result<Box<dyn Logic>, String> {
    let tool = Catalogue::builtin().tool(tool).expect("a tool");
    let args = args.as_object().expect("an object").clone();
    let call = tool.prepare(args).map_err(|bad| bad.to_string())?;
    let handler = tool.handler.as_deref().expect("it has one");
    let begun = logic::start(handler, &call).expect("it is registered");
    begun.map_err(|bad| bad.to_string())
}

fn begin(tool: &str, args: &Value) -> Box<dyn Logic> {
    try_begin(tool, args).expect("good arguments")
}

fn ask(logic: &mut dyn Logic, answered: Option<&Reply>) -> Call {
    match logic.step(answered) {
        Step::Ask(call) => *call,
        other => panic!("{other:?}"),
    }
}

fn done(logic: &mut dyn Logic, answered: Option<&Reply>) -> Value {
    match logic.step(answered) {
        Step::Done(value) => value,
        other => panic!("{other:?}"),
    }
}

fn reply(data: &Value) -> Reply {
    normalise(&json!({"success": true, "message": "m", "data": data}))
}

fn source(text: &str) -> Reply {
    reply(&json!({"contents": text}))
}

fn failure(error: &str) -> Reply {
    normalise(&json!({"success": false, "error": error}))
}

/// The only answer of a search in this text.
fn find(text: &str, args: &Value) -> Value {
    let mut logic = begin("find_in_file", args);
    let read = ask(&mut *logic, None);
    assert!(read.replay_safe && !read.reload);
    done(&mut *logic, Some(&source(text)))
}

#[test]
fn a_match_is_told_by_line_column_and_character() {
    let args = json!({"uri": "Assets/Foo.cs", "pattern": "b+"});
    let found = find("é\r\n  aBb // x\nb", &args);
    assert_eq!(found["success"], true);
    let (count, total) = (&found["data"]["count"], &found["data"]["total_matches"]);
    assert_eq!((count, total), (&json!(2), &json!(2)));
    let first =
        json!({"line": 2, "column": 4, "content": "aBb // x", "match": "Bb", "start": 6, "end": 8});
    assert_eq!(found["data"]["matches"][0], first);
    assert_eq!(found["data"]["matches"][1]["line"], 3);
}

#[test]
fn look_around_works_and_case_counts_if_told() {
    let args =
        json!({"uri": "Assets/Foo.cs", "pattern": "(?<=void )\\w+(?=\\()", "ignore_case": "false"});
    let found = find("void A() {} VOID B() {}", &args);
    assert_eq!(found["data"]["matches"][0]["match"], "A");
    assert_eq!(found["data"]["total_matches"], 1);
}

#[test]
fn all_matches_are_counted_and_few_are_shown() {
    let args = json!({"uri": "Assets/Foo.cs", "pattern": "a", "max_results": 2});
    let found = find("aaaa", &args);
    assert_eq!(
        (&found["data"]["count"], &found["data"]["total_matches"]),
        (&json!(2), &json!(4))
    );
}

#[test]
fn a_pattern_that_is_none_is_refused_before_anything_is_sent() {
    let args = json!({"uri": "Assets/Foo.cs", "pattern": "("});
    let refused = try_begin("find_in_file", &args).err().expect("refused");
    assert!(
        refused.contains("`pattern` expects a regular expression"),
        "{refused}"
    );
    let args = json!({"uri": "Foo.cs", "pattern": "a"});
    let refused = try_begin("find_in_file", &args).err().expect("refused");
    assert!(
        refused.contains("`uri` expects a script under Assets/"),
        "{refused}"
    );
}

#[test]
fn a_pattern_that_costs_too_much_is_given_up() {
    let args = json!({"uri": "Assets/Foo.cs", "pattern": "^(?=(a+)+$)\\1b"});
    let found = find(&"a".repeat(60).replace("aa", "aab").repeat(40), &args);
    let costly = json!({"uri": "Assets/Foo.cs", "pattern": "(?=x*)(x+x+)+y\\1"});
    let given_up = find(&"x".repeat(200), &costly);
    assert_eq!(found["success"], true, "{found}");
    assert_eq!(given_up["code"], "pattern_too_costly", "{given_up}");
}

#[test]
fn a_script_that_cannot_be_read_is_the_answer() {
    let mut logic = begin(
        "find_in_file",
        &json!({"uri": "Assets/Foo.cs", "pattern": "a"}),
    );
    ask(&mut *logic, None);
    let answer = done(
        &mut *logic,
        Some(&failure("Script not found at 'Assets/Foo.cs'.")),
    );
    assert_eq!(answer["error"], "Script not found at 'Assets/Foo.cs'.");
}

#[test]
fn a_test_run_is_asked_for_every_two_seconds_until_it_has_ended() {
    let args = json!({"job_id": "j", "wait_timeout": 5, "include_details": true});
    let mut logic = begin("get_test_job", &args);
    let running = reply(&json!({"status": "running"}));
    let mut waited = Vec::new();
    let asked = ask(&mut *logic, None);
    assert_eq!(asked.params, json!({"job_id": "j", "includeDetails": true}));
    assert!(asked.replay_safe);
    while let Step::Wait(pause) = logic.step(Some(&running)) {
        waited.push(pause);
        ask(&mut *logic, None);
    }
    assert_eq!(waited, [2, 2, 1].map(Duration::from_secs));

    let mut logic = begin("get_test_job", &args);
    ask(&mut *logic, None);
    let ended = done(&mut *logic, Some(&reply(&json!({"status": "failed"}))));
    assert_eq!(ended["data"]["status"], "failed");

    let mut logic = begin("get_test_job", &args);
    ask(&mut *logic, None);
    assert_eq!(
        done(&mut *logic, Some(&failure("no such job")))["error"],
        "no such job"
    );
}

#[test]
fn capabilities_need_no_editor() {
    let mut logic = begin("manage_script_capabilities", &json!({}));
    let answer = done(&mut *logic, None);
    assert_eq!(
        answer["data"]["text_ops"],
        json!(["replace_range", "regex_replace", "prepend", "append"])
    );
}

const FOO: &str = "class Foo {\n  int a;\n  int b;\n}\n";

fn foo(edits: &Value) -> Value {
    json!({"name": "Foo", "path": "Assets/Scripts", "edits": edits})
}

/// What becomes of `text` by edits that are all text: the ranges that go to the plugin.
fn ranges(text: &str, edits: &Value) -> Value {
    let mut logic = begin("script_apply_edits", &foo(edits));
    let read = ask(&mut *logic, None);
    assert_eq!(read.params["action"], "read");
    match logic.step(Some(&source(text))) {
        Step::Ask(call) => call.params["edits"].clone(),
        Step::Done(answer) => answer,
        Step::Wait(pause) => panic!("{pause:?}"),
    }
}

fn refused(tool: &str, args: &Value) -> String {
    try_begin(tool, args).err().expect("refused")
}

#[test]
fn text_edits_become_ranges_with_the_hash_of_what_was_read() {
    let mut args = foo(&json!([
        {"op": "regex_replace", "pattern": "int (a)", "replacement": "long $1$1"},
        {"op": "append", "text": "// end"},
    ]));
    args["options"] = json!({"validate": "basic"});
    let mut logic = begin("script_apply_edits", &args);
    ask(&mut *logic, None);
    let change = ask(&mut *logic, Some(&source(FOO)));
    assert!(!change.replay_safe && change.reload);
    assert_eq!(
        change.sha.as_deref(),
        change.params["precondition_sha256"].as_str()
    );
    let edits = json!([
        {"startLine": 2, "startCol": 3, "endLine": 2, "endCol": 8, "newText": "long aa"},
        {"startLine": 5, "startCol": 1, "endLine": 5, "endCol": 1, "newText": "// end\n"},
    ]);
    assert_eq!(change.params["edits"], edits);
    let options = json!({"refresh": "debounced", "validate": "basic", "applyMode": "atomic"});
    assert_eq!(change.params["options"], options);
    let answer = done(&mut *logic, Some(&reply(&json!({"sha256": "new"}))));
    assert_eq!(answer["data"]["routing"], "text");
    assert_eq!(answer["data"]["sha256"], "new");
}

#[test]
fn a_pattern_replaces_its_last_match_or_as_many_as_it_is_told() {
    let edit = |count: Value| json!([{"op": "regex_replace", "pattern": "int", "replacement": "x", "count": count}]);
    let lines = |count: Value| {
        let ranges = ranges(FOO, &edit(count));
        let lines = ranges.as_array().expect("ranges").iter();
        lines
            .map(|range| range["startLine"].as_u64().expect("a line"))
            .collect::<Vec<_>>()
    };
    assert_eq!(lines(Value::Null), [3]);
    assert_eq!(lines(json!(1)), [2]);
    assert_eq!(lines(json!(0)), [2, 3]);
    let twice = json!([{"op": "regex_replace", "pattern": "int", "replacement": "$2"}]);
    let answer = ranges(FOO, &twice);
    assert_eq!(answer["code"], "bad_regex", "{answer}");
    assert!(
        answer["message"]
            .as_str()
            .expect("text")
            .contains("names group $2, and the pattern has 0")
    );
}

#[test]
fn what_matches_nothing_is_told_and_alone_writes_nothing() {
    let answer = ranges(
        FOO,
        &json!([{"op": "regex_replace", "pattern": "zzz", "text": "x"}]),
    );
    assert_eq!(
        (&answer["success"], &answer["code"]),
        (&json!(false), &json!("no_spans"))
    );
    let mut logic = begin(
        "script_apply_edits",
        &foo(&json!([
            {"op": "regex_replace", "pattern": "zzz", "text": "x"}, {"op": "prepend", "text": "// a"},
        ])),
    );
    ask(&mut *logic, None);
    ask(&mut *logic, Some(&source(FOO)));
    let answer = done(&mut *logic, Some(&reply(&Value::Null)));
    assert_eq!(
        answer["data"]["warnings"],
        json!(["edits[0]: the pattern matches nothing"])
    );
}

#[test]
fn edits_that_overlap_or_lie_outside_are_not_sent() {
    let overlapping = json!([
        {"op": "replace_range", "startLine": 2, "startCol": 1, "endLine": 2, "endCol": 6, "text": "x"},
        {"op": "regex_replace", "pattern": "nt a", "text": "y"},
    ]);
    assert_eq!(ranges(FOO, &overlapping)["code"], "overlap");
    let outside = json!([{"op": "replace_range", "startLine": 2, "startCol": 1, "endLine": 2, "endCol": 99, "text": "x"}]);
    let answer = ranges(FOO, &outside);
    assert_eq!(
        answer["message"],
        "edits[0]: the script has no line 2 with a column 99."
    );
}

#[test]
fn insertions_at_one_place_stand_as_they_were_listed() {
    let sent = ranges(
        "b",
        &json!([
            {"op": "prepend", "text": "1"},
            {"op": "replace_range", "startLine": 1, "startCol": 1, "endLine": 1, "endCol": 2, "text": "B"},
            {"op": "prepend", "text": "2"},
        ]),
    );
    let texts: Vec<_> = sent
        .as_array()
        .expect("ranges")
        .iter()
        .map(|edit| &edit["newText"])
        .collect();
    // As the plugin applies them, one after the other and each in front: "1\n2\nB".
    assert_eq!(texts, ["B", "2\n", "1\n"]);
}

#[test]
fn structured_edits_go_as_they_are_and_know_the_hash_of_before() {
    let edits = json!([
        {"replace_method": {"class": "Foo", "method_name": "Bar", "new_content": "void Bar() {}"}},
        {"type": "insert_method", "anchor_method": "Bar", "content": "void B() {}"},
        {"mode": "ANCHOR_INSERT", "pattern": "^}", "newText": "x"},
    ]);
    let mut logic = begin("script_apply_edits", &foo(&edits));
    let sha = ask(&mut *logic, None);
    assert_eq!(
        sha.params,
        json!({"action": "get_sha", "name": "Foo", "path": "Assets/Scripts"})
    );
    let change = ask(&mut *logic, Some(&reply(&json!({"sha256": "old"}))));
    assert_eq!(change.sha.as_deref(), Some("old"));
    let sent = &change.params["edits"];
    assert_eq!(
        sent[0],
        json!({"op": "replace_method", "className": "Foo", "methodName": "Bar", "replacement": "void Bar() {}"})
    );
    assert_eq!(
        (&sent[1]["afterMethodName"], &sent[1]["position"]),
        (&json!("Bar"), &json!("after"))
    );
    assert_eq!(
        (&sent[2]["op"], &sent[2]["anchor"]),
        (&json!("anchor_insert"), &json!("^}"))
    );
    assert_eq!(change.params["options"], json!({"refresh": "immediate"}));

    let verify = Verify::for_call(&change).expect("a read can tell");
    let (command, question) = verify.question();
    assert_eq!((command, &question), ("manage_script", &sha.params));
    let judge = |sha: &str| verify.judge(&reply(&json!({"sha256": sha})));
    // Where the plugin places it nobody here knows what it makes of the script.
    assert_eq!(judge("new"), Verdict::Unknown);
    assert_eq!(judge("OLD"), Verdict::DidNotTake);
    assert_eq!(verify.judge(&failure("busy")), Verdict::CannotTell);
    let deleted = failure("Script not found at 'Assets/Scripts/Foo.cs'.");
    assert_eq!(verify.judge(&deleted), Verdict::Unknown);
}

#[test]
fn an_edit_is_verified_by_the_hash_of_the_text_that_it_makes() {
    let sha = |text: &str| {
        let digest = Sha256::digest(text.as_bytes());
        let digits = digest.iter().map(|byte| format!("{byte:02x}"));
        digits.collect::<String>()
    };
    let edit = json!({"startLine": 2, "startCol": 3, "endLine": 2, "endCol": 6, "newText": "long"});
    let by_place =
        json!({"uri": "Assets/Foo.cs", "edits": [edit], "precondition_sha256": sha(FOO)});
    let text = json!([{"op": "regex_replace", "pattern": "int a", "text": "long a"}]);
    for (tool, args) in [
        ("apply_text_edits", by_place),
        ("script_apply_edits", foo(&text)),
    ] {
        let mut logic = begin(tool, &args);
        ask(&mut *logic, None);
        let change = ask(&mut *logic, Some(&source(FOO)));
        let verify = Verify::for_call(&change).expect("a read can tell");
        let judge = |text: &str| verify.judge(&reply(&json!({"sha256": sha(text)})));
        assert_eq!(judge(&FOO.replace("int a", "long a")), Verdict::Took);
        assert_eq!(judge(FOO), Verdict::DidNotTake, "{tool}");
        assert_eq!(judge("saved by hand"), Verdict::Unknown, "{tool}");
    }
}

#[test]
fn an_edit_of_a_script_that_was_not_read_or_is_another_one_cannot_be_verified() {
    let edits = json!([{"startLine": 1, "startCol": 1, "endLine": 1, "endCol": 1, "newText": "x"}]);
    let mut args = json!({"uri": "Assets/Foo.cs", "edits": edits});
    let unread = ask(&mut *begin("apply_text_edits", &args), None);
    assert!(Verify::for_call(&unread).is_none());

    args["precondition_sha256"] = "of another text".into();
    let mut logic = begin("apply_text_edits", &args);
    ask(&mut *logic, None);
    let stale = ask(&mut *logic, Some(&source(FOO)));
    // The plugin refuses it, in its own words.
    assert_eq!(stale.params["precondition_sha256"], "of another text");
    assert!(Verify::for_call(&stale).is_none());
}

#[test]
fn text_goes_first_and_what_was_written_is_told_when_the_rest_fails() {
    let edits =
        json!([{"op": "delete_method", "methodName": "A"}, {"op": "append", "text": "// z"}]);
    let mut logic = begin("script_apply_edits", &foo(&edits));
    ask(&mut *logic, None);
    let text = ask(&mut *logic, Some(&source(FOO)));
    assert_eq!(text.params["action"], "apply_text_edits");
    let structured = ask(&mut *logic, Some(&reply(&json!({"sha256": "between"}))));
    assert_eq!(
        structured.params["edits"],
        json!([{"op": "delete_method", "methodName": "A", "className": "Foo"}])
    );
    assert_eq!(structured.sha.as_deref(), Some("between"));
    let answer = done(&mut *logic, Some(&failure("delete_method failed")));
    assert_eq!(
        (&answer["success"], &answer["data"]["text_edits_written"]),
        (&json!(false), &json!(true))
    );
    assert_eq!(answer["data"]["routing"], "mixed/text-first");
}

#[test]
fn once_the_text_is_written_no_ending_says_that_nothing_was_delivered() {
    let edits =
        json!([{"op": "delete_method", "methodName": "A"}, {"op": "append", "text": "// z"}]);
    let mut logic = begin("script_apply_edits", &foo(&edits));
    let goes = Ending::new(Outcome::NotDelivered, "shutting_down", "Send it again.");
    let goes = goes.operation_id("7").retry_after_ms(1);
    let lost = Ending::new(Outcome::Unknown, "link_lost", "Look.").operation_id("7");
    // While it reads, nothing was sent that changes anything.
    ask(&mut *logic, None);
    assert_eq!(logic.unanswered(goes.clone()), goes);
    let unread = logic.unanswered(lost.clone());
    assert_eq!(unread.outcome, Outcome::NotDelivered);
    // While the text is on its way, what is known of the command is all.
    ask(&mut *logic, Some(&source(FOO)));
    assert_eq!(logic.unanswered(goes.clone()), goes);
    assert_eq!(logic.unanswered(lost.clone()), lost);
    ask(&mut *logic, Some(&reply(&json!({"sha256": "between"}))));
    let told = logic.unanswered(goes);
    assert_eq!(
        (told.outcome, told.retryable, told.retry_after_ms),
        (Outcome::Unknown, false, None)
    );
    // By that cause a relay knows the calls that it sends again; by that id the client would be
    // told that nothing was delivered.
    assert_ne!(told.cause, "shutting_down");
    assert_eq!(told.operation_id, None);
    assert!(told.message.contains("text edits are written"), "{told:?}");
    let told = logic.unanswered(lost);
    assert_eq!(
        (told.outcome, told.operation_id.as_deref()),
        (Outcome::Unknown, Some("7"))
    );
    assert!(told.message.contains("text edits are written"), "{told:?}");
    // Alone, they are the whole call.
    let edits = json!([{"op": "delete_method", "methodName": "A"}]);
    let mut logic = begin("script_apply_edits", &foo(&edits));
    ask(&mut *logic, None);
    ask(&mut *logic, Some(&reply(&json!({"sha256": "before"}))));
    let quit = Ending::new(Outcome::NotDelivered, "editor_quit", "It quit.");
    assert_eq!(logic.unanswered(quit.clone()), quit);
}

#[test]
fn a_failure_of_the_text_edits_ends_the_call() {
    let edits =
        json!([{"op": "delete_method", "methodName": "A"}, {"op": "append", "text": "// z"}]);
    let mut logic = begin("script_apply_edits", &foo(&edits));
    ask(&mut *logic, None);
    ask(&mut *logic, Some(&source(FOO)));
    let answer = done(&mut *logic, Some(&failure("stale_file")));
    assert_eq!(answer["error"], "stale_file");
    assert!(answer["data"].get("text_edits_written").is_none());
}

#[test]
fn a_preview_shows_a_diff_and_writes_nothing() {
    let mut args = foo(&json!([
        {"op": "regex_replace", "pattern": "int b", "text": "long b"},
        {"op": "anchor_insert", "anchor": "^}", "text": "  int c;"},
    ]));
    args["options"] = json!({"preview": true});
    let mut logic = begin("script_apply_edits", &args);
    assert!(ask(&mut *logic, None).replay_safe);
    let answer = done(&mut *logic, Some(&source(FOO)));
    let diff = answer["data"]["diff"].as_str().expect("a diff");
    assert!(
        diff.contains("-  int b;\n+  long b;\n+  int c;\n }"),
        "{diff}"
    );
    assert_eq!(answer["success"], true);

    args["edits"] = json!([{"op": "delete_method", "methodName": "A"}]);
    let mut logic = begin("script_apply_edits", &args);
    ask(&mut *logic, None);
    let answer = done(&mut *logic, Some(&source(FOO)));
    assert_eq!(answer["code"], "preview_not_possible", "{answer}");
}

#[test]
fn a_script_that_is_not_as_the_client_knows_it_is_not_edited() {
    let mut args = foo(&json!([{"op": "delete_method", "methodName": "A"}]));
    args["options"] = json!({"precondition_sha256": "known"});
    let mut logic = begin("script_apply_edits", &args);
    ask(&mut *logic, None);
    let answer = done(&mut *logic, Some(&reply(&json!({"sha256": "other"}))));
    assert_eq!(
        (&answer["code"], &answer["data"]["current_sha256"]),
        (&json!("stale_file"), &json!("other"))
    );

    args["edits"] = json!([{"op": "append", "text": "x"}]);
    let mut logic = begin("script_apply_edits", &args);
    ask(&mut *logic, None);
    assert_eq!(done(&mut *logic, Some(&source(FOO)))["code"], "stale_file");
}

#[test]
fn an_edit_that_lacks_something_is_refused_by_name() {
    for (edit, said) in [
        (json!({}), "`edits[0].op` expects one of replace_class, "),
        (json!({"op": "rewrite"}), "`edits[0].op`"),
        (
            json!({"op": "replace_method", "replacement": "x"}),
            "`edits[0].methodName` expects the method's name",
        ),
        (
            json!({"op": "replace_method", "methodName": "A"}),
            "`edits[0].replacement`",
        ),
        (
            json!({"op": "insert_method", "replacement": "x", "position": "after"}),
            "`edits[0].afterMethodName`",
        ),
        (json!({"op": "anchor_delete"}), "`edits[0].anchor`"),
        (
            json!({"op": "anchor_insert", "anchor": "x"}),
            "`edits[0].text`",
        ),
        (
            json!({"op": "regex_replace", "pattern": "("}),
            "`edits[0].pattern` expects a regular expression",
        ),
        (
            json!({"op": "regex_replace", "pattern": "a"}),
            "`edits[0].replacement`",
        ),
        (
            json!({"op": "replace_range", "startLine": 1}),
            "`edits[0].startCol`",
        ),
        (json!({"op": "append"}), "`edits[0].text`"),
    ] {
        let refused = refused("script_apply_edits", &foo(&json!([edit])));
        assert!(refused.contains(said), "{refused}");
    }
    assert!(refused("script_apply_edits", &foo(&json!([]))).contains("`edits`"));
    assert!(refused("script_apply_edits", &foo(&json!("nothing"))).contains("`edits`"));
}

#[test]
fn a_script_is_found_however_its_place_is_written() {
    let place = |name: &str, path: &str| {
        let args = json!({"name": name, "path": path, "edits": [{"op": "delete_class"}]});
        let asked = ask(&mut *begin("script_apply_edits", &args), None).params;
        format!(
            "{}/{}",
            asked["path"].as_str().expect("a path"),
            asked["name"].as_str().expect("a name")
        )
    };
    for (name, path) in [
        ("Foo", "Assets/Scripts"),
        ("Foo.cs", "Assets/Scripts/"),
        ("Foo", "Assets/Scripts/Foo.cs"),
        ("Assets/Scripts/Foo.cs", ""),
        ("", "Assets\\Scripts\\Foo.cs"),
        ("", "mcpforunity://path/Assets/Scripts/Foo.cs"),
        ("Foo", "file:///home/me/game/Assets/Scripts/Foo.cs"),
        ("", "Assets/Scripts/Foo.cs/Foo.cs"),
        ("", "/home/me/game/Assets/Scripts/Foo.CS"),
    ] {
        assert_eq!(place(name, path), "Assets/Scripts/Foo", "{name} {path}");
    }
    assert_eq!(place("Foo", ""), "Assets/Foo");
    for (name, path) in [("", ""), ("", "Assets/Scripts"), ("Foo", "Assets/../..")] {
        let args = json!({"name": name, "path": path, "edits": [{"op": "delete_class"}]});
        assert!(
            try_begin("script_apply_edits", &args).is_err(),
            "{name} {path}"
        );
    }
}

#[test]
fn ranges_are_taken_in_every_notation() {
    let begin = |edit: Value| {
        let args = json!({"uri": "Assets/Foo.cs", "edits": [edit], "precondition_sha256": "s"});
        begin("apply_text_edits", &args)
    };
    let wanted =
        json!([{"startLine": 2, "startCol": 3, "endLine": 2, "endCol": 6, "newText": "x"}]);
    for edit in [
        json!({"startLine": 2, "startCol": "3", "endLine": 2, "endCol": 6, "newText": "x"}),
        json!({"startLine": 2, "startCol": 6, "endLine": 2, "endCol": 3, "text": "x"}),
        json!({"range": {"start": {"line": 1, "character": 2}, "end": {"line": 1, "character": 5}}, "text": "x"}),
    ] {
        let mut logic = begin(edit);
        ask(&mut *logic, None);
        let change = ask(&mut *logic, Some(&source(FOO)));
        assert_eq!(change.params["edits"], wanted);
        assert_eq!(change.params["precondition_sha256"], "s");
    }
    let mut logic = begin(json!({"range": [17, 14], "newText": "x"}));
    ask(&mut *logic, None);
    assert_eq!(ask(&mut *logic, Some(&source(FOO))).params["edits"], wanted);
}

#[test]
fn lines_below_one_are_taken_for_one_or_refused() {
    let mut args = json!({"uri": "Assets/Foo.cs", "edits": [
        {"startLine": 0, "startCol": 0, "endLine": 1, "endCol": 2, "newText": "x"}]});
    let mut logic = begin("apply_text_edits", &args);
    let change = ask(&mut *logic, None);
    assert_eq!(change.params["edits"][0]["startLine"], 1);
    let answer = done(&mut *logic, Some(&failure("precondition_required")));
    assert_eq!(
        answer["data"]["warnings"],
        json!(["zero_based_explicit_fields_normalized"])
    );
    assert_eq!(answer["data"]["normalizedEdits"], change.params["edits"]);

    args["strict"] = true.into();
    let refused = refused("apply_text_edits", &args);
    assert!(
        refused.contains("`edits[0].startLine` expects 1 or more"),
        "{refused}"
    );
}

#[test]
fn ranges_that_say_nothing_or_overlap_are_not_sent() {
    let text = |edits: Value| json!({"uri": "Assets/Foo.cs", "edits": edits});
    let none = refused("apply_text_edits", &text(json!([{"newText": "x"}])));
    assert!(
        none.contains("`edits[0].range` expects startLine, startCol, endLine and endCol"),
        "{none}"
    );
    assert!(refused("apply_text_edits", &text(json!([]))).contains("`edits`"));
    let mut logic = begin(
        "apply_text_edits",
        &text(json!([
            {"startLine": 1, "startCol": 1, "endLine": 2, "endCol": 2, "newText": "x"},
            {"startLine": 2, "startCol": 1, "endLine": 3, "endCol": 1, "newText": "y"},
        ])),
    );
    assert_eq!(done(&mut *logic, None)["code"], "overlap");
}
