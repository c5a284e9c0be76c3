//! The rule, one sentence a test.

use mcp_transport_core::Outcome;
use mcp_transport_core::delivery::{
    Abandoned, Answer, Cause, Delivery, Full, Limits, Link, Op, Output, Replay, Submit,
};
use std::time::{Duration, Instant};

const REPLAYS: [Replay; 3] = [Replay::Safe, Replay::HostGuards, Replay::Never];
const HOLD: Duration = Duration::from_secs(120);
const RUN: Duration = Duration::from_secs(35);

fn call(replay: Replay) -> Submit<&'static str> {
    Submit {
        payload: "call",
        bytes: 10,
        replay,
        answered: true,
        hold: HOLD,
        run: RUN,
    }
}

/// A machine with a host attached, and a clock.
struct World {
    delivery: Delivery<&'static str>,
    now: Instant,
    link: Link,
}

impl World {
    fn new() -> Self {
        Self::with(Limits::default())
    }

    fn with(limits: Limits) -> Self {
        let mut delivery = Delivery::new(limits);
        let link = delivery.attach(usize::MAX).unwrap();
        let now = Instant::now();
        Self {
            delivery,
            now,
            link,
        }
    }

    fn submit(&mut self, replay: Replay) -> Op {
        self.delivery.submit(self.now, call(replay)).unwrap()
    }

    /// Submitted and with the host.
    fn delivered(&mut self, replay: Replay) -> Op {
        let op = self.submit(replay);
        assert_eq!(self.take(), Some((op, false)));
        op
    }

    fn take(&mut self) -> Option<(Op, bool)> {
        let handout = self.delivery.take(self.now, self.link)?;
        Some((handout.op, handout.redelivered))
    }

    /// The connection goes, and a new one comes. Returns the former.
    fn lose(&mut self, untouched: &[Op]) -> Link {
        self.delivery.detach(self.now, self.link, untouched);
        let next = self.delivery.attach(usize::MAX).unwrap();
        std::mem::replace(&mut self.link, next)
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        self.delivery.handle_timeout(self.now);
    }

    fn outputs(&mut self) -> Vec<Output> {
        std::iter::from_fn(|| self.delivery.poll_output()).collect()
    }
}

const fn unknown(op: Op, cause: Cause) -> Output {
    Output::Settle {
        op,
        outcome: Outcome::Unknown,
        cause,
    }
}

#[test]
fn a_queued_call_survives_a_lost_connection_whatever_its_kind() {
    for replay in REPLAYS {
        let mut world = World::new();
        let op = world.submit(replay);
        world.lose(&[]);
        assert_eq!(world.take(), Some((op, false)), "{replay:?}");
        assert_eq!(world.outputs(), []);
    }
}

#[test]
fn a_call_that_the_sink_refused_takes_its_old_place_unflagged() {
    for replay in REPLAYS {
        let mut world = World::new();
        let first = world.delivered(replay);
        let second = world.submit(replay);
        world.delivery.give_back(world.now, world.link, first);
        assert_eq!(world.take(), Some((first, false)), "{replay:?}");
        assert_eq!(world.take(), Some((second, false)));
    }
}

#[test]
fn a_call_that_was_given_back_survives_the_loss_that_follows() {
    let mut world = World::new();
    let op = world.delivered(Replay::Never);
    world.delivery.give_back(world.now, world.link, op);
    world.lose(&[]);
    assert_eq!(world.take(), Some((op, false)));
}

#[test]
fn a_call_that_the_host_provably_never_started_is_sent_again_unflagged() {
    for replay in REPLAYS {
        let mut world = World::new();
        let op = world.delivered(replay);
        for _ in 0..10 {
            world.lose(&[op]);
            assert_eq!(world.take(), Some((op, false)), "{replay:?}");
        }
        assert_eq!(world.outputs(), []);
    }
}

