//! What is not sent to an editor that is busy, and what is said of one that is: on either leg.
#![allow(
    clippy::disallowed_methods,
    missing_docs,
    reason = "tests wait and spawn"
)]

use examples::calls::Budget;
use examples::sim::{Editor, Options, State};
use rmcp::model::{ReadResourceRequestParams, ResourceContents};
use serde_json::{Value, json};
use std::fs;
use std::time::{Duration, Instant, SystemTime};
use tests_integration::folder::Folder;
use tests_integration::raw::Session;
use tests_integration::{Answer, Client, Server, reload};

const AWAY: Duration = Duration::from_millis(300);

/// Does this on each leg.
async fn on_either_leg(budget: Budget, options: Options, test: impl AsyncFn(&Editor, &Client)) {
    for server in [Server::start(budget), Server::dialling(budget)] {
        let editor = server.editor(options.clone()).await;
        let client = server.client().await;
        test(&editor, &client).await;
        server.stop().await;
    }
}

/// Does this on each leg, with a client that may give up after this time, since it asks for no progress.
async fn with_little_patience(patience: Duration, test: impl AsyncFn(&Editor, &Client, &Session)) {
    let budget = Budget::new(Duration::from_secs(120), Some(patience));
    for server in [Server::start(budget), Server::dialling(budget)] {
        let editor = server.editor(quick()).await;
        let client = server.client().await;
        test(&editor, &client, &Session::begin(server.port).await).await;
        server.stop().await;
    }
}

fn quick() -> Options {
    Options::default().away(AWAY)
}

async fn succeed(client: &Client, tool: &str, args: Value) -> Answer {
    let answer = client.call(tool, args.clone()).await;
    assert!(answer.succeeded(), "{tool} {args}: {answer:?}");
    answer
}

async fn menu(client: &Client, item: &str) {
    succeed(client, "execute_menu_item", json!({"menu_path": item})).await;
}

async fn create(client: &Client, name: &str) -> Answer {
    let args = json!({"action": "create", "name": name});
    client.call("manage_gameobject", args).await
}

async fn state(client: &Client) -> Value {
    let params = ReadResourceRequestParams::new("mcpforunity://editor/state");
    let read = client.peer().read_resource(params).await.expect("a state");
    match &read.contents[0] {
        ResourceContents::TextResourceContents { text, .. } => {
            serde_json::from_str(text).expect("JSON")
        }
        other => panic!("{other:?}"),
    }
}

/// How often a command ran.
fn ran(editor: &Editor, command: &str) -> u64 {
    let commands = editor.report().commands;
    let ran = commands.iter().filter(|ran| ran.command == command);
    ran.map(|ran| ran.executed).sum()
}

/// When this happened to this one, each time.
fn when(editor: &Editor, what: &str, subject: &str) -> Vec<u64> {
    let effects = editor.report().effects;
    let fits = effects
        .iter()
        .filter(|effect| effect.what == what && effect.subject == subject);
    fits.map(|effect| effect.at_unix_ms).collect()
}

