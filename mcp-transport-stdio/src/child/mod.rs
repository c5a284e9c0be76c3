//! Servers as child processes.

#[cfg_attr(unix, path = "group_unix.rs")]
#[cfg_attr(windows, path = "group_windows.rs")]
mod group;
mod keeper;
mod pipes;
mod stderr;
mod transport;

pub use transport::ChildTransport;

use crate::stdio::MAX_MESSAGE;
use group::Group;
use keeper::{Gone, Keeper, Serving};
use mcp_transport_core::codec::{self, Lines};
use mcp_transport_core::{Connector, Error, ErrorKind};
use pipes::Pipes;
use std::fmt;
use std::io;
use std::process::{Command, Stdio};
use std::sync::Weak;
use std::time::Duration;

/// Starts a program and speaks with it over its standard input and output: connecting is starting it.
///
/// A [`Resilient`](mcp_transport_core::Resilient) over it is a supervisor: a child that dies is started again, and what it
/// owed is answered.
///
/// | setting | default |
/// |---|---|
/// | [`max_message`](Self::max_message), each way | 16 MiB |
/// | [`exit_timeout`](Self::exit_timeout), once its input is closed | 2 s |
/// | [`terminate_timeout`](Self::terminate_timeout), after `SIGTERM`, on Unix | 2 s |
///
/// **Its end.** Closing the transport, or dropping it, closes the child's input, waits, sends `SIGTERM` to its process
/// group, waits, and sends `SIGKILL`. However the child ends, what it leaves behind in its group is killed; only a process
/// that started a group of its own escapes. On Windows the group is a job, and there is no `SIGTERM`.
///
/// **Our end.** If this process dies without a word, by `SIGKILL` too, the group is ended within 2 s. On Unix its leader is
/// a tiny `/bin/sh`, started before the child, that waits for a pipe of ours to break, and then sends `SIGTERM` and, after
/// a second, `SIGKILL`. Where there is no `/bin/sh` the child leads its own group, and outlives us; a warning says so. On
/// Windows the system ends the job, except in the instant between the child's start and its coming into the job.
///
/// **Standard error** goes to `tracing`, at level `INFO`, line by line: 8 KiB of a line, 200 lines a second. It is always
/// read, so that no child waits to write. The last line goes into the error with which the transport ends.
///
/// ```no_run
/// use mcp_transport_core::Resilient;
/// use mcp_transport_stdio::ChildConnector;
/// use std::process::Command;
///
/// # async fn start() {
/// let mut command = Command::new("my-server");
/// command.arg("--stdio").env("LOG", "info");
/// let server = Resilient::spawn(ChildConnector::new(command));
/// # }
/// ```
pub struct ChildConnector {
    command: tokio::process::Command,
    name: String,
    max_message: usize,
    patience: Patience,
    former: Option<Former>,
}

/// How long a child is waited for.
#[derive(Clone, Copy, Debug)]
struct Patience {
    exit: Duration,
    terminate: Duration,
}

/// The child before: two of them at once may fight over a file or a port.
struct Former {
    gone: Gone,
    /// Dead once it was asked to leave.
    serving: Weak<Serving>,
}

impl ChildConnector {
    /// For this program, with its arguments, environment and working directory. Its standard streams are set here.
    pub fn new(command: Command) -> Self {
        let name = command.get_program().to_string_lossy().into_owned();
        let mut command = tokio::process::Command::from(command);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        Self {
            command,
            name,
            max_message: MAX_MESSAGE,
            patience: Patience {
                exit: Duration::from_secs(2),
                terminate: Duration::from_secs(2),
            },
            former: None,
        }
    }

    /// Sets how many bytes a message may have, each way.
    #[must_use]
    pub const fn max_message(mut self, bytes: usize) -> Self {
        self.max_message = bytes;
        self
    }

    /// Sets how long the child may take to leave once its input is closed.
    #[must_use]
    pub const fn exit_timeout(mut self, timeout: Duration) -> Self {
        self.patience.exit = timeout;
        self
    }

    /// Sets how long the child's group may take to leave after `SIGTERM`, before `SIGKILL`. Unix only.
    #[must_use]
    pub const fn terminate_timeout(mut self, timeout: Duration) -> Self {
        self.patience.terminate = timeout;
        self
    }

