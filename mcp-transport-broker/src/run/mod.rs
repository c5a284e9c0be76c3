//! A broker process: what it is told, and its life.
//!
//! The program `mcp-broker` is this with flags. A program that wants no second binary calls
//! [`broker_main`] first thing in its `main`, and [`Launch`](crate::launch::Launch) can start it
//! once more as the broker.
#![expect(
    clippy::disallowed_methods,
    reason = "the shell of a process, which reads the clock once"
)]

mod config;
mod error;
mod replace;

pub use config::{DEFAULT_PORT, Dialect, RunConfig};
pub use error::RunError;

use crate::launch::{Files, Record, default_state_dir, read_or_make_token, read_token};
use crate::server::{Server, ServerConfig, ServerHandle, catalogue};
use mcp_transport_core::loopback::Loopback;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

/// Where a program that starts itself once more says the configuration, as JSON.
pub(crate) const RUN_VARIABLE: &str = "MCP_BROKER_RUN";

/// The variable that has the token itself; it comes before any file.
pub const TOKEN_VARIABLE: &str = "MCP_BROKER_TOKEN";

/// How long a broker that is told to end takes at most.
const END: Duration = Duration::from_secs(3);

/// A broker that has its port and its files, and does not serve yet.
#[derive(Debug)]
pub struct Running {
    server: Server,
    state_dir: PathBuf,
    files: Files,
    record: Record,
    /// An editor's own record of its broker, and what we wrote there.
    editors: Option<(PathBuf, String)>,
}

impl Running {
    /// Takes the port, then makes what has to be there: the token, if there is none, and the record
    /// of who runs. Somebody who knows a token (`MCP_BROKER_TOKEN`) says it.
    ///
    /// # Errors
    /// [`RunError::PortTaken`] if somebody has the port; else what the system says of a file.
    ///
    /// # Panics
    /// Outside a tokio runtime with I/O and time.
    pub fn start(config: &RunConfig, token: Option<&str>) -> Result<Self, RunError> {
        let listener =
            Loopback::bind(config.port).map_err(|source| RunError::bind(config, source))?;
        Self::on(listener, config, token)
    }

    /// Takes over from the broker that has the port: the port, and whoever waits there. Starts as
    /// [`start`](Self::start) does where there is none.
    ///
    /// # Errors
    /// [`RunError::PortTaken`] if somebody else has the port, or takes over at the same time;
    /// [`RunError::Replace`] if the broker that has it does not hand over.
    ///
    /// # Panics
    /// Outside a tokio runtime with I/O and time.
    ///
    /// # Cancel safety
    /// Not cancel safe: what an older broker gave is lost if this is dropped, and its clients hear
    /// that nobody knows what became of their calls.
    pub async fn replace(config: &RunConfig, token: Option<&str>) -> Result<Self, RunError> {
        let files = files(config, config.port);
        let known = match token {
            Some(token) => Some(token.to_owned()),
            None => read_token(&files.token)?,
        };
        match replace::take(config, known.as_deref()).await? {
            None => Self::start(config, token),
            Some((listener, over)) => {
                let running = Self::on(listener, config, known.as_deref())?;
                running.server.take_over(over);
                Ok(running)
            }
        }
    }

    fn on(listener: Loopback, config: &RunConfig, token: Option<&str>) -> Result<Self, RunError> {
        let port = listener.local_port();
        let state_dir = config.state_dir.clone().unwrap_or_else(default_state_dir);
        let token_file = files(config, port).token;
        // Those that are ours, and go with us; a token file that we were told of is somebody else's.
        let files = Files::new(&state_dir, port);
        let record = Record::new(port, unix_ms());
        let token = match token {
            Some(token) => token.to_owned(),
            None => read_or_make_token(&token_file, random)?,
        };
        record.write(&files)?;
        let server = Server::on(
            listener,
            server_config(config, &token)?.state_dir(&state_dir),
        );
        Ok(Self {
            server,
            state_dir,
            files,
            record,
            editors: None,
        })
    }

    /// Keeps an editor's own record for as long as this runs. The editor may write it, too.
    #[cfg(feature = "cli")]
    pub(crate) fn recorded(mut self, path: PathBuf, text: String) -> Result<Self, RunError> {
        crate::launch::write_private(&path, text.as_bytes())?;
        self.editors = Some((path, text));
        Ok(self)
    }

    /// The port, also if the system chose it.
    pub fn port(&self) -> u16 {
        self.server.port()
    }

    /// What ends it.
    pub fn handle(&self) -> ServerHandle {
        self.server.handle()
    }

