//! One error type for the whole family: who ended it, and what now?

mod codes;
mod kind;

pub use kind::{ErrorKind, Reconnect};

use crate::eviction::Eviction;
use crate::outcome::Outcome;
use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;
use std::{fmt, io};

type Source = Arc<dyn std::error::Error + Send + Sync + 'static>;

/// What ended a connection, or refused a message.
///
/// [`kind`](Self::kind) is the stable part: compare it, match on it, log it. The text is for
/// people, and may change; so may the [`source`](std::error::Error::source), which no program may
/// rely on. Cloning shares the source.
///
/// ```
/// use mcp_transport_core::{Error, ErrorKind};
///
/// let error = Error::new(ErrorKind::Unreachable).context("127.0.0.1:8080");
/// assert!(error.is_retryable());
/// assert_eq!(error.code(), -31001);
/// assert_eq!(error.to_string(), "nobody listens there yet: 127.0.0.1:8080");
/// ```
#[derive(Clone)]
pub struct Error {
    kind: ErrorKind,
    detail: Option<Arc<Detail>>,
}

#[derive(Clone, Default)]
struct Detail {
    context: Option<Cow<'static, str>>,
    eviction: Option<Eviction>,
    source: Option<Source>,
}

impl Error {
    /// An error of this kind, with nothing more known.
    pub const fn new(kind: ErrorKind) -> Self {
        Self { kind, detail: None }
    }

    /// The peer told us that we lost our place, and how.
    ///
    /// ```
    /// use mcp_transport_core::{Error, ErrorKind, Eviction, EvictionReason};
    ///
    /// let error = Error::evicted(Eviction::new(EvictionReason::Superseded).by("127.0.0.1:54321"));
    /// assert_eq!(error.kind(), ErrorKind::Evicted(EvictionReason::Superseded));
    /// assert_eq!(error.eviction().unwrap().newcomer(), Some("127.0.0.1:54321"));
    /// ```
    pub fn evicted(eviction: Eviction) -> Self {
        let kind = ErrorKind::Evicted(eviction.reason());
        Self::new(kind).with(|detail| detail.eviction = Some(eviction))
    }

    /// Says to whom or where it happened: an address, a limit, a name.
    #[must_use]
    pub fn context(self, context: impl Into<Cow<'static, str>>) -> Self {
        self.with(|detail| detail.context = Some(context.into()))
    }

    /// Attaches what lies beneath.
    #[must_use]
    pub fn because(self, source: impl std::error::Error + Send + Sync + 'static) -> Self {
        self.with(|detail| detail.source = Some(Arc::new(source)))
    }

    /// What ended it.
    pub const fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// True if dialling again, by the schedule, is the right answer; the family's one decision on
    /// this.
    pub const fn is_retryable(&self) -> bool {
        self.kind.is_retryable()
    }

    /// What is known of a call that this error answers.
    pub const fn outcome(&self) -> Outcome {
        self.kind.outcome()
    }

    /// How long the peer asked us to wait, where it did.
    pub const fn retry_after(&self) -> Option<Duration> {
        match self.kind {
            ErrorKind::Overloaded { retry_after } => retry_after,
            _ => None,
        }
    }

    /// Who took our place and why, where the peer said so.
    pub fn eviction(&self) -> Option<&Eviction> {
        self.detail.as_ref()?.eviction.as_ref()
    }

    /// The stable number of the kind, as it stands in a JSON-RPC error.
    pub const fn code(&self) -> i32 {
        self.kind.code()
    }

    fn with(mut self, change: impl FnOnce(&mut Detail)) -> Self {
        change(Arc::make_mut(self.detail.get_or_insert_default()));
        self
    }
}

impl From<ErrorKind> for Error {
    fn from(kind: ErrorKind) -> Self {
        Self::new(kind)
    }
}

impl From<io::Error> for Error {
    /// Files an I/O error under its kind; one that carries an [`Error`] gives it back unchanged.
    fn from(error: io::Error) -> Self {
        if let Some(ours) = error
            .get_ref()
            .and_then(|inner| inner.downcast_ref::<Self>())
        {
            return ours.clone();
        }
        Self::new(kind::of_io(error.kind())).because(error)
    }
}

impl From<Error> for io::Error {
    /// For code that handles `io::Error`: an eviction is
    /// [`ConnectionAborted`](io::ErrorKind::ConnectionAborted), so that ordinary connection-error
    /// handlers catch it.
    fn from(error: Error) -> Self {
        Self::new(kind::to_io(error.kind), error)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.kind.fmt(f)?;
        let Some(detail) = &self.detail else {
            return Ok(());
        };
        if let Some(context) = &detail.context {
            write!(f, ": {context}")?;
        }
        match detail.eviction.as_ref().map(Eviction::text) {
            Some(text) if !text.is_empty() => write!(f, ": {text}"),
            _ => Ok(()),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("Error");
        out.field("kind", &self.kind);
        if let Some(detail) = &self.detail {
            out.field("context", &detail.context);
            out.field("eviction", &detail.eviction);
            out.field("source", &detail.source);
        }
        out.finish()
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        let source = self.detail.as_ref()?.source.as_ref()?;
        Some(source.as_ref() as &(dyn std::error::Error + 'static))
    }
}
