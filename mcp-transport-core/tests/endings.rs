//! The table of endings: in numbers, both ways, and what follows from each.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

use mcp_transport_core::{
    Ending, Error, ErrorKind, Eviction, EvictionReason, Message, Outcome, Reconnect,
};
use std::collections::HashSet;
use std::io;
use std::time::Duration;

const RELOADING: ErrorKind = ErrorKind::Evicted(EvictionReason::Reloading);
const SHUTTING_DOWN: ErrorKind = ErrorKind::Evicted(EvictionReason::ShuttingDown);
const STALE: ErrorKind = ErrorKind::Evicted(EvictionReason::Stale);
const SUPERSEDED: ErrorKind = ErrorKind::Evicted(EvictionReason::Superseded);
const TOO_LARGE: ErrorKind = ErrorKind::TooLarge { limit: 0, size: 0 };
const OVERLOADED: ErrorKind = ErrorKind::Overloaded { retry_after: None };

struct Row {
    kind: ErrorKind,
    code: i32,
    close: Option<u16>,
    http: Option<u16>,
    reconnect: Reconnect,
    outcome: Outcome,
    io: io::ErrorKind,
    cause: &'static str,
}

/// Every ending there is.
fn table() -> Vec<Row> {
    use Outcome::{NotDelivered, Unknown};
    use Reconnect::{Later, Never, OnWake, Schedule, Standby};
    use io::ErrorKind as Io;

    let rows = [
        (
            ErrorKind::Unreachable,
            -31001,
            None,
            None,
            Schedule,
            NotDelivered,
            Io::ConnectionRefused,
            "unreachable",
        ),
        (
            ErrorKind::Disconnected,
            -31002,
            None,
            None,
            Schedule,
            Unknown,
            Io::ConnectionReset,
            "disconnected",
        ),
        (
            ErrorKind::TimedOut,
            -31003,
            None,
            Some(504),
            Schedule,
            Unknown,
            Io::TimedOut,
            "timed_out",
        ),
        (
            OVERLOADED,
            -31004,
            Some(1013),
            Some(503),
            Schedule,
            NotDelivered,
            Io::ResourceBusy,
            "overloaded",
        ),
        (
            TOO_LARGE,
            -31005,
            Some(1009),
            Some(413),
            Schedule,
            NotDelivered,
            Io::InvalidData,
            "too_large",
        ),
        (
            RELOADING,
            -31006,
            Some(1012),
            Some(503),
            Schedule,
            Unknown,
            Io::ConnectionAborted,
            "reloading",
        ),
        (
            SHUTTING_DOWN,
            -31007,
            Some(1001),
            Some(503),
            Later,
            NotDelivered,
            Io::ConnectionAborted,
            "shutting_down",
        ),
        (
            STALE,
            -31008,
            Some(4002),
            Some(410),
            Schedule,
            Unknown,
            Io::ConnectionAborted,
            "stale",
        ),
        (
            SUPERSEDED,
            -31009,
            Some(4001),
            Some(409),
            Standby,
            NotDelivered,
            Io::ConnectionAborted,
            "superseded",
        ),
        (
            ErrorKind::Unauthorized,
            -31010,
            Some(1008),
            Some(401),
            OnWake,
            NotDelivered,
            Io::PermissionDenied,
            "unauthorized",
        ),
        (
            ErrorKind::Incompatible,
            -31011,
            Some(1002),
            Some(426),
            OnWake,
            NotDelivered,
            Io::Unsupported,
            "incompatible",
        ),
        (
            ErrorKind::Malformed,
            -31012,
            Some(1007),
            Some(400),
            Schedule,
            Unknown,
            Io::InvalidData,
            "malformed",
        ),
        (
            ErrorKind::Closed,
            -31013,
            Some(1000),
            None,
            Never,
            Unknown,
            Io::NotConnected,
            "closed",
        ),
    ];
    rows.map(
        |(kind, code, close, http, reconnect, outcome, io, cause)| Row {
            kind,
            code,
            close,
            http,
            reconnect,
            outcome,
            io,
            cause,
        },
    )
    .into()
}

