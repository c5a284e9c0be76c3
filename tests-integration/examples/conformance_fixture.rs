//! The server that MCP's conformance suite asks for, behind rmcp's own HTTP service or behind a broker.
//!
//! ```sh
//! cargo run -p tests-integration --example conformance_fixture -- --http
//! cargo run -p tests-integration --example conformance_fixture -- --broker http://127.0.0.1:8765 --token-file token
//! ```
//!
//! The first takes a free port; both print the URL for clients.
#![expect(
    clippy::disallowed_methods,
    reason = "a program that owns its connections' tasks"
)]

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use mcp_transport_broker::host::BrokerListener;
use mcp_transport_core::{Listener, State, TransportExt};
use rmcp::ServiceExt;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::{StreamableHttpServerConfig, StreamableHttpService};
use std::convert::Infallible;
use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use tests_integration::fixture::{Fixture, Shared};
use tokio::net::TcpListener;

const USAGE: &str = "usage: conformance_fixture --http | --broker URL --token-file FILE";

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["--http"] => http().await,
        ["--broker", url, "--token-file", token] => behind_broker(url, Path::new(token)).await,
        _ => Err(USAGE.into()),
    }
}

async fn http() -> Result<(), Box<dyn Error>> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let port = listener.local_addr()?.port();
    let own = format!("127.0.0.1:{port}");
    let config = StreamableHttpServerConfig::default()
        .with_allowed_hosts([own.clone(), format!("localhost:{port}")])
        .with_allowed_origins([format!("http://{own}"), format!("http://localhost:{port}")]);
    let shared = Arc::new(Shared::default());
    let service = StreamableHttpService::new(
        move || Ok(Fixture::new(shared.clone())),
        Arc::new(LocalSessionManager::default()),
        config,
    );
    println!("MCP  http://{own}/mcp");
    loop {
        let (stream, _) = listener.accept().await?;
        let service = service.clone();
        let handle = service_fn(move |request| {
            let service = service.clone();
            async move { Ok::<_, Infallible>(service.handle(request).await) }
        });
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), handle));
    }
}

/// Serves each client by a service of its own, as rmcp does behind HTTP.
async fn behind_broker(url: &str, token: &Path) -> Result<(), Box<dyn Error>> {
    let mut clients = BrokerListener::attach(url, token)?;
    let mut state = clients.watch();
    state
        .wait_for(|state| matches!(state, State::Connected { .. }))
        .await?;
    println!("MCP  {url}/mcp");
    let shared = Arc::new(Shared::default());
    loop {
        let client = clients.accept().await?;
        let fixture = Fixture::new(shared.clone());
        tokio::spawn(async move {
            // A client that goes before it said anything is no failure of ours.
            if let Ok(service) = fixture.serve(client.typed()).await {
                let _ = service.waiting().await;
            }
        });
    }
}
