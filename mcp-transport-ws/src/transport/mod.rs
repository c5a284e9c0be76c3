//! One WebSocket connection as a transport.

mod life;

use crate::config::WsConfig;
use crate::ending;
use crate::io::Io;
use crate::pulse::Pulse;
use futures::{Sink, SinkExt as _, Stream, StreamExt as _};
use http::HeaderValue;
use life::{End, Phase};
use mcp_transport_core::{Error, ErrorKind, Message};
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::Error as WsError;
use tokio_tungstenite::tungstenite::protocol::frame::Frame as RawFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Message as Frame, Role};

/// A WebSocket connection, either role: a stream and a sink of [`Message`]s.
///
/// Each text or binary message of the wire is one [`Message`], its bytes untouched. It goes out as text where
/// it is UTF-8. `feed` messages while there are more and `flush` once: small ones then share system calls.
///
/// # How it ends
/// The stream yields one `Err` that says why, then `None`:
///
/// | what happened | the `Err` |
/// |---|---|
/// | the peer closed with a code | [`ErrorKind::from_close_code`]; the reason is its context |
/// | the peer closed with 1000 | `Evicted(ShuttingDown)`, so that a dial loop knows that it was asked to go |
/// | the peer closed with 4001 | `Evicted(Superseded)` with an [`Eviction`](mcp_transport_core::Eviction), from the notice if the reason is one |
/// | the stream of bytes ended or broke | `Disconnected` |
/// | a message over the limit arrived | `TooLarge`; the peer is told with 1009 |
/// | text that is not UTF-8 arrived | `Malformed`; 1007 |
/// | frames against RFC 6455 arrived | `Malformed`; 1002 |
/// | the peer was silent past the keep-alive | `TimedOut`; 4002 |
///
/// After this end closed it, the stream just ends. What is dropped without closing is an end without goodbye for the peer.
///
/// A message that is itself over the limit is refused by `start_send` with `TooLarge`; that is the one error after which
/// the connection goes on.
///
/// Keep-alive, answers to pings and the goodbye are driven by reading: keep polling the stream.
///
/// # Cancel safety
/// Reading is cancel safe: a torn message waits for its rest. So are `feed` and `flush`, but for the message that `feed`
/// had not yet taken. [`close`](Self::close) consumes the transport; dropping its future drops the connection.
pub struct WsTransport {
    socket: WebSocketStream<Io>,
    limit: usize,
    binary: bool,
    time_to_close: Duration,
    subprotocol: Option<HeaderValue>,
    pulse: Option<Pulse>,
    phase: Phase,
    /// True once the engine's buffer may have room for a large message.
    is_roomy: bool,
    /// What our goodbye says.
    goodbye: CloseFrame,
    /// What the peer's said.
    close_code: Option<u16>,
    /// Whom to wake when the other half changed the phase. The engine keeps one waker per half, and the half that polled
    /// last has it.
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl WsTransport {
    pub(crate) async fn new(
        io: Io,
        role: Role,
        config: &WsConfig,
        subprotocol: Option<HeaderValue>,
    ) -> Self {
        // Not `from_partially_read`: its buffer, once a message of it is kept, is followed by buffers of no more than the
        // next frame's size.
        let socket = WebSocketStream::from_raw_socket(io, role, Some(config.engine()));
        Self {
            socket: socket.await,
            limit: config.message_limit(),
            binary: config.always_binary(),
            time_to_close: config.time_to_close(),
            subprotocol,
            pulse: config.keep_alive_config().map(Pulse::new),
            phase: Phase::Open,
            is_roomy: false,
            goodbye: ending::close_frame(1000, "").expect("1000 may be sent"),
            close_code: None,
            reader: None,
            writer: None,
        }
    }

    /// The subprotocol on which both ends agreed, if any.
    pub fn subprotocol(&self) -> Option<&str> {
        self.subprotocol.as_ref()?.to_str().ok()
    }

    /// The code with which the peer closed, once the stream told of it: for the codes of a host's own dialect, which are
    /// all `Disconnected` to the family's table. `None` before, and for an end without a code.
    pub const fn close_code(&self) -> Option<u16> {
        self.close_code
    }

    /// Sets what closing will tell the peer, in place of 1000: a code of a host's own dialect, say.
    ///
    /// For a transport that is split, or closed through `SinkExt::close`; the reason is cut to 123 bytes.
    ///
    /// # Errors
    /// `Malformed`, if this code must not be sent (1000 to 1003, 1007 to 1013 and 3000 to 4999 may); what was set before stays.
    pub fn set_goodbye(&mut self, code: u16, reason: &str) -> Result<(), Error> {
        self.goodbye = ending::close_frame(code, reason)?;
        Ok(())
    }

    /// Closes with this code and reason, and waits for the peer's half of the goodbye at most for the
    /// [close time-out](WsConfig::close_timeout). The reason is cut to 123 bytes, at a character.
    ///
    /// Messages that still come are dropped; those that were fed before are sent.
    ///
    /// # Errors
    /// `Malformed` if this code must not be sent (1000 to 1003, 1007 to 1013 and 3000 to 4999 may), `TimedOut` if the peer did not answer in time, and what ended
    /// the connection before, if something did. The connection is gone in any case.
    ///
    /// # Cancel safety
    /// Dropping the future drops the connection; the peer may then see no goodbye.
    ///
    /// ```no_run
    /// # async fn hub(refused: mcp_transport_ws::WsTransport) {
    /// // A host dialect with a code of its own.
    /// let _ = refused.close(4400, "register first").await;
    /// # }
    /// ```
    pub fn close(
        mut self,
        code: u16,
        reason: &str,
    ) -> impl Future<Output = Result<(), Error>> + Send + use<> {
        let valid = self.set_goodbye(code, reason);
        async move {
            valid?;
            poll_fn(|cx| Pin::new(&mut self).poll_close(cx)).await?;
            match self.phase {
                Phase::Ended(End::Ours {
                    acknowledged: false,
                }) => Err(Error::new(ErrorKind::TimedOut).context("the peer did not say goodbye")),
                Phase::Ended(End::Theirs(error)) | Phase::Ending { error, .. } => Err(error),
                _ => Ok(()),
            }
        }
    }

    /// [Closes](Self::close) with the code that the family's table of endings has for this kind: an eviction, say.
    ///
    /// Kinds without a code are those where nobody is left to tell; `TimedOut` tries 4002, the others 1011.
    ///
    /// # Errors
    /// As [`close`](Self::close).
    ///
    /// # Cancel safety
    /// As [`close`](Self::close).
    pub fn close_with(
        self,
        kind: ErrorKind,
        reason: &str,
    ) -> impl Future<Output = Result<(), Error>> + Send + use<> {
        self.close(ending::code_for(kind), reason)
    }

    fn writable(&self) -> Result<(), Error> {
        match &self.phase {
            Phase::Open => Ok(()),
            Phase::Ending { error, .. } | Phase::Ended(End::Theirs(error)) => Err(error.clone()),
            Phase::Closing { .. } | Phase::Ended(End::Ours { .. }) => {
                Err(Error::new(ErrorKind::Closed))
            }
        }
    }

    /// Text where it is that. The engine's own text would ask the same question, and cost a clone for when it is not.
    fn frame(&self, message: Message) -> Frame {
        let bytes = message.into_bytes();
        let data = if self.binary || !is_text(&bytes) {
            Data::Binary
        } else {
            Data::Text
        };
        Frame::Frame(RawFrame::message(bytes, OpCode::Data(data), true))
    }
}

impl Stream for WsTransport {
    type Item = Result<Message, Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        loop {
            match &mut this.phase {
                Phase::Open => match this.socket.poll_next_unpin(cx) {
                    Poll::Ready(frame) => {
                        if let Some(message) = this.take(frame) {
                            return Poll::Ready(Some(Ok(message)));
                        }
                    }
                    Poll::Pending => {
                        this.poll_keep_alive(cx);
                        if let Phase::Open = this.phase {
                            keep(&mut this.reader, cx);
                            return Poll::Pending;
                        }
                    }
                },
                Phase::Closing { grace, .. } => {
                    keep(&mut this.reader, cx);
                    let both = life::both(&this.reader, &this.writer);
                    let cx = &mut Context::from_waker(&both);
                    if grace.as_mut().poll(cx).is_ready() {
                        this.end(End::Ours {
                            acknowledged: false,
                        });
                        continue;
                    }
                    match this.socket.poll_next_unpin(cx) {
                        Poll::Ready(frame) => {
                            if let Some(message) = this.take(frame) {
                                return Poll::Ready(Some(Ok(message)));
                            }
                        }
                        Poll::Pending => return Poll::Pending,
                    }
                }
                Phase::Ending { .. } => {
                    keep(&mut this.reader, cx);
                    let both = life::both(&this.reader, &this.writer);
                    let cx = &mut Context::from_waker(&both);
                    ready!(this.poll_ending(cx));
                    let Phase::Ending { error, .. } = &this.phase else {
                        continue;
                    };
                    let error = error.clone();
                    this.shut_down(cx);
                    this.end(End::Theirs(error.clone()));
                    return Poll::Ready(Some(Err(error)));
                }
                Phase::Ended(_) => return Poll::Ready(None),
            }
        }
    }
}

