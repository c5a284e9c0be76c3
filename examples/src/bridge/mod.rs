//! The second leg: editors whose plugin is set to stdio. They listen, and we dial.
//!
//! The status files say which projects are open and where. Each gets a link of its own that dials, presents the bridge to the
//! hub as one more plugin, and dials again when the file says that the editor is back. So everything behind the hub, holding
//! and settling included, is the same for both legs.
//!
//! The installed plugin serves one client, and each newcomer silently ends the others. So after an end that looks like a
//! takeover nobody dials until a call needs the editor; and a bridge that knows seats is asked for its seat, and waited for.
#![expect(
    clippy::disallowed_methods,
    reason = "the shell that owns a task for each open project"
)]

mod plugin;
mod takeover;
mod translate;

use crate::hub::{Hub, Instance, Phase, socket};
use mcp_transport_core::dial::{Dialer, State, Wake};
use mcp_transport_core::{Connector, Error, ErrorKind, EvictionReason};
use mcp_transport_stdio::bridge::{BridgeConnector, Claim, Seated};
use mcp_transport_stdio::discovery::{Discovery, POLL, Project, Projects, Watch};
use plugin::BridgedPlugin;
use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Links to every open project that the status files name. Dropping it ends them.
#[derive(Debug)]
pub struct BridgeLeg {
    task: JoinHandle<()>,
}

/// Projects that are dialled at once, at most.
const MAX_LINKS: usize = 64;

/// How long to look at the status file after an end without a notice. Its heartbeat comes twice a second; an editor that is
/// not in front ticks slower.
const JUDGE: Duration = Duration::from_secs(2);
const GLANCE: Duration = Duration::from_millis(50);

impl BridgeLeg {
    /// Follows the files of a directory, for as long as this lives.
    ///
    /// # Errors
    /// If there can be no thread to follow them.
    pub fn start(hub: &Hub, discovery: &Discovery) -> Result<Self, Error> {
        let watch = discovery.watch()?;
        let task = tokio::spawn(follow(hub.clone(), watch));
        Ok(Self { task })
    }
}

impl Drop for BridgeLeg {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// One link for each project, as long as this runs.
async fn follow(hub: Hub, watch: Watch) {
    let watch = Arc::new(watch);
    let mut projects = watch.projects();
    let mut links: HashMap<String, Aborted> = HashMap::new();
    loop {
        let open: Vec<String> = projects
            .borrow_and_update()
            .iter()
            .map(|project| project.key.clone())
            .collect();
        for key in open {
            if links.contains_key(&key) {
                continue;
            }
            if links.len() == MAX_LINKS {
                tracing::warn!(
                    limit = MAX_LINKS,
                    key,
                    "too many open projects; this one is not dialled"
                );
                continue;
            }
            let link = Link {
                key: key.clone(),
                hub: hub.clone(),
                watch: watch.clone(),
                waiting: Arc::default(),
            };
            links.insert(key, Aborted(tokio::spawn(link.run())));
        }
        if projects.changed().await.is_err() {
            return;
        }
    }
}

/// A task that ends with its handle.
struct Aborted(JoinHandle<()>);

impl Drop for Aborted {
    fn drop(&mut self) {
        self.0.abort();
    }
}

struct Link {
    key: String,
    hub: Hub,
    watch: Arc<Watch>,
    /// The seat was lost to somebody: it is asked for if it is free, and never taken.
    waiting: Arc<AtomicBool>,
}

impl Link {
    async fn run(self) {
        // The dial itself is bounded; waiting for a seat is not.
        let mut dialer = Dialer::new(self.connector()).connect_timeout(Duration::MAX);
        let wake = dialer.wake();
        self.watch.on_ready(Some(&self.key), move || wake.wake());
        let mut projects = self.watch.projects();
        // What the file said before that moment does not speak for the next dial.
        let mut since = SystemTime::now();
        loop {
            let link = match self.next(&mut dialer, since).await {
                Ok(link) => link,
                Err(error) => {
                    tracing::warn!(%error, key = self.key, "this project is not dialled any more");
                    return;
                }
            };
            let Some(before) = find(&projects.borrow_and_update(), &self.key) else {
                dialer.ended(&Error::new(ErrorKind::Unreachable));
                continue;
            };
            dialer.established();
            let (projects, key) = (projects.clone(), self.key.clone());
            let judged = before.clone();
            let judge = move |error| judge(error, judged, projects, key);
            let plugin = BridgedPlugin::new(link, &before, judge);
            let error = socket::serve(self.hub.clone(), plugin).await;
            since = SystemTime::now();
            self.ended(&error, &before);
            let after = find(&self.watch.projects().borrow(), &self.key);
            dialer.ended(&takeover::before_dialling(error, &before, after.as_ref()));
            if before.status.seat && self.waiting.load(Ordering::Relaxed) {
                // It is asked for at once, and granted when it is free.
                dialer.wake().wake();
            }
        }
    }