#[test]
fn a_started_call_cannot_be_claimed_untouched() {
    let mut world = World::new();
    let op = world.delivered(Replay::Never);
    world.delivery.started(world.link, op);
    world.lose(&[op]);
    assert_eq!(world.outputs(), [unknown(op, Cause::LinkLost)]);
}

#[test]
fn a_started_call_cannot_be_given_back() {
    let mut world = World::new();
    let op = world.delivered(Replay::Never);
    world.delivery.started(world.link, op);
    world.delivery.give_back(world.now, world.link, op);
    assert_eq!(world.take(), None);
    world.lose(&[]);
    assert_eq!(world.outputs(), [unknown(op, Cause::LinkLost)]);
}

#[test]
fn a_delivered_call_that_may_be_repeated_is_sent_again_flagged() {
    for replay in [Replay::Safe, Replay::HostGuards] {
        let mut world = World::new();
        let op = world.delivered(replay);
        world.lose(&[]);
        assert_eq!(world.take(), Some((op, true)), "{replay:?}");
        assert_eq!(world.outputs(), []);
    }
}

#[test]
fn a_delivered_call_that_may_not_be_repeated_is_settled_as_unknown() {
    let mut world = World::new();
    let op = world.delivered(Replay::Never);
    world.lose(&[]);
    assert_eq!(world.outputs(), [unknown(op, Cause::LinkLost)]);
    assert_eq!(world.take(), None);
    assert!(world.delivery.is_empty());
}

#[test]
fn a_call_is_sent_again_three_times_and_then_settled() {
    let mut world = World::new();
    let op = world.delivered(Replay::Safe);
    for _ in 0..3 {
        world.lose(&[]);
        assert_eq!(world.take(), Some((op, true)));
        assert_eq!(world.outputs(), []);
    }
    world.lose(&[]);
    assert_eq!(world.outputs(), [unknown(op, Cause::Redelivered)]);
}

#[test]
fn what_comes_back_goes_out_before_what_waited_oldest_first() {
    let mut world = World::new();
    let ops = [(); 4].map(|()| world.submit(Replay::Safe));
    world.take();
    world.take();
    let former = world.lose(&[]);
    assert_eq!(ops.map(|_| world.take().unwrap().0), ops);
    assert_eq!(
        world.delivery.outstanding(world.link).collect::<Vec<_>>(),
        ops
    );
    assert_eq!(world.delivery.outstanding(former).count(), 0);
}

#[test]
fn a_call_abandoned_in_the_queue_never_reaches_the_host() {
    let mut world = World::new();
    let op = world.submit(Replay::Safe);
    assert_eq!(world.delivery.abandon(op), Abandoned::Withdrawn);
    assert_eq!(world.take(), None);
    assert_eq!(world.outputs(), []);
    assert_eq!(world.delivery.abandon(op), Abandoned::Over);
}

#[test]
fn a_call_abandoned_while_it_runs_is_cancelled_at_the_host_once() {
    let mut world = World::new();
    let (op, link) = (world.delivered(Replay::Safe), world.link);
    assert_eq!(world.delivery.abandon(op), Abandoned::Running(link));
    assert_eq!(world.delivery.abandon(op), Abandoned::Over);
    assert_eq!(world.outputs(), [Output::Cancel { link, op }]);
    assert_eq!(world.delivery.complete(link, op), Answer::Late);
}

#[test]
fn an_abandoned_call_is_not_sent_again() {
    for lose in [true, false] {
        let mut world = World::new();
        let op = world.delivered(Replay::Safe);
        world.delivery.abandon(op);
        world.outputs();
        if lose {
            world.lose(&[]);
        } else {
            world.delivery.give_back(world.now, world.link, op);
        }
        assert_eq!(world.take(), None);
        assert_eq!(world.outputs(), []);
        assert!(world.delivery.is_empty());
    }
}

