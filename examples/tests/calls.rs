//! A call's way, without sockets: whom it is for, how long it waits, what its client hears meanwhile.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    missing_docs,
    reason = "tests wait and spawn"
)]

use examples::calls::target::{NoTarget, choose};
use examples::calls::{Budget, Caller, Calls, Port, Progress, SETTLING, diagnose, expected};
use examples::catalogue::Call;
use examples::hub::{Config, Hub, Instance, Listed, Said, Standing, State};
use mcp_transport_core::loopback::{FamilyState, Health};
use mcp_transport_core::{ErrorKind, EvictionReason, Message, Outcome};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

const HOUR: Duration = Duration::from_secs(3_600);

fn calls(budget: Budget) -> Calls {
    Calls::new(Hub::new(Config::default()), budget, || None)
}

fn read() -> Call {
    Call::read("get_editor_state", serde_json::json!({}))
}

fn caller(progress: Option<Progress>) -> Caller {
    Caller::new(None, CancellationToken::new(), None, progress)
}

/// What a client was told, and when.
type Told = Arc<Mutex<Vec<(f64, String)>>>;

fn listening() -> (Told, Progress) {
    let told = Told::default();
    let heard = told.clone();
    let progress: Progress = Arc::new(move |done, text| {
        heard.lock().unwrap().push((done, text));
        Box::pin(async {})
    });
    (told, progress)
}

