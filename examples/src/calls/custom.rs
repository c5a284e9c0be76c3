//! Calls of tools that a project defines itself, and the question which those are.
#![expect(
    clippy::disallowed_methods,
    reason = "a shell that waits by the clock, and whose work outlives its call"
)]

use super::attempt::{CANCELLED, given_up_at_work, until};
use super::polling::{self, Asking, Next};
use super::{Caller, Calls, Clock, diagnose, now};
use crate::catalogue::custom::CustomCall;
use crate::catalogue::{Call, Reply, Toolset};
use crate::hub::{Instance, Phase, Request, Standing, operation_id};
use crate::logic::never_sent;
use mcp_transport_core::delivery::Replay;
use mcp_transport_core::{Ending, Outcome};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{oneshot, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::task_tracker::TaskTrackerToken;

/// Tools at work at once, at most, whose result is asked for.
const MAX_POLLS: usize = 256;

/// The cause of a question that the plugin does not know.
pub(crate) const UNSUPPORTED: &str = "unsupported";

impl Calls {
    /// Calls a tool of a project's own. It is sent once. If it is one whose work goes on behind its answer, that is asked for
    /// until it is done: beyond the client's patience, too, and then kept for [`operation`](Self::operation).
    ///
    /// # Errors
    /// The bad ending, in the one shape that clients see.
    ///
    /// # Cancel safety
    /// Dropping the future gives the call up: what is queued is withdrawn, and what is at work is not asked for any more.
    pub async fn run_custom(
        &self,
        caller: &Caller,
        hash: &str,
        call: &CustomCall,
    ) -> Result<Reply, Ending> {
        let _under_way = self.under_way.token();
        if self.stopping.is_cancelled() {
            return Err(diagnose::shutting_down(None));
        }
        let mut clock = self.clock(caller);
        let ended = self.begin(caller, hash, call, &mut clock).await;
        if let Err(ending) = &ended {
            self.keep(caller, ending);
        }
        ended
    }

    /// The editor that a selector means, for a call of a tool of its project's own. It is waited for as by [`run`](Self::run), and
    /// asked if it has not said yet what it offers.
    ///
    /// # Errors
    /// The bad ending; `unsupported` if the plugin does not know the question.
    ///
    /// # Cancel safety
    /// Dropping the future gives the question up.
    pub async fn told(&self, caller: &Caller, selector: Option<&str>) -> Result<Instance, Ending> {
        let _under_way = self.under_way.token();
        if self.stopping.is_cancelled() {
            return Err(diagnose::shutting_down(None));
        }
        let mut clock = self.clock(caller);
        let hash = self.target(caller, selector, &mut clock).await?;
        match self.editor(&hash).filter(|editor| editor.tools.is_some()) {
            Some(editor) => Ok(editor),
            None => {
                let told = self.sync_tools(caller, Some(&hash)).await;
                Ok(told.map_err(never_sent)?.0)
            }
        }
    }

    /// Whether it is certain that no project has a tool of this name: there are editors, nobody else is expected, and each has
    /// said what it offers, or has quit. What one that reloads now will bring is not known.
    pub fn is_nobodys(&self, tool: &str) -> bool {
        let editors = self.hub.snapshot();
        let lacks = |one: &Instance| match &one.tools {
            Some(tools) => tools.custom_tool(tool).is_none(),
            None => matches!(one.phase, Phase::Quit { .. }),
        };
        !editors.is_empty() && editors.iter().all(lacks) && self.missing(&editors).is_none()
    }

    /// Asks an editor what it offers, and has the hub know it: the editor as it is known then, and how many tools it named,
    /// those that are switched off included.
    ///
    /// # Errors
    /// The bad ending; `unsupported` if the plugin does not know the question.
    ///
    /// # Cancel safety
    /// Dropping the future gives the question up.
    pub async fn sync_tools(
        &self,
        caller: &Caller,
        selector: Option<&str>,
    ) -> Result<(Instance, usize), Ending> {
        let editor = self.choose(selector);
        let editor = editor.map_err(|why| diagnose::no_target(&why, (self.port)().as_ref()))?;
        let question = Call::read("get_tool_states", json!({}));
        let reply = self.run(caller, Some(&editor.hash), &question).await?;
        let Some(named) = states(&reply) else {
            let said = reply.error.or(reply.message).unwrap_or_default();
            let text = format!(
                "{} does not say which tools it has switched on ({said}). Its plugin may be older than that question: update the MCP for Unity package.",
                editor.id()
            );
            let ending = Ending::new(Outcome::NotDelivered, UNSUPPORTED, text);
            return Err(ending.retryable(false));
        };
        let tools = Toolset::read(named.iter().map(Value::to_string));
        let tools = tools.or_custom_of(editor.tools.as_deref());
        self.hub.set_tools(&editor.hash, tools);
        let editor = self.editor(&editor.hash).unwrap_or(editor);
        Ok((editor, named.len()))
    }

    async fn begin(
        &self,
        caller: &Caller,
        hash: &str,
        call: &CustomCall,
        clock: &mut Clock,
    ) -> Result<Reply, Ending> {
        // Rather begins nothing than loses sight of it.
        let place = match &call.polling {
            Some(_) => Some(Polls::begin(&self.polls, caller)?),
            None => None,
        };
        let request = Request {
            command: call.command.clone(),
            params: call.params.clone().into(),
            timeout: call.timeout,
            replay: Replay::Never,
            hold: self.budget.hold,
        };
        // It may do anything, so whoever calls next has to ask how the editor is.
        self.memory().stirred(now(), hash);
        let begun = self.once(caller, hash, request, clock).await;
        self.memory().stirred(now(), hash);
        let begun = begun.map_err(|end| end.ending)?;
        match (place, &call.polling) {
            (Some(place), Some(polling)) if begun.pending.is_some() => {
                let asking = Asking::new(now(), polling.within);
                self.wait(caller, hash, call, asking, begun, place, clock)
                    .await
            }
            _ => Ok(begun),
        }
    }

    /// Waits for the work to be done, for as long as the client may.
    #[expect(clippy::too_many_arguments, reason = "a call, and where it stands")]
    async fn wait(
        &self,
        caller: &Caller,
        hash: &str,
        call: &CustomCall,
        asking: Asking,
        begun: Reply,
        place: Place,
        clock: &mut Clock,
    ) -> Result<Reply, Ending> {
        let (command, id) = (call.command.clone(), place.id.clone());
        let (said, news) = watch::channel(begun.message.clone());
        let (done, mut outcome) = oneshot::channel::<Ended>();
        let given_up_by_client = CancellationToken::new();
        let work = Work {
            calls: self.clone(),
            // The request is over once it is answered, and so is its token.
            caller: Caller::new(
                caller.owner.clone(),
                given_up_by_client.clone(),
                caller.link.clone(),
                None,
            ),
            hash: hash.to_owned(),
            call: call.clone(),
            place,
            said,
            _under_way: self.under_way.token(),
        };
        tokio::spawn(work.follow(asking, begun, done));
        let guard = given_up_by_client.drop_guard();
        loop {
            tokio::select! {
                biased;
                ended = &mut outcome => {
                    let lost = |_| Err(diagnose::ran_out_of_sight());
                    return ended.unwrap_or_else(lost).map_err(|ending| ending.operation_id(id));
                }
                // A task whose work has begun goes on, as every command that an editor has.
                () = caller.gone(), if caller.operation.is_none() => return Err(given_up_at_work()),
                () = self.stopping.cancelled() => {
                    let ended = last_word(outcome, || diagnose::shutting_down(Some(Standing::Running)));
                    return ended.map_err(|ending| ending.operation_id(id));
                }
                () = until(clock.answer_by) => {
                    guard.disarm();
                    let ended = last_word(outcome, || polling::still_at_work(&command, now() - clock.started));
                    return ended.map_err(|ending| ending.operation_id(id));
                }
                () = tokio::time::sleep_until(clock.next_progress.into()) => {
                    let editor = self.editor(hash);
                    let away = editor.as_ref().is_some_and(|one| one.phase != Phase::Connected);
                    if away {
                        self.say(caller, clock, Some(Standing::Away), editor.as_ref()).await;
                    } else {
                        let said = news.borrow().clone();
                        let waited = now() - clock.started;
                        let text = polling::progress(&command, editor.as_ref(), said.as_deref(), waited);
                        self.tell(caller, clock, text).await;
                    }
                }
            }
        }
    }
}

/// What came of such work.
type Ended = Result<Reply, Ending>;

/// What came in the very moment in which its client is answered, or else this. What comes from now on is kept by whoever asks.
fn last_word(mut outcome: oneshot::Receiver<Ended>, or: impl FnOnce() -> Ending) -> Ended {
    outcome.close();
    outcome.try_recv().unwrap_or_else(|_| Err(or()))
}

/// Work that goes on in an editor, and is asked for.
struct Work {
    calls: Calls,
    caller: Caller,
    hash: String,
    call: CustomCall,
    place: Place,
    said: watch::Sender<Option<String>>,
    /// Its client may be answered before it is done.
    _under_way: TaskTrackerToken,
}

impl Work {
    /// Asks until it is done. If nobody waits any more, what came of it is kept.
    async fn follow(self, asking: Asking, begun: Reply, done: oneshot::Sender<Ended>) {
        let ended = self.ask(asking, begun).await;
        let Err(ended) = done.send(ended) else {
            return;
        };
        let (calls, id) = (&self.calls, self.place.id.clone());
        match ended {
            Ok(reply) => calls
                .hub
                .keep_result(id, self.caller.owner.clone(), reply.value),
            Err(ending) => calls.keep(&self.caller, &ending.operation_id(id)),
        }
        // Its place is given up only now: whoever asks in between is told one or the other.
    }

    async fn ask(&self, mut asking: Asking, begun: Reply) -> Result<Reply, Ending> {
        let command = &self.call.command;
        let params = self.call.poll_params().unwrap_or_default();
        let mut clock = Clock {
            started: now(),
            answer_by: None,
            next_progress: now() + Duration::from_secs(3_600),
        };
        let mut next = asking.answered(now(), command, begun);
        loop {
            let pause = match next {
                Next::Done(reply) => return Ok(reply),
                Next::Over(ending) => return Err(ending),
                Next::Ask(pause) => pause,
            };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.caller.gone() => return Err(given_up_at_work()),
                () = self.calls.stopping.cancelled() => {
                    return Err(diagnose::shutting_down(Some(Standing::Running)));
                }
            }
            let request = Request {
                command: command.clone(),
                params: params.clone(),
                timeout: self.call.timeout,
                replay: Replay::Safe,
                hold: asking.left(now()).min(self.calls.budget.hold),
            };
            let answer = self
                .calls
                .once(&self.caller, &self.hash, request, &mut clock)
                .await;
            next = match answer {
                Ok(reply) => {
                    self.said.send_replace(reply.message.clone());
                    asking.answered(now(), command, reply)
                }
                Err(end) if end.ending.cause == CANCELLED => return Err(given_up_at_work()),
                Err(_) if self.calls.stopping.is_cancelled() => {
                    return Err(diagnose::shutting_down(Some(Standing::Running)));
                }
                Err(end) => asking.failed(now(), command, &end.ending),
            };
        }
    }
}

