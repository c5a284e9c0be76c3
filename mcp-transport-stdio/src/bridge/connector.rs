//! Dialling a bridge.

use super::transport::{BridgeTransport, LinkConfig};
use super::wire::{Claim, WELCOME_TIMEOUT};
use futures::{Sink, Stream};
use mcp_transport_core::loopback::{self, ATTEMPT_TIMEOUT};
use mcp_transport_core::{Connector, Error, ErrorKind, EvictionReason, Message};
use pin_project_lite::pin_project;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::watch;

/// Dials a bridge on this machine: the installed plugin's, or a [`BridgeListener`](super::BridgeListener).
///
/// Its first frame asks for the seat ([`Claim::Take`] unless [`claim`](Self::claim) says otherwise). After it has lost the
/// seat to a newer client it never takes it back by itself: from then on it asks for it [if it is free](Claim::IfFree), and
/// waits. [`SeatControl::take`] is for people who want it back now.
///
/// A bridge that knows no seats answers a claim as any ping, and every dial ends its other clients: there, do not dial
/// again by yourself after a loss. The dial loop does not; it stands by until it is woken.
///
/// ```no_run
/// use futures::{SinkExt, StreamExt};
/// use mcp_transport_core::{Connector, Error, Message};
/// use mcp_transport_stdio::bridge::BridgeConnector;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Error> {
/// let mut unity = BridgeConnector::new(6400).connect().await?;
/// unity.send(Message::from(r#"{"type":"get_editor_state","params":{}}"#)).await?;
/// println!("{:?}", unity.next().await);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct BridgeConnector<P = u16> {
    port: P,
    claim: Option<Claim>,
    config: LinkConfig,
    control: SeatControl,
}

/// Says whether the next dial takes the seat or waits for it. Clone it freely.
#[derive(Clone, Debug, Default)]
pub struct SeatControl {
    wish: watch::Sender<Wish>,
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum Wish {
    /// As the connector was configured.
    #[default]
    Own,
    Take,
    Wait,
}

impl SeatControl {
    /// The next dial takes the seat from whoever has it, and a dial that waits for the seat takes it now. Wake the dial
    /// loop after this: it may stand by without dialling.
    pub fn take(&self) {
        self.wish.send_replace(Wish::Take);
    }

    /// The next dials wait for the seat, as after a loss.
    pub fn wait(&self) {
        self.wish.send_replace(Wish::Wait);
    }

    /// True if the next dial waits for the seat because it was lost, or by [`wait`](Self::wait).
    pub fn is_waiting(&self) -> bool {
        *self.wish.borrow() == Wish::Wait
    }

    /// Ready once somebody wants the seat now.
    async fn taken(&self) {
        // Only an error if there are no senders, and we are one.
        let _ = self
            .wish
            .subscribe()
            .wait_for(|wish| *wish == Wish::Take)
            .await;
    }

    /// A wish to take the seat is for one connection.
    fn connected(&self) {
        self.wish.send_if_modified(|wish| {
            let granted = *wish == Wish::Take;
            if granted {
                *wish = Wish::Own;
            }
            granted
        });
    }
}

/// Where a bridge listens at the moment: a number, or what knows it by then.
pub trait Port: Send + 'static {
    /// The port to dial now.
    ///
    /// # Errors
    /// Why there is none; its kind says whether to try again by schedule.
    fn port(&mut self) -> Result<u16, Error>;
}

impl Port for u16 {
    fn port(&mut self) -> Result<u16, Error> {
        Ok(*self)
    }
}

impl<F: FnMut() -> Result<u16, Error> + Send + 'static> Port for F {
    fn port(&mut self) -> Result<u16, Error> {
        self()
    }
}

impl<P: Port> BridgeConnector<P> {
    /// Dials this port, on either loopback address. A function that looks the port up is asked before each dial: a bridge
    /// may move; see [`Projects::port_of`](crate::discovery::Projects::port_of).
    pub fn new(port: P) -> Self {
        Self {
            port,
            claim: Some(Claim::Take),
            config: LinkConfig::default(),
            control: SeatControl::default(),
        }
    }

