//! Why a request of no user is refused, and how it is told. Pure.

use crate::server::http::reply::{Body, json};
use http::header::{self, HeaderValue};
use http::{Response, StatusCode};
use mcp_transport_core::{Ending, ErrorKind, Outcome};
use serde_json::json;
use std::fmt;

/// Why no user is served.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::server) enum Denied {
    /// No key, two, or one that cannot be one.
    NoKey,
    /// The key is nobody's.
    WrongKey,
    /// The key service did not say.
    CannotTell,
    /// The server has no room for another user, or goes down.
    NoRoom,
}

impl Denied {
    /// The answer. A plugin sees 403 for any key that does not open, as with the Python server (10.3.0); a client sees 401.
    /// Where a key may well be good both see 503.
    pub(in crate::server) fn response(self, is_plugin: bool) -> Response<Body> {
        let status = match self {
            Self::NoKey | Self::WrongKey if is_plugin => StatusCode::FORBIDDEN,
            Self::NoKey | Self::WrongKey => StatusCode::UNAUTHORIZED,
            Self::CannotTell | Self::NoRoom => StatusCode::SERVICE_UNAVAILABLE,
        };
        let ending = Ending::new(Outcome::NotDelivered, self.kind().cause(), self.to_string());
        let ending = match status {
            StatusCode::SERVICE_UNAVAILABLE => ending.retry_after_ms(RETRY * 1_000),
            _ => ending.retryable(false),
        };
        let error = json!({
            "code": self.kind().code(),
            "message": ending.message,
            "data": ending,
        });
        let body = json!({"jsonrpc": "2.0", "id": null, "error": error});
        let mut response = json(status, &body);
        let headers = response.headers_mut();
        // The body was not read.
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        if status == StatusCode::UNAUTHORIZED {
            let scheme = HeaderValue::from_static("ApiKey header=\"X-API-Key\"");
            headers.insert(header::WWW_AUTHENTICATE, scheme);
        }
        if status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(RETRY));
        }
        response
    }

    const fn kind(self) -> ErrorKind {
        match self {
            Self::NoKey | Self::WrongKey => ErrorKind::Unauthorized,
            Self::CannotTell | Self::NoRoom => ErrorKind::Overloaded { retry_after: None },
        }
    }
}

/// In seconds.
const RETRY: u64 = 5;

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoKey => "This server asks for a key. Nothing was done. Send yours in one X-API-Key header; GET /api/auth/login-url may say where you get one.",
            Self::WrongKey => "The key in X-API-Key is not valid. Nothing was done. Get a new one; GET /api/auth/login-url may say where.",
            Self::CannotTell => "Whether the key in X-API-Key is valid cannot be told, since the service that knows does not answer. Nothing was done. Send it again in a few seconds.",
            Self::NoRoom => "This server has no room for another user now. Nothing was done. Send it again in a few seconds.",
        })
    }
}
