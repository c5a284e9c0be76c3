//! What the flags mean. Pure but for one look at what standard input is.

use mcp_transport_core::guard::Origin;
use std::fmt;
use std::io::IsTerminal;
use std::str::FromStr;

/// The port of a URL on this machine.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct LocalUrl {
    port: u16,
}

impl LocalUrl {
    /// The port.
    pub const fn port(self) -> u16 {
        self.port
    }
}

impl FromStr for LocalUrl {
    type Err = NotLocal;

    fn from_str(text: &str) -> Result<Self, NotLocal> {
        let uri: ::http::Uri = text.parse().map_err(|_| NotLocal::NoUrl)?;
        if uri.scheme_str() != Some("http") {
            return Err(NotLocal::NoUrl);
        }
        let host = uri.host().unwrap_or_default();
        // Not all of 127.0.0.0/8: an address on which nobody listens would only look right.
        if !host.eq_ignore_ascii_case("localhost") && !matches!(host, "127.0.0.1" | "[::1]") {
            return Err(NotLocal::Foreign(host.to_owned()));
        }
        if !matches!(uri.path(), "" | "/" | "/mcp") {
            return Err(NotLocal::Path(uri.path().to_owned()));
        }
        Ok(Self {
            port: uri.port_u16().unwrap_or(80),
        })
    }
}

/// Why a URL is none of this machine.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum NotLocal {
    /// It is no http URL.
    #[error("not a URL of the form http://127.0.0.1:8080")]
    NoUrl,
    /// Another machine could reach it.
    #[error(
        "this server does not listen on {0}: it only listens on the loopback addresses 127.0.0.1 and [::1], since whoever reaches it can drive the editor"
    )]
    Foreign(String),
    /// The paths are fixed.
    #[error(
        "the path {0} is not this server's: give the address only, /mcp and /hub/plugin are added"
    )]
    Path(String),
}

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

/// An origin, for the flag parser.
///
/// # Errors
/// If it is none.
pub fn origin(text: &str) -> Result<Origin, String> {
    text.parse()
        .map_err(|error: mcp_transport_core::guard::NotAnOrigin| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_urls_are_taken() {
        let port = |text: &str| text.parse::<LocalUrl>().map(LocalUrl::port);
        assert_eq!(port("http://127.0.0.1:8080"), Ok(8080));
        assert_eq!(port("http://localhost:9/"), Ok(9));
        assert_eq!(port("http://[::1]:7/mcp"), Ok(7));
        assert_eq!(port("http://127.0.0.1"), Ok(80));
        assert_eq!(
            port("http://0.0.0.0:8080"),
            Err(NotLocal::Foreign("0.0.0.0".into()))
        );
        assert_eq!(
            port("http://192.168.1.2:80"),
            Err(NotLocal::Foreign("192.168.1.2".into()))
        );
        assert_eq!(
            port("http://127.0.0.2:80"),
            Err(NotLocal::Foreign("127.0.0.2".into()))
        );
        assert_eq!(
            port("http://localhost.evil.example:80"),
            Err(NotLocal::Foreign("localhost.evil.example".into()))
        );
        assert_eq!(port("https://127.0.0.1:8080"), Err(NotLocal::NoUrl));
        assert_eq!(port("8080"), Err(NotLocal::NoUrl));
        assert_eq!(
            port("http://127.0.0.1:8080/other"),
            Err(NotLocal::Path("/other".into()))
        );
    }

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
