//! Text edits as ranges of the script that was read.

use fancy_regex::{Captures, Regex};
use serde_json::{Value, json};

use super::super::pattern::{compile, in_one_line};
use super::super::position::{self, Position};
use super::super::ranges::{self, Range};
use super::super::text_edits::whole;
use super::{Edit, op, said};

/// How many matches one edit may replace.
const MOST: usize = 1000;

/// The ranges of all text edits, which count in the same text and do not overlap; or the answer.
pub(super) fn of(
    edits: &[Edit],
    source: &str,
    misses: &mut Vec<String>,
) -> Result<Vec<Range>, Value> {
    let mut found = Vec::new();
    for (at, edit) in edits.iter().enumerate() {
        let text = said(edit, "text");
        match op(edit) {
            "prepend" => found.push(Range::of_bytes(source, 0, 0, line(text))),
            "append" => {
                let end = source.len();
                let gap = if source.is_empty() || source.ends_with('\n') {
                    ""
                } else {
                    "\n"
                };
                found.push(Range::of_bytes(
                    source,
                    end,
                    end,
                    format!("{gap}{}", line(text)),
                ));
            }
            "replace_range" => found.push(explicit(at, edit, source)?),
            "regex_replace" => {
                let ranges = matches(at, edit, source)?;
                if ranges.is_empty() {
                    misses.push(format!("edits[{at}]: the pattern matches nothing"));
                }
                found.extend(ranges);
            }
            _ => {}
        }
    }
    match ranges::overlap(&found) {
        Some(answer) => Err(answer),
        None => Ok(found),
    }
}

/// With its end, so that what follows starts on a line of its own.
fn line(text: &str) -> String {
    let end = if text.ends_with('\n') { "" } else { "\n" };
    format!("{text}{end}")
}

fn explicit(at: usize, edit: &Edit, source: &str) -> Result<Range, Value> {
    let number = |name: &str| {
        let number = edit.get(name).and_then(whole).unwrap_or_default();
        usize::try_from(number).unwrap_or_default()
    };
    let [start, end] =
        [("startLine", "startCol"), ("endLine", "endCol")].map(|(line, column)| Position {
            line: number(line),
            column: number(column),
        });
    for place in [start, end] {
        if position::to_byte(source, place).is_none() {
            let Position { line, column } = place;
            let message =
                format!("edits[{at}]: the script has no line {line} with a column {column}.");
            return Err(json!({"success": false, "code": "out_of_range", "message": message}));
        }
    }
    let text = Some(said(edit, "text").to_owned());
    Ok(Range::between(start, end, text))
}

/// The last match; or as many from the first on as `count` says, 0 being all.
fn matches(at: usize, edit: &Edit, source: &str) -> Result<Vec<Range>, Value> {
    let failed = |why: String| {
        let message = format!("edits[{at}]: {why}. Nothing was written.");
        json!({"success": false, "code": "bad_regex", "message": message})
    };
    let ignore_case = edit.get("ignore_case") == Some(&Value::Bool(true));
    let regex = compile(said(edit, "pattern"), ignore_case).map_err(failed)?;
    let count = edit.get("count").and_then(whole);
    let most = match count {
        None | Some(0) => MOST + 1,
        Some(count) => usize::try_from(count).unwrap_or(MOST + 1).min(MOST + 1),
    };
    let found = regex.captures_iter(source).take(most);
    let mut found: Vec<_> = found
        .collect::<Result<_, _>>()
        .map_err(|error| failed(in_one_line(&error)))?;
    if found.len() > MOST {
        return Err(failed(format!(
            "the pattern matches more than {MOST} times"
        )));
    }
    if count.is_none() {
        found.drain(..found.len().saturating_sub(1));
    }
    let replacement = said(edit, "replacement");
    let range = |found: Captures<'_, str>| {
        let whole = found.get(0).expect("a match has its whole").range();
        let text = expand(replacement, &found, &regex)?;
        Ok(Range::of_bytes(source, whole.start, whole.end, text))
    };
    found
        .into_iter()
        .map(range)
        .collect::<Result<_, _>>()
        .map_err(failed)
}

/// `$1` is the first group's text, nothing if it took no part.
fn expand(replacement: &str, found: &Captures<'_, str>, regex: &Regex) -> Result<String, String> {
    let mut parts = replacement.split('$');
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let digits = part.len() - part.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (number, rest) = part.split_at(digits);
        match number.parse::<usize>() {
            Err(_) if number.is_empty() => text.push('$'),
            Ok(number) if number < regex.captures_len() => {
                text.push_str(found.get(number).map_or("", |group| group.as_str()));
            }
            _ => {
                return Err(format!(
                    "the replacement names group ${number}, and the pattern has {}",
                    regex.captures_len() - 1
                ));
            }
        }
        text.push_str(rest);
    }
    Ok(text)
}
