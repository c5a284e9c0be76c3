//! What the installed Funplay plugin (up to 0.6.2) makes of JSON: a model of its parser, with all
//! that is wrong about it, and of its serialiser.
//!
//! The ends of objects and lists are found by counting, strings included; a string ends at the
//! first quote without a backslash before it; every number is a double; control characters that have
//! no short escape are written as they are.

use serde_json::{Map, Number, Value};

/// What the plugin reads.
pub fn parse(json: &str) -> Value {
    let json = json.trim();
    match json.chars().next() {
        None => Value::Null,
        Some('{') => object(json),
        Some('[') => list(json),
        Some('"') => Value::String(unescape(inside(json))),
        Some(_) => match json {
            "null" => Value::Null,
            "true" => Value::Bool(true),
            "false" => Value::Bool(false),
            _ => json.parse::<f64>().map_or_else(
                |_| Value::String(json.to_owned()),
                |number| Number::from_f64(number).map_or(Value::Null, Value::Number),
            ),
        },
    }
}

/// What the plugin writes.
pub fn serialise(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Number(number) => double(number.as_f64().unwrap_or(f64::NAN)),
        Value::String(text) => format!("\"{}\"", escape(text)),
        Value::Array(items) => {
            let items: Vec<_> = items.iter().map(serialise).collect();
            format!("[{}]", items.join(","))
        }
        Value::Object(members) => {
            let members: Vec<_> = members
                .iter()
                .map(|(key, value)| format!("\"{}\":{}", escape(key), serialise(value)))
                .collect();
            format!("{{{}}}", members.join(","))
        }
    }
}

/// Fifteen digits, as .NET writes a double.
fn double(number: f64) -> String {
    if number.abs() < 1e15 && number.fract() == 0.0 {
        return format!("{number:.0}");
    }
    let text = format!("{number:.14E}");
    let (digits, exponent) = text.split_once('E').unwrap();
    let digits = digits.trim_end_matches('0').trim_end_matches('.');
    let exponent: i32 = exponent.parse().unwrap();
    if (-5..15).contains(&exponent) {
        return number.to_string();
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}E{sign}{:02}", exponent.abs())
}

fn object(json: &str) -> Value {
    let text = Vec::from_iter(inside(json).trim().chars());
    let mut members = Map::new();
    let mut at = 0;
    loop {
        at = skip(&text, at, None);
        if text.get(at) != Some(&'"') {
            return Value::Object(members);
        }
        let end = end_of_string(&text, at);
        let key = unescape(&piece(&text, at + 1, end));
        at = skip(&text, end + 1, Some(':'));
        let end = end_of_value(&text, at);
        members.insert(key, parse(&piece(&text, at, end)));
        at = skip(&text, end, Some(','));
    }
}

fn list(json: &str) -> Value {
    let text = Vec::from_iter(inside(json).trim().chars());
    let mut items = Vec::new();
    let mut at = 0;
    loop {
        at = skip(&text, at, None);
        if at >= text.len() {
            return Value::Array(items);
        }
        let end = end_of_value(&text, at);
        items.push(parse(&piece(&text, at, end)));
        if end == at {
            // The original would never come to an end here.
            return Value::Array(items);
        }
        at = skip(&text, end, Some(','));
    }
}

fn skip(text: &[char], mut at: usize, also: Option<char>) -> usize {
    while text
        .get(at)
        .is_some_and(|&c| c.is_whitespace() || Some(c) == also)
    {
        at += 1;
    }
    at
}

fn end_of_value(text: &[char], start: usize) -> usize {
    let counted = |open, close| {
        let (mut depth, mut at) = (1, start + 1);
        while at < text.len() && depth > 0 {
            if text[at] == open {
                depth += 1;
            } else if text[at] == close {
                depth -= 1;
            }
            at += 1;
        }
        at
    };
    match text.get(start) {
        None => text.len(),
        Some('"') => end_of_string(text, start) + 1,
        Some('{') => counted('{', '}'),
        Some('[') => counted('[', ']'),
        Some(_) => {
            let rest = text[start..].iter();
            let length = rest.take_while(|c| !matches!(c, ',' | '}' | ']')).count();
            start + length
        }
    }
}

fn end_of_string(text: &[char], start: usize) -> usize {
    let mut ends = start + 1..text.len();
    ends.find(|&at| text[at] == '"' && text[at - 1] != '\\')
        .unwrap_or_else(|| text.len().saturating_sub(1))
}

/// Without the first and the last character, whatever they are.
fn inside(json: &str) -> &str {
    let mut chars = json.chars();
    chars.next();
    chars.next_back();
    chars.as_str()
}

fn piece(text: &[char], start: usize, end: usize) -> String {
    text[start.min(text.len())..end.clamp(start.min(text.len()), text.len())]
        .iter()
        .collect()
}

fn unescape(text: &str) -> String {
    let text = Vec::from_iter(text.chars());
    let mut units: Vec<u16> = Vec::new();
    let mut at = 0;
    while at < text.len() {
        let known = match (text[at], text.get(at + 1)) {
            ('\\', Some('"')) => Some(('"' as u16, 2)),
            ('\\', Some('\\')) => Some(('\\' as u16, 2)),
            ('\\', Some('b')) => Some((8, 2)),
            ('\\', Some('f')) => Some((12, 2)),
            ('\\', Some('n')) => Some((10, 2)),
            ('\\', Some('r')) => Some((13, 2)),
            ('\\', Some('t')) => Some((9, 2)),
            ('\\', Some('u')) if at + 5 < text.len() => {
                u16::from_str_radix(&piece(&text, at + 2, at + 6), 16)
                    .ok()
                    .map(|unit| (unit, 6))
            }
            _ => None,
        };
        if let Some((unit, width)) = known {
            units.push(unit);
            at += width;
        } else {
            units.extend(text[at].encode_utf16(&mut [0; 2]).iter());
            at += 1;
        }
    }
    String::from_utf16_lossy(&units)
}

fn escape(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c => out.push(c),
        }
    }
    out
}
