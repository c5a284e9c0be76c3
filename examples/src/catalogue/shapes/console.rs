//! `read_console`: how many entries.

use serde_json::Value;

use super::super::problem::Problem;
use super::Draft;

/// The Python server's default: all entries of a large console can outlast any time-out.
const USUAL: u32 = 10;

/// `count` always goes on the wire: null stands for "all", and is what `clear` carries.
pub(super) fn apply(draft: &mut Draft) -> Result<(), Problem> {
    let count = match draft.wire.remove("count") {
        Some(Value::String(_all)) => Value::Null,
        Some(count) => count,
        None if draft.action() == Some("get") => USUAL.into(),
        None => Value::Null,
    };
    draft.wire.insert("count".to_owned(), count);
    Ok(())
}
