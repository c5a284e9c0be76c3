//! The file with this process's id, for whoever started it and wants to end it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Such a file. Dropping it removes it, unless somebody else has written his id there meanwhile.
#[derive(Debug)]
pub struct PidFile {
    path: PathBuf,
}

impl PidFile {
    /// Writes it, and makes the folders above it.
    ///
    /// # Errors
    /// If the system does not let us.
    pub fn write(path: &Path) -> io::Result<Self> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(path, own())?;
        Ok(Self {
            path: path.to_owned(),
        })
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        if fs::read_to_string(&self.path).is_ok_and(|text| text.trim() == own()) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn own() -> String {
    std::process::id().to_string()
}
