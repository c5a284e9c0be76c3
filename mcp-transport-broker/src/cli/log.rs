//! Where the program's words go. That nobody reads them ends nothing.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

/// The variable that says how much is logged, such as `mcp_transport_broker=debug`.
const VARIABLE: &str = "MCP_BROKER_LOG";

/// A log that has as many bytes begins anew; what it had stays in a file beside it until the next.
const MAX_LOG: u64 = 1024 * 1024;

/// Logs to a file, or to standard error.
pub(super) fn start(file: Option<&Path>) {
    let filter = EnvFilter::try_from_env(VARIABLE).unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(false)
        // It would complain to standard error, and panic if that is gone.
        .log_internal_errors(false);
    match file.map(Capped::open) {
        Some(Ok(file)) => builder.with_writer(Mutex::new(file)).init(),
        Some(Err(error)) => {
            builder.with_writer(Quietly).init();
            tracing::warn!(%error, "the log file cannot be written");
        }
        None => builder.with_writer(Quietly).init(),
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
            std::fs::create_dir_all(folder)?;
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
        std::fs::remove_dir_all(folder).unwrap();
    }
}
