//! Legacy sessions, and what outlives a host.

use crate::calls::reload;
use crate::rig::{
    LEGACY, Rig, attach_of, call, ending, initialize, initialize_result, notification, request,
    result, result_of, s,
};
use mcp_transport_broker::broker::{ClientId, Config, Handout, Item, Lease, Refusal, Ticket};
use mcp_transport_broker::native::{Era, Former, Meet};
use mcp_transport_core::{Message, Outcome};
use serde_json::{Value, json};

/// The requests and asides of this client in what a pull got.
fn of(client: ClientId, handouts: &[Handout]) -> Vec<(Option<Ticket>, String)> {
    handouts
        .iter()
        .filter(|handout| handout.client == client)
        .map(|handout| match &handout.item {
            Item::Request {
                ticket, message, ..
            } => (Some(*ticket), message.method().unwrap().to_owned()),
            Item::Aside(message) => (None, message.method().unwrap().to_owned()),
            other => panic!("{other:?}"),
        })
        .collect()
}

fn replayed(rig: &mut Rig, lease: Lease, client: ClientId) -> Ticket {
    let steps = of(client, &rig.pull(lease));
    assert_eq!(steps[0].1, "initialize");
    assert_eq!(steps.len(), 1, "the rest waits for its answer");
    steps[0].0.unwrap()
}

#[test]
fn a_session_has_a_name_that_nobody_guesses_and_hosts_know_another() {
    let mut rig = Rig::new();
    let client = rig.legacy();
    let name = rig.broker.session_name(client).unwrap().to_owned();
    assert_eq!(name.len(), 32);
    assert_eq!(rig.broker.session(&name), Some(client));
    assert_eq!(client.to_string().parse(), Ok(client));
    rig.broker.gone(rig.now, client);
    assert_eq!(rig.broker.session(&name), None);
    let modern = rig.modern();
    assert_eq!(rig.broker.session_name(modern), None);
}

#[test]
fn a_session_is_set_up_again_at_the_next_host_before_anything_else() {
    let mut rig = Rig::new();
    let lease = rig.attach(attach_of("a")).lease;
    let client = rig.initialised(lease);
    let level = rig.ask(client, request(1, "logging/setLevel"));
    rig.pull(lease);
    rig.answer(lease, level, result(1, &json!({})));
    rig.answered(level);
    rig.broker.detach(rig.now, lease, &reload(&[], &[]));
    rig.drain();
    let first = rig.ask(client, call(2));
    let other = rig.modern();
    let second = rig.ask(other, call(3));
    let third = rig.ask(client, call(4));

    let lease = rig.attach(attach_of("b")).lease;
    let handouts = rig.pull(lease);
    let steps = of(client, &handouts);
    assert_eq!(steps.len(), 1);
    assert_eq!(handouts[0].meet.as_ref().unwrap().era, Era::Legacy);
    assert_eq!(
        of(other, &handouts)[0].0,
        Some(second),
        "others do not wait"
    );
    rig.answer(lease, steps[0].0.unwrap(), result(0, &initialize_result()));
    let steps = of(client, &rig.pull(lease));
    assert_eq!(steps[0], (None, "notifications/initialized".to_owned()));
    assert_eq!(steps[1].1, "logging/setLevel");
    assert_eq!(steps.len(), 2);
    rig.answer(lease, steps[1].0.unwrap(), result(1, &json!({})));
    let calls = of(client, &rig.pull(lease));
    let tickets = Vec::from_iter(calls.iter().map(|(ticket, _)| ticket.unwrap()));
    assert_eq!(tickets, [first, third]);
    assert!(
        rig.answers.is_empty(),
        "the answers to the handshake are swallowed"
    );
}

#[test]
fn a_host_that_goes_in_the_middle_of_a_replay_has_not_touched_what_waited() {
    let mut rig = Rig::new();
    let lease = rig.attach(attach_of("a")).lease;
    let client = rig.initialised(lease);
    rig.broker.detach(rig.now, lease, &reload(&[], &[]));
    let ticket = rig.ask(client, call(1));
    let lease = rig.attach(attach_of("b")).lease;
    replayed(&mut rig, lease, client);
    rig.broker.lost(rig.now, lease);
    rig.drain();
    rig.is_waiting(ticket);
    let lease = rig.attach(attach_of("c")).lease;
    let step = replayed(&mut rig, lease, client);
    rig.answer(lease, step, result(0, &initialize_result()));
    let steps = of(client, &rig.pull(lease));
    assert_eq!(steps[1].0, Some(ticket));
}

