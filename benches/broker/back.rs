//! How long the port is away when the broker is killed, and its host starts it again.

use mcp_transport_broker::host::BrokerListener;
use mcp_transport_broker::launch::{Launch, Program};
use std::process::Command;
use std::time::{Duration, Instant};

const KILLS: usize = 20;

pub(crate) fn kill_and_measure() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let folder = std::env::temp_dir().join(format!("broker-back-{}", std::process::id()));
    runtime.block_on(async {
        let launch = Launch::new(free_port())
            .state_dir(&folder)
            .program(Program::SearchOrSelf);
        let host = BrokerListener::launched(launch.clone()).attach().unwrap();
        let mut state = host.watch();
        state.wait_for(|it| it.is_connected()).await.unwrap();
        let mut all = Vec::new();
        for apart in [Duration::from_secs(6), Duration::from_secs(2)] {
            let mut away = Vec::new();
            for _ in 0..KILLS {
                tokio::time::sleep(apart).await;
                away.push(kill(&launch).await);
            }
            report(&format!("{KILLS} kills, {apart:?} apart"), &mut away);
            all.append(&mut away);
        }
        report("all", &mut all);
        let last = launch.find().await.unwrap().unwrap();
        host.handle().shut_down(Duration::from_secs(1)).await;
        last.stop().await.unwrap();
    });
    let _ = std::fs::remove_dir_all(folder);
}

/// Until a new process proves that it is the broker.
async fn kill(launch: &Launch) -> Duration {
    let old = loop {
        if let Ok(Some(broker)) = launch.find().await {
            break broker.pid();
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    let start = Instant::now();
    let killed = Command::new("kill")
        .args(["-KILL", &old.to_string()])
        .status()
        .unwrap();
    assert!(killed.success());
    loop {
        if let Ok(Some(broker)) = launch.find().await
            && broker.pid() != old
        {
            return start.elapsed();
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

fn report(what: &str, away: &mut [Duration]) {
    away.sort_unstable();
    let (median, worst) = (away[away.len() / 2], away[away.len() - 1]);
    println!("{what}: the port was back after {median:.1?} (median), {worst:.1?} (worst)");
}

fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    listener.local_addr().unwrap().port()
}
