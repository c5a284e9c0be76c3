#![allow(clippy::disallowed_methods, missing_docs, reason = "tests")]

use std::time::{Duration, Instant, SystemTime};

use mcp_transport_core::keepalive::{KeepAlive, KeepAliveConfig, SleepWatch, Verdict};
use proptest::prelude::*;

const NIGHT: Duration = Duration::from_secs(8 * 3600);
const INTERVAL: Duration = Duration::from_secs(10);
const PATIENCE: Duration = Duration::from_secs(20);

fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// A peer, and both clocks of its machine.
struct Bench {
    peer: KeepAlive,
    now: Instant,
    wall: SystemTime,
}

impl Bench {
    fn new() -> Self {
        Self::with(
            KeepAliveConfig::default()
                .interval(INTERVAL)
                .patience(PATIENCE),
        )
    }

    fn with(config: KeepAliveConfig) -> Self {
        let (now, wall) = (Instant::now(), SystemTime::now());
        Self {
            peer: KeepAlive::new(config, now, wall),
            now,
            wall,
        }
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        self.wall += time;
    }

    /// Sleep as Linux and macOS have it: the monotonic clock stands still.
    fn sleep(&mut self, time: Duration) {
        self.wall += time;
    }

    fn heard(&mut self) {
        self.peer.heard(self.now);
    }

    fn due_in(&self) -> Duration {
        self.peer
            .poll_timeout()
            .expect("a timer is set")
            .saturating_duration_since(self.now)
    }

    /// Lets the timer fire in time.
    fn fire(&mut self) -> Verdict {
        self.pass(self.due_in());
        self.call()
    }

    fn call(&mut self) -> Verdict {
        self.peer.handle_timeout(self.now, self.wall)
    }
}

#[test]
fn a_silent_peer_is_pinged_once_and_then_dead_for_good() {
    let mut bench = Bench::new();
    assert_eq!(bench.due_in(), INTERVAL);
    assert_eq!(bench.fire(), Verdict::Ping);
    assert_eq!(bench.due_in(), PATIENCE);
    bench.pass(PATIENCE - ms(1));
    assert_eq!(bench.call(), Verdict::Nothing);
    let dead = Verdict::Dead {
        silence: INTERVAL + PATIENCE,
    };
    assert_eq!(bench.fire(), dead);
    assert_eq!(bench.peer.poll_timeout(), None);
    bench.heard();
    assert_eq!(bench.call(), dead);
}

#[test]
fn a_pong_starts_the_interval_again() {
    let mut bench = Bench::new();
    assert_eq!(bench.fire(), Verdict::Ping);
    bench.pass(ms(5));
    bench.heard();
    assert_eq!(bench.due_in(), INTERVAL);
    assert_eq!(bench.fire(), Verdict::Ping);
}

#[test]
fn a_talking_peer_is_never_pinged_and_the_timer_still_fires_once_per_interval() {
    let mut bench = Bench::new();
    for _ in 0..100 {
        let due = bench.peer.poll_timeout();
        for _ in 0..3 {
            bench.pass(s(3));
            bench.heard();
            assert_eq!(bench.peer.poll_timeout(), due, "hearing moves no timer");
        }
        assert_eq!(bench.fire(), Verdict::Nothing);
        assert!(bench.due_in() <= INTERVAL);
        bench.heard();
    }
}

#[test]
fn silence_counts_from_the_last_word_not_from_the_last_timer() {
    let mut bench = Bench::new();
    bench.pass(s(9));
    bench.heard();
    assert_eq!(bench.fire(), Verdict::Nothing);
    assert_eq!(bench.due_in(), s(9));
    assert_eq!(bench.fire(), Verdict::Ping);
}

#[test]
fn a_night_yields_one_probe_and_a_fresh_patience() {
    for pinged in [false, true] {
        // The wall clock jumps.
        let mut bench = Bench::new();
        if pinged {
            assert_eq!(bench.fire(), Verdict::Ping);
        }
        bench.sleep(NIGHT);
        let Verdict::Slept(gap) = bench.fire() else {
            panic!("the gap went unnoticed")
        };
        assert_eq!((gap.length, gap.counted), (NIGHT, s(0)));
        assert_eq!(bench.due_in(), PATIENCE);
        assert_eq!(bench.call(), Verdict::Nothing);
        assert!(matches!(bench.fire(), Verdict::Dead { .. }));

        // The monotonic clock counts the sleep, as on Windows: the timer is late.
        let mut bench = Bench::new();
        if pinged {
            assert_eq!(bench.fire(), Verdict::Ping);
        }
        bench.pass(bench.due_in() + NIGHT);
        let Verdict::Slept(gap) = bench.call() else {
            panic!("the gap went unnoticed")
        };
        assert_eq!((gap.length, gap.counted), (NIGHT, NIGHT));
        assert_eq!(bench.due_in(), PATIENCE);
        assert_eq!(bench.call(), Verdict::Nothing);
        bench.heard();
        assert_eq!(bench.due_in(), INTERVAL);
    }
}

#[test]
fn what_is_heard_right_after_the_night_does_not_hide_the_night() {
    for pinged in [false, true] {
        let mut bench = Bench::new();
        if pinged {
            assert_eq!(bench.fire(), Verdict::Ping);
        }
        bench.pass(NIGHT);
        bench.heard();
        assert_eq!(bench.due_in(), s(0), "the late timer stays due");
        assert!(
            matches!(bench.call(), Verdict::Slept(_)),
            "pinged: {pinged}"
        );
    }
}

#[test]
fn five_seconds_late_are_no_sleep() {
    let mut bench = Bench::new();
    bench.pass(INTERVAL + s(5));
    assert_eq!(bench.call(), Verdict::Ping);
    bench.sleep(s(5));
    assert!(matches!(bench.fire(), Verdict::Dead { .. }));

    let mut bench = Bench::new();
    bench.pass(INTERVAL + s(5) + ms(1));
    assert!(matches!(bench.call(), Verdict::Slept(_)));
}