#[test]
fn every_ending_has_its_numbers_its_words_and_its_consequence() {
    for row in table() {
        let kind = row.kind;
        assert_eq!(kind.code(), row.code, "{kind:?}");
        assert_eq!(kind.close_code(), row.close, "{kind:?}");
        assert_eq!(kind.http_status(), row.http, "{kind:?}");
        assert_eq!(kind.reconnect(), row.reconnect, "{kind:?}");
        assert_eq!(kind.outcome(), row.outcome, "{kind:?}");
        assert_eq!(kind.cause(), row.cause, "{kind:?}");
        let retryable = matches!(row.reconnect, Reconnect::Schedule | Reconnect::Later);
        assert_eq!(kind.is_retryable(), retryable, "{kind:?}");

        let error = Error::from(kind);
        assert_eq!(error.code(), row.code);
        assert_eq!(error.outcome(), row.outcome);
        assert_eq!(error.is_retryable(), retryable);
        assert_eq!(io::Error::from(error).kind(), row.io, "{kind:?}");
    }
}

#[test]
fn no_two_endings_share_a_code_a_cause_or_a_text() {
    let table = table();
    let distinct = |words: Vec<String>| words.into_iter().collect::<HashSet<_>>().len();
    assert_eq!(
        distinct(table.iter().map(|row| row.code.to_string()).collect()),
        table.len()
    );
    assert_eq!(
        distinct(table.iter().map(|row| row.cause.to_owned()).collect()),
        table.len()
    );
    assert_eq!(
        distinct(table.iter().map(|row| row.kind.to_string()).collect()),
        table.len()
    );
}

#[test]
fn a_code_leads_back_to_its_ending_and_no_other_code_does() {
    let table = table();
    for code in -33_000..=-30_000 {
        let expected = table
            .iter()
            .find(|row| row.code == code)
            .map(|row| row.kind);
        assert_eq!(ErrorKind::from_code(code), expected, "{code}");
    }
    for code in [0, 1, -1, i32::MIN, i32::MAX] {
        assert_eq!(ErrorKind::from_code(code), None);
    }
}

#[test]
fn a_close_code_leads_back_to_its_ending_and_an_unknown_one_to_a_broken_connection() {
    let table = table();
    for code in 0..=u16::MAX {
        let expected = match code {
            // Our "closed" is the peer's "leaving".
            1000 => SHUTTING_DOWN,
            _ => table
                .iter()
                .find(|row| row.close == Some(code))
                .map_or(ErrorKind::Disconnected, |row| row.kind),
        };
        assert_eq!(ErrorKind::from_close_code(Some(code)), expected, "{code}");
    }
    assert_eq!(ErrorKind::from_close_code(None), ErrorKind::Disconnected);
    for code in [1005, 1006, 1011, 3000, 4000, 4999] {
        assert_eq!(
            ErrorKind::from_close_code(Some(code)),
            ErrorKind::Disconnected
        );
    }
}

#[test]
fn a_status_leads_to_an_ending_and_an_unknown_one_to_another_dial() {
    for status in 100..600 {
        let expected = match status {
            400 => ErrorKind::Malformed,
            401 | 403 => ErrorKind::Unauthorized,
            408 | 504 => ErrorKind::TimedOut,
            409 => SUPERSEDED,
            410 => STALE,
            413 => TOO_LARGE,
            426 => ErrorKind::Incompatible,
            429 => OVERLOADED,
            503 => RELOADING,
            _ => ErrorKind::Disconnected,
        };
        assert_eq!(
            ErrorKind::from_http_status(status, None),
            expected,
            "{status}"
        );
    }
    let retry_after = Some(Duration::from_secs(2));
    for status in [429, 503] {
        let kind = ErrorKind::from_http_status(status, retry_after);
        assert_eq!(kind, ErrorKind::Overloaded { retry_after });
        assert_eq!(Error::from(kind).retry_after(), retry_after);
    }
    for row in table() {
        let Some(status) = row.http else { continue };
        let back = ErrorKind::from_http_status(status, None);
        match row.kind {
            // One status for three: whoever knows more adds a `Retry-After`.
            OVERLOADED | SHUTTING_DOWN => assert_eq!(back, RELOADING),
            kind => assert_eq!(back, kind),
        }
    }
}

