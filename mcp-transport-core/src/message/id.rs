//! Request ids, compared by value: `1` is `1.0`, and text is unescaped before it is compared.

use serde::de::IgnoredAny;
use serde::{Serialize, Serializer};
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// The id of a request: text, or a number of any size.
///
/// Equality and hash go by value; the order agrees with them, and says nothing else.
/// [`Display`](fmt::Display) and serialisation give the JSON text back as the peer wrote it (text is
/// escaped afresh), since some peers compare ids as text.
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
pub struct Id(Value);

/// What an id was written as. A clone copies a few bytes at most: an id may be as long as its message,
/// and is cloned with it.
#[derive(Clone)]
enum Value {
    Int(i64),
    /// Short text: its copy costs less than to count references to it.
    Text(Box<str>),
    Long(Arc<str>),
    /// A number that is not written as we would write it.
    Number(Arc<Number>),
}

struct Number {
    value: Canonical,
    raw: Box<str>,
}

enum Canonical {
    Int(i64),
    /// `digits` × 10^`exponent`, without leading or trailing zeros: any size, no rounding.
    Big {
        negative: bool,
        exponent: i64,
        digits: Box<str>,
    },
}

/// What two ids are compared by.
#[derive(Eq, Hash, Ord, PartialEq, PartialOrd)]
enum Key<'a> {
    Int(i64),
    Big {
        negative: bool,
        exponent: i64,
        digits: &'a str,
    },
    Text(&'a str),
}

/// Text of more bytes than this is shared among clones.
const SHORT: usize = 64;

impl Id {
    /// Reads the JSON text of an id; `None` where it is neither text nor a number, or no JSON.
    pub fn from_json(json: &str) -> Option<Self> {
        let json = json.trim_ascii();
        match json.as_bytes().first()? {
            b'"' => Some(Self::from(&*serde_json::from_str::<String>(json).ok()?)),
            // Checked here and not only by a parser of whole messages: a bad number could not be
            // written out again.
            b'-' | b'0'..=b'9' => {
                serde_json::from_str::<IgnoredAny>(json).ok()?;
                Some(number(json))
            }
            _ => None,
        }
    }

    /// A whole number as most peers count: digits that fit whatever they are.
    #[inline]
    pub(super) fn short(json: &[u8]) -> Option<Self> {
        if json.is_empty() || json.len() > 18 {
            return None;
        }
        let value = json.iter().try_fold(0, |value, byte| {
            let is_digit = byte.is_ascii_digit();
            is_digit.then(|| value * 10 + i64::from(byte - b'0'))
        });
        value.map(Self::from)
    }

    /// Reads a value that is JSON, without white space around it.
    pub(super) fn from_value(json: &[u8]) -> Option<Self> {
        let json = std::str::from_utf8(json).ok()?;
        match json.as_bytes().first()? {
            b'"' if !json.contains('\\') => Some(Self::from(json.trim_matches('"'))),
            b'-' | b'0'..=b'9' => Some(number(json)),
            _ => Self::from_json(json),
        }
    }

    /// The text, where the id is text.
    pub fn as_str(&self) -> Option<&str> {
        match &self.0 {
            Value::Text(text) => Some(text),
            Value::Long(text) => Some(text),
            Value::Int(_) | Value::Number(_) => None,
        }
    }

    /// The number, where the id is a whole number that fits.
    pub fn as_i64(&self) -> Option<i64> {
        match self.key() {
            Key::Int(value) => Some(value),
            Key::Big { .. } | Key::Text(_) => None,
        }
    }

    #[inline]
    fn key(&self) -> Key<'_> {
        match &self.0 {
            Value::Int(value) => Key::Int(*value),
            Value::Text(text) => Key::Text(text),
            Value::Long(text) => Key::Text(text),
            Value::Number(number) => match &number.value {
                Canonical::Int(value) => Key::Int(*value),
                Canonical::Big {
                    negative,
                    exponent,
                    digits,
                } => Key::Big {
                    negative: *negative,
                    exponent: *exponent,
                    digits,
                },
            },
        }
    }
}

fn number(json: &str) -> Id {
    let value = match json.parse::<i64>() {
        Ok(value) if json != "-0" => return Id::from(value),
        Ok(value) => Canonical::Int(value),
        Err(_) => canonical(json),
    };
    let raw = Box::from(json);
    Id(Value::Number(Arc::new(Number { value, raw })))
}

/// A JSON number by value. Only an exponent beyond 64 bits cannot be read; such a number stands for
/// itself.
fn canonical(json: &str) -> Canonical {
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
        return Canonical::Int(0);
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
        return Canonical::Big {
            negative,
            exponent: i64::MAX,
            digits: Box::from(rest),
        };
    };
    small(negative, trimmed, exponent).unwrap_or_else(|| Canonical::Big {
        negative,
        exponent,
        digits: Box::from(trimmed),
    })
}

fn small(negative: bool, digits: &str, exponent: i64) -> Option<Canonical> {
    let scale = 10_i128.checked_pow(u32::try_from(exponent).ok()?)?;
    let value = digits.parse::<i128>().ok()?.checked_mul(scale)?;
    i64::try_from(if negative { -value } else { value })
        .ok()
        .map(Canonical::Int)
}

impl PartialEq for Id {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
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
        self.key().cmp(&other.key())
    }
}

impl Hash for Id {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key().hash(state);
    }
}

impl From<i64> for Id {
    #[inline]
    fn from(value: i64) -> Self {
        Self(Value::Int(value))
    }
}

impl From<&str> for Id {
    fn from(text: &str) -> Self {
        Self(if text.len() > SHORT {
            Value::Long(Arc::from(text))
        } else {
            Value::Text(Box::from(text))
        })
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text: &str = match &self.0 {
            Value::Int(value) => return write!(f, "{value}"),
            Value::Number(number) => return f.write_str(&number.raw),
            Value::Text(text) => text,
            Value::Long(text) => text,
        };
        f.write_str(&serde_json::to_string(text).expect("text always serialises"))
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Id {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0 {
            Value::Int(value) => serializer.serialize_i64(*value),
            Value::Text(text) => serializer.serialize_str(text),
            Value::Long(text) => serializer.serialize_str(text),
            Value::Number(number) => {
                serde_json::value::RawValue::from_string(number.raw.to_string())
                    .map_err(serde::ser::Error::custom)?
                    .serialize(serializer)
            }
        }
    }
}
