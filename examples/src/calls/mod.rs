//! A call's way: choose the editor, hold, tell the client meanwhile, answer in time, and read back what a reload ate.
#![expect(clippy::disallowed_methods, reason = "a shell that waits by the clock")]

pub mod diagnose;
mod ended;
pub mod target;

use crate::catalogue::envelope::{Reply, normalise};
use crate::catalogue::{Call, Verdict, Verify};
use crate::hub::{self, Event, Hub, Instance, Refused, Request, Why};
use ended::{Ended, Endings};
use futures::FutureExt;
use futures::future::BoxFuture;
use mcp_transport_core::delivery::{Abandoned, Replay};
use mcp_transport_core::loopback::Health;
use mcp_transport_core::{Ending, Outcome};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use target::NoTarget;
use tokio_util::sync::CancellationToken;

/// How long calls may wait, and for what.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Budget {
    /// For an editor that is away.
    pub hold: Duration,
    /// For a client that asked for no progress, and may have a time-out that we do not know; `None` = no limit.
    pub client: Option<Duration>,
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            hold: Duration::from_secs(120),
            client: Some(Duration::from_secs(50)),
        }
    }
}

impl Budget {
    /// Sets both; a client's budget of zero is none.
    pub fn new(hold: Duration, client: Option<Duration>) -> Self {
        let client = client.filter(|budget| !budget.is_zero());
        Self { hold, client }
    }
}

/// With no editor ever seen, this much is enough for one that is just starting.
const NO_EDITOR_YET: Duration = Duration::from_secs(20);

/// The first word of progress, and how often it is repeated.
const FIRST_PROGRESS: Duration = Duration::from_secs(3);
const PROGRESS_EVERY: Duration = Duration::from_secs(10);

/// How long a client may take to hear it.
const SAY: Duration = Duration::from_secs(1);

/// How long an editor may take from the loss of an answer until a read tells what became of it.
const READ_BACK: Duration = Duration::from_secs(60);
const ASK_AGAIN: Duration = Duration::from_millis(500);

/// A change that a read proves not to have happened is made again, so often.
const MAX_TRIES: u32 = 3;

/// Tells a client how far its call is.
pub type Progress = Arc<dyn Fn(f64, String) -> BoxFuture<'static, ()> + Send + Sync>;

/// Who calls.
#[derive(Clone)]
#[non_exhaustive]
pub struct Caller {
    /// Who may ask for late results.
    pub owner: Option<String>,
    /// The client cancelled this call.
    pub cancelled: CancellationToken,
    /// What the call hangs on ended: the client's session or, where there are none, its connection.
    pub link: Option<CancellationToken>,
    /// Where the client wants to hear of progress, if it does.
    pub progress: Option<Progress>,
}

impl Caller {
    /// A caller of this name.
    pub fn new(
        owner: Option<String>,
        cancelled: CancellationToken,
        link: Option<CancellationToken>,
        progress: Option<Progress>,
    ) -> Self {
        Self {
            owner,
            cancelled,
            link,
            progress,
        }
    }

    /// Returns once nobody waits for the call any more.
    ///
    /// # Cancel safety
    /// This method is cancel safe.
    pub async fn gone(&self) {
        match &self.link {
            Some(link) => tokio::select! {
                () = self.cancelled.cancelled() => {}
                () = link.cancelled() => {}
            },
            None => self.cancelled.cancelled().await,
        }
    }
}

impl fmt::Debug for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Caller")
            .field("owner", &self.owner)
            .finish_non_exhaustive()
    }
}

/// The port that editors dial, and how it is.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_structs, reason = "a number and what became of it")]
pub struct Port {
    /// Its number.
    pub number: u16,
    /// How its two families are.
    pub health: Health,
}

