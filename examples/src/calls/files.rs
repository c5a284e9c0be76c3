//! The newest time stamp below a project.

use crate::logic::external::{Span, is_within};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

/// Files and folders that are looked at. In a larger project what lies beyond goes unseen.
const ENTRIES: usize = 20_000;

/// Where people work; the rest is the editor's own.
const FOLDERS: [&str; 3] = ["Assets", "ProjectSettings", "Packages"];

/// Nobody's work.
const SKIPPED: [&str; 5] = ["library", "temp", "logs", "obj", "node_modules"];

/// The newest time stamp of a file that was not written within these spans, in Unix milliseconds. Packages that
/// `Packages/manifest.json` has elsewhere on this machine are looked at, too.
pub(super) fn newest(root: &Path, ours: &[Span]) -> Option<i64> {
    // The stdio bridge tells the folder of the assets.
    let root = match root.file_name() {
        Some(name) if name.eq_ignore_ascii_case("Assets") => root.parent()?,
        _ => root,
    };
    let mut folders: Vec<PathBuf> = FOLDERS.iter().map(|name| root.join(name)).collect();
    folders.extend(packages_elsewhere(root));
    let (mut newest, mut left) = (None, ENTRIES);
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else {
            continue;
        };
        for entry in entries.flatten() {
            if left == 0 {
                return newest;
            }
            left -= 1;
            let name = entry.file_name();
            let name = name.to_string_lossy();
            let Ok(kind) = entry.file_type() else {
                continue;
            };
            if name.starts_with('.') {
            } else if kind.is_dir() {
                if !SKIPPED
                    .iter()
                    .any(|skipped| name.eq_ignore_ascii_case(skipped))
                {
                    folders.push(entry.path());
                }
            } else if let Some(at) = written(&entry).filter(|at| !is_within(ours, *at)) {
                newest = newest.max(Some(at));
            }
        }
    }
    newest
}

fn written(entry: &fs::DirEntry) -> Option<i64> {
    let modified = entry.metadata().ok()?.modified().ok()?;
    let since = modified.duration_since(UNIX_EPOCH).ok()?;
    i64::try_from(since.as_millis()).ok()
}

fn packages_elsewhere(root: &Path) -> Vec<PathBuf> {
    let packages = root.join("Packages");
    let manifest = fs::read(packages.join("manifest.json")).unwrap_or_default();
    let manifest: serde_json::Value = serde_json::from_slice(&manifest).unwrap_or_default();
    let Some(wanted) = manifest["dependencies"].as_object() else {
        return Vec::new();
    };
    let places = wanted
        .values()
        .filter_map(|place| place.as_str()?.trim().strip_prefix("file:"));
    // `file:///a/b` is absolute; the rest is where it says, seen from the folder of the packages.
    places
        .map(|place| packages.join(place.strip_prefix("//").unwrap_or(place)))
        .filter(|place| place.is_dir())
        .collect()
}
