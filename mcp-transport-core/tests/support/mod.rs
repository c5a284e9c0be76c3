//! A host in memory that tests take apart: every dial is noted, and yields what the script says.

use futures::{SinkExt, StreamExt};
use mcp_transport_core::memory::{self, End};
use mcp_transport_core::{Error, Id, Message};
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::future::Ready;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;

pub(crate) type Dial = Ready<Result<End, Error>>;

/// What the tests see of the dials.
pub(crate) struct Hosts {
    start: Instant,
    dials: Arc<Mutex<Vec<Instant>>>,
    script: Arc<Mutex<Script>>,
    ends: mpsc::UnboundedReceiver<End>,
}

#[derive(Default)]
struct Script {
    next: VecDeque<Option<Error>>,
    /// What follows the script; `None` is a connection.
    always: Option<Error>,
}

impl Hosts {
    /// Every dial succeeds, until the script says otherwise.
    pub(crate) fn new() -> (Self, impl FnMut() -> Dial + Send + use<>) {
        let (tx, ends) = mpsc::unbounded_channel();
        let hosts = Self {
            start: Instant::now(),
            dials: Arc::default(),
            script: Arc::default(),
            ends,
        };
        let (dials, script) = (hosts.dials.clone(), hosts.script.clone());
        let connector = move || {
            dials.lock().unwrap().push(Instant::now());
            let mut script = script.lock().unwrap();
            let failure = script
                .next
                .pop_front()
                .unwrap_or_else(|| script.always.clone());
            let tx = tx.clone();
            let result = match failure {
                Some(error) => Err(error),
                None => {
                    let (ours, theirs) = memory::pair(4);
                    let _ = tx.send(theirs);
                    Ok(ours)
                }
            };
            std::future::ready(result)
        };
        (hosts, connector)
    }

    /// The next dials fail like this.
    pub(crate) fn fail(&self, errors: impl IntoIterator<Item = Error>) {
        let mut script = self.script.lock().unwrap();
        script.next.extend(errors.into_iter().map(Some));
    }

    /// Every dial fails like this from now on; `None`: every dial succeeds.
    pub(crate) fn fail_always(&self, error: Option<Error>) {
        self.script.lock().unwrap().always = error;
    }

    /// The next connection, from the host's side.
    pub(crate) async fn accept(&mut self) -> Host {
        Host(self.ends.recv().await.expect("the connector is alive"))
    }

    pub(crate) fn dials(&self) -> usize {
        self.dials.lock().unwrap().len()
    }

    /// When each dial was, since the start.
    pub(crate) fn times(&self) -> Vec<Duration> {
        let dials = self.dials.lock().unwrap();
        dials.iter().map(|at| *at - self.start).collect()
    }
}

/// The host's side of one connection.
pub(crate) struct Host(pub(crate) End);

impl Host {
    pub(crate) async fn hear(&mut self) -> Value {
        let message = self.0.next().await.expect("the link is up").unwrap();
        message.json().unwrap()
    }

    /// Hears a request of this method, and returns its id.
    pub(crate) async fn hear_request(&mut self, method: &str) -> Value {
        let heard = self.hear().await;
        assert_eq!(heard["method"], method, "{heard}");
        heard["id"].clone()
    }

    pub(crate) async fn say(&mut self, value: Value) {
        self.0
            .send(Message::from_json(&value).unwrap())
            .await
            .unwrap();
    }

    pub(crate) async fn answer(&mut self, id: Value, result: Value) {
        self.say(json!({"jsonrpc": "2.0", "id": id, "result": result}))
            .await;
    }

    /// Nothing more is heard for a while.
    pub(crate) async fn hears_nothing(&mut self) {
        let heard = tokio::time::timeout(Duration::from_millis(50), self.0.next()).await;
        assert!(heard.is_err(), "{heard:?}");
    }
}

pub(crate) fn request(id: i64, method: &str) -> Message {
    Message::request(&Id::from(id), method, Some(json!({}))).unwrap()
}

pub(crate) fn notification(method: &str) -> Message {
    Message::notification(method, None::<()>).unwrap()
}
