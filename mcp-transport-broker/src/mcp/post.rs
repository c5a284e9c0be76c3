//! POST: one message of a client.

use super::head::{Field, Head};
use super::headers;
use super::params::{self, CAPABILITIES_KEY, Params, VERSION_KEY};
use super::refusal::{
    HEADER_MISMATCH, INVALID_PARAMS, INVALID_REQUEST, METHOD_NOT_FOUND, MISSING_CAPABILITY,
    Refusal, UNSUPPORTED_VERSION,
};
use super::tools::ToolHeaders;
use super::version::{LEGACY, MODERN, is_legacy, modern};
use crate::native::Era;
use mcp_transport_core::{Id, Kind, Message};
use serde::{Deserialize, Serialize};

/// What a message that was posted means.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Post<'a> {
    /// A legacy client begins: mint a session.
    Initialize {
        /// The version that it asks for.
        version: String,
    },
    /// A message of a legacy client.
    Legacy {
        /// Its session.
        session: &'a str,
        /// Its version; 2025-03-26, if it does not say.
        version: &'static str,
    },
    /// A request of a modern client.
    Modern {
        /// Its version.
        version: &'static str,
    },
    /// A modern client's notification. Nothing relates it to a request, since each stands for
    /// itself: it is accepted, and goes nowhere.
    Aside,
}

/// What a message on the endpoint means.
///
/// # Errors
/// What to answer instead; nobody else hears of the message.
pub fn post<'a>(
    head: &Head<'a>,
    message: &Message,
    tools: &ToolHeaders,
) -> Result<Post<'a>, Refusal> {
    if let Some(answer) = message.to_answer() {
        return Err(Refusal {
            status: 400,
            body: answer.into_bytes(),
            allow: None,
        });
    }
    let accept = head.accept();
    if !accept.json && !accept.sse {
        return Err(Refusal::not_acceptable(message.id()));
    }
    if is_of_a_session(head) {
        return legacy(head, message);
    }
    let version = head.version();
    let modern_header = version.is_some_and(|version| version >= MODERN[0]);
    match message.kind() {
        Kind::Request { method, .. } => {
            let discovers = method == "server/discover";
            let params = Params::of(message);
            if params.version.is_some() || modern_header || discovers {
                return modern_request((head, version), message, &params, tools);
            }
            if method == "initialize" {
                return initialize(head, message);
            }
            legacy(head, message)
        }
        Kind::Notification { .. } if modern_header => {
            headers::check(head, message, &Params::of(message), tools)?;
            Ok(Post::Aside)
        }
        Kind::Response { .. } if modern_header => {
            let text = "nobody asked: in this version a server sends no requests";
            Err(Refusal::new(400, None, INVALID_REQUEST, text))
        }
        _ => legacy(head, message),
    }
}

/// The HTTP status that goes with an answer of the host's.
///
/// Legacy clients get 200 with every answer. Modern ones get the status that their specification
/// gives to some errors.
pub fn status(era: Era, answer: &Message) -> u16 {
    let Kind::Response { is_error: true, .. } = answer.kind() else {
        return 200;
    };
    if era == Era::Legacy {
        return 200;
    }
    let code = answer
        .body()
        .and_then(|body| serde_json::from_str::<Code>(body).ok());
    match code.map(|body| body.code) {
        Some(METHOD_NOT_FOUND) => 404,
        Some(HEADER_MISMATCH | MISSING_CAPABILITY | UNSUPPORTED_VERSION) => 400,
        _ => 200,
    }
}

/// A session and a version that has sessions, so that no body needs to be looked into.
fn is_of_a_session(head: &Head<'_>) -> bool {
    if let Field::Absent = head.session {
        return false;
    }
    match head.version {
        Field::Absent => true,
        field => field.text().is_some_and(is_legacy),
    }
}

