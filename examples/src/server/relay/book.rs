//! The calls of our client that somebody else answers, and what is made of their answers. Pure.
//!
//! What a connection's end does to them is settled beneath, by the delivery rule. Here are three things that only who knows
//! tools can do: a call that a server never began because it goes is sent again, to the next one; a bad ending of a tool call
//! becomes a tool's result, which models get to see; and what the session chose, its editor say, is remembered for the next
//! server.

use mcp_transport_core::{Ending, Id, Kind, Message, Outcome};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::HashMap;

/// Calls under way, and calls that are to be sent again.
#[derive(Debug, Default)]
pub(super) struct Book {
    calls: HashMap<Id, Message>,
    parked: Vec<Parked>,
    /// How many were parked so far.
    ever: u64,
    choices: Option<String>,
    editors: Vec<String>,
}

/// A call that is to be sent again, and the answer that it has if there is nobody to send it to.
#[derive(Debug)]
struct Parked {
    number: u64,
    call: Message,
    answer: Message,
}

/// What becomes of a message for the client.
#[derive(Debug)]
pub(super) enum Heard {
    /// It goes on.
    Pass(Message),
    /// Whoever said it goes: what comes now is for the next one, and so are the calls that are [parked](Book::parked).
    Going,
    /// It was for us.
    Kept,
}

/// A server says this of what the session has chosen, so that the next one can be told.
pub(super) const CHOSE: &str = "notifications/unity_server/chose";

/// A server says this of the editors that it has, so that the next one knows whom to wait for.
pub(super) const EDITORS: &str = "notifications/unity_server/editors";

/// What it says of them.
#[derive(Default, Deserialize, Serialize)]
pub(super) struct Editors {
    pub(super) editors: Vec<String>,
}

/// An owner says this to those who relay to it before it goes, and reads on for a while: what they sent by then is answered.
/// Nobody else hears it.
pub(super) const GOING: &str = "notifications/unity_server/going";

impl Book {
    /// The client said this.
    pub(super) fn said(&mut self, message: &Message) {
        match message.method() {
            Some("tools/call" | "resources/read") => {
                if let Some(id) = message.id() {
                    self.calls.insert(id.clone(), message.clone());
                }
            }
            Some("notifications/cancelled") => {
                if let Some(id) = cancelled(message) {
                    self.calls.remove(&id);
                    self.parked.retain(|parked| parked.call.id() != Some(&id));
                }
            }
            _ => {}
        }
    }

    /// The server, or the link to it, said this.
    pub(super) fn heard(&mut self, message: Message) -> Heard {
        let id = match message.kind() {
            Kind::Response { id: Some(id), .. } => id,
            Kind::Notification { method: GOING } => return Heard::Going,
            Kind::Notification { method: CHOSE } => {
                self.choices = message.params().map(str::to_owned);
                return Heard::Kept;
            }
            Kind::Notification { method: EDITORS } => {
                let said = message.params().map(serde_json::from_str::<Editors>);
                self.editors = said.and_then(Result::ok).unwrap_or_default().editors;
                return Heard::Kept;
            }
            _ => return Heard::Pass(message),
        };
        let Some(call) = self.calls.remove(id).or_else(|| self.unpark(id)) else {
            return Heard::Pass(message);
        };
        if is_handed_back(&message) {
            self.ever += 1;
            self.parked.push(Parked {
                number: self.ever,
                call,
                answer: message,
            });
            return Heard::Going;
        }
        let result = (call.method() == Some("tools/call")).then(|| as_result(&call, &message));
        Heard::Pass(result.flatten().unwrap_or(message))
    }

    /// The calls that are to be sent again, oldest first, each with its number. One keeps the answer that it has until it
    /// [is](Self::again).
    pub(super) fn parked(&self) -> Vec<(u64, Message)> {
        let parked = self.parked.iter();
        parked.map(|it| (it.number, it.call.clone())).collect()
    }

    /// This one was sent again.
    pub(super) fn again(&mut self, number: u64) {
        // It may be answered already.
        let at = self.parked.iter().position(|it| it.number == number);
        if let Some(Parked { call, .. }) = at.map(|at| self.parked.remove(at))
            && let Some(id) = call.id()
        {
            self.calls.insert(id.clone(), call);
        }
    }

