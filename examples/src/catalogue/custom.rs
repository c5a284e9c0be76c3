//! A tool that a Unity project defines itself: what its plugin says of it, as a tool with a schema.
//!
//! The facts come from the installed plugin (10.1), which registers its tools with their parameters, and from the Python
//! server (10.3.0), which makes MCP tools of them. That one loses a tool whose required parameters do not stand first, and
//! every tool behind it; here the order is the project's own affair.

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use super::coerce::coerce;
use super::prepare::read;
use super::types::{Kind, Type};
use super::{BadArguments, Empty, Param, UNITY_INSTANCE, schema, wire_timeout};

/// What the plugin says of a tool, in `register_tools` or in the answer to `get_tool_states`.
///
/// Only the name is needed. What is null counts as left out.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Definition {
    /// The command, and the name that clients call.
    pub name: String,
    /// What the project's author says of it.
    #[serde(default)]
    pub description: Option<String>,
    /// Whether its answers have a shape; nothing depends on it here.
    #[serde(default)]
    pub structured_output: Option<bool>,
    /// Its answer may be that it is not done yet: then it is asked again.
    #[serde(default, deserialize_with = "or_default")]
    pub requires_polling: bool,
    /// The `action` with which it is asked again; `status` if left out.
    #[serde(default)]
    pub poll_action: Option<String>,
    /// For how long it is asked again, in seconds; 0 = 600.
    #[serde(default, deserialize_with = "or_default")]
    pub max_poll_seconds: u64,
    /// The group that its author put it into.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// What it takes.
    #[serde(default, deserialize_with = "or_default")]
    pub parameters: Vec<Parameter>,
    /// Said by `get_tool_states` alone: whether it is switched on in the editor.
    #[serde(default, skip_serializing)]
    pub enabled: Option<bool>,
    /// Said by `get_tool_states` alone, and by newer plugins: whether it belongs to the plugin.
    #[serde(default, skip_serializing)]
    pub is_built_in: Option<bool>,
}

/// One parameter of such a tool.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Parameter {
    /// Its name, for clients and on the wire.
    pub name: String,
    /// What its author says of it.
    #[serde(default)]
    pub description: Option<String>,
    /// `string`, `integer`, `number`, `boolean`, `array` or `object`; anything else counts as `string`.
    #[serde(rename = "type", default, deserialize_with = "or_default")]
    pub kind: String,
    /// Whether a call without it is refused; true if left out.
    #[serde(default)]
    pub required: Option<bool>,
    /// What is sent when the client says nothing, as text.
    #[serde(default)]
    pub default_value: Option<String>,
}

/// A tool of a project's own, ready to be listed and called.
#[derive(Debug)]
#[non_exhaustive]
pub struct CustomTool {
    /// What the plugin said of it.
    pub definition: Definition,
    params: Vec<Param>,
}

/// A call of one, checked and ready to go.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct CustomCall {
    /// The command.
    pub command: String,
    /// Its parameters.
    pub params: Map<String, Value>,
    /// The editor that the client named for this one call.
    pub unity_instance: Option<String>,
    /// The time-out that goes to the plugin with the command; see [`wire_timeout`].
    pub timeout: Duration,
    /// How it is asked again, if it is one of those whose work goes on behind their answer.
    pub polling: Option<Polling>,
}

/// How a tool is asked again whose work is not done yet.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Polling {
    /// The `action` of the question; the other parameters are those of the call.
    pub action: String,
    /// For how long.
    pub within: Duration,
}

/// A tool that says of no time is asked for so long.
const POLLED: Duration = Duration::from_secs(600);

/// Nobody waits longer for a tool, whatever it says.
const LONGEST: Duration = Duration::from_secs(24 * 3_600);

/// Parameters of one tool.
const MAX_PARAMS: usize = 64;

/// What MCP recommends for a tool's name: some clients refuse a whole list for one name beyond it.
const MAX_NAME: usize = 128;

