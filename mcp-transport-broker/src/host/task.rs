//! The listener's task: one lease after the other.
#![expect(
    clippy::disallowed_methods,
    reason = "a shell: it waits for leases, orders and deadlines"
)]

use super::carried::Carried;
use super::hub::Hub;
use super::lease::Lease;
use super::link::Link;
use super::state::Output;
use crate::native::DetachReason;
use mcp_transport_core::{Error, ErrorKind, EvictionReason};
use std::convert::Infallible;
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time;

/// What the application wants of the task.
pub(super) enum Order {
    Reload {
        gap: Duration,
        done: oneshot::Sender<()>,
    },
    Carry {
        gap: Duration,
        done: oneshot::Sender<Carried>,
    },
    ShutDown {
        deadline: Duration,
        done: oneshot::Sender<()>,
    },
    /// The listener was dropped.
    LetGo,
}

pub(super) struct Task {
    pub(super) hub: Arc<Hub>,
    pub(super) link: Link,
    pub(super) gap: Arc<AtomicU64>,
    pub(super) instance: String,
    pub(super) orders: mpsc::Receiver<Order>,
    /// Ends with the listener.
    pub(super) alive: oneshot::Receiver<Infallible>,
}

impl Task {
    pub(super) async fn run(mut self) {
        let mut lease = None;
        loop {
            let ended = match &mut lease {
                None => tokio::select! {
                    connected = self.link.connect() => {
                        match connected {
                            Ok(new) => {
                                lease = Some(new);
                                continue;
                            }
                            Err(error) => return self.hub.touch(|state| state.close(error)),
                        }
                    }
                    order = order(&mut self.orders, &mut self.alive) => Ok(order),
                },
                Some(lease) => tokio::select! {
                    error = lease.run() => Err(error),
                    order = order(&mut self.orders, &mut self.alive) => Ok(order),
                },
            };
            match ended {
                Err(error) => {
                    lease = None;
                    self.lost(&error);
                }
                Ok(Order::Reload { gap, done }) => {
                    self.reload(lease.take(), gap).await;
                    let _ = done.send(());
                }
                Ok(Order::Carry { gap, done }) => {
                    let carried = self.carry(lease, gap).await;
                    self.close();
                    let _ = done.send(carried);
                    return;
                }
                Ok(Order::ShutDown { deadline, done }) => {
                    self.shut_down(lease, deadline).await;
                    let _ = done.send(());
                    return;
                }
                Ok(Order::LetGo) => return self.shut_down(lease, Duration::ZERO).await,
            }
        }
    }

    fn lost(&mut self, error: &Error) {
        tracing::debug!(%error, "the lease ended");
        self.hub.touch(|state| state.lost(error));
        self.link.lost(error);
    }

    async fn reload(&mut self, lease: Option<Lease>, gap: Duration) {
        let millis = u64::try_from(gap.as_millis()).unwrap_or(u64::MAX).max(1);
        self.gap.store(millis, Ordering::Relaxed);
        let Some(lease) = lease else { return };
        self.hub.touch(|state| state.drain(true));
        lease.leave(DetachReason::Reloading, Some(gap)).await;
        self.hub.touch(|state| state.drain(false));
        let reloading = ErrorKind::Evicted(EvictionReason::Reloading);
        let error = Error::new(reloading).context("announced by the host itself");
        self.link.ended(&error);
    }

    async fn carry(&mut self, lease: Option<Lease>, gap: Duration) -> Carried {
        self.hub.touch(|state| state.drain(true));
        if let Some(lease) = lease {
            lease.leave(DetachReason::Reloading, Some(gap)).await;
        }
        let instance = self.instance.clone();
        self.hub.touch(|state| {
            let (calls, answers) = state.carry();
            Carried::new(state.lease(), instance, calls, answers)
        })
    }

    async fn shut_down(mut self, mut lease: Option<Lease>, deadline: Duration) {
        self.hub.touch(|state| state.drain(true));
        let _ = time::timeout(deadline, self.settle(&mut lease)).await;
        if let Some(lease) = lease {
            lease.leave(DetachReason::ShuttingDown, None).await;
        }
        self.close();
    }

    /// Returns when no answer is owed to the broker, nor kept for one that is away.
    async fn settle(&mut self, lease: &mut Option<Lease>) {
        loop {
            match lease {
                Some(present) => tokio::select! {
                    error = present.run() => {
                        *lease = None;
                        self.lost(&error);
                    }
                    () = settled(&self.hub) => return,
                },
                None if self
                    .hub
                    .touch(|state| state.former().is_none_or(|it| it.coming.is_empty())) =>
                {
                    return;
                }
                None => match self.link.connect().await {
                    Ok(new) => *lease = Some(new),
                    Err(_) => return,
                },
            }
        }
    }

    fn close(&mut self) {
        let closed = Error::new(ErrorKind::Closed);
        self.hub.touch(|state| state.close(closed.clone()));
        self.link.close(closed);
    }
}

async fn order(
    orders: &mut mpsc::Receiver<Order>,
    alive: &mut oneshot::Receiver<Infallible>,
) -> Order {
    tokio::select! {
        biased;
        Some(order) = orders.recv() => order,
        _ = alive => Order::LetGo,
    }
}

async fn settled(hub: &Hub) {
    poll_fn(|cx| {
        hub.poll(Output::Settled, cx, |state| {
            if state.is_settled() {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
    })
    .await;
}
