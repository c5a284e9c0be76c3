//! What was asked, what was answered and what ran, line by line in files that outlive a kill.

use std::collections::{HashMap, HashSet};
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Writes lines, each at once and whole.
pub(crate) struct Pen(File);

impl Pen {
    pub(crate) fn on(path: &Path) -> Self {
        Self(
            OpenOptions::new()
                .append(true)
                .create(true)
                .open(path)
                .unwrap(),
        )
    }

    pub(crate) fn write(&self, line: &str) {
        (&self.0).write_all(format!("{line}\n").as_bytes()).unwrap();
    }
}

/// Follows a ledger.
pub(crate) struct Tail {
    path: PathBuf,
    file: Option<File>,
}

impl Tail {
    pub(crate) fn of(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            file: None,
        }
    }

    /// Waits for an answer from now on.
    pub(crate) async fn until_an_answer(&mut self) {
        self.read();
        for _ in 0..6_000 {
            if self.read().contains(" answered\n") {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let ledger = std::fs::read_to_string(&self.path).unwrap_or_default();
        let last: Vec<_> = ledger.lines().rev().take(20).collect();
        panic!("nothing is answered any more; the last lines, backwards: {last:#?}");
    }

    fn read(&mut self) -> String {
        let mut text = String::new();
        if self.file.is_none() {
            self.file = File::open(&self.path).ok();
        }
        if let Some(file) = &mut self.file {
            file.read_to_string(&mut text).unwrap();
        }
        text
    }
}

/// How often what happened.
#[derive(Debug, Default)]
pub(crate) struct Sums {
    /// Of the broker, the host and the clients.
    pub(crate) kills: [u64; 3],
    pub(crate) answered: u64,
    pub(crate) unknown: u64,
    pub(crate) not_delivered: u64,
    pub(crate) refused: u64,
    pub(crate) ended: u64,
    /// Went with the process that had asked.
    pub(crate) gone: u64,
    /// Reads that ran more than once, as they may.
    pub(crate) redelivered: u64,
}

impl Sums {
    pub(crate) fn add(&mut self, other: &Self) {
        for (sum, more) in self.kills.iter_mut().zip(other.kills) {
            *sum += more;
        }
        self.answered += other.answered;
        self.unknown += other.unknown;
        self.not_delivered += other.not_delivered;
        self.refused += other.refused;
        self.ended += other.ended;
        self.gone += other.gone;
        self.redelivered += other.redelivered;
    }
}

/// Holds what the clients heard against what the host ran. `killed`: the lives of the client that
/// did not end in order.
pub(crate) fn judge(ledger: &Path, journal: &Path, killed: &HashSet<u64>) -> Sums {
    let [ledger, journal] = [ledger, journal].map(|path| std::fs::read_to_string(path).unwrap());
    let mut runs = HashMap::<&str, u64>::new();
    for line in journal.lines() {
        let (key, _) = line.split_once(' ').unwrap();
        *runs.entry(key).or_default() += 1;
    }
    let mut asked = HashMap::<&str, (u64, &str)>::new();
    let mut heard = HashMap::<&str, &str>::new();
    for line in ledger.lines() {
        let mut words = line.splitn(3, ' ');
        let [life, key, what] = [(); 3].map(|()| words.next().unwrap());
        match what.strip_prefix("asked ") {
            Some(method) => {
                let twice = asked.insert(key, (life.parse().unwrap(), method));
                assert_eq!(twice, None, "{line}");
            }
            None => assert_eq!(heard.insert(key, what), None, "two answers: {line}"),
        }
    }
    let mut sums = Sums::default();
    for (key, (life, method)) in asked {
        let runs = runs.remove(key).unwrap_or(0);
        let told = format!(
            "{method} {key} ran {runs} times, and its client heard {:?}",
            heard.get(key)
        );
        let once = method == "tools/call";
        assert!(runs <= 1 || method == "resources/read", "{told}");
        sums.redelivered += u64::from(runs > 1);
        let (sum, holds) = match heard.get(key) {
            Some(&"answered") => (&mut sums.answered, runs > 0 || method == "initialize"),
            Some(&"unknown") => (&mut sums.unknown, once),
            Some(&"ended") => (&mut sums.ended, true),
            Some(&"not_delivered") => (&mut sums.not_delivered, runs == 0),
            Some(&"refused") => (&mut sums.refused, runs == 0),
            None => (&mut sums.gone, killed.contains(&life)),
            Some(_) => panic!("{told}"),
        };
        assert!(holds, "{told}");
        *sum += 1;
    }
    assert!(runs.is_empty(), "nobody asked for {runs:?}");
    sums
}
