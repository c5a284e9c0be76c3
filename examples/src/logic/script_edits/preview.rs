//! What edits would make of a script, as a diff; nothing is written.

use serde_json::{Value, json};
use similar::TextDiff;

use super::super::pattern::compile;
use super::super::ranges::{self, Range};
use super::{Edit, is_structured, op, said};

/// The most lines of a diff that are shown.
const SHOWN: usize = 2000;
/// Lines around each change.
const AROUND: usize = 3;

/// The diff; or why there is none.
pub(super) fn of(source: &str, ranges: &[Range], edits: &[Edit]) -> Value {
    let Some(mut text) = ranges::apply(source, ranges) else {
        return failure(
            "preview_failed",
            "The edits do not fit the script, and nothing was written.",
        );
    };
    for (at, edit) in edits
        .iter()
        .enumerate()
        .filter(|(_, edit)| is_structured(edit))
    {
        text = match anchored(&text, edit) {
            Ok(text) => text,
            Err((code, why)) => {
                return failure(code, &format!("edits[{at}]: {why}. Nothing was written."));
            }
        };
    }
    if text == source {
        let message = "The edits would change nothing.";
        return json!({"success": true, "message": message, "data": {"no_op": true, "diff": ""}});
    }
    let diff = TextDiff::from_lines(source, &*text);
    let diff = diff
        .unified_diff()
        .context_radius(AROUND)
        .header("before", "after")
        .to_string();
    let mut lines = diff.lines();
    let mut shown = lines.by_ref().take(SHOWN).collect::<Vec<_>>().join("\n");
    if lines.next().is_some() {
        shown.push_str("\n... (the diff is longer)");
    }
    let message = "Preview only: nothing was written.";
    json!({"success": true, "message": message, "data": {"diff": shown, "preview": true}})
}

/// At the first match, as the plugin (10.1) places it.
fn anchored(text: &str, edit: &Edit) -> Result<String, (&'static str, String)> {
    let word = op(edit);
    if !word.starts_with("anchor_") {
        let why = format!("where {word} works is found by the editor, so it cannot be previewed");
        return Err(("preview_not_possible", why));
    }
    let anchor = said(edit, "anchor");
    let bad = |why: String| {
        (
            "bad_regex",
            format!("the anchor is no regular expression here ({why})"),
        )
    };
    let regex = compile(anchor, false).map_err(bad)?;
    let found = regex.find(text).map_err(|error| bad(error.to_string()))?;
    let found = found.ok_or_else(|| {
        (
            "anchor_not_found",
            format!("the anchor {anchor} is not found"),
        )
    })?;
    let new = match said(edit, "text") {
        "" => said(edit, "replacement"),
        text => text,
    };
    let new = new.replace("\r\n", "\n").replace('\r', "\n");
    let (before, after) = (&text[..found.start()], &text[found.end()..]);
    Ok(match word {
        "anchor_delete" => format!("{before}{after}"),
        "anchor_replace" => format!("{before}{new}{after}"),
        _ => {
            let new = if new.ends_with('\n') { new } else { new + "\n" };
            let behind = said(edit, "position").eq_ignore_ascii_case("after");
            let at = if behind { found.end() } else { found.start() };
            format!("{}{new}{}", &text[..at], &text[at..])
        }
    })
}

fn failure(code: &str, message: &str) -> Value {
    json!({"success": false, "code": code, "message": message})
}
