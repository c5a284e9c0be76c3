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
use benches::{KIB, MIB, Pair, conclude, keep_to, payload, runtime, serving, thorough, timed};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use criterion::{Criterion, Throughput, criterion_group};
use futures::executor::block_on;
use futures::{Sink, SinkExt, Stream, StreamExt};
use mcp_transport_core::Message;
use mcp_transport_core::codec::{Batches, Codec, Framed, LengthPrefixed, Lines, Outgoing};
use rmcp::RoleServer;
use rmcp::service::RxJsonRpcMessage;
use rmcp::transport::async_rw::JsonRpcMessageCodec;
use std::hint::black_box;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_util::codec::{Encoder, FramedRead, FramedWrite, LengthDelimitedCodec, LinesCodec};

const LIMIT: usize = 64 * MIB;

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

/// How long the others take: each frame owned, and each line.
fn read_delimited(turns: u64, bytes: &[u8]) -> Duration {
    let open = || FramedRead::new(bytes, delimited());
    read(turns, open, |frame| {
        drop(black_box(frame.unwrap().freeze()))
    })
}

fn read_lines(turns: u64, bytes: &[u8]) -> Duration {
    let open = || FramedRead::new(bytes, LinesCodec::new());
    read(turns, open, |line| drop(black_box(line.unwrap())))
}

fn decode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decode");
    for (name, size, goal, in_batches) in [
        ("40 B", 40, Unpromised, None),
        ("64 B", 64, AtLeast(3.5), Some(AtLeast(5.5))),
        ("1 KiB", KIB, AtLeast(1.6), Some(Unpromised)),
        ("64 KiB", 64 * KIB, AtLeast(0.97), None),
        ("1 MiB", MIB, AtLeast(0.97), None),
        ("16 MiB", 16 * MIB, AtLeast(0.97), None),
    ] {
        let bytes = length_prefixed(size);
        let amount = Throughput::Bytes(bytes.len() as u64);
        let theirs = |turns| read_delimited(turns, &bytes);
        if let Some(goal) = in_batches {
            let name = format!("decode, {name}, in batches / LengthDelimitedCodec");
            let ours = |turns| {
                let open = || FramedRead::with_capacity(&bytes[..], Batches::default(), 64 * KIB);
                read(turns, open, |batch| {
                    batch.unwrap().iter().for_each(|frame| {
                        black_box(frame);
                    });
                })
            };
            Pair::new(&name, goal, amount.clone()).run(&mut group, ours, theirs);
        }
        let name = format!("decode, {name} / LengthDelimitedCodec");
        Pair::new(&name, goal, amount).run(
            &mut group,
            |turns| {
                let open =
                    || LengthPrefixed::framed(tokio::io::join(&bytes[..], tokio::io::sink()));
                read(turns, open, |message| drop(black_box(message.unwrap())))
            },
            theirs,
        );
    }
    group.finish();
}

/// So many bytes may wait before a socket takes them: ours lets no more wait, and who feeds the other would not want more, since
/// these stay in the first cache with what is copied into them, and 64 KiB do not. Either side is emptied there.
const EMPTIED: usize = 32 * KIB;

/// Into a buffer that is emptied, as it is when a socket takes it.
///
/// From 16 KiB on nothing is copied here: only the write does it. So the ratios of large messages say that, and no speed.
fn put(turns: u64, mut codec: impl Codec, size: usize, message: &Message) -> Duration {
    let mut out = Outgoing::default();
    let took = timed(turns, || {
        for _ in 0..frames(size) {
            codec.put(message, &mut out).unwrap();
            if out.remaining() >= EMPTIED {
                let all = black_box(&out).remaining();
                out.advance(all);
            }
        }
    });
    kept(out);
    took
}

/// Where a buffer lies in memory makes 15 % in these rows. Since none is given back, each sample has another one, and the median
/// is not that of a lucky place.
fn kept<T>(buffer: T) {
    std::mem::forget(buffer);
}

