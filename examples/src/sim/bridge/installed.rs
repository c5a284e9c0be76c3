//! The installed plugin's listener (10.1): whoever connects ends everybody else, who hears nothing.
//!
//! It is written apart from [`BridgeListener`](mcp_transport_stdio::bridge::BridgeListener) on
//! purpose: what must get on with the installed plugin is tested against its rules, not against a
//! mode of our own code. So it has no seats and no memory: each frame that it reads is a command to
//! be executed, and what it has read it executes, though the connection may be gone by then.

#![expect(
    clippy::disallowed_methods,
    reason = "a shell: a task for each connection, and its patience"
)]

use std::net::Ipv4Addr;
use std::time::Duration;

use bytes::Bytes;
use futures::{SinkExt, StreamExt};
use mcp_transport_core::codec::{LengthPrefixed, framed};
use mcp_transport_core::loopback::Loopback;
use mcp_transport_core::memory::{self, End};
use mcp_transport_core::{Error, ErrorKind, Listener, Message};
use mcp_transport_stdio::bridge::wire::{MAX_PAYLOAD, PING, PONG, WELCOME};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tracing::debug;

/// Who says nothing for so long is closed.
const IDLE: Duration = Duration::from_secs(30);

/// Connections that the main loop has not taken up yet. The plugin has no such limit; each newcomer
/// ends the others, so more than a few are never alive.
const ROOM: usize = 64;

#[derive(Debug)]
pub(super) struct Installed {
    port: u16,
    accepted: mpsc::Receiver<End>,
    task: JoinHandle<()>,
}

impl Installed {
    pub(super) fn bind(port: u16) -> Result<Self, Error> {
        let socket = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
        let loopback = Loopback::from_std(Some(socket), None)?;
        let port = loopback.local_port();
        let (served, accepted) = mpsc::channel(ROOM);
        let task = tokio::spawn(listen(loopback, served));
        Ok(Self {
            port,
            accepted,
            task,
        })
    }

    pub(super) fn local_port(&self) -> u16 {
        self.port
    }
}

impl Listener for Installed {
    type Transport = End;

    async fn accept(&mut self) -> Result<End, Error> {
        let end = self.accepted.recv().await;
        end.ok_or_else(|| Error::new(ErrorKind::Closed).context("the listener's task is gone"))
    }
}

impl Drop for Installed {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn listen(mut loopback: Loopback, served: mpsc::Sender<End>) {
    let mut only: Option<JoinHandle<()>> = None;
    loop {
        let (mut stream, from) = loopback.accept().await;
        // The newcomer is welcomed, and then the others are closed.
        if stream.write_all(WELCOME).await.is_err() {
            continue;
        }
        if let Some(former) = only.take() {
            former.abort();
        }
        let (theirs, ours) = memory::pair(1);
        if served.send(ours).await.is_err() {
            return;
        }
        only = Some(tokio::spawn(async move {
            let why = converse(stream, theirs).await;
            debug!(%from, "a bridge connection ended: {why}");
        }));
    }
}

/// One connection to its end: one frame after the other, a ping answered here.
async fn converse(stream: TcpStream, mut editor: End) -> String {
    let mut io = framed(stream, LengthPrefixed::with_limit(MAX_PAYLOAD));
    loop {
        let frame = tokio::select! {
            frame = timeout(IDLE, io.next()) => match frame {
                Ok(Some(Ok(frame))) => frame,
                Ok(Some(Err(error))) => return error.to_string(),
                Ok(None) => return "closed".to_owned(),
                Err(_elapsed) => return format!("silent for {IDLE:?}"),
            },
            _ = editor.next() => return "the domain is gone".to_owned(),
        };
        let answer = if frame.as_bytes().trim_ascii() == PING {
            Message::from(Bytes::from_static(PONG))
        } else {
            if editor.send(frame).await.is_err() {
                return "the domain is gone".to_owned();
            }
            match editor.next().await {
                Some(Ok(answer)) => answer,
                _ => return "the domain is gone".to_owned(),
            }
        };
        if let Err(error) = io.send(answer).await {
            return error.to_string();
        }
    }
}
