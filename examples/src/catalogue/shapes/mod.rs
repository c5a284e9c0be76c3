//! What a tool does to its arguments beyond renaming them, where data cannot say it.

mod asset;
mod batch;
mod camera;
mod console;
mod gameobject;
mod prefab;
pub(crate) mod script;
mod shader;
mod tests;
mod texture;
mod ui;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::prepare::Limits;
use super::problem::Problem;

/// A transformation that an entry names.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Shape {
    /// An asset: a search as models write it.
    Asset,
    /// A list of commands: checked item by item, and a reload if one of them is.
    Batch,
    /// A camera: what a picture may combine.
    Camera,
    /// The console: `count` means ten when nothing is said, and may be null.
    Console,
    /// A GameObject: components with initial properties, and the path of a new prefab.
    Gameobject,
    /// A prefab: an object under either name, children with vectors.
    Prefab,
    /// A test run: filters that say something, or the word that frees the runner.
    RunTests,
    /// A script by name and folder, with its source in base64 when created.
    Script,
    /// A script by path, with its source in base64.
    ScriptPath,
    /// A script by URI or path, split into name and folder.
    ScriptUri,
    /// A shader, with its source in base64.
    Shader,
    /// A texture: colours, pixels, import settings.
    Texture,
    /// A UI file, with its text in base64.
    Ui,
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
            Self::Asset => {
                asset::apply(draft);
                Ok(())
            }
            Self::Batch => batch::apply(draft, limits),
            Self::Camera => camera::apply(draft),
            Self::Console => console::apply(draft),
            Self::Gameobject => gameobject::apply(draft),
            Self::Prefab => prefab::apply(draft),
            Self::RunTests => tests::apply(draft),
            Self::Script => script::contents(draft),
            Self::ScriptPath => script::path(draft),
            Self::ScriptUri => script::uri(draft),
            Self::Shader => {
                shader::apply(draft);
                Ok(())
            }
            Self::Texture => texture::apply(draft),
            Self::Ui => ui::apply(draft),
        }
    }

    /// The wire names that it may add to those of the entry.
    pub(super) fn wire_names(self) -> &'static [&'static str] {
        match self {
            Self::Asset
            | Self::Batch
            | Self::Camera
            | Self::Console
            | Self::Gameobject
            | Self::Prefab
            | Self::RunTests
            | Self::Texture => &[],
            Self::Script | Self::Ui => &["encodedContents", "contentsEncoded"],
            Self::Shader => &["encodedContents", "contentsEncoded", "contents"],
            Self::ScriptPath => &["name", "path", "encodedContents", "contentsEncoded"],
            Self::ScriptUri => &["name", "path"],
        }
    }
}

/// A file's text in base64, as the plugin takes it.
fn encode(draft: &mut Draft, contents: &str) {
    let encoded = STANDARD.encode(contents);
    draft
        .wire
        .insert("encodedContents".to_owned(), encoded.into());
    draft.wire.insert("contentsEncoded".to_owned(), true.into());
}

/// A folder without the space around it; nothing, if there is nothing else.
fn trim_folder(draft: &mut Draft, wire: &str) {
    if let Some(Value::String(folder)) = draft.wire.remove(wire) {
        let folder = folder.trim();
        if !folder.is_empty() {
            draft.wire.insert(wire.to_owned(), folder.into());
        }
    }
}
