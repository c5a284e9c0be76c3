//! `get_test_job`: ask, and ask again until the tests have ended.

use std::time::Duration;

use serde_json::{Map, Value};

use super::{Logic, Step};
use crate::catalogue::{BadArguments, Call, Reply};

/// How often a run is asked for.
const EVERY: Duration = Duration::from_secs(2);

pub(super) fn begin(call: &Call) -> Result<Box<dyn Logic>, BadArguments> {
    let mut params = Map::from_iter([("job_id".to_owned(), call.params["job_id"].clone())]);
    let flags = [
        ("include_failed_tests", "includeFailedTests"),
        ("include_details", "includeDetails"),
    ];
    for (name, wire) in flags {
        if call.params[name] == true {
            params.insert(wire.to_owned(), true.into());
        }
    }
    let wait = call.params["wait_timeout"].as_u64().unwrap_or_default();
    Ok(Box::new(TestJob {
        ask: call.part("get_test_job", params.into()),
        left: Duration::from_secs(wait),
    }))
}

struct TestJob {
    ask: Call,
    /// How long to wait yet; what asking takes is not counted.
    left: Duration,
}

impl Logic for TestJob {
    fn step(&mut self, answered: Option<&Reply>) -> Step {
        let Some(reply) = answered else {
            return Step::Ask(Box::new(self.ask.clone()));
        };
        let status = reply.data.get("status").and_then(Value::as_str);
        let over = matches!(status, Some("succeeded" | "failed" | "cancelled"));
        if !reply.success || over || self.left.is_zero() {
            return Step::Done(reply.value.clone());
        }
        let pause = EVERY.min(self.left);
        self.left -= pause;
        Step::Wait(pause)
    }
}
