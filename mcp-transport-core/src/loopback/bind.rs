use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::task::{Context, Poll};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};

/// Makes listening sockets: [`Tcp`], or whatever a test puts in its place.
pub trait Bind: fmt::Debug + Send {
    /// What it makes.
    type Listener: Accept;

    /// Binds and listens. Called again for each socket that died.
    ///
    /// # Errors
    /// Whatever the operating system says; it is reported, and tried again.
    fn bind(&mut self, address: SocketAddr) -> io::Result<Self::Listener>;
}

/// A socket that yields connections: tokio's, or whatever a test puts in its place.
pub trait Accept: fmt::Debug + Send {
    /// Polls for the next connection.
    ///
    /// # Errors
    /// Whatever the operating system says; it is [classified](super::accept_error).
    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<(TcpStream, SocketAddr)>>;

    /// Returns the address that it is bound to.
    ///
    /// # Errors
    /// If the socket is none any more.
    fn local_addr(&self) -> io::Result<SocketAddr>;
}

impl Accept for TcpListener {
    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<(TcpStream, SocketAddr)>> {
        Self::poll_accept(self, cx)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Self::local_addr(self)
    }
}

/// The operating system's sockets.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct Tcp;

impl Bind for Tcp {
    type Listener = TcpListener;

    fn bind(&mut self, address: SocketAddr) -> io::Result<TcpListener> {
        let socket = Socket::new(
            Domain::for_address(address),
            Type::STREAM,
            Some(Protocol::TCP),
        )?;
        if address.is_ipv6() {
            // Else it would take the IPv4 port, too, on some systems.
            socket.set_only_v6(true)?;
        }
        // Lets a restarted server have its port while old connections are in TIME_WAIT. On Windows
        // it would let two servers share a port, each getting some of the connections.
        #[cfg(unix)]
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        TcpListener::from_std(socket.into())
    }
}

/// Takes over a socket that must be bound to this address.
pub(super) fn adopt(
    socket: std::net::TcpListener,
    ip: IpAddr,
) -> io::Result<(TcpListener, SocketAddr)> {
    let address = socket.local_addr()?;
    if address.ip() != ip {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("a socket bound to {address} was given for {ip}; bind it to {ip}"),
        ));
    }
    socket.set_nonblocking(true)?;
    Ok((TcpListener::from_std(socket)?, address))
}

/// Connections that wait to be accepted. Linux cuts it to `net.core.somaxconn`.
const BACKLOG: i32 = 1024;
