//! Errors of every class, injected, on a paused clock: time passes only when nothing can be done.

use std::io::ErrorKind;
use std::time::{Duration, SystemTime};

use mcp_transport_core::loopback::accept_error::{AcceptError, Platform};
use mcp_transport_core::loopback::{
    ABSENT_RETRY, EXHAUSTED_WAIT, FamilyState, Loopback, REBIND_WAIT, TRANSIENTS,
};
use proptest::prelude::*;
use tokio::time::{Instant, timeout};

use crate::rig::codes::{ABSENT, DEAD, EXHAUSTED, TAKEN, TRANSIENT};
use crate::rig::{Fault, Rig, dial};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn every_platforms_codes_are_classified() {
    use AcceptError::{Dead, Exhausted, Transient};
    use Platform::{Bsd, Linux, Windows};
    for (platform, code, class) in [
        (Linux, 103, Transient),     // ECONNABORTED
        (Linux, 104, Transient),     // ECONNRESET
        (Linux, 71, Transient),      // EPROTO
        (Linux, 4, Transient),       // EINTR
        (Linux, 11, Transient),      // EAGAIN
        (Linux, 100, Transient),     // ENETDOWN
        (Linux, 24, Exhausted),      // EMFILE
        (Linux, 23, Exhausted),      // ENFILE
        (Linux, 105, Exhausted),     // ENOBUFS
        (Linux, 12, Exhausted),      // ENOMEM
        (Linux, 9, Dead),            // EBADF
        (Linux, 22, Dead),           // EINVAL
        (Linux, 88, Dead),           // ENOTSOCK
        (Linux, 10054, Dead),        // Windows's
        (Bsd, 53, Transient),        // ECONNABORTED
        (Bsd, 35, Transient),        // EAGAIN
        (Bsd, 55, Exhausted),        // ENOBUFS
        (Bsd, 24, Exhausted),        // EMFILE
        (Bsd, 9, Dead),              // EBADF
        (Bsd, 38, Dead),             // ENOTSOCK
        (Bsd, 103, Dead),            // Linux's
        (Windows, 64, Transient),    // ERROR_NETNAME_DELETED
        (Windows, 1236, Transient),  // ERROR_CONNECTION_ABORTED
        (Windows, 10053, Transient), // WSAECONNABORTED
        (Windows, 10054, Transient), // WSAECONNRESET
        (Windows, 10050, Transient), // WSAENETDOWN
        (Windows, 10004, Transient), // WSAEINTR
        (Windows, 10024, Exhausted), // WSAEMFILE
        (Windows, 10055, Exhausted), // WSAENOBUFS
        (Windows, 10038, Dead),      // WSAENOTSOCK
        (Windows, 10022, Dead),      // WSAEINVAL
        (Windows, 995, Dead),        // ERROR_OPERATION_ABORTED
        (Windows, 103, Dead),        // Linux's
    ] {
        assert_eq!(
            AcceptError::of_code(code, platform),
            class,
            "{platform:?} {code}"
        );
    }
}

