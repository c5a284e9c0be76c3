//! This program once more, as somebody else: what is to run in a process of its own.

use crate::{peers, stdio};
use benches::process::Process;
use std::error::Error;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::process::{ChildStdin, Command};

/// Who this process is.
#[derive(Clone, Copy, Debug, clap::Subcommand)]
#[command(rename_all = "kebab-case")]
pub(crate) enum Role {
    /// The stdio server, behind our pipes
    #[command(hide = true)]
    StdioOurs,
    /// The stdio server, behind rmcp's
    #[command(hide = true)]
    StdioRmcp,
    /// A server that answers at once
    #[command(hide = true)]
    Echo,
    /// A host of the broker at this port
    #[command(hide = true)]
    Host { broker: u16 },
    /// A plugin of the Funplay dialect at the broker at this port
    #[command(hide = true)]
    Plugin { broker: u16 },
}

impl Role {
    /// This program in that role.
    pub(crate) fn command(self) -> io::Result<Command> {
        let mut command = Command::new(std::env::current_exe()?);
        match self {
            Self::StdioOurs => command.arg("stdio-ours"),
            Self::StdioRmcp => command.arg("stdio-rmcp"),
            Self::Echo => command.arg("echo"),
            Self::Host { broker } => command.arg("host").arg(broker.to_string()),
            Self::Plugin { broker } => command.arg("plugin").arg(broker.to_string()),
        };
        Ok(command)
    }

    /// Is that, until standard input ends.
    pub(crate) fn play(self) -> Result<(), Box<dyn Error>> {
        let port = match self {
            Self::StdioOurs | Self::StdioRmcp => {
                // A server with one client has nothing to do for a second thread.
                return benches::runtime().block_on(stdio::serve(matches!(self, Self::StdioOurs)));
            }
            Self::Echo => peers::direct().port,
            Self::Host { broker } => {
                peers::native_host(broker);
                broker
            }
            Self::Plugin { broker } => {
                peers::plugin(broker);
                broker
            }
        };
        writeln!(io::stdout(), "{port}")?;
        io::stdin().read_to_end(&mut Vec::new())?;
        Ok(())
    }
}

/// A process in such a role that is ready.
#[derive(Debug)]
pub(crate) struct Player {
    pub(crate) process: Process,
    pub(crate) port: u16,
    /// It ends with this, should we be killed.
    _stdin: ChildStdin,
}

impl Player {
    /// Starts it, and waits until it says where it listens.
    pub(crate) fn start(role: Role) -> io::Result<Self> {
        let (process, stdin, stdout) = Process::piped(&mut role.command()?)?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        let port = line
            .trim()
            .parse()
            .map_err(|_| io::Error::other(format!("{role:?} ended before it was ready")))?;
        Ok(Self {
            process,
            port,
            _stdin: stdin,
        })
    }
}