#[tokio::test]
async fn a_call_waits_until_the_editor_has_compiled_or_imported_and_is_made_once() {
    on_either_leg(Budget::default(), quick(), async |editor, client| {
        for item in ["Simulator/Slow Compilation", "Simulator/Slow Import"] {
            menu(client, item).await;
            assert!(create(client, item).await.succeeded());
            let begun = when(editor, "menu_item", item)[0];
            let made = when(editor, "object_created", item);
            assert_eq!(made.len(), 1, "{item}");
            assert!(made[0] >= begun + 2_000, "{item}: {made:?} {begun}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_call_that_was_held_for_as_long_as_its_client_waits_was_not_delivered() {
    with_little_patience(
        Duration::from_millis(600),
        async |editor, client, session| {
            menu(client, "Simulator/Slow Compilation").await;
            let args = json!({"action": "create", "name": "Held"});
            let answer = session.call("manage_gameobject", args).await;
            assert_eq!(answer.outcome(), Some("not_delivered"), "{answer:?}");
            assert_eq!(answer.value["cause"], "compiling");
            assert_eq!(answer.value["retryable"], true);
            assert!(answer.text.contains("compiles scripts"), "{answer:?}");
            // It was true, and stays so when the editor has compiled.
            tokio::time::sleep(Duration::from_secs(2)).await;
            assert!(create(client, "Witness").await.succeeded());
            assert!(when(editor, "object_created", "Held").is_empty());
        },
    )
    .await;
}

#[tokio::test]
async fn an_editor_that_is_quiet_is_not_asked_before_each_call() {
    on_either_leg(Budget::default(), quick(), async |editor, client| {
        let began = Instant::now();
        for number in 0..30 {
            assert!(create(client, &number.to_string()).await.succeeded());
        }
        // Once in two seconds, however slow this machine is.
        let most = 1 + began.elapsed().as_secs() / 2;
        let asked = ran(editor, "get_editor_state");
        assert!((1..=most).contains(&asked), "{asked} > {most}");
        assert_eq!(ran(editor, "ping"), 0);
        // An editor that listens says once for each connection whose it is.
        assert!(ran(editor, "get_project_info") <= 1);
    })
    .await;
}

#[tokio::test]
async fn the_state_is_read_at_once_while_the_editor_is_away_and_is_not_ready() {
    let away = quick().away(Duration::from_secs(5));
    on_either_leg(Budget::default(), away, async |editor, client| {
        let ready = state(client).await;
        assert_eq!(ready["data"]["advice"]["ready_for_tools"], true, "{ready}");
        let asked = ran(editor, "get_editor_state");
        reload(editor).await;
        let before = *editor.watch().borrow();
        let mut known = state(client).await;
        // The server may learn of it a moment later than this test.
        while known["data"]["activity"]["phase"] != "domain_reload" {
            assert_eq!(known["data"]["advice"]["ready_for_tools"], false, "{known}");
            known = state(client).await;
        }
        assert_eq!(
            (before, *editor.watch().borrow()),
            (State::Away, State::Away)
        );
        let data = &known["data"];
        assert_eq!(data["advice"]["ready_for_tools"], false);
        assert_eq!(data["advice"]["blocking_reasons"], json!(["domain_reload"]));
        assert_eq!(data["staleness"]["is_stale"], true);
        assert!(data["activity"]["since_unix_ms"].as_u64() > Some(1_600_000_000_000));
        assert_eq!(ran(editor, "get_editor_state"), asked);
    })
    .await;
}

#[tokio::test]
async fn the_state_says_what_the_editor_is_busy_with() {
    on_either_leg(Budget::default(), quick(), async |_, client| {
        for (item, reason) in [
            ("Simulator/Slow Compilation", "compiling"),
            ("Simulator/Slow Import", "asset_import"),
            ("Simulator/Run All Tests", "running_tests"),
        ] {
            menu(client, item).await;
            let advice = state(client).await["data"]["advice"].clone();
            assert_eq!(advice["ready_for_tools"], false, "{item}: {advice}");
            let reasons = advice["blocking_reasons"].as_array().expect("reasons");
            assert!(reasons.contains(&json!(reason)), "{item}: {advice}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_refresh_during_a_reload_is_sent_once_the_editor_is_back() {
    on_either_leg(Budget::default(), quick(), async |editor, client| {
        reload(editor).await;
        let args = json!({"compile": "request"});
        let answer = succeed(client, "refresh_unity", args).await;
        assert_eq!(answer.value["data"]["ready"], true, "{answer:?}");
        assert_eq!(ran(editor, "refresh_unity"), 1);
        assert_eq!(*editor.watch().borrow(), State::Connected);
    })
    .await;
}

#[tokio::test]
async fn a_refresh_is_answered_when_the_editor_has_compiled_and_no_sooner() {
    on_either_leg(Budget::default(), quick(), async |editor, client| {
        menu(client, "Simulator/Slow Compilation").await;
        let answer = succeed(client, "refresh_unity", json!({})).await;
        assert_eq!(answer.value["data"]["ready"], true, "{answer:?}");
        let begun = when(editor, "menu_item", "Simulator/Slow Compilation")[0];
        assert!(unix_ms() >= begun + 2_000);

        menu(client, "Simulator/Slow Compilation").await;
        let args = json!({"wait_for_ready": false});
        let answer = succeed(client, "refresh_unity", args).await;
        assert!(answer.value["data"].get("ready").is_none(), "{answer:?}");
    })
    .await;
}

#[tokio::test]
async fn a_refresh_whose_client_cannot_wait_says_what_the_editor_still_does() {
    with_little_patience(
        Duration::from_millis(1_700),
        async |editor, client, session| {
            menu(client, "Simulator/Slow Compilation").await;
            let answer = session.call("refresh_unity", json!({})).await;
            assert!(answer.is_error, "{answer:?}");
            assert_eq!(answer.value["error"], "not_ready");
            assert_eq!(
                answer.value["data"]["blocking_reasons"],
                json!(["compiling"])
            );
            assert_eq!(answer.value["data"]["refresh_delivered"], true);
            assert_eq!(ran(editor, "refresh_unity"), 1);
        },
    )
    .await;
}

#[tokio::test]
async fn a_test_run_is_a_job_that_outlives_a_reload_and_no_second_one_is_begun() {
    on_either_leg(Budget::default(), quick(), async |editor, client| {
        let begun = succeed(client, "run_tests", json!({})).await;
        let job = begun.value["data"]["job_id"].clone();
        assert!(job.is_string(), "{begun:?}");

        let second = client.call("run_tests", json!({})).await;
        assert!(second.is_error, "{second:?}");
        assert_eq!(second.value["data"]["job_id"], job);
        assert_eq!(second.value["data"]["reason"], "tests_running");
        assert_eq!(ran(editor, "run_tests"), 1);

        // Another tool is not kept from its work by tests, and a reload does not end them.
        assert!(create(client, "Meanwhile").await.succeeded());
        reload(editor).await;
        let args = json!({"job_id": job, "wait_timeout": 30});
        let ended = succeed(client, "get_test_job", args).await;
        assert_eq!(ended.value["data"]["status"], "failed", "{ended:?}");
        assert_eq!(ended.value["data"]["result"]["summary"]["passed"], 3);

        // One that nobody waits for to end is freed without asking how the editor is.
        succeed(client, "run_tests", json!({"mode": "EditMode"})).await;
        let asked = ran(editor, "get_editor_state");
        succeed(client, "run_tests", json!({"clear_stuck": true})).await;
        assert_eq!(ran(editor, "get_editor_state"), asked);
        succeed(client, "run_tests", json!({})).await;
    })
    .await;
}

#[tokio::test]
async fn waiting_for_tests_ends_before_the_client_gives_up() {
    with_little_patience(Duration::from_millis(6_500), async |_, client, session| {
        let begun = succeed(client, "run_tests", json!({})).await;
        let args = json!({"job_id": begun.value["data"]["job_id"], "wait_timeout": 3_600});
        let state = session.call("get_test_job", args).await;
        // It waited for 1 s of the 6.5 s, since the rest is for the answer.
        assert_eq!(state.value["data"]["status"], "running", "{state:?}");
    })
    .await;
}

#[tokio::test]
async fn a_batch_may_be_as_long_as_the_editor_says() {
    on_either_leg(Budget::default(), quick(), async |editor, client| {
        let batch = |items: usize| {
            let item =
                json!({"tool": "manage_gameobject", "params": {"action": "create", "name": "B"}});
            client.call("batch_execute", json!({"commands": vec![item; items]}))
        };
        assert!(batch(25).await.succeeded());
        // Within what every editor takes nobody is asked.
        assert_eq!(ran(editor, "get_editor_state"), 0);
        let refused = batch(40).await;
        assert_eq!(refused.value["cause"], "invalid_arguments", "{refused:?}");
        assert!(refused.text.contains("1 to 25 commands"), "{refused:?}");
        menu(client, "Simulator/Batches Of 60").await;
        // Somebody reads the state, and with it the new limit.
        state(client).await;
        assert!(batch(40).await.succeeded());
        let refused = batch(61).await;
        assert!(refused.text.contains("1 to 60 commands"), "{refused:?}");
        assert_eq!(editor.report().objects_created["B"], 65);
    })
    .await;
}

#[tokio::test]
async fn what_others_changed_in_the_project_is_imported_before_the_next_call() {
    for leg in [Server::start, Server::dialling] {
        let project = Folder::new();
        let assets = project.path().join("Assets");
        fs::create_dir_all(&assets).expect("a folder");
        let script = assets.join("Ours.cs");
        fs::write(&script, "class Ours {}").expect("a file");
        let server = leg(Budget::default());
        let path = project.path().to_string_lossy().into_owned();
        let editor = server.editor(quick().project("Ours", path)).await;
        let client = server.client().await;

        assert!(create(&client, "First").await.succeeded());
        assert_eq!(ran(&editor, "refresh_unity"), 0);
        let file = fs::File::options()
            .write(true)
            .open(&script)
            .expect("it is there");
        let later = SystemTime::now() + Duration::from_secs(60);
        file.set_modified(later).expect("a time stamp");
        // Files are looked at when the editor is asked: not more than once in two seconds.
        tokio::time::sleep(Duration::from_millis(2_100)).await;
        let known = state(&client).await;
        assert_eq!(
            known["data"]["assets"]["external_changes_dirty"], true,
            "{known}"
        );
        tokio::time::sleep(Duration::from_millis(2_100)).await;
        assert!(create(&client, "Second").await.succeeded());
        assert_eq!(ran(&editor, "refresh_unity"), 1);
        assert!(create(&client, "Third").await.succeeded());
        assert_eq!(ran(&editor, "refresh_unity"), 1);
        let known = state(&client).await;
        assert_eq!(
            known["data"]["assets"]["external_changes_dirty"], false,
            "{known}"
        );
        server.stop().await;
    }
}

fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.expect("after 1970").as_millis() as u64
}
