//! `run_tests` and `get_test_job`: a run that takes its time, and is remembered over reloads as the plugin's session state is.

use std::collections::VecDeque;

use serde_json::{Value, json};

use super::World;
use super::answer::{Answer, Reply};
use super::params::Params;

/// How long one test takes.
const TEST_MS: u64 = 500;
/// The tests that the project has; the last one fails.
const TESTS: [&str; 4] = [
    "Sim.Spawn.Places",
    "Sim.Spawn.Names",
    "Sim.Save.Keeps",
    "Sim.Save.Fails",
];
/// Jobs that the plugin keeps.
const JOBS: usize = 10;

#[derive(Clone, Debug, Default)]
pub(super) struct Tests {
    runs: VecDeque<Run>,
    begun: u64,
}

#[derive(Clone, Debug)]
struct Run {
    /// Absent where somebody pressed a button in the editor.
    job: Option<String>,
    mode: String,
    started: u64,
    /// How many of the tests it runs.
    total: usize,
    cleared: Option<u64>,
}

impl Run {
    fn ends(&self) -> u64 {
        self.started.saturating_add(TEST_MS * self.total as u64)
    }

    fn is_running(&self, now: u64) -> bool {
        self.cleared.is_none() && now < self.ends()
    }
}

impl Tests {
    /// The section `tests` of the editor's state.
    pub(super) fn state(&self, now: u64) -> Value {
        let running = self.runs.iter().find(|run| run.is_running(now));
        let last = self.runs.iter().rev().find(|run| !run.is_running(now));
        json!({
            "is_running": running.is_some(),
            "mode": running.map(|run| &run.mode),
            "current_job_id": running.and_then(|run| run.job.as_ref()),
            "started_unix_ms": running.map(|run| run.started),
            "started_by": "unknown",
            "last_run": last.map(|run| json!({
                "finished_unix_ms": run.ends(), "result": "unknown", "counts": null,
            })),
        })
    }

    pub(super) fn is_running(&self, now: u64) -> bool {
        self.runs.iter().any(|run| run.is_running(now))
    }

    /// Somebody runs all tests from the editor's own window.
    pub(super) fn by_hand(&mut self, now: u64) {
        if !self.is_running(now) {
            self.begin(now, None, "EditMode", TESTS.len());
        }
    }

    fn begin(&mut self, now: u64, job: Option<String>, mode: &str, total: usize) {
        if self.runs.len() == JOBS {
            self.runs.pop_front();
        }
        self.runs.push_back(Run {
            job,
            mode: mode.to_owned(),
            started: now,
            total,
            cleared: None,
        });
    }
}

impl World {
    /// `run_tests {mode?, testNames?}` begins a job; `{clear_stuck: true}` ends the one that runs.
    pub(super) fn run_tests(&mut self, now: u64, params: Params<'_>) -> Reply {
        if params.raw("clear_stuck") == Some(&Value::Bool(true)) {
            let mut runs = self.tests.runs.iter_mut();
            return Ok(match runs.find(|run| run.is_running(now)) {
                Some(run) => {
                    run.cleared = Some(now);
                    self.ledger.effect("tests_cleared", "job");
                    Answer::done("Stuck job cleared.")
                }
                None => Answer::done("No running job to clear."),
            });
        }
        if self.tests.is_running(now) {
            return Err(Answer::refused("tests_running")
                .with(json!({"reason": "tests_running", "retry_after_ms": 5_000})));
        }
        let mode = params.text("mode").unwrap_or_else(|| "EditMode".to_owned());
        let named = params.raw("testNames").and_then(Value::as_array);
        let total = named.map_or(TESTS.len(), |names| {
            TESTS
                .iter()
                .filter(|test| names.iter().any(|name| name == **test))
                .count()
        });
        self.tests.begun += 1;
        let job = format!("{:032x}", self.tests.begun);
        self.tests.begin(now, Some(job.clone()), &mode, total);
        self.ledger.effect("tests_begun", &*mode);
        Ok(Answer::done("Test job started.").with(json!({
            "job_id": job, "status": "running", "mode": mode,
            "include_details": params.raw("includeDetails") == Some(&Value::Bool(true)),
            "include_failed_tests": params.raw("includeFailedTests") == Some(&Value::Bool(true)),
        })))
    }

    /// `get_test_job {job_id}`.
    pub(super) fn test_job(&mut self, now: u64, params: Params<'_>) -> Reply {
        let wanted = params.required("job_id")?;
        let found = self
            .tests
            .runs
            .iter()
            .find(|run| run.job.as_ref() == Some(&wanted));
        let Some(run) = found else {
            return Err(Answer::refused("Unknown job_id."));
        };
        let running = run.is_running(now);
        let done = (now.saturating_sub(run.started) / TEST_MS) as usize;
        let done = done.min(run.total);
        let failed = usize::from(done == TESTS.len());
        let (status, error) = match (running, run.cleared, failed) {
            (true, ..) => ("running", None),
            (_, Some(_), _) => ("failed", Some("Job cleared manually (stuck or orphaned)")),
            (_, _, 0) => ("succeeded", None),
            _ => ("failed", None),
        };
        let finished = (!running).then(|| run.cleared.unwrap_or_else(|| run.ends()));
        let result = (!running && run.cleared.is_none()).then(|| {
            json!({
                "mode": run.mode,
                "summary": {
                    "total": run.total, "passed": run.total - failed, "failed": failed, "skipped": 0,
                    "durationSeconds": (run.ends() - run.started) as f64 / 1_000.0,
                    "resultState": if failed > 0 { "Failed" } else { "Passed" },
                },
                "results": null,
            })
        });
        Ok(Answer::done("Test job status retrieved.").with(json!({
            "job_id": wanted, "status": status, "mode": run.mode, "started_unix_ms": run.started,
            "finished_unix_ms": finished, "last_update_unix_ms": finished.unwrap_or(now),
            "progress": {
                "completed": done, "total": run.total,
                "current_test_full_name": running.then(|| TESTS[done.min(TESTS.len() - 1)]),
                "stuck_suspected": false, "editor_is_focused": false,
            },
            "error": error, "result": result,
        })))
    }
}
