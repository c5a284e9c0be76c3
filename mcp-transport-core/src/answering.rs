//! Bad messages are answered here, so that nobody waits for them and nobody behind has to know
//! them.
#![expect(
    clippy::disallowed_methods,
    reason = "a shell: it waits for the last answers to leave"
)]

use crate::error::{Error, ErrorKind};
use crate::message::Message;
use futures::task::AtomicWaker;
use futures::{Sink, Stream, ready};
use pin_project_lite::pin_project;
use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;
use tokio::time::{Sleep, sleep};

pin_project! {
    /// A transport that answers what is no JSON-RPC message, and yields the rest.
    ///
    /// [`Message::to_answer`] says what is answered. In place of an answer over the limit you get a
    /// JSON-RPC error under its id, since somebody waits for it. At most 64 answers wait for the peer to read
    /// them; while they do, nothing more is read from it, so that each bad message has its answer
    /// and none costs memory without bound. At the end of the stream, answers that still wait have
    /// 1 s to leave.
    ///
    /// [`Typed`](crate::Typed) is built on it, and so is the transport over a server's own pipes.
    /// Of two of them, one above the other, the upper one finds nothing left to answer.
    ///
    /// The two halves may be polled by different tasks; neither takes the other's wake-up.
    ///
    /// ```
    /// use futures::{FutureExt, SinkExt, StreamExt};
    /// use mcp_transport_core::{Answering, Message, memory};
    ///
    /// # let mut runtime = tokio::runtime::Builder::new_current_thread();
    /// # runtime.enable_time().build().unwrap().block_on(async {
    /// let (ours, mut theirs) = memory::pair(8);
    /// let mut ours = Answering::new(ours);
    /// theirs.send(Message::from("nonsense")).await.unwrap();
    /// assert!(ours.next().now_or_never().is_none());
    /// let answer = theirs.next().await.unwrap().unwrap();
    /// assert!(answer.body().unwrap().contains("-32700"));
    /// # });
    /// ```
    ///
    /// # Panics
    /// Polled outside a tokio runtime with its clock, where the stream ends while answers still
    /// wait.
    pub struct Answering<T> {
        #[pin]
        inner: T,
        // Answers of ours that wait for room.
        waiting: VecDeque<Message>,
        // True if an answer took the room that the last `poll_ready` promised.
        spent: bool,
        // The message that came for that room, where there was no more.
        held: Option<Message>,
        // True if an answer was handed over and may still lie in the transport's buffer.
        unflushed: bool,
        // Set once the peer has nothing more to say.
        ended: Option<Option<Error>>,
        last_call: Option<Pin<Box<Sleep>>>,
        wakers: Arc<Wakers>,
        // The same as a `Waker`, so that no poll of the sink has to make one.
        waker: Waker,
    }
}

/// Answers that wait for room before we stop reading.
const MAX_ANSWERS: usize = 64;

/// How long answers may take to leave once the stream has ended.
const LAST_CALL: Duration = Duration::from_secs(1);

impl<T> Answering<T> {
    /// Answers what `inner` yields and is no message.
    pub fn new(inner: T) -> Self {
        let wakers = Arc::new(Wakers::default());
        Self {
            inner,
            waiting: VecDeque::new(),
            spent: false,
            held: None,
            unflushed: false,
            ended: None,
            last_call: None,
            waker: Waker::from(Arc::clone(&wakers)),
            wakers,
        }
    }

    /// The transport beneath, to look at.
    pub const fn get_ref(&self) -> &T {
        &self.inner
    }

    /// The transport beneath; answers that wait are lost.
    pub fn into_inner(self) -> T {
        self.inner
    }

    /// Takes one more answer, for a message that was just yielded: there was room before that one
    /// was read.
    pub(crate) fn answer(self: Pin<&mut Self>, answer: Message) {
        self.project().waiting.push_back(answer);
    }
}

impl<T> fmt::Debug for Answering<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answering")
            .field("waiting", &self.waiting.len())
            .finish_non_exhaustive()
    }
}

impl<T> Stream for Answering<T>
where
    T: Stream<Item = Result<Message, Error>> + Sink<Message, Error = Error>,
{
    type Item = Result<Message, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            // A broken sink is no news here: it will say so to whoever writes, and the stream below
            // says how it ended.
            let left = self.as_mut().poll_answers_left(cx);
            let this = self.as_mut().project();
            if let Some(error) = this.ended {
                if left.is_pending() {
                    let last_call = this
                        .last_call
                        .get_or_insert_with(|| Box::pin(sleep(LAST_CALL)));
                    ready!(last_call.as_mut().poll(cx));
                    this.waiting.clear();
                    *this.unflushed = false;
                }
                return Poll::Ready(error.take().map(Err));
            }
            if this.waiting.len() >= MAX_ANSWERS {
                return Poll::Pending;
            }
            match ready!(this.inner.poll_next(cx)) {
                Some(Ok(message)) => {
                    if let Some(lost) = message.to_lost_answer() {
                        tracing::debug!(?message, "an answer was lost");
                        return Poll::Ready(Some(Ok(lost)));
                    }
                    let Some(answer) = message.to_answer() else {
                        return Poll::Ready(Some(Ok(message)));
                    };
                    tracing::debug!(?message, "what is no message was answered");
                    this.waiting.push_back(answer);
                }
                Some(Err(error)) => *this.ended = Some(Some(error)),
                None => *this.ended = Some(None),
            }
        }
    }
}

