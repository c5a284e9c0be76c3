//! How a WebSocket ends, in the family's words, and back. Pure.

use mcp_transport_core::{Error, ErrorKind, Eviction, EvictionReason};
use std::io;
use tokio_tungstenite::tungstenite::error::{CapacityError, Error as WsError, ProtocolError};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

/// How many bytes the reason of a close frame may have: 125 for a control frame, less two for the code.
const MAX_REASON: usize = 123;

/// What a peer's close frame says.
pub(crate) fn of_close(frame: Option<CloseFrame>) -> Error {
    let Some(frame) = frame else {
        return Error::new(ErrorKind::from_close_code(None))
            .context("the peer closed without a code");
    };
    let code = u16::from(frame.code);
    let reason = frame.reason.as_str();
    if code == 1002 && reason == ENGINE_ON_FORBIDDEN_CODE {
        return Error::new(ErrorKind::Disconnected)
            .context("the peer closed with a code that must not be sent");
    }
    match ErrorKind::from_close_code(Some(code)) {
        ErrorKind::Evicted(EvictionReason::Superseded) => Error::evicted(
            Eviction::from_notice(reason.as_bytes())
                .unwrap_or_else(|| Eviction::new(EvictionReason::Superseded).saying(reason)),
        ),
        kind if reason.is_empty() => Error::new(kind).context(format!("close code {code}")),
        // A code that the table does not know says more than its kind.
        kind @ ErrorKind::Disconnected => {
            Error::new(kind).context(format!("close code {code}: {reason}"))
        }
        kind => Error::new(kind).context(reason.to_owned()),
    }
}

/// The engine hides a code that it holds for forbidden (1006, say, or 1014) behind this close frame of its own. Taken at its word it would
/// say that the peer speaks another protocol, and nobody would ever dial again.
const ENGINE_ON_FORBIDDEN_CODE: &str = "Protocol violation";

/// What ended a connection on which reading or writing failed.
pub(crate) fn of_failure(error: WsError) -> Error {
    match error {
        WsError::Io(error) => Error::from(error),
        WsError::Capacity(CapacityError::MessageTooLong { size, max_size }) => {
            Error::new(ErrorKind::TooLarge {
                limit: max_size as u64,
                size: size as u64,
            })
        }
        WsError::Protocol(ProtocolError::ResetWithoutClosingHandshake)
        | WsError::ConnectionClosed
        | WsError::AlreadyClosed => {
            Error::new(ErrorKind::Disconnected).context("the stream ended without a close frame")
        }
        WsError::Protocol(ProtocolError::SendAfterClosing) => Error::new(ErrorKind::Closed),
        WsError::WriteBufferFull(_) => Error::new(ErrorKind::Overloaded { retry_after: None })
            .context("the write buffer is full; wait for poll_ready before each message"),
        // Bad UTF-8, bad masks, bad opcodes: whatever it is, it is no message. In words, since the engine may be exchanged.
        error => Error::new(ErrorKind::Malformed).because(io::Error::other(error.to_string())),
    }
}

/// With which code to tell the peer of a failure that we found; `None` where it is gone anyway.
pub(crate) fn goodbye_for(error: &WsError) -> Option<u16> {
    match error {
        WsError::Capacity(_) => Some(1009),
        WsError::Utf8(_) => Some(1007),
        WsError::Protocol(ProtocolError::ResetWithoutClosingHandshake) => None,
        WsError::Protocol(_) => Some(1002),
        _ => None,
    }
}

/// The code with which this end says goodbye for a reason of its own.
///
/// Core's table has no code where nobody is left to tell. If somebody hears it all the same, a peer that we stopped
/// hearing is stale (4002), and the rest is an end that says nothing (1011).
pub(crate) fn code_for(kind: ErrorKind) -> u16 {
    match (kind.close_code(), kind) {
        (Some(code), _) => code,
        (None, ErrorKind::TimedOut) => 4002,
        (None, _) => 1011,
    }
}

/// A close frame that may go on the wire; its reason is cut to what fits.
///
/// # Errors
/// A code that must not be sent: RFC 6455 forbids it, or (1014) the engine takes it so.
pub(crate) fn close_frame(code: u16, reason: &str) -> Result<CloseFrame, Error> {
    let is_allowed = matches!(code, 1000..=1003 | 1007..=1013 | 3000..=4999);
    if !is_allowed {
        return Err(Error::new(ErrorKind::Malformed).context(format!(
            "{code} may not be sent as a close code; use 1000 to 1003, 1007 to 1013, or 3000 to 4999"
        )));
    }
    Ok(CloseFrame {
        code: code.into(),
        reason: cut(reason, MAX_REASON).into(),
    })
}

/// The start of a text, at most so many bytes, without half a character at its end.
pub(crate) fn cut(text: &str, max: usize) -> &str {
    let mut end = text.len().min(max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_cut_at_a_character() {
        let frame = close_frame(1000, &"ä".repeat(100)).unwrap();
        assert_eq!(frame.reason.as_str(), "ä".repeat(61));
        assert_eq!(close_frame(1000, "short").unwrap().reason.as_str(), "short");
    }

    #[test]
    fn a_code_that_may_not_be_sent_is_refused() {
        for code in [0, 999, 1004, 1005, 1006, 1014, 1015, 2999, 5000] {
            assert_eq!(
                close_frame(code, "").unwrap_err().kind(),
                ErrorKind::Malformed
            );
        }
    }

    #[test]
    fn every_code_of_the_table_may_be_sent() {
        for kind in [
            ErrorKind::TimedOut,
            ErrorKind::Disconnected,
            ErrorKind::Unreachable,
            ErrorKind::Closed,
            ErrorKind::Incompatible,
            ErrorKind::Malformed,
            ErrorKind::Unauthorized,
            ErrorKind::TooLarge { limit: 1, size: 2 },
            ErrorKind::Overloaded { retry_after: None },
            ErrorKind::Evicted(EvictionReason::Reloading),
            ErrorKind::Evicted(EvictionReason::ShuttingDown),
            ErrorKind::Evicted(EvictionReason::Stale),
            ErrorKind::Evicted(EvictionReason::Superseded),
        ] {
            close_frame(code_for(kind), "").unwrap();
        }
    }
}
