//! The listener and its handle: what an application holds.

use super::builder::Builder;
use super::carried::{Carried, CarriedCall};
use super::client::BrokerClient;
use super::hub::Hub;
use super::state::Output;
use super::task::Order;
use super::token::TokenSource;
use crate::launch::Launch;
use mcp_transport_core::dial::Wake;
use mcp_transport_core::{Error, ErrorKind, Listener, State};
use std::convert::Infallible;
use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};

/// Takes MCP clients from a broker: the side of the application that reloads.
///
/// Each client of the broker, a legacy session or a modern connection, is a [`BrokerClient`], and
/// is served by a service of its own. That is the whole integration:
///
/// ```no_run
/// use futures::{SinkExt, StreamExt};
/// use mcp_transport_broker::host::{BrokerClient, BrokerListener};
/// use mcp_transport_core::{Error, Listener, Message};
///
/// async fn serve(mut client: BrokerClient) -> Result<(), Error> {
///     while let Some(request) = client.next().await.transpose()? {
///         if let Some(id) = request.id() {
///             client.send(Message::response(id, "pong")?).await?;
///         }
///     }
///     Ok(())
/// }
///
/// # async fn run(token: &str) -> Result<(), Error> {
/// let mut clients = BrokerListener::attach("http://127.0.0.1:8765", token)?;
/// while let Ok(client) = clients.accept().await {
///     tokio::spawn(serve(client));
/// }
/// # Ok(())
/// # }
/// ```
///
/// # What happens when…
///
/// | … | then |
/// |---|---|
/// | nobody listens there yet, or the broker goes | it is dialled by the schedule, 0, 1, 3, 5, 10, 30, 30 … s, or at once when [woken](Handle::wake) |
/// | another host is attached | the same, and no sooner than the broker says |
/// | whoever has the port cannot prove to know the token | it is not sent there; the broker is dialled when woken, or when the token file has changed |
/// | the token is refused, or the version | the same |
/// | a newer life of this host has attached | standby: dialled when woken, never a duel |
/// | the lease ends for any other reason | it attaches anew and says what it has: what no service has read is delivered again, what one has read is answered by it, and the answer pushed on the new lease |
/// | a new lease begins | the broker introduces each client anew, so each is accepted anew. The transports of the former lease end as soon as their services have answered what they have read |
/// | a client cancels a call | if no service has read it, none will; else the service reads `notifications/cancelled` |
/// | a client is gone | its transport ends, and what its service still answers is dropped |
/// | a service ends before its client | what it owes is answered with an [`Ending`](mcp_transport_core::Ending), and the broker is told |
/// | a service does not read | it holds up itself alone: at most the window's calls wait for it, and 256 messages (16 MiB) that are no calls; then its transport ends with `Overloaded` |
/// | the broker does not take answers | a service waits for room once 64 of its messages wait, or 64 MiB altogether |
///
/// # The end
/// Dropping it lets go of everything at once: what the services have answered is pushed, for a
/// second at most, what they have not read goes back to the broker, and what they work on ends as
/// unknown. [`Handle::shut_down`] waits for them instead; do it before the runtime ends, since the
/// goodbye of a drop needs one.
pub struct BrokerListener {
    hub: Arc<Hub>,
    handle: Handle,
    carried: Vec<CarriedCall>,
    /// Tells the task of the drop.
    _alive: oneshot::Sender<Infallible>,
}

impl BrokerListener {
    /// Attaches to the broker at this URL, `http://127.0.0.1:<port>`, and goes on attaching for as
    /// long as it lives.
    ///
    /// It returns at once; [`state`](Self::state) says how it goes.
    ///
    /// # Errors
    /// [`ErrorKind::Incompatible`] for a URL that is none.
    ///
    /// # Panics
    /// Outside a tokio runtime with I/O and time.
    pub fn attach(url: &str, token: impl Into<TokenSource>) -> Result<Self, Error> {
        Self::builder(url).token(token).attach()
    }

    /// To say more before it attaches.
    pub fn builder(url: &str) -> Builder {
        Builder::new(url)
    }

    /// To attach to the broker of a port that is found, or started, before each attach: one that was
    /// killed is back at once. The token is sent to nobody who cannot prove to know it.
    ///
    /// ```no_run
    /// use mcp_transport_broker::host::BrokerListener;
    /// use mcp_transport_broker::launch::Launch;
    ///
    /// # async fn run() -> Result<(), mcp_transport_core::Error> {
    /// let clients = BrokerListener::launched(Launch::new(8765)).attach()?;
    /// # drop(clients);
    /// # Ok(())
    /// # }
    /// ```
    pub fn launched(launch: Launch) -> Builder {
        Builder::launched(launch)
    }

    pub(super) fn new(
        hub: Arc<Hub>,
        handle: Handle,
        carried: Vec<CarriedCall>,
        alive: oneshot::Sender<Infallible>,
    ) -> Self {
        Self {
            hub,
            handle,
            carried,
            _alive: alive,
        }
    }

