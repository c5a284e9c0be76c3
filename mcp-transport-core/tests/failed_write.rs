//! What a link makes of a write that fails: the host may have said something before it went.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    dead_code,
    missing_docs,
    reason = "tests wait, and use a part of what supports them"
)]

mod support;

use futures::{FutureExt, Sink, SinkExt, Stream, StreamExt};
use mcp_transport_core::codec::Lines;
use mcp_transport_core::memory::{self, End};
use mcp_transport_core::{
    Error, ErrorKind, Eviction, EvictionReason, Id, Message, Resilient, State,
};
use serde_json::Value;
use std::future;
#[cfg(unix)]
use std::io::{BufRead, BufReader, Write};
#[cfg(unix)]
use std::os::unix::net::UnixStream;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use support::{notification, request};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
#[cfg(unix)]
use tokio::task;
use tokio::time;

/// A connection that takes no more once it is broken, as a socket whose peer is gone; what has
/// arrived can still be read.
struct Breaking {
    inner: End,
    broken: Arc<AtomicBool>,
    /// True if it never runs out of messages.
    floods: bool,
    /// True once its reader has ended, as one that must not be read after that.
    ended: bool,
}

impl Breaking {
    fn write(&self) -> Result<(), Error> {
        match self.broken.load(Ordering::Relaxed) {
            true => Err(Error::new(ErrorKind::Disconnected).context("broken pipe")),
            false => Ok(()),
        }
    }
}

impl Stream for Breaking {
    type Item = Result<Message, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.floods {
            return Poll::Ready(Some(Ok(notification("notifications/message"))));
        }
        assert!(!self.ended, "it is read after its end");
        let next = self.inner.poll_next_unpin(cx);
        self.ended = matches!(next, Poll::Ready(None | Some(Err(_))));
        next
    }
}

impl Sink<Message> for Breaking {
    type Error = Error;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.write()?;
        self.inner.poll_ready_unpin(cx)
    }

    fn start_send(mut self: Pin<&mut Self>, message: Message) -> Result<(), Error> {
        self.inner.start_send_unpin(message)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(self.write())
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_close_unpin(cx)
    }
}

struct Rig {
    link: Resilient,
    host: End,
    broken: Arc<AtomicBool>,
    dials: Arc<AtomicUsize>,
}

impl Rig {
    async fn new(floods: bool) -> Self {
        let (broken, dials) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
        let (tx, mut hosts) = mpsc::unbounded_channel();
        let connector = {
            let (broken, dials) = (broken.clone(), dials.clone());
            move || {
                dials.fetch_add(1, Ordering::Relaxed);
                let (inner, host) = memory::pair(1_000);
                let _ = tx.send(host);
                let broken = broken.clone();
                future::ready(Ok::<_, Error>(Breaking {
                    inner,
                    broken,
                    floods,
                    ended: false,
                }))
            }
        };
        let link = Resilient::spawn(connector);
        let host = hosts.recv().await.unwrap();
        Self {
            link,
            host,
            broken,
            dials,
        }
    }

    /// The host has this many calls, whose answers nobody has read.
    async fn call(&mut self, calls: i64) {
        for id in 0..calls {
            self.link.send(request(id, "tools/call")).await.unwrap();
            self.host.next().await.unwrap().unwrap();
        }
    }

    /// All in one breath: nothing else runs meanwhile.
    async fn answer(&mut self, calls: i64) {
        for id in 0..calls {
            let answer = Message::response(&Id::from(id), "done").unwrap();
            self.host.feed(answer).now_or_never().unwrap().unwrap();
        }
    }

    /// The host says that its seat was taken, and is gone.
    fn superseded(self) -> (Resilient, Arc<AtomicUsize>) {
        let eviction = Eviction::new(EvictionReason::Superseded);
        self.host.abort(Error::evicted(eviction));
        self.broken.store(true, Ordering::Relaxed);
        (self.link, self.dials)
    }
}

/// The answers, oldest first.
async fn hear(link: &mut Resilient, answers: i64) -> Vec<Value> {
    let mut heard = Vec::new();
    for _ in 0..answers {
        let answer = time::timeout(Duration::from_secs(1), link.next()).await;
        let answer = answer.expect("an answer is due").unwrap().unwrap();
        heard.push(answer.json().unwrap());
    }
    heard
}

#[tokio::test(start_paused = true)]
async fn what_has_arrived_is_read_before_a_failed_write_ends_the_connection() {
    let mut rig = Rig::new(false).await;
    rig.call(50).await;
    rig.answer(50).await;
    let (mut link, dials) = rig.superseded();
    link.feed(request(50, "tools/call")).await.unwrap();
    let heard = hear(&mut link, 51).await;
    for answer in &heard[..50] {
        assert_eq!(answer["result"], "done", "{answer}");
    }
    let refused = &heard[50]["error"];
    assert_eq!(refused["code"], -31009, "{refused}");
    assert_eq!(refused["data"]["outcome"], "not_delivered");
    assert!(matches!(link.state(), State::Standby { .. }));
    time::sleep(Duration::from_secs(3600)).await;
    assert_eq!(dials.load(Ordering::Relaxed), 1, "never duel");
}

