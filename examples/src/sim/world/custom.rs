//! The tools that the project defines itself: one that leaves traces, one that takes time, and those that its operator brings.

use serde_json::json;

use super::World;
use super::answer::{Answer, Reply};
use super::params::Params;
use super::scene::GameObject;
use super::tools::Own;

/// Objects in a row.
const ROW: usize = 100;

/// Jobs that the editor remembers.
const JOBS: usize = 64;

/// Seconds that a job may take.
const JOB_SECONDS: f64 = 3_600.0;

/// A job that a tool began and that polls ask about.
#[derive(Clone, Copy, Debug)]
pub(super) struct Job {
    done_at_unix_ms: u64,
}

impl World {
    /// `sim_spawn_row {prefix, count, spacing?}`: objects `prefix_0`, `prefix_1`, … in a row.
    pub(super) fn spawn_row(&mut self, params: Params<'_>) -> Reply {
        let prefix = params.required("prefix")?;
        let count = params.size("count", 0, (0, ROW + 1));
        if !(1..=ROW).contains(&count) {
            return Err(Answer::refused(format!(
                "'count' must be between 1 and {ROW}."
            )));
        }
        let spacing = params
            .raw("spacing")
            .and_then(|value| value.as_f64().or_else(|| value.as_str()?.parse().ok()))
            .filter(|spacing| spacing.is_finite())
            .unwrap_or(1.0);
        let mut ids = Vec::with_capacity(count);
        for number in 0..count {
            let mut object = GameObject::new(0, format!("{prefix}_{number}"));
            object.position = [spacing * number as f64, 0.0, 0.0];
            ids.push(self.spawn(object)?);
        }
        Ok(Answer::done(format!("Spawned {count} objects.")).with(json!({"instanceIDs": ids})))
    }

    /// `sim_slow_job {name, seconds?}` begins a job; polls with `action: status` until it is done.
    pub(super) fn slow_job(&mut self, now: u64, params: Params<'_>) -> Reply {
        let name = params.required("name")?;
        let done_at = match self.jobs.get(&name) {
            Some(job) => job.done_at_unix_ms,
            None if params.text("action").as_deref() == Some("status") => {
                return Err(Answer::refused(format!("No job '{name}' was begun.")));
            }
            None => self.begin_job(now, &name, params)?,
        };
        if now < done_at {
            let left = (done_at - now) as f64 / 1_000.0;
            return Ok(Answer::Pending {
                message: format!("Job '{name}' is running."),
                poll_seconds: left.clamp(0.1, 5.0),
                data: Some(json!({"seconds_left": left})),
            });
        }
        self.jobs.remove(&name);
        Ok(Answer::done(format!("Job '{name}' is done.")).with(json!({"seconds_left": 0})))
    }

    /// A tool that the operator has brought: done at once, or polled until its time is over.
    pub(super) fn own_tool(&mut self, now: u64, own: &Own, params: Params<'_>) -> Reply {
        let done = |name: &str| Answer::done(format!("{name} is done.")).with(own.data.clone());
        if !own.polled {
            self.ledger.effect("tool_ran", own.name.clone());
            return Ok(done(&own.name));
        }
        let done_at = match self.jobs.get(&own.name) {
            Some(job) => job.done_at_unix_ms,
            None if params.text("action").as_ref() == Some(&own.poll_action) => {
                return Err(Answer::refused(format!("{} was not begun.", own.name)));
            }
            None => self.begin(now, &own.name, own.seconds)?,
        };
        if now < done_at {
            let left = (done_at - now) as f64 / 1_000.0;
            return Ok(Answer::Pending {
                message: format!("{} is at work.", own.name),
                poll_seconds: left.clamp(0.1, 5.0),
                data: Some(json!({"seconds_left": left})),
            });
        }
        self.jobs.remove(&own.name);
        Ok(done(&own.name))
    }

    fn begin_job(&mut self, now: u64, name: &str, params: Params<'_>) -> Result<u64, Answer> {
        let seconds = params
            .raw("seconds")
            .and_then(|value| value.as_f64().or_else(|| value.as_str()?.parse().ok()))
            .unwrap_or(1.0);
        self.begin(now, name, seconds)
    }

    fn begin(&mut self, now: u64, name: &str, seconds: f64) -> Result<u64, Answer> {
        if self.jobs.len() >= JOBS {
            return Err(Answer::refused(format!(
                "{JOBS} jobs are running, which is the limit."
            )));
        }
        let seconds = seconds.clamp(0.0, JOB_SECONDS);
        let done_at_unix_ms = now.saturating_add((seconds * 1_000.0) as u64);
        self.jobs.insert(name.to_owned(), Job { done_at_unix_ms });
        self.ledger.effect("job_begun", name);
        Ok(done_at_unix_ms)
    }
}
