//! Two ends to test with: ours over a pipe, or against the plain library.
#![allow(
    clippy::unwrap_used,
    dead_code,
    unreachable_pub,
    reason = "each test file uses its part"
)]

use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use mcp_transport_ws::{Refusal, Upgrading, WsConfig, WsConnector, WsTransport, upgrade};
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::Role;

pub type Plain = WebSocketStream<DuplexStream>;

/// Serves one connection by hyper and [`upgrade`], as a hub would, and returns the upgraded transport.
pub async fn accept_over<IO>(io: IO, config: WsConfig) -> WsTransport
where
    IO: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let upgrading: Arc<Mutex<Option<Upgrading>>> = Arc::default();
    let place = Arc::clone(&upgrading);
    let service = service_fn(move |request| {
        let answer = match upgrade(request, &config) {
            Ok((answer, connection)) => {
                *place.lock().unwrap() = Some(connection);
                answer.map(|()| String::new())
            }
            Err(refusal) => Refusal::into_response(refusal),
        };
        async move { Ok::<_, Infallible>(answer) }
    });
    hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(io), service)
        .with_upgrades()
        .await
        .unwrap();
    let connection = upgrading.lock().unwrap().take();
    connection.expect("an upgrade").await.unwrap()
}

/// Both ends are ours, over a pipe with this much room; first the dialling one.
pub async fn pair(room: usize, config: WsConfig) -> (WsTransport, WsTransport) {
    let (here, there) = tokio::io::duplex(room);
    let connector = WsConnector::new("ws://localhost/").config(config.clone());
    let (dialled, accepted) =
        tokio::join!(connector.connect_over(here), accept_over(there, config));
    (dialled.unwrap(), accepted)
}

/// Our dialling end against the plain library.
pub async fn dialled(config: WsConfig) -> (WsTransport, Plain) {
    let (here, there) = tokio::io::duplex(64 * 1024);
    let connector = WsConnector::new("ws://localhost/").config(config);
    let (ours, plain) = tokio::join!(
        connector.connect_over(here),
        tokio_tungstenite::accept_async(there)
    );
    (ours.unwrap(), plain.unwrap())
}

/// Our accepting end against the plain library.
pub async fn accepted(config: WsConfig) -> (WsTransport, Plain) {
    let (here, there) = tokio::io::duplex(64 * 1024);
    let (ours, plain) = tokio::join!(
        accept_over(here, config),
        tokio_tungstenite::client_async("ws://localhost/", there)
    );
    (ours, plain.unwrap().0)
}

/// Our accepting end against bare bytes, after the handshake: for frames that no library would send.
pub async fn raw(config: WsConfig) -> (WsTransport, DuplexStream) {
    let (ours, plain) = accepted(config).await;
    (ours, plain.into_inner())
}

/// A plain end over bytes that have no handshake before them.
pub async fn plain_over<IO: AsyncRead + AsyncWrite + Unpin>(
    io: IO,
    role: Role,
) -> WebSocketStream<IO> {
    WebSocketStream::from_raw_socket(io, role, None).await
}