#[tokio::test(start_paused = true)]
async fn a_failed_write_costs_a_client_that_reads_slowly_no_answer() {
    let mut rig = Rig::new(false).await;
    rig.call(300).await;
    rig.answer(300).await;
    // By now the host is read no more: the client has not read anything.
    time::sleep(Duration::from_secs(1)).await;
    let (mut link, _) = rig.superseded();
    link.feed(request(300, "tools/call")).await.unwrap();
    time::sleep(Duration::from_secs(1)).await;
    for answer in &hear(&mut link, 301).await[..300] {
        assert_eq!(answer["result"], "done", "{answer}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_host_that_never_stops_talking_does_not_keep_a_connection_whose_write_failed() {
    let mut rig = Rig::new(true).await;
    rig.broken.store(true, Ordering::Relaxed);
    rig.link.feed(request(1, "tools/call")).await.unwrap();
    time::sleep(Duration::from_millis(500)).await;
    assert_eq!(rig.dials.load(Ordering::Relaxed), 2);
}

#[tokio::test(start_paused = true)]
async fn a_host_that_takes_no_more_and_says_nothing_does_not_keep_its_connection() {
    let mut rig = Rig::new(false).await;
    rig.broken.store(true, Ordering::Relaxed);
    rig.link.feed(request(1, "tools/call")).await.unwrap();
    time::sleep(Duration::from_millis(500)).await;
    assert_eq!(rig.dials.load(Ordering::Relaxed), 2);
    drop(rig.host);
}

#[tokio::test(start_paused = true)]
async fn after_a_failed_write_nothing_is_read_that_has_ended_though_the_client_lets_go_meanwhile() {
    let mut rig = Rig::new(false).await;
    rig.call(50).await;
    rig.answer(50).await;
    let (mut link, _) = rig.superseded();
    let mut state = link.watch();
    link.feed(request(50, "tools/call")).await.unwrap();
    drop(link);
    let closed = state.wait_for(State::is_closed).await;
    closed.expect("the link's task did not panic");
}

/// A link whose only connection this is.
fn over<IO: AsyncRead + AsyncWrite + Send + 'static>(ours: IO) -> Resilient {
    let mut ours = Some(Lines::framed(ours));
    Resilient::spawn(move || {
        future::ready(ours.take().ok_or_else(|| ErrorKind::Unreachable.into()))
    })
}

#[cfg(unix)]
#[tokio::test]
async fn an_answer_of_which_the_runtime_has_not_heard_yet_is_read_when_a_write_fails() {
    let (ours, host) = UnixStream::pair().unwrap();
    ours.set_nonblocking(true).unwrap();
    let mut link = over(tokio::net::UnixStream::from_std(ours).unwrap());
    link.send(request(1, "tools/call")).await.unwrap();
    let called = task::spawn_blocking(move || {
        BufReader::new(&host).read_line(&mut String::new()).unwrap();
        host
    });
    let mut host = called.await.unwrap();
    // From here on the runtime does not ask the system before the write has failed.
    let answer = Message::response(&Id::from(1), "done").unwrap();
    writeln!(host, "{}", answer.as_str().unwrap()).unwrap();
    drop(host);
    link.feed(request(2, "tools/call")).await.unwrap();
    let answer: Value = link.next().await.unwrap().unwrap().json().unwrap();
    assert_eq!(answer["result"], "done", "{answer}");
}

#[tokio::test(start_paused = true)]
async fn answers_that_take_more_than_one_turn_of_the_runtime_are_read_when_a_write_fails() {
    let (ours, theirs) = tokio::io::duplex(16 * 1024 * 1024);
    let mut link = over(ours);
    let mut host = Lines::framed(theirs);
    let long = "x".repeat(32 * 1024);
    for id in 0..400 {
        link.send(request(id, "tools/call")).await.unwrap();
        host.next().await.unwrap().unwrap();
    }
    for id in 0..400 {
        let answer = Message::response(&Id::from(id), &long).unwrap();
        host.send(answer).await.unwrap();
    }
    // By now the host is read no more: the client has not read anything.
    time::sleep(Duration::from_secs(1)).await;
    drop(host);
    link.feed(request(400, "tools/call")).await.unwrap();
    time::sleep(Duration::from_secs(1)).await;
    for answer in hear(&mut link, 400).await {
        assert_eq!(answer["result"], long);
    }
}
