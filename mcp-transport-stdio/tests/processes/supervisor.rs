//! A resilient transport over a child: a supervisor.

use super::{alive, eventually, kill, peer};
use futures::{SinkExt, StreamExt};
use mcp_transport_core::{Id, Message, Resilient, RetryPolicy};
use mcp_transport_stdio::ChildConnector;
use std::time::Duration;

/// A read by MCP's table, so that it may be sent again; this peer answers with its process id.
fn list(id: i64) -> Message {
    Message::request(&Id::from(id), "tools/list", None::<()>).unwrap()
}

async fn answer(server: &mut Resilient, id: i64) -> Message {
    let next = tokio::time::timeout(Duration::from_secs(30), server.next()).await;
    let answer = next.expect("a call hangs").unwrap().unwrap();
    assert_eq!(answer.id(), Some(&Id::from(id)));
    answer
}

#[tokio::test]
async fn a_hundred_times_killed_the_next_request_is_answered_by_a_new_child() {
    let mut server = Resilient::builder(ChildConnector::new(peer::command("serve")))
        .retry(RetryPolicy::every(Duration::from_millis(1)))
        .spawn();
    let mut former = None;
    for round in 0..100 {
        let id = 2 * round;
        server
            .send(Message::request(&Id::from(id), "pid", None::<()>).unwrap())
            .await
            .unwrap();
        let pid: u32 = answer(&mut server, id)
            .await
            .body()
            .unwrap()
            .parse()
            .unwrap();
        assert_ne!(former.replace(pid), Some(pid));
        kill(pid);
        server.send(list(id + 1)).await.unwrap();
        let read = answer(&mut server, id + 1).await;
        assert!(
            read.body().unwrap().contains("echo"),
            "round {round}: {read:?}"
        );
        eventually("the killed one is gone", Duration::from_secs(5), || {
            !alive(pid)
        })
        .await;
    }
    server.close().await.unwrap();
}
