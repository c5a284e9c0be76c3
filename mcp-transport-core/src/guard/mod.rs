//! Who may talk to a loopback port: a pure decision over the head of a request.
//!
//! Every page in every browser on this machine can send requests to `127.0.0.1`, and by DNS
//! rebinding it can even read the answers. So each plane of a local server, be it POST, event
//! stream or WebSocket upgrade (where browsers ask nobody's leave), puts each head before the
//! [`Guard`] first, and reads no body before the guard said yes:
//!
//! | header | passes | else |
//! |---|---|---|
//! | `Host` | `127.0.0.1`, `localhost` or `[::1]`, with the port that the server listens on | 403 |
//! | `Origin` | absent (a native client), our own, or [listed](Guard::allow_origin) | 403 |
//! | `Sec-Fetch-Site` | absent, `same-origin`, `none`; anything if the origin is listed | 403 |
//! | `Authorization` | `Bearer` and the [token](Guard::token), if there is one | 401 |
//! | `Content-Type` | `application/json`, if there is a body | 415 |
//! | `Content-Length` | at most [`MAX_BODY`] | 413 |
//! | all of them | at most [`MAX_HEAD`] | 431 |
//!
//! A `Host`, `Origin`, `Sec-Fetch-Site`, `Authorization` or `Content-Type` that stands there
//! twice is refused: whoever reads the other one would decide otherwise.
//!
//! `Content-Type` is not a formality. A form or a `text/plain` POST leaves a browser without a
//! preflight; a JSON one does not.
//!
//! ```
//! use mcp_transport_core::guard::{Guard, Head, Refusal};
//!
//! let guard = Guard::new(8080).allow_origin("https://inspector.example".parse()?);
//!
//! let native = Head::new("POST", [
//!     ("host", "localhost:8080"),
//!     ("content-type", "application/json"),
//!     ("content-length", "17"),
//! ]);
//! assert_eq!(guard.check(&native), Ok(()));
//!
//! let page = Head::new("GET", [("host", "localhost:8080"), ("origin", "https://evil.example")]);
//! assert_eq!(guard.check(&page), Err(Refusal::Origin));
//! assert_eq!(Refusal::Origin.status(), 403);
//! # Ok::<(), mcp_transport_core::guard::NotAnOrigin>(())
//! ```

use std::time::Duration;

pub use head::Head;
pub use origin::{NotAnOrigin, Origin};
pub use refusal::Refusal;
pub use token::{NotAToken, Token};

use head::Field;

mod head;
mod origin;
mod refusal;
mod token;

/// How many bytes the head of a request may have: 64 KiB.
///
/// [`Guard::check`] counts what it is given; whoever reads from the socket stops there, too.
pub const MAX_HEAD: usize = 64 * 1024;

/// How long the head of a request may take to arrive: 10 s from the accept.
pub const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// How many bytes a body may have by default: 64 MiB, the limit of a message.
pub const MAX_BODY: u64 = 64 * 1024 * 1024;

/// The rules of one port. Cheap to ask: no allocation, a handful of comparisons.
#[derive(Clone, Debug)]
pub struct Guard {
    port: u16,
    authorities: Vec<String>,
    listed: Vec<Origin>,
    token: Option<Token>,
    max_body: u64,
}

impl Guard {
    /// The guard of a server that listens on `own_port` of the loopback addresses.
    ///
    /// Native clients and pages that this server itself served pass; nobody needs a token.
    pub fn new(own_port: u16) -> Self {
        let names = ["127.0.0.1", "localhost", "[::1]"];
        let mut authorities: Vec<_> = names
            .iter()
            .map(|name| format!("{name}:{own_port}"))
            .collect();
        if own_port == HTTP_PORT {
            // Only here may a client leave the port out, and browsers do.
            authorities.extend(names.map(String::from));
        }
        Self {
            port: own_port,
            authorities,
            listed: Vec::new(),
            token: None,
            max_body: MAX_BODY,
        }
    }

    /// Lets the pages of one more origin in: `--allow-origin`.
    ///
    /// Such pages also need [`Guard::cors_origin`] in each answer, or the browser hides it from
    /// them.
    #[must_use]
    pub fn allow_origin(mut self, origin: Origin) -> Self {
        self.listed.push(origin);
        self
    }

    /// Asks everybody for `Authorization: Bearer <token>`.
    #[must_use]
    pub fn token(mut self, token: Token) -> Self {
        self.token = Some(token);
        self
    }

