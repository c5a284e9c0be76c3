//! `manage_shader`: the source in base64 when it is written.

use super::{Draft, encode};
use serde_json::Value;

pub(super) fn apply(draft: &mut Draft) {
    let Some(Value::String(contents)) = draft.local.remove("contents") else {
        return;
    };
    if matches!(draft.action(), Some("create" | "update")) {
        encode(draft, &contents);
    } else {
        draft.wire.insert("contents".to_owned(), contents.into());
    }
}
