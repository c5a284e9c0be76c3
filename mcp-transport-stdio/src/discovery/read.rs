//! What one status file says. Pure.

use super::projects::Project;
use super::status::{KEY, Reason, Status, from_object, project_name};
use std::time::{Duration, SystemTime};

/// After which age a heartbeat says nothing any more: 60 s, as in the Python server (10.3). An editor without focus may
/// be slow, and one that reloads writes nothing at all.
pub const STALE: Duration = Duration::from_secs(60);

/// What one file says.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Reading {
    /// A project, as it is.
    Project(Project),
    /// Nothing, at the moment: what was known before stays.
    NoNews,
}

/// Reads a status file by its name and its bytes; `modified` stands in for a heartbeat that it lacks.
///
/// No news are: another file's name, what is empty or torn, a port of 0, `starting` (it is written before anybody listens),
/// and a heartbeat older than [`STALE`].
pub fn read(
    file_name: &str,
    bytes: &[u8],
    modified: Option<SystemTime>,
    now: SystemTime,
) -> Reading {
    let (Some(key), Some(mut status)) = (key_of(file_name), from_object::<Status>(bytes)) else {
        return Reading::NoNews;
    };
    let heard = status.written().or(modified);
    let age = heard.and_then(|heard| now.duration_since(heard).ok());
    if status.unity_port == 0
        || status.reason == Reason::Starting
        || heard.is_none()
        || age.is_some_and(|age| age > STALE)
    {
        return Reading::NoNews;
    }
    if !status.project_path.is_empty() {
        // As the Python server has it, which does not read the name.
        project_name(&status.project_path).clone_into(&mut status.project_name);
    }
    Reading::Project(Project {
        key: key.to_owned(),
        heard: heard.unwrap_or(now),
        status,
    })
}

/// The key in the name of a status file.
pub(super) fn key_of(file_name: &str) -> Option<&str> {
    let key = file_name
        .strip_prefix(PREFIX)?
        .strip_suffix(SUFFIX)
        .filter(|key| !key.is_empty() && key.len() <= 2 * KEY)?;
    key.bytes()
        .all(|byte| byte.is_ascii_alphanumeric())
        .then_some(key)
}

/// The name of the status file of this key.
pub(super) fn file_name(key: &str) -> String {
    format!("{PREFIX}{key}{SUFFIX}")
}

const PREFIX: &str = "unity-mcp-status-";
const SUFFIX: &str = ".json";