/// A session whose next host answers its replay so.
fn refused_by(answer: Option<Message>) {
    let mut rig = Rig::new();
    let lease = rig.attach(attach_of("a")).lease;
    let client = rig.initialised(lease);
    let name = rig.broker.session_name(client).unwrap().to_owned();
    rig.broker.detach(rig.now, lease, &reload(&[], &[]));
    let ticket = rig.ask(client, call(1));
    let lease = rig.attach(attach_of("b")).lease;
    let step = replayed(&mut rig, lease, client);
    match answer {
        Some(answer) => drop(rig.answer(lease, step, answer)),
        None => rig.pass_alive(lease, s(10)),
    }
    let ending = ending(&rig.answered(ticket)).unwrap();
    assert_eq!(ending.outcome, Outcome::NotDelivered);
    assert!(
        ending.message.contains("Initialise again"),
        "{}",
        ending.message
    );
    assert_eq!(rig.closed, [client]);
    assert_eq!(rig.broker.session(&name), None);
    let refusal = rig.try_ask(client, call(2)).unwrap_err();
    assert_eq!(refusal, Refusal::UnknownClient(client));
}

#[test]
fn a_host_that_refuses_the_session_ends_it() {
    refused_by(Some(Message::error(
        Some(&0.into()),
        -32600,
        "no",
        None::<()>,
    )));
}

#[test]
fn a_host_that_agrees_on_another_version_ends_the_session() {
    let other = json!({"protocolVersion":"2024-11-05","capabilities":{}});
    refused_by(Some(result(0, &other)));
}

#[test]
fn a_host_that_does_not_take_the_session_up_within_ten_seconds_ends_it() {
    refused_by(None);
}

#[test]
fn a_session_that_a_former_life_of_the_host_set_up_is_said_again_to_this_one() {
    let mut rig = Rig::new();
    let granted = rig.attach(attach_of("a"));
    let client = rig.legacy();
    let ticket = rig.ask(client, initialize(0));
    rig.pull(granted.lease);
    let former = Former {
        lease: granted.name,
        received: vec![ticket.get()],
        coming: vec![ticket.get()],
    };
    let lease = rig.attach_again(former).lease;
    rig.answer(lease, ticket, result(0, &initialize_result()));
    rig.answered(ticket);
    let step = replayed(&mut rig, lease, client);
    rig.answer(lease, step, result(0, &initialize_result()));
    rig.tell(client, notification("notifications/initialized"));
    let steps = of(client, &rig.pull(lease));
    assert_eq!(steps.len(), 1);
    assert!(rig.answers.is_empty());
}

#[test]
fn what_a_client_says_while_no_host_is_there_goes_to_none_but_sets_its_session_up() {
    let mut rig = Rig::new();
    let lease = rig.attach(attach_of("a")).lease;
    let client = rig.legacy();
    let ticket = rig.ask(client, initialize(0));
    rig.pull(lease);
    rig.answer(lease, ticket, result(0, &initialize_result()));
    rig.broker.detach(rig.now, lease, &reload(&[], &[]));
    rig.tell(client, notification("notifications/initialized"));
    rig.tell(client, notification("notifications/roots/list_changed"));
    let lease = rig.attach(attach_of("b")).lease;
    let step = replayed(&mut rig, lease, client);
    rig.answer(lease, step, result(0, &initialize_result()));
    let steps = of(client, &rig.pull(lease));
    assert_eq!(steps, [(None, "notifications/initialized".to_owned())]);
}

#[test]
fn an_answer_to_a_host_that_is_gone_is_dropped_and_its_client_told_that_nobody_waits() {
    let mut rig = Rig::new();
    let lease = rig.attach(attach_of("a")).lease;
    let client = rig.initialised(lease);
    let question = request(9, "roots/list");
    rig.broker.say(rig.now, lease, client, None, question);
    rig.drain();
    assert_eq!(rig.tells.remove(0).2.method(), Some("roots/list"));
    rig.broker.lost(rig.now, lease);
    rig.drain();
    let cancelled: Value = rig.tells.remove(0).2.json().unwrap();
    assert_eq!(cancelled["method"], "notifications/cancelled");
    assert_eq!(cancelled["params"]["requestId"], 9);
    let lease = rig.attach(attach_of("b")).lease;
    let step = replayed(&mut rig, lease, client);
    rig.tell(client, result(9, &json!({"roots":[]})));
    rig.answer(lease, step, result(0, &initialize_result()));
    let steps = rig.pull(lease);
    let answers = steps.iter().filter(
        |handout| matches!(&handout.item, Item::Aside(message) if message.method().is_none()),
    );
    assert_eq!(answers.count(), 0);
}

#[test]
fn an_id_is_in_flight_once_in_a_session() {
    let mut rig = Rig::new();
    let client = rig.legacy();
    let ticket = rig.ask(client, call(1));
    let refusal = rig.try_ask(client, call(1)).unwrap_err();
    let answer = refusal.to_answer(call(1).id());
    assert!(answer.as_str().unwrap().contains("-32600"));
    rig.hang_up(ticket);
    rig.ask(client, call(1));
}

