//! The real `unity_server`, as a process.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::LazyLock;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

/// A command that runs it with these flags; the process ends with its handle.
pub fn unity_server(flags: &[&str]) -> Command {
    let mut command = Command::new(&*BINARY);
    command
        .args(flags)
        .env_remove("RUST_LOG")
        // The editors of whoever runs the tests are not ours to dial.
        .env(
            "UNITY_MCP_STATUS_DIR",
            std::env::temp_dir().join("mcp-transport-no-editors"),
        )
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

/// The port that a server with `--http-url http://127.0.0.1:0` says it has.
///
/// # Panics
/// If it ends without a word.
pub async fn port_in(banner: impl tokio::io::AsyncRead + Unpin) -> u16 {
    let mut lines = BufReader::new(banner).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let url = line.strip_prefix("Health  http://127.0.0.1:");
        let port = url.and_then(|rest| rest.strip_suffix("/health"));
        if let Some(Ok(port)) = port.map(str::parse) {
            return port;
        }
    }
    panic!("the server said nothing of its port");
}

/// Waits for its end: its exit code, and what it said on standard output and standard error.
///
/// # Panics
/// If it cannot be waited for.
pub async fn output(child: Child) -> (Option<i32>, String, String) {
    let output = child.wait_with_output().await.expect("a child of ours");
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    (
        output.status.code(),
        text(output.stdout),
        text(output.stderr),
    )
}

/// Beside this test, in the same profile. Built here, since cargo builds no other package's example for a test.
static BINARY: LazyLock<PathBuf> = LazyLock::new(|| {
    let own = std::env::current_exe().expect("a test is a program");
    let profile = own.ancestors().nth(2).expect("target/profile/deps/test");
    let binary = profile
        .join("examples/unity_server")
        .with_extension(std::env::consts::EXE_EXTENSION);
    // Without cargo somebody runs the test's program by hand, and has built the other one.
    if let Some(cargo) = std::env::var_os("CARGO") {
        build(Path::new(&cargo), profile);
    }
    assert!(binary.exists(), "{} is not there", binary.display());
    binary
});

fn build(cargo: &Path, profile: &Path) {
    let (name, target) = (profile.file_name(), profile.parent());
    let name = match name.and_then(|name| name.to_str()) {
        Some("debug") | None => "dev",
        Some(name) => name,
    };
    // The whole workspace, so that dependencies have the features that they have been built with already.
    let built = std::process::Command::new(cargo)
        .args(["build", "-q", "--workspace"])
        .args(["--example", "unity_server", "--profile", name])
        .arg("--target-dir")
        .arg(target.expect("a profile is in a target directory"))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status();
    assert!(
        built.expect("cargo runs").success(),
        "unity_server does not build"
    );
}
