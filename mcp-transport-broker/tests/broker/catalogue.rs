//! What is answered while no host is there, and who hears of it when the next differs.

use crate::calls::reload;
use crate::rig::{
    LEGACY, MODERN, Rig, attach_of, call, initialize, initialize_result, is_inquiry, notification,
    request, result, s,
};
use mcp_transport_broker::broker::{Broker, Config, Item, Lease, Snapshot};
use mcp_transport_core::{Id, Message};
use serde_json::{Value, json};

/// Answers everything that the broker itself asks, and what comes of it.
fn serve_inquiries(rig: &mut Rig, lease: Lease, tools: &Value) {
    loop {
        let handouts = rig.pull(lease);
        let mut others = Vec::new();
        let mut asked = false;
        for handout in handouts {
            match &handout.item {
                Item::Request {
                    ticket, message, ..
                } if is_inquiry(message) || message.id().unwrap().as_i64() > Some(1 << 52) => {
                    asked = true;
                    let answer = match message.method().unwrap() {
                        "initialize" => initialize_result(),
                        "server/discover" => {
                            json!({"supportedVersions":[MODERN],"capabilities":{"tools":{}}})
                        }
                        "tools/list" => tools.clone(),
                        other => panic!("{other} is not offered"),
                    };
                    let answer = Message::response(message.id().unwrap(), answer).unwrap();
                    rig.answer(lease, *ticket, answer);
                }
                Item::Aside(_) | Item::Gone => {}
                _ => others.push(handout),
            }
        }
        rig.broker.unpull(rig.now, lease, others);
        rig.drain();
        if !asked {
            return;
        }
    }
}

fn tools(name: &str) -> Value {
    json!({"tools":[{"name":name,"inputSchema":{"type":"object"}}]})
}

fn modern_request(id: u64, method: &str) -> Message {
    let meta = json!({"io.modelcontextprotocol/protocolVersion":MODERN});
    let params = json!({"_meta":meta});
    Message::from(json!({"jsonrpc":"2.0","id":id,"method":method,"params":params}).to_string())
}

fn listen(id: u64) -> Message {
    let params = json!({"notifications":{"toolsListChanged":true}});
    let message = json!({"jsonrpc":"2.0","id":id,"method":"subscriptions/listen","params":params});
    Message::from(message.to_string())
}

fn body(answer: &Message) -> Value {
    serde_json::from_str(answer.body().unwrap()).unwrap()
}

/// A broker whose host has been asked, and is gone.
fn known(rig: &mut Rig, name: &str) {
    let lease = rig.try_attach(attach_of("a")).unwrap().lease;
    serve_inquiries(rig, lease, &tools(name));
    rig.broker.detach(rig.now, lease, &reload(&[], &[]));
    rig.drain();
}

#[test]
fn lists_are_answered_while_the_host_is_away_to_clients_of_either_era() {
    let mut rig = Rig::new();
    known(&mut rig, "dig");
    let modern = rig.modern();
    let ticket = rig.ask(modern, modern_request(1, "tools/list"));
    let answer = rig.answered(ticket);
    assert_eq!(answer.id(), Some(&Id::from(1)));
    assert_eq!(body(&answer), tools("dig"));
    let ticket = rig.ask(modern, modern_request(2, "server/discover"));
    assert_eq!(body(&rig.answered(ticket))["supportedVersions"][0], MODERN);

    let legacy = rig.legacy();
    let ticket = rig.ask(legacy, initialize(0));
    assert_eq!(body(&rig.answered(ticket))["protocolVersion"], LEGACY);
    rig.tell(legacy, notification("notifications/initialized"));
    let ticket = rig.ask(legacy, request(1, "tools/list"));
    assert_eq!(body(&rig.answered(ticket)), tools("dig"));
    let ticket = rig.ask(legacy, request(2, "ping"));
    assert_eq!(body(&rig.answered(ticket)), json!({}));
    // What is not known waits.
    let ticket = rig.ask(legacy, request(3, "resources/list"));
    rig.is_waiting(ticket);
    let ticket = rig.ask(legacy, call(4));
    rig.is_waiting(ticket);

    // The session that nobody but the broker has seen is set up at the next host.
    let lease = rig.try_attach(attach_of("b")).unwrap().lease;
    let handouts = rig.pull(lease);
    let first = handouts.iter().find(|handout| handout.client == legacy);
    let Item::Request { message, .. } = &first.unwrap().item else {
        panic!("{first:?}");
    };
    assert_eq!(*message, initialize(0));
}

