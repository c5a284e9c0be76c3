//! How clients and editors come.

use std::fmt;
use std::io::IsTerminal;

/// How clients come.
#[derive(Clone, Copy, Debug, Eq, PartialEq, clap::ValueEnum)]
#[expect(clippy::exhaustive_enums, reason = "MCP has these two")]
pub enum Transport {
    /// By HTTP.
    Http,
    /// One, on our standard input and output.
    Stdio,
}

impl Transport {
    /// What is meant where nobody says it: HTTP where a URL was given; stdio where standard input is a pipe or a socket, as
    /// it is when a client started us; else HTTP.
    pub fn guess(url_given: bool, stdin_is_pipe: bool) -> Self {
        if !url_given && stdin_is_pipe {
            Self::Stdio
        } else {
            Self::Http
        }
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Http => "http",
            Self::Stdio => "stdio",
        })
    }
}

/// How editors come.
#[derive(Clone, Copy, Debug, Eq, PartialEq, clap::ValueEnum)]
#[expect(
    clippy::exhaustive_enums,
    reason = "the plugin has these two modes, and there is both"
)]
pub enum Editors {
    /// They connect to /hub/plugin: plugins set to HTTP.
    Hub,
    /// They listen and are dialled, as the status files say: plugins set to stdio.
    Bridge,
    /// Both.
    Auto,
}

impl Editors {
    /// What is meant where nobody says it. The installed plugin serves one client, so to dial an editor ends whatever session
    /// it has: nothing that a mere trial may do.
    pub const fn by_default(sim: bool) -> Self {
        if sim { Self::Hub } else { Self::Auto }
    }
}

/// Whether standard input is a pipe or a socket. Where the system does not tell, what is no terminal counts as one.
pub fn stdin_is_pipe() -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt;
        if let Ok(metadata) = std::fs::metadata("/dev/stdin") {
            return metadata.file_type().is_fifo() || metadata.file_type().is_socket();
        }
    }
    !std::io::stdin().is_terminal()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trial_dials_nobodys_editor() {
        assert_eq!(Editors::by_default(true), Editors::Hub);
        assert_eq!(Editors::by_default(false), Editors::Auto);
    }

    #[test]
    fn a_client_that_started_us_is_served_on_its_pipes() {
        assert_eq!(Transport::guess(false, true), Transport::Stdio);
        assert_eq!(Transport::guess(true, true), Transport::Http);
        assert_eq!(Transport::guess(false, false), Transport::Http);
    }
}
