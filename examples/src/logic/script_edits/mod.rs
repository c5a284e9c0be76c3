//! `script_apply_edits`: edits by what a script says.
//!
//! What names a class, a method or an anchor is placed by the plugin; what is text becomes ranges
//! here, with the hash of the text that they count in. Text goes first.

mod preview;
mod spans;
mod wording;

use mcp_transport_core::{Ending, Outcome};
use serde_json::{Map, Value, json};

use super::ranges::{self, Range};
use super::source::{self, Script, sha};
use super::{Logic, STRUCTURED, Step, never_sent, with};
use crate::catalogue::{BadArguments, Call, Reply};

/// One edit under the names that the plugin knows.
type Edit = Map<String, Value>;

pub(super) fn begin(call: &Call) -> Result<Box<dyn Logic>, BadArguments> {
    let refused = |problem| BadArguments::new(call.tool, vec![problem], 0);
    let text = |name: &str| call.params[name].as_str().unwrap_or_default();
    let script = wording::locate(text("name"), text("path")).map_err(refused)?;
    let edits = wording::edits(&call.params["edits"], &script.name).map_err(refused)?;
    Ok(Box::new(ScriptEdits {
        options: call.params["options"]
            .as_object()
            .cloned()
            .unwrap_or_default(),
        call: call.clone(),
        script,
        edits,
        misses: Vec::new(),
        state: State::Begin,
    }))
}

struct ScriptEdits {
    call: Call,
    script: Script,
    edits: Vec<Edit>,
    options: Map<String, Value>,
    /// The edits whose pattern matches nothing.
    misses: Vec<String>,
    state: State,
}

#[derive(Clone, Copy)]
enum State {
    Begin,
    Hashed,
    Read,
    TextSent,
    /// Whether text edits were written before.
    StructuredSent {
        after_text: bool,
    },
}

impl Logic for ScriptEdits {
    fn step(&mut self, answered: Option<&Reply>) -> Step {
        match (self.state, answered) {
            (State::Begin, _) => self.begin(),
            (State::Hashed, Some(reply)) => {
                let sha = reply
                    .data
                    .get("sha256")
                    .and_then(Value::as_str)
                    .map(str::to_owned);
                match self.stale(sha.as_deref()) {
                    Some(answer) => Step::Done(answer),
                    None => self.send_structured(sha, false),
                }
            }
            (State::Read, Some(reply)) => match source::text(reply) {
                Ok(text) => self.edit(&text),
                Err(failure) => Step::Done(failure),
            },
            (State::TextSent, Some(reply)) if reply.success && self.has_structured() => {
                let sha = reply
                    .data
                    .get("sha256")
                    .and_then(Value::as_str)
                    .map(str::to_owned);
                self.send_structured(sha, true)
            }
            (State::TextSent, Some(reply)) => Step::Done(self.told(reply.value.clone())),
            (State::StructuredSent { after_text }, Some(reply)) => {
                let value = self.told(reply.value.clone());
                Step::Done(match after_text && !reply.success {
                    // The client must not make them a second time.
                    true => with(value, "text_edits_written", true.into()),
                    false => value,
                })
            }
            (_, None) => unreachable!("it never waits"),
        }
    }

    fn unanswered(&self, ending: Ending) -> Ending {
        match self.state {
            State::Hashed | State::Read => never_sent(ending),
            State::StructuredSent { after_text: true } => half_made(ending),
            _ => ending,
        }
    }
}

impl ScriptEdits {
    fn begin(&mut self) -> Step {
        let Script { name, path } = &self.script;
        let params = if self.is_structured() && !self.is_preview() {
            self.state = State::Hashed;
            json!({"action": "get_sha", "name": name, "path": path})
        } else {
            self.state = State::Read;
            self.params("read")
        };
        Step::Ask(Box::new(self.call.part("manage_script", params)))
    }

    fn edit(&mut self, text: &str) -> Step {
        let sha = sha(text);
        if let Some(answer) = self.stale(Some(&sha)) {
            return Step::Done(answer);
        }
        let ranges = match spans::of(&self.edits, text, &mut self.misses) {
            Ok(ranges) => ranges,
            Err(answer) => return Step::Done(self.told(answer)),
        };
        if self.is_preview() {
            let shown = preview::of(text, &ranges, &self.edits);
            return Step::Done(self.told(shown));
        }
        match (ranges.is_empty(), self.has_structured()) {
            (false, _) => self.send_text(text, &ranges, sha),
            (true, true) => self.send_structured(Some(sha), false),
            (true, false) => {
                let message = "No pattern matches anything, so nothing was written.";
                let answer = json!({"success": false, "code": "no_spans", "message": message});
                Step::Done(self.told(answer))
            }
        }
    }

