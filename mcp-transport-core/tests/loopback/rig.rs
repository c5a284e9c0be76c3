//! Faults, through the front door: a way to make sockets that fail to order.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::net::{TcpListener as StdListener, TcpStream as Client};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use mcp_transport_core::loopback::{Accept, Bind, Loopback, Tcp};
use socket2::{Domain, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

/// Binds real sockets, unless a fault is due.
#[derive(Clone, Debug, Default)]
pub struct Rig {
    pub v4: Script,
    pub v6: Script,
}

#[derive(Clone, Debug, Default)]
pub struct Script(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    accepts: VecDeque<Fault>,
    binds: VecDeque<i32>,
    every_bind: Option<i32>,
    bound_at: Vec<Instant>,
}

#[derive(Clone, Copy, Debug)]
pub enum Fault {
    Code(i32),
    Kind(io::ErrorKind),
}

impl Rig {
    pub fn listen(&self) -> Loopback<Self> {
        Loopback::bind_with(self.clone(), 0).expect("loopback can be bound")
    }

    fn script(&self, address: SocketAddr) -> &Script {
        if address.is_ipv4() {
            &self.v4
        } else {
            &self.v6
        }
    }
}

impl Script {
    /// The next accepts fail so, in this order.
    pub fn fail_accepts(&self, faults: impl IntoIterator<Item = Fault>) {
        self.0.lock().unwrap().accepts.extend(faults);
    }

    /// The next binds fail so, in this order.
    pub fn fail_binds(&self, codes: impl IntoIterator<Item = i32>) {
        self.0.lock().unwrap().binds.extend(codes);
    }

    /// Whatever is bound from now on fails so.
    pub fn fail_every_bind(&self, code: impl Into<Option<i32>>) {
        self.0.lock().unwrap().every_bind = code.into();
    }

    /// When something was bound, or should have been.
    pub fn bound_at(&self) -> Vec<Instant> {
        self.0.lock().unwrap().bound_at.clone()
    }
}

impl Bind for Rig {
    type Listener = Rigged;

    fn bind(&mut self, address: SocketAddr) -> io::Result<Rigged> {
        let script = self.script(address).clone();
        let fault = {
            let mut inner = script.0.lock().unwrap();
            inner.bound_at.push(Instant::now());
            inner.binds.pop_front().or(inner.every_bind)
        };
        match fault {
            Some(code) => Err(io::Error::from_raw_os_error(code)),
            None => Ok(Rigged {
                socket: Tcp::default().bind(address)?,
                script,
            }),
        }
    }
}

#[derive(Debug)]
pub struct Rigged {
    socket: TcpListener,
    script: Script,
}

impl Accept for Rigged {
    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<(TcpStream, SocketAddr)>> {
        let fault = self.script.0.lock().unwrap().accepts.pop_front();
        match fault {
            Some(Fault::Code(code)) => Poll::Ready(Err(io::Error::from_raw_os_error(code))),
            Some(Fault::Kind(kind)) => Poll::Ready(Err(kind.into())),
            None => Accept::poll_accept(&mut self.socket, cx),
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }
}

/// Connects without a runtime; the connection waits in the backlog.
pub fn dial(host: &str, port: u16) -> Client {
    Client::connect((host, port)).expect("somebody listens")
}

/// Two sockets of one port.
pub fn sockets() -> (u16, [StdListener; 2]) {
    loop {
        let v4 = StdListener::bind("127.0.0.1:0").expect("loopback can be bound");
        let port = v4.local_addr().expect("it is bound").port();
        if let Ok(v6) = StdListener::bind(("::1", port)) {
            return (port, [v4, v6]);
        }
    }
}

/// A listener on one family. The other has a socket on the same port that does not listen, so that
/// it refuses who dials, and no other test can have it.
pub struct Lone {
    pub listener: StdListener,
    pub other: Socket,
    pub port: u16,
}

impl Lone {
    pub fn on(host: &str) -> Self {
        let host: IpAddr = host.parse().unwrap();
        let other: IpAddr = match host {
            IpAddr::V4(_) => Ipv6Addr::LOCALHOST.into(),
            IpAddr::V6(_) => Ipv4Addr::LOCALHOST.into(),
        };
        loop {
            let listener = StdListener::bind((host, 0)).unwrap();
            let port = listener.local_addr().unwrap().port();
            let address = SocketAddr::new(other, port);
            let other = Socket::new(Domain::for_address(address), Type::STREAM, None).unwrap();
            if other.bind(&address.into()).is_ok() {
                return Self {
                    listener,
                    other,
                    port,
                };
            }
        }
    }
}

/// Long enough for a slow machine; a failure, not a measurement.
pub const LONG: Duration = Duration::from_secs(20);

#[cfg(target_os = "linux")]
pub mod codes {
    pub const TRANSIENT: i32 = 103; // ECONNABORTED
    pub const EXHAUSTED: i32 = 24; // EMFILE
    pub const DEAD: i32 = 22; // EINVAL
    pub const TAKEN: i32 = 98; // EADDRINUSE
    pub const ABSENT: [i32; 2] = [97, 99]; // EAFNOSUPPORT, EADDRNOTAVAIL
}

#[cfg(windows)]
pub mod codes {
    pub const TRANSIENT: i32 = 64; // ERROR_NETNAME_DELETED
    pub const EXHAUSTED: i32 = 10024; // WSAEMFILE
    pub const DEAD: i32 = 10038; // WSAENOTSOCK
    pub const TAKEN: i32 = 10048; // WSAEADDRINUSE
    pub const ABSENT: [i32; 2] = [10047, 10049]; // WSAEAFNOSUPPORT, WSAEADDRNOTAVAIL
}

#[cfg(not(any(target_os = "linux", windows)))]
pub mod codes {
    pub const TRANSIENT: i32 = 53; // ECONNABORTED
    pub const EXHAUSTED: i32 = 24; // EMFILE
    pub const DEAD: i32 = 22; // EINVAL
    pub const TAKEN: i32 = 48; // EADDRINUSE
    pub const ABSENT: [i32; 2] = [47, 49]; // EAFNOSUPPORT, EADDRNOTAVAIL
}
