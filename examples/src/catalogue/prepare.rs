//! From a client's arguments to the command that goes to the plugin.

use std::borrow::Cow;
use std::time::Duration;

use serde_json::{Map, Value};

use super::coerce;
use super::problem::{BadArguments, Problem, TOLD, nearest, one_of};
use super::shapes::Draft;
use super::timeout::{LONG, wire_timeout};
use super::{Empty, Param, Reads, Tool, UNITY_INSTANCE};

/// A call that is ready to go.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Call {
    /// The tool that was called.
    pub tool: &'static str,
    /// The plugin's command; `None` = this server answers itself.
    pub command: Option<&'static str>,
    /// The command's parameters, under their wire names. For a call that the server answers, the
    /// arguments under their own names.
    pub params: Value,
    /// Arguments that stay here although the call goes out, such as `include_diagnostics`.
    pub local: Map<String, Value>,
    /// It only reads: if its answer is lost, it may be sent again.
    pub replay_safe: bool,
    /// It causes a domain reload, or may: expect the connection to drop before the answer, and
    /// ask [`Verify`](super::Verify) then.
    pub reload: bool,
    /// The editor that the client named for this one call.
    pub unity_instance: Option<String>,
    /// The time-out that goes to the plugin with the command; see [`wire_timeout`]. A long call
    /// has an hour.
    pub timeout: Duration,
    /// It may take minutes.
    pub long: bool,
    /// Whether to wait until the editor is neither compiling nor about to reload.
    pub preflight: bool,
    /// The hash that the script to be changed was read to have before the call, if it was.
    pub sha: Option<String>,
    /// The hash that the change gives it, if that is known.
    pub new_sha: Option<String>,
}

/// What bounds a call, where the editor may say otherwise.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Limits {
    /// The most items of a `batch_execute`. The editor's own setting is in its state,
    /// `settings.batch_execute_max_commands`; it never exceeds 100.
    pub batch: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { batch: 25 }
    }
}

impl Limits {
    /// The same with another limit for batches, at most the plugin's own 100.
    #[must_use]
    pub fn batch(self, items: usize) -> Self {
        Self {
            batch: items.clamp(1, 100),
        }
    }
}

impl Call {
    /// A plain read, as a resource makes it.
    pub fn read(command: &'static str, params: Value) -> Self {
        Self {
            tool: command,
            command: Some(command),
            timeout: wire_timeout(command, &params),
            params,
            local: Map::new(),
            replay_safe: true,
            reload: false,
            unity_instance: None,
            long: false,
            preflight: false,
            sha: None,
            new_sha: None,
        }
    }

    /// A read that a handler makes as a part of this call.
    pub(crate) fn part(&self, command: &'static str, params: Value) -> Self {
        Self {
            tool: self.tool,
            unity_instance: self.unity_instance.clone(),
            ..Self::read(command, params)
        }
    }

    /// The same as a change of a script that was read to have this hash, and gets this new one, as far as they are known.
    #[must_use]
    pub(crate) fn changing(self, sha: Option<String>, new_sha: Option<String>) -> Self {
        Self {
            replay_safe: false,
            reload: true,
            sha,
            new_sha,
            ..self
        }
    }
}

impl Tool {
    /// Checks the arguments and turns them into a call, with the default [`Limits`].
    ///
    /// # Errors
    ///
    /// [`BadArguments`] names every parameter that is unknown, missing or does not fit, what it
    /// takes and what came. Nothing was sent.
    pub fn prepare(&'static self, args: Map<String, Value>) -> Result<Call, BadArguments> {
        self.prepare_within(args, Limits::default())
    }