#[test]
fn a_call_without_an_answer_is_dropped_with_its_connection_and_nobody_is_told() {
    let mut world = World::new();
    let notification = Submit {
        answered: false,
        ..call(Replay::Safe)
    };
    let op = world.delivery.submit(world.now, notification).unwrap();
    assert_eq!(world.take(), Some((op, false)));
    world.lose(&[op]);
    assert_eq!(world.take(), None);
    assert_eq!(world.outputs(), []);
    assert!(world.delivery.is_empty());
}

#[test]
fn a_late_result_is_recognised_once() {
    let mut world = World::new();
    let op = world.delivered(Replay::Never);
    let former = world.lose(&[]);
    assert_eq!(
        world.delivery.complete(world.link, op),
        Answer::Stray,
        "this link never had it"
    );
    assert_eq!(world.delivery.complete(former, op), Answer::Late);
    assert_eq!(
        world.delivery.complete(former, op),
        Answer::Stray,
        "once only"
    );
}

#[test]
fn only_so_many_late_results_are_recognised() {
    let mut world = World::with(Limits::default().remembered(1));
    let ops = [(); 2].map(|()| world.delivered(Replay::Never));
    let former = world.lose(&[]);
    assert_eq!(world.delivery.complete(former, ops[0]), Answer::Stray);
    assert_eq!(world.delivery.complete(former, ops[1]), Answer::Late);
}

#[test]
fn a_result_of_a_former_life_ends_the_call_that_waits_to_be_sent_again() {
    let mut world = World::new();
    let op = world.delivered(Replay::Safe);
    let former = world.lose(&[]);
    assert_eq!(world.delivery.complete(former, op), Answer::ForClient);
    assert_eq!(world.take(), None, "it is over, and not sent again");
}

#[test]
fn the_first_of_two_results_wins() {
    let mut world = World::new();
    let op = world.delivered(Replay::Safe);
    let former = world.lose(&[]);
    world.take();
    assert_eq!(world.delivery.complete(former, op), Answer::ForClient);
    assert_eq!(world.delivery.complete(world.link, op), Answer::Stray);
}

#[test]
fn a_call_withdrawn_after_a_loss_still_knows_its_late_result() {
    let mut world = World::new();
    let op = world.delivered(Replay::Safe);
    let former = world.lose(&[]);
    assert_eq!(world.delivery.abandon(op), Abandoned::Withdrawn);
    assert_eq!(world.delivery.complete(former, op), Answer::Late);
}

#[test]
fn a_call_given_up_and_then_refused_by_the_sink_still_knows_the_result_of_its_former_life() {
    let mut world = World::new();
    let op = world.delivered(Replay::Safe);
    let former = world.lose(&[]);
    world.take();
    world.delivery.abandon(op);
    world.delivery.give_back(world.now, world.link, op);
    assert!(world.delivery.is_empty());
    assert_eq!(world.delivery.complete(world.link, op), Answer::Stray);
    assert_eq!(world.delivery.complete(former, op), Answer::Late);
}

#[test]
fn an_answer_to_a_call_that_the_link_never_had_is_a_stray() {
    let mut world = World::new();
    let op = world.submit(Replay::Safe);
    assert_eq!(world.delivery.complete(world.link, op), Answer::Stray);
    assert_eq!(world.take(), Some((op, false)), "and changes nothing");
}

#[test]
fn a_call_is_held_for_its_hold_and_then_settled_as_not_delivered() {
    let mut world = World::new();
    let op = world.submit(Replay::Never);
    world.pass(HOLD - Duration::from_nanos(1));
    assert_eq!(world.outputs(), []);
    world.pass(Duration::from_nanos(1));
    let (outcome, cause) = (Outcome::NotDelivered, Cause::HoldExpired);
    assert_eq!(world.outputs(), [Output::Settle { op, outcome, cause }]);
}

#[test]
fn a_call_that_a_host_may_have_seen_is_held_to_its_end_as_unknown() {
    let mut world = World::new();
    let op = world.delivered(Replay::Safe);
    world.lose(&[]);
    world.pass(HOLD);
    assert_eq!(world.outputs(), [unknown(op, Cause::HoldExpired)]);
}

