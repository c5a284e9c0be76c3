//! A listener on `127.0.0.1` **and** `[::1]` that heals itself, and the dial that finds either.
//!
//! A client that says `localhost` may try either address, and a host may listen on only one; so the
//! listener has both, and [`connect`] tries both.
//!
//! No error of `accept(2)` ends a [`Loopback`]. Each is [classified](accept_error): a client that
//! went away costs nothing, a process out of file descriptors waits and goes on, and a socket that
//! died (some do, after the machine slept) is bound again within a second. Each family is on its
//! own: one that the machine lacks, or whose port somebody else has, never stops the other.
//! [`Loopback::health`] says how each of them is, and what went wrong last; the log (`tracing`) says
//! what changed, and every [`SAID_AGAIN`] that it still is so.
//!
//! ```
//! use mcp_transport_core::loopback::{self, Loopback};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut listener = Loopback::bind(0)?;
//! let port = listener.local_port();
//! let (client, (_stream, from)) = tokio::join!(loopback::connect(port), listener.accept());
//! assert_eq!(client?.local_addr()?, from);
//! # Ok(())
//! # }
//! ```

use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::task::{Context, Poll};

use tokio::net::TcpStream;
use tokio::sync::watch;

pub use bind::{Accept, Bind, Tcp};
pub use connect::{ATTEMPT_TIMEOUT, connect, connect_host};
pub use family::{ABSENT_RETRY, EXHAUSTED_WAIT, REBIND_WAIT, TRANSIENTS};
pub use health::{Failure, FamilyHealth, FamilyState, Health};
pub use telling::SAID_AGAIN;

use family::Family;

pub mod accept_error;
mod bind;
mod connect;
mod family;
mod health;
mod telling;

/// A listener on both loopback addresses of one port. It never fails, once it is bound.
///
/// There is no task behind it: it heals while somebody waits in [`accept`](Self::accept), which is
/// what a server does all day.
///
/// On Unix the port may be taken again at once after the server was restarted (`SO_REUSEADDR`). On
/// Windows that option would let two servers share a port, and is not set: a port that another
/// socket has is refused there. A program that sets it for itself can still join the port, as long
/// as the same user runs it; only `SO_EXCLUSIVEADDRUSE` forbids that, which no safe API sets.
#[derive(Debug)]
pub struct Loopback<B: Bind = Tcp> {
    binder: B,
    port: u16,
    v4: Family<B::Listener>,
    v6: Family<B::Listener>,
    /// Whose turn it is to be asked first, so that neither starves the other.
    v6_first: bool,
    health: watch::Sender<Health>,
}

impl Loopback {
    /// Listens on a port of both families; 0 chooses one that is free in both.
    ///
    /// # Errors
    /// Only if neither family can be bound; the error names the port and what the operating system
    /// said of each. If one of them can, the other is tried again as long as this lives, and
    /// [`health`](Self::health) says so.
    ///
    /// # Panics
    /// Outside a tokio runtime with I/O and time.
    pub fn bind(port: u16) -> io::Result<Self> {
        Self::bind_with(Tcp, port)
    }

    /// Listens on sockets that are bound already, say by whoever started this process.
    ///
    /// A family that is not given stays [`Off`](FamilyState::Off). One that dies is bound again by
    /// its own address.
    ///
    /// # Errors
    /// If there is no socket at all, or one is bound to anything but its family's loopback address.
    ///
    /// # Panics
    /// Outside a tokio runtime with I/O and time.
    pub fn from_std(
        v4: Option<std::net::TcpListener>,
        v6: Option<std::net::TcpListener>,
    ) -> io::Result<Self> {
        let v4 = v4.map(|socket| bind::adopt(socket, V4)).transpose()?;
        let v6 = v6.map(|socket| bind::adopt(socket, V6)).transpose()?;
        let Some(port) = v4
            .as_ref()
            .or(v6.as_ref())
            .map(|(_, address)| address.port())
        else {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "no socket was given to listen on; give that of 127.0.0.1 or [::1]",
            ));
        };
        let (health, report4, report6) = health::board(port);
        let family = |given: Option<_>, report| match given {
            Some((listener, address)) => Family::new(address, Ok(listener), report),
            None => Family::off(report),
        };
        let (v4, v6) = (family(v4, report4), family(v6, report6));
        Ok(Self {
            binder: Tcp,
            port,
            v4,
            v6,
            v6_first: false,
            health,
        })
    }
}

