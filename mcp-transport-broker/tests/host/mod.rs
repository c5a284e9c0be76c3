//! A broker that does what the test says: it grants leases, hands out what it is given, and keeps
//! what it hears.

#![allow(
    clippy::unwrap_used,
    dead_code,
    unreachable_pub,
    reason = "each test uses a part of it"
)]

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use mcp_transport_broker::host::{BrokerClient, BrokerListener, Builder};
use mcp_transport_broker::native::{Attach, Detach, Pull, Push, Said, proof};
use mcp_transport_core::{Error, ErrorKind, Listener, Message};
use serde_json::{Value, json};
use std::collections::{HashMap, VecDeque};
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::io::DuplexStream;
use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep, timeout_at};

pub const TOKEN: &str = "0123456789abcdef0123456789abcdef";

#[derive(Clone)]
pub struct Scripted {
    inner: Arc<Mutex<Inner>>,
    changed: Arc<Notify>,
}

impl Default for Scripted {
    fn default() -> Self {
        let inner = Inner {
            token: TOKEN.to_owned(),
            ..Inner::default()
        };
        Self {
            inner: Arc::new(Mutex::new(inner)),
            changed: Arc::default(),
        }
    }
}

#[derive(Default)]
pub struct Inner {
    /// By which it proves itself.
    pub token: String,
    pub attaches: Vec<Attach>,
    pub detaches: Vec<Detach>,
    pub pushed: Vec<Said>,
    pub pushes: usize,
    pub combined: usize,
    pub pings: Vec<Instant>,
    pub parked: usize,
    /// The next answers to these paths.
    pub refusals: HashMap<String, VecDeque<(u16, Value)>>,
    /// What the next leases say of the former one.
    pub coming: Option<Vec<u64>>,
    /// Whether answers to pushes are lost from now on.
    pub loses_pushes: bool,
    pub is_away: bool,
    /// The largest body that it takes.
    pub most: Option<usize>,
    given: VecDeque<Value>,
    lease: u64,
    seq: u64,
    /// One item per handing out.
    pub one_by_one: bool,
    connections: Vec<AbortHandle>,
}

