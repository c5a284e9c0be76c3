//! Who calls, how long calls may wait, and the port that editors dial.

use super::diagnose::Fault;
use futures::future::BoxFuture;
use mcp_transport_core::loopback::Health;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// How long calls may wait, and for what.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Budget {
    /// For an editor that is away.
    pub hold: Duration,
    /// For a client that asked for no progress, and may have a time-out that we do not know; `None` = no limit.
    pub client: Option<Duration>,
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            hold: Duration::from_secs(120),
            client: Some(Duration::from_secs(50)),
        }
    }
}

impl Budget {
    /// Sets both; a client's budget of zero is none.
    pub fn new(hold: Duration, client: Option<Duration>) -> Self {
        let client = client.filter(|budget| !budget.is_zero());
        Self { hold, client }
    }
}

/// Tells a client how far its call is.
pub type Progress = Arc<dyn Fn(f64, String) -> BoxFuture<'static, ()> + Send + Sync>;

/// Who calls.
#[derive(Clone)]
#[non_exhaustive]
pub struct Caller {
    /// Who may ask for late results.
    pub owner: Option<String>,
    /// The client cancelled this call.
    pub cancelled: CancellationToken,
    /// What the call hangs on besides: the client's session.
    pub link: Option<CancellationToken>,
    /// Where the client wants to hear of progress, if it does.
    pub progress: Option<Progress>,
    /// Since when it waits: all commands of one call share its patience.
    pub(super) since: Instant,
    /// The task that this is: its operation's id. Whoever calls so waits for as long as the editor takes.
    pub(super) operation: Option<String>,
}

impl Caller {
    /// A caller of this name, who begins to wait now.
    pub fn new(
        owner: Option<String>,
        cancelled: CancellationToken,
        link: Option<CancellationToken>,
        progress: Option<Progress>,
    ) -> Self {
        Self {
            owner,
            cancelled,
            link,
            progress,
            since: super::now(),
            operation: None,
        }
    }

    /// The caller of a task, whose client comes and looks.
    pub(super) fn of_task(
        owner: Option<String>,
        cancelled: CancellationToken,
        progress: Progress,
        operation: String,
    ) -> Self {
        Self {
            operation: Some(operation),
            ..Self::new(owner, cancelled, None, Some(progress))
        }
    }

    /// True once nobody waits for the call any more.
    pub fn is_gone(&self) -> bool {
        let link = self.link.as_ref();
        self.cancelled.is_cancelled() || link.is_some_and(CancellationToken::is_cancelled)
    }

    /// Returns once nobody waits for the call any more.
    ///
    /// # Cancel safety
    /// This method is cancel safe.
    pub async fn gone(&self) {
        match &self.link {
            Some(link) => tokio::select! {
                () = self.cancelled.cancelled() => {}
                () = link.cancelled() => {}
            },
            None => self.cancelled.cancelled().await,
        }
    }
}

impl fmt::Debug for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Caller")
            .field("owner", &self.owner)
            .finish_non_exhaustive()
    }
}

/// The port that editors dial, and how it is.
#[derive(Clone, Debug)]
#[expect(
    clippy::exhaustive_structs,
    reason = "a number and what is known of it"
)]
pub struct Port {
    /// Its number.
    pub number: u16,
    /// How its two families are.
    pub health: Health,
    /// Why editors cannot come by it, where more is known than the families say.
    pub known: Option<Fault>,
}
