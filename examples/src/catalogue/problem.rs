//! Bad arguments, said so that a model can repair them without a second guess.

use std::borrow::Cow;
use std::fmt;

use serde_json::Value;

/// How many problems are told at once; the rest is counted.
pub(super) const TOLD: usize = 8;
/// How much of a client's text is quoted, in characters.
const QUOTED: usize = 40;

/// The arguments do not fit the tool. Nothing was sent.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub struct BadArguments {
    /// The tool.
    pub tool: Cow<'static, str>,
    /// What is wrong, at most 8 of them.
    pub problems: Vec<Problem>,
    /// How many more there are.
    pub more: usize,
}

impl BadArguments {
    /// `untold` problems were not even described.
    pub(crate) fn new(
        tool: impl Into<Cow<'static, str>>,
        mut problems: Vec<Problem>,
        untold: usize,
    ) -> Self {
        let more = untold + problems.len().saturating_sub(TOLD);
        problems.truncate(TOLD);
        Self {
            tool: tool.into(),
            problems,
            more,
        }
    }
}

impl fmt::Display for BadArguments {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} was not sent: ", self.tool)?;
        for (at, problem) in self.problems.iter().enumerate() {
            let separator = if at == 0 { "" } else { "; " };
            write!(f, "{separator}{problem}")?;
        }
        match self.more {
            0 => Ok(()),
            more => write!(f, "; and {more} more"),
        }
    }
}

/// Above this, in bytes, nobody meant a parameter's name: comparing costs the product of lengths.
const LONGEST_NAME: usize = 64;

/// One parameter that does not fit.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Problem {
    /// The parameter, as the client spelled it.
    pub parameter: String,
    /// What it takes.
    pub expected: String,
    /// What came.
    pub got: String,
    /// What to write instead, where that can be guessed.
    pub hint: Option<String>,
}

impl Problem {
    pub(crate) fn new(parameter: &str, expected: impl Into<String>, got: &Value) -> Self {
        Self {
            parameter: quote(parameter),
            expected: expected.into(),
            got: describe(got),
            hint: None,
        }
    }

    pub(crate) fn missing(parameter: &str, expected: impl Into<String>) -> Self {
        Self {
            parameter: quote(parameter),
            expected: expected.into(),
            got: "nothing".to_owned(),
            hint: None,
        }
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "`{}` expects {}, got {}",
            self.parameter, self.expected, self.got
        )?;
        match &self.hint {
            Some(hint) => write!(f, " ({hint})"),
            None => Ok(()),
        }
    }
}

/// The known name that was probably meant; none for a text too long to be a name.
pub(super) fn nearest<'a>(meant: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    if meant.len() > LONGEST_NAME {
        return None;
    }
    let plain = |name: &str| name.replace(['_', '-'], "").to_ascii_lowercase();
    let meant = plain(meant);
    let scored = known.map(|name| {
        (
            strsim::normalized_damerau_levenshtein(&meant, &plain(name)),
            name,
        )
    });
    let (score, name) = scored.max_by(|a, b| a.0.total_cmp(&b.0))?;
    (score >= 0.6).then_some(name)
}

/// The word of the list that `text` is, in any case and with space around it.
pub(super) fn one_of(parameter: &str, words: &[String], text: &str) -> Result<Value, Problem> {
    let trimmed = text.trim();
    if let Some(word) = words.iter().find(|word| word.eq_ignore_ascii_case(trimmed)) {
        return Ok(Value::String(word.clone()));
    }
    let expected = format!("one of {}", words.join(", "));
    let problem = Problem::new(parameter, expected, &Value::String(text.to_owned()));
    Err(match nearest(trimmed, words.iter().map(String::as_str)) {
        Some(near) => problem.hint(format!("did you mean `{near}`?")),
        None => problem,
    })
}

fn describe(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(it) => it.to_string(),
        Value::Number(it) => format!("the number {it}"),
        Value::String(text) if text.is_empty() => "empty text".to_owned(),
        Value::String(text) => format!("the text \"{}\"", quote(text)),
        Value::Array(items) => format!("a list of {}", items.len()),
        Value::Object(object) => format!("an object with {} keys", object.len()),
    }
}

fn quote(text: &str) -> String {
    match text.char_indices().nth(QUOTED) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
