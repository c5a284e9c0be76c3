//! A Unity MCP server whose calls outlive the editor's reloads.
//!
//! `cargo run --example unity_server -- --sim` needs no Unity: a simulated editor is included.

use clap::Parser;
use examples::server::flags::{Environment, Flags, Note, hint, settle, stdin_is_pipe};
use examples::server::{PidFile, offer, run};
use std::io::{self, IsTerminal};
use std::path::Path;
use std::process::ExitCode;
use tokio::runtime::{Builder, Runtime};

/// As clap ends a program whose command line it does not understand.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    // Where no mcp-broker is installed, this program is the broker, too.
    if let Some(code) = mcp_transport_broker::run::broker_main() {
        return code;
    }
    let flags = Flags::try_parse().unwrap_or_else(|error| {
        let hint = hint(&error);
        let _ = error.print();
        if let Some(hint) = hint {
            eprintln!("\n{hint}");
        }
        std::process::exit(error.exit_code());
    });
    prepare_tools();
    start_log();
    let environment = Environment::of(std::env::vars_os());
    let settings = match settle(flags, &environment, stdin_is_pipe()) {
        Ok(settings) => settings,
        Err(refused) => {
            eprintln!("unity_server: {refused}");
            return ExitCode::from(USAGE);
        }
    };
    for note in settings.notes {
        match note {
            Note::Info(text) => tracing::info!("{text}"),
            Note::Warning(text) => tracing::warn!("{text}"),
        }
    }
    let runtime = match runtime(settings.options.hosted.is_some()) {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("unity_server: cannot start: {error}");
            return ExitCode::FAILURE;
        }
    };
    let _pidfile = settings.pidfile.as_deref().and_then(write_pid);
    let ended = runtime.block_on(run(settings.options));
    // The thread that reads standard input cannot be stopped; waiting for it would outlast a signal.
    runtime.shutdown_background();
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("unity_server: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Threads for the calls of one machine. Its editors answer one call at a time, and each thread has memory of its own.
const THREADS: usize = 2;

/// Many users have all processors.
fn runtime(has_users: bool) -> io::Result<Runtime> {
    let mut builder = Builder::new_multi_thread();
    if !has_users {
        builder.worker_threads(THREADS);
    }
    builder.enable_all().build()
}

/// Making the list of tools takes as long as all the rest of the start. Meanwhile the rest can go on.
fn prepare_tools() {
    let thread = std::thread::Builder::new().name("tools".to_owned());
    // Without it whoever asks first waits.
    let _ = thread.spawn(offer::tools);
}

fn start_log() {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| "info,rmcp=warn".into());
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(io::stderr().is_terminal())
        .with_writer(io::stderr)
        .init();
}

/// A server without the file is better than none.
fn write_pid(path: &Path) -> Option<PidFile> {
    PidFile::write(path)
        .inspect_err(|error| {
            tracing::warn!(%error, path = %path.display(), "the process's id cannot be written");
        })
        .ok()
}