    /// Like [`prepare`](Self::prepare), with limits that the editor told.
    ///
    /// # Errors
    ///
    /// As [`prepare`](Self::prepare).
    pub fn prepare_within(
        &'static self,
        args: Map<String, Value>,
        limits: Limits,
    ) -> Result<Call, BadArguments> {
        let refused = |problem| BadArguments::new(&self.name, vec![problem], 0);
        let (args, unity_instance) = read(&self.params, args).map_err(|bad| bad.of(&self.name))?;
        let action = args
            .get("action")
            .and_then(Value::as_str)
            .map(str::to_owned);
        let action = action.as_deref();
        self.check_needs(action, &args).map_err(refused)?;

        let mut call = Call {
            tool: &self.name,
            command: self.command_for(action),
            params: Value::Null,
            local: Map::new(),
            replay_safe: self.is_replay_safe(action),
            reload: false,
            unity_instance,
            timeout: wire_timeout("", &Value::Null),
            long: self.is_long(action),
            preflight: false,
            sha: None,
            new_sha: None,
        };
        let Some(command) = call.command else {
            call.params = args.into();
            return Ok(call);
        };
        let mut draft = self.draft(action, args);
        if let Some(shape) = self.shape {
            shape.apply(&mut draft, limits).map_err(refused)?;
        }
        call.params = draft.wire.into();
        call.local = draft.local;
        call.reload = draft.reload;
        call.timeout = wire_timeout(command, &call.params);
        if call.long {
            call.timeout = call.timeout.max(LONG);
        }
        call.preflight = self.preflight;
        Ok(call)
    }

    fn check_needs(&self, action: Option<&str>, args: &Map<String, Value>) -> Result<(), Problem> {
        let Some((action, groups)) = action.and_then(|action| self.needs.get_key_value(action))
        else {
            return Ok(());
        };
        if groups
            .iter()
            .any(|group| group.iter().all(|name| args.contains_key(name)))
        {
            return Ok(());
        }
        let spelled = groups
            .iter()
            .map(|group| group.join(" and "))
            .collect::<Vec<_>>();
        let missing = groups
            .iter()
            .flatten()
            .find(|name| !args.contains_key(*name));
        let missing = missing.map_or("action", String::as_str);
        let expected = format!("a value: `{action}` needs {}", spelled.join(", or "));
        Err(Problem::missing(missing, expected))
    }

    /// The arguments under their wire names; what has none stays here.
    fn draft(&self, action: Option<&str>, args: Map<String, Value>) -> Draft {
        let mut draft = Draft {
            wire: self.constants.clone(),
            local: Map::new(),
            reload: self.reloads(action),
        };
        for (name, value) in args {
            let Some(param) = self.param(&name) else {
                continue;
            };
            match &param.wire {
                _ if !param.serves(action) => {}
                Some(wire) => drop(draft.wire.insert(wire.clone(), value)),
                None => drop(draft.local.insert(name, value)),
            }
        }
        draft
    }
}

/// The arguments by name, and the editor that they name.
type Read = (Map<String, Value>, Option<String>);

/// What is wrong with arguments: what is told of it, and how much more there is.
pub(super) struct Unfit {
    problems: Vec<Problem>,
    untold: usize,
}

impl Unfit {
    pub(super) fn of(self, tool: impl Into<Cow<'static, str>>) -> BadArguments {
        BadArguments::new(tool, self.problems, self.untold)
    }
}

/// Every argument checked and read, nulls gone and defaults in; or every problem.
pub(super) fn read(params: &[Param], mut args: Map<String, Value>) -> Result<Read, Unfit> {
    let mut problems = Vec::new();
    let instance = read_instance(args.remove(UNITY_INSTANCE)).unwrap_or_else(|problem| {
        problems.push(problem);
        None
    });
    let mut read = Map::new();
    for param in params {
        match param.read(args.remove(&param.name)) {
            Ok(Some(value)) => drop(read.insert(param.name.clone(), value)),
            Ok(None) => {}
            Err(problem) => problems.push(problem),
        }
    }
    let strangers = args.iter().take(TOLD);
    problems.extend(strangers.map(|(name, value)| unknown(params, name, value)));
    if problems.is_empty() {
        return Ok((read, instance));
    }
    Err(Unfit {
        problems,
        untold: args.len().saturating_sub(TOLD),
    })
}

