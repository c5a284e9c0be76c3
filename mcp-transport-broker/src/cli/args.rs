//! The flags of `mcp-broker`. Pure.

use crate::run::{DEFAULT_PORT, Dialect, RunConfig};
use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;
use std::time::Duration;

/// Keeps an MCP server's port while the server reloads.
///
/// Clients talk to this program; the server, the host, dials it and asks for work. While the host is
/// away, calls wait.
#[derive(Debug, Parser)]
#[command(name = "mcp-broker", version, after_long_help = WAITING)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Option<Subcommands>,
    #[command(flatten)]
    pub(crate) place: Place,
    #[command(flatten)]
    pub(crate) run: Run,
}

/// What a broker that runs is asked.
#[derive(Clone, Copy, Debug, Subcommand)]
pub(crate) enum Subcommands {
    /// Say who has the port, which host is attached and what waits, as JSON.
    Status,
    /// End the broker of this port, in order: everybody who waits gets an answer.
    Stop,
}

#[derive(Args, Debug)]
pub(crate) struct Place {
    /// The port that clients know; 0 for any that is free.
    #[arg(long, global = true, default_value_t = DEFAULT_PORT)]
    pub(crate) port: u16,
    /// The file with the token that hosts must know. It is made if it is not there, and only its
    /// owner may read it. MCP_BROKER_TOKEN has the token itself, and comes first.
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
    /// Where the files of running brokers are: process, token, last catalogue.
    #[arg(long, global = true, value_name = "FOLDER")]
    pub(crate) state_dir: Option<PathBuf>,
}

#[derive(Args, Debug)]
pub(crate) struct Run {
    /// Which hosts may come.
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "native",
        value_name = "LIST"
    )]
    dialect: Vec<DialectFlag>,
    /// How long a call waits for a host, in seconds.
    #[arg(long, default_value = "120", value_parser = seconds)]
    hold: Duration,
    /// How long a client waits that did not ask for progress, in seconds.
    #[arg(long, default_value = "50", value_parser = seconds)]
    client_budget: Duration,
    /// A page of this origin may call. May be said more than once.
    #[arg(long, value_name = "ORIGIN")]
    allow_origin: Vec<String>,
    /// WebSocket upgrades on this path go to the host. May be said more than once.
    #[arg(long, value_name = "PATH")]
    tunnel_path: Vec<String>,
    /// Log there, at most 1 MiB, and not to standard error.
    #[arg(long, value_name = "FILE")]
    log_file: Option<PathBuf>,
    /// End after so many seconds without a host, if nobody waits.
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    exit_when_orphaned: Option<Duration>,
    /// End when the host says that it leaves for good.
    #[arg(long)]
    exit_with_host: bool,
    /// Take over from the broker that has the port.
    #[arg(long)]
    replace: bool,
    /// Take over only if the broker that has the port is this process.
    #[arg(long, value_name = "PID", requires = "replace")]
    replace_pid: Option<u32>,
    /// With the seed's dialect: after how many seconds without a sign its host is gone.
    #[arg(long, default_value = "5", value_parser = seconds)]
    host_lease: Duration,
    /// With the seed's dialect: what was handed out and not answered is handed out again, be it what
    /// it may. A slow tool then runs twice.
    #[arg(long)]
    seed_redeliver: bool,
    /// With the seed's dialect: its host needs no token. Any program of this machine can then be the
    /// host.
    #[arg(long)]
    allow_unauthenticated_host: bool,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum DialectFlag {
    Native,
    Funplay,
    Seed,
}

const WAITING: &str = "\
Whose time-out is extended by what:
  A client gives up by a clock of its own. Comments on an event stream keep sockets and proxies from
  closing; they extend no client's time-out. Progress does, where the client asked for it (a progressToken)
  and lets it count (in the TypeScript SDK: resetTimeoutOnProgress). So a client that asked for progress
  gets it every 10 seconds and waits for --hold; any other is answered after --client-budget, before its
  SDK would give up at 60 seconds. Where your client's time-out is shorter, set --client-budget below it.";

impl Cli {
    /// What these flags say.
    pub(crate) fn to_config(&self) -> RunConfig {
        let Run {
            dialect,
            hold,
            client_budget,
            allow_origin,
            tunnel_path,
            log_file,
            exit_when_orphaned,
            exit_with_host,
            replace,
            replace_pid,
            host_lease,
            seed_redeliver,
            allow_unauthenticated_host,
        } = &self.run;
        RunConfig {
            port: self.place.port,
            token_file: self.place.token_file.clone(),
            state_dir: self.place.state_dir.clone(),
            dialects: dialect.iter().map(|one| one.dialect()).collect(),
            hold: *hold,
            client_budget: *client_budget,
            allow_origins: allow_origin.clone(),
            tunnel_paths: tunnel_path.clone(),
            log_file: log_file.clone(),
            exit_when_orphaned: *exit_when_orphaned,
            exit_with_host: *exit_with_host,
            replace: *replace,
            replace_pid: *replace_pid,
            host_lease: *host_lease,
            seed_redeliver: *seed_redeliver,
            allow_unauthenticated_host: *allow_unauthenticated_host,
        }
    }
}

impl DialectFlag {
    const fn dialect(self) -> Dialect {
        match self {
            Self::Native => Dialect::Native,
            Self::Funplay => Dialect::Funplay,
            Self::Seed => Dialect::Seed,
        }
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    let told = "a number of seconds, at most a day, such as 50 or 0.5";
    let seconds: f64 = text.parse().map_err(|_| told.to_owned())?;
    if !(0.0..=86_400.0).contains(&seconds) {
        return Err(told.to_owned());
    }
    Ok(Duration::from_secs_f64(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(flags: &[String]) -> RunConfig {
        let name = ["mcp-broker".to_owned()];
        Cli::try_parse_from(name.iter().chain(flags))
            .unwrap()
            .to_config()
    }

    #[test]
    fn without_flags_everything_is_as_by_default() {
        assert_eq!(parse(&[]), RunConfig::default());
    }

    #[test]
    fn what_a_launcher_says_by_flags_is_what_the_program_hears() {
        let mut config = RunConfig::default();
        assert_eq!(parse(&config.to_flags()), config);
        config.port = 20_001;
        config.dialects = vec![Dialect::Seed, Dialect::Native];
        config.hold = Duration::from_millis(1_500);
        config.client_budget = Duration::from_secs(7);
        config.token_file = Some("/a token".into());
        config.state_dir = Some("/state".into());
        config.log_file = Some("/log".into());
        config.exit_when_orphaned = Some(Duration::from_secs(300));
        config.exit_with_host = true;
        config.replace = true;
        config.replace_pid = Some(4_242);
        config.tunnel_paths = vec!["/hub/plugin".to_owned(), "/other".to_owned()];
        config.allow_origins = vec!["https://a.example".to_owned()];
        config.host_lease = Duration::from_secs(1);
        config.seed_redeliver = true;
        config.allow_unauthenticated_host = true;
        assert_eq!(parse(&config.to_flags()), config);
        assert_eq!(
            serde_json::from_str::<RunConfig>(&config.to_json()).unwrap(),
            config
        );
    }

    #[test]
    fn help_says_what_extends_whose_time_out() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
        let help = Cli::command().render_long_help().to_string();
        assert!(help.contains("resetTimeoutOnProgress"), "{help}");
    }
}
