//! Who is attached, and for how long.

use crate::calls::reload;
use crate::rig::{Rig, attach_of, call, ending, host, s};
use mcp_transport_broker::broker::{Attachment, Life};
use mcp_transport_broker::native::Word;
use mcp_transport_core::Outcome;
use std::time::Duration;

#[test]
fn another_host_is_refused_while_the_first_is_alive_and_told_who_that_is() {
    let mut rig = Rig::new();
    let first = rig.attach(attach_of("a"));
    rig.pass(s(4));
    let refused = rig.try_attach(attach_of("b")).unwrap_err();
    assert_eq!(refused.error, Word::Busy);
    assert_eq!(refused.holder.unwrap().name, "game");
    assert_eq!(refused.retry_after_ms, Some(6_000));
    assert!(rig.over.is_empty());
    rig.pass(s(6));
    assert_eq!(rig.over, [first.lease], "silent for 10 s");
    rig.try_attach(attach_of("b")).unwrap();
    let gone = rig.broker.lease(&first.name).unwrap_err();
    assert_eq!(
        (gone.error, gone.reason.as_deref()),
        (Word::LeaseOver, Some("stale"))
    );
}

#[test]
fn who_restarts_after_a_crash_is_told_to_ask_again_when_the_grace_is_over() {
    let mut rig = Rig::new();
    let mut attach = attach_of("a");
    attach.holds_connection = true;
    let lease = rig.try_attach(attach).unwrap().lease;
    rig.broker.connections(rig.now, lease, 1);
    rig.pass(s(4));
    let alive = rig.try_attach(attach_of("b")).unwrap_err();
    assert_eq!(alive.retry_after_ms, Some(1_000));

    rig.broker.connections(rig.now, lease, 0);
    rig.pass(Duration::from_micros(299_500));
    let crashed = rig.try_attach(attach_of("b")).unwrap_err();
    assert_eq!(crashed.retry_after_ms, Some(701));
    rig.pass(Duration::from_millis(701));
    rig.try_attach(attach_of("b")).unwrap();
}

#[test]
fn the_same_instance_takes_its_own_lease_over_at_once() {
    let mut rig = Rig::new();
    let first = rig.attach(attach_of("a"));
    let second = rig.attach(attach_of("a"));
    assert_eq!(rig.over, [first.lease]);
    assert_eq!(rig.broker.lease(&second.name), Ok(second.lease));
    let gone = rig.broker.lease(&first.name).unwrap_err();
    assert_eq!(gone.reason.as_deref(), Some("superseded"));
    assert!(rig.pull(first.lease).is_empty());
    let never = rig.broker.lease("nobody's").unwrap_err();
    assert_eq!(never.reason.as_deref(), Some("unknown"));
}

#[test]
fn hosts_without_an_instance_are_never_the_same() {
    let mut rig = Rig::new();
    rig.attach(attach_of(""));
    assert_eq!(rig.try_attach(attach_of("")).unwrap_err().error, Word::Busy);
}

#[test]
fn a_host_that_pings_stays_however_long_it_works() {
    let mut rig = Rig::new();
    let lease = rig.attach(attach_of("a")).lease;
    rig.pass_alive(lease, s(3_600));
    assert!(rig.over.is_empty());
}

#[test]
fn the_end_of_the_last_connection_is_the_end_of_a_host_that_holds_one_after_a_second() {
    let mut rig = Rig::new();
    let mut attach = attach_of("a");
    attach.holds_connection = true;
    let lease = rig.try_attach(attach).unwrap().lease;
    rig.broker.connections(rig.now, lease, 2);
    let client = rig.modern();
    let ticket = rig.ask(client, call(1));
    rig.pull(lease);
    rig.broker.connections(rig.now, lease, 0);
    rig.pass(s(1) / 2);
    rig.broker.connections(rig.now, lease, 1);
    rig.pass(s(2));
    rig.is_waiting(ticket);
    rig.broker.connections(rig.now, lease, 0);
    rig.pass(s(1));
    assert_eq!(rig.over, [lease]);
    let ending = ending(&rig.answered(ticket)).unwrap();
    assert_eq!(ending.outcome, Outcome::Unknown);
    assert!(
        ending.message.contains("closed its connections"),
        "{}",
        ending.message
    );
}

#[test]
fn a_host_that_never_opens_the_connection_that_it_holds_is_gone_after_a_second() {
    let mut rig = Rig::new();
    let mut attach = attach_of("a");
    attach.holds_connection = true;
    let lease = rig.try_attach(attach).unwrap().lease;
    rig.pass(s(1));
    assert_eq!(rig.over, [lease]);
}

#[test]
fn clients_are_told_why_nobody_is_there() {
    let mut rig = Rig::new();
    let client = rig.modern();
    let lease = rig.attach(attach_of("a")).lease;
    rig.broker.detach(rig.now, lease, &reload(&[], &[]));
    rig.pass(s(5));
    let ticket = rig.ask(client, call(1));
    rig.pass(s(50));
    let ending = ending(&rig.answered(ticket)).unwrap();
    assert!(
        ending.message.contains("game reloads, 55 s so far"),
        "{}",
        ending.message
    );
    let gone = rig.broker.status(rig.now).away.unwrap();
    assert_eq!(gone, "game reloads, 55 s so far");
}

/// The life of another dialect's host.
fn any() -> Attachment {
    let life = Life::Any {
        silence: s(5),
        working: s(300),
    };
    Attachment::foreign(host("f"), 1, life)
}

#[test]
fn a_foreign_host_lives_by_a_connection_or_by_what_it_works_on() {
    let mut rig = Rig::new();
    let lease = rig.try_attach_as(any()).unwrap().lease;
    rig.broker.connections(rig.now, lease, 1);
    rig.pass(s(3_600));
    assert!(rig.over.is_empty(), "it has a connection");
    let client = rig.modern();
    rig.ask(client, call(1));
    rig.pull(lease);
    rig.broker.connections(rig.now, lease, 0);
    rig.pass(s(299));
    assert!(rig.over.is_empty(), "it works");
    rig.pass(s(1));
    assert_eq!(rig.over, [lease]);
}

#[test]
fn a_parked_pull_is_told_once_that_there_is_something() {
    let mut rig = Rig::new();
    let client = rig.modern();
    let lease = rig.attach(attach_of("a")).lease;
    assert!(rig.pull(lease).is_empty());
    rig.ready = 0;
    rig.ask(client, call(1));
    rig.ask(client, call(2));
    assert_eq!(rig.ready, 1);
    assert_eq!(rig.broker.pull(rig.now, lease, 1).len(), 1);
    rig.drain();
    assert_eq!(rig.ready, 2, "there is more");
    rig.pull(lease);
    assert_eq!(rig.ready, 2);
}