/// Where calls begin.
#[derive(Clone)]
pub struct Calls {
    hub: Hub,
    budget: Budget,
    port: Arc<dyn Fn() -> Option<Port> + Send + Sync>,
    endings: Arc<Mutex<Endings>>,
}

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
        }
    }

    /// The hub beneath.
    pub const fn hub(&self) -> &Hub {
        &self.hub
    }

    /// The editor that a selector means now, without waiting for one.
    ///
    /// # Errors
    /// [`NoTarget`] lists what there is.
    pub fn choose(&self, selector: Option<&str>) -> Result<Instance, NoTarget> {
        let instances = self.hub.snapshot();
        let hash = target::choose(now(), &instances, selector)?;
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
        let started = now();
        let budget = if caller.progress.is_some() {
            None
        } else {
            self.budget.client
        };
        let mut clock = Clock {
            started,
            answer_by: budget.map(|budget| started + budget),
            next_progress: started + FIRST_PROGRESS,
        };
        let hash = self.target(caller, selector, &mut clock).await?;
        let ended = self.settle(caller, &hash, call, &mut clock).await;
        if let Err(ending) = &ended {
            self.keep(caller, hash, ending);
        }
        ended
    }

    /// What became of an operation: its result, or what is known of it.
    ///
    /// # Errors
    /// A bad ending: it was not delivered, still runs, or nobody can know; `unknown_operation` if this server knows no such
    /// operation of this owner's.
    pub fn operation(&self, id: &str, owner: Option<&str>) -> Result<Reply, Ending> {
        // What a client without a session left behind may be read by whoever knows its id.
        let late = self.hub.late_result(id, owner);
        if let Some(envelope) = late.or_else(|| self.hub.late_result(id, None)) {
            return answered(&envelope).map_err(|ending| ending.operation_id(id));
        }
        let ended = {
            let mut endings = self.endings.lock().unwrap_or_else(PoisonError::into_inner);
            endings.get(now(), id, owner).cloned()
        };
        Err(match ended {
            Some(ended) if ended.ending.outcome == Outcome::Running => {
                let editor = self.editor(&ended.hash);
                let same_link = editor.is_some_and(|editor| {
                    editor.session_id.is_some() && editor.session_id == ended.session_id
                });
                if same_link {
                    diagnose::still_running()
                } else {
                    diagnose::ran_out_of_sight()
                }
            }
            Some(ended) => ended.ending,
            None if self.hub.is_running(id, owner) => diagnose::still_running(),
            None => diagnose::unknown_operation(),
        }
        .operation_id(id))
    }

    fn keep(&self, caller: &Caller, hash: String, ending: &Ending) {
        // Nobody was told the id of a call that was given up.
        if ending.operation_id.is_none() || ending.cause == CANCELLED {
            return;
        }
        let ended = Ended {
            ending: ending.clone(),
            owner: caller.owner.clone(),
            session_id: self.editor(&hash).and_then(|editor| editor.session_id),
            hash,
        };
        let mut endings = self.endings.lock().unwrap_or_else(PoisonError::into_inner);
        endings.keep(now(), ended);
    }

    /// Makes a call, reads back what a reload ate, and makes it again where a read proves that it did not take effect.
    async fn settle(
        &self,
        caller: &Caller,
        hash: &str,
        call: &Call,
        clock: &mut Clock,
    ) -> Result<Reply, Ending> {
        let verify = Verify::for_call(call).filter(|_| call.reload);
        let mut tries = 1;
        loop {
            let sent_at = unix_ms();
            let request = self.request(call);
            let end = match self.once(caller, hash, request, clock).await {
                Ok(reply) if waits_for_readiness(call) && reply.success => {
                    return Ok(self.when_ready(caller, hash, clock, reply).await);
                }
                Ok(reply) => return Ok(reply),
                Err(end) => end,
            };
            let (Some(verify), Some(Why::LinkLost | Why::Silent)) = (&verify, end.why) else {
                return Err(end.ending);
            };
            if end.ending.outcome != Outcome::Unknown {
                return Err(end.ending);
            }
            let verify = verify.clone().sent_at(sent_at);
            match self.read_back(caller, hash, &verify, clock).await {
                Some((Verdict::Took, reply)) => return Ok(verified(call, &reply)),
                // The domain that had the command is gone, and a read shows no trace of it: it can no longer take effect.
                Some((Verdict::DidNotTake, _)) if tries < MAX_TRIES => tries += 1,
                _ => return Err(end.ending),
            }
        }
    }

    /// Waits for an editor that fits.
    async fn target(
        &self,
        caller: &Caller,
        selector: Option<&str>,
        clock: &mut Clock,
    ) -> Result<String, Ending> {
        let mut changes = self.hub.instances();
        let patience = clock.started + self.budget.hold.min(NO_EDITOR_YET);
        loop {
            let instances = changes.borrow_and_update().clone();
            let why = match target::choose(now(), &instances, selector) {
                Ok(hash) => return Ok(hash),
                Err(why @ NoTarget::Nobody) => why,
                // Somebody may name an editor that is just starting; with others there the list is the better answer.
                Err(why @ NoTarget::Unknown { .. }) if instances.is_empty() => why,
                Err(why) => return Err(diagnose::no_target(&why, None)),
            };
            let until = clock.answer_by.map_or(patience, |by| by.min(patience));
            tokio::select! {
                _ = changes.changed() => {}
                () = caller.gone() => return Err(given_up()),
                () = tokio::time::sleep_until(clock.next_progress.into()) => {
                    self.say(caller, clock, None, None).await;
                }
                () = tokio::time::sleep_until(until.into()) => {
                    return Err(diagnose::no_target(&why, (self.port)().as_ref()));
                }
            }
        }
    }

    fn request(&self, call: &Call) -> Request {
        Request {
            command: call.command.unwrap_or_default().to_owned(),
            params: call.params.clone(),
            timeout: call.timeout,
            replay: if call.replay_safe {
                Replay::Safe
            } else {
                Replay::Never
            },
            hold: self.budget.hold,
        }
    }

    async fn once(
        &self,
        caller: &Caller,
        hash: &str,
        request: Request,
        clock: &mut Clock,
    ) -> Result<Reply, End> {
        let command = request.command.clone();
        let mut call = self
            .hub
            .submit(hash, request, caller.owner.clone())
            .map_err(|why| self.refused(hash, &why))?;
        let id = call.id().to_owned();
        let stuck = loop {
            tokio::select! {
                biased;
                event = call.event() => match event {
                    // A client that hears of progress waits on; the other gets what is known.
                    Event::Stuck if caller.progress.is_some() => {}
                    Event::Stuck => break true,
                    event => return self.over(hash, &command, event).map_err(|end| end.operation(id)),
                },
                () = caller.gone() => {
                    let abandoned = call.abandon();
                    tracing::debug!(command, id, ?abandoned, "the client gave a call up");
                    return Err(End::of(given_up()).operation(id));
                }
                () = until(clock.answer_by) => break false,
                () = tokio::time::sleep_until(clock.next_progress.into()) => {
                    let standing = call.standing();
                    self.say(caller, clock, standing, self.editor(hash).as_ref()).await;
                }
            }
        };
        // The last word is the hub's: the call may have been taken, answered or lost in between.
        let standing = match (call.standing(), call.abandon()) {
            (_, Abandoned::Running(_)) => Some(hub::Standing::Running),
            (standing, Abandoned::Withdrawn) => standing.filter(|it| *it != hub::Standing::Running),
            (_, Abandoned::Over) => match call.event().now_or_never() {
                Some(event) => {
                    return self
                        .over(hash, &command, event)
                        .map_err(|end| end.operation(id));
                }
                None => None,
            },
        };
        let (editor, port) = (self.editor(hash), (self.port)());
        let ending = if stuck {
            diagnose::stuck(now(), &command, editor.as_ref())
        } else {
            let spent = clock
                .answer_by
                .map_or(Duration::ZERO, |by| by - clock.started);
            diagnose::budget_spent(
                now(),
                standing,
                spent,
                &command,
                editor.as_ref(),
                port.as_ref(),
            )
        };
        Err(End::of(ending).operation(id))
    }

    /// The call's last event.
    fn over(&self, hash: &str, command: &str, event: Event) -> Result<Reply, End> {
        let editor = self.editor(hash);
        match event {
            Event::Answered(envelope) => answered(&envelope).map_err(End::of),
            Event::Lost(lost) => Err(End {
                ending: diagnose::lost(
                    now(),
                    &lost,
                    command,
                    editor.as_ref(),
                    (self.port)().as_ref(),
                ),
                why: Some(lost.why),
            }),
            Event::Stuck => Err(End::of(diagnose::stuck(now(), command, editor.as_ref()))),
        }
    }

    /// Asks the editor, once it is back, whether the change is there.
    async fn read_back(
        &self,
        caller: &Caller,
        hash: &str,
        verify: &Verify,
        clock: &mut Clock,
    ) -> Option<(Verdict, Reply)> {
        let mut until = None;
        loop {
            let (command, params) = verify.question();
            let reply = self.ask(caller, hash, command, params, clock).await?;
            let verdict = verify.judge(&reply);
            if verdict != Verdict::CannotTell {
                return Some((verdict, reply));
            }
            // The time runs from the editor's return on.
            if now() >= *until.get_or_insert_with(|| now() + READ_BACK) {
                return None;
            }
            tokio::time::sleep(ASK_AGAIN).await;
        }
    }

    /// `refresh_unity` with `wait_for_ready`: the answer waits until the editor is quiet again.
    async fn when_ready(
        &self,
        caller: &Caller,
        hash: &str,
        clock: &mut Clock,
        mut reply: Reply,
    ) -> Reply {
        let until = now() + READ_BACK;
        while now() < until {
            // Shortly after its answer the editor may not have begun yet.
            tokio::time::sleep(ASK_AGAIN).await;
            let params = serde_json::json!({});
            let Some(state) = self
                .ask(caller, hash, "get_editor_state", params, clock)
                .await
            else {
                break;
            };
            if is_ready(&state) {
                return reply;
            }
        }
        let text = "The editor took the refresh, but is not ready yet.";
        reply.value["message"] = text.into();
        reply.message = Some(text.to_owned());
        reply
    }

    async fn ask(
        &self,
        caller: &Caller,
        hash: &str,
        command: &str,
        params: serde_json::Value,
        clock: &mut Clock,
    ) -> Option<Reply> {
        let request = Request {
            command: command.to_owned(),
            params,
            timeout: crate::catalogue::wire_timeout(command, &serde_json::Value::Null),
            replay: Replay::Safe,
            hold: self.budget.hold,
        };
        self.once(caller, hash, request, clock).await.ok()
    }

    fn editor(&self, hash: &str) -> Option<Instance> {
        self.hub
            .snapshot()
            .into_iter()
            .find(|instance| instance.hash == hash)
    }

    fn refused(&self, hash: &str, why: &Refused) -> End {
        let port = (self.port)();
        End::of(diagnose::refused(
            now(),
            why,
            self.editor(hash).as_ref(),
            port.as_ref(),
        ))
    }

    async fn say(
        &self,
        caller: &Caller,
        clock: &mut Clock,
        standing: Option<hub::Standing>,
        editor: Option<&Instance>,
    ) {
        let waited = now() - clock.started;
        clock.next_progress += PROGRESS_EVERY;
        if let Some(progress) = &caller.progress {
            let text = diagnose::progress(now(), waited, standing, editor, (self.port)().as_ref());
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

/// How one try ended without an answer.
struct End {
    ending: Ending,
    why: Option<Why>,
}

impl End {
    const fn of(ending: Ending) -> Self {
        Self { ending, why: None }
    }

    fn operation(mut self, id: String) -> Self {
        self.ending = self.ending.operation_id(id);
        self
    }
}

/// The editor's answer; an error if it is only the plugin's word that it stopped waiting for one.
fn answered(envelope: &serde_json::Value) -> Result<Reply, Ending> {
    let reply = normalise(envelope);
    if reply.timed_out {
        let error = reply.error.as_deref().unwrap_or_default();
        return Err(diagnose::plugin_timed_out(error));
    }
    Ok(reply)
}

/// The cause of a call that its client gave up.
const CANCELLED: &str = "cancelled";

fn given_up() -> Ending {
    Ending::new(
        Outcome::NotDelivered,
        CANCELLED,
        "The client gave the call up.",
    )
    .retryable(false)
}

fn waits_for_readiness(call: &Call) -> bool {
    call.command == Some("refresh_unity")
        && call.params["wait_for_ready"] != serde_json::Value::Bool(false)
}

fn is_ready(state: &Reply) -> bool {
    let flag = |pointer| {
        state
            .data
            .pointer(pointer)
            .and_then(serde_json::Value::as_bool)
    };
    state.success
        && flag("/compilation/is_compiling") != Some(true)
        && flag("/compilation/is_domain_reload_pending") != Some(true)
}

/// The answer of a change whose own answer was lost, and that a read found to be there.
fn verified(call: &Call, read: &Reply) -> Reply {
    let message = format!("{} took effect (verified after reload)", call.tool);
    let mut value =
        serde_json::json!({"success": true, "message": message, "verified_after_reload": true});
    if !read.data.is_null() && call.command == Some("manage_editor") {
        value["data"] = read.data.clone();
    }
    normalise(&value)
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
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
