//! When a client is answered at the latest, and what it hears until then.

use crate::rig::{Rig, attach_of, call, call_with_progress, ending, request, result, s};
use mcp_transport_broker::broker::{Ask, Operation, Pushed};
use mcp_transport_core::Outcome;
use mcp_transport_core::keepalive::SleepWatch;
use serde_json::{Value, json};
use std::time::{Duration, SystemTime};

#[test]
fn a_call_that_no_host_took_is_answered_before_its_client_gives_up() {
    let mut rig = Rig::new();
    let client = rig.modern();
    let ticket = rig.ask(client, call(1));
    rig.pass(s(49));
    rig.is_waiting(ticket);
    rig.pass(s(1));
    let ending = ending(&rig.answered(ticket)).unwrap();
    assert_eq!(ending.outcome, Outcome::NotDelivered);
    assert!(ending.retryable);
    for part in [
        "`tools/call` of `dig`",
        "50 s",
        "no host has attached",
        "safe",
    ] {
        assert!(ending.message.contains(part), "{}", ending.message);
    }
    let lease = rig.attach(attach_of("a")).lease;
    assert_eq!(rig.pull(lease), [], "it is withdrawn");
}

#[test]
fn a_call_that_runs_for_longer_is_answered_as_running_and_its_result_is_kept() {
    let mut rig = Rig::new();
    let client = rig.modern();
    let lease = rig.attach(attach_of("a")).lease;
    let ticket = rig.ask(client, call(1));
    rig.pull(lease);
    rig.pass_alive(lease, s(50));
    let ending = ending(&rig.answered(ticket)).unwrap();
    assert_eq!(ending.outcome, Outcome::Running);
    let id = ending.operation_id.unwrap();
    assert!(
        ending
            .message
            .contains(&format!("/_broker/v1/operations/{id}"))
    );
    assert_eq!(rig.broker.operation(&id), Operation::Running);
    // Its connection may go: the result was promised.
    rig.broker.gone(rig.now, client);
    assert_eq!(rig.pull(lease), []);
    let answer = result(1, &json!("dug"));
    assert_eq!(rig.answer(lease, ticket, answer.clone()), Pushed::Late);
    assert_eq!(rig.broker.operation(&id), Operation::Done(answer));
    assert!(rig.answers.is_empty());
    let handouts = rig.pull(lease);
    assert_eq!(
        handouts.len(),
        1,
        "now the client is gone for the host, too"
    );
}

#[test]
fn what_was_said_to_run_and_is_lost_says_so_to_whoever_asks() {
    let mut rig = Rig::new();
    let client = rig.modern();
    let lease = rig.attach(attach_of("a")).lease;
    let ticket = rig.ask(client, call(1));
    rig.pull(lease);
    rig.pass_alive(lease, s(50));
    let id = ending(&rig.answered(ticket)).unwrap().operation_id.unwrap();
    rig.broker.lost(rig.now, lease);
    rig.drain();
    let Operation::Done(message) = rig.broker.operation(&id) else {
        panic!("it is over");
    };
    let ending = ending(&message).unwrap();
    assert_eq!(ending.outcome, Outcome::Unknown);
    assert_eq!(ending.operation_id, Some(id));
    assert!(rig.answers.is_empty(), "its client has its answer");
}

#[test]
fn nothing_is_run_again_for_a_client_that_is_gone() {
    let mut rig = Rig::new();
    let client = rig.modern();
    let lease = rig.attach(attach_of("a")).lease;
    let ticket = rig.ask(client, request(1, "resources/read"));
    rig.pull(lease);
    rig.pass_alive(lease, s(50));
    let id = ending(&rig.answered(ticket)).unwrap().operation_id.unwrap();
    rig.broker.gone(rig.now, client);
    rig.broker.lost(rig.now, lease);
    rig.drain();
    assert!(matches!(rig.broker.operation(&id), Operation::Done(_)));
    let lease = rig.attach(attach_of("b")).lease;
    assert_eq!(rig.pull(lease), []);
    assert_eq!(rig.broker.status(rig.now).clients, 0);
}

#[test]
fn a_client_that_asked_for_progress_hears_what_goes_on_and_waits_longer() {
    let mut rig = Rig::new();
    let client = rig.modern();
    let ticket = rig.ask(client, call_with_progress(1));
    rig.pass(s(2));
    assert!(rig.tells.is_empty());
    rig.pass(s(1));
    assert_eq!(rig.tells.len(), 1);
    let (whom, about, message) = rig.tells.remove(0);
    assert_eq!((whom, about), (client, Some(ticket)));
    let first: Value = message.json().unwrap();
    assert_eq!(first["method"], "notifications/progress");
    assert_eq!(first["params"]["progressToken"], "p1");
    let text = first["params"]["message"].as_str().unwrap();
    assert!(text.contains("no host has attached"), "{text}");
    rig.pass(s(10));
    let second: Value = rig.tells.remove(0).2.json().unwrap();
    let value = |progress: &Value| progress["params"]["progress"].as_f64().unwrap();
    assert!(value(&second) > value(&first));
    rig.pass(s(106));
    rig.is_waiting(ticket);
    rig.pass(s(1));
    let ended = (Outcome::NotDelivered, "hold_expired".to_owned());
    assert_eq!(rig.ended(ticket), ended);
}

