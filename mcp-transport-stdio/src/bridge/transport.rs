//! The dialling side of one connection.
//!
//! ```text
//!  idle ── written ──► called ── its answer ──► idle
//!   └──── keep-alive ► pinged ── its answer ──►──┘        (what is sent meanwhile is written then)
//! ```
//! Nothing is written before what has arrived was looked at: a notice that lay in the buffer must not be taken for the
//! answer to the next command, nor that command be lost in a closed socket.
#![expect(
    clippy::disallowed_methods,
    reason = "a shell: it reads the clocks for the keep-alive and sets its timer"
)]

use super::both::Both;
use super::wire::{
    self, Claim, ClientCodec, Incoming, MAX_PAYLOAD, PING, Refusal, Torn, WELCOME_TIMEOUT,
};
use bytes::Bytes;
use futures::{Sink, SinkExt as _, Stream, StreamExt as _, ready};
use mcp_transport_core::codec::{self, Framed};
use mcp_transport_core::keepalive::{KeepAlive, KeepAliveConfig, Verdict};
use mcp_transport_core::{Error, ErrorKind, Eviction, EvictionReason, Message};
use std::fmt;
use std::future::Future as _;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant, SystemTime};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep, timeout};

/// How a connection to a bridge behaves.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct LinkConfig {
    /// The limit of each payload, both ways: 64 MiB by default, as the plugin has it.
    pub max_payload: usize,
    /// When an idle bridge is pinged (after 10 s), and when it is dead (20 s later). The installed plugin (10.1) closes a
    /// connection on which it hears nothing for 30 s.
    pub keep_alive: KeepAliveConfig,
    /// How long the answer to [`Claim::Take`] may take: 10 s by default.
    pub claim_timeout: Duration,
}

impl Default for LinkConfig {
    fn default() -> Self {
        Self {
            max_payload: MAX_PAYLOAD,
            keep_alive: KeepAliveConfig::default(),
            claim_timeout: Duration::from_secs(10),
        }
    }
}

/// A connection to a bridge: a sink of commands, a stream of their answers, in order.
///
/// There is at most one command on the wire. The sink has room for the next one when the answer was taken from the stream,
/// so whoever sends reads, too. Payloads pass unchanged, JSON or not; empty ones from the bridge are heartbeats, 16 in a row
/// at most, and do not show.
///
/// | what happens | the stream |
/// |---|---|
/// | an eviction notice, whenever it comes | `Err`, `Evicted(Superseded)`, with its fields |
/// | the bridge closes, and owes an answer | `Err`, `Disconnected`: the outcome is unknown |
/// | the bridge closes otherwise | ends |
/// | a frame that nobody asked for | `Err`, `Malformed`: without ids, the next answer could not be trusted. A pong is dropped |
/// | the bridge, idle, answers no ping for 20 s | `Err`, `TimedOut` |
///
/// Nothing is ever sent again. Both halves are cancel safe.
pub struct BridgeTransport<IO = TcpStream> {
    inner: Framed<IO, ClientCodec>,
    torn: Torn,
    limit: usize,
    phase: Phase,
    /// Accepted, not written yet.
    next: Option<Message>,
    /// How long a close still waits to write that.
    patience: Option<Pin<Box<Sleep>>>,
    keep_alive: KeepAlive,
    timer: Pin<Box<Sleep>>,
    wakers: Both,
    /// Whether the operating system has bytes for us of which the runtime has not heard yet.
    unread: fn(&IO) -> bool,
    /// How it ended, and whether the stream has said so.
    over: Option<(Option<Error>, bool)>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Phase {
    Idle,
    Pinged,
    Called,
}

impl<IO: AsyncRead + AsyncWrite + Unpin> BridgeTransport<IO> {
    /// Takes the part of the client on any stream of bytes: waits for the welcome line, and asks for the seat if `claim`
    /// says so.
    ///
    /// # Errors
    /// `Incompatible` if no bridge is there, `TimedOut` without a welcome within 1 s or an answer to [`Claim::Take`] within
    /// [`LinkConfig::claim_timeout`], `Evicted(Superseded)` if the seat is refused, else what ended the stream.
    ///
    /// # Cancel safety
    /// Dropping the future drops the stream; a seat that was granted meanwhile is free again.
    pub async fn open(io: IO, claim: Option<Claim>, config: LinkConfig) -> Result<Self, Error> {
        Self::open_with(io, claim, config, |_| false).await
    }

