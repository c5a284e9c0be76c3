//! What a client is offered: the entries of the catalogue that somebody answers and that its editors have, and the tools that
//! their projects define themselves. Pure.
//!
//! | the editors that a session's calls can go to | the catalogue's tools | tools of projects |
//! |---|---|---|
//! | none is known, or one that has not said what it has | all | of those that have said |
//! | one: the session's own choice, or the only one | those that it has registered | its own |
//! | several, none chosen | those that one of them has registered | those of all |
//!
//! An editor that is away has what it had, so a reload changes no list. One that has quit counts no more. A tool that sends no
//! command is always there, unless it belongs to a group of which the editors have nothing. From all that a session takes
//! away the groups that it has switched off.

use crate::catalogue::custom::CustomTool;
use crate::catalogue::{Catalogue, Resource, Source, Tool, Toolset};
use crate::hub::{Instance, Phase};
use crate::logic;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::sync::{Arc, LazyLock};

/// The handlers that the server answers by itself, without commands; the others are in [`logic`].
const OWN: &[&str] = &[
    "debug_request_context",
    "execute_custom_tool",
    "get_operation",
    "manage_tools",
    "set_active_instance",
    "unity_docs",
];

/// The resources that it knows without an editor.
const KNOWN: &[&str] = &["custom_tools", "instances", "tool_groups"];

/// Resources are told as this.
pub(super) const JSON: &str = "application/json";

/// What is known of the editors that a session's calls can go to.
#[derive(Clone, Debug, Default)]
pub struct Known {
    sets: Vec<Arc<Toolset>>,
    /// One of them has not said what it has.
    silent: bool,
}

/// What a session has chosen for itself.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Choices {
    /// The hash of the editor that its calls go to.
    pub active: Option<String>,
    /// The groups that it has switched off.
    pub off: BTreeSet<String>,
}

/// What one client is offered.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Offer {
    catalogued: Vec<&'static str>,
    custom: Vec<Arc<CustomTool>>,
}

/// Why a tool of the catalogue is not offered.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "each has a text of its own")]
pub enum Hidden {
    /// The session has switched its group off.
    ByGroup,
    /// No editor that its calls can go to has registered it.
    ByEditor,
}

impl Known {
    /// Of these editors, for a session that has chosen the one with this hash, or none.
    pub fn of(instances: &[Instance], active: Option<&str>) -> Self {
        let mut known = Self::default();
        for one in instances {
            let mine = active.is_none_or(|hash| one.hash == hash);
            if !mine || matches!(one.phase, Phase::Quit { .. }) {
                continue;
            }
            match &one.tools {
                Some(tools) => known.sets.push(tools.clone()),
                None => known.silent = true,
            }
        }
        known
    }

    /// Whether they have all said what they have, and there is one at least.
    pub(super) fn is_told(&self) -> bool {
        !self.silent && !self.sets.is_empty()
    }

    /// Whether one of them may have this tool.
    fn has(&self, tool: &Tool) -> bool {
        if !self.is_told() {
            return true;
        }
        let registered = |tool: &Tool| {
            let command = tool.command.as_deref();
            command.is_some_and(|command| self.sets.iter().any(|set| set.has(command)))
        };
        match (&tool.command, &tool.group) {
            (Some(_), _) => registered(tool),
            (None, None) => true,
            (None, Some(group)) => Catalogue::builtin().tools_of(group).any(registered),
        }
    }
}

/// Whether a session with these choices is offered this tool of the catalogue; if not, why.
///
/// # Errors
/// [`Hidden`] says who has switched it off.
pub fn visible(tool: &Tool, known: &Known, choices: &Choices) -> Result<(), Hidden> {
    let off = |group: &String| choices.off.contains(group);
    if tool.group.as_ref().is_some_and(off) {
        return Err(Hidden::ByGroup);
    }
    if known.has(tool) {
        Ok(())
    } else {
        Err(Hidden::ByEditor)
    }
}

