//! Asks who has the port, without telling them anything.
#![expect(
    clippy::disallowed_methods,
    reason = "the shell that waits for an answer, and not for ever"
)]

use super::decide::Found;
use super::request::{request, to_broker};
use crate::native::{Hello, is_proof};
use mcp_transport_core::loopback;
use std::time::Duration;
use tokio::net::TcpStream;

/// How long somebody who accepts has for an answer. A broker answers in less than a millisecond,
/// and on a machine that just woke up in less than this.
const PATIENCE: Duration = Duration::from_secs(2);

/// Who is there?
pub(crate) enum Asked {
    Nobody,
    Broker { hello: Hello, nonce: String },
    Other(String),
}

pub(crate) async fn ask(port: u16) -> Asked {
    let Ok(stream) = loopback::connect(port).await else {
        return Asked::Nobody;
    };
    let nonce = nonce();
    match tokio::time::timeout(PATIENCE, hello(stream, port, &nonce)).await {
        Ok(Ok(hello)) => Asked::Broker { hello, nonce },
        Ok(Err(what)) => Asked::Other(what),
        Err(_) => Asked::Other(format!(
            "it accepts connections, and says nothing for {PATIENCE:?}"
        )),
    }
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

async fn hello(stream: TcpStream, port: u16, nonce: &str) -> Result<Hello, String> {
    let path = format!("hello?nonce={nonce}");
    let asked = request(stream, to_broker(http::Method::GET, port, &path, None));
    let (status, body) = asked
        .await
        .map_err(|error| format!("it does not speak HTTP as a broker does: {error}"))?;
    if status != 200 {
        return Err(format!("an HTTP server that answers {status}"));
    }
    serde_json::from_slice(&body).map_err(|_| "an HTTP server, but no broker".to_owned())
}

fn nonce() -> String {
    let mut random = [0; 16];
    getrandom::fill(&mut random).expect("the system has random numbers");
    random.iter().map(|byte| format!("{byte:02x}")).collect()
}