#[test]
fn a_call_that_ran_for_longer_than_its_hold_waits_no_more_unless_it_is_held_afresh() {
    for afresh in [false, true] {
        let mut world = World::new();
        let op = world.delivered(Replay::Safe);
        world.pass(HOLD + RUN);
        world.outputs();
        if afresh {
            world.delivery.hold_afresh(world.now, op);
        }
        world.lose(&[]);
        if afresh {
            world.pass(HOLD - Duration::from_nanos(1));
            assert_eq!(world.outputs(), []);
            world.delivery.hold_afresh(world.now, op);
            world.pass(Duration::from_nanos(1));
        }
        let expired = [unknown(op, Cause::HoldExpired)];
        assert_eq!(world.outputs(), expired, "what waits gets no more");
    }
}

#[test]
fn a_call_that_runs_too_long_is_said_to_be_stuck_once_and_keeps_its_place() {
    let mut world = World::new();
    let (op, link) = (world.delivered(Replay::Safe), world.link);
    world.pass(RUN);
    world.pass(RUN);
    assert_eq!(world.outputs(), [Output::Stuck { link, op }]);
    assert_eq!(world.delivery.outstanding(link).collect::<Vec<_>>(), [op]);
    assert_eq!(world.delivery.poll_timeout(), None);
    assert_eq!(world.delivery.complete(link, op), Answer::ForClient);
}

#[test]
fn sleep_gives_every_budget_its_gap_back_exactly() {
    let gap = Duration::from_millis(3_600_001);
    let mut world = World::new();
    let (running, queued) = (world.delivered(Replay::Safe), world.submit(Replay::Safe));
    let before = world.delivery.poll_timeout().unwrap();
    world.delivery.slept(gap);
    assert_eq!(world.delivery.poll_timeout(), Some(before + gap));

    let link = world.link;
    world.pass(gap + RUN);
    assert_eq!(world.outputs(), [Output::Stuck { link, op: running }]);
    world.pass(HOLD - RUN - Duration::from_nanos(1));
    assert_eq!(world.outputs(), []);
    world.pass(Duration::from_nanos(1));
    assert!(matches!(world.outputs()[..], [Output::Settle { op, .. }] if op == queued));
}

#[test]
fn a_hold_for_ever_does_not_overflow() {
    let mut world = World::new();
    let submit = Submit {
        hold: Duration::MAX,
        run: Duration::MAX,
        ..call(Replay::Safe)
    };
    world.delivery.submit(world.now, submit).unwrap();
    world.delivery.slept(Duration::MAX);
    assert!(world.take().is_some());
    world.delivery.slept(Duration::MAX);
    world.pass(Duration::from_secs(1_000_000_000));
    assert_eq!(world.outputs(), []);
}

#[test]
fn the_window_is_never_passed() {
    let mut delivery = Delivery::new(Limits::default());
    let now = Instant::now();
    let ops = [(); 3].map(|()| delivery.submit(now, call(Replay::Safe)).unwrap());
    let link = delivery.attach(2).unwrap();
    assert!(delivery.take(now, link).is_some());
    assert!(delivery.take(now, link).is_some());
    assert_eq!(delivery.take(now, link), None);
    delivery.complete(link, ops[0]);
    assert_eq!(delivery.take(now, link).unwrap().op, ops[2]);
}

#[test]
fn two_hosts_at_once_are_refused_and_the_first_is_named() {
    let mut world = World::new();
    assert_eq!(world.delivery.attach(1).unwrap_err().holder, world.link);
}

#[test]
fn a_former_link_neither_takes_nor_loses_anything() {
    let mut world = World::new();
    let former = world.lose(&[]);
    let op = world.delivered(Replay::Never);
    world.submit(Replay::Never);
    assert_eq!(world.delivery.take(world.now, former), None);
    world.delivery.give_back(world.now, former, op);
    world.delivery.detach(world.now, former, &[op]);
    assert_eq!(
        world.delivery.outstanding(world.link).collect::<Vec<_>>(),
        [op]
    );
    assert_eq!(world.outputs(), []);
}

