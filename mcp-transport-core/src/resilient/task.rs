//! The shell of one link: it dials, reads, writes, waits and closes, and decides nothing.
#![expect(
    clippy::disallowed_methods,
    reason = "a shell: it has a timer, reads the clocks for the driver, and says goodbye in a task of its own"
)]

use super::CHANNEL;
use super::driver::Driver;
use crate::dial::{Dialer, State};
use crate::error::{Error, ErrorKind};
use crate::keepalive::SleepWatch;
use crate::message::Message;
use crate::transport::Connector;
use futures::channel::mpsc;
use futures::{FutureExt, Sink, SinkExt, Stream, StreamExt};
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::{oneshot, watch};
use tokio::time::{self, Sleep};

/// A message of the client, and how many messages it had read by then.
#[derive(Debug)]
pub(super) struct Outbound {
    pub(super) message: Message,
    pub(super) read: u64,
}

/// How the link is asked to close.
#[derive(Clone, Copy, Debug)]
pub(super) enum Close {
    /// Once all calls are answered, within this time at most.
    Within(Duration),
    /// The client let go of its end, and waits for nothing but that what it said is written.
    Dropped,
}

/// The task's ends of everything.
pub(super) struct Pipes {
    pub(super) from_client: mpsc::Receiver<Outbound>,
    pub(super) to_client: mpsc::Sender<Result<Message, Error>>,
    /// Somebody asked for the end.
    pub(super) close: watch::Receiver<Option<Close>>,
    /// Told once the link is closed.
    pub(super) done: oneshot::Sender<()>,
}

/// How long a link that nobody holds any more may take to write what is queued.
const DRAIN: Duration = Duration::from_secs(1);

/// How long a transport may take to say goodbye.
const GOODBYE: Duration = Duration::from_secs(1);

/// How often to look whether the machine slept, while something has a deadline.
const GLANCE: Duration = Duration::from_secs(1);

/// How long is waited for what the host said before a write failed: it may have arrived without the
/// runtime having heard of it yet. A host that goes on talking is ended by the number of its messages.
const LAST_WORDS: Duration = Duration::from_millis(20);

/// How many messages are moved from one source before the others have their turn.
const BATCH: usize = 32;

/// How many rounds over all sources before the runtime has its turn.
const ROUNDS: usize = 16;

/// Why the task stops serving.
enum End {
    /// There will be no further dial.
    Lost(Error),
    /// We were asked to.
    Asked(Close),
}

pub(super) async fn run<C: Connector>(driver: Driver, mut dialer: Dialer<C>, pipes: Pipes) {
    let Pipes {
        from_client,
        to_client,
        close,
        done,
    } = pipes;
    let mut link = Link::<C::Transport> {
        driver,
        from_client,
        to_client,
        transport: None,
        unflushed: false,
        last_words: None,
        timer: Box::pin(time::sleep(Duration::ZERO)),
        armed: None,
        watch: SleepWatch::new(now(), SystemTime::now()),
        dropped: false,
    };
    let end = tokio::select! {
        biased;
        close = asked(close) => End::Asked(close),
        end = link.serve(&mut dialer) => end,
    };
    let (cause, loss) = match &end {
        End::Lost(cause) => (cause.clone(), true),
        End::Asked(_) => (Error::new(ErrorKind::Closed), false),
    };
    if let End::Asked(_) = end {
        link.hear_out();
    }
    link.driver.refuse(Some(cause.clone()));
    let drained = match end {
        End::Lost(_) => Ok(()),
        End::Asked(Close::Dropped) => link.drain(DRAIN, false).await,
        End::Asked(Close::Within(within)) => link.drain(within, true).await,
    };
    if let Some(transport) = link.transport.take() {
        goodbye(transport).await;
    }
    // What was in flight ended with its connection, and that may have been before we closed it.
    link.driver
        .lost(now(), drained.as_ref().err().unwrap_or(&cause));
    link.driver.give_up(&cause);
    dialer.close(cause.clone());
    let _ = done.send(());
    link.tell_the_rest(loss.then_some(cause)).await;
}

/// Everything that the task holds.
struct Link<T> {
    driver: Driver,
    from_client: mpsc::Receiver<Outbound>,
    to_client: mpsc::Sender<Result<Message, Error>>,
    transport: Option<Pin<Box<T>>>,
    /// True if something was fed that was not flushed.
    unflushed: bool,
    /// Once a write has failed: nothing more is written.
    last_words: Option<LastWords>,
    timer: Pin<Box<Sleep>>,
    /// What the timer is set to.
    armed: Option<Instant>,
    watch: SleepWatch,
    /// True once the client let go of its end.
    dropped: bool,
}

