//! Making messages.

use super::scan::{Found, IdScanner};
use super::{Defect, Id, Kind, Message};
use crate::ending::Ending;
use crate::error::{Error, ErrorKind};
use crate::outcome::Outcome;
use serde::Serialize;
use serde::de::IgnoredAny;

#[derive(Serialize)]
struct Call<'a, P> {
    jsonrpc: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a Id>,
    method: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    params: Option<P>,
}

#[derive(Serialize)]
struct Success<'a, R> {
    jsonrpc: &'static str,
    id: &'a Id,
    result: R,
}

#[derive(Serialize)]
struct Failure<'a, D> {
    jsonrpc: &'static str,
    /// JSON-RPC wants `null` where the id could not be read.
    id: Option<&'a Id>,
    error: Body<'a, D>,
}

#[derive(Serialize)]
struct Body<'a, D> {
    code: i32,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<D>,
}

impl Message {
    /// A request.
    ///
    /// # Errors
    /// [`ErrorKind::Malformed`] where the parameters do not serialise.
    ///
    /// ```
    /// use mcp_transport_core::{Id, Message};
    ///
    /// let ping = Message::request(&Id::from(1), "ping", None::<()>).unwrap();
    /// assert_eq!(ping.as_str(), Some(r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#));
    /// ```
    pub fn request(id: &Id, method: &str, params: Option<impl Serialize>) -> Result<Self, Error> {
        Self::from_json(&Call {
            jsonrpc: "2.0",
            id: Some(id),
            method,
            params,
        })
    }

    /// A notification.
    ///
    /// # Errors
    /// [`ErrorKind::Malformed`] where the parameters do not serialise.
    pub fn notification(method: &str, params: Option<impl Serialize>) -> Result<Self, Error> {
        Self::from_json(&Call {
            jsonrpc: "2.0",
            id: None,
            method,
            params,
        })
    }

    /// The successful answer to a request.
    ///
    /// # Errors
    /// [`ErrorKind::Malformed`] where the result does not serialise.
    pub fn response(id: &Id, result: impl Serialize) -> Result<Self, Error> {
        Self::from_json(&Success {
            jsonrpc: "2.0",
            id,
            result,
        })
    }

    /// The answer to a request that failed; `data` that does not serialise is left out.
    pub fn error(id: Option<&Id>, code: i32, message: &str, data: Option<impl Serialize>) -> Self {
        let data = data.and_then(|data| serde_json::to_value(data).ok());
        let body = Failure {
            jsonrpc: "2.0",
            id,
            error: Body {
                code,
                message,
                data,
            },
        };
        Self::from_json(&body).expect("ids, text and JSON values always serialise")
    }

    /// Answers a request with an ending of ours: its code, its text, and the family's one shape as
    /// `data`.
    ///
    /// ```
    /// use mcp_transport_core::{Error, ErrorKind, Id, Message};
    ///
    /// let answer = Message::failure(Some(&Id::from(7)), &Error::new(ErrorKind::Unreachable));
    /// assert!(answer.as_str().unwrap().contains(r#""outcome":"not_delivered""#));
    /// ```
    pub fn failure(id: Option<&Id>, error: &Error) -> Self {
        Self::ended(id, error.code(), &Ending::from(error))
    }

    /// Answers a request with a bad ending under this code.
    pub fn ended(id: Option<&Id>, code: i32, ending: &Ending) -> Self {
        Self::error(id, code, &ending.message, Some(ending))
    }

    /// What an MCP edge answers to this message, where it is no JSON-RPC message; `None` where it
    /// is one.
    ///
    /// As [`Defect::to_answer`], and to the id of the request where one can be found: in JSON of
    /// the wrong shape, and in JSON that is only not UTF-8. In what is no JSON at all an id could
    /// be anybody's, so none is looked for.
    ///
    /// ```
    /// use mcp_transport_core::{Id, Message};
    ///
    /// let answer = Message::from(r#"{"id":7,"method":"ping"}"#).to_answer().unwrap();
    /// assert_eq!(answer.id(), Some(&Id::from(7)));
    /// assert!(answer.body().unwrap().contains("-32600"));
    /// ```
    pub fn to_answer(&self) -> Option<Self> {
        let Kind::Opaque(defect) = self.kind() else {
            return None;
        };
        let found = match defect {
            Defect::TooLarge { .. } | Defect::AnswerTooLarge { .. } => None,
            Defect::NotJson if self.as_str().is_none() => {
                let text = String::from_utf8_lossy(&self.bytes);
                let is_json = serde_json::from_str::<IgnoredAny>(&text).is_ok();
                is_json.then(|| scan(&text)).flatten()
            }
            Defect::NotJson => None,
            _ => self.as_str().and_then(scan),
        };
        Some(defect.answer_to(found.as_ref()))
    }

    /// In place of an answer that was over the limit: an error, to who made the call. `None` for
    /// any other message.
    pub(crate) fn to_lost_answer(&self) -> Option<Self> {
        let Kind::Opaque(Defect::AnswerTooLarge { id, size, limit }) = self.kind() else {
            return None;
        };
        let (size, limit) = (*size, *limit);
        let kind = ErrorKind::TooLarge { limit, size };
        let text = format!(
            "The answer has {size} bytes, over the limit of {limit} bytes, and was skipped. The peer \
             has done it: ask for less, or raise the limit."
        );
        let ending = Ending::new(Outcome::Unknown, kind.cause(), text);
        Some(Self::ended(Some(id), kind.code(), &ending))
    }

    /// The JSON of any type of yours.
    ///
    /// # Errors
    /// [`ErrorKind::Malformed`] where it does not serialise.
    pub fn from_json(value: &impl Serialize) -> Result<Self, Error> {
        match serde_json::to_vec(value) {
            Ok(bytes) => Ok(Self::from(bytes)),
            Err(error) => Err(Error::new(ErrorKind::Malformed).because(error)),
        }
    }
}

/// The id of what would be a request, were it not for its defect.
fn scan(json: &str) -> Option<Id> {
    let mut scanner = IdScanner::default();
    scanner.push(json.as_bytes());
    match scanner.finish() {
        Found::Request(id) => Some(id),
        Found::Answer(_) | Found::Nothing => None,
    }
}
