//! Tools that need no editor.

use super::answer;
use super::context::{is_modern, session_id};
use super::mcp::UnityMcp;
use super::tasks;
use crate::calls::diagnose;
use crate::catalogue::Call;
use mcp_transport_core::{Ending, Outcome};
use rmcp::RoleServer;
use rmcp::model::CallToolResult;
use rmcp::service::RequestContext;
use serde_json::{Value, json};

impl UnityMcp {
    /// Answers one of them.
    pub(super) async fn own(
        &self,
        call: &Call,
        context: &RequestContext<RoleServer>,
    ) -> CallToolResult {
        let text = |name: &str| {
            call.params
                .get(name)
                .and_then(Value::as_str)
                .unwrap_or_default()
        };
        match call.tool {
            "set_active_instance" => self.set_active(text("instance"), context),
            "get_operation" => self.operation(text("operation_id"), context),
            "manage_tools" => self.manage_tools(call, context).await,
            "unity_docs" => self.docs(call, context).await,
            "debug_request_context" => self.debug(context),
            // manage_editor's telemetry actions: this server sends none to anybody.
            _ => answer::value(json!({
                "success": true,
                "message": "Telemetry is off: this server sends none.",
                "telemetry_enabled": false,
            })),
        }
    }

    fn set_active(&self, wanted: &str, context: &RequestContext<RoleServer>) -> CallToolResult {
        if is_modern(context) {
            let text = "set_active_instance needs a session, and protocol 2026-07-28 has none. Pass unity_instance with each call instead.";
            let ending = Ending::new(Outcome::NotDelivered, "no_session", text);
            return answer::ending(&ending.retryable(false));
        }
        match self.calls.choose(Some(wanted)) {
            Ok(editor) => {
                // The hash, since two projects can bear one name.
                self.activate(editor.hash.clone());
                let text = format!("Calls of this session go to {} now.", editor.id());
                answer::own(
                    true,
                    &text,
                    Some(json!({"instance": editor.id(), "session_id": session_id(context)})),
                )
            }
            Err(why) => answer::ending(&diagnose::no_target(&why, None)),
        }
    }

    fn operation(&self, id: &str, context: &RequestContext<RoleServer>) -> CallToolResult {
        let owner = self.owner(context);
        match self.calls.operation(id, owner.as_deref()) {
            // What came late is more than the task could say.
            Ok(reply) => answer::own(reply.success, "The operation has ended.", Some(reply.value)),
            Err(ending) => tasks::as_operation(&self.calls, id, owner.as_deref())
                .unwrap_or_else(|| answer::ending(&ending)),
        }
    }
}
