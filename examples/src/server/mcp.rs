//! MCP towards one client, on rmcp: one of these for each.
#![expect(
    deprecated,
    reason = "logging is deprecated since 2026-07-28, and a part of what came before"
)]

use super::answer;
use super::context::{progress, session_id};
use super::follow::{follow, offered};
use super::log;
use super::offer::{self, Choices};
use super::prepare::refused;
use super::relay::chose;
use super::sessions::Session;
use super::tasks::takes_tasks;
use crate::calls::{Caller, Calls};
use crate::catalogue::{Call, Catalogue, Tool};
use crate::logic::{self, Logic, Step};
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, CancelTaskParams, ErrorCode,
    GetTaskParams, GetTaskResult, Implementation, ListResourceTemplatesResult, ListResourcesResult,
    ListToolsResult, LoggingLevel, PaginatedRequestParams, ReadResourceRequestParams,
    ReadResourceResponse, ReadResourceResult, ResourceContents, ServerCapabilities, ServerConfig,
    SetLevelRequestParams, SubscriptionFilter, UpdateTaskParams,
};
use rmcp::service::{NotificationContext, RequestContext, SubscriptionContext};
use rmcp::{ErrorData, Peer, RoleServer, ServerHandler};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use std::fmt;
use tokio::sync::{Mutex, watch};

/// The server as one client sees it.
pub struct UnityMcp {
    pub(super) calls: Calls,
    /// The HTTP session's place, if the client comes by HTTP.
    session: Option<Session>,
    /// Who asks, where the link itself says so: a process on our standard input.
    owner: Option<String>,
    /// What the session has chosen. Whoever follows it ends with it.
    pub(super) choices: watch::Sender<Choices>,
    /// What its client was told of that last, to tell the next server; `None` for one that need not know.
    told: Option<Mutex<Choices>>,
    /// From which level on it wants a log; none unless it has said so.
    log: watch::Sender<Option<LoggingLevel>>,
}

const INSTRUCTIONS: &str = "Tools that work in a running Unity editor. Calls made while the editor reloads its scripts are held and answered when it is back; do not retry them. A failed call says in structuredContent.outcome what is known: not_delivered (safe to send again), running (ask get_operation later), unknown (look before you send it again). Changing scripts makes the editor compile and reload: call refresh_unity and read_console afterwards to see compile errors. With several editors open, name one by unity_instance (see mcpforunity://instances).";

impl UnityMcp {
    /// For a client that comes by HTTP.
    pub fn new(calls: Calls, session: Session) -> Self {
        Self {
            calls,
            session: Some(session),
            owner: None,
            choices: watch::Sender::default(),
            told: None,
            log: watch::Sender::default(),
        }
    }

    /// For a client that comes by the broker. `owner`: who it is, if it has a session.
    pub fn behind_broker(calls: Calls, owner: Option<String>) -> Self {
        Self {
            calls,
            session: None,
            owner,
            choices: watch::Sender::default(),
            told: None,
            log: watch::Sender::default(),
        }
    }

    /// For a client on a connection of its own, whose session may have chosen something with the server before us.
    pub fn on_link(calls: Calls, owner: Option<String>, choices: Choices) -> Self {
        let mcp = Self::behind_broker(calls, owner);
        mcp.choices.send_replace(choices);
        mcp
    }

    /// The client is one of us: it hears what its session chooses, and tells the server after us.
    #[must_use]
    pub(super) fn that_tells_choices(mut self) -> Self {
        self.told = Some(Mutex::new(self.choices.borrow().clone()));
        self
    }

    async fn call(
        &self,
        tool: &'static Tool,
        arguments: Map<String, Value>,
        context: &RequestContext<RoleServer>,
    ) -> CallToolResponse {
        let caller = self.caller(context);
        let tasks = takes_tasks(context);
        let call = match self.prepare(tool, arguments, &caller, tasks).await {
            Ok(call) => call,
            Err(ending) => return answer::ending(&ending).into(),
        };
        let selector = call.unity_instance.clone().or_else(|| self.active());
        if let Some(ending) = self.hidden(tool, selector.as_deref()) {
            return answer::ending(&ending).into();
        }
        let handler = tool.handler.as_deref();
        if handler == Some("execute_custom_tool") {
            return self.execute_custom_tool(&call, context).await;
        }
        if call.command.is_none() && !handler.is_some_and(logic::knows) {
            let answer = self.own(&call, context).await;
            // Before the answer: what a client was told holds, also if we go in this moment.
            self.tell_choices(&context.peer).await;
            return answer.into();
        }
        if let Some(task) = self.as_task(tool, &call, selector.as_deref(), context) {
            return task;
        }
        self.perform(tool, &call, &caller, selector).await.into()
    }

