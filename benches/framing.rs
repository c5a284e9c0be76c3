//! Framing in memory, beside the codecs that everybody has.
//!
//! `cargo bench -p benches --bench framing`. Both sides of a pair get the same bytes in the same run; read the ratio, not
//! the figure.
#![allow(missing_docs, reason = "criterion's macros make public items")]

use bytes::{BufMut, Bytes, BytesMut};
use criterion::measurement::WallTime;
use criterion::{
    BatchSize, BenchmarkGroup, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main,
};
use mcp_transport_core::Message;
use mcp_transport_core::codec::{LengthPrefixed, Lines};
use std::hint::black_box;
use tokio_util::codec::{Decoder, Encoder, LengthDelimitedCodec, LinesCodec};

const SIZES: [usize; 4] = [64, 1_024, 64 * 1_024, 1_024 * 1_024];

/// About this much goes through in one turn.
const TURN: usize = 1_024 * 1_024;

fn frames(size: usize) -> usize {
    (TURN / size).max(4)
}

/// JSON of this size, without a line break.
fn payload(size: usize) -> Vec<u8> {
    let head = br#"{"jsonrpc":"2.0","id":1,"method":"m","params":""#;
    let mut payload = head.to_vec();
    payload.resize(size - 2, b'x');
    payload.extend(b"\"}");
    payload
}

fn length_prefixed(size: usize) -> BytesMut {
    let mut bytes = BytesMut::new();
    for _ in 0..frames(size) {
        bytes.put_u64(size as u64);
        bytes.put_slice(&payload(size));
    }
    bytes
}

fn lines(size: usize) -> BytesMut {
    let mut bytes = BytesMut::new();
    for _ in 0..frames(size) {
        bytes.put_slice(&payload(size));
        bytes.put_u8(b'\n');
    }
    bytes
}

fn delimited() -> LengthDelimitedCodec {
    LengthDelimitedCodec::builder()
        .length_field_length(8)
        .max_frame_length(64 * 1024 * 1024)
        .new_codec()
}

fn decode<C: Decoder>(
    group: &mut BenchmarkGroup<'_, WallTime>,
    name: &str,
    size: usize,
    bytes: &BytesMut,
    codec: impl Fn() -> C,
) where
    C::Error: std::fmt::Debug,
{
    group.bench_function(BenchmarkId::new(name, size), |bencher| {
        bencher.iter_batched(
            || (codec(), bytes.clone()),
            |(mut codec, mut bytes)| {
                while let Some(frame) = codec.decode(&mut bytes).expect("these are whole frames") {
                    black_box(frame);
                }
                bytes
            },
            BatchSize::LargeInput,
        );
    });
}

fn encode<C, I: Clone>(
    group: &mut BenchmarkGroup<'_, WallTime>,
    name: &str,
    size: usize,
    item: &I,
    codec: impl Fn() -> C,
) where
    C: Encoder<I>,
    C::Error: std::fmt::Debug,
{
    group.bench_function(BenchmarkId::new(name, size), |bencher| {
        let mut out = BytesMut::with_capacity(2 * TURN + 16 * size);
        bencher.iter(|| {
            out.clear();
            let mut codec = codec();
            for _ in 0..frames(size) {
                codec
                    .encode(item.clone(), &mut out)
                    .expect("within the limit");
            }
            black_box(out.len())
        });
    });
}

fn framing(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("length_prefixed/decode");
    for size in SIZES {
        let bytes = length_prefixed(size);
        group.throughput(Throughput::Bytes(bytes.len() as u64));
        decode(&mut group, "ours", size, &bytes, LengthPrefixed::new);
        decode(&mut group, "LengthDelimitedCodec", size, &bytes, delimited);
    }
    group.finish();

    let mut group = criterion.benchmark_group("length_prefixed/encode");
    for size in SIZES {
        let bytes = Bytes::from(payload(size));
        group.throughput(Throughput::Bytes((frames(size) * size) as u64));
        encode(
            &mut group,
            "ours",
            size,
            &Message::from(bytes.clone()),
            LengthPrefixed::new,
        );
        encode(&mut group, "LengthDelimitedCodec", size, &bytes, delimited);
    }
    group.finish();

    let mut group = criterion.benchmark_group("lines/decode");
    for size in SIZES {
        let bytes = lines(size);
        group.throughput(Throughput::Bytes(bytes.len() as u64));
        decode(&mut group, "ours", size, &bytes, Lines::new);
        decode(&mut group, "LinesCodec", size, &bytes, LinesCodec::new);
    }
    group.finish();
}

criterion_group!(benches, framing);
criterion_main!(benches);
