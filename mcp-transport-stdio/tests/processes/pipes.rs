//! A server's own pipes.

use super::{alive, eventually, peer};
use rustix::fs::{OFlags, fcntl_getfl};
use serde_json::Value;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Child, Stdio};
use std::time::Duration;

/// A server, its input, and its output.
struct Server<I, O> {
    process: Child,
    input: I,
    output: BufReader<O>,
}

impl<I: Write, O: Read> Server<I, O> {
    fn call(&mut self, method: &str) -> Value {
        writeln!(
            self.input,
            r#"{{"jsonrpc":"2.0","id":1,"method":"{method}"}}"#
        )
        .unwrap();
        self.answer()["result"].take()
    }

    /// The next line that is JSON: what was printed before `stdio()` is no message.
    fn answer(&mut self) -> Value {
        loop {
            let mut line = String::new();
            assert_ne!(self.output.read_line(&mut line).unwrap(), 0, "it has left");
            if let Ok(answer) = serde_json::from_str(&line) {
                return answer;
            }
        }
    }

    /// Closes the input; gives back what is left in the output, once the server has left in peace.
    fn leave(self) -> String {
        drop(self.input);
        let mut rest = String::new();
        let (mut output, mut process) = (self.output, self.process);
        output.read_to_string(&mut rest).unwrap();
        assert!(process.wait().unwrap().success());
        rest
    }
}

fn start(stdin: impl Into<Stdio>, stdout: impl Into<Stdio>) -> Child {
    let mut command = peer::command("serve");
    command.stdin(stdin).stdout(stdout).stderr(Stdio::piped());
    command.spawn().unwrap()
}

fn over_pipes() -> Server<std::process::ChildStdin, std::process::ChildStdout> {
    let mut process = start(Stdio::piped(), Stdio::piped());
    Server {
        input: process.stdin.take().unwrap(),
        output: BufReader::new(process.stdout.take().unwrap()),
        process,
    }
}

/// Reading end and writing end, neither of which other children of this process inherit.
fn pipe() -> (OwnedFd, OwnedFd) {
    rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap()
}

fn blocks(fd: impl AsFd) -> bool {
    !fcntl_getfl(fd).unwrap().contains(OFlags::NONBLOCK)
}

#[test]
fn what_a_handler_or_its_child_prints_ends_on_standard_error() {
    let mut server = over_pipes();
    assert_eq!(server.call("print"), true);
    let mut stderr = server.process.stderr.take().unwrap();
    let rest = server.leave();
    assert_eq!(rest, "", "nothing but messages on standard output");
    let mut printed = String::new();
    stderr.read_to_string(&mut printed).unwrap();
    assert!(printed.contains("printed by a handler"), "{printed}");
    assert!(printed.contains("printed by a child"), "{printed}");
}

#[test]
fn a_handler_finds_standard_input_at_its_end() {
    let mut server = over_pipes();
    assert_eq!(server.call("read"), 0);
    assert_eq!(server.call("read"), 0, "and the client's messages go on");
    server.leave();
}

#[test]
fn standard_input_and_output_are_taken_once() {
    let mut server = over_pipes();
    let refused = server.call("again");
    assert_eq!(refused[0], true);
    assert!(
        refused[1]
            .as_str()
            .unwrap()
            .contains("hand its transport on"),
        "{refused}"
    );
    server.leave();
}

#[test]
fn pipes_do_not_block_the_server_and_still_block_everybody_else() {
    let (stdin, input) = pipe();
    let (output, stdout) = pipe();
    // Somebody else has the server's very ends.
    let shared = [stdin.try_clone().unwrap(), stdout.try_clone().unwrap()];
    let mut server = Server {
        process: start(stdin, stdout),
        input: File::from(input),
        output: BufReader::new(File::from(output)),
    };
    let pipes = server.call("pipes");
    assert!(
        pipes.as_str().unwrap().contains("pipe in, pipe out"),
        "{pipes}"
    );
    assert!(shared.iter().all(blocks));
    drop(shared);
    server.leave();
}

#[test]
fn sockets_do_not_block_the_server_and_still_block_everybody_else() {
    let (stdin, input) = UnixStream::pair().unwrap();
    let (output, stdout) = UnixStream::pair().unwrap();
    let shared = [stdin.try_clone().unwrap(), stdout.try_clone().unwrap()];
    let mut server = Server {
        process: start(OwnedFd::from(stdin), OwnedFd::from(stdout)),
        input,
        output: BufReader::new(output),
    };
    let pipes = server.call("pipes");
    assert!(
        pipes.as_str().unwrap().contains("socket in, socket out"),
        "{pipes}"
    );
    assert!(shared.iter().all(blocks));
    drop(shared);
    server.leave();
}

