//! A bridge as the hub sees it: a plugin's socket.

use super::translate::{FromHub, Translator, register};
use crate::hub::socket::PluginSocket;
use futures::future::BoxFuture;
use futures::{Sink, SinkExt, Stream, StreamExt, ready};
use mcp_transport_core::{Error, ErrorKind, Message, Transport};
use mcp_transport_stdio::discovery::Project;
use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

/// A connection to a bridge that speaks the hub's dialect. The first thing that it says is who it is.
pub(super) struct BridgedPlugin<T, J> {
    link: T,
    translator: Translator,
    /// What the hub has yet to hear; a register, an answer and a pong at most.
    heard: VecDeque<Message>,
    /// Says what the end of the link means.
    judge: Option<J>,
    end: End,
}

enum End {
    /// The link lives.
    NotYet,
    /// It ended; what that means is being found out.
    Judged(BoxFuture<'static, Error>),
    Told,
}

impl<T, J, F> BridgedPlugin<T, J>
where
    T: Transport + Send + Unpin,
    J: FnOnce(Error) -> F + Send + Unpin,
    F: Future<Output = Error> + Send + 'static,
{
    pub(super) fn new(link: T, project: &Project, judge: J) -> Self {
        let heard = VecDeque::from([register(project)]);
        Self {
            link,
            translator: Translator::default(),
            heard,
            judge: Some(judge),
            end: End::NotYet,
        }
    }

    /// Reads one frame, for whoever polls next.
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let end = match ready!(self.link.poll_next_unpin(cx)) {
            Some(Ok(frame)) => match self.translator.bridge_said(&frame) {
                Ok(message) => {
                    self.heard.push_back(message);
                    return Poll::Ready(());
                }
                Err(error) => error,
            },
            Some(Err(error)) => error,
            None => Error::new(ErrorKind::Disconnected).context("the bridge closed the connection"),
        };
        self.ended(end);
        Poll::Ready(())
    }

    fn ended(&mut self, error: Error) {
        if let Some(judge) = self.judge.take() {
            self.end = End::Judged(Box::pin(judge(error)));
        }
    }

    /// What its end means, to the first who asks.
    fn poll_verdict(&mut self, cx: &mut Context<'_>) -> Poll<Option<Error>> {
        let End::Judged(verdict) = &mut self.end else {
            return Poll::Ready(None);
        };
        let error = ready!(verdict.as_mut().poll(cx));
        self.end = End::Told;
        Poll::Ready(Some(error))
    }
}

impl<T, J, F> Stream for BridgedPlugin<T, J>
where
    T: Transport + Send + Unpin,
    J: FnOnce(Error) -> F + Send + Unpin,
    F: Future<Output = Error> + Send + 'static,
{
    type Item = Result<Message, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if let Some(message) = self.heard.pop_front() {
                return Poll::Ready(Some(Ok(message)));
            }
            match self.end {
                End::NotYet => ready!(self.poll_frame(cx)),
                End::Judged(_) | End::Told => return self.poll_verdict(cx).map(|end| end.map(Err)),
            }
        }
    }
}

impl<T, J, F> Sink<Message> for BridgedPlugin<T, J>
where
    T: Transport + Send + Unpin,
    J: FnOnce(Error) -> F + Send + Unpin,
    F: Future<Output = Error> + Send + 'static,
{
    type Error = Error;

    /// A command that comes as the link ends waits for the verdict, too: by that it is told whether to send it again.
    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        if matches!(self.end, End::NotYet) {
            match ready!(self.link.poll_ready_unpin(cx)) {
                Ok(()) => return Poll::Ready(Ok(())),
                Err(error) => self.ended(error),
            }
        }
        let verdict = ready!(self.poll_verdict(cx));
        Poll::Ready(Err(
            verdict.unwrap_or_else(|| ErrorKind::Disconnected.into())
        ))
    }

    fn start_send(mut self: Pin<&mut Self>, message: Message) -> Result<(), Error> {
        match self.translator.hub_said(&message)? {
            FromHub::ToBridge(command) => self.link.start_send_unpin(command),
            FromHub::Answer(pong) => {
                self.heard.push_back(pong);
                Ok(())
            }
            FromHub::Nothing => Ok(()),
        }
    }

    /// Reads meanwhile: a command behind a ping goes out only after its pong was seen.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        loop {
            if !matches!(self.end, End::NotYet) {
                // The stream says how it ended.
                return Poll::Ready(Ok(()));
            }
            match self.link.poll_flush_unpin(cx) {
                Poll::Ready(Ok(())) => return Poll::Ready(Ok(())),
                Poll::Ready(Err(error)) => {
                    self.ended(error);
                    continue;
                }
                Poll::Pending => {}
            }
            ready!(self.poll_frame(cx));
        }
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.link.poll_close_unpin(cx)
    }
}

impl<T, J, F> PluginSocket for BridgedPlugin<T, J>
where
    T: Transport + Send + Unpin,
    J: FnOnce(Error) -> F + Send + Unpin,
    F: Future<Output = Error> + Send + 'static,
{
    /// The bridge's wire has no goodbye but the end of the stream.
    async fn goodbye(mut self, _code: u16, _reason: &str) {
        let _ = self.link.close().await;
    }
}

impl<T, J> fmt::Debug for BridgedPlugin<T, J> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BridgedPlugin")
            .field("translator", &self.translator)
            .finish_non_exhaustive()
    }
}
