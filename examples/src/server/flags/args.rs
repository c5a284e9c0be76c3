//! The command line.
#![allow(rustdoc::bare_urls, reason = "--help prints these texts as they are")]

use super::{Editors, HttpUrl, Transport};
use crate::docs::Docs;
use clap::Parser;
use mcp_transport_core::guard::{NotAnOrigin, Origin};
use std::fmt;
use std::path::PathBuf;

/// An MCP server for the Unity editor whose calls outlive the editor's reloads.
///
/// Clients come by HTTP (at /mcp) or on the pipes of the client that started it; editors with the installed "MCP for Unity"
/// plugin, set to HTTP, come by WebSocket (at /hub/plugin of the same port). A call made while the editor reloads its scripts
/// is held and answered when it is back; none is sent twice that may not run twice.
///
/// It takes the command line and the environment of the Python server (mcp-for-unity 10.3.0).
#[derive(Clone, Parser)]
#[command(name = "unity_server", version, after_help = EXAMPLES)]
#[non_exhaustive]
pub struct Flags {
    /// How clients come. Left out: http where an address is given; stdio where standard input is a pipe or socket, as it
    /// is when a client starts this program; else http
    #[arg(long, value_enum)]
    pub transport: Option<Transport>,

    /// Where clients and editors connect, on this machine only. Port 0 chooses a free one; the plugin expects 8080
    /// [default: http://127.0.0.1:8080; UNITY_MCP_HTTP_URL comes before it]
    #[arg(long, value_name = "URL")]
    pub http_url: Option<HttpUrl>,

    /// The host alone, in the place of the URL's. Beyond this machine only with --http-remote-hosted
    /// [env: UNITY_MCP_HTTP_HOST]
    #[arg(long, value_name = "HOST")]
    pub http_host: Option<String>,

    /// The port alone, in the place of the URL's [env: UNITY_MCP_HTTP_PORT]
    #[arg(long, value_name = "PORT")]
    pub http_port: Option<u16>,

    /// A web page's origin that may use this server, such as https://app.example; may be given several times. Pages of other
    /// origins are refused, and programs that are no browser need none
    #[arg(long, value_name = "ORIGIN", value_parser = origin)]
    pub allow_origin: Vec<Origin>,

    /// How editors come: hub = their plugins, set to HTTP, connect to us; bridge = their plugins, set to stdio, listen, and
    /// are found by the status files in ~/.unity-mcp (or UNITY_MCP_STATUS_DIR); auto = both
    /// [default: auto; with --sim or --http-remote-hosted hub]
    #[arg(long, value_enum)]
    pub editor: Option<Editors>,

    /// Which editor a call is for that names none, where several fit: Name@hash, a name, or a hash
    /// [env: UNITY_MCP_DEFAULT_INSTANCE]
    #[arg(long, value_name = "INSTANCE")]
    pub default_instance: Option<String>,

    /// Leaves the port to a broker, a process of its own: when this server crashes, or is killed and started again, clients
    /// stay connected, their calls wait, and editors connect the moment it is back. The broker is found or started; it ends when
    /// this server ends in order, and five minutes after a crash
    #[arg(long)]
    pub behind_broker: bool,

    /// How long a call waits for an editor that is away, in seconds
    /// [default: 120; env: UNITY_MCP_RELOAD_MAX_WAIT_S, UNITY_MCP_SESSION_RESOLVE_MAX_WAIT_S]
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub hold: Option<f64>,

    /// After how long a client that asked for no progress gets an answer in any case, in seconds; 0 = no limit. Many clients
    /// give a call up after 60 s, and would never learn what became of it
    /// [default: 50; env: UNITY_MCP_COMMAND_TOTAL_TIMEOUT]
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub client_budget: Option<f64>,

    /// Where unity_docs finds Unity's documentation: a mirror, for machines without the web
    /// [default: https://docs.unity3d.com]
    #[arg(long, value_name = "URL")]
    pub docs_url: Option<Docs>,

    /// Writes this process's id there, and removes it at an orderly end
    #[arg(long, value_name = "PATH")]
    pub pidfile: Option<PathBuf>,