impl<B: Bind> Loopback<B> {
    /// Like [`bind`](Loopback::bind), with somebody else's way to make sockets.
    ///
    /// # Errors
    /// Only if neither family can be bound.
    pub fn bind_with(mut binder: B, port: u16) -> io::Result<Self> {
        let (v4, v6) = bind_both(&mut binder, port);
        let (port, v4, v6) = match (v4, v6) {
            (Err(v4), Err(v6)) => return Err(cannot_listen(port, &v4, &v6)),
            (v4, v6) => (
                port_of(&v4).or_else(|| port_of(&v6)).unwrap_or(port),
                v4,
                v6,
            ),
        };
        let (health, report4, report6) = health::board(port);
        let v4 = Family::new(SocketAddr::new(V4, port), v4, report4);
        let v6 = Family::new(SocketAddr::new(V6, port), v6, report6);
        Ok(Self {
            binder,
            port,
            v4,
            v6,
            v6_first: false,
            health,
        })
    }

    /// Waits for the next connection, and heals whatever breaks meanwhile.
    ///
    /// The families are asked in turn, so a flood on one leaves the other its share. `TCP_NODELAY`
    /// is set.
    ///
    /// # Cancel safety
    /// This method is cancel safe. If it is dropped before it is done, no connection was taken and
    /// no healing is lost.
    pub async fn accept(&mut self) -> (TcpStream, SocketAddr) {
        poll_fn(|cx| self.poll_accept(cx)).await
    }

    /// Polls for the next connection; see [`accept`](Self::accept).
    pub fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<(TcpStream, SocketAddr)> {
        let Self {
            binder,
            v4,
            v6,
            v6_first,
            ..
        } = self;
        let turns = if *v6_first { [v6, v4] } else { [v4, v6] };
        for family in turns {
            if let Poll::Ready(connection) = family.poll_accept(binder, cx) {
                *v6_first = !*v6_first;
                return Poll::Ready(connection);
            }
        }
        Poll::Pending
    }

    /// Returns the port, also if it was chosen by [`bind`](Loopback::bind).
    pub fn local_port(&self) -> u16 {
        self.port
    }

    /// Returns how either family is at the moment.
    pub fn health(&self) -> Health {
        self.health.borrow().clone()
    }

    /// Returns a handle that sees the health change, for whoever does not own the listener.
    ///
    /// A change of state or a new failure wakes it; a count alone does not.
    pub fn watch_health(&self) -> watch::Receiver<Health> {
        self.health.subscribe()
    }
}

/// Binds both families to one number. The operating system chooses it for the first family alone,
/// so it may be taken in the other.
fn bind_both<B: Bind>(
    binder: &mut B,
    port: u16,
) -> (io::Result<B::Listener>, io::Result<B::Listener>) {
    let mut tries = PORT_TRIES;
    loop {
        let v4 = binder.bind(SocketAddr::new(V4, port));
        let chosen = port_of(&v4).unwrap_or(port);
        let v6 = binder.bind(SocketAddr::new(V6, chosen));
        tries -= 1;
        let is_taken = matches!(&v6, Err(error) if error.kind() == io::ErrorKind::AddrInUse);
        if port != 0 || !is_taken || tries == 0 {
            return (v4, v6);
        }
    }
}

fn port_of<L: Accept>(listener: &io::Result<L>) -> Option<u16> {
    listener
        .as_ref()
        .ok()?
        .local_addr()
        .ok()
        .map(|address| address.port())
}

/// Of the kind of the family that clients try first.
fn cannot_listen(port: u16, v4: &io::Error, v6: &io::Error) -> io::Error {
    let text = format!(
        "cannot listen on port {port}: 127.0.0.1: {v4}; [::1]: {v6}; \
         end the program that has the port, or choose another"
    );
    io::Error::new(v4.kind(), text)
}

const V4: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const V6: IpAddr = IpAddr::V6(Ipv6Addr::LOCALHOST);

/// How many numbers are tried until one is free in both families.
const PORT_TRIES: u32 = 16;