/// The work that is asked for, by its operation's id, and whose it is.
#[derive(Debug, Default)]
pub(super) struct Polls {
    running: Mutex<HashMap<String, Option<String>>>,
}

/// One of them; gone when dropped.
struct Place {
    id: String,
    polls: Arc<Polls>,
}

impl Polls {
    fn begin(this: &Arc<Self>, caller: &Caller) -> Result<Place, Ending> {
        let mut running = this.lock();
        if running.len() >= MAX_POLLS {
            return Err(polling::too_many(MAX_POLLS));
        }
        let id = caller.operation.clone().unwrap_or_else(operation_id);
        running.insert(id.clone(), caller.owner.clone());
        Ok(Place {
            id,
            polls: this.clone(),
        })
    }

    pub(super) fn is_running(&self, id: &str, owner: Option<&str>) -> bool {
        let running = self.lock();
        running.get(id).is_some_and(|it| it.as_deref() == owner)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Option<String>>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.polls.lock().remove(&self.id);
    }
}

/// The tools that an answer to `get_tool_states` names.
fn states(reply: &Reply) -> Option<&Vec<Value>> {
    let lists = [&reply.data["tools"], &reply.data, &reply.value["tools"]];
    let named = lists.into_iter().find_map(Value::as_array)?;
    (reply.success && !named.is_empty()).then_some(named)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::envelope::normalise;

    #[test]
    fn a_result_that_comes_as_its_client_is_answered_is_the_answer_and_a_later_one_is_kept() {
        let at_work = || polling::still_at_work("bake", Duration::ZERO);
        let done = || Ok(normalise(&json!({"success": true})));
        // It was sent, and will be sent to nobody else.
        let (sender, outcome) = oneshot::channel();
        assert!(sender.send(done()).is_ok());
        assert!(last_word(outcome, at_work).is_ok_and(|reply| reply.success));
        // It was not, and whoever has it is told that nobody takes it any more.
        let (sender, outcome) = oneshot::channel();
        let ending = last_word(outcome, at_work).unwrap_err();
        assert_eq!(ending.cause, "client_budget");
        assert!(sender.send(done()).is_err());
    }
}
