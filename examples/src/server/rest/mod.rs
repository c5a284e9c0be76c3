//! REST, for scripts: what the Python server (10.3.0) has at these paths, through the same calls as MCP's.
//!
//! | request | answer |
//! |---|---|
//! | `GET /api/instances` | the editors |
//! | `POST /api/command` | `{type, params?, unity_instance?}` → the editor's envelope as it came |
//! | `GET /api/custom-tools[?instance=]` | the tools that a project defines itself |
//! | `GET /api/auth/login-url` | where users get their keys |
//! | `POST /register-tools` | refused: plugins say their tools over their own connection |
//!
//! A page of a browser reaches none of it: the gate has refused it by its `Host`, its `Origin` or its `Content-Type`.
#![expect(clippy::disallowed_methods, reason = "a shell that bounds its waiting")]

mod command;
mod custom;
mod instances;

use super::http::reply::{Body, json, refused};
use super::http::{MAX_BODY, Tenant};
use crate::calls::Caller;
use command::{Status, read};
use http::header::{self, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use mcp_transport_core::Ending;
use serde_json::{Value, json};
use std::time::{Duration, SystemTime};
use tokio_util::sync::CancellationToken;

pub(super) const LOGIN_URL: &str = "/api/auth/login-url";
pub(super) const REGISTER_TOOLS: &str = "/register-tools";

/// How long a body may take to arrive.
const BODY: Duration = Duration::from_secs(30);

/// Answers a request to one of the paths above, or beside them.
pub(super) async fn answer(tenant: &Tenant, request: Request<Incoming>) -> Response<Body> {
    let path = request.uri().path();
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    match path {
        "/api/instances" if reads => instances(tenant),
        "/api/custom-tools" if reads => {
            let wanted = request.uri().query().and_then(command::instance);
            custom::list(tenant.calls(), &caller(), wanted.as_deref()).await
        }
        "/api/command" if request.method() == Method::POST => command(tenant, request).await,
        "/api/instances" | "/api/custom-tools" => wrong_method("GET"),
        "/api/command" => wrong_method("POST"),
        REGISTER_TOOLS => {
            let why = "Tools are registered by the editor's plugin, over its own connection; nobody else may replace what a tool means.";
            json(StatusCode::NOT_FOUND, &failed(why))
        }
        _ => {
            let what = "Here are GET /api/instances, POST /api/command, GET /api/custom-tools and GET /api/auth/login-url.";
            json(StatusCode::NOT_FOUND, &failed(what))
        }
    }
}

/// Where users get their keys: the one path of these that a hosted server has, too.
pub(super) fn login_url(method: &Method, url: Option<&str>) -> Response<Body> {
    match url {
        _ if !matches!(*method, Method::GET | Method::HEAD) => wrong_method("GET"),
        Some(url) => json(StatusCode::OK, &json!({"success": true, "login_url": url})),
        None => {
            let why = "Nobody said where keys are managed: ask whoever runs this server (--api-key-login-url).";
            json(StatusCode::NOT_FOUND, &failed(why))
        }
    }
}

fn instances(tenant: &Tenant) -> Response<Body> {
    let editors = tenant.calls().hub().snapshot();
    let now = tokio::time::Instant::now().into_std();
    json(
        StatusCode::OK,
        &instances::listed(now, SystemTime::now(), &editors),
    )
}

async fn command(tenant: &Tenant, request: Request<Incoming>) -> Response<Body> {
    let body = Limited::new(request.into_body(), MAX_BODY).collect();
    let body = match tokio::time::timeout(BODY, body).await {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            return refused(413, "refused: the body is larger than 16 MiB");
        }
        Ok(Err(error)) => return refused(400, &format!("the body broke off: {error}")),
        Err(_) => return refused(408, "the body did not arrive within 30 s"),
    };
    let command = match read(&body) {
        Ok(command) => command,
        Err(why) => return json(StatusCode::BAD_REQUEST, &failed(&why)),
    };
    if command.name == custom::EXECUTE {
        return custom::execute(tenant.calls(), &caller(), command).await;
    }
    match tenant.calls().raw(&caller(), command).await {
        Ok(envelope) => json(StatusCode::OK, &envelope),
        Err(ending) => ended(&ending),
    }
}

/// A client that hangs up drops the request's future, and with it the call. It has no session, so whoever knows an operation's
/// id may ask for its result.
fn caller() -> Caller {
    Caller::new(None, CancellationToken::new(), None, None)
}

/// A bad ending in the family's one shape, and in the Python server's as well: `success` and `error`.
fn ended(ending: &Ending) -> Response<Body> {
    let mut body = serde_json::to_value(ending).expect("an ending is text, flags and numbers");
    body["success"] = Value::Bool(false);
    body["error"] = Value::from(ending.message.clone());
    let Status(status) = Status::of(ending);
    let mut response = json(status, &body);
    if let Some(wait) = ending.retry_after_ms {
        let seconds = HeaderValue::from(wait.div_ceil(1_000));
        response.headers_mut().insert(header::RETRY_AFTER, seconds);
    }
    response
}

fn wrong_method(allowed: &'static str) -> Response<Body> {
    let why = format!("Use {allowed}.");
    let mut response = json(StatusCode::METHOD_NOT_ALLOWED, &failed(&why));
    response
        .headers_mut()
        .insert(header::ALLOW, HeaderValue::from_static(allowed));
    response
}

fn failed(why: &str) -> Value {
    json!({"success": false, "error": why})
}
