//! What people call a message.

use super::Message;

impl Message {
    /// How texts that people read name a call: by its method, its tool and its id, as far as there
    /// are such.
    ///
    /// ```
    /// use mcp_transport_core::Message;
    ///
    /// let call = r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"build"}}"#;
    /// assert_eq!(Message::from(call).in_words(), "`tools/call` of `build` (request 7)");
    /// let told = r#"{"jsonrpc":"2.0","method":"notifications/progress"}"#;
    /// assert_eq!(Message::from(told).in_words(), "`notifications/progress`");
    /// ```
    pub fn in_words(&self) -> String {
        #[derive(serde::Deserialize)]
        struct Params {
            name: String,
        }
        let mut words = match self.method() {
            Some(method) => format!("`{method}`"),
            None => "the call".to_owned(),
        };
        let tool = self
            .params()
            .filter(|_| self.method() == Some("tools/call"))
            .and_then(|params| serde_json::from_str::<Params>(params).ok());
        if let Some(Params { name }) = tool {
            words += &format!(" of `{name}`");
        }
        if let Some(id) = self.id() {
            words += &format!(" (request {id})");
        }
        words
    }
}
