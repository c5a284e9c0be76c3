//! Futures that are dropped at each point at which they wait, and then begun again.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "each test takes what it needs, and fails where it stands"
)]

use futures::{Sink, SinkExt, Stream, StreamExt};
use mcp_transport_core::{Error, Message};
use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

/// Polls a future so many times, whenever it is woken, and drops it.
pub async fn dropped_after<F: Future>(polls: usize, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut left = polls;
    poll_fn(|cx| {
        if left > 0 {
            left -= 1;
            match future.as_mut().poll(cx) {
                Poll::Ready(output) => return Poll::Ready(Some(output)),
                Poll::Pending if left > 0 => return Poll::Pending,
                Poll::Pending => {}
            }
        }
        Poll::Ready(None)
    })
    .await
}

/// Sends by steps, each of them dropped after so many polls and then begun again.
pub async fn send<S>(polls: usize, sink: &mut S, message: Message)
where
    S: Sink<Message, Error = Error> + Unpin,
{
    dropped_after(polls, poll_fn(|cx| sink.poll_ready_unpin(cx))).await;
    poll_fn(|cx| sink.poll_ready_unpin(cx)).await.unwrap();
    sink.start_send_unpin(message).unwrap();
    dropped_after(polls, sink.flush()).await;
    sink.flush().await.unwrap();
}

/// Reads, dropped after so many polls and then begun again.
pub async fn next<S>(polls: usize, stream: &mut S) -> Option<Message>
where
    S: Stream<Item = Result<Message, Error>> + Unpin,
{
    let item = match dropped_after(polls, stream.next()).await {
        Some(item) => item,
        None => stream.next().await,
    };
    item.map(Result::unwrap)
}

/// Closes, dropped after so many polls and then begun again.
pub async fn close<S>(polls: usize, sink: &mut S)
where
    S: Sink<Message, Error = Error> + Unpin,
{
    dropped_after(polls, sink.close()).await;
    sink.close().await.unwrap();
}
