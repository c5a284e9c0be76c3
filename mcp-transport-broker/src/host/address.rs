//! Where the broker is. Pure.

use http::{HeaderValue, Uri};
use mcp_transport_core::{Error, ErrorKind};

/// A broker's URL, taken apart.
#[derive(Clone, Debug)]
pub(super) struct Address {
    pub(super) host: String,
    pub(super) port: u16,
    /// For the header `Host`, which the broker's gate reads.
    pub(super) authority: HeaderValue,
}

impl Address {
    /// Reads `http://host[:port]`. Which hosts are loopback is said by the dial.
    pub(super) fn parse(url: &str) -> Result<Self, Error> {
        let wrong = |text: &str| {
            let text = format!("{url:?} {text}: use http://127.0.0.1:<port>");
            Error::new(ErrorKind::Incompatible).context(text)
        };
        let uri: Uri = url.parse().map_err(|_| wrong("is no URL"))?;
        if uri.scheme_str() != Some("http") {
            return Err(wrong("is no http URL"));
        }
        if uri.path() != "/" || uri.query().is_some() {
            return Err(wrong("has a path, and the broker's paths are known"));
        }
        let authority = uri.authority().ok_or_else(|| wrong("has no host"))?;
        if authority.as_str().contains('@') {
            return Err(wrong("has a user in it"));
        }
        let host = authority.host().to_owned();
        let port = authority.port_u16().unwrap_or(80);
        let authority = HeaderValue::from_str(&format!("{host}:{port}"))
            .map_err(|_| wrong("has a host that no header can carry"))?;
        Ok(Self {
            host,
            port,
            authority,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_a_host_and_a_port_and_nothing_else() {
        let address = Address::parse("http://127.0.0.1:8765").unwrap();
        assert_eq!((address.host.as_str(), address.port), ("127.0.0.1", 8765));
        assert_eq!(address.authority, "127.0.0.1:8765");
        assert_eq!(Address::parse("http://[::1]:8765/").unwrap().host, "[::1]");
        for wrong in [
            "",
            "127.0.0.1:8765",
            "https://localhost",
            "http://localhost/mcp",
            "http://a@b",
        ] {
            let error = Address::parse(wrong).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Incompatible, "{wrong}");
        }
    }
}
