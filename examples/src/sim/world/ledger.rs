//! Who ran, what took effect, and how often: the evidence that nothing ran twice.

use std::collections::{BTreeMap, VecDeque};

use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::Cause;
use crate::sim::strike::{Point, Strikes};

/// Each of the ledger's tables forgets its oldest row beyond this many.
pub const LEDGER_ROWS: usize = 4_096;

/// The effect log forgets its oldest line beyond this many.
pub const EFFECT_LINES: usize = 1_000;

/// One thing that changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Effect {
    /// Counts all effects since the world began, from 1.
    pub number: u64,
    /// When, in Unix milliseconds.
    pub at_unix_ms: u64,
    /// The `execute.id` of the command that did it, if it had one.
    pub id: Option<String>,
    /// What happened, e.g. `object_created`.
    pub what: &'static str,
    /// To whom: an object's name, a script's path.
    pub subject: String,
}

/// How often one command ran. Commands with the same name and parameters are one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Ran {
    /// The command's wire name.
    pub command: String,
    /// The first 16 hex digits of SHA-256 over its name and its parameters, keys sorted.
    pub digest: String,
    /// How often it was executed.
    pub executed: u64,
    /// How often that changed anything.
    pub took_effect: u64,
}

/// What a world saw, as `Simulator/Report` answers it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Report {
    /// Commands executed in all.
    pub executed: u64,
    /// Each command, the first one first; at most [`LEDGER_ROWS`].
    pub commands: Vec<Ran>,
    /// The `execute.id`s that were executed more than once, with how often.
    pub ids_run_twice: BTreeMap<String, u64>,
    /// How many objects were created under each name.
    pub objects_created: BTreeMap<String, u64>,
    /// How often the script at each path was created.
    pub scripts_created: BTreeMap<String, u64>,
    /// How many domain reloads each cause had.
    pub reloads: BTreeMap<Cause, u64>,
    /// How many of them struck a command, and where.
    pub strikes: BTreeMap<Point, u64>,
    /// The latest effects, oldest first; at most [`EFFECT_LINES`].
    pub effects: Vec<Effect>,
    /// Table rows that are forgotten: where this is not 0, the counts above are lower bounds.
    pub forgotten: u64,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Ledger {
    executed: u64,
    commands: Table<Ran>,
    ids: Table<u64>,
    objects: Table<u64>,
    scripts: Table<u64>,
    reloads: BTreeMap<Cause, u64>,
    effects: VecDeque<Effect>,
    effect_count: u64,
    current: (u64, Option<String>),
}

impl Ledger {
    /// A command is about to run: what takes effect from now on is its doing.
    pub(super) fn begin(&mut self, now_unix_ms: u64, id: Option<&str>) -> u64 {
        self.current = (now_unix_ms, id.map(str::to_owned));
        self.effect_count
    }

    /// The command that began at effect `began` is over.
    pub(super) fn end(&mut self, began: u64, command: &str, params: &Value) {
        self.executed += 1;
        if let Some(id) = self.current.1.take() {
            *self.ids.row(id) += 1;
        }
        let digest = digest(command, params);
        let ran = self.commands.row(digest.clone());
        ran.executed += 1;
        ran.took_effect += u64::from(self.effect_count > began);
        ran.command = command.to_owned();
        ran.digest = digest;
    }

    pub(super) fn effect(&mut self, what: &'static str, subject: impl Into<String>) {
        let subject = subject.into();
        match what {
            "object_created" => *self.objects.row(subject.clone()) += 1,
            "script_created" => *self.scripts.row(subject.clone()) += 1,
            _ => {}
        }
        self.effect_count += 1;
        if self.effects.len() == EFFECT_LINES {
            self.effects.pop_front();
        }
        let (at_unix_ms, id) = self.current.clone();
        self.effects.push_back(Effect {
            number: self.effect_count,
            at_unix_ms,
            id,
            what,
            subject,
        });
    }

    pub(super) fn reloaded(&mut self, cause: Cause) {
        *self.reloads.entry(cause).or_default() += 1;
    }

    pub(super) fn report(&self, strikes: &Strikes) -> Report {
        Report {
            executed: self.executed,
            commands: self.commands.rows().map(|(_, ran)| ran.clone()).collect(),
            ids_run_twice: self.ids.counts().filter(|&(_, count)| count > 1).collect(),
            objects_created: self.objects.counts().collect(),
            scripts_created: self.scripts.counts().collect(),
            reloads: self.reloads.clone(),
            strikes: strikes.counts().collect(),
            effects: self.effects.iter().cloned().collect(),
            forgotten: self.commands.forgotten
                + self.ids.forgotten
                + self.objects.forgotten
                + self.scripts.forgotten,
        }
    }
}

/// Rows by key, in the order of their first use, the oldest forgotten beyond [`LEDGER_ROWS`].
#[derive(Clone, Debug, Default)]
struct Table<V> {
    rows: BTreeMap<String, V>,
    order: VecDeque<String>,
    forgotten: u64,
}

impl<V: Default> Table<V> {
    fn row(&mut self, key: String) -> &mut V {
        if !self.rows.contains_key(&key) {
            if self.order.len() == LEDGER_ROWS
                && let Some(oldest) = self.order.pop_front()
            {
                self.rows.remove(&oldest);
                self.forgotten += 1;
            }
            self.order.push_back(key.clone());
        }
        self.rows.entry(key).or_default()
    }

    fn rows(&self) -> impl Iterator<Item = (&String, &V)> {
        self.order
            .iter()
            .filter_map(|key| self.rows.get_key_value(key))
    }
}

impl Table<u64> {
    fn counts(&self) -> impl Iterator<Item = (String, u64)> + '_ {
        self.rows().map(|(key, &count)| (key.clone(), count))
    }
}

fn digest(command: &str, params: &Value) -> String {
    let mut text = command.to_owned();
    canonical(params, &mut text);
    hex(&Sha256::digest(text.as_bytes())[..8])
}

/// JSON with sorted keys, whatever order the map keeps.
fn canonical(value: &Value, out: &mut String) {
    match value {
        Value::Object(map) => {
            let mut keys: Vec<&String> = map.keys().collect();
            keys.sort();
            out.push('{');
            for key in keys {
                out.push_str(&Value::from(key.as_str()).to_string());
                out.push(':');
                canonical(&map[key], out);
                out.push(',');
            }
            out.push('}');
        }
        Value::Array(items) => {
            out.push('[');
            for item in items {
                canonical(item, out);
                out.push(',');
            }
            out.push(']');
        }
        leaf => out.push_str(&leaf.to_string()),
    }
}

pub(super) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;

    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            write!(text, "{byte:02x}").expect("writing to a String cannot fail");
            text
        })
}
