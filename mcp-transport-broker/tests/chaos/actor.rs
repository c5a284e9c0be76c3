//! The host and the clients as processes: this very program, started again.

use crate::rig::Rig;
use crate::{client, host};
use fastrand::Rng;
use std::collections::HashSet;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::sleep;

const ROLE: &str = "CHAOS_ROLE";

/// What a process of a role is told.
pub(crate) struct Told {
    pub(crate) port: u16,
    pub(crate) folder: PathBuf,
    /// Where it writes what it does.
    pub(crate) file: PathBuf,
    /// How often it was there before.
    pub(crate) life: u64,
}

/// A process that is killed and comes back.
pub(crate) struct Actor {
    role: &'static str,
    file: PathBuf,
    life: u64,
    child: Child,
    killed: HashSet<u64>,
}

impl Actor {
    pub(crate) fn start(role: &'static str, rig: &Rig, file: &Path) -> Self {
        Self {
            role,
            file: file.to_owned(),
            life: 0,
            child: spawn(role, rig, file, 0),
            killed: HashSet::new(),
        }
    }

    pub(crate) async fn is_killed_and_comes_back(&mut self, rig: &Rig, rng: &mut Rng) {
        let ended = self.child.try_wait().unwrap();
        assert!(
            ended.is_none(),
            "the {} ended by itself: {ended:?}",
            self.role
        );
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.killed.insert(self.life);
        sleep(Duration::from_millis(rng.u64(..60))).await;
        self.life += 1;
        self.child = spawn(self.role, rig, &self.file, self.life);
    }

    /// It is told to end, and does.
    pub(crate) async fn ends_in_order(&mut self) {
        drop(self.child.stdin.take());
        for _ in 0..6_000 {
            if let Some(status) = self.child.try_wait().unwrap() {
                assert!(status.success(), "the {}: {status}", self.role);
                return;
            }
            sleep(Duration::from_millis(10)).await;
        }
        panic!("the {} does not end", self.role);
    }

    /// The lives that did not end in order.
    pub(crate) const fn killed(&self) -> &HashSet<u64> {
        &self.killed
    }
}

impl Drop for Actor {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(role: &str, rig: &Rig, file: &Path, life: u64) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "actor::a_process_of_a_role", "--nocapture"])
        .env(ROLE, role)
        .env("CHAOS_PORT", rig.port().to_string())
        .env("CHAOS_FOLDER", rig.folder())
        .env("CHAOS_FILE", file)
        .env("CHAOS_LIFE", life.to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

/// Not a test, but the host and the clients of one: it does nothing unless it was started as one.
#[test]
fn a_process_of_a_role() {
    let Ok(role) = std::env::var(ROLE) else {
        return;
    };
    let told = Told {
        port: variable("CHAOS_PORT").parse().unwrap(),
        folder: variable("CHAOS_FOLDER").into(),
        file: variable("CHAOS_FILE").into(),
        life: variable("CHAOS_LIFE").parse().unwrap(),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        match role.as_str() {
            "host" => host::run(&told, told_to_end()).await,
            "client" => client::run(told, told_to_end()).await,
            other => panic!("no such role: {other}"),
        }
    });
    std::process::exit(0);
}

fn variable(name: &str) -> String {
    std::env::var(name).unwrap()
}

/// The end of the input; also when the test is gone.
async fn told_to_end() {
    let (ended, has_ended) = oneshot::channel::<()>();
    std::thread::spawn(move || {
        let _ = std::io::stdin().read(&mut [0]);
        drop(ended);
    });
    let _ = has_ended.await;
}
