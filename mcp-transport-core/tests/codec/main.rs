//! Both codecs: at the decoder, byte by byte, and as transports over a pipe of one byte.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

mod batch;
mod cancel;
mod length_prefixed;
mod lines;
mod outgoing;
mod pipe;

use bytes::{Bytes, BytesMut};
use futures::TryStreamExt;
use mcp_transport_core::codec::{Codec, LengthPrefixed, Lines, framed};
use mcp_transport_core::{Error, Message};
use proptest::prelude::*;
use std::io;
use tokio_util::codec::{Decoder, Encoder};
use tokio_util::io::StreamReader;

/// The bytes in chunks of these sizes, in turn.
fn torn<'a>(mut rest: &'a [u8], chunks: &[usize]) -> impl Iterator<Item = &'a [u8]> {
    let mut sizes = chunks.iter().copied().cycle();
    std::iter::from_fn(move || {
        let size = sizes.next().unwrap_or(usize::MAX).min(rest.len()).max(1);
        let (chunk, more) = rest.split_at_checked(size)?;
        rest = more;
        Some(chunk)
    })
}

/// Feeds the bytes in chunks of these sizes, in turn, then the end of the stream.
fn decode<C>(mut codec: C, bytes: &[u8], chunks: &[usize]) -> Result<Vec<C::Item>, Error>
where
    C: Decoder<Error = Error>,
{
    let mut messages = Vec::new();
    let mut buffer = BytesMut::new();
    for chunk in torn(bytes, chunks) {
        buffer.extend_from_slice(chunk);
        while let Some(message) = codec.decode(&mut buffer)? {
            messages.push(message);
        }
    }
    while let Some(message) = codec.decode_eof(&mut buffer)? {
        messages.push(message);
    }
    assert!(
        codec.decode_eof(&mut buffer)?.is_none(),
        "the end is the end"
    );
    Ok(messages)
}

/// The same through a transport, which finds most messages without [`Decoder::decode`].
fn receive<C: Codec>(codec: C, bytes: &[u8], chunks: &[usize]) -> Result<Vec<Message>, Error> {
    let pieces = torn(bytes, chunks).map(Ok::<_, io::Error>);
    let read = StreamReader::new(futures::stream::iter(pieces));
    let all = framed(tokio::io::join(read, tokio::io::sink()), codec).try_collect();
    tokio_test::block_on(all)
}

fn encode<C>(mut codec: C, messages: &[Message]) -> BytesMut
where
    C: Encoder<Message, Error = Error>,
{
    let mut buffer = BytesMut::new();
    for message in messages {
        codec.encode(message.clone(), &mut buffer).unwrap();
    }
    buffer
}

fn bytes_of(messages: &[Message]) -> Vec<Bytes> {
    messages
        .iter()
        .map(|message| message.as_bytes().clone())
        .collect()
}

fn chunks() -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(1..20_usize, 1..8)
}

#[test]
fn nobody_who_keeps_a_small_message_keeps_the_room_of_a_large_one() {
    const BEHIND: usize = 2_000;
    let (large, small) = (vec![b'1'; 5 << 20], vec![b'x'; 2_000]);
    let (mut lines, mut frames) = (large.clone(), BytesMut::new());
    frames.extend_from_slice(&(large.len() as u64).to_be_bytes());
    frames.extend_from_slice(&large);
    for _ in 0..BEHIND {
        lines.push(b'\n');
        lines.extend_from_slice(&small);
        frames.extend_from_slice(&(small.len() as u64).to_be_bytes());
        frames.extend_from_slice(&small);
    }
    for which in [1, 2, 100, 500, 1_000, 1_500, BEHIND] {
        for received in [
            receive(Lines::new(), &lines, &[]),
            receive(Lines::with_limit(1 << 20), &lines, &[]),
            receive(LengthPrefixed::new(), &frames, &[]),
        ] {
            let kept = received.unwrap().swap_remove(which).into_bytes();
            assert_eq!(kept, small);
            assert!(!keeps_more_than(512 * 1024, kept));
        }
    }
}

/// Whether this much room can be had from what these bytes keep. Nobody else may have a part of it.
fn keeps_more_than(size: usize, bytes: Bytes) -> bool {
    let mut room = bytes.try_into_mut().unwrap();
    room.clear();
    room.try_reclaim(size + 1)
}
