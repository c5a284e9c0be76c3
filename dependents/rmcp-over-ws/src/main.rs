//! An rmcp server and an rmcp client over WebSocket. The connection is cut between two calls; the client's session goes on.

use mcp_transport_core::{Error, Listener, Resilient, TransportExt};
use mcp_transport_ws::{WsConnector, WsListener};
use rmcp::model::{CallToolRequestParams, ServerCapabilities, ServerConfig};
use rmcp::{ServerHandler, ServiceExt, tool, tool_handler, tool_router};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::Notify;

#[derive(Clone, Default)]
struct Counter {
    count: Arc<AtomicU64>,
}

#[tool_router]
impl Counter {
    #[tool(description = "Counts one further")]
    fn increment(&self) -> String {
        (self.count.fetch_add(1, Ordering::Relaxed) + 1).to_string()
    }
}

#[tool_handler]
impl ServerHandler for Counter {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
    }
}

/// A service for each connection; `cut` ends the one that is there.
async fn serve(mut clients: WsListener, cut: Arc<Notify>) -> Result<(), Error> {
    let counter = Counter::default();
    loop {
        let client = clients.accept().await?;
        let (counter, cut) = (counter.clone(), cut.clone());
        tokio::spawn(async move {
            if let Ok(service) = counter.serve(client.typed()).await {
                tokio::select! {
                    _ = service.waiting() => {}
                    () = cut.notified() => {}
                }
            }
        });
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let clients = WsListener::bind(0)?;
    let url = format!("ws://127.0.0.1:{}/", clients.local_port());
    let cut = Arc::new(Notify::new());
    tokio::spawn(serve(clients, cut.clone()));

    let link = Resilient::spawn(WsConnector::new(&url));
    let handle = link.handle();
    let client = ().serve(link.typed()).await?;
    let tools = client.list_all_tools().await?;
    assert_eq!(tools.len(), 1, "{tools:?}");
    for expected in ["1", "2", "3"] {
        let answer = client
            .call_tool(CallToolRequestParams::new("increment"))
            .await?;
        let text = answer.content[0].as_text().map(|text| text.text.as_str());
        println!("{expected}: {text:?}, over {:?}", handle.state());
        assert_eq!(text, Some(expected));
        cut.notify_one();
        handle
            .watch()
            .wait_for(|state| !state.is_connected())
            .await?;
        handle.wake();
    }
    client.cancel().await?;
    Ok(())
}
