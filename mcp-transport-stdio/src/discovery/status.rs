//! The files' contents, as the plugin (10.1) writes them. Pure.

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::time::{Duration, SystemTime};

/// A status file: `unity-mcp-status-<key>.json`. A field that is missing has its default.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Status {
    /// The port; somebody listens on it if [`reason`](Self::reason) is `ready`.
    pub unity_port: u16,
    /// True while the application reloads its code, or waits for its port.
    pub reloading: bool,
    /// What the application is doing.
    pub reason: Reason,
    /// Counts the starts of one life of the application's code; a reload begins at 0 again.
    pub seq: u64,
    /// `Application.dataPath`: absolute, with forward slashes, ending in `/Assets`.
    pub project_path: String,
    /// The name of the directory above `Assets`.
    pub project_name: String,
    /// The editor's version.
    pub unity_version: String,
    /// When this was written: UTC, as .NET writes it (`2026-07-13T21:15:58.1234567Z`).
    pub last_heartbeat: String,
    /// A preference of the editor.
    pub project_scoped_tools: bool,
    /// Ours: this bridge has seats, so a client may wait for one without taking it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub seat: bool,
}

/// What an application is doing, in its status file.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(from = "String", into = "String")]
#[non_exhaustive]
pub enum Reason {
    /// It is about to listen; nobody does yet.
    Starting,
    /// It listens.
    Ready,
    /// It reloads its code, and will be back.
    Reloading,
    /// Somebody else has its port; it tries again.
    PortBusy,
    /// It could not listen.
    StartFailed,
    /// It gave up, or was stopped.
    Stopped,
    /// Another word.
    Other(String),
    /// It does not say.
    #[default]
    Unknown,
}

/// A port file: `unity-mcp-port-<key>.json`. It is written when a port is chosen, not at each start.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
#[non_exhaustive]
pub struct PortFile {
    /// The port.
    pub unity_port: u16,
    /// When it was chosen: UTC, as .NET writes it.
    pub created_date: String,
    /// `Application.dataPath`.
    pub project_path: String,
}

impl Status {
    /// Of an application with a bridge of ours: it is ready, and has seats.
    pub fn new(port: u16, project_path: impl Into<String>) -> Self {
        let project_path = project_path.into();
        Self {
            unity_port: port,
            reason: Reason::Ready,
            project_name: project_name(&project_path).to_owned(),
            project_path,
            seat: true,
            ..Self::default()
        }
    }

    /// The first eight hex digits of the path's SHA-1, by which the files of a project are named.
    pub fn key(&self) -> String {
        project_key(&self.project_path)
    }

    /// With the heartbeat of this time.
    #[must_use]
    pub fn at(mut self, now: SystemTime) -> Self {
        self.last_heartbeat = stamp(now);
        self
    }

    /// When it was written, if it says so; never before 1970.
    pub fn written(&self) -> Option<SystemTime> {
        parse(&self.last_heartbeat)
    }
}

impl PortFile {
    /// The choice of a port at this time.
    pub fn new(port: u16, project_path: impl Into<String>, now: SystemTime) -> Self {
        Self {
            unity_port: port,
            created_date: stamp(now),
            project_path: project_path.into(),
        }
    }

    /// The first eight hex digits of the path's SHA-1, by which the files of a project are named.
    pub fn key(&self) -> String {
        project_key(&self.project_path)
    }

    /// Reads one; `None` for what is torn, or names no port.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let file: Self = from_object(bytes)?;
        (file.unity_port > 0).then_some(file)
    }
}

impl From<String> for Reason {
    fn from(word: String) -> Self {
        match &*word {
            "starting" => Self::Starting,
            "ready" => Self::Ready,
            "reloading" => Self::Reloading,
            "port_busy" => Self::PortBusy,
            "start_failed" => Self::StartFailed,
            "stopped" => Self::Stopped,
            "" => Self::Unknown,
            _ => Self::Other(word),
        }
    }
}

impl From<Reason> for String {
    fn from(reason: Reason) -> Self {
        match reason {
            Reason::Starting => "starting",
            Reason::Ready => "ready",
            Reason::Reloading => "reloading",
            Reason::PortBusy => "port_busy",
            Reason::StartFailed => "start_failed",
            Reason::Stopped => "stopped",
            Reason::Other(word) => return word,
            Reason::Unknown => "",
        }
        .into()
    }
}

/// The key of a project: the first eight hex digits of SHA-1 over the UTF-8 of `Application.dataPath`.
///
/// ```
/// use mcp_transport_stdio::discovery::project_key;
///
/// assert_eq!(project_key("abc"), "a9993e36");
/// ```
pub fn project_key(project_path: &str) -> String {
    let mut digits = sha1_smol::Sha1::from(project_path).digest().to_string();
    digits.truncate(KEY);
    digits
}

/// The name of a project: that of the directory above `Assets`, or `Unknown`.
pub fn project_name(project_path: &str) -> &str {
    let path = project_path.trim_end_matches(['/', '\\']);
    let root = path.strip_suffix("Assets").unwrap_or(path);
    let root = root.trim_end_matches(['/', '\\']);
    match root.rsplit(['/', '\\']).next() {
        Some(name) if !name.is_empty() => name,
        _ => "Unknown",
    }
}

/// How many digits a key has.
pub(super) const KEY: usize = 8;

fn stamp(now: SystemTime) -> String {
    let now = Timestamp::try_from(now).unwrap_or_default();
    now.strftime("%Y-%m-%dT%H:%M:%S.%7fZ").to_string()
}

/// What is before 1970 is as old as that: a system need not know a time so early (Windows begins in 1601, and .NET's
/// empty date is in the year 1), and jiff's own conversion panics there.
fn parse(stamp: &str) -> Option<SystemTime> {
    let since = stamp.parse::<Timestamp>().ok()?.as_duration();
    SystemTime::UNIX_EPOCH.checked_add(Duration::try_from(since).unwrap_or_default())
}

/// Reads a JSON object; what is derived would read an array, too, field by field.
pub(super) fn from_object<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    let is_object = bytes.trim_ascii_start().starts_with(b"{");
    is_object.then(|| serde_json::from_slice(bytes).ok())?
}
