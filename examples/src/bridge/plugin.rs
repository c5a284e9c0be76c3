//! A bridge as the hub sees it: a plugin's socket.
//!
//! A plugin set to HTTP says unasked which tools it has; one that listens has to be asked. That is done once for each
//! connection, which a call has made: when that call is answered, and nobody has anything else to ask for a moment.
#![expect(
    clippy::disallowed_methods,
    reason = "a socket that waits for a moment in which nobody else asks anything"
)]

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
use std::time::Duration;
use tokio::time::{Instant, Sleep};

/// A connection to a bridge that speaks the hub's dialect. The first thing that it says is who it is.
pub(super) struct BridgedPlugin<T, J> {
    link: T,
    translator: Translator,
    /// What the hub has yet to hear; a register, an answer and a pong at most.
    heard: VecDeque<Message>,
    /// Says what the end of the link means.
    judge: Option<J>,
    end: End,
    ask: Ask,
    timer: Pin<Box<Sleep>>,
    /// What goes out as soon as the bridge takes it: our question, or a command that came while it was out.
    next: Option<Message>,
}

/// Our own question.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Ask {
    /// Not before a command was answered.
    NotYet,
    /// When the timer says so, unless somebody else asks something.
    Soon,
    /// It is out, or was.
    Asked,
}

/// For so long nobody may ask anything before we do.
const IDLE: Duration = Duration::from_millis(250);

