//! Asks who has the port, and answers who asks us.
#![expect(
    clippy::disallowed_methods,
    reason = "the shell that waits for an answer, and not for ever"
)]

use super::decide::{Asked, HOSTS};
use super::proof::{self, At, Hello, NAME, PATH};
use crate::server::{behind, health};
use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::rt::TokioIo;
use mcp_transport_broker::launch::{default_state_dir, read_or_make_token, read_token};
use mcp_transport_core::loopback;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::task::spawn_blocking;

/// How long somebody who accepts has for an answer. One of ours takes less than a millisecond.
const PATIENCE: Duration = Duration::from_secs(2);

/// What an answer may have.
const MAX_ANSWER: usize = 64 * 1024;

/// Who answers at either address of this port?
pub(super) async fn ask(port: u16) -> [Asked; 2] {
    let [v4, v6] = HOSTS;
    // An answer of ours settles it: the other address need not be asked.
    let first = ask_at(v4, port).await;
    let second = match &first {
        Asked::Ours(_) | Asked::Broker { .. } => Asked::Nobody,
        _ => ask_at(v6, port).await,
    };
    [first, second]
}

async fn ask_at(host: &'static str, port: u16) -> Asked {
    let challenge = Challenge::new().await;
    let asked = challenged(host, port, &challenge).await;
    challenge.over().await;
    asked
}

async fn challenged(host: &'static str, port: u16, challenge: &Challenge) -> Asked {
    let path = format!("{PATH}?challenge={}", challenge.name);
    match get(host, port, &path).await {
        Err(NotThere) => Asked::Nobody,
        Ok((200, body)) if is_hello(&body) => {
            let hello: Hello = serde_json::from_slice(&body).expect("it was read before");
            let at = At { host, port };
            let secret = challenge.secret.as_deref().unwrap_or_default();
            if proof::is_proved(&hello, secret, at, &challenge.name) {
                Asked::Ours(hello)
            } else {
                Asked::Unproved(hello)
            }
        }
        Ok(_) => other(host, port).await,
    }
}

/// It is none of ours, or none that can be asked: a broker, the Python server, somebody else.
async fn other(host: &str, port: u16) -> Asked {
    if let Some(broker) = behind::find(port).await {
        return Asked::Broker {
            pid: broker.pid,
            has_server: broker.has_server,
        };
    }
    match get(host, port, "/health").await {
        Ok((200, body)) => by_health(&body),
        _ => Asked::Stranger,
    }
}

/// Ours says what the Python server does, for those who poll it, and who it is.
fn by_health(body: &[u8]) -> Asked {
    let Ok(said) = serde_json::from_slice::<serde_json::Value>(body) else {
        return Asked::Stranger;
    };
    if said["message"] != health::MESSAGE {
        return Asked::Stranger;
    }
    if said["server"] != NAME {
        return Asked::Python;
    }
    Asked::Unproved(Hello {
        name: NAME.to_owned(),
        version: said["version"].as_str().unwrap_or_default().to_owned(),
        pid: 0,
        proof: String::new(),
    })
}

fn is_hello(body: &[u8]) -> bool {
    serde_json::from_slice::<Hello>(body).is_ok_and(|hello| hello.name == NAME)
}

/// What to say to who asks `GET /hello` of the listener at this address.
pub(in crate::server) async fn answer(at: SocketAddr, query: Option<&str>) -> Hello {
    let version = env!("CARGO_PKG_VERSION");
    let host = if at.is_ipv4() { HOSTS[0] } else { HOSTS[1] };
    let at = At {
        host,
        port: at.port(),
    };
    let challenge = proof::challenge(query).unwrap_or_default();
    let path = proof::file(&default_state_dir(), challenge);
    let read = spawn_blocking(|| read_token(&path?).ok().flatten()).await;
    let secret = read.ok().flatten();
    Hello {
        name: NAME.to_owned(),
        version: version.to_owned(),
        pid: std::process::id(),
        proof: secret.map_or_else(String::new, |secret| {
            proof::prove(&secret, version, at, challenge)
        }),
    }
}

/// A secret in a file that only this user can read, for as long as this lives.
struct Challenge {
    name: String,
    /// `None` where no file could be made: then nobody can prove anything.
    secret: Option<String>,
    path: Option<PathBuf>,
}

