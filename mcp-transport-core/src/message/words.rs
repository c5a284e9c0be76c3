//! What people call a message.

use super::{Id, Message};

impl Message {
    /// How texts that people read name a call: by its method, its tool and its id.
    ///
    /// ```
    /// use mcp_transport_core::Message;
    ///
    /// let call = r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"build"}}"#;
    /// assert_eq!(Message::from(call).in_words(), "`tools/call` of `build` (request 7)");
    /// ```
    pub fn in_words(&self) -> String {
        #[derive(serde::Deserialize)]
        struct Params {
            name: String,
        }
        let method = self.method().unwrap_or("the call");
        let tool = self
            .params()
            .filter(|_| method == "tools/call")
            .and_then(|params| serde_json::from_str::<Params>(params).ok());
        let id = self.id().map(Id::to_string).unwrap_or_default();
        match tool {
            Some(Params { name }) => format!("`{method}` of `{name}` (request {id})"),
            None => format!("`{method}` (request {id})"),
        }
    }
}
