//! `find_in_file`: read a script, and search it here.

use fancy_regex::Regex;
use serde_json::{Value, json};

use super::pattern::{compile, in_one_line};
use super::source::{self, Script};
use super::{Logic, Step, position};
use crate::catalogue::{BadArguments, Call, Problem, Reply};

/// How many matches are counted at all.
const COUNTED: usize = 100_000;
/// How much of a line or a match is shown, in characters.
const SHOWN: usize = 1000;

pub(super) fn begin(call: &Call) -> Result<Box<dyn Logic>, BadArguments> {
    let script = Script::of_uri(call)?;
    let pattern = call.params["pattern"].as_str().unwrap_or_default();
    let pattern = compile(pattern, call.params["ignore_case"] == true).map_err(|why| {
        let expected = format!("a regular expression ({why})");
        BadArguments::new(
            call.tool,
            vec![Problem::new("pattern", expected, &pattern.into())],
            0,
        )
    })?;
    let most = call.params["max_results"].as_u64().unwrap_or_default();
    Ok(Box::new(Find {
        read: call.part("manage_script", script.read()),
        pattern,
        most: usize::try_from(most).unwrap_or(usize::MAX),
    }))
}

struct Find {
    read: Call,
    pattern: Regex,
    most: usize,
}

impl Logic for Find {
    fn step(&mut self, answered: Option<&Reply>) -> Step {
        let Some(reply) = answered else {
            return Step::Ask(Box::new(self.read.clone()));
        };
        Step::Done(match source::text(reply) {
            Ok(text) => self.search(&text),
            Err(failure) => failure,
        })
    }
}

impl Find {
    fn search(&self, text: &str) -> Value {
        let (mut shown, mut total) = (Vec::new(), 0);
        // Characters are counted from the match before, so that the whole is one pass.
        let (mut chars, mut counted) = (0, 0);
        for found in self.pattern.find_iter(text).take(COUNTED) {
            let found = match found {
                Ok(found) => found,
                Err(error) => return gave_up(&in_one_line(&error)),
            };
            total += 1;
            if shown.len() < self.most {
                chars += text[counted..found.start()].chars().count();
                counted = found.start();
                shown.push(describe(text, found.range(), chars));
            }
        }
        json!({"success": true, "data": {
            "matches": shown, "count": shown.len(), "total_matches": total,
        }})
    }
}

/// `start` and `end` count characters, as `range` of `apply_text_edits` does.
fn describe(text: &str, range: std::ops::Range<usize>, start: usize) -> Value {
    let at = position::of_byte(text, range.start);
    let before = text[..range.start]
        .rfind(['\n', '\r'])
        .map_or(0, |end| end + 1);
    let after = text[range.start..].find(['\n', '\r']);
    let line = &text[before..after.map_or(text.len(), |end| range.start + end)];
    let found = &text[range];
    json!({
        "line": at.line, "column": at.column, "content": cut(line.trim()), "match": cut(found),
        "start": start, "end": start + found.chars().count(),
    })
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

fn gave_up(why: &str) -> Value {
    let message = format!("The search was given up: {why}. A simpler pattern may do.");
    json!({"success": false, "code": "pattern_too_costly", "message": message})
}
