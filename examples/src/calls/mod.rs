//! A call's way: choose the editor, hold, tell the client meanwhile, answer in time, and read back what a reload ate.
#![expect(clippy::disallowed_methods, reason = "a shell that waits by the clock")]

mod after;
mod attempt;
mod before;
mod begin;
mod caller;
mod custom;
pub mod diagnose;
mod ended;
mod files;
mod look;
mod polling;
mod raw;
mod settling;
pub mod target;
pub mod tasks;

pub use caller::{Budget, Caller, Port, Progress};
pub(crate) use custom::UNSUPPORTED;
pub use raw::RawCommand;
pub use settling::{MAX_EXPECTED, SETTLING, expected};

use crate::catalogue::{Call, Reply, Verdict, Verify};
use crate::docs::Docs;
use crate::hub::{self, Hub, Instance, Request, Why};
use crate::logic::preflight::Memory;
use crate::logic::refresh;
use after::verified;
use attempt::{CANCELLED, answered, given_up};
use custom::Polls;
use ended::Endings;
use mcp_transport_core::delivery::Replay;
use mcp_transport_core::{Ending, Outcome};
use settling::Settling;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use target::NoTarget;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// With no editor ever seen, this much is enough for one that is just starting.
const NO_EDITOR_YET: Duration = Duration::from_secs(20);

/// The same, where editors cannot come by the port: long enough for one that listens.
const NO_EDITOR_COMES: Duration = Duration::from_secs(2);

/// The first word of progress, and how often it is repeated.
const FIRST_PROGRESS: Duration = Duration::from_secs(3);
const PROGRESS_EVERY: Duration = Duration::from_secs(10);

/// How long a client may take to hear it.
const SAY: Duration = Duration::from_secs(1);

/// An edit that a read proves not to have happened is made again, so often.
const MAX_TRIES: u32 = 3;

/// Where calls begin.
#[derive(Clone)]
pub struct Calls {
    hub: Hub,
    budget: Budget,
    port: Arc<dyn Fn() -> Option<Port> + Send + Sync>,
    endings: Arc<Mutex<Endings>>,
    /// Tools whose work goes on behind their answer.
    polls: Arc<Polls>,
    memory: Arc<Mutex<Memory>>,
    docs: Docs,
    elsewhere: bool,
    /// Calls that were answered with a task.
    tasks: begin::Shared,
    stopping: CancellationToken,
    /// What still runs while we stop is not waited for any more.
    cut: CancellationToken,
    under_way: TaskTracker,
    /// The editor of a call that names none, where several fit.
    fallback: Option<Arc<str>>,
    /// The editors that a former owner of the port had.
    settling: Arc<Mutex<Settling>>,
}

/// How long the end waits for commands that an editor works on.
const FINISH: Duration = Duration::from_millis(1_500);

/// One call's clock.
struct Clock {
    started: Instant,
    /// By when the client must have an answer.
    answer_by: Option<Instant>,
    next_progress: Instant,
}

impl Calls {
    /// `port` is the port that editors dial, as it is at the moment of asking.
    pub fn new(
        hub: Hub,
        budget: Budget,
        port: impl Fn() -> Option<Port> + Send + Sync + 'static,
    ) -> Self {
        Self {
            hub,
            budget,
            port: Arc::new(port),
            endings: Arc::default(),
            polls: Arc::default(),
            memory: Arc::default(),
            docs: Docs::official(),
            elsewhere: false,
            tasks: begin::Shared::default(),
            stopping: CancellationToken::new(),
            cut: CancellationToken::new(),
            under_way: TaskTracker::new(),
            fallback: None,
            settling: Arc::default(),
        }
    }

    /// The same; where a call names no editor and several fit, it goes to the one that this selector means.
    #[must_use]
    pub fn fallback(mut self, selector: Option<&str>) -> Self {
        self.fallback = selector.map(Arc::from);
        self
    }

    /// The hash of the editor that calls go to which name none, if that does not follow from which editors there are.
    pub fn preferred(&self, instances: &[Instance]) -> Option<String> {
        let fallback = self.fallback.as_deref()?;
        let here = |one: &&Instance| !matches!(one.phase, hub::Phase::Quit { .. });
        let here: Vec<Instance> = instances.iter().filter(here).cloned().collect();
        target::choose(now(), &here, Some(fallback)).ok()
    }

    /// Those that would come back to whoever has the port next: of these editors, and of the ones that we
    /// [expect](Self::expect_back) ourselves.
    pub fn expected(&self, instances: &[Instance]) -> Vec<String> {
        let missing = self.missing(instances).map(|(missing, _)| missing);
        let mut all = expected(now(), instances);
        all.extend(missing.unwrap_or_default());
        all.truncate(MAX_EXPECTED);
        all
    }

