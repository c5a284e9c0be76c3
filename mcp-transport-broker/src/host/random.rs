//! Names that nobody guesses.

use mcp_transport_core::{Error, ErrorKind};
use std::fmt::Write as _;

/// 128 random bits, in hexadecimal.
pub(super) fn hex() -> Result<String, Error> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| {
        let text = format!("the system has no randomness: {error}");
        Error::new(ErrorKind::Closed).context(text)
    })?;
    Ok(bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    }))
}
