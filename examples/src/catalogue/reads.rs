//! One argument that is more, or less, than its declared type.
//!
//! The Python server (10.3.0) declares text where it means a list, and a list where it means a
//! colour, and then reads whatever clients write. Its declarations are kept, since clients check
//! against them; what it reads is said here.

use serde::Deserialize;
use serde_json::{Number, Value};

use super::types::Type;
use super::{coerce, colour};

/// What is made of an argument beyond its declared type.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Reads {
    /// It goes to the shape as it came, which checks it.
    Any,
    /// A truth value, also as text.
    Boolean,
    /// A colour; goes out as four numbers from 0 to 1.
    Colour,
    /// A colour; goes out as four whole numbers from 0 to 255.
    Colour255,
    /// A whole number, also as text; a fraction is cut off.
    Integer,
    /// Text that is JSON goes out as what it says, other text as it came.
    Json,
    /// A list, as JSON or as text with commas.
    List,
    /// Text, also as a number: an object's id where a name is taken, too.
    Text,
}

impl Reads {
    /// The value as it is meant, `None` if it says "nothing", or the value back if it does not fit.
    pub(super) fn read(self, ty: &Type, value: Value) -> Result<Option<Value>, Value> {
        match (self, value) {
            (_, Value::Null) => Ok(None),
            (Self::Any, value) => Ok(Some(value)),
            (Self::Boolean, value) => coerce::coerce(&Type::boolean(), value),
            (Self::Colour, value) => colour::unit(value).map(Some),
            (Self::Colour255, value) => colour::bytes(value).map(Some),
            (Self::Integer, value) => integer(value),
            (Self::Json, Value::String(text)) => json(text),
            (Self::List, Value::String(text)) => list(text),
            (Self::Json | Self::List, list @ Value::Array(_)) => Ok(Some(list)),
            (Self::Text, Value::Number(number)) => Ok(Some(number.to_string().into())),
            (Self::Json | Self::List | Self::Text, value) => coerce::coerce(ty, value),
        }
    }

    /// As a person reads it; `None` = as the type says.
    pub(super) const fn expected(self) -> Option<&'static str> {
        match self {
            Self::Boolean => Some("true or false"),
            Self::Colour => Some(
                "a colour: [r, g, b] or [r, g, b, a] from 0 to 1, {\"r\": …, \"g\": …, \"b\": …} or \"#RRGGBB\"",
            ),
            Self::Colour255 => Some(
                "a colour: [r, g, b] or [r, g, b, a] from 0 to 255, {\"r\": …, \"g\": …, \"b\": …} or \"#RRGGBB\"",
            ),
            Self::Integer => Some("a whole number"),
            Self::List => Some("a list, as JSON or separated by commas"),
            Self::Any | Self::Json | Self::Text => None,
        }
    }
}

fn integer(value: Value) -> Result<Option<Value>, Value> {
    const EXACT: f64 = 9_007_199_254_740_992.0; // 2^53
    let float = match &value {
        Value::Number(number) if !number.is_f64() => return Ok(Some(value)),
        Value::Number(number) => number.as_f64(),
        Value::String(text) => match &*text.trim().to_ascii_lowercase() {
            "" | "none" | "null" => return Ok(None),
            text => text.parse().ok(),
        },
        _ => None,
    };
    match float.filter(|float| float.abs() <= EXACT) {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "cut off on purpose, within 2^53"
        )]
        Some(float) => Ok(Some(Value::Number(Number::from(float as i64)))),
        None => Err(value),
    }
}

/// Only what looks like JSON is taken for it: an object's name may be `1e5`.
fn json(text: String) -> Result<Option<Value>, Value> {
    let trimmed = text.trim();
    // What JavaScript makes of an object or of nothing: never meant.
    if matches!(trimmed, "[object Object]" | "undefined") {
        return Err(Value::String(text));
    }
    let digits = |c: char| c.is_ascii_digit() || matches!(c, '.' | '-');
    let looks = trimmed.starts_with(['{', '['])
        || matches!(trimmed, "true" | "false" | "null")
        || (!trimmed.is_empty() && trimmed.chars().all(digits));
    match serde_json::from_str(trimmed) {
        Ok(Value::Null) if looks => Ok(None),
        Ok(value) if looks => Ok(Some(value)),
        _ => Ok(Some(Value::String(text))),
    }
}

fn list(text: String) -> Result<Option<Value>, Value> {
    let trimmed = text.trim();
    if matches!(trimmed, "" | "null") {
        return Ok(None);
    }
    if trimmed.starts_with('[') {
        return match serde_json::from_str(trimmed) {
            Ok(list @ Value::Array(_)) => Ok(Some(list)),
            _ => Err(Value::String(text)),
        };
    }
    let items = trimmed.split(',').map(str::trim);
    let items = items.filter(|item| !item.is_empty());
    Ok(Some(items.map(Value::from).collect()))
}
