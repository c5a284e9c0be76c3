//! One small rmcp server, behind our pipes and behind rmcp's own.

use crate::roles::Role;
use crate::table::{Table, Unit, in_turns};
use benches::Goal;
use benches::process::Process;
use mcp_transport_core::TransportExt;
use mcp_transport_stdio::stdio;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, ServerCapabilities,
    ServerConfig,
};
use rmcp::service::RequestContext;
use rmcp::{ErrorData, RoleServer, ServerHandler, ServiceExt};
use std::error::Error;
use std::fmt::Write as _;
use std::io::{self, Read, Write};
use std::process::{ChildStdin, ChildStdout};
use std::time::{Duration, Instant};

const IN_FLIGHT: usize = 32;
const SLICE: Duration = Duration::from_millis(1_000);

pub(crate) fn measure(table: &mut Table, rounds: usize) -> io::Result<()> {
    let (mut ours, mut theirs) = (
        Client::start(Role::StdioOurs)?,
        Client::start(Role::StdioRmcp)?,
    );
    let both = in_turns(rounds, || ours.slice(), || theirs.slice())?;
    table.add(
        "stdio server of rmcp's, 32 in flight, behind our pipes",
        "rmcp's stdio()",
        Unit::PerSecond,
        Goal::AtLeast(5.0),
        both,
    );
    Ok(())
}

/// Says what it is told.
#[derive(Debug)]
struct Echo;

impl ServerHandler for Echo {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let text = request
            .arguments
            .as_ref()
            .and_then(|given| given.get("text"));
        let text = text.and_then(|text| text.as_str()).unwrap_or_default();
        Ok(CallToolResult::success(vec![ContentBlock::text(text)]).into())
    }
}

/// Being the server, behind one or the other. All that differs is the transport.
pub(crate) async fn serve(behind_ours: bool) -> Result<(), Box<dyn Error>> {
    let service = match behind_ours {
        true => Echo.serve(stdio()?.typed()).await?,
        false => Echo.serve(rmcp::transport::stdio()).await?,
    };
    service.waiting().await?;
    Ok(())
}

/// A client that keeps so many calls on their way.
struct Client {
    _server: Process,
    stdin: ChildStdin,
    stdout: ChildStdout,
    buffer: Vec<u8>,
    calls: u64,
}

const INITIALIZE: &str = r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"benches","version":"1"}}}
"#;
const INITIALIZED: &str = "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}\n";

impl Client {
    fn start(role: Role) -> io::Result<Self> {
        let (server, stdin, stdout) = Process::piped(&mut role.command()?)?;
        let mut client = Self {
            _server: server,
            stdin,
            stdout,
            buffer: vec![0; 64 * 1024],
            calls: 0,
        };
        client.write(INITIALIZE)?;
        while client.read(|line| line.contains("\"result\""))? == 0 {}
        client.write(INITIALIZED)?;
        Ok(client)
    }

    /// Answers per second. Whenever some are read, so many calls are written, in one piece.
    fn slice(&mut self) -> io::Result<f64> {
        let began = Instant::now();
        self.call(IN_FLIGHT)?;
        let (mut answers, mut on_their_way) = (0, IN_FLIGHT);
        while on_their_way > 0 {
            let read = self.read(|line| line.contains("hello"))?;
            answers += read;
            on_their_way -= read;
            if began.elapsed() < SLICE {
                self.call(read)?;
                on_their_way += read;
            }
        }
        Ok(answers as f64 / began.elapsed().as_secs_f64())
    }

    /// So many more calls, each with an id of its own, in one piece.
    fn call(&mut self, times: usize) -> io::Result<()> {
        let mut text = String::new();
        for _ in 0..times {
            self.calls += 1;
            let _ = writeln!(
                text,
                r#"{{"jsonrpc":"2.0","id":{},"method":"tools/call","params":{{"name":"echo","arguments":{{"text":"hello"}}}}}}"#,
                self.calls
            );
        }
        self.write(&text)
    }

    fn write(&mut self, text: &str) -> io::Result<()> {
        self.stdin.write_all(text.as_bytes())
    }

    /// How many answers one read brings. Half a line waits for its other half, so that each is looked at.
    fn read(&mut self, is_good: impl Fn(&str) -> bool) -> io::Result<usize> {
        let mut length = 0;
        loop {
            let read = self.stdout.read(&mut self.buffer[length..])?;
            length += read;
            if read == 0 {
                return Err(io::Error::other("the server ended, or answers too much"));
            }
            if self.buffer[length - 1] == b'\n' {
                break;
            }
        }
        let text = String::from_utf8_lossy(&self.buffer[..length]);
        match text.lines().find(|line| !is_good(line)) {
            Some(bad) => Err(io::Error::other(format!("a call was answered by {bad}"))),
            None => Ok(text.lines().count()),
        }
    }
}
