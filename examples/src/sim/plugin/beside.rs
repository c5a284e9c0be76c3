//! What goes on beside the socket: the operator's orders, the reload timer, the keep-alive.

#![expect(clippy::disallowed_methods, reason = "a shell: it waits")]

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};
use tracing::debug;

use super::{End, Plugin, next_reload};
use crate::sim::State;
use crate::sim::editor::{Ending, Orders, lock};
use crate::sim::socket::Socket;
use crate::sim::world::Cause;

/// What came up beside the socket.
pub(super) enum Beside {
    Pong,
    /// Something changed that the next look takes into account.
    Changed,
    Over(End),
}

impl Plugin {
    /// What goes on beside the socket: the operator, the reload timer, the keep-alive.
    ///
    /// Cancel safe: what it reports is due until it is done.
    pub(super) async fn beside(&mut self, pong_at: Instant) -> Beside {
        let orders = *self.orders.borrow_and_update();
        if let Some(ending) = orders.end {
            return Beside::Over(End::Ordered(ending));
        }
        if orders.reloads > self.reloads {
            return Beside::Over(End::Reload {
                point: None,
                cause: Cause::Operator,
            });
        }
        tokio::select! {
            biased;
            changed = self.orders.changed() => match changed {
                Ok(()) => Beside::Changed,
                Err(_dropped) => Beside::Over(End::Ordered(Ending::Kill)),
            },
            () = sleep_until(self.reload_at) => {
                self.reload_at = next_reload(&self.options);
                let mut world = lock(&self.world);
                self.timer_armed |= world.strikes().armed().is_none();
                world.strikes_mut().arm_drawn();
                debug!(point = ?world.strikes().armed(), "a reload waits for a command");
                Beside::Changed
            }
            () = sleep_until(pong_at) => Beside::Pong,
        }
    }

    /// Sends, unless the operator ends it: a hub that does not read must not hold up a quit.
    pub(super) async fn send(&mut self, socket: &mut Socket, text: String) -> Result<(), End> {
        tokio::select! {
            biased;
            ending = ended(&mut self.orders) => Err(End::Ordered(ending)),
            sent = socket.send(text) => sent.map_err(End::Lost),
        }
    }

    /// Waits, unless the operator ends it.
    pub(super) async fn wait(&mut self, state: State, delay: Duration) -> Result<(), Ending> {
        self.state.send_replace(state);
        tokio::select! {
            biased;
            ending = ended(&mut self.orders) => Err(ending),
            () = sleep(delay) => Ok(()),
        }
    }
}

/// The operator's end; a handle that is gone is one.
pub(super) async fn ended(orders: &mut watch::Receiver<Orders>) -> Ending {
    match orders.wait_for(|orders| orders.end.is_some()).await {
        Ok(orders) => orders.end.unwrap_or(Ending::Kill),
        Err(_dropped) => Ending::Kill,
    }
}