impl Sink<Message> for WsTransport {
    type Error = Error;

    fn poll_ready(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let this = self.get_mut();
        this.writable()?;
        let polled = this.socket.poll_ready_unpin(cx);
        this.written(polled, cx)
    }

    fn start_send(self: Pin<&mut Self>, message: Message) -> Result<(), Error> {
        let this = self.get_mut();
        this.writable()?;
        if message.len() > this.limit {
            return Err(Error::new(ErrorKind::TooLarge {
                limit: this.limit as u64,
                size: message.len() as u64,
            }));
        }
        let frame = this.frame(message);
        this.socket
            .start_send_unpin(frame)
            .map_err(ending::of_failure)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let this = self.get_mut();
        this.writable()?;
        let polled = this.socket.poll_flush_unpin(cx);
        this.written(polled, cx)
    }

    /// Says goodbye, by default with 1000, and waits for the peer's at most for the
    /// [close time-out](WsConfig::close_timeout). A peer that does not answer is no error.
    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let this = self.get_mut();
        if let Phase::Open = this.phase {
            this.begin_close();
        }
        keep(&mut this.writer, cx);
        let both = life::both(&this.reader, &this.writer);
        let cx = &mut Context::from_waker(&both);
        ready!(this.poll_closing(cx));
        // Another end than ours, of which the peer may not have heard yet.
        ready!(this.poll_ending(cx));
        this.shut_down(cx);
        Poll::Ready(Ok(()))
    }
}

impl WsTransport {
    /// Remembers who waits to write.
    fn written(
        &mut self,
        polled: Poll<Result<(), WsError>>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Error>> {
        match polled {
            Poll::Pending => {
                keep(&mut self.writer, cx);
                Poll::Pending
            }
            Poll::Ready(done) => {
                self.writer = None;
                Poll::Ready(done.map_err(ending::of_failure))
            }
        }
    }
}

impl fmt::Debug for WsTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let phase = match &self.phase {
            Phase::Open => "open",
            Phase::Ending { .. } => "ending",
            Phase::Closing { .. } => "closing",
            Phase::Ended(_) => "ended",
        };
        f.debug_struct("WsTransport")
            .field("phase", &phase)
            .field("limit", &self.limit)
            .field("subprotocol", &self.subprotocol)
            .finish_non_exhaustive()
    }
}

fn keep(place: &mut Option<Waker>, cx: &Context<'_>) {
    match place {
        Some(waker) => waker.clone_from(cx.waker()),
        None => *place = Some(cx.waker().clone()),
    }
}

/// Nearly all of it is ASCII, which shows at a tenth of the cost.
fn is_text(bytes: &[u8]) -> bool {
    bytes.is_ascii() || std::str::from_utf8(bytes).is_ok()
}
