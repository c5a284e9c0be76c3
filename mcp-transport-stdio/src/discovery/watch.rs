//! Looking at the directory, once and for good.
#![expect(
    clippy::disallowed_methods,
    reason = "a shell: it reads files and the clock, in a thread of its own"
)]

use super::directory::{Environment, Home};
use super::projects::{Project, Projects};
use super::read::{Reading, key_of, read};
use super::status::PortFile;
use mcp_transport_core::{Error, ErrorKind};
use notify::event::{AccessKind, AccessMode};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use std::fs::{self, DirEntry, Metadata};
use std::io::Read as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, SystemTime};
use tokio::sync::watch;

/// How often the directory is read, whatever the operating system reports: every 100 ms. Some file systems report nothing.
pub const POLL: Duration = Duration::from_millis(100);

/// The directory in which open projects leave their status files.
#[derive(Clone, Debug)]
pub struct Discovery {
    home: Home,
}

impl Discovery {
    /// In `UNITY_MCP_STATUS_DIR`, else in `~/.unity-mcp`.
    ///
    /// # Errors
    /// `Incompatible` if the environment names neither that nor a home.
    pub fn from_env() -> Result<Self, Error> {
        let home = Environment::current().home();
        home.map(Self::new).ok_or_else(|| {
            Error::new(ErrorKind::Incompatible)
                .context("there is no home directory; set UNITY_MCP_STATUS_DIR")
        })
    }

    /// In these directories, which need not exist yet.
    pub const fn new(home: Home) -> Self {
        Self { home }
    }

    /// In this directory, which need not exist yet; it has the port files, too.
    pub fn at(directory: impl Into<PathBuf>) -> Self {
        let status = directory.into();
        Self::new(Home {
            ports: Some(status.clone()),
            status,
        })
    }

    /// The directory of the status files.
    pub fn directory(&self) -> &Path {
        &self.home.status
    }

    /// Reads the status files once. Blocks for as long as that takes.
    ///
    /// A file that is torn at the moment does not count; [`watch`](Self::watch) remembers what it said before.
    pub fn scan(&self) -> Projects {
        Projects::default().updated(&readings(&self.home.status), SystemTime::now())
    }

    /// Reads the port files once, the newest first: for plugins that wrote no status file. Nobody may listen there.
    pub fn port_files(&self) -> Vec<PortFile> {
        let Some(directory) = &self.home.ports else {
            return Vec::new();
        };
        let mut files: Vec<_> = entries(directory, |name| name.starts_with("unity-mcp-port"))
            .filter_map(|(_, metadata, bytes)| {
                Some((metadata.modified().ok(), PortFile::read(&bytes)?))
            })
            .collect();
        files.sort_by_key(|(modified, _)| std::cmp::Reverse(*modified));
        let mut files: Vec<_> = files.into_iter().map(|(_, file)| file).collect();
        files.dedup();
        files
    }

    /// Follows the status files from now on, in a thread of its own, until the [`Watch`] is dropped. Have one of it for as
    /// long as the program runs.
    ///
    /// # Errors
    /// If there can be no thread. A file system that cannot be watched is read every [`POLL`].
    pub fn watch(&self) -> Result<Watch, Error> {
        let (tx, projects) = watch::channel(self.scan());
        let hooks = Arc::new(Hooks::default());
        let follower = Follower {
            directory: self.home.status.clone(),
            projects: tx,
            hooks: Arc::downgrade(&hooks),
        };
        std::thread::Builder::new()
            .name("mcp-discovery".into())
            .spawn(move || follower.follow())?;
        Ok(Watch { projects, hooks })
    }
}

/// Follows the status files. Dropping it ends that.
#[derive(Debug)]
pub struct Watch {
    projects: watch::Receiver<Projects>,
    hooks: Arc<Hooks>,
}

impl Watch {
    /// What is open, now and from now on. A mere heartbeat is no change, though the value has it.
    pub fn projects(&self) -> watch::Receiver<Projects> {
        self.projects.clone()
    }

    /// Calls `hook` whenever the project of this hint has changed and can be dialled: it appeared, its port moved, it is
    /// back from a reload. A [`Wake`](mcp_transport_core::dial::Wake) fits in: `move || wake.wake()`. It must not block. One
    /// that panics is logged, and called again the next time.
    pub fn on_ready(&self, hint: Option<&str>, hook: impl FnMut() + Send + 'static) {
        let mut hook = Hook {
            hint: hint.map(str::to_owned),
            known: None,
            call: Box::new(hook),
        };
        // Locked first: news between the look and the push would be told to nobody.
        let mut hooks = self.hooks.lock();
        // What is there already is no news.
        hook.known = self.projects.borrow().select(hint).ok().cloned();
        hooks.push(hook);
    }
}

#[derive(Default)]
struct Hooks(Mutex<Vec<Hook>>);

