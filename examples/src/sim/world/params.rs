//! Reading a command's parameters as leniently as the plugin does.

use serde_json::{Map, Value};

use super::answer::Answer;

/// A command's parameters. A camelCase key is also found under its snake_case name, numbers and
/// booleans are also read from text, and JSON `null` is absent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Params<'a>(Option<&'a Map<String, Value>>);

impl<'a> Params<'a> {
    pub(super) fn new(params: &'a Value) -> Self {
        Self(params.as_object())
    }

    pub(super) fn raw(&self, key: &str) -> Option<&'a Value> {
        let map = self.0?;
        map.get(key)
            .or_else(|| map.get(&snake_case(key)))
            .filter(|value| !value.is_null())
    }

    /// Text, or a number or boolean written out. The empty text is absent.
    pub(super) fn text(&self, key: &str) -> Option<String> {
        let text = match self.raw(key)? {
            Value::String(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            Value::Bool(flag) => flag.to_string(),
            _ => return None,
        };
        Some(text).filter(|text| !text.is_empty())
    }

    pub(super) fn required(&self, key: &str) -> Result<String, Answer> {
        self.text(key)
            .ok_or_else(|| Answer::refused(format!("'{key}' parameter is required.")))
    }

    /// The lower-case `action`.
    pub(super) fn action(&self) -> Result<String, Answer> {
        Ok(self.required("action")?.trim().to_lowercase())
    }

    pub(super) fn int(&self, key: &str) -> Option<i64> {
        match self.raw(key)? {
            // A float saturates: `1e300` is a silly page size, not a reason to fall over.
            Value::Number(number) => number
                .as_i64()
                .or_else(|| number.as_f64().map(|f| f as i64)),
            Value::String(text) => text.trim().parse().ok(),
            _ => None,
        }
    }

    /// A count within `range`, or `default`.
    pub(super) fn size(&self, key: &str, default: usize, range: (usize, usize)) -> usize {
        let size = self
            .int(key)
            .map_or(default, |n| usize::try_from(n).unwrap_or(0));
        size.clamp(range.0, range.1)
    }

    pub(super) fn flag(&self, key: &str) -> Option<bool> {
        match self.raw(key)? {
            Value::Bool(flag) => Some(*flag),
            Value::Number(number) => number.as_f64().map(|n| n != 0.0),
            Value::String(text) => match text.trim().to_lowercase().as_str() {
                "true" | "1" | "yes" | "on" => Some(true),
                "false" | "0" | "no" | "off" => Some(false),
                _ => None,
            },
            _ => None,
        }
    }

    /// `[x,y,z]`, `{"x":…,"y":…,"z":…}`, or either as text (also `"x, y, z"`).
    pub(super) fn vector(&self, key: &str) -> Option<[f64; 3]> {
        vector(self.raw(key)?)
    }

    /// A list of texts: an array, one text, or a JSON array as text.
    pub(super) fn texts(&self, key: &str) -> Option<Vec<String>> {
        let list = |items: &[Value]| {
            items
                .iter()
                .filter_map(|item| {
                    item.as_str()
                        .or_else(|| item.get("typeName").and_then(Value::as_str))
                })
                .map(str::to_owned)
                .collect()
        };
        match self.raw(key)? {
            Value::Array(items) => Some(list(items)),
            Value::String(text) => match serde_json::from_str(text) {
                Ok(Value::Array(items)) => Some(list(&items)),
                _ => Some(vec![text.clone()]),
            },
            _ => None,
        }
    }

    /// An object, or a JSON object as text.
    pub(super) fn object(&self, key: &str) -> Option<Map<String, Value>> {
        match self.raw(key)? {
            Value::Object(map) => Some(map.clone()),
            Value::String(text) => serde_json::from_str(text).ok(),
            _ => None,
        }
    }
}

fn vector(value: &Value) -> Option<[f64; 3]> {
    match value {
        Value::Array(items) => match items.as_slice() {
            [x, y, z] => Some([x.as_f64()?, y.as_f64()?, z.as_f64()?]),
            _ => None,
        },
        Value::Object(map) => {
            let axis = |key| map.get(key).and_then(Value::as_f64);
            Some([axis("x")?, axis("y")?, axis("z")?])
        }
        Value::String(text) => {
            let text = text.trim();
            if let Ok(parsed @ (Value::Array(_) | Value::Object(_))) = serde_json::from_str(text) {
                return vector(&parsed);
            }
            let numbers: Option<Vec<f64>> = text
                .trim_matches(['(', ')'])
                .split(',')
                .map(|part| part.trim().parse().ok().filter(|n: &f64| n.is_finite()))
                .collect();
            numbers?.try_into().ok()
        }
        _ => None,
    }
}

fn snake_case(key: &str) -> String {
    let mut snake = String::with_capacity(key.len() + 4);
    for letter in key.chars() {
        if letter.is_ascii_uppercase() {
            snake.push('_');
        }
        snake.push(letter.to_ascii_lowercase());
    }
    snake
}
