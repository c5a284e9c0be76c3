//! The listener's side of one connection: its own task, so that pings are answered and notices sent whatever the
//! application does.
//!
//! ```text
//!             ┌── ping: pong ──┐
//!  welcome ─► idle ── claim ───┤─► waits for the hub's order ─► writes it ─► idle
//!             └── command ─────┘   (reads on, one frame at most, to see the peer's end)
//! ```
#![expect(
    clippy::disallowed_methods,
    reason = "a shell: it bounds writes and silence"
)]

use super::hub::{Hub, Order, Verdict};
use super::resend::{Repeats, Ticket};
use super::seat::Peer;
use super::served::{Item, Served};
use super::wire::{self, Request};
use bytes::Bytes;
use futures::{SinkExt as _, StreamExt as _};
use mcp_transport_core::codec::{Framed, LengthPrefixed};
use mcp_transport_core::{Error, ErrorKind, Eviction, Message};
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};

/// How long a loser's notice may take, and its goodbye with it.
pub(super) const NOTICE_TIMEOUT: Duration = Duration::from_millis(500);

/// How long the peer may take to read one answer; the installed plugin means to allow as much.
pub(super) const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a connection may say nothing that matters, before it has anything to lose; the installed plugin (10.1) closes
/// any connection after that.
pub(super) const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

pub(super) struct Connection {
    io: Framed<TcpStream, LengthPrefixed>,
    from: SocketAddr,
    peer: Peer,
    hub: Arc<Hub>,
    orders: mpsc::UnboundedReceiver<Order>,
    accepted: mpsc::Sender<Served>,
    application: Application,
    /// Who asks for the seat by name knows when to repeat what.
    repeats: Repeats,
    /// The peer waits for an answer, so nothing more is taken from it.
    outstanding: bool,
    /// Read, and not taken yet.
    held: Option<Message>,
    /// The peer will say nothing more.
    eof: bool,
    /// The application let go while an answer was being written.
    closing: bool,
    heard: Instant,
}

enum Application {
    Unaware,
    Serves(mpsc::Sender<Item>),
    Gone,
}

enum End {
    /// The peer went, in order.
    Gone,
    Lost(Error),
    Evicted {
        eviction: Eviction,
        tell: bool,
    },
    /// The application, or our own rules, closed it.
    Closed,
}

impl Connection {
    pub(super) async fn serve(
        mut stream: TcpStream,
        from: SocketAddr,
        hub: Arc<Hub>,
        accepted: mpsc::Sender<Served>,
    ) {
        let (peer, orders) = match hub.arrive(from.to_string()) {
            Ok(arrived) => arrived,
            Err(error) => {
                tracing::warn!(%from, %error, "a bridge connection was turned away");
                return;
            }
        };
        // Fits into any socket's buffer; a peer that is gone already is seen by the first read.
        let welcomed = timeout(WRITE_TIMEOUT, stream.write_all(wire::WELCOME)).await;
        let mut connection = Self {
            io: mcp_transport_core::codec::framed(
                stream,
                LengthPrefixed::with_limit(wire::MAX_PAYLOAD),
            ),
            from,
            peer,
            hub,
            orders,
            accepted,
            application: Application::Unaware,
            repeats: Repeats::Blindly,
            outstanding: false,
            held: None,
            eof: false,
            closing: false,
            heard: Instant::now(),
        };
        let end = match welcomed {
            Ok(Ok(())) => connection.run().await.err().unwrap_or(End::Closed),
            Ok(Err(error)) => End::Lost(error.into()),
            Err(_) => End::Closed,
        };
        connection.finish(end).await;
    }

    async fn run(&mut self) -> Result<(), End> {
        loop {
            if self.closing {
                return Err(End::Closed);
            }
            if !self.outstanding {
                if let Some(frame) = self.held.take() {
                    self.frame(frame).await?;
                    continue;
                }
                if self.eof {
                    return Err(End::Gone);
                }
            }
            let unaware = matches!(self.application, Application::Unaware);
            let may_idle = unaware && !self.outstanding;
            tokio::select! {
                biased;
                order = self.orders.recv() => match order {
                    Some(order) => self.order(order).await?,
                    None => return Err(End::Closed),
                },
                frame = self.io.next(), if self.held.is_none() && !self.eof => match frame {
                    Some(Ok(frame)) => {
                        self.heard = Instant::now();
                        self.hub.heard(self.peer);
                        self.held = Some(frame);
                    }
                    Some(Err(error)) => return Err(End::Lost(error)),
                    None => self.half_closed()?,
                },
                () = self.accepted.closed(), if unaware => return Err(End::Closed),
                () = sleep_until(self.heard + IDLE_TIMEOUT), if may_idle => return Err(End::Closed),
            }
        }
    }