    pub(super) async fn open_with(
        io: IO,
        claim: Option<Claim>,
        config: LinkConfig,
        unread: fn(&IO) -> bool,
    ) -> Result<Self, Error> {
        let limit = config.max_payload.min(MAX_PAYLOAD);
        let codec = ClientCodec::new(limit);
        let torn = codec.torn();
        let mut inner = codec::framed(io, codec);
        let line = timeout(WELCOME_TIMEOUT, inner.next()).await;
        line.map_err(|_| late("no welcome line", WELCOME_TIMEOUT))?
            .ok_or_else(|| lost("the bridge closed instead of a welcome"))??;
        if let Some(claim) = claim {
            let patience = match claim {
                Claim::Take => config.claim_timeout,
                Claim::IfFree => Duration::MAX,
            };
            let asked = timeout(patience, ask(&mut inner, claim)).await;
            asked.map_err(|_| late("no answer to the claim of the seat", patience))??;
        }
        let now = now();
        let keep_alive = KeepAlive::new(config.keep_alive, now, SystemTime::now());
        let mut transport = Self {
            inner,
            torn,
            limit,
            phase: Phase::Idle,
            next: None,
            patience: None,
            keep_alive,
            timer: Box::pin(sleep(Duration::ZERO)),
            wakers: Both::new(),
            unread,
            over: None,
        };
        transport.arm();
        Ok(transport)
    }

    /// Reads until there is an answer for the stream. Called by it alone.
    fn poll_answer(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Message>, Error>> {
        loop {
            match self.inner.poll_next_unpin(cx) {
                Poll::Ready(Some(frame)) => {
                    if let Some(answer) = self.heard(frame?)? {
                        return Poll::Ready(Ok(Some(answer)));
                    }
                }
                Poll::Ready(None) => return Poll::Ready(self.ended().map(|()| None)),
                Poll::Pending => {
                    // What waits for a pong to be written, or for its flush, goes on from here, too.
                    if let Poll::Ready(sent) = self.poll_write(cx) {
                        sent?;
                    }
                    if !self.poll_keep_alive(cx)? {
                        return Poll::Pending;
                    }
                }
            }
        }
    }

    /// Reads until nothing more lies there and no pong is due; no answer can come.
    fn poll_quiet(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        loop {
            match self.inner.poll_next_unpin(cx) {
                Poll::Ready(Some(frame)) => {
                    self.heard(frame?)?;
                }
                Poll::Ready(None) => {
                    self.ended()?;
                    return Poll::Ready(Err(lost("the bridge closed the connection")));
                }
                Poll::Pending if self.phase == Phase::Pinged => {
                    ready!(self.inner.poll_flush_unpin(cx))?;
                    return Poll::Pending;
                }
                // The rest of a frame, or of what the runtime is about to hear of, will wake us.
                Poll::Pending if self.torn.is_torn() || (self.unread)(self.inner.get_ref()) => {
                    return Poll::Pending;
                }
                Poll::Pending => return Poll::Ready(Ok(())),
            }
        }
    }

    /// Writes what was accepted, once nothing speaks against it.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        if self.next.is_some() {
            ready!(self.poll_quiet(cx))?;
            ready!(self.inner.poll_ready_unpin(cx))?;
            if let Some(message) = self.next.take() {
                self.inner.start_send_unpin(message)?;
                self.phase = Phase::Called;
            }
        }
        self.inner.poll_flush_unpin(cx)
    }

    /// Writes what was accepted before a close, within its patience.
    fn poll_last_write(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        if self.next.is_none() {
            return Poll::Ready(Ok(()));
        }
        if let Some(cause) = self.refused() {
            return Poll::Ready(Err(cause));
        }
        let mut written = self.poll_write(cx);
        if self.next.is_some() && written.is_pending() {
            let patience = || Box::pin(sleep(LAST_WRITE));
            let patience = self.patience.get_or_insert_with(patience);
            ready!(patience.as_mut().poll(cx));
            written = Poll::Ready(Err(late("no turn for the last command", LAST_WRITE)));
        }
        let written = ready!(written);
        Poll::Ready(self.settle(written))
    }

