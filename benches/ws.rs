//! WebSocket echoes over loopback, beside plain tokio-tungstenite and a plain TCP echo.
//!
//! `cargo bench -p benches --bench ws`. The client is the same for all: a blocking socket on a core of its own, which keeps so
//! many frames on their way. They were made before, and of what comes back only the bytes are counted.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    missing_docs,
    reason = "a bench reads the clock, and owns its tasks"
)]

use benches::Goal::{AtLeast, AtMost, None as Unpromised};
use benches::{KIB, Pair, alone, conclude, keep_to, resident, serving, tell};
use criterion::{Criterion, Throughput, criterion_group};
use futures::{FutureExt, SinkExt, StreamExt};
use mcp_transport_core::{Error, Listener};
use mcp_transport_ws::{WsListener, WsTransport};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};
use tokio::io::BufReader;

/// Passes on whatever comes.
fn ours() -> u16 {
    alone(|say| async move {
        let mut listener = WsListener::bind(0).unwrap();
        say.send(listener.local_port()).unwrap();
        while let Ok(client) = listener.accept().await {
            tokio::spawn(echo(client));
        }
    })
    .port
}

/// What has arrived together goes back together.
async fn echo(mut client: WsTransport) -> Result<(), Error> {
    while let Some(message) = client.next().await {
        client.feed(message?).await?;
        while let Some(Some(more)) = client.next().now_or_never() {
            client.feed(more?).await?;
        }
        client.flush().await?;
    }
    Ok(())
}

/// tokio-tungstenite, fed as ours is above.
fn fed() -> u16 {
    serving(|stream| async {
        let mut client = tokio_tungstenite::accept_async(stream).await.unwrap();
        while let Some(Ok(message)) = client.next().await {
            if message.is_close() || client.feed(message).await.is_err() {
                return;
            }
            while let Some(Some(Ok(more))) = client.next().now_or_never() {
                if more.is_close() || client.feed(more).await.is_err() {
                    return;
                }
            }
            if client.flush().await.is_err() {
                return;
            }
        }
    })
    .port
}

/// As its examples have it.
fn tungstenite() -> u16 {
    serving(|stream| async {
        let mut client = tokio_tungstenite::accept_async(stream).await.unwrap();
        while let Some(Ok(message)) = client.next().await {
            if message.is_close() || client.send(message).await.is_err() {
                return;
            }
        }
    })
    .port
}

/// No WebSocket at all: whatever has arrived goes back.
fn tcp() -> u16 {
    serving(|stream| async {
        let (read, mut write) = stream.into_split();
        let mut read = BufReader::with_capacity(ROOM, read);
        let _ = tokio::io::copy_buf(&mut read, &mut write).await;
    })
    .port
}

/// What the plain echo reads at a time, as ours does. With 8 KiB it is slower, and with 32, too.
const ROOM: usize = 16 * KIB;

/// A connection, upgraded unless it is plain TCP.
fn connect(port: u16, websocket: bool) -> TcpStream {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_nodelay(true).unwrap();
    if websocket {
        let request = format!(
            "GET / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            head.extend(byte);
        }
        assert!(head.starts_with(b"HTTP/1.1 101"));
    }
    stream
}

/// A client's frame with this many bytes of text.
fn frame(size: usize) -> Vec<u8> {
    let mut frame = vec![0x81];
    match size {
        0..126 => frame.push(0x80 | size as u8),
        _ => {
            frame.push(0x80 | 126);
            frame.extend((size as u16).to_be_bytes());
        }
    }
    let mask = [1, 2, 3, 4];
    frame.extend(mask);
    frame.extend((0..size).map(|at| b'x' ^ mask[at % 4]));
    frame
}

/// Keeps so many frames on their way: for each that is back, the next one is sent.
struct Load {
    stream: TcpStream,
    /// As many as may be on their way.
    frames: Vec<u8>,
    frame: usize,
    /// The size of one that is back.
    back: usize,
    buffer: Vec<u8>,
}

