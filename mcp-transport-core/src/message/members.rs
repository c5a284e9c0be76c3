//! What stands in a JSON object, without a look at what it means.

use super::json;
use std::borrow::Cow;

/// The members of a JSON object: their names, and their values as JSON text.
///
/// For whoever wants a member or two of a message's [`params`](crate::Message::params) or
/// [`body`](crate::Message::body): nothing is copied, but for a name that is written with escapes.
/// Names may come twice; one that is no text, such as `"\ud800"`, is given as it is written, which another
/// may stand for. What is no object has no members; of what is no JSON come those before the place where it ceases to be.
///
/// ```
/// use mcp_transport_core::{Members, Message};
///
/// let call = Message::from(r#"{"jsonrpc":"2.0","id":1,"method":"x","params":{"a":[1],"b":{}}}"#);
/// let members: Vec<_> = Members::of(call.params().unwrap()).collect();
/// assert_eq!(members, [("a".into(), "[1]"), ("b".into(), "{}")]);
/// ```
#[derive(Clone, Debug)]
pub struct Members<'a> {
    json: &'a str,
    /// Where the next one begins; `None` behind the last.
    at: Option<usize>,
}

impl<'a> Members<'a> {
    /// Of a value that is JSON.
    pub fn of(json: &'a str) -> Self {
        let bytes = json.as_bytes();
        let start = json::token(bytes, 0);
        let at = json::token(bytes, start + 1);
        let has_some = bytes.get(start) == Some(&b'{') && bytes.get(at) != Some(&b'}');
        Self {
            json,
            at: has_some.then_some(at),
        }
    }
}

impl<'a> Iterator for Members<'a> {
    type Item = (Cow<'a, str>, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        let (bytes, at) = (self.json.as_bytes(), self.at.take()?);
        let (value, name_end) = json::member(bytes, at)?;
        let end = json::value(bytes, value)?;
        let next = json::token(bytes, end);
        if bytes.get(next) == Some(&b',') {
            self.at = Some(json::token(bytes, next + 1));
        }
        let name = &self.json[at + 1..name_end - 1];
        // Most are short, so no search is begun for one that is hardly ever there.
        let is_escaped = name.bytes().fold(false, |any, byte| any | (byte == b'\\'));
        let name = match is_escaped {
            false => Cow::Borrowed(name),
            // Half a surrogate pair is JSON, and no text.
            true => serde_json::from_str(&self.json[at..name_end])
                .map_or(Cow::Borrowed(name), Cow::Owned),
        };
        Some((name, &self.json[value..end]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::value::RawValue;
    use serde_json::{Map, Value};

    #[test]
    fn they_are_those_that_serde_json_finds() {
        for json in [
            "{}",
            " { } ",
            r#"{"a":1}"#,
            "\t{ \"a\" : [1, {\"b\":2}] ,\n\"\" : \"}\\\"\" , \"ü\":null} ",
            r#"{"\u0061\n":{"a":{}},"long enough for more than a word":-1.5e3}"#,
            "[]",
            r#"["a"]"#,
            "1",
            r#""{}""#,
        ] {
            let found = Members::of(json).map(|(name, value)| {
                let value: Value = serde_json::from_str(value).unwrap();
                (name.into_owned(), value)
            });
            let expected: Option<Map<String, Value>> = serde_json::from_str(json).ok();
            assert_eq!(
                found.collect::<Map<_, _>>(),
                expected.unwrap_or_default(),
                "{json}"
            );
        }
    }

    #[test]
    fn values_are_given_as_they_are_written() {
        let json = r#"{"a": 1.0 ,"b":"\u0061","a":[ ]}"#;
        let members: Vec<_> = Members::of(json).collect();
        let expected = [("a", "1.0"), ("b", r#""\u0061""#), ("a", "[ ]")];
        assert_eq!(members, expected.map(|(name, value)| (name.into(), value)));
        for (_, value) in members {
            assert!(serde_json::from_str::<&RawValue>(value).is_ok());
        }
    }

    #[test]
    fn a_name_that_is_no_text_hides_no_other() {
        let members: Vec<_> = Members::of(r#"{"a":1,"\ud800":2,"a":3}"#).collect();
        let expected = [("a", "1"), (r"\ud800", "2"), ("a", "3")];
        assert_eq!(members, expected.map(|(name, value)| (name.into(), value)));
    }

    #[test]
    fn what_is_no_json_ends_where_it_ceases_to_be() {
        for json in [
            "",
            "{",
            "{\"",
            "{\"a",
            "{\"a\"",
            "{\"a\":",
            "{\"a\":1",
            "{,}",
            "{\"\\x\":1}",
        ] {
            assert!(Members::of(json).count() <= 1, "{json}");
        }
        let members: Vec<_> = Members::of("{\"a\":1,b}").collect();
        assert_eq!(members, [("a".into(), "1")]);
    }
}
