//! rmcp, unmodified, at both ends of a pipe: a server on our `stdio()`, and a client over a supervisor of it.
#![cfg(unix)]
#![allow(
    clippy::disallowed_methods,
    missing_docs,
    reason = "tests wait and spawn"
)]

use mcp_transport_core::{Resilient, RetryPolicy, TransportExt};
use mcp_transport_stdio::{ChildConnector, stdio};
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, ServerCapabilities,
    ServerConfig,
};
use rmcp::service::{RequestContext, RunningService};
use rmcp::{ErrorData, RoleClient, RoleServer, ServerHandler, ServiceExt};
use std::process::Command;
use std::time::Duration;

/// The variable by which this file is told to be the server.
const ROLE: &str = "RMCP_CHILDREN_SERVE";

/// Says its process id, and prints as a careless handler does; told to crash, it does.
struct Server;

impl ServerHandler for Server {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        println!("a careless line");
        if request.name == "crash" {
            std::process::abort();
        }
        let pid = std::process::id().to_string();
        Ok(CallToolResult::success(vec![ContentBlock::text(pid)]).into())
    }
}

/// Not a test, but the server, where the variable is set.
#[test]
fn the_server() {
    if std::env::var_os(ROLE).is_none() {
        return;
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let client = stdio().expect("the pipes");
        let service = Server.serve(client.typed()).await.expect("the handshake");
        service.waiting().await.expect("an orderly end");
    });
    std::process::exit(0);
}

fn server() -> Command {
    let mut command = Command::new(std::env::current_exe().expect("this file"));
    command
        .args(["--exact", "the_server", "--nocapture"])
        .env(ROLE, "yes");
    command
}

async fn call(client: &RunningService<RoleClient, ()>, tool: &'static str) -> Result<u32, String> {
    let call = client.peer().call_tool(CallToolRequestParams::new(tool));
    let result = tokio::time::timeout(Duration::from_secs(30), call)
        .await
        .expect("a call hangs")
        .map_err(|error| error.to_string())?;
    let text = &result.content[0].as_text().expect("text").text;
    Ok(text.parse().expect("a process id"))
}

#[tokio::test]
async fn a_server_that_crashes_ten_times_is_there_again_and_each_crash_is_told_once() {
    let link = Resilient::builder(ChildConnector::new(server()))
        .retry(RetryPolicy::every(Duration::from_millis(10)))
        .spawn();
    let client = ().serve(link.typed()).await.expect("the handshake");
    let mut former = 0;
    for _ in 0..10 {
        let pid = call(&client, "pid").await.expect("an answer");
        assert_ne!(pid, former);
        assert_eq!(
            call(&client, "pid").await,
            Ok(pid),
            "it stays until it crashes"
        );
        let error = call(&client, "crash")
            .await
            .expect_err("it is not there to answer");
        assert!(error.contains("look before you send it again"), "{error}");
        assert!(error.contains("signal: 6"), "how it ended is told: {error}");
        former = pid;
    }
    client.cancel().await.expect("an orderly end");
}