    /// Says what a frame is to us now: an answer for the stream, or none.
    fn heard(&mut self, frame: Message) -> Result<Option<Message>, Error> {
        self.keep_alive.heard(now());
        let incoming = match wire::incoming(frame.as_bytes()) {
            Incoming::Evicted(eviction) => return Err(Error::evicted(eviction)),
            // In the place of an answer: somebody took the seat as the command was on its way.
            Incoming::Refused(refusal) => return Err(refused(refusal)),
            incoming => incoming,
        };
        match self.phase {
            Phase::Called => {
                self.phase = Phase::Idle;
                self.wakers.wake();
                Ok(Some(frame))
            }
            // Whatever it says, it is the answer to the ping: the order is kept.
            Phase::Pinged => {
                self.phase = Phase::Idle;
                self.wakers.wake();
                Ok(None)
            }
            Phase::Idle if incoming == Incoming::Pong => {
                tracing::debug!("a bridge sent a pong that nobody asked for");
                Ok(None)
            }
            Phase::Idle => Err(Error::new(ErrorKind::Malformed).context(format!(
                "the bridge sent {} bytes that nobody asked for; without ids, no answer after that can be trusted",
                frame.len()
            ))),
        }
    }

    fn ended(&self) -> Result<(), Error> {
        match self.phase {
            Phase::Called => Err(lost(
                "the bridge closed the connection and owes an answer; look what the command did before you call again",
            )),
            Phase::Idle | Phase::Pinged => Ok(()),
        }
    }

    /// True if a ping went out, so that there is something to wait for.
    fn poll_keep_alive(&mut self, cx: &mut Context<'_>) -> Result<bool, Error> {
        if self.timer.as_mut().poll(cx).is_pending() {
            return Ok(false);
        }
        let now = now();
        if self.phase == Phase::Called {
            // A bridge that runs a command may be silent for as long as that takes.
            self.keep_alive.heard(now);
        }
        let verdict = self.keep_alive.handle_timeout(now, SystemTime::now());
        let may_ping = self.phase == Phase::Idle && self.next.is_none();
        if let Verdict::Dead { silence } = verdict {
            return Err(Error::new(ErrorKind::TimedOut).context(format!(
                "the bridge was silent for {} s and answered no ping",
                silence.as_secs()
            )));
        }
        let wants_ping = matches!(verdict, Verdict::Ping | Verdict::Slept(_));
        if wants_ping && may_ping && self.inner.poll_ready_unpin(cx)?.is_ready() {
            self.inner
                .start_send_unpin(Message::from(Bytes::from_static(PING)))?;
            self.phase = Phase::Pinged;
        }
        self.arm();
        Ok(true)
    }

    fn arm(&mut self) {
        let due = self.keep_alive.poll_timeout();
        // Never is a year.
        let due = due.unwrap_or_else(|| now() + Duration::from_secs(365 * 24 * 3600));
        self.timer.as_mut().reset(due.into());
    }

    /// Whatever fails ends both halves; the stream says it once.
    fn settle<R>(&mut self, result: Result<R, Error>) -> Result<R, Error> {
        if let Err(error) = &result {
            self.over.get_or_insert((Some(error.clone()), false));
            self.wakers.wake();
        }
        result
    }

