//! A client's message so that the plugin's parser reads what was said.
//!
//! The installed plugin (up to 0.6.2) finds the end of an object by counting braces, and does not
//! skip strings; it takes a quote after a backslash for an escaped one, also where the backslash is
//! itself escaped; it reads ids as floating-point numbers; and it recurses without a limit, on the
//! editor's stack. So what a string consists of is said in `\u0000` form wherever it could be
//! mistaken, the id is exchanged for a small number, and what is nested too deep is refused.

use mcp_transport_core::{Ending, ErrorKind, Id, Message, Outcome};
use std::ops::Range;

/// How deep objects and lists may be nested, the message itself included.
pub const MAX_DEPTH: usize = 128;

/// A message is nested deeper than [`MAX_DEPTH`].
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "the message is nested deeper than {MAX_DEPTH} levels, which could overflow the editor's stack; \
     send what is nested that deep as text"
)]
#[non_exhaustive]
pub struct TooDeep;

impl TooDeep {
    /// What the client is answered. Nothing was delivered.
    pub fn to_answer(self, id: Option<&Id>) -> Message {
        let ending = Ending::new(Outcome::NotDelivered, "too_deep", self.to_string());
        let code = ErrorKind::TooLarge { limit: 0, size: 0 }.code();
        Message::ended(id, code, &ending.retryable(false))
    }
}

/// A message for the plugin. A request has this id in place of its own.
///
/// The values of all strings and keys stay, and so does everything else but the id.
///
/// # Errors
/// [`TooDeep`].
///
/// ```
/// use mcp_transport_broker::foreign::funplay::armour;
/// use mcp_transport_core::Message;
///
/// let call = Message::from(r#"{"id":9007199254740993,"method":"run","params":{"code":"if(x){\"\\\"}"}}"#);
/// assert_eq!(
///     armour(&call, 7).unwrap(),
///     br#"{"id":7,"method":"run","params":{"code":"if(x)\u007b\u0022\u005c\u0022\u007d"}}"#,
/// );
/// ```
pub fn armour(message: &Message, id: u64) -> Result<Vec<u8>, TooDeep> {
    let json = message.as_bytes();
    let mut out = Vec::with_capacity(json.len() + json.len() / 4 + 16);
    let mut depth = 0_usize;
    let mut rewrite = |piece: &[u8], out: &mut Vec<u8>| -> Result<(), TooDeep> {
        let mut at = 0;
        while at < piece.len() {
            match piece[at] {
                b'"' => {
                    let end = end_of_string(piece, at);
                    let inside = &piece[at + 1..end];
                    out.push(b'"');
                    rewrite_string(inside.strip_suffix(b"\"").unwrap_or(inside), out);
                    out.push(b'"');
                    at = end;
                    continue;
                }
                b'{' | b'[' => depth += 1,
                b'}' | b']' => depth = depth.saturating_sub(1),
                _ => {}
            }
            if depth > MAX_DEPTH {
                return Err(TooDeep);
            }
            out.push(piece[at]);
            at += 1;
        }
        Ok(())
    };
    match find_id(json) {
        Some(place) => {
            rewrite(&json[..place.start], &mut out)?;
            out.extend_from_slice(id.to_string().as_bytes());
            rewrite(&json[place.end..], &mut out)?;
        }
        None => rewrite(json, &mut out)?,
    }
    Ok(out)
}

/// Where the value of the top-level `id` stands.
pub(super) fn find_id(json: &[u8]) -> Option<Range<usize>> {
    let mut depth = 0_usize;
    let mut is_key = false;
    let mut at = 0;
    while at < json.len() {
        match json[at] {
            b'"' => {
                let end = end_of_string(json, at);
                if depth == 1 && is_key && is_id(&json[at..end]) {
                    return value_after(json, end);
                }
                at = end;
                is_key = false;
                continue;
            }
            b'{' | b'[' => {
                depth += 1;
                is_key = json[at] == b'{';
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            b',' => is_key = depth == 1,
            _ => {}
        }
        at += 1;
    }
    None
}

/// Where the next value stands, which is text or a plain literal.
fn value_after(json: &[u8], key: usize) -> Option<Range<usize>> {
    let is_space = |byte: &u8| byte.is_ascii_whitespace();
    let rest = &json[key..];
    let colon = rest.iter().position(|byte| !is_space(byte))?;
    let value = rest[colon + 1..].iter().position(|byte| !is_space(byte))?;
    let start = key + colon + 1 + value;
    let end = if json[start] == b'"' {
        end_of_string(json, start)
    } else {
        let is_over = |byte: &u8| matches!(byte, b',' | b'}' | b']') || is_space(byte);
        let length = json[start..].iter().position(is_over);
        length.map_or(json.len(), |length| start + length)
    };
    (end > start).then_some(start..end)
}

/// True if this text, in its quotes, says `id`, however it is escaped.
fn is_id(key: &[u8]) -> bool {
    const LONGEST: usize = r#""\u0069\u0064""#.len();
    key == br#""id""#
        || key.len() <= LONGEST
            && serde_json::from_slice::<String>(key).is_ok_and(|key| key == "id")
}

/// Where a string ends that begins here: after its closing quote, or at the end of the text.
fn end_of_string(json: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while at < json.len() {
        match json[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    json.len()
}

/// The inside of a string, so that nothing in it could be taken for structure.
fn rewrite_string(inside: &[u8], out: &mut Vec<u8>) {
    let mut bytes = inside.iter();
    while let Some(&byte) = bytes.next() {
        match byte {
            b'\\' => match bytes.next() {
                // An escape that the plugin does not know.
                Some(b'/') => out.push(b'/'),
                // One that it does; its digits follow.
                Some(b'u') => out.extend_from_slice(b"\\u"),
                Some(b'b') => escape(0x08, out),
                Some(b'f') => escape(0x0c, out),
                Some(b'n') => escape(b'\n', out),
                Some(b'r') => escape(b'\r', out),
                Some(b't') => escape(b'\t', out),
                Some(&other) => escape(other, out),
                None => {}
            },
            b'"' | b'{' | b'}' | b'[' | b']' => escape(byte, out),
            _ => out.push(byte),
        }
    }
}

/// One ASCII character as `\u0000`.
pub(super) fn escape(byte: u8, out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    out.extend_from_slice(b"\\u00");
    out.push(DIGITS[usize::from(byte >> 4)]);
    out.push(DIGITS[usize::from(byte & 15)]);
}