impl Scripted {
    pub fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap()
    }

    /// A listener over pipes.
    pub fn builder(&self) -> Builder {
        let broker = self.clone();
        BrokerListener::builder("http://127.0.0.1:8765")
            .token(TOKEN)
            .dial_with(move || {
                let broker = broker.clone();
                async move { broker.dial() }
            })
    }

    pub fn attach(&self) -> BrokerListener {
        self.builder().attach().unwrap()
    }

    fn dial(&self) -> Result<DuplexStream, Error> {
        if self.inner().is_away {
            return Err(Error::new(ErrorKind::Unreachable));
        }
        let (theirs, ours) = tokio::io::duplex(64 * 1024);
        let broker = self.clone();
        let serving = tokio::spawn(async move {
            let service =
                service_fn(|request| async { Ok::<_, Infallible>(broker.answer(request).await) });
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(ours), service)
                .await;
        });
        self.inner().connections.push(serving.abort_handle());
        Ok(theirs)
    }

    /// Breaks every connection, as a crash does.
    pub fn crash(&self) {
        self.inner().connections.drain(..).for_each(|it| it.abort());
    }

    /// Hands out items.
    pub fn give(&self, items: impl IntoIterator<Item = Value>) {
        self.inner().given.extend(items);
        self.changed.notify_waiters();
    }

    pub fn refuse(&self, path: &str, status: u16, body: Value) {
        let mut inner = self.inner();
        let refusals = inner.refusals.entry(path.to_owned()).or_default();
        refusals.push_back((status, body));
    }

    /// Waits until this holds.
    pub async fn until(&self, what: &str, holds: impl Fn(&Inner) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let changed = self.changed.notified();
            if holds(&self.inner()) {
                return;
            }
            // A pause as well, since a test may change what it looks at itself.
            let pause = (Instant::now() + Duration::from_millis(20)).min(deadline);
            let _ = timeout_at(pause, changed).await;
            assert!(Instant::now() < deadline, "never came true: {what}");
        }
    }

    pub async fn is_pulled(&self) {
        self.until("a pull is parked", |inner| inner.parked > 0)
            .await;
    }

    /// The answer to this ticket, once it is pushed.
    pub async fn answer_to(&self, ticket: u64) -> Value {
        let is_it = |said: &Said| said.ticket == Some(ticket);
        self.until("an answer", |inner| inner.pushed.iter().any(is_it))
            .await;
        let inner = self.inner();
        let said = inner.pushed.iter().find(|said| is_it(said)).unwrap();
        serde_json::from_str(said.message.as_ref().unwrap().get()).unwrap()
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let path = request.uri().path().strip_prefix("/_broker/v1/");
        let path = path.expect("the prefix").to_owned();
        if path == "hello" {
            let nonce = request
                .uri()
                .query()
                .unwrap()
                .strip_prefix("nonce=")
                .unwrap();
            assert!(!request.headers().contains_key("authorization"));
            let proof = proof(&self.inner().token, 8765, nonce);
            return respond(
                200,
                json!({"name": "mcp-broker", "version": "0", "protocols": [1], "pid": 1,
                    "proof": proof}),
            );
        }
        let authorization = request.headers()["authorization"]
            .to_str()
            .unwrap()
            .to_owned();
        let lease = request.headers().get("mcp-broker-lease");
        let lease = lease.map(|lease| lease.to_str().unwrap().to_owned());
        assert_eq!(request.headers()["host"], "127.0.0.1:8765");
        assert_eq!(request.headers()["content-type"], "application/json");
        let body = request.into_body().collect().await.unwrap().to_bytes();
        let refusal = self
            .inner()
            .refusals
            .get_mut(&path)
            .and_then(VecDeque::pop_front);
        let most = self.inner().most.unwrap_or(usize::MAX);
        let answer = match refusal {
            _ if body.len() > most => respond(413, json!({"error": "too_large", "message": ""})),
            Some((status, body)) => respond(status, body),
            None if authorization != format!("Bearer {TOKEN}") => respond(
                401,
                json!({"error": "unauthorized", "message": "wrong token"}),
            ),
            None => self.heard(&path, lease.as_deref(), &body).await,
        };
        self.changed.notify_waiters();
        answer
    }

    async fn heard(&self, path: &str, lease: Option<&str>, body: &[u8]) -> Response<Full<Bytes>> {
        let current = self.inner().lease.to_string();
        if path != "attach" && lease != Some(&current) {
            return over("unknown");
        }
        match path {
            "attach" => respond(200, self.granted(serde_json::from_slice(body).unwrap())),
            "ping" => {
                self.inner().pings.push(Instant::now());
                respond(200, json!({}))
            }
            "detach" => {
                let detach = serde_json::from_slice(body).unwrap();
                let mut inner = self.inner();
                inner.detaches.push(detach);
                inner.lease += 1;
                respond(200, json!({}))
            }
            "pull" => {
                self.pulled(&current, serde_json::from_slice(body).unwrap())
                    .await
            }
            "push" => {
                let push: Push = serde_json::from_slice(body).unwrap();
                let pull = push.pull;
                if self.inner().loses_pushes {
                    return std::future::pending().await;
                }
                {
                    let mut inner = self.inner();
                    inner.pushed.extend(push.items);
                    inner.pushes += 1;
                    inner.combined += usize::from(pull.is_some());
                }
                self.changed.notify_waiters();
                match pull {
                    Some(pull) => self.pulled(&current, pull).await,
                    None => respond(200, json!({})),
                }
            }
            other => panic!("nobody asks for {other}"),
        }
    }

    fn granted(&self, attach: Attach) -> Value {
        let mut inner = self.inner();
        inner.attaches.push(attach);
        inner.lease += 1;
        inner.seq = 0;
        inner.parked = 0;
        let former = inner
            .coming
            .as_ref()
            .map(|coming| json!({"coming": coming}));
        json!({
            "lease": inner.lease.to_string(), "ping_ms": 5000, "silence_ms": 10000,
            "broker": {"name": "scripted", "version": "0", "pid": 1}, "former": former
        })
    }

    async fn pulled(&self, lease: &str, pull: Pull) -> Response<Full<Bytes>> {
        let due = Instant::now() + Duration::from_millis(pull.wait_ms);
        self.inner().parked += 1;
        self.changed.notify_waiters();
        loop {
            let changed = self.changed.notified();
            {
                let mut inner = self.inner();
                if inner.lease.to_string() != lease {
                    return over("detached");
                }
                if !inner.given.is_empty() {
                    let most = if inner.one_by_one { 1 } else { pull.max };
                    let most = most.min(inner.given.len());
                    let items: Vec<_> = inner.given.drain(..most).collect();
                    inner.seq += 1;
                    inner.parked -= 1;
                    return respond(200, json!({"seq": inner.seq, "items": items}));
                }
            }
            if timeout_at(due, changed).await.is_err() {
                self.inner().parked -= 1;
                return respond(200, json!({"items": []}));
            }
        }
    }
}

fn over(reason: &str) -> Response<Full<Bytes>> {
    respond(
        409,
        json!({"error": "lease_over", "message": "attach again", "reason": reason}),
    )
}

fn respond(status: u16, body: Value) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body.to_string())));
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    response
}

pub fn request(ticket: u64, client: &str, id: u64) -> Value {
    json!({"ticket": ticket, "client": client, "message": {"jsonrpc": "2.0", "id": id,
        "method": "tools/call", "params": {"name": format!("t{ticket}")}}})
}

/// As the first item of a client.
pub fn met(mut item: Value, era: &str, version: &str) -> Value {
    item["meet"] = json!({"era": era, "version": version});
    item
}

pub fn legacy(item: Value) -> Value {
    met(item, "legacy", "2025-11-25")
}

pub fn modern(item: Value) -> Value {
    met(item, "modern", "2026-07-28")
}

pub fn tell(client: &str, method: &str) -> Value {
    json!({"client": client, "message": {"jsonrpc": "2.0", "method": method}})
}

pub fn answer(request: &Message) -> Message {
    let id = request.id().expect("a request");
    Message::response(id, json!({"echo": request.params()})).unwrap()
}

pub async fn accept(clients: &mut BrokerListener) -> BrokerClient {
    clients.accept().await.unwrap()
}

pub async fn pause(millis: u64) {
    sleep(Duration::from_millis(millis)).await;
}
