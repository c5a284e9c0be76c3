//! Before a command goes out: waits until its editor is fit for it. What is sent when is decided in [`preflight`].
#![expect(clippy::disallowed_methods, reason = "a shell that waits by the clock")]

use super::attempt::{End, given_up};
use super::{Caller, Calls, Clock, diagnose, files, now, unix_ms};
use crate::catalogue::{Call, Reply, wire_timeout};
use crate::hub::{Instance, Lost, Phase, Request, Why};
use crate::logic::editor_state::Beside;
use crate::logic::preflight::{Connection, Gate, Memory, judge, wanted};
use crate::logic::readiness::{Busy, busy_with};
use futures::FutureExt;
use mcp_transport_core::delivery::Replay;
use mcp_transport_core::{Ending, Outcome};
use serde_json::{Value, json};
use std::sync::{MutexGuard, PoisonError};
use std::time::Duration;

/// How often an editor that is busy is asked.
const ASK_AGAIN: Duration = Duration::from_millis(250);

/// How long looking at a project's files may take.
const LOOK: Duration = Duration::from_secs(5);

impl Calls {
    /// Holds a call until its editor is fit for it. An answer, if it is to be refused.
    ///
    /// Whatever ends here was not delivered.
    pub(super) async fn fit(
        &self,
        caller: &Caller,
        hash: &str,
        call: &Call,
        clock: &mut Clock,
    ) -> Result<Option<Reply>, Ending> {
        let tests = call.command == Some("run_tests");
        if !wanted(call) || (!tests && self.is_quiet(hash)) {
            return Ok(None);
        }
        let mut refreshed = false;
        loop {
            let state = match self.state(caller, hash, clock).await {
                Ok(state) => state,
                Err(end) => return self.unread(caller, hash, end, clock).map(|()| None),
            };
            match judge(call, &state) {
                // What imports would end tests that run.
                Gate::Go
                    if !refreshed && !runs_tests(&state) && self.changed_by_others(hash).await =>
                {
                    refreshed = true;
                    self.import(caller, hash, call, clock).await?;
                }
                // Looking at the files may have taken its time.
                Gate::Go if self.stopping.is_cancelled() => {
                    return Err(diagnose::shutting_down(None));
                }
                Gate::Go => return Ok(None),
                Gate::Refuse(reply) => return Ok(Some(*reply)),
                Gate::Hold(busy) => self.hold(caller, hash, call, busy, clock).await?,
            }
        }
    }

    /// Asks the editor for its state, and remembers it.
    pub(super) async fn state(
        &self,
        caller: &Caller,
        hash: &str,
        clock: &mut Clock,
    ) -> Result<Reply, End> {
        let (asked, command) = (now(), "get_editor_state");
        let request = Request {
            command: command.to_owned(),
            params: json!({}),
            timeout: wire_timeout(command, &Value::Null),
            replay: Replay::Safe,
            hold: self.left(clock),
        };
        let reply = self.once(caller, hash, request, clock).await?;
        if let Some(editor) = self.editor(hash) {
            self.memory()
                .heard(asked, hash, connection(&editor), &reply);
        }
        Ok(reply)
    }

    /// A state that could not be read is no reason to refuse a call, unless nobody waits for that any more, or the editor is
    /// somebody else's now: to go on would end their call.
    fn unread(&self, caller: &Caller, hash: &str, end: End, clock: &Clock) -> Result<(), Ending> {
        let spent = self.left(clock).is_zero() || clock.answer_by.is_some_and(|by| now() >= by);
        match end.why {
            // The question never came to the editor, and so the call has not.
            _ if end.ending.outcome == Outcome::NotDelivered => Err(end.ending),
            _ if caller.gone().now_or_never().is_some() => Err(given_up()),
            _ if self.stopping.is_cancelled() => Err(diagnose::shutting_down(None)),
            Some(why @ (Why::SeatTaken | Why::Quit)) => {
                let (outcome, editor) = (Outcome::NotDelivered, self.editor(hash));
                let (lost, port) = (Lost { outcome, why }, (self.port)());
                let asked = "the question whether it is ready";
                Err(diagnose::lost(
                    now(),
                    &lost,
                    asked,
                    editor.as_ref(),
                    port.as_ref(),
                ))
            }
            _ if spent => Err(diagnose::never_ready(now() - clock.started)),
            _ => Ok(()),
        }
    }

