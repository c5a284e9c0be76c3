//! What the head of a request says about MCP.

use std::fmt;

/// The headers that matter here, borrowed from wherever the head lies.
#[derive(Clone, Default)]
pub struct Head<'a> {
    pub(super) session: Field<'a>,
    pub(super) version: Field<'a>,
    pub(super) method: Field<'a>,
    pub(super) name: Field<'a>,
    pub(super) last_event: Field<'a>,
    /// `Mcp-Param-*`: the rest of the name, lower case or not, and the value.
    pub(super) params: Vec<(&'a str, Field<'a>)>,
    accept: Accept,
    says_accept: bool,
}

/// In what form a client takes its answer.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "MCP has these two forms of an answer"
)]
pub struct Accept {
    /// `application/json`, or anything.
    pub json: bool,
    /// `text/event-stream`, said in so many words: who takes anything expects no stream.
    pub sse: bool,
    /// The stream is named first, or alone: it is what this client would rather have.
    pub sse_first: bool,
}

impl<'a> Head<'a> {
    /// Gathers what matters from the headers, each as often as it stands there.
    pub fn new<I, N, V>(headers: I) -> Self
    where
        I: IntoIterator<Item = (&'a N, &'a V)>,
        N: AsRef<str> + ?Sized + 'a,
        V: AsRef<[u8]> + ?Sized + 'a,
    {
        let mut head = Self::default();
        for (name, value) in headers {
            head.add(name.as_ref(), value.as_ref());
        }
        head
    }

    /// In what form the client takes its answer; JSON, if it does not say.
    pub const fn accept(&self) -> Accept {
        match self.says_accept {
            true => self.accept,
            false => Accept {
                json: true,
                sse: false,
                sse_first: false,
            },
        }
    }

    /// The protocol version that the header names, if it is there once, and text.
    pub fn version(&self) -> Option<&'a str> {
        self.version.text()
    }

    fn add(&mut self, name: &'a str, value: &'a [u8]) {
        const PARAM: &str = "mcp-param-";
        // Most servers' parsers have made it lower case.
        let is = |other: &str| name == other || name.eq_ignore_ascii_case(other);
        if is("mcp-session-id") {
            self.session.add(value);
        } else if is("mcp-protocol-version") {
            self.version.add(value);
        } else if is("mcp-method") {
            self.method.add(value);
        } else if is("mcp-name") {
            self.name.add(value);
        } else if is("last-event-id") {
            self.last_event.add(value);
        } else if is("accept") {
            self.says_accept = true;
            self.accept.add(value);
        } else if name
            .get(..PARAM.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(PARAM))
        {
            let rest = &name[PARAM.len()..];
            let known = self
                .params
                .iter_mut()
                .find(|(known, _)| known.eq_ignore_ascii_case(rest));
            match known {
                Some((_, field)) => field.add(value),
                None => self.params.push((rest, Field::One(value))),
            }
        }
    }
}

impl Accept {
    fn add(&mut self, value: &[u8]) {
        for range in value.split(|byte| *byte == b',') {
            let range = range.split(|byte| *byte == b';').next().unwrap_or_default();
            let range = range.trim_ascii();
            let is = |other: &[u8]| range.eq_ignore_ascii_case(other);
            self.json |= is(b"application/json") || is(b"application/*") || is(b"*/*");
            if is(b"text/event-stream") && !self.sse {
                self.sse = true;
                self.sse_first = !self.json;
            }
        }
    }
}

/// Not the session's id: who knows it can speak for its client.
impl fmt::Debug for Head<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Head")
            .field("session", &!matches!(self.session, Field::Absent))
            .field("version", &self.version.text())
            .field("method", &self.method.text())
            .field("accept", &self.accept())
            .finish_non_exhaustive()
    }
}

/// A header that may stand in a head once.
#[derive(Clone, Copy, Default)]
pub(super) enum Field<'a> {
    #[default]
    Absent,
    One(&'a [u8]),
    Many,
}

impl<'a> Field<'a> {
    pub(super) fn text(self) -> Option<&'a str> {
        match self {
            Self::One(value) => std::str::from_utf8(value).ok().map(str::trim_ascii),
            Self::Absent | Self::Many => None,
        }
    }

    fn add(&mut self, value: &'a [u8]) {
        *self = match self {
            Self::Absent => Self::One(value),
            Self::One(_) | Self::Many => Self::Many,
        };
    }
}
