//! What one editor's plugin offers, by its own word.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

use serde::Deserialize;

use super::Catalogue;
use super::custom::{CustomTool, Definition};

/// The tools that an editor's plugin has registered: which of the catalogue's it has, and which the project defines itself.
///
/// Bounded: 512 tools, 64 KiB of JSON for each, 1 MiB for those of the project's own. What is beyond that, or cannot be
/// used, is skipped, and said; all others stay.
#[derive(Debug, Default, Eq, PartialEq)]
pub struct Toolset {
    registered: BTreeSet<String>,
    custom: Vec<Arc<CustomTool>>,
    skipped: Vec<Skipped>,
    more_skipped: usize,
    /// It could not tell the project's own tools from others.
    vague: bool,
}

/// A tool that was registered, and that no client can have.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Skipped {
    /// Its name, shortened; empty if it has none.
    pub name: String,
    /// Why, in a sentence.
    pub why: String,
}

const MAX_TOOLS: usize = 512;
const MAX_TOOL_BYTES: usize = 64 * 1024;
const MAX_CUSTOM_BYTES: usize = 1024 * 1024;

/// So many of the skipped ones are named; the rest is counted.
const MAX_SKIPPED: usize = 32;

/// How much of a name is told, in characters.
const TOLD: usize = 64;

impl Toolset {
    /// Reads the list in `register_tools`, or in the answer to `get_tool_states`.
    ///
    /// Each item is the JSON of one tool. The latter says of each tool whether it is switched on: those that are not count as not registered.
    pub fn read(tools: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        let mut set = Self::default();
        let mut bytes = 0;
        for (at, tool) in tools.into_iter().enumerate() {
            let text = tool.as_ref();
            match set.take(at, text, MAX_CUSTOM_BYTES - bytes) {
                Ok(used) => bytes += used,
                Err(why) => set.skip(name_of(text), why),
            }
        }
        set
    }

    /// Takes one tool over: how many bytes count for it.
    fn take(&mut self, at: usize, text: &str, room: usize) -> Result<usize, String> {
        if at >= MAX_TOOLS {
            return Err(format!("an editor can have {MAX_TOOLS} tools"));
        }
        if text.len() > MAX_TOOL_BYTES {
            let bytes = text.len();
            return Err(format!(
                "its definition has {bytes} bytes; {MAX_TOOL_BYTES} are the limit"
            ));
        }
        let definition: Definition = serde_json::from_str(text)
            .map_err(|error| format!("its definition cannot be read: {error}"))?;
        if definition.enabled == Some(false) {
            return Ok(0);
        }
        let name = definition.name.clone();
        if Catalogue::builtin().tool(&name).is_some() {
            self.registered.insert(name);
            return Ok(0);
        }
        match (definition.is_built_in, definition.enabled) {
            // The plugin knows it, and we do not: it is newer than our catalogue.
            (Some(true), _) => return Ok(0),
            // An older plugin's `get_tool_states` has names, and no parameters.
            (None, Some(_)) => {
                self.vague = true;
                return Ok(0);
            }
            (Some(false), _) | (None, None) => {}
        }
        if text.len() > room {
            return Err(format!(
                "a project's own tools can have {MAX_CUSTOM_BYTES} bytes of definitions in all"
            ));
        }
        let tool = CustomTool::new(definition)?;
        if !self.registered.insert(name) {
            return Err("another tool of the project has the same name".to_owned());
        }
        self.custom.push(Arc::new(tool));
        Ok(text.len())
    }

    fn skip(&mut self, name: String, why: String) {
        if self.skipped.len() == MAX_SKIPPED {
            self.more_skipped += 1;
            return;
        }
        self.skipped.push(Skipped { name, why });
    }

    /// The same with the project's own tools as another registration had them, if this one could not tell them: an older
    /// plugin's answer to `get_tool_states` only has names.
    #[must_use]
    pub fn or_custom_of(mut self, former: Option<&Self>) -> Self {
        let Some(former) = former.filter(|_| self.vague && self.custom.is_empty()) else {
            return self;
        };
        let names = former.custom.iter().map(|tool| tool.name().to_owned());
        self.registered.extend(names);
        self.custom.clone_from(&former.custom);
        self
    }

    /// Whether the plugin has this command.
    pub fn has(&self, command: &str) -> bool {
        self.registered.contains(command)
    }

    /// Every command that it has.
    pub fn registered(&self) -> impl ExactSizeIterator<Item = &str> {
        self.registered.iter().map(String::as_str)
    }

    /// The project's own tools, in the order in which they were registered.
    pub fn custom(&self) -> &[Arc<CustomTool>] {
        &self.custom
    }

    /// The project's own tool of this name.
    pub fn custom_tool(&self, name: &str) -> Option<&Arc<CustomTool>> {
        self.custom.iter().find(|tool| tool.name() == name)
    }

    /// What was left out, and why: 32 of them at most, and how many more.
    pub fn skipped(&self) -> (&[Skipped], usize) {
        (&self.skipped, self.more_skipped)
    }
}

/// The name of a definition that cannot be used.
fn name_of(text: &str) -> String {
    #[derive(Deserialize)]
    struct Named<'a> {
        #[serde(borrow, default)]
        name: Cow<'a, str>,
    }
    let named = serde_json::from_str::<Named<'_>>(text);
    let name = named.map(|named| named.name.into_owned());
    name.unwrap_or_default().chars().take(TOLD).collect()
}
