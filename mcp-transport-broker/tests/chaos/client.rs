//! A client process: connections of both eras, each with one call after the other. It writes down
//! what it asks before it asks, and what became of it.

use crate::actor::Told;
use crate::ledger::Pen;
use crate::server_support::modern;
use bytes::Bytes;
use futures::future::join_all;
use http::{HeaderMap, Request};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

/// Longer than a queue without a host holds whoever asked for no progress: no call takes this long
/// but one that nobody will ever answer.
const HANGS: Duration = Duration::from_secs(55);

const LEGACY: &str = "2025-11-25";

struct Client {
    told: Told,
    ledger: Pen,
    number: AtomicU64,
    over: AtomicBool,
}

pub(crate) async fn run(told: Told, until: impl Future<Output = ()>) {
    let client = Arc::new(Client {
        ledger: Pen::on(&told.file),
        told,
        number: AtomicU64::new(0),
        over: AtomicBool::new(false),
    });
    let lanes = (0..6).map(|lane| {
        let client = Arc::clone(&client);
        tokio::spawn(async move {
            let mut lane = Lane::of(client, lane % 3 == 2);
            lane.run().await;
        })
    });
    let lanes: Vec<_> = lanes.collect();
    until.await;
    client.over.store(true, Ordering::Relaxed);
    for lane in join_all(lanes).await {
        lane.unwrap();
    }
}

/// One connection at a time, and on it one request at a time.
struct Lane {
    client: Arc<Client>,
    is_legacy: bool,
    session: Option<String>,
    connection: Option<SendRequest<Full<Bytes>>>,
}

/// A request, as far as both eras agree.
struct Asked {
    number: u64,
    key: String,
    method: &'static str,
    params: Value,
}

enum Heard {
    Answer(http::StatusCode, HeaderMap, Value),
    /// The connection ended, which says that nobody knows.
    End,
    Nothing,
}

impl Lane {
    const fn of(client: Arc<Client>, is_legacy: bool) -> Self {
        Self {
            client,
            is_legacy,
            session: None,
            connection: None,
        }
    }

    async fn run(&mut self) {
        while !self.client.over.load(Ordering::Relaxed) {
            if !self.is_connected().await {
                sleep(Duration::from_millis(5)).await;
                continue;
            }
            let begins = self.is_legacy && self.session.is_none();
            let asked = self.next(begins);
            let line = |what: &str| format!("{} {} {what}", self.client.told.life, asked.key);
            self.client
                .ledger
                .write(&line(&format!("asked {}", asked.method)));
            let heard = self.ask(&asked).await;
            let said = verdict(&heard, &asked);
            self.client
                .ledger
                .write(&format!("{} {} {said}", self.client.told.life, asked.key));
            match heard {
                Heard::Answer(status, headers, _) if begins && status == 200 => {
                    let id = headers.get("mcp-session-id");
                    self.session = id.map(|id| id.to_str().unwrap().to_owned());
                    self.initialized().await;
                }
                Heard::Answer(status, ..) if status == 404 => self.session = None,
                Heard::Answer(..) => {}
                Heard::End | Heard::Nothing => self.connection = None,
            }
            sleep(Duration::from_millis(fastrand::u64(..10))).await;
        }
    }

    async fn is_connected(&mut self) -> bool {
        if self.connection.as_ref().is_some_and(|it| !it.is_closed()) {
            return true;
        }
        self.connection = None;
        let Ok(stream) = TcpStream::connect(("127.0.0.1", self.client.told.port)).await else {
            return false;
        };
        let Ok((sender, connection)) = handshake(TokioIo::new(stream)).await else {
            return false;
        };
        tokio::spawn(connection);
        self.connection = Some(sender);
        true
    }

    fn next(&self, begins: bool) -> Asked {
        let number = self.client.number.fetch_add(1, Ordering::Relaxed);
        let key = format!("{}-{number}", self.client.told.life);
        let (method, params) = if begins {
            let info = json!({"name": "chaos", "version": "1"});
            let params = json!({"protocolVersion": LEGACY, "capabilities": {}, "clientInfo": info});
            ("initialize", params)
        } else if fastrand::u8(..4) == 0 {
            ("resources/read", json!({"uri": format!("chaos:{key}")}))
        } else {
            ("tools/call", json!({"name": key, "arguments": {}}))
        };
        Asked {
            number,
            key,
            method,
            params,
        }
    }

    async fn ask(&mut self, asked: &Asked) -> Heard {
        let (headers, body) = if self.is_legacy {
            let body = json!({"jsonrpc": "2.0", "id": asked.number, "method": asked.method,
                "params": asked.params});
            (self.session_headers(), body.to_string())
        } else {
            modern(asked.number, asked.method, asked.params.clone())
        };
        self.post(headers, body).await
    }

    async fn initialized(&mut self) {
        let body = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
        self.post(self.session_headers(), body.to_string()).await;
    }

    fn session_headers(&self) -> Vec<(String, String)> {
        let mut headers = vec![("MCP-Protocol-Version".to_owned(), LEGACY.to_owned())];
        headers.extend(
            self.session
                .clone()
                .map(|id| ("Mcp-Session-Id".to_owned(), id)),
        );
        headers
    }

    async fn post(&mut self, headers: Vec<(String, String)>, body: String) -> Heard {
        let mut request = Request::post("/mcp")
            .header("Host", format!("127.0.0.1:{}", self.client.told.port))
            .header("Content-Type", "application/json")
            .header("Accept", "application/json, text/event-stream");
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let request = request.body(Full::from(body)).unwrap();
        let Some(connection) = &mut self.connection else {
            return Heard::End;
        };
        let answered = async {
            let response = connection.send_request(request).await?;
            let (head, body) = response.into_parts();
            let body = body.collect().await?.to_bytes();
            Ok::<_, hyper::Error>(Heard::Answer(head.status, head.headers, message(&body)))
        };
        match timeout(HANGS, answered).await {
            Ok(heard) => heard.unwrap_or(Heard::End),
            Err(_) => Heard::Nothing,
        }
    }
}

/// The answer, be it the body or the last event of a stream.
fn message(body: &[u8]) -> Value {
    let text = String::from_utf8_lossy(body);
    let events = text.lines().filter_map(|line| line.strip_prefix("data:"));
    let answer = events
        .filter_map(|data| serde_json::from_str::<Value>(data).ok())
        .rfind(|data| data.get("id").is_some());
    answer.unwrap_or_else(|| serde_json::from_str(&text).unwrap_or_default())
}

fn verdict(heard: &Heard, asked: &Asked) -> String {
    let (status, answer) = match heard {
        Heard::Answer(status, _, answer) => (status, answer),
        Heard::End => return "ended".to_owned(),
        Heard::Nothing => return "hung".to_owned(),
    };
    if let Some(outcome) = answer["error"]["data"]["outcome"].as_str() {
        return outcome.to_owned();
    }
    let result = &answer["result"];
    let said = match asked.method {
        "tools/call" => &result["content"][0]["text"],
        "resources/read" => &result["contents"][0]["text"],
        _ if result.is_object() => return "answered".to_owned(),
        _ => &Value::Null,
    };
    if answer["id"] == asked.number && *said == asked.key {
        "answered".to_owned()
    } else if *status == 404 {
        "refused".to_owned()
    } else {
        format!("wrong: {status} {answer}")
    }
}
