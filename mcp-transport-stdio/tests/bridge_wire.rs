//! What travels on the bridge, as pure functions.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "tests fail where they stand, and have a clock"
)]

use mcp_transport_core::{ErrorKind, Eviction, EvictionReason};
use mcp_transport_stdio::bridge::Claim;
use mcp_transport_stdio::bridge::wire::{self, Incoming, Refusal, Request};
use proptest::prelude::*;

#[test]
fn the_welcome_is_thirty_bytes() {
    assert_eq!(wire::WELCOME, b"WELCOME UNITY-MCP 1 FRAMING=1\n");
    assert_eq!(wire::read_welcome(wire::WELCOME).unwrap(), Some(30));
}

#[test]
fn a_welcome_may_end_anywhere_and_what_follows_is_left_alone() {
    for cut in 0..30 {
        assert_eq!(wire::read_welcome(&wire::WELCOME[..cut]).unwrap(), None);
    }
    let mut with_frame = wire::WELCOME.to_vec();
    with_frame.extend_from_slice(b"\n\0\0\0\0\0\0\0\x04ping");
    assert_eq!(wire::read_welcome(&with_frame).unwrap(), Some(30));
}

#[test]
fn any_line_that_offers_framing_is_a_welcome_and_any_other_is_not() {
    for good in [
        "MCP/0.1 FRAMING=1\n",
        "FRAMING=1\r\n",
        "a FRAMING=10 FRAMING=1 b\n",
    ] {
        assert_eq!(
            wire::read_welcome(good.as_bytes()).unwrap(),
            Some(good.len()),
            "{good:?}"
        );
    }
    for bad in [
        "\n",
        "HTTP/1.1 400 Bad Request\r\n",
        "WELCOME UNITY-MCP 1\n",
        "FRAMING=10\n",
        "framing=1\n",
    ] {
        let error = wire::read_welcome(bad.as_bytes()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Incompatible, "{bad:?}");
    }
}

#[test]
fn a_welcome_has_at_most_512_bytes() {
    let mut line = vec![b' '; 502];
    line.extend_from_slice(b"FRAMING=1\n");
    assert_eq!(wire::read_welcome(&line).unwrap(), Some(512));
    line.insert(0, b' ');
    assert!(wire::read_welcome(&line).is_err());
    assert_eq!(wire::read_welcome(&line[..511]).unwrap(), None);
}