/// What is still read of a connection that takes no more.
struct LastWords {
    /// Why it takes no more.
    cause: Error,
    /// How many messages, at most.
    left: usize,
    patience: Pin<Box<Sleep>>,
}

impl<T> Link<T>
where
    T: Stream<Item = Result<Message, Error>> + Sink<Message, Error = Error> + Send + 'static,
{
    /// One connection after the other.
    async fn serve<C: Connector<Transport = T>>(&mut self, dialer: &mut Dialer<C>) -> End {
        loop {
            if let Some(end) = self.dial(dialer).await {
                return end;
            }
            let cause = self.converse(dialer).await;
            // Also if the connection ended in that same turn: by a failed write or a timer, which is
            // found again when it is drained.
            if self.dropped {
                return End::Asked(Close::Dropped);
            }
            tracing::debug!(%cause, "the connection ended");
            if let Some(transport) = self.transport.take() {
                part(transport);
            }
            let now = self.read_clocks();
            self.driver.lost(now, &cause);
            dialer.ended(&cause);
        }
    }

    /// Until a connection is there; calls are taken meanwhile.
    async fn dial<C: Connector<Transport = T>>(&mut self, dialer: &mut Dialer<C>) -> Option<End> {
        let mut state = dialer.watch();
        self.follow(&state.borrow_and_update());
        let mut dial = pin!(dialer.connect());
        poll_fn(|cx| {
            let now = self.read_clocks();
            for _ in 0..ROUNDS {
                if let Poll::Ready(result) = dial.as_mut().poll(cx) {
                    return Poll::Ready(match result {
                        Ok(transport) => {
                            self.transport = Some(Box::pin(transport));
                            None
                        }
                        Err(cause) => Some(End::Lost(cause)),
                    });
                }
                // The dial loop publishes before it waits, in the poll above: no wake-up is missed.
                if state.has_changed().unwrap_or(false) {
                    self.follow(&state.borrow_and_update());
                }
                let client = self.poll_client(now, cx);
                // Without a connection no timeout can end one.
                let timer = self.poll_timer(now, cx).unwrap_or(false);
                if self.dropped {
                    return Poll::Ready(Some(End::Asked(Close::Dropped)));
                }
                if !client && !timer {
                    return Poll::Pending;
                }
            }
            cx.waker().wake_by_ref();
            Poll::Pending
        })
        .await
    }

    /// What the state of the dial loop means for those who call meanwhile.
    fn follow(&mut self, state: &State) {
        let refusal = match state {
            State::Standby { eviction } => Some(Error::evicted(eviction.clone())),
            State::Waiting {
                delay: None, cause, ..
            } => Some(cause.clone()),
            State::Waiting { cause, .. } => {
                self.driver.waiting(cause);
                None
            }
            _ => None,
        };
        if let Some(cause) = &refusal {
            self.driver.give_up(cause);
        }
        self.driver.refuse(refusal);
    }

    /// Until the connection ends, or the client is gone.
    async fn converse<C: Connector<Transport = T>>(&mut self, dialer: &mut Dialer<C>) -> Error {
        let now = self.read_clocks();
        self.driver.connected(now);
        self.unflushed = false;
        self.last_words = None;
        let mut established = false;
        poll_fn(|cx| {
            let now = self.read_clocks();
            for _ in 0..ROUNDS {
                let moved = match self.poll_turn(now, cx) {
                    Ok(moved) => moved,
                    Err(cause) => return Poll::Ready(cause),
                };
                if !established && self.last_words.is_none() && self.driver.is_open() {
                    established = true;
                    dialer.established();
                }
                if self.dropped {
                    return Poll::Ready(Error::new(ErrorKind::Closed));
                }
                if !moved {
                    return Poll::Pending;
                }
            }
            cx.waker().wake_by_ref();
            Poll::Pending
        })
        .await
    }

    /// Takes what the client said before the end was asked for, also from one that does not read:
    /// no more than the channel holds.
    fn hear_out(&mut self) {
        let now = self.read_clocks();
        for _ in 0..=CHANNEL {
            let Some(Some(said)) = self.from_client.next().now_or_never() else {
                break;
            };
            self.driver.client_said(now, said.message, said.read);
        }
    }

    /// Writes what is queued, and waits for what is in flight if `answers` says so; for so long at
    /// most.
    ///
    /// # Errors
    /// The connection ended before that.
    async fn drain(&mut self, within: Duration, answers: bool) -> Result<(), Error> {
        let drained = poll_fn(|cx| {
            let now = self.read_clocks();
            for _ in 0..ROUNDS {
                if self.transport.is_none() {
                    return Poll::Ready(Ok(()));
                }
                match self.poll_turn(now, cx) {
                    Ok(_) if self.is_written() && (!answers || self.driver.is_idle()) => {
                        return Poll::Ready(Ok(()));
                    }
                    Ok(true) => {}
                    Ok(false) => return Poll::Pending,
                    Err(cause) => {
                        self.transport = None;
                        return Poll::Ready(Err(cause));
                    }
                }
            }
            cx.waker().wake_by_ref();
            Poll::Pending
        });
        time::timeout(within, drained).await.unwrap_or_else(|_| {
            tracing::debug!("not everything was written before the link was closed");
            Ok(())
        })
    }

    /// The link is closed. The client may still read what it is owed, and whoever calls is
    /// answered.
    async fn tell_the_rest(&mut self, loss: Option<Error>) {
        self.from_client.close();
        poll_fn(|cx| {
            while self.poll_client(now(), cx) {}
            // A client on another thread may be about to put its last message in: it was let in
            // before the door was shut, and is awaited.
            if self.driver.has_answer() || !self.dropped {
                return Poll::Pending;
            }
            Poll::Ready(())
        })
        .await;
        if let Some(cause) = loss {
            let _ = self.to_client.send(Err(cause)).await;
        }
    }

    /// One turn over all sources: reads before it writes. True if anything moved.
    fn poll_turn(&mut self, now: Instant, cx: &mut Context<'_>) -> Result<bool, Error> {
        if self.last_words.is_some() {
            return self.poll_last_words(now, cx);
        }
        let heard = self.poll_read(now, cx)?;
        let client = self.poll_client(now, cx);
        let wrote = match self.poll_write(now, cx) {
            Ok(wrote) => wrote,
            Err(cause) => {
                self.last_words = Some(LastWords {
                    cause,
                    left: self.driver.last_words(),
                    patience: Box::pin(time::sleep(LAST_WORDS)),
                });
                return Ok(true);
            }
        };
        let timer = self.poll_timer(now, cx)?;
        Ok(heard || client || wrote || timer)
    }

    /// Reads what has arrived over a connection that takes no more, whether the client keeps up or
    /// not: later there is nobody to read it from. Ends as the reader does, which is how the host
    /// did: the failed write only noticed.
    fn poll_last_words(&mut self, now: Instant, cx: &mut Context<'_>) -> Result<bool, Error> {
        let (Some(transport), Some(last)) = (&mut self.transport, &mut self.last_words) else {
            return Ok(false);
        };
        while last.left > 0 {
            match transport.as_mut().poll_next(cx) {
                Poll::Ready(Some(message)) => self.driver.host_said(now, message?)?,
                Poll::Ready(None) => break,
                Poll::Pending if last.patience.poll_unpin(cx).is_pending() => return Ok(false),
                Poll::Pending => break,
            }
            last.left -= 1;
        }
        Err(last.cause.clone())
    }

    fn poll_read(&mut self, now: Instant, cx: &mut Context<'_>) -> Result<bool, Error> {
        let Some(transport) = &mut self.transport else {
            return Ok(false);
        };
        let mut moved = false;
        for _ in 0..BATCH {
            if !self.driver.hears_host() {
                break;
            }
            match transport.as_mut().poll_next(cx) {
                Poll::Ready(Some(message)) => self.driver.host_said(now, message?)?,
                Poll::Ready(None) => {
                    return Err(Error::new(ErrorKind::Disconnected)
                        .context("the host closed the connection"));
                }
                Poll::Pending => break,
            }
            moved = true;
        }
        Ok(moved)
    }

    /// Feeds while there is more, and flushes once. Room first, then take.
    fn poll_write(&mut self, now: Instant, cx: &mut Context<'_>) -> Result<bool, Error> {
        let Some(transport) = &mut self.transport else {
            return Ok(false);
        };
        let mut moved = false;
        while self.driver.has_next() {
            match transport.as_mut().poll_ready(cx) {
                Poll::Ready(ready) => ready?,
                Poll::Pending => break,
            }
            let Some(outgoing) = self.driver.next(now) else {
                break;
            };
            match transport.as_mut().start_send(outgoing.message()) {
                Ok(()) => {
                    self.driver.written(&outgoing);
                    self.unflushed = true;
                }
                Err(error) => self.driver.refused(now, &outgoing, error)?,
            }
            moved = true;
        }
        if self.unflushed {
            match transport.as_mut().poll_flush(cx) {
                Poll::Ready(flushed) => {
                    flushed?;
                    self.unflushed = false;
                }
                Poll::Pending => {}
            }
        }
        Ok(moved)
    }

    /// Answers go out first, which makes room for calls.
    fn poll_client(&mut self, now: Instant, cx: &mut Context<'_>) -> bool {
        let mut moved = false;
        while self.driver.has_answer() {
            match self.to_client.poll_ready(cx) {
                Poll::Ready(Ok(())) => {
                    if let Some(answer) = self.driver.pop_answer() {
                        let _ = self.to_client.start_send(Ok(answer));
                    }
                }
                // Nobody reads any more.
                Poll::Ready(Err(_)) => drop(self.driver.pop_answer()),
                Poll::Pending => break,
            }
            moved = true;
        }
        for _ in 0..BATCH {
            if self.dropped || !self.driver.hears_client() {
                break;
            }
            match self.from_client.poll_next_unpin(cx) {
                Poll::Ready(Some(Outbound { message, read })) => {
                    self.driver.client_said(now, message, read);
                }
                Poll::Ready(None) => self.dropped = true,
                Poll::Pending => break,
            }
            moved = true;
        }
        moved
    }

    /// Deadlines move back with every answer, and the last answer takes the last of them away: a
    /// timer that fires for nothing costs less than one that always moves.
    fn poll_timer(&mut self, now: Instant, cx: &mut Context<'_>) -> Result<bool, Error> {
        if let Some(due) = self.driver.poll_timeout() {
            if self.armed.is_none_or(|set| set > due) {
                let set = due.min(now + GLANCE);
                self.timer.as_mut().reset(set.into());
                self.armed = Some(set);
            }
        }
        let Some(set) = self.armed else {
            return Ok(false);
        };
        if self.timer.poll_unpin(cx).is_pending() {
            return Ok(false);
        }
        if set > now {
            // It fires late, never early, so time went on since `now` was read; by much, if this
            // process was frozen meanwhile, and that has to be told before any deadline is met. So
            // the clocks are read again: then it is due, or was late, and comes here no more. Until
            // then it stays ready, however often it is polled.
            cx.waker().wake_by_ref();
            return Ok(false);
        }
        self.armed = None;
        self.driver.handle_timeout(now)?;
        Ok(true)
    }

    /// Says what time it is, once for each time that the task is woken, and notices before anything
    /// else that the machine slept: what came over the night must not meet deadlines of the evening.
    fn read_clocks(&mut self) -> Instant {
        let now = now();
        let gap = self.watch.observe(now, SystemTime::now(), self.armed);
        if let Some(gap) = gap.filter(|gap| !gap.counted.is_zero()) {
            self.driver.slept(gap.counted);
            // This timer's lateness is told.
            self.armed = None;
        }
        now
    }

    /// True if the host has everything that is ready for it.
    fn is_written(&self) -> bool {
        self.driver.is_written() && !self.unflushed && self.last_words.is_none()
    }
}

async fn asked(mut close: watch::Receiver<Option<Close>>) -> Close {
    let asked = close
        .wait_for(Option::is_some)
        .await
        .ok()
        .and_then(|asked| *asked);
    match asked {
        Some(close) => close,
        // Every handle is gone: nobody can ask any more.
        None => std::future::pending().await,
    }
}

async fn goodbye<T: Sink<Message, Error = Error>>(mut transport: Pin<Box<T>>) {
    let _ = time::timeout(GOODBYE, transport.close()).await;
}

/// Says goodbye beside the next dial: we may be the one who gives up on it, and the peer is told. It
/// begins here, since that dial may be one that waits for what is being closed.
fn part<T>(transport: Pin<Box<T>>)
where
    T: Sink<Message, Error = Error> + Send + 'static,
{
    let mut goodbye = Box::pin(goodbye(transport));
    if goodbye.as_mut().now_or_never().is_none() {
        tokio::spawn(goodbye);
    }
}

/// By tokio's clock, which tests can pause.
fn now() -> Instant {
    time::Instant::now().into_std()
}

#[cfg(test)]
mod tests;
