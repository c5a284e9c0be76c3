//! The server without its client on the pipes: hub, legs, ports.

use super::behind::{Behind, Serving};
use super::estate::{Estate, Taken};
use super::flags::Editors;
use super::http::{Front, Started, answer_all};
use super::run::Options;
use crate::bridge::BridgeLeg;
use crate::calls::diagnose::Fault;
use crate::calls::{Calls, Port};
use crate::hub::{Config, Hub};
use mcp_transport_core::loopback::{FamilyState, Health};
use mcp_transport_stdio::discovery::Discovery;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::watch;

/// A server that runs. Dropping it stops nothing; [`stop`](Self::stop) does.
pub(super) struct Whole {
    calls: Calls,
    number: u16,
    own: u16,
    health: watch::Receiver<Health>,
    started: Mutex<Vec<Started>>,
    known: Arc<Mutex<Option<Known>>>,
    behind: Option<Serving>,
    bridge: Option<BridgeLeg>,
}

/// Why editors cannot come by the port.
struct Known {
    fault: Fault,
    /// Until the first family has it; else until the port is [ours](Whole::listen).
    by_family: bool,
}

impl Whole {
    /// Serves the port, or with a broker the port that the broker passes on to.
    ///
    /// # Errors
    /// If the broker cannot be served, or editors that listen are the only ones wanted and cannot be found.
    pub(super) fn start(
        options: &Options,
        port: Taken,
        behind: Option<Behind>,
    ) -> io::Result<Self> {
        let number = match &behind {
            Some(behind) => behind.port(),
            None => port.listener.local_port(),
        };
        Self::start_as(options, port, number, behind, None)
    }

    /// Serves on the address of the port that is free.
    pub(super) fn start_half(options: &Options, port: Taken, fault: Fault) -> io::Result<Self> {
        let number = port.listener.local_port();
        let known = Known {
            fault,
            by_family: true,
        };
        Self::start_as(options, port, number, None, Some(known))
    }

    /// Serves without the port, and so only editors that listen, until the port is [ours](Self::listen). `/health` is on a
    /// port of its own.
    pub(super) fn start_apart(options: &Options, fault: Fault) -> io::Result<Self> {
        let known = Known {
            fault,
            by_family: false,
        };
        Self::start_as(options, Taken::either(0)?, options.port, None, Some(known))
    }

    fn start_as(
        options: &Options,
        Taken { listener, estate }: Taken,
        number: u16,
        behind: Option<Behind>,
        known: Option<Known>,
    ) -> io::Result<Self> {
        let (own, health) = (listener.local_port(), listener.watch_health());
        let hub = Hub::new(Config::default());
        let known = Arc::new(Mutex::new(known));
        let port = {
            let (health, known) = (health.clone(), known.clone());
            move || {
                let health = health.borrow().clone();
                let known = known.lock().unwrap_or_else(PoisonError::into_inner);
                let holds =
                    |it: &&Known| !it.by_family || health.v4.state == FamilyState::PortTaken;
                let known = known.as_ref().filter(holds).map(|it| it.fault.clone());
                Some(Port {
                    number,
                    health,
                    known,
                })
            }
        };
        let calls = Calls::new(hub.clone(), options.budget, port)
            .fallback(options.default_instance.as_deref())
            .docs_at(options.docs.clone());
        let started = front(options, number, estate).start(listener, &calls);
        let behind = behind
            .map(|behind| behind.serve(own, calls.clone()))
            .transpose()?;
        let bridge = match options.editors {
            Editors::Hub => None,
            Editors::Bridge => Some(dial_editors(&hub)?),
            Editors::Auto => match dial_editors(&hub) {
                Ok(leg) => Some(leg),
                Err(error) => {
                    tracing::warn!(%error, "editors that listen are not found");
                    None
                }
            },
        };
        Ok(Self {
            calls,
            number,
            own,
            health,
            started: Mutex::new(vec![started]),
            known,
            behind,
            bridge,
        })
    }

    /// The port is ours now: serves it, too.
    pub(super) fn listen(&self, options: &Options, Taken { listener, estate }: Taken) {
        let started = front(options, self.number, estate).start(listener, &self.calls);
        let mut all = self.started.lock().unwrap_or_else(PoisonError::into_inner);
        all.push(started);
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    pub(super) const fn calls(&self) -> &Calls {
        &self.calls
    }

    /// The port that everybody knows.
    pub(super) const fn number(&self) -> u16 {
        self.number
    }

    /// The port of this process alone, which is another one behind a broker.
    pub(super) const fn own_port(&self) -> u16 {
        self.own
    }

    /// Whether editors can come by the port, as far as is known.
    pub(super) fn has_port(&self) -> bool {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.as_ref().is_none_or(|known| known.by_family)
    }

    /// How its own port is.
    pub(super) fn health(&self) -> Health {
        self.health.borrow().clone()
    }

    /// Answers what is under way, and ends.
    pub(super) async fn stop(self) {
        if self.behind.is_some() {
            // What it has not been answered by then is unknown to the broker, and who came through its tunnel is cut off.
            answer_all(std::iter::once(&self.calls)).await;
        }
        self.withdraw().await;
    }

    /// The same for one that nobody has chosen: the broker, which may be about to take it, is told before anything else.
    pub(super) async fn withdraw(self) {
        if let Some(behind) = self.behind {
            behind.stop().await;
        }
        let started = self.started.into_inner();
        for port in started.unwrap_or_else(PoisonError::into_inner) {
            port.stop().await;
        }
        drop(self.bridge);
    }
}

/// What a port shows.
fn front(options: &Options, number: u16, estate: Estate) -> Front {
    Front::new()
        .number(number)
        .leaves(estate)
        .origins(options.origins.clone())
        .plugins(options.editors != Editors::Bridge)
        .login_url(options.login_url.clone())
}

/// Editors whose plugin is set to stdio: the status files say where they listen.
fn dial_editors(hub: &Hub) -> io::Result<BridgeLeg> {
    Ok(BridgeLeg::start(hub, &Discovery::from_env()?)?)
}