    async fn hold(
        &self,
        caller: &Caller,
        hash: &str,
        call: &Call,
        busy: Busy,
        clock: &mut Clock,
    ) -> Result<(), Ending> {
        let ends = now() + self.left(clock);
        let ends = clock.answer_by.map_or(ends, |by| by.min(ends));
        let again = now() + ASK_AGAIN;
        if again >= ends {
            tokio::time::sleep_until(ends.into()).await;
            let (waited, editor) = (now() - clock.started, self.editor(hash));
            return Err(diagnose::held(busy, waited, call.tool, editor.as_ref()));
        }
        tokio::select! {
            () = caller.gone() => Err(given_up()),
            () = self.stopping.cancelled() => Err(diagnose::shutting_down(None)),
            () = tokio::time::sleep_until(again.into()) => {
                if now() >= clock.next_progress {
                    let text = diagnose::holding(busy, now() - clock.started);
                    self.tell(caller, clock, text).await;
                }
                Ok(())
            }
        }
    }

    /// How long the call may be held yet.
    pub(super) fn left(&self, clock: &Clock) -> Duration {
        self.budget.hold.saturating_sub(now() - clock.started)
    }

    /// Has the editor import what others have changed.
    async fn import(
        &self,
        caller: &Caller,
        hash: &str,
        call: &Call,
        clock: &mut Clock,
    ) -> Result<(), Ending> {
        let params = json!({"mode": "if_dirty", "scope": "all", "compile": "request", "wait_for_ready": true});
        let request = Request {
            command: "refresh_unity".to_owned(),
            timeout: wire_timeout("refresh_unity", &params),
            params,
            replay: Replay::Never,
            hold: self.left(clock),
        };
        self.memory().sent(now(), hash, call);
        let since = unix_ms();
        match self.once(caller, hash, request, clock).await {
            // Whether it took effect or not: the editor tells what it is busy with, and the files are looked at again.
            Ok(_) => self.imported(hash, since),
            Err(end) if end.ending.outcome != Outcome::NotDelivered => self.imported(hash, since),
            Err(end) => return self.unread(caller, hash, end, clock),
        }
        self.memory().sent(now(), hash, call);
        tokio::time::sleep(ASK_AGAIN).await;
        Ok(())
    }

    /// The editor imports what had changed until this time.
    pub(super) fn imported(&self, hash: &str, since: i64) {
        let mut memory = self.memory();
        let files = memory.files(now(), hash);
        files.wrote((since, unix_ms()));
        files.refreshed(unix_ms());
    }

    /// Looks at the project's files, if it is time to. While this server stops, nothing has changed.
    pub(super) async fn changed_by_others(&self, hash: &str) -> bool {
        if self.elsewhere {
            return false;
        }
        let root = self.editor(hash).and_then(|editor| editor.path);
        let due = self.memory().files(now(), hash).due(now());
        if let (Some(root), Some(ours)) = (root, due) {
            let look = tokio::task::spawn_blocking(move || files::newest(root.as_ref(), &ours));
            // A disk that does not answer must not hold a call, nor the end of this server.
            let looked = tokio::select! {
                looked = tokio::time::timeout(LOOK, look) => looked,
                () = self.stopping.cancelled() => return false,
            };
            if let Ok(Ok(newest)) = looked {
                self.memory().files(now(), hash).looked(unix_ms(), newest);
            }
        }
        self.memory().files(now(), hash).is_dirty()
    }

    /// What is shown beside an editor's own state.
    pub async fn beside(&self, editor: &Instance) -> Beside {
        self.changed_by_others(&editor.hash).await;
        Beside::of(
            editor.id(),
            self.memory().files(now(), &editor.hash).shown(),
        )
    }

    /// How many commands the editor takes in one batch, if it says so.
    ///
    /// # Errors
    /// The caller is gone, or the editor could not be asked in time.
    pub async fn batch_limit(
        &self,
        caller: &Caller,
        selector: Option<&str>,
    ) -> Result<Option<usize>, Ending> {
        let mut clock = self.clock(caller);
        let hash = self.target(caller, selector, &mut clock).await?;
        if let Some(known) = self.memory().batch(&hash) {
            return Ok(Some(known));
        }
        if let Err(end) = self.state(caller, &hash, &mut clock).await {
            self.unread(caller, &hash, end, &clock)?;
        }
        Ok(self.memory().batch(&hash))
    }

    fn is_quiet(&self, hash: &str) -> bool {
        let editor = self.editor(hash);
        let connected = editor.filter(|editor| editor.phase == Phase::Connected);
        connected.is_some_and(|editor| self.memory().is_quiet(now(), hash, &connection(&editor)))
    }

    /// A call goes out now; it ends at the same when the answer is dropped.
    pub(super) fn sent(&self, hash: &str, call: &Call, since: Option<i64>) {
        let mut memory = self.memory();
        memory.sent(now(), hash, call);
        if let Some(since) = since.filter(|_| !call.replay_safe) {
            memory.files(now(), hash).wrote((since, unix_ms()));
        }
    }

    pub(super) fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn connection(editor: &Instance) -> Connection {
    (editor.session_id.clone(), editor.returns)
}

fn runs_tests(state: &Reply) -> bool {
    busy_with(&state.data).is_some_and(|busy| busy.contains(&Busy::RunningTests))
}
