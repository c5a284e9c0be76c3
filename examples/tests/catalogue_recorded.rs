//! What goes to the plugin for a call, beside what the Python server (10.3.0) was recorded to send
//! for the same call: `fixtures/recorded-calls.json`, made by `fixtures/record_calls.py`.
#![allow(missing_docs, reason = "a test's name says what it proves")]

use std::collections::BTreeMap;

use examples::catalogue::envelope::normalise;
use examples::catalogue::{Catalogue, Source};
use examples::logic::{self, Step};
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// Where we send something else on purpose.
#[derive(Deserialize)]
struct Difference {
    tool: String,
    /// A part of the arguments, as compact JSON with its keys in order.
    args: String,
    /// Why.
    why: String,
}

/// The differences that a recorded call can show. The rest is for `same_commands.py`, which reads
/// the same file, and runs the Python server.
fn chosen() -> Vec<Difference> {
    let all = include_str!("../fixtures/chosen-differences.json");
    let all = serde_json::from_str::<Vec<Difference>>(all).expect("JSON");
    assert!(
        all.iter().all(|one| !one.why.is_empty()),
        "each has a reason"
    );
    let calls = recorded();
    let shown = |one: &Difference| calls.iter().any(|call| call["tool"] == *one.tool);
    all.into_iter().filter(shown).collect()
}

fn recorded() -> Vec<Value> {
    serde_json::from_str(include_str!("../fixtures/recorded-calls.json")).expect("JSON")
}

#[test]
fn the_plugin_gets_what_the_python_server_sends() {
    let different = chosen();
    let mut used = vec![false; different.len()];
    let mut wrong = Vec::new();
    for call in recorded().iter().filter(|call| call.get("tool").is_some()) {
        let (tool, args) = (
            call["tool"].as_str().expect("a name"),
            call["args"].to_string(),
        );
        let Some(sent) = sent(call) else { continue };
        let chosen = different
            .iter()
            .position(|one| one.tool == tool && args.contains(&one.args));
        let same = same(&sent, &call["sent"]);
        match chosen {
            Some(at) if !same => used[at] = true,
            None if same => {}
            _ => wrong.push(format!(
                "{tool} {args}\n  ours   {sent}\n  theirs {}",
                call["sent"]
            )),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(used.iter().all(|used| *used), "{used:?}");
}

#[test]
fn a_resource_sends_what_the_python_server_sends() {
    for call in recorded().iter().filter(|call| call.get("uri").is_some()) {
        let uri = call["uri"].as_str().expect("a URI");
        let read = Catalogue::builtin()
            .resource(uri)
            .expect("there is one")
            .expect("it is well");
        let Source::Command(command) = &read.resource.source else {
            panic!("{uri} sends something")
        };
        assert_eq!(json!([[command, read.params]]), call["sent"], "{uri}");
    }
}

#[test]
fn at_least_three_calls_of_every_tool_are_recorded() {
    let mut counted = BTreeMap::new();
    for call in recorded() {
        *counted
            .entry(call["tool"].as_str().unwrap_or_default().to_owned())
            .or_insert(0) += 1;
    }
    for tool in Catalogue::builtin().tools() {
        let sends = tool.command.is_some();
        let few = counted.get(&tool.name).is_none_or(|count| *count < 3);
        assert!(!sends || !few, "{}", tool.name);
    }
}

/// What we send; `None` for a tool whose handler is missing.
fn sent(call: &Value) -> Option<Value> {
    let tool = Catalogue::builtin()
        .tool(call["tool"].as_str()?)
        .expect("a tool");
    let args = call["args"].as_object().expect("an object").clone();
    let prepared = match tool.prepare(args) {
        Ok(prepared) => prepared,
        Err(bad) => return Some(bad.to_string().into()),
    };
    let Some(handler) = tool.handler.as_deref() else {
        return Some(json!([[prepared.command, prepared.params]]));
    };
    let Ok(mut logic) = logic::start(handler, &prepared)? else {
        return Some(json!([]));
    };
    let (mut sent, mut answered) = (Vec::new(), None);
    loop {
        match logic.step(answered.take().as_ref()) {
            Step::Ask(ask) => {
                sent.push(json!([ask.command, ask.params]));
                answered = Some(normalise(&reply(
                    call,
                    &ask.params,
                    ask.command.expect("one"),
                )));
            }
            Step::Wait(_) => {}
            Step::Done(_) => return Some(sent.into()),
        }
    }
}

/// The plugin's answer, as it was when the call was recorded.
fn reply(call: &Value, params: &Value, command: &str) -> Value {
    let action = params["action"].as_str().unwrap_or("None");
    let replies = call["replies"]
        .as_object()
        .cloned()
        .unwrap_or_else(Map::new);
    let usual = || json!({"success": true, "message": "ok", "data": {}});
    let named = replies.get(&format!("{command}:{action}"));
    named
        .or_else(|| replies.get(command))
        .cloned()
        .unwrap_or_else(usual)
}

/// Equal, where 5 and 5.0 are the same number: C# reads both alike.
fn same(ours: &Value, theirs: &Value) -> bool {
    match (ours, theirs) {
        (Value::Number(a), Value::Number(b)) => a.as_f64() == b.as_f64(),
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            let equal = |(key, a): (&String, &Value)| b.get(key).is_some_and(|b| same(a, b));
            a.len() == b.len() && a.iter().all(equal)
        }
        (a, b) => a == b,
    }
}
