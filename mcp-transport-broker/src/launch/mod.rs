//! Finds a healthy broker, or starts one.
//!
//! A host that calls [`Launch::ensure`] before it attaches has a broker afterwards: one that runs
//! already, a new process, or ours that took over from an older one. Two hosts that do so at once
//! get the same broker. The port is the lock: only one process can be bound to it, whoever comes
//! second ends and finds the first, and no crash leaves a lock behind. What listens there and cannot
//! [prove](crate::native::proof) that it knows our token is never adopted, and never sent the token.
//!
//! The broker outlives the host that started it, and ends by itself after
//! [five minutes](Launch::exit_when_orphaned) without one.
#![expect(
    clippy::disallowed_methods,
    reason = "the shell that looks again until the broker is there"
)]

mod decide;
mod error;
mod locate;
pub(crate) mod probe;
mod record;
pub(crate) mod request;
mod start;

pub use error::LaunchError;
pub use locate::{BINARY_VARIABLE, Program};
pub(crate) use record::make_folder;
pub use record::{Files, Record, default_state_dir, read_or_make_token, read_token};
#[cfg(feature = "cli")]
pub(crate) use record::{old_log, write_private};

use crate::native::Hello;
use crate::run::{RunConfig, RunError, Running, TOKEN_VARIABLE};
pub(crate) use decide::Found;
use decide::Step;
use locate::Surroundings;
use mcp_transport_core::loopback;
use probe::Asked;
use request::to_broker;
use start::Started;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How to find or start the broker of one port.
///
/// ```no_run
/// use mcp_transport_broker::launch::Launch;
///
/// # async fn doc() -> Result<(), mcp_transport_broker::launch::LaunchError> {
/// let broker = Launch::new(8765).ensure().await?;
/// println!("{} has process id {}", broker.url(), broker.pid());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Launch {
    config: RunConfig,
    state_dir: PathBuf,
    program: Program,
    patience: Duration,
    in_process: bool,
}

/// How long a broker that was started may go without a host before it ends, unless told.
const ORPHANED: Duration = Duration::from_secs(5 * 60);

/// How long one that was started has until it answers.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long to wait before looking again.
const GLANCE: Duration = Duration::from_millis(10);

impl Launch {
    /// Of this port; everything else as by default.
    pub fn new(port: u16) -> Self {
        Self::with(RunConfig {
            port,
            exit_when_orphaned: Some(ORPHANED),
            ..RunConfig::default()
        })
    }

    /// With everything that a broker can be told.
    pub fn with(config: RunConfig) -> Self {
        let state_dir = config.state_dir.clone().unwrap_or_else(default_state_dir);
        Self {
            config,
            state_dir,
            program: Program::Search,
            patience: PATIENCE,
            in_process: false,
        }
    }

    /// Which program is started.
    #[must_use]
    pub fn program(mut self, program: Program) -> Self {
        self.program = program;
        self
    }

    /// Where its files are. Hosts that are to share a broker say the same.
    #[must_use]
    pub fn state_dir(mut self, folder: impl Into<PathBuf>) -> Self {
        self.state_dir = folder.into();
        self
    }

    /// Where there is no program to start, this process keeps the port itself, and says so once:
    /// clients are served as well, and notice when it goes.
    #[must_use]
    pub const fn or_in_process(mut self) -> Self {
        self.in_process = true;
        self
    }

    /// A path whose WebSocket upgrades go to the host.
    #[must_use]
    pub fn tunnel_path(mut self, path: impl Into<String>) -> Self {
        self.config.tunnel_paths.push(path.into());
        self
    }

    /// After how long without a host it ends, if nobody waits; `None`: never.
    #[must_use]
    pub const fn exit_when_orphaned(mut self, after: Option<Duration>) -> Self {
        self.config.exit_when_orphaned = after;
        self
    }

    /// Whether it ends when the host says that it leaves for good.
    #[must_use]
    pub const fn exit_with_host(mut self, whether: bool) -> Self {
        self.config.exit_with_host = whether;
        self
    }

    /// The port that clients know.
    pub const fn port(&self) -> u16 {
        self.config.port
    }

    /// The files of this port's broker.
    pub fn files(&self) -> Files {
        let mut files = Files::new(&self.state_dir, self.config.port);
        if let Some(token) = &self.config.token_file {
            files.token.clone_from(token);
        }
        files
    }

