//! The status file, as the plugin's main loop writes it.

#![expect(clippy::disallowed_methods, reason = "a shell: it writes files")]

use std::path::{Path, PathBuf};
use std::time::Duration;

use mcp_transport_stdio::discovery::{self, Reason, Status, StatusFile};
use tokio::task::spawn_blocking;
use tracing::warn;

use crate::sim::world::Project;

/// How often the main loop writes it.
pub(super) const HEARTBEAT: Duration = discovery::HEARTBEAT;

/// What the plugin says of itself, with what belongs to that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Word {
    /// Before it listens, and with a port on which nobody does: a trap for readers.
    Starting,
    Ready,
    Reloading,
    PortBusy,
    StartFailed,
}

pub(super) struct StatusWriter {
    directory: PathBuf,
    status: Status,
    file: Option<StatusFile>,
}

impl StatusWriter {
    pub(super) fn new(directory: &Path, project: &Project, seat: bool) -> Self {
        let mut status = Status::new(0, project.data_path());
        status.project_name.clone_from(&project.name);
        status.unity_version.clone_from(&project.unity_version);
        status.seat = seat;
        Self {
            directory: directory.to_owned(),
            status,
            file: None,
        }
    }

    /// One more successful start of this domain.
    pub(super) fn started(&mut self) {
        self.status.seq += 1;
    }

    /// A new domain counts from 0: the plugin's count does not survive a reload.
    pub(super) fn forget_starts(&mut self) {
        self.status.seq = 0;
    }

    pub(super) fn path(&self) -> Option<&Path> {
        self.file.as_ref().map(StatusFile::path)
    }

    /// Writes it. What cannot be written is tried again with the next beat.
    ///
    /// Not cancel safe: dropping the future removes the file.
    pub(super) async fn write(&mut self, port: u16, word: Word) {
        self.status.unity_port = port;
        self.status.reloading = matches!(word, Word::Reloading | Word::PortBusy);
        self.status.reason = match word {
            Word::Starting => Reason::Starting,
            Word::Ready => Reason::Ready,
            Word::Reloading => Reason::Reloading,
            Word::PortBusy => Reason::PortBusy,
            Word::StartFailed => Reason::StartFailed,
        };
        let (file, status) = (self.file.take(), self.status.clone());
        let directory = self.directory.clone();
        let written = spawn_blocking(move || match file {
            None => StatusFile::publish(&directory, &status).map(Some),
            Some(mut file) => {
                if let Err(error) = file.update(&status) {
                    warn!(%error, "the heartbeat was not written");
                }
                Ok(Some(file))
            }
        });
        match written.await {
            Ok(Ok(file)) => self.file = file,
            Ok(Err(error)) => warn!(%error, "there is no status file"),
            Err(error) => warn!(%error, "there is no status file"),
        }
    }

    pub(super) async fn remove(&mut self) {
        let file = self.file.take();
        // A panic while it is removed has been reported.
        let _ = spawn_blocking(move || drop(file)).await;
    }

    /// Who is killed leaves it behind.
    pub(super) fn leave(&mut self) {
        if let Some(file) = self.file.take() {
            file.leave();
        }
    }
}
