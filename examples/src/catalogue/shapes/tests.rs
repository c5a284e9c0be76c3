//! `run_tests`: filters that say something, or the one word that frees a blocked runner.

use serde_json::{Map, Value};

use super::super::problem::Problem;
use super::Draft;

pub(super) fn apply(draft: &mut Draft) -> Result<(), Problem> {
    if draft.wire.remove("clear_stuck") == Some(Value::Bool(true)) {
        // The plugin would take anything else for a run.
        draft.wire = Map::from_iter([("clear_stuck".to_owned(), true.into())]);
        draft.reload = false;
        return Ok(());
    }
    for flag in ["includeFailedTests", "includeDetails"] {
        if draft.wire.get(flag) == Some(&Value::Bool(false)) {
            draft.wire.remove(flag);
        }
    }
    for filter in ["testNames", "groupNames", "categoryNames", "assemblyNames"] {
        let Some(Value::Array(names)) = draft.wire.get_mut(filter) else {
            continue;
        };
        names.retain_mut(|name| {
            let text = name.as_str().unwrap_or_default().trim().to_owned();
            *name = text.as_str().into();
            !text.is_empty()
        });
        if names.is_empty() {
            draft.wire.remove(filter);
        }
    }
    match draft.wire.get("initTimeout") {
        Some(time) if time.as_i64().is_some_and(|ms| ms <= 0) => {
            let expected = "a number of milliseconds above 0";
            Err(Problem::new("init_timeout", expected, time))
        }
        _ => Ok(()),
    }
}
