//! Where the files are. Pure, but for [`Environment::current`].

use std::ffi::OsString;
use std::path::PathBuf;

/// The environment variables that say where the files are.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Environment {
    /// `UNITY_MCP_STATUS_DIR`: the directory of the status files, where it is set and not empty.
    pub status_dir: Option<OsString>,
    /// `HOME`, on Windows `USERPROFILE`.
    pub home: Option<OsString>,
}

/// The directories; a plugin and its server use the same. [`Environment::home`] makes one.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Home {
    /// Of the status files.
    pub status: PathBuf,
    /// Of the port files, for which the plugin (10.1) ignores `UNITY_MCP_STATUS_DIR`; `None` without a home.
    pub ports: Option<PathBuf>,
}

impl Environment {
    /// As this process has it.
    pub fn current() -> Self {
        Self {
            status_dir: std::env::var_os("UNITY_MCP_STATUS_DIR"),
            home: std::env::var_os(if cfg!(windows) { "USERPROFILE" } else { "HOME" }),
        }
    }

    /// The directories, or `None` if neither variable says anything.
    ///
    /// ```
    /// use mcp_transport_stdio::discovery::Environment;
    ///
    /// let mut environment = Environment::default();
    /// assert_eq!(environment.home(), None);
    /// environment.home = Some("/home/ada".into());
    /// assert!(environment.home().unwrap().status.ends_with(".unity-mcp"));
    /// ```
    pub fn home(&self) -> Option<Home> {
        let set = |value: &Option<OsString>| value.clone().filter(|value| !value.is_empty());
        let ports = set(&self.home).map(|home| PathBuf::from(home).join(".unity-mcp"));
        let status = set(&self.status_dir)
            .map(PathBuf::from)
            .or_else(|| ports.clone())?;
        Some(Home { status, ports })
    }
}
