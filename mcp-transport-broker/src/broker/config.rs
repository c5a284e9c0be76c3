//! The limits and times of a broker.

use mcp_transport_core::delivery::Limits;
use std::time::Duration;

/// The limits and times of a [`Broker`](super::Broker).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Config {
    /// How long a call waits in the queue for a host, at most. Default 120 s.
    pub hold: Duration,
    /// How long a call may run before its client is told that it still does. Default 600 s.
    pub run: Duration,
    /// When a client is answered at the latest that did not ask for progress. Default 50 s, since
    /// the SDKs give up at 60 s.
    pub client_budget: Duration,
    /// The calls that are not over, and their bytes. Default 1,024 and 64 MiB; as much again for
    /// what nobody answers.
    pub limits: Limits,
    /// Clients at once, of either era. Default 4,096.
    pub clients: usize,
    /// Legacy sessions at once. Default 1,024; beyond that the longest unused one goes.
    pub sessions: usize,
    /// After how long without a stream or a call a legacy session ends. Default 30 min.
    pub idle: Duration,
    /// How often a host is to ping. Default 5 s.
    pub ping: Duration,
    /// After how much silence a lease is over. Default 10 s.
    pub silence: Duration,
    /// How long a host that holds a connection may be without one. Default 1 s.
    pub grace: Duration,
    /// What is kept for whoever asks by an operation's id.
    pub late: LateLimits,
}

/// The limits of the results that came when nobody waited any more.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct LateLimits {
    /// How many. Default 256.
    pub results: usize,
    /// Their bytes together. Default 16 MiB.
    pub bytes: usize,
    /// For how long. Default 10 min.
    pub keep: Duration,
}

impl Default for LateLimits {
    fn default() -> Self {
        Self {
            results: 256,
            bytes: 16 * 1024 * 1024,
            keep: Duration::from_secs(600),
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            hold: Duration::from_secs(120),
            run: Duration::from_secs(600),
            client_budget: Duration::from_secs(50),
            limits: Limits::default(),
            clients: 4_096,
            sessions: 1_024,
            idle: Duration::from_secs(30 * 60),
            ping: Duration::from_secs(5),
            silence: Duration::from_secs(10),
            grace: Duration::from_secs(1),
            late: LateLimits::default(),
        }
    }
}

impl Config {
    /// Sets how long a call waits for a host.
    #[must_use]
    pub const fn hold(mut self, hold: Duration) -> Self {
        self.hold = hold;
        self
    }

    /// Sets how long a call may run before its client is told so.
    #[must_use]
    pub const fn run(mut self, run: Duration) -> Self {
        self.run = run;
        self
    }

    /// Sets when a client is answered at the latest that did not ask for progress.
    #[must_use]
    pub const fn client_budget(mut self, budget: Duration) -> Self {
        self.client_budget = budget;
        self
    }

    /// Sets the limits of the calls that are not over.
    #[must_use]
    pub const fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Sets the number of clients.
    #[must_use]
    pub const fn clients(mut self, clients: usize) -> Self {
        self.clients = clients;
        self
    }

    /// Sets the number of legacy sessions.
    #[must_use]
    pub const fn sessions(mut self, sessions: usize) -> Self {
        self.sessions = sessions;
        self
    }

    /// Sets when an unused legacy session ends.
    #[must_use]
    pub const fn idle(mut self, idle: Duration) -> Self {
        self.idle = idle;
        self
    }

    /// Sets how often a host is to ping.
    #[must_use]
    pub const fn ping(mut self, ping: Duration) -> Self {
        self.ping = ping;
        self
    }

    /// Sets after how much silence a lease is over.
    #[must_use]
    pub const fn silence(mut self, silence: Duration) -> Self {
        self.silence = silence;
        self
    }

    /// Sets how long a host that holds a connection may be without one.
    #[must_use]
    pub const fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// Sets what is kept of late results: how many, their bytes, for how long.
    #[must_use]
    pub const fn late(mut self, results: usize, bytes: usize, keep: Duration) -> Self {
        self.late = LateLimits {
            results,
            bytes,
            keep,
        };
        self
    }
}
