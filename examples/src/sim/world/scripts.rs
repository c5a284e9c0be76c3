//! `manage_script`: C# files, their hashes, their edits, and whether they compile.

use std::collections::BTreeMap;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::answer::{Answer, Reply};
use super::console::{Console, Severity};
use super::csharp::{self, Diagnostic};
use super::ledger::hex;
use super::params::Params;
use super::{Cause, World};

/// A project takes no more scripts than this.
pub const SCRIPTS: usize = 1_000;

/// A script is no longer than this.
pub const SCRIPT_BYTES: usize = 1024 * 1024;

#[derive(Clone, Debug, Default)]
pub(super) struct Scripts {
    by_path: BTreeMap<String, Script>,
    /// Something changed since the last compilation that succeeded.
    changed: bool,
}

#[derive(Clone, Debug)]
struct Script {
    text: String,
    modified_unix_ms: u64,
}

impl Scripts {
    pub(super) fn text(&self, path: &str) -> Option<&str> {
        self.by_path.get(path).map(|script| script.text.as_str())
    }

    pub(super) fn changed(&self) -> bool {
        self.changed
    }

    /// Whether a type of this name exists: C# files that Unity attaches are named after it, and
    /// exist for it once everything compiles.
    pub(super) fn defines(&self, kind: &str) -> bool {
        let file = format!("/{kind}.cs");
        !self.changed && self.by_path.keys().any(|path| path.ends_with(&file))
    }

    pub(super) fn compiles(&self) -> bool {
        self.by_path
            .values()
            .all(|script| csharp::check(&script.text).is_none())
    }

    /// Compiles everything; the errors go to the console, where they replace the previous ones.
    pub(super) fn compile(&mut self, console: &mut Console) -> bool {
        console.forget_compile_errors();
        let mut clean = true;
        for (path, script) in &self.by_path {
            if let Some(error) = csharp::check(&script.text) {
                clean = false;
                console.compile_error(path, error.line, format!("{path}{error}"));
            }
        }
        self.changed &= !clean;
        clean
    }
}

impl World {
    pub(super) fn manage_script(
        &mut self,
        now: u64,
        params: Params<'_>,
        reload: &mut Option<Cause>,
    ) -> Reply {
        let action = params.action()?;
        let name = params.required("name")?;
        let path = script_path(&name, params.text("path").as_deref())?;
        let answer = match action.as_str() {
            "read" => return self.read_script(&path),
            "get_sha" => return self.script_sha(&path),
            "validate" => return self.validate_script(&path),
            "create" => self.create_script(now, &name, &path, params)?,
            "update" => {
                self.existing(&path)?;
                let text = contents(params)?.ok_or_else(|| {
                    Answer::refused("Content is required for the 'update' action.")
                })?;
                self.write(now, &path, text, "script_edited")?;
                Answer::done(format!(
                    "Script '{name}.cs' updated successfully at '{path}'."
                ))
                .with(json!({"uri": uri(&path), "path": path, "scheduledRefresh": true}))
            }
            "apply_text_edits" => self.edit_script(now, &path, params)?,
            "delete" => {
                self.existing(&path)?;
                self.scripts.by_path.remove(&path);
                self.scripts.changed = true;
                self.ledger.effect("script_deleted", path.clone());
                Answer::done(format!("Script '{name}.cs' moved to trash successfully."))
                    .with(json!({"deleted": true}))
            }
            other => {
                return Err(Answer::refused(format!(
                    "Unknown action: '{other}'. Valid actions are: create, delete, \
                     apply_text_edits, validate, get_sha, read (deprecated), update (deprecated)."
                )));
            }
        };
        // Unity imports what was written at once, and compiles.
        *reload = self.compile(now).or(*reload);
        Ok(answer)
    }

    /// A compilation at `now`: the reload that it brings, or none while something does not compile.
    pub(super) fn compile(&mut self, now: u64) -> Option<Cause> {
        self.editor.compiled(now);
        self.scripts
            .compile(&mut self.console)
            .then_some(Cause::Scripts)
    }

