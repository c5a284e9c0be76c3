//! What a request says of who sent it.

use crate::calls::Progress;
use rmcp::RoleServer;
use rmcp::model::{ProgressNotificationParam, ProtocolVersion};
use rmcp::service::RequestContext;
use std::sync::Arc;

pub(super) fn is_modern(context: &RequestContext<RoleServer>) -> bool {
    context
        .protocol_version()
        .is_some_and(|version| version >= ProtocolVersion::V_2026_07_28)
}

/// Protocol 2026-07-28 has no sessions: what such a client sends in that header is to be ignored.
pub(super) fn session_id(context: &RequestContext<RoleServer>) -> Option<String> {
    let parts = context.extensions.get::<::http::request::Parts>()?;
    let id = parts.headers.get("mcp-session-id")?.to_str().ok()?;
    (!is_modern(context)).then(|| id.to_owned())
}

pub(super) fn progress(context: &RequestContext<RoleServer>) -> Option<Progress> {
    let token = context.meta.get_progress_token()?;
    let peer = context.peer.clone();
    Some(Arc::new(move |done, text| {
        let mut params = ProgressNotificationParam::new(token.clone(), done);
        params.message = Some(text);
        let peer = peer.clone();
        Box::pin(async move {
            // A client that cannot be told is about to be noticed as gone.
            let _ = peer.notify_progress(params).await;
        })
    }))
}
