//! The broker beside nginx: one passes calls to a host that asked for them, the other to a server that it dials.

use crate::load::{self, Load};
use crate::peers::TOKEN;
use crate::roles::{Player, Role};
use crate::table::{Table, Unit, in_turns, seconds};
use crate::{calls, nginx};
use benches::process::{Process, free_port, processor};
use benches::{Goal, programs};
use std::io;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

const SLICE: Duration = Duration::from_millis(1_500);

/// Connections, and how many times the requests of the other.
const GOALS: [(usize, f64); 2] = [(8, 1.0), (64, 1.3)];

/// What nginx may need, and the broker may not.
const PROCESSOR: f64 = 0.8;

/// What a request costs the Mono broker with a plugin that runs one call at a time, at 64 connections: measured once, on
/// a machine like that of the README's table, in seconds.
const MONO: f64 = 655e-6;

const START: Duration = Duration::from_secs(10);

/// Requests, and the processor time that each of them cost.
struct Passed {
    load: Load,
    /// Who passed it on.
    own: Duration,
    /// And who answered.
    both: Duration,
}

/// The native dialect, beside nginx.
pub(crate) fn beside_nginx(table: &mut Table, rounds: usize, folder: &Path) -> io::Result<()> {
    let echo = Player::start(Role::Echo)?;
    let (nginx, nginx_port) = nginx::start(echo.port, folder)?;
    let (broker, port) = broker("native", folder)?;
    let host = Player::start(Role::Host { broker: port })?;
    for (connections, goal) in GOALS {
        let both = in_turns(
            rounds,
            || pass(&broker, &host.process, port, connections),
            || pass(&nginx, &echo.process, nginx_port, connections),
        )?;
        let name = format!("broker, native, requests/s, {connections} connections");
        let rates = both
            .iter()
            .map(|(ours, theirs)| (ours.load.per_second, theirs.load.per_second));
        table.add(name, "nginx", Unit::PerSecond, Goal::AtLeast(goal), rates);
        let goal = match connections {
            64 => Goal::AtMost(PROCESSOR),
            _ => Goal::None,
        };
        let name = format!("broker, native, CPU per request, {connections} connections");
        let costs = both
            .iter()
            .map(|(ours, theirs)| (seconds(ours.own), seconds(theirs.own)));
        table.add(name, "nginx", Unit::Seconds, goal, costs);
        let name = format!("broker and host, CPU per request, {connections} connections");
        let costs = both
            .iter()
            .map(|(ours, theirs)| (seconds(ours.both), seconds(theirs.both)));
        let beside = "nginx and its backend";
        table.add(name, beside, Unit::Seconds, Goal::None, costs);
    }
    Ok(())
}

/// The Funplay dialect with a plugin as it is installed, beside a figure.
pub(crate) fn funplay(table: &mut Table, rounds: usize, folder: &Path) -> io::Result<()> {
    let (broker, port) = broker("funplay", folder)?;
    let plugin = Player::start(Role::Plugin { broker: port })?;
    let mut costs = Vec::new();
    for _ in 0..rounds {
        let passed = pass(&broker, &plugin.process, port, 64)?;
        costs.push((seconds(passed.own), MONO));
    }
    let name = "broker, Funplay, CPU per request, 64 connections";
    table.add(
        name,
        "the Mono broker (a constant)",
        Unit::Seconds,
        Goal::AtMost(0.2),
        costs,
    );
    Ok(())
}

fn pass(process: &Process, behind: &Process, port: u16, connections: usize) -> io::Result<Passed> {
    let request = calls::request(port, "echo");
    let spent = || io::Result::Ok((processor(process.id())?, processor(behind.id())?));
    let before = spent()?;
    let load = load::requests(port, connections, SLICE, &request)?;
    let after = spent()?;
    let own = after.0.saturating_sub(before.0).div_f64(load.all);
    let behind = after.1.saturating_sub(before.1).div_f64(load.all);
    Ok(Passed {
        load,
        own,
        both: own + behind,
    })
}

/// `mcp-broker` with one dialect.
fn broker(dialect: &str, folder: &Path) -> io::Result<(Process, u16)> {
    let port = free_port()?;
    let mut command = Command::new(programs::ours("mcp-broker")?);
    command
        .args(["--port", &port.to_string(), "--dialect", dialect])
        .arg("--state-dir")
        .arg(folder.join(format!("broker-{dialect}")))
        .env("MCP_BROKER_TOKEN", TOKEN);
    let log = folder.join(format!("broker-{dialect}.log"));
    let mut broker = Process::start(&mut command, &log)?;
    listening(&mut broker, port, &log)?;
    Ok((broker, port))
}

/// Waits until somebody listens there.
pub(crate) fn listening(process: &mut Process, port: u16, log: &Path) -> io::Result<()> {
    let began = Instant::now();
    while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
        if process.ended().is_some() || began.elapsed() > START {
            let text = format!("nobody listens at port {port}: see {}", log.display());
            return Err(io::Error::other(text));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}