fn encoded<T: Clone, C: Encoder<T>>(turns: u64, mut codec: C, size: usize, item: &T) -> Duration {
    let mut out = BytesMut::with_capacity(2 * EMPTIED);
    let took = timed(turns, || {
        for _ in 0..frames(size) {
            assert!(codec.encode(item.clone(), &mut out).is_ok());
            if out.len() >= EMPTIED {
                black_box(&out);
                out.clear();
            }
        }
    });
    kept(out);
    took
}

fn encode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("encode");
    for (name, size, goal) in [
        ("40 B", 40, Unpromised),
        ("64 B", 64, AtLeast(5.5)),
        ("1 KiB", KIB, AtLeast(2.5)),
        ("64 KiB, by reference", 64 * KIB, Unpromised),
        ("1 MiB, by reference", MIB, Unpromised),
        ("16 MiB, by reference", 16 * MIB, Unpromised),
    ] {
        let bytes = Bytes::from(payload(size));
        let message = Message::from(bytes.clone());
        let row = format!("encode, {name} / LengthDelimitedCodec");
        let amount = Throughput::Bytes((frames(size) * size) as u64);
        Pair::new(&row, goal, amount).run(
            &mut group,
            |turns| put(turns, LengthPrefixed::new(), size, &message),
            |turns| encoded(turns, delimited(), size, &bytes),
        );
    }
    group.finish();
}

fn encode_lines(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("encode lines");
    for (name, size) in [
        ("40 B", 40),
        ("1 KiB", KIB),
        ("64 KiB, by reference", 64 * KIB),
        ("1 MiB, by reference", MIB),
        ("16 MiB, by reference", 16 * MIB),
    ] {
        let text = String::from_utf8(payload(size)).unwrap();
        let message = Message::from(text.clone());
        let row = format!("encode lines, {name} / LinesCodec");
        let amount = Throughput::Bytes((frames(size) * size) as u64);
        Pair::new(&row, Unpromised, amount).run(
            &mut group,
            |turns| put(turns, Lines::new(), size, &message),
            |turns| encoded(turns, LinesCodec::new(), size, &text.as_str()),
        );
    }
    group.finish();
}

/// What each row above could come to: the bytes are copied and nothing else is done, but for what an owned message costs
/// however it is made. That is a reference counted and given back (two locked instructions), or room of its own.
fn limits(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("limits");
    for (name, size) in [("64 B", 64), ("1 KiB", KIB)] {
        let bytes = length_prefixed(size);
        let amount = Throughput::Bytes(bytes.len() as u64);
        let theirs = |turns| read_delimited(turns, &bytes);
        let row = format!("limit: a copy and a reference for each, {name} / LengthDelimitedCodec");
        let counted = |turns| {
            pieces(turns, size + 8, &bytes, |piece| {
                let mut rest = Bytes::copy_from_slice(piece);
                while !rest.is_empty() {
                    black_box(rest.split_to(size + 8));
                }
            })
        };
        Pair::new(&row, Unpromised, amount.clone()).run(&mut group, counted, theirs);
        let row = format!("limit: two copies and room for each, {name} / LengthDelimitedCodec");
        let mut buffer = vec![0; PIECE];
        let owned = |turns| {
            pieces(turns, size + 8, &bytes, |piece| {
                buffer[..piece.len()].copy_from_slice(piece);
                for frame in buffer[..piece.len()].chunks(size + 8) {
                    black_box(Bytes::copy_from_slice(&frame[8..]));
                }
            })
        };
        Pair::new(&row, Unpromised, amount.clone()).run(&mut group, owned, theirs);

        let row =
            format!("limit: a copy of head and payload, {name} / LengthDelimitedCodec, encode");
        let payload = Bytes::from(payload(size));
        let copied = |turns| {
            let mut out = vec![0; EMPTIED];
            timed(turns, || {
                for _ in 0..frames(size) / (out.len() / (size + 8)) {
                    for frame in out.chunks_exact_mut(size + 8) {
                        let payload = black_box(&payload);
                        let (head, rest) = frame.split_at_mut(8);
                        head.copy_from_slice(&(payload.len() as u64).to_be_bytes());
                        rest.copy_from_slice(payload);
                    }
                    black_box(&out);
                }
            })
        };
        Pair::new(&row, Unpromised, amount).run(&mut group, copied, |turns| {
            encoded(turns, delimited(), size, &payload)
        });
    }
    let bytes = lines(KIB);
    let row = "limit: two copies, a search and room for each, 1 KiB / LinesCodec";
    let mut buffer = vec![0; PIECE];
    let found = |turns| {
        pieces(turns, KIB + 1, &bytes, |piece| {
            buffer[..piece.len()].copy_from_slice(piece);
            let mut rest = &buffer[..piece.len()];
            while let Some(end) = memchr::memchr(b'\n', rest) {
                black_box(Bytes::copy_from_slice(&rest[..end]));
                rest = &rest[end + 1..];
            }
        })
    };
    let amount = Throughput::Bytes(bytes.len() as u64);
    Pair::new(row, Unpromised, amount).run(&mut group, found, |turns| read_lines(turns, &bytes));
    group.finish();
}