#[test]
fn one_that_runs_and_asked_for_progress_is_answered_as_running_after_ten_minutes() {
    let mut rig = Rig::new();
    let client = rig.modern();
    let lease = rig.attach(attach_of("a")).lease;
    let ticket = rig.ask(client, call_with_progress(1));
    rig.pull(lease);
    rig.pass_alive(lease, s(599));
    rig.is_waiting(ticket);
    let text = format!("{:?}", rig.tells.last().unwrap().2.as_str());
    assert!(text.contains("runs, 593 s so far"), "{text}");
    rig.pass_alive(lease, s(1));
    assert_eq!(rig.ended(ticket).0, Outcome::Running);
    rig.tells.clear();
    rig.pass_alive(lease, s(60));
    assert!(rig.tells.is_empty(), "nobody listens any more");
}

#[test]
fn our_progress_rises_above_what_the_host_said_last() {
    let mut rig = Rig::new();
    let client = rig.modern();
    let lease = rig.attach(attach_of("a")).lease;
    let ticket = rig.ask(client, call_with_progress(1));
    rig.pull(lease);
    let said = json!({"jsonrpc":"2.0","method":"notifications/progress",
        "params":{"progressToken":"p1","progress":41.5}});
    let said = mcp_transport_core::Message::from(said.to_string());
    rig.broker.say(rig.now, lease, client, None, said);
    rig.drain();
    assert_eq!(rig.tells.remove(0).1, Some(ticket), "found by its token");
    rig.pass(s(3));
    let ours: Value = rig.tells.remove(0).2.json().unwrap();
    let ours = ours["params"]["progress"].as_f64().unwrap();
    assert!(ours > 41.5 && ours < 41.6, "{ours}");
}

#[test]
fn a_caller_may_say_its_own_budget() {
    let mut rig = Rig::new();
    let client = rig.modern();
    let ask = Ask::default().budget(s(90));
    let ticket = rig.broker.ask(rig.now, client, call(1), ask).unwrap();
    rig.pass(s(89));
    rig.is_waiting(ticket);
    rig.pass(s(1));
    assert_eq!(rig.ended(ticket).0, Outcome::NotDelivered);
}

#[test]
fn a_sleeping_machine_expires_nothing() {
    let mut rig = Rig::new();
    let client = rig.modern();
    let mut attach = attach_of("a");
    attach.holds_connection = true;
    let lease = rig.try_attach(attach).unwrap().lease;
    rig.broker.connections(rig.now, lease, 1);
    let ticket = rig.ask(client, call(1));
    rig.now += s(3_600);
    rig.broker.slept(s(3_600));
    rig.broker.handle_timeout(rig.now);
    rig.drain();
    rig.is_waiting(ticket);
    assert!(rig.over.is_empty());
    rig.pass_alive(lease, s(50));
    assert_eq!(rig.ended(ticket).0, Outcome::NotDelivered);
}

#[test]
fn a_wall_clock_that_is_set_back_and_forth_expires_nothing() {
    let mut rig = Rig::new();
    let client = rig.modern();
    let lease = rig.attach(attach_of("a")).lease;
    let running = rig.ask(client, call(1));
    assert_eq!(rig.pull(lease).len(), 1);
    let other = rig.modern();
    let waiting = rig.ask(other, call(2));
    let mut wall = SystemTime::UNIX_EPOCH + s(1_800_000_000);
    let mut watch = SleepWatch::new(rig.now, wall);
    for step in 0..49 {
        rig.pass_alive(lease, s(1));
        // An hour forwards, an hour back, as the shell sees it.
        wall += s(1);
        wall = if step % 2 == 0 {
            wall + s(3_600)
        } else {
            wall - s(3_600)
        };
        if let Some(gap) = watch.observe(rig.now, wall, None) {
            assert_eq!(gap.counted, Duration::ZERO, "no deadline moves by it");
            rig.broker.slept(gap.counted);
        }
        rig.broker.handle_timeout(rig.now);
        rig.drain();
    }
    rig.is_waiting(running);
    rig.is_waiting(waiting);
    assert!(rig.over.is_empty());
    rig.pass_alive(lease, s(1));
    assert_eq!(
        rig.ended(running).0,
        Outcome::Running,
        "50 s, by no clock on a wall"
    );
}

#[test]
fn what_may_run_twice_and_was_lost_too_often_ends_as_unknown_but_may_be_sent_again() {
    let mut rig = Rig::new();
    let client = rig.modern();
    let ticket = rig.ask(client, request(1, "resources/read"));
    for instance in ["a", "b", "c", "d"] {
        rig.is_waiting(ticket);
        let lease = rig.attach(attach_of(instance)).lease;
        rig.pull(lease);
        rig.broker.lost(rig.now, lease);
        rig.drain();
    }
    let ending = ending(&rig.answered(ticket)).unwrap();
    assert_eq!(ending.cause, "redelivered");
    assert!(ending.retryable);
}