    /// The broker that runs, if it is healthy and ours. Starts nothing and writes nothing.
    ///
    /// # Errors
    /// If the port is somebody else's, or the token cannot be read.
    ///
    /// # Cancel safety
    /// Nothing is lost if it is dropped.
    pub async fn find(&self) -> Result<Option<Launched>, LaunchError> {
        match self.look().await? {
            (Found::Nobody, _) => Ok(None),
            (Found::Ours(hello), token) => Ok(Some(self.launched(hello, token, false))),
            (Found::Foreign(what), _) => Err(self.foreign(what)),
        }
    }

    /// Whether nobody has the port.
    pub(crate) async fn is_free(&self) -> bool {
        matches!(probe::ask(self.config.port).await, Asked::Nobody)
    }

    /// Finds a broker or starts one. Where one runs, this costs one small request.
    ///
    /// # Errors
    /// If there is no program, if it ends or stays silent, or if the port is somebody else's.
    ///
    /// # Cancel safety
    /// A process that was started goes on; the next call finds it.
    pub async fn ensure(&self) -> Result<Launched, LaunchError> {
        let mut started: Option<Started> = None;
        let look_until_it_answers = async {
            loop {
                let (found, token) = self.look().await?;
                let replaced = match decide::decide(found, env!("CARGO_PKG_VERSION")) {
                    Step::Adopt(hello) => {
                        return Ok(self.launched(hello, token, started.is_some()));
                    }
                    Step::Refuse(what) => return Err(self.foreign(what)),
                    Step::Start => None,
                    Step::Replace(older) => Some(older.pid),
                };
                let has_ended = match &started {
                    None => {
                        match self.start(replaced) {
                            Err(error @ LaunchError::NoProgram { .. })
                                if self.in_process && replaced.is_none() =>
                            {
                                self.keep_the_port(&error)?;
                            }
                            tried => started = Some(tried?),
                        }
                        None
                    }
                    Some(started) => *started.ended.borrow(),
                };
                match has_ended {
                    // Another's is there in a moment.
                    Some(status) if status.code() == Some(i32::from(PORT_TAKEN)) => started = None,
                    Some(status) => return Err(self.ended(started.as_ref(), status.to_string())),
                    None => {}
                }
                tokio::time::sleep(GLANCE).await;
            }
        };
        let looked = tokio::time::timeout(self.patience, look_until_it_answers).await;
        looked.unwrap_or_else(|_| {
            Err(LaunchError::Silent {
                program: started.map(|one| one.program).unwrap_or_default(),
                within: self.patience,
                log: self.files().log,
            })
        })
    }

    /// Is the broker itself, for as long as this runtime lives or until its host leaves.
    fn keep_the_port(&self, error: &LaunchError) -> Result<(), LaunchError> {
        let config = RunConfig {
            state_dir: Some(self.state_dir.clone()),
            exit_with_host: true,
            ..self.config.clone()
        };
        let token = std::env::var(TOKEN_VARIABLE).ok();
        match Running::start(&config, token.as_deref()) {
            Ok(running) => {
                let port = self.config.port;
                tracing::warn!(
                    "{error}. This process keeps port {port} itself, so clients will notice when it goes"
                );
                drop(tokio::spawn(running.serve(std::future::pending())));
                Ok(())
            }
            // Another's is there in a moment.
            Err(RunError::PortTaken { .. }) => Ok(()),
            Err(error) => Err(LaunchError::InProcess(Box::new(error))),
        }
    }

    async fn look(&self) -> Result<(Found, String), LaunchError> {
        let asked = probe::ask(self.config.port).await;
        let token = match std::env::var(TOKEN_VARIABLE) {
            Ok(token) => Some(token),
            Err(_) => read_token(&self.files().token)?,
        };
        let found = asked.prove(self.config.port, token.as_deref());
        Ok((found, token.unwrap_or_default()))
    }

