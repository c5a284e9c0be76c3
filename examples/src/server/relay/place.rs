//! Where our client's messages go: to this process's own server, or to the one that has the port.
#![expect(
    clippy::disallowed_methods,
    reason = "the shell that takes the port, looks for it again, and owns the tasks that serve"
)]

use super::book::Book;
use super::decide::{Asked, HOSTS, Step, decide};
use super::link::{self, Session, serve};
use super::{GLANCE, GLANCES, ask};
use crate::calls::Calls;
use crate::calls::diagnose::Fault;
use crate::server::behind::{self, Behind};
use crate::server::estate::{Answered, Door, Heir, Next, Taken, next};
use crate::server::http::{LOOPBACK, port_holder};
use crate::server::run::Options;
use crate::server::whole::Whole;
use futures::{SinkExt, StreamExt};
use mcp_transport_core::keepalive::KeepAliveConfig;
use mcp_transport_core::{BoxTransport, Connector, Error, ErrorKind, TransportExt, memory};
use mcp_transport_ws::{WsConfig, WsConnector};
use std::io;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;

/// Messages between our client's link and our own server, each way.
const ROOM: usize = 64;

/// Who has another one is not relayed to.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// How often to try for the port while somebody else has it whom we cannot relay to, and every how many times to ask who it is.
const TRY: Duration = Duration::from_secs(1);
const ASK_EVERY: u32 = 30;

/// How often to look whom a broker has taken.
const SETTLING: Duration = Duration::from_millis(20);

/// How long an owner may be silent before it is asked whether it is there, and how long it then has to answer: twice that is how
/// long a call can hang whose owner does nothing any more.
const ASLEEP: Duration = Duration::from_secs(10);

/// How often an heir tries for the right to accept, while whoever has it is ending, or about to answer.
const RIGHT: Duration = Duration::from_millis(10);

/// How many glances those who use a broker themselves have to come to one that lost its server, before one who does not ends it.
const FOR_OTHERS: usize = 20;

/// Decides where the messages go, and makes the connection. One for each process.
pub(super) struct Place {
    options: Options,
    /// Names our client's session, to whichever owner.
    client: String,
    book: Arc<Mutex<Book>>,
    /// Held while the port is looked for, so that two looks never start two servers.
    inner: tokio::sync::Mutex<Inner>,
    stopping: CancellationToken,
}

#[derive(Default)]
struct Inner {
    server: Option<Whole>,
    /// The server is without its port, and this ends our client's connection to it.
    apart: Option<CancellationToken>,
    /// Whose client we were.
    owner: Option<u32>,
    /// Since when it is gone: the first look after it ended.
    lost: Option<Instant>,
    /// How many times in a row the port was taken, and nobody answered there.
    nobody: usize,
    /// The sockets of the owner whose client we are.
    heir: Option<Heir>,
    stopped: bool,
}

/// Where to connect to.
enum To {
    Own(Calls),
    Other {
        host: &'static str,
        /// It has the port itself, so we can be its heir.
        is_owner: bool,
    },
}

/// Who comes after an owner.
enum Succession {
    /// We have the right.
    Ours(Heir),
    /// Whether we stay its heir is said with it.
    Others(Step, Option<Heir>),
}

impl Place {
    pub(super) fn new(options: Options, book: Arc<Mutex<Book>>) -> Self {
        let mut random = [0; 16];
        getrandom::fill(&mut random).expect("the system has random numbers");
        Self {
            options,
            client: random.iter().map(|byte| format!("{byte:02x}")).collect(),
            book,
            inner: tokio::sync::Mutex::default(),
            stopping: CancellationToken::new(),
        }
    }

