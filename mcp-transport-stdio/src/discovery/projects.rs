//! The projects that are open, as far as the files say. Pure.

use super::read::{Reading, STALE};
use super::status::{Reason, Status};
use mcp_transport_core::{Error, ErrorKind, EvictionReason};
use std::time::SystemTime;

/// One open project.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Project {
    /// From the name of its file.
    pub key: String,
    /// What the file said last.
    pub status: Status,
    /// When it was written last.
    pub heard: SystemTime,
}

/// All of them, by key.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Projects {
    projects: Vec<Project>,
}

impl Project {
    /// What a file of this key said when it was written last.
    pub fn new(key: impl Into<String>, status: Status, heard: SystemTime) -> Self {
        Self {
            key: key.into(),
            status,
            heard,
        }
    }

    /// `Name@key`, as the Python server names it.
    pub fn id(&self) -> String {
        format!("{}@{}", self.status.project_name, self.key)
    }

    /// True if somebody listens on its port, as far as the file says.
    pub fn is_ready(&self) -> bool {
        !self.status.reloading && matches!(self.status.reason, Reason::Ready | Reason::Unknown)
    }

    /// The port to dial now.
    ///
    /// # Errors
    /// `Evicted(Reloading)` while it reloads or waits for its port, `Unreachable` after it stopped listening.
    pub fn port(&self) -> Result<u16, Error> {
        if self.is_ready() {
            return Ok(self.status.unity_port);
        }
        let reason = String::from(self.status.reason.clone());
        let kind = if self.status.reloading {
            ErrorKind::Evicted(EvictionReason::Reloading)
        } else {
            ErrorKind::Unreachable
        };
        Err(Error::new(kind).context(format!("{} says \"{reason}\"", self.id())))
    }

    /// True if this is news to who knew that one: all but the heartbeat.
    pub(super) fn differs(&self, former: &Self) -> bool {
        let mut status = self.status.clone();
        status
            .last_heartbeat
            .clone_from(&former.status.last_heartbeat);
        self.key != former.key || status != former.status
    }
}

impl Projects {
    /// All of them, by key.
    pub fn iter(&self) -> std::slice::Iter<'_, Project> {
        self.projects.iter()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.projects.len()
    }

    /// True if there is none.
    pub fn is_empty(&self) -> bool {
        self.projects.is_empty()
    }

    /// What is known after all files were read: `readings` by key. A file that is gone is a project that is closed, or about
    /// to say that it reloads; one without news leaves what was known, until that is stale. Of two projects on one port
    /// the one that was heard last has it.
    #[must_use]
    pub fn updated(&self, readings: &[(String, Reading)], now: SystemTime) -> Self {
        let known = |key: &str| self.iter().find(|project| project.key == key);
        let fresh = |project: &&Project| {
            !now.duration_since(project.heard)
                .is_ok_and(|age| age > STALE)
        };
        let mut projects: Vec<Project> = readings
            .iter()
            .filter_map(|(key, reading)| match reading {
                Reading::Project(project) => Some(project.clone()),
                Reading::NoNews => known(key).filter(fresh).cloned(),
            })
            .collect();
        projects.sort_by_key(|project| std::cmp::Reverse(project.heard));
        let mut ports = Vec::with_capacity(projects.len());
        projects.retain(|project| {
            let port = project.status.unity_port;
            let is_first = !ports.contains(&port);
            ports.push(port);
            is_first
        });
        projects.sort_by(|a, b| a.key.cmp(&b.key));
        Self { projects }
    }

    /// True if this is news to who knew those: all but the heartbeats.
    pub fn differ(&self, former: &Self) -> bool {
        self.len() != former.len() || self.iter().zip(former.iter()).any(|(a, b)| a.differs(b))
    }

    /// The port of the project that this hint [selects](Self::select).
    ///
    /// # Errors
    /// What the choice or the project's state speaks against; its kind says whether to try again.
    pub fn port_of(&self, hint: Option<&str>) -> Result<u16, Error> {
        self.select(hint)?.port()
    }
}

impl<'a> IntoIterator for &'a Projects {
    type Item = &'a Project;
    type IntoIter = std::slice::Iter<'a, Project>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}