    fn create_script(&mut self, now: u64, name: &str, path: &str, params: Params<'_>) -> Reply {
        if self.scripts.by_path.contains_key(path) {
            return Err(Answer::refused(format!(
                "Script already exists at '{path}'. Use 'update' action to modify."
            )));
        }
        if self.scripts.by_path.len() >= SCRIPTS {
            return Err(Answer::refused(format!(
                "The simulator's project takes {SCRIPTS} scripts."
            )));
        }
        let text = contents(params)?.unwrap_or_else(|| template(name, params));
        if let Some(error) = csharp::check(&text) {
            // The installed plugin refuses some of these before it writes. Here the file is
            // written, as it would be from an IDE, so that compile errors can be met at all.
            let warning = format!("Script validation warnings for {name}:\n{error}");
            self.console.log(Severity::Warning, warning);
        }
        self.write(now, path, text, "script_created")?;
        Ok(Answer::done(format!(
            "Script '{name}.cs' created successfully at '{path}'."
        ))
        .with(json!({"uri": uri(path), "scheduledRefresh": false})))
    }

    fn read_script(&self, path: &str) -> Reply {
        let text = &self.existing(path)?.text;
        // Beyond this the plugin sends the text a second time, encoded.
        let large = text.len() > 10_000;
        let file = path.rsplit('/').next().unwrap_or(path);
        Ok(
            Answer::done(format!("Script '{file}' read successfully.")).with(json!({
                "uri": uri(path),
                "path": path,
                "contents": text,
                "encodedContents": large.then(|| BASE64_STANDARD.encode(text)),
                "contentsEncoded": large,
            })),
        )
    }

    fn script_sha(&self, path: &str) -> Reply {
        let script = self.existing(path)?;
        Ok(
            Answer::done(format!("SHA computed for '{path}'.")).with(json!({
                "uri": uri(path),
                "path": path,
                "sha256": sha256(&script.text),
                "lengthBytes": script.text.len(),
                "lastModifiedUnixMs": script.modified_unix_ms,
            })),
        )
    }

    fn validate_script(&self, path: &str) -> Reply {
        let found = csharp::check(&self.existing(path)?.text);
        let diagnostics: Vec<Value> = found
            .iter()
            .map(
                |Diagnostic {
                     line,
                     col,
                     code,
                     message,
                 }| {
                    json!({
                        "line": line,
                        "col": col,
                        "severity": "error",
                        "message": format!("{code}: {message}"),
                    })
                },
            )
            .collect();
        let data = json!({"diagnostics": diagnostics});
        Ok(match found {
            None => Answer::done("Validation completed.").with(data),
            Some(_) => Answer::refused("Validation failed.").with(data),
        })
    }

    fn edit_script(&mut self, now: u64, path: &str, params: Params<'_>) -> Reply {
        let text = &self.existing(path)?.text;
        let current = sha256(text);
        let Some(expected) = params.text("precondition_sha256") else {
            return Err(Answer::refused("precondition_required")
                .with(json!({"status": "precondition_required", "current_sha256": current})));
        };
        if !expected.eq_ignore_ascii_case(&current) {
            return Err(Answer::refused("stale_file").with(json!({
                "status": "stale_file",
                "expected_sha256": expected,
                "current_sha256": current,
            })));
        }
        let edits = params
            .raw("edits")
            .and_then(Value::as_array)
            .filter(|e| !e.is_empty());
        let edits = edits.ok_or_else(|| Answer::refused("No edits provided."))?;
        let edited = apply(text, edits)?;
        let (count, sha) = (edits.len(), sha256(&edited));
        if edited == *text {
            return Ok(Answer::done("No-op: contents unchanged").with(json!({
                "uri": uri(path), "path": path, "editsApplied": 0, "no_op": true, "sha256": sha,
            })));
        }
        self.write(now, path, edited, "script_edited")?;
        Ok(
            Answer::done(format!("Applied {count} text edit(s) to '{path}'.")).with(json!({
                "uri": uri(path),
                "path": path,
                "editsApplied": count,
                "sha256": sha,
                "scheduledRefresh": true,
            })),
        )
    }

    fn existing(&self, path: &str) -> Result<&Script, Answer> {
        self.scripts
            .by_path
            .get(path)
            .ok_or_else(|| Answer::refused(format!("Script not found at '{path}'.")))
    }

    fn write(
        &mut self,
        now: u64,
        path: &str,
        text: String,
        what: &'static str,
    ) -> Result<(), Answer> {
        if text.len() > SCRIPT_BYTES {
            return Err(Answer::refused(format!(
                "A script takes {SCRIPT_BYTES} bytes in the simulator; this one has {}.",
                text.len()
            )));
        }
        self.scripts.by_path.insert(
            path.to_owned(),
            Script {
                text,
                modified_unix_ms: now,
            },
        );
        self.scripts.changed = true;
        self.ledger.effect(what, path);
        Ok(())
    }
}

