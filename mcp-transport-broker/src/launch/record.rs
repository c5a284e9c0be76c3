//! What a broker leaves on disk while it runs: who it is, and the token.

use super::LaunchError;
use serde::{Deserialize, Serialize};
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// The files of one port's broker.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Files {
    /// Who runs: a [`Record`] as JSON.
    pub record: PathBuf,
    /// The token, one line; only its owner may read it, where the system knows such.
    pub token: PathBuf,
    /// What it logs when it was started by [`Launch`](super::Launch).
    pub log: PathBuf,
}

impl Files {
    /// Those of this port in this folder.
    pub fn new(state_dir: &Path, port: u16) -> Self {
        Self {
            record: state_dir.join(format!("broker-{port}.json")),
            token: state_dir.join(format!("broker-{port}.token")),
            log: state_dir.join(format!("broker-{port}.log")),
        }
    }
}

/// What a log had before it began anew.
pub(crate) fn old_log(log: &Path) -> PathBuf {
    log.with_extension("old.log")
}

/// Who runs.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Record {
    /// Its process.
    pub pid: u32,
    /// The port that it owns.
    pub port: u16,
    /// Its version.
    pub version: String,
    /// When it began, in milliseconds since 1970.
    pub started_unix_ms: u64,
}

impl Record {
    /// Of this process.
    pub fn new(port: u16, started_unix_ms: u64) -> Self {
        Self {
            pid: std::process::id(),
            port,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started_unix_ms,
        }
    }

    /// Reads it; `None` where there is none, or none that can be read.
    pub fn read(files: &Files) -> Option<Self> {
        serde_json::from_slice(&fs::read(&files.record).ok()?).ok()
    }

    /// Writes it.
    ///
    /// # Errors
    /// What the file system says.
    pub fn write(&self, files: &Files) -> Result<(), LaunchError> {
        let text = serde_json::to_vec_pretty(self).expect("text and numbers always serialise");
        write_private(&files.record, &text)
    }

    /// Whether the files are this one's, and not already those of who came after.
    pub(crate) fn is_kept_in(&self, files: &Files) -> bool {
        Self::read(files).as_ref() == Some(self)
    }

    /// Removes the files if they are this one's, and not already those of who came after. The log
    /// and the token go with the record.
    pub fn remove(&self, files: &Files) {
        if !self.is_kept_in(files) {
            return;
        }
        for path in [
            &files.token,
            &files.log,
            &old_log(&files.log),
            &files.record,
        ] {
            if let Err(error) = fs::remove_file(path) {
                if error.kind() != io::ErrorKind::NotFound {
                    tracing::warn!(path = %path.display(), %error, "a file could not be removed");
                }
            }
        }
        // Others may have files there, and then it stays.
        let _ = files.record.parent().map(fs::remove_dir);
    }
}

/// Reads the token; `None` where there is no such file.
///
/// # Errors
/// What the file system says; and [`io::ErrorKind::PermissionDenied`] if others may read the file.
pub fn read_token(path: &Path) -> Result<Option<String>, LaunchError> {
    let failed = |source| LaunchError::File {
        path: path.to_owned(),
        source,
    };
    let text = match fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        read => read.map_err(failed)?,
    };
    only_ours(path).map_err(failed)?;
    let token = text.trim();
    if token.is_empty() {
        return Ok(None);
    }
    Ok(Some(token.to_owned()))
}

/// Reads the token, or makes one if there is none.
///
/// # Errors
/// As [`read_token`].
pub fn read_or_make_token(
    path: &Path,
    random: impl FnOnce() -> [u8; 32],
) -> Result<String, LaunchError> {
    if let Some(token) = read_token(path)? {
        return Ok(token);
    }
    let token: String = random().iter().map(|byte| format!("{byte:02x}")).collect();
    let line = format!("{token}\n");
    // Of two that make one at once the first has made it: a broker knows one token.
    if write_beside(path, line.as_bytes(), |beside| fs::hard_link(beside, path)).is_ok() {
        return Ok(token);
    }
    if let Some(token) = read_token(path)? {
        return Ok(token);
    }
    // A file without a token in it, or a file system without links.
    write_private(path, line.as_bytes())?;
    Ok(token)
}

/// Writes a file that only its owner may read, in place of whatever is there.
pub(crate) fn write_private(path: &Path, bytes: &[u8]) -> Result<(), LaunchError> {
    write_beside(path, bytes, |beside| fs::rename(beside, path)).map_err(|source| {
        LaunchError::File {
            path: path.to_owned(),
            source,
        }
    })
}

/// Writes beside it, so that nobody reads a part.
fn write_beside(
    path: &Path,
    bytes: &[u8],
    put: impl FnOnce(&Path) -> io::Result<()>,
) -> io::Result<()> {
    static WRITTEN: AtomicU64 = AtomicU64::new(0);
    let number = WRITTEN.fetch_add(1, Ordering::Relaxed);
    let beside = path.with_extension(format!("{}-{number}.tmp", std::process::id()));
    // Nobody's old file lends it its rights.
    let _ = fs::remove_file(&beside);
    let written = create_private(&beside)
        .and_then(|mut file| file.write_all(bytes))
        .and_then(|()| put(&beside));
    let _ = fs::remove_file(&beside);
    written
}

/// How often the folder is made for one file, at most: whoever had the last file there removes it.
const FOLDERS: u32 = 100;

fn create_private(path: &Path) -> io::Result<fs::File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut tried = 0;
    loop {
        tried += 1;
        let made = path.parent().map_or(Ok(()), make_folder);
        // "There is one", says the system, and it is gone at the second look.
        let is_gone = matches!(&made, Err(error) if error.kind() == io::ErrorKind::AlreadyExists);
        let opened = made.and_then(|()| options.open(path));
        match opened {
            Err(error)
                if tried < FOLDERS && (is_gone || error.kind() == io::ErrorKind::NotFound) => {}
            opened => return opened,
        }
    }
}

