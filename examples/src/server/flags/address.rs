//! Where the server listens. Pure.

use std::str::FromStr;

/// An address that a URL, or a host and a port beside it, name.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct HttpUrl {
    /// As it stands there, without the brackets of an IPv6 address.
    pub host: String,
    /// 80 where the URL names none.
    pub port: u16,
}

impl HttpUrl {
    /// Where nothing is said.
    pub fn usual() -> Self {
        Self {
            host: "127.0.0.1".to_owned(),
            port: 8080,
        }
    }

    /// Its port, if only this machine can reach it.
    ///
    /// # Errors
    /// If another machine could.
    pub fn local_port(&self) -> Result<u16, NotLocal> {
        // Not all of 127.0.0.0/8: an address on which nobody listens would only look right.
        match self.host.to_ascii_lowercase().as_str() {
            "localhost" | "127.0.0.1" | "::1" => Ok(self.port),
            _ => Err(NotLocal::Foreign(self.host.clone())),
        }
    }
}

impl FromStr for HttpUrl {
    type Err = NotLocal;

    fn from_str(text: &str) -> Result<Self, NotLocal> {
        let uri: ::http::Uri = text.parse().map_err(|_| NotLocal::NoUrl)?;
        let host = uri.host().unwrap_or_default();
        if uri.scheme_str() != Some("http") || host.is_empty() {
            return Err(NotLocal::NoUrl);
        }
        if !matches!(uri.path(), "" | "/" | "/mcp" | "/mcp/") {
            return Err(NotLocal::Path(uri.path().to_owned()));
        }
        Ok(Self {
            host: bare(host).to_owned(),
            port: uri.port_u16().unwrap_or(80),
        })
    }
}

/// Without the brackets of an IPv6 address.
pub(super) fn bare(host: &str) -> &str {
    let inner = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    inner.unwrap_or(host)
}

/// Why an address is none to listen on.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum NotLocal {
    /// It is no http URL.
    #[error("not a URL of the form http://127.0.0.1:8080")]
    NoUrl,
    /// Another machine could reach it.
    #[error(
        "this server does not listen on {0}: it only listens on the loopback addresses 127.0.0.1 and [::1], since whoever reaches it can drive the editor. Only with --http-remote-hosted, where each user has a key, it listens elsewhere"
    )]
    Foreign(String),
    /// The paths are fixed.
    #[error(
        "the path {0} is not this server's: give the address only, /mcp and /hub/plugin are added"
    )]
    Path(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_urls_are_local() {
        let port = |text: &str| text.parse().and_then(|url: HttpUrl| url.local_port());
        assert_eq!(port("http://127.0.0.1:8080"), Ok(8080));
        assert_eq!(port("http://LocalHost:9/"), Ok(9));
        assert_eq!(port("http://[::1]:7/mcp"), Ok(7));
        assert_eq!(port("http://127.0.0.1"), Ok(80));
        for host in [
            "0.0.0.0",
            "192.168.1.2",
            "127.0.0.2",
            "localhost.evil.example",
            "::",
        ] {
            let url = match host.contains(':') {
                true => format!("http://[{host}]:80"),
                false => format!("http://{host}:80"),
            };
            assert_eq!(port(&url), Err(NotLocal::Foreign(host.to_owned())));
        }
        for none in [
            "https://127.0.0.1:8080",
            "8080",
            "127.0.0.1:8080",
            "",
            "http://",
        ] {
            assert_eq!(port(none), Err(NotLocal::NoUrl), "{none}");
        }
        let other = port("http://127.0.0.1:8080/other");
        assert_eq!(other, Err(NotLocal::Path("/other".into())));
    }
}
