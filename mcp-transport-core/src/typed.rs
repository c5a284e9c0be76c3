//! Your serde types in place of messages.

use crate::error::Error;
use crate::message::{Kind, Message};
use futures::{Sink, Stream, ready};
use pin_project_lite::pin_project;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::VecDeque;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll};

pin_project! {
    /// A transport of types of yours: `Tx` goes out, `Rx` comes in.
    ///
    /// Made by [`TransportExt::typed`](crate::TransportExt::typed). Incoming messages that are no
    /// JSON-RPC, and requests that do not fit `Rx`, are answered here with an error, so that nobody
    /// waits for them; at most 64 such answers are kept while the peer does not read. An error of
    /// the transport ends the stream, as service libraries expect.
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
    pub struct Typed<T, Tx, Rx> {
        #[pin]
        inner: T,
        // Answers of ours, and at most one message whose room an answer took.
        waiting: VecDeque<Message>,
        // True if an answer took the room that the last `poll_ready` promised.
        spent: bool,
        // True if an answer was handed over and may still lie in the transport's buffer.
        unflushed: bool,
        types: PhantomData<fn(Tx) -> Rx>,
    }
}

/// Answers that wait for room; what comes on top is dropped, since its sender does not read.
const MAX_ANSWERS: usize = 64;

impl<T, Tx, Rx> Typed<T, Tx, Rx> {
    pub(crate) const fn new(inner: T) -> Self {
        Self {
            inner,
            waiting: VecDeque::new(),
            spent: false,
            unflushed: false,
            types: PhantomData,
        }
    }

    /// The transport beneath.
    pub fn into_inner(self) -> T {
        self.inner
    }
}

impl<T, Tx, Rx> std::fmt::Debug for Typed<T, Tx, Rx> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Typed")
            .field("waiting", &self.waiting.len())
            .finish_non_exhaustive()
    }
}

impl<T, Tx, Rx> Stream for Typed<T, Tx, Rx>
where
    T: Stream<Item = Result<Message, Error>> + Sink<Message, Error = Error>,
    Rx: DeserializeOwned,
{
    type Item = Rx;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Rx>> {
        loop {
            // Pending or not: answers must leave even if no further message comes, and must not
            // stop reading.
            if self.unflushed || !self.waiting.is_empty() {
                let _ = self.as_mut().poll_flush_waiting(cx);
            }
            let this = self.as_mut().project();
            let message = match ready!(this.inner.poll_next(cx)) {
                Some(Ok(message)) => message,
                Some(Err(error)) => {
                    tracing::debug!(%error, "the transport ended");
                    return Poll::Ready(None);
                }
                None => return Poll::Ready(None),
            };
            if let Some(value) = read(&message, this.waiting) {
                return Poll::Ready(Some(value));
            }
        }
    }
}

impl<T, Tx, Rx> Typed<T, Tx, Rx>
where
    T: Sink<Message, Error = Error>,
{
    /// Hands over what waits.
    fn poll_waiting(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let mut this = self.project();
        while !this.waiting.is_empty() {
            ready!(this.inner.as_mut().poll_ready(cx))?;
            if let Some(message) = this.waiting.pop_front() {
                *this.spent = true;
                *this.unflushed = true;
                this.inner.as_mut().start_send(message)?;
            }
        }
        Poll::Ready(Ok(()))
    }

    fn poll_flush_waiting(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Error>> {
        ready!(self.as_mut().poll_waiting(cx))?;
        let this = self.project();
        ready!(this.inner.poll_flush(cx))?;
        *this.unflushed = false;
        Poll::Ready(Ok(()))
    }
}

fn read<Rx: DeserializeOwned>(message: &Message, answers: &mut VecDeque<Message>) -> Option<Rx> {
    let answer = match (message.to_answer(), message.kind(), message.json()) {
        (Some(answer), ..) => answer,
        (.., Ok(value)) => return Some(value),
        (_, Kind::Request { id, .. }, Err(error)) => {
            let text = format!("Invalid Request: {error}");
            Message::error(Some(id), -32600, &text, None::<()>)
        }
        (_, kind, Err(error)) => {
            tracing::debug!(?kind, %error, "a message that does not fit was skipped");
            return None;
        }
    };
    if answers.len() < MAX_ANSWERS {
        answers.push_back(answer);
    }
    None
}

impl<T, Tx, Rx> Sink<Tx> for Typed<T, Tx, Rx>
where
    T: Sink<Message, Error = Error>,
    Tx: Serialize,
{
    type Error = Error;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        ready!(self.as_mut().poll_waiting(cx))?;
        let this = self.project();
        ready!(this.inner.poll_ready(cx))?;
        *this.spent = false;
        Poll::Ready(Ok(()))
    }

    fn start_send(self: Pin<&mut Self>, item: Tx) -> Result<(), Error> {
        let message = Message::from_json(&item)?;
        let this = self.project();
        if *this.spent {
            this.waiting.push_back(message);
            return Ok(());
        }
        this.inner.start_send(message)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.poll_flush_waiting(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        ready!(self.as_mut().poll_waiting(cx))?;
        self.project().inner.poll_close(cx)
    }
}
