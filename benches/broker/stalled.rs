//! Eight connections' calls with and without eight readers that have stopped in an answer of 8 MiB, in turn.

use crate::calls::{calls, request};
use crate::peers::{LARGE, broker, native_host};
use mcp_transport_broker::run::Dialect;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

const ROUNDS: usize = 12;
const CONNECTIONS: usize = 8;
const STALLED: usize = 8;
const CALLS: u64 = 1_000;

pub(crate) fn with_and_without() {
    let broker = broker(vec![Dialect::Native]);
    native_host(broker.port);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let (mut without, mut with) = (Vec::new(), Vec::new());
        measure(broker.port).await;
        for round in 0..ROUNDS {
            // Whatever else the machine does meets both alike.
            for is_with in [round % 2 == 0, round % 2 != 0] {
                if is_with {
                    let stalled = stall(broker.port).await;
                    with.append(&mut measure(broker.port).await);
                    drop(stalled);
                } else {
                    without.append(&mut measure(broker.port).await);
                }
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
        report(without, with);
    });
}

/// Readers that have begun to read, and stopped.
async fn stall(port: u16) -> Vec<TcpStream> {
    let mut stalled = Vec::new();
    for _ in 0..STALLED {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        let call = request(port, LARGE);
        stream.write_all(call.as_bytes()).await.unwrap();
        stalled.push(stream);
    }
    for stream in &stalled {
        assert!(stream.peek(&mut [0; 64]).await.unwrap() > 0, "the end");
    }
    // The rest of the answers has reached the broker by then.
    tokio::time::sleep(Duration::from_millis(300)).await;
    stalled
}

async fn measure(port: u16) -> Vec<Duration> {
    let mut all = JoinSet::new();
    for _ in 0..CONNECTIONS {
        all.spawn(calls(port, CALLS));
    }
    all.join_all().await.concat()
}

fn report(mut without: Vec<Duration>, mut with: Vec<Duration>) {
    println!(
        "{CONNECTIONS} connections, {} calls without and {} with {STALLED} stalled readers, in turn",
        without.len(),
        with.len()
    );
    for percent in [50, 90, 99] {
        let (without, with) = (at(&mut without, percent), at(&mut with, percent));
        println!(
            "p{percent}: {without:?} without, {with:?} with, ratio {:.3}",
            with.as_secs_f64() / without.as_secs_f64()
        );
    }
}

fn at(times: &mut [Duration], percent: usize) -> Duration {
    times.sort_unstable();
    times[(times.len() - 1) * percent / 100]
}
