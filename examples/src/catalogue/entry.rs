//! The entry format: what a tool, a parameter and a resource say about themselves.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::{Present, Reads, Shape, Type};

/// One entry: what the client sees of a tool, and how a call of it becomes a command.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Tool {
    /// The name that clients call.
    pub name: String,
    /// The name that people read.
    pub title: String,
    /// What the model reads to pick the tool, pitfalls included.
    pub description: String,
    /// The group whose file the entry stands in; `None` = always offered.
    #[serde(skip)]
    pub group: Option<String>,
    /// MCP's hints, as the Python server gives them.
    pub annotations: Annotations,
    /// The plugin's command; `None` = nothing goes to the editor. With a `handler`, the command that
    /// this sends.
    #[serde(deserialize_with = "Option::deserialize")]
    pub command: Option<String>,
    /// Who answers the call in this server: a module of [`logic`](crate::logic), or the server
    /// itself. A tool whose handler nobody has registered is not offered.
    #[serde(default)]
    pub handler: Option<String>,
    /// Whether the tool as a whole only reads. A tool with a list of actions says it per action.
    pub replay: Replay,
    /// The actions that only read, decided by hand: an action that is not named may not be sent
    /// twice.
    #[serde(default)]
    pub safe_actions: Vec<String>,
    /// The actions that this server answers itself although the tool has a command.
    #[serde(default)]
    pub server_actions: Vec<String>,
    /// What causes a domain reload, or may cause one.
    #[serde(default)]
    pub reload: Which,
    /// What may take minutes, by its nature or because somebody else is asked: builds, tests, imports, generation, code and
    /// menu entries of the project's own. It has an hour, and is a task where the client takes tasks.
    #[serde(default)]
    pub long: Which,
    /// Whether the editor has to be neither compiling nor about to reload before the call goes out.
    #[serde(default)]
    pub preflight: bool,
    /// Wire parameters that are always the same: `action` where one command serves many tools.
    #[serde(default)]
    pub constants: Map<String, Value>,
    /// Per action, groups of parameters of which at least one group has to be complete.
    #[serde(default)]
    pub needs: BTreeMap<String, Vec<Vec<String>>>,
    /// The transformation of a tool whose parameters do not map one to one.
    #[serde(default)]
    pub shape: Option<Shape>,
    /// What becomes of the plugin's answer.
    #[serde(default)]
    pub present: Present,
    /// The parameters, in the order in which a client shows them.
    pub params: Vec<Param>,
}

impl Tool {
    /// The parameter of this name.
    pub fn param(&self, name: &str) -> Option<&Param> {
        self.params.iter().find(|param| param.name == name)
    }

    /// The values of the `action` parameter; empty for a tool without such a list.
    pub fn actions(&self) -> &[String] {
        self.param("action").map_or(&[], Param::words)
    }

    /// Whether a call with this action only reads, so that it may be sent again.
    pub fn is_replay_safe(&self, action: Option<&str>) -> bool {
        self.replay == Replay::Safe || names(&self.safe_actions, action)
    }

    /// Whether a call with this action causes a domain reload, or may.
    pub fn reloads(&self, action: Option<&str>) -> bool {
        self.reload.includes(action)
    }

    /// Whether a call with this action may take minutes.
    pub fn is_long(&self, action: Option<&str>) -> bool {
        self.long.includes(action)
    }

    /// The command of a call with this action; `None` = the server answers itself.
    pub fn command_for(&self, action: Option<&str>) -> Option<&str> {
        if self.handler.is_some() {
            return None;
        }
        let command = self.command.as_deref()?;
        (!names(&self.server_actions, action)).then_some(command)
    }

    /// Every parameter name that a prepared call of this tool can carry to the plugin.
    pub fn wire_names(&self) -> impl Iterator<Item = &str> {
        let shaped = self.shape.map_or(&[][..], Shape::wire_names);
        let own = self.params.iter().filter_map(|param| param.wire.as_deref());
        own.chain(self.constants.keys().map(String::as_str))
            .chain(shaped.iter().copied())
    }
}

