//! What a tool does to its arguments beyond renaming them, where data cannot say it.

mod batch;
mod console;
mod gameobject;
mod script;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::prepare::Limits;
use super::problem::Problem;

/// A transformation that an entry names.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Shape {
    /// A list of commands: checked item by item, and a reload if one of them is.
    Batch,
    /// The console: `count` means ten when nothing is said, and may be null.
    Console,
    /// A GameObject: components with initial properties, and the path of a new prefab.
    Gameobject,
    /// A script by name and folder, with its source in base64 when created.
    Script,
    /// A script by path, with its source in base64.
    ScriptPath,
    /// A script by URI or path, split into name and folder.
    ScriptUri,
}

/// A call in the making.
#[derive(Debug)]
pub(super) struct Draft {
    /// What goes to the plugin, by wire name.
    pub(super) wire: Map<String, Value>,
    /// What stays here, by parameter name.
    pub(super) local: Map<String, Value>,
    /// Whether a domain reload is to be expected.
    pub(super) reload: bool,
}

impl Draft {
    fn action(&self) -> Option<&str> {
        self.wire.get("action")?.as_str()
    }

    fn take_text(&mut self, local: &str) -> String {
        match self.local.remove(local) {
            Some(Value::String(text)) => text,
            _ => String::new(),
        }
    }
}

impl Shape {
    pub(super) fn apply(self, draft: &mut Draft, limits: Limits) -> Result<(), Problem> {
        match self {
            Self::Batch => batch::apply(draft, limits),
            Self::Console => console::apply(draft),
            Self::Gameobject => gameobject::apply(draft),
            Self::Script => script::contents(draft),
            Self::ScriptPath => script::path(draft),
            Self::ScriptUri => script::uri(draft),
        }
    }

    /// The wire names that it may add to those of the entry.
    pub(super) fn wire_names(self) -> &'static [&'static str] {
        match self {
            Self::Batch | Self::Console | Self::Gameobject => &[],
            Self::Script => &["encodedContents", "contentsEncoded"],
            Self::ScriptPath => &["name", "path", "encodedContents", "contentsEncoded"],
            Self::ScriptUri => &["name", "path"],
        }
    }
}
