//! Asks who has the port, without telling them anything.
#![expect(
    clippy::disallowed_methods,
    reason = "the shell that waits for an answer, and not for ever"
)]

use super::decide::Found;
use super::request::{RequestError, request, to_broker};
use crate::native::{Hello, is_proof};
use mcp_transport_core::loopback;
use std::time::Duration;

/// How long somebody who accepts has for an answer. A broker answers in less than a millisecond,
/// and on a machine that just woke up in less than this.
const PATIENCE: Duration = Duration::from_secs(2);

/// Who is there?
pub(crate) enum Asked {
    Nobody,
    Broker { hello: Hello, nonce: String },
    Other(String),
}

/// How often somebody is asked who ends the connection instead of answering.
const TIMES: u32 = 3;

/// How long somebody who ends it has to be gone.
const LEAVING: Duration = Duration::from_millis(20);

/// Whoever leaves while being asked is nobody: a broker that was killed, or that took the port and
/// then found that it cannot run.
pub(crate) async fn ask(port: u16) -> Asked {
    let mut times = 1;
    loop {
        match ask_once(port).await {
            Ok(asked) => return asked,
            Err(error) if times == TIMES => {
                return Asked::Other(format!("it does not speak HTTP as a broker does: {error}"));
            }
            Err(_) => tokio::time::sleep(LEAVING).await,
        }
        times += 1;
    }
}

async fn ask_once(port: u16) -> Result<Asked, RequestError> {
    let Ok(stream) = loopback::connect(port).await else {
        return Ok(Asked::Nobody);
    };
    let nonce = nonce();
    let path = format!("hello?nonce={nonce}");
    let asked = request(stream, to_broker(http::Method::GET, port, &path, None));
    let Ok(answer) = tokio::time::timeout(PATIENCE, asked).await else {
        let what = format!("it accepts connections, and says nothing for {PATIENCE:?}");
        return Ok(Asked::Other(what));
    };
    let (status, body) = answer?;
    Ok(match read(status, &body) {
        Ok(hello) => Asked::Broker { hello, nonce },
        Err(what) => Asked::Other(what),
    })
}

impl Asked {
    /// Do they know the token? It is read after they answered: a broker that has just been started
    /// made it just before.
    pub(crate) fn prove(self, port: u16, token: Option<&str>) -> Found {
        let (hello, nonce) = match self {
            Self::Nobody => return Found::Nobody,
            Self::Other(what) => return Found::Foreign(what),
            Self::Broker { hello, nonce } => (hello, nonce),
        };
        if token.is_some_and(|token| is_proof(&hello.proof, token, port, &nonce)) {
            return Found::Ours(hello);
        }
        let what = if token.is_some() {
            "which does not know our token"
        } else {
            "whose token we do not have"
        };
        let Hello {
            name, version, pid, ..
        } = hello;
        Found::Foreign(format!("{name} {version}, process {pid}, {what}"))
    }
}

fn read(status: u16, body: &[u8]) -> Result<Hello, String> {
    if status != 200 {
        return Err(format!("an HTTP server that answers {status}"));
    }
    serde_json::from_slice(body).map_err(|_| "an HTTP server, but no broker".to_owned())
}

fn nonce() -> String {
    let mut random = [0; 16];
    getrandom::fill(&mut random).expect("the system has random numbers");
    random.iter().map(|byte| format!("{byte:02x}")).collect()
}
