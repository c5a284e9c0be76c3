//! Where no socket can be handed to another process: nothing is left behind, and nothing inherited.

use super::Taken;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use tokio::net::TcpListener;

/// Nothing.
#[derive(Clone, Debug, Default)]
pub(in crate::server) struct Estate(());

impl Estate {
    pub(super) const fn keep(&self, _: SocketAddr, _: &TcpListener) {}

    pub(super) const fn lose(&self, _: SocketAddr) {}

    pub(super) const fn close(&self) {}

    pub(in crate::server) async fn give(&self, _: &str) {}
}

/// There is none.
#[derive(Debug)]
pub(in crate::server) struct Heir(Infallible);

impl Heir {
    pub(in crate::server) fn is_ours(&self) -> bool {
        match self.0 {}
    }

    pub(in crate::server) fn take(self) -> io::Result<Taken> {
        match self.0 {}
    }

    pub(in crate::server) fn close(self) {
        match self.0 {}
    }
}

/// There is none.
#[derive(Debug)]
pub(in crate::server) struct Door(Infallible);

impl Door {
    #[expect(clippy::unused_async, reason = "as where there is one")]
    pub(in crate::server) async fn open() -> Option<Self> {
        None
    }

    pub(in crate::server) fn name(&self) -> &str {
        match self.0 {}
    }

    #[expect(clippy::unused_async, reason = "as where there is one")]
    pub(in crate::server) async fn receive(self, _: u16) -> Option<Heir> {
        match self.0 {}
    }
}
