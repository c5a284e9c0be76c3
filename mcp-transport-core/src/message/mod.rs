//! One message: its bytes, and an envelope that is read when somebody asks.

mod build;
mod envelope;
mod id;
mod json;
mod members;
pub(crate) mod scan;
mod words;

pub use id::Id;
pub use members::Members;

use crate::error::{Error, ErrorKind};
use bytes::Bytes;
use envelope::{Envelope, Name};
use once_cell::race::OnceBox;
use serde::de::DeserializeOwned;
use std::fmt;
use std::ops::Range;

/// One message, as bytes that stay as they came.
///
/// Cloning counts a reference to the bytes, and copies the envelope if it was read: a place or two,
/// and an id or a method's name, of which long ones are shared, too. Making one never fails and reads
/// nothing: the envelope (method and id, not the body) is parsed at the first question, once. What is
/// no JSON-RPC message is [`Kind::Opaque`] and says why; an MCP edge answers that [`Defect`], a host
/// dialect that is not JSON-RPC ignores it.
///
/// ```
/// use mcp_transport_core::{Id, Kind, Message};
///
/// let message = Message::from(r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x"}}"#);
/// assert!(matches!(message.kind(), Kind::Request { method: "tools/call", .. }));
/// assert_eq!(message.id(), Some(&Id::from(1)));
/// assert_eq!(message.params(), Some(r#"{"name":"x"}"#));
/// ```
#[derive(Clone)]
pub struct Message {
    bytes: Bytes,
    /// Beside the message, so that one whose envelope nobody reads is small, and is moved cheaply.
    /// Of two threads that ask first both may read it; one of them keeps what it found.
    envelope: OnceBox<Envelope>,
}

/// What a message is.
#[derive(Clone, Copy, Debug)]
#[expect(
    clippy::exhaustive_enums,
    reason = "JSON-RPC has these three, and the rest is opaque"
)]
pub enum Kind<'a> {
    /// A call that waits for an answer.
    Request {
        /// Its id.
        id: &'a Id,
        /// Its method.
        method: &'a str,
    },
    /// A message that nobody answers.
    Notification {
        /// Its method.
        method: &'a str,
    },
    /// The answer to a call.
    Response {
        /// The id of the call; an error may lack it, where the peer could not read the call.
        id: Option<&'a Id>,
        /// True for an error.
        is_error: bool,
    },
    /// No JSON-RPC message.
    Opaque(&'a Defect),
}

/// Why a message is no JSON-RPC message.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Defect {
    /// Not JSON, or not UTF-8.
    NotJson,
    /// A JSON array. MCP dropped batches in 2025-06-18.
    Batch,
    /// An id that is neither text nor a number.
    BadId,
    /// A member of the envelope that stands there twice: two readers could take different ones.
    Duplicate,
    /// JSON, but not of JSON-RPC 2.0's shape.
    NotRpc,
    /// Over the limit; the bytes were skipped, not kept.
    TooLarge {
        /// The id of the request, where it was found on the way.
        id: Option<Id>,
        /// Its size in bytes.
        size: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// An answer over the limit; its bytes were skipped, and who made the call waits still.
    AnswerTooLarge {
        /// The id of the call.
        id: Id,
        /// The answer's size in bytes.
        size: u64,
        /// The limit in bytes.
        limit: u64,
    },
}

impl Message {
    /// A message that must be JSON-RPC.
    ///
    /// # Errors
    /// [`ErrorKind::Malformed`] with the defect, where it is not.
    pub fn parse(bytes: impl Into<Bytes>) -> Result<Self, Error> {
        let message = Self::from(bytes.into());
        match message.kind() {
            Kind::Opaque(defect) => {
                Err(Error::new(ErrorKind::Malformed).context(defect.to_string()))
            }
            _ => Ok(message),
        }
    }

    /// Stands for an incoming message that was over the limit, and was skipped.
    pub fn too_large(id: Option<Id>, size: u64, limit: u64) -> Self {
        Self::skipped(Defect::TooLarge { id, size, limit })
    }

    /// Stands for an incoming answer that was over the limit, and was skipped.
    pub fn answer_too_large(id: Id, size: u64, limit: u64) -> Self {
        Self::skipped(Defect::AnswerTooLarge { id, size, limit })
    }

    fn skipped(defect: Defect) -> Self {
        Self {
            bytes: Bytes::new(),
            envelope: OnceBox::with_value(Box::new(Envelope::Opaque(defect))),
        }
    }

