//! The Funplay plugin's paths. All decisions are in [`foreign::funplay`](crate::foreign::funplay).

use super::answer::{self, Answer};
use super::body::Reply;
use super::config::ServerConfig;
use super::foreign::{Locked, Speaking, next, numbers};
use super::handed::Handed;
use super::hub::Hub;
use super::route::{self, HostCall};
use crate::broker::Ask;
use crate::foreign::funplay::{self, Desk, PREFIX, Push, Verb, Work, header};
use crate::native::Refused;
use crate::run;
use bytes::Bytes;
use futures::future::{BoxFuture, FutureExt};
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use http::request::Parts;
use http::{Method, StatusCode};
use mcp_transport_core::Message;
use mcp_transport_core::delivery::Replay;
use mcp_transport_core::guard::Token;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::watch;

/// What a pull without a session is taken for, as the original does.
const UNKNOWN: &str = "unknown";

/// The dialect.
#[derive(Debug)]
pub(super) struct Funplay {
    token: Token,
    plane: Arc<Plane>,
}

#[derive(Debug)]
struct Plane {
    desk: Arc<Locked<Desk>>,
    speaking: Speaking,
    asked: watch::Sender<bool>,
    park: Duration,
    /// The calls that were there when last somebody could look.
    pending: AtomicUsize,
}

impl Funplay {
    pub(super) fn new(
        config: &ServerConfig,
        speaking: Speaking,
        asked: watch::Sender<bool>,
    ) -> Self {
        let token = config.funplay_token.as_ref().unwrap_or(&config.token);
        Self {
            token: token.token.clone(),
            plane: Arc::new(Plane {
                desk: Locked::new(Desk::new(numbers(), config.funplay_working)),
                speaking,
                asked,
                park: config.park,
                pending: AtomicUsize::new(0),
            }),
        }
    }
}

impl route::Dialect for Funplay {
    fn name(&self) -> run::Dialect {
        run::Dialect::Funplay
    }

    fn takes(&self, _: &Method, path: &str) -> bool {
        path.starts_with(PREFIX)
    }

    fn admits(&self, head: &Parts) -> Result<(), Box<Answer>> {
        let presented = head.headers.get(header::TOKEN);
        match presented.is_some_and(|token| self.token.matches(token.as_bytes())) {
            true => Ok(()),
            false => Err(Box::new(says(StatusCode::FORBIDDEN))),
        }
    }

    /// The plugin refuses by itself to run a flagged call again.
    fn ask(&self, request: &Message) -> Option<Ask> {
        let is_call = request.method() == Some(funplay::CALL);
        Some(match is_call {
            true => Ask::default().replay(Replay::HostGuards),
            false => Ask::default(),
        })
    }

    fn answer(&self, call: HostCall) -> BoxFuture<'static, Answer> {
        let plane = self.plane.clone();
        async move { plane.answer(call).await }.boxed()
    }
}

impl Plane {
    async fn answer(&self, call: HostCall) -> Answer {
        let Some(verb) = Verb::of(call.head.uri.path()) else {
            return says(StatusCode::NOT_FOUND);
        };
        if call.head.method != verb.method() {
            let mut answer = says(StatusCode::METHOD_NOT_ALLOWED);
            let allow = HeaderValue::from_static(verb.method());
            answer.headers_mut().insert(http::header::ALLOW, allow);
            return answer;
        }
        let session = text(&call, header::SESSION);
        match verb {
            Verb::Health => self.health(&call.hub),
            Verb::Attach => self.attach(&call, session),
            Verb::Pull => self.pull(&call, session).await,
            Verb::Push => self.push(&call, session),
            Verb::Detach => {
                self.desk.act(&call.hub, |desk, broker, now| {
                    desk.detach(broker, now, session)
                });
                says(StatusCode::OK)
            }
            Verb::Shutdown => {
                tracing::info!("the plugin wants the broker to end");
                self.asked.send_replace(true);
                says(StatusCode::OK)
            }
        }
    }

    /// Waits for nobody.
    fn health(&self, hub: &Hub) -> Answer {
        let pending = match hub.pending() {
            Some(pending) => {
                self.pending.store(pending, Ordering::Relaxed);
                pending
            }
            None => self.pending.load(Ordering::Relaxed),
        };
        of(
            StatusCode::OK,
            Reply::full(funplay::health(std::process::id(), pending)),
        )
    }

