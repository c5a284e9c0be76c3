//! Programs that run beside us, and what they cost.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long a program has to end when it is asked to.
const PATIENCE: Duration = Duration::from_secs(5);

/// A program of ours; it ends when this is dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
}

impl Process {
    /// Starts a program that says what it says into this file.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn start(command: &mut Command, log: &Path) -> io::Result<Self> {
        let log = File::create(log)?;
        let command = command
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        Self::spawn(command)
    }

    /// Starts a program on pipes of ours, its standard error going where ours goes.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn piped(command: &mut Command) -> io::Result<(Self, ChildStdin, ChildStdout)> {
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = Self::spawn(command)?;
        let pipes = (process.child.stdin.take(), process.child.stdout.take());
        let (Some(stdin), Some(stdout)) = pipes else {
            return Err(io::Error::other("the pipes are missing"));
        };
        Ok((process, stdin, stdout))
    }

    /// Its id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, if it did by itself.
    pub fn ended(&mut self) -> Option<String> {
        self.child.try_wait().ok()?.map(|status| status.to_string())
    }

    fn spawn(command: &mut Command) -> io::Result<Self> {
        let child = command.spawn().map_err(|error| {
            let program = command.get_program().to_string_lossy();
            io::Error::new(error.kind(), format!("{program}: {error}"))
        })?;
        running(|all| all.push(child.id()));
        Ok(Self { child })
    }
}

/// Those that run, for whoever has to go without dropping them.
static RUNNING: Mutex<Vec<u32>> = Mutex::new(Vec::new());

fn running<T>(then: impl FnOnce(&mut Vec<u32>) -> T) -> T {
    then(&mut RUNNING.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Asks every program of ours to end; for whoever is about to leave by [`exit`](std::process::exit).
pub fn end_all() {
    for id in running(std::mem::take) {
        ask_to_end(id);
    }
}

fn ask_to_end(id: u32) -> bool {
    let asked = Command::new("kill")
        .args(["-TERM", &id.to_string()])
        .status();
    asked.is_ok_and(|status| status.success())
}

impl Drop for Process {
    fn drop(&mut self) {
        // Asked first, since a program may have children of its own to end.
        let id = self.child.id();
        running(|all| all.retain(|it| *it != id));
        let asked = ask_to_end(id);
        let began = Instant::now();
        while asked && began.elapsed() < PATIENCE {
            if let Ok(Some(_)) = self.child.try_wait() {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The memory of a process in bytes, shared pages counted by its share of them.
///
/// # Errors
/// Where the system does not tell: it is Linux that does.
pub fn memory(process: u32) -> io::Result<u64> {
    let text = fs::read_to_string(format!("/proc/{process}/smaps_rollup"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    kib.map(|kib| kib * 1_024)
        .ok_or_else(|| io::Error::other("smaps_rollup has no Pss"))
}

/// How many descriptors a process has open.
///
/// # Errors
/// As [`memory`].
pub fn descriptors(process: u32) -> io::Result<usize> {
    Ok(fs::read_dir(format!("/proc/{process}/fd"))?.count())
}

/// The processor time that a process, its threads and its children have had.
///
/// # Errors
/// As [`memory`].
pub fn processor(process: u32) -> io::Result<Duration> {
    let mut spent = Duration::ZERO;
    for thread in fs::read_dir(format!("/proc/{process}/task"))? {
        let thread = thread?.path();
        let text = fs::read_to_string(thread.join("schedstat"))?;
        let nanos = text.split(' ').next().and_then(|first| first.parse().ok());
        spent += Duration::from_nanos(nanos.unwrap_or_default());
        let children = fs::read_to_string(thread.join("children")).unwrap_or_default();
        for child in children.split_whitespace().filter_map(|id| id.parse().ok()) {
            spent += processor(child)?;
        }
    }
    Ok(spent)
}

/// A port on which nobody listened a moment ago.
///
/// # Errors
/// If the system has none.
pub fn free_port() -> io::Result<u16> {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0))?;
    Ok(listener.local_addr()?.port())
}