/// `Assets/<folder>/<Name>.cs`, as the plugin builds and bounds it.
fn script_path(name: &str, folder: Option<&str>) -> Result<String, Answer> {
    let mut letters = name.chars();
    let starts_well = letters
        .next()
        .is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
    if !starts_well || !letters.all(|c| c.is_ascii_alphanumeric() || c == '_') {
        return Err(Answer::refused(format!(
            "Invalid script name: '{name}'. Use only letters, numbers, underscores, and don't \
             start with a number."
        )));
    }
    let given = folder.unwrap_or("Scripts");
    let clean = given.replace('\\', "/");
    let clean = clean.trim_matches('/');
    if clean
        .split('/')
        .any(|part| part == ".." || part.contains(':'))
    {
        return Err(Answer::refused(format!(
            "Invalid path. Target directory must be within 'Assets/'. Provided: '{given}'"
        )));
    }
    let inside = clean
        .strip_prefix("Assets")
        .map_or(clean, |rest| rest.trim_start_matches('/'));
    let inside = if inside.is_empty() {
        String::new()
    } else {
        format!("{inside}/")
    };
    Ok(format!("Assets/{inside}{name}.cs"))
}

/// The text that a command brings, encoded or plain.
fn contents(params: Params<'_>) -> Result<Option<String>, Answer> {
    let encoded = params.text("encodedContents");
    let Some(encoded) = encoded.filter(|_| params.flag("contentsEncoded") == Some(true)) else {
        return Ok(params.text("contents"));
    };
    let failed = |why: String| Answer::refused(format!("Failed to decode script contents: {why}"));
    let bytes = BASE64_STANDARD
        .decode(encoded)
        .map_err(|error| failed(error.to_string()))?;
    let text = String::from_utf8(bytes).map_err(|error| failed(error.to_string()))?;
    Ok(Some(text).filter(|text| !text.is_empty()))
}

fn template(name: &str, params: Params<'_>) -> String {
    let base = params
        .text("scriptType")
        .unwrap_or_else(|| "MonoBehaviour".to_owned());
    let class = format!("public class {name} : {base}\n{{\n    void Start() {{ }}\n}}\n");
    match params.text("namespace") {
        Some(space) => format!("using UnityEngine;\n\nnamespace {space}\n{{\n{class}}}\n"),
        None => format!("using UnityEngine;\n\n{class}"),
    }
}

/// Applies edits by their 1-based ranges, all against the text as it was, none overlapping.
fn apply(text: &str, edits: &[Value]) -> Result<String, Answer> {
    let mut spans = edits
        .iter()
        .map(|edit| {
            let edit_params = Params::new(edit);
            let at = |line, col| {
                let (line, col) = (edit_params.int(line)?, edit_params.int(col)?);
                offset(text, line, col)
            };
            let start = at("startLine", "startCol");
            let end = at("endLine", "endCol");
            match (start, end) {
                (Some(start), Some(end)) if start <= end => {
                    Ok((start, end, edit_params.text("newText").unwrap_or_default()))
                }
                _ => Err(Answer::refused(format!(
                    "Edit range is outside the file: {edit}"
                ))),
            }
        })
        .collect::<Result<Vec<_>, Answer>>()?;
    spans.sort_by_key(|&(start, end, _)| (start, end));
    if spans.windows(2).any(|pair| pair[1].0 < pair[0].1) {
        return Err(Answer::refused("overlap").with(json!({"status": "overlap"})));
    }
    let mut edited = text.to_owned();
    for (start, end, new) in spans.into_iter().rev() {
        edited.replace_range(start..end, &new);
    }
    Ok(edited)
}

/// The byte offset of a 1-based line and column (in characters); one past the end is allowed.
fn offset(text: &str, line: i64, col: i64) -> Option<usize> {
    let line = usize::try_from(line).ok()?.checked_sub(1)?;
    let col = usize::try_from(col).ok()?.checked_sub(1)?;
    let mut start = 0;
    for _ in 0..line {
        start += text.get(start..)?.find('\n')? + 1;
    }
    let rest = text.get(start..)?;
    let rest = &rest[..rest.find('\n').unwrap_or(rest.len())];
    let mut ends = rest.char_indices().map(|(at, _)| at).chain([rest.len()]);
    ends.nth(col).map(|at| start + at)
}

fn sha256(text: &str) -> String {
    hex(&Sha256::digest(text.as_bytes()))
}

fn uri(path: &str) -> String {
    format!("mcpforunity://path/{path}")
}
