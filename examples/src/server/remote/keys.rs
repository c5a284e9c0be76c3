//! Asks the key service whose a key is.
#![expect(
    clippy::disallowed_methods,
    reason = "a shell that bounds its waiting by a clock"
)]

use super::Denied;
use super::cache::{Cache, Print};
use super::verdict::{Verdict, judge};
use reqwest::header::{HeaderName, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Client, Url};
use sha2::{Digest, Sha256};
use std::error::Error;
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Mutex as Turns;

/// Where keys are validated, and how.
#[derive(Clone)]
#[non_exhaustive]
pub struct KeyService {
    /// It gets `POST {"api_key": …}`.
    pub url: Url,
    /// How long what it said for certain holds.
    pub ttl: Duration,
    /// By what it knows us: a header and its secret value.
    pub token: Option<(HeaderName, HeaderValue)>,
}

impl KeyService {
    /// A service that asks for no token of ours; what it says holds for 300 s.
    pub const fn new(url: Url) -> Self {
        Self {
            url,
            ttl: Duration::from_secs(300),
            token: None,
        }
    }

    /// Sets how long its word holds; zero asks it each time.
    #[must_use]
    pub const fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = ttl;
        self
    }

    /// Sets by what it knows us.
    #[must_use]
    pub fn token(mut self, name: HeaderName, mut value: HeaderValue) -> Self {
        value.set_sensitive(true);
        self.token = Some((name, value));
        self
    }
}

/// Whose a key is, from the service or from what it said of late.
pub struct Keys {
    service: KeyService,
    client: Client,
    cache: Mutex<Cache>,
    /// One question at a time in each, and the same key always in the same: whoever brings it meanwhile waits for that answer.
    lanes: [Turns<()>; LANES],
}

/// From the dial to the answer's last byte, for each of two attempts.
const TIMEOUT: Duration = Duration::from_secs(5);
const ATTEMPTS: u32 = 2;
const PAUSE: Duration = Duration::from_millis(100);

/// Questions at once; the others wait.
const LANES: usize = 64;

/// How long such a one waits for its turn.
const TURN: Duration = Duration::from_secs(10);

/// The service says a few words.
const MAX_ANSWER: usize = 64 * 1024;

impl Keys {
    /// Asks this service.
    ///
    /// # Errors
    /// If this machine's certificates cannot be read.
    pub fn new(service: KeyService) -> io::Result<Self> {
        crate::tls::choose_ring();
        let client = Client::builder()
            // A key goes to the address that was configured, and to no other.
            .redirect(Policy::none())
            .timeout(TIMEOUT)
            .build()
            .map_err(io::Error::other)?;
        let cache = Mutex::new(Cache::new(service.ttl));
        Ok(Self {
            service,
            client,
            cache,
            lanes: std::array::from_fn(|_| Turns::new(())),
        })
    }

    /// The user whose key this is.
    pub(super) async fn user(&self, key: &str) -> Result<Arc<str>, Denied> {
        let print: Print = Sha256::digest(key).into();
        if let Some(known) = self.known(&print) {
            return known;
        }
        let lane = &self.lanes[usize::from(print[0]) % LANES];
        let Ok(_turn) = tokio::time::timeout(TURN, lane.lock()).await else {
            tracing::warn!("too many keys wait to be validated");
            return Err(Denied::CannotTell);
        };
        // It may have been asked for while this one waited.
        if let Some(known) = self.known(&print) {
            return known;
        }
        let user = match self.ask(key).await {
            Verdict::Of(user) => Some(user),
            Verdict::Nobodys => None,
            Verdict::Broken(why) => {
                tracing::warn!(key = short(&print), "a key cannot be validated: {why}");
                return Err(Denied::CannotTell);
            }
        };
        self.lock().keep(now(), print, user.clone());
        if user.is_none() {
            tracing::info!(key = short(&print), "a key was refused");
        }
        user.ok_or(Denied::WrongKey)
    }

    fn known(&self, print: &Print) -> Option<Result<Arc<str>, Denied>> {
        let known = self.lock().get(now(), print)?;
        Some(known.ok_or(Denied::WrongKey))
    }

    /// What went wrong on the way is tried once more; what the service answered is not.
    async fn ask(&self, key: &str) -> Verdict {
        let mut attempt = 1;
        loop {
            match self.post(key).await {
                Ok((status, body)) => return judge(status, &body),
                Err(error) if attempt == ATTEMPTS => {
                    return Verdict::Broken(told(error));
                }
                Err(_) => {
                    attempt += 1;
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    async fn post(&self, key: &str) -> Result<(u16, Vec<u8>), reqwest::Error> {
        let mut request = self.client.post(self.service.url.clone());
        if let Some((name, value)) = &self.service.token {
            request = request.header(name, value);
        }
        let body = serde_json::json!({"api_key": key}).to_string();
        let json = request
            .header("content-type", "application/json")
            .body(body);
        let mut response = json.send().await?;
        let status = response.status().as_u16();
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            if body.len() + chunk.len() > MAX_ANSWER {
                // No such JSON is what it means.
                return Ok((status, Vec::new()));
            }
            body.extend_from_slice(&chunk);
        }
        Ok((status, body))
    }

    fn lock(&self) -> MutexGuard<'_, Cache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What went wrong, down to its cause, without the URL, which may hold a secret.
fn told(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

/// By which one key's lines in the log belong together; nobody can read a key from it.
fn short(print: &Print) -> String {
    print[..4]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

impl fmt::Debug for KeyService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyService")
            .field("host", &self.url.host_str())
            .field("ttl", &self.ttl)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys").finish_non_exhaustive()
    }
}
