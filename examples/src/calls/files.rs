//! The newest time stamp below a project.

use crate::logic::external::{Span, is_within};
use std::fs::{self, File};
use std::io::Read;
use std::path::{Component, Path, PathBuf, Prefix};
use std::time::UNIX_EPOCH;

/// Files and folders that are looked at. In a larger project what lies beyond goes unseen.
const ENTRIES: usize = 20_000;

/// Where people work; the rest is the editor's own.
const FOLDERS: [&str; 3] = ["Assets", "ProjectSettings", "Packages"];

/// The list of a project's packages; a longer one is not read. They have some kilobytes.
const MAX_MANIFEST: u64 = 1024 * 1024;

/// Nobody's work.
const SKIPPED: [&str; 5] = ["library", "temp", "logs", "obj", "node_modules"];

/// The newest time stamp of a file that was not written within these spans, in Unix milliseconds. Packages that
/// `Packages/manifest.json` has elsewhere on this machine are looked at, too.
///
/// The path is what an editor registered, and anybody on this machine can register one. So nothing is looked at that is no
/// absolute path to a disk of it: on Windows, to open `\\server\share` is to log in there.
pub(super) fn newest(root: &Path, ours: &[Span]) -> Option<i64> {
    if !is_on_a_disk(root) {
        return None;
    }
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
    let manifest = text_of(&packages.join("manifest.json")).unwrap_or_default();
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
        .filter(|place| is_on_a_disk(place) && place.is_dir())
        .collect()
}

/// A file's bytes, if it is one, and not too long.
fn text_of(path: &Path) -> Option<Vec<u8>> {
    // To open a pipe would wait for its other end.
    if !fs::metadata(path).ok()?.is_file() {
        return None;
    }
    let mut text = Vec::new();
    let file = File::open(path).ok()?;
    file.take(MAX_MANIFEST + 1).read_to_end(&mut text).ok()?;
    (text.len() as u64 <= MAX_MANIFEST).then_some(text)
}

/// Whether a path is absolute, and neither a share nor a device. Only Windows has paths that say so.
fn is_on_a_disk(path: &Path) -> bool {
    let is_disk = match path.components().next() {
        Some(Component::Prefix(prefix)) => {
            matches!(prefix.kind(), Prefix::Disk(_) | Prefix::VerbatimDisk(_))
        }
        _ => true,
    };
    path.is_absolute() && is_disk
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A project below the folder for temporary files; gone when dropped.
    struct Project(PathBuf);

    impl Project {
        fn new(name: &str) -> Self {
            let root = std::env::temp_dir().join(format!("files-{name}-{}", std::process::id()));
            let _ = fs::remove_dir_all(&root);
            fs::create_dir_all(root.join("game/Packages")).unwrap();
            Self(root)
        }

        /// It has a package beside it, which its list names, followed by this.
        fn with_package(name: &str, more: &str) -> Self {
            let project = Self::new(name);
            fs::create_dir_all(project.0.join("shared")).unwrap();
            fs::write(project.0.join("shared/Some.cs"), "").unwrap();
            let list = format!(r#"{{"dependencies":{{"a":"file:../../shared"}}}}{more}"#);
            fs::write(project.root().join("Packages/manifest.json"), list).unwrap();
            project
        }

        fn root(&self) -> PathBuf {
            self.0.join("game")
        }
    }

    impl Drop for Project {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_package_elsewhere_is_found_by_a_list_that_is_not_too_long_and_by_no_other() {
        let project = Project::with_package("list", "");
        assert_eq!(packages_elsewhere(&project.root()).len(), 1);
        let blanks = " ".repeat(usize::try_from(MAX_MANIFEST).unwrap());
        let project = Project::with_package("long-list", &blanks);
        assert_eq!(packages_elsewhere(&project.root()).len(), 0);
    }

    #[test]
    fn nothing_is_looked_at_that_is_no_absolute_path_to_a_disk() {
        let project = Project::with_package("paths", "");
        assert!(newest(&project.root(), &[]).is_some());
        for path in ["", "Assets", "../game", "./x"] {
            assert!(!is_on_a_disk(Path::new(path)), "{path:?}");
        }
        #[cfg(windows)]
        for path in [
            r"\\server\share\game",
            r"\\?\UNC\server\share\game",
            r"\\.\pipe\x",
            r"\game",
            r"C:game",
        ] {
            assert!(!is_on_a_disk(Path::new(path)), "{path:?}");
        }
    }
}
