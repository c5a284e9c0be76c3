//! Catalogues on disk: one file for each project, readable by its owner alone.
#![expect(
    clippy::disallowed_methods,
    reason = "the shell that writes files, on a thread that may wait"
)]

use crate::broker::Snapshot;
use std::convert::Infallible;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use tokio::sync::{oneshot, watch};

/// A catalogue that is larger than this is not kept: 16 MiB.
const MAX_BYTES: u64 = 16 * 1024 * 1024;

/// The file of a project on a port.
///
/// What its name may not bear on any system is written as `_`, and the whole is told apart by a
/// number made of it, so that no two projects share a file.
pub(super) fn file(directory: &Path, port: u16, project: &str) -> PathBuf {
    let plain: String = project
        .chars()
        .take(48)
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })
        .collect();
    // FNV-1a, 64 bits: the same in every version.
    let number = project
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
    directory.join(format!("{}{plain}-{number:016x}.json", prefix(port)))
}

/// The newest catalogue that was kept on this port; `None` where there is none that can be read.
pub(super) fn load(directory: &Path, port: u16) -> Option<Snapshot> {
    let file = newest(directory, &prefix(port))?;
    let read = || {
        if fs::metadata(&file)?.len() > MAX_BYTES {
            return Err(io::Error::other("it is too large"));
        }
        let bytes = fs::read(&file)?;
        serde_json::from_slice(&bytes).map_err(io::Error::other)
    };
    match read() {
        Ok(snapshot) => Some(snapshot),
        Err(error) => {
            tracing::warn!(file = %file.display(), %error, "a catalogue could not be read");
            None
        }
    }
}

fn prefix(port: u16) -> String {
    format!("catalogue-{port}-")
}

fn newest(directory: &Path, prefix: &str) -> Option<PathBuf> {
    let mut newest = None;
    for entry in fs::read_dir(directory).ok()?.flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if !name.starts_with(prefix) || !name.ends_with(".json") {
            continue;
        }
        if let Ok(written) = entry.metadata().and_then(|data| data.modified()) {
            newest = newest.max(Some((written, entry.path())));
        }
    }
    newest.map(|(_, file)| file)
}

/// Removes what was kept on this port, also what a crash left half written.
pub(crate) fn remove(directory: &Path, port: u16) {
    let prefix = prefix(port);
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        if !entry.file_name().to_string_lossy().starts_with(&prefix) {
            continue;
        }
        if let Err(error) = fs::remove_file(entry.path()) {
            let path = entry.path();
            tracing::warn!(path = %path.display(), %error, "a catalogue could not be removed");
        }
    }
}

/// Writes each catalogue that comes, until the server has ended; then nothing is being written any
/// more.
pub(super) async fn keep(
    directory: PathBuf,
    port: u16,
    mut catalogue: watch::Receiver<Option<Snapshot>>,
    mut ended: oneshot::Receiver<Infallible>,
) {
    loop {
        tokio::select! {
            biased;
            changed = catalogue.changed() => {
                if changed.is_err() {
                    return;
                }
            }
            _ = &mut ended => return,
        }
        let Some(snapshot) = catalogue.borrow_and_update().clone() else {
            continue;
        };
        let directory = directory.clone();
        let written = tokio::task::spawn_blocking(move || store(&directory, port, &snapshot)).await;
        if let Ok(Err(error)) = written {
            tracing::warn!(%error, "the catalogue could not be kept");
        }
    }
}

/// Writes a catalogue into a file of its own, and then gives it its name: who reads it finds the
/// old one or the new one.
pub(super) fn store(directory: &Path, port: u16, snapshot: &Snapshot) -> io::Result<()> {
    let bytes = serde_json::to_vec(snapshot).map_err(io::Error::other)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(io::Error::other("the catalogue is too large to be kept"));
    }
    let file = file(directory, port, &snapshot.project);
    let fresh = file.with_extension(format!("{}.tmp", std::process::id()));
    crate::launch::make_folder(directory)?;
    let written = private(&fresh)
        .and_then(|mut out| io::Write::write_all(&mut out, &bytes))
        .and_then(|()| fs::rename(&fresh, &file));
    if written.is_err() {
        let _ = fs::remove_file(&fresh);
    }
    written
}

/// A file that only its owner can read. On Windows the folder's rights decide: a user's own
/// folders are closed to others.
fn private(file: &Path) -> io::Result<fs::File> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(file)
}
