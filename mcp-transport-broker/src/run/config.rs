//! What a broker process is told. Pure.

use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::time::Duration;

/// What a broker process is told, as flags or, when a program starts itself once more, as JSON.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
#[non_exhaustive]
pub struct RunConfig {
    /// The port that clients know; 0 for any that is free.
    pub port: u16,
    /// Which hosts may come.
    pub dialects: Vec<Dialect>,
    /// How long a call waits for a host.
    pub hold: Duration,
    /// How long a client waits that did not ask for progress.
    pub client_budget: Duration,
    /// Where the token stands; made if it is not there. Unless told, in the state folder.
    pub token_file: Option<PathBuf>,
    /// Where the files are; see [`default_state_dir`](crate::launch::default_state_dir).
    pub state_dir: Option<PathBuf>,
    /// Where to log; standard error unless told.
    pub log_file: Option<PathBuf>,
    /// End after so long without a host, if nobody waits; never unless told.
    pub exit_when_orphaned: Option<Duration>,
    /// End when the host says that it leaves for good.
    pub exit_with_host: bool,
    /// Take over from the broker that has the port.
    pub replace: bool,
    /// But only if that is this process: of two that take over at once, one wins.
    pub replace_pid: Option<u32>,
    /// Paths whose WebSocket upgrades go to the host.
    pub tunnel_paths: Vec<String>,
    /// Origins whose pages may call.
    pub allow_origins: Vec<String>,
    /// For the seed's dialect: after how long without a sign the host is gone.
    pub host_lease: Duration,
    /// For the seed's dialect: what was handed out and not answered is handed out again.
    pub seed_redeliver: bool,
    /// For the seed's dialect: it may be spoken without a token.
    pub allow_unauthenticated_host: bool,
}

/// What a host may speak.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Dialect {
    /// Ours: `PROTOCOL.md`.
    Native,
    /// The Funplay plugin's, version 3.
    Funplay,
    /// `/_b/pull` and `/_b/push`.
    Seed,
}

impl Dialect {
    /// As flags have it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Funplay => "funplay",
            Self::Seed => "seed",
        }
    }
}

/// The port that is meant where nobody says one.
pub const DEFAULT_PORT: u16 = 8765;

impl Default for RunConfig {
    fn default() -> Self {
        Self {
            port: DEFAULT_PORT,
            dialects: vec![Dialect::Native],
            hold: Duration::from_secs(120),
            client_budget: Duration::from_secs(50),
            token_file: None,
            state_dir: None,
            log_file: None,
            exit_when_orphaned: None,
            exit_with_host: false,
            replace: false,
            replace_pid: None,
            tunnel_paths: Vec::new(),
            allow_origins: Vec::new(),
            host_lease: Duration::from_secs(5),
            seed_redeliver: false,
            allow_unauthenticated_host: false,
        }
    }
}

impl RunConfig {
    /// The flags of `mcp-broker` that say this; what is as by default is left out.
    pub fn to_flags(&self) -> Vec<String> {
        let default = Self::default();
        let mut flags = vec!["--port".to_owned(), self.port.to_string()];
        let mut say = |flag: &str, value: String| flags.extend([flag.to_owned(), value]);
        if self.dialects != default.dialects {
            let names: Vec<_> = self.dialects.iter().map(|one| one.as_str()).collect();
            say("--dialect", names.join(","));
        }
        for (flag, value, usual) in [
            ("--hold", self.hold, default.hold),
            ("--client-budget", self.client_budget, default.client_budget),
            ("--host-lease", self.host_lease, default.host_lease),
        ] {
            if value != usual {
                say(flag, seconds(value));
            }
        }
        for (flag, path) in [
            ("--token-file", &self.token_file),
            ("--state-dir", &self.state_dir),
            ("--log-file", &self.log_file),
        ] {
            if let Some(path) = path {
                say(flag, path.display().to_string());
            }
        }
        if let Some(after) = self.exit_when_orphaned {
            say("--exit-when-orphaned", seconds(after));
        }
        if let Some(pid) = self.replace_pid {
            say("--replace-pid", pid.to_string());
        }
        for path in &self.tunnel_paths {
            say("--tunnel-path", path.clone());
        }
        for origin in &self.allow_origins {
            say("--allow-origin", origin.clone());
        }
        for (flag, is_set) in [
            ("--exit-with-host", self.exit_with_host),
            ("--replace", self.replace),
            ("--seed-redeliver", self.seed_redeliver),
            (
                "--allow-unauthenticated-host",
                self.allow_unauthenticated_host,
            ),
        ] {
            if is_set {
                flags.push(flag.to_owned());
            }
        }
        flags
    }

    /// The same as JSON.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("text and numbers always serialise")
    }
}

fn seconds(duration: Duration) -> String {
    duration.as_secs_f64().to_string()
}
