//! Starts a broker that outlives us.

use super::LaunchError;
use super::locate::Located;
use crate::run::{RUN_VARIABLE, RunConfig};
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};
use tokio::sync::watch;

/// A process that was started.
pub(super) struct Started {
    pub(super) program: PathBuf,
    /// How it ended, once it has.
    pub(super) ended: watch::Receiver<Option<ExitStatus>>,
}

/// Starts it with nothing of ours: no pipe, no terminal, no process group.
pub(super) fn start(located: &Located, config: &RunConfig) -> Result<Started, LaunchError> {
    let (program, mut command) = match located {
        Located::Binary(program) => {
            let mut command = Command::new(program);
            command.args(config.to_flags());
            (program, command)
        }
        Located::OurselvesAt(program) => {
            let mut command = Command::new(program);
            command.env(RUN_VARIABLE, config.to_json());
            (program, command)
        }
    };
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .current_dir(folder_that_stays());
    detach(&mut command);
    let mut child = command.spawn().map_err(|source| LaunchError::Start {
        program: program.clone(),
        source,
    })?;
    let (say, ended) = watch::channel(None);
    // Whoever has started a process must wait for it, or it stays as a zombie.
    std::thread::Builder::new()
        .name("mcp-broker-wait".to_owned())
        .spawn(move || {
            if let Ok(status) = child.wait() {
                say.send_replace(Some(status));
            }
        })
        .map_err(|source| LaunchError::Start {
            program: program.clone(),
            source,
        })?;
    Ok(Started {
        program: program.clone(),
        ended,
    })
}

/// A process must not keep the folder of a project from being moved or unmounted, nor its own from
/// being removed when it ends, as Windows would.
fn folder_that_stays() -> PathBuf {
    if cfg!(windows) {
        let system = std::env::var_os("SystemRoot").map(PathBuf::from);
        system.unwrap_or_else(std::env::temp_dir)
    } else {
        PathBuf::from("/")
    }
}

/// What is meant for us, Ctrl+C above all, is not meant for it.
fn detach(command: &mut Command) {
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(command, 0);
    #[cfg(windows)]
    {
        const DETACHED_PROCESS: u32 = 0x8;
        const CREATE_NEW_PROCESS_GROUP: u32 = 0x200;
        std::os::windows::process::CommandExt::creation_flags(
            command,
            DETACHED_PROCESS | CREATE_NEW_PROCESS_GROUP,
        );
    }
}
