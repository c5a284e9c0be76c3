//! What a client is told about a call that no host answered. Pure.

use crate::delivery::{Cause, Full, Op};
use crate::ending::Ending;
use crate::error::{Error, ErrorKind};
use crate::message::{Id, Message};
use crate::outcome::Outcome;
use std::time::Duration;

/// Why there is no connection, where nobody has said yet.
pub(super) fn never_connected() -> Error {
    Error::new(ErrorKind::Unreachable).context("no connection was made so far")
}

/// A second request under an id that is in flight.
pub(super) fn duplicate(id: &Id) -> Message {
    let text = format!("Invalid Request: a request with the id {id} is in flight");
    Message::error(Some(id), -32600, &text, None::<()>)
}

/// There is no room for it.
pub(super) fn overloaded(id: &Id, full: Full) -> Message {
    let error = Error::new(ErrorKind::Overloaded {
        retry_after: Some(Duration::from_secs(1)),
    });
    Message::failure(Some(id), &error.context(full.to_string()))
}

/// It cannot be sent, or not again, and waiting would not help. What was `sent` and comes here could
/// have been sent again by us, for the delivery rule has settled the rest; by the client only if it
/// is `safe`: a host that guards knows a call by its id, and the client's next has another.
pub(super) fn refused(call: &Message, sent: bool, safe: bool, error: &Error) -> Message {
    let mut ending = Ending::from(error);
    if sent {
        let name = call.in_words();
        let advice = advice(Outcome::Unknown, safe);
        let text = format!("{name} was sent, and no answer came: {error}. {advice}");
        ending = Ending::new(Outcome::Unknown, error.kind().cause(), text).retryable(safe);
    } else if ending.outcome != Outcome::NotDelivered {
        let text = format!("{} was not sent: {error}.", call.in_words());
        ending = Ending::new(Outcome::NotDelivered, error.kind().cause(), text);
    }
    Message::ended(call.id(), error.code(), &ending)
}

/// The delivery rule settled it. `why` is how the last connection or dial ended.
pub(super) fn settled(
    call: &Message,
    op: Op,
    (outcome, cause): (Outcome, Cause),
    safe: bool,
    why: &Error,
) -> Message {
    let name = call.in_words();
    let (code, what) = match cause {
        Cause::HoldExpired => (
            ErrorKind::TimedOut.code(),
            format!("{name} waited for the host as long as it may: {why}"),
        ),
        Cause::Redelivered => (
            why.code(),
            format!("{name} was sent several times, and each time the connection ended: {why}"),
        ),
        _ => (
            why.code(),
            format!("{name} was under way when the connection ended: {why}"),
        ),
    };
    let ending = Ending::new(
        outcome,
        cause.as_str(),
        format!("{what}. {}", advice(outcome, safe)),
    );
    let ending = ending
        .operation_id(op.to_string())
        .retryable(safe || outcome == Outcome::NotDelivered);
    Message::ended(call.id(), code, &ending)
}

/// It ran for as long as it may.
pub(super) fn overrun(call: &Message, op: Op, run: Duration, safe: bool) -> Message {
    let text = format!(
        "{} was not answered within {} s. {}",
        call.in_words(),
        run.as_secs(),
        advice(Outcome::Unknown, safe)
    );
    let ending = Ending::new(Outcome::Unknown, "run_expired", text)
        .operation_id(op.to_string())
        .retryable(safe);
    Message::ended(call.id(), ErrorKind::TimedOut.code(), &ending)
}

/// Its answer came, and was over the limit.
pub(super) fn answer_too_large(call: &Message, op: Op, size: u64, limit: u64) -> Message {
    let text = format!(
        "The answer to {} has {size} bytes, over the limit of {limit} bytes, and was skipped. The host has done it: ask for \
         less, or raise the limit.",
        call.in_words()
    );
    let kind = ErrorKind::TooLarge { limit, size };
    let ending = Ending::new(Outcome::Unknown, kind.cause(), text).operation_id(op.to_string());
    Message::ended(call.id(), kind.code(), &ending)
}

const fn advice(outcome: Outcome, safe: bool) -> &'static str {
    match (outcome, safe) {
        (_, true) => "It changes nothing; sending it again is safe.",
        (Outcome::NotDelivered, _) => "It was not delivered; sending it again is safe.",
        _ => "It may have taken effect: look before you send it again.",
    }
}
