//! `debug_request_context`: how this server sees a request.

use super::answer;
use super::context::{is_modern, session_id};
use super::mcp::UnityMcp;
use crate::logic::secrets::{hide_args, hide_env, is_secret};
use rmcp::RoleServer;
use rmcp::model::CallToolResult;
use rmcp::service::RequestContext;
use serde_json::{Map, Value, json};

/// Variables that say something about this server.
const VARIABLES: [&str; 3] = ["UNITY_MCP_", "RUST_LOG", "NO_PROXY"];

/// Headers that tell where a request comes from.
const HEADERS: [&str; 6] = [
    "host",
    "origin",
    "user-agent",
    "mcp-protocol-version",
    "x-forwarded-for",
    "x-forwarded-proto",
];

impl UnityMcp {
    /// The fields are those of the Python server (10.3.0), where there is such a thing here; those of its framework are not.
    pub(super) fn debug(&self, context: &RequestContext<RoleServer>) -> CallToolResult {
        let session = session_id(context);
        let info = context.peer.peer_info();
        let client = info.as_ref().map(|info| json!(info.client_info));
        let client_id = client
            .as_ref()
            .and_then(|client| client["name"].as_str().map(str::to_owned));
        let active = self.active();
        let chosen = self.calls.choose(active.as_deref());
        let version = context
            .protocol_version()
            .map(|version| version.to_string());
        let data = json!({
            "server": self.server(),
            "request_context": {
                "client_id": client_id,
                "session_id": session,
                "meta": meta(context),
                "protocol_version": version,
                "stateless": is_modern(context),
                "progress": context.meta.get_progress_token().is_some(),
                "headers": headers(context),
            },
            "direct_properties": {"session_id": session, "client_id": client_id},
            "client": {
                "info": client,
                "capabilities": info.as_ref().map(|info| json!(info.capabilities)),
            },
            "session_state": {
                "active_instance": active.as_ref().map(|active| {
                    chosen.as_ref().map_or_else(|_| active.clone(), |editor| editor.id())
                }),
                "calls_go_to": chosen.as_ref().ok().map(|editor| editor.id()),
                "editors": self.calls.hub().snapshot().len(),
                "plugin_hub_configured": true,
            },
        });
        answer::own(true, "How this server sees the request.", Some(data))
    }
}

impl UnityMcp {
    fn server(&self) -> Value {
        let mut shown = json!({
            "name": "mcp-transport-unity",
            "version": env!("CARGO_PKG_VERSION"),
            "docs": self.calls.docs().shown(),
        });
        if !self.calls.is_elsewhere() {
            let args = std::env::args_os().map(|arg| arg.to_string_lossy().into_owned());
            shown["cwd"] = json!(std::env::current_dir().ok());
            shown["argv"] = json!(hide_args(args));
            shown["env"] = json!(hide_env(variables(), &VARIABLES));
        }
        shown
    }
}

fn variables() -> impl Iterator<Item = (String, String)> {
    // Those that are no text say nothing to anybody.
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
}

/// What the client said beside its arguments.
fn meta(context: &RequestContext<RoleServer>) -> Value {
    let meta = serde_json::to_value(&context.meta).unwrap_or_default();
    match meta {
        Value::Object(meta) => {
            // The one token there that opens nothing.
            let hidden = |name: &str| name != "progressToken" && is_secret(name);
            let shown = meta.into_iter().map(|(name, value)| match hidden(&name) {
                true => (name, "***".into()),
                false => (name, value),
            });
            shown.collect::<Map<_, _>>().into()
        }
        other => other,
    }
}

fn headers(context: &RequestContext<RoleServer>) -> Map<String, Value> {
    let Some(parts) = context.extensions.get::<::http::request::Parts>() else {
        return Map::new();
    };
    let value = |name: &&str| parts.headers.get(*name)?.to_str().ok();
    HEADERS
        .iter()
        .filter_map(|name| Some(((*name).to_owned(), value(name)?.into())))
        .collect()
}
