//! What a client hears whose request goes no further.

use bytes::Bytes;
use mcp_transport_core::{Id, Message};
use serde::Serialize;

/// A request was refused before it went to anybody: an HTTP status, and a JSON-RPC error as body.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Refusal {
    /// The HTTP status.
    pub status: u16,
    /// The body: a JSON-RPC error.
    pub body: Bytes,
    /// With 405: the methods that there are, for `Allow`.
    pub allow: Option<&'static str>,
}

impl Refusal {
    /// A status, and a JSON-RPC error to the request with this id.
    pub fn new(status: u16, id: Option<&Id>, code: i32, text: &str) -> Self {
        Self::with_data(status, id, code, text, None::<()>)
    }

    /// The method does not exist here.
    pub fn method(allow: &'static str) -> Self {
        let text = format!("this path takes {allow}");
        Self {
            allow: Some(allow),
            ..Self::new(405, None, INVALID_REQUEST, &text)
        }
    }

    pub(super) fn with_data(
        status: u16,
        id: Option<&Id>,
        code: i32,
        text: &str,
        data: Option<impl Serialize>,
    ) -> Self {
        Self {
            status,
            body: Message::error(id, code, text, data).into_bytes(),
            allow: None,
        }
    }

    pub(super) fn session_missing(id: Option<&Id>) -> Self {
        let text = "the Mcp-Session-Id header is missing; say initialize first, and then the id \
                    that came with its answer";
        Self::new(400, id, INVALID_REQUEST, text)
    }

    /// The session is not there, or not there any more: the client must initialise again.
    pub fn session_over(id: Option<&Id>) -> Self {
        let text = "there is no such session, or it is over; initialise again";
        Self::new(404, id, INVALID_REQUEST, text)
    }

    pub(super) fn version_unknown(id: Option<&Id>) -> Self {
        let text = format!(
            "the MCP-Protocol-Version header names no version that is known here: {}",
            super::LEGACY.join(", ")
        );
        Self::new(400, id, INVALID_REQUEST, &text)
    }

    pub(super) fn not_acceptable(id: Option<&Id>) -> Self {
        let text = "the answer is application/json or text/event-stream, and the Accept header \
                    takes neither";
        Self::new(406, id, INVALID_REQUEST, text)
    }

    pub(super) fn mismatch(id: Option<&Id>, text: &str) -> Self {
        Self::new(400, id, HEADER_MISMATCH, text)
    }
}

pub(super) const INVALID_REQUEST: i32 = -32600;
pub(super) const METHOD_NOT_FOUND: i32 = -32601;
pub(super) const INVALID_PARAMS: i32 = -32602;
pub(super) const HEADER_MISMATCH: i32 = -32020;
pub(super) const MISSING_CAPABILITY: i32 = -32021;
pub(super) const UNSUPPORTED_VERSION: i32 = -32022;