impl Load {
    fn new(port: u16, websocket: bool, size: usize, in_flight: usize) -> Self {
        let frame = frame(size);
        Self {
            stream: connect(port, websocket),
            frames: frame.repeat(in_flight),
            frame: frame.len(),
            // A server does not mask.
            back: frame.len() - if websocket { 4 } else { 0 },
            buffer: vec![0; 256 * KIB],
        }
    }

    /// Until so many frames are back.
    fn run(&mut self, turns: u64) -> Duration {
        let start = Instant::now();
        let mut unsent = turns as usize;
        let mut left = unsent * self.back;
        unsent -= self.send(unsent);
        // Of the frame that is coming back.
        let mut part = 0;
        while left > 0 {
            let read = self.stream.read(&mut self.buffer).unwrap();
            assert!(read > 0 && read <= left, "more than was sent, or the end");
            left -= read;
            part += read;
            unsent -= self.send(unsent.min(part / self.back));
            part %= self.back;
        }
        start.elapsed()
    }

    /// Sends so many, or as many as may be on their way; says how many those are.
    fn send(&mut self, count: usize) -> usize {
        let bytes = self.frames.len().min(count * self.frame);
        self.stream.write_all(&self.frames[..bytes]).unwrap();
        bytes / self.frame
    }
}

fn ws(criterion: &mut Criterion) {
    keep_to(1);
    let (ours, theirs, fed, tcp) = (ours(), tungstenite(), fed(), tcp());
    keep_to(0);
    let mut group = criterion.benchmark_group("ws");
    for (name, size, in_flight, goal) in [
        ("pipelined, 64 B", 64, 512, AtLeast(15.0)),
        ("pipelined, 1 KiB", KIB, 128, AtLeast(5.0)),
        ("ping-pong, 64 B", 64, 1, AtLeast(0.97)),
    ] {
        let mut load = Load::new(ours, true, size, in_flight);
        let mut other = Load::new(theirs, true, size, in_flight);
        let mut batched = Load::new(fed, true, size, in_flight);
        let mut plain = Load::new(tcp, false, size, in_flight);
        let amount = Throughput::Elements(1);
        let row = format!("WebSocket {name} / tokio-tungstenite, send each");
        let pace = if in_flight > 1 { 10 } else { 1 };
        Pair::new(&row, goal, amount.clone()).pace(pace).run(
            &mut group,
            |turns| load.run(turns),
            |turns| other.run(turns),
        );
        if in_flight > 1 {
            let row = format!("WebSocket {name} / tokio-tungstenite, fed");
            Pair::new(&row, Unpromised, amount.clone()).run(
                &mut group,
                |turns| load.run(turns),
                |turns| batched.run(turns),
            );
        }
        let row = format!("WebSocket {name} / TCP echo");
        Pair::new(&row, Unpromised, amount).run(
            &mut group,
            |turns| load.run(turns),
            |turns| plain.run(turns),
        );
    }
    group.finish();
    idle_memory(ours, theirs);
}

/// What a connection costs that waits. Both servers and all clients are in this process, and the clients are the same.
fn idle_memory(ours: u16, theirs: u16) {
    const CONNECTIONS: u64 = 400;
    let mut open = Vec::new();
    let mut each = |port| {
        let before = resident();
        open.extend((0..CONNECTIONS).map(|_| {
            let mut load = Load::new(port, true, 64, 1);
            load.buffer = Vec::new();
            load.buffer.resize(70, 0);
            load.run(1);
            load.stream
        }));
        (resident() - before) as f64 / CONNECTIONS as f64
    };
    // Once before it counts, so that what is shared is there.
    each(ours);
    each(theirs);
    let (ours, theirs) = (each(ours), each(theirs));
    println!(
        "an idle connection: {:.1} KiB, tungstenite's default {:.1} KiB",
        ours / 1024.0,
        theirs / 1024.0
    );
    tell(
        "idle WebSocket, memory / tungstenite's default",
        ours / theirs,
        AtMost(0.15),
    );
}

criterion_group! {
    name = benches;
    config = benches::thorough();
    targets = ws
}

fn main() {
    benches();
    conclude();
}