    fn start(&self, replaced: Option<u32>) -> Result<Started, LaunchError> {
        let own = std::env::current_exe().ok();
        let named = std::env::var_os(BINARY_VARIABLE);
        let path = std::env::var_os("PATH");
        let around = Surroundings {
            named: named.as_deref(),
            own: own.as_deref(),
            path: path.as_deref(),
        };
        let located = locate::locate(&self.program, &around, Path::is_file)
            .map_err(|searched| LaunchError::NoProgram { searched })?;
        let files = self.files();
        let config = RunConfig {
            replace: replaced.is_some(),
            replace_pid: replaced,
            state_dir: Some(from_here(&self.state_dir)),
            token_file: self.config.token_file.as_deref().map(from_here),
            log_file: Some(from_here(&files.log)),
            ..self.config.clone()
        };
        tracing::info!(
            port = self.config.port,
            ?located,
            ?replaced,
            "starting a broker"
        );
        start::start(&located, &config)
    }

    fn launched(&self, hello: Hello, token: String, started: bool) -> Launched {
        Launched {
            port: self.config.port,
            hello,
            token,
            started,
        }
    }

    fn foreign(&self, what: String) -> LaunchError {
        LaunchError::Foreign {
            port: self.config.port,
            what,
        }
    }

    fn ended(&self, started: Option<&Started>, status: String) -> LaunchError {
        LaunchError::Ended {
            program: started.map(|one| one.program.clone()).unwrap_or_default(),
            status,
            last_words: last_words(&self.files().log),
        }
    }
}

/// With this code a broker ends that finds its port taken.
pub(crate) const PORT_TAKEN: u8 = 3;

/// A broker has another folder as its own; what our paths mean, they mean there.
fn from_here(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// The end of a log, for an error's text.
fn last_words(log: &Path) -> String {
    const ENOUGH: usize = 400;
    let text = std::fs::read(log).unwrap_or_default();
    let end = &text[text.len().saturating_sub(ENOUGH)..];
    let words = String::from_utf8_lossy(end).trim().to_owned();
    if words.is_empty() {
        "none".to_owned()
    } else {
        words
    }
}

/// A healthy broker that is ours.
#[derive(Clone)]
#[non_exhaustive]
pub struct Launched {
    port: u16,
    hello: Hello,
    token: String,
    started: bool,
}

impl Launched {
    /// Where it is.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Its process.
    pub const fn pid(&self) -> u32 {
        self.hello.pid
    }

    /// Its version.
    pub fn version(&self) -> &str {
        &self.hello.version
    }

    /// What to say to it.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// True if this call started it.
    pub const fn was_started(&self) -> bool {
        self.started
    }
}

impl Launched {
    /// Who is attached, and what waits: JSON, for people and programs.
    ///
    /// # Errors
    /// If it is gone, or refuses.
    ///
    /// # Cancel safety
    /// Nothing is lost if it is dropped.
    pub async fn status(&self) -> Result<String, LaunchError> {
        self.control("status").await
    }

    /// Ends it, in order: everybody who waits gets an answer. Returns when the port is free.
    ///
    /// # Errors
    /// If it is gone already, refuses, or is still there after 10 s.
    ///
    /// # Cancel safety
    /// What was said stays said.
    pub async fn stop(&self) -> Result<(), LaunchError> {
        self.control("stop").await?;
        let is_gone = async {
            while matches!(probe::ask(self.port).await, Asked::Broker { hello, .. } if hello.pid == self.pid())
            {
                tokio::time::sleep(GLANCE).await;
            }
        };
        tokio::time::timeout(PATIENCE, is_gone)
            .await
            .map_err(|_| LaunchError::Control {
                port: self.port,
                what: format!("it was told to stop, and is still there after {PATIENCE:?}"),
            })
    }

    async fn control(&self, path: &str) -> Result<String, LaunchError> {
        let failed = |what: String| LaunchError::Control {
            port: self.port,
            what,
        };
        let asked = async {
            let stream = loopback::connect(self.port)
                .await
                .map_err(|error| failed(error.to_string()))?;
            let request = to_broker(http::Method::POST, self.port, path, Some(&self.token));
            let (status, body) = request::request(stream, request)
                .await
                .map_err(|error| failed(error.to_string()))?;
            let text = String::from_utf8_lossy(&body).into_owned();
            if status == 200 {
                Ok(text)
            } else {
                Err(failed(format!("it answered {status}: {text}")))
            }
        };
        let answer = tokio::time::timeout(PATIENCE, asked).await;
        answer.unwrap_or_else(|_| Err(failed(format!("no answer within {PATIENCE:?}"))))
    }
}

impl std::fmt::Debug for Launched {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Launched")
            .field("port", &self.port)
            .field("hello", &self.hello)
            .field("started", &self.started)
            .finish_non_exhaustive()
    }
}
