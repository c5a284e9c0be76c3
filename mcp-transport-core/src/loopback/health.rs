#![expect(
    clippy::disallowed_methods,
    reason = "a shell: people want to know when it failed"
)]

use std::io;
use std::time::SystemTime;

use tokio::sync::watch;

/// How the two families of a [`Loopback`](super::Loopback) are.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Health {
    /// `127.0.0.1`.
    pub v4: FamilyHealth,
    /// `[::1]`.
    pub v6: FamilyHealth,
}

/// How one family is, and what it has been through.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct FamilyHealth {
    /// What it does now.
    pub state: FamilyState,
    /// What went wrong last, also if it is over.
    pub last_failure: Option<Failure>,
    /// Connections accepted.
    pub accepted: u64,
    /// Accepts that failed for the sake of one client.
    pub transient: u64,
    /// Accepts that failed for want of file descriptors or memory.
    pub exhausted: u64,
    /// Sockets that died.
    pub died: u64,
}

/// What a family does.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum FamilyState {
    /// Nothing: it was not asked to listen.
    #[default]
    Off,
    /// It accepts connections.
    Listening,
    /// Its socket died, or cannot be had yet. It is bound again, every 250 ms.
    Rebinding,
    /// The machine lacks this family. It may get it: asked every 30 s.
    Absent,
    /// Somebody else has the port. It is tried again every 250 ms.
    PortTaken,
}

/// What the operating system said, and when.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Failure {
    /// Its code (`errno`, `WSAGetLastError`), if it gave one.
    pub code: Option<i32>,
    /// Its words.
    pub text: String,
    /// By the wall clock.
    pub at: SystemTime,
}

impl Failure {
    fn new(error: &io::Error) -> Self {
        Self {
            code: error.raw_os_error(),
            text: error.to_string(),
            at: SystemTime::now(),
        }
    }
}

pub(super) fn board() -> (watch::Sender<Health>, Reporter, Reporter) {
    let (health, _) = watch::channel(Health::default());
    let v4 = Reporter {
        health: health.clone(),
        name: "127.0.0.1",
        family: |all| &mut all.v4,
    };
    let v6 = Reporter {
        health: health.clone(),
        name: "[::1]",
        family: |all| &mut all.v6,
    };
    (health, v4, v6)
}

/// Where one family writes down how it is.
#[derive(Clone, Debug)]
pub(super) struct Reporter {
    health: watch::Sender<Health>,
    name: &'static str,
    family: fn(&mut Health) -> &mut FamilyHealth,
}

impl Reporter {
    pub(super) fn accepted(&self) {
        self.update(|family| {
            family.accepted += 1;
            false
        });
    }

    pub(super) fn transient(&self, error: &io::Error) {
        tracing::debug!(family = self.name, %error, "a client went before it was accepted");
        self.update(|family| {
            family.transient += 1;
            family.last_failure = Some(Failure::new(error));
            true
        });
    }

    pub(super) fn exhausted(&self, error: &io::Error) {
        self.update(|family| {
            let failure = Failure::new(error);
            if family.last_failure.as_ref().map(|last| last.code) != Some(failure.code) {
                tracing::warn!(family = self.name, %error, "cannot accept for now");
            }
            family.exhausted += 1;
            family.last_failure = Some(failure);
            true
        });
    }

    pub(super) fn died(&self, error: &io::Error) {
        tracing::warn!(family = self.name, %error, "the listening socket died; binding it again");
        self.update(|family| {
            family.died += 1;
            family.state = FamilyState::Rebinding;
            family.last_failure = Some(Failure::new(error));
            true
        });
    }

    pub(super) fn bind_failed(&self, state: FamilyState, error: &io::Error) {
        self.update(|family| {
            let failure = Failure::new(error);
            let is_new = family.state != state
                || family.last_failure.as_ref().map(|last| last.code) != Some(failure.code);
            if is_new {
                tracing::warn!(family = self.name, ?state, %error, "cannot listen for now");
            }
            family.state = state;
            family.last_failure = Some(failure);
            is_new
        });
    }

    pub(super) fn listening(&self) {
        self.update(|family| {
            let last = std::mem::replace(&mut family.state, FamilyState::Listening);
            if !matches!(last, FamilyState::Off | FamilyState::Listening) {
                tracing::info!(family = self.name, "listening again");
            }
            true
        });
    }

    /// Changes the record; the closure says whether anybody should be woken for it.
    fn update(&self, change: impl FnOnce(&mut FamilyHealth) -> bool) {
        self.health
            .send_if_modified(|health| change((self.family)(health)));
    }
}
