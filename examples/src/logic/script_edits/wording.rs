//! How clients write edits and name scripts, and what is meant.

use percent_encoding::percent_decode_str;
use serde_json::Value;

use super::super::pattern::compile;
use super::super::source::Script;
use super::super::text_edits::whole;
use super::super::{STRUCTURED, TEXT};
use super::{Edit, op, said};
use crate::catalogue::Problem;

/// What else clients call a field; the first that is there counts, unless the field itself is.
const ALIASES: &[(&str, &str)] = &[
    ("class_name", "className"),
    ("class", "className"),
    ("method_name", "methodName"),
    ("target", "methodName"),
    ("method", "methodName"),
    ("new_content", "replacement"),
    ("newMethod", "replacement"),
    ("new_method", "replacement"),
    ("content", "replacement"),
    ("after", "afterMethodName"),
    ("after_method", "afterMethodName"),
    ("before", "beforeMethodName"),
    ("before_method", "beforeMethodName"),
    ("anchorText", "anchor"),
    ("newText", "text"),
    ("insert", "text"),
];
/// The words for `op`, in any of the fields where clients put it.
const OPS: &[&str] = &["op", "operation", "type", "mode"];

/// The script that `name` and `path` mean together: either may hold the whole path.
pub(super) fn locate(name: &str, path: &str) -> Result<Script, Problem> {
    let [bare, folder] = [name, path].map(clean);
    let whole = [&bare, &folder]
        .into_iter()
        .find(|it| it.contains('/') && is_script(it));
    let (folder, file) = match whole.and_then(|whole| whole.rsplit_once('/')) {
        Some((folder, file)) => (folder.to_owned(), file.to_owned()),
        None if bare.is_empty() && is_script(&folder) => (String::new(), folder),
        None => (folder, bare),
    };
    // `Assets/Foo.cs/Foo.cs` is one that a client has joined twice.
    let folder = folder.strip_suffix(&format!("/{file}")).unwrap_or(&folder);
    let stem = if is_script(&file) {
        &file[..file.len() - 3]
    } else {
        &file
    };
    if stem.is_empty() || stem.contains('/') {
        let expected = "a script's name, or its path under Assets/";
        return Err(Problem::new("name", expected, &name.into()));
    }
    if folder.split('/').any(|segment| segment == "..") {
        return Err(Problem::new(
            "path",
            "a folder under Assets/, without `..`",
            &path.into(),
        ));
    }
    let path = if folder.is_empty() { "Assets" } else { folder };
    Ok(Script {
        name: stem.to_owned(),
        path: path.to_owned(),
    })
}

/// A URI as a path; nothing else is changed.
fn clean(text: &str) -> String {
    let text = text.trim();
    let of_uri = text
        .strip_prefix("mcpforunity://path/")
        .or_else(|| text.strip_prefix("file://"));
    let decoded = of_uri.map(|path| percent_decode_str(path).decode_utf8_lossy().into_owned());
    let path = decoded
        .unwrap_or_else(|| text.to_owned())
        .replace('\\', "/");
    // A path of the machine, from its Assets folder on.
    let path = match path.find("/Assets/") {
        Some(at) if of_uri.is_some() || path.starts_with('/') => path[at + 1..].to_owned(),
        _ => path,
    };
    path.trim_end_matches('/').to_owned()
}

fn is_script(path: &str) -> bool {
    path.len() > 3
        && path.is_char_boundary(path.len() - 3)
        && path[path.len() - 3..].eq_ignore_ascii_case(".cs")
}

/// Every edit under the plugin's names, complete; or what is wrong with the first that is not.
pub(super) fn edits(given: &Value, script: &str) -> Result<Vec<Edit>, Problem> {
    let given = given.as_array().map_or(&[][..], Vec::as_slice);
    if given.is_empty() {
        return Err(Problem::missing("edits", "at least one edit"));
    }
    let each = given.iter().enumerate();
    each.map(|(at, edit)| {
        let edit = plain(edit.as_object().cloned().unwrap_or_default(), script);
        check(at, &edit)?;
        Ok(edit)
    })
    .collect()
}

fn plain(edit: Edit, script: &str) -> Edit {
    let mut edit = unwrap(edit);
    let word = OPS
        .iter()
        .map(|name| said(&edit, name).trim())
        .find(|word| !word.is_empty());
    let mut word = word.unwrap_or_default().to_ascii_lowercase();
    for (alias, name) in ALIASES {
        if !edit.contains_key(*name)
            && let Some(value) = edit.remove(*alias)
        {
            edit.insert((*name).to_owned(), value);
        }
    }
    around_a_method(&mut edit);
    let lacks_anchor = said(&edit, "anchor").is_empty();
    if word.starts_with("anchor_")
        && lacks_anchor
        && let Some(pattern) = edit.remove("pattern")
    {
        edit.insert("anchor".to_owned(), pattern);
    } else if word == "anchor_insert" && lacks_anchor && names_a_neighbour(&edit) {
        "insert_method".clone_into(&mut word);
    }
    if let Some(range) = edit.remove("range") {
        of_an_editor(&mut edit, &range);
        "replace_range".clone_into(&mut word);
    }
    match &*word {
        "text_replace" => "replace_range".clone_into(&mut word),
        "regex_delete" => {
            "regex_replace".clone_into(&mut word);
            edit.insert("replacement".to_owned(), "".into());
        }
        _ => {}
    }
    finish(&mut edit, &word, script);
    edit.insert("op".to_owned(), word.into());
    edit
}

