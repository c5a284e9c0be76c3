//! The host: writes down what it runs before it runs it.

use crate::actor::Told;
use crate::ledger::Pen;
use crate::rig::BINARY;
use futures::{SinkExt, StreamExt};
use mcp_transport_broker::host::{BrokerClient, BrokerListener};
use mcp_transport_broker::launch::{Launch, Program};
use mcp_transport_broker::run::RunConfig;
use mcp_transport_core::{Listener, Message};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;

pub(crate) async fn run(told: &Told, until: impl Future<Output = ()>) {
    let mut config = RunConfig::default();
    config.port = told.port;
    config.exit_when_orphaned = Some(Duration::from_secs(60));
    let launch = Launch::with(config)
        .state_dir(&told.folder)
        .program(Program::At(BINARY.into()));
    let mut clients = BrokerListener::launched(launch).attach().unwrap();
    let handle = clients.handle();
    let journal = Arc::new(Pen::on(&told.file));
    let serve = async move {
        while let Ok(client) = clients.accept().await {
            tokio::spawn(serve(client, Arc::clone(&journal)));
        }
    };
    tokio::select! {
        () = serve => panic!("a listener goes on until it is told to end"),
        () = until => handle.shut_down(Duration::from_secs(5)).await,
    }
}

async fn serve(client: BrokerClient, journal: Arc<Pen>) {
    let (answers, mut requests) = client.split();
    let answers = Arc::new(Mutex::new(answers));
    while let Some(Ok(message)) = requests.next().await {
        if message.id().is_none() || message.method().is_none() {
            continue;
        }
        let (answers, journal) = (Arc::clone(&answers), Arc::clone(&journal));
        tokio::spawn(async move {
            let answer = answer(&message, &journal).await;
            // It was lost with its link, or its client is gone.
            let _ = answers.lock().await.send(answer).await;
        });
    }
}

async fn answer(request: &Message, journal: &Pen) -> Message {
    let params: Value = serde_json::from_str(request.params().unwrap_or("{}")).unwrap();
    let result = match request.method().unwrap() {
        "initialize" => json!({"protocolVersion": params["protocolVersion"],
            "capabilities": {"tools": {}, "resources": {}},
            "serverInfo": {"name": "chaos", "version": "1"}}),
        "tools/call" => {
            let key = params["name"].as_str().unwrap();
            journal.write(&format!("{key} call"));
            work().await;
            json!({"content": [{"type": "text", "text": key}], "resultType": "complete"})
        }
        "resources/read" => {
            let key = params["uri"].as_str().unwrap().trim_start_matches("chaos:");
            journal.write(&format!("{key} read"));
            work().await;
            let contents = json!([{"uri": params["uri"], "text": key}]);
            json!({"contents": contents, "resultType": "complete"})
        }
        _ => return Message::error(request.id(), -32601, "not here", None::<()>),
    };
    Message::response(request.id().unwrap(), result).unwrap()
}

/// Long enough for somebody to die meanwhile.
async fn work() {
    tokio::time::sleep(Duration::from_millis(fastrand::u64(..30))).await;
}
