//! An address beyond this machine, under core's listener, which heals.

use mcp_transport_core::loopback::{Bind, Tcp};
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use tokio::net::TcpListener;

/// Binds a host's addresses in the place of the loopback ones: one of each family, at most.
#[derive(Clone, Copy, Debug)]
pub struct Public {
    v4: Option<IpAddr>,
    v6: Option<IpAddr>,
}

impl Public {
    /// The first addresses of a host: `0.0.0.0`, `::`, a name.
    ///
    /// # Errors
    /// If it has none.
    pub fn of(host: &str) -> io::Result<Self> {
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let found: Vec<SocketAddr> = (bare, 0).to_socket_addrs()?.collect();
        let first = |wanted: fn(&SocketAddr) -> bool| {
            found.iter().find(|it| wanted(it)).map(SocketAddr::ip)
        };
        Ok(Self {
            v4: first(SocketAddr::is_ipv4),
            v6: first(SocketAddr::is_ipv6),
        })
    }

    /// The addresses that are bound.
    pub fn addresses(self) -> Vec<IpAddr> {
        self.v4.into_iter().chain(self.v6).collect()
    }
}

impl Bind for Public {
    type Listener = TcpListener;

    fn bind(&mut self, address: SocketAddr) -> io::Result<TcpListener> {
        let ours = if address.is_ipv4() { self.v4 } else { self.v6 };
        // What a machine without this family would say.
        let ours = ours.ok_or(io::ErrorKind::AddrNotAvailable)?;
        Tcp::default().bind(SocketAddr::new(ours, address.port()))
    }
}
