use bytes::{Buf, Bytes};
use mcp_transport_core::codec::Outgoing;
use proptest::prelude::*;
use std::io::IoSlice;

proptest! {
    #[test]
    fn whatever_is_put_in_and_however_it_is_taken_the_bytes_are_the_same(
        puts in prop::collection::vec((0..40_000_usize, 0..4_u8), 0..12),
        takes in prop::collection::vec(1..50_000_usize, 1..8),
    ) {
        let mut out = Outgoing::default();
        let (mut wanted, mut got) = (Vec::new(), Vec::new());
        let mut takes = takes.into_iter().cycle();
        for (number, (size, how)) in puts.into_iter().enumerate() {
            let bytes = Bytes::from(vec![number as u8; size]);
            match how {
                0 => out.copy(&bytes),
                1 => out.put(&bytes),
                2 => out.tail().extend_from_slice(&bytes),
                _ => {
                    wanted.extend_from_slice(b"head");
                    out.put_headed(b"head", &bytes);
                }
            }
            wanted.extend_from_slice(&bytes);
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

#[test]
fn what_is_never_empty_needs_no_more_room_for_that() {
    let mut out = Outgoing::default();
    out.copy(&[0; 20_000]);
    for number in 0..10_000 {
        match number % 100 {
            0 => out.tail().extend_from_slice(&[0; 1_000]),
            _ => out.copy(&[0; 1_000]),
        }
        out.advance(1_000);
    }
    assert_eq!(out.remaining(), 20_000);
    assert!(out.tail().capacity() < 200_000);
}

#[test]
fn whoever_writes_by_other_means_sees_what_waits_and_nothing_that_is_gone() {
    let mut out = Outgoing::default();
    out.copy(&[1; 100]);
    out.advance(10);
    assert_eq!(out.tail().len(), 90);
    out.tail().clear();
    out.tail().extend_from_slice(b"ab");
    out.copy(b"cd");
    assert_eq!(out.chunk(), b"abcd");
}