/// What is read at a time.
const PIECE: usize = 24 * KIB;

/// So much at most of whole frames at a time, as they would be read.
fn pieces(turns: u64, frame: usize, bytes: &[u8], mut each: impl FnMut(&[u8])) -> Duration {
    let size = PIECE / frame * frame;
    timed(turns, || bytes.chunks(size).for_each(&mut each))
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
        Pair::new(&row, split, amount).run(&mut group, alone, |turns| read_lines(turns, &bytes));
    }
    group.finish();
}

/// What has gone one way through a pipe in memory: fed and flushed by one task, read by another, all in one thread.
async fn through<M: Clone, E: std::fmt::Debug, F: std::fmt::Debug>(
    turns: u64,
    count: usize,
    item: &M,
    mut left: impl Sink<M, Error = E> + Unpin,
    mut right: impl Stream<Item = Result<impl Sized, F>> + Unpin,
) -> Duration {
    let start = Instant::now();
    for _ in 0..turns {
        let sent = async {
            for _ in 0..count {
                left.feed(item.clone()).await.unwrap();
            }
            left.flush().await.unwrap();
        };
        let received = async {
            for _ in 0..count {
                black_box(right.next().await.unwrap().unwrap());
            }
        };
        futures::join!(sent, received);
    }
    start.elapsed()
}

/// Encoded and decoded again.
fn both(criterion: &mut Criterion) {
    let runtime = runtime();
    let mut group = criterion.benchmark_group("both");
    for (name, size) in [
        ("40 B", 40),
        ("1 KiB", KIB),
        ("64 KiB", 64 * KIB),
        ("1 MiB", MIB),
    ] {
        // Nobody counts references: a text that is borrowed has none.
        let text: &str = String::from_utf8(payload(size)).unwrap().leak();
        let (bytes, count) = (Bytes::from_static(text.as_bytes()), frames(size));
        let message = Message::from(bytes.clone());
        let amount = Throughput::Bytes((count * size) as u64);
        let pipe = || tokio::io::duplex(64 * KIB);
        let row = format!("encode and decode, {name} / LengthDelimitedCodec");
        Pair::new(&row, Unpromised, amount.clone()).run(
            &mut group,
            |turns| {
                let (left, right) = pipe();
                let (left, right) = (LengthPrefixed::framed(left), LengthPrefixed::framed(right));
                runtime.block_on(through(turns, count, &message, left, right))
            },
            |turns| {
                let (left, right) = pipe();
                let left = FramedWrite::new(left, delimited());
                let right = FramedRead::new(right, delimited());
                runtime.block_on(through(turns, count, &bytes, left, right))
            },
        );
        let row = format!("encode and decode lines, {name} / LinesCodec");
        Pair::new(&row, Unpromised, amount).run(
            &mut group,
            |turns| {
                let (left, right) = pipe();
                let (left, right) = (Lines::framed(left), Lines::framed(right));
                runtime.block_on(through(turns, count, &message, left, right))
            },
            |turns| {
                let (left, right) = pipe();
                let left = FramedWrite::new(left, LinesCodec::new());
                let right = FramedRead::new(right, LinesCodec::new());
                runtime.block_on(through(turns, count, &text, left, right))
            },
        );
    }
    group.finish();
}

