//! A transport that outlives its connections.

mod answers;
mod driver;
mod handle;
pub mod replayable;
mod task;

pub use handle::Handle;

use crate::delivery::{Limits, Replay};
use crate::dial::{Dialer, State};
use crate::error::{Error, ErrorKind};
use crate::message::Message;
use crate::retry::RetryPolicy;
use crate::transport::Connector;
use driver::{Config, Driver, Rule};
use futures::channel::mpsc;
use futures::{Sink, Stream, StreamExt};
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use task::{Close, Outbound, Pipes};
use tokio::sync::{oneshot, watch};

/// A [`Transport`](crate::Transport) for a *client* of JSON-RPC that outlives its connections: it
/// dials, retries, replays the handshake, sends again what may be sent again, and settles what may
/// not.
///
/// Every request gets exactly one answer: the host's, or an error whose `data` is an
/// [`Ending`](crate::Ending). What the client cancels gets none.
///
/// | | while a connection is up | while none is |
/// |---|---|---|
/// | a request | sent | held, and sent later; answered at once in [`State::Standby`] and where only a wake dials again |
/// | a request under an id that is in flight | answered −32600 | likewise |
/// | a request beyond the [`buffer`](Builder::buffer) | answered `Overloaded` | likewise |
/// | `notifications/cancelled` for a request that was not sent | the host sees neither | likewise |
/// | `notifications/cancelled` for a request that was sent | sent; a late answer is dropped | dropped with it |
/// | `notifications/initialized` | sent, and remembered for the replay | remembered for the replay |
/// | any other notification | sent | dropped |
/// | the answer to a request of the host | sent if that request came over this connection | dropped |
///
/// When a connection goes, requests that only read (lists, reads, gets, `ping`, `initialize`,
/// `server/discover`, `completion/complete`) are sent again, oldest first, at most three times; any
/// other that was sent is answered with [`Outcome::Unknown`](crate::Outcome::Unknown). Requests of
/// the host that the client has not answered are cancelled. Before anything else, the new
/// connection gets the session's handshake; see [`handshake`](crate::handshake).
///
/// The stream yields an `Err` once, for the loss after which there is no further dial, and ends
/// then. The sink is ready while the link's task has room: a flush means that the task has it, not
/// that the host has. Closing the sink, or dropping the transport, writes what is queued within 1 s
/// if a connection is up, and closes it properly.
///
/// A server does not want this, but [`Redial`](crate::Redial): over this, it would answer the wrong
/// client.
///
/// ```
/// use futures::{SinkExt, StreamExt};
/// use mcp_transport_core::{Error, Id, Message, Resilient, Transport, memory};
///
/// async fn dial() -> Result<impl Transport, Error> {
///     let (ours, mut host) = memory::pair(8);
///     tokio::spawn(async move {
///         while let Some(Ok(message)) = host.next().await {
///             let answer = Message::response(message.id().unwrap(), "pong").unwrap();
///             host.send(answer).await.unwrap();
///         }
///     });
///     Ok(ours)
/// }
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// let mut host = Resilient::spawn(dial); // reconnects, replays, settles: nothing else to write
/// host.send(Message::request(&Id::from(1), "ping", None::<()>).unwrap()).await.unwrap();
/// assert_eq!(host.next().await.unwrap().unwrap().body(), Some(r#""pong""#));
/// # });
/// ```
pub struct Resilient {
    to_task: mpsc::Sender<Outbound>,
    from_task: mpsc::Receiver<Result<Message, Error>>,
    /// How many messages the client has read.
    read: u64,
    handle: Handle,
    /// Resolves once the link is closed; `None` after that.
    done: Option<oneshot::Receiver<()>>,
}

/// Messages between the client and the task, each way, before the sender waits; and one more.
const CHANNEL: usize = 64;

impl Resilient {
    /// Starts the link with the defaults of [`Builder`].
    ///
    /// # Panics
    /// Outside a tokio runtime, or in one without its clock.
    pub fn spawn<C: Connector>(connector: C) -> Self {
        Self::builder(connector).spawn()
    }

    /// To set more before it starts.
    pub fn builder<C: Connector>(connector: C) -> Builder<C> {
        Builder {
            dialer: Dialer::new(connector),
            config: Config {
                buffer: Limits::default().ops,
                bytes: Limits::default().bytes,
                hold: Duration::from_secs(120),
                run: Duration::from_secs(600),
            },
            replay: Box::new(replayable::of),
        }
    }

    /// How the link is doing now.
    pub fn state(&self) -> State {
        self.handle.state()
    }

    /// How it is doing, now and from now on.
    pub fn watch(&self) -> watch::Receiver<State> {
        self.handle.watch()
    }

    /// To wake or close it from elsewhere. It does not keep the link alive.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    fn closed(&self) -> Error {
        match self.state() {
            State::Closed { cause } => cause,
            _ => Error::new(ErrorKind::Closed),
        }
    }
}

impl Stream for Resilient {
    type Item = Result<Message, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let item = ready!(self.from_task.poll_next_unpin(cx));
        if let Some(Ok(_)) = item {
            self.read += 1;
        }
        Poll::Ready(item)
    }
}