    /// The answers of those that nobody can be sent to any more.
    pub(super) fn give_up(&mut self) -> Vec<Message> {
        self.parked.drain(..).map(|parked| parked.answer).collect()
    }

    fn unpark(&mut self, id: &Id) -> Option<Message> {
        let at = self
            .parked
            .iter()
            .position(|parked| parked.call.id() == Some(id))?;
        Some(self.parked.remove(at).call)
    }

    /// What this session has chosen, in the servers' own words.
    pub(super) fn choices(&self) -> Option<&str> {
        self.choices.as_deref()
    }

    /// The editors that its server had, as far as it said so.
    pub(super) fn editors(&self) -> Vec<String> {
        self.editors.clone()
    }
}

#[derive(Deserialize)]
struct Cancelled<'a> {
    #[serde(rename = "requestId", borrow)]
    id: &'a serde_json::value::RawValue,
}

fn cancelled(message: &Message) -> Option<Id> {
    let params: Cancelled<'_> = serde_json::from_str(message.params()?).ok()?;
    Id::from_json(params.id.get())
}

/// The word by which a server says that it goes.
const GOES: &str = "shutting_down";

/// A server that goes says so of what it never began: in an ending, and no editor's answer is one, since those say `success`.
fn is_handed_back(answer: &Message) -> bool {
    let body = answer.body().unwrap_or_default();
    // Most answers are not looked into.
    if memchr::memmem::find(body.as_bytes(), GOES.as_bytes()).is_none() {
        return false;
    }
    let Ok(body) = serde_json::from_str::<Value>(body) else {
        return false;
    };
    let ending = match &body["structuredContent"] {
        Value::Null => &body["data"],
        content if body["isError"] == true && content["success"].is_null() => content,
        _ => return false,
    };
    let ending = Ending::deserialize(ending);
    ending.is_ok_and(|ending| ending.outcome == Outcome::NotDelivered && ending.cause == GOES)
}

