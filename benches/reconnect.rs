//! How long a link waits after its host is back: from the status file's change to the connection.
//!
//! `cargo bench -p benches --bench reconnect`. The competitor is what everybody does: look at the file every 100 ms. Read the
//! ratio of the two, and that the watched one stays below a millisecond in the median.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    missing_docs,
    reason = "a bench reads the clock, and owns its tasks"
)]

use criterion::{Criterion, criterion_group, criterion_main};
use futures::StreamExt;
use mcp_transport_core::Connector;
use mcp_transport_core::dial::Dialer;
use mcp_transport_core::{Listener, RetryPolicy};
use mcp_transport_stdio::bridge::{BridgeConfig, BridgeConnector, BridgeListener, Claim};
use mcp_transport_stdio::discovery::{Discovery, Reason, Status, StatusFile};
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

const PROJECT: &str = "/bench/Project/Assets";

struct Host {
    directory: PathBuf,
    file: StatusFile,
    port: u16,
}

impl Host {
    /// A bridge that listens all the time, and a status file that says otherwise.
    fn start() -> Self {
        let mut listener = BridgeListener::bind(0, BridgeConfig::new()).unwrap();
        let port = listener.local_port();
        tokio::spawn(async move {
            while let Ok(mut client) = listener.accept().await {
                tokio::spawn(async move { while client.next().await.is_some() {} });
            }
        });
        let stamp = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap()
            .as_nanos();
        let directory = std::env::temp_dir().join(format!("mcp-transport-bench-{stamp}"));
        let file = StatusFile::publish(&directory, &status(port, true)).unwrap();
        Self {
            directory,
            file,
            port,
        }
    }

    fn says(&mut self, reloading: bool) {
        self.file.update(&status(self.port, reloading)).unwrap();
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

fn status(port: u16, reloading: bool) -> Status {
    let mut status = Status::new(port, PROJECT);
    status.reloading = reloading;
    status.reason = if reloading {
        Reason::Reloading
    } else {
        Reason::Ready
    };
    status
}

/// A link that is woken by the file.
async fn watched(rounds: u64) -> Duration {
    let mut host = Host::start();
    let watch = Discovery::at(&host.directory).watch().unwrap();
    let mut total = Duration::ZERO;
    for _ in 0..rounds {
        host.says(true);
        let mut projects = watch.projects();
        let away = |projects: &mcp_transport_stdio::discovery::Projects| {
            projects.iter().any(|project| !project.is_ready())
        };
        projects.wait_for(away).await.unwrap();
        let known = watch.projects();
        let port = move || known.borrow().port_of(None);
        let mut dialer = Dialer::new(BridgeConnector::new(port).claim(Some(Claim::Take)))
            .retry(RetryPolicy::every(HOUR));
        let wake = dialer.wake();
        watch.on_ready(None, move || wake.wake());
        let link = tokio::spawn(async move { dialer.connect().await.unwrap() });
        // Long enough to have failed once, and to wait.
        tokio::time::sleep(Duration::from_millis(5)).await;
        let start = Instant::now();
        host.says(false);
        drop(link.await.unwrap());
        total += start.elapsed();
    }
    total
}

/// A link that looks at the file every 100 ms.
async fn polled(rounds: u64) -> Duration {
    let mut host = Host::start();
    let discovery = Discovery::at(&host.directory);
    let mut total = Duration::ZERO;
    for round in 0..rounds {
        host.says(true);
        let discovery = discovery.clone();
        let link = tokio::spawn(async move {
            loop {
                if let Ok(port) = discovery.scan().port_of(None) {
                    return BridgeConnector::new(port).connect().await.unwrap();
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        });
        // At another moment of the period each time.
        tokio::time::sleep(Duration::from_millis(5 + round * 37 % 100)).await;
        let start = Instant::now();
        host.says(false);
        drop(link.await.unwrap());
        total += start.elapsed();
    }
    total
}

const HOUR: Duration = Duration::from_secs(3_600);

fn reconnect(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let mut group = criterion.benchmark_group("reconnect");
    group.sample_size(20);
    group.bench_function("watched file", |bencher| {
        bencher.iter_custom(|rounds| runtime.block_on(watched(rounds)))
    });
    group.bench_function("polled file, 100 ms", |bencher| {
        bencher.iter_custom(|rounds| runtime.block_on(polled(rounds)));
    });
    group.finish();
}

criterion_group!(benches, reconnect);
criterion_main!(benches);
