use crate::{bytes_of, chunks, decode, encode, receive};
use bytes::BytesMut;
use mcp_transport_core::codec::Lines;
use mcp_transport_core::{Defect, ErrorKind, Id, Kind, Message};
use proptest::prelude::*;
use tokio_util::codec::{Decoder, Encoder};

const LIMIT: usize = 8;

#[derive(Debug, PartialEq)]
enum Line {
    Text(Vec<u8>),
    TooLarge(u64),
}

/// The table of [`Lines`] once more, on the whole input at once.
fn reference(bytes: &[u8]) -> Vec<Line> {
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    let lines = bytes.split(|byte| *byte == b'\n');
    let lines = lines.map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    lines
        .filter_map(|line| match line {
            _ if line.len() > LIMIT => Some(Line::TooLarge(line.len() as u64)),
            _ if line.trim_ascii().is_empty() => None,
            _ => Some(Line::Text(line.to_vec())),
        })
        .collect()
}

fn seen(messages: &[Message]) -> Vec<Line> {
    let line = |message: &Message| match message.kind() {
        Kind::Opaque(Defect::TooLarge { size, limit, .. }) => {
            assert_eq!(*limit, LIMIT as u64);
            Line::TooLarge(*size)
        }
        _ => Line::Text(message.as_bytes().to_vec()),
    };
    messages.iter().map(line).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn any_bytes_in_any_chunks_are_the_same_lines(
        mark: bool,
        pieces in prop::collection::vec(
            prop::sample::select(vec![&b"\n"[..], b"\r", b"\r\n", b"a", b" ", b"12345678", b"         ", b"\xEF\xBB\xBF", b"\0", b"\xFF"]),
            0..40,
        ),
        chunks in chunks(),
    ) {
        let mut bytes = if mark { b"\xEF\xBB\xBF".to_vec() } else { Vec::new() };
        bytes.extend(pieces.concat());
        let expected = reference(&bytes);
        prop_assert_eq!(seen(&decode(Lines::with_limit(LIMIT), &bytes, &chunks).unwrap()), &expected[..]);
        prop_assert_eq!(seen(&decode(Lines::with_limit(LIMIT), &bytes, &[]).unwrap()), &expected[..]);
        prop_assert_eq!(seen(&receive(Lines::with_limit(LIMIT), &bytes, &chunks).unwrap()), &expected[..]);
    }

    #[test]
    fn any_chunking_of_any_sequence_gives_the_sequence_back(
        texts in prop::collection::vec("\\PC{0,30}[!-~]", 0..20),
        chunks in chunks(),
    ) {
        let messages: Vec<_> = texts.into_iter().map(|text| Message::from(text.trim_start_matches('\u{FEFF}').to_owned())).collect();
        let wire = encode(Lines::new(), &messages);
        prop_assert_eq!(bytes_of(&decode(Lines::new(), &wire, &chunks).unwrap()), bytes_of(&messages));
    }
}

#[test]
fn the_limit_is_exact_however_the_line_ends_and_arrives() {
    let fits = [Line::Text(b"12345678".to_vec())];
    let over = [Line::TooLarge(9)];
    for (wire, expected) in [
        ("12345678\n", &fits),
        ("12345678\r\n", &fits),
        ("12345678", &fits),
        ("\u{FEFF}12345678\r\n", &fits),
        ("123456789\n", &over),
        ("123456789\r\n", &over),
        ("123456789", &over),
        ("12345678\r\r", &over),
        ("\u{FEFF}123456789\r\n", &over),
    ] {
        for chunk in 1..=wire.len() {
            let messages = decode(Lines::with_limit(LIMIT), wire.as_bytes(), &[chunk]).unwrap();
            assert_eq!(seen(&messages), expected, "{wire:?} in chunks of {chunk}");
        }
    }
}

#[test]
fn an_outgoing_message_over_the_limit_is_refused_and_writes_nothing() {
    let mut codec = Lines::with_limit(LIMIT);
    let mut wire = BytesMut::new();
    let refused = codec
        .encode(Message::from("123456789"), &mut wire)
        .unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::TooLarge { limit: 8, size: 9 });
    assert!(wire.is_empty());
    codec.encode(Message::from("12345678"), &mut wire).unwrap();
    assert_eq!(&wire[..], b"12345678\n");
}