    fn send_text(&mut self, text: &str, ranges: &[Range], before: String) -> Step {
        let option = |name: &str, usual: &str| {
            let given = self.options.get(name).filter(|given| !given.is_null());
            given.cloned().unwrap_or_else(|| usual.into())
        };
        let mode = match ranges.len() {
            1 => option("applyMode", "sequential"),
            _ => "atomic".into(),
        };
        let mut params = self.params("apply_text_edits");
        params["edits"] = ranges::wire(ranges);
        params["precondition_sha256"] = before.as_str().into();
        params["options"] = json!({
            "refresh": option("refresh", "debounced"), "validate": option("validate", "standard"),
            "applyMode": mode,
        });
        self.state = State::TextSent;
        let after = ranges::apply(text, ranges).as_deref().map(sha);
        let change = self.call.part("manage_script", params);
        let change = change.changing(Some(before), after);
        Step::Ask(Box::new(change))
    }

    fn send_structured(&mut self, sha: Option<String>, after_text: bool) -> Step {
        let edits = self
            .edits
            .iter()
            .filter(|edit| is_structured(edit))
            .cloned();
        let mut params = self.params("edit");
        params["edits"] = edits.map(Value::Object).collect();
        let mut options = self.options.clone();
        // Alone, at once: an editor in the background may miss a refresh that is only scheduled.
        let refresh = if self.is_structured() {
            "immediate"
        } else {
            "debounced"
        };
        options.entry("refresh").or_insert_with(|| refresh.into());
        params["options"] = options.into();
        self.state = State::StructuredSent { after_text };
        let change = self.call.part("manage_script", params).changing(sha, None);
        Step::Ask(Box::new(change))
    }

    /// The command's parameters, without what is particular to the action.
    fn params(&self, action: &str) -> Value {
        json!({
            "action": action, "name": self.script.name, "path": self.script.path,
            "namespace": self.call.params.get("namespace"),
            "scriptType": self.call.params.get("script_type"),
        })
    }

    /// The answer if the client knows another text than the one that is there.
    fn stale(&self, found: Option<&str>) -> Option<Value> {
        let expected = self.options.get("precondition_sha256")?.as_str()?;
        if found.is_some_and(|found| found.eq_ignore_ascii_case(expected)) {
            return None;
        }
        let message = "The script is not as `precondition_sha256` says, so nothing was written. \
            Read it again.";
        Some(
            json!({"success": false, "code": "stale_file", "message": message, "data": {
                "status": "stale_file", "expected_sha256": expected, "current_sha256": found,
            }}),
        )
    }

    /// The answer with what was made of the edits.
    fn told(&self, value: Value) -> Value {
        let routing = match (self.is_structured(), self.has_structured()) {
            (true, _) => "structured",
            (false, true) => "mixed/text-first",
            (false, false) => "text",
        };
        let edits = self.edits.iter().cloned().map(Value::Object).collect();
        let value = with(
            with(value, "normalizedEdits", edits),
            "routing",
            routing.into(),
        );
        if self.misses.is_empty() {
            return value;
        }
        with(value, "warnings", self.misses.clone().into())
    }

    fn is_preview(&self) -> bool {
        self.options.get("preview") == Some(&Value::Bool(true))
    }

    fn is_structured(&self) -> bool {
        self.edits.iter().all(is_structured)
    }

    fn has_structured(&self) -> bool {
        self.edits.iter().any(is_structured)
    }
}

/// The ending of a call whose text edits are written. Nobody may take it for one that never began,
/// and send it again: neither the client, nor a relay to the next server.
fn half_made(mut ending: Ending) -> Ending {
    if ending.outcome != Outcome::NotDelivered {
        let what = "The text edits are written; this is about the structured ones.";
        ending.message = format!("{what} {}", ending.message);
        return ending.retryable(false);
    }
    let text = format!(
        "The text edits are written, the structured ones were not sent ({}). Do not send this call \
        again, or the text edits are made twice: read the script, and send the structured edits alone.",
        ending.cause
    );
    Ending::new(Outcome::Unknown, "partly_written", text).retryable(false)
}

fn op(edit: &Edit) -> &str {
    edit.get("op").and_then(Value::as_str).unwrap_or_default()
}

fn is_structured(edit: &Edit) -> bool {
    STRUCTURED.contains(&op(edit))
}

fn said<'a>(edit: &'a Edit, name: &str) -> &'a str {
    edit.get(name).and_then(Value::as_str).unwrap_or_default()
}