impl<T: Sink<Message, Error = Error>> Answering<T> {
    /// Ready once no answer of ours waits any more. Called by the reading half.
    fn poll_answers_left(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if !self.unflushed && self.waiting.is_empty() {
            return Poll::Ready(());
        }
        self.wakers.reader.register(cx.waker());
        match self.as_mut().poll_waiting() {
            Poll::Ready(Ok(())) => {}
            Poll::Ready(Err(error)) => return self.give_up(&error),
            Poll::Pending => return Poll::Pending,
        }
        match self.as_mut().poll_flush_inner() {
            Poll::Ready(Ok(())) => Poll::Ready(()),
            Poll::Ready(Err(error)) => self.give_up(&error),
            Poll::Pending => Poll::Pending,
        }
    }

    fn give_up(self: Pin<&mut Self>, error: &Error) -> Poll<()> {
        tracing::debug!(%error, "answers to bad messages could not be written");
        let this = self.project();
        this.waiting.clear();
        *this.unflushed = false;
        Poll::Ready(())
    }

    fn poll_flush_inner(self: Pin<&mut Self>) -> Poll<Result<(), Error>> {
        let this = self.project();
        ready!(this.inner.poll_flush(&mut Context::from_waker(this.waker)))?;
        if std::mem::take(this.unflushed) {
            this.wakers.reader.wake();
        }
        Poll::Ready(Ok(()))
    }

    /// Hands over the answers that wait.
    fn poll_waiting(self: Pin<&mut Self>) -> Poll<Result<(), Error>> {
        let mut this = self.project();
        let cx = &mut Context::from_waker(this.waker);
        while !this.waiting.is_empty() {
            ready!(this.inner.as_mut().poll_ready(cx))?;
            if let Some(message) = this.waiting.pop_front() {
                *this.spent = true;
                *this.unflushed = true;
                match this.inner.as_mut().start_send(message) {
                    // Under a limit that small the peer cannot be told; the others still can.
                    Err(error) if matches!(error.kind(), ErrorKind::TooLarge { .. }) => {
                        tracing::debug!(%error, "an answer to a bad message could not be written");
                    }
                    sent => sent?,
                }
            }
            // It may have stopped reading for want of room here.
            this.wakers.reader.wake();
        }
        Poll::Ready(Ok(()))
    }

    /// Hands over the answers, and the message that came when an answer had taken its room. For
    /// the writing half only: an error may be about that message.
    fn poll_all_waiting(mut self: Pin<&mut Self>) -> Poll<Result<(), Error>> {
        ready!(self.as_mut().poll_waiting())?;
        let mut this = self.project();
        if this.held.is_some() {
            ready!(
                this.inner
                    .as_mut()
                    .poll_ready(&mut Context::from_waker(this.waker))
            )?;
            if let Some(message) = this.held.take() {
                this.inner.start_send(message)?;
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<T: Sink<Message, Error = Error>> Sink<Message> for Answering<T> {
    type Error = Error;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.wakers.writer.register(cx.waker());
        ready!(self.as_mut().poll_all_waiting())?;
        let this = self.project();
        ready!(this.inner.poll_ready(&mut Context::from_waker(this.waker)))?;
        *this.spent = false;
        Poll::Ready(Ok(()))
    }

    fn start_send(self: Pin<&mut Self>, message: Message) -> Result<(), Error> {
        let mut this = self.project();
        if *this.spent {
            let cx = &mut Context::from_waker(this.waker);
            if this.inner.as_mut().poll_ready(cx)?.is_pending() {
                *this.held = Some(message);
                return Ok(());
            }
        }
        this.inner.start_send(message)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.wakers.writer.register(cx.waker());
        ready!(self.as_mut().poll_all_waiting())?;
        self.poll_flush_inner()
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.wakers.writer.register(cx.waker());
        ready!(self.as_mut().poll_all_waiting())?;
        let this = self.project();
        this.inner.poll_close(&mut Context::from_waker(this.waker))
    }
}

/// Both halves write, and a sink remembers one waker: it is given this, which wakes both.
#[derive(Default)]
struct Wakers {
    reader: AtomicWaker,
    writer: AtomicWaker,
}

impl Wake for Wakers {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.reader.wake();
        self.writer.wake();
    }
}
