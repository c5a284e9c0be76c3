//! A command as somebody wrote it, past the catalogue: what comes by REST.

use super::{Caller, Calls, diagnose, now};
use crate::catalogue::{Catalogue, wire_timeout};
use crate::hub::Request;
use mcp_transport_core::Ending;
use mcp_transport_core::delivery::Replay;
use serde_json::Value;

/// A command for the editor, word for word.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_structs, reason = "what goes over the wire")]
pub struct RawCommand {
    /// Its name on the wire.
    pub name: String,
    /// Its parameters, under their wire names.
    pub params: Value,
    /// The editor that is meant; `None` = the only one.
    pub instance: Option<String>,
}

impl Calls {
    /// Sends a command, and returns the editor's envelope as it came. It may be sent again only if the catalogue knows that
    /// it reads: what it does not know is never repeated.
    ///
    /// Unlike [`run`](Self::run) it does not wait for an editor that nobody has seen yet.
    ///
    /// # Errors
    /// The bad ending, in the one shape that clients see.
    ///
    /// # Cancel safety
    /// Dropping the future gives the call up: what is queued is withdrawn, the result of what runs is kept.
    pub async fn raw(&self, caller: &Caller, command: RawCommand) -> Result<Value, Ending> {
        let _under_way = self.under_way.token();
        if self.stopping.is_cancelled() {
            return Err(diagnose::shutting_down(None));
        }
        let editor = self
            .choose(command.instance.as_deref())
            .map_err(|why| diagnose::no_target(&why, (self.port)().as_ref()))?;
        let safe = Catalogue::builtin().is_known_to_read(&command.name, &command.params);
        let request = Request {
            timeout: wire_timeout(&command.name, &command.params),
            replay: if safe { Replay::Safe } else { Replay::Never },
            hold: self.budget.hold,
            command: command.name,
            params: command.params,
        };
        let mut clock = self.clock(caller);
        // Whoever calls next has to ask how the editor is, unless this only reads.
        let stirs = || (!safe).then(|| self.memory().stirred(now(), &editor.hash));
        stirs();
        let ended = self
            .envelope(caller, &editor.hash, request, &mut clock)
            .await;
        stirs();
        ended.map_err(|end| {
            self.keep(caller, &end.ending);
            end.ending
        })
    }
}
