//! One project's link: dial when there is need, present the bridge to the hub, read its end.
#![expect(
    clippy::disallowed_methods,
    reason = "a shell that waits by the clock for what the file says"
)]

use super::identity::{self, Identity};
use super::listed;
use super::need::{Past, Plan, may_be_free, plan};
use super::plugin::BridgedPlugin;
use super::takeover::{Verdict, as_takeover, read};
use crate::hub::{Hub, Instance, Phase, socket};
use futures::{SinkExt, StreamExt};
use mcp_transport_core::dial::{Dialer, Wake};
use mcp_transport_core::{Connector, Error, ErrorKind, EvictionReason, Message};
use mcp_transport_stdio::bridge::{BridgeConnector, Claim, Seated};
use mcp_transport_stdio::discovery::{POLL, Project, Projects, Watch};
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};
use tokio::sync::watch;

/// How long to look at the status file after an end without a notice. Its heartbeat comes twice a second; an editor that is
/// not in front ticks slower.
const JUDGE: Duration = Duration::from_secs(2);
const GLANCE: Duration = Duration::from_millis(50);

/// How long a plugin that does not say which project it has open may take to write the file that says so; see [`identity`].
const VOUCH: Duration = Duration::from_secs(5);

/// How long the answer to a question for a free seat may take before a call takes the seat by another connection.
const GRANT: Duration = Duration::from_millis(20);

#[derive(Clone)]
pub(super) struct Link {
    key: String,
    hub: Hub,
    watch: Arc<Watch>,
    past: Arc<Mutex<Past>>,
    /// When the file led to another project's editor.
    misled: Arc<Mutex<Option<SystemTime>>>,
}

impl Link {
    pub(super) fn new(key: String, hub: Hub, watch: Arc<Watch>) -> Self {
        let past = Arc::new(Mutex::new(Past::New));
        Self {
            key,
            hub,
            watch,
            past,
            misled: Arc::default(),
        }
    }

    /// Connects whenever there is need, for as long as it is not dropped.
    pub(super) async fn run(self) {
        let dials = self.clone();
        let connector = move || {
            let link = dials.clone();
            async move { link.dial().await }
        };
        // The dial itself is bounded; waiting for need, or for a seat, is not.
        let mut dialer = Dialer::new(connector).connect_timeout(Duration::MAX);
        // What the file said before that moment does not speak for the next dial.
        let mut since = SystemTime::now();
        loop {
            let seated = match self.next(&mut dialer, since).await {
                Ok(seated) => seated,
                Err(error) => {
                    tracing::warn!(%error, key = self.key, "this project is not dialled any more");
                    return;
                }
            };
            let Some(before) = self.project() else {
                dialer.ended(&Error::new(ErrorKind::Unreachable));
                continue;
            };
            dialer.established();
            self.set(Past::Had);
            let (judge, judged) = (self.clone(), before.clone());
            let judge = move |error| async move { judge.judge(error, judged).await };
            let plugin = BridgedPlugin::new(seated, &before, judge);
            let error = socket::serve(self.hub.clone(), plugin).await;
            since = SystemTime::now();
            let lost = is_superseded(&error);
            if lost {
                self.lost(&error, before);
            }
            if let Some(now) = self.project() {
                // It may never have been away.
                self.hub.list(&listed(&now));
            }
            dialer.ended(&error);
            if lost {
                // When to dial is a matter of need now, and of no schedule.
                dialer.wake().wake();
            }
        }
    }

    /// The next connection. What happens meanwhile ends the wait that follows a failure.
    async fn next<C>(
        &self,
        dialer: &mut Dialer<C>,
        since: SystemTime,
    ) -> Result<C::Transport, Error>
    where
        C: Connector,
    {
        let wake = dialer.wake();
        tokio::select! {
            connected = dialer.connect() => connected,
            never = self.wake_on_news(&wake) => match never {},
            never = self.wake_on_heartbeat(since, &wake) => match never {},
        }
    }

    /// The file changed, and says that it can be dialled; or one more call waits.
    async fn wake_on_news(&self, wake: &Wake) -> Infallible {
        let (mut projects, mut instances) = (self.watch.projects(), self.hub.instances());
        let mut waiting = self.waiting();
        loop {
            tokio::select! {
                () = changed(&mut projects) => {
                    if self.project().is_some_and(|project| project.is_ready()) {
                        wake.wake();
                    }
                }
                () = changed(&mut instances) => {
                    let now = self.waiting();
                    if now > std::mem::replace(&mut waiting, now) {
                        wake.wake();
                    }
                }
            }
        }
    }