/// One message of 16 MiB through a pipe in memory.
fn pipe(criterion: &mut Criterion) {
    const SIZE: usize = 16 * MIB;
    let runtime = runtime();
    let bytes = Bytes::from(payload(SIZE));
    let message = Message::from(bytes.clone());
    let mut group = criterion.benchmark_group("pipe");
    group.sample_size(10);
    let theirs = |turns| {
        runtime.block_on(async {
            let (left, right) = tokio::io::duplex(256 * KIB);
            let mut left = FramedWrite::new(left, delimited());
            let mut right = FramedRead::new(right, delimited());
            let start = Instant::now();
            for _ in 0..turns {
                let (sent, received) = futures::join!(left.send(bytes.clone()), right.next());
                sent.unwrap();
                assert_eq!(received.unwrap().unwrap().len(), SIZE);
            }
            start.elapsed()
        })
    };
    let row = "16 MiB through a pipe / LengthDelimitedCodec";
    Pair::new(row, AtLeast(8.0), Throughput::Bytes(SIZE as u64))
        .pace(8)
        .run(
            &mut group,
            |turns| {
                runtime.block_on(async {
                    let (left, right) = tokio::io::duplex(256 * KIB);
                    let (mut left, mut right) =
                        (LengthPrefixed::framed(left), LengthPrefixed::framed(right));
                    let start = Instant::now();
                    for _ in 0..turns {
                        let (sent, received) =
                            futures::join!(left.send(message.clone()), right.next());
                        sent.unwrap();
                        assert_eq!(received.unwrap().unwrap().len(), SIZE);
                    }
                    start.elapsed()
                })
            },
            theirs,
        );
    let row = "limit: 16 MiB of bytes through a pipe / LengthDelimitedCodec";
    let mut buffer = vec![0; SIZE];
    Pair::new(row, Unpromised, Throughput::Bytes(SIZE as u64))
        .pace(2)
        .run(
            &mut group,
            |turns| {
                runtime.block_on(async {
                    let (mut left, mut right) = tokio::io::duplex(256 * KIB);
                    let start = Instant::now();
                    for _ in 0..turns {
                        let (sent, received) =
                            futures::join!(left.write_all(&bytes), right.read_exact(&mut buffer));
                        sent.unwrap();
                        assert_eq!(received.unwrap(), SIZE);
                    }
                    start.elapsed()
                })
            },
            theirs,
        );
    group.finish();
}

/// How a receiver reads what is streamed to it.
#[derive(Clone, Copy)]
enum Reader {
    Batches,
    Delimited,
}

/// A receiver in a thread of its own: it counts frames, and says after each 4,096 that they are there.
fn receiver(reader: Reader) -> u16 {
    serving(move |stream| async move {
        let (read, mut write) = stream.into_split();
        let mut count = 0;
        match reader {
            Reader::Batches => {
                let mut frames = FramedRead::with_capacity(read, Batches::default(), 64 * KIB);
                while let Some(Ok(batch)) = frames.next().await {
                    count += batch.iter().map(black_box).count();
                    receipts(&mut count, &mut write).await;
                }
            }
            Reader::Delimited => {
                let mut frames = FramedRead::with_capacity(read, delimited(), 64 * KIB);
                while let Some(Ok(frame)) = frames.next().await {
                    black_box(frame.freeze());
                    count += 1;
                    receipts(&mut count, &mut write).await;
                }
            }
        }
    })
    .port
}

