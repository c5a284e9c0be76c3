//! The Funplay plugin (0.6.2) as bytes on sockets: what its transport sends, in its order, with its
//! time-outs; an editor around it that reloads and crashes; and its parser.

use super::parser;
use crate::server_support::{PATIENCE, Raw, Response};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

const PULL: Duration = Duration::from_secs(35);
const PUSH: Duration = Duration::from_secs(30);
const ATTACH: Duration = Duration::from_secs(1);
const DETACH: Duration = Duration::from_millis(750);
const BACK_OFF: Duration = Duration::from_millis(500);

/// What outlives the plugin's code: the project, and what tools did to it.
#[derive(Clone, Debug)]
pub struct Editor {
    pub port: u16,
    pub token: String,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    runs: Vec<Run>,
    /// A change of the tools, to be told with the next answer.
    is_changed: bool,
}

/// One request that the handler saw.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    pub method: String,
    pub arguments: Value,
    pub redelivery: bool,
}

/// One life of the plugin's code.
#[derive(Debug)]
pub struct Plugin {
    pub editor: Editor,
    pub session: String,
    polling: JoinHandle<()>,
}

/// What a pull got.
#[derive(Debug)]
pub struct Pulled {
    pub number: String,
    pub redelivery: bool,
    pub accepts_sse: bool,
    pub body: String,
}

impl Editor {
    pub fn new(port: u16, token: &str) -> Self {
        Self {
            port,
            token: token.to_owned(),
            state: Arc::default(),
        }
    }

    pub fn runs(&self) -> Vec<Run> {
        self.state.lock().unwrap().runs.clone()
    }

    /// The tools that took effect, by the `n` of their arguments.
    pub fn effects(&self) -> Vec<i64> {
        let runs = self.runs();
        let runs = runs.iter().filter(|run| run.method == "tools/call");
        runs.filter(|run| !run.redelivery)
            .filter_map(|run| run.arguments["n"].as_f64())
            .map(|n| n as i64)
            .collect()
    }

    pub fn changes_its_tools(&self) {
        self.state.lock().unwrap().is_changed = true;
    }

    /// A new life: a new session, attached within a second.
    pub async fn load(&self) -> Option<Plugin> {
        let session = session();
        if self.post("attach", &session, ATTACH).await? != 200 {
            return None;
        }
        let polling = tokio::spawn(poll(self.clone(), session.clone()));
        Some(Plugin {
            editor: self.clone(),
            session,
            polling,
        })
    }

    /// As the editor does for five minutes, on each of its updates.
    pub async fn loads(&self) -> Plugin {
        timeout(PATIENCE, async {
            loop {
                match self.load().await {
                    Some(plugin) => return plugin,
                    None => sleep(Duration::from_millis(20)).await,
                }
            }
        })
        .await
        .expect("an attach in time")
    }

    async fn post(&self, what: &str, session: &str, patience: Duration) -> Option<u16> {
        let post = async {
            let mut raw = Raw::to(self.port).await;
            raw.write(format!(
                "POST /_funplay/broker/{what} HTTP/1.1\r\n{}Content-Length: 0\r\n{}",
                self.names(session),
                self.tail(),
            ))
            .await;
            raw.response().await.status
        };
        timeout(patience, post).await.ok()
    }

    pub async fn detach(&self, session: &str) -> Option<u16> {
        self.post("detach", session, DETACH).await
    }

    pub async fn attach(&self, session: &str) -> Option<u16> {
        self.post("attach", session, ATTACH).await
    }

    /// A pull under way, not waited for.
    pub async fn pulling(&self, session: &str) -> Raw {
        let mut raw = Raw::to(self.port).await;
        raw.write(format!(
            "GET /_funplay/broker/pull HTTP/1.1\r\n{}{}",
            self.names(session),
            self.tail(),
        ))
        .await;
        raw
    }

    /// One pull. `Ok(None)`: there was nothing. `Err`: the plugin backs off.
    pub async fn pull(&self, session: &str) -> Result<Option<Pulled>, u16> {
        let mut raw = self.pulling(session).await;
        let response = timeout(PULL, raw.response()).await.map_err(|_| 0_u16)?;
        pulled(&response)
    }

