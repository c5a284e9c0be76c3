//! Between the hub's messages and the bridge's frames. Pure.
//!
//! | the hub says | the bridge gets |
//! |---|---|
//! | `execute` | `{"type": <command>, "params": …}`; its id is kept |
//! | `ping` | nothing: the hub is answered at once, since the link below watches the bridge itself |
//! | `welcome`, `registered` | nothing |
//!
//! | the bridge says | the hub gets |
//! |---|---|
//! | a frame | `command_result` with the id of the command that it answers |
//! | a frame that answers our own question | `register_tools`, as a plugin set to HTTP says it of its own accord |
//!
//! There are no ids on the bridge's wire, and one command at a time: a frame answers the oldest that is out.

use mcp_transport_core::{Error, ErrorKind, Message};
use mcp_transport_stdio::discovery::Project;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::collections::VecDeque;

#[derive(Debug, Default)]
pub(super) struct Translator {
    /// What is out, oldest first: two at most, since the hub waits for its answer, and we for ours.
    out: VecDeque<Out>,
}

#[derive(Debug, Eq, PartialEq)]
enum Out {
    /// A command of the hub's, with its id.
    Command(String),
    /// The question which tools there are.
    Question,
}

/// What becomes of a message of the hub.
#[derive(Debug)]
pub(super) enum FromHub {
    ToBridge(Message),
    Answer(Message),
    Nothing,
}

#[derive(Deserialize)]
struct Said<'a> {
    r#type: &'a str,
    id: Option<String>,
    name: Option<String>,
    #[serde(borrow)]
    params: Option<&'a RawValue>,
}

#[derive(Serialize)]
struct Command<'a> {
    r#type: &'a str,
    params: &'a RawValue,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum ToHub<'a> {
    Register {
        project_name: &'a str,
        project_hash: &'a str,
        unity_version: &'a str,
        project_path: &'a str,
    },
    Pong,
    CommandResult {
        id: &'a str,
        result: &'a RawValue,
    },
    RegisterTools {
        tools: Vec<&'a RawValue>,
    },
}

/// The answer to `get_tool_states`, as far as it counts.
#[derive(Deserialize)]
struct States<'a> {
    #[serde(borrow)]
    result: StatesResult<'a>,
}

#[derive(Deserialize)]
struct StatesResult<'a> {
    #[serde(borrow)]
    data: StatesData<'a>,
}

#[derive(Deserialize)]
struct StatesData<'a> {
    #[serde(borrow)]
    tools: Vec<&'a RawValue>,
}

impl Translator {
    /// Translates what the hub says to its plugin.
    ///
    /// # Errors
    /// `Malformed` for what is none of the hub's messages.
    pub(super) fn hub_said(&mut self, message: &Message) -> Result<FromHub, Error> {
        let said: Said<'_> = serde_json::from_slice(message.as_bytes()).map_err(malformed)?;
        Ok(match (said.r#type, said.id, said.name, said.params) {
            ("execute", Some(id), Some(name), Some(params)) => {
                self.out.push_back(Out::Command(id));
                FromHub::ToBridge(Message::from_json(&Command {
                    r#type: &name,
                    params,
                })?)
            }
            ("ping", ..) => FromHub::Answer(Message::from_json(&ToHub::Pong)?),
            _ => FromHub::Nothing,
        })
    }