/// An ending that came as an error of the protocol, which many clients hide from the model.
fn as_result(call: &Message, answer: &Message) -> Option<Message> {
    #[derive(Deserialize)]
    struct Failed {
        data: Ending,
    }
    let Kind::Response { is_error: true, .. } = answer.kind() else {
        return None;
    };
    let failed: Failed = serde_json::from_str(answer.body()?).ok()?;
    let result = json!({
        "content": [{"type": "text", "text": failed.data.message}],
        "isError": true,
        "structuredContent": failed.data,
    });
    Message::response(call.id()?, result).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(id: i64, tool: &str) -> Message {
        let params = json!({"name": tool, "arguments": {}});
        Message::request(&Id::from(id), "tools/call", Some(params)).unwrap()
    }

    fn result(id: i64, is_error: bool, content: Value) -> Message {
        let result = json!({"content": [], "isError": is_error, "structuredContent": content});
        Message::response(&Id::from(id), result).unwrap()
    }

    fn ending(outcome: Outcome) -> Value {
        serde_json::to_value(Ending::new(outcome, GOES, "This server goes.")).unwrap()
    }

    fn book(call: &Message) -> Book {
        let mut book = Book::default();
        book.said(call);
        book
    }

    fn passed(heard: Heard) -> Message {
        match heard {
            Heard::Pass(message) => message,
            heard => panic!("{heard:?}"),
        }
    }

    fn again(book: &mut Book) -> Vec<Message> {
        let parked = book.parked();
        let sent = parked.into_iter().map(|(number, call)| {
            book.again(number);
            call
        });
        sent.collect()
    }

    #[test]
    fn a_call_that_was_never_begun_is_sent_again_and_its_answer_goes_nowhere() {
        let asked = call(1, "manage_scene");
        let mut book = book(&asked);
        let back = result(1, true, ending(Outcome::NotDelivered));
        assert!(matches!(book.heard(back.clone()), Heard::Going));
        assert_eq!(again(&mut book), [asked]);
        // By the next one, too.
        assert!(matches!(book.heard(back), Heard::Going));
        assert_eq!(book.give_up().len(), 1);
        assert!(book.parked().is_empty());
    }

    #[test]
    fn a_call_that_cannot_be_sent_again_is_answered_once_and_as_it_was() {
        let mut book = book(&call(1, "manage_scene"));
        let back = result(1, true, ending(Outcome::NotDelivered));
        let _ = book.heard(back.clone());
        // It was taken for the next server, and there is none.
        assert_eq!(book.parked().len(), 1);
        assert_eq!(book.give_up(), std::slice::from_ref(&back));
        assert!(book.give_up().is_empty());
        // Or it was taken, and refused before that was noticed.
        book.said(&call(1, "manage_scene"));
        let _ = book.heard(back);
        let number = book.parked()[0].0;
        let refused = result(1, true, ending(Outcome::Unknown));
        assert_eq!(passed(book.heard(refused.clone())), refused);
        book.again(number);
        assert!(book.give_up().is_empty() && book.calls.is_empty());
    }

    #[test]
    fn a_call_that_may_have_run_is_never_sent_again_whatever_an_editor_says() {
        for answer in [
            result(1, true, ending(Outcome::Unknown)),
            result(
                1,
                true,
                json!({"success": false, "outcome": "not_delivered", "cause": GOES,
                "retryable": true, "message": ""}),
            ),
            result(1, false, ending(Outcome::NotDelivered)),
            result(
                1,
                false,
                json!({"success": true, "message": "shutting_down"}),
            ),
        ] {
            let mut book = book(&call(1, "manage_scene"));
            assert_eq!(passed(book.heard(answer.clone())), answer);
            assert!(book.parked().is_empty());
        }
    }

    #[test]
    fn what_the_client_gave_up_is_not_sent_again() {
        let mut book = book(&call(1, "manage_scene"));
        let _ = book.heard(result(1, true, ending(Outcome::NotDelivered)));
        let gone = Message::notification("notifications/cancelled", Some(json!({"requestId": 1})));
        book.said(&gone.unwrap());
        assert!(book.parked().is_empty());
    }

    #[test]
    fn a_bad_ending_of_a_tool_call_is_a_tools_result() {
        let mut book = book(&call(1, "manage_scene"));
        let lost = Ending::new(Outcome::Unknown, "link_lost", "Nobody knows.");
        let error = Message::ended(Some(&Id::from(1)), -31_002, &lost);
        let result: Value =
            serde_json::from_str(passed(book.heard(error)).body().unwrap()).unwrap();
        assert_eq!(result["isError"], true);
        assert_eq!(result["structuredContent"]["outcome"], "unknown");
        assert_eq!(result["content"][0]["text"], "Nobody knows.");
        // The protocol's own errors stay what they are.
        book.said(&call(2, "no_such_tool"));
        let error = Message::error(
            Some(&Id::from(2)),
            -32_602,
            "There is no such tool",
            None::<()>,
        );
        assert_eq!(passed(book.heard(error.clone())), error);
    }

    #[test]
    fn what_the_session_chose_is_kept_for_the_next_server() {
        let mut book = Book::default();
        let chosen = Message::notification(CHOSE, Some(json!({"active": "abc"}))).unwrap();
        assert!(matches!(book.heard(chosen), Heard::Kept));
        assert_eq!(book.choices(), Some(r#"{"active":"abc"}"#));
    }

    #[test]
    fn the_editors_of_an_owner_are_kept_for_the_next_one() {
        let mut book = Book::default();
        for editors in [vec!["A@1".to_owned(), "B@2".to_owned()], Vec::new()] {
            let said = Editors {
                editors: editors.clone(),
            };
            let said = Message::notification(EDITORS, Some(said)).unwrap();
            assert!(matches!(book.heard(said), Heard::Kept));
            assert_eq!(book.editors(), editors);
        }
    }

    #[test]
    fn the_word_that_an_owner_goes_is_for_us_alone() {
        let going = Message::notification(GOING, None::<()>).unwrap();
        assert!(matches!(Book::default().heard(going), Heard::Going));
    }
}