impl Sink<Message> for Resilient {
    type Error = Error;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let ready = ready!(self.to_task.poll_ready(cx));
        Poll::Ready(ready.map_err(|_| self.closed()))
    }

    fn start_send(mut self: Pin<&mut Self>, message: Message) -> Result<(), Error> {
        let read = self.read;
        let sent = self.to_task.start_send(Outbound { message, read });
        sent.map_err(|_| self.closed())
    }

    /// Ready when the link's task has everything.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let flushed = ready!(Pin::new(&mut self.to_task).poll_flush(cx));
        Poll::Ready(flushed.map_err(|_| self.closed()))
    }

    /// Closes the link: ready once the connection is closed. What is still owed can be read after
    /// that.
    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.to_task.disconnect();
        // The task may not listen to that: a client that does not read is not heard for ever.
        self.handle.ask(Close::Dropped);
        if let Some(done) = &mut self.done {
            let _ = ready!(Pin::new(done).poll(cx));
            self.done = None;
        }
        Poll::Ready(Ok(()))
    }
}

impl fmt::Debug for Resilient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resilient")
            .field("state", &self.state())
            .finish_non_exhaustive()
    }
}

/// What a link may be told before it starts.
///
/// ```
/// use mcp_transport_core::{Resilient, RetryPolicy, memory};
/// use std::time::Duration;
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// let host = Resilient::builder(|| async { Ok(memory::pair(8).0) })
///     .retry(RetryPolicy::every(Duration::from_secs(2)))
///     .hold(Duration::from_secs(30))
///     .buffer(64)
///     .spawn();
/// # drop(host);
/// # });
/// ```
#[must_use = "nothing happens before `spawn`"]
pub struct Builder<C> {
    dialer: Dialer<C>,
    config: Config,
    replay: Rule,
}

impl<C: fmt::Debug> fmt::Debug for Builder<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("dialer", &self.dialer)
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

impl<C: Connector> Builder<C> {
    /// When to dial again. Default [`RetryPolicy::local`].
    pub fn retry(mut self, policy: RetryPolicy) -> Self {
        self.dialer = self.dialer.retry(policy);
        self
    }

    /// How long one dial may take. Default 5 s, unless the connector says otherwise.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.dialer = self.dialer.connect_timeout(timeout);
        self
    }

    /// How many requests may wait for their answer at once. Default 1,024; at least 1.
    pub fn buffer(mut self, requests: usize) -> Self {
        self.config.buffer = requests.max(1);
        self
    }

    /// How many bytes those requests may have together. Default 64 MiB.
    pub fn buffer_bytes(mut self, bytes: usize) -> Self {
        self.config.bytes = bytes;
        self
    }

    /// How long a request may wait for a connection before it is answered with an error. Default
    /// 120 s. One that was sent and may be sent again waits as long again each time its connection
    /// went, three times at most.
    pub fn hold(mut self, hold: Duration) -> Self {
        self.config.hold = hold;
        self
    }

    /// How long a request may be in flight before it is answered with an error, and the host is
    /// told that nobody waits. Default 600 s. `subscriptions/listen`, which has no end by design,
    /// is exempt.
    pub fn run(mut self, run: Duration) -> Self {
        self.config.run = run;
        self
    }

    /// Which requests may be sent again when a connection is lost and nobody knows what became of
    /// them. Default [`replayable::replay`]: reads of MCP, and no `tools/call`. Whoever speaks
    /// another protocol, or knows its tools, says so here.
    ///
    /// [`Replay::Safe`] is for what may run twice.
    /// [`Replay::HostGuards`] is for a host that itself
    /// refuses a request that it had: it is sent again as it was, under the same id.
    ///
    /// ```
    /// use mcp_transport_core::{Resilient, delivery::Replay, memory};
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
    /// let editor = Resilient::builder(|| async { Ok(memory::pair(8).0) })
    ///     .replay(|request| match request.method() {
    ///         Some("textDocument/hover" | "textDocument/definition") => Replay::Safe,
    ///         _ => Replay::Never,
    ///     })
    ///     .spawn();
    /// # drop(editor);
    /// # });
    /// ```
    pub fn replay(mut self, rule: impl Fn(&Message) -> Replay + Send + 'static) -> Self {
        self.replay = Box::new(rule);
        self
    }

    /// Starts the link's task.
    ///
    /// # Panics
    /// Outside a tokio runtime, or in one without its clock.
    #[expect(
        clippy::disallowed_methods,
        reason = "the one task of a link starts here"
    )]
    pub fn spawn(self) -> Resilient {
        let (to_task, from_client) = mpsc::channel(CHANNEL);
        let (to_client, from_task) = mpsc::channel(CHANNEL);
        let (done, is_done) = oneshot::channel();
        let (handle, close) = Handle::new(self.dialer.wake(), self.dialer.watch());
        let pipes = Pipes {
            from_client,
            to_client,
            close,
            done,
        };
        tokio::spawn(task::run(
            Driver::new(self.config, self.replay),
            self.dialer,
            pipes,
        ));
        Resilient {
            to_task,
            from_task,
            read: 0,
            handle,
            done: Some(is_done),
        }
    }
}
