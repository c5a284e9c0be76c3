//! Your serde types in place of messages.

use crate::answering::Answering;
use crate::error::{Error, ErrorKind};
use crate::message::{Kind, Message};
use futures::{Sink, Stream, ready};
use pin_project_lite::pin_project;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll};

pin_project! {
    /// A transport of types of yours: `Tx` goes out, `Rx` comes in.
    ///
    /// Made by [`TransportExt::typed`](crate::TransportExt::typed). Incoming messages that are no
    /// JSON-RPC, and requests that do not fit `Rx`, are answered here with an error, so that nobody
    /// waits for them; it is an [`Answering`] that knows `Rx` besides, with the same limits. In
    /// place of an answer that does not fit, you get a JSON-RPC error under its id, if that fits.
    /// An error of the transport ends the stream, as service libraries expect.
    ///
    /// ```
    /// use futures::{SinkExt, StreamExt};
    /// use mcp_transport_core::{TransportExt, memory};
    /// use serde_json::{Value, json};
    ///
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let (ours, theirs) = memory::pair(8);
    /// let mut ours = ours.typed::<Value, Value>();
    /// let mut theirs = theirs.typed::<Value, Value>();
    /// ours.send(json!({"jsonrpc": "2.0", "method": "hello"})).await.unwrap();
    /// assert_eq!(theirs.next().await.unwrap()["method"], "hello");
    /// # });
    /// ```
    ///
    /// # Panics
    /// As [`Answering`].
    pub struct Typed<T, Tx, Rx> {
        #[pin]
        inner: Answering<T>,
        types: PhantomData<fn(Tx) -> Rx>,
    }
}

impl<T, Tx, Rx> Typed<T, Tx, Rx> {
    pub(crate) fn new(inner: T) -> Self {
        Self {
            inner: Answering::new(inner),
            types: PhantomData,
        }
    }

    /// The transport beneath; answers that wait are lost.
    pub fn into_inner(self) -> T {
        self.inner.into_inner()
    }
}

impl<T, Tx, Rx> std::fmt::Debug for Typed<T, Tx, Rx> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Typed")
            .field("inner", &self.inner)
            .finish_non_exhaustive()
    }
}

impl<T, Tx, Rx> Stream for Typed<T, Tx, Rx>
where
    T: Stream<Item = Result<Message, Error>> + Sink<Message, Error = Error>,
    Rx: DeserializeOwned,
{
    type Item = Rx;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Rx>> {
        let mut inner = self.project().inner;
        loop {
            let message = match ready!(inner.as_mut().poll_next(cx)) {
                Some(Ok(message)) => message,
                Some(Err(error)) => {
                    tracing::debug!(%error, "the transport ended");
                    return Poll::Ready(None);
                }
                None => return Poll::Ready(None),
            };
            match (message.json(), message.kind()) {
                (Ok(value), _) => return Poll::Ready(Some(value)),
                (Err(error), Kind::Request { id, .. }) => {
                    let text = format!("Invalid Request: {error}");
                    let answer = Message::error(Some(id), -32600, &text, None::<()>);
                    inner.as_mut().answer(answer);
                }
                (Err(error), kind) => {
                    tracing::debug!(?kind, %error, "a message does not fit");
                    if let Some(value) = misfit(kind, &error) {
                        return Poll::Ready(Some(value));
                    }
                }
            }
        }
    }
}

/// In place of an answer that does not fit: an error under its id, since somebody waits for it.
fn misfit<Rx: DeserializeOwned>(kind: Kind<'_>, error: &Error) -> Option<Rx> {
    let Kind::Response { id: Some(id), .. } = kind else {
        return None;
    };
    let text = format!("the answer is of another type: {error}");
    let error = Error::new(ErrorKind::Malformed).context(text);
    Message::failure(Some(id), &error).json().ok()
}

impl<T, Tx, Rx> Sink<Tx> for Typed<T, Tx, Rx>
where
    T: Sink<Message, Error = Error>,
    Tx: Serialize,
{
    type Error = Error;

    fn poll_ready(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.project().inner.poll_ready(cx)
    }

    fn start_send(self: Pin<&mut Self>, item: Tx) -> Result<(), Error> {
        self.project().inner.start_send(Message::from_json(&item)?)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.project().inner.poll_flush(cx)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.project().inner.poll_close(cx)
    }
}
