//! The envelope of one message, found without parsing its body.

use super::{Defect, Id, json};
use std::ops::Range;
use std::sync::Arc;

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
    /// Shared, since it may be as long as the message.
    Unescaped(Arc<str>),
}

impl Envelope {
    /// Never fails: what is no JSON-RPC message says why.
    ///
    /// Each envelope is made where it stays, on the heap: to hand it from one function to the next
    /// would cost more than to read a short message.
    pub(super) fn of(bytes: &[u8]) -> Box<Self> {
        read(bytes).unwrap_or_else(|defect| Box::new(Self::Opaque(defect)))
    }
}

fn read(bytes: &[u8]) -> Result<Box<Envelope>, Defect> {
    // Most messages are ASCII, which is found out in a tenth of the time.
    if !bytes.is_ascii() {
        std::str::from_utf8(bytes).map_err(|_| Defect::NotJson)?;
    }
    let start = json::token(bytes, 0);
    if let Some(b'{') = bytes.get(start) {
        let mut parts = Parts::default();
        return match parts.read(bytes, start + 1) {
            Some(()) => parts.classify(bytes),
            None => Err(Defect::NotJson),
        };
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

/// The values of the envelope's members, each with its quotes or brackets: where they begin, and end
/// (0 where there is none).
#[derive(Default)]
struct Parts {
    starts: [usize; Member::COUNT],
    ends: [usize; Member::COUNT],
    duplicate: bool,
}

impl Parts {
    /// Behind the bracket; `None` if it is no JSON.
    #[inline]
    fn read(&mut self, bytes: &[u8], start: usize) -> Option<()> {
        let mut at = json::token(bytes, start);
        if *bytes.get(at)? == b'}' {
            return json::ends(bytes, at + 1).then_some(());
        }
        loop {
            let (member, value) = Member::read(bytes, at)?;
            let end = json::value(bytes, value)?;
            if let Some(member) = member {
                self.duplicate |= self.ends[member as usize] > 0;
                self.starts[member as usize] = value;
                self.ends[member as usize] = end;
            }
            at = json::token(bytes, end);
            match *bytes.get(at)? {
                b',' => at = json::token(bytes, at + 1),
                b'}' => return json::ends(bytes, at + 1).then_some(()),
                _ => return None,
            }
        }
    }

    /// The value of this member.
    #[inline]
    fn get(&self, member: Member) -> Option<Range<usize>> {
        let end = self.ends[member as usize];
        (end > 0).then(|| self.starts[member as usize]..end)
    }

    fn classify(&self, bytes: &[u8]) -> Result<Box<Envelope>, Defect> {
        if self.duplicate {
            return Err(Defect::Duplicate);
        }
        if self.get(Member::Jsonrpc).map(|range| &bytes[range]) != Some(b"\"2.0\"") {
            return Err(Defect::NotRpc);
        }
        let id = self.get(Member::Id).map(|range| &bytes[range]);
        let [method, result, error] =
            [Member::Method, Member::Result, Member::Error].map(|member| self.get(member));
        match (method, result, error) {
            (Some(method), None, None) => {
                let Some(method) = name(bytes, method) else {
                    return Err(Defect::NotRpc);
                };
                let params = self.get(Member::Params);
                let Some(id) = id else {
                    return Ok(Box::new(Envelope::Notification { method, params }));
                };
                with_id(id, |id| Envelope::Request { id, method, params })
            }
            (None, Some(body), None) => with_id(id.unwrap_or_default(), |id| Envelope::Response {
                id: Some(id),
                body,
                is_error: false,
            }),
            // An error may lack its id: the peer could not read the request that it answers.
            (None, None, Some(body)) => {
                let response = |id| Envelope::Response {
                    id,
                    body,
                    is_error: true,
                };
                match id {
                    None | Some(b"null") => Ok(Box::new(response(None))),
                    Some(id) => with_id(id, |id| response(Some(id))),
                }
            }
            _ => Err(Defect::NotRpc),
        }
    }
}

/// The envelope with this id: made for each kind of id, so that the most common need not be moved.
#[inline(always)]
fn with_id(json: &[u8], envelope: impl FnOnce(Id) -> Envelope) -> Result<Box<Envelope>, Defect> {
    if let Some(id) = Id::short(json) {
        return Ok(Box::new(envelope(id)));
    }
    match Id::from_value(json) {
        Some(id) => Ok(Box::new(envelope(id))),
        None => Err(Defect::BadId),
    }
}

#[inline(always)]
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
