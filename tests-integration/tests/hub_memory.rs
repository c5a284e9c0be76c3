//! What plugins say and nobody needs is not kept. Alone in its process, which it weighs.
#![cfg(target_os = "linux")]
#![allow(
    clippy::disallowed_methods,
    missing_docs,
    reason = "tests wait and spawn"
)]

use examples::calls::Budget;
use serde_json::{Value, json};
use tests_integration::Server;
use tests_integration::plugin::Plugin;
use tokio::task::JoinSet;

const MIB: usize = 1024 * 1024;

/// The memory of this process that is resident, in bytes.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux tells");
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().nth(1));
    kib.expect("a number").parse::<usize>().expect("a number") * 1024
}

/// Messages of about 2 MiB each: of no use, or of use once.
fn large() -> [Value; 4] {
    let text = "x".repeat(2 * MIB);
    let zeros = vec![0; MIB];
    let tools = vec![json!({"name": "tool", "description": "d"}); 2 * MIB / 32];
    [
        json!({"type": "fly", "text": text}),
        json!({"type": "command_result", "id": "nobody's", "result": {"zeros": zeros}}),
        json!({"type": "register_tools", "tools": tools}),
        json!({"type": "pong", "session_id": text}),
    ]
}

/// Every plugin says so many of them.
async fn talk(plugins: Vec<Plugin>, texts: &[String; 4], rounds: usize) -> Vec<Plugin> {
    let mut talking = JoinSet::new();
    for (number, mut plugin) in plugins.into_iter().enumerate() {
        let texts = texts.clone();
        talking.spawn(async move {
            for round in 0..rounds {
                plugin.say_text(texts[(round + number) % 4].clone()).await;
            }
            plugin
        });
    }
    talking.join_all().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn useless_messages_leave_no_mark() {
    let server = Server::start(Budget::default());
    let texts = large().map(|message| message.to_string());
    let mut plugins = Vec::new();
    for number in 0..4 {
        let plugin = Plugin::dial(&server).await;
        let hash = format!("hash-{number}");
        plugins.push(plugin.registered("Large", &hash).await);
    }
    // The first of each kind shows what reading takes; after that nothing may come on top.
    let plugins = talk(plugins, &texts, 4).await;
    let before = resident();
    let plugins = talk(plugins, &texts, 6).await;
    let grown = resident().saturating_sub(before) / MIB;
    assert!(grown < 32, "{grown} MiB more after 48 MiB of messages");
    assert_eq!(server.hub.sockets(), (4, 0), "all are still welcome");
    drop(plugins);
    server.stop().await;
}
