//! Reading a resource.

use super::health;
use super::mcp::UnityMcp;
use crate::catalogue::{Call, Read, Reply, Source};
use mcp_transport_core::Ending;
use rmcp::RoleServer;
use rmcp::service::RequestContext;
use serde_json::{Value, json};
use std::time::Instant;

impl UnityMcp {
    pub(super) async fn read(
        &self,
        read: Read,
        context: &RequestContext<RoleServer>,
    ) -> Result<Value, Ending> {
        let command = match &read.resource.source {
            Source::Command(command) => command,
            Source::Document(text) => return Ok(json!({"success": true, "data": text})),
            Source::Server(name) if name == "tool_groups" => return Ok(Self::tool_groups()),
            Source::Server(name) if name == "custom_tools" => {
                return self.custom_tools(context).await;
            }
            Source::Server(_) => {
                let now = now();
                let instances = self.calls.hub().snapshot();
                let shown: Vec<Value> = instances
                    .iter()
                    .map(|one| health::editor(now, one))
                    .collect();
                return Ok(
                    json!({"success": true, "instance_count": shown.len(), "instances": shown}),
                );
            }
        };
        let caller = self.caller(context);
        if command == "get_editor_state" {
            return self.calls.look(&caller, self.active().as_deref()).await;
        }
        let call = Call::read(command, read.params);
        let reply: Reply = self
            .calls
            .run(&caller, self.active().as_deref(), &call)
            .await?;
        Ok(reply.value)
    }
}

#[expect(clippy::disallowed_methods, reason = "the shell towards rmcp")]
fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