#[test]
fn the_pong_is_what_the_python_client_looks_for() {
    assert_eq!(wire::PONG.len(), 48);
    assert_eq!(
        wire::PONG,
        br#"{"status":"success","result":{"message":"pong"}}"#
    );
    assert_eq!(wire::incoming(wire::PONG), Incoming::Pong);
    assert_eq!(
        wire::incoming(br#"{ "result": {"message": "pong"}, "status": "success" }"#),
        Incoming::Pong
    );
}

#[test]
fn a_request_is_a_ping_a_claim_or_for_the_application() {
    for (frame, request) in [
        (&b"ping"[..], Request::Ping),
        (b" ping\r\n", Request::Ping),
        (br#"{"type": "ping"}"#, Request::Ping),
        (br#"{"type":"ping","params":{}}"#, Request::Ping),
        (br#"{"type":"ping","params":null}"#, Request::Ping),
        (
            br#"{"type":"ping","params":{"seat":"sofa"}}"#,
            Request::Ping,
        ),
        (
            br#"{"type":"ping","params":{"seat":"take"}}"#,
            Request::Seat(Claim::Take),
        ),
        (
            br#"{"type":"ping","params":{"seat":"if_free"}}"#,
            Request::Seat(Claim::IfFree),
        ),
        (b"pong", Request::Command),
        (b"\"ping\"", Request::Command),
        (b"PING", Request::Command),
        (b"\xff\xfe", Request::Command),
        (
            br#"{"type":"read_console","params":{"seat":"take"}}"#,
            Request::Command,
        ),
        (br#"[{"type":"ping"}]"#, Request::Command),
    ] {
        assert_eq!(wire::request(frame), request, "{}", frame.escape_ascii());
    }
    for claim in [Claim::Take, Claim::IfFree] {
        assert_eq!(
            wire::request(wire::claim(claim).as_bytes()),
            Request::Seat(claim)
        );
    }
}

#[test]
fn only_an_object_whose_status_is_evicted_is_a_notice() {
    for other in [
        &b""[..],
        b"evicted",
        b"\"evicted\"",
        b"\xff\"status\":\"evicted\"",
        br#"["status","evicted"]"#,
        br#"{"status":"success","result":{"status":"evicted"}}"#,
        br#"{"status":"Evicted"}"#,
        br#"{"status":["evicted"]}"#,
        br#"{"status":"evicted""#,
        br#"{"status":"error","error":"evicted: stuck too long in queue"}"#,
    ] {
        assert_eq!(
            wire::incoming(other),
            Incoming::Answer,
            "{}",
            other.escape_ascii()
        );
    }
    for notice in [
        &br#"{"status":"evicted"}"#[..],
        br#"{"\u0073tatus":"\u0065victed"}"#,
    ] {
        assert!(matches!(wire::incoming(notice), Incoming::Evicted(_)));
    }
}

#[test]
fn a_refusal_is_an_error_answer_that_names_the_holder() {
    let refusal = Refusal::from_frame(
        br#"{"status":"error","reason":"seat_taken","error":"\"x\" has it","seat_holder":"[::1]:9"}"#,
    )
    .unwrap();
    assert_eq!(
        (&*refusal.holder, &*refusal.text),
        ("[::1]:9", "\"x\" has it")
    );
    assert_eq!(
        Refusal::from_frame(&refusal.to_frame()),
        Some(refusal.clone())
    );
    assert_eq!(
        wire::incoming(&refusal.to_frame()),
        Incoming::Refused(refusal.clone())
    );
    assert!(wire::is_error_answer(&refusal.to_frame()));
}

#[test]
fn a_list_has_no_fields_and_of_two_fields_the_last_counts() {
    let command = br#"["ping",{"seat":"take"}]"#;
    assert_eq!(wire::request(command), Request::Command);
    assert!(!wire::is_error_answer(br#"["error"]"#));
    let refusal = br#"["error","seat_taken","x","[::1]:9"]"#;
    assert_eq!(Refusal::from_frame(refusal), None);

    let ping = br#"{"type":"save","type":"ping","params":{"seat":"take"},"params":{}}"#;
    assert_eq!(wire::request(ping), Request::Ping);
    let save = br#"{"type":"ping","type":"save"}"#;
    assert_eq!(wire::request(save), Request::Command);
    assert!(wire::is_error_answer(
        br#"{"status":"success","status":"error"}"#
    ));
    assert!(!wire::is_error_answer(
        br#"{"status":"error","status":"success"}"#
    ));
}

#[test]
fn an_answer_is_an_error_by_its_status_alone() {
    assert!(wire::is_error_answer(br#"{"error":"x","status":"error"}"#));
    assert!(wire::is_error_answer(&wire::error_answer("\"\\\n")));
    for success in [
        &br#"{"status":"success","result":{"status":"error"}}"#[..],
        br#"{"status":"success","result":{"success":false,"error":"x"}}"#,
        br#"{"error":"x"}"#,
        b"error",
    ] {
        assert!(
            !wire::is_error_answer(success),
            "{}",
            success.escape_ascii()
        );
    }
}

proptest! {
    #[test]
    fn a_notice_is_read_as_it_was_written(
        by in r#"[ -~\n\t"\\]{0,40}"#, text in any::<String>(), at in any::<u64>(),
    ) {
        let eviction = Eviction::new(EvictionReason::Superseded).by(by).saying(text).at_unix_ms(at);
        let Incoming::Evicted(read) = wire::incoming(&eviction.to_notice()) else {
            return Err(TestCaseError::fail("no notice"));
        };
        prop_assert_eq!(read.wire_reason(), Some("stdio_single_client_stomped"));
        prop_assert_eq!(read.newcomer(), eviction.newcomer());
        prop_assert_eq!(read.text(), eviction.text());
        prop_assert_eq!(read.evicted_at_unix_ms(), Some(at));
    }

    #[test]
    fn no_bytes_make_the_readers_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        let _ = (wire::read_welcome(&bytes), wire::request(&bytes), wire::incoming(&bytes));
        let _ = wire::is_error_answer(&bytes);
    }
}
