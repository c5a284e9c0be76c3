//! The envelope of one message, found without parsing its body.

use super::{Defect, Id};
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::fmt;
use std::ops::Range;

/// What one message is, with its parts as ranges of its bytes.
#[derive(Clone, Debug)]
pub(super) enum Envelope {
    Request {
        id: Id,
        method: Name,
        params: Option<Range<usize>>,
    },
    Notification {
        method: Name,
        params: Option<Range<usize>>,
    },
    Response {
        id: Option<Id>,
        body: Range<usize>,
        is_error: bool,
    },
    Opaque(Defect),
}

/// A method's name: nearly always a piece of the message, owned only where it was written with
/// escapes.
#[derive(Clone, Debug)]
pub(super) enum Name {
    Plain(Range<usize>),
    Unescaped(Box<str>),
}

impl Envelope {
    /// Never fails: what is no JSON-RPC message says why.
    pub(super) fn of(bytes: &[u8]) -> Self {
        read(bytes).unwrap_or_else(Self::Opaque)
    }
}

fn read(bytes: &[u8]) -> Result<Envelope, Defect> {
    let text = std::str::from_utf8(bytes).map_err(|_| Defect::NotJson)?;
    match text.trim_ascii_start().as_bytes().first() {
        Some(b'{') => {}
        Some(b'[') if serde_json::from_str::<IgnoredAny>(text).is_ok() => {
            return Err(Defect::Batch);
        }
        Some(_) if serde_json::from_str::<IgnoredAny>(text).is_ok() => return Err(Defect::NotRpc),
        _ => return Err(Defect::NotJson),
    }
    let mut parser = serde_json::Deserializer::from_str(text);
    let parts = (&mut parser)
        .deserialize_map(PartsVisitor)
        .map_err(|_| Defect::NotJson)?;
    parser.end().map_err(|_| Defect::NotJson)?;
    parts.classify(text)
}

#[derive(Default)]
struct Parts<'a> {
    jsonrpc: Option<&'a RawValue>,
    id: Option<&'a RawValue>,
    method: Option<&'a RawValue>,
    params: Option<&'a RawValue>,
    result: Option<&'a RawValue>,
    error: Option<&'a RawValue>,
    duplicate: bool,
}

impl<'a> Parts<'a> {
    fn slot(&mut self, key: &str) -> Option<&mut Option<&'a RawValue>> {
        Some(match key {
            "jsonrpc" => &mut self.jsonrpc,
            "id" => &mut self.id,
            "method" => &mut self.method,
            "params" => &mut self.params,
            "result" => &mut self.result,
            "error" => &mut self.error,
            _ => return None,
        })
    }

    fn classify(self, text: &str) -> Result<Envelope, Defect> {
        if self.duplicate {
            return Err(Defect::Duplicate);
        }
        if self.jsonrpc.map(RawValue::get) != Some("\"2.0\"") {
            return Err(Defect::NotRpc);
        }
        let range = |raw: &RawValue| range_in(text, raw.get());
        let params = self.params.map(range);
        match (self.method, self.result, self.error) {
            (Some(method), None, None) => {
                let method = name(text, method.get()).ok_or(Defect::NotRpc)?;
                let Some(id) = self.id else {
                    return Ok(Envelope::Notification { method, params });
                };
                let id = Id::from_json(id.get()).ok_or(Defect::BadId)?;
                Ok(Envelope::Request { id, method, params })
            }
            (None, Some(result), None) => {
                let id = self
                    .id
                    .and_then(|id| Id::from_json(id.get()))
                    .ok_or(Defect::BadId)?;
                Ok(Envelope::Response {
                    id: Some(id),
                    body: range(result),
                    is_error: false,
                })
            }
            // An error may lack its id: the peer could not read the request that it answers.
            (None, None, Some(error)) => {
                let id = match self.id.map(RawValue::get) {
                    None | Some("null") => None,
                    Some(id) => Some(Id::from_json(id).ok_or(Defect::BadId)?),
                };
                Ok(Envelope::Response {
                    id,
                    body: range(error),
                    is_error: true,
                })
            }
            _ => Err(Defect::NotRpc),
        }
    }
}

/// Where a borrowed piece lies in its text.
fn range_in(text: &str, piece: &str) -> Range<usize> {
    let start = piece.as_ptr() as usize - text.as_ptr() as usize;
    start..start + piece.len()
}

fn name(text: &str, raw: &str) -> Option<Name> {
    let inner = raw.strip_prefix('"')?.strip_suffix('"')?;
    if inner.contains('\\') {
        return serde_json::from_str(raw).ok().map(Name::Unescaped);
    }
    Some(Name::Plain(range_in(text, inner)))
}

struct PartsVisitor;

impl<'de> Visitor<'de> for PartsVisitor {
    type Value = Parts<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Parts<'de>, A::Error> {
        let mut parts = Parts::default();
        while let Some(key) = map.next_key::<Key<'de>>()? {
            match parts.slot(&key.0) {
                None => drop(map.next_value::<IgnoredAny>()?),
                Some(slot) => {
                    let again = slot.replace(map.next_value()?).is_some();
                    parts.duplicate |= again;
                }
            }
        }
        Ok(parts)
    }
}

/// A key, borrowed unless it was written with escapes.
#[derive(serde::Deserialize)]
struct Key<'a>(#[serde(borrow)] std::borrow::Cow<'a, str>);
