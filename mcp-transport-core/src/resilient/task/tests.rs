//! Where a freeze falls between two lines of the task. No socket can time that.

use super::*;
use crate::delivery::Replay;
use crate::memory;
use crate::resilient::driver::Config;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Wake, Waker};

const HOLD: Duration = Duration::from_secs(120);
const NIGHT: Duration = Duration::from_secs(8 * 3600);

#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// A link that waits for a host, with one call in its queue.
struct Rig {
    link: Link<memory::End>,
    wakes: Arc<Wakes>,
    waker: Waker,
}

impl Rig {
    fn new() -> Self {
        let config = Config {
            buffer: 8,
            bytes: 1024,
            hold: HOLD,
            run: HOLD,
        };
        let mut driver = Driver::new(config, Box::new(|_| Replay::Never));
        let call = Message::request(&1.into(), "tools/list", None::<()>).unwrap();
        driver.client_said(now(), call, 0);
        let wakes = Arc::<Wakes>::default();
        let link = Link {
            driver,
            from_client: mpsc::channel(1).1,
            to_client: mpsc::channel(1).0,
            transport: None,
            unflushed: false,
            last_words: None,
            timer: Box::pin(time::sleep(Duration::ZERO)),
            armed: None,
            watch: SleepWatch::new(now(), SystemTime::now()),
            dropped: false,
        };
        let waker = wakes.clone().into();
        Self { link, wakes, waker }
    }

    /// One look at the timer by a clock that was read then.
    fn look(&mut self, then: Instant) -> bool {
        let mut cx = Context::from_waker(&self.waker);
        self.link.poll_timer(then, &mut cx).unwrap()
    }

    /// How often the task was woken since the last time somebody asked.
    fn woken(&self) -> usize {
        self.wakes.0.swap(0, Ordering::Relaxed)
    }
}

#[tokio::test(start_paused = true)]
async fn a_night_between_the_look_at_the_clocks_and_the_look_at_the_timer_costs_no_call_its_hold() {
    let mut rig = Rig::new();
    let evening = rig.link.read_clocks();
    assert!(!rig.look(evening), "nothing is due");
    time::advance(NIGHT).await;
    rig.woken();
    assert!(!rig.look(evening), "nothing is due in the evening");
    assert_eq!(rig.woken(), 1, "the clocks are read again");
    let morning = rig.link.read_clocks();
    rig.look(morning);
    assert!(!rig.link.driver.has_answer(), "the call is held");
    let ends = rig.link.driver.poll_timeout().unwrap();
    assert!(ends > morning + HOLD / 2, "and has its time");
}

#[tokio::test(start_paused = true)]
async fn a_timer_that_fires_after_the_clocks_were_read_wakes_the_task_once() {
    let mut rig = Rig::new();
    let early = rig.link.read_clocks();
    assert!(!rig.look(early), "nothing is due");
    time::advance(GLANCE).await;
    rig.woken();
    assert!(!rig.look(early), "by the time that was read it is not due");
    assert_eq!(rig.woken(), 1);
    let late = rig.link.read_clocks();
    assert!(rig.look(late), "it is still ready, and now it is due");
    assert!(!rig.look(late), "and set anew");
    assert_eq!(rig.woken(), 0, "nothing spins");
}