struct Hook {
    hint: Option<String>,
    known: Option<Project>,
    call: Box<dyn FnMut() + Send>,
}

impl Hook {
    /// Whoever else follows the files shall not pay for a panic.
    fn call(&mut self) {
        if catch_unwind(AssertUnwindSafe(&mut self.call)).is_err() {
            tracing::warn!(
                hint = self.hint,
                "a hook panicked; it is called again when its project changes"
            );
        }
    }
}

impl Hooks {
    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Hook>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn update(&self, projects: &Projects) {
        for hook in &mut *self.lock() {
            let found = projects.select(hook.hint.as_deref()).ok();
            let changed = match (found, &hook.known) {
                (Some(found), Some(known)) => found.differs(known),
                (found, known) => found.is_some() != known.is_some(),
            };
            if changed {
                hook.known = found.cloned();
                if found.is_some_and(Project::is_ready) {
                    hook.call();
                }
            }
        }
    }
}

impl std::fmt::Debug for Hooks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hooks").finish_non_exhaustive()
    }
}

struct Follower {
    directory: PathBuf,
    projects: watch::Sender<Projects>,
    /// Gone when the [`Watch`] is.
    hooks: Weak<Hooks>,
}

impl Follower {
    fn follow(self) {
        let (ring, bell) = sync_channel(1);
        let mut watcher = None;
        while let Some(hooks) = self.hooks.upgrade() {
            if watcher.is_none() {
                // Again, if there was no such directory; once open it stays open, since closing one takes 11 ms.
                watcher = watch_directory(&self.directory, &ring);
            }
            self.look(&hooks);
            drop(hooks);
            wait(&bell);
        }
    }

    fn look(&self, hooks: &Hooks) {
        let readings = readings(&self.directory);
        let projects = self.projects.borrow().updated(&readings, SystemTime::now());
        let changed = self.projects.send_if_modified(|known| {
            let changed = projects.differ(known);
            *known = projects;
            changed
        });
        if changed {
            hooks.update(&self.projects.borrow());
        }
    }
}

fn watch_directory(directory: &Path, ring: &SyncSender<()>) -> Option<RecommendedWatcher> {
    if !directory.is_dir() {
        return None;
    }
    let ring = ring.clone();
    let on_event = move |event: notify::Result<Event>| {
        // Our own reading is an event, too.
        let is_news = event.is_ok_and(|event| {
            !event.kind.is_access()
                || event.kind == EventKind::Access(AccessKind::Close(AccessMode::Write))
        });
        if is_news {
            // One ring is as good as many.
            let _ = ring.try_send(());
        }
    };
    let mut watcher = notify::recommended_watcher(on_event).ok()?;
    match watcher.watch(directory, RecursiveMode::NonRecursive) {
        Ok(()) => Some(watcher),
        Err(error) => {
            tracing::debug!(%error, "the status directory cannot be watched, only read");
            None
        }
    }
}

/// Until something changed, or it is time to look.
fn wait(bell: &Receiver<()>) {
    let _ = bell.recv_timeout(POLL);
}

fn readings(directory: &Path) -> Vec<(String, Reading)> {
    let now = SystemTime::now();
    entries(directory, |name| key_of(name).is_some())
        .filter_map(|(name, metadata, bytes)| {
            let key = key_of(&name)?.to_owned();
            let reading = read(&name, &bytes, metadata.modified().ok(), now);
            Some((key, reading))
        })
        .collect()
}

/// The files of ours with such a name, at most [`MAX_FILES`] of at most [`MAX_FILE`] bytes.
fn entries(
    directory: &Path,
    wanted: impl Fn(&str) -> bool,
) -> impl Iterator<Item = (String, Metadata, Vec<u8>)> {
    let wanted = move |entry: DirEntry| {
        let name = entry.file_name().into_string().ok()?;
        let metadata = fs::metadata(entry.path()).ok()?;
        if !wanted(&name) || !metadata.is_file() || !is_ours(&metadata) {
            return None;
        }
        let mut bytes = Vec::new();
        let file = fs::File::open(entry.path()).ok()?;
        // What is torn at this limit is no JSON.
        file.take(MAX_FILE).read_to_end(&mut bytes).ok()?;
        Some((name, metadata, bytes))
    };
    let found = fs::read_dir(directory).into_iter().flatten().flatten();
    found.filter_map(wanted).take(MAX_FILES)
}

/// Other users' projects are none of our business, and their files could send us anywhere.
#[cfg(unix)]
fn is_ours(metadata: &Metadata) -> bool {
    std::os::unix::fs::MetadataExt::uid(metadata) == rustix::process::geteuid().as_raw()
}

#[cfg(not(unix))]
fn is_ours(_: &Metadata) -> bool {
    true
}

const MAX_FILES: usize = 256;

const MAX_FILE: u64 = 64 * 1024;
