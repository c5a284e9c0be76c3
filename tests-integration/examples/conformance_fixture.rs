//! The server that MCP's conformance suite asks for, behind rmcp's own HTTP service.
//!
//! ```sh
//! cargo run -p tests-integration --example conformance_fixture -- --http
//! ```
//!
//! It takes a free port and prints its URL.
#![expect(
    clippy::disallowed_methods,
    reason = "a program that owns its connections' tasks"
)]

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::{StreamableHttpServerConfig, StreamableHttpService};
use std::convert::Infallible;
use std::error::Error;
use std::sync::Arc;
use tests_integration::fixture::{Fixture, Shared};
use tokio::net::TcpListener;

const USAGE: &str = "usage: conformance_fixture --http";

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["--http"] => http().await,
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