#[test]
fn a_full_queue_says_which_limit_and_takes_nothing() {
    let now = Instant::now();
    let mut delivery = Delivery::new(Limits::default().ops(2).bytes(25));
    let op = delivery.submit(now, call(Replay::Safe)).unwrap();
    let large = Submit {
        bytes: 16,
        ..call(Replay::Safe)
    };
    assert!(matches!(
        delivery.submit(now, large),
        Err(Full::Bytes { limit: 25, .. })
    ));
    delivery.submit(now, call(Replay::Safe)).unwrap();
    assert!(matches!(
        delivery.submit(now, call(Replay::Safe)),
        Err(Full::Ops { limit: 2, .. })
    ));
    assert_eq!(delivery.len(), 2);
    delivery.abandon(op);
    delivery.submit(now, call(Replay::Safe)).unwrap();
}

#[test]
fn sizes_that_would_overflow_are_full_even_without_a_limit() {
    let now = Instant::now();
    let mut delivery = Delivery::new(Limits::default().bytes(usize::MAX));
    let huge = Submit {
        bytes: usize::MAX,
        ..call(Replay::Safe)
    };
    let op = delivery.submit(now, huge).unwrap();
    assert!(delivery.submit(now, call(Replay::Safe)).is_err());
    delivery.abandon(op);
    assert!(delivery.submit(now, call(Replay::Safe)).is_ok());
}

#[test]
fn what_is_released_leaves_the_window_and_its_answer_is_late() {
    let now = Instant::now();
    let mut delivery = Delivery::new(Limits::default());
    let link = delivery.attach(1).unwrap();
    let first = delivery.submit(now, call(Replay::Safe)).unwrap();
    let second = delivery.submit(now, call(Replay::Never)).unwrap();
    delivery.release(second);
    assert_eq!(delivery.oldest(), Some(first), "what is queued stays");
    delivery.take(now, link).unwrap();
    assert!(delivery.take(now, link).is_none());
    delivery.release(first);
    assert_eq!(delivery.oldest(), Some(second));
    assert_eq!(delivery.take(now, link).unwrap().op, second);
    assert_eq!(delivery.complete(link, first), Answer::Late);
    assert_eq!(delivery.complete(link, first), Answer::Stray);
    delivery.detach(now, link, &[]);
    assert_eq!(delivery.len(), 0, "and is not sent again");
}

#[test]
fn what_has_proved_harmless_is_sent_again_any_number_of_times() {
    let mut world = World::with(Limits::default().redeliveries(1));
    let op = world.delivered(Replay::Safe);
    assert!(!world.delivery.seen(op));
    for _ in 0..5 {
        world.delivery.proved(op);
        world.delivery.detach(world.now, world.link, &[]);
        assert_eq!(world.delivery.poll_output(), None);
        assert!(world.delivery.seen(op));
        world.link = world.delivery.attach(usize::MAX).unwrap();
        assert_eq!(world.take(), Some((op, true)));
    }
    world.delivery.detach(world.now, world.link, &[]);
    let settled = Output::Settle {
        op,
        outcome: Outcome::Unknown,
        cause: Cause::Redelivered,
    };
    assert_eq!(world.delivery.poll_output(), Some(settled));
}

#[test]
fn an_operation_is_found_by_its_number_while_it_lives_and_after() {
    let mut world = World::new();
    let op = world.delivered(Replay::Never);
    assert_eq!(world.delivery.op(op.get()), Some(op));
    world.delivery.complete(world.link, op);
    assert_eq!(world.delivery.op(op.get()), Some(op));
    for nobodys in [0, op.get() + 1, u64::MAX] {
        assert_eq!(world.delivery.op(nobodys), None);
    }
}
