//! Where JSON values begin and end, without a look at what they mean: strict, and without
//! recursion.

use std::ops::Range;

/// The bytes are no JSON.
#[derive(Clone, Copy, Debug)]
pub(super) struct NotJson;

/// A place in bytes that were found to be UTF-8.
#[derive(Clone, Debug)]
pub(super) struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// The next byte that is no white space.
    pub(super) fn token(&mut self) -> Option<u8> {
        while let Some(&byte) = self.bytes.get(self.at) {
            if !matches!(byte, b' ' | b'\n' | b'\r' | b'\t') {
                return Some(byte);
            }
            self.at += 1;
        }
        None
    }

    /// Takes the next token, if it is this one.
    pub(super) fn takes(&mut self, wanted: u8) -> bool {
        let is_it = self.token() == Some(wanted);
        self.at += usize::from(is_it);
        is_it
    }

    /// Nothing but white space may follow.
    pub(super) fn end(mut self) -> Result<(), NotJson> {
        self.token().map_or(Ok(()), |_| Err(NotJson))
    }

    /// A member's name, without its quotes and as it is written, and the colon behind it.
    pub(super) fn key(&mut self) -> Result<Range<usize>, NotJson> {
        if !self.takes(b'"') {
            return Err(NotJson);
        }
        let start = self.at;
        self.string()?;
        let key = start..self.at - 1;
        if self.takes(b':') {
            Ok(key)
        } else {
            Err(NotJson)
        }
    }

    /// A value, from its first byte to its last.
    pub(super) fn value(&mut self) -> Result<Range<usize>, NotJson> {
        let mut open = Open::default();
        self.token();
        let start = self.at;
        loop {
            match self.token().ok_or(NotJson)? {
                b'{' => {
                    self.at += 1;
                    if self.token() != Some(b'}') {
                        open.push(true);
                        self.key()?;
                        continue;
                    }
                    self.at += 1;
                }
                b'[' => {
                    self.at += 1;
                    if self.token() != Some(b']') {
                        open.push(false);
                        continue;
                    }
                    self.at += 1;
                }
                b'"' => {
                    self.at += 1;
                    self.string()?;
                }
                b't' => self.word(b"true")?,
                b'f' => self.word(b"false")?,
                b'n' => self.word(b"null")?,
                _ => self.number()?,
            }
            // What it was in may end, too.
            loop {
                let Some(is_object) = open.last() else {
                    return Ok(start..self.at);
                };
                let token = self.token().ok_or(NotJson)?;
                self.at += 1;
                match token {
                    b',' if is_object => {
                        self.key()?;
                        break;
                    }
                    b',' => break,
                    b'}' if is_object => open.pop(),
                    b']' if !is_object => open.pop(),
                    _ => return Err(NotJson),
                }
            }
        }
    }

    /// The rest of a text, behind its first quote.
    fn string(&mut self) -> Result<(), NotJson> {
        loop {
            self.at += plain(&self.bytes[self.at..]);
            match self.bytes.get(self.at) {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(b'\\') => self.escape()?,
                // A control character, or the end.
                _ => return Err(NotJson),
            }
        }
    }

    fn escape(&mut self) -> Result<(), NotJson> {
        match self.bytes.get(self.at + 1).ok_or(NotJson)? {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => self.at += 2,
            b'u' => {
                let digits = self.bytes.get(self.at + 2..self.at + 6).ok_or(NotJson)?;
                if !digits.iter().all(u8::is_ascii_hexdigit) {
                    return Err(NotJson);
                }
                self.at += 6;
            }
            _ => return Err(NotJson),
        }
        Ok(())
    }

    fn word(&mut self, word: &[u8]) -> Result<(), NotJson> {
        let rest = &self.bytes[self.at..];
        self.at += word.len();
        if rest.starts_with(word) {
            Ok(())
        } else {
            Err(NotJson)
        }
    }

    fn number(&mut self) -> Result<(), NotJson> {
        self.at += usize::from(self.peek() == Some(b'-'));
        match self.peek() {
            Some(b'0') => self.at += 1,
            Some(b'1'..=b'9') => self.digits()?,
            _ => return Err(NotJson),
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            self.at += usize::from(matches!(self.peek(), Some(b'+' | b'-')));
            self.digits()?;
        }
        Ok(())
    }

    /// One digit at least.
    fn digits(&mut self) -> Result<(), NotJson> {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        if self.at > start {
            Ok(())
        } else {
            Err(NotJson)
        }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }
}

/// The objects and lists that are not closed yet, a bit for each: true for an object.
#[derive(Default)]
struct Open {
    depth: usize,
    last: u64,
    /// Those that are further out, 64 in each.
    outer: Vec<u64>,
}

impl Open {
    fn push(&mut self, is_object: bool) {
        if self.depth > 0 && self.depth % 64 == 0 {
            self.outer.push(self.last);
        }
        self.last = self.last << 1 | u64::from(is_object);
        self.depth += 1;
    }

    fn last(&self) -> Option<bool> {
        (self.depth > 0).then_some(self.last & 1 == 1)
    }