impl Challenge {
    async fn new() -> Self {
        let name: String = random::<16>()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let path = proof::file(&default_state_dir(), &name);
        let mut challenge = Self {
            name,
            secret: None,
            path,
        };
        let Some(path) = challenge.path.clone() else {
            return challenge;
        };
        match spawn_blocking(move || read_or_make_token(&path, random)).await {
            Ok(Ok(secret)) => challenge.secret = Some(secret),
            Ok(Err(error)) => {
                tracing::warn!(%error, "who has the port cannot be asked for a proof")
            }
            Err(_) => {}
        }
        challenge
    }

    /// Nobody asks any more, and no file is left once this is done.
    async fn over(mut self) {
        if let Some(path) = self.path.take() {
            let _ = spawn_blocking(move || remove(&path)).await;
        }
    }
}

impl Drop for Challenge {
    /// For a question that nobody waits for any more. What the end of the process leaves is swept by the next server.
    fn drop(&mut self) {
        if let (Some(path), Ok(runtime)) = (self.path.take(), Handle::try_current()) {
            runtime.spawn_blocking(move || remove(&path));
        }
    }
}

fn remove(path: &Path) {
    let _ = std::fs::remove_file(path);
    // Others may have files there, and then it stays.
    let _ = path.parent().map(std::fs::remove_dir);
}

fn random<const N: usize>() -> [u8; N] {
    let mut random = [0; N];
    getrandom::fill(&mut random).expect("the system has random numbers");
    random
}

/// Nobody listens, or whoever did is leaving.
struct NotThere;

/// How often somebody is asked who ends the connection instead of answering, and how long they have to be gone. Whoever
/// leaves while being asked is nobody: a server that was killed, or that ends.
const TIMES: u32 = 3;
const LEAVING: Duration = Duration::from_millis(20);

/// The status and the body; status 0 for what is no HTTP, or says nothing.
async fn get(host: &str, port: u16, path: &str) -> Result<(u16, Bytes), NotThere> {
    for _ in 0..TIMES {
        let Ok(stream) = loopback::connect_host(host, port).await else {
            return Err(NotThere);
        };
        match tokio::time::timeout(PATIENCE, request(stream, host, port, path)).await {
            Ok(Some(answer)) => return Ok(answer),
            Ok(None) => tokio::time::sleep(LEAVING).await,
            Err(_) => break,
        }
    }
    Ok((0, Bytes::new()))
}

async fn request(
    stream: tokio::net::TcpStream,
    host: &str,
    port: u16,
    path: &str,
) -> Option<(u16, Bytes)> {
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .ok()?;
    let request = http::Request::get(path)
        .header(http::header::HOST, format!("{host}:{port}"))
        .header(http::header::CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .expect("a path of ours");
    let exchange = async {
        let response = sender.send_request(request).await.ok()?;
        let status = response.status().as_u16();
        let body = Limited::new(response.into_body(), MAX_ANSWER)
            .collect()
            .await
            .ok()?;
        Some((status, body.to_bytes()))
    };
    tokio::pin!(exchange, connection);
    tokio::select! {
        answer = &mut exchange => answer,
        // The connection may end first; the answer is then there, or never comes.
        _ = &mut connection => exchange.await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;
    use std::time::SystemTime;

    fn asked(report: &Value) -> Asked {
        by_health(report.to_string().as_bytes())
    }

    #[test]
    fn a_server_of_ours_for_users_elsewhere_is_not_taken_for_the_python_server() {
        let ours = asked(&health::brief(SystemTime::UNIX_EPOCH));
        let Asked::Unproved(hello) = ours else {
            panic!("{ours:?}");
        };
        assert_eq!(hello.version, env!("CARGO_PKG_VERSION"));
    }

    #[test]
    fn who_answers_as_the_python_server_does_is_taken_for_it_and_who_says_anything_else_is_not() {
        let mut report = health::brief(SystemTime::UNIX_EPOCH);
        report.as_object_mut().unwrap().remove("server");
        assert_eq!(asked(&report), Asked::Python);
        report["message"] = "hello".into();
        assert_eq!(asked(&report), Asked::Stranger);
        assert_eq!(by_health(b"no JSON"), Asked::Stranger);
    }
}
