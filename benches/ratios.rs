//! Two ways to do the same, measured in turns.

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Throughput};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Whether a ratio must be at least its goal, or at most.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_enums, reason = "a goal is one of these")]
pub enum Goal {
    /// So many times the speed of the other, or more.
    AtLeast(f64),
    /// So many times what the other needs, or less.
    AtMost(f64),
    /// Nothing is promised: the figure is for orientation.
    None,
}

impl Goal {
    /// Whether this ratio is as good as it should be.
    pub fn is_met(self, ratio: f64) -> bool {
        match self {
            Self::AtLeast(goal) => ratio >= goal,
            Self::AtMost(goal) => ratio <= goal,
            Self::None => true,
        }
    }

    fn json(self) -> serde_json::Value {
        match self {
            Self::AtLeast(goal) => goal.into(),
            Self::AtMost(goal) => goal.into(),
            Self::None => serde_json::Value::Null,
        }
    }

    /// What stands in the file: of a run before this one, or of an executable before this one.
    fn of(entry: &serde_json::Value) -> Self {
        match (entry["goal"].as_f64(), entry["at"].as_str()) {
            (Some(goal), Some("most")) => Self::AtMost(goal),
            (Some(goal), _) => Self::AtLeast(goal),
            (None, _) => Self::None,
        }
    }
}

impl std::fmt::Display for Goal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::AtLeast(goal) => write!(f, "at least {goal}"),
            Self::AtMost(goal) => write!(f, "at most {goal}"),
            Self::None => Ok(()),
        }
    }
}

/// Two ways to do the same.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_structs, reason = "a bench says all of this")]
pub struct Pair<'a> {
    /// What is compared, and with whom: a row of the table.
    pub name: &'a str,
    /// What it should come to.
    pub goal: Goal,
    /// What one turn amounts to.
    pub amount: Throughput,
    /// How many of our turns take about as long as one of the other's. It keeps the two in step; the ratio has it out again.
    pub pace: u64,
}

impl<'a> Pair<'a> {
    /// With equal turns.
    pub fn new(name: &'a str, goal: Goal, amount: Throughput) -> Self {
        Self {
            name,
            goal,
            amount,
            pace: 1,
        }
    }

    /// One of the other's turns takes about as long as so many of ours.
    #[must_use]
    pub fn pace(mut self, pace: u64) -> Self {
        self.pace = pace;
        self
    }

    /// Lets criterion measure `ours`, and `theirs` beside it within each sample, so that whatever the machine does meanwhile
    /// happens to both. Each is given a number of turns, and says how long they took. The ratio is the median over the samples.
    pub fn run(
        self,
        group: &mut BenchmarkGroup<'_, WallTime>,
        mut ours: impl FnMut(u64) -> Duration,
        mut theirs: impl FnMut(u64) -> Duration,
    ) {
        let mut samples = Vec::new();
        group.throughput(self.amount.clone());
        group.bench_function(self.name, |bencher| {
            let mut first = false;
            bencher.iter_custom(|turns| {
                let their_turns = turns.div_ceil(self.pace);
                first = !first;
                let (our_time, their_time) = if first {
                    let our_time = ours(turns);
                    (our_time, theirs(their_turns))
                } else {
                    let their_time = theirs(their_turns);
                    (ours(turns), their_time)
                };
                let each = |time: Duration, turns: u64| time.as_secs_f64() / turns as f64;
                samples.push((turns, each(our_time, turns), each(their_time, their_turns)));
                our_time
            });
        });
        // Criterion filters by name on the command line; then there is nothing to say. Its warm-up comes first, in samples of
        // all sizes: only the largest count.
        let Some(most) = samples.iter().map(|(turns, ..)| *turns).max() else {
            return;
        };
        samples.retain(|(turns, ..)| *turns * 2 >= most);
        let mut ratios: Vec<f64> = samples
            .iter()
            .map(|(_, ours, theirs)| theirs / ours)
            .collect();
        tell(self.name, median(&mut ratios), self.goal);
    }
}

/// The middle one.
pub fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    match values {
        [] => f64::NAN,
        values => values[values.len() / 2],
    }
}

static TOLD: Mutex<Vec<(String, f64, Goal)>> = Mutex::new(Vec::new());

/// Notes a ratio.
pub fn tell(name: &str, ratio: f64, goal: Goal) {
    let mut told = TOLD.lock().unwrap_or_else(PoisonError::into_inner);
    told.push((name.to_owned(), ratio, goal));
}

/// Merges what was noted into `target/ratios.json`: `{"name": {"ratio": r, "goal": g}}`, and `"at": "most"` where less is better.
/// Says what stands there now.
///
/// # Panics
/// If that file cannot be written.
pub fn save() -> BTreeMap<String, serde_json::Value> {
    let told = TOLD.lock().unwrap_or_else(PoisonError::into_inner);
    let file = target().join("ratios.json");
    let text = std::fs::read_to_string(&file).unwrap_or_default();
    let mut all: BTreeMap<String, serde_json::Value> =
        serde_json::from_str(&text).unwrap_or_default();
    for (name, ratio, goal) in told.iter() {
        // Digits that no second run would show again are left out.
        let rounded = format!("{ratio:.4}").parse::<f64>().unwrap_or(*ratio);
        let mut entry = serde_json::json!({"ratio": rounded, "goal": goal.json()});
        if let Goal::AtMost(_) = goal {
            entry["at"] = "most".into();
        }
        all.insert(name.clone(), entry);
    }
    let text = serde_json::to_string_pretty(&all).expect("names and numbers");
    std::fs::write(&file, text + "\n").expect("the target folder can be written to");
    all
}

/// Prints what was noted, after it is [saved](save).
///
/// # Panics
/// As [`save`].
pub fn conclude() {
    if TOLD
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .is_empty()
    {
        return;
    }
    let all = save();
    let width = all.keys().map(String::len).max().unwrap_or(0);
    let mut table = String::new();
    for (name, entry) in &all {
        let (ratio, goal) = (entry["ratio"].as_f64().unwrap_or(f64::NAN), Goal::of(entry));
        let verdict = if goal.is_met(ratio) { "" } else { "missed" };
        let digits = if ratio < 0.1 { 4 } else { 2 };
        let _ = writeln!(
            table,
            "{name:width$} {ratio:>9.digits$}  {:<14} {verdict}",
            goal.to_string()
        );
    }
    let _ = write!(
        std::io::stdout(),
        "\nratios, medians (target/ratios.json)\n{table}"
    );
}

/// The folder that cargo builds in, above the profile's.
pub fn target() -> PathBuf {
    let program = std::env::current_exe().unwrap_or_default();
    let folder = program
        .ancestors()
        .find(|folder| folder.join("CACHEDIR.TAG").exists());
    folder.map_or_else(|| PathBuf::from("target"), PathBuf::from)
}
