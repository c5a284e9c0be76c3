//! Which stream a message goes to, for any sequence of events.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

use mcp_transport_broker::broker::{ClientId, Ticket};
use mcp_transport_broker::mcp::{Event, EventId, Kept, StreamId, Streams, sse};
use mcp_transport_core::Message;
use proptest::prelude::*;
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

fn client(number: u64) -> ClientId {
    format!("c{number}").parse().unwrap()
}

fn note(number: usize) -> Message {
    Message::from(format!(
        r#"{{"jsonrpc":"2.0","method":"n","params":{{"number":{number}}}}}"#
    ))
}

fn answer(number: usize) -> Message {
    Message::from(format!(
        r#"{{"jsonrpc":"2.0","id":{number},"result":{{}}}}"#
    ))
}

fn out(kept: Kept) -> Event {
    match kept {
        Kept::Out(event) => event,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_message_goes_where_it_belongs_else_to_the_get_else_to_the_oldest_that_streams() {
    let mut streams = Streams::new();
    let me = client(1);
    streams.begin(me);
    assert!(matches!(streams.tell(me, None, note(0)), Kept::Waits));
    let plain = streams.request(me, Ticket::from(1), false, false);
    let first = streams.request(me, Ticket::from(2), true, true);
    let second = streams.request(me, Ticket::from(3), true, true);
    assert_eq!(out(streams.tell(me, None, note(1))).stream, first);
    let about = Some(Ticket::from(3));
    assert_eq!(out(streams.tell(me, about, note(2))).stream, second);
    let about = Some(Ticket::from(1));
    assert_eq!(
        out(streams.tell(me, about, note(3))).stream,
        first,
        "{plain:?} takes none"
    );
    let get = streams.get(me, None);
    assert_eq!(get.events.len(), 1, "what has waited");
    assert_eq!(out(streams.tell(me, None, note(4))).stream, get.stream);
    let about = Some(Ticket::from(2));
    assert_eq!(out(streams.tell(me, about, note(5))).stream, first);
}

#[test]
fn of_what_waits_for_a_get_the_oldest_gives_way_where_there_is_no_room_for_its_bytes() {
    let mib = |size: usize| {
        Message::from(format!(
            r#"{{"jsonrpc":"2.0","method":"n","params":"{}"}}"#,
            "x".repeat(size << 20)
        ))
    };
    for (said, left) in [
        (&[9, 9][..], &[9][..]),
        (&[5, 6, 3, 4], &[6, 3, 4]),
        (&[1, 20], &[20]),
        (&[20, 1], &[1]),
        (&[7, 8], &[7, 8]),
    ] {
        let mut streams = Streams::new();
        let me = client(1);
        streams.begin(me);
        for size in said {
            assert!(matches!(streams.tell(me, None, mib(*size)), Kept::Waits));
        }
        let events = streams.get(me, None).events;
        let sizes = events.iter().map(|event| event.message.len() >> 20);
        assert_eq!(Vec::from_iter(sizes), left, "of {said:?}");
    }
}

#[test]
fn a_clients_message_never_goes_to_another_client() {
    let mut streams = Streams::new();
    streams.begin(client(1));
    streams.begin(client(2));
    streams.request(client(1), Ticket::from(1), true, true);
    streams.get(client(1), None);
    let stray = streams.tell(client(2), Some(Ticket::from(1)), note(1));
    assert!(matches!(stray, Kept::Waits));
}

#[test]
fn a_session_has_four_streams_and_the_oldest_gives_way() {
    let mut streams = Streams::new();
    let me = client(1);
    streams.begin(me);
    let first = streams.get(me, None);
    for _ in 0..3 {
        assert_eq!(streams.get(me, None).ends, None);
    }
    assert_eq!(streams.get(me, None).ends, Some(first.stream));
}

#[test]
fn what_is_kept_for_resuming_is_bounded() {
    let mut streams = Streams::new();
    let me = client(1);
    streams.begin(me);
    let stream = streams.get(me, None).stream;
    for number in 0..2_000 {
        streams.tell(me, None, note(number));
    }
    streams.lost(stream, true);
    let resumed = streams.get(me, Some(stream.first()));
    assert_eq!(resumed.stream, stream);
    assert_eq!(resumed.events.len(), 1_024);
    assert_eq!(resumed.events.last().unwrap().message, note(1_999));
}

#[test]
fn what_was_said_while_a_sessions_stream_was_broken_comes_when_it_goes_on() {
    let mut streams = Streams::new();
    let me = client(1);
    streams.begin(me);
    let stream = streams.get(me, None).stream;
    let seen = out(streams.tell(me, None, note(1))).id;
    streams.lost(stream, true);
    assert!(matches!(streams.tell(me, None, note(2)), Kept::Waits));
    let resumed = streams.get(me, seen);
    assert_eq!(resumed.stream, stream);
    assert_eq!(resumed.events.len(), 1);
    assert_eq!(resumed.events[0].message, note(2));
}

#[test]
fn event_ids_come_back_as_they_were_said() {
    let mut streams = Streams::new();
    streams.begin(client(1));
    let id = streams.get(client(1), None).stream.first();
    assert_eq!(id.to_string().parse::<EventId>().unwrap(), id);
    for text in [
        "",
        "1",
        "1-",
        "-1",
        "a-1",
        "1-a",
        "1-2-3",
        "99999999999999999999-1",
    ] {
        assert!(text.parse::<EventId>().is_err(), "{text}");
    }
}

#[derive(Clone, Debug)]
enum Step {
    Ask(u64),
    Get(u64),
    Tell(u64, Option<usize>),
    Answer(usize),
    Break(usize),
    Resume(usize),
    Over(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let who = 1_u64..4;
    prop_oneof![
        4 => who.clone().prop_map(Step::Ask),
        2 => who.clone().prop_map(Step::Get),
        6 => (who.clone(), prop::option::of(0_usize..8)).prop_map(|(who, about)| Step::Tell(who, about)),
        4 => (0_usize..8).prop_map(Step::Answer),
        3 => (0_usize..8).prop_map(Step::Break),
        3 => (0_usize..8).prop_map(Step::Resume),
        1 => who.prop_map(Step::Over),
    ]
}

/// One reader and what it got.
#[derive(Default)]
struct Reader {
    client: u64,
    seen: u64,
    got: Vec<u64>,
    ended: bool,
    reads: bool,
}

proptest! {
    /// Of each stream a reader gets every event once and in order, however often it breaks; no
    /// message goes to two streams, none to another client, and nothing comes after the answer.
    #[test]
    fn a_reader_that_comes_back_misses_nothing_and_gets_nothing_twice(
        steps in prop::collection::vec(step(), 0..120),
    ) {
        let mut streams = Streams::new();
        let mut readers: BTreeMap<StreamId, Reader> = BTreeMap::new();
        let mut open: VecDeque<(u64, Ticket)> = VecDeque::new();
        let mut said = HashSet::new();
        let (mut number, mut ticket) = (0, 0);
        for who in 1..4 {
            streams.begin(client(who));
        }
        let take = |readers: &mut BTreeMap<StreamId, Reader>, said: &mut HashSet<Vec<u8>>, who: u64, event: &Event, again: bool| {
            let reader = readers.get_mut(&event.stream).unwrap();
            let id = event.id.unwrap();
            assert_eq!(reader.client, who, "its own client's");
            assert!(!reader.ended, "nothing after the answer");
            assert_eq!(id.number, reader.seen + 1, "in order, none missing");
            reader.seen = id.number;
            reader.ended = event.last;
            reader.got.push(id.number);
            if !again {
                assert!(said.insert(event.message.as_bytes().to_vec()), "on one stream");
            }
        };
        for step in steps {
            match step {
                Step::Ask(who) => {
                    ticket += 1;
                    let ticket = Ticket::from(ticket);
                    let stream = streams.request(client(who), ticket, true, true);
                    readers.insert(stream, Reader { client: who, reads: true, ..Reader::default() });
                    open.push_back((who, ticket));
                }
                Step::Get(who) => {
                    let got = streams.get(client(who), None);
                    got.ends.map(|ends| readers.remove(&ends));
                    readers.insert(got.stream, Reader { client: who, reads: true, ..Reader::default() });
                    for event in &got.events {
                        take(&mut readers, &mut said, who, event, false);
                    }
                }
                Step::Tell(who, about) => {
                    number += 1;
                    let about = about.and_then(|place| open.get(place)).map(|(_, ticket)| *ticket);
                    if let Kept::Out(event) = streams.tell(client(who), about, note(number)) {
                        take(&mut readers, &mut said, who, &event, false);
                    }
                }
                Step::Answer(place) => {
                    let Some((who, ticket)) = open.remove(place) else { continue };
                    number += 1;
                    if let Some(event) = streams.answer(ticket, answer(number)) {
                        prop_assert!(event.last);
                        take(&mut readers, &mut said, who, &event, false);
                    }
                }
                Step::Break(place) => {
                    let Some((&stream, reader)) = readers.iter_mut().filter(|(_, reader)| reader.reads && !reader.ended).nth(place) else { continue };
                    reader.reads = false;
                    streams.lost(stream, true);
                }
                Step::Resume(place) => {
                    let Some((&stream, reader)) = readers.iter_mut().filter(|(_, reader)| !reader.reads).nth(place) else { continue };
                    let mut after = stream.first();
                    after.number = reader.seen;
                    reader.reads = true;
                    let who = reader.client;
                    let resumed = streams.get(client(who), Some(after));
                    prop_assert_eq!(resumed.stream, stream);
                    for event in &resumed.events {
                        take(&mut readers, &mut said, who, event, false);
                    }
                }
                Step::Over(who) => {
                    streams.over(client(who));
                    readers.retain(|_, reader| reader.client != who);
                    open.retain(|(owner, _)| *owner != who);
                    streams.begin(client(who));
                }
            }
        }
        let counts: HashMap<_, _> = readers.iter().map(|(id, reader)| (id, reader.got.len())).collect();
        for (id, reader) in &readers {
            prop_assert_eq!(counts[id] as u64, reader.seen);
        }
    }

    /// Whatever line ends a message has: what a reader of the stream joins is the same JSON.
    #[test]
    fn a_message_survives_its_event(
        words in prop::collection::vec("[a-z\"{}:, ]{0,9}", 0..9),
        ends in prop::collection::vec(prop::sample::select(vec!["\n", "\r", "\r\n", " "]), 9),
        large in any::<bool>(),
    ) {
        let mut text = "{".to_owned();
        for (word, end) in words.iter().zip(&ends) {
            text.push_str(word);
            text.push_str(end);
        }
        if large {
            text.push_str(&"x".repeat(20_000));
        }
        let mut pieces = VecDeque::new();
        sse::message(None, &Message::from(text.clone()), &mut pieces);
        let event: Vec<u8> = pieces.iter().flat_map(|piece| piece.to_vec()).collect();
        let event = String::from_utf8(event).unwrap();
        prop_assert!(event.ends_with("\n\n"));
        prop_assert_eq!(event.matches("\n\n").count(), 1);
        let read: Vec<_> = event.lines().filter_map(|line| line.strip_prefix("data: ")).collect();
        let squeeze = |text: &str| text.replace(['\r', '\n'], "");
        prop_assert_eq!(squeeze(&read.join("\n")), squeeze(&text));
    }
}
