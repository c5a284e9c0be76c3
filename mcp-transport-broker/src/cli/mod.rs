//! The program `mcp-broker`.

mod args;
mod log;
mod mono;
mod signals;

use crate::launch::{Files, Launch, LaunchError, Launched};
use crate::run::{self, RunConfig, Running};
use args::{Cli, Subcommands};
use clap::Parser;
use mono::Mono;
use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

/// The whole program.
pub fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    if let Some(call) = mono::read(&arguments) {
        return stand_in(call);
    }
    let cli = Cli::parse();
    match cli.command {
        None => {
            let config = cli.to_config();
            let log = log::start(config.log_file.as_deref());
            let code = run::block_on(run::start(&config), signals::asked_to_end());
            log.close();
            code
        }
        Some(command) => ask(&cli, command),
    }
}

/// Asks the broker that runs.
fn ask(cli: &Cli, command: Subcommands) -> ExitCode {
    let asked = async {
        let config = RunConfig {
            port: cli.place.port,
            token_file: cli.place.token_file.clone(),
            state_dir: cli.place.state_dir.clone(),
            ..RunConfig::default()
        };
        let Some(broker) = Launch::with(config).find().await? else {
            return Ok(Err(format!("nobody listens on port {}", cli.place.port)));
        };
        Ok(Ok(answer(&broker, command).await?))
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let asked: Result<Result<String, String>, String> = match runtime {
        Ok(runtime) => runtime
            .block_on(asked)
            .map_err(|error: LaunchError| error.to_string()),
        Err(error) => Err(error.to_string()),
    };
    use std::io::Write;
    match asked {
        Ok(Ok(text)) => {
            let _ = writeln!(std::io::stdout(), "{text}");
            ExitCode::SUCCESS
        }
        Ok(Err(text)) | Err(text) => {
            let _ = writeln!(std::io::stderr(), "mcp-broker: {text}");
            ExitCode::FAILURE
        }
    }
}

async fn answer(broker: &Launched, command: Subcommands) -> Result<String, LaunchError> {
    match command {
        Subcommands::Status => broker.status().await,
        Subcommands::Stop => {
            broker.stop().await?;
            Ok(format!("stopped; it was process {}", broker.pid()))
        }
    }
}

/// An editor called us as its runtime.
fn stand_in(call: Mono) -> ExitCode {
    match call {
        // Whether it is there and new is all that the editor looks at.
        Mono::Compile { out } => match std::fs::write(&out, PLACEHOLDER) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                use std::io::Write;
                let _ = writeln!(std::io::stderr(), "{}: {error}", out.display());
                ExitCode::FAILURE
            }
        },
        Mono::Run {
            program,
            port,
            token,
        } => {
            // As the broker ends whose place this takes.
            if token.is_empty() {
                return ExitCode::from(2);
            }
            let folder = program.parent().unwrap_or_else(|| Path::new("."));
            let state_dir = folder.join("mcp-broker");
            let config = RunConfig {
                port,
                dialects: vec![run::Dialect::Funplay],
                // Where it goes with the other files.
                log_file: Some(Files::new(&state_dir, port).log),
                state_dir: Some(state_dir),
                ..RunConfig::default()
            };
            let log = log::start(config.log_file.as_deref());
            let editors = folder.join("broker.pid");
            let text = mono::record(std::process::id(), port, &token);
            let start = async { Running::start(&config, Some(&token))?.recorded(editors, text) };
            let code = run::block_on(start, signals::asked_to_end());
            log.close();
            code
        }
    }
}

const PLACEHOLDER: &str = "mcp-broker stands in for the program that would be here.\n";