    /// Takes the port or finds who has it, for the first time.
    ///
    /// # Errors
    /// If there is neither the port nor any other.
    pub(super) async fn settle(self: &Arc<Self>) -> io::Result<()> {
        loop {
            match self.look().await {
                // Whoever had the port is just going.
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                    tokio::time::sleep(GLANCE).await;
                }
                settled => return settled.map(drop),
            }
        }
    }

    /// Asks the server of this process, if it has one.
    pub(super) async fn with_server<T>(&self, ask: impl FnOnce(&Whole) -> T) -> Option<T> {
        self.inner.lock().await.server.as_ref().map(ask)
    }

    /// For our client's link.
    pub(super) fn connector(self: &Arc<Self>) -> impl Connector<Transport = BoxTransport> + use<> {
        let place = self.clone();
        move || {
            let place = place.clone();
            async move { place.connect().await }
        }
    }

    /// Answers what is under way, and ends. Nothing is started any more; a look for the port ends.
    pub(super) async fn stop(&self) {
        self.stopping.cancel();
        let server = {
            let mut inner = self.inner.lock().await;
            inner.stopped = true;
            // We hold up nobody's port.
            inner.heir = None;
            inner.server.take()
        };
        if let Some(server) = server {
            server.stop().await;
        }
    }

    async fn connect(self: Arc<Self>) -> Result<BoxTransport, Error> {
        let looked = tokio::select! {
            looked = self.look() => looked,
            () = self.stopping.cancelled() => Err(stops()),
        };
        let to = looked.map_err(|error| unreachable(&error))?;
        let choices = {
            let book = self.book.lock().unwrap_or_else(PoisonError::into_inner);
            book.choices().map(str::to_owned)
        };
        match to {
            To::Own(calls) => {
                let cut = self.inner.lock().await.apart.clone();
                Ok(own(calls, choices.as_deref(), cut))
            }
            To::Other { host, is_owner } => self.dial(host, is_owner, choices.as_deref()).await,
        }
    }

    async fn dial(
        &self,
        host: &str,
        is_owner: bool,
        choices: Option<&str>,
    ) -> Result<BoxTransport, Error> {
        let port = self.options.port;
        let url = format!("ws://{host}:{port}/mcp");
        let mut owner = WsConnector::new(&url).config(WsConfig::new().keep_alive(alive()));
        let door = match is_owner {
            true => Door::open().await,
            false => None,
        };
        for (name, value) in link::headers(&self.client, choices, door.as_ref().map(Door::name)) {
            owner = owner.header(name, &value);
        }
        let link = match owner.connect().await {
            Ok(link) => link,
            Err(error) => {
                // It has not given us its sockets, and may be gone before we ask again: then who dials would wait for nobody.
                self.inner.lock().await.heir = None;
                return Err(lost(error));
            }
        };
        if let Some(door) = door {
            let heir = door.receive(port).await;
            let mut inner = self.inner.lock().await;
            inner.heir = heir.filter(|_| !inner.stopped);
        }
        let link = link.sink_map_err(lost).map(|item| item.map_err(lost));
        Ok(TransportExt::boxed(link))
    }

    /// Takes the port if it is free, and finds who has it otherwise.
    async fn look(self: &Arc<Self>) -> io::Result<To> {
        let mut inner = self.inner.lock().await;
        if inner.stopped {
            return Err(stops());
        }
        if let (Some(server), None) = (&inner.server, &inner.apart) {
            return Ok(To::Own(server.calls().clone()));
        }
        if inner.owner.is_some() {
            inner.lost.get_or_insert_with(now);
        }
        if self.options.behind_broker
            && inner.server.is_none()
            && let Some(to) = self.look_at_broker(&mut inner).await?
        {
            return Ok(to);
        }
        let (refused, mut step) = match inner.heir.take() {
            Some(heir) => match self.succeed(heir).await {
                Succession::Ours(heir) => return self.own(&mut inner, heir.take()?),
                Succession::Others(step, heir) => {
                    inner.heir = heir;
                    (io::ErrorKind::AddrInUse.into(), step)
                }
            },
            None => match Taken::first_of_both(self.options.port) {
                Ok(port) => return self.own(&mut inner, port),
                Err(error) => (error, self.ask().await),
            },
        };
        if step == Step::Again {
            inner.nobody += 1;
            if refused.kind() == io::ErrorKind::AddrInUse && inner.nobody > GLANCES {
                step = Step::Apart(nobody_answers(self.options.port));
            }
        }
        match step {
            Step::Relay {
                host,
                pid,
                is_owner,
            } => Ok(self.relay(&mut inner, host, pid, is_owner)),
            Step::Half(fault) => match Taken::either(self.options.port) {
                Ok(port) if inner.apart.is_none() => {
                    tracing::warn!("{} {}", fault.what, fault.next_step);
                    let server = Whole::start_half(&self.options, port, fault)?;
                    Ok(installed(&mut inner, server))
                }
                _ => self.apart(&mut inner, fault),
            },
            Step::Apart(fault) => self.apart(&mut inner, fault),
            // Its next server may be just coming.
            Step::EndBroker if inner.owner.is_some() && inner.nobody < FOR_OTHERS => {
                inner.nobody += 1;
                Err(refused)
            }
            Step::EndBroker => {
                if let Some(broker) = behind::find(self.options.port).await {
                    broker.end().await?;
                }
                let port = Taken::first_of_both(self.options.port)?;
                self.own(&mut inner, port)
            }
            Step::Again => Err(refused),
        }
    }

    /// Finds whether we accept on the sockets of the owner that is gone, or who does. Where it is somebody else, or nobody
    /// who answers, the sockets are closed; the next owner gives us them again.
    async fn succeed(&self, heir: Heir) -> Succession {
        let mut asked = pin!(ask::ask(self.options.port));
        let mut answers = None;
        loop {
            let answered = match &answers {
                None => Answered::NotYet,
                Some(answers) => match decide(self.options.port, answers, None, VERSION) {
                    Step::Relay { .. } => Answered::OneOfUs,
                    _ => Answered::Other,
                },
            };
            match (next(heir.is_ours(), answered), answers.take()) {
                (Next::Accept, _) => return Succession::Ours(heir),
                (Next::Relay, Some(answers)) => {
                    return Succession::Others(self.step(&answers).await, Some(heir));
                }
                (Next::LetGo, Some(answers)) => {
                    // First: the question takes a while, and whoever dials meanwhile would wait for nobody.
                    heir.close();
                    return Succession::Others(self.step(&answers).await, None);
                }
                _ => {}
            }
            tokio::select! {
                said = &mut asked => answers = Some(said),
                () = tokio::time::sleep(RIGHT) => {}
            }
        }
    }

    async fn ask(&self) -> Step {
        self.step(&ask::ask(self.options.port).await).await
    }

    async fn step(&self, asked: &[Asked; 2]) -> Step {
        let port = self.options.port;
        match decide(port, asked, None, VERSION) {
            // Only its text needs the system's word for who it is, which takes a while.
            Step::Half(_) | Step::Apart(_) => {
                let holder = spawn_blocking(move || port_holder(port, &LOOPBACK[..1])).await;
                decide(port, asked, holder.ok().flatten().as_deref(), VERSION)
            }
            step => step,
        }
    }

    /// Behind a broker one server works for all: the others pass their clients' messages on, by the broker.
    async fn look_at_broker(&self, inner: &mut Inner) -> io::Result<Option<To>> {
        let Options {
            port,
            budget,
            origins,
            ..
        } = &self.options;
        if let Some(broker) = behind::find(*port).await
            && broker.has_server
        {
            return Ok(Some(self.relay(inner, HOSTS[0], broker.pid, false)));
        }
        match Behind::find(*port, budget, origins).await {
            Ok(Some(behind)) => {
                let server = Whole::start(&self.options, Taken::either(0)?, Some(behind))?;
                // Before it is known whether it is chosen: if it is, calls that the broker held come at once.
                if inner.owner.is_some() {
                    self.expect_back(inner, &server);
                }
                let candidate = Candidate(Some(server));
                if let Some(broker) = beaten(*port).await {
                    return Ok(Some(self.relay(inner, HOSTS[0], broker, false)));
                }
                Ok(Some(installed(inner, candidate.chosen())))
            }
            Ok(None) => Ok(None),
            // Somebody has the port who is no broker: then we see who.
            Err(error) => {
                tracing::warn!(%error, "there can be no broker on the port");
                Ok(None)
            }
        }
    }

    fn own(&self, inner: &mut Inner, taken: Taken) -> io::Result<To> {
        let was_anothers = inner.owner.take().is_some();
        if was_anothers {
            let port = self.options.port;
            tracing::info!(
                port,
                "the server that had the port is gone; this one has it now"
            );
        }
        if let Some(server) = &inner.server {
            if was_anothers {
                self.expect_back(inner, server);
            }
            server.listen(&self.options, taken);
            inner.apart = None;
            return Ok(To::Own(server.calls().clone()));
        }
        let server = Whole::start(&self.options, taken, None)?;
        if was_anothers {
            self.expect_back(inner, &server);
        }
        Ok(installed(inner, server))
    }

    /// Its editors are about to be ours.
    fn expect_back(&self, inner: &Inner, server: &Whole) {
        let book = self.book.lock().unwrap_or_else(PoisonError::into_inner);
        let seen = inner.lost.unwrap_or_else(now);
        server.calls().expect_back(book.editors(), seen);
    }

    fn relay(&self, inner: &mut Inner, host: &'static str, pid: u32, is_owner: bool) -> To {
        if inner.owner.replace(pid) != Some(pid) {
            let port = self.options.port;
            tracing::info!(
                port,
                pid,
                "another unity_server has the port; this client's messages go to that one"
            );
        }
        (inner.apart, inner.lost, inner.nobody) = (None, None, 0);
        if !is_owner {
            inner.heir = None;
        }
        if let Some(server) = inner.server.take() {
            tokio::spawn(server.stop());
        }
        To::Other { host, is_owner }
    }

    /// Serves without the port, and looks for it from time to time.
    fn apart(self: &Arc<Self>, inner: &mut Inner, fault: Fault) -> io::Result<To> {
        if let Some(server) = &inner.server {
            // Whom we were to go over to is gone again.
            if let Some(cut) = inner.apart.as_mut().filter(|cut| cut.is_cancelled()) {
                *cut = CancellationToken::new();
            }
            return Ok(To::Own(server.calls().clone()));
        }
        tracing::warn!("{} {}", fault.what, fault.next_step);
        let server = Whole::start_apart(&self.options, fault)?;
        tokio::spawn(self.clone().wait_for_port());
        // The port may be ours in a moment, and then its editors are.
        let owner = inner.owner;
        let to = installed(inner, server);
        (inner.apart, inner.owner) = (Some(CancellationToken::new()), owner);
        Ok(to)
    }

    async fn wait_for_port(self: Arc<Self>) {
        for tried in 1_u32.. {
            tokio::time::sleep(TRY).await;
            let mut inner = self.inner.lock().await;
            if inner.stopped {
                return;
            }
            let (Some(server), Some(_)) = (&inner.server, &inner.apart) else {
                return;
            };
            if let Ok(taken) = Taken::first_of_both(self.options.port) {
                if inner.owner.is_some() {
                    self.expect_back(&inner, server);
                }
                server.listen(&self.options, taken);
                (inner.apart, inner.owner) = (None, None);
                let port = self.options.port;
                tracing::info!(port, "the port is free; editors can connect now");
                return;
            }
            // One of ours may have it by now. To go over to it ends what is under way here.
            let calls = server.calls().clone();
            // Whoever has it may take his time to answer: nobody here waits for that.
            drop(inner);
            let asks = tried % ASK_EVERY == 0 && !calls.is_busy();
            if asks && matches!(self.ask().await, Step::Relay { .. }) {
                let inner = self.inner.lock().await;
                if let (Some(server), Some(cut)) = (&inner.server, &inner.apart)
                    && !server.calls().is_busy()
                {
                    cut.cancel();
                }
            }
        }
    }
}

