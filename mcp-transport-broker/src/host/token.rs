//! Where the host has its token from.

use super::http::BEARER;
use http::HeaderValue;
use mcp_transport_core::guard::NotAToken;
use mcp_transport_core::{Error, ErrorKind};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// Where a host has the broker's token from: a text, or a file that is read before each dial.
///
/// A file is the better choice: when the broker refuses the token, a host dials again as soon as
/// the file has changed. With a text it dials again only when it is
/// [woken](super::Handle::wake).
///
/// ```
/// use mcp_transport_broker::host::TokenSource;
/// use std::path::Path;
///
/// let text = TokenSource::from("0123456789abcdef");
/// let file = TokenSource::from(Path::new("/run/user/1000/mcp-broker/token"));
/// assert!(!format!("{text:?} {file:?}").contains("0123456789abcdef"));
/// ```
#[derive(Clone)]
pub struct TokenSource {
    source: Source,
    /// What the last dial used.
    used: Arc<Mutex<Option<String>>>,
}

#[derive(Clone)]
enum Source {
    Text(Arc<str>),
    File(PathBuf),
}

impl TokenSource {
    fn new(source: Source) -> Self {
        let used = Arc::default();
        Self { source, used }
    }

    /// The header to present, from what the source says now.
    pub(super) fn header(&self) -> Result<HeaderValue, Error> {
        let text = self.read()?;
        let problem = |what: NotAToken| {
            let kind = match (what, &self.source) {
                // Perhaps it is being written.
                (NotAToken::Empty, Source::File(_)) => ErrorKind::Unreachable,
                _ => ErrorKind::Unauthorized,
            };
            Error::new(kind).context(format!("{self:?}: {what}"))
        };
        let bare = text.trim_ascii();
        bare.parse::<mcp_transport_core::guard::Token>()
            .map_err(problem)?;
        let mut header = HeaderValue::from_str(&format!("{BEARER}{bare}"))
            .map_err(|_| problem(NotAToken::Unprintable))?;
        header.set_sensitive(true);
        *self.used.lock().unwrap_or_else(PoisonError::into_inner) = Some(text);
        Ok(header)
    }

    /// True if the source says something else than the last dial used.
    pub(super) fn has_changed(&self) -> bool {
        let used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        match (&self.source, &*used) {
            (Source::File(_), Some(used)) => self.read().is_ok_and(|now| now != *used),
            (Source::File(_), None) | (Source::Text(_), _) => false,
        }
    }

    /// A token is a line, and read at most when somebody dials or waits for it to change: not worth
    /// a thread.
    fn read(&self) -> Result<String, Error> {
        match &self.source {
            Source::Text(text) => Ok(String::from(&**text)),
            Source::File(path) => std::fs::read_to_string(path).map_err(|error| {
                let kind = match error.kind() {
                    // The broker writes it when it starts.
                    std::io::ErrorKind::NotFound => ErrorKind::Unreachable,
                    _ => ErrorKind::Unauthorized,
                };
                let text = format!("the token file {}", path.display());
                Error::new(kind).context(text).because(error)
            }),
        }
    }
}

impl From<&str> for TokenSource {
    fn from(text: &str) -> Self {
        Self::new(Source::Text(Arc::from(text)))
    }
}

impl From<String> for TokenSource {
    fn from(text: String) -> Self {
        Self::from(text.as_str())
    }
}

impl From<&Path> for TokenSource {
    fn from(path: &Path) -> Self {
        Self::from(path.to_owned())
    }
}

impl From<PathBuf> for TokenSource {
    fn from(path: PathBuf) -> Self {
        Self::new(Source::File(path))
    }
}

/// Where it is from, never what it is.
impl fmt::Debug for TokenSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.source {
            Source::Text(_) => f.write_str("TokenSource(…)"),
            Source::File(path) => write!(f, "TokenSource({})", path.display()),
        }
    }
}