impl CustomTool {
    /// Makes a tool of what the plugin says of it. Parameters may stand in any order.
    ///
    /// # Errors
    /// What no client could use, in a sentence.
    pub fn new(definition: Definition) -> Result<Self, String> {
        check_name(&definition.name)?;
        if definition.parameters.len() > MAX_PARAMS {
            let count = definition.parameters.len();
            return Err(format!(
                "it has {count} parameters; {MAX_PARAMS} are the limit"
            ));
        }
        let mut params: Vec<Param> = Vec::with_capacity(definition.parameters.len());
        for parameter in &definition.parameters {
            let name = &parameter.name;
            if name.is_empty() {
                return Err("one of its parameters has no name".to_owned());
            }
            if name == UNITY_INSTANCE {
                return Err(format!(
                    "its parameter `{name}` would never reach it: every tool takes one of that name, which chooses the editor"
                ));
            }
            if params.iter().any(|known| known.name == *name) {
                return Err(format!("two of its parameters are called `{name}`"));
            }
            params.push(param(parameter));
        }
        Ok(Self { definition, params })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.definition.name
    }

    /// What the model reads: what its author wrote, else that nobody wrote anything.
    pub fn description(&self) -> String {
        let said = self.definition.description.as_deref().map(str::trim);
        match said.filter(|said| !said.is_empty()) {
            Some(said) => said.to_owned(),
            None => "A tool of the open Unity project, which does not describe it.".to_owned(),
        }
    }

    /// The schema of its arguments; see [`Tool::input_schema`](super::Tool::input_schema).
    pub fn input_schema(&self) -> Map<String, Value> {
        schema::object(&self.params)
    }

    /// Checks the arguments, as those of the catalogue's tools are checked, and turns them into a call.
    ///
    /// # Errors
    /// [`BadArguments`] names everything that does not fit. Nothing was sent.
    pub fn prepare(&self, args: Map<String, Value>) -> Result<CustomCall, BadArguments> {
        let (params, unity_instance) =
            read(&self.params, args).map_err(|bad| bad.of(self.name().to_owned()))?;
        let params = Value::Object(params);
        let timeout = wire_timeout(self.name(), &params);
        let Value::Object(params) = params else {
            unreachable!("it was made an object just now");
        };
        Ok(CustomCall {
            command: self.name().to_owned(),
            params,
            unity_instance,
            timeout,
            polling: self.polling(),
        })
    }

    fn polling(&self) -> Option<Polling> {
        let said = self.definition.poll_action.as_deref().map(str::trim);
        let within = match self.definition.max_poll_seconds {
            0 => POLLED,
            seconds => Duration::from_secs(seconds).min(LONGEST),
        };
        self.definition.requires_polling.then(|| Polling {
            action: said
                .filter(|said| !said.is_empty())
                .unwrap_or("status")
                .to_owned(),
            within,
        })
    }
}

impl CustomCall {
    /// The parameters of the question what became of it.
    pub fn poll_params(&self) -> Option<Value> {
        let polling = self.polling.as_ref()?;
        let mut params = self.params.clone();
        params.insert("action".to_owned(), polling.action.clone().into());
        Some(params.into())
    }
}

/// The rest follows from the definition.
impl PartialEq for CustomTool {
    fn eq(&self, other: &Self) -> bool {
        self.definition == other.definition
    }
}

impl Eq for CustomTool {}

fn check_name(name: &str) -> Result<(), String> {
    if name.is_empty() {
        return Err("it has no name".to_owned());
    }
    let usual = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    if name.len() <= MAX_NAME && name.chars().all(usual) {
        return Ok(());
    }
    Err(format!(
        "a tool's name has letters, digits, `_`, `-` and `.`, and {MAX_NAME} of them at most: clients refuse others"
    ))
}

fn param(parameter: &Parameter) -> Param {
    let required = parameter.required.unwrap_or(true);
    let ty = Type {
        kinds: vec![kind(&parameter.kind)],
        nullable: !required,
    };
    let default = parameter
        .default_value
        .clone()
        .filter(|_| !required)
        .and_then(|text| coerce(&ty, text.into()).ok().flatten());
    Param {
        name: parameter.name.clone(),
        ty,
        required,
        description: parameter.description.clone().unwrap_or_default(),
        wire: Some(parameter.name.clone()),
        default,
        actions: Vec::new(),
        empty: Some(Empty::Keep),
        vector: None,
        one_of: Vec::new(),
        reads: None,
        clamp: None,
    }
}

/// The words that the Python server knows.
fn kind(word: &str) -> Kind {
    match &*word.to_ascii_lowercase() {
        "integer" | "int" => Kind::Integer,
        "number" | "float" | "double" => Kind::Number,
        "boolean" | "bool" => Kind::Boolean,
        "array" | "list" => Kind::Array(Box::new(Type {
            kinds: vec![Kind::Any],
            nullable: false,
        })),
        "object" | "dict" => Kind::Object,
        _ => Kind::String,
    }
}

fn or_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}