/// Makes a folder where only its owner can put or read something. One that is there stays as it is.
pub(crate) fn make_folder(folder: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

/// A token that others can read is none. Windows gives a user's own folders to that user alone.
fn only_ours(path: &Path) -> io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        if fs::metadata(path)?.permissions().mode() & 0o077 != 0 {
            let text =
                "others may read this token: chmod 600 it, or remove it and a new one is made";
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, text));
        }
    }
    #[cfg(not(unix))]
    let _ = path;
    Ok(())
}

/// Where brokers leave their files: `MCP_BROKER_STATE_DIR`, else `mcp-broker` in this user's folder
/// for such: `XDG_STATE_HOME` or `~/.local/state`, `~/Library/Application Support`, or
/// `%LOCALAPPDATA%`.
pub fn default_state_dir() -> PathBuf {
    state_dir(|name| {
        std::env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    })
}

fn state_dir(variable: impl Fn(&str) -> Option<PathBuf>) -> PathBuf {
    if let Some(folder) = variable("MCP_BROKER_STATE_DIR") {
        return folder;
    }
    let home = || variable("HOME");
    let base = if cfg!(windows) {
        variable("LOCALAPPDATA")
    } else if cfg!(target_os = "macos") {
        home().map(|home| home.join("Library/Application Support"))
    } else {
        variable("XDG_STATE_HOME")
            .filter(|folder| folder.is_absolute())
            .or_else(|| home().map(|home| home.join(".local/state")))
    };
    base.unwrap_or_else(std::env::temp_dir).join("mcp-broker")
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("broker-{name}-{}", std::process::id()));
            let _ = fs::remove_dir_all(&path);
            Self(path)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    // Elsewhere a folder that is just being removed cannot be made anew.
    #[cfg(unix)]
    #[test]
    fn a_file_is_written_though_others_remove_the_folder_whenever_it_is_empty() {
        use std::sync::atomic::AtomicBool;
        let folder = Folder::new("race");
        let path = folder.0.join("token");
        let over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    let _ = fs::remove_dir(&folder.0);
                }
            });
            let mut written = Ok(());
            for _ in 0..2_000 {
                written = written.and_then(|()| write_private(&path, b"x"));
                let _ = fs::remove_file(&path);
            }
            over.store(true, Ordering::Relaxed);
            written.unwrap();
        });
    }

    #[test]
    fn of_many_that_make_a_token_at_once_all_have_the_same() {
        for round in 0..50 {
            let folder = Folder::new(&format!("makers-{round}"));
            let path = folder.0.join("token");
            let makers: Vec<_> = (0..8)
                .map(|maker| {
                    let path = path.clone();
                    std::thread::spawn(move || read_or_make_token(&path, || [maker; 32]).unwrap())
                })
                .collect();
            let kept = makers.into_iter().map(|maker| maker.join().unwrap());
            let kept: std::collections::BTreeSet<_> = kept.collect();
            assert_eq!(kept.len(), 1, "{kept:?}");
            assert_eq!(read_token(&path).unwrap(), kept.first().cloned());
            assert_eq!(
                fs::read_dir(&folder.0).unwrap().count(),
                1,
                "nothing beside it"
            );
        }
    }

    #[test]
    fn a_token_is_made_once_and_then_read() {
        let folder = Folder::new("token");
        let path = folder.0.join("deep").join("broker.token");
        assert_eq!(read_token(&path).unwrap(), None);
        let made = read_or_make_token(&path, || [7; 32]).unwrap();
        assert_eq!(made, "07".repeat(32));
        assert_eq!(read_or_make_token(&path, || [8; 32]).unwrap(), made);
        assert_eq!(read_token(&path).unwrap(), Some(made));
    }

    // On Windows the rights of the folder decide.
    #[cfg(unix)]
    #[test]
    fn a_token_that_others_may_read_is_refused_with_what_to_do() {
        use std::os::unix::fs::PermissionsExt;
        let folder = Folder::new("rights");
        let path = folder.0.join("broker.token");
        read_or_make_token(&path, || [7; 32]).unwrap();
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let refused = read_token(&path).unwrap_err().to_string();
        assert!(refused.contains("chmod 600"), "{refused}");
    }

    #[test]
    fn a_broker_removes_its_files_and_nobody_elses() {
        let folder = Folder::new("record");
        let files = Files::new(&folder.0, 8765);
        let (mine, next) = (Record::new(8765, 1), Record::new(8765, 2));
        mine.write(&files).unwrap();
        read_or_make_token(&files.token, || [7; 32]).unwrap();
        next.write(&files).unwrap();
        mine.remove(&files);
        assert_eq!(Record::read(&files), Some(next.clone()));
        next.remove(&files);
        assert!(!folder.0.exists(), "no file is left, and no folder");
    }

    #[test]
    fn files_lie_where_the_variable_says_or_in_the_users_own_folder() {
        let told = |name: &str| (name == "MCP_BROKER_STATE_DIR").then(|| PathBuf::from("/told"));
        assert_eq!(state_dir(told), PathBuf::from("/told"));
        assert!(state_dir(|_| None).ends_with("mcp-broker"));
        #[cfg(all(unix, not(target_os = "macos")))]
        assert_eq!(
            state_dir(|name| (name == "HOME").then(|| PathBuf::from("/home/me"))),
            PathBuf::from("/home/me/.local/state/mcp-broker")
        );
    }
}