/// Frames that are streamed before the sender looks whether they are there.
const STREAMED: usize = 4_096;

async fn receipts(count: &mut usize, write: &mut (impl AsyncWriteExt + Unpin)) {
    while *count >= STREAMED {
        *count -= STREAMED;
        write.write_all(b"!").await.unwrap();
    }
}

/// How a sender streams: a flush for each, or one for all.
#[derive(Clone, Copy)]
enum Delimited {
    Send,
    Feed,
}

fn connected(runtime: &tokio::runtime::Runtime, port: u16) -> TcpStream {
    runtime.block_on(async {
        let stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        stream.set_nodelay(true).unwrap();
        stream
    })
}

/// 64-byte frames over TCP.
fn streamed(criterion: &mut Criterion) {
    let runtime = runtime();
    // Nobody counts references here: what is compared is how frames travel.
    let bytes = Bytes::from_static(payload(64).leak());
    let message = Message::from(bytes.clone());
    keep_to(1);
    let batches = receiver(Reader::Batches);
    let one_by_one = receiver(Reader::Delimited);
    keep_to(0);
    let mut group = criterion.benchmark_group("streamed");
    for (name, how, goal, pace) in [
        ("send each", Delimited::Send, AtLeast(150.0), 150),
        ("fed", Delimited::Feed, AtLeast(2.5), 2),
    ] {
        let mut ours = LengthPrefixed::framed(connected(&runtime, batches));
        let mut theirs =
            tokio_util::codec::Framed::new(connected(&runtime, one_by_one), delimited());
        theirs.set_backpressure_boundary(64 * KIB);
        let row = format!("64 B streamed over TCP / LengthDelimitedCodec, {name}");
        let amount = Throughput::Elements(STREAMED as u64);
        Pair::new(&row, goal, amount).pace(pace).run(
            &mut group,
            |turns| runtime.block_on(fed(&mut ours, &message, turns)),
            |turns| {
                runtime.block_on(async {
                    let start = Instant::now();
                    for _ in 0..turns {
                        for _ in 0..STREAMED {
                            match how {
                                Delimited::Send => theirs.send(bytes.clone()).await.unwrap(),
                                Delimited::Feed => theirs.feed(bytes.clone()).await.unwrap(),
                            }
                        }
                        SinkExt::<Bytes>::flush(&mut theirs).await.unwrap();
                    }
                    receipt(theirs.get_ref(), turns).await;
                    start.elapsed()
                })
            },
        );
    }
    group.finish();
}

async fn fed(
    ours: &mut Framed<TcpStream, LengthPrefixed>,
    message: &Message,
    turns: u64,
) -> Duration {
    let start = Instant::now();
    for _ in 0..turns {
        for _ in 0..STREAMED {
            ours.feed(message.clone()).await.unwrap();
        }
        ours.flush().await.unwrap();
    }
    // All of them are there.
    receipt(ours.get_ref(), turns).await;
    start.elapsed()
}

/// Waits for so many receipts.
async fn receipt(stream: &TcpStream, mut count: u64) {
    let mut buffer = [0; 256];
    while count > 0 {
        stream.readable().await.unwrap();
        match stream.try_read(&mut buffer[..count.min(256) as usize]) {
            Ok(0) => panic!("the receiver is gone"),
            Ok(read) => count -= read as u64,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(error) => panic!("{error}"),
        }
    }
}

criterion_group! {
    name = framing;
    config = benches::quick();
    // In this order: what the allocator has kept of 16 MiB, and who has touched it, is part of the figures.
    targets = decode, encode, limits, newline, encode_lines, both
}

criterion_group! {
    name = long;
    config = thorough();
    targets = pipe, streamed
}

fn main() {
    framing();
    long();
    conclude();
}