#[test]
fn an_eviction_is_an_aborted_connection_and_comes_back_unchanged() {
    let eviction = Eviction::new(EvictionReason::Superseded)
        .by("127.0.0.1:54321")
        .at_unix_ms(7)
        .saying("Close it.");
    let error = io::Error::from(Error::evicted(eviction.clone()));
    assert_eq!(error.kind(), io::ErrorKind::ConnectionAborted);
    assert!(error.to_string().contains("Close it."), "{error}");
    assert_eq!(Error::from(error).eviction(), Some(&eviction));
}

#[test]
fn every_error_survives_the_way_through_io() {
    for row in table() {
        let error = Error::new(row.kind)
            .context("127.0.0.1:1")
            .because(io::Error::other("beneath"));
        let text = error.to_string();
        let back = Error::from(io::Error::from(error));
        assert_eq!(back.kind(), row.kind);
        assert_eq!(back.to_string(), text);
        let source = std::error::Error::source(&back).unwrap();
        assert_eq!(source.to_string(), "beneath");
    }
}

#[test]
fn an_io_error_of_the_system_is_filed_by_its_kind_and_kept_as_the_source() {
    use io::ErrorKind as Io;
    for (io, expected) in [
        (Io::ConnectionRefused, ErrorKind::Unreachable),
        (Io::NotFound, ErrorKind::Unreachable),
        (Io::AddrNotAvailable, ErrorKind::Unreachable),
        (Io::HostUnreachable, ErrorKind::Unreachable),
        (Io::NetworkUnreachable, ErrorKind::Unreachable),
        (Io::TimedOut, ErrorKind::TimedOut),
        (Io::InvalidData, ErrorKind::Malformed),
        (Io::PermissionDenied, ErrorKind::Unauthorized),
        (Io::Unsupported, ErrorKind::Incompatible),
        (Io::ConnectionReset, ErrorKind::Disconnected),
        (Io::ConnectionAborted, ErrorKind::Disconnected),
        (Io::BrokenPipe, ErrorKind::Disconnected),
        (Io::UnexpectedEof, ErrorKind::Disconnected),
        (Io::Other, ErrorKind::Disconnected),
    ] {
        let error = Error::from(io::Error::new(io, "as the system says"));
        assert_eq!(error.kind(), expected, "{io:?}");
        let source = std::error::Error::source(&error).unwrap();
        assert_eq!(source.to_string(), "as the system says");
    }
}

#[test]
fn the_text_says_what_happened_and_to_whom_and_not_what_lies_beneath() {
    let error = Error::new(ErrorKind::Unreachable)
        .context("127.0.0.1:8080")
        .because(io::Error::other("beneath"));
    assert_eq!(
        error.to_string(),
        "nobody listens there yet: 127.0.0.1:8080"
    );
    assert_eq!(error.clone().to_string(), error.to_string());
    let known = Error::new(ErrorKind::TooLarge { limit: 8, size: 9 });
    assert_eq!(
        known.to_string(),
        "a message of 9 bytes is over the limit of 8 bytes"
    );
}

