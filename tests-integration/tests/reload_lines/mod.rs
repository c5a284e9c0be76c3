//! What a server promises about reloads, whichever way its editor is connected.

use examples::sim::strike::Point;
use examples::sim::{Editor, Options};
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use tests_integration::{Answer, Client, Server};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// Calls that one client waits for at once. Five seconds' worth fits; a machine too slow for the pace slows it down, and
/// does not fill the queue.
const PATIENCE: usize = 200;

/// A reload of 5 s under load costs at most one unknown.
pub async fn five_seconds(server: Server, options: Options) {
    let editor = server.editor(options.away(Duration::from_secs(5))).await;
    let stop = Arc::new(AtomicBool::new(false));
    let clients = load(&server, stop.clone(), "five").await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    editor.strike(Point::AfterEffect);
    tokio::time::sleep(Duration::from_millis(6_500)).await;
    stop.store(true, Ordering::Relaxed);
    let answers: Vec<_> = clients.join_all().await.into_iter().flatten().collect();
    let tally = check(&editor, answers);
    assert!(
        tally.unknown <= 1,
        "{} unknown in one reload",
        tally.unknown
    );
    assert!(
        tally.answers.len() > 400,
        "only {} calls were made",
        tally.answers.len()
    );
    assert_eq!(editor.report().reloads.values().sum::<u64>(), 1);
    server.stop().await;
}

/// Fifty reloads, ten and more at every point, lose nothing and repeat nothing.
pub async fn fifty_reloads(server: Server, options: Options) {
    let editor = server
        .editor(options.away(Duration::from_millis(500)))
        .await;
    let stop = Arc::new(AtomicBool::new(false));
    let unknown = Arc::new(AtomicUsize::new(0));
    let clients = load_counting(&server, stop.clone(), "fifty", unknown.clone()).await;
    for reload in 0..52 {
        // At no moment more than one for each reload so far.
        let so_far = unknown.load(Ordering::Relaxed);
        assert!(so_far <= reload, "{so_far} unknown in {reload} reloads");
        let mut state = editor.watch();
        editor.strike(Point::ALL[reload % 4]);
        state
            .wait_for(|state| *state == examples::sim::State::Away)
            .await
            .expect("the editor lives");
        state
            .wait_for(|state| *state == examples::sim::State::Connected)
            .await
            .expect("the editor lives");
        // Time for what was held: 45 calls come in while the editor is away.
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    stop.store(true, Ordering::Relaxed);
    let answers: Vec<_> = clients.join_all().await.into_iter().flatten().collect();
    let tally = check(&editor, answers);
    let report = editor.report();
    for point in Point::ALL {
        assert!(
            report.strikes.get(&point).copied().unwrap_or_default() >= 10,
            "{point:?}: {:?}",
            report.strikes
        );
    }
    assert!(
        tally.unknown <= 52,
        "{} unknown in 52 reloads",
        tally.unknown
    );
    server.stop().await;
}

/// An editor that is killed and started again costs at most one unknown.
pub async fn killed_and_started_again(server: Server, options: Options) {
    let editor = server.editor(options.clone()).await;
    let stop = Arc::new(AtomicBool::new(false));
    let clients = load(&server, stop.clone(), "killed").await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let world = editor.world();
    editor.kill().await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let editor = server.editor_again(options, world).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    stop.store(true, Ordering::Relaxed);
    let answers: Vec<_> = clients.join_all().await.into_iter().flatten().collect();
    let tally = check(&editor, answers);
    assert!(tally.unknown <= 1, "{} unknown in one crash", tally.unknown);
    server.stop().await;
}

/// Every script that is created is there once, and its creator is told so; or that nobody knows, if it is not there.
pub async fn twenty_scripts(server: Server, options: Options) {
    let editor = server
        .editor(options.away(Duration::from_millis(300)))
        .await;
    let client = server.client().await;
    for number in 0..20 {
        let at = Point::ALL[number % 4];
        editor.strike(at);
        let path = format!("Assets/Scripts/Made{number}.cs");
        let contents = format!("public class Made{number} {{ }}\n");
        let script = json!({"path": path, "contents": contents});
        let mut answer = client.call("create_script", script.clone()).await;
        if !answer.succeeded() {
            assert_eq!(answer.outcome(), Some("unknown"), "{path}: {answer:?}");
            assert!(!at.took_effect(), "{path}: {answer:?}");
            answer = client.call("create_script", script).await;
        }
        assert!(answer.succeeded(), "{path}: {answer:?}");
    }
    let created = editor.report().scripts_created;
    assert_eq!(created.len(), 20, "{created:?}");
    assert!(created.values().all(|count| *count == 1), "{created:?}");
    server.stop().await;
}

/// Four clients, one call every 50 ms each, half reads and half changes, until told to stop.
async fn load(
    server: &Server,
    stop: Arc<AtomicBool>,
    round: &str,
) -> JoinSet<Vec<(String, Answer)>> {
    load_counting(server, stop, round, Arc::default()).await
}

/// The same, and counts as they come the answers that say that nobody knows.
async fn load_counting(
    server: &Server,
    stop: Arc<AtomicBool>,
    round: &str,
    unknown: Arc<AtomicUsize>,
) -> JoinSet<Vec<(String, Answer)>> {
    let mut clients = JoinSet::new();
    for client in 0..4 {
        let link: Arc<Client> = Arc::new(server.client().await);
        let (stop, round, unknown) = (stop.clone(), round.to_owned(), unknown.clone());
        clients.spawn(async move {
            let mut calls = JoinSet::new();
            let waiting = Arc::new(Semaphore::new(PATIENCE));
            let mut tick = tokio::time::interval(Duration::from_millis(50));
            for number in 0.. {
                tick.tick().await;
                let permit = waiting
                    .clone()
                    .acquire_owned()
                    .await
                    .expect("it is never closed");
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                let (link, name) = (link.clone(), format!("{round}-{client}-{number}"));
                let unknown = unknown.clone();
                calls.spawn(async move {
                    let _permit = permit;
                    let answer = if number % 2 == 0 {
                        link.call(
                            "manage_scene",
                            json!({"action": "get_hierarchy", "page_size": 1}),
                        )
                        .await
                    } else {
                        link.call(
                            "manage_gameobject",
                            json!({"action": "create", "name": name}),
                        )
                        .await
                    };
                    if answer.outcome() == Some("unknown") {
                        unknown.fetch_add(1, Ordering::Relaxed);
                    }
                    (if number % 2 == 0 { String::new() } else { name }, answer)
                });
            }
            calls.join_all().await
        });
    }
    clients
}

struct Tally {
    answers: Vec<(String, Answer)>,
    unknown: usize,
}

/// Every call was answered: with its result, or as unknown; and no change took effect twice.
fn check(editor: &Editor, answers: Vec<(String, Answer)>) -> Tally {
    let created = editor.report().objects_created;
    let twice: BTreeMap<_, _> = created.iter().filter(|(_, count)| **count > 1).collect();
    assert!(twice.is_empty(), "these took effect twice: {twice:?}");
    let mut unknown = 0;
    for (name, answer) in &answers {
        if answer.succeeded() {
            assert!(
                name.is_empty() || created.get(name) == Some(&1),
                "{name} was answered and is not there"
            );
        } else {
            assert_eq!(answer.outcome(), Some("unknown"), "{name}: {answer:?}");
            assert!(
                !name.is_empty(),
                "a read is sent again, so its outcome is never unknown"
            );
            unknown += 1;
        }
    }
    Tally { answers, unknown }
}
