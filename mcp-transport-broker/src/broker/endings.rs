//! What a client is told about a call that ends badly: what happened, what is known, what to do
//! next.

use super::calls::Call;
use super::seat::{Away, End};
use mcp_transport_core::{Ending, ErrorKind, EvictionReason, Message, Outcome};
use std::time::{Duration, Instant};

/// Why a call ends without the host's answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Why {
    /// It waited for as long as it may.
    HoldExpired,
    /// Its host went, and it may not be sent again.
    LinkLost,
    /// It was sent several times.
    Redelivered,
    /// The host said that it would answer after its gap, and did not.
    AnswerMissing,
    /// It runs, and its client cannot wait for longer.
    StillRunning,
    /// The broker is ending.
    BrokerEnds,
    /// A newer broker took it over, and cannot be heard.
    SuccessorLost,
    /// The host has ended what served this client, or did not take its session up again.
    SessionOver,
    /// What the host pushed is no answer to it.
    NoAnswer,
    /// Its client's connection broke while it was queued.
    Unread,
}

impl Why {
    const fn cause(self) -> &'static str {
        match self {
            Self::HoldExpired => "hold_expired",
            Self::LinkLost => "link_lost",
            Self::Redelivered => "redelivered",
            Self::AnswerMissing => "answer_missing",
            Self::StillRunning => "still_running",
            Self::BrokerEnds => "shutting_down",
            Self::SuccessorLost => "successor_lost",
            Self::SessionOver => "session_over",
            Self::NoAnswer => "malformed",
            Self::Unread => "disconnected",
        }
    }

    const fn kind(self, away: &Away) -> ErrorKind {
        match self {
            Self::HoldExpired | Self::AnswerMissing | Self::StillRunning => ErrorKind::TimedOut,
            Self::BrokerEnds => ErrorKind::Evicted(EvictionReason::ShuttingDown),
            Self::SessionOver => ErrorKind::Evicted(EvictionReason::Stale),
            Self::NoAnswer => ErrorKind::Malformed,
            Self::Unread => ErrorKind::Disconnected,
            Self::SuccessorLost => ErrorKind::Disconnected,
            Self::LinkLost | Self::Redelivered => match away.end {
                Some(End::Reloading) => ErrorKind::Evicted(EvictionReason::Reloading),
                Some(End::ShuttingDown) => ErrorKind::Evicted(EvictionReason::ShuttingDown),
                Some(End::Stale) => ErrorKind::TimedOut,
                _ => ErrorKind::Disconnected,
            },
        }
    }
}

/// The ending of a call, as the answer to its request. `operation` is by which to ask for it later.
pub(super) fn ended(
    now: Instant,
    call: &Call,
    (outcome, why): (Outcome, Why),
    operation: Option<&str>,
    away: &Away,
) -> Message {
    let name = call.request.in_words();
    let waited = seconds(now.saturating_duration_since(call.asked));
    let what = match why {
        Why::HoldExpired => format!("{name} waited {waited} for the host: {}", phrase(now, away)),
        Why::LinkLost => format!(
            "{name} was under way when the host went: {}",
            phrase(now, away)
        ),
        Why::Redelivered => format!(
            "{name} was sent several times, and each time the host went: {}",
            phrase(now, away)
        ),
        Why::AnswerMissing => format!(
            "{name} was under way when the host went, and the answer that the host announced has not come: {}",
            phrase(now, away)
        ),
        Why::StillRunning => format!("{name} still runs after {waited}"),
        Why::BrokerEnds => format!("The broker is ending, and {name} has no answer yet"),
        Why::SuccessorLost => {
            format!("A newer broker took {name} over from this one, and can no longer be heard")
        }
        Why::SessionOver => {
            format!("The host no longer serves the session to which {name} belongs")
        }
        Why::NoAnswer => {
            format!("The host answered {name} with something that is no answer to it")
        }
        Why::Unread => {
            format!("The connection broke on which {name} waited for the host")
        }
    };
    let session = if why == Why::SessionOver {
        " Initialise again first."
    } else {
        ""
    };
    let text = format!(
        "{what}. {}{session}",
        advice(outcome, call.is_safe(), operation)
    );
    let retryable = match outcome {
        Outcome::NotDelivered => true,
        Outcome::Running => false,
        Outcome::Unknown => call.is_safe(),
    };
    let mut ending = Ending::new(outcome, why.cause(), text).retryable(retryable);
    if let Some(operation) = operation {
        ending = ending.operation_id(operation);
    }
    Message::ended(call.request.id(), why.kind(away).code(), &ending)
}

/// Why no host is there, and for how long.
pub(super) fn phrase(now: Instant, away: &Away) -> String {
    let (Some(since), Some(end)) = (away.since, away.end) else {
        return if away.host.is_empty() {
            "no host has attached so far".to_owned()
        } else {
            format!("{} is attached, and busy", away.host)
        };
    };
    let host = if away.host.is_empty() {
        "it"
    } else {
        &away.host
    };
    let ago = seconds(now.saturating_duration_since(since));
    match end {
        End::Reloading => format!("{host} reloads, {ago} so far"),
        End::ShuttingDown => format!("{host} was shut down {ago} ago"),
        End::Stale => format!("{host} fell silent, and was given up {ago} ago"),
        End::Lost => format!("{host} closed its connections {ago} ago, without a goodbye"),
        End::Superseded => format!("{host} attached anew {ago} ago"),
        End::BrokerEnds => "the broker is ending".to_owned(),
        End::Moved => format!("{host} was sent to a newer broker {ago} ago"),
    }
}

pub(super) fn seconds(time: Duration) -> String {
    format!("{} s", time.as_secs())
}

fn advice(outcome: Outcome, safe: bool, operation: Option<&str>) -> String {
    let path = operation.map(|id| format!("GET /_broker/v1/operations/{id}"));
    let later = path.map_or_else(String::new, |path| match outcome {
        Outcome::Running => format!(" {path} has its result when it is there."),
        _ => format!(" If its result comes after all, {path} has it for a while."),
    });
    match outcome {
        Outcome::Running => format!("Do not send it again.{later}"),
        Outcome::NotDelivered => "It was not delivered; sending it again is safe.".to_owned(),
        Outcome::Unknown if safe => "It changes nothing; sending it again is safe.".to_owned(),
        Outcome::Unknown => {
            format!("It may have taken effect: look before you send it again.{later}")
        }
    }
}