/// Every ending that this crate can write.
fn endings() -> Vec<Ending> {
    let mut kinds: Vec<_> = table().into_iter().map(|row| row.kind).collect();
    kinds.push(ErrorKind::TooLarge { limit: 8, size: 9 });
    kinds.push(ErrorKind::Overloaded {
        retry_after: Some(Duration::MAX),
    });
    let mut errors: Vec<_> = kinds.into_iter().map(Error::new).collect();
    errors.push(Error::evicted(
        Eviction::new(EvictionReason::Superseded).saying("Close it."),
    ));
    let mut endings: Vec<_> = errors.iter().map(Ending::from).collect();
    for outcome in [Outcome::NotDelivered, Outcome::Running, Outcome::Unknown] {
        endings.push(
            Ending::new(outcome, "hold_expired", "It was away.")
                .operation_id("7f")
                .retry_after_ms(0),
        );
    }
    endings
}

#[test]
fn every_ending_fits_the_published_schema_and_reads_back() {
    let schema: serde_json::Value = serde_json::from_str(Ending::SCHEMA).unwrap();
    jsonschema::meta::validate(&schema).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    for ending in endings() {
        let json = serde_json::to_value(&ending).unwrap();
        if let Err(error) = validator.validate(&json) {
            panic!("{json} does not fit: {error}");
        }
        assert_eq!(serde_json::from_value::<Ending>(json).unwrap(), ending);
    }
}

#[test]
fn the_schema_refuses_what_is_no_ending() {
    let schema: serde_json::Value = serde_json::from_str(Ending::SCHEMA).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    // What still runs may not be sent again; a read whose outcome is unknown may.
    let good = serde_json::to_value(Ending::new(Outcome::Running, "x", "y")).unwrap();
    assert!(validator.is_valid(&good));
    let read = Ending::new(Outcome::Unknown, "x", "y").retryable(true);
    assert!(validator.is_valid(&serde_json::to_value(read).unwrap()));
    for (key, value) in [
        ("outcome", "lost".into()),
        ("retryable", true.into()),
        ("retryable", "no".into()),
        ("cause", "Not A Word".into()),
        ("message", "".into()),
        ("retry_after_ms", (-1).into()),
        ("operation_id", "".into()),
        ("another", 1.into()),
    ] {
        let mut bad = good.clone();
        bad[key] = value;
        assert!(!validator.is_valid(&bad), "{bad}");
    }
    for key in ["outcome", "retryable", "cause", "message"] {
        let mut bad = good.clone();
        bad.as_object_mut().unwrap().remove(key);
        assert!(!validator.is_valid(&bad), "{bad}");
    }
}

#[test]
fn only_a_call_that_the_host_never_saw_may_simply_be_sent_again() {
    for row in table() {
        let ending = Ending::from(&Error::new(row.kind));
        assert_eq!(ending.outcome, row.outcome);
        assert_eq!(ending.cause, row.cause);
        let too_large = matches!(row.kind, ErrorKind::TooLarge { .. });
        let retryable = row.outcome == Outcome::NotDelivered && !too_large;
        assert_eq!(ending.retryable, retryable, "{:?}", row.kind);
        assert!(
            ending.message.starts_with(&row.kind.to_string()),
            "{}",
            ending.message
        );
        assert!(
            ending.message.len() > row.kind.to_string().len() + 2,
            "what to do next is missing"
        );
    }
    let busy = ErrorKind::Overloaded {
        retry_after: Some(Duration::from_millis(1_500)),
    };
    assert_eq!(Ending::from(&Error::new(busy)).retry_after_ms, Some(1_500));
}

#[test]
fn an_ending_travels_as_the_data_of_a_json_rpc_error() {
    for row in table() {
        let answer = Message::failure(None, &Error::new(row.kind));
        let body: serde_json::Value = serde_json::from_str(answer.body().unwrap()).unwrap();
        assert_eq!(body["code"], row.code);
        let ending: Ending = serde_json::from_value(body["data"].clone()).unwrap();
        assert_eq!(ending, Ending::from(&Error::new(row.kind)));
    }
}
