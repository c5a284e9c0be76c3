//! The opening handshake (RFC 6455, section 4) in bytes and headers. Pure but for the random key.

use crate::ending::cut;
use data_encoding::BASE64;
use http::header::{CONNECTION, HOST, UPGRADE};
use http::{HeaderMap, HeaderName, HeaderValue};
use mcp_transport_core::{Error, ErrorKind};
use std::io;
use std::time::Duration;

/// How many headers an answer may have.
const MAX_HEADERS: usize = 100;

/// How much of a refusal's body an error repeats.
pub(crate) const MAX_SNIPPET: usize = 512;

/// What proves that the peer understood the upgrade with this key.
pub(crate) fn accept_key(key: &[u8]) -> String {
    let mut hash = sha1_smol::Sha1::new();
    hash.update(key);
    hash.update(b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    BASE64.encode(&hash.digest().bytes())
}

/// A key for one attempt: 16 random bytes.
pub(crate) fn new_key() -> Result<String, Error> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| {
        Error::new(ErrorKind::Incompatible)
            .context("this machine has no random numbers for the handshake")
            .because(io::Error::other(error.to_string()))
    })?;
    Ok(BASE64.encode(&bytes))
}

/// Whether a client's key is 16 bytes in base64.
pub(crate) fn is_key(key: &[u8]) -> bool {
    BASE64.decode(key).is_ok_and(|bytes| bytes.len() == 16)
}

/// Whether the handshake itself writes this header.
pub(crate) fn is_ours(name: &HeaderName) -> bool {
    *name == HOST
        || *name == CONNECTION
        || *name == UPGRADE
        || name.as_str().starts_with("sec-websocket-")
}

/// The upgrade request.
///
/// Its own headers have the case of the RFC's examples: hosts with a hand-written handshake look for exactly that.
pub(crate) fn request(
    authority: &str,
    path: &str,
    key: &str,
    subprotocols: &[HeaderValue],
    headers: &HeaderMap,
) -> Vec<u8> {
    let mut out = format!(
        "GET {path} HTTP/1.1\r\n\
         Host: {authority}\r\n\
         Upgrade: websocket\r\n\
         Connection: Upgrade\r\n\
         Sec-WebSocket-Key: {key}\r\n\
         Sec-WebSocket-Version: 13\r\n"
    )
    .into_bytes();
    if !subprotocols.is_empty() {
        let offer: Vec<_> = subprotocols.iter().map(HeaderValue::as_bytes).collect();
        out.extend_from_slice(b"Sec-WebSocket-Protocol: ");
        out.extend_from_slice(&offer.join(&b", "[..]));
        out.extend_from_slice(b"\r\n");
    }
    for (name, value) in headers {
        out.extend_from_slice(name.as_str().as_bytes());
        out.extend_from_slice(b": ");
        out.extend_from_slice(value.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"\r\n");
    out
}

/// The head of an answer to an upgrade request.
#[derive(Debug)]
pub(crate) struct Answer {
    status: u16,
    headers: HeaderMap,
    /// Where its head ends and what follows begins.
    pub(crate) head: usize,
}

impl Answer {
    /// Reads the head, if it is all there.
    ///
    /// # Errors
    /// `Incompatible`, if that is no HTTP.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Option<Self>, Error> {
        let mut space = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut response = httparse::Response::new(&mut space);
        let head = match response.parse(bytes) {
            Ok(httparse::Status::Complete(head)) => head,
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(error) => {
                return Err(Error::new(ErrorKind::Incompatible)
                    .context("the peer does not answer in HTTP")
                    .because(io::Error::other(error.to_string())));
            }
        };
        let mut headers = HeaderMap::with_capacity(response.headers.len());
        for header in response.headers.iter() {
            let name = HeaderName::from_bytes(header.name.as_bytes());
            let value = HeaderValue::from_bytes(header.value);
            if let (Ok(name), Ok(value)) = (name, value) {
                headers.append(name, value);
            }
        }
        Ok(Some(Self {
            status: response.code.expect("a complete head has a status"),
            headers,
            head,
        }))
    }

    pub(crate) const fn is_refusal(&self) -> bool {
        self.status != 101
    }

    /// Checks that the peer agreed to what was asked, and returns the subprotocol.
    ///
    /// # Errors
    /// `Incompatible` with what does not fit.
    pub(crate) fn agreed(
        &self,
        key: &str,
        offered: &[HeaderValue],
    ) -> Result<Option<HeaderValue>, Error> {
        let unfit = |what: String| Err(Error::new(ErrorKind::Incompatible).context(what));
        if !lists(&self.headers, UPGRADE, "websocket")
            || !lists(&self.headers, CONNECTION, "upgrade")
        {
            return unfit("the peer switched to another protocol than WebSocket".into());
        }
        let accept = self.headers.get("sec-websocket-accept");
        if accept.is_none_or(|accept| accept.as_bytes() != accept_key(key.as_bytes()).as_bytes()) {
            return unfit("the peer's Sec-WebSocket-Accept does not fit the key".into());
        }
        if self.headers.contains_key("sec-websocket-extensions") {
            return unfit("the peer uses a WebSocket extension; none was offered".into());
        }
        let chosen = self.headers.get("sec-websocket-protocol");
        match chosen {
            Some(name) if !offered.contains(name) => unfit(format!(
                "the peer chose the subprotocol {name:?}; it was not offered"
            )),
            None if !offered.is_empty() => unfit(format!(
                "the peer speaks none of the subprotocols {offered:?}"
            )),
            chosen => Ok(chosen.cloned()),
        }
    }

    /// How many bytes of the body are worth waiting for.
    pub(crate) fn body(&self) -> usize {
        let length = self.headers.get("content-length");
        let length = length.and_then(|value| value.to_str().ok()?.trim().parse().ok());
        length.unwrap_or(MAX_SNIPPET).min(MAX_SNIPPET)
    }

    /// The refusal as an error: by its status, with the start of its body.
    pub(crate) fn refusal(&self, body: &[u8]) -> Error {
        let kind = ErrorKind::from_http_status(self.status, self.retry_after());
        let text = String::from_utf8_lossy(self.unchunked(body));
        let text = cut(text.trim(), MAX_SNIPPET);
        Error::new(kind).context(match text {
            "" => format!("HTTP status {} instead of an upgrade", self.status),
            text => format!("HTTP status {} instead of an upgrade: {text}", self.status),
        })
    }

    fn retry_after(&self) -> Option<Duration> {
        let value = self.headers.get("retry-after")?.to_str().ok()?;
        value.trim().parse().ok().map(Duration::from_secs)
    }

    /// The first chunk, if the body comes in chunks; a refusal rarely has two.
    fn unchunked<'a>(&self, body: &'a [u8]) -> &'a [u8] {
        if !lists(&self.headers, http::header::TRANSFER_ENCODING, "chunked") {
            return body;
        }
        match httparse::parse_chunk_size(body) {
            Ok(httparse::Status::Complete((start, length))) => {
                let rest = &body[start..];
                &rest[..rest
                    .len()
                    .min(usize::try_from(length).unwrap_or(usize::MAX))]
            }
            _ => body,
        }
    }
}