    /// A former owner of the port had these editors, by their ids, when it was last `seen`: for 5 s calls wait for those of them
    /// that are not back. Nobody waits if that was more than 120 s ago.
    pub fn expect_back(&self, editors: Vec<String>, seen: Instant) {
        let mut settling = self.settling.lock().unwrap_or_else(PoisonError::into_inner);
        settling.begin(now(), seen, editors);
    }

    fn missing(&self, instances: &[Instance]) -> Option<(Vec<String>, Instant)> {
        let settling = self.settling.lock().unwrap_or_else(PoisonError::into_inner);
        settling.missing(now(), instances)
    }

    /// True while a call is on its way, and while an editor works on one whose client was told to ask for it later.
    pub fn is_busy(&self) -> bool {
        let works = |editor: &Instance| editor.running.is_some();
        !self.under_way.is_empty() || self.hub.snapshot().iter().any(works)
    }

    /// The same with Unity's documentation elsewhere.
    #[must_use]
    pub fn docs_at(self, docs: Docs) -> Self {
        Self { docs, ..self }
    }

    /// The same for users elsewhere: their projects are on no disk of this machine, and what this process is like is none of
    /// their business.
    #[must_use]
    pub fn elsewhere(self) -> Self {
        Self {
            elsewhere: true,
            ..self
        }
    }

    /// Whether users and editors are elsewhere.
    pub const fn is_elsewhere(&self) -> bool {
        self.elsewhere
    }

    /// Where Unity's documentation is.
    pub const fn docs(&self) -> &Docs {
        &self.docs
    }

    /// The hub beneath.
    pub const fn hub(&self) -> &Hub {
        &self.hub
    }

    /// The port that editors dial.
    pub fn port(&self) -> Option<Port> {
        (self.port)()
    }

    /// The editor that a selector means now, without waiting for one.
    ///
    /// # Errors
    /// [`NoTarget`] lists what there is.
    pub fn choose(&self, selector: Option<&str>) -> Result<Instance, NoTarget> {
        let instances = self.hub.snapshot();
        let hash = target::choose_or(now(), &instances, selector, self.fallback.as_deref())?;
        match self.missing(&instances) {
            Some((missing, _)) if !self.is_meant(&instances, selector, &hash) => {
                return Err(target::besides(&instances, missing));
            }
            _ => {}
        }
        Ok(instances
            .into_iter()
            .find(|instance| instance.hash == hash)
            .expect("it was chosen from there"))
    }

    /// Makes a call, and answers it in any case.
    ///
    /// # Errors
    /// The bad ending, in the one shape that clients see.
    ///
    /// # Cancel safety
    /// Dropping the future gives the call up: what is queued is withdrawn, the result of what runs is kept.
    pub async fn run(
        &self,
        caller: &Caller,
        selector: Option<&str>,
        call: &Call,
    ) -> Result<Reply, Ending> {
        let (reply, _) = self.run_somewhere(caller, selector, call).await?;
        Ok(reply)
    }

    /// The same, and the hash of the editor that was chosen: what belongs to this call goes there, too, whoever comes or quits.
    pub(crate) async fn run_somewhere(
        &self,
        caller: &Caller,
        selector: Option<&str>,
        call: &Call,
    ) -> Result<(Reply, String), Ending> {
        let _under_way = self.under_way.token();
        if self.stopping.is_cancelled() {
            return Err(diagnose::shutting_down(None));
        }
        let mut clock = self.clock(caller);
        let hash = self.target(caller, selector, &mut clock).await?;
        let ended = self.settle(caller, &hash, call, &mut clock).await;
        if let Err(ending) = &ended {
            self.keep(caller, ending);
        }
        ended.map(|reply| (reply, hash))
    }

    /// Returns once no more calls are taken.
    ///
    /// # Cancel safety
    /// This method is cancel safe.
    pub async fn stopped(&self) {
        self.stopping.cancelled().await;
    }

    /// Takes no more calls, answers at once those that no editor has, and after 1.5 s those that one has, with what is known of
    /// them. Returns when all are answered.
    ///
    /// # Cancel safety
    /// Dropping the future only stops waiting.
    pub async fn stop(&self) {
        self.stopping.cancel();
        self.under_way.close();
        let finished = tokio::time::timeout(FINISH, self.under_way.wait()).await;
        if finished.is_err() {
            self.cut.cancel();
            self.under_way.wait().await;
        }
    }

