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

use mcp_transport_core::Ending;
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
