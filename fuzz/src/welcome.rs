//! The line with which a bridge greets who dials it.

use mcp_transport_core::{Error, ErrorKind};
use mcp_transport_stdio::bridge::wire::{MAX_WELCOME, read_welcome};

/// However few bytes have arrived, the verdict is that on all of them, or that more are needed; it falls within the
/// line or 512 bytes; and what a stranger said cannot run through a log.
pub fn welcome(input: &[u8]) {
    let verdict = read_welcome(input);
    let decided = match &verdict {
        Ok(Some(length)) => {
            assert!(*length <= MAX_WELCOME);
            let line = input[..*length].strip_suffix(b"\n");
            assert!(line.is_some_and(|line| !line.contains(&b'\n') && offers_framing(line)));
            *length
        }
        Ok(None) => {
            assert!(input.len() < MAX_WELCOME && !input.contains(&b'\n'));
            usize::MAX
        }
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Incompatible);
            let text = error.to_string();
            assert!(
                text.len() < 1024 && !text.contains(char::is_control),
                "{text:?}"
            );
            let head = &input[..input.len().min(MAX_WELCOME)];
            match head.iter().position(|byte| *byte == b'\n') {
                Some(end) => {
                    assert!(!offers_framing(&head[..end]));
                    end + 1
                }
                None => MAX_WELCOME,
            }
        }
    };
    for length in 0..input.len().min(MAX_WELCOME + 1) {
        let early = read_welcome(&input[..length]);
        if length < decided {
            assert!(matches!(early, Ok(None)), "decided after {length} bytes");
        } else {
            assert_eq!(said(&early), said(&verdict), "after {length} bytes");
        }
    }
}

/// The word, and no larger number: read by hand, where the reader searches.
fn offers_framing(line: &[u8]) -> bool {
    (0..line.len()).any(|at| {
        let rest = line[at..].strip_prefix(b"FRAMING=1");
        rest.is_some_and(|rest| !rest.first().is_some_and(u8::is_ascii_digit))
    })
}

fn said(verdict: &Result<Option<usize>, Error>) -> Result<Option<usize>, String> {
    verdict.as_ref().copied().map_err(Error::to_string)
}