    /// How the link to the broker is doing now.
    pub fn state(&self) -> State {
        self.handle.state()
    }

    /// How it is doing, now and from now on.
    pub fn watch(&self) -> watch::Receiver<State> {
        self.handle.watch()
    }

    /// To wake it, to announce a reload or to shut it down from elsewhere. It does not keep the
    /// listener alive.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// The calls that the former life of this host had begun; see [`Builder::resume`].
    ///
    /// Take them before the first [`accept`](Listener::accept): what is left then is answered as
    /// unknown, lest its client wait for nothing.
    pub fn carried(&mut self) -> Vec<CarriedCall> {
        std::mem::take(&mut self.carried)
    }
}

impl Listener for BrokerListener {
    type Transport = BrokerClient;

    /// Waits for the next client.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`] after it was shut down, and the last failure where the retry policy
    /// gave up.
    ///
    /// # Cancel safety
    /// Cancel safe: a client that was not yielded is yielded by a later call.
    async fn accept(&mut self) -> Result<BrokerClient, Error> {
        self.carried.clear();
        let accepted = poll_fn(|cx| {
            self.hub
                .poll(Output::Acceptable, cx, |state| match state.accept() {
                    Ok(Some(accepted)) => Poll::Ready(Ok(accepted)),
                    Ok(None) => Poll::Pending,
                    Err(error) => Poll::Ready(Err(error)),
                })
        });
        Ok(BrokerClient::new(Arc::clone(&self.hub), accepted.await?))
    }
}

impl fmt::Debug for BrokerListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BrokerListener")
            .field("state", &self.state())
            .finish_non_exhaustive()
    }
}

/// Wakes, watches and ends a [`BrokerListener`] from elsewhere. Clone it freely; it keeps nothing
/// alive.
#[derive(Clone)]
pub struct Handle {
    orders: mpsc::Sender<Order>,
    wake: Wake,
    state: watch::Receiver<State>,
}

impl Handle {
    pub(super) const fn new(
        orders: mpsc::Sender<Order>,
        wake: Wake,
        state: watch::Receiver<State>,
    ) -> Self {
        Self {
            orders,
            wake,
            state,
        }
    }

    /// "The broker is there": dials now, whatever the schedule says. Does nothing while a lease is
    /// up.
    pub fn wake(&self) {
        self.wake.wake();
    }

    /// How the link to the broker is doing now.
    pub fn state(&self) -> State {
        self.state.borrow().clone()
    }

    /// How it is doing, now and from now on.
    pub fn watch(&self) -> watch::Receiver<State> {
        self.state.clone()
    }

    /// Leaves the broker for about this long, because the application reloads and this process
    /// lives on.
    ///
    /// What the services have answered is pushed; what they have not read is the broker's again;
    /// what they work on they go on working on, and their answers are pushed after the gap. The
    /// listener attaches again after `gap`, or when it is [woken](Self::wake). Returns when the
    /// broker knows, and after a second or so if it does not listen.
    ///
    /// # Cancel safety
    /// Once polled, the listener leaves also if this future is dropped.
    pub async fn announce_reload(&self, gap: Duration) {
        let (done, is_done) = oneshot::channel();
        // An error means that the listener has ended: it has left already.
        if self.orders.send(Order::Reload { gap, done }).await.is_ok() {
            let _ = is_done.await;
        }
    }

    /// Leaves the broker for about this long, because this code is about to be unloaded, and says
    /// what the next life has to know; give that to [`Builder::resume`].
    ///
    /// As [`announce_reload`](Self::announce_reload), but for the end: the listener is over, and
    /// so is every transport. What the services had begun waits at the broker for the next life's
    /// answer, reads as well: what that does not answer ends as unknown.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`] if the listener is over already.
    ///
    /// # Cancel safety
    /// Once polled, the listener leaves also if this future is dropped; what it had to say is lost
    /// then.
    pub async fn detach_for_reload(&self, gap: Duration) -> Result<Carried, Error> {
        let (done, is_done) = oneshot::channel();
        let order = Order::Carry { gap, done };
        let closed = || Error::new(ErrorKind::Closed);
        self.orders.send(order).await.map_err(|_| closed())?;
        is_done.await.map_err(|_| closed())
    }

    /// Ends the listener in order: no service reads a further call; what they have read they may
    /// answer, for `deadline` at most. Then the broker is told, and every transport ends.
    ///
    /// # Cancel safety
    /// Once polled, the listener ends also if this future is dropped.
    pub async fn shut_down(&self, deadline: Duration) {
        let (done, is_done) = oneshot::channel();
        let order = Order::ShutDown { deadline, done };
        if self.orders.send(order).await.is_ok() {
            let _ = is_done.await;
        }
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle")
            .field("state", &self.state())
            .finish_non_exhaustive()
    }
}
