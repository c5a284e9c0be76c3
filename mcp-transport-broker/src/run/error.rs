use super::RunConfig;
use crate::launch::{LaunchError, PORT_TAKEN};
use mcp_transport_core::guard::NotAToken;
use std::io;
use std::process::ExitCode;

/// Why a broker does not serve.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// Somebody has the port.
    #[error(
        "port {port} is taken: `mcp-broker status --port {port}` says whether by a broker; end whoever has it, or choose another with --port"
    )]
    PortTaken {
        /// Which port.
        port: u16,
    },
    /// The system does not give the port.
    #[error("port {port}: {source}")]
    Bind {
        /// Which port.
        port: u16,
        /// What it says.
        source: io::Error,
    },
    /// The broker that has the port does not hand over.
    #[error(
        "the broker on port {port} did not hand over: {what}; `mcp-broker stop --port {port}` ends it, with an answer for everybody who waits there"
    )]
    Replace {
        /// Which port.
        port: u16,
        /// What it said.
        what: String,
    },
    /// A file.
    #[error(transparent)]
    File(#[from] LaunchError),
    /// The token is none.
    #[error(transparent)]
    Token(#[from] NotAToken),
    /// The origin is none.
    #[error("{0:?} is no origin: say one such as https://inspector.example, without a path")]
    Origin(String),
}

impl RunError {
    pub(super) fn bind(config: &RunConfig, source: io::Error) -> Self {
        let port = config.port;
        match source.kind() {
            io::ErrorKind::AddrInUse => Self::PortTaken { port },
            _ => Self::Bind { port, source },
        }
    }

    /// A launcher tells by it whether somebody else was faster.
    pub(crate) fn exit_code(&self) -> ExitCode {
        match self {
            Self::PortTaken { .. } => ExitCode::from(PORT_TAKEN),
            _ => ExitCode::FAILURE,
        }
    }
}
