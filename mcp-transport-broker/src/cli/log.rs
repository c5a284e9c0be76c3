//! Where the program's words go. That nobody reads them ends nothing.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

/// The variable that says how much is logged, such as `mcp_transport_broker=debug`.
const VARIABLE: &str = "MCP_BROKER_LOG";

/// A log that has as many bytes begins anew; what it had stays in a file beside it until the next.
const MAX_LOG: u64 = 1024 * 1024;

/// Logs to a file, or to standard error.
pub(super) fn start(file: Option<&Path>) -> Log {
    let filter = EnvFilter::try_from_env(VARIABLE).unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(false)
        // It would complain to standard error, and panic if that is gone.
        .log_internal_errors(false);
    match file.map(Capped::open) {
        Some(Ok(file)) => {
            let log = Log(Arc::new(Mutex::new(Some(file))));
            let writer = log.clone();
            builder.with_writer(move || writer.clone()).init();
            return log;
        }
        Some(Err(error)) => {
            builder.with_writer(Quietly).init();
            tracing::warn!(%error, "the log file cannot be written");
        }
        None => builder.with_writer(Quietly).init(),
    }
    Log::default()
}

/// The log's file, until it is closed.
#[derive(Clone, Default)]
pub(super) struct Log(Arc<Mutex<Option<Capped>>>);

impl Log {
    /// Closes it; nothing is logged from now on. On Windows a file that was removed while it was
    /// open can keep its folder until then, so an empty folder goes now.
    pub(super) fn close(self) {
        let file = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(Capped { path, file, .. }) = file else {
            return;
        };
        drop(file);
        let _ = path.parent().map(std::fs::remove_dir);
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut file = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        file.as_mut()
            .map_or(Ok(bytes.len()), |file| file.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        let mut file = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        file.as_mut().map_or(Ok(()), Write::flush)
    }
}

/// Standard error, whose end is no failure.
#[derive(Clone, Copy)]
struct Quietly;

impl Write for Quietly {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _ = io::stderr().write_all(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Quietly {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        *self
    }
}

/// A file that does not grow for ever.
struct Capped {
    path: PathBuf,
    file: File,
    written: u64,
}

impl Capped {
    fn open(path: &Path) -> io::Result<Self> {
        if let Some(folder) = path.parent() {
            crate::launch::make_folder(folder)?;
        }
        let mut options = OpenOptions::new();
        options.append(true).create(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(path)?;
        let written = file.metadata()?.len();
        Ok(Self {
            path: path.to_owned(),
            file,
            written,
        })
    }
}

impl Write for Capped {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.written >= MAX_LOG {
            let beside = crate::launch::old_log(&self.path);
            if std::fs::rename(&self.path, beside).is_ok() {
                *self = Self::open(&self.path)?;
            }
        }
        let written = self.file.write(bytes)?;
        self.written = self.written.saturating_add(written as u64);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_never_has_much_more_than_its_limit() {
        let folder = std::env::temp_dir().join(format!("broker-log-{}", std::process::id()));
        let path = folder.join("broker.log");
        let mut log = Capped::open(&path).unwrap();
        let line = [b'x'; 100_000];
        for _ in 0..35 {
            log.write_all(&line).unwrap();
        }
        let size = |path: &Path| std::fs::metadata(path).unwrap().len();
        assert!(size(&path) <= MAX_LOG + 100_000);
        assert!(size(&crate::launch::old_log(&path)) <= MAX_LOG + 100_000);
        // Windows can keep a file that is open, and so its folder.
        drop(log);
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[cfg(unix)]
    #[test]
    fn nobody_else_can_look_into_a_folder_that_was_made_for_a_log() {
        use std::os::unix::fs::PermissionsExt;
        let folder = std::env::temp_dir().join(format!("broker-ours-{}", std::process::id()));
        let path = folder.join("state").join("broker.log");
        drop(Capped::open(&path).unwrap());
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let modes = [&folder, &folder.join("state"), &path].map(|path| mode(path));
        std::fs::remove_dir_all(folder).unwrap();
        assert_eq!(modes, [0o700, 0o700, 0o600]);
    }

    #[test]
    fn a_log_that_was_removed_takes_its_empty_folder_along_when_it_is_closed() {
        let folder = std::env::temp_dir().join(format!("broker-closed-{}", std::process::id()));
        let path = folder.join("broker.log");
        let log = |path: &Path| Log(Arc::new(Mutex::new(Some(Capped::open(path).unwrap()))));
        let (mut first, second) = (log(&path), log(&path));
        first.write_all(b"kept").unwrap();
        first.clone().close();
        assert_eq!(std::fs::read(&path).unwrap(), b"kept", "it is not removed");
        first.write_all(b"late").unwrap();
        std::fs::remove_file(&path).unwrap();
        second.close();
        assert!(!folder.exists());
    }
}
