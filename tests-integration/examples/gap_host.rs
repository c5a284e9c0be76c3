//! A server behind a broker that writes down what it runs, for scenes in which it is killed.
//!
//! ```sh
//! cargo run -p tests-integration --example gap_host -- --broker http://127.0.0.1:8765 --token-file token --ledger ledger
//! ```
//!
//! It prints when it was attached, in milliseconds since 1970. With `--more` it has one tool more.
#![expect(
    clippy::disallowed_methods,
    reason = "a program that owns its connections' tasks"
)]

use mcp_transport_broker::host::BrokerListener;
use mcp_transport_core::{Listener, State, TransportExt};
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, ListToolsResult,
    PaginatedRequestParams, ServerCapabilities, ServerConfig, SubscriptionFilter, Tool,
};
use rmcp::service::RequestContext;
use rmcp::{ErrorData, RoleServer, ServerHandler, ServiceExt};
use serde_json::{Value, json};
use std::error::Error;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

const USAGE: &str = "usage: gap_host --broker URL --token-file FILE --ledger FILE [--more]";

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (url, token, ledger, more) = match arguments[..] {
        [
            "--broker",
            url,
            "--token-file",
            token,
            "--ledger",
            ledger,
            ref rest @ ..,
        ] => match rest {
            [] => (url, token, ledger, false),
            ["--more"] => (url, token, ledger, true),
            _ => return Err(USAGE.into()),
        },
        _ => return Err(USAGE.into()),
    };
    let ledger = OpenOptions::new().append(true).create(true).open(ledger)?;
    let notary = Notary {
        ledger: Arc::new(ledger),
        more,
    };
    let mut clients = BrokerListener::attach(url, Path::new(token))?;
    let mut state = clients.watch();
    state
        .wait_for(|state| matches!(state, State::Connected { .. }))
        .await?;
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
    println!("attached {}", now.as_millis());
    loop {
        let client = clients.accept().await?;
        let notary = notary.clone();
        tokio::spawn(async move {
            // A client that goes before it said anything is no failure of ours.
            if let Ok(service) = notary.serve(client.typed()).await {
                let _ = service.waiting().await;
            }
        });
    }
}

/// Writes a line for each call before it does anything else.
#[derive(Clone)]
struct Notary {
    ledger: Arc<File>,
    more: bool,
}

impl ServerHandler for Notary {
    fn get_info(&self) -> ServerConfig {
        let capabilities = ServerCapabilities::builder()
            .enable_tools()
            .enable_tool_list_changed();
        ServerConfig::new(capabilities.build())
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let mut tools = vec![
            tool("note", "Writes the text down"),
            tool("begin", "Writes the text down, and never ends"),
        ];
        if self.more {
            tools.push(tool("more", "Writes the text down, too"));
        }
        Ok(ListToolsResult::with_all_items(tools))
    }

    fn accepted_subscription_filter(
        &self,
        requested: &SubscriptionFilter,
    ) -> Option<SubscriptionFilter> {
        Some(requested.clone())
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let arguments = request.arguments.unwrap_or_default();
        let text = arguments.get("text").and_then(Value::as_str);
        let text = text.ok_or_else(|| ErrorData::invalid_params("`text` is missing", None))?;
        writeln!(&*self.ledger, "{text}")
            .map_err(|error| ErrorData::internal_error(error.to_string(), None))?;
        if request.name == "begin" {
            std::future::pending::<()>().await;
        }
        Ok(CallToolResult::success(vec![ContentBlock::text(format!("noted: {text}"))]).into())
    }
}

fn tool(name: &'static str, description: &'static str) -> Tool {
    let schema = json!({
        "type": "object",
        "properties": {"text": {"type": "string"}},
        "required": ["text"],
    });
    let schema = schema.as_object().cloned().unwrap_or_default();
    Tool::new(name, description, Arc::new(schema))
}
