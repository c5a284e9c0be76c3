//! Places in a text: by byte as Rust has them, by line and column as the plugin counts them, by
//! character as clients do.
//!
//! The installed plugin (10.1) counts lines and columns from 1; a line ends at `\n`, `\r` or `\r\n`,
//! and a column is a UTF-16 code unit. A place within `\r\n` has no column of its own.

/// Line and column, each from 1.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Position {
    pub(super) line: usize,
    pub(super) column: usize,
}

/// Where the byte at `offset` stands; the end of the text, if `offset` lies beyond it.
pub(super) fn of_byte(text: &str, offset: usize) -> Position {
    let (mut line, mut start) = (1, 0);
    // Between `\r` and `\n` is still the end of the line.
    for (_, next) in line_ends(text).take_while(|(_, next)| *next <= offset) {
        (line, start) = (line + 1, next);
    }
    let end = line_ends(&text[start..])
        .next()
        .map_or(text.len(), |(end, _)| start + end);
    let before = &text[start..offset.clamp(start, end)];
    let column = before.encode_utf16().count() + 1;
    Position { line, column }
}

/// The byte at a position; `None` if there is no such place.
pub(super) fn to_byte(text: &str, at: Position) -> Option<usize> {
    let start = match at.line {
        0 => return None,
        1 => 0,
        line => line_ends(text).nth(line - 2)?.1,
    };
    let line = &text[start..];
    let line = &line[..line_ends(line).next().map_or(line.len(), |(end, _)| end)];
    let mut column = 1;
    for (offset, c) in line.char_indices() {
        if column == at.column {
            return Some(start + offset);
        }
        column += c.len_utf16();
    }
    (column == at.column).then_some(start + line.len())
}

/// The byte of the character with this number, from 0; the end, if there are fewer.
pub(super) fn of_char(text: &str, number: usize) -> usize {
    text.char_indices()
        .nth(number)
        .map_or(text.len(), |(offset, _)| offset)
}

/// Each line's end, and the start of the next.
fn line_ends(text: &str) -> impl Iterator<Item = (usize, usize)> {
    let bytes = text.as_bytes();
    let ends = memchr::memchr2_iter(b'\n', b'\r', bytes);
    ends.filter_map(move |at| match bytes[at] {
        b'\n' if at > 0 && bytes[at - 1] == b'\r' => None,
        b'\r' if bytes.get(at + 1) == Some(&b'\n') => Some((at, at + 2)),
        _ => Some((at, at + 1)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_counted_as_the_plugin_counts() {
        let text = "ab\r\nc\u{1F600}d\rx\n";
        let at = |line, column| Position { line, column };
        for (offset, position) in [
            (0, at(1, 1)),
            (2, at(1, 3)),
            (3, at(1, 3)), // within \r\n
            (4, at(2, 1)),
            (5, at(2, 2)),
            (9, at(2, 4)), // the emoji is two code units
            (10, at(2, 5)),
            (11, at(3, 1)),
            (13, at(4, 1)),
            (99, at(4, 1)),
        ] {
            assert_eq!(of_byte(text, offset), position, "{offset}");
            if offset != 3 && offset != 99 {
                assert_eq!(to_byte(text, position), Some(offset), "{offset}");
            }
        }
        for nowhere in [at(0, 1), at(1, 0), at(1, 4), at(2, 3), at(5, 1)] {
            assert_eq!(to_byte(text, nowhere), None, "{nowhere:?}");
        }
    }
}
