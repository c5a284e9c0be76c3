//! Whole programs beside other people's whole programs, on loopback: what comes of it is a table of ratios.
//!
//! `cargo run --release -p benches --bin compare`. It builds and installs what is missing, and is then over within 5 minutes.
//! What is measured how, and beside whom: `benches/README.md`.
#![expect(
    clippy::disallowed_methods,
    reason = "a program that waits, and reads the clock"
)]

#[allow(
    dead_code,
    clippy::unwrap_used,
    reason = "of the bench beside it; not all is needed here"
)]
#[path = "../broker/calls.rs"]
mod calls;
mod load;
mod nginx;
#[allow(
    dead_code,
    clippy::unwrap_used,
    reason = "of the bench beside it; not all is needed here"
)]
#[path = "../broker/peers.rs"]
mod peers;
mod plot;
mod proxy;
mod roles;
mod stdio;
mod table;
mod unity;

use benches::{process::end_all, programs};
use clap::{Parser, ValueEnum};
use roles::Role;
use std::error::Error;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};
use table::Table;

/// How long the measuring may take; building and installing come before.
const AT_MOST: Duration = Duration::from_secs(300);

/// Our programs beside others
#[derive(Debug, Parser)]
struct Flags {
    /// What to measure, all if nothing is said
    #[arg(long, value_enum)]
    only: Vec<Part>,
    /// Rounds of each pair
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Leave out what is measured beside nginx
    #[arg(long)]
    without_nginx: bool,
    /// Measure the programs as they are
    #[arg(long)]
    no_build: bool,
    /// Where the plot goes, if everything is measured
    #[arg(long, default_value_os_t = programs::root().join("benches/compare.svg"))]
    plot: PathBuf,
    #[command(subcommand)]
    role: Option<Role>,
}

#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
enum Part {
    /// `unity_server` beside the Python server
    Unity,
    /// Our pipes beside rmcp's
    Stdio,
    /// The broker beside nginx
    Proxy,
    /// The broker beside the Mono broker's figure
    Funplay,
}

fn main() -> ExitCode {
    let flags = Flags::parse();
    let done = match flags.role {
        Some(role) => role.play(),
        None => compare(&flags).map_err(Box::from),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let error: Box<dyn Error> = error;
            eprintln!("compare: {error}");
            ExitCode::FAILURE
        }
    }
}

fn compare(flags: &Flags) -> io::Result<()> {
    let wanted = |part| flags.only.is_empty() || flags.only.contains(&part);
    if !flags.no_build {
        programs::build()?;
    }
    // What cannot be had is said before anything is measured.
    if wanted(Part::Unity) {
        programs::installed(unity::VENV)?;
    }
    if wanted(Part::Proxy) && !flags.without_nginx {
        nginx::installed()?;
    }
    let folder = programs::scratch("compare")?;
    give_up_after(AT_MOST);
    let mut table = Table::default();
    if wanted(Part::Unity) {
        unity::measure(&mut table, flags.rounds, &folder)?;
    }
    if wanted(Part::Stdio) {
        stdio::measure(&mut table, flags.rounds)?;
    }
    if wanted(Part::Proxy) && !flags.without_nginx {
        proxy::beside_nginx(&mut table, flags.rounds, &folder)?;
    }
    if wanted(Part::Funplay) {
        proxy::funplay(&mut table, flags.rounds, &folder)?;
    }
    benches::save();
    println!("\n{}", table.markdown());
    if flags.only.is_empty() && !flags.without_nginx {
        std::fs::write(&flags.plot, plot(&table))?;
        println!("the plot: {}", flags.plot.display());
    }
    Ok(())
}

/// The rows that have a goal, but for those beside a constant.
fn plot(table: &Table) -> String {
    let rows: Vec<_> = table.rows.iter().filter(|row| row.is_plotted()).collect();
    plot::plot("mcp-transport beside what one would use instead", &rows)
}

/// Should something hang after all, nothing of ours outlives it.
fn give_up_after(time: Duration) {
    let began = Instant::now();
    std::thread::spawn(move || {
        while began.elapsed() < time {
            std::thread::sleep(Duration::from_secs(1));
        }
        eprintln!("compare: it was not over after {time:?}");
        end_all();
        std::process::exit(1);
    });
}
