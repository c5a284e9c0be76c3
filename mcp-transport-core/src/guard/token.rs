use std::fmt;
use std::str::FromStr;

use subtle::ConstantTimeEq;

/// A secret that a client presents as `Authorization: Bearer <token>`.
///
/// Compared in constant time (only its length can be learnt), and never shown: there is no
/// `Display`, and `Debug` says that there is one.
#[derive(Clone)]
pub struct Token(Box<str>);

impl Token {
    /// Whether somebody presents this token, bare, as some host dialects' own headers do.
    pub fn matches(&self, presented: &[u8]) -> bool {
        self.0.as_bytes().ct_eq(presented).into()
    }

    /// Whether the value of an `Authorization` header presents this token.
    pub(super) fn matches_authorization(&self, value: &[u8]) -> bool {
        const SCHEME: &[u8] = b"bearer ";
        value
            .split_at_checked(SCHEME.len())
            .is_some_and(|(scheme, presented)| {
                scheme.eq_ignore_ascii_case(SCHEME) && self.matches(presented.trim_ascii())
            })
    }
}

/// Takes the text of a token file as it is: white space at either end is dropped.
impl FromStr for Token {
    type Err = NotAToken;

    fn from_str(text: &str) -> Result<Self, NotAToken> {
        let text = text.trim_ascii();
        if text.is_empty() {
            return Err(NotAToken::Empty);
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(NotAToken::Unprintable);
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// What was given as a token cannot be one.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum NotAToken {
    /// Nothing but white space, perhaps a token file that is still being written. An empty token
    /// would let everybody in.
    #[error("the token is empty: write one into its file, e.g. 32 random bytes in hexadecimal")]
    Empty,
    /// A space, control or non-ASCII character, which no header can carry.
    #[error("the token has characters that a header cannot carry: use printable ASCII, no spaces")]
    Unprintable,
}
