use super::{bytes_of, chunks, decode, keeps_more_than};
use mcp_transport_core::Message;
use mcp_transport_core::codec::{Batch, Batches, LengthPrefixed};
use proptest::prelude::*;
use tokio_util::codec::Decoder;

fn payloads(batches: &[Batch]) -> Vec<Vec<u8>> {
    batches
        .iter()
        .flat_map(Batch::iter)
        .map(<[u8]>::to_vec)
        .collect()
}

/// Frames, heartbeats among them, and now and then one over the limit of 8.
fn wire() -> impl Strategy<Value = Vec<u8>> {
    let size = prop_oneof![8 => 1..9_usize, 4 => Just(0_usize), 1 => Just(9_usize)];
    prop::collection::vec((size, any::<u8>()), 0..60).prop_map(|frames| {
        let mut wire = Vec::new();
        for (size, byte) in frames {
            wire.extend((size as u64).to_be_bytes());
            wire.extend(std::iter::repeat_n(byte, size));
        }
        wire
    })
}

proptest! {
    #[test]
    fn batches_have_the_frames_that_one_by_one_would_come_and_end_as_they_do(
        wire in wire(), cut in 0..9_usize, chunks in chunks(),
    ) {
        let wire = &wire[..wire.len().saturating_sub(cut)];
        let frames = decode(LengthPrefixed::with_limit(8), wire, &chunks);
        let batches = decode(Batches::with_limit(8), wire, &chunks);
        match (frames, batches) {
            (Ok(frames), Ok(batches)) => {
                prop_assert_eq!(payloads(&batches), bytes_of(&frames));
                let messages: Vec<Message> = batches.iter().flat_map(Batch::messages).collect();
                prop_assert_eq!(messages, frames);
            }
            (Err(one), Err(batched)) => prop_assert_eq!(one.kind(), batched.kind()),
            (frames, batches) => prop_assert!(false, "{frames:?} but {batches:?}"),
        }
    }
}

#[test]
fn what_is_whole_comes_before_what_is_wrong() {
    let mut wire = bytes::BytesMut::from(&b"\0\0\0\0\0\0\0\x02hi\0\0\0\0\0\0\0\x09"[..]);
    let mut batches = Batches::with_limit(8);
    let first = batches.decode(&mut wire).unwrap().unwrap();
    assert_eq!(payloads(&[first]), [b"hi"]);
    assert!(batches.decode(&mut wire).is_err());
}

#[test]
fn a_frame_that_never_ends_is_waited_for_where_there_is_no_limit() {
    let mut wire = bytes::BytesMut::from(&b"\xff\xff\xff\xff\xff\xff\xff\xffhi"[..]);
    let mut batches = Batches::with_limit(usize::MAX);
    assert!(matches!(batches.decode(&mut wire), Ok(None) | Err(_)));
    assert!(wire.ends_with(b"hi"));
}

#[test]
fn a_batch_does_not_keep_the_room_of_a_large_frame_before_it() {
    const BATCHES: [usize; 6] = [80, 100_000, 80, 100_000, 100_000, 80];
    for which in 0..BATCHES.len() {
        let mut buffer = bytes::BytesMut::with_capacity(5 << 20);
        let mut next = |size: usize| {
            buffer.extend_from_slice(&(size as u64).to_be_bytes());
            buffer.extend_from_slice(&vec![b'x'; size]);
            let batch = Batches::default().decode(&mut buffer).unwrap().unwrap();
            // As a reader does before it reads on.
            buffer.reserve(1);
            batch
        };
        // Some room is left behind it.
        drop(next((5 << 20) - 300_000));
        let mut batches = BATCHES.map(|size| Some(next(size)));
        let kept = batches[which].take().unwrap();
        drop((batches, buffer));
        let message = kept.messages().next().unwrap();
        drop(kept);
        let is_short = BATCHES[which] < 64 * 1024;
        let keeps = keeps_more_than(512 * 1024, message.into_bytes());
        assert!(!(is_short && keeps), "the batch at {which}");
    }
}