#[test]
fn a_cancelled_call_is_withdrawn_or_cancelled_at_the_host_and_gets_no_answer() {
    let mut rig = Rig::new();
    let lease = rig.attach(attach_of("a")).lease;
    let client = rig.initialised(lease);
    let cancel = |id: u64| {
        let params = json!({"requestId": id});
        let message = json!({"jsonrpc":"2.0","method":"notifications/cancelled","params":params});
        Message::from(message.to_string())
    };
    let running = rig.ask(client, call(1));
    rig.pull(lease);
    let queued = rig.ask(client, call(2));
    rig.tell(client, cancel(2));
    rig.tell(client, cancel(1));
    rig.tell(client, cancel(3));
    assert_eq!(rig.cancelled, [queued, running]);
    let handouts = rig.pull(lease);
    assert_eq!(handouts.len(), 1);
    assert_eq!(handouts[0].item, Item::Cancel(running));
    rig.pass_alive(lease, s(700));
    assert!(rig.answers.is_empty());
}

#[test]
fn a_session_without_a_stream_or_a_call_ends_after_half_an_hour() {
    let mut rig = Rig::new();
    let client = rig.legacy();
    let streaming = rig.legacy();
    rig.broker.streams(rig.now, streaming, 1);
    rig.pass(s(29 * 60));
    rig.tell(client, notification("notifications/initialized"));
    rig.pass(s(29 * 60));
    assert!(rig.closed.is_empty());
    rig.pass(s(60));
    assert_eq!(rig.closed, [client]);
    rig.broker.streams(rig.now, streaming, 0);
    rig.pass(s(60 * 60));
    assert_eq!(rig.closed, [client, streaming]);
}

#[test]
fn beyond_the_limit_the_session_goes_that_was_unused_for_the_longest_time() {
    let mut rig = Rig::with(Config::default().sessions(2).clients(3));
    let first = rig.legacy();
    rig.pass(s(1));
    let second = rig.legacy();
    rig.pass(s(1));
    rig.ask(first, call(1));
    let third = rig.legacy();
    assert_eq!(rig.broker.session_name(second), None);
    rig.drain();
    assert_eq!(rig.closed, [second]);
    rig.ask(third, call(1));
    let meet = Meet {
        era: Era::Legacy,
        version: LEGACY.to_owned(),
    };
    let refusal = rig.broker.meet(rig.now, meet).unwrap_err();
    assert_eq!(refusal, Refusal::Clients { limit: 2 });
}

#[test]
fn a_host_that_ends_what_served_a_session_ends_the_session() {
    let mut rig = Rig::new();
    let lease = rig.attach(attach_of("a")).lease;
    let client = rig.initialised(lease);
    let ticket = rig.ask(client, call(1));
    rig.pull(lease);
    rig.broker.closed(rig.now, lease, client);
    rig.drain();
    assert_eq!(
        rig.ended(ticket),
        (Outcome::Unknown, "session_over".to_owned())
    );
    assert_eq!(rig.closed, [client]);
    assert!(rig.pull(lease).is_empty(), "it knows");
}

#[test]
fn a_host_that_ends_what_served_a_connection_serves_its_next_call_afresh() {
    let mut rig = Rig::new();
    let lease = rig.attach(attach_of("a")).lease;
    let client = rig.modern();
    let ticket = rig.ask(client, call(1));
    rig.pull(lease);
    rig.broker.closed(rig.now, lease, client);
    rig.drain();
    assert_eq!(rig.ended(ticket).0, Outcome::Unknown);
    rig.ask(client, call(2));
    let handouts = rig.pull(lease);
    assert!(handouts[0].meet.is_some());
}

#[test]
fn what_the_host_says_to_a_connection_belongs_to_the_call_on_it() {
    let mut rig = Rig::new();
    let lease = rig.attach(attach_of("a")).lease;
    let client = rig.modern();
    let ticket = rig.ask(client, call(1));
    rig.pull(lease);
    let note = notification("notifications/message");
    rig.broker.say(rig.now, lease, client, None, note.clone());
    rig.drain();
    assert_eq!(rig.tells, [(client, Some(ticket), note)]);
}

#[test]
fn a_request_of_the_hosts_to_a_client_that_takes_none_is_refused() {
    let mut rig = Rig::new();
    let lease = rig.attach(attach_of("a")).lease;
    let client = rig.modern();
    rig.ask(client, call(1));
    rig.pull(lease);
    rig.broker
        .say(rig.now, lease, client, None, request(9, "roots/list"));
    let handouts = rig.pull(lease);
    let Item::Aside(message) = &handouts[0].item else {
        panic!("{handouts:?}");
    };
    assert!(message.as_str().unwrap().contains("-32601"));
    assert!(rig.tells.is_empty());
}

#[test]
fn the_host_is_told_of_a_client_that_is_gone_if_it_has_met_it() {
    let mut rig = Rig::new();
    let lease = rig.attach(attach_of("a")).lease;
    let (met, stranger) = (rig.modern(), rig.modern());
    let ticket = rig.ask(met, call(1));
    rig.pull(lease);
    rig.answer(lease, ticket, result_of(&call(1), &json!({})));
    rig.broker.gone(rig.now, met);
    rig.broker.gone(rig.now, stranger);
    let handouts = rig.pull(lease);
    assert_eq!(handouts.len(), 1);
    assert_eq!((handouts[0].client, &handouts[0].item), (met, &Item::Gone));
}
