//! Where JSON values begin and end, without a look at what they mean: strict, and without
//! recursion.

// A place goes in and the place behind comes out, so that it stays in a register. The bytes were
// found to be UTF-8.

/// The place of the next byte that is no white space.
#[inline]
pub(super) fn token(bytes: &[u8], mut at: usize) -> usize {
    while let Some(b' ' | b'\n' | b'\r' | b'\t') = bytes.get(at) {
        at += 1;
    }
    at
}

/// The place of a member's value, and where the member's name ends: behind its quote.
#[inline]
pub(super) fn member(bytes: &[u8], at: usize) -> Option<(usize, usize)> {
    let end = string(bytes, at)?;
    let colon = token(bytes, end);
    (*bytes.get(colon)? == b':').then(|| (token(bytes, colon + 1), end))
}

/// The end of the value that begins here.
#[inline]
pub(super) fn value(bytes: &[u8], at: usize) -> Option<usize> {
    match *bytes.get(at)? {
        b'"' => string(bytes, at),
        b'0'..=b'9' => number(bytes, at),
        _ => nested(bytes, at),
    }
}

/// True if nothing but white space follows.
pub(super) fn ends(bytes: &[u8], at: usize) -> bool {
    token(bytes, at) == bytes.len()
}

/// As [`value`], whatever it is.
fn nested(bytes: &[u8], mut at: usize) -> Option<usize> {
    let mut open = Open::default();
    loop {
        at = match *bytes.get(at)? {
            b'"' => string(bytes, at)?,
            b'-' | b'0'..=b'9' => number(bytes, at)?,
            b'{' => {
                let next = token(bytes, at + 1);
                if *bytes.get(next)? != b'}' {
                    open.push(true);
                    (at, _) = member(bytes, next)?;
                    continue;
                }
                next + 1
            }
            b'[' => {
                let next = token(bytes, at + 1);
                if *bytes.get(next)? != b']' {
                    open.push(false);
                    at = next;
                    continue;
                }
                next + 1
            }
            b't' => word(bytes, at, b"true")?,
            b'f' => word(bytes, at, b"false")?,
            b'n' => word(bytes, at, b"null")?,
            _ => return None,
        };
        // What it was in may end, too.
        loop {
            let Some(is_object) = open.last() else {
                return Some(at);
            };
            at = token(bytes, at);
            match *bytes.get(at)? {
                b',' => {
                    at = token(bytes, at + 1);
                    if is_object {
                        (at, _) = member(bytes, at)?;
                    }
                    break;
                }
                b'}' if is_object => open.pop(),
                b']' if !is_object => open.pop(),
                _ => return None,
            }
            at += 1;
        }
    }
}

/// The end of the text whose quote is here.
#[inline]
fn string(bytes: &[u8], quote: usize) -> Option<usize> {
    // Most texts are short: 8 bytes at once.
    if let Some((b'"', word)) = bytes.get(quote..).and_then(head) {
        let special = special(word).trailing_zeros() as usize / 8;
        if bytes.get(quote + 1 + special) == Some(&b'"') {
            return Some(quote + special + 2);
        }
    }
    long_string(bytes, quote)
}

/// The first byte and the next 8.
#[inline]
fn head(bytes: &[u8]) -> Option<(u8, u64)> {
    let (first, rest) = bytes.split_first()?;
    let word = rest.first_chunk()?;
    Some((*first, u64::from_le_bytes(*word)))
}

/// As [`string`], however long it is.
fn long_string(bytes: &[u8], quote: usize) -> Option<usize> {
    if *bytes.get(quote)? != b'"' {
        return None;
    }
    let (mut at, mut words) = (quote + 1, 0);
    while let Some(chunk) = bytes.get(at..).and_then(<[u8]>::first_chunk::<8>) {
        let special = special(u64::from_le_bytes(*chunk));
        at += special.trailing_zeros() as usize / 8;
        if special > 0 {
            at = match after(bytes, at)? {
                After::Text(end) => return Some(end),
                After::Escape(at) => at,
            };
        }
        words += 1;
        if words == FEW {
            at = match blocks(bytes, at)? {
                After::Text(end) => return Some(end),
                After::Escape(at) => at,
            };
        }
    }
    loop {
        at = match *bytes.get(at)? {
            byte if is_special(byte) => match after(bytes, at)? {
                After::Text(end) => return Some(end),
                After::Escape(at) => at,
            },
            _ => at + 1,
        };
    }
}

/// A text of more words than this is looked through block by block.
const FEW: usize = 8;

/// A place in a text.
enum After {
    /// Behind its quote.
    Text(usize),
    /// Behind an escape: the text goes on.
    Escape(usize),
}

/// What follows a byte that does not stand for itself; `None` if it may not stand here.
#[inline]
fn after(bytes: &[u8], at: usize) -> Option<After> {
    match bytes[at] {
        b'"' => Some(After::Text(at + 1)),
        b'\\' => escape(bytes, at).map(After::Escape),
        _ => None,
    }
}

