//! The process group of one child, and who ends it if we cannot any more.

use rustix::process::{Pid, Signal, kill_process_group};
use std::io;
use std::process::Stdio;
use tokio::io::AsyncReadExt;
use tokio::process::{Child, ChildStdin, Command};

/// A process group. While its leader is not reaped its id is nobody else's, so no signal can go astray.
pub(super) struct Group {
    watcher: Option<Watcher>,
    /// `None` until there is a leader.
    id: Option<Pid>,
}

/// The leader: a shell that waits until our end of its input is closed, by us or by our death.
struct Watcher {
    process: Child,
    _lifeline: ChildStdin,
}

/// It deafens itself before it says that it is ready, so that a `SIGTERM` for the group does not end it early. After our
/// death it stays for a second: a child that we were about to start can still come into the group, and must be killed.
const SCRIPT: &str =
    "trap '' HUP INT QUIT TERM; echo; read -r _; kill -TERM 0; sleep 1; kill -KILL 0";

impl Group {
    /// A new group with a watcher that is ready, before there is anybody to watch.
    pub(super) async fn new() -> io::Result<Self> {
        let mut command = Command::new("/bin/sh");
        command
            .args(["-c", SCRIPT])
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .process_group(0);
        let mut process = match command.spawn() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                tracing::warn!(
                    "no /bin/sh here: if this process is killed, its child processes stay"
                );
                return Ok(Self {
                    watcher: None,
                    id: None,
                });
            }
            spawned => spawned?,
        };
        let lifeline = process.stdin.take().expect("its input is a pipe");
        let mut ready = process.stdout.take().expect("its output is a pipe");
        ready.read_u8().await?;
        Ok(Self {
            id: pid(&process),
            watcher: Some(Watcher {
                process,
                _lifeline: lifeline,
            }),
        })
    }

    /// Has the next child start in this group.
    pub(super) fn enlist(&self, command: &mut Command) {
        command
            .process_group(self.id.map_or(0, Pid::as_raw_pid))
            // If the runtime ends before the child, the watcher ends it, and more politely.
            .kill_on_drop(self.watcher.is_none());
    }

    /// To be told the child once it has started.
    pub(super) fn joined(&mut self, child: &Child) {
        self.id = self.id.or_else(|| pid(child));
    }

    /// Asks all of the group to leave.
    pub(super) fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// Kills all of the group.
    pub(super) fn kill(&mut self) {
        self.signal(Signal::KILL);
    }

    /// Kills what the child has left behind, and the watcher. To be called when the child has been reaped.
    pub(super) async fn disband(mut self) {
        // Without a watcher the leader was the child: its id may be somebody else's by now.
        if let Some(watcher) = &mut self.watcher {
            self.id.map(|id| kill_process_group(id, Signal::KILL));
            let _ = watcher.process.wait().await;
        }
    }

    fn signal(&self, signal: Signal) {
        if let Some(Err(error)) = self.id.map(|id| kill_process_group(id, signal)) {
            tracing::debug!(%error, ?signal, "a process group could not be signalled");
        }
    }
}

/// `None` once it has been reaped.
fn pid(process: &Child) -> Option<Pid> {
    process
        .id()
        .and_then(|id| i32::try_from(id).ok())
        .and_then(Pid::from_raw)
}
