//! Edits by position: what `apply_text_edits` of the plugin takes, and the same applied here.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::position::{self, Position};

/// A range of the file as it is, and what is to stand there.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Range {
    pub(super) start: Position,
    pub(super) end: Position,
    /// `None` = nothing: the range is deleted.
    pub(super) text: Option<String>,
}

impl Range {
    /// From one place to the other, whichever comes first.
    pub(super) fn between(a: Position, b: Position, text: Option<String>) -> Self {
        let (start, end) = (a.min(b), a.max(b));
        Self { start, end, text }
    }

    /// The bytes from `start` to `end`.
    pub(super) fn of_bytes(source: &str, start: usize, end: usize, text: String) -> Self {
        Self {
            start: position::of_byte(source, start),
            end: position::of_byte(source, end),
            text: Some(text),
        }
    }

    /// As the plugin takes it.
    pub(super) fn wire(&self) -> Value {
        let mut edit = Map::new();
        for (name, number) in [
            ("startLine", self.start.line),
            ("startCol", self.start.column),
            ("endLine", self.end.line),
            ("endCol", self.end.column),
        ] {
            edit.insert(name.to_owned(), number.into());
        }
        if let Some(text) = &self.text {
            edit.insert("newText".to_owned(), text.as_str().into());
        }
        edit.into()
    }
}

/// All of them, so that each insertion stands where it stood in the list.
///
/// The plugin applies what begins at one place in the order in which it comes, each in front of the
/// one before. So the range that is replaced goes first, and the insertions go backwards.
pub(super) fn wire(ranges: &[Range]) -> Value {
    let mut groups: BTreeMap<Position, Vec<&Range>> = BTreeMap::new();
    for range in ranges {
        groups.entry(range.start).or_default().push(range);
    }
    for group in groups.values_mut() {
        // To be taken from the back: insertions as they are, in front of them what is replaced.
        group.sort_by_key(|range| range.start != range.end);
    }
    let next = |range: &Range| groups.get_mut(&range.start).and_then(Vec::pop);
    ranges.iter().filter_map(next).map(Range::wire).collect()
}

/// The answer if two of them overlap; insertions overlap with nothing.
pub(super) fn overlap(ranges: &[Range]) -> Option<Value> {
    let mut sorted: Vec<_> = ranges.iter().filter(|one| one.start != one.end).collect();
    sorted.sort_by_key(|one| one.start);
    let (a, b) = sorted
        .iter()
        .zip(sorted.iter().skip(1))
        .find(|(a, b)| a.end > b.start)?;
    let place = |at: Position| json!({"line": at.line, "col": at.column});
    let message = "Two edits overlap, and nothing was written. Every range counts from the file as \
        it is now; join the two edits, or make them one after the other.";
    Some(
        json!({"success": false, "code": "overlap", "message": message, "data": {
            "status": "overlap",
            "conflicts": [{
                "startA": place(a.start), "endA": place(a.end),
                "startB": place(b.start), "endB": place(b.end),
            }],
        }}),
    )
}

/// The text with all of them applied; `None` if one of them is not in it, or two overlap.
pub(super) fn apply(source: &str, ranges: &[Range]) -> Option<String> {
    let mut places = Vec::with_capacity(ranges.len());
    for range in ranges {
        let start = position::to_byte(source, range.start)?;
        let end = position::to_byte(source, range.end)?;
        places.push((start, end, range.text.as_deref().unwrap_or_default()));
    }
    places.sort_by_key(|(start, end, _)| (*start, *end));
    let (mut text, mut from) = (String::with_capacity(source.len()), 0);
    for (start, end, new) in places {
        text.push_str(source.get(from..start)?);
        text.push_str(new);
        from = end;
    }
    text.push_str(source.get(from..)?);
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What the installed plugin (10.1) makes of the edits: places in UTF-16, from the last to the
    /// first, those of one place in the order in which they come.
    fn plugin(source: &str, edits: &Value) -> String {
        let text: Vec<u16> = source.encode_utf16().collect();
        let number = |edit: &Value, name: &str| edit[name].as_u64().expect("a number");
        let mut spans: Vec<_> = edits
            .as_array()
            .expect("a list")
            .iter()
            .map(|edit| {
                let start = index(&text, number(edit, "startLine"), number(edit, "startCol"));
                let end = index(&text, number(edit, "endLine"), number(edit, "endCol"));
                (start, end, edit["newText"].as_str().unwrap_or_default())
            })
            .collect();
        spans.sort_by_key(|(start, ..)| std::cmp::Reverse(*start));
        let mut working = text;
        for (start, end, new) in spans {
            working.splice(start..end, new.encode_utf16());
        }
        String::from_utf16(&working).expect("no half characters")
    }

    fn index(text: &[u16], line: u64, column: u64) -> usize {
        let (mut at_line, mut at_column, mut index) = (1, 1, 0);
        while (at_line, at_column) != (line, column) {
            let unit = text[index];
            let is_end = unit == u16::from(b'\r') || unit == u16::from(b'\n');
            if unit == u16::from(b'\r') && text.get(index + 1) == Some(&u16::from(b'\n')) {
                index += 1;
            }
            index += 1;
            (at_line, at_column) = if is_end {
                (at_line + 1, 1)
            } else {
                (at_line, at_column + 1)
            };
        }
        index
    }

    fn source() -> impl Strategy<Value = String> {
        let pieces = ["a", "}", "é", "\u{1F600}", "\n", "\r\n", "\r"];
        let pieces = prop::sample::select(pieces.to_vec());
        prop::collection::vec(pieces, 0..24).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn what_the_plugin_makes_of_the_ranges_is_what_a_preview_shows(
            source in source(),
            places in prop::collection::vec((any::<prop::sample::Index>(), "[xy\n]{0,3}"), 0..12),
        ) {
            let ends: Vec<_> = source.char_indices().map(|(at, _)| at).chain([source.len()]).collect();
            let mut places: Vec<_> = places.iter().map(|(at, text)| (*at.get(&ends), text)).collect();
            places.sort();
            let ranges: Vec<_> = places
                .chunks(2)
                .map(|pair| {
                    let (start, text) = pair[0];
                    Range::of_bytes(&source, start, pair.last().map_or(start, |(end, _)| *end), text.clone())
                })
                .collect();
            prop_assert!(overlap(&ranges).is_none());
            let shown = apply(&source, &ranges);
            prop_assert_eq!(shown, Some(plugin(&source, &wire(&ranges))));
        }
    }
}
