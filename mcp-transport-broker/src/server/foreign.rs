//! What the hosts of other dialects have in common here: who spoke last, and a desk behind a lock.
#![expect(
    clippy::disallowed_methods,
    reason = "the shell that waits for hosts of other dialects"
)]

use super::config::{Clients, ServerConfig};
use super::foreign_funplay::Funplay;
use super::foreign_seed::SeedHost;
use super::handed::Handed;
use super::hub::Hub;
use super::route;
use crate::broker::{Broker, Lease};
use crate::foreign::Numbers;
use crate::run::Dialect;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// Which dialect the host speaks that is attached, or was last; before the first, the one that is
/// listed first.
#[derive(Clone, Debug)]
pub(super) struct Speaking(Arc<Mutex<Dialect>>);

impl Speaking {
    pub(super) fn first(config: &ServerConfig) -> Self {
        let first = config.dialects.first().copied();
        Self(Arc::new(Mutex::new(first.unwrap_or(Dialect::Native))))
    }

    pub(super) fn get(&self) -> Dialect {
        *self.0.lock().expect("nobody panics with one word in hand")
    }

    /// A host of this dialect has attached.
    pub(super) fn set(&self, dialect: Dialect) {
        *self.0.lock().expect("nobody panics with one word in hand") = dialect;
    }

    /// What posts of clients mean then.
    pub(super) fn clients(&self, config: &ServerConfig) -> Clients {
        let is_foreign = |dialect: &Dialect| *dialect != Dialect::Native;
        if !config.dialects.iter().any(is_foreign) {
            return config.clients;
        }
        match self.get() {
            Dialect::Native => Clients::Mcp,
            Dialect::Funplay | Dialect::Seed => Clients::Forward,
        }
    }
}

/// The dialects that are asked for, besides the native one. `asked`: ends the server.
pub(super) fn dialects(
    config: &ServerConfig,
    speaking: &Speaking,
    asked: &watch::Sender<bool>,
) -> Vec<Box<dyn route::Dialect>> {
    let mut dialects: Vec<Box<dyn route::Dialect>> = Vec::new();
    for (place, dialect) in config.dialects.iter().enumerate() {
        if config.dialects[..place].contains(dialect) {
            continue;
        }
        match dialect {
            Dialect::Native => {}
            Dialect::Funplay => dialects.push(Box::new(Funplay::new(
                config,
                speaking.clone(),
                asked.clone(),
            ))),
            Dialect::Seed => dialects.push(Box::new(SeedHost::new(config, speaking.clone()))),
        }
    }
    dialects
}

/// Numbers that begin anywhere.
pub(super) fn numbers() -> Numbers {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).expect("the operating system has random numbers");
    Numbers::new(u64::from_ne_bytes(bytes))
}

/// A pure desk, which is asked with the broker in hand. Its lock comes before the hub's.
pub(super) struct Locked<D>(Mutex<D>);

impl<D> Locked<D> {
    pub(super) fn new(desk: D) -> Arc<Self> {
        Arc::new(Self(Mutex::new(desk)))
    }

    pub(super) fn act<R>(
        &self,
        hub: &Hub,
        act: impl FnOnce(&mut D, &mut Broker, Instant) -> R,
    ) -> R {
        let mut desk = self.0.lock().expect("nobody panics with a desk in hand");
        hub.act(|broker, now| act(&mut desk, broker, now))
    }

    /// What needs no broker.
    pub(super) fn ask<R>(&self, ask: impl FnOnce(&mut D) -> R) -> R {
        ask(&mut self.0.lock().expect("nobody panics with a desk in hand"))
    }
}

impl<D> fmt::Debug for Locked<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Locked").finish_non_exhaustive()
    }
}

/// Waits for one item, for up to `wait`: `None` if there was none, or the lease ended. `write` makes
/// of it what goes out, or says by `None` that this one is done with.
///
/// # Cancel safety
/// Dropping the future gives back what it got.
pub(super) async fn next<T>(
    hub: &Arc<Hub>,
    lease: Lease,
    wait: Duration,
    mut write: impl FnMut(&Handed) -> Option<T>,
) -> Option<(T, Handed)> {
    let until = tokio::time::Instant::now() + wait;
    loop {
        let left = until.saturating_duration_since(tokio::time::Instant::now());
        let handed = hub.park(lease, 1, left).await.ok()?;
        if let Some(written) = write(&handed) {
            return Some((written, handed));
        }
        let was_empty = handed.handouts().is_empty();
        // Nobody is to get it again.
        handed.written();
        if was_empty && left.is_zero() {
            return None;
        }
    }
}
