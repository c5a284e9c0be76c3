//! What clients are offered: the entries of the catalogue that somebody answers. Pure.

use crate::catalogue::{Catalogue, Resource, Source, Tool};
use crate::logic;
use std::sync::{Arc, LazyLock};

/// The handlers that the server answers by itself, without commands; the others are in [`logic`].
const OWN: &[&str] = &["get_operation", "set_active_instance"];

/// The resources that it knows without an editor.
const KNOWN: &[&str] = &["instances"];

/// Resources are told as this.
pub(super) const JSON: &str = "application/json";

/// What `tools/list` answers.
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
