//! A tool's parameters as JSON Schema (2020-12), without references, for `tools/list`.

use serde_json::{Map, Value, json};

use super::types::{Kind, Type};
use super::{Param, Tool, UNITY_INSTANCE};

impl Tool {
    /// The schema of the tool's arguments: an object that takes the declared parameters and
    /// `unity_instance`, and nothing else.
    ///
    /// [`prepare`](Self::prepare) accepts more than the schema says (numbers as text, for one), so
    /// that a client which validates and a client which does not both get through.
    pub fn input_schema(&self) -> Map<String, Value> {
        object(&self.params)
    }
}

/// The schema of an object with these parameters and `unity_instance`.
pub(super) fn object(params: &[Param]) -> Map<String, Value> {
    let mut properties: Map<_, _> = params
        .iter()
        .map(|param| (param.name.clone(), property(param)))
        .collect();
    properties.insert(UNITY_INSTANCE.to_owned(), instance());
    let required = params.iter().filter(|param| param.required);
    let required: Vec<_> = required.map(|param| param.name.as_str()).collect();

    let mut schema = Map::new();
    schema.insert("type".to_owned(), "object".into());
    schema.insert("properties".to_owned(), properties.into());
    schema.insert("required".to_owned(), required.into());
    schema.insert("additionalProperties".to_owned(), false.into());
    schema
}

fn property(param: &Param) -> Value {
    let mut schema = of_type(&param.ty, param.vector);
    schema.insert("description".to_owned(), param.description.clone().into());
    if let Some(default) = &param.default {
        schema.insert("default".to_owned(), default.clone());
    }
    schema.into()
}

fn instance() -> Value {
    json!({
        "type": "string",
        "description": "The editor this one call is for, when several are connected: `Name@hash` \
            from mcpforunity://instances, or the beginning of the hash.",
    })
}

/// A single alternative stands bare, plain ones share a `type` list, others go under `anyOf`.
fn of_type(ty: &Type, vector: Option<usize>) -> Map<String, Value> {
    let mut schema = Map::new();
    if ty.kinds.contains(&Kind::Any) {
        return schema;
    }
    if let ([kind], false) = (&*ty.kinds, ty.nullable) {
        return of_kind(kind, vector);
    }
    let null = ty.nullable.then_some("null");
    if ty.kinds.iter().all(is_plain) {
        let types = ty.kinds.iter().map(name).chain(null).map(Value::from);
        schema.insert("type".to_owned(), types.collect());
    } else {
        let kinds = ty.kinds.iter().map(|kind| of_kind(kind, vector));
        let alternatives = kinds.chain(null.map(named)).map(Value::Object);
        schema.insert("anyOf".to_owned(), alternatives.collect());
    }
    schema
}

fn of_kind(kind: &Kind, vector: Option<usize>) -> Map<String, Value> {
    let mut schema = named(name(kind));
    match kind {
        Kind::Enum(words) => {
            schema.insert("enum".to_owned(), words.clone().into());
        }
        Kind::Array(item) => {
            schema.insert("items".to_owned(), of_type(item, None).into());
            if let Some(n) = vector {
                schema.insert("minItems".to_owned(), n.into());
                schema.insert("maxItems".to_owned(), n.into());
            }
        }
        _ => {}
    }
    schema
}

/// Whether its name says all of it.
const fn is_plain(kind: &Kind) -> bool {
    !matches!(kind, Kind::Enum(_) | Kind::Array(_))
}

const fn name(kind: &Kind) -> &'static str {
    match kind {
        // A type with `Any` among its alternatives never comes here: its schema says nothing.
        Kind::Any => "any",
        Kind::Object => "object",
        Kind::Boolean => "boolean",
        Kind::Integer => "integer",
        Kind::Number => "number",
        Kind::String | Kind::Enum(_) => "string",
        Kind::Array(_) => "array",
    }
}

fn named(name: &str) -> Map<String, Value> {
    let mut schema = Map::new();
    schema.insert("type".to_owned(), name.into());
    schema
}
