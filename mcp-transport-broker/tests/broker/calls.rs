//! What becomes of one call.

use crate::rig::{Rig, attach_of, call, call_with_progress, notification, request, result, s};
use mcp_transport_broker::broker::{
    Ask, Attachment, Config, Item, Life, Operation, Pushed, Refusal, Ticket,
};
use mcp_transport_broker::native::{Detach, DetachReason, Former};
use mcp_transport_core::delivery::{Limits, Replay};
use mcp_transport_core::{Id, Message, Outcome};
use serde_json::json;

fn unknown() -> (Outcome, String) {
    (Outcome::Unknown, "link_lost".to_owned())
}

pub fn reload(untouched: &[u64], coming: &[u64]) -> Detach {
    Detach {
        reason: DetachReason::Reloading,
        gap_ms: Some(8_000),
        received: None,
        untouched: untouched.to_vec(),
        coming: coming.to_vec(),
    }
}

#[test]
fn a_call_waits_for_a_host_and_is_answered_by_it_byte_for_byte() {
    let mut rig = Rig::new();
    let client = rig.modern();
    let ticket = rig.ask(client, call(7));
    rig.pass(s(20));
    let lease = rig.attach(attach_of("a")).lease;
    let handouts = rig.pull(lease);
    assert_eq!(handouts.len(), 1);
    assert_eq!(handouts[0].meet.as_ref().unwrap().version, "2026-07-28");
    let Item::Request { message, .. } = &handouts[0].item else {
        panic!("{handouts:?}");
    };
    assert_eq!(*message, call(7));
    let answer = Message::from(r#" {"id" : 7.0, "jsonrpc":"2.0","result":{"n":1e3}} "#);
    assert_eq!(rig.answer(lease, ticket, answer.clone()), Pushed::Answered);
    assert_eq!(rig.answered(ticket), answer);
    assert_eq!(rig.answer(lease, ticket, answer), Pushed::Stray);
}

#[test]
fn calls_are_handed_out_as_they_came_and_what_comes_back_keeps_its_place() {
    let mut rig = Rig::new();
    let client = rig.modern();
    let lease = rig.attach(attach_of("a")).lease;
    rig.ask(client, request(1, "tools/list"));
    rig.ask(client, call(2));
    assert_eq!(rig.pull_tickets(lease), [(1, false), (2, false)]);
    rig.ask(client, request(3, "tools/list"));
    rig.broker.detach(rig.now, lease, &reload(&[2], &[]));
    rig.drain();
    rig.ask(client, call(4));
    let lease = rig.attach(attach_of("b")).lease;
    let order = [(1, true), (2, false), (3, false), (4, false)];
    assert_eq!(rig.pull_tickets(lease), order);
}

#[test]
fn what_may_not_run_twice_ends_as_unknown_when_its_host_goes_and_what_may_is_flagged() {
    let mut rig = Rig::new();
    let client = rig.modern();
    let lease = rig.attach(attach_of("a")).lease;
    let never = rig.ask(client, call(1));
    let safe = rig.ask(client, request(2, "resources/read"));
    let guarded = Ask::default().replay(Replay::HostGuards);
    let guarded = rig.broker.ask(rig.now, client, call(3), guarded).unwrap();
    rig.pull(lease);
    rig.broker.lost(rig.now, lease);
    rig.drain();
    assert_eq!(rig.ended(never), unknown());
    rig.is_waiting(safe);
    rig.is_waiting(guarded);
    let guard = Attachment::from(attach_of("b")).guards_reruns();
    let lease = rig.try_attach_as(guard).unwrap().lease;
    let mut got = rig.pull_tickets(lease);
    // The broker's own questions are not the point.
    got.retain(|(ticket, _)| *ticket < 1 << 52);
    assert_eq!(got, [(safe.get(), true), (guarded.get(), true)]);
}

#[test]
fn what_only_a_guarding_host_may_see_again_goes_to_no_other() {
    let mut rig = Rig::new();
    let client = rig.modern();
    let lease = rig.attach(attach_of("a")).lease;
    let guarded = Ask::default().replay(Replay::HostGuards);
    let seen = rig.broker.ask(rig.now, client, call(1), guarded).unwrap();
    rig.pull(lease);
    let unseen = rig.broker.ask(rig.now, client, call(2), guarded).unwrap();
    rig.broker.lost(rig.now, lease);
    rig.drain();
    rig.is_waiting(seen);
    let lease = rig.attach(attach_of("b")).lease;
    assert_eq!(rig.ended(seen), unknown());
    assert_eq!(rig.pull_tickets(lease), [(unseen.get(), false)]);
}

#[test]
fn what_a_host_never_got_is_delivered_again_whatever_it_is() {
    let mut rig = Rig::new();
    let client = rig.modern();
    let granted = rig.attach(attach_of("a"));
    let (got, lost) = (rig.ask(client, call(1)), rig.ask(client, call(2)));
    rig.pull(granted.lease);
    // The connection that carried the pull's answer broke, and the host attaches anew.
    let former = Former {
        lease: granted.name,
        received: vec![got.get()],
        coming: vec![],
    };
    let lease = rig.attach_again(former).lease;
    assert_eq!(rig.ended(got), unknown());
    assert_eq!(rig.pull_tickets(lease), [(lost.get(), false)]);
}

#[test]
fn a_host_that_goes_and_says_what_it_got_gets_the_rest_again() {
    let mut rig = Rig::new();
    let client = rig.modern();
    let lease = rig.attach(attach_of("a")).lease;
    let (got, lost) = (rig.ask(client, call(1)), rig.ask(client, call(2)));
    rig.pull(lease);
    let mut detach = reload(&[], &[]);
    detach.received = Some(vec![got.get()]);
    rig.broker.detach(rig.now, lease, &detach);
    rig.drain();
    assert_eq!(rig.ended(got), unknown());
    let lease = rig.attach(attach_of("b")).lease;
    assert_eq!(rig.pull_tickets(lease), [(lost.get(), false)]);
}

#[test]
fn a_call_that_began_cannot_be_claimed_untouched() {
    let mut rig = Rig::new();
    let client = rig.modern();
    let lease = rig.attach(attach_of("a")).lease;
    let ticket = rig.ask(client, call(1));
    rig.pull(lease);
    rig.broker.started(lease, ticket);
    rig.broker.detach(rig.now, lease, &reload(&[1], &[]));
    rig.drain();
    assert_eq!(rig.ended(ticket), unknown());
}

#[test]
fn a_pull_that_could_not_be_written_costs_nothing() {
    let mut rig = Rig::new();
    let client = rig.modern();
    let lease = rig.attach(attach_of("a")).lease;
    let first = rig.ask(client, call(1));
    rig.tell(client, notification("notifications/roots/list_changed"));
    let second = rig.ask(client, call(2));
    let handouts = rig.pull(lease);
    assert_eq!(handouts.len(), 3);
    rig.hang_up(second);
    rig.broker.unpull(rig.now, lease, handouts.clone());
    rig.drain();
    let again = rig.pull(lease);
    assert_eq!(again, handouts[..2], "without the one that was given up");
    rig.broker.lost(rig.now, lease);
    rig.drain();
    assert_eq!(rig.ended(first), unknown());
}

#[test]
fn an_abandoned_queued_call_is_never_delivered_and_a_running_one_is_cancelled() {
    let mut rig = Rig::new();
    let client = rig.modern();
    let (queued, running) = (rig.ask(client, call(1)), rig.ask(client, call(2)));
    rig.hang_up(queued);
    let lease = rig.attach(attach_of("a")).lease;
    assert_eq!(rig.pull_tickets(lease), [(running.get(), false)]);
    rig.hang_up(running);
    let handouts = rig.pull(lease);
    assert_eq!(handouts[0].item, Item::Cancel(running));
    // A host that answers all the same is told that nobody waits.
    assert_eq!(
        rig.answer(lease, running, result(2, &json!(1))),
        Pushed::Late
    );
    assert!(rig.answers.is_empty());
}

#[test]
fn a_cancelled_call_makes_room_in_the_window_though_its_host_never_answers() {
    let mut rig = Rig::new();
    let client = rig.modern();
    let mut attach = attach_of("a");
    attach.window = 1;
    let lease = rig.attach(attach).lease;
    let (first, second) = (rig.ask(client, call(1)), rig.ask(client, call(2)));
    assert_eq!(rig.pull_tickets(lease), [(first.get(), false)]);
    rig.hang_up(first);
    assert_eq!(rig.pull_tickets(lease), [(second.get(), false)]);
}

#[test]
fn an_answer_to_the_host_passes_calls_when_the_window_is_full() {
    let mut rig = Rig::new();
    let mut attach = attach_of("a");
    attach.window = 1;
    let lease = rig.attach(attach).lease;
    let client = rig.initialised(lease);
    rig.ask(client, call(1));
    rig.ask(client, call(2));
    rig.pull(lease);
    let question = request(9, "elicitation/create");
    rig.broker.say(rig.now, lease, client, None, question);
    rig.drain();
    rig.tell(client, result(9, &json!({})));
    let handouts = rig.pull(lease);
    assert_eq!(handouts.len(), 1);
    assert_eq!(handouts[0].item, Item::Aside(result(9, &json!({}))));
}

#[test]
fn an_answer_that_was_announced_reaches_its_client_after_the_reload() {
    let mut rig = Rig::new();
    let client = rig.modern();
    let granted = rig.attach(attach_of("a"));
    let (coming, lost) = (rig.ask(client, call(1)), rig.ask(client, call(2)));
    rig.pull(granted.lease);
    rig.broker
        .detach(rig.now, granted.lease, &reload(&[], &[coming.get()]));
    rig.drain();
    assert_eq!(rig.ended(lost), unknown());
    rig.is_waiting(coming);
    rig.pass(s(20));
    let former = Former {
        lease: granted.name,
        received: vec![],
        coming: vec![coming.get(), lost.get(), 99],
    };
    let granted = rig.attach_again(former);
    assert_eq!(granted.coming, Some(vec![coming.get(), lost.get()]));
    let answer = result(1, &json!("dug"));
    assert_eq!(
        rig.answer(granted.lease, coming, answer.clone()),
        Pushed::Answered
    );
    assert_eq!(rig.answered(coming), answer);
}

#[test]
fn a_host_that_is_back_with_its_work_has_all_the_time_that_it_would_have_had() {
    let mut rig = Rig::new();
    let client = rig.modern();
    let mut granted = rig.attach(attach_of("a"));
    let waits = rig.ask(client, call_with_progress(1));
    let told = rig.ask(client, call(2));
    rig.pull(granted.lease);
    // It loses the broker twice, and goes on working.
    for _ in 0..2 {
        let both = vec![waits.get(), told.get()];
        let former = Former {
            lease: granted.name,
            received: both.clone(),
            coming: both,
        };
        granted = rig.attach_again(former);
        rig.pass_alive(granted.lease, s(20));
    }
    rig.is_waiting(told);
    rig.pass_alive(granted.lease, s(10));
    assert_eq!(
        rig.ended(told).0,
        Outcome::Running,
        "at its client's budget"
    );
    rig.pass_alive(granted.lease, s(500));
    let answer = result(1, &json!("dug"));
    let pushed = rig.answer(granted.lease, waits, answer.clone());
    assert_eq!(pushed, Pushed::Answered);
    assert_eq!(rig.answered(waits), answer);
    // What it does not bring along the next time is lost.
    let third = rig.ask(client, call_with_progress(3));
    rig.pull(granted.lease);
    let coming = vec![third.get()];
    let former = |coming: &[u64], name| Former {
        lease: name,
        received: vec![third.get()],
        coming: coming.to_vec(),
    };
    granted = rig.attach_again(former(&coming, granted.name));
    rig.attach_again(former(&[], granted.name));
    assert_eq!(rig.ended(third), unknown());
}

#[test]
fn what_a_host_resumed_can_still_be_cancelled() {
    let mut rig = Rig::new();
    let client = rig.modern();
    let granted = rig.attach(attach_of("a"));
    let ticket = rig.ask(client, call(1));
    rig.pull(granted.lease);
    let lease = rig
        .attach_again(Former {
            lease: granted.name,
            received: vec![1],
            coming: vec![1],
        })
        .lease;
    rig.hang_up(ticket);
    let handouts = rig.pull(lease);
    assert_eq!(handouts[0].item, Item::Cancel(ticket));
}

#[test]
fn an_announced_answer_is_waited_for_three_gaps_and_not_at_all_once_another_host_is_there() {
    let mut rig = Rig::new();
    let client = rig.modern();
    let lease = rig.attach(attach_of("a")).lease;
    let ticket = rig.ask(client, call(1));
    rig.pull(lease);
    rig.broker.detach(rig.now, lease, &reload(&[], &[1]));
    rig.pass(s(29));
    rig.is_waiting(ticket);
    rig.pass(s(1));
    let missing = (Outcome::Unknown, "answer_missing".to_owned());
    assert_eq!(rig.ended(ticket), missing);

    let lease = rig.attach(attach_of("b")).lease;
    let ticket = rig.ask(client, call(2));
    rig.pull(lease);
    rig.broker
        .detach(rig.now, lease, &reload(&[], &[ticket.get()]));
    rig.attach(attach_of("c"));
    assert_eq!(rig.ended(ticket), missing);
}

#[test]
fn the_result_of_an_unknown_call_can_be_asked_for_when_it_came_after_all() {
    let mut rig = Rig::new();
    let client = rig.modern();
    let granted = rig.attach(attach_of("a"));
    let ticket = rig.ask(client, call(1));
    rig.pull(granted.lease);
    rig.broker.lost(rig.now, granted.lease);
    rig.drain();
    let ending = crate::rig::ending(&rig.answered(ticket)).unwrap();
    let id = ending.operation_id.unwrap();
    assert_eq!(id.len(), 32);
    assert!(ending.message.contains(&id), "{}", ending.message);
    assert!(!ending.retryable);
    assert!(matches!(rig.broker.operation(&id), Operation::Done(_)));

    let former = Former {
        lease: granted.name,
        received: vec![1],
        coming: vec![1],
    };
    let lease = rig.attach_again(former).lease;
    let answer = result(1, &json!("dug"));
    assert_eq!(rig.answer(lease, ticket, answer.clone()), Pushed::Late);
    assert_eq!(rig.broker.operation(&id), Operation::Done(answer));
    rig.pass_alive(lease, s(599));
    assert!(matches!(rig.broker.operation(&id), Operation::Done(_)));
    rig.pass(s(1));
    assert_eq!(rig.broker.operation(&id), Operation::Unknown);
}

#[test]
fn late_results_stay_within_their_limits_and_the_oldest_makes_room() {
    let config = Config::default().late(2, 10_000, s(600));
    let mut rig = Rig::with(config);
    let client = rig.modern();
    let ids = Vec::from_iter((1..=3).map(|id| {
        let lease = rig.attach(attach_of(&id.to_string())).lease;
        let ticket = rig.ask(client, call(id));
        rig.pull(lease);
        rig.broker.lost(rig.now, lease);
        rig.drain();
        let ending = crate::rig::ending(&rig.answered(ticket)).unwrap();
        ending.operation_id.unwrap()
    }));
    assert_eq!(rig.broker.operation(&ids[0]), Operation::Unknown);
    assert!(matches!(rig.broker.operation(&ids[2]), Operation::Done(_)));
    assert_eq!(rig.broker.status(rig.now).late, 2);
}

#[test]
fn what_is_no_answer_to_the_request_does_not_reach_the_client() {
    let mut rig = Rig::new();
    let client = rig.modern();
    let lease = rig.attach(attach_of("a")).lease;
    let no_answers = [
        result(2, &json!({})),
        call(1),
        notification("x"),
        Message::from("no JSON"),
    ];
    for no_answer in no_answers {
        let ticket = rig.ask(client, call(1));
        rig.pull(lease);
        assert_eq!(rig.answer(lease, ticket, no_answer), Pushed::Answered);
        assert_eq!(
            rig.ended(ticket),
            (Outcome::Unknown, "malformed".to_owned())
        );
    }
    let ticket = rig.ask(client, call(1));
    rig.pull(lease);
    let error = Message::error(None, -32700, "cannot read it", None::<()>);
    rig.answer(lease, ticket, error.clone());
    assert_eq!(rig.answered(ticket), error);
}

#[test]
fn a_foreign_host_hears_nothing_but_requests_and_its_answers_pass_as_they_are() {
    let mut rig = Rig::new();
    let client = rig.modern();
    let life = Life::Any {
        silence: s(5),
        working: s(300),
    };
    let attachment = Attachment::foreign(crate::rig::host("f"), 1, life);
    let lease = rig.try_attach_as(attachment).unwrap().lease;
    let ask = Ask::default().catalogue(false);
    let body = Message::from("[no JSON-RPC]");
    let ticket = rig.broker.ask(rig.now, client, body.clone(), ask).unwrap();
    let handouts = rig.pull(lease);
    assert_eq!(handouts.len(), 1, "nothing is asked by the broker itself");
    assert_eq!(handouts[0].meet, None);
    let answer = Message::from("data: {}\n\n");
    assert_eq!(rig.answer(lease, ticket, answer.clone()), Pushed::Answered);
    assert_eq!(rig.answered(ticket), answer);
    let ticket = rig.broker.ask(rig.now, client, body, ask).unwrap();
    rig.pull(lease);
    rig.hang_up(ticket);
    assert_eq!(rig.pull(lease), []);
}

#[test]
fn the_broker_refuses_what_it_has_no_room_for_and_what_is_no_request() {
    let mut rig = Rig::with(Config::default().limits(Limits::default().ops(1)));
    let client = rig.modern();
    rig.ask(client, call(1));
    let refusal = rig.try_ask(client, call(2)).unwrap_err();
    assert!(matches!(refusal, Refusal::Full(_)));
    assert_eq!(refusal.status(), 503);
    let ending = crate::rig::ending(&refusal.to_answer(Some(&Id::from(2)))).unwrap();
    assert_eq!(ending.outcome, Outcome::NotDelivered);
    assert_eq!(ending.retry_after_ms, Some(1_000));
    let refusal = rig.try_ask(client, notification("x")).unwrap_err();
    assert_eq!(refusal, Refusal::NotARequest("a notification"));
    rig.broker.gone(rig.now, client);
    let refusal = rig.try_ask(client, call(2)).unwrap_err();
    assert_eq!(refusal.status(), 404);
    assert!(crate::rig::ending(&refusal.to_answer(None)).is_some());
}

#[test]
fn the_end_of_the_broker_answers_everything_and_leaves_nothing() {
    let mut rig = Rig::new();
    let client = rig.modern();
    let lease = rig.attach(attach_of("a")).lease;
    let running = rig.ask(client, call(1));
    rig.pull(lease);
    let queued = rig.ask(client, call(2));
    rig.broker.shut_down(rig.now);
    rig.drain();
    let word = "shutting_down".to_owned();
    assert_eq!(rig.ended(running), (Outcome::Unknown, word.clone()));
    assert_eq!(rig.ended(queued), (Outcome::NotDelivered, word));
    assert_eq!(rig.over, [lease]);
    assert_eq!(rig.try_ask(client, call(3)), Err(Refusal::ShuttingDown));
    let status = rig.broker.status(rig.now);
    assert!(status.shutting_down && status.clients == 0 && status.host.is_none());
}

#[test]
fn a_ticket_that_nobody_gave_is_stray() {
    let mut rig = Rig::new();
    let lease = rig.attach(attach_of("a")).lease;
    let client = rig.modern();
    let ticket = rig.ask(client, call(1));
    for number in [0, 1, 2, 1 << 52, u64::MAX] {
        let pushed = rig.answer(lease, Ticket::from(number), result(1, &json!(1)));
        assert_eq!(pushed, Pushed::Stray, "{number}");
    }
    rig.is_waiting(ticket);
}
