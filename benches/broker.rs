//! A call through the broker, beside the same call to a server that answers at once.
//!
//! `cargo bench -p benches --bench broker`. Read the ratio to `direct`, which is hyper alone: what a broker, a host and two
//! more sockets cost. After each run the broker's own processor time per call is printed (Linux). `funplay` is a plugin as it
//! is installed: one call at a time, a connection for each request.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    missing_docs,
    reason = "a bench reads the clock, and owns its threads"
)]

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use futures::{SinkExt, StreamExt};
use http_body_util::{BodyExt, Full};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use mcp_transport_broker::host::BrokerListener;
use mcp_transport_broker::run::Dialect;
use mcp_transport_broker::server::{Server, ServerConfig};
use mcp_transport_core::{Listener, Message};
use std::convert::Infallible;
use std::io::{Read, Write};
use std::sync::mpsc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const TOKEN: &str = "a-token-of-this-bench";
const CALL: &str = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{"text":"hello"},"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}"#;
const ANSWER: &str =
    r#"{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"hello"}]}}"#;

/// A thread with a runtime of its own, for as long as the bench runs; what it says first is where it listens, and which thread
/// it is.
fn alone<F>(run: impl FnOnce(mpsc::Sender<u16>) -> F + Send + 'static) -> Peer
where
    F: Future<Output = ()>,
{
    let (say, said) = mpsc::channel();
    let (say_thread, thread) = mpsc::channel();
    std::thread::spawn(move || {
        let id = std::fs::read_link("/proc/thread-self").unwrap_or_default();
        say_thread.send(id).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(run(say));
    });
    Peer {
        port: said.recv().unwrap(),
        thread: std::path::Path::new("/proc").join(thread.recv().unwrap()),
    }
}

struct Peer {
    port: u16,
    thread: std::path::PathBuf,
}

impl Peer {
    /// The processor time that its thread has had.
    fn processor(&self) -> Duration {
        let text = std::fs::read_to_string(self.thread.join("schedstat")).unwrap_or_default();
        let nanos = text.split(' ').next().and_then(|first| first.parse().ok());
        Duration::from_nanos(nanos.unwrap_or_default())
    }
}

/// hyper, and an answer at once.
fn direct() -> Peer {
    alone(|say| async move {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0))
            .await
            .unwrap();
        say.send(listener.local_addr().unwrap().port()).unwrap();
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            stream.set_nodelay(true).unwrap();
            let answer = service_fn(|request: Request<hyper::body::Incoming>| async {
                request.into_body().collect().await.unwrap();
                let mut response = Response::new(Full::new(Bytes::from_static(ANSWER.as_bytes())));
                let json = http::HeaderValue::from_static("application/json");
                response.headers_mut().insert("content-type", json);
                Ok::<_, Infallible>(response)
            });
            tokio::spawn(
                hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), answer),
            );
        }
    })
}

fn broker(dialects: Vec<Dialect>) -> Peer {
    alone(move |say| async move {
        let mut config = ServerConfig::new(TOKEN).unwrap();
        config.dialects = dialects;
        let server = Server::bind(0, config).unwrap();
        say.send(server.port()).unwrap();
        server.serve().await;
    })
}

