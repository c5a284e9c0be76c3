#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

use mcp_transport_core::{Eviction, EvictionReason};
use proptest::prelude::*;

const NOTICE: &str = r#"{"status":"evicted","reason":"stdio_single_client_stomped","error":"127.0.0.1:54321 took it.","new_client_endpoint":"127.0.0.1:54321","evicted_at_unix_ms":1748345678901}"#;

fn read(notice: &str) -> Option<Eviction> {
    Eviction::from_notice(notice.as_bytes())
}

#[test]
fn a_notice_is_written_in_the_order_of_its_fields_and_reads_back() {
    let eviction = Eviction::new(EvictionReason::Superseded)
        .by("127.0.0.1:54321")
        .at_unix_ms(1_748_345_678_901)
        .saying("127.0.0.1:54321 took it.");
    assert_eq!(String::from_utf8(eviction.to_notice()).unwrap(), NOTICE);

    let back = read(NOTICE).unwrap();
    assert_eq!(back.reason(), EvictionReason::Superseded);
    assert_eq!(back.wire_reason(), Some("stdio_single_client_stomped"));
    assert_eq!(back.newcomer(), Some("127.0.0.1:54321"));
    assert_eq!(back.evicted_at_unix_ms(), Some(1_748_345_678_901));
    assert_eq!(back.text(), "127.0.0.1:54321 took it.");
    assert_eq!(back.to_notice(), NOTICE.as_bytes());
}

#[test]
fn what_is_not_known_is_left_out_of_the_notice() {
    let notice = Eviction::new(EvictionReason::Superseded).to_notice();
    let expected = r#"{"status":"evicted","reason":"stdio_single_client_stomped","error":""}"#;
    assert_eq!(String::from_utf8(notice).unwrap(), expected);
}

#[test]
fn a_notice_of_the_status_alone_is_an_eviction_of_which_nothing_else_is_known() {
    let bare = read(r#" { "status" : "\u0065victed" } "#).unwrap();
    assert_eq!(bare, Eviction::new(EvictionReason::Superseded));
}

#[test]
fn a_field_of_an_odd_type_is_unknown_and_hides_no_other() {
    let odd = r#"{"reason":null,"error":{"a":[1]},"new_client_endpoint":7,"evicted_at_unix_ms":"soon","status":"evicted","extra":[{}]}"#;
    assert_eq!(
        read(odd).unwrap(),
        Eviction::new(EvictionReason::Superseded)
    );
    for at in ["-1", "1.5", "1e12", "99999999999999999999", "null", "true"] {
        let notice = format!(r#"{{"status":"evicted","error":"x","evicted_at_unix_ms":{at}}}"#);
        let eviction = read(&notice).unwrap();
        assert_eq!(
            (eviction.evicted_at_unix_ms(), eviction.text()),
            (None, "x"),
            "{at}"
        );
    }
}

#[test]
fn of_a_field_that_stands_there_twice_the_last_counts() {
    let twice = r#"{"status":"success","status":"evicted","error":"a","error":"b"}"#;
    assert_eq!(read(twice).unwrap().text(), "b");
    assert_eq!(read(r#"{"status":"evicted","status":"success"}"#), None);
}

#[test]
fn anything_else_is_no_notice() {
    for frame in [
        &b""[..],
        b"pong",
        b"null",
        b"\"evicted\"",
        br#"["evicted"]"#,
        br#"["evicted",null,null,null,null]"#,
        b"{}",
        br#"{"status":"success","result":{"status":"evicted"}}"#,
        br#"{"status":"Evicted"}"#,
        br#"{"status":null}"#,
        br#"{"status":["evicted"]}"#,
        br#"{"Status":"evicted"}"#,
        br#"{"status":"evicted""#,
        br#"{"status":"evicted"} x"#,
        b"{\"status\":\"evicted\",\"error\":\"\xFF\"}",
        b"{\"status\":\"evicted\",\"extra\":\"\xFF\"}",
        b"\xEF\xBB\xBF{\"status\":\"evicted\"}",
    ] {
        assert_eq!(
            Eviction::from_notice(frame),
            None,
            "{}",
            frame.escape_ascii()
        );
    }
}

proptest! {
    #[test]
    fn any_text_survives_the_wire(text: String, newcomer: Option<String>, at: Option<u64>) {
        let mut eviction = Eviction::new(EvictionReason::Superseded).saying(text.clone());
        if let Some(newcomer) = &newcomer {
            eviction = eviction.by(newcomer.clone());
        }
        if let Some(at) = at {
            eviction = eviction.at_unix_ms(at);
        }
        let notice = eviction.to_notice();
        let back = Eviction::from_notice(&notice).expect("a notice of ours");
        prop_assert_eq!(back.text(), text);
        prop_assert_eq!(back.newcomer(), newcomer.as_deref());
        prop_assert_eq!(back.evicted_at_unix_ms(), at);
        prop_assert_eq!(back.to_notice(), notice);
    }

    #[test]
    fn any_bytes_are_read_without_a_panic(bytes: Vec<u8>) {
        prop_assert_eq!(Eviction::from_notice(&bytes), None);
    }
}