#[tokio::test(start_paused = true)]
async fn progress_is_told_after_3_s_then_every_10_s_and_always_increases() {
    let (told, progress) = listening();
    let begun = tokio::time::Instant::now();
    let calls = calls(Budget::new(HOUR, Some(Duration::from_secs(1))));
    let ending = calls.run(&caller(Some(progress)), None, &read()).await;
    assert_eq!(ending.unwrap_err().cause, "no_editor");
    // With an editor that was never seen, 20 s are enough.
    assert_eq!(begun.elapsed().as_secs(), 20);
    let told = told.lock().unwrap();
    let at: Vec<u64> = told.iter().map(|(done, _)| *done as u64).collect();
    assert_eq!(at, [3, 13]);
    assert!(told.windows(2).all(|two| two[0].0 < two[1].0));
    assert_eq!(told[0].1, "waiting for an editor, 3 s so far");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_hears_of_no_progress_is_answered_within_its_budget() {
    let begun = tokio::time::Instant::now();
    let calls = calls(Budget::new(HOUR, Some(Duration::from_secs(5))));
    let ending = calls.run(&caller(None), None, &read()).await.unwrap_err();
    assert_eq!(
        (ending.outcome, &*ending.cause),
        (Outcome::NotDelivered, "no_editor")
    );
    assert_eq!(begun.elapsed().as_secs(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_read_its_progress_does_not_stop_its_own_call() {
    let deaf: Progress = Arc::new(|_, _| Box::pin(std::future::pending()));
    let begun = tokio::time::Instant::now();
    let calls = calls(Budget::new(HOUR, None));
    let ending = calls.run(&caller(Some(deaf)), None, &read()).await;
    assert_eq!(ending.unwrap_err().cause, "no_editor");
    assert!(begun.elapsed().as_secs() <= 21, "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_call_is_given_up_with_its_request_or_with_what_it_hangs_on() {
    for link_ends in [false, true] {
        let (request, link) = (CancellationToken::new(), CancellationToken::new());
        let caller = Caller::new(None, request.clone(), Some(link.clone()), None);
        let calls = calls(Budget::new(HOUR, None));
        let begun = tokio::time::Instant::now();
        let end = async {
            tokio::time::sleep(Duration::from_secs(2)).await;
            if link_ends {
                link.cancel()
            } else {
                request.cancel()
            }
        };
        let asked = read();
        let (ending, ()) = tokio::join!(calls.run(&caller, None, &asked), end);
        assert_eq!(ending.unwrap_err().cause, "cancelled");
        assert_eq!(begun.elapsed().as_secs(), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_stops_answers_those_who_wait_and_takes_no_more() {
    let calls = calls(Budget::new(HOUR, None));
    let (caller, asked) = (caller(None), read());
    let stop = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        calls.stop().await;
    };
    let (ending, ()) = tokio::join!(calls.run(&caller, None, &asked), stop);
    assert_eq!(ending.unwrap_err().cause, "shutting_down");
    let ending = calls.run(&caller, None, &asked).await.unwrap_err();
    assert_eq!(
        (ending.outcome, ending.retryable),
        (Outcome::NotDelivered, true)
    );
    calls.stop().await;
}

/// Editors, by project and hash: the hub's own words for them.
struct Editors {
    state: State,
    now: Instant,
}

impl Editors {
    fn new() -> Self {
        Self {
            state: State::new(Config::default(), 7),
            now: Instant::now(),
        }
    }

    fn with(mut self, project: &str, hash: &str, ending: Option<ErrorKind>) -> Self {
        let socket = self.state.open(self.now).unwrap();
        let register = serde_json::json!({"type": "register", "project_name": project,
            "project_hash": hash, "project_path": format!("/projects/{hash}/Assets")});
        let register = Message::from(register.to_string());
        self.state.receive(self.now, socket, Said::read(&register));
        if let Some(ending) = ending {
            self.state.gone(self.now, socket, ending, &[]);
        }
        while self.state.poll_output().is_some() {}
        self
    }

    /// One that is known by its status file.
    fn listed(mut self, project: &str, hash: &str, is_ready: bool) -> Self {
        self.state.list(self.now, &listing(project, hash, is_ready));
        self
    }

    fn instances(&self) -> Vec<Instance> {
        self.state.instances()
    }

    /// The hash that a selector means.
    fn choose(&self, selector: Option<&str>) -> Result<String, NoTarget> {
        choose(self.now, &self.instances(), selector)
    }
}

fn listing(project: &str, hash: &str, is_ready: bool) -> Listed {
    Listed {
        project: project.to_owned(),
        hash: hash.to_owned(),
        path: Some(format!("/projects/{hash}")),
        unity_version: "6000.0".to_owned(),
        port: 6400,
        is_ready,
    }
}

const AWAY: Option<ErrorKind> = Some(ErrorKind::Disconnected);
const QUIT: Option<ErrorKind> = Some(ErrorKind::Evicted(EvictionReason::ShuttingDown));

#[test]
fn an_editor_that_listens_is_chosen_by_its_port_and_a_hash_in_either_case() {
    let editors = Editors::new()
        .with("Game", "aa11", None)
        .listed("Other", "bb22", true);
    assert_eq!(editors.choose(Some("6400")), Ok("bb22".to_owned()));
    assert_eq!(editors.choose(Some("Other@BB2")), Ok("bb22".to_owned()));
    assert_eq!(editors.choose(Some("AA")), Ok("aa11".to_owned()));
    assert!(matches!(
        editors.choose(Some("6401")),
        Err(NoTarget::Unknown { .. })
    ));
}

#[test]
fn an_editor_is_chosen_by_whatever_names_only_it() {
    let editors = Editors::new()
        .with("Game", "aa11", None)
        .with("Game", "aa22", None)
        .with("Tools", "bb33", None)
        .with("aa", "cc44", None);
    for (selector, hash) in [
        ("Game@aa11", "aa11"),
        ("Game@aa2", "aa22"),
        ("aa22", "aa22"),
        ("bb", "bb33"),
        ("Tools", "bb33"),
        (" Tools ", "bb33"),
        ("/projects/aa11/Assets", "aa11"),
        // A whole name beats the beginning of a hash.
        ("aa", "cc44"),
    ] {
        let chosen = editors.choose(Some(selector));
        assert_eq!(chosen.as_deref(), Ok(hash), "{selector}");
    }
    // An empty name is nobody's.
    for selector in ["@bb33", "Game", "aa1x", "Game@", "Tools@aa"] {
        assert!(editors.choose(Some(selector)).is_err(), "{selector}");
    }
    let Err(NoTarget::Ambiguous { candidates }) = editors.choose(Some("Game")) else {
        panic!("two bear that name");
    };
    assert_eq!(candidates, ["Game@aa11", "Game@aa22"]);
    for nothing in [None, Some(""), Some("  ")] {
        let chosen = editors.choose(nothing);
        assert!(
            matches!(chosen, Err(NoTarget::Ambiguous { .. })),
            "{chosen:?}"
        );
    }
}

#[test]
fn an_unnamed_call_is_for_the_only_editor_that_it_can_mean() {
    let only = |editors: Editors| editors.choose(None);
    assert_eq!(only(Editors::new()), Err(NoTarget::Nobody));
    for ending in [None, AWAY, QUIT] {
        assert_eq!(
            only(Editors::new().with("A", "a", ending)).as_deref(),
            Ok("a")
        );
    }
    // One that quit is not meant while another is there, or comes back.
    for ending in [None, AWAY] {
        let editors = Editors::new().with("A", "a", QUIT).with("B", "b", ending);
        assert_eq!(only(editors).as_deref(), Ok("b"));
    }
    // One that is expected back may be; after two minutes it no longer is.
    let mut editors = Editors::new().with("A", "a", AWAY).with("B", "b", None);
    assert!(matches!(
        editors.choose(None),
        Err(NoTarget::Ambiguous { .. })
    ));
    editors.now += Duration::from_secs(121);
    assert_eq!(editors.choose(None).as_deref(), Ok("b"));
}

#[test]
fn the_next_owner_is_told_of_editors_that_come_back_and_of_none_that_calls_gave_up() {
    let mut editors = Editors::new()
        .with("A", "a", None)
        .with("B", "b", AWAY)
        .with("C", "c", QUIT)
        .listed("D", "d", true);
    assert_eq!(expected(editors.now, &editors.instances()), ["A@a", "B@b"]);
    editors.now += Duration::from_secs(121);
    assert_eq!(expected(editors.now, &editors.instances()), ["A@a"]);
}

#[tokio::test(start_paused = true)]
async fn after_a_takeover_the_default_editor_need_not_wait_for_the_others() {
    let hub = Hub::new(Config::default());
    hub.list(&listing("A", "a", true));
    let calls = Calls::new(hub, Budget::default(), || None);
    let missing = || vec!["B@b".to_owned()];
    calls.expect_back(missing(), now());
    assert!(matches!(
        calls.choose(None),
        Err(NoTarget::Ambiguous { .. })
    ));
    assert_eq!(calls.choose(Some("A")).unwrap().hash, "a");
    let calls = calls.fallback(Some("A"));
    assert_eq!(calls.choose(None).unwrap().hash, "a");
}

#[tokio::test(start_paused = true)]
async fn the_next_owner_is_also_told_of_editors_that_are_not_back_from_the_last_takeover() {
    let editors = Editors::new().with("A", "a", None).instances();
    let calls = calls(Budget::default());
    let both = ["A@a".to_owned(), "B@b".to_owned()];
    calls.expect_back(both.to_vec(), now());
    assert_eq!(calls.expected(&editors), both);
    // One that calls here wait for no longer is not waited for there either.
    tokio::time::advance(SETTLING).await;
    assert_eq!(calls.expected(&editors), both[..1]);
}

fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

#[tokio::test(start_paused = true)]
async fn editors_of_an_owner_that_is_long_gone_are_not_waited_for() {
    let hub = Hub::new(Config::default());
    hub.list(&listing("A", "a", true));
    let calls = Calls::new(hub, Budget::default(), || None);
    let seen = now();
    for (since, is_waited) in [(0, true), (120, true), (121, false)] {
        let gone = seen + Duration::from_secs(since);
        tokio::time::advance(gone - now()).await;
        calls.expect_back(vec!["B@b".to_owned()], seen);
        assert_eq!(calls.choose(None).is_err(), is_waited, "{since} s");
    }
}

#[test]
fn an_editor_that_a_call_connects_counts_as_one_that_is_here() {
    let only = Editors::new().listed("A", "a", true);
    assert_eq!(only.choose(None).as_deref(), Ok("a"));
    assert_eq!(only.choose(Some("A@a")).as_deref(), Ok("a"));
    for other in [None, AWAY] {
        let both = Editors::new().listed("A", "a", true).with("B", "b", other);
        let chosen = both.choose(None);
        assert!(
            matches!(chosen, Err(NoTarget::Ambiguous { .. })),
            "{other:?}"
        );
    }
    let quit = Editors::new().listed("A", "a", true).with("B", "b", QUIT);
    assert_eq!(quit.choose(None).as_deref(), Ok("a"));
}

#[test]
fn an_editor_that_listens_has_no_fault_until_a_call_does_not_reach_it() {
    let mut health = Health::default();
    health.v4.state = FamilyState::PortTaken;
    let taken = Port {
        number: 8080,
        health,
        known: None,
    };
    let editors = Editors::new().listed("A", "a", true);
    let [editor] = &editors.instances()[..] else {
        panic!("one editor");
    };
    let now = editors.now;
    assert_eq!(diagnose::editor_fault(now, editor), None);
    // It is dialled from here, so our own port is not at fault.
    let fault = diagnose::call_fault(now, editor, Some(&taken)).unwrap();
    assert_eq!(fault.cause, "not_connected");
    assert!(fault.what.contains("A@a"), "{}", fault.what);
    let standing = Some(Standing::Away);
    let text = diagnose::progress(now, Duration::ZERO, standing, Some(editor), Some(&taken));
    assert!(text.starts_with("connecting to the editor"), "{text}");

    let reloading = Editors::new().listed("A", "a", false).instances();
    let fault = diagnose::call_fault(now, &reloading[0], Some(&taken)).unwrap();
    assert_eq!(fault.cause, "reloading");
}

#[test]
fn an_operation_that_nobody_knows_is_unknown_and_not_to_be_sent_again() {
    let ending = diagnose::unknown_operation();
    assert_eq!(ending.outcome, Outcome::Unknown);
    assert!(!ending.retryable);
}