    /// The question which tools the plugin has: what one set to HTTP says unasked (installed plugin, 10.1).
    pub(super) fn question(&mut self) -> Message {
        self.out.push_back(Out::Question);
        Message::from(r#"{"type":"get_tool_states","params":{}}"#)
    }

    /// Our own question was never written.
    pub(super) fn unask(&mut self) {
        self.out.retain(|out| *out != Out::Question);
    }

    /// True while nothing is out.
    pub(super) fn is_idle(&self) -> bool {
        self.out.is_empty()
    }

    /// True while our own question is out.
    pub(super) fn is_asking(&self) -> bool {
        self.out.contains(&Out::Question)
    }

    /// True while a command of the hub's is out.
    pub(super) fn is_working(&self) -> bool {
        self.out.iter().any(|out| matches!(out, Out::Command(_)))
    }

    /// Translates a frame of the bridge; `None` if the hub need not hear of it.
    ///
    /// # Errors
    /// `Malformed` for a frame that is no JSON, or that answers nothing.
    pub(super) fn bridge_said(&mut self, frame: &Message) -> Result<Option<Message>, Error> {
        let out = self.out.pop_front().ok_or_else(|| {
            Error::new(ErrorKind::Malformed).context("a frame that answers no command")
        })?;
        let result: &RawValue = serde_json::from_slice(frame.as_bytes()).map_err(malformed)?;
        let Out::Command(id) = out else {
            // An older plugin does not know the question.
            let Ok(States { result }) = serde_json::from_str(result.get()) else {
                tracing::debug!("the plugin does not say which tools it has");
                return Ok(None);
            };
            let tools = result.data.tools;
            return Message::from_json(&ToHub::RegisterTools { tools }).map(Some);
        };
        Message::from_json(&ToHub::CommandResult { id: &id, result }).map(Some)
    }
}

/// What a plugin set to HTTP would say of itself. The key is the first half of its hash, so both name one project.
pub(super) fn register(project: &Project) -> Message {
    let status = &project.status;
    let path = status
        .project_path
        .strip_suffix("/Assets")
        .unwrap_or(&status.project_path);
    Message::from_json(&ToHub::Register {
        project_name: &status.project_name,
        project_hash: &project.key,
        unity_version: &status.unity_version,
        project_path: path,
    })
    .expect("text always serialises")
}

fn malformed(error: serde_json::Error) -> Error {
    Error::new(ErrorKind::Malformed).because(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hub(translator: &mut Translator, text: &'static str) -> FromHub {
        translator.hub_said(&Message::from(text)).unwrap()
    }

    #[test]
    fn a_command_goes_out_without_its_id_and_its_answer_comes_back_with_it() {
        let mut translator = Translator::default();
        let execute = r#"{"type":"execute","id":"a-1","name":"read_console","params":{"count":1e2},"timeout":2.0}"#;
        let FromHub::ToBridge(command) = hub(&mut translator, execute) else {
            panic!("a command")
        };
        assert_eq!(
            command.as_str(),
            Some(r#"{"type":"read_console","params":{"count":1e2}}"#)
        );
        let answer =
            translator.bridge_said(&Message::from(r#"{"status":"success","result":{"n":1.0}}"#));
        assert_eq!(
            answer.unwrap().unwrap().as_str(),
            Some(
                r#"{"type":"command_result","id":"a-1","result":{"status":"success","result":{"n":1.0}}}"#
            )
        );
    }

    #[test]
    fn the_hubs_own_talk_stays_here() {
        let mut translator = Translator::default();
        assert!(matches!(
            hub(&mut translator, r#"{"type":"welcome","serverTimeout":30}"#),
            FromHub::Nothing
        ));
        let FromHub::Answer(pong) = hub(&mut translator, r#"{"type":"ping"}"#) else {
            panic!("a pong")
        };
        assert_eq!(pong.as_str(), Some(r#"{"type":"pong"}"#));
    }

    #[test]
    fn the_answer_to_our_own_question_is_what_a_plugin_registers_and_a_command_behind_it_gets_its_own()
     {
        let mut translator = Translator::default();
        let question = translator.question();
        assert!(question.as_str().unwrap().contains("get_tool_states"));
        hub(
            &mut translator,
            r#"{"type":"execute","id":"a","name":"x","params":{}}"#,
        );
        let states = r#"{"status":"success","result":{"success":true,"data":{"tools":[{"name":"t","enabled":true}]}}}"#;
        let tools = translator.bridge_said(&Message::from(states)).unwrap();
        assert_eq!(
            tools.unwrap().as_str(),
            Some(r#"{"type":"register_tools","tools":[{"name":"t","enabled":true}]}"#)
        );
        assert!(!translator.is_asking() && !translator.is_idle());
        let answer = translator.bridge_said(&Message::from("{}")).unwrap();
        assert!(answer.unwrap().as_str().unwrap().contains(r#""id":"a""#));
    }

    #[test]
    fn a_plugin_that_does_not_know_the_question_registers_nothing() {
        let mut translator = Translator::default();
        translator.question();
        let answer =
            r#"{"status":"error","error":"Unknown or unsupported command type: get_tool_states"}"#;
        assert!(
            translator
                .bridge_said(&Message::from(answer))
                .unwrap()
                .is_none()
        );
    }

    #[test]
    fn what_answers_nothing_or_is_no_json_ends_the_connection() {
        let mut translator = Translator::default();
        assert!(translator.bridge_said(&Message::from("{}")).is_err());
        let execute = r#"{"type":"execute","id":"a","name":"x","params":{}}"#;
        hub(&mut translator, execute);
        let error = translator
            .bridge_said(&Message::from("not json"))
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Malformed);
    }
}
