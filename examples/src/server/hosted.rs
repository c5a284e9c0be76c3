//! The server hosted for users, as a process.

use super::http::{Front, port_holder};
use super::remote::{KeyService, Keys, Public, Remote};
use super::run::Options;
use crate::calls::Calls;
use crate::hub::{Config, Hub};
use mcp_transport_core::loopback::Loopback;
use std::io::{self, Write};
use std::net::IpAddr;

/// Where users are served, and who knows them.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Hosted {
    /// The host whose addresses are listened on.
    pub host: String,
    /// Who says whose a key is.
    pub service: KeyService,
    /// The values of `Host` that are let in; none = any.
    pub hosts: Vec<String>,
}

impl Hosted {
    /// At the addresses of this host, for the users of this service.
    pub const fn new(host: String, service: KeyService) -> Self {
        Self {
            host,
            service,
            hosts: Vec::new(),
        }
    }

    /// Lets requests in that name one of these hosts, and no others.
    #[must_use]
    pub fn hosts(mut self, hosts: Vec<String>) -> Self {
        self.hosts = hosts;
        self
    }
}

/// Runs until it is told to stop.
pub(super) async fn run(
    hosted: Hosted,
    options: Options,
    stop: impl Future<Output = ()>,
) -> io::Result<()> {
    let Hosted {
        host,
        service,
        hosts,
    } = hosted;
    let no_place = |error: io::Error, wanted: &[IpAddr]| {
        let holder = port_holder(options.port, wanted);
        let holder = holder.map_or_else(String::new, |it| format!("; the port is held by {it}"));
        let text = format!(
            "cannot listen on {host}, port {}: {error}{holder}",
            options.port
        );
        io::Error::new(error.kind(), text)
    };
    let public = Public::of(&host).map_err(|error| no_place(error, &[]))?;
    let listener = Loopback::bind_with(public, options.port)
        .map_err(|error| no_place(error, &public.addresses()))?;
    let port = listener.local_port();
    let keys = Keys::new(service)?;
    let (budget, docs) = (options.budget, options.docs);
    let front = Front::new()
        .origins(options.origins)
        .login_url(options.login_url);
    let started = front.start_remote(listener, Remote::new(keys).hosts(hosts), move || {
        let calls = Calls::new(Hub::new(Config::default()), budget, || None);
        calls.docs_at(docs.clone()).elsewhere()
    });
    tracing::warn!(
        host,
        port,
        "listening for users; there is no TLS here: put a reverse proxy that has it in front, since keys travel with each request"
    );
    let shown = if host.contains(':') {
        format!("[{host}]")
    } else {
        host
    };
    // Whoever started us may have closed it already.
    let _ = writeln!(
        io::stdout(),
        "\
MCP     http://{shown}:{port}/mcp
Hub     ws://{shown}:{port}/hub/plugin
Health  http://{shown}:{port}/health
Users   each brings a key in X-API-Key, and sees his own editors"
    );
    stop.await;
    started.stop().await;
    Ok(())
}
