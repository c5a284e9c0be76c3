//! MCP over a Unix socket: both ends, on mcp-transport-core alone.
use mcp_transport_core::codec::Lines;
use mcp_transport_core::{BoxTransport, Connector, Error, Listener, TransportExt};
use std::{io, path::PathBuf};
use tokio::net::{UnixListener, UnixStream};

/// The dialling end: `Resilient::spawn(dial(path))` is a link that reconnects.
pub fn dial(path: PathBuf) -> impl Connector {
    move || {
        let path = path.clone();
        async move { Ok(Lines::framed(UnixStream::connect(path).await?)) }
    }
}

/// The listening end: one transport for each client.
pub struct Socket(UnixListener);

impl Socket {
    pub fn bind(path: &PathBuf) -> io::Result<Self> {
        UnixListener::bind(path).map(Self)
    }
}

impl Listener for Socket {
    type Transport = BoxTransport;
    async fn accept(&mut self) -> Result<BoxTransport, Error> {
        Ok(Lines::framed(self.0.accept().await?.0).boxed())
    }
}