    /// Does nothing: an editor that started this server finds it by this word of its command line
    #[arg(long, value_name = "TOKEN")]
    pub unity_instance_token: Option<String>,

    /// Does nothing more: custom tools are always kept to their project
    #[arg(long)]
    pub project_scoped_tools: bool,

    /// Serves users elsewhere, each of whom brings a key (X-API-Key), and sees his own editors only. Needs
    /// --api-key-validation-url [env: UNITY_MCP_HTTP_REMOTE_HOSTED]
    #[arg(long, help_heading = "Hosted for users")]
    pub http_remote_hosted: bool,

    /// Who says whose a key is: it gets POST {"api_key": …} and answers {"valid": …, "user_id": …}
    /// [env: UNITY_MCP_API_KEY_VALIDATION_URL]
    #[arg(long, value_name = "URL", help_heading = "Hosted for users")]
    pub api_key_validation_url: Option<String>,

    /// Where users get their keys: what GET /api/auth/login-url answers [env: UNITY_MCP_API_KEY_LOGIN_URL]
    #[arg(long, value_name = "URL", help_heading = "Hosted for users")]
    pub api_key_login_url: Option<String>,

    /// How long it holds what was said of a key, in seconds [default: 300; UNITY_MCP_API_KEY_CACHE_TTL comes before it]
    #[arg(long, value_name = "SECONDS", value_parser = seconds, help_heading = "Hosted for users")]
    pub api_key_cache_ttl: Option<f64>,

    /// In which header this server says who it is to the one that validates
    /// [env: UNITY_MCP_API_KEY_SERVICE_TOKEN_HEADER]
    #[arg(long, value_name = "HEADER", help_heading = "Hosted for users")]
    pub api_key_service_token_header: Option<String>,

    /// What it says there. Better as UNITY_MCP_API_KEY_SERVICE_TOKEN: others can read a command line
    #[arg(long, value_name = "TOKEN", help_heading = "Hosted for users")]
    pub api_key_service_token: Option<String>,

    /// A name by which users reach this server; may be given several times. Requests by other names are refused then
    #[arg(long, value_name = "HOST", help_heading = "Hosted for users")]
    pub allow_host: Vec<String>,

    /// Starts a simulated editor too: the plugin's half of the real protocol over a real socket, with a scene, scripts, a
    /// console and reloads. Its menu items Simulator/Reload Domain and Simulator/Report reload it, and say how often each
    /// command took effect
    #[arg(long, help_heading = "Trial")]
    pub sim: bool,

    /// How long the simulated editor's reloads take, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 5.0, value_parser = seconds, requires = "sim", help_heading = "Trial")]
    pub sim_away: f64,

    /// Reloads the simulated editor every so many seconds, besides when a script changes
    #[arg(long, value_name = "SECONDS", value_parser = seconds, requires = "sim", help_heading = "Trial")]
    pub sim_reload_every: Option<f64>,

    /// Decides where the simulated reloads strike: before a command is read, before its effect, after it, after the answer
    #[arg(
        long,
        value_name = "NUMBER",
        default_value_t = 0,
        requires = "sim",
        help_heading = "Trial"
    )]
    pub sim_seed: u64,
}

const EXAMPLES: &str = "\
Examples:
  unity_server                                 for editors and clients on http://127.0.0.1:8080
  unity_server --sim                           the same with a simulated editor: no Unity needed
  unity_server --sim --sim-reload-every 10     and one that reloads all the time
  unity_server --http-url http://127.0.0.1:9090
  unity_server --behind-broker                 one that may be restarted while clients call
  curl http://127.0.0.1:8080/health            what works, what does not, and what to do

The log goes to standard error; RUST_LOG=debug says more.";

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(seconds) if (0.0..=86_400.0).contains(&seconds) => Ok(seconds),
        _ => Err("a number of seconds from 0 to 86400".to_owned()),
    }
}

fn origin(text: &str) -> Result<Origin, String> {
    text.parse().map_err(|error: NotAnOrigin| error.to_string())
}

/// Without values: some are secrets.
impl fmt::Debug for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Flags").finish_non_exhaustive()
    }
}
