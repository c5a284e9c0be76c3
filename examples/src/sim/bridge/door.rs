//! Either listener: ours, with seats, or one that keeps the installed plugin's rule.

use std::io;

use futures::StreamExt;
use mcp_transport_core::loopback::FamilyState;
use mcp_transport_core::{BoxTransport, Error, ErrorKind, Listener, Message};
use mcp_transport_stdio::bridge::{BridgeConfig, BridgeListener, Memory};

use super::installed::Installed;
use crate::sim::Options;

/// A client's connection: its commands, and the way of their answers.
pub(super) type Client = BoxTransport;

#[derive(Debug)]
pub(super) enum Door {
    Ours(BridgeListener),
    Installed(Installed),
}

pub(super) enum Bound {
    Listens(Door),
    Busy,
    Failed(Error),
}

impl Door {
    pub(super) fn open(port: u16, options: &Options, memory: &Memory) -> Bound {
        let opened = if options.installed_rule {
            Installed::bind(port).map(Self::Installed)
        } else {
            let config = BridgeConfig::new()
                .policy(options.policy)
                .notice(options.notice)
                .memory(memory.clone());
            BridgeListener::bind(port, config).map(Self::Ours)
        };
        match opened {
            // The plugin has one address; that the other one is free does not help.
            Ok(Self::Ours(listener)) if listener.health().v4.state == FamilyState::PortTaken => {
                Bound::Busy
            }
            Ok(door) => Bound::Listens(door),
            Err(error) if is_busy(&error) => Bound::Busy,
            Err(error) => Bound::Failed(error),
        }
    }

    /// Closes it with all its connections; says what the next one is to know. The installed rule has
    /// no memory.
    pub(super) async fn close(self) -> Memory {
        match self {
            Self::Ours(listener) => listener.close().await,
            Self::Installed(_) => Memory::default(),
        }
    }

    pub(super) fn port(&self) -> u16 {
        match self {
            Self::Ours(listener) => listener.local_port(),
            Self::Installed(listener) => listener.local_port(),
        }
    }
}

impl Listener for Door {
    type Transport = Client;

    async fn accept(&mut self) -> Result<Client, Error> {
        match self {
            Self::Ours(listener) => Ok(Box::pin(listener.accept().await?)),
            Self::Installed(listener) => Ok(Box::pin(listener.accept().await?)),
        }
    }
}

/// What a connection said next.
pub(super) enum Next {
    Command(Client, Message),
    /// It ended, and is closed with that.
    Gone(Error),
}

pub(super) async fn next_command(mut client: Client) -> Next {
    match client.next().await {
        Some(Ok(command)) => Next::Command(client, command),
        Some(Err(error)) => Next::Gone(error),
        None => Next::Gone(ErrorKind::Closed.into()),
    }
}

fn is_busy(error: &Error) -> bool {
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        if let Some(io) = cause.downcast_ref::<io::Error>() {
            return io.kind() == io::ErrorKind::AddrInUse;
        }
        source = cause.source();
    }
    false
}