fn unknown(params: &[Param], name: &str, value: &Value) -> Problem {
    let known = || {
        let own = params.iter().map(|param| &*param.name);
        own.chain([UNITY_INSTANCE])
    };
    let problem = Problem::new(
        name,
        "to be left out: the tool has no such parameter",
        value,
    );
    match nearest(name, known()) {
        Some(near) => problem.hint(format!("did you mean `{near}`?")),
        None => problem.hint(format!(
            "it takes {}",
            known().collect::<Vec<_>>().join(", ")
        )),
    }
}

impl Param {
    pub(super) fn read(&self, given: Option<Value>) -> Result<Option<Value>, Problem> {
        let read = match (given, self.vector, self.reads) {
            (None, ..) => Ok(None),
            (Some(value), Some(n), _) => coerce::vector(n, value),
            (Some(value), None, Some(reads)) => reads.read(&self.ty, value),
            (Some(value), None, None) => coerce::coerce(&self.ty, value),
        };
        let read = read.map_err(|value| Problem::new(&self.name, self.expected(), &value))?;
        let read = read.map(|value| self.limit(value)).transpose()?;
        let read = match read {
            Some(Value::String(text)) if text.is_empty() => match self.empty() {
                Empty::Refuse => {
                    return Err(Problem::new(
                        &self.name,
                        self.expected(),
                        &Value::String(text),
                    ));
                }
                Empty::Absent => None,
                Empty::Keep => Some(Value::String(text)),
            },
            read => read,
        };
        match read.or_else(|| self.default.clone()) {
            None if self.required => Err(Problem::missing(&self.name, self.expected())),
            read => Ok(read),
        }
    }

    /// The value within what the entry allows beyond its type.
    fn limit(&self, value: Value) -> Result<Value, Problem> {
        match (value, self.clamp) {
            (Value::String(text), _) if !self.one_of.is_empty() => {
                one_of(&self.name, &self.one_of, &text)
            }
            (Value::Number(number), Some([least, most])) => {
                // What does not fit into an i64 lies beyond either bound.
                let beyond = if number.as_f64() < Some(0.0) {
                    least
                } else {
                    most
                };
                Ok(number.as_i64().unwrap_or(beyond).clamp(least, most).into())
            }
            (value, _) => Ok(value),
        }
    }

    fn empty(&self) -> Empty {
        let unsaid = if self.required {
            Empty::Refuse
        } else {
            Empty::Keep
        };
        self.empty.unwrap_or(unsaid)
    }

    fn serves(&self, action: Option<&str>) -> bool {
        self.actions.is_empty() || super::entry::names(&self.actions, action)
    }

    fn expected(&self) -> String {
        match self.vector {
            Some(3) => {
                "three numbers: [x, y, z], {\"x\": …, \"y\": …, \"z\": …} or \"x, y, z\"".to_owned()
            }
            Some(n) => format!("a list of {n} numbers"),
            None if !self.one_of.is_empty() => format!("one of {}", self.one_of.join(", ")),
            None => match self.reads.and_then(Reads::expected) {
                Some(text) => text.to_owned(),
                None => self.ty.to_string(),
            },
        }
    }
}

/// The editor that a call's arguments name, if they do, and as far as can be told before they are checked.
pub(crate) fn named_instance(args: &Map<String, Value>) -> Option<String> {
    read_instance(args.get(UNITY_INSTANCE).cloned()).ok()?
}

/// Numbers are taken, too: a hash prefix of digits only is written as a number by some clients.
fn read_instance(given: Option<Value>) -> Result<Option<String>, Problem> {
    let text = match given {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::String(text)) => text.trim().to_owned(),
        Some(Value::Number(number)) if number.is_u64() => number.to_string(),
        Some(other) => return Err(Problem::new(UNITY_INSTANCE, "Name@hash as text", &other)),
    };
    Ok(Some(text).filter(|text| !text.is_empty()))
}
