//! What the key service's answer means. Pure.
//!
//! | it answers | that means |
//! |---|---|
//! | 200, `valid` is true, `user_id` is there | that user's |
//! | 200, `valid` is false; 401 | nobody's |
//! | 200 with `valid` and no user, 200 that is no such JSON, any other status | the service is broken; nobody gets in, and it is asked again next time |

use serde::Deserialize;
use serde_json::Value;
use std::sync::Arc;

#[derive(Debug, Eq, PartialEq)]
pub(super) enum Verdict {
    /// The key is this user's.
    Of(Arc<str>),
    /// The key is nobody's.
    Nobodys,
    /// Nothing was said. The text is for the log: it repeats nothing of the answer, which may quote the key.
    Broken(String),
}

/// `{valid, user_id, metadata, error}`; the last two are for others.
#[derive(Deserialize)]
struct Answer {
    valid: bool,
    #[serde(default)]
    user_id: Value,
}

/// A user's name is a key of ours: a thousand bytes are plenty.
const MAX_USER: usize = 1_024;

pub(super) fn judge(status: u16, body: &[u8]) -> Verdict {
    match status {
        200 => {}
        401 => return Verdict::Nobodys,
        other => return Verdict::Broken(format!("it answers with status {other}")),
    }
    let Ok(Answer { valid, user_id }) = serde_json::from_slice(body) else {
        return Verdict::Broken("its answer is no JSON object with a \"valid\"".to_owned());
    };
    if !valid {
        return Verdict::Nobodys;
    }
    let user = match user_id {
        Value::String(user) => user,
        Value::Number(number) => number.to_string(),
        _ => String::new(),
    };
    if user.is_empty() || user.len() > MAX_USER {
        return Verdict::Broken("it calls a key valid, and names no user_id".to_owned());
    }
    Verdict::Of(user.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_key_that_is_certainly_somebodys_gets_in() {
        let ann = Verdict::Of("ann".into());
        assert_eq!(
            judge(200, br#"{"valid":true,"user_id":"ann","metadata":{}}"#),
            ann
        );
        let seven = Verdict::Of("7".into());
        assert_eq!(judge(200, br#"{"valid":true,"user_id":7}"#), seven);
        assert_eq!(
            judge(200, br#"{"valid":false,"error":"expired"}"#),
            Verdict::Nobodys
        );
        assert_eq!(judge(401, b"who?"), Verdict::Nobodys);
        let long = format!(r#"{{"valid":true,"user_id":"{}"}}"#, "x".repeat(2_000));
        let broken: [(u16, &[u8]); 9] = [
            (200, br#"{"valid":true}"#),
            (200, br#"{"valid":true,"user_id":""}"#),
            (200, br#"{"valid":true,"user_id":null}"#),
            (200, br#"{"valid":"yes","user_id":"ann"}"#),
            (200, br#"{}"#),
            (200, b"<html>"),
            (200, long.as_bytes()),
            (302, b""),
            (500, br#"{"valid":true,"user_id":"ann"}"#),
        ];
        for (status, body) in broken {
            let verdict = judge(status, body);
            assert!(
                matches!(verdict, Verdict::Broken(_)),
                "{status} {verdict:?}"
            );
        }
    }
}