/// A server that is about to be a broker's. It ends unless it is chosen, and also if nobody waits for that any more: a look ends
/// at its time-out.
struct Candidate(Option<Whole>);

impl Candidate {
    fn chosen(mut self) -> Whole {
        self.0.take().expect("it is taken once")
    }
}

impl Drop for Candidate {
    fn drop(&mut self) {
        if let Some(server) = self.0.take() {
            tokio::spawn(server.withdraw());
        }
    }
}

/// Two may come to a broker without a server at once, and it takes one of them. Says whose client we are if it is not us.
async fn beaten(port: u16) -> Option<u32> {
    for _ in 0..GLANCES {
        let broker = behind::find(port).await?;
        if let Some(pid) = broker.server_pid {
            return (pid != u64::from(std::process::id())).then_some(broker.pid);
        }
        tokio::time::sleep(SETTLING).await;
    }
    None
}

fn installed(inner: &mut Inner, server: Whole) -> To {
    let calls = server.calls().clone();
    inner.server = Some(server);
    (inner.owner, inner.nobody, inner.heir) = (None, 0, None);
    To::Own(calls)
}

/// A connection to the server of this process, until `cut`.
fn own(calls: Calls, choices: Option<&str>, cut: Option<CancellationToken>) -> BoxTransport {
    let (ours, theirs) = memory::pair(ROOM);
    let served = serve(calls, Session::own(choices), theirs);
    tokio::spawn(async move {
        match cut {
            Some(cut) => tokio::select! {
                () = served => {}
                () = cut.cancelled() => {}
            },
            None => served.await,
        }
    });
    TransportExt::boxed(ours)
}

/// An owner that is gone is known to be, on loopback. One that was stopped, or hangs, is not: so its relays ask.
fn alive() -> KeepAliveConfig {
    KeepAliveConfig::default().interval(ASLEEP).patience(ASLEEP)
}

/// Any end of an owner is one: we may be the next, and so look at once. A message that it cannot take is no end.
fn lost(error: Error) -> Error {
    match error.kind() {
        ErrorKind::TooLarge { .. } => error,
        _ => Error::new(ErrorKind::Disconnected).context(error.to_string()),
    }
}

fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// Somebody is bound to it who does not listen.
fn nobody_answers(port: u16) -> Fault {
    Fault::new(
        "port_taken",
        format!("Port {port} is taken, and nobody answers there."),
        "End the program that has it, or choose another port with --http-url, and set the same URL in Unity's MCP window.",
    )
}

fn stops() -> io::Error {
    io::Error::other("this server is shutting down")
}

fn unreachable(error: &io::Error) -> Error {
    Error::new(ErrorKind::Unreachable).context(error.to_string())
}
