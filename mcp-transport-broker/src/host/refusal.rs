//! What the broker's refusals mean for the dial loop. Pure.

use crate::native::{Refused, Word};
use mcp_transport_core::{Error, ErrorKind, EvictionReason};
use std::time::Duration;

/// The error behind a status that is no success.
pub(super) fn error(status: u16, body: &[u8]) -> Error {
    let Ok(refused) = serde_json::from_slice::<Refused>(body) else {
        // Whoever lives there is no broker, or no broker yet.
        let text = format!("HTTP {status}, and not in the broker's words");
        return Error::new(ErrorKind::from_http_status(status, None)).context(text);
    };
    let retry_after = refused.retry_after_ms.map(Duration::from_millis);
    let kind = match refused.error {
        Word::Busy => ErrorKind::Overloaded { retry_after },
        Word::LeaseOver => match refused.reason.as_deref() {
            Some("superseded") => ErrorKind::Evicted(EvictionReason::Superseded),
            Some("stale") => ErrorKind::Evicted(EvictionReason::Stale),
            // A broker that was started anew knows no lease.
            _ => ErrorKind::Disconnected,
        },
        Word::ShuttingDown => ErrorKind::Evicted(EvictionReason::ShuttingDown),
        _ => ErrorKind::from_http_status(status, retry_after),
    };
    Error::new(kind).context(text(refused))
}

fn text(refused: Refused) -> String {
    let mut text = refused.message;
    let mut add = |more: String| {
        if !text.is_empty() {
            text.push_str("; ");
        }
        text.push_str(&more);
    };
    if let Some(holder) = refused.holder {
        let pid = holder.pid.map(|pid| format!(", process {pid}"));
        let pid = pid.unwrap_or_default();
        add(format!(
            "{} {} is attached{pid}",
            holder.name, holder.version
        ));
    }
    if !refused.protocols.is_empty() {
        add(format!("the broker speaks {:?}", refused.protocols));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use mcp_transport_core::Reconnect;

    fn refused(word: Word, change: impl FnOnce(&mut Refused)) -> Error {
        let mut refused = Refused::new(word, "what happened");
        change(&mut refused);
        error(word.status(), &serde_json::to_vec(&refused).unwrap())
    }

    #[test]
    fn a_busy_broker_says_who_is_there_and_when_to_ask_again() {
        let error = refused(Word::Busy, |refused| {
            refused.retry_after_ms = Some(700);
            let pid = Some(42);
            refused.holder = Some(Box::new(crate::native::Host {
                name: "unity".into(),
                pid,
                ..Default::default()
            }));
        });
        assert_eq!(error.retry_after(), Some(Duration::from_millis(700)));
        assert!(error.to_string().contains("unity") && error.to_string().contains("42"));
    }

    #[test]
    fn only_what_waiting_mends_is_dialled_by_the_schedule() {
        let over = |reason: &str| {
            refused(Word::LeaseOver, |refused| {
                refused.reason = Some(reason.into())
            })
        };
        let table = [
            (refused(Word::Unauthorized, |_| {}), Reconnect::OnWake),
            (refused(Word::Forbidden, |_| {}), Reconnect::OnWake),
            (
                refused(Word::Incompatible, |it| it.protocols = vec![2]),
                Reconnect::OnWake,
            ),
            (refused(Word::Busy, |_| {}), Reconnect::Schedule),
            (refused(Word::ShuttingDown, |_| {}), Reconnect::Later),
            (over("superseded"), Reconnect::Standby),
            (over("stale"), Reconnect::Schedule),
            (over("unknown"), Reconnect::Schedule),
            (error(502, b"<html>"), Reconnect::Schedule),
        ];
        for (error, reconnect) in table {
            assert_eq!(error.kind().reconnect(), reconnect, "{error}");
        }
    }
}