#[test]
fn an_error_without_a_code_is_classified_by_its_kind() {
    for (kind, class) in [
        (ErrorKind::ConnectionAborted, AcceptError::Transient),
        (ErrorKind::ConnectionReset, AcceptError::Transient),
        (ErrorKind::OutOfMemory, AcceptError::Exhausted),
        (ErrorKind::Other, AcceptError::Dead),
        (ErrorKind::InvalidInput, AcceptError::Dead),
    ] {
        assert_eq!(
            AcceptError::classify(&kind.into(), Platform::CURRENT),
            class,
            "{kind}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_went_away_costs_no_time() {
    let rig = Rig::default();
    let mut listener = rig.listen();
    let _client = dial("127.0.0.1", listener.local_port());
    let start = Instant::now();
    rig.v4.fail_accepts([
        Fault::Code(TRANSIENT),
        Fault::Kind(ErrorKind::ConnectionReset),
    ]);
    listener.accept().await;
    assert_eq!(start.elapsed(), Duration::ZERO);
    let v4 = listener.health().v4;
    assert_eq!(
        (v4.state, v4.accepted, v4.transient),
        (FamilyState::Listening, 1, 2)
    );
}

#[tokio::test(start_paused = true)]
async fn a_process_out_of_descriptors_waits_and_keeps_its_socket() {
    let rig = Rig::default();
    let mut listener = rig.listen();
    let _client = dial("127.0.0.1", listener.local_port());
    let start = Instant::now();
    rig.v4.fail_accepts([Fault::Code(EXHAUSTED); 7]);
    listener.accept().await;
    assert!(start.elapsed() >= 7 * EXHAUSTED_WAIT);
    assert!(start.elapsed() < 8 * EXHAUSTED_WAIT);
    let v4 = listener.health().v4;
    assert_eq!(
        (v4.state, v4.accepted, v4.exhausted),
        (FamilyState::Listening, 1, 7)
    );
    assert_eq!(rig.v4.bound_at().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_dead_socket_is_bound_again_within_a_second() {
    for fault in [
        Fault::Code(DEAD),
        Fault::Code(123_456),
        Fault::Kind(ErrorKind::Other),
    ] {
        let rig = Rig::default();
        let mut listener = rig.listen();
        let start = Instant::now();
        rig.v4.fail_accepts([fault]);
        let quiet = timeout(SECOND, listener.accept()).await;
        assert!(quiet.is_err(), "nobody connected");
        let [_, again] = rig.v4.bound_at()[..] else {
            panic!("bound twice")
        };
        assert!(again - start < SECOND);
        let _client = dial("127.0.0.1", listener.local_port());
        listener.accept().await;
        assert_eq!(
            rig.v6.bound_at().len(),
            1,
            "the other family was left alone"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_socket_that_lived_long_is_bound_again_at_once() {
    let rig = Rig::default();
    let mut listener = rig.listen();
    assert!(timeout(SECOND, listener.accept()).await.is_err());
    rig.v4.fail_accepts([Fault::Code(DEAD)]);
    let died = Instant::now();
    assert!(timeout(SECOND, listener.accept()).await.is_err());
    assert!(rig.v4.bound_at()[1] - died < Duration::from_millis(5));
}

#[tokio::test(start_paused = true)]
async fn a_port_that_cannot_be_bound_again_is_tried_for_ever_every_250_ms() {
    let rig = Rig::default();
    let mut listener = rig.listen();
    rig.v4.fail_every_bind(TAKEN);
    rig.v4.fail_accepts([Fault::Code(DEAD)]);
    assert!(timeout(100 * SECOND, listener.accept()).await.is_err());
    assert_eq!(listener.health().v4.state, FamilyState::PortTaken);
    let tried = rig.v4.bound_at();
    assert!(tried.len() > 390, "{} tries", tried.len());
    for pair in tried.windows(2) {
        let wait = pair[1] - pair[0];
        assert!(
            wait >= REBIND_WAIT && wait < REBIND_WAIT + Duration::from_millis(5),
            "{wait:?}"
        );
    }

    rig.v4.fail_every_bind(None);
    assert!(timeout(SECOND, listener.accept()).await.is_err());
    let _client = dial("127.0.0.1", listener.local_port());
    listener.accept().await;
    assert_eq!(listener.health().v4.state, FamilyState::Listening);
}

#[tokio::test(start_paused = true)]
async fn a_socket_that_dies_whenever_it_is_bound_does_not_spin() {
    let rig = Rig::default();
    let mut listener = rig.listen();
    rig.v4.fail_accepts([Fault::Code(DEAD); 1_000]);
    assert!(timeout(10 * SECOND, listener.accept()).await.is_err());
    assert!((39..=41).contains(&rig.v4.bound_at().len()));
}

#[tokio::test(start_paused = true)]
async fn a_transient_error_without_end_makes_the_socket_dead() {
    let rig = Rig::default();
    let mut listener = rig.listen();
    let hundred = TRANSIENTS as usize;
    rig.v4
        .fail_accepts(vec![Fault::Code(TRANSIENT); hundred - 1]);
    assert!(timeout(SECOND, listener.accept()).await.is_err());
    assert_eq!(listener.health().v4.died, 0);

    let _client = dial("127.0.0.1", listener.local_port());
    listener.accept().await;
    rig.v4
        .fail_accepts(vec![Fault::Code(TRANSIENT); hundred - 1]);
    assert!(timeout(SECOND, listener.accept()).await.is_err());
    assert_eq!(
        listener.health().v4.died,
        0,
        "an accepted connection starts the count again"
    );

    rig.v4.fail_accepts([Fault::Code(TRANSIENT)]);
    assert!(timeout(SECOND, listener.accept()).await.is_err());
    assert_eq!(listener.health().v4.died, 1);
    assert_eq!(rig.v4.bound_at().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn no_trouble_of_one_family_delays_the_other() {
    for code in [TRANSIENT, EXHAUSTED, DEAD] {
        let rig = Rig::default();
        let mut listener = rig.listen();
        let port = listener.local_port();
        let _clients: Vec<_> = (0..20).map(|_| dial("::1", port)).collect();
        rig.v4.fail_accepts([Fault::Code(code); 10_000]);
        rig.v4.fail_every_bind(TAKEN);
        let start = Instant::now();
        for _ in 0..20 {
            assert!(listener.accept().await.1.is_ipv6());
        }
        assert_eq!(start.elapsed(), Duration::ZERO, "code {code}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_family_that_the_machine_lacks_is_reported_and_asked_for_now_and_then() {
    for code in ABSENT {
        let rig = Rig::default();
        rig.v6.fail_every_bind(code);
        let mut listener = rig.listen();
        let health = listener.health();
        assert_eq!(
            (health.v4.state, health.v6.state),
            (FamilyState::Listening, FamilyState::Absent)
        );
        assert_eq!(
            health.v6.last_failure.expect("it says why").code,
            Some(code)
        );

        assert!(
            timeout(ABSENT_RETRY - SECOND, listener.accept())
                .await
                .is_err()
        );
        assert_eq!(rig.v6.bound_at().len(), 1);
        rig.v6.fail_every_bind(None);
        assert!(timeout(2 * SECOND, listener.accept()).await.is_err());
        assert_eq!(listener.health().v6.state, FamilyState::Listening);
    }
}

#[tokio::test(start_paused = true)]
async fn a_family_that_vanished_is_looked_for_as_eagerly_as_any() {
    let rig = Rig::default();
    let mut listener = rig.listen();
    rig.v6.fail_every_bind(ABSENT[1]);
    rig.v6.fail_accepts([Fault::Code(DEAD)]);
    assert!(timeout(SECOND, listener.accept()).await.is_err());
    assert_eq!(listener.health().v6.state, FamilyState::Absent);
    rig.v6.fail_every_bind(None);
    assert!(timeout(SECOND, listener.accept()).await.is_err());
    assert_eq!(listener.health().v6.state, FamilyState::Listening);
}

#[tokio::test]
async fn a_chosen_port_is_free_in_both_families() {
    let rig = Rig::default();
    rig.v6.fail_binds([TAKEN; 3]);
    let listener = rig.listen();
    assert_eq!(rig.v4.bound_at().len(), 4, "another port each time");
    let health = listener.health();
    let states = (health.v4.state, health.v6.state);
    assert_eq!(states, (FamilyState::Listening, FamilyState::Listening));
}

#[tokio::test]
async fn only_if_neither_family_can_be_bound_there_is_an_error() {
    let rig = Rig::default();
    rig.v4.fail_every_bind(TAKEN);
    rig.v6.fail_every_bind(ABSENT[0]);
    let error = Loopback::bind_with(rig, 8080).expect_err("nothing can be bound");
    let text = error.to_string();
    for part in [
        "port 8080",
        "127.0.0.1: ",
        "[::1]: ",
        &format!("os error {TAKEN}"),
    ] {
        assert!(text.contains(part), "{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_watches_the_health_learns_code_and_time_of_a_failure() {
    let rig = Rig::default();
    let mut listener = rig.listen();
    let mut watch = listener.watch_health();
    let before = SystemTime::now();
    watch.mark_unchanged();

    let _client = dial("127.0.0.1", listener.local_port());
    listener.accept().await;
    assert!(
        !watch.has_changed().expect("the listener lives"),
        "a count alone wakes nobody"
    );

    rig.v6.fail_accepts([Fault::Code(DEAD)]);
    assert!(timeout(Duration::ZERO, listener.accept()).await.is_err());
    assert!(watch.has_changed().expect("the listener lives"));
    let v6 = watch.borrow_and_update().v6.clone();
    assert_eq!((v6.state, v6.died), (FamilyState::Rebinding, 1));
    let failure = v6.last_failure.expect("it failed");
    assert_eq!(failure.code, Some(DEAD));
    assert!(failure.at >= before && failure.at <= SystemTime::now());
    assert!(failure.text.contains(&DEAD.to_string()));
}

fn codes() -> impl Strategy<Value = i32> {
    prop_oneof![0..200_i32, 10_000..10_100_i32, any::<i32>()]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn no_sequence_of_errors_ends_the_listener(
        accepts in prop::collection::vec(codes(), 0..300),
        binds in prop::collection::vec(0..200_i32, 0..10),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let rig = Rig::default();
            let mut listener = rig.listen();
            let port = listener.local_port();
            let errors = accepts.len() + binds.len();
            rig.v4.fail_accepts(accepts.iter().map(|code| Fault::Code(*code)));
            rig.v4.fail_binds(binds.iter().copied());
            // The slowest: each error costs one wait.
            let wait = REBIND_WAIT * (errors as u32 + 1);
            assert!(timeout(wait, listener.accept()).await.is_err());
            assert_eq!(listener.health().v4.state, FamilyState::Listening);
            let _client = dial("127.0.0.1", port);
            listener.accept().await;
        });
    }
}