    fn refused(&self) -> Option<Error> {
        let (cause, _) = self.over.as_ref()?;
        Some(
            cause
                .clone()
                .unwrap_or_else(|| lost("the bridge closed the connection")),
        )
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> Stream for BridgeTransport<IO> {
    type Item = Result<Message, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        if this.over.is_none() {
            let waker = this.wakers.stream(cx);
            let answer = ready!(this.poll_answer(&mut Context::from_waker(&waker)));
            match this.settle(answer) {
                Ok(Some(answer)) => return Poll::Ready(Some(Ok(answer))),
                Ok(None) => this.over = Some((None, true)),
                Err(_) => {}
            }
        }
        Poll::Ready(match &mut this.over {
            Some((Some(cause), said @ false)) => {
                *said = true;
                Some(Err(cause.clone()))
            }
            _ => None,
        })
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> Sink<Message> for BridgeTransport<IO> {
    type Error = Error;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let this = &mut *self;
        if let Some(cause) = this.refused() {
            return Poll::Ready(Err(cause));
        }
        let waker = this.wakers.sink(cx);
        let cx = &mut Context::from_waker(&waker);
        if this.next.is_some() {
            let sent = ready!(this.poll_write(cx));
            if let Err(error) = this.settle(sent) {
                return Poll::Ready(Err(error));
            }
        }
        if this.phase == Phase::Called {
            return Poll::Pending;
        }
        let quiet = ready!(this.poll_quiet(cx));
        Poll::Ready(this.settle(quiet))
    }

    fn start_send(mut self: Pin<&mut Self>, message: Message) -> Result<(), Error> {
        if let Some(cause) = self.refused() {
            return Err(cause);
        }
        if message.len() > self.limit {
            return Err(Error::new(ErrorKind::TooLarge {
                limit: self.limit as u64,
                size: message.len() as u64,
            }));
        }
        if message.is_empty() {
            return Err(Error::new(ErrorKind::Malformed).context("a command has at least one byte"));
        }
        if self.next.is_some() || self.phase == Phase::Called {
            return Err(Error::new(ErrorKind::Overloaded { retry_after: None })
                .context("the bridge answers one command at a time; wait for room first"));
        }
        self.next = Some(message);
        Ok(())
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let this = &mut *self;
        if let Some(cause) = this.refused() {
            return Poll::Ready(Err(cause));
        }
        let waker = this.wakers.sink(cx);
        let sent = ready!(this.poll_write(&mut Context::from_waker(&waker)));
        Poll::Ready(this.settle(sent))
    }

    /// Writes a command that was accepted before, and waits 1 s for its turn; `TimedOut` if it does not come. Once begun, the
    /// writing itself has no limit: set one around this where the bridge may not read.
    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let this = &mut *self;
        let waker = this.wakers.sink(cx);
        let cx = &mut Context::from_waker(&waker);
        let written = ready!(this.poll_last_write(cx));
        if written.is_err() {
            // As far as it goes: who failed to write shall not wait for that, too.
            let _ = this.inner.poll_close_unpin(cx);
            return Poll::Ready(written);
        }
        this.inner.poll_close_unpin(cx)
    }
}

impl<IO> fmt::Debug for BridgeTransport<IO> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BridgeTransport")
            .field("phase", &self.phase)
            .field("over", &self.over)
            .finish_non_exhaustive()
    }
}

/// How long a close waits until a command that was accepted may be written: a ping may be unanswered.
const LAST_WRITE: Duration = Duration::from_secs(1);

/// Asks for the seat, and waits for the answer.
async fn ask<IO>(inner: &mut Framed<IO, ClientCodec>, claim: Claim) -> Result<(), Error>
where
    IO: AsyncRead + AsyncWrite + Unpin,
{
    inner.send(Message::from(wire::claim(claim))).await?;
    let answer = inner.next().await;
    let answer =
        answer.ok_or_else(|| lost("the bridge closed instead of answering the claim"))??;
    match wire::incoming(answer.as_bytes()) {
        Incoming::Evicted(eviction) => Err(Error::evicted(eviction)),
        Incoming::Refused(refusal) => Err(refused(refusal)),
        // A bridge without seats answers what it likes, and serves us.
        Incoming::Pong | Incoming::Answer => Ok(()),
    }
}

fn refused(refusal: Refusal) -> Error {
    let eviction = Eviction::new(EvictionReason::Superseded).by(refusal.holder);
    Error::evicted(eviction.saying(refusal.text))
}

fn late(what: &str, limit: Duration) -> Error {
    Error::new(ErrorKind::TimedOut).context(format!("{what} within {} ms", limit.as_millis()))
}

fn lost(what: &'static str) -> Error {
    Error::new(ErrorKind::Disconnected).context(what)
}

/// By tokio's clock, which tests can pause.
fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
