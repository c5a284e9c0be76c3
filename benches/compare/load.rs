//! Who calls: so many clients, each with one call on its way, from a thread of their own.

use benches::http::Connection;
use benches::runtime;
use benches::session::Session;
use serde_json::Value;
use std::io;
use std::time::{Duration, Instant};

/// What came of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    /// All calls, those before the time that counts among them.
    pub(crate) all: f64,
    pub(crate) per_second: f64,
    pub(crate) p50: Duration,
    pub(crate) p99: Duration,
}

/// Whoever makes the same call over and over.
trait Client {
    async fn again(&mut self) -> io::Result<()>;
}

/// Clients of an MCP server, each with a session of its own, that call a tool. Sessions are set up before and ended after.
pub(crate) fn tools(port: u16, clients: usize, time: Duration, params: &Value) -> io::Result<Load> {
    runtime().block_on(async {
        let mut sessions = Vec::new();
        for _ in 0..clients {
            let mut session = Session::open(port).await?;
            // The first answer is read in full; the others are only looked through.
            session.ask("tools/call", params).await?;
            session.prepare("tools/call", params);
            sessions.push(session);
        }
        let load = drive(&mut sessions, time).await?;
        for session in sessions {
            session.close().await?;
        }
        Ok(load)
    })
}

/// Connections that send the same request.
pub(crate) fn requests(
    port: u16,
    connections: usize,
    time: Duration,
    request: &str,
) -> io::Result<Load> {
    runtime().block_on(async {
        let mut clients = Vec::new();
        for _ in 0..connections {
            clients.push(Plain {
                connection: Connection::open(port).await?,
                request,
            });
        }
        drive(&mut clients, time).await
    })
}

/// A fifth of the time to get going, and then it counts.
async fn drive(clients: &mut [impl Client], time: Duration) -> io::Result<Load> {
    let from = Instant::now() + time / 5;
    let until = from + time;
    let turns = clients.iter_mut().map(|client| turns(client, from, until));
    let took = futures::future::try_join_all(turns).await?;
    let all: usize = took.iter().map(|(all, _)| all).sum();
    let mut took: Vec<Duration> = took.into_iter().flat_map(|(_, took)| took).collect();
    took.sort_unstable();
    if took.is_empty() {
        return Err(io::Error::other(format!("no call was over in {time:?}")));
    }
    Ok(Load {
        all: all as f64,
        per_second: took.len() as f64 / time.as_secs_f64(),
        p50: took[took.len() / 2],
        p99: took[took.len() * 99 / 100],
    })
}

/// How many calls there were, and how long each took that ended within the time that counts.
async fn turns(
    client: &mut impl Client,
    from: Instant,
    until: Instant,
) -> io::Result<(usize, Vec<Duration>)> {
    let (mut all, mut took) = (0, Vec::new());
    let mut began = Instant::now();
    while began < until {
        client.again().await?;
        all += 1;
        let now = Instant::now();
        if now >= from && now < until {
            took.push(now - began);
        }
        began = now;
    }
    Ok((all, took))
}

impl Client for Session {
    async fn again(&mut self) -> io::Result<()> {
        Self::again(self).await
    }
}

struct Plain<'a> {
    connection: Connection,
    request: &'a str,
}

impl Client for Plain<'_> {
    async fn again(&mut self) -> io::Result<()> {
        let answer = self.connection.exchange(self.request.as_bytes()).await?;
        if answer.status == 200 && answer.contains("\"result\"") {
            return Ok(());
        }
        let text = format!(
            "a request was answered by {}: {}",
            answer.status,
            answer.text()
        );
        Err(io::Error::other(text))
    }
}
