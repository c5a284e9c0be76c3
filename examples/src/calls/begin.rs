//! Calls that go on behind their answer: the shell around [`tasks`](super::tasks).
#![expect(
    clippy::disallowed_methods,
    reason = "a shell whose work outlives its call, and that shows its clients the time"
)]

use super::tasks::{MAX_WORKING, RUN, Task, TaskStanding, Tasks};
use super::{Caller, Calls, Progress, diagnose, now};
use crate::hub::operation_id;
use mcp_transport_core::{Ending, Outcome};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;
use tokio_util::sync::CancellationToken;

/// The tasks, shared with those at work.
#[derive(Clone, Debug, Default)]
pub(super) struct Shared(Arc<Mutex<Tasks>>);

impl Calls {
    /// Begins a task: `work` goes on by itself, with a caller that waits for as long as the editor takes, and that gives up only
    /// what no editor has seen. Its id is the id of whatever it sends, so [`operation`](Self::operation) knows it as well.
    ///
    /// # Errors
    /// The server stops, or 256 tasks are under way. Nothing was begun.
    pub fn begin_task<F>(
        &self,
        owner: Option<String>,
        work: impl FnOnce(Caller) -> F,
    ) -> Result<Task, Ending>
    where
        F: Future<Output = TaskStanding> + Send + 'static,
    {
        if self.stopping.is_cancelled() {
            return Err(diagnose::shutting_down(None));
        }
        let (id, cancelled) = (operation_id(), CancellationToken::new());
        let begun = self.tasks.lock().begin(
            now(),
            SystemTime::now(),
            id.clone(),
            owner.clone(),
            cancelled.clone(),
        );
        let task = begun.ok_or_else(|| {
            let text = format!(
                "{MAX_WORKING} long calls are under way already. This one was not begun; make it again when one of them has ended."
            );
            Ending::new(Outcome::NotDelivered, "overloaded", text)
        })?;
        let caller = Caller::of_task(owner, cancelled, self.tasks.listen(id.clone()), id.clone());
        let (work, tasks, under_way) = (work(caller), self.tasks.clone(), self.under_way.token());
        tokio::spawn(async move {
            let ended = tokio::spawn(tokio::time::timeout(RUN, work)).await;
            let standing = ended.map_or_else(
                |_panicked| TaskStanding::Failed(diagnose::ran_out_of_sight()),
                |in_time| in_time.unwrap_or_else(|_elapsed| TaskStanding::Failed(too_long())),
            );
            let standing = match standing {
                TaskStanding::Failed(ending) => {
                    TaskStanding::Failed(ending.operation_id(id.clone()))
                }
                standing => standing,
            };
            tasks.lock().end(now(), SystemTime::now(), &id, standing);
            drop(under_way);
        });
        Ok(task)
    }

    /// How a task stands, if it is this owner's, or nobody's.
    pub fn task(&self, id: &str, owner: Option<&str>) -> Option<Task> {
        self.tasks.lock().get(now(), id, owner)
    }

    /// Gives a task up: what waits for the editor is withdrawn; what the editor has goes on, and ends with its true result. False
    /// if there is no such task of this owner's.
    pub fn cancel_task(&self, id: &str, owner: Option<&str>) -> bool {
        self.tasks.lock().cancel(now(), id, owner)
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Tasks> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn listen(&self, id: String) -> Progress {
        let tasks = self.clone();
        Arc::new(move |_, text| {
            tasks.lock().say(SystemTime::now(), &id, text);
            Box::pin(async {})
        })
    }
}

fn too_long() -> Ending {
    let text = format!(
        "It was not over after {} minutes. What the editor still works on goes on: ask for its result with get_operation and this operation_id.",
        RUN.as_secs() / 60
    );
    Ending::new(Outcome::Running, "task_timeout", text).retryable(false)
}