#[test]
fn a_wall_clock_set_back_tells_nothing_also_not_when_it_goes_on() {
    let mut bench = Bench::new();
    bench.wall -= NIGHT;
    assert_eq!(bench.fire(), Verdict::Ping);
    assert!(matches!(bench.fire(), Verdict::Dead { .. }));
}

#[test]
fn a_keep_alive_may_be_switched_off_and_never_crowds_the_wire() {
    let never = KeepAliveConfig::default().interval(Duration::MAX);
    assert_eq!(Bench::with(never).peer.poll_timeout(), None);

    let mut patient = Bench::with(KeepAliveConfig::default().patience(Duration::MAX));
    assert_eq!(patient.fire(), Verdict::Ping);
    assert_eq!(patient.peer.poll_timeout(), None);
    patient.heard();
    assert_eq!(patient.fire(), Verdict::Ping);

    let zero = KeepAliveConfig::default().interval(s(0)).patience(s(0));
    assert_eq!(Bench::with(zero).due_in(), ms(100));
}

#[test]
fn a_shell_without_keep_alive_can_watch_for_sleep() {
    let (now, wall) = (Instant::now(), SystemTime::now());
    let mut watch = SleepWatch::new(now, wall);
    assert_eq!(
        watch.observe(now + s(9), wall + s(9), Some(now + s(9))),
        None
    );
    let both = watch
        .observe(now + s(29), wall + s(129), Some(now + s(19)))
        .expect("a gap");
    assert_eq!((both.length, both.counted), (s(110), s(10)));
    assert_eq!(
        watch.observe(now + s(99), wall + s(199), None),
        None,
        "no timer, none late"
    );
}

#[derive(Clone, Debug)]
enum Step {
    /// The timer fires, this late.
    Fire(Duration),
    /// The shell looks before the timer is due.
    Early,
    /// The peer says something after at most this long.
    Heard(Duration),
    /// The machine sleeps; its monotonic clock may count it.
    Sleep(Duration, bool),
    SetBack(Duration),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0..4_000_u64).prop_map(|late| Step::Fire(ms(late))),
        1 => Just(Step::Early),
        4 => (0..12_000_u64).prop_map(|after| Step::Heard(ms(after))),
        1 => (5_001..100_000_000_u64, any::<bool>()).prop_map(|(t, c)| Step::Sleep(ms(t), c)),
        1 => (0..100_000_000_u64).prop_map(|t| Step::SetBack(ms(t))),
    ];
    prop::collection::vec(step, 0..200)
}

proptest! {
    #[test]
    fn nobody_dies_unpinged_impatiently_or_of_our_sleep(steps in steps()) {
        let mut bench = Bench::new();
        // Awake time since the last ping that nothing followed.
        let mut pinged_at: Option<Instant> = None;
        let mut awake_pings = Vec::new();
        for step in steps {
            let verdict = match step {
                Step::Fire(late) => {
                    bench.pass(bench.due_in() + late);
                    bench.call()
                }
                Step::Early => {
                    bench.pass(bench.due_in() / 2);
                    bench.call()
                }
                Step::Heard(after) => {
                    bench.pass(after.min(bench.due_in()));
                    bench.heard();
                    pinged_at = None;
                    continue;
                }
                Step::Sleep(time, true) => {
                    bench.pass(bench.due_in() + time);
                    let verdict = bench.call();
                    prop_assert!(matches!(verdict, Verdict::Slept(_)));
                    verdict
                }
                Step::Sleep(time, false) => {
                    bench.sleep(time);
                    let verdict = bench.call();
                    let is_gap = matches!(verdict, Verdict::Slept(gap) if gap.counted == s(0));
                    prop_assert!(is_gap);
                    verdict
                }
                Step::SetBack(time) => {
                    bench.wall -= time;
                    bench.call()
                }
            };
            match verdict {
                Verdict::Ping => {
                    prop_assert_eq!(pinged_at, None, "one ping per silence");
                    awake_pings.push(bench.now);
                    pinged_at = Some(bench.now);
                }
                Verdict::Slept(_) => pinged_at = Some(bench.now),
                Verdict::Dead { .. } => {
                    let pinged_at = pinged_at.expect("nobody dies without a ping");
                    prop_assert!(bench.now >= pinged_at + PATIENCE);
                    prop_assert!(bench.now <= pinged_at + PATIENCE + s(5));
                    return Ok(());
                }
                _ => {}
            }
            prop_assert!(bench.due_in() <= INTERVAL.max(PATIENCE));
        }
        for pair in awake_pings.windows(2) {
            prop_assert!(pair[1] - pair[0] >= INTERVAL, "no ping storm");
        }
    }

    #[test]
    fn a_peer_that_answers_within_the_patience_never_dies(
        answers in prop::collection::vec(0..19_999_u64, 1..100),
        night in 0..100_usize,
        counts in any::<bool>(),
    ) {
        let mut bench = Bench::new();
        let mut probes = 0;
        for (turn, answer) in answers.iter().enumerate() {
            if turn == night && counts {
                bench.pass(bench.due_in() + NIGHT);
            } else if turn == night {
                bench.sleep(NIGHT);
            }
            match bench.fire() {
                Verdict::Ping => {}
                Verdict::Slept(_) => probes += 1,
                other => prop_assert!(false, "{other:?}"),
            }
            bench.pass(ms(*answer));
            prop_assert_eq!(bench.call(), Verdict::Nothing);
            bench.heard();
        }
        prop_assert_eq!(probes, usize::from(night < answers.len()));
    }
}