    /// What it is.
    pub fn kind(&self) -> Kind<'_> {
        match self.envelope() {
            Envelope::Request { id, method, .. } => Kind::Request {
                id,
                method: self.name(method),
            },
            Envelope::Notification { method, .. } => Kind::Notification {
                method: self.name(method),
            },
            Envelope::Response { id, is_error, .. } => Kind::Response {
                id: id.as_ref(),
                is_error: *is_error,
            },
            Envelope::Opaque(defect) => Kind::Opaque(defect),
        }
    }

    /// The id, of a request or an answer.
    pub fn id(&self) -> Option<&Id> {
        match self.kind() {
            Kind::Request { id, .. } => Some(id),
            Kind::Response { id, .. } => id,
            Kind::Notification { .. } | Kind::Opaque(_) => None,
        }
    }

    /// The method, of a request or a notification.
    pub fn method(&self) -> Option<&str> {
        match self.kind() {
            Kind::Request { method, .. } | Kind::Notification { method } => Some(method),
            Kind::Response { .. } | Kind::Opaque(_) => None,
        }
    }

    /// The parameters of a request or notification, as JSON text.
    pub fn params(&self) -> Option<&str> {
        match self.envelope() {
            Envelope::Request { params, .. } | Envelope::Notification { params, .. } => {
                params.clone().map(|range| self.piece(range))
            }
            Envelope::Response { .. } | Envelope::Opaque(_) => None,
        }
    }

    /// The `result` or `error` of an answer, as JSON text.
    pub fn body(&self) -> Option<&str> {
        match self.envelope() {
            Envelope::Response { body, .. } => Some(self.piece(body.clone())),
            _ => None,
        }
    }

    /// Reads the whole message into a type of yours.
    ///
    /// # Errors
    /// [`ErrorKind::Malformed`] where it does not fit.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Error> {
        serde_json::from_slice(&self.bytes)
            .map_err(|error| Error::new(ErrorKind::Malformed).because(error))
    }

    /// The bytes, as they came.
    pub const fn as_bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The text, where it is UTF-8.
    pub fn as_str(&self) -> Option<&str> {
        std::str::from_utf8(&self.bytes).ok()
    }

    /// The bytes, without a copy.
    pub fn into_bytes(self) -> Bytes {
        self.bytes
    }

    /// The length in bytes.
    pub const fn len(&self) -> usize {
        self.bytes.len()
    }

    /// True if there are no bytes.
    pub const fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    fn envelope(&self) -> &Envelope {
        self.envelope.get_or_init(|| Envelope::of(&self.bytes))
    }

    fn name<'a>(&'a self, name: &'a Name) -> &'a str {
        match name {
            Name::Known(text) => text,
            Name::Plain(range) => self.piece(range.clone()),
            Name::Unescaped(text) => text,
        }
    }

    fn piece(&self, range: Range<usize>) -> &str {
        std::str::from_utf8(&self.bytes[range]).expect("the envelope was read from UTF-8")
    }
}

impl Defect {
    /// What an MCP edge answers: `-32700` for what is not JSON, `-32600` for what is no request,
    /// and for what is too large the family's own `-31005` with limit and size, to the id where it
    /// was found.
    ///
    /// ```
    /// use mcp_transport_core::Defect;
    ///
    /// assert!(Defect::NotJson.to_answer().as_str().unwrap().contains("-32700"));
    /// ```
    pub fn to_answer(&self) -> Message {
        self.answer_to(None)
    }

    /// The same, to the request with this id, where the defect itself has none.
    pub(crate) fn answer_to(&self, id: Option<&Id>) -> Message {
        match self {
            Self::NotJson => Message::error(id, -32700, "Parse error: not JSON", None::<()>),
            Self::TooLarge {
                id: own,
                size,
                limit,
            } => {
                let error = Error::new(ErrorKind::TooLarge {
                    limit: *limit,
                    size: *size,
                });
                Message::failure(own.as_ref().or(id), &error)
            }
            // An answer is not answered: the peer is told that it came to nothing.
            Self::AnswerTooLarge { size, limit, .. } => {
                let error = Error::new(ErrorKind::TooLarge {
                    limit: *limit,
                    size: *size,
                });
                Message::failure(None, &error)
            }
            other => Message::error(id, -32600, &format!("Invalid Request: {other}"), None::<()>),
        }
    }
}

impl fmt::Display for Defect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotJson => f.write_str("not JSON"),
            Self::Batch => {
                f.write_str("batches left MCP in 2025-06-18; send one message at a time")
            }
            Self::BadId => f.write_str("an id must be text or a number"),
            Self::Duplicate => f.write_str("a member of the envelope stands there twice"),
            Self::NotRpc => f.write_str("not of JSON-RPC 2.0's shape"),
            Self::TooLarge { size, limit, .. } => {
                write!(f, "{size} bytes are over the limit of {limit} bytes")
            }
            Self::AnswerTooLarge { id, size, limit } => write!(
                f,
                "the answer to {id} has {size} bytes, over the limit of {limit} bytes"
            ),
        }
    }
}

impl From<Bytes> for Message {
    fn from(bytes: Bytes) -> Self {
        Self {
            bytes,
            envelope: OnceBox::new(),
        }
    }
}

impl From<Vec<u8>> for Message {
    fn from(bytes: Vec<u8>) -> Self {
        Self::from(Bytes::from(bytes))
    }
}

impl From<String> for Message {
    fn from(text: String) -> Self {
        Self::from(Bytes::from(text))
    }
}

impl From<&'static str> for Message {
    fn from(text: &'static str) -> Self {
        Self::from(Bytes::from_static(text.as_bytes()))
    }
}

/// By bytes.
impl PartialEq for Message {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

impl Eq for Message {}

/// The kind and the size, never the body: logs are read by others.
impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Message({:?}, {} bytes)", self.kind(), self.bytes.len())
    }
}
