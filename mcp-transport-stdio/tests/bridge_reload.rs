//! A listener that closes for a reload, and the next one that goes on with what it knew.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    missing_docs,
    reason = "tests fail where they stand, and wait"
)]

mod bridge_common;

use bridge_common::{Raw, soon};
use futures::{SinkExt, StreamExt};
use mcp_transport_core::{Connector, Listener, Message};
use mcp_transport_stdio::bridge::{BridgeConfig, BridgeConnector, BridgeListener, Memory, Served};

const CREATE: &[u8] = br#"{"type": "manage_gameobject", "params": {"name": "Twin"}}"#;
const DONE: &str = r#"{"status":"success","result":{"success":true}}"#;

fn bind() -> BridgeListener {
    BridgeListener::bind(0, BridgeConfig::new()).unwrap()
}

/// The next listener, on the same port, as it must be for clients to find it.
fn bind_again(port: u16, memory: Memory) -> BridgeListener {
    let listener = BridgeListener::bind(port, BridgeConfig::new().memory(memory)).unwrap();
    assert_eq!(listener.local_port(), port);
    listener
}

/// A command that the application has begun.
async fn begun(listener: &mut BridgeListener, command: &[u8]) -> (Raw, Served) {
    let mut client = Raw::connect(listener.local_port()).await;
    client.send(command).await;
    let mut served = soon("the client", listener.accept()).await.unwrap();
    let taken = soon("its command", served.next()).await.unwrap().unwrap();
    assert_eq!(taken.as_bytes(), command);
    (client, served)
}

#[tokio::test]
async fn a_command_that_a_reload_interrupted_is_not_run_again_for_who_sends_it_again() {
    for application_holds_on in [false, true] {
        let mut listener = bind();
        let port = listener.local_port();
        let (mut client, served) = begun(&mut listener, CREATE).await;
        let mut kept = application_holds_on.then_some(served);
        let memory = soon("the end", listener.close()).await;
        assert_eq!(client.next().await, None);
        if let Some(served) = &mut kept {
            assert!(soon("its end", served.next()).await.is_none());
            // Too late, and it goes nowhere.
            served.send(Message::from(DONE)).await.unwrap();
        }

        let mut listener = bind_again(port, memory);
        for _ in 0..6 {
            // Each of the Python client's attempts has a connection of its own.
            let mut again = Raw::connect(port).await;
            let answer = String::from_utf8(again.call(CREATE).await).unwrap();
            assert!(answer.contains(r#""status":"error""#), "{answer}");
            assert!(answer.contains("reload"), "{answer}");
        }
        // Nothing of that reached the application: what it takes is the next command.
        begun(&mut listener, b"{}").await;
    }
}

#[tokio::test]
async fn who_asked_for_the_seat_may_have_its_command_run_again() {
    let mut listener = bind();
    let port = listener.local_port();
    let (_client, _served) = begun(&mut listener, CREATE).await;
    let memory = listener.close().await;

    let mut listener = bind_again(port, memory);
    let mut link = soon("the seat", BridgeConnector::new(port).connect())
        .await
        .unwrap();
    link.send(Message::from(CREATE.to_vec())).await.unwrap();
    let mut served = soon("the client", listener.accept()).await.unwrap();
    served.next().await.unwrap().unwrap();
    served.send(Message::from(DONE)).await.unwrap();
    let answer = soon("the answer", link.next()).await.unwrap().unwrap();
    assert_eq!(answer.as_str(), Some(DONE));
}

#[tokio::test]
async fn an_answer_that_was_given_is_written_before_the_end_and_the_next_such_command_is_another() {
    let mut listener = bind();
    let port = listener.local_port();
    let (mut client, mut served) = begun(&mut listener, CREATE).await;
    served.send(Message::from(DONE)).await.unwrap();
    let memory = listener.close().await;
    assert!(memory.is_empty(), "{memory:?}");
    assert_eq!(client.next().await.unwrap(), DONE.as_bytes());
    assert_eq!(client.next().await, None);
    begun(&mut bind_again(port, memory), CREATE).await;
}

#[tokio::test]
async fn who_does_not_read_its_answer_does_not_hold_the_reload_up_and_gets_it_afterwards() {
    let mut listener = bind();
    let port = listener.local_port();
    let (_client, mut served) = begun(&mut listener, CREATE).await;
    // More than any socket takes.
    let large = vec![b'x'; 15 * 1024 * 1024];
    served.send(Message::from(large.clone())).await.unwrap();
    let memory = soon("the end", listener.close()).await;
    assert_eq!(memory.len(), 1);
    let _listener = bind_again(port, memory);
    let mut again = Raw::connect(port).await;
    assert!(again.call(CREATE).await == large);
}

#[tokio::test]
async fn what_the_application_had_not_taken_when_the_listener_closed_runs_after_the_reload() {
    let mut listener = bind();
    let port = listener.local_port();
    let mut client = Raw::connect(port).await;
    client.send(CREATE).await;
    let mut served = soon("the client", listener.accept()).await.unwrap();
    let memory = listener.close().await;
    assert!(memory.is_empty(), "{memory:?}");
    assert!(soon("its end", served.next()).await.is_none());
    begun(&mut bind_again(port, memory), CREATE).await;
}
