//! The compiled-in files, and the checks that an entry has to pass before anything uses it.

use std::collections::BTreeSet;
use std::fmt;

use serde::Deserialize;

use super::coerce;
use super::types::Kind;
use super::{Catalogue, Group, Param, Replay, Resource, Tool, UNITY_INSTANCE};

/// One file per tool group: a new group is a new line here.
pub(super) const GROUPS: &[&str] = &[
    include_str!("../../catalogue/core.json"),
    include_str!("../../catalogue/animation.json"),
    include_str!("../../catalogue/asset_gen.json"),
    include_str!("../../catalogue/docs.json"),
    include_str!("../../catalogue/probuilder.json"),
    include_str!("../../catalogue/profiling.json"),
    include_str!("../../catalogue/scripting_ext.json"),
    include_str!("../../catalogue/testing.json"),
    include_str!("../../catalogue/ui.json"),
    include_str!("../../catalogue/vfx.json"),
    include_str!("../../catalogue/ungrouped.json"),
];
pub(super) const RESOURCES: &str = include_str!("../../catalogue/resources.json");

/// Why catalogue data were refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// No JSON, or not of the entry format.
    #[error("a catalogue file is not of the entry format")]
    Format(#[from] serde_json::Error),
    /// An entry contradicts itself or another one.
    #[error("the entry of `{name}`: {what}")]
    Entry {
        /// The tool or resource.
        name: String,
        /// What is wrong with it.
        what: String,
    },
}

impl Catalogue {
    /// Reads and checks group files and a resource file.
    ///
    /// # Errors
    ///
    /// [`LoadError`] for the first entry that is not of the format, names an action, parameter or
    /// shape that does not exist, or leaves a decision open.
    pub fn parse(groups: &[&str], resources: &str) -> Result<Self, LoadError> {
        let (mut tools, mut known) = (Vec::new(), Vec::new());
        for text in groups {
            let file: GroupFile = serde_json::from_str(text)?;
            known.extend(file.described()?);
            for mut tool in file.tools {
                tool.group.clone_from(&file.group);
                check(&tool).map_err(|what| LoadError::Entry {
                    name: tool.name.clone(),
                    what,
                })?;
                tools.push(tool);
            }
        }
        let resources: Vec<Resource> = serde_json::from_str(resources)?;
        for resource in &resources {
            resource.check().map_err(|what| LoadError::Entry {
                name: resource.uri.clone(),
                what,
            })?;
        }
        unique(tools.iter().map(|tool| &tool.name))?;
        unique(resources.iter().map(|resource| &resource.uri))?;
        known.sort_by(|a: &Group, b| a.name.cmp(&b.name));
        Ok(Self {
            tools,
            groups: known,
            resources,
        })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GroupFile {
    #[serde(deserialize_with = "Option::deserialize")]
    group: Option<String>,
    /// What the group is for, in a line.
    #[serde(default)]
    about: String,
    tools: Vec<Tool>,
}

impl GroupFile {
    fn described(&self) -> Result<Option<Group>, LoadError> {
        let Some(name) = self.group.clone() else {
            return Ok(None);
        };
        let about = self.about.clone();
        ensure(!about.is_empty(), "has no `about`").map_err(|what| LoadError::Entry {
            name: name.clone(),
            what,
        })?;
        Ok(Some(Group { name, about }))
    }
}

fn unique<'a>(names: impl Iterator<Item = &'a String>) -> Result<(), LoadError> {
    let mut seen = BTreeSet::new();
    for name in names {
        if !seen.insert(name) {
            let what = "stands there twice".to_owned();
            return Err(LoadError::Entry {
                name: name.clone(),
                what,
            });
        }
    }
    Ok(())
}

fn check(tool: &Tool) -> Result<(), String> {
    ensure(!tool.description.is_empty(), "has no description")?;
    ensure(
        tool.replay == Replay::Never || tool.actions().is_empty(),
        "has actions, so replay is decided per action: replay `never` and `safe_actions`",
    )?;
    let mut params = BTreeSet::from([UNITY_INSTANCE]);
    let mut wires: BTreeSet<&str> = tool.constants.keys().map(String::as_str).collect();
    for param in &tool.params {
        let name = &param.name;
        ensure(
            params.insert(name),
            format_args!("parameter `{name}` is taken"),
        )?;
        let fresh = param.wire.as_deref().is_none_or(|wire| wires.insert(wire));
        ensure(fresh, format_args!("wire name of `{name}` is taken"))?;
        check_param(tool, param).map_err(|what| format!("parameter `{name}` {what}"))?;
    }
    if tool.command.is_none() || tool.handler.is_some() {
        ensure(
            tool.handler.is_some(),
            "has neither a command nor a handler",
        )?;
        let on_wire = tool.params.iter().any(|param| param.wire.is_some());
        ensure(
            !on_wire && !tool.preflight && tool.constants.is_empty() && tool.shape.is_none(),
            "has a handler, so nothing of it goes on the wire as such",
        )?;
    }
    check_actions(tool)
}

fn check_param(tool: &Tool, param: &Param) -> Result<(), String> {
    ensure(!param.description.is_empty(), "has no description")?;
    ensure(
        !param.required || param.default.is_none(),
        "is required, yet has a default",
    )?;
    ensure(
        param.one_of.is_empty() || param.ty.kinds == [Kind::String],
        "has words, which only text can",
    )?;
    let mut words = BTreeSet::new();
    let once = param.words().iter().all(|word| words.insert(word));
    ensure(once, "has a word twice")?;
    let numeric = |kind: &Kind| matches!(kind, Kind::Integer | Kind::Number);
    ensure(
        param.clamp.is_none_or(|[least, most]| least <= most)
            && (param.clamp.is_none() || param.ty.kinds.iter().any(numeric)),
        "has bounds that no number is within",
    )?;
    ensure(
        param.reads.is_none() || param.vector.is_none(),
        "is read in two ways",
    )?;
    if param.vector.is_some() {
        let list = |kind: &Kind| matches!(kind, Kind::Array(_));
        ensure(
            param.ty.kinds.iter().any(list),
            "is a vector, yet takes no list",
        )?;
    }
    if let Some(default) = &param.default {
        let fits = coerce::coerce(&param.ty, default.clone());
        ensure(
            fits == Ok(Some(default.clone())),
            "has a default that it would not take",
        )?;
    }
    known(tool, &param.actions)
}

fn check_actions(tool: &Tool) -> Result<(), String> {
    known(tool, &tool.safe_actions)?;
    known(tool, &tool.server_actions)?;
    known(tool, tool.reload.actions())?;
    known(tool, tool.long.actions())?;
    for (action, groups) in &tool.needs {
        known(tool, std::slice::from_ref(action))?;
        for name in groups.iter().flatten() {
            ensure(
                tool.param(name).is_some(),
                format_args!("needs `{name}`, which it does not take"),
            )?;
        }
    }
    Ok(())
}

/// Actions may be named only by a tool that takes them; a tool whose actions are free text (they
/// differ between editor versions) is believed.
fn known(tool: &Tool, actions: &[String]) -> Result<(), String> {
    let choices = tool.actions();
    for action in actions {
        let exists = match tool.param("action") {
            Some(_) => choices.is_empty() || choices.contains(action),
            None => false,
        };
        ensure(
            exists,
            format_args!("names the action `{action}`, which it does not have"),
        )?;
    }
    Ok(())
}

/// Says what is wrong only if something is: most of the time nothing is.
fn ensure(holds: bool, what: impl fmt::Display) -> Result<(), String> {
    if holds { Ok(()) } else { Err(what.to_string()) }
}
