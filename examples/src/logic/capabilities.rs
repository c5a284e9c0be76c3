//! `manage_script_capabilities`: what can be edited, which never changes.

use serde_json::json;

use super::{Logic, Step};
use crate::catalogue::{BadArguments, Call, Reply};

/// What the installed plugin (10.1) takes in one `apply_text_edits`.
const MOST_BYTES: u32 = 64 * 1024;

pub(super) fn begin(_: &Call) -> Result<Box<dyn Logic>, BadArguments> {
    Ok(Box::new(Capabilities))
}

struct Capabilities;

impl Logic for Capabilities {
    fn step(&mut self, _: Option<&Reply>) -> Step {
        Step::Done(json!({"success": true, "data": {
            "ops": super::STRUCTURED,
            "text_ops": super::TEXT,
            "max_edit_payload_bytes": MOST_BYTES,
            "guards": {"using_guard": true},
            "extras": {"get_sha": true},
        }}))
    }
}
