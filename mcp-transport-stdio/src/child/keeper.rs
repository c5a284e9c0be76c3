//! One task per child: it waits for its exit, or brings it about, and reaps it.
#![expect(
    clippy::disallowed_methods,
    reason = "a shell: it owns the child's task"
)]

use super::group::Group;
use super::stderr::LastWords;
use super::{Former, Patience};
use futures::FutureExt;
use futures::future::{BoxFuture, Shared};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::process::Child;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// How a child ended, once it has; each clone can be waited for by another task.
pub(super) type Gone = Shared<BoxFuture<'static, Exit>>;

/// What is known of the end.
#[derive(Clone, Debug)]
pub(super) struct Exit {
    status: String,
    last_words: Option<String>,
}

/// While it is there, the child is wanted.
pub(super) type Serving = oneshot::Sender<()>;

/// Ends the child when asked to, or when dropped.
#[derive(Debug)]
pub(super) struct Keeper {
    /// The only strong reference: others look whether it is there.
    serving: Option<Arc<Serving>>,
    gone: Gone,
}

/// A process that outlives `SIGKILL` for so long hangs in the system; the system reaps it, some day.
const KILL_TIMEOUT: Duration = Duration::from_secs(1);

/// How long the rest of standard error is waited for: somebody who has left the group may hold it open.
const LAST_WORDS_TIMEOUT: Duration = Duration::from_millis(200);

impl Keeper {
    pub(super) fn start(
        child: Child,
        group: Group,
        stderr: JoinHandle<LastWords>,
        patience: Patience,
    ) -> Self {
        let (serving, asked) = oneshot::channel();
        let (tell, told) = oneshot::channel();
        tokio::spawn(async move {
            let _ = tell.send(keep(child, group, stderr, patience, asked).await);
        });
        // The task is gone without a word only if the runtime is, and then nobody is told anything.
        let gone = told.map(|exit| exit.unwrap_or_else(|_| Exit::new("the runtime has ended")));
        Self {
            serving: Some(Arc::new(serving)),
            gone: gone.boxed().shared(),
        }
    }

    /// Has the child end: politely, and then less so.
    pub(super) fn end(&mut self) {
        self.serving = None;
    }

    /// For whoever starts the next one.
    pub(super) fn former(&self) -> Former {
        Former {
            gone: self.gone(),
            serving: self
                .serving
                .as_ref()
                .map(Arc::downgrade)
                .unwrap_or_default(),
        }
    }

    pub(super) fn gone(&self) -> Gone {
        self.gone.clone()
    }
}

async fn keep(
    mut child: Child,
    mut group: Group,
    mut stderr: JoinHandle<LastWords>,
    patience: Patience,
    asked: oneshot::Receiver<()>,
) -> Exit {
    let exited = tokio::select! {
        status = child.wait() => Some(status),
        // Asked to, or dropped.
        _ = asked => end(&mut child, &mut group, patience).await,
    };
    group.disband().await;
    let mut exit = match exited {
        Some(Ok(status)) => Exit::new(status.to_string()),
        Some(Err(error)) => Exit::new(format!("its exit could not be waited for: {error}")),
        None => Exit::new("it cannot be killed"),
    };
    exit.last_words = match timeout(LAST_WORDS_TIMEOUT, &mut stderr).await {
        Ok(words) => words.ok().and_then(LastWords::into_text),
        Err(_) => {
            stderr.abort();
            None
        }
    };
    exit
}

/// `None` if it did not even die of `SIGKILL`.
async fn end(
    child: &mut Child,
    group: &mut Group,
    patience: Patience,
) -> Option<std::io::Result<std::process::ExitStatus>> {
    if let Ok(status) = timeout(patience.exit, child.wait()).await {
        return Some(status);
    }
    if cfg!(unix) {
        group.terminate();
        if let Ok(status) = timeout(patience.terminate, child.wait()).await {
            return Some(status);
        }
    }
    group.kill();
    timeout(KILL_TIMEOUT, child.wait()).await.ok()
}

impl Exit {
    fn new(status: impl Into<String>) -> Self {
        Self {
            status: status.into(),
            last_words: None,
        }
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.status)?;
        match &self.last_words {
            Some(words) => write!(f, "; its last words: {words}"),
            None => Ok(()),
        }
    }
}
