//! One argument: what clients really send, read as what the entry asks for.
//!
//! Models and clients write `"10"`, `"true"`, `"[1, 2, 3]"` and `"{\"mass\": 5}"` where a number,
//! a truth value, a list or an object is due. The Python server reads these, so this one does. What
//! it drops in silence (text that is no number for a number), this one refuses.

use serde_json::{Map, Number, Value};

use super::types::{Kind, Type};

/// The value as `ty` wants it, `None` if it says "nothing", or the value back if it does not fit.
pub(super) fn coerce(ty: &Type, value: Value) -> Result<Option<Value>, Value> {
    match value {
        Value::Null => Ok(None),
        Value::String(text) => from_text(ty, text),
        value => match ty.kinds.iter().find_map(|kind| fit(kind, &value)) {
            Some(fitted) => Ok(Some(fitted)),
            None => zero_or_one(ty, &value).map(Some).ok_or(value),
        },
    }
}

/// A vector of `n` numbers, in any of the notations that are in use; always a list of floats.
pub(super) fn vector(n: usize, value: Value) -> Result<Option<Value>, Value> {
    let numbers = match &value {
        Value::Null => return Ok(None),
        Value::String(text) => match serde_json::from_str(text) {
            Ok(inner @ (Value::Array(_) | Value::Object(_))) => components(n, &inner),
            _ => numbers(text),
        },
        value => components(n, value),
    };
    match numbers {
        Some(numbers) if numbers.len() == n => {
            Ok(Some(numbers.into_iter().map(Value::Number).collect()))
        }
        _ => Err(value),
    }
}

/// The value itself if it is of this kind; a list item by item.
fn fit(kind: &Kind, value: &Value) -> Option<Value> {
    let fits = match (kind, value) {
        (Kind::Integer, Value::Number(number)) => return whole(number).map(Value::Number),
        (Kind::Array(item), Value::Array(items)) => {
            let items = items
                .iter()
                .map(|value| fit_item(item, value))
                .collect::<Option<_>>()?;
            return Some(Value::Array(items));
        }
        (Kind::Any, _) => true,
        (Kind::Boolean, value) => value.is_boolean(),
        (Kind::Number, value) => value.is_number(),
        (Kind::Object, value) => value.is_object(),
        _ => false,
    };
    fits.then(|| value.clone())
}

fn fit_item(item: &Type, value: &Value) -> Option<Value> {
    if item.kinds.contains(&Kind::Any) {
        return Some(value.clone());
    }
    coerce(item, value.clone()).ok().flatten()
}

fn from_text(ty: &Type, text: String) -> Result<Option<Value>, Value> {
    let trimmed = text.trim();
    if let Some(word) = ty
        .choices()
        .iter()
        .find(|word| word.eq_ignore_ascii_case(trimmed))
    {
        return Ok(Some(Value::String(word.clone())));
    }
    // What JavaScript makes of an object or of nothing: never meant.
    if ty.is_structured() && matches!(trimmed, "[object Object]" | "undefined") {
        return Err(Value::String(text));
    }
    if ty.keeps_text() {
        return Ok(Some(Value::String(text)));
    }
    if let Some(value) = ty.kinds.iter().find_map(|kind| parse(kind, trimmed)) {
        return Ok(Some(value));
    }
    if !ty.is_structured() && matches!(&*trimmed.to_ascii_lowercase(), "" | "none" | "null") {
        return if ty.choices().is_empty() || ty.nullable {
            Ok(None)
        } else {
            Err(Value::String(text))
        };
    }
    match ty.kinds.iter().find_map(|kind| lone_item(kind, trimmed)) {
        Some(value) => Ok(Some(value)),
        None => Err(Value::String(text)),
    }
}