    /// Sets how many bytes a body may have; [`MAX_BODY`] if nobody says.
    #[must_use]
    pub fn max_body(mut self, bytes: u64) -> Self {
        self.max_body = bytes;
        self
    }

    /// Decides whether a request may be looked at any further.
    ///
    /// A [preflight](Head::is_preflight) of a listed origin passes without the token, since
    /// browsers send none with it. The shell answers it by itself (204) and hands it to nobody.
    ///
    /// # Errors
    /// The first rule that the head breaks, in the order of the table above. The shell answers with
    /// [`Refusal::status`] and closes the connection without having read the body.
    pub fn check(&self, head: &Head<'_>) -> Result<(), Refusal> {
        if head.bytes > MAX_HEAD {
            return Err(Refusal::HeadTooLarge { limit: MAX_HEAD });
        }
        self.check_host(head)?;
        let listed = self.check_origin(head)?;
        self.check_fetch_site(head, listed)?;
        if !(listed && head.is_preflight()) {
            self.check_token(head)?;
        }
        self.check_body(head)
    }

    /// Returns what the answer's `Access-Control-Allow-Origin` must say: the request's origin, if
    /// it is listed. Never `*`. The answer then needs `Vary: Origin`, too.
    pub fn cors_origin<'h>(&self, head: &Head<'h>) -> Option<&'h str> {
        let origin = head.origin.one()?;
        self.is_listed(origin)
            .then(|| std::str::from_utf8(origin).ok())?
    }

    fn check_host(&self, head: &Head<'_>) -> Result<(), Refusal> {
        match head.host {
            Field::One(host) if self.is_own_authority(host) => Ok(()),
            _ => Err(Refusal::Host { port: self.port }),
        }
    }

    /// Whether the origin is on the list, once it is known to be allowed at all.
    fn check_origin(&self, head: &Head<'_>) -> Result<bool, Refusal> {
        match head.origin {
            Field::Absent => Ok(false),
            Field::One(origin) if self.is_listed(origin) => Ok(true),
            Field::One(origin) if self.is_own_origin(origin) => Ok(false),
            _ => Err(Refusal::Origin),
        }
    }

    fn check_fetch_site(&self, head: &Head<'_>, listed: bool) -> Result<(), Refusal> {
        match head.fetch_site {
            Field::Absent | Field::One(b"same-origin" | b"none") => Ok(()),
            Field::One(_) if listed => Ok(()),
            _ => Err(Refusal::FetchSite),
        }
    }

    fn check_token(&self, head: &Head<'_>) -> Result<(), Refusal> {
        let Some(token) = &self.token else {
            return Ok(());
        };
        match head.authorization {
            Field::Absent => Err(Refusal::TokenMissing),
            Field::One(value) if token.matches_authorization(value) => Ok(()),
            _ => Err(Refusal::TokenWrong),
        }
    }

    fn check_body(&self, head: &Head<'_>) -> Result<(), Refusal> {
        if !head.has_body() {
            return Ok(());
        }
        match head.content_type {
            Field::One(value) if is_json(value) => {}
            _ => return Err(Refusal::ContentType),
        }
        if head
            .content_length
            .is_some_and(|length| length > self.max_body)
        {
            return Err(Refusal::BodyTooLarge {
                limit: self.max_body,
            });
        }
        Ok(())
    }

    fn is_own_authority(&self, host: &[u8]) -> bool {
        self.authorities
            .iter()
            .any(|own| own.as_bytes().eq_ignore_ascii_case(host))
    }

    fn is_own_origin(&self, origin: &[u8]) -> bool {
        const SCHEME: &[u8] = b"http://";
        origin
            .split_at_checked(SCHEME.len())
            .is_some_and(|(s, rest)| s.eq_ignore_ascii_case(SCHEME) && self.is_own_authority(rest))
    }

    fn is_listed(&self, origin: &[u8]) -> bool {
        self.listed.iter().any(|listed| listed.matches(origin))
    }
}

/// Whether a `Content-Type` is `application/json`, whatever its parameters.
fn is_json(value: &[u8]) -> bool {
    let essence = value.split(|&byte| byte == b';').next().unwrap_or_default();
    essence
        .trim_ascii()
        .eq_ignore_ascii_case(b"application/json")
}

const HTTP_PORT: u16 = 80;
