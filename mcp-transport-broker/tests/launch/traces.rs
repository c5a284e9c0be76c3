//! What a broker leaves that had a host, and knows what it offers.

use super::rig::{self, Rig, is_free, until};
use futures::{SinkExt, StreamExt};
use mcp_transport_broker::host::{BrokerClient, BrokerListener, Handle};
use mcp_transport_broker::launch::{Launch, Launched};
use mcp_transport_broker::run::Dialect;
use mcp_transport_core::{Listener, Message};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

#[tokio::test]
async fn stop_leaves_no_process_no_file_and_no_port_though_a_host_was_there() {
    let rig = Rig::new("traces-stop");
    let (broker, _host) = served(&rig, rig.launch()).await;
    broker.stop().await.unwrap();
    nothing_is_left(&rig, &broker).await;
}

#[tokio::test]
async fn a_host_that_quits_leaves_no_process_no_file_and_no_port() {
    let rig = Rig::new("traces-quit");
    let (broker, host) = served(&rig, rig.launch().exit_with_host(true)).await;
    host.shut_down(Duration::from_secs(1)).await;
    nothing_is_left(&rig, &broker).await;
}

#[tokio::test]
async fn a_host_that_goes_over_to_serve_the_port_itself_leaves_nothing_and_has_it() {
    let rig = Rig::new("traces-direct");
    let (broker, host) = served(&rig, rig.launch()).await;
    host.shut_down(Duration::from_secs(1)).await;
    // As a server does that was started behind a broker before, and is not now.
    let found = rig.launch().find().await.unwrap().unwrap();
    found.stop().await.unwrap();
    drop(rig.listen());
    nothing_is_left(&rig, &broker).await;
}

#[tokio::test]
async fn the_plugins_switch_to_direct_leaves_no_process_no_file_and_no_port() {
    let rig = Rig::new("traces-plugin");
    let both = rig.launch_with(|config| config.dialects = vec![Dialect::Native, Dialect::Funplay]);
    let (broker, host) = served(&rig, both).await;
    host.shut_down(Duration::from_secs(1)).await;
    let request = format!(
        "POST /_funplay/broker/shutdown HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nX-Funplay-Broker-Token: {}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        rig.port(),
        broker.token()
    );
    let mut stream = TcpStream::connect(("127.0.0.1", rig.port())).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    nothing_is_left(&rig, &broker).await;
}

#[tokio::test]
async fn what_a_crash_left_is_there_for_the_next_broker_and_goes_with_it() {
    let rig = Rig::new("traces-crash");
    let (first, host) = served(&rig, rig.launch()).await;
    host.announce_reload(Duration::from_secs(60)).await;
    rig::kill(first.pid());
    until(|| is_free(rig.port())).await;
    assert!(catalogue(&rig).is_some());
    let next = rig.launch().ensure().await.unwrap();
    assert_ne!(next.pid(), first.pid());
    assert!(catalogue(&rig).is_some());
    next.stop().await.unwrap();
    nothing_is_left(&rig, &next).await;
}

// Windows has no signal that asks a process without a terminal to end.
#[cfg(unix)]
#[tokio::test]
async fn a_broker_that_ends_with_the_machine_leaves_what_was_offered_for_the_next_and_nothing_else()
{
    let rig = Rig::new("traces-signal");
    let (broker, host) = served(&rig, rig.launch()).await;
    host.announce_reload(Duration::from_secs(60)).await;
    rig::terminate(broker.pid());
    until(|| is_free(rig.port()) && rig::is_gone(broker.pid())).await;
    let left = rig.files();
    assert_eq!(left, Vec::from_iter(catalogue(&rig)), "{left:?}");
}

/// A broker, and a host that has told it what it offers.
async fn served(rig: &Rig, launch: Launch) -> (Launched, Handle) {
    let broker = launch.ensure().await.unwrap();
    let mut clients = BrokerListener::attach(&broker.url(), broker.token()).unwrap();
    let handle = clients.handle();
    tokio::spawn(async move {
        while let Ok(client) = clients.accept().await {
            tokio::spawn(serve(client));
        }
    });
    until(|| catalogue(rig).is_some()).await;
    (broker, handle)
}

async fn serve(mut client: BrokerClient) {
    while let Some(Ok(message)) = client.next().await {
        let Some(id) = message.id() else { continue };
        let params: Value = serde_json::from_str(message.params().unwrap_or("{}")).unwrap();
        let info = json!({"name": "traces", "version": "1"});
        let result = match message.method() {
            Some("initialize") => json!({"protocolVersion": params["protocolVersion"],
                "capabilities": {"tools": {}}, "serverInfo": info}),
            Some("tools/list") => json!({"tools": []}),
            _ => Value::Null,
        };
        let answer = match result {
            Value::Null => Message::error(Some(id), -32601, "not here", None::<()>),
            result => Message::response(id, result).unwrap(),
        };
        if client.send(answer).await.is_err() {
            return;
        }
    }
}

async fn nothing_is_left(rig: &Rig, broker: &Launched) {
    until(|| is_free(rig.port()) && rig::is_gone(broker.pid())).await;
    // Its files go before it does; only Windows' folders take a moment.
    until(|| !rig.folder().exists()).await;
}

/// The file that says what was offered.
fn catalogue(rig: &Rig) -> Option<String> {
    let is_it = |name: &String| name.starts_with("catalogue-") && name.ends_with(".json");
    rig.files().into_iter().find(is_it)
}
