//! A colour, in any of the notations that are in use; always four numbers.

use serde_json::{Map, Number, Value};

/// Four numbers from 0 to 1, or the value back.
///
/// A component above 1 means that all are meant from 0 to 255; so they are divided.
pub(super) fn unit(value: Value) -> Result<Value, Value> {
    let Some(colour) = read(&value) else {
        return Err(value);
    };
    let scale = if colour.in_bytes || !colour.within_one() {
        255.0
    } else {
        1.0
    };
    let mut numbers: Vec<f64> = colour.parts.iter().map(|part| part / scale).collect();
    // The Python server (10.3.0) divides this one, too, so that its [255, 0, 0] is transparent.
    numbers.resize(4, 1.0);
    Ok(numbers.into_iter().map(Value::from).collect())
}

/// Four whole numbers from 0 to 255, or the value back.
///
/// Components that are all within 1 are meant from 0 to 1.
pub(super) fn bytes(value: Value) -> Result<Value, Value> {
    let Some(colour) = read(&value) else {
        return Err(value);
    };
    let scale = if !colour.in_bytes && colour.within_one() {
        255.0
    } else {
        1.0
    };
    let scaled = colour.parts.iter().map(|part| part * scale);
    #[expect(clippy::cast_possible_truncation, reason = "a float is cut to the nearest integer")]
    let byte = |part: f64| if scale > 1.0 { part.round() } else { part.trunc() } as i64;
    let mut numbers: Vec<i64> = scaled.map(byte).collect();
    numbers.resize(4, 255);
    Ok(numbers.into_iter().map(Value::from).collect())
}

struct Colour {
    /// Three, or four with alpha; finite.
    parts: Vec<f64>,
    /// The notation itself says that they go to 255.
    in_bytes: bool,
}

impl Colour {
    fn within_one(&self) -> bool {
        self.parts.iter().all(|part| (0.0..=1.0).contains(part))
    }
}

fn read(value: &Value) -> Option<Colour> {
    let Value::String(text) = value else {
        return components(value);
    };
    let text = text.trim();
    if let Some(digits) = text.strip_prefix('#') {
        return hex(digits);
    }
    match serde_json::from_str(text) {
        Ok(inner @ (Value::Array(_) | Value::Object(_))) => components(&inner),
        _ => {
            let bare = text.trim_matches(['(', ')', '[', ']']);
            plain(bare.split(',').map(number).collect::<Option<_>>()?)
        }
    }
}

fn components(value: &Value) -> Option<Colour> {
    match value {
        Value::Array(items) => plain(items.iter().map(finite).collect::<Option<_>>()?),
        Value::Object(named) => plain(by_name(named)?),
        _ => None,
    }
}

fn by_name(named: &Map<String, Value>) -> Option<Vec<f64>> {
    let part = |name| named.get(name).and_then(finite);
    let mut parts = vec![part("r")?, part("g")?, part("b")?];
    match named.get("a") {
        None | Some(Value::Null) => {}
        Some(alpha) => parts.push(finite(alpha)?),
    }
    Some(parts)
}

fn plain(parts: Vec<f64>) -> Option<Colour> {
    let in_bytes = false;
    matches!(parts.len(), 3 | 4).then_some(Colour { parts, in_bytes })
}

/// `RGB`, `RRGGBB`, `RRGGBBAA`.
fn hex(digits: &str) -> Option<Colour> {
    let digits: Vec<_> = digits
        .chars()
        .map(|c| c.to_digit(16))
        .collect::<Option<_>>()?;
    let parts = match digits.len() {
        3 => digits.iter().map(|digit| f64::from(digit * 17)).collect(),
        6 | 8 => digits
            .chunks(2)
            .map(|pair| f64::from(pair[0] * 16 + pair[1]))
            .collect(),
        _ => return None,
    };
    let in_bytes = true;
    Some(Colour { parts, in_bytes })
}

fn finite(value: &Value) -> Option<f64> {
    match value {
        Value::Number(it) => it.as_f64(),
        Value::String(text) => number(text),
        _ => None,
    }
}

fn number(text: &str) -> Option<f64> {
    let number: f64 = text.trim().parse().ok()?;
    Number::from_f64(number).map(|_| number)
}
