//! Where to dial. Pure.

use http::Uri;
use mcp_transport_core::{Error, ErrorKind};

/// A `ws` URL, taken apart.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Target {
    /// A name or an address, without brackets.
    pub(crate) host: String,
    pub(crate) port: u16,
    /// What the `Host` header says.
    pub(crate) authority: String,
    /// Path and query.
    pub(crate) path: String,
}

impl Target {
    /// # Errors
    /// `Incompatible`: trying again mends no URL.
    pub(crate) fn parse(url: &str) -> Result<Self, Error> {
        let wrong = |why: &str| {
            Err(Error::new(ErrorKind::Incompatible).context(format!(
                "{why}; a URL like ws://127.0.0.1:8080/path is expected"
            )))
        };
        let Ok(uri) = url.parse::<Uri>() else {
            return wrong("this is no URL");
        };
        let scheme = uri.scheme_str().unwrap_or_default().to_ascii_lowercase();
        match scheme.as_str() {
            "ws" => {}
            "wss" => return wrong("wss needs TLS, which this connector does not speak"),
            _ => return wrong("the scheme is not ws"),
        }
        let Some(authority) = uri.authority() else {
            return wrong("the URL names no host");
        };
        if authority.as_str().contains('@') {
            return wrong("credentials belong in a header, not in the URL");
        }
        let host = authority.host().trim_matches(['[', ']']);
        if host.is_empty() {
            return wrong("the URL names no host");
        }
        let has_port = authority.as_str().len() > authority.host().len();
        let port = match authority.port_u16() {
            Some(port) => port,
            None if has_port => return wrong("the port is no number up to 65535"),
            None => 80,
        };
        Ok(Self {
            host: host.to_owned(),
            port,
            authority: authority.as_str().to_owned(),
            path: uri
                .path_and_query()
                .map_or("/", |path| path.as_str())
                .to_owned(),
        })
    }

    /// Whether core's loopback dial knows this host.
    pub(crate) fn is_loopback(&self) -> bool {
        self.host.eq_ignore_ascii_case("localhost")
            || self.host == "127.0.0.1"
            || self.host == "::1"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_taken_apart() {
        let target = |url| Target::parse(url).map(|t| (t.host, t.port, t.authority, t.path));
        let expect = |host: &str, port, authority: &str, path: &str| {
            (host.into(), port, authority.into(), path.into())
        };
        assert_eq!(
            target("ws://127.0.0.1:8080/a/b?c=d").unwrap(),
            expect("127.0.0.1", 8080, "127.0.0.1:8080", "/a/b?c=d")
        );
        assert_eq!(
            target("ws://[::1]:8080").unwrap(),
            expect("::1", 8080, "[::1]:8080", "/")
        );
        assert_eq!(
            target("WS://localhost").unwrap(),
            expect("localhost", 80, "localhost", "/")
        );
    }

    #[test]
    fn what_is_no_ws_url_is_told_and_never_retried() {
        for (url, hint) in [
            ("", "no URL"),
            ("127.0.0.1:8080", "scheme"),
            ("http://127.0.0.1", "scheme"),
            ("wss://127.0.0.1/", "TLS"),
            ("ws://user:secret@127.0.0.1/", "header"),
            ("ws://127.0.0.1:99999/", "65535"),
        ] {
            let error = Target::parse(url).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Incompatible);
            assert!(!error.is_retryable());
            let text = error.to_string();
            assert!(text.contains(hint), "{url}: {text}");
            assert!(!text.contains("secret"));
        }
    }
}
