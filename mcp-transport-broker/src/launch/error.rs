use mcp_transport_core::{Error, ErrorKind};
use std::path::PathBuf;
use std::time::Duration;

/// Why there is no broker.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LaunchError {
    /// There is no program to start. Whoever can serve the port itself does so, and says this once.
    #[error(
        "no mcp-broker was found; looked for {}. Install one (cargo install mcp-transport-broker --features cli), or name it in MCP_BROKER_BIN",
        list(searched)
    )]
    NoProgram {
        /// The places, in order.
        searched: Vec<PathBuf>,
    },
    /// Somebody else has the port. Nothing was sent there but a question.
    #[error(
        "port {port} is taken by something else ({what}): end it, or choose another port for both the broker and its clients"
    )]
    Foreign {
        /// Which port.
        port: u16,
        /// What it looked like.
        what: String,
    },
    /// It was started, and ended.
    #[error("{} was started and ended with {status}; its last words: {last_words}", program.display())]
    Ended {
        /// What was started.
        program: PathBuf,
        /// How it ended.
        status: String,
        /// The end of its log.
        last_words: String,
    },
    /// It was started, and does not answer.
    #[error("{} was started and did not answer within {within:?}; see its log {}", program.display(), log.display())]
    Silent {
        /// What was started.
        program: PathBuf,
        /// How long it had.
        within: Duration,
        /// Where it logs.
        log: PathBuf,
    },
    /// The program could not be started.
    #[error("{} could not be started: {source}", program.display())]
    Start {
        /// What was to be started.
        program: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// It runs, and did not do what it was told.
    #[error("the broker on port {port}: {what}")]
    Control {
        /// Which port.
        port: u16,
        /// What happened.
        what: String,
    },
    /// There is no program, and this process cannot be the broker either.
    #[error(transparent)]
    InProcess(Box<crate::run::RunError>),
    /// A file of the broker could not be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
}

/// Where a host dials for a broker, it tries again: by the schedule, or, where the token's file is
/// the trouble, when that changes.
impl From<LaunchError> for Error {
    fn from(error: LaunchError) -> Self {
        let kind = match &error {
            LaunchError::File { .. } => ErrorKind::Unauthorized,
            _ => ErrorKind::Unreachable,
        };
        Self::new(kind).context(error.to_string())
    }
}

fn list(searched: &[PathBuf]) -> String {
    let places: Vec<_> = searched
        .iter()
        .map(|place| place.display().to_string())
        .collect();
    places.join(", ")
}
