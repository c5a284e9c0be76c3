//! One try: from the submit to the answer, or to what is known without one.
#![expect(clippy::disallowed_methods, reason = "a shell that waits by the clock")]

use super::{Caller, Calls, Clock, diagnose, now};
use crate::catalogue::envelope::{Reply, gave_up, normalise};
use crate::hub::{self, Event, Refused, Request, Why, operation_id};
use futures::FutureExt;
use mcp_transport_core::delivery::Abandoned;
use mcp_transport_core::{Ending, Outcome};
use serde_json::Value;
use std::time::{Duration, Instant};

impl Calls {
    /// Sends a command, and reads its answer.
    pub(super) async fn once(
        &self,
        caller: &Caller,
        hash: &str,
        request: Request,
        clock: &mut Clock,
    ) -> Result<Reply, End> {
        let envelope = self.envelope(caller, hash, request, clock).await?;
        Ok(normalise(&envelope))
    }

    /// Sends a command, and waits for its end: the editor's, the client's, or that of the client's patience.
    pub(super) async fn envelope(
        &self,
        caller: &Caller,
        hash: &str,
        request: Request,
        clock: &mut Clock,
    ) -> Result<Value, End> {
        let command = request.command.clone();
        if caller.is_gone() {
            return Err(End::of(given_up()));
        }
        let id = caller.operation.clone().unwrap_or_else(operation_id);
        let owner = caller.owner.clone();
        let mut call = self
            .hub
            .submit_as(id.clone(), hash, request, owner)
            .map_err(|why| self.refused(hash, &why))?;
        let is_task = caller.operation.is_some();
        let (mut finishing, mut committed) = (false, false);
        let end = loop {
            tokio::select! {
                biased;
                event = call.event() => match event {
                    // A task has a client that comes and looks, and a limit of its own.
                    Event::Stuck if is_task => {}
                    // Also for a client that hears of progress: an editor may never get out of this.
                    Event::Stuck => break Patience::Plugins,
                    event => return self.over(hash, &command, event).map_err(|end| end.operation(id)),
                },
                () = caller.gone(), if is_task && !committed => {
                    if call.withdraw() {
                        return Err(End::of(given_up()).operation(id));
                    }
                    // The wire has no cancel: what the editor has goes on, and its result is kept.
                    committed = true;
                }
                () = caller.gone(), if !is_task => {
                    let abandoned = call.abandon();
                    tracing::debug!(command, id, ?abandoned, "the client gave a call up");
                    let ending = match abandoned {
                        Abandoned::Withdrawn => given_up(),
                        Abandoned::Running(_) | Abandoned::Over => given_up_at_work(),
                    };
                    return Err(End::of(ending).operation(id));
                }
                () = self.stopping.cancelled(), if !finishing => {
                    // What an editor works on is about to be done.
                    if call.standing() != Some(hub::Standing::Running) {
                        break Patience::Servers;
                    }
                    finishing = true;
                }
                () = self.cut.cancelled() => break Patience::Servers,
                () = until(clock.answer_by) => break Patience::Clients,
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
        let ending = match end {
            Patience::Plugins => diagnose::stuck(now(), &command, editor.as_ref()),
            Patience::Servers => diagnose::shutting_down(standing),
            Patience::Clients => {
                let spent = clock
                    .answer_by
                    .map_or(Duration::ZERO, |by| by - clock.started);
                let (editor, port) = (editor.as_ref(), port.as_ref());
                diagnose::budget_spent(now(), standing, spent, &command, editor, port)
            }
        };
        Err(End::of(ending).operation(id))
    }

    /// The call's last event.
    fn over(&self, hash: &str, command: &str, event: Event) -> Result<Value, End> {
        let editor = || self.editor(hash);
        match event {
            Event::Answered(envelope) => {
                in_time(&envelope).map_err(End::of)?;
                Ok(envelope)
            }
            Event::Lost(lost) => Err(End {
                ending: diagnose::lost(
                    now(),
                    &lost,
                    command,
                    editor().as_ref(),
                    (self.port)().as_ref(),
                ),
                why: Some(lost.why),
            }),
            Event::Stuck => Err(End::of(diagnose::stuck(now(), command, editor().as_ref()))),
        }
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
}

/// Whose patience ended while the editor had not answered.
enum Patience {
    /// The command's own time-out passed.
    Plugins,
    /// The client may be about to give up.
    Clients,
    /// This server goes down.
    Servers,
}

/// How one try ended without an answer.
pub(super) struct End {
    pub(super) ending: Ending,
    pub(super) why: Option<Why>,
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
pub(super) fn answered(envelope: &Value) -> Result<Reply, Ending> {
    in_time(envelope)?;
    Ok(normalise(envelope))
}

fn in_time(envelope: &Value) -> Result<(), Ending> {
    if gave_up(envelope) {
        let error = envelope.get("error").and_then(Value::as_str);
        return Err(diagnose::plugin_timed_out(error.unwrap_or_default()));
    }
    Ok(())
}

/// The cause of a call that its client gave up.
pub(super) const CANCELLED: &str = "cancelled";

/// Nothing of it has reached an editor.
pub(super) fn given_up() -> Ending {
    Ending::new(
        Outcome::NotDelivered,
        CANCELLED,
        "The client gave the call up.",
    )
    .retryable(false)
}

/// An editor has it, and the wire has no cancel.
pub(super) fn given_up_at_work() -> Ending {
    Ending::new(
        Outcome::Running,
        CANCELLED,
        "The client gave the call up while the editor had it. The editor goes on with it.",
    )
    .retryable(false)
}

pub(super) async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}