/// Looks through a long text, as far as there are whole blocks.
///
/// Where the special bytes of a block are is found before any of them is looked at, so the processor
/// need not wait for the end of one escape to look for the next.
#[inline(never)]
fn blocks(bytes: &[u8], mut at: usize) -> Option<After> {
    'blocks: while let Some(block) = bytes.get(at..).and_then(<[u8]>::first_chunk::<BLOCK>) {
        let mut specials = specials(block);
        while specials > 0 {
            let place = specials.trailing_zeros() as usize;
            let next = match block[place] {
                b'"' => return Some(After::Text(at + place + 1)),
                b'\\' if bytes.get(at + place + 1).is_some_and(stands_alone) => place + 2,
                b'\\' => escape(bytes, at + place)? - at,
                _ => return None,
            };
            if next >= BLOCK {
                at += next;
                continue 'blocks;
            }
            // What is behind the backslash does not count, either.
            specials &= specials - 1;
            specials &= !(1 << (next - 1));
        }
        at += BLOCK;
    }
    Some(After::Escape(at))
}

const BLOCK: usize = u64::BITS as usize;

/// A bit for each special byte. The compiler makes vector instructions of the first half.
#[inline]
fn specials(block: &[u8; BLOCK]) -> u64 {
    /// Moves the lowest bit of each byte to the highest byte.
    const GATHER: u64 = 0x0102_0408_1020_4080;
    let flags = block.map(|byte| u8::from(is_special(byte)));
    let words = flags.chunks_exact(8).enumerate();
    words.fold(0, |specials, (place, flags)| {
        let flags = u64::from_le_bytes(flags.try_into().expect("chunks of 8"));
        specials | (flags.wrapping_mul(GATHER) >> 56) << (8 * place)
    })
}

/// The end of the escape whose backslash is here.
fn escape(bytes: &[u8], at: usize) -> Option<usize> {
    match bytes.get(at + 1)? {
        b'u' => {
            let digits = bytes.get(at + 2..at + 6)?;
            digits.iter().all(u8::is_ascii_hexdigit).then_some(at + 6)
        }
        byte => stands_alone(byte).then_some(at + 2),
    }
}

/// True if this and a backslash are an escape. From a table: in text with many escapes, a branch for
/// each kind is often predicted wrongly.
#[inline]
fn stands_alone(byte: &u8) -> bool {
    const ALONE: [bool; 256] = {
        let mut alone = [false; 256];
        let mut rest: &[u8] = b"\"\\/bfnrt";
        while let [byte, more @ ..] = rest {
            alone[*byte as usize] = true;
            rest = more;
        }
        alone
    };
    ALONE[usize::from(*byte)]
}

fn word(bytes: &[u8], at: usize, word: &[u8]) -> Option<usize> {
    bytes[at..].starts_with(word).then_some(at + word.len())
}

#[inline]
fn number(bytes: &[u8], mut at: usize) -> Option<usize> {
    at += usize::from(bytes[at] == b'-');
    at = match bytes.get(at)? {
        b'0' => at + 1,
        _ => digits(bytes, at)?,
    };
    if bytes.get(at) == Some(&b'.') {
        at = digits(bytes, at + 1)?;
    }
    if let Some(b'e' | b'E') = bytes.get(at) {
        at += 1;
        if let Some(b'+' | b'-') = bytes.get(at) {
            at += 1;
        }
        at = digits(bytes, at)?;
    }
    Some(at)
}

/// One at least.
#[inline]
fn digits(bytes: &[u8], start: usize) -> Option<usize> {
    let mut at = start;
    while let Some(b'0'..=b'9') = bytes.get(at) {
        at += 1;
    }
    (at > start).then_some(at)
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
            let start = token(text.as_bytes(), 0);
            let end = value(text.as_bytes(), start);
            let ours = end.filter(|end| ends(text.as_bytes(), *end));
            let theirs = serde_json::from_str::<IgnoredAny>(&text);
            prop_assert_eq!(ours.is_some(), theirs.is_ok(), "{:?}", theirs);
            if let Some(end) = ours {
                prop_assert_eq!(&text[start..end], text.trim_ascii());
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
            let expected = expected.unwrap_or(bytes.len());
            if let Some(block) = bytes.first_chunk::<BLOCK>() {
                let bits = block.iter().rev().fold(0, |bits, &byte| bits << 1 | u64::from(is_special(byte)));
                prop_assert_eq!(specials(block), bits);
            }
            if let Some(chunk) = bytes.first_chunk::<8>() {
                let found = special(u64::from_le_bytes(*chunk)).trailing_zeros() as usize / 8;
                prop_assert_eq!(found, expected.min(8));
            }
        }
    }

    /// Text of many escapes, few of which are wrong.
    fn text() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            20 => "[ -!#-\\[\\]-~é]{1,12}",
            10 => "\\\\[\"/bfnrt]",
            1 => "\\\\(\\\\|u00e9|x|u12)",
            1 => "[\"\\\\\n]",
        ];
        prop::collection::vec(piece, 8..40).prop_map(|pieces| pieces.concat().into_bytes())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4_000))]

        #[test]
        fn long_texts_are_taken_as_serde_json_takes_them(text in text(), before in "[a-z]{0,80}") {
            let json = [&b"\""[..], before.as_bytes(), &text, b"\""].concat();
            let theirs = serde_json::from_slice::<IgnoredAny>(&json).is_ok();
            prop_assert_eq!(string(&json, 0) == Some(json.len()), theirs);
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
        assert!(value(text.as_bytes(), 0).is_some());
        for at in [1, 64, 65, 128, 999] {
            let place = text.len() - at;
            let other = if text.as_bytes()[place] == b']' {
                "}"
            } else {
                "]"
            };
            let right = text[place..=place].to_owned();
            text.replace_range(place..=place, other);
            assert!(value(text.as_bytes(), 0).is_none(), "{at}");
            text.replace_range(place..=place, &right);
        }
    }
}
