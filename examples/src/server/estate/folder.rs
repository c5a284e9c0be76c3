//! The folder where relays are given an owner's sockets, and the files in it.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::Path;

/// How often the folder is made, at most: whoever had the last file there removes it.
const FOLDERS: u32 = 100;

pub(super) fn listen(path: &Path) -> io::Result<UnixListener> {
    let mut tried = 0;
    let listener = loop {
        tried += 1;
        let made = path.parent().map_or(Ok(()), |folder| {
            DirBuilder::new().recursive(true).mode(0o700).create(folder)
        });
        let bound = made.and_then(|()| UnixListener::bind(path));
        match bound {
            Err(error)
                if tried < FOLDERS
                    && matches!(
                        error.kind(),
                        io::ErrorKind::NotFound | io::ErrorKind::AlreadyExists
                    ) => {}
            bound => break bound?,
        }
    };
    fs::set_permissions(path, Permissions::from_mode(0o600))
        .and_then(|()| listener.set_nonblocking(true))
        .inspect_err(|_| remove(path))?;
    Ok(listener)
}

pub(super) fn remove(path: &Path) {
    let _ = fs::remove_file(path);
    // Others may have files there, and then it stays.
    let _ = path.parent().map(fs::remove_dir);
}

/// Names what lives as long as a question.
pub(super) fn random() -> String {
    let mut random = [0; 8];
    getrandom::fill(&mut random).expect("the system has random numbers");
    random.iter().map(|byte| format!("{byte:02x}")).collect()
}
