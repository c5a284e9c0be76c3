#![expect(
    clippy::disallowed_methods,
    reason = "a shell: people want to know when it failed, but not every time"
)]

use std::io;
use std::net::SocketAddr;
use std::time::SystemTime;

use tokio::sync::watch;

use super::telling::{Telling, What};
use super::{V4, V6};

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

pub(super) fn board(port: u16) -> (watch::Sender<Health>, Reporter, Reporter) {
    let (health, _) = watch::channel(Health::default());
    let reporter = |ip, family| Reporter {
        health: health.clone(),
        address: SocketAddr::new(ip, port),
        family,
        telling: Telling::default(),
        is_down: false,
        is_absent: false,
    };
    let v4 = reporter(V4, |all| &mut all.v4);
    let v6 = reporter(V6, |all| &mut all.v6);
    (health, v4, v6)
}

/// Where one family writes down how it is, and who says so in the log.
#[derive(Clone, Debug)]
pub(super) struct Reporter {
    health: watch::Sender<Health>,
    address: SocketAddr,
    family: fn(&mut Health) -> &mut FamilyHealth,
    telling: Telling,
    /// The log says that nobody is listening.
    is_down: bool,
    /// The log says that the machine lacks the family.
    is_absent: bool,
}

impl Reporter {
    pub(super) fn accepted(&self) {
        self.update(|family| {
            family.accepted += 1;
            false
        });
    }

    pub(super) fn transient(&self, error: &io::Error) {
        tracing::debug!(address = %self.address, %error, "a client went before it was accepted");
        self.update(|family| {
            family.transient += 1;
            family.last_failure = Some(Failure::new(error));
            true
        });
    }

    pub(super) fn exhausted(&mut self, error: &io::Error) {
        if let Some(unsaid) = self.says(What::Accept, error) {
            tracing::warn!(address = %self.address, %error, unsaid, "cannot accept for now");
        }
        self.update(|family| {
            family.exhausted += 1;
            family.last_failure = Some(Failure::new(error));
            true
        });
    }

    pub(super) fn died(&mut self, error: &io::Error) {
        if let Some(unsaid) = self.says(What::Live, error) {
            self.is_down = true;
            tracing::warn!(
                address = %self.address, %error, unsaid,
                "the listening socket died; binding it again"
            );
        }
        self.update(|family| {
            family.died += 1;
            family.state = FamilyState::Rebinding;
            family.last_failure = Some(Failure::new(error));
            true
        });
    }

    pub(super) fn bind_failed(&mut self, state: FamilyState, error: &io::Error) {
        let is_absent = state == FamilyState::Absent;
        // A machine without a family is as it should be: once is enough.
        let is_known = is_absent && std::mem::replace(&mut self.is_absent, is_absent);
        let unsaid = (!is_known).then(|| self.says(What::Bind, error)).flatten();
        if let Some(unsaid) = unsaid {
            self.is_down = true;
            tracing::warn!(
                address = %self.address, ?state, %error, unsaid,
                "cannot listen for now"
            );
        }
        self.update(|family| {
            let failure = Failure::new(error);
            let is_new = family.state != state
                || family.last_failure.as_ref().map(|last| last.code) != Some(failure.code);
            family.state = state;
            family.last_failure = Some(failure);
            is_new
        });
    }

    pub(super) fn listening(&mut self) {
        self.is_absent = false;
        if std::mem::take(&mut self.is_down) {
            tracing::info!(address = %self.address, "listening again");
        }
        self.update(|family| {
            family.state = FamilyState::Listening;
            true
        });
    }

    fn says(&mut self, what: What, error: &io::Error) -> Option<u64> {
        let now = tokio::time::Instant::now().into_std();
        self.telling.failed(now, what, error.raw_os_error())
    }

    /// Changes the record; the closure says whether anybody should be woken for it.
    fn update(&self, change: impl FnOnce(&mut FamilyHealth) -> bool) {
        self.health
            .send_if_modified(|health| change((self.family)(health)));
    }
}
