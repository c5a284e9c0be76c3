//! Something that a client can read: a URI or a template of one, and where the contents come from.

use std::collections::BTreeSet;

use percent_encoding::percent_decode_str;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::coerce::coerce;
use super::problem::Problem;
use super::types::Type;

/// One resource.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Resource {
    /// `mcpforunity://…`; with `{…}` in it, a template.
    pub uri: String,
    /// The name that clients list.
    pub name: String,
    /// The name that people read.
    pub title: String,
    /// What the model reads.
    pub description: String,
    /// Where the contents come from.
    pub source: Source,
    /// Wire parameters that are always the same.
    #[serde(default)]
    pub constants: Map<String, Value>,
    /// What the URI says: the parts that the template names, and what may stand behind a `?`.
    #[serde(default)]
    pub params: Vec<ResourceParam>,
}

/// A part of a resource's URI.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct ResourceParam {
    /// Its name in the template, or behind the `?`.
    pub name: String,
    /// Its name on the wire.
    pub wire: String,
    /// What it takes.
    #[serde(rename = "type")]
    pub ty: Type,
    /// What is sent when the URI does not say it: only for those behind a `?`.
    #[serde(default)]
    pub default: Option<Value>,
    /// It may hold slashes as they are, as a path does that nobody has encoded.
    #[serde(default)]
    pub path: bool,
}

/// Where a resource's contents come from.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "snake_case")]
#[expect(
    clippy::exhaustive_enums,
    reason = "the three words of the entry format"
)]
pub enum Source {
    /// The answer to this plugin command.
    Command(String),
    /// This text, which never changes.
    Document(Value),
    /// This server knows them, under this name. A resource that nobody knows is not offered.
    Server(String),
}

/// A resource, and what its URI says.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Read {
    /// The entry.
    pub resource: &'static Resource,
    /// The parameters of the command.
    pub params: Value,
}

impl Resource {
    /// Whether the URI is a template.
    pub fn is_template(&self) -> bool {
        self.uri.contains('{')
    }

    /// The same URI with other parts may mean another resource; the one with the longer text wins.
    fn said(&self) -> usize {
        let mut depth = 0_usize;
        let outside = |c: &char| {
            match c {
                '{' => depth += 1,
                '}' => depth -= 1,
                _ => {}
            }
            depth == 0
        };
        self.uri.chars().filter(outside).count()
    }

    pub(super) fn check(&self) -> Result<(), String> {
        if self.description.is_empty() {
            return Err("has no description".to_owned());
        }
        let sends = !self.params.is_empty() || !self.constants.is_empty();
        if sends && !matches!(self.source, Source::Command(_)) {
            return Err("has parameters, yet sends no command".to_owned());
        }
        let mut wires: BTreeSet<&str> = self.constants.keys().map(String::as_str).collect();
        for param in &self.params {
            let named = self.uri.contains(&format!("{{{}}}", param.name));
            if named == param.default.is_some() {
                return Err(format!(
                    "`{}` must be in the template or have a default",
                    param.name
                ));
            }
            if !wires.insert(&param.wire) {
                return Err(format!("wire name of `{}` is taken", param.name));
            }
        }
        let parts = parts(&self.uri).ok_or("has a `{` without its `}`")?;
        let known = |name: &str| self.params.iter().any(|param| param.name == name);
        match parts.iter().find(|(name, _)| !known(name)) {
            Some((name, _)) => Err(format!("has a part `{name}` that goes nowhere")),
            None => Ok(()),
        }
    }

    /// The parts of `uri`, if the template fits.
    fn fit<'a>(&self, uri: &'a str) -> Option<Vec<(&str, &'a str)>> {
        let head = self.uri.split('{').next()?;
        let mut rest = uri.strip_prefix(head)?;
        let mut found = Vec::new();
        for (name, behind) in parts(&self.uri)? {
            let path = self
                .params
                .iter()
                .any(|param| param.name == name && param.path);
            let end = match behind {
                "" => rest.len(),
                behind if path => rest.rfind(behind)?,
                behind => rest.find(behind)?,
            };
            let value = &rest[..end];
            if value.is_empty() || (!path && value.contains('/')) {
                return None;
            }
            found.push((name, value));
            rest = rest[end..].strip_prefix(behind)?;
        }
        rest.is_empty().then_some(found)
    }

    fn read(&'static self, parts: &[(&str, &str)], query: &str) -> Result<Read, Problem> {
        let mut params = self.constants.clone();
        let query = query.split('&').filter_map(|pair| pair.split_once('='));
        let said: Vec<_> = parts.iter().copied().chain(query).collect();
        for param in &self.params {
            let said = said.iter().find(|(name, _)| *name == param.name);
            let value = match (said, &param.default) {
                (None, None) => continue,
                (None, Some(default)) => default.clone(),
                (Some((_, text)), _) => param.read(text)?,
            };
            params.insert(param.wire.clone(), value);
        }
        let params = params.into();
        Ok(Read {
            resource: self,
            params,
        })
    }
}

impl ResourceParam {
    fn read(&self, text: &str) -> Result<Value, Problem> {
        let refused = |text: &str| Problem::new(&self.name, self.ty.to_string(), &text.into());
        let text = percent_decode_str(text).decode_utf8();
        let text = text.map_err(|_| refused("bytes that are no UTF-8"))?;
        match coerce(&self.ty, text.as_ref().into()) {
            Ok(Some(value)) => Ok(value),
            _ => Err(refused(&text)),
        }
    }
}

pub(super) fn find(resources: &'static [Resource], uri: &str) -> Option<Result<Read, Problem>> {
    let (bare, query) = uri.split_once('?').unwrap_or((uri, ""));
    let fitting = resources
        .iter()
        .filter_map(|resource| Some((resource, resource.fit(bare)?)));
    let (resource, parts) = fitting.max_by_key(|(resource, _)| resource.said())?;
    Some(resource.read(&parts, query))
}

/// Each part's name, and the text between it and the next one.
fn parts(template: &str) -> Option<Vec<(&str, &str)>> {
    template
        .split('{')
        .skip(1)
        .map(|part| part.split_once('}'))
        .collect()
}