fn initialize(head: &Head<'_>, message: &Message) -> Result<Post<'static>, Refusal> {
    let id = message.id();
    let params = message.params().unwrap_or_default();
    let Some(protocol_version) = params::text_of(params, "protocolVersion") else {
        let text = "initialize names no protocolVersion";
        return Err(Refusal::new(400, id, INVALID_PARAMS, text));
    };
    if let Some(header) = head.version() {
        if header != protocol_version {
            let text = format!(
                "the MCP-Protocol-Version header says {header}, initialize says {protocol_version}"
            );
            return Err(Refusal::new(400, id, INVALID_REQUEST, &text));
        }
    }
    if message.method() != Some("initialize") {
        return Err(Refusal::session_missing(id));
    }
    Ok(Post::Initialize {
        version: protocol_version.into_owned(),
    })
}

fn legacy<'a>(head: &Head<'a>, message: &Message) -> Result<Post<'a>, Refusal> {
    let id = message.id();
    let version = match (head.version, head.version()) {
        (Field::Absent, _) => "2025-03-26",
        (_, Some(said)) => match LEGACY.into_iter().find(|known| *known == said) {
            Some(known) => known,
            None => return Err(Refusal::version_unknown(id)),
        },
        (_, None) => return Err(Refusal::version_unknown(id)),
    };
    if message.method() == Some("initialize") {
        // A client that begins again; its former session ends by itself.
        return initialize(head, message);
    }
    let session = head
        .session
        .text()
        .ok_or_else(|| Refusal::session_missing(id))?;
    Ok(Post::Legacy { session, version })
}

fn modern_request(
    (head, header): (&Head<'_>, Option<&str>),
    message: &Message,
    params: &Params<'_>,
    tools: &ToolHeaders,
) -> Result<Post<'static>, Refusal> {
    let id = message.id();
    if let Some(twice) = params.twice {
        let text = format!("{twice} stands in the request's params twice; say it once");
        return Err(Refusal::new(400, id, INVALID_PARAMS, &text));
    }
    let version = match &params.version {
        Some(version) if params.capabilities => version.as_ref(),
        _ => return Err(meta_missing(id, params)),
    };
    match header {
        Some(header) if header == version => {}
        Some(header) => {
            let text =
                format!("the MCP-Protocol-Version header says {header}, _meta says {version}");
            return Err(Refusal::mismatch(id, &text));
        }
        None => {
            let text = "the MCP-Protocol-Version header is missing, or stands there twice";
            return Err(Refusal::mismatch(id, text));
        }
    }
    let Some(version) = modern(version) else {
        return Err(version_unsupported(id, version));
    };
    headers::check(head, message, params, tools)?;
    let method = message.method().unwrap_or_default();
    if REMOVED.contains(&method) {
        let text = format!("{method} left MCP in {version}");
        return Err(Refusal::new(404, id, METHOD_NOT_FOUND, &text));
    }
    Ok(Post::Modern { version })
}

/// Methods of a session; where each request stands for itself, there are none.
const REMOVED: [&str; 5] = [
    "initialize",
    "ping",
    "logging/setLevel",
    "resources/subscribe",
    "resources/unsubscribe",
];

fn meta_missing(id: Option<&Id>, params: &Params<'_>) -> Refusal {
    let mut missing = Vec::new();
    if params.version.is_none() {
        missing.push(VERSION_KEY);
    }
    if !params.capabilities {
        missing.push(CAPABILITIES_KEY);
    }
    let text = format!("the request's _meta lacks {}", missing.join(" and "));
    Refusal::new(400, id, INVALID_PARAMS, &text)
}

fn version_unsupported(id: Option<&Id>, requested: &str) -> Refusal {
    #[derive(Serialize)]
    struct Data<'a> {
        supported: &'a [&'a str],
        requested: &'a str,
    }
    let data = Data {
        supported: &MODERN,
        requested,
    };
    let text = format!("requests of version {requested} are not understood here");
    Refusal::with_data(400, id, UNSUPPORTED_VERSION, &text, Some(data))
}

#[derive(Deserialize)]
struct Code {
    code: i32,
}