impl Offer {
    /// What a session with these choices is offered.
    pub fn of(known: &Known, choices: &Choices) -> Self {
        let tools = Catalogue::builtin().tools().iter();
        let catalogued = tools
            .filter(|tool| is_offered(tool) && visible(tool, known, choices).is_ok())
            .map(|tool| &*tool.name)
            .collect();
        let mut custom: Vec<Arc<CustomTool>> = Vec::new();
        for tool in known.sets.iter().flat_map(|set| set.custom()) {
            // Of two projects' tools of one name the first is listed; a call is checked by its own project's.
            if custom.iter().all(|listed| listed.name() != tool.name()) {
                custom.push(tool.clone());
            }
        }
        Self { catalogued, custom }
    }

    /// The names, those of the catalogue first.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let custom = self.custom.iter().map(|tool| tool.name());
        self.catalogued.iter().copied().chain(custom)
    }

    /// What `tools/list` answers.
    pub fn listed(&self) -> Vec<rmcp::model::Tool> {
        let mut names = self.catalogued.iter().peekable();
        // Both are in the catalogue's order.
        let catalogued = tools()
            .iter()
            .filter(|tool| names.next_if(|name| **name == tool.name).is_some());
        let custom = self.custom.iter().map(|tool| listed_custom(tool));
        catalogued.cloned().chain(custom).collect()
    }
}

/// The catalogue's tools that somebody answers: what `tools/list` answers while no editor is known.
pub fn tools() -> &'static [rmcp::model::Tool] {
    static TOOLS: LazyLock<Vec<rmcp::model::Tool>> = LazyLock::new(|| {
        let tools = Catalogue::builtin().tools().iter();
        tools.filter(|tool| is_offered(tool)).map(listed).collect()
    });
    &TOOLS
}

/// What `resources/list` answers.
pub fn resources() -> Vec<rmcp::model::Resource> {
    let fixed = readable().filter(|resource| !resource.is_template());
    let listed = fixed.map(|resource| {
        let mut listed = rmcp::model::Resource::new(&*resource.uri, &*resource.name);
        listed.title = Some(resource.title.clone());
        listed.description = Some(resource.description.clone());
        listed.mime_type = Some(JSON.to_owned());
        listed
    });
    listed.collect()
}

/// What `resources/templates/list` answers.
pub fn resource_templates() -> Vec<rmcp::model::ResourceTemplate> {
    let templates = readable().filter(|resource| resource.is_template());
    let listed = templates.map(|resource| {
        let mut listed = rmcp::model::ResourceTemplate::new(&*resource.uri, &*resource.name);
        listed.title = Some(resource.title.clone());
        listed.description = Some(resource.description.clone());
        listed.mime_type = Some(JSON.to_owned());
        listed
    });
    listed.collect()
}

/// A tool that nobody answers is no tool.
pub(super) fn is_offered(tool: &Tool) -> bool {
    let handler = tool.handler.as_deref();
    handler.is_none_or(|name| OWN.contains(&name) || logic::knows(name))
}

/// Nor is a resource that nobody knows.
pub(super) fn is_readable(resource: &Resource) -> bool {
    match &resource.source {
        Source::Server(name) => KNOWN.contains(&&**name),
        Source::Command(_) | Source::Document(_) => true,
    }
}

fn readable() -> impl Iterator<Item = &'static Resource> {
    let resources = Catalogue::builtin().resources().iter();
    resources.filter(|resource| is_readable(resource))
}

fn listed(tool: &'static Tool) -> rmcp::model::Tool {
    let hints = &tool.annotations;
    let mut annotations = rmcp::model::ToolAnnotations::with_title(hints.title.clone());
    annotations.read_only_hint = hints.read_only_hint;
    annotations.destructive_hint = hints.destructive_hint;
    annotations.idempotent_hint = hints.idempotent_hint;
    annotations.open_world_hint = hints.open_world_hint;
    let mut listed = rmcp::model::Tool::new(
        &*tool.name,
        &*tool.description,
        Arc::new(tool.input_schema()),
    );
    listed.title = Some(tool.title.clone());
    listed.annotations = Some(annotations);
    listed
}

/// What such a tool does nobody here knows, so it bears no hints.
fn listed_custom(tool: &CustomTool) -> rmcp::model::Tool {
    rmcp::model::Tool::new(
        tool.name().to_owned(),
        tool.description(),
        Arc::new(tool.input_schema()),
    )
}