#[test]
fn a_list_that_waits_for_a_host_is_answered_when_the_host_goes() {
    let mut rig = Rig::new();
    known(&mut rig, "dig");
    let lease = rig.try_attach(attach_of("b")).unwrap().lease;
    serve_inquiries(&mut rig, lease, &tools("dig"));
    let client = rig.modern();
    let queued = rig.ask(client, modern_request(1, "tools/list"));
    let other = rig.modern();
    let waits = rig.ask(other, modern_request(2, "tools/call"));
    rig.is_waiting(queued);
    rig.broker.lost(rig.now, lease);
    rig.drain();
    assert_eq!(body(&rig.answered(queued)), tools("dig"));
    rig.is_waiting(waits);

    // The next host hears of it no more.
    let lease = rig.try_attach(attach_of("c")).unwrap().lease;
    serve_inquiries(&mut rig, lease, &tools("dig"));
    assert_eq!(rig.pull_tickets(lease), [(waits.get(), false)]);
}

#[test]
fn without_a_catalogue_nothing_is_made_up() {
    let mut rig = Rig::new();
    let client = rig.legacy();
    let methods = ["initialize", "ping", "tools/list"];
    let tickets = [0, 1, 2].map(|id| rig.ask(client, request(id, methods[id as usize])));
    tickets.iter().for_each(|&ticket| rig.is_waiting(ticket));
}

#[test]
fn with_a_host_attached_it_is_the_host_that_answers() {
    let mut rig = Rig::new();
    known(&mut rig, "dig");
    let lease = rig.try_attach(attach_of("b")).unwrap().lease;
    serve_inquiries(&mut rig, lease, &tools("dig"));
    let client = rig.modern();
    let ticket = rig.ask(client, modern_request(1, "tools/list"));
    rig.is_waiting(ticket);
    assert_eq!(rig.pull_tickets(lease), [(ticket.get(), false)]);
}

#[test]
fn clients_hear_of_a_host_that_offers_something_else() {
    let mut rig = Rig::new();
    let lease = rig.try_attach(attach_of("a")).unwrap().lease;
    serve_inquiries(&mut rig, lease, &tools("dig"));
    let legacy = rig.initialised(lease);
    let modern = rig.modern();
    let subscription = rig.ask(modern, listen(5));
    rig.pull(lease);
    let ack = notification("notifications/subscriptions/acknowledged");
    rig.broker
        .say(rig.now, lease, modern, Some(subscription), ack.clone());
    rig.drain();
    assert_eq!(rig.tells.len(), 1);
    rig.tells.clear();
    rig.broker.detach(rig.now, lease, &reload(&[], &[]));
    rig.drain();

    let lease = rig.try_attach(attach_of("b")).unwrap().lease;
    serve_inquiries(&mut rig, lease, &tools("build"));
    let mut told = std::mem::take(&mut rig.tells);
    told.sort_by_key(|(client, ..)| *client);
    assert_eq!(told.len(), 2, "{told:?}");
    assert_eq!((told[0].0, told[0].1), (legacy, None));
    assert_eq!(told[0].2, notification("notifications/tools/list_changed"));
    assert_eq!((told[1].0, told[1].1), (modern, Some(subscription)));
    let told: Value = told[1].2.json().unwrap();
    assert_eq!(told["method"], "notifications/tools/list_changed");
    assert_eq!(
        told["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"],
        5
    );

    // The subscription is taken up by the new host, and its client hears of that nothing.
    let handed = rig.pull_tickets(lease);
    assert!(handed.contains(&(subscription.get(), true)), "{handed:?}");
    rig.broker
        .say(rig.now, lease, modern, Some(subscription), ack);
    rig.drain();
    assert!(rig.tells.is_empty());
}

#[test]
fn nobody_hears_of_a_host_that_offers_the_same() {
    let mut rig = Rig::new();
    let lease = rig.try_attach(attach_of("a")).unwrap().lease;
    serve_inquiries(&mut rig, lease, &tools("dig"));
    rig.initialised(lease);
    rig.broker.detach(rig.now, lease, &reload(&[], &[]));
    rig.snapshot = None;
    let lease = rig.try_attach(attach_of("b")).unwrap().lease;
    serve_inquiries(&mut rig, lease, &tools("dig"));
    assert!(rig.tells.is_empty(), "{:?}", rig.tells);
    assert!(rig.snapshot.is_none(), "nothing to be written");
}

