//! A program that speaks JSON-RPC, but not MCP: it keeps a compiler as a child process, which crashes.
//!
//! `build/targets` only reads, so it is asked again after a crash; `build/run` changes something, so it is not.

use futures::{SinkExt, StreamExt};
use mcp_transport_core::delivery::Replay;
use mcp_transport_core::{Error, ErrorKind, Id, Message, Resilient};
use mcp_transport_stdio::{ChildConnector, stdio};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::process::Command;

/// Names a file: the child that cannot find it creates it, and crashes in the middle of its build.
const FRAGILE: &str = "BUILD_SERVER_CRASHES_UNLESS";

#[derive(Deserialize, Serialize)]
struct Targets {
    targets: Vec<String>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    if std::env::args().nth(1).as_deref() == Some("compile") {
        return compile().await;
    }
    let program = std::env::current_exe()?;
    let crashed = std::env::temp_dir().join(format!("mcp-transport-build-{}", std::process::id()));
    let mut command = Command::new(program);
    command.arg("compile").env(FRAGILE, &crashed);
    let mut compiler = Resilient::builder(ChildConnector::new(command))
        .replay(|request| match request.method() {
            Some("build/targets") => Replay::Safe,
            _ => Replay::Never,
        })
        .spawn();

    ask(&mut compiler, 1, "build/targets").await?;
    let lost = ask(&mut compiler, 2, "build/run").await?;
    assert!(
        lost.as_str()
            .is_some_and(|text| text.contains(r#""outcome":"unknown""#))
    );
    let targets = ask(&mut compiler, 3, "build/targets").await?;
    assert_eq!(targets.json::<Answer>()?.result.targets, ["app", "tests"]);
    let built = ask(&mut compiler, 4, "build/run").await?;
    assert_eq!(built.body(), Some(r#""built""#));

    compiler
        .handle()
        .close(std::time::Duration::from_secs(5))
        .await;
    std::fs::remove_file(crashed)?;
    Ok(())
}

#[derive(Deserialize)]
struct Answer {
    result: Targets,
}

async fn ask(compiler: &mut Resilient, id: i64, method: &str) -> Result<Message, Error> {
    compiler
        .send(Message::request(&Id::from(id), method, None::<()>)?)
        .await?;
    let answer = compiler
        .next()
        .await
        .ok_or_else(|| Error::new(ErrorKind::Closed))??;
    println!("{method}: {}", answer.as_str().unwrap_or_default());
    Ok(answer)
}

/// The child.
async fn compile() -> Result<(), Error> {
    let mut client = stdio()?;
    while let Some(message) = client.next().await {
        let message = message?;
        let Some(id) = message.id() else { continue };
        let answer = match message.method() {
            Some("build/targets") => {
                let targets = ["app", "tests"].map(str::to_owned).to_vec();
                Message::response(id, Targets { targets })?
            }
            Some("build/run") => {
                let crashed = std::env::var_os(FRAGILE);
                if crashed.is_some_and(|crashed| File::create_new(crashed).is_ok()) {
                    std::process::abort();
                }
                Message::response(id, "built")?
            }
            _ => Message::error(Some(id), -32601, "Method not found", None::<()>),
        };
        client.send(answer).await?;
    }
    Ok(())
}
