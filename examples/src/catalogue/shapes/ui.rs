//! `manage_ui`: files in base64, and a truth value that the plugin wants as text.

use serde_json::Value;

use super::super::problem::Problem;
use super::{Draft, encode, trim_folder};

pub(super) fn apply(draft: &mut Draft) -> Result<(), Problem> {
    trim_folder(draft, "output_folder");
    let is_file = matches!(
        draft.action(),
        Some("create" | "read" | "update" | "delete")
    );
    if let Some(Value::String(path)) = draft.wire.get("path").filter(|_| is_file) {
        check(path).map_err(|expected| Problem::new("path", expected, &path.as_str().into()))?;
    }
    let contents = draft.take_text("contents");
    if !contents.is_empty() {
        encode(draft, &contents);
    }
    if let Some(Value::Bool(visible)) = draft.wire.get("visible") {
        let visible = visible.to_string();
        draft.wire.insert("visible".to_owned(), visible.into());
    }
    Ok(())
}

fn check(path: &str) -> Result<(), &'static str> {
    const UNDER_ASSETS: &str = "a path under Assets/, such as Assets/UI/Menu.uxml";
    let path = path.replace('\\', "/");
    let mut segments = path
        .split('/')
        .filter(|segment| !matches!(*segment, "" | "."));
    let rooted = !path.starts_with('/')
        && segments
            .next()
            .is_some_and(|first| first.eq_ignore_ascii_case("Assets"));
    if !rooted || segments.any(|segment| segment == "..") {
        return Err(UNDER_ASSETS);
    }
    let lower = path.to_ascii_lowercase();
    if lower.ends_with(".uxml") || lower.ends_with(".uss") {
        Ok(())
    } else {
        Err("a file name that ends in .uxml or .uss")
    }
}
