//! What a tool does beyond one command, step by step.
#![allow(missing_docs, reason = "a test's name says what it proves")]

use std::time::Duration;

use examples::catalogue::envelope::normalise;
use examples::catalogue::{Call, Catalogue, Reply};
use examples::logic::{self, Logic, Step};
use serde_json::{Value, json};

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
