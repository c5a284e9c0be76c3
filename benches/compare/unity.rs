//! `unity_server` beside the Python server for Unity, each with the same simulated editor.

use crate::load::{self, Load};
use crate::table::{Table, Unit, in_turns, seconds};
use benches::process::{Process, free_port, memory};
use benches::session::Session;
use benches::{Goal, programs, runtime};
use serde_json::{Value, json};
use std::io;
use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// How it is installed: as for the tests.
pub(crate) const VENV: &str = "venv('python_server.txt')";

const PYTHON: &str = "Python server 10.3.0";

/// Clients, and how many times the calls of the other.
const GOALS: [(usize, f64); 3] = [(1, 12.0), (8, 45.0), (32, 60.0)];

/// How long a server may take to start, and its editor to come.
const START: Duration = Duration::from_secs(60);

/// How long one slice of load takes.
const SLICE: Duration = Duration::from_millis(2_000);

/// How often each is started. A start of the Python server takes more than a second.
const STARTS: usize = 5;

pub(crate) fn measure(table: &mut Table, rounds: usize, folder: &Path) -> io::Result<()> {
    let venv = programs::installed(VENV)?;
    let python = |port, folder: &Path| python(&venv, port, folder);
    let starts = in_turns(
        STARTS,
        || start_to_list(programs::unity_server, folder),
        || start_to_list(python, folder),
    )?;
    let starts = starts
        .into_iter()
        .map(|(ours, theirs)| (seconds(ours), seconds(theirs)));
    table.add(
        "unity_server, start to first tools/list",
        PYTHON,
        Unit::Seconds,
        Goal::AtMost(1.0 / 250.0),
        starts,
    );
    let ours = Server::start("unity_server", programs::unity_server, folder)?;
    let theirs = Server::start("the Python server", python, folder)?;
    let remember = |table: &mut Table, when: &str| {
        let used = |server: &Server| memory(server.process.id()).map(|bytes| bytes as f64);
        let used = (used(&ours)?, used(&theirs)?);
        let name = format!("unity_server, memory {when}");
        table.add(name, PYTHON, Unit::Bytes, Goal::AtMost(0.1), [used]);
        io::Result::Ok(())
    };
    remember(table, "before the load")?;
    for (clients, goal) in GOALS {
        let both = in_turns(
            rounds,
            || load::tools(ours.port, clients, SLICE, &call()),
            || load::tools(theirs.port, clients, SLICE, &call()),
        )?;
        let (goal, clients) = (Goal::AtLeast(goal), plural(clients));
        add(table, &format!("calls/s, {clients}"), goal, &both, |load| {
            load.per_second
        });
        for (which, of) in [
            ("p50", (|load| seconds(load.p50)) as fn(&Load) -> f64),
            ("p99", |load| seconds(load.p99)),
        ] {
            add(table, &format!("{which}, {clients}"), Goal::None, &both, of);
        }
    }
    remember(table, "after the load")
}

fn add(
    table: &mut Table,
    name: &str,
    goal: Goal,
    both: &[(Load, Load)],
    of: impl Fn(&Load) -> f64,
) {
    let unit = match goal {
        Goal::AtLeast(_) => Unit::PerSecond,
        Goal::AtMost(_) | Goal::None => Unit::Seconds,
    };
    let rounds = both.iter().map(|(ours, theirs)| (of(ours), of(theirs)));
    table.add(format!("unity_server, {name}"), PYTHON, unit, goal, rounds);
}

fn plural(clients: usize) -> String {
    match clients {
        1 => "1 client".to_owned(),
        many => format!("{many} clients"),
    }
}

/// A tool that either server passes on as it comes: one command, one answer, and nothing is asked before. In the simulated
/// editor it leaves a line in a log that does not grow.
fn call() -> Value {
    json!({"name": "execute_menu_item", "arguments": {"menu_path": "Window/General/Console"}})
}

/// A server with its editor.
struct Server {
    process: Process,
    port: u16,
    _editor: Process,
}

impl Server {
    /// Starts both, and waits until the editor answers.
    fn start(
        name: &str,
        start: impl Fn(u16, &Path) -> io::Result<Process>,
        folder: &Path,
    ) -> io::Result<Self> {
        let port = free_port()?;
        let process = start(port, folder)?;
        let began = Instant::now();
        runtime().block_on(served(port, "tools/list", &json!({})))?;
        let log = folder.join(format!("editor-of-{name}.log"));
        let editor = programs::unity_editor(port, &log)?;
        runtime().block_on(served(port, "tools/call", &call()))?;
        println!("{name} has its editor after {:.1?}", began.elapsed());
        Ok(Self {
            process,
            port,
            _editor: editor,
        })
    }
}

/// From the start of a process until it has answered `tools/list`. No editor is there.
fn start_to_list(
    start: impl Fn(u16, &Path) -> io::Result<Process>,
    folder: &Path,
) -> io::Result<Duration> {
    let port = free_port()?;
    let runtime = runtime();
    let began = Instant::now();
    let _server = start(port, folder)?;
    runtime.block_on(async {
        let (session, at) = answered(port, "tools/list", &json!({})).await?;
        session.close().await?;
        Ok(at - began)
    })
}

/// Waits until there is an answer.
async fn served(port: u16, method: &str, params: &Value) -> io::Result<()> {
    answered(port, method, params).await?.0.close().await
}

/// Asks until there is an answer. When it was there, and whose it was.
async fn answered(port: u16, method: &str, params: &Value) -> io::Result<(Session, Instant)> {
    let began = Instant::now();
    // tokio's timer has milliseconds, of which a start takes few.
    while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() && began.elapsed() < START {
        std::thread::sleep(Duration::from_micros(100));
    }
    loop {
        let asked = async {
            let mut session = Session::open(port).await?;
            session.prepare(method, params);
            session.again().await?;
            Ok((session, Instant::now()))
        };
        match asked.await {
            Ok(answered) => return Ok(answered),
            Err(error) if began.elapsed() > START => return Err(error),
            Err(_) => tokio::time::sleep(Duration::from_millis(1)).await,
        }
    }
}

/// The Python server on this port. What it writes to its home it writes to this folder.
fn python(venv: &Path, port: u16, folder: &Path) -> io::Result<Process> {
    let mut command = Command::new(venv.join("bin/mcp-for-unity"));
    command
        .args(["--transport", "http", "--http-url"])
        .arg(format!("http://127.0.0.1:{port}"))
        .env("HOME", folder)
        .env("UNITY_MCP_LOG_DIR", folder)
        .env("DISABLE_TELEMETRY", "1")
        .env("UNITY_MCP_DISABLE_FOCUS_NUDGE", "1")
        .env("UNITY_MCP_SKIP_STARTUP_CONNECT", "1");
    Process::start(&mut command, &folder.join("python.log"))
}
