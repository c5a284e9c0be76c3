//! How the simulated editor behaves.

use std::collections::BTreeMap;
use std::time::Duration;

use mcp_transport_core::RetryPolicy;
use mcp_transport_stdio::bridge::{Notice, Policy};
use serde_json::Value;

use super::world::{Command, Project, Tools, World};

/// What [`Editor::spawn`](super::Editor::spawn) is to simulate.
///
/// ```
/// use std::time::Duration;
/// use examples::sim::Options;
///
/// let options = Options::default().away(Duration::from_millis(200)).seed(7);
/// assert_eq!(options.project.name, "SimProject");
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Options {
    /// The project that is open. Default: `SimProject` at `/simulator/SimProject`.
    pub project: Project,
    /// How long a domain reload takes, from the broken socket until the plugin dials or listens
    /// again. Default: 5 s.
    pub away: Duration,
    /// How often the timer arms a reload, which then strikes the command in hand or the next one
    /// that arrives; 1 ms at least. Default: never.
    pub reload_every: Option<Duration>,
    /// When the plugin dials again after a loss or a failed attempt. Default:
    /// [`RetryPolicy::local`], the installed plugin's schedule after the loss of a session. Its very
    /// first connection that plugin tries once, and after its own reload six times; the simulator,
    /// whose operator is often a test, goes on until the policy gives up.
    pub retry: RetryPolicy,
    /// Decides where reloads strike. Default: 0.
    pub seed: u64,
    /// How long each command takes before it takes effect. Default: 0.
    pub latency: Duration,
    /// How long the commands take that have a [`latency_for`](Self::latency_for) of their own.
    /// Default: none has.
    pub latencies: BTreeMap<String, Duration>,
    /// Who wins when a second client dials the bridge. Default: the newcomer.
    pub policy: Policy,
    /// Who hears on the bridge that it lost its seat. Default: every loser.
    pub notice: Notice,
    /// On the bridge, do as the installed plugin (10.1): there are no seats, whoever connects ends
    /// everybody else without a word, and a command that is sent again runs again. Default: false.
    pub installed_rule: bool,
    /// The tools that the project defines itself, and what is switched off. Default: the two of the simulator's own.
    pub tools: Tools,
}

impl Options {
    /// Opens the project `name` at `path` (its root, without `/Assets`).
    #[must_use]
    pub fn project(mut self, name: impl Into<String>, path: impl Into<String>) -> Self {
        self.project = Project::new(name, path);
        self
    }

    /// Sets [`away`](Self::away).
    #[must_use]
    pub fn away(mut self, away: Duration) -> Self {
        self.away = away;
        self
    }

    /// Sets [`reload_every`](Self::reload_every).
    #[must_use]
    pub fn reload_every(mut self, period: Duration) -> Self {
        self.reload_every = Some(period);
        self
    }

    /// Sets [`retry`](Self::retry).
    #[must_use]
    pub fn retry(mut self, policy: RetryPolicy) -> Self {
        self.retry = policy;
        self
    }

    /// Sets [`seed`](Self::seed).
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Sets [`latency`](Self::latency).
    #[must_use]
    pub fn latency(mut self, latency: Duration) -> Self {
        self.latency = latency;
        self
    }

    /// Lets a command take so long whose wire name is `what`, or which is for `what` by its parameter
    /// `name`: an object, a script. The latter counts if both do.
    ///
    /// ```
    /// use std::time::Duration;
    /// use examples::sim::{Options, world::Command};
    /// use serde_json::json;
    ///
    /// let options = Options::default().latency_for("Slow", Duration::from_secs(7));
    /// let params = json!({"action": "create", "name": "Slow"});
    /// let command = Command::new("manage_gameobject", &params);
    /// assert_eq!(options.latency_of(command), Duration::from_secs(7));
    /// ```
    #[must_use]
    pub fn latency_for(mut self, what: impl Into<String>, latency: Duration) -> Self {
        self.latencies.insert(what.into(), latency);
        self
    }

    /// How long this command takes.
    #[must_use]
    pub fn latency_of(&self, command: Command<'_>) -> Duration {
        let subject = command.params["name"].as_str();
        let own = subject.and_then(|name| self.latencies.get(name));
        let own = own.or_else(|| self.latencies.get(command.name));
        own.copied().unwrap_or(self.latency)
    }

    /// Sets [`policy`](Self::policy).
    #[must_use]
    pub fn policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }

    /// Sets [`notice`](Self::notice).
    #[must_use]
    pub fn notice(mut self, notice: Notice) -> Self {
        self.notice = notice;
        self
    }

    /// Sets [`installed_rule`](Self::installed_rule).
    #[must_use]
    pub fn installed_rule(mut self) -> Self {
        self.installed_rule = true;
        self
    }

    /// Lets the project define one more tool: see [`Tools`].
    #[must_use]
    pub fn tool(mut self, definition: Value) -> Self {
        self.tools.add(definition);
        self
    }

    /// Switches a tool off, as the user does in the plugin's window: it is not registered, and refused when it is called.
    #[must_use]
    pub fn switched_off(mut self, name: impl Into<String>) -> Self {
        self.tools.switch_off(name.into());
        self
    }

    /// The world that these options begin with.
    #[must_use]
    pub fn world(&self) -> World {
        World::new(self.project.clone(), self.seed).with_tools(self.tools.clone())
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            project: Project::default(),
            away: Duration::from_secs(5),
            reload_every: None,
            retry: RetryPolicy::local(),
            seed: 0,
            latency: Duration::ZERO,
            latencies: BTreeMap::new(),
            policy: Policy::default(),
            notice: Notice::default(),
            installed_rule: false,
            tools: Tools::default(),
        }
    }
}