#[test]
fn of_a_line_over_the_limit_the_id_is_found_and_the_next_line_is_read() {
    let body = "a".repeat(100);
    let wire = format!(
        "{{\"jsonrpc\":\"2.0\",\"method\":\"x\",\"params\":{{\"id\":1,\"text\":\"{body}\"}},\"id\":7}}\r\nnext\n"
    );
    for chunk in [1, 7, wire.len()] {
        let messages = decode(Lines::with_limit(32), wire.as_bytes(), &[chunk]).unwrap();
        let size = wire.lines().next().unwrap().len() as u64;
        let expected = Defect::TooLarge {
            id: Some(Id::from(7)),
            size,
            limit: 32,
        };
        assert!(matches!(messages[0].kind(), Kind::Opaque(defect) if *defect == expected));
        assert_eq!(messages[1].as_str(), Some("next"));
        assert_eq!(messages.len(), 2);

        let answer = expected.to_answer();
        assert_eq!(
            answer.id(),
            Some(&Id::from(7)),
            "so that the client does not wait"
        );
        let body: serde_json::Value = serde_json::from_str(answer.body().unwrap()).unwrap();
        assert_eq!(body["code"], -31005);
    }
}

#[test]
fn bytes_that_are_no_text_are_opaque_and_stay_as_they_came() {
    for line in [&b"\xFF\xFE{"[..], b"{\"a\":\"\0\"}", b"\0"] {
        let messages = decode(Lines::new(), line, &[1]).unwrap();
        assert!(
            matches!(messages[0].kind(), Kind::Opaque(Defect::NotJson)),
            "{line:?}"
        );
        assert_eq!(messages[0].as_bytes(), line);
    }
}

#[test]
fn a_byte_order_mark_is_skipped_at_the_start_only() {
    let messages = decode(Lines::new(), "\u{FEFF}{}\n\u{FEFF}{}\n".as_bytes(), &[1]).unwrap();
    assert_eq!(
        bytes_of(&messages),
        ["{}".as_bytes(), "\u{FEFF}{}".as_bytes()]
    );
}

#[test]
fn raw_line_breaks_of_pretty_printed_json_become_spaces() {
    let value = serde_json::json!({"text": "two\r\nlines", "list": [1, 2]});
    let pretty = serde_json::to_string_pretty(&value)
        .unwrap()
        .replace("[\n", "[\r\n");
    assert!(pretty.contains('\r'));
    let wire = encode(Lines::new(), &[Message::from(pretty.clone())]);
    assert_eq!(wire.len(), pretty.len() + 1);
    assert_eq!(
        wire.iter().position(|byte| b"\r\n".contains(byte)),
        Some(pretty.len())
    );
    let messages = decode(Lines::new(), &wire, &[3]).unwrap();
    assert_eq!(messages[0].json::<serde_json::Value>().unwrap(), value);
}

#[test]
fn memory_stays_bounded_while_a_line_of_100_mb_passes_by() {
    const LINE: usize = 100_000_000;
    const LIMIT: usize = 1024 * 1024;
    const CHUNK: usize = 64 * 1024;
    let mut codec = Lines::with_limit(LIMIT);
    let mut buffer = BytesMut::new();
    let chunk = vec![b'a'; CHUNK];
    let mut fed = 0;
    while fed < LINE {
        buffer.extend_from_slice(&chunk);
        fed += CHUNK;
        assert!(buffer.len() <= LIMIT + 4 + CHUNK);
        assert!(codec.decode(&mut buffer).unwrap().is_none());
    }
    // A buffer doubles when it grows.
    assert!(
        buffer.capacity() <= 2 * (LIMIT + 4 + CHUNK),
        "{}",
        buffer.capacity()
    );
    buffer.extend_from_slice(b"\n{}\n");
    let skipped = codec.decode(&mut buffer).unwrap().unwrap();
    assert!(matches!(
        skipped.kind(),
        Kind::Opaque(Defect::TooLarge { id: None, size, .. }) if *size == fed as u64
    ));
    assert_eq!(
        codec.decode(&mut buffer).unwrap().unwrap().as_str(),
        Some("{}")
    );
}
