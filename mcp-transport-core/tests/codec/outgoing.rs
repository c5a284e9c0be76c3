use bytes::{Buf, Bytes};
use mcp_transport_core::codec::Outgoing;
use proptest::prelude::*;
use std::io::IoSlice;

proptest! {
    #[test]
    fn whatever_is_put_in_and_however_it_is_taken_the_bytes_are_the_same(
        puts in prop::collection::vec((0..40_000_usize, any::<bool>()), 0..12),
        takes in prop::collection::vec(1..50_000_usize, 1..8),
    ) {
        let mut out = Outgoing::default();
        let (mut wanted, mut got) = (Vec::new(), Vec::new());
        let mut takes = takes.into_iter().cycle();
        for (number, (size, copy)) in puts.into_iter().enumerate() {
            let bytes = Bytes::from(vec![number as u8; size]);
            wanted.extend_from_slice(&bytes);
            if copy { out.copy(&bytes) } else { out.put(&bytes) }
            take(&mut out, takes.next().unwrap(), &mut got);
            prop_assert_eq!(wanted.len(), got.len() + out.remaining());
        }
        while out.has_remaining() {
            take(&mut out, takes.next().unwrap(), &mut got);
        }
        prop_assert!(wanted == got);
    }
}

/// As a vectored write does that takes so many bytes.
fn take(out: &mut Outgoing, most: usize, got: &mut Vec<u8>) {
    let mut slices = [IoSlice::new(&[]); 4];
    let count = out.chunks_vectored(&mut slices);
    let all: Vec<u8> = slices[..count]
        .iter()
        .flat_map(|slice| slice.iter().copied())
        .collect();
    assert!(all.starts_with(out.chunk()) && (count > 0) == out.has_remaining());
    let taken = most.min(all.len());
    got.extend_from_slice(&all[..taken]);
    out.advance(taken);
}

#[test]
fn a_large_payload_is_passed_on_without_a_copy() {
    let large = Bytes::from(vec![b'x'; 1024 * 1024]);
    let mut out = Outgoing::default();
    out.put(&large);
    assert_eq!(out.chunk().as_ptr(), large.as_ptr());
}
