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
use mcp_transport_core::memory::{self, End};
use mcp_transport_core::{
    Error, ErrorKind, Eviction, EvictionReason, Id, Message, Resilient, State,
};
use serde_json::Value;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use support::{notification, request};
use tokio::sync::mpsc;
use tokio::time;

/// A connection that takes no more once it is broken, as a socket whose peer is gone; what has
/// arrived can still be read.
struct Breaking {
    inner: End,
    broken: Arc<AtomicBool>,
    /// True if it never runs out of messages.
    floods: bool,
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
        self.inner.poll_next_unpin(cx)
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
                std::future::ready(Ok::<_, Error>(Breaking {
                    inner,
                    broken,
                    floods,
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