    /// The next connection. One that lost its seat to a client of a plugin without seats waits until a call needs it.
    async fn next<C>(
        &self,
        dialer: &mut Dialer<C>,
        since: SystemTime,
    ) -> Result<C::Transport, Error>
    where
        C: Connector,
    {
        let wake = dialer.wake();
        let state = dialer.watch();
        let mut instances = self.hub.instances();
        let is_needed = |instances: &Arc<[Instance]>| {
            instances
                .iter()
                .any(|one| one.hash == self.key && one.queued > 0 && one.phase != Phase::Connected)
        };
        if matches!(*state.borrow(), State::Standby { .. }) {
            tokio::select! {
                link = dialer.connect() => return link,
                needed = instances.wait_for(is_needed) => drop(needed),
            }
            self.waiting.store(false, Ordering::Relaxed);
            wake.wake();
        }
        tokio::select! {
            link = dialer.connect() => link,
            never = self.wake_on_heartbeat(since, &wake) => match never {},
        }
    }

    /// A reload may pass between two looks at the file, and leave nothing behind but a younger heartbeat: whoever writes
    /// that listens. It ends one wait. Where there are no seats it says nothing: the heartbeat goes on after a takeover.
    async fn wake_on_heartbeat(&self, since: SystemTime, wake: &Wake) -> Infallible {
        let projects = self.watch.projects();
        let is_back =
            |project: Project| project.status.seat && project.is_ready() && project.heard > since;
        while !find(&projects.borrow(), &self.key).is_some_and(is_back) {
            tokio::time::sleep(POLL).await;
        }
        wake.wake();
        std::future::pending().await
    }

    fn connector(&self) -> impl Connector<Transport = Seated> + use<> {
        let (projects, key) = (self.watch.projects(), self.key.clone());
        let (hub, waiting) = (self.hub.clone(), self.waiting.clone());
        move || {
            let project = find(&projects.borrow(), &key);
            let is_taken = hub.snapshot().iter().any(|one| is_other_leg(one, &key));
            let waits = waiting.load(Ordering::Relaxed);
            async move {
                let project = project.ok_or(ErrorKind::Unreachable)?;
                if is_taken {
                    // The same editor is here by WebSocket, and needs no second way.
                    return Err(
                        Error::new(ErrorKind::Unreachable).context("it is connected to the hub")
                    );
                }
                let claim = match (project.status.seat, waits) {
                    (false, _) => None,
                    (true, true) => Some(Claim::IfFree),
                    (true, false) => Some(Claim::Take),
                };
                BridgeConnector::new(project.port()?)
                    .claim(claim)
                    .connect()
                    .await
            }
        }
    }

    /// A lost seat is never stolen back, and those who call meanwhile hear who has it.
    fn ended(&self, error: &Error, before: &Project) {
        if error.kind() != ErrorKind::Evicted(EvictionReason::Superseded) {
            return;
        }
        self.waiting.store(true, Ordering::Relaxed);
        let told = error
            .eviction()
            .is_some_and(|eviction| eviction.newcomer().is_some());
        if told || before.status.seat {
            self.hub.stand_by(&self.key, error.to_string());
        }
    }
}

/// What an end without a notice was: the file tells a little later.
async fn judge(
    error: Error,
    before: Project,
    projects: watch::Receiver<Projects>,
    key: String,
) -> Error {
    if error.kind() != ErrorKind::Disconnected || before.status.seat {
        return error;
    }
    let ended = SystemTime::now();
    let until = tokio::time::Instant::now() + JUDGE;
    while tokio::time::Instant::now() < until {
        let now = find(&projects.borrow(), &key);
        match &now {
            // Only a heartbeat that was written after the end says that its main loop goes on. One from before it may be
            // read now, and then the word of a reload comes next.
            Some(project) if project.is_ready() && project.heard <= ended => {}
            _ => return takeover::read_end(error, &before, now.as_ref()),
        }
        tokio::time::sleep(GLANCE).await;
    }
    error
}

fn find(projects: &Projects, key: &str) -> Option<Project> {
    projects.iter().find(|project| project.key == key).cloned()
}

/// The plugin's hash on WebSocket has this key as its first half.
fn is_other_leg(instance: &Instance, key: &str) -> bool {
    instance.hash != key && instance.hash.starts_with(key) && instance.phase == Phase::Connected
}
