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
    /// Made by [`TransportExt::typed`](crate::TransportExt::typed). Incoming messages that are no JSON-RPC, and requests
    /// that do not fit `Rx`, are answered here with an error, so that nobody waits for them; at most 64 such answers are
    /// kept while the peer does not read. An error of the transport ends the stream, as service libraries expect.
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
        answers: VecDeque<Message>,
        types: PhantomData<fn(Tx) -> Rx>,
    }
}

/// Answers that wait for room; what comes on top is dropped, since its sender does not read.
const MAX_ANSWERS: usize = 64;

impl<T, Tx, Rx> Typed<T, Tx, Rx> {
    pub(crate) const fn new(inner: T) -> Self {
        Self {
            inner,
            answers: VecDeque::new(),
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
            .field("answers", &self.answers.len())
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
            // Pending or not: answers must leave even if no further message comes, and must not stop reading.
            let _ = self.as_mut().poll_answers(cx);
            let this = self.as_mut().project();
            let message = match ready!(this.inner.poll_next(cx)) {
                Some(Ok(message)) => message,
                Some(Err(error)) => {
                    tracing::debug!(%error, "the transport ended");
                    return Poll::Ready(None);
                }
                None => return Poll::Ready(None),
            };
            if let Some(value) = read(&message, this.answers) {
                return Poll::Ready(Some(value));
            }
        }
    }
}

impl<T, Tx, Rx> Typed<T, Tx, Rx>
where
    T: Sink<Message, Error = Error>,
{
    fn poll_answers(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let mut this = self.project();
        if this.answers.is_empty() {
            return Poll::Ready(Ok(()));
        }
        while !this.answers.is_empty() {
            ready!(this.inner.as_mut().poll_ready(cx))?;
            if let Some(answer) = this.answers.pop_front() {
                this.inner.as_mut().start_send(answer)?;
            }
        }
        this.inner.poll_flush(cx)
    }
}

fn read<Rx: DeserializeOwned>(message: &Message, answers: &mut VecDeque<Message>) -> Option<Rx> {
    let answer = match (message.kind(), message.json()) {
        (Kind::Opaque(defect), _) => defect.to_answer(),
        (_, Ok(value)) => return Some(value),
        (Kind::Request { id, .. }, Err(error)) => {
            let text = format!("Invalid Request: {error}");
            Message::error(Some(id), -32600, &text, None::<()>)
        }
        (kind, Err(error)) => {
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
