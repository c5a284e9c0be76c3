//! `apply_text_edits`: ranges in any notation, as the plugin takes them.
//!
//! The script is read before, though the client says its hash: what the edit makes of that text is the proof that it was made, if
//! its answer is lost.

use mcp_transport_core::Ending;
use serde_json::{Map, Value, json};

use super::position::{self, Position};
use super::ranges::{self, Range};
use super::source::{self, Script, sha};
use super::{Logic, Step, never_sent, with};
use crate::catalogue::{BadArguments, Call, Problem, Reply};

pub(super) fn begin(call: &Call) -> Result<Box<dyn Logic>, BadArguments> {
    let refused = |problem| BadArguments::new(call.tool, vec![problem], 0);
    let strict = call.params["strict"] == true;
    let edits = call.params["edits"]
        .as_array()
        .map_or(&[][..], Vec::as_slice);
    let edits: Vec<_> = edits
        .iter()
        .enumerate()
        .map(|(at, edit)| Edit::read(at, edit, strict))
        .collect::<Result<_, _>>()
        .map_err(refused)?;
    if edits.is_empty() {
        return Err(refused(Problem::missing("edits", "at least one edit")));
    }
    Ok(Box::new(TextEdits {
        call: call.clone(),
        script: Script::of_uri(call)?,
        edits,
        state: State::Begin,
    }))
}

struct TextEdits {
    call: Call,
    script: Script,
    edits: Vec<Edit>,
    state: State,
}

enum State {
    Begin,
    Read,
    /// The edits as they were sent.
    Sent(Value),
}

/// One edit as the client wrote it.
struct Edit {
    place: Place,
    text: Option<String>,
    /// A line or column below 1 was taken for 1.
    raised: bool,
}

enum Place {
    Lines(Position, Position),
    /// Characters from the file's start, which only the file can tell the lines of.
    Chars(usize, usize),
}

impl Logic for TextEdits {
    fn step(&mut self, answered: Option<&Reply>) -> Step {
        match (&self.state, answered) {
            (State::Begin, _) if self.needs_text() => {
                self.state = State::Read;
                let read = self.call.part("manage_script", self.script.read());
                Step::Ask(Box::new(read))
            }
            (State::Begin, _) => self.send(None),
            (State::Read, Some(reply)) => match source::text(reply) {
                Ok(text) => self.send(Some(&text)),
                Err(failure) => Step::Done(failure),
            },
            (State::Sent(edits), Some(reply)) => {
                let mut value = with(reply.value.clone(), "normalizedEdits", edits.clone());
                if self.edits.iter().any(|edit| edit.raised) {
                    let warnings = json!(["zero_based_explicit_fields_normalized"]);
                    value = with(value, "warnings", warnings);
                }
                Step::Done(value)
            }
            (State::Read | State::Sent(_), None) => unreachable!("it never waits"),
        }
    }

    fn unanswered(&self, ending: Ending) -> Ending {
        match self.state {
            State::Read => never_sent(ending),
            State::Begin | State::Sent(_) => ending,
        }
    }
}

impl TextEdits {
    /// Without a hash the plugin refuses the edit, so that nothing has to be proven of it.
    fn needs_text(&self) -> bool {
        let is_sent = || !self.is_preview() && ranges::overlap(&self.ranges("")).is_none();
        self.edits.iter().any(Edit::counts_characters) || (self.given().is_some() && is_sent())
    }

    /// Where they are in this text, which only characters depend on.
    fn ranges(&self, source: &str) -> Vec<Range> {
        self.edits.iter().map(|edit| edit.range(source)).collect()
    }

    /// The hash that the client knows.
    fn given(&self) -> Option<&str> {
        self.call.params["precondition_sha256"].as_str()
    }

    fn is_preview(&self) -> bool {
        self.call.params["options"]["debug_preview"] == true
    }

