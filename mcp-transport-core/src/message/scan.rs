//! Finding the id of a message that is too large to keep.

use super::Id;

/// Looks for the top-level `id` of a JSON object while its bytes pass by, and keeps none of them.
///
/// Some clients write `id` last, so the head alone does not do. An id longer than [`MAX_ID`] bytes
/// is not found. A message with a top-level `method` is a request; one without, but with a `result`
/// or an `error`, is an answer. Of two ids neither is taken.
#[derive(Debug, Default)]
pub(crate) struct IdScanner {
    depth: u32,
    in_string: bool,
    escaped: bool,
    /// The token at depth 1 that is being read, and whether it is a value of `id`.
    token: Vec<u8>,
    overflow: bool,
    key: Key,
    is_value: bool,
    id: Option<Id>,
    id_seen: bool,
    has_method: bool,
    has_outcome: bool,
}

/// Whose id was found.
#[derive(Debug, PartialEq)]
pub(crate) enum Found {
    Request(Id),
    /// The id of the call that is answered.
    Answer(Id),
    Nothing,
}

#[derive(Debug, Default, PartialEq)]
enum Key {
    Id,
    #[default]
    Other,
}

/// The longest id that is found, in bytes of JSON text.
const MAX_ID: usize = 256;

impl IdScanner {
    /// Feeds the next bytes.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.step(byte);
        }
    }

    /// The id, if a request or an answer with one has passed by.
    pub(crate) fn finish(self) -> Found {
        match self.id {
            Some(id) if self.has_method => Found::Request(id),
            Some(id) if self.has_outcome => Found::Answer(id),
            _ => Found::Nothing,
        }
    }

    fn step(&mut self, byte: u8) {
        if self.in_string {
            self.keep(byte);
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' => self.escaped = true,
                b'"' => self.in_string = false,
                _ => {}
            }
            return;
        }
        match byte {
            b'"' => {
                self.in_string = true;
                self.keep(byte);
            }
            b'{' | b'[' => self.depth = self.depth.saturating_add(1),
            b':' if self.depth == 1 => self.end_of_key(),
            b',' if self.depth == 1 => self.end_of_value(),
            b'}' | b']' => {
                if self.depth == 1 {
                    self.end_of_value();
                }
                self.depth = self.depth.saturating_sub(1);
            }
            _ if byte.is_ascii_whitespace() => {}
            _ => self.keep(byte),
        }
    }

    fn keep(&mut self, byte: u8) {
        if self.depth != 1 || (self.is_value && self.key != Key::Id) {
            return;
        }
        if self.token.len() == MAX_ID {
            self.overflow = true;
        } else {
            self.token.push(byte);
        }
    }

    fn end_of_key(&mut self) {
        let key: Option<String> = serde_json::from_slice(&self.token).ok();
        self.key = match key.as_deref() {
            Some("id") => Key::Id,
            other => {
                self.has_method |= other == Some("method");
                self.has_outcome |= matches!(other, Some("result" | "error"));
                Key::Other
            }
        };
        self.start_token(true);
    }

    fn end_of_value(&mut self) {
        if self.key == Key::Id && self.is_value {
            let first = !std::mem::replace(&mut self.id_seen, true);
            let token = std::str::from_utf8(&self.token).ok();
            self.id = token
                .filter(|_| first && !self.overflow)
                .and_then(Id::from_json);
        }
        self.start_token(false);
    }

    fn start_token(&mut self, is_value: bool) {
        self.token.clear();
        self.overflow = false;
        self.is_value = is_value;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scan(json: &str) -> Option<Id> {
        match found(json) {
            Found::Request(id) => Some(id),
            Found::Answer(_) | Found::Nothing => None,
        }
    }

    fn found(json: &str) -> Found {
        let mut whole = IdScanner::default();
        whole.push(json.as_bytes());
        let mut torn = IdScanner::default();
        json.bytes().for_each(|byte| torn.push(&[byte]));
        let found = whole.finish();
        assert_eq!(found, torn.finish(), "chunking must not matter");
        found
    }

    #[test]
    fn the_id_of_a_request_is_found_wherever_it_stands() {
        let id = Some(Id::from(7));
        assert_eq!(
            scan(r#"{"jsonrpc":"2.0","id":7,"method":"x","params":{"id":9}}"#),
            id
        );
        assert_eq!(
            scan(r#"{"method":"x","params":{"a":"\"id\":8,{[","id":9},"id" : 7 }"#),
            id
        );
        assert_eq!(
            scan(r#"{"params":[{"id":1},[2]],"method":"x","id":"a\"b"}"#),
            Some(Id::from("a\"b"))
        );
    }

    #[test]
    fn what_nobody_waits_for_has_no_id() {
        assert_eq!(scan(r#"{"id":7,"result":{"method":"x"}}"#), None);
        assert_eq!(scan(r#"{"method":"x","params":{"id":9}}"#), None);
        assert_eq!(scan(r#"{"method":"x","id":{"a":1}}"#), None);
        assert_eq!(
            scan(&format!(
                r#"{{"method":"x","id":"{}"}}"#,
                "a".repeat(MAX_ID)
            )),
            None
        );
        assert_eq!(scan("\u{0}]]}}\"\\"), None);
    }

    #[test]
    fn the_id_of_an_answer_is_that_of_its_call() {
        let answer = || Found::Answer(Id::from(7));
        assert_eq!(
            found(r#"{"jsonrpc":"2.0","id":7,"result":{"method":"x"}}"#),
            answer()
        );
        assert_eq!(found(r#"{"error":{"code":1,"id":8},"id":7}"#), answer());
        assert_eq!(
            found(r#"{"id":7,"method":"x","result":1}"#),
            Found::Request(Id::from(7))
        );
        assert_eq!(found(r#"{"id":null,"error":{}}"#), Found::Nothing);
        assert_eq!(found(r#"{"id":7,"params":{"result":1}}"#), Found::Nothing);
    }

    #[test]
    fn an_id_that_could_not_be_written_out_again_is_none() {
        assert_eq!(scan(r#"{"method":"x","id":1abc}"#), None);
        assert_eq!(scan(r#"{"method":"x","id":"a" "b"}"#), None);
        assert_eq!(scan(r#"{"method":"x","id":01}"#), None);
    }

    #[test]
    fn of_two_ids_neither_is_taken() {
        assert_eq!(scan(r#"{"id":1,"method":"x","id":2}"#), None);
        assert_eq!(scan(r#"{"id":1,"method":"x","id":2,"id":3}"#), None);
    }
}