fn parse(kind: &Kind, text: &str) -> Option<Value> {
    match kind {
        Kind::Integer => {
            if let Ok(number) = text.parse::<i64>() {
                return Some(number.into());
            }
            whole(&number(text)?).map(Value::Number)
        }
        Kind::Number => number(text).map(Value::Number),
        Kind::Boolean => match &*text.to_ascii_lowercase() {
            "true" | "1" | "yes" | "on" => Some(true.into()),
            "false" | "0" | "no" | "off" => Some(false.into()),
            _ => None,
        },
        Kind::Object => match serde_json::from_str(text) {
            Ok(Value::Object(object)) => Some(Value::Object(object)),
            _ => None,
        },
        Kind::Array(item) => match serde_json::from_str(text) {
            Ok(list @ Value::Array(_)) => fit(kind, &list),
            _ if takes_numbers(item) => {
                let list: Value = numbers(text)?.into_iter().map(Value::Number).collect();
                fit(kind, &list)
            }
            _ => None,
        },
        Kind::Any | Kind::Enum(_) | Kind::String => None,
    }
}

/// `"Rigidbody"` where a list of names is due, `"error, warning"` where a list of words is.
fn lone_item(kind: &Kind, text: &str) -> Option<Value> {
    let Kind::Array(item) = kind else { return None };
    if text.is_empty() || text == "null" || text.starts_with(['[', '{']) {
        return None;
    }
    if item.kinds.contains(&Kind::String) {
        return Some(Value::Array(vec![text.into()]));
    }
    if item.choices().is_empty() {
        return None;
    }
    text.split(',')
        .map(|word| fit_item(item, &word.into()))
        .collect::<Option<_>>()
        .map(Value::Array)
}

fn zero_or_one(ty: &Type, value: &Value) -> Option<Value> {
    if !ty.kinds.contains(&Kind::Boolean) {
        return None;
    }
    let number = value.as_f64()?;
    (number == 0.0 || number == 1.0).then(|| (number == 1.0).into())
}

fn takes_numbers(item: &Type) -> bool {
    item.kinds
        .iter()
        .any(|kind| matches!(kind, Kind::Number | Kind::Integer))
}

fn components(n: usize, value: &Value) -> Option<Vec<Number>> {
    let finite = |value: &Value| match value {
        Value::Number(it) => it.as_f64().and_then(Number::from_f64),
        Value::String(text) => number(text),
        _ => None,
    };
    let by_name = |object: &Map<String, Value>| {
        let names = ["x", "y", "z", "w"].get(..n)?;
        names
            .iter()
            .map(|name| object.get(*name).and_then(finite))
            .collect()
    };
    match value {
        Value::Array(items) => items.iter().map(finite).collect(),
        Value::Object(object) => by_name(object),
        _ => None,
    }
}

/// `1, 2, 3`, `[1 2 3]`, `(1, 2, 3)`.
fn numbers(text: &str) -> Option<Vec<Number>> {
    let text = text.trim();
    let inner = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    let inner = inner.or_else(|| {
        text.strip_prefix('(')
            .and_then(|rest| rest.strip_suffix(')'))
    });
    let inner = inner.unwrap_or(text);
    if inner.contains(',') {
        inner.split(',').map(number).collect()
    } else {
        inner.split_whitespace().map(number).collect()
    }
}

fn number(text: &str) -> Option<Number> {
    // `from_f64` refuses what is not finite, so "nan" and "inf" are no numbers.
    text.trim().parse().ok().and_then(Number::from_f64)
}

/// The number as an integer if it is one: `3.0` is, and `1e300` is not worth the name.
fn whole(number: &Number) -> Option<Number> {
    if number.is_i64() || number.is_u64() {
        return Some(number.clone());
    }
    const EXACT: f64 = 9_007_199_254_740_992.0; // 2^53
    let float = number.as_f64()?;
    #[expect(clippy::cast_possible_truncation, reason = "whole and within 2^53")]
    (float.fract() == 0.0 && float.abs() <= EXACT).then(|| Number::from(float as i64))
}
