//! GET and DELETE.

use super::head::{Field, Head};
use super::refusal::Refusal;
use super::streams::EventId;
use super::version::{is_legacy, modern};

/// A session's client wants an event stream.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Get<'a> {
    /// Whose.
    pub session: &'a str,
    /// The last event that it got of a stream that broke.
    pub after: Option<EventId>,
}

/// A client ends its session.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Delete<'a> {
    /// Which.
    pub session: &'a str,
}

/// What a GET on the endpoint means.
///
/// A `Last-Event-ID` that is none of ours is not looked at.
///
/// # Errors
/// What to answer instead.
pub fn get<'a>(head: &Head<'a>) -> Result<Get<'a>, Refusal> {
    let session = session(head)?;
    if !head.accept().sse {
        return Err(Refusal::not_acceptable(None));
    }
    let after = head.last_event.text().and_then(|text| text.parse().ok());
    Ok(Get { session, after })
}

/// What a DELETE on the endpoint means.
///
/// # Errors
/// What to answer instead.
pub fn delete<'a>(head: &Head<'a>) -> Result<Delete<'a>, Refusal> {
    let session = session(head)?;
    Ok(Delete { session })
}

fn session<'a>(head: &Head<'a>) -> Result<&'a str, Refusal> {
    match (head.version, head.version.text()) {
        (_, Some(version)) if modern(version).is_some() => return Err(Refusal::method("POST")),
        (Field::Absent, _) => {}
        (_, Some(version)) if is_legacy(version) => {}
        _ => return Err(Refusal::version_unknown(None)),
    }
    head.session
        .text()
        .ok_or_else(|| Refusal::session_missing(None))
}