    /// Takes a frame; nothing is outstanding.
    async fn frame(&mut self, frame: Message) -> Result<(), End> {
        match wire::request(frame.as_bytes()) {
            Request::Ping => self.write(Bytes::from_static(wire::PONG)).await,
            Request::Seat(claim) => {
                self.outstanding = true;
                self.repeats = Repeats::Knowingly;
                self.hub.claim(self.peer, claim);
                Ok(())
            }
            Request::Command => match self.hub.command(self.peer, self.repeats, frame.as_bytes()) {
                Verdict::Run(ticket) => {
                    self.outstanding = true;
                    self.meet_application()?;
                    self.hand(Item::Command(ticket, frame))
                }
                Verdict::Wait => {
                    tracing::debug!(from = %self.from, "a command was sent again while it runs");
                    self.outstanding = true;
                    Ok(())
                }
                Verdict::Answer(ticket, answer) => {
                    if ticket.is_some() {
                        tracing::debug!(from = %self.from, "a command was sent again that ran");
                    }
                    self.write(answer).await?;
                    self.answered(ticket);
                    Ok(())
                }
            },
        }
    }

    async fn order(&mut self, order: Order) -> Result<(), End> {
        match order {
            Order::Grant => {
                self.outstanding = false;
                self.heard = Instant::now();
                self.write(Bytes::from_static(wire::PONG)).await?;
                self.meet_application()
            }
            Order::Refuse(refusal) => {
                self.outstanding = false;
                self.write(refusal.to_frame()).await
            }
            Order::Answer { ticket, answer } => {
                self.outstanding = false;
                self.write(answer).await?;
                self.answered(ticket);
                Ok(())
            }
            Order::Evict { eviction, tell } => Err(End::Evicted { eviction, tell }),
            Order::Close => Err(End::Closed),
        }
    }

    fn answered(&self, ticket: Option<Ticket>) {
        // Who has ended its stream may have closed it: what was written then may not have arrived.
        let arrived = ticket.filter(|_| !self.eof);
        self.hub.answered(self.peer, arrived);
    }

    /// The peer ended its stream. It may still read the answer to what runs.
    fn half_closed(&mut self) -> Result<(), End> {
        self.eof = true;
        if !self.outstanding {
            return Ok(());
        }
        if self.hub.half_closed(self.peer) {
            // Ends the application's stream; its answer is awaited still.
            self.application = Application::Gone;
            return Ok(());
        }
        Err(End::Gone)
    }

    /// The connection matters to the application from now on.
    fn meet_application(&mut self) -> Result<(), End> {
        if !matches!(self.application, Application::Unaware) {
            return Ok(());
        }
        let (items, rx) = mpsc::channel(ITEMS);
        let served = Served::new(Arc::clone(&self.hub), self.peer, self.from, rx);
        if self.accepted.try_send(served).is_err() {
            tracing::warn!(from = %self.from, "the application accepts no bridge connections");
            return Err(End::Closed);
        }
        self.application = Application::Serves(items);
        Ok(())
    }

    fn hand(&self, item: Item) -> Result<(), End> {
        match &self.application {
            Application::Serves(items) => items.try_send(item).map_err(|_| End::Closed),
            Application::Unaware | Application::Gone => Err(End::Closed),
        }
    }

    /// Writes one frame. An eviction does not wait for a peer that does not read.
    async fn write(&mut self, frame: Bytes) -> Result<(), End> {
        let Self {
            io,
            orders,
            closing,
            ..
        } = self;
        let mut write = pin!(timeout(WRITE_TIMEOUT, io.send(Message::from(frame))));
        loop {
            tokio::select! {
                biased;
                written = &mut write => return match written {
                    Ok(Ok(())) => Ok(()),
                    Ok(Err(error)) => Err(End::Lost(error)),
                    Err(_) => Err(End::Lost(Error::new(ErrorKind::TimedOut).context(format!(
                        "the client did not read an answer within {} s", WRITE_TIMEOUT.as_secs()
                    )))),
                },
                order = orders.recv() => match order {
                    Some(Order::Evict { eviction, tell }) => return Err(End::Evicted { eviction, tell }),
                    Some(Order::Close) => *closing = true,
                    // Nothing else is outstanding.
                    _ => {}
                },
            }
        }
    }

    async fn finish(mut self, end: End) {
        let from = self.from;
        self.hub.hush(self.peer);
        match end {
            End::Gone => tracing::debug!(%from, "a bridge client left"),
            End::Lost(error) => {
                tracing::debug!(%from, %error, "a bridge connection broke");
                let _ = self.hand(Item::End(error));
            }
            End::Evicted { eviction, tell } => {
                tracing::info!(%from, by = eviction.newcomer(), "a bridge client lost its seat");
                let notice = tell.then(|| eviction.to_notice());
                let _ = self.hand(Item::End(Error::evicted(eviction)));
                self.application = Application::Gone;
                // Best effort: who does not read hears nothing, and holds up nobody.
                let _ = timeout(NOTICE_TIMEOUT, self.say_goodbye(notice)).await;
            }
            End::Closed => {
                let _ = timeout(NOTICE_TIMEOUT, self.say_goodbye(None)).await;
            }
        }
        self.hub.leave(self.peer);
    }

    /// Sends what is left and the end of our stream, then reads until the peer's: a socket that is closed with unread bytes
    /// is reset, and a reset may overtake the notice.
    async fn say_goodbye(&mut self, notice: Option<Vec<u8>>) -> Result<(), Error> {
        if let Some(notice) = notice {
            self.io.feed(Message::from(notice)).await?;
        }
        self.io.close().await?;
        while let Some(Ok(_)) = self.io.next().await {}
        Ok(())
    }
}

/// A command that waits to be taken, the end, and commands that were withdrawn before the application looked.
const ITEMS: usize = 8;
