//! From the command line and the environment to what the server is to do. Pure.
//!
//! Where the Python server (10.3.0) has an order of precedence this is it, its two exceptions included: the variables of the
//! URL and of the cache's time come before their flags.

use super::address::bare;
use super::python::{Means, VARIABLES};
use super::{Editors, Environment, Flags, HttpUrl, NotLocal, Transport};
use crate::calls::Budget;
use crate::server::remote::KeyService;
use crate::server::{Hosted, Options};
use crate::sim;
use reqwest::Url;
use reqwest::header::{HeaderName, HeaderValue};
use std::path::PathBuf;
use std::time::Duration;

/// What the server is to do, and what to say about it.
#[derive(Debug)]
#[non_exhaustive]
pub struct Settings {
    /// For [`run`](crate::server::run).
    pub options: Options,
    /// Where the process's id is written.
    pub pidfile: Option<PathBuf>,
    /// For the log.
    pub notes: Vec<Note>,
}

/// A line for the log, once.
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "two levels")]
pub enum Note {
    /// Something means nothing here.
    Info(String),
    /// Something is probably not meant so.
    Warning(String),
}

/// Why the server does not start.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    /// The address is none to listen on.
    #[error("{what}: {why}")]
    Address {
        /// The flag or the variable.
        what: &'static str,
        /// What is wrong with it.
        why: NotLocal,
    },
    /// Users, and nobody who knows them.
    #[error(
        "--http-remote-hosted needs --api-key-validation-url (or UNITY_MCP_API_KEY_VALIDATION_URL): without it no user can be told from another"
    )]
    NobodyValidates,
    /// The service that validates has no such address.
    #[error("--api-key-validation-url (or its variable) is no http or https URL")]
    ValidationUrl,
    /// One half of the service token.
    #[error(
        "--api-key-service-token-header and --api-key-service-token (or their variables) belong together, and one of them is missing"
    )]
    HalfAToken,
    /// The service token cannot be sent.
    #[error("the service token, or the name of its header, holds what no HTTP header can")]
    Token,
    /// It does not go with users.
    #[error("{0} does not go with --http-remote-hosted: {1}")]
    WithUsers(&'static str, &'static str),
}

/// Decides. `stdin_is_pipe` is whether somebody may have started us to speak over pipes.
///
/// # Errors
/// [`Refused`] says what contradicts itself.
pub fn settle(
    flags: Flags,
    environment: &Environment,
    stdin_is_pipe: bool,
) -> Result<Settings, Refused> {
    let mut notes = unheard(environment);
    let is_remote = flags.http_remote_hosted || environment.is_on("UNITY_MCP_HTTP_REMOTE_HOSTED");
    let address = address(&flags, environment, is_remote, &mut notes)?;
    let hosted = match is_remote {
        true => Some(hosted(&flags, environment, &address, &mut notes)?),
        false => None,
    };
    let given = flags.http_url.is_some() || flags.http_host.is_some() || flags.http_port.is_some();
    let guess = Transport::guess(given || is_remote, stdin_is_pipe);
    let mut options = Options::new(address.port);
    options.stdio = flags.transport.unwrap_or(guess) == Transport::Stdio;
    options.origins = flags.allow_origin;
    options.behind_broker = flags.behind_broker;
    options.editors = match flags.editor {
        Some(editors) => editors,
        None if is_remote => Editors::Hub,
        None => Editors::by_default(flags.sim),
    };
    options.docs = flags.docs_url.unwrap_or_default();
    options.budget = budget(flags.hold, flags.client_budget, environment, &mut notes);
    let text =
        |flag: Option<String>, name| flag.or_else(|| environment.get(name).map(str::to_owned));
    options.default_instance = text(flags.default_instance, "UNITY_MCP_DEFAULT_INSTANCE");
    if is_remote && options.default_instance.take().is_some() {
        notes.push(Note::Info("a default instance means nothing with --http-remote-hosted: each user has editors of his own".to_owned()));
    }
    options.login_url = text(flags.api_key_login_url, "UNITY_MCP_API_KEY_LOGIN_URL");
    options.hosted = hosted;
    options.sim = flags.sim.then(|| {
        let sim = sim::Options::default()
            .away(Duration::from_secs_f64(flags.sim_away))
            .seed(flags.sim_seed);
        match flags.sim_reload_every.filter(|seconds| *seconds > 0.0) {
            Some(every) => sim.reload_every(Duration::from_secs_f64(every)),
            None => sim,
        }
    });
    Ok(Settings {
        options,
        pidfile: flags.pidfile,
        notes,
    })
}

/// Variables that are set and mean nothing here, and such as nobody knows.
fn unheard(environment: &Environment) -> Vec<Note> {
    let mut notes = Vec::new();
    let mut unknown = Vec::new();
    for name in environment.names() {
        match VARIABLES
            .iter()
            .find(|known| known.name == name)
            .map(|known| known.means)
        {
            Some(Means::Nothing(why)) => {
                notes.push(Note::Info(format!("{name} means nothing here: {why}")));
            }
            Some(_) => {}
            None => unknown.push(name),
        }
    }
    if !unknown.is_empty() {
        let names = unknown.join(", ");
        notes.push(Note::Warning(format!(
            "nobody knows these variables, which look like the server's; is one misspelled? {names}"
        )));
    }
    notes
}

