//! Framing, beside the codecs that everybody has.
//!
//! `cargo bench -p benches --bench framing`. Both sides of a pair read and write the same bytes, in turns.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    missing_docs,
    reason = "a bench reads the clock, and criterion's macros make public items"
)]

use benches::Goal::{AtLeast, None as Unpromised};
use benches::{Pair, conclude};
use bytes::{BufMut, Bytes, BytesMut};
use criterion::{Criterion, Throughput, criterion_group};
use futures::executor::block_on;
use futures::{Stream, StreamExt};
use mcp_transport_core::Message;
use mcp_transport_core::codec::{LengthPrefixed, Lines};
use rmcp::RoleServer;
use rmcp::service::RxJsonRpcMessage;
use rmcp::transport::async_rw::JsonRpcMessageCodec;
use std::hint::black_box;
use std::time::{Duration, Instant};
use tokio_util::codec::{Encoder, FramedRead, LengthDelimitedCodec, LinesCodec};

const KIB: usize = 1_024;
const MIB: usize = 1_024 * KIB;
const LIMIT: usize = 64 * MIB;

/// JSON of this size, without a line break.
fn payload(size: usize) -> Vec<u8> {
    let head = br#"{"jsonrpc":"2.0","id":1,"method":"ping""#;
    let mut payload = head.to_vec();
    if size > head.len() + 24 {
        payload.extend(br#","params":{"text":""#);
        payload.resize(size - 3, b'x');
        payload.extend(br#""}}"#);
    } else {
        payload.push(b'}');
        payload.resize(size, b' ');
    }
    payload
}

/// About a megabyte of them, and four at least.
fn frames(size: usize) -> usize {
    (MIB / size).max(4)
}

fn length_prefixed(size: usize) -> Bytes {
    let mut bytes = BytesMut::new();
    for _ in 0..frames(size) {
        bytes.put_u64(size as u64);
        bytes.put_slice(&payload(size));
    }
    bytes.freeze()
}

fn lines(size: usize) -> Bytes {
    let mut bytes = BytesMut::new();
    for _ in 0..frames(size) {
        bytes.put_slice(&payload(size));
        bytes.put_u8(b'\n');
    }
    bytes.freeze()
}

fn delimited() -> LengthDelimitedCodec {
    LengthDelimitedCodec::builder()
        .length_field_length(8)
        .max_frame_length(LIMIT)
        .new_codec()
}

/// How long it takes to read everything, so many times.
fn read<S: Stream + Unpin>(turns: u64, open: impl Fn() -> S, each: impl Fn(S::Item)) -> Duration {
    let mut took = Duration::ZERO;
    for _ in 0..turns {
        let mut stream = open();
        let start = Instant::now();
        block_on(async {
            while let Some(item) = stream.next().await {
                each(item);
            }
        });
        took += start.elapsed();
    }
    took
}

fn decode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decode");
    for (name, size, goal) in [
        ("40 B", 40, Unpromised),
        ("64 B", 64, AtLeast(3.5)),
        ("1 KiB", KIB, AtLeast(1.6)),
        ("64 KiB", 64 * KIB, AtLeast(0.97)),
        ("1 MiB", MIB, AtLeast(0.97)),
        ("16 MiB", 16 * MIB, AtLeast(0.97)),
    ] {
        let bytes = length_prefixed(size);
        let name = format!("decode, {name} / LengthDelimitedCodec");
        Pair::new(&name, goal, Throughput::Bytes(bytes.len() as u64)).run(
            &mut group,
            |turns| {
                let open =
                    || LengthPrefixed::framed(tokio::io::join(&bytes[..], tokio::io::sink()));
                read(turns, open, |message| drop(black_box(message.unwrap())))
            },
            |turns| {
                let open = || FramedRead::new(&bytes[..], delimited());
                read(turns, open, |frame| {
                    drop(black_box(frame.unwrap().freeze()))
                })
            },
        );
    }
    group.finish();
}

fn encoded<C, I: Clone>(turns: u64, size: usize, item: &I, mut codec: C) -> Duration
where
    C: Encoder<I>,
    C::Error: std::fmt::Debug,
{
    let mut out = BytesMut::with_capacity(2 * MIB + 8 * size);
    let start = Instant::now();
    for _ in 0..turns {
        out.clear();
        for _ in 0..frames(size) {
            codec.encode(item.clone(), &mut out).unwrap();
        }
        black_box(&out);
    }
    start.elapsed()
}

fn encode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("encode");
    for (name, size, goal) in [
        ("40 B", 40, Unpromised),
        ("64 B", 64, AtLeast(5.5)),
        ("1 KiB", KIB, AtLeast(2.5)),
        ("64 KiB", 64 * KIB, Unpromised),
        ("1 MiB", MIB, Unpromised),
        ("16 MiB", 16 * MIB, Unpromised),
    ] {
        let bytes = Bytes::from(payload(size));
        let message = Message::from(bytes.clone());
        let name = format!("encode, {name} / LengthDelimitedCodec");
        let amount = Throughput::Bytes((frames(size) * size) as u64);
        Pair::new(&name, goal, amount).run(
            &mut group,
            |turns| encoded(turns, size, &message, LengthPrefixed::new()),
            |turns| encoded(turns, size, &bytes, delimited()),
        );
    }
    group.finish();
}

fn newline(criterion: &mut Criterion) {
    type Theirs = JsonRpcMessageCodec<RxJsonRpcMessage<RoleServer>>;
    let mut group = criterion.benchmark_group("lines");
    for (name, size, rmcp, split) in [
        ("40 B", 40, AtLeast(5.5), Unpromised),
        ("1 KiB", KIB, AtLeast(8.0), AtLeast(2.0)),
        ("64 KiB", 64 * KIB, Unpromised, Unpromised),
        ("1 MiB", MIB, Unpromised, Unpromised),
        ("16 MiB", 16 * MIB, AtLeast(10.0), Unpromised),
    ] {
        let bytes = lines(size);
        let ours = || Lines::framed(tokio::io::join(&bytes[..], tokio::io::sink()));
        let amount = Throughput::Bytes(bytes.len() as u64);
        let row = format!("lines and envelope, {name} / rmcp");
        let envelope = |turns| {
            read(turns, ours, |message| {
                assert!(message.unwrap().method().is_some());
            })
        };
        Pair::new(&row, rmcp, amount.clone())
            .pace(6)
            .run(&mut group, envelope, |turns| {
                let open = || FramedRead::new(&bytes[..], Theirs::default());
                read(turns, open, |message| drop(black_box(message.unwrap())))
            });
        let row = format!("lines, {name} / LinesCodec");
        let alone = |turns| read(turns, ours, |message| drop(black_box(message.unwrap())));
        Pair::new(&row, split, amount).run(&mut group, alone, |turns| {
            let open = || FramedRead::new(&bytes[..], LinesCodec::new());
            read(turns, open, |line| drop(black_box(line.unwrap())))
        });
    }
    group.finish();
}

criterion_group! {
    name = framing;
    config = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1));
    targets = decode, encode, newline
}

fn main() {
    framing();
    Criterion::default().configure_from_args().final_summary();
    conclude();
}