    /// One at a time: what was chosen last is told last.
    async fn tell_choices(&self, client: &Peer<RoleServer>) {
        let Some(told) = &self.told else { return };
        let mut told = told.lock().await;
        let chosen = self.choices.borrow().clone();
        if *told != chosen {
            chose(client, &chosen).await;
            *told = chosen;
        }
    }

    /// Makes a call of an editor.
    pub(super) async fn perform(
        &self,
        tool: &'static Tool,
        call: &Call,
        caller: &Caller,
        selector: Option<String>,
    ) -> CallToolResult {
        let handler = tool.handler.as_deref();
        match handler.and_then(|name| logic::start(name, call)) {
            Some(Ok(logic)) => return self.work(logic, caller, selector).await,
            Some(Err(bad)) => return answer::ending(&refused(&bad)),
            None => {}
        }
        match self.calls.run(caller, selector.as_deref(), call).await {
            Ok(reply) => answer::reply(tool, call, reply),
            Err(ending) => answer::ending(&ending),
        }
    }

    /// A call of several commands, all to the editor that got the first one.
    async fn work(
        &self,
        mut logic: Box<dyn Logic>,
        caller: &Caller,
        mut selector: Option<String>,
    ) -> CallToolResult {
        let mut answered = None;
        loop {
            match logic.step(answered.take().as_ref()) {
                Step::Ask(call) => {
                    let asked = self.calls.run_somewhere(caller, selector.as_deref(), &call);
                    match asked.await {
                        Ok((reply, editor)) => {
                            (answered, selector) = (Some(reply), Some(editor));
                        }
                        Err(ending) => return answer::ending(&logic.unanswered(ending)),
                    }
                }
                Step::Wait(pause) => {
                    self.calls.pause(caller, pause).await;
                }
                Step::Done(value) => return answer::value(value),
            }
        }
    }

    pub(super) fn caller(&self, context: &RequestContext<RoleServer>) -> Caller {
        // Without a session a call hangs on its connection, which rmcp watches.
        let session = self.session.as_ref().zip(session_id(context));
        let link = session.map(|(session, id)| session.token(&id));
        Caller::new(
            self.owner(context),
            context.ct.clone(),
            link,
            progress(context),
        )
    }

    /// The session that may ask for late results. Without sessions, knowing the operation's 128 random bits is enough.
    pub(super) fn owner(&self, context: &RequestContext<RoleServer>) -> Option<String> {
        self.owner.clone().or_else(|| session_id(context))
    }

    /// Where this session's calls go from now on, unless they say otherwise.
    pub(super) fn activate(&self, hash: String) {
        self.choices
            .send_modify(|choices| choices.active = Some(hash));
    }

    pub(super) fn active(&self) -> Option<String> {
        self.choices.borrow().active.clone()
    }

    /// Changes which groups this session has switched off.
    pub(super) fn switch(&self, change: impl FnOnce(&mut BTreeSet<String>)) {
        self.choices.send_modify(|choices| change(&mut choices.off));
    }
}

impl ServerHandler for UnityMcp {
    fn get_info(&self) -> ServerConfig {
        let capabilities = ServerCapabilities::builder()
            .enable_tools()
            .enable_tool_list_changed()
            .enable_resources()
            // There are none, and the list says so.
            .enable_prompts()
            .enable_logging()
            .enable_tasks()
            .build();
        let mut info = ServerConfig::new(capabilities);
        info.server_info = Implementation::new("mcp-transport-unity", env!("CARGO_PKG_VERSION"));
        info.instructions = Some(INSTRUCTIONS.to_owned());
        info
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        // From what is known: nobody is asked, and nobody waited for.
        let choices = self.choices.borrow().clone();
        let offer = offered(&self.calls, &self.calls.hub().snapshot(), &choices);
        Ok(ListToolsResult::with_all_items(offer.listed()))
    }