/// So long a command waits for the answer to our question. An editor that takes longer stands still; then the command is
/// taken over, so that it can be said for how long it has not been answered.
const PATIENCE: Duration = Duration::from_secs(1);

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
            ask: Ask::NotYet,
            timer: Box::pin(tokio::time::sleep(IDLE)),
            next: None,
        }
    }

    /// Reads one frame, for whoever polls next.
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let end = match ready!(self.link.poll_next_unpin(cx)) {
            Some(Ok(frame)) => match self.translator.bridge_said(&frame) {
                Ok(message) => {
                    self.heard.extend(message);
                    if self.ask != Ask::Asked {
                        self.ask = Ask::Soon;
                        self.timer.as_mut().reset(Instant::now() + IDLE);
                    }
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

    /// Asks our own question when its time has come, and sends what had to wait for its answer.
    fn poll_own(&mut self, cx: &mut Context<'_>) {
        if self.ask == Ask::Soon
            && self.translator.is_idle()
            && self.timer.as_mut().poll(cx).is_ready()
        {
            self.ask = Ask::Asked;
            self.next = Some(self.translator.question());
            self.timer.as_mut().reset(Instant::now() + PATIENCE);
        }
        if self.next.is_some() {
            let sent = match self.link.poll_ready_unpin(cx) {
                Poll::Ready(Ok(())) => match self.next.take() {
                    Some(message) => self.link.start_send_unpin(message),
                    None => Ok(()),
                },
                Poll::Ready(Err(error)) => Err(error),
                Poll::Pending => return,
            };
            if let Err(error) = sent {
                return self.ended(error);
            }
        }
        if self.ask == Ask::Asked
            && let Poll::Ready(Err(error)) = self.link.poll_flush_unpin(cx)
        {
            self.ended(error);
        }
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
            if matches!(self.end, End::NotYet) {
                self.poll_own(cx);
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
        if matches!(self.end, End::NotYet) && self.translator.is_working() {
            // The hub has one command out at a time, so it is about to ping, which the link never sees. It has no room before
            // the command is answered, and nobody reads the answer as long as the hub waits for room.
            return Poll::Ready(Ok(()));
        }
        while matches!(self.end, End::NotYet) && self.translator.is_asking() {
            self.poll_own(cx);
            if self.poll_frame(cx).is_pending() {
                ready!(self.timer.as_mut().poll(cx));
                return Poll::Ready(Ok(()));
            }
        }
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
            FromHub::ToBridge(command) if self.translator.is_asking() => {
                if self.next.replace(command).is_some() {
                    // The bridge has not even taken the question, and what is not asked gets no answer.
                    self.translator.unask();
                }
                Ok(())
            }
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

#[cfg(test)]
mod tests {
    use super::*;
    use mcp_transport_core::memory;
    use mcp_transport_stdio::bridge::{BridgeTransport, LinkConfig};
    use mcp_transport_stdio::discovery::{Status, project_key};
    use std::time::SystemTime;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

    const GAME: &str = "/projects/Game/Assets";
    const EXECUTE: &str =
        r#"{"type":"execute","id":"1","name":"manage_build","params":{},"timeout":30.0}"#;

    /// A frame, as long as its head says.
    async fn frame(far: &mut DuplexStream) -> Vec<u8> {
        let length = far.read_u64().await.unwrap();
        let mut payload = vec![0; usize::try_from(length).unwrap()];
        far.read_exact(&mut payload).await.unwrap();
        payload
    }

    #[tokio::test(start_paused = true)]
    async fn a_command_takes_the_place_of_our_question_if_that_was_never_written() {
        let (near, mut far) = memory::pair(0);
        let project = Project::new(
            project_key(GAME),
            Status::new(6400, GAME),
            SystemTime::now(),
        );
        let mut plugin = BridgedPlugin::new(near, &project, |error| async move { error });
        plugin.next().await.unwrap().unwrap();
        let command = |id: &str| Message::from(EXECUTE.replace("\"1\"", &format!("{id:?}")));
        let answer = || Message::from(r#"{"status":"success","result":{}}"#);
        plugin.send(command("first")).await.unwrap();
        far.send(answer()).await.unwrap();
        let heard = plugin.next().await.unwrap().unwrap();
        assert!(heard.as_str().unwrap().contains(r#""id":"first""#));
        // Nothing was read over there, so there is no room for the question, whose time has come.
        let silent = tokio::time::timeout(2 * IDLE, plugin.next()).await;
        assert!(silent.is_err());
        plugin.send(command("second")).await.unwrap();
        let bridge = async {
            for _ in 0..2 {
                let frame = far.next().await.unwrap().unwrap();
                assert!(frame.as_str().unwrap().contains("manage_build"));
            }
            far.send(answer()).await.unwrap();
        };
        let both = async { tokio::join!(plugin.next(), bridge) };
        let both = tokio::time::timeout(PATIENCE, both).await;
        let (heard, ()) = both.expect("the answer is the command's");
        let heard = heard.unwrap().unwrap();
        assert!(heard.as_str().unwrap().contains(r#""id":"second""#));
    }

    #[tokio::test(start_paused = true)]
    async fn a_ping_of_the_hubs_is_answered_while_a_command_runs_and_holds_nothing_up() {
        let (near, mut far) = duplex(1 << 16);
        far.write_all(b"WELCOME UNITY-MCP 1 FRAMING=1\n")
            .await
            .unwrap();
        let link = BridgeTransport::open(near, None, LinkConfig::default())
            .await
            .unwrap();
        let project = Project::new(
            project_key(GAME),
            Status::new(6400, GAME),
            SystemTime::now(),
        );
        let mut plugin = BridgedPlugin::new(link, &project, |error| async move { error });
        let heard = |message: Option<Result<Message, Error>>| {
            message.unwrap().unwrap().as_str().unwrap().to_owned()
        };
        assert!(heard(plugin.next().await).contains("register"));

        plugin.send(Message::from(EXECUTE)).await.unwrap();
        assert!(
            frame(&mut far)
                .await
                .starts_with(br#"{"type":"manage_build""#)
        );
        // Six minutes, in which the hub asks every 10 s whether anybody is there.
        for _ in 0..36 {
            tokio::time::sleep(Duration::from_secs(10)).await;
            let ping = plugin.send(Message::from(r#"{"type":"ping"}"#));
            tokio::time::timeout(Duration::from_secs(1), ping)
                .await
                .expect("a ping waits for nobody")
                .unwrap();
            assert_eq!(heard(plugin.next().await), r#"{"type":"pong"}"#);
        }
        let answer = br#"{"status":"success","result":{}}"#;
        far.write_u64(answer.len() as u64).await.unwrap();
        far.write_all(answer).await.unwrap();
        assert!(heard(plugin.next().await).contains("command_result"));
    }
}
