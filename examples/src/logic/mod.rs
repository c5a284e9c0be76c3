//! What a tool does beyond one command, as state machines without I/O: read a script, find in it,
//! edit it; ask again until tests have ended.
//!
//! A catalogue entry names its handler; [`start`] makes the [`Logic`] of a call. Whoever runs it
//! does what each [`Step`] says and comes back with the answer:
//!
//! ```
//! use examples::catalogue::{Catalogue, envelope::normalise};
//! use examples::logic::{Step, start};
//! use serde_json::json;
//!
//! let tool = Catalogue::builtin().tool("find_in_file").expect("a tool of the catalogue");
//! let args = json!({"uri": "Assets/Foo.cs", "pattern": "clas+"});
//! let call = tool.prepare(args.as_object().cloned().expect("an object")).expect("good arguments");
//! let handler = tool.handler.as_deref().expect("it has one");
//! let mut logic = start(handler, &call).expect("registered").expect("good arguments");
//!
//! let Step::Ask(read) = logic.step(None) else { panic!("it reads first") };
//! assert_eq!(read.params, json!({"action": "read", "name": "Foo", "path": "Assets"}));
//! let reply = normalise(&json!({"success": true, "data": {"contents": "class Foo {}"}}));
//! let Step::Done(answer) = logic.step(Some(&reply)) else { panic!("that was all") };
//! assert_eq!(answer["data"]["count"], 1);
//! ```

mod capabilities;
pub mod docs;
pub mod editor_state;
pub mod external;
mod find;
mod pattern;
mod position;
pub mod preflight;
mod ranges;
pub mod readiness;
pub mod refresh;
mod script_edits;
pub mod secrets;
mod source;
mod test_job;
mod text_edits;

use std::time::Duration;

use mcp_transport_core::{Ending, Outcome};
use serde_json::Value;

use crate::catalogue::{BadArguments, Call, Reply};

/// One call's way through several commands.
pub trait Logic: Send {
    /// What to do next. `answered` is the answer to the command that was asked for last; `None` at
    /// the beginning and after a wait.
    fn step(&mut self, answered: Option<&Reply>) -> Step;

    /// The ending of the whole call if the command that was asked for last got no answer, but this
    /// ending. A command that was not delivered does not say the same of the whole call where one
    /// before it has changed something: whoever sends that again makes the change a second time.
    fn unanswered(&self, ending: Ending) -> Ending {
        ending
    }
}

/// What a [`Logic`] wants done.
#[derive(Debug)]
#[expect(clippy::exhaustive_enums, reason = "whoever runs it has to do each")]
pub enum Step {
    /// This command, in the same editor as the ones before. If it gets no answer the call is over,
    /// with what [is known then](Logic::unanswered).
    Ask(Box<Call>),
    /// Nothing, for so long.
    Wait(Duration),
    /// The call is over, and this is its answer.
    Done(Value),
}

/// Begins a call. `None`: nobody has registered this handler.
///
/// # Errors
///
/// The arguments do not fit together. Nothing was sent.
pub fn start(handler: &str, call: &Call) -> Option<Result<Box<dyn Logic>, BadArguments>> {
    let (_, begin) = HANDLERS.iter().find(|(name, _)| *name == handler)?;
    Some(begin(call))
}

/// Whether [`start`] knows this handler.
pub fn knows(handler: &str) -> bool {
    HANDLERS.iter().any(|(name, _)| *name == handler)
}

type Begin = fn(&Call) -> Result<Box<dyn Logic>, BadArguments>;

const HANDLERS: &[(&str, Begin)] = &[
    ("apply_text_edits", text_edits::begin),
    ("find_in_file", find::begin),
    ("get_test_job", test_job::begin),
    ("manage_script_capabilities", capabilities::begin),
    ("script_apply_edits", script_edits::begin),
];

/// The edits that the plugin places itself, by class, method or regular expression.
const STRUCTURED: &[&str] = &[
    "replace_class",
    "delete_class",
    "replace_method",
    "delete_method",
    "insert_method",
    "anchor_insert",
    "anchor_delete",
    "anchor_replace",
];
/// The edits that become ranges here.
const TEXT: &[&str] = &["replace_range", "regex_replace", "prepend", "append"];

/// The ending of a call which asks something before it changes anything, if that question got no answer. Whatever became of the
/// question, and whether its answer can be fetched later: the change was not sent.
pub(crate) fn never_sent(ending: Ending) -> Ending {
    if ending.outcome == Outcome::NotDelivered {
        return ending;
    }
    let text = format!(
        "This call was not sent, since the question that comes before it got no answer ({}). It changed nothing: send it again.",
        ending.cause
    );
    // With the cause that it had: a server that ends leaves the call to the next one.
    Ending::new(Outcome::NotDelivered, ending.cause, text)
}

/// The answer with this in its `data`, unless it says it itself.
fn with(mut value: Value, name: &str, what: Value) -> Value {
    if let Some(value) = value.as_object_mut() {
        let data = value.entry("data").or_insert(Value::Null);
        if data.is_null() {
            *data = Value::Object(serde_json::Map::new());
        }
        if let Some(data) = data.as_object_mut() {
            data.entry(name).or_insert(what);
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::Catalogue;
    use serde_json::json;

    /// What this call hears whose first command ended so.
    fn first_unanswered(tool: &str, args: &Value, ending: Ending) -> Ending {
        let tool = Catalogue::builtin().tool(tool).expect("it is there");
        let args = args.as_object().cloned().expect("an object");
        let call = tool.prepare(args).expect("good arguments");
        let handler = tool.handler.as_deref().expect("it has one");
        let mut logic = start(handler, &call).expect("known").expect("good");
        assert!(matches!(logic.step(None), Step::Ask(_)));
        logic.unanswered(ending)
    }

    #[test]
    fn an_edit_whose_script_could_not_be_read_was_not_sent() {
        let line = json!({"startLine": 1, "startCol": 1, "endLine": 1, "endCol": 1, "newText": ""});
        let text = json!({"op": "append", "text": "// z"});
        let method = json!({"op": "delete_method", "className": "Foo", "methodName": "Bar"});
        for (tool, args) in [
            (
                "apply_text_edits",
                json!({"uri": "Assets/Foo.cs", "edits": [line], "precondition_sha256": "abc"}),
            ),
            (
                "script_apply_edits",
                json!({"name": "Foo", "path": "Assets", "edits": [text]}),
            ),
            (
                "script_apply_edits",
                json!({"name": "Foo", "path": "Assets", "edits": [method]}),
            ),
        ] {
            let late = Ending::new(Outcome::Running, "editor_busy", "ask for it later");
            let ended = first_unanswered(tool, &args, late.operation_id("op-1"));
            assert_eq!(ended.outcome, Outcome::NotDelivered, "{args}");
            assert_eq!((ended.operation_id, ended.retryable), (None, true));
            assert_eq!(ended.cause, "editor_busy");
        }
    }

    #[test]
    fn a_search_whose_answer_comes_late_says_how_to_ask_for_it() {
        let args = json!({"uri": "Assets/Foo.cs", "pattern": "x"});
        let late = Ending::new(Outcome::Running, "editor_busy", "ask for it later");
        let late = late.operation_id("op-1");
        assert_eq!(first_unanswered("find_in_file", &args, late.clone()), late);
    }
}