    fn pop(&mut self) {
        self.depth -= 1;
        self.last >>= 1;
        if self.depth > 0 && self.depth % 64 == 0 {
            self.last = self.outer.pop().unwrap_or_default();
        }
    }
}

/// How many bytes at the start stand for themselves in a text: no quote, backslash or control
/// character.
///
/// Texts are most of what messages have, so this is what the size of a message costs. 8 bytes at
/// once for the short ones; 32, which the compiler turns into vector instructions, for the long.
fn plain(bytes: &[u8]) -> usize {
    let mut at = 0;
    while let Some(chunk) = bytes[at..].first_chunk::<8>() {
        let special = special(u64::from_le_bytes(*chunk));
        if special != 0 {
            return at + special.trailing_zeros() as usize / 8;
        }
        at += 8;
        while let Some(chunk) = bytes[at..].first_chunk::<32>() {
            if chunk
                .iter()
                .fold(false, |any, &byte| any | is_special(byte))
            {
                break;
            }
            at += 32;
        }
    }
    let rest = &bytes[at..];
    at + rest
        .iter()
        .position(|&byte| is_special(byte))
        .unwrap_or(rest.len())
}

const fn is_special(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

/// The highest bit of each byte that is special; only the lowest of these bits is to be trusted,
/// since a borrow may set those above.
const fn special(word: u64) -> u64 {
    const ONES: u64 = u64::MAX / 0xFF;
    const HIGH: u64 = ONES * 0x80;
    const fn is_zero(word: u64) -> u64 {
        word.wrapping_sub(ONES) & !word
    }
    let control = word.wrapping_sub(ONES * 0x20) & !word;
    let quote = is_zero(word ^ (ONES * b'"' as u64));
    let backslash = is_zero(word ^ (ONES * b'\\' as u64));
    (control | quote | backslash) & HIGH
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde::de::IgnoredAny;

    /// Something like JSON, and something like it with a byte changed.
    fn nearly() -> impl Strategy<Value = String> {
        let leaf = prop_oneof![
            Just("null".to_owned()),
            Just("true".to_owned()),
            "-?[0-9]{0,3}(\\.[0-9]{0,3})?([eE][+-]?[0-9]{0,2})?",
            "\"([ -~é\u{1F600}]|\\\\[\"\\\\/bfnrtux]|\\\\u[0-9a-fA-F]{3,4}){0,90}\"",
            "\"[a-z]{0,300}\"",
        ];
        let tree = leaf.prop_recursive(6, 60, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5)
                    .prop_map(|items| format!("[{}]", items.join(" ,"))),
                prop::collection::vec(("[a-z\\\\\"]{0,12}", inner), 0..5).prop_map(|members| {
                    let members: Vec<_> = members
                        .iter()
                        .map(|(key, value)| format!("\"{key}\" :\t{value}"))
                        .collect();
                    format!("{{{}}}", members.join(",\r\n"))
                }),
            ]
        });
        (
            tree,
            any::<prop::sample::Index>(),
            prop::option::weighted(0.3, any::<char>()),
        )
            .prop_map(|(text, at, other)| {
                let mut chars: Vec<char> = text.chars().collect();
                if let (Some(other), false) = (other, chars.is_empty()) {
                    let at = at.index(chars.len());
                    chars[at] = other;
                }
                chars.into_iter().collect()
            })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4_000))]

        #[test]
        fn what_serde_json_takes_is_taken_and_nothing_else(text in nearly()) {
            let mut cursor = Cursor::new(text.as_bytes());
            let value = cursor.value();
            let ours = value.clone().and_then(|_| cursor.end());
            let theirs = serde_json::from_str::<IgnoredAny>(&text);
            prop_assert_eq!(ours.is_ok(), theirs.is_ok(), "{:?}", theirs);
            if ours.is_ok() {
                prop_assert_eq!(&text[value.unwrap()], text.trim_ascii());
            }
        }

        #[test]
        fn special_bytes_are_found_wherever_they_stand(
            mut bytes in prop::collection::vec(any::<u8>(), 0..200), plainly in any::<bool>(),
        ) {
            if plainly {
                let last = bytes.len().saturating_sub(1);
                for byte in &mut bytes[..last] {
                    *byte = (*byte).max(b']');
                }
            }
            let expected = bytes.iter().position(|&byte| is_special(byte));
            prop_assert_eq!(plain(&bytes), expected.unwrap_or(bytes.len()));
        }
    }

    #[test]
    fn a_thousand_levels_are_told_apart_each() {
        let open: String = (0..1_000)
            .map(|it| if it % 3 == 0 { "[" } else { "{\"\":" })
            .collect();
        let close: String = (0..1_000)
            .rev()
            .map(|it| if it % 3 == 0 { ']' } else { '}' })
            .collect();
        let mut text = format!("{open}1{close}");
        assert!(Cursor::new(text.as_bytes()).value().is_ok());
        for at in [1, 64, 65, 128, 999] {
            let place = text.len() - at;
            let other = if text.as_bytes()[place] == b']' {
                "}"
            } else {
                "]"
            };
            let right = text[place..=place].to_owned();
            text.replace_range(place..=place, other);
            assert!(Cursor::new(text.as_bytes()).value().is_err(), "{at}");
            text.replace_range(place..=place, &right);
        }
    }
}