    /// Serves until `until`, or until somebody who may says so, or its host has gone for good; then
    /// everybody who waits gets an answer, and neither the port nor a file of this process stays.
    /// After `until`, which is the system's word and not the user's, the catalogue does, as after a
    /// crash: for the next broker, which may be there before its host.
    ///
    /// # Cancel safety
    /// Dropping the future ends the server at once, and leaves the files.
    pub async fn serve(self, until: impl Future<Output = ()>) {
        let handle = self.server.handle();
        let serve = self.server.serve();
        tokio::pin!(serve);
        let is_over = tokio::select! {
            () = &mut serve => true,
            () = until => {
                tokio::join!(handle.shut_down(END), serve);
                false
            }
        };
        if handle.has_moved() {
            // The files are the newer one's, even those that it has not written yet.
            return;
        }
        if is_over && self.record.is_kept_in(&self.files) {
            catalogue::remove(&self.state_dir, self.record.port);
        }
        self.record.remove(&self.files);
        if let Some((path, text)) = self.editors {
            if std::fs::read_to_string(&path).is_ok_and(|there| there == text) {
                let _ = std::fs::remove_file(&path);
            }
        }
    }
}

/// Runs the broker if this program was started to be it, and returns how to end then. Call it first
/// thing in `main`: a [`Launch`](crate::launch::Launch) with
/// [`Program::SearchOrSelf`](crate::launch::Program) starts this very program.
///
/// ```no_run
/// fn main() -> std::process::ExitCode {
///     if let Some(code) = mcp_transport_broker::run::broker_main() {
///         return code;
///     }
///     // … what this program is for
///     std::process::ExitCode::SUCCESS
/// }
/// ```
pub fn broker_main() -> Option<ExitCode> {
    let told = std::env::var(RUN_VARIABLE).ok()?;
    let config: RunConfig = match serde_json::from_str(&told) {
        Ok(config) => config,
        Err(error) => {
            complain(&format!("{RUN_VARIABLE} has no configuration: {error}"));
            return Some(ExitCode::FAILURE);
        }
    };
    Some(block_on(start(&config), std::future::pending()))
}

/// As the environment and the configuration have it.
pub(crate) async fn start(config: &RunConfig) -> Result<Running, RunError> {
    let token = std::env::var(TOKEN_VARIABLE).ok();
    match config.replace {
        true => Running::replace(config, token.as_deref()).await,
        false => Running::start(config, token.as_deref()),
    }
}

/// A process's whole life as a broker.
pub(crate) fn block_on(
    start: impl Future<Output = Result<Running, RunError>>,
    until: impl Future<Output = ()>,
) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            complain(&format!("there can be no runtime: {error}"));
            return ExitCode::FAILURE;
        }
    };
    runtime.block_on(async {
        match start.await {
            Ok(running) => {
                tracing::info!(port = running.port(), "serving");
                running.serve(until).await;
                ExitCode::SUCCESS
            }
            Err(error) => {
                complain(&error.to_string());
                error.exit_code()
            }
        }
    })
}

/// Nobody may be there to read it.
fn complain(text: &str) {
    use io::Write;
    tracing::error!("{text}");
    let _ = writeln!(io::stderr(), "mcp-broker: {text}");
}

fn server_config(config: &RunConfig, token: &str) -> Result<ServerConfig, RunError> {
    let broker = crate::broker::Config::default()
        .hold(config.hold)
        .client_budget(config.client_budget);
    if config.allow_unauthenticated_host && config.dialects.contains(&Dialect::Seed) {
        tracing::warn!(
            "any program of this machine may be the host, and gets what clients say: --allow-unauthenticated-host"
        );
    }
    let mut server = ServerConfig::new(token)?
        .broker(broker)
        .dialects(config.dialects.iter().copied())
        .host_lease(config.host_lease)
        .seed_redeliver(config.seed_redeliver)
        .allow_unauthenticated_host(config.allow_unauthenticated_host)
        .exit_when_orphaned(config.exit_when_orphaned)
        .exit_with_host(config.exit_with_host);
    for origin in &config.allow_origins {
        let parsed = origin
            .parse()
            .map_err(|_| RunError::Origin(origin.clone()))?;
        server = server.allow_origin(parsed);
    }
    for path in &config.tunnel_paths {
        server = server.tunnel_path(path);
    }
    Ok(server)
}

fn files(config: &RunConfig, port: u16) -> Files {
    let state_dir = config.state_dir.clone().unwrap_or_else(default_state_dir);
    let mut files = Files::new(&state_dir, port);
    if let Some(path) = &config.token_file {
        files.token.clone_from(path);
    }
    files
}

fn random() -> [u8; 32] {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).expect("the system has random numbers");
    bytes
}

fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| {
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    })
}
