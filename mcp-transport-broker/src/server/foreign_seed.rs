//! The seed's two paths. All decisions are in [`foreign::seed`](crate::foreign::seed).

use super::answer::{self, Answer};
use super::body::Reply;
use super::config::ServerConfig;
use super::foreign::{Locked, Speaking, next, numbers};
use super::hub::Hub;
use super::route::{self, HostCall};
use crate::broker::{Ask, Lease};
use crate::foreign::seed::{PULL, PUSH, REQ_ID, Seed};
use crate::run;
use futures::future::{BoxFuture, FutureExt};
use http::header::{ALLOW, AUTHORIZATION, HeaderName, HeaderValue};
use http::request::Parts;
use http::{Method, StatusCode};
use mcp_transport_core::Message;
use mcp_transport_core::guard::Token;
use std::sync::Arc;
use std::time::Duration;

/// The dialect.
#[derive(Debug)]
pub(super) struct SeedHost {
    token: Token,
    /// Who presents no token is let in all the same.
    open: bool,
    plane: Arc<Plane>,
}

#[derive(Debug)]
struct Plane {
    desk: Arc<Locked<Seed>>,
    speaking: Speaking,
    park: Duration,
}

impl SeedHost {
    pub(super) fn new(config: &ServerConfig, speaking: Speaking) -> Self {
        let desk = Seed::new(numbers(), config.host_lease).redeliver(config.seed_redeliver);
        Self {
            token: config.token.token.clone(),
            open: config.allow_unauthenticated_host,
            plane: Arc::new(Plane {
                desk: Locked::new(desk),
                speaking,
                park: config.park,
            }),
        }
    }
}

impl route::Dialect for SeedHost {
    fn name(&self) -> run::Dialect {
        run::Dialect::Seed
    }

    fn takes(&self, _: &Method, path: &str) -> bool {
        path == PULL || path == PUSH
    }

    fn admits(&self, head: &Parts) -> Result<(), Box<Answer>> {
        let is_in = match head.headers.get(AUTHORIZATION) {
            None => self.open,
            Some(value) => bearer(value.as_bytes()).is_some_and(|token| self.token.matches(token)),
        };
        match is_in {
            true => Ok(()),
            false => Err(Box::new(says(StatusCode::UNAUTHORIZED))),
        }
    }

    fn ask(&self, _: &Message) -> Option<Ask> {
        Some(self.plane.desk.ask(|desk| desk.ask()))
    }

    fn answer(&self, call: HostCall) -> BoxFuture<'static, Answer> {
        let plane = self.plane.clone();
        async move { plane.answer(call).await }.boxed()
    }
}

impl Plane {
    async fn answer(&self, call: HostCall) -> Answer {
        match (call.head.uri.path(), &call.head.method) {
            (PULL, &Method::GET) => self.pull(&call).await,
            (PUSH, &Method::POST) => self.push(&call),
            (path, _) => {
                let mut answer = says(StatusCode::METHOD_NOT_ALLOWED);
                let allow = if path == PULL { "GET" } else { "POST" };
                answer
                    .headers_mut()
                    .insert(ALLOW, HeaderValue::from_static(allow));
                answer
            }
        }
    }

    async fn pull(&self, call: &HostCall) -> Answer {
        let hub = &call.hub;
        let lease = match self.desk.act(hub, Seed::parks) {
            Ok(lease) => lease,
            Err(refused) => {
                tracing::debug!(why = refused.message, "a host was refused");
                return says(answer::status(refused.error.status()));
            }
        };
        self.speaking.set(run::Dialect::Seed);
        let parked = Socket {
            hub,
            desk: &self.desk,
            lease,
            answered: false,
        };
        let got = next(hub, lease, self.park, |handed| {
            let handout = handed.handouts().first()?;
            self.desk.ask(|desk| desk.work(handout))
        })
        .await;
        parked.answered();
        let Some(((number, message), handed)) = got else {
            return answer::empty(StatusCode::NO_CONTENT);
        };
        let mut answer = answer::json_reply(200, Reply::handed(message.into_bytes(), handed));
        let name = HeaderName::from_static(REQ_ID);
        answer.headers_mut().insert(name, HeaderValue::from(number));
        answer
    }

    fn push(&self, call: &HostCall) -> Answer {
        let number = call.head.headers.get(REQ_ID);
        let number = number
            .and_then(|number| number.to_str().ok())
            .unwrap_or_default();
        let message = Message::from(call.body.clone());
        let taken = self.desk.act(&call.hub, |desk, broker, now| {
            desk.push(broker, now, number, message)
        });
        says(match taken {
            true => StatusCode::OK,
            false => StatusCode::CONFLICT,
        })
    }
}

/// The socket of a parked pull. It dies when it is dropped before it was answered.
struct Socket<'a> {
    hub: &'a Hub,
    desk: &'a Locked<Seed>,
    lease: Lease,
    answered: bool,
}

impl Socket<'_> {
    fn answered(mut self) {
        self.answered = true;
    }
}

impl Drop for Socket<'_> {
    fn drop(&mut self) {
        let (lease, answered) = (self.lease, self.answered);
        self.desk.act(self.hub, |desk, broker, now| {
            if answered {
                desk.unparked(broker, now, lease);
            } else {
                desk.died(broker, now, lease);
            }
        });
    }
}

/// The token of an `Authorization` header.
fn bearer(value: &[u8]) -> Option<&[u8]> {
    const SCHEME: &[u8] = b"bearer ";
    let (scheme, token) = value.split_at_checked(SCHEME.len())?;
    scheme
        .eq_ignore_ascii_case(SCHEME)
        .then_some(token.trim_ascii())
}

/// A status, and whether all is well.
fn says(status: StatusCode) -> Answer {
    let body = match status {
        StatusCode::OK => r#"{"ok":true}"#,
        _ => r#"{"ok":false}"#,
    };
    answer::json(status.as_u16(), body)
}
