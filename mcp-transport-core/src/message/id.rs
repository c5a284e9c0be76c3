//! Request ids, compared by value: `1` is `1.0`, and text is unescaped before it is compared.

use serde::de::IgnoredAny;
use serde::{Serialize, Serializer};
use std::fmt;
use std::hash::{Hash, Hasher};

/// The id of a request: text, or a number of any size.
///
/// Equality, order and hash go by value; [`Display`](fmt::Display) and serialisation give the JSON
/// text back as the peer wrote it (text is escaped afresh), since some peers compare ids as text.
///
/// ```
/// use mcp_transport_core::Id;
///
/// assert_eq!(Id::from_json("1.0"), Some(Id::from(1)));
/// assert_eq!(Id::from_json(r#""\u0061""#), Some(Id::from("a")));
/// assert_ne!(Id::from_json("1"), Id::from_json(r#""1""#));
/// assert_eq!(Id::from_json("1.0").unwrap().to_string(), "1.0");
/// assert_eq!(Id::from_json("null"), None);
/// ```
#[derive(Clone)]
pub struct Id {
    value: Value,
    /// The number's own text, where it differs from the canonical one.
    raw: Option<Box<str>>,
}

#[derive(Clone, Eq, Hash, Ord, PartialEq, PartialOrd)]
enum Value {
    Int(i64),
    /// `digits` × 10^`exponent`, without leading or trailing zeros: any size, no rounding.
    Big {
        negative: bool,
        exponent: i64,
        digits: Box<str>,
    },
    Text(Box<str>),
}

impl Id {
    /// Reads the JSON text of an id; `None` where it is neither text nor a number, or no JSON.
    pub fn from_json(json: &str) -> Option<Self> {
        let json = json.trim_ascii();
        match json.as_bytes().first()? {
            b'"' => Some(Self {
                value: Value::Text(serde_json::from_str(json).ok()?),
                raw: None,
            }),
            // Checked here and not only by a parser of whole messages: a bad number could not be
            // written out again.
            b'-' | b'0'..=b'9' => {
                serde_json::from_str::<IgnoredAny>(json).ok()?;
                Some(number(json))
            }
            _ => None,
        }
    }

    /// Reads a value that is JSON, without white space around it.
    #[inline]
    pub(super) fn from_value(json: &[u8]) -> Option<Self> {
        if let Some(value) = short(json) {
            return Some(Self::from(value));
        }
        let json = std::str::from_utf8(json).ok()?;
        match json.as_bytes().first()? {
            b'"' if !json.contains('\\') => Some(Self::from(json.trim_matches('"'))),
            b'-' | b'0'..=b'9' => Some(number(json)),
            _ => Self::from_json(json),
        }
    }

    /// The text, where the id is text.
    pub fn as_str(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The number, where the id is a whole number that fits.
    pub const fn as_i64(&self) -> Option<i64> {
        match &self.value {
            Value::Int(value) => Some(*value),
            _ => None,
        }
    }
}

/// A whole number as most peers count: digits that fit whatever they are.
#[inline]
fn short(json: &[u8]) -> Option<i64> {
    if json.len() > 18 {
        return None;
    }
    json.iter().try_fold(0, |value, byte| {
        let is_digit = byte.is_ascii_digit();
        is_digit.then(|| value * 10 + i64::from(byte - b'0'))
    })
}

fn number(json: &str) -> Id {
    if let Ok(value) = json.parse::<i64>() {
        let raw = (json == "-0").then(|| Box::from(json));
        return Id {
            value: Value::Int(value),
            raw,
        };
    }
    Id {
        value: canonical(json),
        raw: Some(Box::from(json)),
    }
}

/// A JSON number by value. Only an exponent beyond 64 bits cannot be read; such a number stands for
/// itself.
fn canonical(json: &str) -> Value {
    let (negative, rest) = match json.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, json),
    };
    let (mantissa, exponent) = match rest.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.trim_start_matches('+').parse::<i64>()),
        None => (rest, Ok(0)),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = [whole, fraction].concat();
    let trimmed = digits.trim_start_matches('0').trim_end_matches('0');
    if trimmed.is_empty() {
        return Value::Int(0);
    }
    let trailing = digits.len() - digits.trim_end_matches('0').len();
    let shift = i64::try_from(trailing)
        .ok()
        .zip(i64::try_from(fraction.len()).ok());
    let exponent = match (exponent, shift) {
        (Ok(exponent), Some((up, down))) => exponent
            .checked_add(up)
            .and_then(|sum| sum.checked_sub(down)),
        _ => None,
    };
    let Some(exponent) = exponent else {
        return Value::Big {
            negative,
            exponent: i64::MAX,
            digits: Box::from(rest),
        };
    };
    small(negative, trimmed, exponent).unwrap_or_else(|| Value::Big {
        negative,
        exponent,
        digits: Box::from(trimmed),
    })
}

fn small(negative: bool, digits: &str, exponent: i64) -> Option<Value> {
    let scale = 10_i128.checked_pow(u32::try_from(exponent).ok()?)?;
    let value = digits.parse::<i128>().ok()?.checked_mul(scale)?;
    i64::try_from(if negative { -value } else { value })
        .ok()
        .map(Value::Int)
}

impl PartialEq for Id {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl Eq for Id {}

impl PartialOrd for Id {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Id {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.value.cmp(&other.value)
    }
}

impl Hash for Id {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.value.hash(state);
    }
}

impl From<i64> for Id {
    fn from(value: i64) -> Self {
        Self {
            value: Value::Int(value),
            raw: None,
        }
    }
}

impl From<&str> for Id {
    fn from(text: &str) -> Self {
        Self {
            value: Value::Text(Box::from(text)),
            raw: None,
        }
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.value, &self.raw) {
            (_, Some(raw)) => f.write_str(raw),
            (Value::Int(value), None) => write!(f, "{value}"),
            (Value::Text(text), None) => {
                f.write_str(&serde_json::to_string(text).expect("text always serialises"))
            }
            (Value::Big { .. }, None) => unreachable!("a big number always keeps its text"),
        }
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Id {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match (&self.value, &self.raw) {
            (Value::Text(text), _) => serializer.serialize_str(text),
            (Value::Int(value), None) => serializer.serialize_i64(*value),
            _ => serde_json::value::RawValue::from_string(self.to_string())
                .map_err(serde::ser::Error::custom)?
                .serialize(serializer),
        }
    }
}