    /// A reload may pass between two looks at the file, and leave nothing behind but a younger heartbeat. It ends one wait.
    async fn wake_on_heartbeat(&self, since: SystemTime, wake: &Wake) -> Infallible {
        let is_back = |project: Project| project.is_ready() && project.heard > since;
        while !self.project().is_some_and(is_back) {
            tokio::time::sleep(POLL).await;
        }
        wake.wake();
        std::future::pending().await
    }

    /// Waits until there is need, and dials.
    async fn dial(&self) -> Result<Seated, Error> {
        self.rewritten().await;
        let (mut projects, mut instances) = (self.watch.projects(), self.hub.instances());
        loop {
            // What changes from here on is news.
            projects.mark_unchanged();
            instances.mark_unchanged();
            let plan = self.plan();
            let Plan::Dial { port, claim } = plan else {
                tokio::select! {
                    () = changed(&mut projects) => {}
                    () = changed(&mut instances) => {}
                }
                continue;
            };
            let mut connector = BridgeConnector::new(port).claim(claim);
            let error = tokio::select! {
                connected = self.connect(&mut connector, port) => match connected {
                    Ok(seated) => return Ok(seated),
                    Err(error) => error,
                },
                () = self.another_plan(plan), if plan.is_patient() => continue,
            };
            self.failed(error, claim).await?;
        }
    }

    /// Connects, and makes sure that it is this project's editor that answers before anything else is said.
    async fn connect(&self, connector: &mut BridgeConnector, port: u16) -> Result<Seated, Error> {
        let seated = connector.connect().await?;
        let connected = SystemTime::now();
        tokio::select! {
            proved = self.prove(seated, port, connected) => proved,
            () = self.moved(port) => {
                self.hub.mislead(&self.key, None);
                let text = format!("{} does not listen on port {port} any more", self.key);
                Err(Error::new(ErrorKind::Unreachable).context(text))
            }
        }
    }

    /// Asks who is there. However long the editor's main loop stands still, nothing is sent before it has answered.
    async fn prove(
        &self,
        mut seated: Seated,
        port: u16,
        connected: SystemTime,
    ) -> Result<Seated, Error> {
        seated.send(Message::from(identity::QUESTION)).await?;
        let answer = seated.next().await.unwrap_or_else(|| {
            let text = "the bridge closed the connection before it said which project it has open";
            Err(Error::new(ErrorKind::Disconnected).context(text))
        })?;
        match identity::read(&self.key, self.project().as_ref(), &answer)? {
            Identity::Same => Ok(seated),
            Identity::Other(open) => {
                drop(seated);
                let error = identity::somebody_elses(port, &open);
                tracing::warn!(%error, key = self.key, "a status file names somebody else's port");
                self.hub.mislead(&self.key, Some(error.to_string()));
                *self.misled.lock().unwrap_or_else(PoisonError::into_inner) = Some(connected);
                Err(error)
            }
            Identity::Unsaid => {
                let vouched = tokio::time::timeout(VOUCH, self.vouched(port, connected)).await;
                vouched.map(|()| seated).map_err(|_elapsed| {
                    let text = format!(
                        "the plugin on port {port} does not say which project it has open, and the status file was not written since: nothing was sent"
                    );
                    Error::new(ErrorKind::Unreachable).context(text)
                })
            }
        }
    }

    async fn vouched(&self, port: u16, connected: SystemTime) {
        let vouches = |file: Project| identity::vouches(&file, port, connected);
        while !self.project().is_some_and(vouches) {
            tokio::time::sleep(POLL).await;
        }
    }

