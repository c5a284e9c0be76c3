//! Connector → listener: for a server whose client listens.

use crate::dial::{Dialer, State, Wake};
use crate::error::{Error, ErrorKind};
use crate::message::Message;
use crate::transport::{Connector, Listener};
use futures::{Sink, Stream, ready};
use pin_project_lite::pin_project;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::sync::{oneshot, watch};

/// Yields one connection after the other by dialling, so that a server can serve a client that
/// listens.
///
/// Serve each connection by a service of its own, and let go of it when it ends: then no client is
/// answered with what another asked for. The next dial waits until the former connection has ended
/// or was dropped, and for the schedule of the [`Dialer`] after that. There is never more than one
/// connection.
///
/// ```
/// use futures::{SinkExt, StreamExt};
/// use mcp_transport_core::{Listener, Message, Redial, memory};
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// # let mut clients = 0;
/// let mut redial = Redial::new(|| async { Ok(memory::pair(8).0) });
/// while let Ok(mut client) = redial.accept().await {
///     // One service per connection.
///     while let Some(Ok(request)) = client.next().await {
///         let answer = Message::response(request.id().unwrap(), "done").unwrap();
///         client.send(answer).await.unwrap();
///     }
/// #   clients += 1;
/// #   if clients == 2 { break }
/// }
/// # });
/// ```
#[derive(Debug)]
pub struct Redial<C> {
    dialer: Dialer<C>,
    /// How the connection that is out ends.
    out: Option<oneshot::Receiver<Error>>,
}

impl<C: Connector> Redial<C> {
    /// With the defaults of [`Dialer`]; for others, `Redial::from(dialer)`.
    pub fn new(connector: C) -> Self {
        Self::from(Dialer::new(connector))
    }

    /// How it is doing, now and from now on.
    pub fn watch(&self) -> watch::Receiver<State> {
        self.dialer.watch()
    }

    /// By which others end a wait.
    pub fn wake(&self) -> Wake {
        self.dialer.wake()
    }
}

impl<C: Connector> From<Dialer<C>> for Redial<C> {
    fn from(dialer: Dialer<C>) -> Self {
        Self { dialer, out: None }
    }
}

impl<C: Connector> Listener for Redial<C> {
    type Transport = Redialed<C::Transport>;

    async fn accept(&mut self) -> Result<Self::Transport, Error> {
        if let Some(out) = &mut self.out {
            let cause = out.await.unwrap_or_else(|_| let_go());
            self.out = None;
            self.dialer.ended(&cause);
        }
        let inner = self.dialer.connect().await?;
        self.dialer.established();
        let (report, out) = oneshot::channel();
        self.out = Some(out);
        Ok(Redialed {
            inner,
            end: Report(Some(report)),
        })
    }
}

pin_project! {
    /// A connection of a [`Redial`], which learns how it ends.
    #[derive(Debug)]
    pub struct Redialed<T> {
        #[pin]
        inner: T,
        end: Report,
    }
}

/// Tells the dial loop how the connection ended, once.
#[derive(Debug)]
struct Report(Option<oneshot::Sender<Error>>);

impl Report {
    fn ended(&mut self, cause: Error) {
        if let Some(report) = self.0.take() {
            let _ = report.send(cause);
        }
    }

    fn watch<R>(&mut self, result: Result<R, Error>) -> Result<R, Error> {
        if let Err(error) = &result {
            // One message that is too large ends nothing.
            if !matches!(error.kind(), ErrorKind::TooLarge { .. }) {
                self.ended(error.clone());
            }
        }
        result
    }
}

impl Drop for Report {
    fn drop(&mut self) {
        self.ended(let_go());
    }
}

fn let_go() -> Error {
    Error::new(ErrorKind::Disconnected).context("the service let go of the connection")
}

impl<T: Stream<Item = Result<Message, Error>>> Stream for Redialed<T> {
    type Item = Result<Message, Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.project();
        let item = ready!(this.inner.poll_next(cx));
        match &item {
            Some(Ok(_)) => {}
            Some(Err(error)) => this.end.ended(error.clone()),
            None => this.end.ended(
                Error::new(ErrorKind::Disconnected).context("the client closed the connection"),
            ),
        }
        Poll::Ready(item)
    }
}

impl<T: Sink<Message, Error = Error>> Sink<Message> for Redialed<T> {
    type Error = Error;

    fn poll_ready(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let this = self.project();
        Poll::Ready(this.end.watch(ready!(this.inner.poll_ready(cx))))
    }

    fn start_send(self: Pin<&mut Self>, message: Message) -> Result<(), Error> {
        let this = self.project();
        this.end.watch(this.inner.start_send(message))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let this = self.project();
        Poll::Ready(this.end.watch(ready!(this.inner.poll_flush(cx))))
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.project().inner.poll_close(cx)
    }
}