    /// Waits for a child whose transport was dropped or closed, since it may still be about to leave.
    async fn former_gone(&mut self) {
        if let Some(former) = &self.former {
            if former.serving.strong_count() == 0 {
                former.gone.clone().await;
                self.former = None;
            }
        }
    }

    fn start(&mut self, mut group: Group) -> Result<ChildTransport, Error> {
        group.enlist(&mut self.command);
        let mut child = self
            .command
            .spawn()
            .map_err(|error| self.not_started(error))?;
        group.joined(&child);
        let stdin = child.stdin.take().expect("its input is a pipe");
        let stdout = child.stdout.take().expect("its output is a pipe");
        let stderr = child.stderr.take().expect("its standard error is a pipe");
        let pid = child.id().unwrap_or_default();
        let label = format!("`{}` (process {pid})", self.name);
        let stderr = stderr::follow(stderr, label.clone());
        let keeper = Keeper::start(child, group, stderr, self.patience);
        self.former = Some(keeper.former());
        let transport = codec::framed(
            Pipes::new(stdin, stdout),
            Lines::with_limit(self.max_message),
        );
        Ok(ChildTransport::new(transport, keeper, label, pid))
    }

    fn not_started(&self, error: io::Error) -> Error {
        let name = &self.name;
        let folder = self.command.as_std().get_current_dir();
        let (kind, text) = match (error.kind(), folder) {
            // Windows says the latter.
            (io::ErrorKind::NotFound | io::ErrorKind::NotADirectory, Some(folder))
                if !folder.is_dir() =>
            {
                let folder = folder.display();
                let text =
                    format!("`{name}` cannot be started in {folder}: there is no such folder");
                (ErrorKind::Unreachable, text)
            }
            (io::ErrorKind::NotFound, _) => {
                let text =
                    format!("there is no program `{name}`; install it, or give its full path");
                (ErrorKind::Unreachable, text)
            }
            (io::ErrorKind::PermissionDenied, _) => {
                let text = format!("`{name}` may not be executed; look at its permissions");
                (ErrorKind::Unauthorized, text)
            }
            (io::ErrorKind::WouldBlock | io::ErrorKind::OutOfMemory, _) => {
                let text = format!("the system has no room for `{name}`; end other processes");
                (ErrorKind::Overloaded { retry_after: None }, text)
            }
            _ => (
                ErrorKind::Unreachable,
                format!("`{name}` could not be started: {error}"),
            ),
        };
        Error::new(kind).context(text).because(error)
    }
}

impl Connector for ChildConnector {
    type Transport = ChildTransport;

    /// Starts the program, once the one before has left, where its transport was dropped, or is being closed.
    ///
    /// # Errors
    /// [`ErrorKind::Unreachable`] where there is no such program, [`ErrorKind::Unauthorized`] where it may not be
    /// executed, [`ErrorKind::Overloaded`] where the system has no room for it.
    ///
    /// # Panics
    /// Outside a tokio runtime, or in one without I/O or its clock.
    ///
    /// # Cancel safety
    /// Dropping the future starts no child.
    async fn connect(&mut self) -> Result<ChildTransport, Error> {
        let group = Group::new().await.map_err(|error| {
            Error::new(ErrorKind::Overloaded { retry_after: None })
                .context(format!(
                    "no process group could be made for `{}`",
                    self.name
                ))
                .because(error)
        })?;
        // Looked at as late as can be: who gives a transport up may close it in a task that runs beside this one.
        self.former_gone().await;
        self.start(group)
    }

    /// As long as the child before may take to leave, and 5 s.
    fn patience(&self) -> Option<Duration> {
        let Patience { exit, terminate } = self.patience;
        Some(
            exit.saturating_add(terminate)
                .saturating_add(Duration::from_secs(5)),
        )
    }
}

/// Without arguments and environment: they may hold secrets.
impl fmt::Debug for ChildConnector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChildConnector")
            .field("program", &self.name)
            .field("max_message", &self.max_message)
            .field("patience", &self.patience)
            .finish_non_exhaustive()
    }
}