    fn attach(&self, call: &HostCall, session: &str) -> Answer {
        let attached = self.desk.act(&call.hub, |desk, broker, now| {
            desk.attach(broker, now, session)
        });
        match attached {
            Ok(lease) => {
                if let Some(lease) = lease {
                    self.speaking.set(run::Dialect::Funplay);
                    call.conn.speaks_for(lease);
                }
                says(StatusCode::OK)
            }
            Err(refused) => refuses(&refused),
        }
    }

    async fn pull(&self, call: &HostCall, session: &str) -> Answer {
        let session = if session.is_empty() { UNKNOWN } else { session };
        let hub = &call.hub;
        let pulled = self
            .desk
            .act(hub, |desk, broker, now| desk.pull(broker, now, session));
        let lease = match pulled {
            Ok(lease) => lease,
            Err(refused) => return refuses(&refused),
        };
        self.speaking.set(run::Dialect::Funplay);
        call.conn.speaks_for(lease);
        // It waits for one answer at a time: an older one is no longer read.
        hub.unpark(lease);
        let write = |handed: &Handed| {
            let handout = handed.handouts().first()?;
            match self.desk.ask(|desk| desk.work(handout)) {
                Work::Give {
                    ticket,
                    number,
                    flagged,
                    body,
                } => {
                    let streams = ticket.is_some_and(|ticket| hub.takes_stream(ticket));
                    Some((number, flagged, streams, body))
                }
                Work::Refuse(ticket, answer) => {
                    hub.act(|broker, now| broker.answer(now, lease, ticket, answer));
                    None
                }
                Work::Skip => None,
            }
        };
        let Some(((number, flagged, streams, body), handed)) =
            next(hub, lease, self.park, write).await
        else {
            return says(StatusCode::NO_CONTENT);
        };
        let mut answer = of(StatusCode::OK, Reply::handed(Bytes::from(body), handed));
        let flag = |is: bool| HeaderValue::from_static(if is { "1" } else { "0" });
        for (name, value) in [
            (header::REQ_ID, HeaderValue::from(number)),
            (header::REDELIVERY, flag(flagged)),
            (header::ACCEPT_SSE, flag(streams)),
        ] {
            let name = HeaderName::from_static(name);
            answer.headers_mut().insert(name, value);
        }
        answer
    }

    fn push(&self, call: &HostCall, session: &str) -> Answer {
        let session = if session.is_empty() { UNKNOWN } else { session };
        let kind = text(call, header::CONTENT_TYPE);
        let kind = kind.split(';').next().unwrap_or_default().trim_ascii();
        let push = Push {
            number: text(call, header::REQ_ID),
            is_stream: kind.eq_ignore_ascii_case("text/event-stream"),
            body: &call.body,
        };
        let taken = self.desk.act(&call.hub, |desk, broker, now| {
            desk.push(broker, now, session, push)
        });
        says(match taken {
            true => StatusCode::OK,
            false => StatusCode::CONFLICT,
        })
    }
}

/// A header; empty where it is not there, or no text.
fn text<'a>(call: &'a HostCall, name: &str) -> &'a str {
    let value = call.head.headers.get(name);
    value
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
}

fn refuses(refused: &Refused) -> Answer {
    tracing::debug!(why = refused.message, "a plugin was refused");
    let mut answer = says(answer::status(refused.error.status()));
    if let Some(wait) = refused.retry_after_ms {
        let seconds = HeaderValue::from(wait.div_ceil(1_000));
        answer.headers_mut().insert(RETRY_AFTER, seconds);
    }
    answer
}

/// A status, and whether all is well.
fn says(status: StatusCode) -> Answer {
    of(
        status,
        Reply::full(match status {
            StatusCode::NO_CONTENT => "",
            StatusCode::OK => r#"{"ok":true}"#,
            _ => r#"{"ok":false}"#,
        }),
    )
}

fn of(status: StatusCode, body: Reply) -> Answer {
    let mut answer = Answer::new(body);
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    let version = HeaderValue::from_static(funplay::PROTOCOL);
    headers.insert(HeaderName::from_static(header::BROKER), version);
    if status != StatusCode::NO_CONTENT {
        let json = HeaderValue::from_static("application/json; charset=utf-8");
        headers.insert(CONTENT_TYPE, json);
    }
    answer
}
