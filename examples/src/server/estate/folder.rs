//! The folder where relays are given an owner's sockets, and the files in it.

use super::rule::{self, Folder};
use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::Path;

/// How often the folder is made, at most: whoever had the last file there removes it.
const FOLDERS: u32 = 100;

/// Makes the folder, if need be, and a socket in it that only its user can dial.
///
/// # Errors
/// Also where others may write to the folder.
pub(super) fn listen(path: &Path) -> io::Result<UnixListener> {
    let mut tried = 0;
    let listener = loop {
        tried += 1;
        let made = path.parent().map_or(Ok(()), |folder| {
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(folder)?;
            only_ours(folder)
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

/// Whether nobody but its user can put something there. One that was made before may be anybody's.
///
/// # Errors
/// Says whose it is, and what to do about it.
pub(super) fn only_ours(folder: &Path) -> io::Result<()> {
    let found = fs::metadata(folder)?;
    let user = rustix::process::geteuid().as_raw();
    let why = match rule::folder(found.mode(), found.uid(), user) {
        Folder::Ours => return Ok(()),
        Folder::OpenToOthers => "others may write there: chmod go-w it",
        Folder::Anothers => "it is another user's",
    };
    let text = format!(
        "{}: {why}, or set MCP_BROKER_STATE_DIR to a folder that is yours alone",
        folder.display()
    );
    Err(io::Error::new(io::ErrorKind::PermissionDenied, text))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_socket_is_made_where_others_may_write() {
        let folder = std::env::temp_dir().join(format!("unity-test-{}", random()));
        let path = folder.join("unity-0123456789abcdef.sock");
        DirBuilder::new().mode(0o700).create(&folder).unwrap();
        for open in [0o720, 0o702, 0o1777] {
            fs::set_permissions(&folder, Permissions::from_mode(open)).unwrap();
            let text = listen(&path).unwrap_err().to_string();
            assert!(text.contains("others may write there"), "{text}");
            assert!(!path.exists());
        }
        fs::set_permissions(&folder, Permissions::from_mode(0o755)).unwrap();
        let socket = listen(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        drop(socket);
        remove(&path);
        assert!(!folder.exists());
    }
}
