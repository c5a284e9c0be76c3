//! Reload under load: no call hangs, none runs twice, and whoever lost an answer is told so.
#![allow(
    clippy::disallowed_methods,
    missing_docs,
    unreachable_pub,
    reason = "tests wait and spawn"
)]

mod reload_lines;

use examples::calls::Budget;
use examples::sim::Options;
use tests_integration::Server;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reload_of_five_seconds_under_load_costs_at_most_one_unknown() {
    reload_lines::five_seconds(Server::start(Budget::default()), Options::default()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_reloads_at_every_point_lose_nothing_and_repeat_nothing() {
    reload_lines::fifty_reloads(Server::start(Budget::default()), Options::default()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_editor_that_is_killed_and_started_again_costs_at_most_one_unknown() {
    reload_lines::killed_and_started_again(Server::start(Budget::default()), Options::default())
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_script_that_is_created_is_there_once_and_its_creator_is_told_so() {
    reload_lines::twenty_scripts(Server::start(Budget::default()), Options::default()).await;
}
