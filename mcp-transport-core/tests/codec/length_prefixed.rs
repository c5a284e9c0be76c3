use crate::{bytes_of, chunks, decode, encode, receive};
use bytes::BytesMut;
use mcp_transport_core::codec::LengthPrefixed;
use mcp_transport_core::{ErrorKind, Message};
use proptest::prelude::*;
use tokio_util::codec::{Decoder, Encoder};

const ZERO: [u8; 8] = [0; 8];

fn frame(payload: &[u8]) -> Vec<u8> {
    [&(payload.len() as u64).to_be_bytes()[..], payload].concat()
}

fn kind_of(wire: &[u8], chunk: usize) -> ErrorKind {
    decode(LengthPrefixed::with_limit(8), wire, &[chunk])
        .unwrap_err()
        .kind()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn any_chunking_of_any_sequence_gives_the_sequence_back(
        payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..60), 0..20),
        chunks in chunks(),
    ) {
        let messages: Vec<_> = payloads.iter().cloned().map(Message::from).collect();
        let wire = encode(LengthPrefixed::new(), &messages);
        prop_assert_eq!(&wire[..], payloads.iter().flat_map(|payload| frame(payload)).collect::<Vec<_>>());
        prop_assert_eq!(bytes_of(&decode(LengthPrefixed::new(), &wire, &chunks).unwrap()), bytes_of(&messages));
    }

    #[test]
    fn any_bytes_in_any_chunks_end_the_same_way(bytes in prop::collection::vec(0..3_u8, 0..80), chunks in chunks()) {
        let whole = decode(LengthPrefixed::with_limit(8), &bytes, &[]);
        let torn = decode(LengthPrefixed::with_limit(8), &bytes, &chunks);
        let received = receive(LengthPrefixed::with_limit(8), &bytes, &chunks);
        let [whole, torn, received] = [whole, torn, received]
            .map(|messages| messages.map(|them| bytes_of(&them)).map_err(|error| error.kind()));
        prop_assert_eq!(&torn, &whole);
        prop_assert_eq!(received, whole);
    }
}

#[test]
fn the_limit_is_exact_in_both_directions() {
    for chunk in [1, 3, 99] {
        let messages = decode(LengthPrefixed::with_limit(8), &frame(b"12345678"), &[chunk]);
        assert_eq!(bytes_of(&messages.unwrap()), ["12345678"]);
        let too_large = ErrorKind::TooLarge { limit: 8, size: 9 };
        assert_eq!(kind_of(&frame(b"123456789"), chunk), too_large);
    }
    let mut wire = BytesMut::new();
    let mut codec = LengthPrefixed::with_limit(8);
    let refused = codec
        .encode(Message::from("123456789"), &mut wire)
        .unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::TooLarge { limit: 8, size: 9 });
    assert!(
        wire.is_empty(),
        "nothing of it was written, and the connection stays"
    );
    codec.encode(Message::from("12345678"), &mut wire).unwrap();
    assert_eq!(&wire[..], frame(b"12345678"));
}

#[test]
fn a_length_beyond_all_memory_is_refused_before_anything_is_reserved() {
    let mut buffer = BytesMut::from(&u64::MAX.to_be_bytes()[..]);
    let before = buffer.capacity();
    let error = LengthPrefixed::new().decode(&mut buffer).unwrap_err();
    assert!(matches!(
        error.kind(),
        ErrorKind::TooLarge { size: u64::MAX, .. }
    ));
    assert_eq!(buffer.capacity(), before);
}

#[test]
fn sixteen_empty_frames_in_a_row_are_heartbeats_and_seventeen_are_malformed() {
    let sixteen = ZERO.repeat(16);
    let wire = [&sixteen[..], &frame(b"a"), &sixteen, &frame(b"b")].concat();
    for chunk in [1, 8, wire.len()] {
        let messages = decode(LengthPrefixed::with_limit(8), &wire, &[chunk]).unwrap();
        assert_eq!(bytes_of(&messages), ["a", "b"]);
        assert_eq!(kind_of(&ZERO.repeat(17), chunk), ErrorKind::Malformed);
    }
}

#[test]
fn a_decoder_that_failed_keeps_failing_the_same_way() {
    let mut codec = LengthPrefixed::new();
    let mut buffer = BytesMut::from(&ZERO.repeat(17)[..]);
    for _ in 0..1_000 {
        let error = codec.decode(&mut buffer).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Malformed);
    }
}

#[test]
fn an_empty_message_is_never_sent() {
    assert!(encode(LengthPrefixed::new(), &[Message::from("")]).is_empty());
}

#[test]
fn an_end_inside_a_frame_is_a_loss_and_between_frames_an_end() {
    let wire = frame(b"1234");
    for cut in 1..wire.len() {
        assert_eq!(
            kind_of(&wire[..cut], 99),
            ErrorKind::Disconnected,
            "after {cut} bytes"
        );
    }
    assert_eq!(decode(LengthPrefixed::new(), &wire, &[]).unwrap().len(), 1);
    assert_eq!(decode(LengthPrefixed::new(), &ZERO, &[]).unwrap().len(), 0);
}

#[test]
fn bytes_that_are_no_text_pass_unchanged() {
    let wire = frame(b"\xFF\0\n");
    let messages = decode(LengthPrefixed::new(), &wire, &[1]).unwrap();
    assert_eq!(messages[0].as_bytes(), &b"\xFF\0\n"[..]);
}

/// Reads a frame as a transport does, into what room there is, at most so much at once; gives back how many bytes had to
/// move to larger buffers.
fn moved(size: usize, at_once: usize) -> usize {
    let wire = frame(&vec![b'a'; size]);
    let mut rest = &wire[..];
    let mut codec = LengthPrefixed::new();
    let mut buffer = BytesMut::with_capacity(8 * 1024);
    let mut moved = 0;
    loop {
        let room = buffer.capacity() - buffer.len();
        assert!(room > 0, "no room for what comes next");
        let (chunk, more) = rest.split_at(room.min(at_once).min(rest.len()));
        buffer.extend_from_slice(chunk);
        rest = more;
        let (there, before) = (buffer.len(), buffer.as_ptr());
        if let Some(message) = codec.decode(&mut buffer).unwrap() {
            assert_eq!((message.len(), rest.len()), (size, 0));
            return moved;
        }
        let room = buffer.capacity();
        assert!(room <= (16 * there).max(128 * 1024), "{room} for {there}");
        moved += there * usize::from(buffer.as_ptr() != before);
    }
}

#[test]
fn room_grows_with_what_arrives_and_little_is_copied_for_that() {
    for size in [1024 * 1024, 16 * 1024 * 1024] {
        for at_once in [4 * 1024, 64 * 1024, usize::MAX] {
            let moved = moved(size, at_once);
            assert!(moved <= size / 8, "{moved} of {size}, {at_once} at once");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn there_is_always_room_for_what_comes_next(size in 1..600_000_usize, at_once in 1_000..100_000_usize) {
        // What fits into the first room may move once, from a smaller one.
        prop_assert!(moved(size, at_once) <= size / 8 + 16 * 1024);
    }
}

#[test]
fn an_announcement_reserves_next_to_nothing() {
    let mut buffer = BytesMut::from(&(64_u64 * 1024 * 1024).to_be_bytes()[..]);
    assert!(LengthPrefixed::new().decode(&mut buffer).unwrap().is_none());
    assert!(buffer.capacity() <= 64 * 1024, "{}", buffer.capacity());
}