    /// Sets what is asked for first. `None` asks for nothing, and takes the seat with the first command.
    #[must_use]
    pub const fn claim(mut self, claim: Option<Claim>) -> Self {
        self.claim = claim;
        self
    }

    /// Sets the settings of each connection.
    #[must_use]
    pub const fn config(mut self, config: LinkConfig) -> Self {
        self.config = config;
        self
    }

    /// By which others say whether to take the seat back.
    pub fn control(&self) -> SeatControl {
        self.control.clone()
    }

    fn next_claim(&self) -> Option<Claim> {
        match *self.control.wish.borrow() {
            Wish::Own => self.claim,
            Wish::Take => Some(Claim::Take),
            Wish::Wait => Some(Claim::IfFree),
        }
    }

    async fn dial(&mut self, claim: Option<Claim>) -> Result<Seated, Error> {
        let port = self.port.port()?;
        let stream = loopback::connect(port).await?;
        let opened = BridgeTransport::open_with(stream, claim, self.config, has_unread).await;
        let control = self.control();
        match opened {
            Ok(inner) => {
                control.connected();
                Ok(Seated { inner, control })
            }
            Err(error) => Err(control
                .note(error)
                .context(format!("the bridge on port {port}"))),
        }
    }
}

impl<P: Port> Connector for BridgeConnector<P> {
    type Transport = Seated;

    /// Dials, and waits for the seat where it is to be free.
    ///
    /// # Errors
    /// As [`BridgeTransport::open`], and those of the socket and of the [`Port`].
    ///
    /// # Cancel safety
    /// Dropping the future closes the connection; a seat that was granted meanwhile is free again.
    async fn connect(&mut self) -> Result<Seated, Error> {
        loop {
            let claim = self.next_claim();
            let control = self.control();
            tokio::select! {
                biased;
                dialled = self.dial(claim) => return dialled,
                () = control.taken(), if claim == Some(Claim::IfFree) => {}
            }
        }
    }

    /// Who waits for the seat waits as long as that takes.
    fn patience(&self) -> Option<Duration> {
        match self.next_claim() {
            Some(Claim::IfFree) => Some(Duration::MAX),
            Some(Claim::Take) => {
                Some(2 * ATTEMPT_TIMEOUT + WELCOME_TIMEOUT + self.config.claim_timeout)
            }
            None => None,
        }
    }
}

pin_project! {
    /// A connection that a [`BridgeConnector`] made: a [`BridgeTransport`] that remembers whether the seat was lost.
    #[derive(Debug)]
    pub struct Seated {
        #[pin]
        inner: BridgeTransport<TcpStream>,
        control: SeatControl,
    }
}

impl SeatControl {
    fn note(&self, error: Error) -> Error {
        if error.kind() == ErrorKind::Evicted(EvictionReason::Superseded) {
            self.wait();
        }
        error
    }
}

impl Stream for Seated {
    type Item = Result<Message, Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.project();
        let item = ready!(this.inner.poll_next(cx));
        Poll::Ready(item.map(|item| item.map_err(|error| this.control.note(error))))
    }
}

impl Sink<Message> for Seated {
    type Error = Error;

    fn poll_ready(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let this = self.project();
        let ready = ready!(this.inner.poll_ready(cx));
        Poll::Ready(ready.map_err(|error| this.control.note(error)))
    }

    fn start_send(self: Pin<&mut Self>, message: Message) -> Result<(), Error> {
        self.project().inner.start_send(message)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let this = self.project();
        let flushed = ready!(this.inner.poll_flush(cx));
        Poll::Ready(flushed.map_err(|error| this.control.note(error)))
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.project().inner.poll_close(cx)
    }
}

/// Asks the operating system itself: tokio learns of bytes when its reactor runs, which may be after a notice arrived.
fn has_unread(stream: &TcpStream) -> bool {
    let mut byte = [MaybeUninit::uninit()];
    // The socket does not block; the end of the stream counts, too.
    socket2::SockRef::from(stream).peek(&mut byte).is_ok()
}
