//! An MCP server that may restart at any time: a broker keeps its clients' port, and holds their calls meanwhile.
//!
//! It finds the broker of port 8765 or starts one: `mcp-broker` beside it, on PATH, or named by `MCP_BROKER_BIN`.

use mcp_transport_broker::host::BrokerListener;
use mcp_transport_broker::launch::Launch;
use mcp_transport_core::{Listener, TransportExt};
use rmcp::handler::server::wrapper::Parameters;
use rmcp::{ServiceExt, schemars, tool, tool_router};

struct Calculator;

#[derive(serde::Deserialize, schemars::JsonSchema)]
struct Sum {
    a: f64,
    b: f64,
}

#[tool_router(server_handler)]
impl Calculator {
    #[tool(description = "Adds two numbers")]
    fn add(&self, Parameters(Sum { a, b }): Parameters<Sum>) -> String {
        (a + b).to_string()
    }
}

#[tokio::main]
#[expect(clippy::disallowed_methods, reason = "one task for each client")]
async fn main() -> Result<(), mcp_transport_core::Error> {
    let mut clients = BrokerListener::launched(Launch::new(8765).or_in_process()).attach()?;
    while let Ok(client) = clients.accept().await {
        tokio::spawn(async move {
            if let Ok(service) = Calculator.serve(client.typed()).await {
                let _ = service.waiting().await;
            }
        });
    }
    Ok(())
}
