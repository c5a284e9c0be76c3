//! The port's listening sockets, bound or inherited.

use super::Estate;
use crate::server::http::{LOOPBACK, port_holder};
use mcp_transport_core::loopback::{Bind, Loopback, Tcp};
use std::io;
use std::net::{SocketAddr, TcpListener};

/// A port that was taken, and what its owner leaves behind.
#[derive(Debug)]
pub(in crate::server) struct Taken {
    pub(in crate::server) listener: Loopback<Sockets>,
    pub(in crate::server) estate: Estate,
}

impl Taken {
    /// Takes a port on both loopback families, or the one that can be had; 0 chooses one.
    ///
    /// # Errors
    /// If neither can be had. The text names who holds it, where the operating system tells.
    pub(in crate::server) fn either(port: u16) -> io::Result<Self> {
        Self::bind(First::Either, Vec::new(), Estate::default(), port).map_err(|error| {
            match port_holder(port, &LOOPBACK) {
                Some(holder) => {
                    let text = format!(
                        "port {port} is held by {holder}: end that program, or choose another port with --http-url (and set the same URL in Unity's MCP window)"
                    );
                    io::Error::new(error.kind(), text)
                }
                None => error,
            }
        })
    }

    /// Takes the port on both addresses, or none: `127.0.0.1` is the lock, and `[::1]` is not even touched without it. Two
    /// that came at once could each get one otherwise.
    ///
    /// # Errors
    /// If `127.0.0.1` is not to be had.
    pub(in crate::server) fn first_of_both(port: u16) -> io::Result<Self> {
        Self::bind(First::Lock, Vec::new(), Estate::default(), port)
    }

    /// Accepts on sockets that are bound already. A family that is not among them is bound if it can be.
    #[cfg_attr(not(unix), expect(dead_code, reason = "no sockets are passed there"))]
    pub(super) fn inherited(
        sockets: Vec<TcpListener>,
        estate: Estate,
        port: u16,
    ) -> io::Result<Self> {
        Self::bind(First::Has, sockets, estate, port)
    }

    fn bind(
        first: First,
        inherited: Vec<TcpListener>,
        estate: Estate,
        port: u16,
    ) -> io::Result<Self> {
        let sockets = Sockets {
            first,
            inherited,
            estate: estate.clone(),
        };
        let listener = Loopback::bind_with(sockets, port)?;
        Ok(Self { listener, estate })
    }
}

/// Makes the port's sockets, and puts each into the estate.
#[derive(Debug)]
pub(in crate::server) struct Sockets {
    first: First,
    inherited: Vec<TcpListener>,
    estate: Estate,
}

/// How the first address goes with the second.
#[derive(Debug)]
enum First {
    /// Either will do.
    Either,
    /// The first one is to be had before the second is tried.
    Lock,
    /// The first one is not ours; that was its code.
    Lost(io::ErrorKind),
    /// Whatever is bound from here on is bound again.
    Has,
}

impl Bind for Sockets {
    type Listener = <Tcp as Bind>::Listener;

    fn bind(&mut self, address: SocketAddr) -> io::Result<Self::Listener> {
        self.estate.lose(address);
        let of = |socket: &TcpListener| socket.local_addr().is_ok_and(|at| at == address);
        let bound = match self.inherited.iter().position(of) {
            Some(at) => adopt(self.inherited.swap_remove(at)),
            None => self.fresh(address),
        }?;
        self.estate.keep(address, &bound);
        Ok(bound)
    }
}

impl Sockets {
    fn fresh(&mut self, address: SocketAddr) -> io::Result<<Self as Bind>::Listener> {
        match self.first {
            First::Either | First::Has => Tcp::default().bind(address),
            First::Lost(kind) => Err(io::Error::new(kind, "127.0.0.1 is not to be had")),
            First::Lock => {
                let bound = Tcp::default().bind(address);
                self.first = match &bound {
                    Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                        First::Lost(error.kind())
                    }
                    _ => First::Has,
                };
                bound
            }
        }
    }
}

impl Drop for Sockets {
    /// Nobody accepts here any more, so somebody else may.
    fn drop(&mut self) {
        self.estate.close();
    }
}

fn adopt(socket: TcpListener) -> io::Result<<Sockets as Bind>::Listener> {
    socket.set_nonblocking(true)?;
    tokio::net::TcpListener::from_std(socket)
}
