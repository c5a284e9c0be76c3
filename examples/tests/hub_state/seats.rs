//! Who has a project's seat, who waits for it, and why nobody duels.

use crate::hub::*;

#[test]
fn a_second_plugin_of_a_project_waits_without_registered_and_is_seated_when_the_first_goes() {
    let mut hub = Hub::new();
    let (first, second) = (hub.plugin("h"), hub.plugin("h"));
    hub.pass_hearing(s(60), &[first, second]);
    assert_eq!(hub.told(second)[0], "welcome");
    assert!(hub.is_seated(first) && !hub.is_seated(second));
    assert_eq!(hub.instance("h").standby, 1);
    hub.gone(first, LOST, &[]);
    assert!(hub.is_seated(second));
    assert_eq!(hub.closed, [], "nobody is closed for being older");
    assert_eq!(hub.instance("h").standby, 0);
}

#[test]
fn the_seat_goes_to_the_one_who_waits_longest() {
    let mut hub = Hub::new();
    let plugins: Vec<SocketId> = (0..4).map(|_| hub.plugin("h")).collect();
    for pair in plugins.windows(2) {
        assert!(hub.is_seated(pair[0]) && !hub.is_seated(pair[1]));
        hub.gone(pair[0], LOST, &[]);
    }
    assert!(hub.is_seated(plugins[3]));
}

#[test]
fn a_standby_that_leaves_costs_the_holder_nothing() {
    let mut hub = Hub::new();
    let (holder, standby) = (hub.plugin("h"), hub.plugin("h"));
    let call = hub.submit("h", Replay::Never);
    hub.gone(standby, QUIT, &[]);
    assert_eq!(hub.instance("h").phase, Phase::Connected);
    let (id, _) = hub.command(holder);
    hub.answer(holder, &id);
    assert!(matches!(hub.end_of(call), Some(End::Answered(_))));
}

#[test]
fn a_holder_silent_for_ten_seconds_loses_its_seat_and_its_call_is_unknown() {
    let mut hub = Hub::new();
    let (holder, standby) = (hub.plugin("h"), hub.plugin("h"));
    let change = hub.submit("h", Replay::Never);
    let behind = hub.submit("h", Replay::Never);
    hub.pass_hearing(s(10), &[standby]);
    assert_eq!(hub.code(holder), None, "ten seconds are not more than ten");
    hub.pass(ms(1));
    assert_eq!(hub.code(holder), Some(4002));
    assert_eq!(hub.end_of(change), lost(Outcome::Unknown, Why::Superseded));
    assert!(hub.is_seated(standby));
    let (id, _) = hub.command(standby);
    hub.answer(standby, &id);
    assert!(matches!(hub.end_of(behind), Some(End::Answered(_))));
    assert!(hub.instance("h").superseded.is_some());
}

#[test]
fn a_holder_whose_connection_breaks_may_be_at_work_while_a_standby_has_its_seat() {
    let mut hub = Hub::new();
    let (holder, standby) = (hub.plugin("h"), hub.plugin("h"));
    let change = hub.submit("h", Replay::Never);
    hub.gone(holder, LOST, &[]);
    assert_eq!(hub.end_of(change), lost(Outcome::Unknown, Why::Superseded));
    // With nobody in standby it is a reload, or a crash.
    let change = hub.submit("h", Replay::Never);
    hub.gone(standby, LOST, &[]);
    assert_eq!(hub.end_of(change), lost(Outcome::Unknown, Why::LinkLost));
}

#[test]
fn a_read_that_a_silent_holder_had_is_sent_to_its_successor() {
    let mut hub = Hub::new();
    let (holder, standby) = (hub.plugin("h"), hub.plugin("h"));
    let read = hub.submit("h", Replay::Safe);
    let (id, _) = hub.command(holder);
    hub.pass_hearing(s(11), &[standby]);
    assert_eq!(hub.command(standby).0, id);
    hub.answer(standby, &id);
    assert!(matches!(hub.end_of(read), Some(End::Answered(_))));
}