/// A host of the native dialect, in a thread of its own.
fn native_host(port: u16) {
    alone(move |say| async move {
        let url = format!("http://127.0.0.1:{port}");
        let mut clients = BrokerListener::attach(&url, TOKEN).unwrap();
        clients
            .watch()
            .wait_for(|state| state.is_connected())
            .await
            .unwrap();
        say.send(0).unwrap();
        while let Ok(mut client) = clients.accept().await {
            tokio::spawn(async move {
                while let Some(Ok(message)) = client.next().await {
                    if message.id().is_some() && client.send(Message::from(ANSWER)).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
}

/// A plugin as it is installed: pull, run, push, and a connection for each.
fn plugin(port: u16) {
    let ask = move |head: String, body: &str| {
        let stream = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.set_nodelay(true).unwrap();
        let text = format!(
            "{head} HTTP/1.1\r\nX-Funplay-Broker-Token: {TOKEN}\r\nX-Funplay-Broker-Session: bench\r\nContent-Type: application/json; charset=utf-8\r\nContent-Length: {}\r\nConnection: close\r\nHost: 127.0.0.1:{port}\r\n",
            body.len()
        );
        (stream, text)
    };
    let exchange = move |head: &str, more: &str, body: &str| {
        let (mut stream, text) = ask(head.to_owned(), body);
        stream
            .write_all(format!("{text}{more}\r\n{body}").as_bytes())
            .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    };
    exchange("POST /_funplay/broker/attach", "", "");
    std::thread::spawn(move || {
        loop {
            let work = exchange("GET /_funplay/broker/pull", "", "");
            let number = work.lines().find_map(|line| {
                let (name, value) = line.split_once(": ")?;
                name.eq_ignore_ascii_case("x-funplay-broker-reqid")
                    .then(|| value.to_owned())
            });
            let Some(number) = number else { continue };
            let body = work.split_once("\r\n\r\n").unwrap().1;
            // The broker has given the call an id of its own.
            let id = body.split_once("\"id\":").unwrap().1;
            let id: String = id
                .trim_start()
                .chars()
                .take_while(|it| !",}".contains(*it))
                .collect();
            let answer = ANSWER.replacen("\"id\":1", &format!("\"id\":{id}"), 1);
            let more = format!("X-Funplay-Broker-ReqId: {number}\r\n");
            exchange("POST /_funplay/broker/push", &more, &answer);
        }
    });
}

/// One connection's calls, one after the other.
async fn calls(port: u16, count: u64) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let request = format!(
        "POST /mcp HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\nAccept: application/json, text/event-stream\r\nMCP-Protocol-Version: 2026-07-28\r\nMcp-Method: tools/call\r\nMcp-Name: echo\r\nContent-Length: {}\r\n\r\n{CALL}",
        CALL.len()
    );
    let mut buffer = Vec::with_capacity(4096);
    for _ in 0..count {
        stream.write_all(request.as_bytes()).await.unwrap();
        buffer.clear();
        while !is_whole(&buffer) {
            assert!(stream.read_buf(&mut buffer).await.unwrap() > 0, "the end");
        }
        assert!(
            buffer.starts_with(b"HTTP/1.1 200"),
            "{}",
            String::from_utf8_lossy(&buffer)
        );
    }
}

fn is_whole(buffer: &[u8]) -> bool {
    let text = String::from_utf8_lossy(buffer);
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return false;
    };
    let length = head.to_ascii_lowercase().lines().find_map(|line| {
        line.strip_prefix("content-length: ")
            .and_then(|length| length.parse::<usize>().ok())
    });
    length.is_some_and(|length| body.len() >= length)
}

fn load(port: u16, connections: u64, count: u64) -> Duration {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let start = Instant::now();
        let mut all = tokio::task::JoinSet::new();
        for number in 0..connections {
            let extra = u64::from(number < count % connections);
            all.spawn(calls(port, count / connections + extra));
        }
        all.join_all().await;
        start.elapsed()
    })
}

fn through_the_broker(c: &mut Criterion) {
    let direct = direct();
    let native = broker(vec![Dialect::Native]);
    native_host(native.port);
    let funplay = broker(vec![Dialect::Funplay]);
    plugin(funplay.port);
    let peers = [
        ("direct", &direct),
        ("native", &native),
        ("funplay", &funplay),
    ];
    let mut group = c.benchmark_group("call");
    group.throughput(Throughput::Elements(1));
    for connections in [1, 8, 64] {
        for (name, peer) in peers {
            let (mut spent, mut made) = (Duration::ZERO, 0);
            group.bench_function(BenchmarkId::new(name, connections), |bench| {
                bench.iter_custom(|count| {
                    let before = peer.processor();
                    let took = load(peer.port, connections, count);
                    spent += peer.processor() - before;
                    made += count;
                    took
                });
            });
            if made > 0 {
                let each = spent.as_secs_f64() * 1e6 / made as f64;
                println!(
                    "{name}/{connections}: {each:.1} us of processor time per call in its thread"
                );
            }
        }
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(3));
    targets = through_the_broker
}
criterion_main!(benches);