/// `{"replace_method": {…}}` is the edit within.
fn unwrap(mut edit: Edit) -> Edit {
    for word in STRUCTURED {
        if let Some(Value::Object(_)) = edit.get(*word) {
            let Some(Value::Object(mut inner)) = edit.remove(*word) else {
                continue;
            };
            inner.insert("op".to_owned(), (*word).into());
            return inner;
        }
    }
    edit
}

/// `anchor_method` is the method before or after which something is put.
fn around_a_method(edit: &mut Edit) {
    let Some(method) = edit.remove("anchor_method") else {
        return;
    };
    let before = said(edit, "position").trim().eq_ignore_ascii_case("before");
    let name = if before {
        "beforeMethodName"
    } else {
        "afterMethodName"
    };
    edit.entry(name).or_insert(method);
}

fn names_a_neighbour(edit: &Edit) -> bool {
    ["afterMethodName", "beforeMethodName"]
        .iter()
        .any(|name| !said(edit, name).is_empty())
}

/// Counted from 0, as editors do.
fn of_an_editor(edit: &mut Edit, range: &Value) {
    for (name, end, part) in [
        ("startLine", "start", "line"),
        ("startCol", "start", "character"),
        ("endLine", "end", "line"),
        ("endCol", "end", "character"),
    ] {
        let number = whole(&range[end][part])
            .unwrap_or_default()
            .saturating_add(1);
        edit.insert(name.to_owned(), number.into());
    }
}

/// What the plugin, or `spans`, looks for under one name only.
fn finish(edit: &mut Edit, word: &str, script: &str) {
    let is_anchor = word.starts_with("anchor_");
    let structured = STRUCTURED.contains(&word);
    if structured && !is_anchor {
        if said(edit, "className").is_empty() {
            edit.insert("className".to_owned(), script.into());
        }
        if !edit.contains_key("replacement")
            && let Some(text) = edit.get("text").cloned()
        {
            edit.insert("replacement".to_owned(), text);
        }
    }
    // Without a position the plugin would put it at the class's end, whatever method is named.
    if word == "insert_method" && said(edit, "position").is_empty() {
        for (name, position) in [("afterMethodName", "after"), ("beforeMethodName", "before")] {
            if !said(edit, name).is_empty() {
                edit.insert("position".to_owned(), position.into());
            }
        }
    }
    let (from, to) = match word {
        "regex_replace" => ("text", "replacement"),
        word if TEXT.contains(&word) => ("replacement", "text"),
        _ => return,
    };
    if !edit.contains_key(to)
        && let Some(text) = edit.remove(from)
    {
        edit.insert(to.to_owned(), text);
    }
}

fn check(at: usize, edit: &Edit) -> Result<(), Problem> {
    let word = op(edit);
    let place = |name: &str| format!("edits[{at}].{name}");
    let got = |name: &str| edit.get(name).cloned().unwrap_or_default();
    if !STRUCTURED.contains(&word) && !TEXT.contains(&word) {
        let expected = format!("one of {}, {}", STRUCTURED.join(", "), TEXT.join(", "));
        return Err(Problem::new(&place("op"), expected, &got("op")));
    }
    let filled = |name: &str, what: &str| match said(edit, name) {
        "" => Err(Problem::new(
            &place(name),
            format!("{what} ({word} needs it)"),
            &got(name),
        )),
        _ => Ok(()),
    };
    let position = said(edit, "position").to_ascii_lowercase();
    match word {
        "replace_method" | "delete_method" => filled("methodName", "the method's name")?,
        "insert_method" if position == "after" => filled("afterMethodName", "the method's name")?,
        "insert_method" if position == "before" => filled("beforeMethodName", "the method's name")?,
        "anchor_insert" | "anchor_replace" | "anchor_delete" => {
            filled("anchor", "a regular expression")?;
        }
        "replace_range" => {
            for name in ["startLine", "startCol", "endLine", "endCol"] {
                if whole(&got(name)).is_none_or(|number| number < 1) {
                    let expected = "a whole number from 1 (replace_range needs it)";
                    return Err(Problem::new(&place(name), expected, &got(name)));
                }
            }
        }
        "regex_replace" => {
            filled("pattern", "a regular expression")?;
            let pattern = said(edit, "pattern");
            if let Err(why) = compile(pattern, false) {
                let expected = format!("a regular expression ({why})");
                return Err(Problem::new(&place("pattern"), expected, &pattern.into()));
            }
            if !got("replacement").is_string() {
                let expected = "text, \"\" to delete the match (regex_replace needs it)";
                return Err(Problem::new(
                    &place("replacement"),
                    expected,
                    &got("replacement"),
                ));
            }
            let count = got("count");
            if !count.is_null() && whole(&count).is_none_or(|count| count < 0) {
                return Err(Problem::new(
                    &place("count"),
                    "a whole number from 0",
                    &count,
                ));
            }
        }
        _ => {}
    }
    match word {
        "replace_class" | "replace_method" | "insert_method"
            if said(edit, "replacementBase64").is_empty() =>
        {
            filled("replacement", "C# source")
        }
        "anchor_insert" | "anchor_replace" if said(edit, "replacement").is_empty() => {
            filled("text", "text")
        }
        "prepend" | "append" => filled("text", "text"),
        _ => Ok(()),
    }
}
