//! The envelope of one message, found without parsing its body.

use super::{Defect, Id, json};
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

/// A method's name: a piece of the message, owned only where it was written with escapes.
#[derive(Clone, Debug)]
pub(super) enum Name {
    /// One that comes all the time: it need not be found to be text at each question.
    Known(&'static str),
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
    // Most messages are ASCII, which is found out in a tenth of the time.
    if !bytes.is_ascii() {
        std::str::from_utf8(bytes).map_err(|_| Defect::NotJson)?;
    }
    let start = json::token(bytes, 0);
    if let Some(b'{') = bytes.get(start) {
        return Parts::read(bytes, start + 1)
            .ok_or(Defect::NotJson)?
            .classify(bytes);
    }
    let end = json::value(bytes, start).filter(|end| json::ends(bytes, *end));
    Err(match end {
        None => Defect::NotJson,
        Some(_) if bytes[start] == b'[' => Defect::Batch,
        Some(_) => Defect::NotRpc,
    })
}

/// A member of the envelope.
#[derive(Clone, Copy)]
enum Member {
    Jsonrpc,
    Id,
    Method,
    Params,
    Result,
    Error,
}

impl Member {
    const COUNT: usize = 6;

    /// What the member that begins here is (`None` if it is not the envelope's), and the place of its
    /// value.
    #[inline]
    fn read(bytes: &[u8], at: usize) -> Option<(Option<Self>, usize)> {
        // As nearly everybody writes them: a comparison or two for each.
        for (member, written) in [
            (Self::Jsonrpc, &br#""jsonrpc":"#[..]),
            (Self::Id, br#""id":"#),
            (Self::Method, br#""method":"#),
            (Self::Params, br#""params":"#),
            (Self::Result, br#""result":"#),
        ] {
            if bytes[at..].starts_with(written) {
                return Some((Some(member), json::token(bytes, at + written.len())));
            }
        }
        let (value, end) = json::member(bytes, at)?;
        let name = &bytes[at + 1..end - 1];
        if name.contains(&b'\\') {
            // Whatever it stands for: no other reader may take it for what we did not.
            return Some((Self::named(unescaped(name)?.as_bytes()), value));
        }
        Some((Self::named(name), value))
    }

    fn named(name: &[u8]) -> Option<Self> {
        Some(match name {
            b"jsonrpc" => Self::Jsonrpc,
            b"id" => Self::Id,
            b"method" => Self::Method,
            b"params" => Self::Params,
            b"result" => Self::Result,
            b"error" => Self::Error,
            _ => return None,
        })
    }
}

/// The values of the envelope's members, each with its quotes or brackets; empty where there is none.
#[derive(Default)]
struct Parts {
    values: [Range<usize>; Member::COUNT],
    duplicate: bool,
}

impl Parts {
    /// Behind the bracket; `None` if it is no JSON.
    #[inline]
    fn read(bytes: &[u8], start: usize) -> Option<Self> {
        let mut parts = Self::default();
        let mut at = json::token(bytes, start);
        if *bytes.get(at)? == b'}' {
            return json::ends(bytes, at + 1).then_some(parts);
        }
        loop {
            let (member, value) = Member::read(bytes, at)?;
            let end = json::value(bytes, value)?;
            if let Some(member) = member {
                let slot = &mut parts.values[member as usize];
                parts.duplicate |= slot.end > 0;
                *slot = value..end;
            }
            at = json::token(bytes, end);
            match *bytes.get(at)? {
                b',' => at = json::token(bytes, at + 1),
                b'}' => return json::ends(bytes, at + 1).then_some(parts),
                _ => return None,
            }
        }
    }

    /// The value of this member.
    #[inline]
    fn get(&self, member: Member) -> Option<Range<usize>> {
        let range = &self.values[member as usize];
        (range.end > 0).then(|| range.clone())
    }

    #[inline]
    fn classify(self, bytes: &[u8]) -> Result<Envelope, Defect> {
        if self.duplicate {
            return Err(Defect::Duplicate);
        }
        if self.get(Member::Jsonrpc).map(|range| &bytes[range]) != Some(b"\"2.0\"") {
            return Err(Defect::NotRpc);
        }
        let id = |range: Range<usize>| Id::from_value(&bytes[range]).ok_or(Defect::BadId);
        let [method, result, error] =
            [Member::Method, Member::Result, Member::Error].map(|member| self.get(member));
        match (method, result, error) {
            (Some(method), None, None) => {
                let method = name(bytes, method).ok_or(Defect::NotRpc)?;
                let params = self.get(Member::Params);
                let Some(range) = self.get(Member::Id) else {
                    return Ok(Envelope::Notification { method, params });
                };
                let id = id(range)?;
                Ok(Envelope::Request { id, method, params })
            }
            (None, Some(body), None) => Ok(Envelope::Response {
                id: Some(id(self.get(Member::Id).ok_or(Defect::BadId)?)?),
                body,
                is_error: false,
            }),
            // An error may lack its id: the peer could not read the request that it answers.
            (None, None, Some(body)) => {
                let range = self.get(Member::Id);
                let range = range.filter(|range| &bytes[range.clone()] != b"null");
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

fn name(bytes: &[u8], range: Range<usize>) -> Option<Name> {
    let inner = bytes[range.clone()].strip_prefix(b"\"")?;
    let inner = inner.strip_suffix(b"\"")?;
    if let Some(name) = known(inner) {
        return Some(Name::Known(name));
    }
    if inner.contains(&b'\\') {
        return unescaped(inner).map(|name| Name::Unescaped(name.into()));
    }
    Some(Name::Plain(range.start + 1..range.end - 1))
}

fn known(name: &[u8]) -> Option<&'static str> {
    Some(match name {
        b"ping" => "ping",
        b"initialize" => "initialize",
        b"tools/call" => "tools/call",
        b"tools/list" => "tools/list",
        b"resources/list" => "resources/list",
        b"resources/read" => "resources/read",
        b"notifications/progress" => "notifications/progress",
        b"notifications/cancelled" => "notifications/cancelled",
        b"notifications/initialized" => "notifications/initialized",
        _ => return None,
    })
}

/// What a text that is written with escapes stands for.
fn unescaped(inner: &[u8]) -> Option<String> {
    serde_json::from_slice(&[b"\"", inner, b"\""].concat()).ok()
}
