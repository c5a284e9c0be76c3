//! The programs that are measured: built, installed and started.

use crate::process::Process;
use crate::target;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Our own programs are built as this one was: as they are released, if anything is to be measured.
const PROFILE: &str = match cfg!(debug_assertions) {
    true => "debug",
    false => "release",
};

/// Builds our own programs. Cargo does nothing where they are up to date.
///
/// # Errors
/// If that fails.
pub fn build() -> io::Result<()> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command
        .current_dir(root())
        .args(["build", "--quiet"])
        .args((PROFILE == "release").then_some("--release"))
        .args(["-p", "examples", "-p", "mcp-transport-broker"])
        .args(["--features", "mcp-transport-broker/cli"])
        .args(["--example", "unity_server", "--example", "unity_editor"])
        .args(["--bin", "mcp-broker"]);
    let status = command.status()?;
    if !status.success() {
        return Err(io::Error::other(format!(
            "cargo could not build what is to be measured: {status}"
        )));
    }
    Ok(())
}

/// One of our programs, e.g. `examples/unity_server`.
///
/// # Errors
/// If it was not built.
pub fn ours(name: &str) -> io::Result<PathBuf> {
    let path = target().join(PROFILE).join(name);
    if !path.exists() {
        let text = format!("{} is missing: leave out --no-build", path.display());
        return Err(io::Error::new(io::ErrorKind::NotFound, text));
    }
    Ok(path)
}

/// Our server on this port, with its log in this folder.
///
/// # Errors
/// If it cannot be started.
pub fn unity_server(port: u16, folder: &Path) -> io::Result<Process> {
    let mut command = Command::new(ours("examples/unity_server")?);
    command
        .args(["--transport", "http", "--http-url"])
        .arg(format!("http://127.0.0.1:{port}"))
        // The editors of whoever runs this are not ours to dial.
        .env("UNITY_MCP_STATUS_DIR", folder.join("no-editors"));
    Process::start(&mut command, &folder.join("unity_server.log"))
}

/// The simulated editor, which dials the server at this port.
///
/// # Errors
/// If it cannot be started.
pub fn unity_editor(port: u16, log: &Path) -> io::Result<Process> {
    let mut command = Command::new(ours("examples/unity_editor")?);
    command
        .arg("--server")
        .arg(format!("ws://127.0.0.1:{port}/hub/plugin"));
    Process::start(&mut command, log)
}

/// Has somebody else's program installed below the target folder, as the tests do, and says where it is: what a function of
/// `tests-integration/peers/common.py` returns.
///
/// # Errors
/// If it cannot be had.
pub fn installed(function: &str) -> io::Result<PathBuf> {
    let code = format!("import common; print(common.{function})");
    let mut command = Command::new("python3");
    command
        .args(["-c", &code])
        .env("PYTHONPATH", root().join("tests-integration/peers"))
        .env("CARGO_TARGET_DIR", target());
    let output = command.output()?;
    let said = String::from_utf8_lossy(&output.stdout);
    // It also says what it installs.
    let last = said.trim().lines().last();
    last.filter(|_| output.status.success())
        .map(PathBuf::from)
        .ok_or_else(|| {
            let why = String::from_utf8_lossy(&output.stderr);
            let why = why.trim().lines().last().unwrap_or_default();
            io::Error::other(format!("common.{function}: {why}"))
        })
}

/// A folder for the logs of one run, below the target folder.
///
/// # Errors
/// If it cannot be made.
pub fn scratch(name: &str) -> io::Result<PathBuf> {
    let folder = target().join(name);
    if let Err(error) = std::fs::remove_dir_all(&folder)
        && error.kind() != io::ErrorKind::NotFound
    {
        return Err(error);
    }
    std::fs::create_dir_all(&folder)?;
    Ok(folder)
}

/// The workspace's.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}
