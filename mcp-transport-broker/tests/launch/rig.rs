//! A port of one's own, a folder of one's own, and nothing left behind.

use mcp_transport_broker::launch::{Files, Launch, Program, Record};
use mcp_transport_broker::run::RunConfig;
use std::net::{Ipv4Addr, Ipv6Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

pub(super) const BINARY: &str = env!("CARGO_BIN_EXE_mcp-broker");

pub(super) struct Rig {
    port: u16,
    folder: PathBuf,
}

impl Rig {
    pub(super) fn new(name: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let folder = format!("mcp-broker-{name}-{}-{number}", std::process::id());
        Self {
            port: free_port(),
            folder: std::env::temp_dir().join(folder),
        }
    }

    pub(super) const fn port(&self) -> u16 {
        self.port
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(super) fn launch(&self) -> Launch {
        self.launch_with(|_| {})
    }

    pub(super) fn launch_with(&self, change: impl FnOnce(&mut RunConfig)) -> Launch {
        let mut config = RunConfig::default();
        config.port = self.port;
        // If a test fails, what it started does not stay for ever.
        config.exit_when_orphaned = Some(Duration::from_secs(60));
        change(&mut config);
        Launch::with(config)
            .state_dir(&self.folder)
            .program(Program::At(BINARY.into()))
    }

    /// The names of what lies in the folder.
    pub(super) fn files(&self) -> Vec<String> {
        let entries = std::fs::read_dir(&self.folder);
        let entries = entries.into_iter().flatten().flatten();
        entries
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect()
    }

    /// Whether this very process answers as the broker of the port.
    pub(super) async fn is_served_by(&self, pid: u32) -> bool {
        let found = self.launch().find().await.unwrap();
        found.is_some_and(|broker| broker.pid() == pid)
    }

    /// Which process answers, as soon as it is not this one.
    pub(super) async fn another_than(&self, pid: u32) -> u32 {
        loop {
            // Whoever is being killed may answer in parts.
            if let Ok(Some(broker)) = self.launch().find().await {
                if broker.pid() != pid {
                    return broker.pid();
                }
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    pub(super) fn flags(&self) -> Vec<String> {
        let mut config = RunConfig::default();
        config.port = self.port;
        config.state_dir = Some(self.folder.clone());
        config.to_flags()
    }

    pub(super) async fn run(&self, command: &[&str]) -> Output {
        let flags = self.flags();
        let words: Vec<&str> = command
            .iter()
            .copied()
            .chain(flags.iter().map(String::as_str))
            .collect();
        self.run_plainly(&words).await
    }

    pub(super) async fn run_plainly(&self, words: &[&str]) -> Output {
        let mut command = Command::new(BINARY);
        command.args(words).stdin(Stdio::null());
        tokio::task::spawn_blocking(move || command.output().unwrap())
            .await
            .unwrap()
    }

    /// A token that is there already.
    pub(super) fn token(&self, text: &'static str) -> &'static str {
        let files = Files::new(&self.folder, self.port);
        std::fs::create_dir_all(&self.folder).unwrap();
        std::fs::write(&files.token, text).unwrap();
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let ours = std::fs::Permissions::from_mode(0o600);
            std::fs::set_permissions(&files.token, ours).unwrap();
        }
        text
    }

    pub(super) fn listen(&self) -> TcpListener {
        TcpListener::bind((Ipv4Addr::LOCALHOST, self.port)).unwrap()
    }
}

/// Ends what a test that failed has left.
impl Drop for Rig {
    fn drop(&mut self) {
        let files = Files::new(&self.folder, self.port);
        if let Some(record) = Record::read(&files) {
            if !is_free(self.port) {
                let _ = signal(record.pid, "-KILL");
            }
        }
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// A port that nobody has on either family.
fn free_port() -> u16 {
    loop {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        if is_free(port) {
            return port;
        }
    }
}

pub(super) fn is_free(port: u16) -> bool {
    let v6 = TcpListener::bind((Ipv6Addr::LOCALHOST, port));
    let v6_free =
        v6.is_ok() || v6.is_err_and(|error| error.kind() != std::io::ErrorKind::AddrInUse);
    v6_free && TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

/// Waits until it holds; a test's own time-out is the harness's.
pub(super) async fn until(mut holds: impl FnMut() -> bool) {
    for _ in 0..2_000 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it does not hold after 20 s");
}

pub(super) fn kill(pid: u32) {
    assert!(signal(pid, "-KILL"));
}

#[cfg(unix)]
pub(super) fn terminate(pid: u32) {
    assert!(signal(pid, "-TERM"));
}

/// Whether there was such a process.
#[cfg(unix)]
fn signal(pid: u32, which: &str) -> bool {
    let mut kill = Command::new("kill");
    kill.args([which, &pid.to_string()]);
    succeeds(kill)
}

#[cfg(windows)]
fn signal(pid: u32, _which: &str) -> bool {
    let mut kill = Command::new("taskkill");
    kill.args(["/F", "/PID", &pid.to_string()]);
    succeeds(kill)
}

fn succeeds(mut command: Command) -> bool {
    let command = command.stdout(Stdio::null()).stderr(Stdio::null());
    command.status().unwrap().success()
}

/// Whether the process has ended.
#[cfg(unix)]
pub(super) fn is_gone(pid: u32) -> bool {
    !signal(pid, "-0")
}

/// Whether the process has ended. Wine's `tasklist` lists nobody, so there it always says so.
#[cfg(windows)]
pub(super) fn is_gone(pid: u32) -> bool {
    let mut list = Command::new("tasklist");
    list.args(["/NH", "/FO", "CSV", "/FI", &format!("PID eq {pid}")]);
    let listed = list.output().unwrap();
    !String::from_utf8_lossy(&listed.stdout).contains(&format!("\"{pid}\""))
}
