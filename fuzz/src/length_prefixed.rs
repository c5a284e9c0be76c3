//! Frames with their length before them.

use super::torn::{Torn, decode_whole};
use bytes::BytesMut;
use mcp_transport_core::ErrorKind;
use mcp_transport_core::codec::LengthPrefixed;
use tokio_util::codec::Encoder;

/// However a stream is torn, it is the same frames and ends for the same reason; no more is held back than a frame
/// may have, whatever its header says; and what was read can be written and read again.
pub fn length_prefixed(input: &[u8]) {
    let Some(torn) = Torn::new(input) else { return };
    let limit = torn.limit;
    let decoded = torn.decode(LengthPrefixed::with_limit(limit), 8 + limit);
    let (payloads, end) = expected(torn.wire, limit);
    assert!(
        decoded
            .messages
            .iter()
            .map(|message| &message.as_bytes()[..])
            .eq(payloads.iter().copied())
    );
    assert_eq!(decoded.error.map(|error| error.kind()), end);

    let mut codec = LengthPrefixed::with_limit(limit);
    let mut wire = BytesMut::new();
    for message in &decoded.messages {
        codec
            .encode(message.clone(), &mut wire)
            .expect("what came in may go out");
    }
    let heads = 8 * payloads.len();
    assert_eq!(
        wire.len(),
        heads + payloads.iter().map(|payload| payload.len()).sum::<usize>()
    );
    let again = decode_whole(LengthPrefixed::with_limit(limit), &wire);
    assert!(again.error.is_none());
    assert!(
        again
            .messages
            .iter()
            .map(|message| &message.as_bytes()[..])
            .eq(payloads)
    );
}

/// The codec's documentation once more, on the whole stream at once: the payloads, and how it ends, unless well.
fn expected(mut wire: &[u8], limit: usize) -> (Vec<&[u8]>, Option<ErrorKind>) {
    let mut payloads = Vec::new();
    let mut zeros = 0;
    while let Some((header, rest)) = wire.split_first_chunk() {
        let size = u64::from_be_bytes(*header);
        if size > limit as u64 {
            let limit = limit as u64;
            return (payloads, Some(ErrorKind::TooLarge { limit, size }));
        }
        if size == 0 {
            zeros += 1;
            if zeros > 16 {
                return (payloads, Some(ErrorKind::Malformed));
            }
            wire = rest;
            continue;
        }
        let Some((payload, rest)) = rest.split_at_checked(size as usize) else {
            return (payloads, Some(ErrorKind::Disconnected));
        };
        zeros = 0;
        payloads.push(payload);
        wire = rest;
    }
    (
        payloads,
        (!wire.is_empty()).then_some(ErrorKind::Disconnected),
    )
}
