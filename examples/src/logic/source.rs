//! A script's text, read from the editor.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::catalogue::{BadArguments, Call, Location, Problem, Reply, script_source};

/// Which script, as the plugin names it.
#[derive(Clone, Debug)]
pub(super) struct Script {
    pub(super) name: String,
    /// Its folder.
    pub(super) path: String,
}

impl Script {
    /// The script that the parameter `uri` names.
    pub(super) fn of_uri(call: &Call) -> Result<Self, BadArguments> {
        let uri = call.params["uri"].as_str().unwrap_or_default();
        match Location::of_uri(uri) {
            Ok(Location { name, folder, .. }) => Ok(Self { name, path: folder }),
            Err(expected) => {
                let problem = Problem::new("uri", expected, &uri.into());
                Err(BadArguments::new(call.tool, vec![problem], 0))
            }
        }
    }

    /// The command that reads it.
    pub(super) fn read(&self) -> Value {
        json!({"action": "read", "name": self.name, "path": self.path})
    }
}

/// The text in the answer to [`Script::read`], or the failure as the client is to see it.
pub(super) fn text(reply: &Reply) -> Result<String, Value> {
    if !reply.success {
        return Err(reply.value.clone());
    }
    script_source(&reply.data).ok_or_else(|| {
        let message = "The editor says that it read the script, and sent no text.";
        json!({"success": false, "code": "no_contents", "message": message})
    })
}

/// A text's hash, as the plugin computes it.
pub(super) fn sha(text: &str) -> String {
    let digest = Sha256::digest(text.as_bytes());
    let hex = |text: String, byte: &u8| text + &format!("{byte:02x}");
    digest.iter().fold(String::with_capacity(64), hex)
}
