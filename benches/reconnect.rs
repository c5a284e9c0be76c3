//! How long a link is without its host once that is back: from the status file's change to the first answer.
//!
//! `cargo bench -p benches --bench reconnect`. One link is woken by the file; the other one dials every 100 ms, as most do.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    missing_docs,
    reason = "a bench reads the clock, and owns its tasks"
)]

use benches::Goal::{AtMost, None as Unpromised};
use benches::{conclude, median, tell};
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, criterion_group};
use futures::{SinkExt, StreamExt};
use mcp_transport_core::dial::Dialer;
use mcp_transport_core::{Error, ErrorKind, Listener, Message, RetryPolicy};
use mcp_transport_stdio::bridge::{BridgeConfig, BridgeConnector, BridgeListener, Port};
use mcp_transport_stdio::discovery::{Discovery, Reason, Status, StatusFile, Watch};
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};
use tokio::runtime::{Builder, Runtime};

const PROJECT: &str = "/bench/Project/Assets";
const COMMAND: &str = r#"{"type":"get_editor_state","params":{}}"#;
const ANSWER: &str = r#"{"status":"success","result":{}}"#;

/// A bridge that listens all the time, and a status file that says otherwise.
struct Host {
    directory: PathBuf,
    file: StatusFile,
    port: u16,
    /// What a client knows of it.
    watch: Watch,
}

impl Host {
    fn start() -> Self {
        let mut listener = BridgeListener::bind(0, BridgeConfig::new()).unwrap();
        let port = listener.local_port();
        tokio::spawn(async move {
            while let Ok(mut client) = listener.accept().await {
                tokio::spawn(async move {
                    while let Some(Ok(_)) = client.next().await {
                        let _ = client.send(Message::from(ANSWER)).await;
                    }
                });
            }
        });
        let stamp = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap()
            .as_nanos();
        let directory = std::env::temp_dir().join(format!("mcp-transport-bench-{stamp}"));
        let file = StatusFile::publish(&directory, &status(port, false)).unwrap();
        let watch = Discovery::at(&directory).watch().unwrap();
        Self {
            directory,
            file,
            port,
            watch,
        }
    }

    fn says(&mut self, reloading: bool) {
        self.file.update(&status(self.port, reloading)).unwrap();
    }

    /// Once its client has read that it is away.
    async fn leaves(&mut self) {
        self.says(true);
        let mut projects = self.watch.projects();
        let away = projects.wait_for(|projects| !projects.iter().any(|project| project.is_ready()));
        away.await.unwrap();
    }

    /// A link that asks the file where to dial.
    fn link(&self, policy: RetryPolicy) -> Dialer<BridgeConnector<impl Port + use<>>> {
        let projects = self.watch.projects();
        let port = move || projects.borrow().port_of(None);
        Dialer::new(BridgeConnector::new(port)).retry(policy)
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

/// One connection, up to its first answer. When that came.
async fn answered<P: Port>(
    mut dialer: Dialer<BridgeConnector<P>>,
) -> (Dialer<BridgeConnector<P>>, Instant) {
    let mut link = dialer.connect().await.unwrap();
    link.send(Message::from(COMMAND)).await.unwrap();
    link.next().await.unwrap().unwrap();
    let at = Instant::now();
    dialer.established();
    drop(link);
    dialer.ended(&Error::new(ErrorKind::Disconnected));
    (dialer, at)
}

/// Measures returns of the host while this link waits, and says what the middle one took. Returns are spread over a period.
fn returns<P: Port>(
    group: &mut BenchmarkGroup<'_, WallTime>,
    runtime: &Runtime,
    (name, host): (&str, &mut Host),
    dialer: Dialer<BridgeConnector<P>>,
    period: u64,
) -> Option<f64> {
    let mut all = Vec::new();
    let mut link = Some(runtime.block_on(answered(dialer)).0);
    group.bench_function(name, |bencher| {
        bencher.iter_custom(|rounds| {
            let mut total = Duration::ZERO;
            for _ in 0..rounds {
                total += runtime.block_on(async {
                    host.leaves().await;
                    let waits = tokio::spawn(answered(link.take().unwrap()));
                    let at = 5 + all.len() as u64 * 37 % period;
                    tokio::time::sleep(Duration::from_millis(at)).await;
                    let start = Instant::now();
                    host.says(false);
                    let (dialer, end) = waits.await.unwrap();
                    link = Some(dialer);
                    all.push((end - start).as_secs_f64());
                    end - start
                });
            }
            total
        });
    });
    (!all.is_empty()).then(|| median(&mut all))
}

fn reconnect(criterion: &mut Criterion) {
    let mut runtime = Builder::new_multi_thread();
    let runtime = runtime.worker_threads(2).enable_all().build().unwrap();
    let mut host = runtime.block_on(async { Host::start() });
    let mut group = criterion.benchmark_group("reconnect");
    group.sample_size(20);

    let dialer = host.link(RetryPolicy::every(Duration::from_millis(100)));
    let polled = returns(
        &mut group,
        &runtime,
        ("every 100 ms", &mut host),
        dialer,
        100,
    );

    let dialer = host.link(RetryPolicy::every(Duration::from_secs(3_600)));
    let wake = dialer.wake();
    host.watch.on_ready(None, move || wake.wake());
    // Criterion plans by what a round takes, and most of a round is the wait for it: one in each
    // sample, and many of them, since how long a core takes to wake varies with what else it does.
    // Nothing has a period here, so the waits are short.
    group.sample_size(500);
    group.measurement_time(Duration::from_millis(100));
    group.warm_up_time(Duration::from_millis(10));
    let woken = returns(
        &mut group,
        &runtime,
        ("woken by the file", &mut host),
        dialer,
        10,
    );
    group.finish();

    let Some(woken) = woken else { return };
    let row = "reconnect, status file to first answer / 1 ms";
    tell(row, woken * 1_000.0, AtMost(1.0));
    if let Some(polled) = polled {
        tell(
            "reconnect, woken / every 100 ms",
            woken / polled,
            Unpromised,
        );
    }
}

criterion_group!(benches, reconnect);

fn main() {
    benches();
    conclude();
}