/// One parameter of a tool.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Param {
    /// The name that clients use.
    pub name: String,
    /// What it takes. The order of a union's alternatives counts: see [`Type`].
    #[serde(rename = "type")]
    pub ty: Type,
    /// Whether a call without it is refused.
    pub required: bool,
    /// What the model reads.
    pub description: String,
    /// The name on the wire; `None` = it stays with the server, for a shape or for
    /// [`Tool::present`].
    #[serde(deserialize_with = "Option::deserialize")]
    pub wire: Option<String>,
    /// What is sent when the client says nothing.
    #[serde(default)]
    pub default: Option<Value>,
    /// The actions for which it is sent; empty = all. For other actions it is dropped.
    #[serde(default)]
    pub actions: Vec<String>,
    /// What empty text means. Left out: refused if required, else kept.
    #[serde(default)]
    pub empty: Option<Empty>,
    /// A vector of so many numbers: `[1, 2, 3]`, `{"x": 1, "y": 2, "z": 3}` or `"1, 2, 3"`.
    #[serde(default)]
    pub vector: Option<usize>,
    /// The words that are taken, in any case, although the declared type is text.
    #[serde(default)]
    pub one_of: Vec<String>,
    /// What is made of the argument where its declared type does not say it.
    #[serde(default)]
    pub reads: Option<Reads>,
    /// A number beyond these bounds is taken for the nearer one.
    #[serde(default)]
    pub clamp: Option<[i64; 2]>,
}

impl Param {
    /// The words that it is limited to; empty if it is not.
    pub fn words(&self) -> &[String] {
        match &*self.one_of {
            [] => self.ty.choices(),
            words => words,
        }
    }
}

/// Whether a tool as a whole may be sent again after its answer was lost.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "snake_case")]
#[expect(clippy::exhaustive_enums, reason = "the two words of the entry format")]
pub enum Replay {
    /// Not unless `safe_actions` names the action.
    Never,
    /// It only reads.
    Safe,
}

/// Which calls of a tool something is said of.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
#[expect(clippy::exhaustive_enums, reason = "the two forms of the entry format")]
pub enum Which {
    /// Every call, or none.
    Every(bool),
    /// The calls with one of these actions.
    Actions(Vec<String>),
}

impl Which {
    /// Whether a call with this action is meant.
    pub fn includes(&self, action: Option<&str>) -> bool {
        match self {
            Self::Every(every) => *every,
            Self::Actions(actions) => names(actions, action),
        }
    }

    /// The actions, where they are named.
    pub fn actions(&self) -> &[String] {
        match self {
            Self::Every(_) => &[],
            Self::Actions(actions) => actions,
        }
    }
}

impl Default for Which {
    fn default() -> Self {
        Self::Every(false)
    }
}

/// What empty text means for a parameter.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "snake_case")]
#[expect(
    clippy::exhaustive_enums,
    reason = "the three words of the entry format"
)]
pub enum Empty {
    /// A mistake.
    Refuse,
    /// The same as leaving the parameter out.
    Absent,
    /// A value like any other.
    Keep,
}

/// MCP's tool annotations: hints that a client may show or weigh, and no promise.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[non_exhaustive]
pub struct Annotations {
    /// The name that people read.
    pub title: String,
    /// It changes nothing.
    pub read_only_hint: Option<bool>,
    /// It may destroy something.
    pub destructive_hint: Option<bool>,
    /// Doing it twice is like doing it once.
    pub idempotent_hint: Option<bool>,
    /// It reaches beyond the editor.
    pub open_world_hint: Option<bool>,
}

pub(super) fn names(list: &[String], action: Option<&str>) -> bool {
    action.is_some_and(|action| list.iter().any(|name| name == action))
}
