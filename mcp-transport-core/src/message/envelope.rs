//! The envelope of one message, found without parsing its body.

use super::json::{Cursor, NotJson};
use super::{Defect, Id};
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
    let mut cursor = Cursor::new(bytes);
    match cursor.token() {
        Some(b'{') => {}
        other => {
            cursor.value()?;
            cursor.end()?;
            return Err(match other {
                Some(b'[') => Defect::Batch,
                _ => Defect::NotRpc,
            });
        }
    }
    Parts::read(text, cursor)?.classify(text)
}

impl From<NotJson> for Defect {
    fn from(_: NotJson) -> Self {
        Self::NotJson
    }
}

/// The members of the envelope, each with its quotes or brackets.
#[derive(Default)]
struct Parts {
    jsonrpc: Option<Range<usize>>,
    id: Option<Range<usize>>,
    method: Option<Range<usize>>,
    params: Option<Range<usize>>,
    result: Option<Range<usize>>,
    error: Option<Range<usize>>,
    duplicate: bool,
}

impl Parts {
    fn read(text: &str, mut cursor: Cursor<'_>) -> Result<Self, NotJson> {
        let mut parts = Self::default();
        cursor.takes(b'{');
        if cursor.takes(b'}') {
            cursor.end()?;
            return Ok(parts);
        }
        loop {
            let key = cursor.key()?;
            let value = cursor.value()?;
            let key = &text.as_bytes()[key];
            if !parts.put(key, value.clone()) && key.contains(&b'\\') {
                // Whatever it stands for: no other reader may take it for what we did not.
                let key = unescaped(key).ok_or(NotJson)?;
                parts.put(key.as_bytes(), value);
            }
            if !cursor.takes(b',') {
                break;
            }
        }
        if !cursor.takes(b'}') {
            return Err(NotJson);
        }
        cursor.end()?;
        Ok(parts)
    }

    /// False if it is no member of the envelope.
    fn put(&mut self, key: &[u8], value: Range<usize>) -> bool {
        let slot = match key {
            b"jsonrpc" => &mut self.jsonrpc,
            b"id" => &mut self.id,
            b"method" => &mut self.method,
            b"params" => &mut self.params,
            b"result" => &mut self.result,
            b"error" => &mut self.error,
            _ => return false,
        };
        self.duplicate |= slot.is_some();
        *slot = Some(value);
        true
    }

    fn classify(self, text: &str) -> Result<Envelope, Defect> {
        if self.duplicate {
            return Err(Defect::Duplicate);
        }
        if self.jsonrpc.map(|range| &text.as_bytes()[range]) != Some(b"\"2.0\"") {
            return Err(Defect::NotRpc);
        }
        let id = |range: Range<usize>| Id::from_value(&text[range]).ok_or(Defect::BadId);
        match (self.method, self.result, self.error) {
            (Some(method), None, None) => {
                let method = name(text, method).ok_or(Defect::NotRpc)?;
                let params = self.params;
                let Some(range) = self.id else {
                    return Ok(Envelope::Notification { method, params });
                };
                let id = id(range)?;
                Ok(Envelope::Request { id, method, params })
            }
            (None, Some(body), None) => Ok(Envelope::Response {
                id: Some(id(self.id.ok_or(Defect::BadId)?)?),
                body,
                is_error: false,
            }),
            // An error may lack its id: the peer could not read the request that it answers.
            (None, None, Some(body)) => {
                let range = self.id.filter(|range| &text[range.clone()] != "null");
                Ok(Envelope::Response {
                    id: range.map(id).transpose()?,
                    body,
                    is_error: true,
                })
            }
            _ => Err(Defect::NotRpc),
        }
    }
}

fn name(text: &str, range: Range<usize>) -> Option<Name> {
    let inner = text.as_bytes()[range.clone()].strip_prefix(b"\"")?;
    let inner = inner.strip_suffix(b"\"")?;
    if inner.contains(&b'\\') {
        return unescaped(inner).map(|name| Name::Unescaped(name.into()));
    }
    Some(Name::Plain(range.start + 1..range.end - 1))
}

/// What a text that is written with escapes stands for.
fn unescaped(inner: &[u8]) -> Option<String> {
    serde_json::from_slice(&[b"\"", inner, b"\""].concat()).ok()
}