    /// Where the file has misled us, until it was written anew: each dial may end somebody's session at the wrong editor.
    async fn rewritten(&self) {
        let misled = *self.misled.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(since) = misled else { return };
        while self.project().is_some_and(|file| file.heard <= since) {
            tokio::time::sleep(POLL).await;
        }
        self.hub.mislead(&self.key, None);
        *self.misled.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Returns once the file does not say any more that the editor listens there.
    async fn moved(&self, port: u16) {
        let mut projects = self.watch.projects();
        let listens = |file: Project| file.is_ready() && file.status.unity_port == port;
        while self.project().is_some_and(listens) {
            changed(&mut projects).await;
        }
    }

    /// Returns once there is something else to do than that, and a free seat would have been granted.
    async fn another_plan(&self, plan: Plan) {
        let (mut projects, mut instances) = (self.watch.projects(), self.hub.instances());
        while self.plan() == plan {
            tokio::select! {
                () = changed(&mut projects) => {}
                () = changed(&mut instances) => {}
            }
        }
        tokio::time::sleep(GRANT).await;
    }

    /// What a failed dial means: an error is for the schedule.
    async fn failed(&self, error: Error, claim: Option<Claim>) -> Result<(), Error> {
        let Some(project) = self.project() else {
            return Err(error);
        };
        match claim {
            // The incumbent is protected.
            Some(Claim::Take) if is_superseded(&error) => self.lost(&error, project),
            // It was there, and somebody else's dial came at the same moment.
            None if error.kind() == ErrorKind::Disconnected => {
                let error = self.judge(error, project).await;
                if !is_superseded(&error) {
                    return Err(error);
                }
                self.hub.cut_off(&self.key);
            }
            _ if is_superseded(&error) => {
                return Err(Error::new(ErrorKind::Unreachable).because(error));
            }
            _ => return Err(error),
        }
        Ok(())
    }

    fn plan(&self) -> Plan {
        let (project, instances) = (self.project(), self.hub.snapshot());
        let editor = instances.iter().find(|one| one.hash == self.key);
        let is_over = editor.is_none_or(|one| matches!(one.phase, Phase::Quit { .. }));
        let mut past = self.past.lock().unwrap_or_else(PoisonError::into_inner);
        if is_over {
            *past = Past::New;
        }
        if may_be_free(&past, project.as_ref()) {
            *past = Past::Had;
            self.hub.stand_down(&self.key);
        }
        let called = editor.is_some_and(|one| one.queued > 0);
        let elsewhere = instances.iter().any(|one| is_other_leg(one, &self.key));
        plan(project.as_ref(), &past, called, elsewhere)
    }

    /// A lost seat is never stolen back, and those who call meanwhile hear who has it. Where there are no seats and no notice
    /// came, nobody can say whether it is free: there a call dials.
    fn lost(&self, error: &Error, before: Project) {
        let told = error
            .eviction()
            .is_some_and(|eviction| eviction.newcomer().is_some());
        if told || before.status.seat {
            self.set(Past::Lost(before));
            self.hub.stand_by(&self.key, error.to_string());
        }
    }

    /// What an end without a notice was: the file tells a little later.
    async fn judge(&self, error: Error, before: Project) -> Error {
        if error.kind() != ErrorKind::Disconnected || before.status.seat {
            return error;
        }
        let ended = SystemTime::now();
        let until = tokio::time::Instant::now() + JUDGE;
        let beat = self.project().map_or(ended, |project| project.heard);
        while tokio::time::Instant::now() < until {
            match read(&before, beat, ended, self.project().as_ref()) {
                Verdict::NotYet => tokio::time::sleep(GLANCE).await,
                Verdict::Reload => return error,
                Verdict::Takeover => break,
            }
        }
        as_takeover(error, &before)
    }

    fn project(&self) -> Option<Project> {
        let projects = self.watch.projects();
        let projects = projects.borrow();
        find(&projects, &self.key).cloned()
    }

    fn waiting(&self) -> usize {
        let instances = self.hub.snapshot();
        let editor = instances.iter().find(|one| one.hash == self.key);
        editor.map_or(0, |one| one.queued)
    }

    fn set(&self, past: Past) {
        *self.past.lock().unwrap_or_else(PoisonError::into_inner) = past;
    }
}

/// Returns at the next change. Who is gone changes nothing any more.
async fn changed<T>(values: &mut watch::Receiver<T>) {
    if values.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}

fn find<'a>(projects: &'a Projects, key: &str) -> Option<&'a Project> {
    projects.iter().find(|project| project.key == key)
}

fn is_superseded(error: &Error) -> bool {
    error.kind() == ErrorKind::Evicted(EvictionReason::Superseded)
}

/// The plugin's hash on WebSocket has this key as its first half.
fn is_other_leg(instance: &Instance, key: &str) -> bool {
    instance.hash != key && instance.hash.starts_with(key) && instance.phase == Phase::Connected
}