    /// What became of an operation: its result, or what is known of it.
    ///
    /// # Errors
    /// A bad ending: it was not delivered, still runs, or nobody can know; `unknown_operation` if this server knows no such
    /// operation of this owner's.
    pub fn operation(&self, id: &str, owner: Option<&str>) -> Result<Reply, Ending> {
        // What a client without a session left behind may be read by whoever knows its id. Asked before the result, since an
        // operation that ends in between leaves one.
        let owners = [owner, None];
        let running = owners
            .iter()
            .any(|it| self.hub.is_running(id, *it) || self.polls.is_running(id, *it));
        let late = owners.iter().find_map(|it| self.hub.late_result(id, *it));
        if let Some(envelope) = late {
            let result = match answered(&envelope) {
                // Its client was gone before it said that it would take its time.
                Ok(reply) if reply.pending.is_some() => Err(polling::begun_unseen(&reply)),
                result => result,
            };
            return result.map_err(|ending| ending.operation_id(id));
        }
        let mut endings = self.endings.lock().unwrap_or_else(PoisonError::into_inner);
        let ending = match endings.get(now(), id, owner) {
            _ if running => diagnose::still_running(),
            Some(ending) if ending.outcome == Outcome::Running => diagnose::ran_out_of_sight(),
            Some(ending) => ending.clone(),
            None => diagnose::unknown_operation(),
        };
        Err(ending.operation_id(id))
    }

    fn clock(&self, caller: &Caller) -> Clock {
        let started = now();
        Clock {
            started,
            answer_by: self.answer_by(caller),
            next_progress: started + FIRST_PROGRESS,
        }
    }

    fn answer_by(&self, caller: &Caller) -> Option<Instant> {
        let budget = self.budget.client.filter(|_| caller.progress.is_none());
        budget.map(|budget| caller.since + budget)
    }

    /// How long this caller will still wait; `None` if nobody knows of an end.
    pub fn patience(&self, caller: &Caller) -> Option<Duration> {
        let by = self.answer_by(caller)?;
        Some(by.saturating_duration_since(now()))
    }

    /// Waits between two commands of one call, and tells the client so. False if there is nobody left to wait for.
    ///
    /// # Cancel safety
    /// Dropping the future only ends the wait.
    pub async fn pause(&self, caller: &Caller, pause: Duration) -> bool {
        let ends = now() + pause;
        let waited = |at: Instant| at.saturating_duration_since(caller.since);
        let mut clock = self.clock(caller);
        // When it is told depends on the whole call, not on this pause.
        let told = waited(now()).as_secs() / PROGRESS_EVERY.as_secs();
        if told < waited(ends).as_secs() / PROGRESS_EVERY.as_secs() {
            clock.started = caller.since;
            let text = format!("not over yet, {} s so far", waited(now()).as_secs());
            self.tell(caller, &mut clock, text).await;
        }
        tokio::select! {
            () = tokio::time::sleep_until(ends.into()) => true,
            () = caller.gone() => false,
            () = self.stopping.cancelled() => false,
        }
    }

    fn keep(&self, caller: &Caller, ending: &Ending) {
        // Nobody was told the id of a call that was given up.
        if ending.operation_id.is_some() && ending.cause != CANCELLED {
            let mut endings = self.endings.lock().unwrap_or_else(PoisonError::into_inner);
            endings.keep(now(), caller.owner.clone(), ending.clone());
        }
    }

    /// Makes a call, reads back what a reload ate, and makes it again where that can have no second effect.
    async fn settle(
        &self,
        caller: &Caller,
        hash: &str,
        call: &Call,
        clock: &mut Clock,
    ) -> Result<Reply, Ending> {
        if let Some(refused) = self.fit(caller, hash, call, clock).await? {
            return Ok(refused);
        }
        let verify = Verify::for_call(call).filter(|_| call.reload);
        let mut tries = 1;
        loop {
            let sent_at = unix_ms();
            let request = self.request(call, self.left(clock));
            self.sent(hash, call, None);
            let tried = self.once(caller, hash, request, clock).await;
            self.sent(hash, call, Some(sent_at));
            let end = match tried {
                Ok(reply) if call.command == Some("refresh_unity") && reply.success => {
                    self.imported(hash, sent_at);
                    if refresh::waits(call) {
                        return Ok(self.when_ready(caller, hash, clock, reply).await);
                    }
                    return Ok(reply);
                }
                Ok(reply) => return Ok(reply),
                Err(end) => end,
            };
            let is_readable = |verify: &&Verify| match end.why {
                Some(Why::LinkLost | Why::Silent) => true,
                // Another editor waited for the seat, and answers.
                Some(Why::Superseded) => verify.is_in_files(),
                _ => false,
            };
            let Some(verify) = verify.as_ref().filter(is_readable) else {
                return Err(end.ending);
            };
            if end.ending.outcome != Outcome::Unknown {
                return Err(end.ending);
            }
            let verify = verify.clone().sent_at(sent_at);
            match self.read_back(caller, hash, &verify, clock).await {
                Some(Verdict::Took) => return Ok(verified(call)),
                // The connection broke, so the domain that had the command is gone, and a read shows no trace of it. One that
                // was only silent may yet come to it.
                Some(Verdict::DidNotTake)
                    if tries < MAX_TRIES && end.why == Some(Why::LinkLost) =>
                {
                    tries += 1;
                }
                _ => return Err(end.ending),
            }
        }
    }

