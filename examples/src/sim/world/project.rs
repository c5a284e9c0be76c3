//! The project: what the plugin registers, and what `get_project_info` answers.

use serde_json::{Value, json};
use sha1::{Digest, Sha1};

use super::ledger::hex;

/// A Unity project, by its place on the disk. Nothing is read from there.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Project {
    /// The name under which it registers.
    pub name: String,
    /// The project's root, without `/Assets`, with forward slashes.
    pub path: String,
    /// The version of the editor.
    pub unity_version: String,
}

impl Project {
    /// A project called `name` at `path`.
    #[must_use]
    pub fn new(name: impl Into<String>, path: impl Into<String>) -> Self {
        let path: String = path.into();
        let path = path.replace('\\', "/").trim_end_matches('/').to_owned();
        Self {
            name: name.into(),
            path,
            ..Self::default()
        }
    }

    /// Unity's `Application.dataPath`: the root with `/Assets`.
    #[must_use]
    pub fn data_path(&self) -> String {
        format!("{}/Assets", self.path)
    }

    /// The hub's key for the project, as the plugin derives it: the first 16 hex digits of SHA-1
    /// over [`data_path`](Self::data_path).
    #[must_use]
    pub fn hash(&self) -> String {
        hex(&Sha1::digest(self.data_path().as_bytes())[..8])
    }

    pub(super) fn info(&self) -> Value {
        json!({
            "projectRoot": self.path,
            "projectName": self.name,
            "unityVersion": self.unity_version,
            "platform": "StandaloneLinux64",
            "assetsPath": self.data_path(),
        })
    }
}

impl Default for Project {
    /// `SimProject` at `/simulator/SimProject`, opened with 6000.0.44f1.
    fn default() -> Self {
        Self {
            name: "SimProject".to_owned(),
            path: "/simulator/SimProject".to_owned(),
            unity_version: "6000.0.44f1".to_owned(),
        }
    }
}
