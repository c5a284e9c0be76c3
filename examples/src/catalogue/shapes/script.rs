//! Scripts: the plugin wants a name and a folder, and a new file's source in base64.

use percent_encoding::percent_decode_str;
use serde_json::Value;

use super::super::problem::Problem;
use super::Draft;

/// `create_script`: `path` and `contents`.
pub(super) fn path(draft: &mut Draft) -> Result<(), Problem> {
    let path = draft.take_text("path");
    let script = Location::of_path(&path).and_then(Location::with_extension);
    place(draft, "path", path, script)?;
    let contents = draft.take_text("contents");
    encode(draft, &contents);
    Ok(())
}

/// `delete_script`, `validate_script`: `uri`.
pub(super) fn uri(draft: &mut Draft) -> Result<(), Problem> {
    let uri = draft.take_text("uri");
    let script = Location::of_uri(&uri);
    place(draft, "uri", uri, script)
}

/// `manage_script`: name and folder come as such; only a new file's source is encoded.
pub(super) fn contents(draft: &mut Draft) -> Result<(), Problem> {
    match draft.wire.remove("contents") {
        Some(Value::String(contents)) if draft.action() == Some("create") => {
            encode(draft, &contents);
        }
        Some(Value::String(contents)) if !contents.is_empty() => {
            draft.wire.insert("contents".to_owned(), contents.into());
        }
        _ => {}
    }
    Ok(())
}

/// Without a source, nothing: the plugin then writes a template.
fn encode(draft: &mut Draft, contents: &str) {
    if !contents.is_empty() {
        super::encode(draft, contents);
    }
}

fn place(
    draft: &mut Draft,
    parameter: &str,
    given: String,
    script: Result<Location, &'static str>,
) -> Result<(), Problem> {
    let script =
        script.map_err(|expected| Problem::new(parameter, expected, &Value::String(given)))?;
    draft.wire.insert("name".to_owned(), script.name.into());
    draft.wire.insert("path".to_owned(), script.folder.into());
    Ok(())
}

/// Where a script is, as the plugin wants it.
#[derive(Debug)]
pub(crate) struct Location {
    pub(crate) folder: String,
    pub(crate) name: String,
    extension: bool,
}

impl Location {
    /// `Assets/…`, with either kind of slash.
    fn of_path(path: &str) -> Result<Self, &'static str> {
        if path.starts_with(['/', '\\']) {
            return Err(OUTSIDE);
        }
        Self::of_segments(&resolve(&path.replace('\\', "/")).ok_or(OUTSIDE)?)
    }

    /// `mcpforunity://path/Assets/…`, `file:///…/Assets/…`, or a path that has an Assets folder.
    pub(crate) fn of_uri(uri: &str) -> Result<Self, &'static str> {
        let raw = uri
            .strip_prefix("mcpforunity://path/")
            .or_else(|| uri.strip_prefix("file://"));
        let raw = percent_decode_str(raw.unwrap_or(uri)).decode_utf8();
        let raw = raw.map_err(|_| "percent-encoded UTF-8")?.replace('\\', "/");
        let segments = resolve(&raw).ok_or(OUTSIDE)?;
        // Unity's folder is spelled exactly so; a folder above the project may be called "assets".
        let exact = segments.iter().position(|segment| *segment == ASSETS);
        let found = exact.or_else(|| segments.iter().position(|segment| is_assets(segment)));
        Self::of_segments(&segments[found.ok_or(OUTSIDE)?..])
    }

    fn of_segments(segments: &[&str]) -> Result<Self, &'static str> {
        let (file, folders) = segments.split_last().ok_or(OUTSIDE)?;
        if !folders.first().is_some_and(|first| is_assets(first)) {
            return Err(OUTSIDE);
        }
        // The plugin appends `.cs` to the name, so another extension would mean another file.
        let (name, extension) = match file.rsplit_once('.') {
            None => (*file, false),
            Some((name, extension)) if extension.eq_ignore_ascii_case("cs") => (name, true),
            Some(_) => return Err(NO_SCRIPT),
        };
        if name.is_empty() {
            return Err(NO_SCRIPT);
        }
        Ok(Self {
            folder: folders.join("/"),
            name: name.to_owned(),
            extension,
        })
    }

    fn with_extension(self) -> Result<Self, &'static str> {
        if self.extension {
            Ok(self)
        } else {
            Err(NO_SCRIPT)
        }
    }
}

/// The path without `.`, `..` and empty segments; `None` if it leaves its root.
fn resolve(path: &str) -> Option<Vec<&str>> {
    let mut segments = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => {
                segments.pop()?;
            }
            segment => segments.push(segment),
        }
    }
    Some(segments)
}

fn is_assets(segment: &str) -> bool {
    segment.eq_ignore_ascii_case(ASSETS)
}

const ASSETS: &str = "Assets";
const OUTSIDE: &str = "a script under Assets/, such as Assets/Scripts/Player.cs";
const NO_SCRIPT: &str = "a file name that ends in .cs";