    /// Whether a call goes to this editor whoever else comes back: it names it, or this is where calls go that name none.
    fn is_meant(&self, instances: &[Instance], selector: Option<&str>, hash: &str) -> bool {
        !target::is_absent(selector) || self.preferred(instances).as_deref() == Some(hash)
    }

    /// Waits for an editor that fits.
    async fn target(
        &self,
        caller: &Caller,
        selector: Option<&str>,
        clock: &mut Clock,
    ) -> Result<String, Ending> {
        let mut changes = self.hub.instances();
        // Where it is known that no editor can come by the port there is little to wait for.
        let known = (self.port)().is_some_and(|port| port.known.is_some());
        let patience = if known {
            NO_EDITOR_COMES
        } else {
            NO_EDITOR_YET
        };
        let patience = clock.started + self.budget.hold.min(patience);
        loop {
            let instances = changes.borrow_and_update().clone();
            let fallback = self.fallback.as_deref();
            let missing = self.missing(&instances);
            let settles = missing.as_ref().map(|(_, until)| *until);
            let why = match target::choose_or(now(), &instances, selector, fallback) {
                Ok(hash) => match missing {
                    Some((missing, _)) if !self.is_meant(&instances, selector, &hash) => {
                        target::besides(&instances, missing)
                    }
                    _ => return Ok(hash),
                },
                Err(why @ NoTarget::Nobody) => why,
                // Somebody may name an editor that is just starting; with others there the list is the better answer.
                Err(why @ NoTarget::Unknown { .. })
                    if instances.is_empty() || missing.is_some() =>
                {
                    why
                }
                Err(why) => return Err(diagnose::no_target(&why, None)),
            };
            let until = clock.answer_by.map_or(patience, |by| by.min(patience));
            tokio::select! {
                _ = changes.changed() => {}
                () = caller.gone() => return Err(given_up()),
                () = attempt::until(settles) => {}
                () = self.stopping.cancelled() => return Err(diagnose::shutting_down(None)),
                () = tokio::time::sleep_until(clock.next_progress.into()) => {
                    self.say(caller, clock, None, None).await;
                }
                () = tokio::time::sleep_until(until.into()) => {
                    return Err(diagnose::no_target(&why, (self.port)().as_ref()));
                }
            }
        }
    }

    fn request(&self, call: &Call, hold: Duration) -> Request {
        Request {
            command: call.command.unwrap_or_default().to_owned(),
            params: call.params.clone(),
            timeout: call.timeout,
            replay: if call.replay_safe {
                Replay::Safe
            } else {
                Replay::Never
            },
            hold,
        }
    }

    fn editor(&self, hash: &str) -> Option<Instance> {
        self.hub
            .snapshot()
            .into_iter()
            .find(|instance| instance.hash == hash)
    }

    async fn say(
        &self,
        caller: &Caller,
        clock: &mut Clock,
        standing: Option<hub::Standing>,
        editor: Option<&Instance>,
    ) {
        let waited = now() - clock.started;
        let text = diagnose::progress(now(), waited, standing, editor, (self.port)().as_ref());
        self.tell(caller, clock, text).await;
    }

    async fn tell(&self, caller: &Caller, clock: &mut Clock, text: String) {
        // Of all its commands: what a client is told may never decrease.
        let waited = now() - caller.since;
        clock.next_progress += PROGRESS_EVERY;
        if let Some(progress) = &caller.progress {
            // A client that does not read must not stop its own call.
            let _ = tokio::time::timeout(SAY, progress(waited.as_secs_f64(), text)).await;
        }
    }
}

impl fmt::Debug for Calls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Calls")
            .field("budget", &self.budget)
            .finish_non_exhaustive()
    }
}

fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

fn unix_ms() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
