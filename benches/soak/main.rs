//! Clients that vanish and editors that come back, again and again: does it cost `unity_server` anything that stays?
//!
//! `cargo run --release -p benches --bin soak`. It is over within 5 minutes, and fails if memory or descriptors grew.
#![expect(
    clippy::disallowed_methods,
    reason = "a program that waits, and reads the clock"
)]

mod editors;

use benches::process::{Process, descriptors, free_port, memory};
use benches::session::Session;
use benches::{programs, runtime};
use clap::Parser;
use serde_json::json;
use std::io;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// What may be there at the end that was not there after the warm-up, in bytes.
///
/// A session that stayed would cost some 100 KiB, the 1,000 of them 100 MiB; an editor's connection that stayed some 20 KiB, the
/// 10,000 of them 200 MiB, and half of either come after the warm-up. The allocator's own drift, from the order in which what
/// lived was freed, was 3 MiB at most. So this tells 1 in 6 sessions that stays, or 1 in 12 connections.
const DRIFT: u64 = 8 << 20;

/// How long sockets have to be gone after their last user.
const SETTLE: Duration = Duration::from_secs(10);

/// How long the whole may take.
const AT_MOST: Duration = Duration::from_secs(300);

/// Clients that vanish, and editors that come back.
#[derive(Debug, Parser)]
struct Flags {
    /// How many sessions are abandoned
    #[arg(long, default_value_t = 1_000)]
    sessions: usize,
    /// How often an editor connects, registers and breaks off
    #[arg(long, default_value_t = 10_000)]
    reconnects: usize,
    /// Measure the programs as they are
    #[arg(long)]
    no_build: bool,
}

/// What is in use.
struct Held {
    memory: u64,
    descriptors: usize,
}

fn main() -> ExitCode {
    let flags = Flags::parse();
    // Before the clock starts: it may be the first build of all.
    if !flags.no_build
        && let Err(error) = programs::build()
    {
        eprintln!("soak: {error}");
        return ExitCode::FAILURE;
    }
    let soaked = runtime().block_on(async {
        let soaked = tokio::time::timeout(AT_MOST, soak(&flags)).await;
        soaked.unwrap_or_else(|_| {
            Err(io::Error::other(format!(
                "it was not over after {AT_MOST:?}"
            )))
        })
    });
    match soaked {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("soak: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Whether all was given back.
async fn soak(flags: &Flags) -> io::Result<bool> {
    let folder = programs::scratch("soak")?;
    let port = free_port()?;
    let server = programs::unity_server(port, &folder)?;
    let listening = async {
        while Session::open(port).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    if tokio::time::timeout(SETTLE, listening).await.is_err() {
        return Err(io::Error::other(format!(
            "unity_server does not answer: see {}",
            folder.display()
        )));
    }
    let fresh = settled(&server, usize::MAX).await?;
    say("at the start", &fresh);
    // The server keeps some sessions for clients that may come back: so many, and no more, is what the first half shows.
    wear(port, flags.sessions / 2, flags.reconnects / 2).await?;
    let warm = settled(&server, usize::MAX).await?;
    say("half way", &warm);
    wear(
        port,
        flags.sessions - flags.sessions / 2,
        flags.reconnects - flags.reconnects / 2,
    )
    .await?;
    let end = settled(&server, warm.descriptors).await?;
    say("at the end", &end);
    Ok(verdict(&warm, &end))
}

/// Abandons sessions, and lets an editor come and go.
async fn wear(port: u16, sessions: usize, reconnects: usize) -> io::Result<()> {
    let began = Instant::now();
    for _ in 0..sessions {
        let mut client = Session::open(port).await?;
        client.ask("tools/list", &json!({})).await?;
        drop(client);
    }
    println!("{sessions} sessions abandoned in {:.1?}", began.elapsed());
    let began = Instant::now();
    editors::reconnect(port, reconnects).await?;
    println!("{reconnects} reconnects in {:.1?}", began.elapsed());
    Ok(())
}

/// What is held once the sockets of the gone are gone, too: at most so many descriptors, or as many as remain.
async fn settled(server: &Process, wanted: usize) -> io::Result<Held> {
    let began = Instant::now();
    let mut before = usize::MAX;
    loop {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let now = descriptors(server.id())?;
        let settled = now == before && now <= wanted;
        if settled || began.elapsed() > SETTLE {
            return Ok(Held {
                memory: memory(server.id())?,
                descriptors: now,
            });
        }
        before = now;
    }
}

fn say(when: &str, held: &Held) {
    let mib = held.memory as f64 / f64::from(1 << 20);
    println!("{when}: {mib:.1} MiB, {} descriptors", held.descriptors);
}

fn verdict(warm: &Held, end: &Held) -> bool {
    let grew = end.memory.saturating_sub(warm.memory);
    let (memory, descriptors) = (grew <= DRIFT, end.descriptors <= warm.descriptors);
    if !memory {
        eprintln!(
            "soak: memory grew by {} KiB; {} are allowed",
            grew >> 10,
            DRIFT >> 10
        );
    }
    if !descriptors {
        eprintln!(
            "soak: {} descriptors were open half way, {} are at the end",
            warm.descriptors, end.descriptors
        );
    }
    memory && descriptors
}