    fn send(&mut self, source: Option<&str>) -> Step {
        let ranges = self.ranges(source.unwrap_or_default());
        if let Some(answer) = ranges::overlap(&ranges) {
            return Step::Done(answer);
        }
        let edits = ranges::wire(&ranges);
        let mut options = self.call.params["options"]
            .as_object()
            .cloned()
            .unwrap_or_default();
        if self.is_preview() {
            return Step::Done(json!({
                "success": true, "message": "Preview only: nothing was written.",
                "data": {"normalizedEdits": edits, "preview": true},
            }));
        }
        if ranges.len() > 1 {
            options
                .entry("applyMode")
                .or_insert_with(|| "atomic".into());
        }
        let mut params = json!({
            "action": "apply_text_edits", "name": self.script.name, "path": self.script.path,
            "edits": edits, "options": options,
        });
        // Characters count in the text that was read, so that is what must still be there.
        let read = source.map(sha);
        let wanted = self.given().map(str::to_owned).or_else(|| read.clone());
        if let Some(wanted) = &wanted {
            params["precondition_sha256"] = wanted.as_str().into();
        }
        // Another hash than the client's is refused by the plugin: so there is nothing that a read could prove.
        let before = read.filter(|read| wanted.is_some_and(|it| it.eq_ignore_ascii_case(read)));
        let after = source.and_then(|text| ranges::apply(text, &ranges));
        let after = after.as_deref().map(sha);
        self.state = State::Sent(edits);
        let change = self.call.part("manage_script", params);
        let change = change.changing(before, after);
        Step::Ask(Box::new(change))
    }
}

impl Edit {
    fn read(at: usize, edit: &Value, strict: bool) -> Result<Self, Problem> {
        let place = |name: &str| format!("edits[{at}].{name}");
        let text = ["newText", "text"]
            .iter()
            .find_map(|name| edit.get(*name).filter(|it| !it.is_null()));
        let text = match text {
            None => None,
            Some(Value::String(text)) => Some(text.clone()),
            Some(other) => return Err(Problem::new(&place("newText"), "text", other)),
        };
        let names = ["startLine", "startCol", "endLine", "endCol"];
        if names.iter().all(|name| edit.get(*name).is_some()) {
            let mut numbers = [0; 4];
            for (number, name) in numbers.iter_mut().zip(names) {
                *number = whole(&edit[name])
                    .ok_or_else(|| Problem::new(&place(name), "a whole number", &edit[name]))?;
                if *number < 1 && strict {
                    let expected = "1 or more: lines and columns are counted from 1";
                    return Err(Problem::new(&place(name), expected, &edit[name]));
                }
            }
            let raised = numbers.iter().any(|number| *number < 1);
            let place = lines(numbers.map(|number| number.max(1)));
            return Ok(Self {
                place,
                text,
                raised,
            });
        }
        let found = match &edit["range"] {
            Value::Object(range) => of_an_editor(range),
            Value::Array(range) => of_characters(range),
            _ => None,
        };
        let Some(found) = found else {
            let expected = "startLine, startCol, endLine and endCol, {\"start\": {\"line\", \"character\"}, \"end\": …}, or [from, to]";
            let got = edit.get("range").unwrap_or(edit);
            return Err(Problem::new(&place("range"), expected, got));
        };
        Ok(Self {
            place: found,
            text,
            raised: false,
        })
    }

    fn counts_characters(&self) -> bool {
        matches!(self.place, Place::Chars(..))
    }

    fn range(&self, source: &str) -> Range {
        let (start, end) = match self.place {
            Place::Lines(start, end) => (start, end),
            Place::Chars(start, end) => {
                let at = |number| position::of_byte(source, position::of_char(source, number));
                (at(start), at(end))
            }
        };
        Range::between(start, end, self.text.clone())
    }
}

/// As editors say it: counted from 0, a part that is missing being 0.
fn of_an_editor(range: &Map<String, Value>) -> Option<Place> {
    let number = |end: &str, name: &str| match range.get(end).and_then(|place| place.get(name)) {
        None | Some(Value::Null) => Some(1),
        Some(given) => whole(given).filter(|number| *number >= 0)?.checked_add(1),
    };
    let start = (number("start", "line")?, number("start", "character")?);
    let end = (number("end", "line")?, number("end", "character")?);
    Some(lines([start.0, start.1, end.0, end.1]))
}

fn of_characters(range: &[Value]) -> Option<Place> {
    let [a, b] = range else { return None };
    let (a, b) = (whole(a)?, whole(b)?);
    let number = |number: i64| usize::try_from(number.max(0)).ok();
    Some(Place::Chars(number(a.min(b))?, number(a.max(b))?))
}

fn lines(numbers: [i64; 4]) -> Place {
    let [start_line, start, end_line, end] =
        numbers.map(|number| usize::try_from(number).unwrap_or(usize::MAX));
    let at = |line, column| Position { line, column };
    Place::Lines(at(start_line, start), at(end_line, end))
}

pub(super) fn whole(given: &Value) -> Option<i64> {
    match given {
        Value::String(text) => text.trim().parse().ok(),
        given => given.as_i64(),
    }
}