fn address(
    flags: &Flags,
    environment: &Environment,
    is_remote: bool,
    notes: &mut Vec<Note>,
) -> Result<HttpUrl, Refused> {
    let (mut address, mut what) = match environment.get("UNITY_MCP_HTTP_URL") {
        Some(url) => {
            let what = "UNITY_MCP_HTTP_URL";
            let url = url.parse().map_err(|why| Refused::Address { what, why })?;
            if flags.http_url.as_ref().is_some_and(|flag| *flag != url) {
                notes.push(Note::Warning("UNITY_MCP_HTTP_URL comes before --http-url, as in the Python server, and says something else".to_owned()));
            }
            (url, what)
        }
        None => (
            flags.http_url.clone().unwrap_or_else(HttpUrl::usual),
            "--http-url",
        ),
    };
    let hosts = [
        ("--http-host", flags.http_host.as_deref()),
        (
            "UNITY_MCP_HTTP_HOST",
            environment.get("UNITY_MCP_HTTP_HOST"),
        ),
    ];
    if let Some((name, host)) = hosts.into_iter().find_map(|(name, it)| Some((name, it?))) {
        (address.host, what) = (bare(host).to_owned(), name);
    }
    let port = environment.get("UNITY_MCP_HTTP_PORT").and_then(|text| {
        let port = text.parse().ok();
        if port.is_none() {
            notes.push(Note::Warning(
                "UNITY_MCP_HTTP_PORT is no port; it is ignored".to_owned(),
            ));
        }
        port
    });
    if let Some(port) = flags.http_port.or(port) {
        address.port = port;
    }
    if !is_remote {
        address
            .local_port()
            .map_err(|why| Refused::Address { what, why })?;
    }
    Ok(address)
}

fn hosted(
    flags: &Flags,
    environment: &Environment,
    address: &HttpUrl,
    notes: &mut Vec<Note>,
) -> Result<Hosted, Refused> {
    let contradictions = [
        (
            flags.behind_broker,
            "--behind-broker",
            "a broker is for one's own machine, and knows no users",
        ),
        (flags.sim, "--sim", "a simulated editor has no key"),
        (
            flags.transport == Some(Transport::Stdio),
            "--transport stdio",
            "who started this process is no user",
        ),
        (
            matches!(flags.editor, Some(Editors::Bridge | Editors::Auto)),
            "--editor bridge or auto",
            "the editors of this machine are no user's",
        ),
    ];
    if let Some((_, what, why)) = contradictions.into_iter().find(|(is_so, ..)| *is_so) {
        return Err(Refused::WithUsers(what, why));
    }
    let either = |flag: &Option<String>, name| {
        flag.clone()
            .or_else(|| environment.get(name).map(str::to_owned))
    };
    let url = either(
        &flags.api_key_validation_url,
        "UNITY_MCP_API_KEY_VALIDATION_URL",
    );
    let url: Url = url
        .ok_or(Refused::NobodyValidates)?
        .parse()
        .map_err(|_| Refused::ValidationUrl)?;
    let (true, Some(host)) = (matches!(url.scheme(), "http" | "https"), url.host_str()) else {
        return Err(Refused::ValidationUrl);
    };
    if url.scheme() == "http" && !matches!(host, "localhost" | "127.0.0.1" | "[::1]") {
        notes.push(Note::Warning(
            "keys travel in the clear to --api-key-validation-url: use https".to_owned(),
        ));
    }
    let header = either(
        &flags.api_key_service_token_header,
        "UNITY_MCP_API_KEY_SERVICE_TOKEN_HEADER",
    );
    let token = either(
        &flags.api_key_service_token,
        "UNITY_MCP_API_KEY_SERVICE_TOKEN",
    );
    let mut service = KeyService::new(url).ttl(ttl(flags.api_key_cache_ttl, environment, notes));
    service = match (header, token) {
        (None, None) => service,
        (Some(name), Some(token)) => {
            let name = HeaderName::try_from(name).map_err(|_| Refused::Token)?;
            let token = HeaderValue::try_from(token).map_err(|_| Refused::Token)?;
            service.token(name, token)
        }
        _ => return Err(Refused::HalfAToken),
    };
    Ok(Hosted::new(address.host.clone(), service).hosts(flags.allow_host.clone()))
}

fn ttl(flag: Option<f64>, environment: &Environment, notes: &mut Vec<Note>) -> Duration {
    let set = variable(environment, "UNITY_MCP_API_KEY_CACHE_TTL", notes);
    let seconds = match (set, environment.get("UNITY_MCP_API_KEY_CACHE_TTL")) {
        (None, Some(_)) => 300.0,
        (set, _) => set.or(flag).unwrap_or(300.0),
    };
    Duration::from_secs_f64(seconds)
}

fn budget(
    hold: Option<f64>,
    client: Option<f64>,
    environment: &Environment,
    notes: &mut Vec<Note>,
) -> Budget {
    let usual = Budget::default();
    let waits = [
        "UNITY_MCP_RELOAD_MAX_WAIT_S",
        "UNITY_MCP_SESSION_RESOLVE_MAX_WAIT_S",
    ];
    let waits = waits.map(|name| variable(environment, name, notes));
    let longer = waits.into_iter().flatten().reduce(f64::max);
    let total = variable(environment, "UNITY_MCP_COMMAND_TOTAL_TIMEOUT", notes);
    // There 0 is no number that counts; here it would be "without a limit".
    let total = total.filter(|seconds| *seconds > 0.0);
    Budget::new(
        hold.or(longer).map_or(usual.hold, Duration::from_secs_f64),
        client
            .or(total)
            .map(Duration::from_secs_f64)
            .or(usual.client),
    )
}

/// A number of seconds in a variable: below 0 is 0, above a day is a day, and what is no number is ignored.
fn variable(environment: &Environment, name: &str, notes: &mut Vec<Note>) -> Option<f64> {
    let number = environment
        .get(name)?
        .parse::<f64>()
        .ok()
        .filter(|number| number.is_finite());
    let Some(number) = number else {
        notes.push(Note::Warning(format!(
            "{name} is no number of seconds; it is ignored"
        )));
        return None;
    };
    Some(number.clamp(0.0, 86_400.0))
}
