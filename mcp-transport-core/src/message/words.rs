//! What people call a message.

use super::Message;

/// The longest name of a method, a tool or a call that is told whole, in characters.
const LONGEST: usize = 128;

impl Message {
    /// How texts that people read name a call: by its method, its tool and its id, as far as there
    /// are such. Of each come 128 characters at most, and on one line: they are another's words.
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
            Some(method) => format!("`{}`", plain(method)),
            None => "the call".to_owned(),
        };
        let tool = self
            .params()
            .filter(|_| self.method() == Some("tools/call"))
            .and_then(|params| serde_json::from_str::<Params>(params).ok());
        if let Some(Params { name }) = tool {
            words += &format!(" of `{}`", plain(&name));
        }
        if let Some(id) = self.id() {
            words += &format!(" (request {})", plain(&id.to_string()));
        }
        words
    }
}

/// What control characters are in it stands as an escape, and what is too long ends with dots.
fn plain(text: &str) -> String {
    let end = text.char_indices().nth(LONGEST).map(|(end, _)| end);
    let start = text[..end.unwrap_or(text.len())].chars();
    let mut plain = String::new();
    for letter in start {
        if letter.is_control() {
            plain.extend(letter.escape_default());
        } else {
            plain.push(letter);
        }
    }
    if end.is_some() {
        plain.push('…');
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_s_words_are_cut_and_stay_on_their_line() {
        let long = "ü".repeat(1_000);
        let call = format!(
            r#"{{"jsonrpc":"2.0","id":"{long}","method":"tools/call","params":{{"name":"a\nb{long}"}}}}"#
        );
        let words = Message::from(call).in_words();
        let name = format!("a\\nb{}…", "ü".repeat(LONGEST - 3));
        assert!(words.starts_with(&format!("`tools/call` of `{name}` (request ")));
        assert!(words.chars().count() < 3 * LONGEST);
        assert!(!words.contains('\n'));
    }
}
