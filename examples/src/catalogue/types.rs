//! The type language of the entries: `integer|string|null`, `array<number>`, `enum(get,clear)`.

use std::fmt;

use serde::Deserialize;

/// What a parameter takes: alternatives, and whether `null` is one of them.
///
/// **The first alternative is what goes to the plugin.** Where it is `string`, text stays text.
/// Where it is anything else, text is read as that: clients write numbers, truth values, lists and
/// objects as text, so `integer|string` turns `"5"` into `5`, while `string|integer` keeps both.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(try_from = "String")]
#[non_exhaustive]
pub struct Type {
    /// At least one.
    pub kinds: Vec<Kind>,
    /// `null` is declared; it always means that the parameter is left out.
    pub nullable: bool,
}

/// One alternative of a [`Type`].
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "the whole type language")]
pub enum Kind {
    /// Anything.
    Any,
    /// `true` or `false`.
    Boolean,
    /// A whole number.
    Integer,
    /// A finite number.
    Number,
    /// Text.
    String,
    /// A JSON object.
    Object,
    /// One of these words.
    Enum(Vec<String>),
    /// A list of these.
    Array(Box<Type>),
}

impl Type {
    /// `boolean|null`.
    pub(super) fn boolean() -> Self {
        Self {
            kinds: vec![Kind::Boolean],
            nullable: true,
        }
    }

    /// Whether text stays text.
    pub(super) fn keeps_text(&self) -> bool {
        matches!(self.kinds.first(), Some(Kind::String | Kind::Any))
    }

    /// Whether one of the alternatives is a list or an object.
    pub(super) fn is_structured(&self) -> bool {
        self.kinds
            .iter()
            .any(|kind| matches!(kind, Kind::Array(_) | Kind::Object))
    }

    /// The words of its list of words; empty if it has none.
    pub(super) fn choices(&self) -> &[String] {
        let words = self.kinds.iter().find_map(|kind| match kind {
            Kind::Enum(words) => Some(words.as_slice()),
            _ => None,
        });
        words.unwrap_or_default()
    }
}

impl TryFrom<String> for Type {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let mut kinds = Vec::new();
        let mut nullable = false;
        for part in split(&text, '|') {
            match part {
                "null" => nullable = true,
                part => kinds.push(kind(part).ok_or_else(|| format!("no type: `{part}`"))?),
            }
        }
        if kinds.is_empty() {
            return Err(format!(
                "a type needs an alternative besides null: `{text}`"
            ));
        }
        Ok(Self { kinds, nullable })
    }
}

/// As a person reads it: "a whole number or an object". Text that only spells another alternative
/// goes unsaid: "a whole number or text" would not tell what is wrong with "two".
impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let spelling = |kind: &Kind| *kind == Kind::String && !self.keeps_text();
        let kinds = self.kinds.iter().filter(|kind| !spelling(kind));
        for (at, kind) in kinds.enumerate() {
            if at > 0 {
                f.write_str(" or ")?;
            }
            match kind {
                Kind::Any => f.write_str("any value")?,
                Kind::Boolean => f.write_str("true or false")?,
                Kind::Integer => f.write_str("a whole number")?,
                Kind::Number => f.write_str("a number")?,
                Kind::String => f.write_str("text")?,
                Kind::Object => f.write_str("an object")?,
                Kind::Enum(words) => write!(f, "one of {}", words.join(", "))?,
                Kind::Array(item) => write!(f, "a list (each item: {item})")?,
            }
        }
        Ok(())
    }
}

fn kind(text: &str) -> Option<Kind> {
    if let Some(words) = text
        .strip_prefix("enum(")
        .and_then(|rest| rest.strip_suffix(')'))
    {
        let words: Vec<_> = words.split(',').map(str::to_owned).collect();
        return words
            .iter()
            .all(|word| !word.is_empty())
            .then_some(Kind::Enum(words));
    }
    if let Some(item) = text
        .strip_prefix("array<")
        .and_then(|rest| rest.strip_suffix('>'))
    {
        return Some(Kind::Array(Box::new(Type::try_from(item.to_owned()).ok()?)));
    }
    Some(match text {
        "any" => Kind::Any,
        "boolean" => Kind::Boolean,
        "integer" => Kind::Integer,
        "number" => Kind::Number,
        "object" => Kind::Object,
        "string" => Kind::String,
        _ => return None,
    })
}

/// Splits at `at` outside of brackets.
fn split(text: &str, at: char) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut depth, mut from) = (0_usize, 0);
    for (index, c) in text.char_indices() {
        match c {
            '<' | '(' => depth += 1,
            '>' | ')' => depth = depth.saturating_sub(1),
            c if c == at && depth == 0 => {
                parts.push(&text[from..index]);
                from = index + c.len_utf8();
            }
            _ => {}
        }
    }
    parts.push(&text[from..]);
    parts
}
