//! The job of one child: the system ends it with our last handle, so with us.

use std::io;
use tokio::process::{Child, Command};
use win32job::{ExtendedLimitInfo, Job};

/// A job that ends when its last handle is closed.
pub(super) struct Group {
    job: Option<Job>,
}

impl Group {
    pub(super) async fn new() -> io::Result<Self> {
        let mut limits = ExtendedLimitInfo::new();
        limits.limit_kill_on_job_close();
        let job = Job::create_with_limit_info(&limits).map_err(io::Error::other)?;
        Ok(Self { job: Some(job) })
    }

    pub(super) fn enlist(&self, command: &mut Command) {
        command.kill_on_drop(true);
    }

    pub(super) fn joined(&mut self, child: &Child) {
        let (Some(job), Some(handle)) = (&self.job, child.raw_handle()) else {
            return;
        };
        if let Err(error) = job.assign_process(handle as isize) {
            tracing::warn!(%error, "if this process is killed, its child process stays");
        }
    }

    /// Windows has no such request for a process without a window or a console.
    pub(super) fn terminate(&self) {}

    pub(super) fn kill(&mut self) {
        self.job = None;
    }

    pub(super) async fn disband(self) {}
}
