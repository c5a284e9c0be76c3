//! Writing a status file, for the application's side.
#![expect(
    clippy::disallowed_methods,
    reason = "a shell: it writes files, reads the clock and owns the heartbeat's task"
)]

use super::read::file_name;
use super::status::{PortFile, Status};
use mcp_transport_core::Error;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};
use tokio::sync::watch;
use tokio::task::{AbortHandle, spawn_blocking};
use tokio::time::MissedTickBehavior;

/// How often a heartbeat is written: every 0.5 s, as by the plugin.
pub const HEARTBEAT: Duration = Duration::from_millis(500);

/// A status file of ours. It is written whole: a reader sees the former or the new one, never a part. It is removed when
/// this is dropped, unless somebody else has written it since.
#[derive(Debug)]
pub struct StatusFile {
    path: PathBuf,
    /// What we wrote last.
    written: Vec<u8>,
}

impl StatusFile {
    /// Writes the status file of this project into this directory, which is made if need be. Publish once you listen.
    ///
    /// The heartbeat is set to the present time.
    ///
    /// # Errors
    /// What the file system says, with the path.
    pub fn publish(directory: &Path, status: &Status) -> Result<Self, Error> {
        let path = directory.join(file_name(&status.key()));
        let mut file = Self {
            path,
            written: Vec::new(),
        };
        file.update(status)?;
        Ok(file)
    }

    /// Writes it again, with the present time; a directory that was removed is made again. The project stays the one it was
    /// published for.
    ///
    /// # Errors
    /// As [`publish`](Self::publish); the former content stays.
    pub fn update(&mut self, status: &Status) -> Result<(), Error> {
        let status = status.clone().at(SystemTime::now());
        let bytes = serde_json::to_vec(&status).expect("text and numbers always serialise");
        replace(&self.path, &bytes).map_err(|error| at(&self.path, error))?;
        self.written = bytes;
        Ok(())
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Leaves the file behind, as who is killed does: readers believe it until its heartbeat is [`STALE`] old.
    ///
    /// [`STALE`]: super::STALE
    pub fn leave(mut self) {
        // Nothing that is found is what we wrote.
        self.written.clear();
    }

    /// Writes it every [`HEARTBEAT`] from now on, in a task.
    ///
    /// # Panics
    /// Outside a tokio runtime with time.
    pub fn heartbeat(self, status: Status) -> Heartbeat {
        let path = self.path.clone();
        let file = Arc::new(Mutex::new(Some(self)));
        let (status, changes) = watch::channel(status);
        let task = tokio::spawn(beat(Arc::clone(&file), changes)).abort_handle();
        Heartbeat {
            path,
            file,
            status,
            task,
        }
    }
}

impl Drop for StatusFile {
    fn drop(&mut self) {
        if self.written.is_empty() {
            return;
        }
        // Another instance may have the project open now.
        if fs::read(&self.path).is_ok_and(|found| found == self.written) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// A status file that is written twice a second. Dropping it removes the file.
#[derive(Debug)]
pub struct Heartbeat {
    path: PathBuf,
    /// `None` once it was dropped, so that a beat under way does not bring the file back.
    file: Arc<Mutex<Option<StatusFile>>>,
    status: watch::Sender<Status>,
    task: AbortHandle,
}

impl Heartbeat {
    /// Changes what is written, from the next beat on, which is at once.
    pub fn set(&self, status: Status) {
        self.status.send_replace(status);
    }

    /// Where the file is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Heartbeat {
    fn drop(&mut self) {
        self.task.abort();
        drop(lock(&self.file).take());
    }
}

async fn beat(file: Arc<Mutex<Option<StatusFile>>>, mut changes: watch::Receiver<Status>) {
    let mut ticks = tokio::time::interval(HEARTBEAT);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            changed = changes.changed() => if changed.is_err() { return },
        }
        let status = changes.borrow_and_update().clone();
        let file = Arc::clone(&file);
        // A home directory may be far away.
        let written = spawn_blocking(move || match &mut *lock(&file) {
            Some(file) => file.update(&status),
            None => Ok(()),
        });
        if let Ok(Err(error)) = written.await {
            tracing::warn!(%error, "the status file was not written; the next beat tries again");
        }
    }
}

fn lock(file: &Mutex<Option<StatusFile>>) -> std::sync::MutexGuard<'_, Option<StatusFile>> {
    file.lock().unwrap_or_else(PoisonError::into_inner)
}

impl PortFile {
    /// Writes the port file of this project into this directory, which is made if need be, and the copy without a key that
    /// older clients read. Write it when a port was chosen. It stays when the application ends, so that the next start may
    /// choose the same port.
    ///
    /// # Errors
    /// What the file system says, with the path.
    ///
    /// ```
    /// use mcp_transport_stdio::discovery::PortFile;
    /// use std::time::SystemTime;
    ///
    /// # fn main() -> Result<(), mcp_transport_core::Error> {
    /// # let directory = std::env::temp_dir().join(format!("port-file-{}", std::process::id()));
    /// PortFile::new(6400, "/projects/Game/Assets", SystemTime::now()).publish(&directory)?;
    /// # std::fs::remove_dir_all(directory)?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn publish(&self, directory: &Path) -> Result<(), Error> {
        let bytes = serde_json::to_vec_pretty(self).expect("text and numbers always serialise");
        let keyed = format!("unity-mcp-port-{}.json", self.key());
        for name in [keyed.as_str(), "unity-mcp-port.json"] {
            let path = directory.join(name);
            replace(&path, &bytes).map_err(|error| at(&path, error))?;
        }
        Ok(())
    }
}

/// Makes the directory, too, if there is none.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    match (replace_in_directory(path, bytes), path.parent()) {
        (Err(error), Some(directory)) if error.kind() == io::ErrorKind::NotFound => {
            fs::create_dir_all(directory)?;
            replace_in_directory(path, bytes)
        }
        (done, _) => done,
    }
}

/// Writes beside it and renames, so that nobody reads a part. Only we may read it where the system knows such.
fn replace_in_directory(path: &Path, bytes: &[u8]) -> io::Result<()> {
    // Each write has a name of its own: several of one process may write the same file at once.
    static WRITES: AtomicU64 = AtomicU64::new(0);
    let write = WRITES.fetch_add(1, Ordering::Relaxed);
    let beside = path.with_extension(format!("{}-{write}.tmp", std::process::id()));
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let written = options
        .open(&beside)
        .and_then(|mut file| file.write_all(bytes))
        .and_then(|()| rename(&beside, path));
    if written.is_err() {
        let _ = fs::remove_file(&beside);
    }
    written
}

/// On Windows a file that somebody reads at the moment may refuse to be replaced: readers are quick, so it is tried again.
fn rename(from: &Path, to: &Path) -> io::Result<()> {
    let mut tries = if cfg!(windows) { 100 } else { 1 };
    loop {
        tries -= 1;
        match fs::rename(from, to) {
            Err(error) if tries > 0 && error.kind() == io::ErrorKind::PermissionDenied => {
                std::thread::sleep(Duration::from_millis(1));
            }
            done => return done,
        }
    }
}

fn at(path: &Path, error: io::Error) -> Error {
    let context = format!("{}: {error}", path.display());
    Error::from(error).context(context)
}