#[test]
fn a_holder_that_is_heard_keeps_its_seat_however_long_its_command_runs() {
    let mut hub = Hub::new();
    let (holder, standby) = (hub.plugin("h"), hub.plugin("h"));
    let call = hub.submit("h", Replay::Never);
    hub.pass_hearing(s(3_600), &[holder, standby]);
    assert_eq!((hub.code(holder), hub.end_of(call)), (None, None));
    assert_eq!(
        hub.stuck,
        [call],
        "it ran past its time, and that is said once"
    );
    assert!(!hub.is_seated(standby));
}

#[test]
fn without_a_living_standby_a_silent_holder_has_twenty_seconds() {
    let mut hub = Hub::new();
    let (holder, standby) = (hub.plugin("h"), hub.plugin("h"));
    hub.pass(s(20) - ms(1));
    assert_eq!((hub.code(holder), hub.code(standby)), (None, None));
    hub.pass(ms(1));
    assert_eq!(hub.code(holder), Some(4002));
    assert_eq!(hub.code(standby), Some(4002));
}

#[test]
fn a_free_seat_goes_to_a_standby_that_was_heard_before_an_older_one_that_was_not() {
    let mut hub = Hub::new();
    let (holder, mute, alive) = (hub.plugin("h"), hub.plugin("h"), hub.plugin("h"));
    hub.pass_hearing(s(15), &[holder, alive]);
    hub.gone(holder, LOST, &[]);
    assert!(hub.is_seated(alive) && !hub.is_seated(mute));
}

#[test]
fn what_clients_see_of_a_project_is_what_its_holder_said() {
    let mut hub = Hub::new();
    let register = |name: &str| {
        json!({"type": "register", "project_hash": "h", "project_name": name}).to_string()
    };
    let (holder, standby) = (hub.open(), hub.open());
    hub.say(holder, register("holder"));
    hub.say(standby, register("standby"));
    hub.say(
        standby,
        r#"{"type":"register_tools","tools":[{"name":"t"}]}"#,
    );
    assert_eq!(hub.instance("h").id(), "holder@h");
    assert_eq!(hub.instance("h").tools, None);
    hub.gone(holder, LOST, &[]);
    assert_eq!(hub.instance("h").id(), "standby@h");
}

/// A plugin that ignores close codes and dials again at once, as the installed one does.
struct Redialler {
    socket: SocketId,
    dials: usize,
    pongs: bool,
}

/// Two editors of one project for an hour; the holder's connection breaks so often.
fn duel(pongs: [bool; 2], break_every: Option<u64>) -> (Hub, usize, usize) {
    let mut hub = Hub::new();
    let mut plugins = pongs.map(|pongs| Redialler {
        socket: hub.plugin("h"),
        dials: 1,
        pongs,
    });
    for second in 1..=3_600 {
        hub.pass(s(1));
        if break_every.is_some_and(|every| second % every == 0) {
            let holder = plugins.iter().rfind(|plugin| hub.is_seated(plugin.socket));
            hub.gone(holder.expect("somebody has the seat").socket, LOST, &[]);
        }
        for plugin in &mut plugins {
            if !hub.open.contains(&plugin.socket) {
                plugin.socket = hub.plugin("h");
                plugin.dials += 1;
            } else if plugin.pongs && second % 5 == 0 {
                hub.pong(plugin.socket);
            }
        }
    }
    let seated = hub.sent.iter();
    let seated = seated.filter(|sent| sent.message["type"] == "registered");
    let (seated, dials) = (
        seated.count(),
        plugins.iter().map(|plugin| plugin.dials).sum(),
    );
    (hub, seated, dials)
}

#[test]
fn two_editors_of_one_project_do_not_duel() {
    let (hub, seated, dials) = duel([true, true], None);
    assert_eq!((seated, dials), (1, 2));
    assert_eq!(hub.closed, []);
}

#[test]
fn two_editors_whose_holder_keeps_losing_its_connection_change_seats_once_for_each_loss() {
    let (_, seated, dials) = duel([true, true], Some(60));
    assert_eq!((seated, dials), (1 + 60, 2 + 60));
}

#[test]
fn a_deaf_editor_that_redials_for_ever_takes_the_seat_from_nobody() {
    let (hub, seated, dials) = duel([false, true], None);
    assert_eq!(
        seated, 2,
        "the deaf one had it first, then the other for good"
    );
    // As a standby it is given up after 20 s, and is back within a second.
    assert!((165..=183).contains(&dials), "{dials}");
    assert!(hub.closed.iter().all(|(_, code)| *code == 4002));
}