/// Whether a header that lists tokens has this one.
pub(crate) fn lists(headers: &HeaderMap, name: HeaderName, token: &str) -> bool {
    tokens(headers, name).any(|found| found.eq_ignore_ascii_case(token))
}

/// What a header lists, over all its lines.
pub(crate) fn tokens(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = &str> {
    headers
        .get_all(name)
        .into_iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_of_the_rfc_has_the_answer_of_the_rfc() {
        let key = "dGhlIHNhbXBsZSBub25jZQ==";
        assert!(is_key(key.as_bytes()));
        assert_eq!(accept_key(key.as_bytes()), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn a_key_of_another_length_is_none() {
        assert!(!is_key(b""));
        assert!(!is_key(b"AAAA"));
        assert!(!is_key(b"dGhlIHNhbXBsZSBub25jZQ=!"));
        assert!(is_key(new_key().unwrap().as_bytes()));
    }

    #[test]
    fn a_torn_answer_is_read_when_it_is_whole() {
        let answer = b"HTTP/1.1 503 Busy\r\nRetry-After: 7\r\nContent-Length: 4\r\n\r\nfull";
        let head = answer.len() - 4;
        for end in 0..head {
            assert!(Answer::parse(&answer[..end]).unwrap().is_none());
        }
        let read = Answer::parse(answer).unwrap().unwrap();
        assert_eq!((read.head, read.body()), (head, 4));
        let error = read.refusal(&answer[head..]);
        assert_eq!(error.retry_after(), Some(Duration::from_secs(7)));
        assert!(
            error
                .to_string()
                .ends_with("503 instead of an upgrade: full")
        );
    }

    #[test]
    fn the_text_of_a_chunked_refusal_is_found() {
        let answer =
            b"HTTP/1.1 401 No\r\nTransfer-Encoding: chunked\r\n\r\n5\r\ntoken\r\n0\r\n\r\n";
        let read = Answer::parse(answer).unwrap().unwrap();
        let error = read.refusal(&answer[read.head..]);
        assert_eq!(error.kind(), ErrorKind::Unauthorized);
        assert!(error.to_string().ends_with(": token"));
    }

    #[test]
    fn an_answer_that_does_not_fit_is_incompatible() {
        let key = "dGhlIHNhbXBsZSBub25jZQ==";
        let agreed = |extra: &str, offered: &[HeaderValue]| {
            let answer = format!(
                "HTTP/1.1 101 Switching\r\nUpgrade: WebSocket\r\nConnection: keep-alive, Upgrade\r\n{extra}\r\n"
            );
            let answer = Answer::parse(answer.as_bytes()).unwrap().unwrap();
            answer.agreed(key, offered).map_err(|error| error.kind())
        };
        let accept = "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n";
        let chose_a = format!("{accept}Sec-WebSocket-Protocol: a\r\n");
        let [a, b] = ["a", "b"].map(HeaderValue::from_static);

        assert_eq!(agreed(accept, &[]), Ok(None));
        assert_eq!(agreed(&chose_a, &[b.clone(), a.clone()]), Ok(Some(a)));
        assert_eq!(agreed("", &[]), Err(ErrorKind::Incompatible));
        assert_eq!(agreed(&chose_a, &[]), Err(ErrorKind::Incompatible));
        assert_eq!(agreed(accept, &[b]), Err(ErrorKind::Incompatible));
        let deflate = format!("{accept}Sec-WebSocket-Extensions: permessage-deflate\r\n");
        assert_eq!(agreed(&deflate, &[]), Err(ErrorKind::Incompatible));
    }
}
