use std::fmt;
use std::str::FromStr;

/// The origin of a web page as browsers write it: `scheme://host` or `scheme://host:port`.
///
/// Parsed where the user names it (it is [`FromStr`], so a command line can take it as it is), so
/// that a wildcard, a path or `null` is an error there and not a rule that never matches. Scheme
/// and host become lower case, and a scheme's own port goes, as in a browser.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Origin(String);

impl Origin {
    /// Returns the origin as a browser writes it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Nothing of an origin depends on case, so this is an exact comparison.
    pub(super) fn matches(&self, header: &[u8]) -> bool {
        self.0.as_bytes().eq_ignore_ascii_case(header)
    }
}

impl FromStr for Origin {
    type Err = NotAnOrigin;

    fn from_str(text: &str) -> Result<Self, NotAnOrigin> {
        let lower = text.to_ascii_lowercase();
        let (scheme, authority) = lower.split_once("://").ok_or(NotAnOrigin)?;
        let (host, port) = split_port(authority)?;
        if !is_scheme(scheme) || !is_host(host) {
            return Err(NotAnOrigin);
        }
        Ok(match port {
            Some(port) if Some(port) != default_port(scheme) => {
                Self(format!("{scheme}://{host}:{port}"))
            }
            _ => Self(format!("{scheme}://{host}")),
        })
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What was given as an origin is none.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not an origin: write scheme, host and, if need be, port, as in https://app.example:8443")]
#[non_exhaustive]
pub struct NotAnOrigin;

fn split_port(authority: &str) -> Result<(&str, Option<u16>), NotAnOrigin> {
    // The colons inside `[::1]` are no port's.
    let from = authority.find(']').map_or(0, |end| end + 1);
    let Some(colon) = authority[from..].find(':') else {
        return Ok((authority, None));
    };
    let (host, port) = authority.split_at(from + colon);
    let port = &port[1..];
    if !port.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(NotAnOrigin);
    }
    Ok((host, Some(port.parse().map_err(|_| NotAnOrigin)?)))
}

fn is_scheme(scheme: &str) -> bool {
    scheme.starts_with(|first: char| first.is_ascii_lowercase())
        && scheme
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b))
}

/// A name, an IPv4 address or an IPv6 address in brackets. Browsers send names of other scripts as
/// `xn--…`, so ASCII it is.
fn is_host(host: &str) -> bool {
    if let Some(rest) = host.strip_prefix('[') {
        return rest
            .strip_suffix(']')
            .is_some_and(|v6| v6.parse::<std::net::Ipv6Addr>().is_ok());
    }
    !host.is_empty()
        && host
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b))
}

fn default_port(scheme: &str) -> Option<u16> {
    match scheme {
        "http" => Some(80),
        "https" => Some(443),
        _ => None,
    }
}