#[test]
fn a_subscription_outlives_any_number_of_hosts() {
    let mut rig = Rig::new();
    let client = rig.modern();
    let subscription = rig.ask(client, listen(5));
    for instance in 0..10 {
        let lease = rig.attach(attach_of(&instance.to_string())).lease;
        assert_eq!(
            rig.pull_tickets(lease),
            [(subscription.get(), instance > 0)]
        );
        let ack = notification("notifications/subscriptions/acknowledged");
        rig.broker
            .say(rig.now, lease, client, Some(subscription), ack);
        rig.pass_alive(lease, s(1_000));
        rig.broker.lost(rig.now, lease);
        rig.drain();
        rig.pass(s(100));
    }
    rig.is_waiting(subscription);
    assert_eq!(rig.tells.len(), 1, "acknowledged once");
}

#[test]
fn a_subscription_takes_no_place_in_the_window() {
    let mut rig = Rig::new();
    let client = rig.modern();
    let mut attach = attach_of("a");
    attach.window = 1;
    let lease = rig.attach(attach).lease;
    rig.ask(client, listen(1));
    rig.ask(client, listen(2));
    rig.ask(client, call(3));
    assert_eq!(rig.pull(lease).len(), 3);
}

#[test]
fn a_subscription_that_no_host_takes_is_answered_in_time() {
    let mut rig = Rig::new();
    let client = rig.modern();
    let subscription = rig.ask(client, listen(5));
    rig.pass(s(120));
    assert_eq!(rig.ended(subscription).1, "hold_expired");
}

#[test]
fn a_catalogue_is_kept_and_read_back() {
    let mut rig = Rig::new();
    known(&mut rig, "dig");
    let kept = serde_json::to_string(&rig.snapshot.unwrap()).unwrap();
    let snapshot: Snapshot = serde_json::from_str(&kept).unwrap();
    assert_eq!(snapshot.project, "Game@1");

    let mut rig = Rig::new();
    rig.broker.restore(snapshot);
    let client = rig.modern();
    let ticket = rig.ask(client, modern_request(1, "tools/list"));
    assert_eq!(body(&rig.answered(ticket)), tools("dig"));
}

#[test]
fn what_a_host_refuses_is_forgotten() {
    let mut rig = Rig::new();
    known(&mut rig, "dig");
    let lease = rig.attach(attach_of("b")).lease;
    rig.broker.lost(rig.now, lease);
    rig.drain();
    let client = rig.modern();
    let ticket = rig.ask(client, modern_request(1, "tools/list"));
    rig.is_waiting(ticket);
}

#[test]
fn the_catalogue_learns_from_what_clients_ask_and_pages_are_followed() {
    let mut rig = Rig::new();
    let lease = rig.try_attach(attach_of("a")).unwrap().lease;
    let page = json!({"tools":[],"nextCursor":"2"});
    // Each page names a next one, and there is an end to that.
    serve_inquiries(&mut rig, lease, &page);
    let snapshot = rig.snapshot.take().unwrap();
    assert!(snapshot.entries.len() <= 6, "{}", snapshot.entries.len());
    let client = rig.modern();
    let ticket = rig.ask(client, modern_request(1, "prompts/list"));
    rig.pull(lease);
    let prompts = json!({"prompts":[{"name":"p"}]});
    rig.answer(lease, ticket, result(1, &prompts));
    rig.answered(ticket);
    rig.broker.lost(rig.now, lease);
    rig.drain();
    let ticket = rig.ask(client, modern_request(2, "prompts/list"));
    assert_eq!(body(&rig.answered(ticket)), prompts);
}

#[test]
fn the_brokers_own_clients_answer_a_host_that_asks_them() {
    let mut rig = Rig::new();
    let lease = rig.try_attach(attach_of("a")).unwrap().lease;
    let handouts = rig.pull(lease);
    let own = handouts[0].client;
    rig.broker
        .say(rig.now, lease, own, None, request(1, "ping"));
    rig.broker
        .say(rig.now, lease, own, None, request(2, "roots/list"));
    let answers = rig.pull(lease);
    let errors = answers.iter().map(|handout| match &handout.item {
        Item::Aside(message) => message.as_str().unwrap().contains("-32601"),
        other => panic!("{other:?}"),
    });
    assert_eq!(Vec::from_iter(errors), [false, true]);
    assert!(rig.tells.is_empty());
}

#[test]
fn a_broker_says_of_itself_how_much_it_has_and_never_what() {
    let broker = Broker::new(Config::default(), crate::rig::dice());
    let text = format!("{broker:?}");
    assert!(text.contains("clients: 0"), "{text}");
}