    async fn on_initialized(&self, context: NotificationContext<RoleServer>) {
        let (peer, choices) = (context.peer, self.choices.subscribe());
        let tell = async move || peer.notify_tool_list_changed().await.is_ok();
        spawn(follow(self.calls.clone(), choices, tell));
    }

    async fn set_level(
        &self,
        request: SetLevelRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        if self.log.send_replace(Some(request.level)).is_none() {
            let (peer, level) = (context.peer, self.log.subscribe());
            let tell = async move |message| peer.notify_logging_message(message).await.is_ok();
            spawn(log::report(self.calls.clone(), level, tell));
        }
        Ok(())
    }

    fn accepted_subscription_filter(&self, _: &SubscriptionFilter) -> Option<SubscriptionFilter> {
        // The other lists never change.
        Some(SubscriptionFilter::builder().tools_list_changed().build())
    }

    async fn listen(&self, subscription: SubscriptionContext) -> Result<(), ErrorData> {
        let (sink, choices) = (subscription.sink().clone(), self.choices.subscribe());
        let tell = async move || sink.notify_tool_list_changed().await.is_ok();
        tokio::select! {
            () = follow(self.calls.clone(), choices, tell) => {}
            () = subscription.cancelled() => {}
            () = self.calls.stopped() => {}
        }
        Ok(())
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let tool = Catalogue::builtin().tool(&request.name);
        let Some(tool) = tool.filter(|tool| offer::is_offered(tool)) else {
            let arguments = request.arguments.unwrap_or_default();
            if let Some(result) = self.custom(&request.name, arguments, &context).await {
                return Ok(result);
            }
            let text = format!("There is no tool {:?}. See tools/list.", request.name);
            return Err(ErrorData::invalid_params(text, None));
        };
        let arguments = request.arguments.unwrap_or_default();
        Ok(self.call(tool, arguments, &context).await)
    }

    async fn get_task(
        &self,
        request: GetTaskParams,
        context: RequestContext<RoleServer>,
    ) -> Result<GetTaskResult, ErrorData> {
        self.look_at_task(&request.task_id, &context)
    }

    async fn update_task(
        &self,
        request: UpdateTaskParams,
        context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        // No task asks its client for anything, and answers to what was not asked are to be ignored.
        self.look_at_task(&request.task_id, &context).map(drop)
    }

    async fn cancel_task(
        &self,
        request: CancelTaskParams,
        context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        self.give_up_task(&request, &context)
    }

    async fn list_resources(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        Ok(ListResourcesResult::with_all_items(offer::resources()))
    }

    async fn list_resource_templates(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        Ok(ListResourceTemplatesResult::with_all_items(
            offer::resource_templates(),
        ))
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        let found = Catalogue::builtin().resource(&request.uri);
        let read = match found {
            Some(Err(problem)) => {
                let data = json!({"uri": request.uri});
                return Err(ErrorData::invalid_params(problem.to_string(), Some(data)));
            }
            Some(Ok(read)) if offer::is_readable(read.resource) => Some(read),
            _ => None,
        };
        let Some(read) = read else {
            let text = format!(
                "There is no resource {:?}. See resources/list.",
                request.uri
            );
            return Err(ErrorData::resource_not_found(
                text,
                Some(json!({"uri": request.uri})),
            ));
        };
        match self.read(read, &context).await {
            Ok(value) => {
                let mut contents = ResourceContents::text(value.to_string(), &*request.uri);
                if let ResourceContents::TextResourceContents { mime_type, .. } = &mut contents {
                    *mime_type = Some(offer::JSON.to_owned());
                }
                Ok(ReadResourceResult::new(vec![contents]).into())
            }
            Err(ending) => {
                let data =
                    serde_json::to_value(&ending).expect("an ending is text, flags and numbers");
                let code = ErrorCode(NO_ANSWER);
                Err(ErrorData::new(code, ending.message, Some(data)))
            }
        }
    }
}

/// The code of a resource that no editor could be asked for: the family's `TimedOut`. Its data say more.
const NO_ANSWER: i32 = -31003;

/// Follows what a session is offered; it ends with the session's choices.
#[expect(clippy::disallowed_methods, reason = "the shell towards rmcp")]
fn spawn(follower: impl Future<Output = ()> + Send + 'static) {
    drop(tokio::spawn(follower));
}

impl fmt::Debug for UnityMcp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UnityMcp")
            .field("active", &self.active())
            .finish_non_exhaustive()
    }
}