    /// One push: the body follows the head at once, whatever it expects.
    pub async fn push(&self, session: &str, number: &str, kind: Option<&str>, body: &str) -> u16 {
        let push = async {
            let mut raw = Raw::to(self.port).await;
            let kind = kind.map_or(String::new(), |kind| {
                format!("X-Funplay-Broker-Content-Type: {kind}\r\n")
            });
            raw.write(format!(
                "POST /_funplay/broker/push HTTP/1.1\r\n\
                 Content-Type: application/json; charset=utf-8\r\n{}\
                 X-Funplay-Broker-ReqId: {number}\r\n{kind}Content-Length: {}\r\n\
                 Expect: 100-continue\r\n{}",
                self.names(session),
                body.len(),
                self.tail(),
            ))
            .await;
            sleep(Duration::from_millis(1)).await;
            raw.write(body).await;
            loop {
                let response = raw.response().await;
                if response.status != 100 {
                    return response.status;
                }
            }
        };
        timeout(PUSH, push).await.unwrap_or(0)
    }

    fn names(&self, session: &str) -> String {
        format!(
            "X-Funplay-Broker-Token: {}\r\nX-Funplay-Broker-Session: {session}\r\n",
            self.token
        )
    }

    /// Mono's `HttpWebRequest` says these last.
    fn tail(&self) -> String {
        format!("Connection: close\r\nHost: 127.0.0.1:{}\r\n\r\n", self.port)
    }

    /// What the handler makes of a request, and whether a change may be told with it.
    async fn handle(&self, pulled: &Pulled) -> (Value, bool) {
        let request = parser::parse(&pulled.body);
        let id = request["id"].clone();
        let error = |id, code: i64, text: &str| json!({"jsonrpc": "2.0", "id": id, "error": {"code": code, "message": text}});
        let Some(method) = request["method"].as_str() else {
            let text = "MCP server is stopping or not ready.";
            return (error(Value::Null, -32000, text), false);
        };
        let arguments = request["params"]["arguments"].clone();
        self.state.lock().unwrap().runs.push(Run {
            method: method.to_owned(),
            arguments: arguments.clone(),
            redelivery: pulled.redelivery,
        });
        let text = |text: &str| json!({"content": [{"type": "text", "text": text}]});
        let result = match method {
            _ if method.starts_with("notifications/") => {
                let accepted = json!({"jsonrpc": "2.0", "id": id, "result": text("Accepted.")});
                return (accepted, false);
            }
            "tools/call" if pulled.redelivery => {
                let mut result = text("was interrupted by a reload; it was not re-run");
                result["isError"] = json!(true);
                result
            }
            "tools/call" => {
                let wait = arguments["ms"].as_f64().unwrap_or_default();
                sleep(Duration::from_secs_f64(wait / 1_000.0)).await;
                json!({"content": [], "echo": arguments})
            }
            "initialize" | "tools/list" => json!({"tools": []}),
            _ => return (error(id, -32601, "Method not found"), true),
        };
        let answer = json!({"jsonrpc": "2.0", "id": id, "result": result});
        (answer, method != "initialize")
    }
}

impl Plugin {
    /// The code unloads: its parked pull is cut, then it says so.
    pub async fn unload(self) {
        self.polling.abort();
        let _ = self.polling.await;
        self.editor.detach(&self.session).await;
    }

    /// The process is gone, and its sockets with it.
    pub async fn crash(self) -> Editor {
        self.polling.abort();
        let _ = self.polling.await;
        self.editor
    }
}

/// Pull, run, push, and again: one at a time.
async fn poll(editor: Editor, session: String) {
    loop {
        match editor.pull(&session).await {
            Ok(Some(pulled)) => {
                let (answer, may_tell) = editor.handle(&pulled).await;
                let answer = parser::serialise(&answer);
                let tells = may_tell
                    && pulled.accepts_sse
                    && std::mem::take(&mut editor.state.lock().unwrap().is_changed);
                if tells {
                    let change = r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#;
                    let body = format!("data: {change}\n\ndata: {answer}\n\n");
                    let kind = Some("text/event-stream");
                    editor.push(&session, &pulled.number, kind, &body).await;
                } else {
                    // What fails is logged, and never tried again.
                    editor.push(&session, &pulled.number, None, &answer).await;
                }
            }
            Ok(None) => {}
            Err(_) => sleep(BACK_OFF).await,
        }
    }
}

pub fn pulled(response: &Response) -> Result<Option<Pulled>, u16> {
    match response.status {
        204 => Ok(None),
        200 => {
            let number = response.header("x-funplay-broker-reqid");
            let number = number.filter(|number| number.parse::<i64>().is_ok_and(|n| n > 0));
            Ok(Some(Pulled {
                number: number.ok_or(200_u16)?.to_owned(),
                redelivery: response.header("x-funplay-broker-redelivery") == Some("1"),
                accepts_sse: response.header("x-funplay-broker-accept-sse") == Some("1"),
                body: response.text(),
            }))
        }
        other => Err(other),
    }
}

/// A name like a GUID without dashes.
pub fn session() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    format!("{:032x}", NEXT.fetch_add(1, Ordering::Relaxed))
}