#[test]
fn one_socket_serves_as_both() {
    let (theirs, ours) = UnixStream::pair().unwrap();
    let mut server = Server {
        process: start(
            OwnedFd::from(theirs.try_clone().unwrap()),
            OwnedFd::from(theirs),
        ),
        input: ours.try_clone().unwrap(),
        output: BufReader::new(ours),
    };
    let pid = server.process.id();
    assert_eq!(server.call("pid"), pid);
    server.input.shutdown(std::net::Shutdown::Write).unwrap();
    server.leave();
}

/// As large as a pipe and a socket take in many pieces, both ways.
#[test]
fn large_messages_pass_over_pipes_and_sockets() {
    let text = "x".repeat(3 * 1024 * 1024);
    let call = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"echo","params":["{text}"]}}"#);
    fn echo<I: Write + Send + 'static, O: Read>(server: Server<I, O>, call: String) -> Value {
        let Server {
            process,
            mut input,
            output,
        } = server;
        let writer = std::thread::spawn(move || {
            writeln!(input, "{call}").unwrap();
            input
        });
        let mut server = Server {
            process,
            input: std::io::sink(),
            output,
        };
        let answer = server.answer();
        drop(writer.join().unwrap());
        server.leave();
        answer
    }
    let (stdin, input) = UnixStream::pair().unwrap();
    let (output, stdout) = UnixStream::pair().unwrap();
    let sockets = Server {
        process: start(OwnedFd::from(stdin), OwnedFd::from(stdout)),
        input,
        output: BufReader::new(output),
    };
    for answer in [echo(over_pipes(), call.clone()), echo(sockets, call)] {
        assert_eq!(answer["result"]["echo"], format!("[\"{text}\"]"));
    }
}

#[test]
fn files_are_served_too_and_no_answer_is_lost_at_the_end() {
    let folder = std::env::temp_dir().join(format!("mcp-stdio-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let (input, output) = (folder.join("in"), folder.join("out"));
    let mut calls = String::new();
    for id in 0..1000 {
        calls += &format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"method\":\"pipes\"}}\n");
    }
    // The last line is bad, and has no end.
    std::fs::write(&input, calls + "nonsense").unwrap();
    let mut server = start(File::open(&input).unwrap(), File::create(&output).unwrap());
    assert!(server.wait().unwrap().success());
    let answers = std::fs::read_to_string(&output).unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
    let answers: Vec<Value> = answers
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect();
    assert_eq!(answers.len(), 1001);
    assert!(
        answers[0]["result"]
            .as_str()
            .unwrap()
            .contains("thread in, file out")
    );
    assert_eq!(answers[999]["id"], 999);
    assert_eq!(answers[1000]["error"]["code"], -32700);
}

/// A server whose parent is a shell that we can kill, while we hold its input open.
fn adopted(role: &str) -> (u32, Server<File, File>) {
    let (stdin, input) = pipe();
    let (output, stdout) = pipe();
    let server = peer::command(role);
    // A shell gives /dev/null to what it starts in the background, unless told otherwise.
    let mut shell = super::sh("exec 3<&0; \"$@\" <&3 & wait");
    shell
        .arg("sh")
        .arg(server.get_program())
        .args(server.get_args());
    shell
        .env("PEER", role)
        .stdin(stdin)
        .stdout(stdout)
        .stderr(Stdio::null());
    let process = shell.process_group(0).spawn().unwrap();
    let mut server = Server {
        process,
        input: File::from(input),
        output: BufReader::new(File::from(output)),
    };
    let pid = u32::try_from(server.call("pid").as_u64().unwrap()).unwrap();
    server.process.kill().unwrap();
    server.process.wait().unwrap();
    (pid, server)
}

#[tokio::test]
async fn the_death_of_the_parent_ends_the_server_though_its_input_stays_open() {
    let (pid, server) = adopted("serve");
    eventually("the orphan leaves", Duration::from_secs(10), || !alive(pid)).await;
    drop(server);
}

#[tokio::test]
async fn the_death_of_the_parent_ends_a_server_that_waits_to_write() {
    let (pid, mut server) = adopted("serve");
    let params = "x".repeat(1024 * 1024);
    // It reads this, and its answer finds no reader. If it has noticed already, the line finds none.
    let call = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"echo","params":["{params}"]}}"#);
    let _ = writeln!(server.input, "{call}");
    eventually("the orphan leaves", Duration::from_secs(10), || !alive(pid)).await;
    drop(server);
}

#[tokio::test]
async fn a_server_that_does_not_mind_its_parent_serves_on() {
    let (pid, mut server) = adopted("serve without a parent");
    tokio::time::sleep(Duration::from_millis(2500)).await;
    assert_eq!(server.call("pid"), pid);
    drop(server);
    eventually(
        "the end of its input ends it",
        Duration::from_secs(10),
        || !alive(pid),
    )
    .await;
}
