use std::fmt;

/// What the guard looks at in the head of a request.
///
/// Plain data, borrowed from wherever the head lies. [`Head::new`] takes any iterator of header
/// names and values, so `http::HeaderMap::iter` serves as well as an array of pairs.
#[derive(Clone, Copy)]
pub struct Head<'a> {
    pub(super) method: &'a str,
    pub(super) host: Field<'a>,
    pub(super) origin: Field<'a>,
    pub(super) fetch_site: Field<'a>,
    pub(super) authorization: Field<'a>,
    pub(super) content_type: Field<'a>,
    pub(super) content_length: Option<u64>,
    pub(super) bytes: usize,
    chunked: bool,
    asks_for_method: bool,
}

impl<'a> Head<'a> {
    /// Gathers what matters from a method and the headers, each as often as it stands there.
    pub fn new<I, N, V>(method: &'a str, headers: I) -> Self
    where
        I: IntoIterator<Item = (&'a N, &'a V)>,
        N: AsRef<str> + ?Sized + 'a,
        V: AsRef<[u8]> + ?Sized + 'a,
    {
        let mut head = Self {
            method,
            host: Field::Absent,
            origin: Field::Absent,
            fetch_site: Field::Absent,
            authorization: Field::Absent,
            content_type: Field::Absent,
            content_length: None,
            bytes: method.len(),
            chunked: false,
            asks_for_method: false,
        };
        for (name, value) in headers {
            head.add(name.as_ref(), value.as_ref());
        }
        head
    }

    /// Whether a body follows: a `Content-Length` other than 0, or any `Transfer-Encoding`.
    pub fn has_body(&self) -> bool {
        self.chunked || self.content_length.is_some_and(|length| length > 0)
    }

    /// Whether a browser asks whether it may send the real request: CORS's preflight.
    pub fn is_preflight(&self) -> bool {
        self.method == "OPTIONS" && self.asks_for_method && !self.has_body()
    }

    fn add(&mut self, name: &str, value: &'a [u8]) {
        // Colon, space and line end; the server's parser has dropped them.
        self.bytes = self.bytes.saturating_add(name.len() + value.len() + 4);
        // Most servers' parsers have made it lower case.
        let is = |other: &str| name == other || name.eq_ignore_ascii_case(other);
        if is("host") {
            self.host.add(value);
        } else if is("origin") {
            self.origin.add(value);
        } else if is("sec-fetch-site") {
            self.fetch_site.add(value);
        } else if is("authorization") {
            self.authorization.add(value);
        } else if is("content-type") {
            self.content_type.add(value);
        } else if is("content-length") {
            let length = parse_length(value);
            self.content_length = Some(self.content_length.unwrap_or(0).max(length));
        } else if is("transfer-encoding") {
            self.chunked = true;
        } else if is("access-control-request-method") {
            self.asks_for_method = true;
        }
    }
}

/// Leaves the credentials out.
impl fmt::Debug for Head<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Head")
            .field("method", &self.method)
            .field("host", &self.host)
            .field("origin", &self.origin)
            .field("fetch_site", &self.fetch_site)
            .field("content_type", &self.content_type)
            .field("content_length", &self.content_length)
            .field("bytes", &self.bytes)
            .finish_non_exhaustive()
    }
}

/// A header that may stand in a head once.
#[derive(Clone, Copy)]
pub(super) enum Field<'a> {
    Absent,
    One(&'a [u8]),
    Many,
}

impl<'a> Field<'a> {
    pub(super) fn one(self) -> Option<&'a [u8]> {
        match self {
            Self::One(value) => Some(value),
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

impl fmt::Debug for Field<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent => f.write_str("absent"),
            Self::One(value) => write!(f, "\"{}\"", value.escape_ascii()),
            Self::Many => f.write_str("more than one"),
        }
    }
}

/// A length that nobody can read counts as too large, never as no body.
fn parse_length(value: &[u8]) -> u64 {
    let digits = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
    let text = if digits {
        std::str::from_utf8(value).ok()
    } else {
        None
    };
    text.and_then(|text| text.parse().ok()).unwrap_or(u64::MAX)
}
