"""An editor without Unity, on either leg, and both servers for it: the Python server for Unity, and ours.

The editor answers what it is told to answer, and keeps what it was sent. The scripts beside this one ask both servers for the same,
and compare what arrives.
"""

import asyncio
import contextlib
import hashlib
import json
import logging
import os
import struct
import time
from datetime import UTC, datetime
from pathlib import Path

from anyio import BrokenResourceError
from common import Process, binary, free_port, venv
from mcp import ClientSession, McpError, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamablehttp_client
from mcp.types import CallToolRequest, CallToolRequestParams, CallToolResult, ClientRequest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

PROJECT = "/peer/StandIn"

# rmcp says 202 to the end of a session, of which the SDK warns.
logging.getLogger("mcp").setLevel(logging.ERROR)

# The Python server's sources of noise, off: telemetry, windows that it brings to the front.
QUIET = {"DISABLE_TELEMETRY": "1", "UNITY_MCP_DISABLE_FOCUS_NUDGE": "1"}

OK = {"success": True, "message": "ok", "data": {}}


def success(result):
    """What the plugin wraps around a handler's result."""
    return {"status": "success", "result": result}


def editor_state():
    """An editor with nothing to do, just now."""
    return {
        "success": True,
        "message": "Retrieved editor state.",
        "data": {
            "schema_version": "unity-mcp/editor_state@2",
            "observed_at_unix_ms": int(time.time() * 1000),
            "sequence": 1,
            "editor": {"is_focused": True},
            "activity": {"phase": "idle"},
            "compilation": {"is_compiling": False, "is_domain_reload_pending": False},
            "assets": {"is_updating": False},
            "tests": {"is_running": False},
        },
    }


class Editor:
    """What is behind both legs: what it was sent, and what it says to that.

    `answer(command, params)` may be replaced. It gives the whole envelope, and may take its time.
    """

    def __init__(self, name="StandIn"):
        self.name = name
        self.sent = []

    async def answer(self, command, params):
        return self.usual(command, params)

    def usual(self, command, _params):
        if command == "ping":
            return success({"message": "pong"})
        if command == "get_editor_state":
            return success(editor_state())
        if command == "get_project_info":
            root = f"{PROJECT}/{self.name}"
            return success({"success": True, "message": "ok", "data": {"projectRoot": root, "assetsPath": f"{root}/Assets"}})
        return success(OK)

    async def hear(self, command, params):
        self.sent.append([command, params])
        return await self.answer(command, params)

    def heard(self, command, **some):
        """How often it was sent this command, with these among its parameters."""
        return sum(1 for name, params in self.sent if name == command and some.items() <= params.items())


class Plugin:
    """The editor as a WebSocket client of a server's hub. It works on many commands at once, other than the real one."""

    def __init__(self, url, editor, tools=()):
        self.url = url.replace("http://", "ws://") + "/hub/plugin"
        self.editor, self.tools = editor, list(tools)
        self.hash = hashlib.sha1(editor.name.encode()).hexdigest()[:16]
        # Set, it stays connected and says nothing more: what is left of a connection that broke.
        self.mute = False

    async def __aenter__(self):
        self.socket = await connect(self.url, ping_interval=None, max_size=None)
        self.registered = asyncio.get_running_loop().create_future()
        self.running = set()
        self.reader = asyncio.create_task(self._read())
        unity = {"unity_version": "6000.0.1f1", "project_path": PROJECT}
        await self._say({"type": "register", "project_name": self.editor.name, "project_hash": self.hash, **unity})
        return self

    async def __aexit__(self, *_):
        for task in [self.reader, *self.running]:
            task.cancel()
        await self.socket.close()

    async def seated(self):
        """Waits until the server has registered it and has heard of its tools."""
        await asyncio.wait_for(asyncio.shield(self.registered), 30)
        return self

    async def _read(self):
        with contextlib.suppress(ConnectionClosed):
            async for text in self.socket:
                message = json.loads(text)
                if self.mute:
                    continue
                if message["type"] == "registered":
                    self.session = message["session_id"]
                    await self._say({"type": "register_tools", "tools": self.tools})
                    self.registered.set_result(self.session)
                elif message["type"] == "ping":
                    await self._say({"type": "pong", "session_id": getattr(self, "session", None)})
                elif message["type"] == "execute":
                    task = asyncio.create_task(self._execute(message))
                    self.running.add(task)
                    task.add_done_callback(self.running.discard)

    async def _execute(self, message):
        envelope = await self.editor.hear(message["name"], message["params"])
        if not self.mute:
            with contextlib.suppress(ConnectionClosed):
                await self._say({"type": "command_result", "id": message["id"], "result": envelope})

    async def _say(self, message):
        await self.socket.send(json.dumps(message))


class Bridge:
    """The editor as the listener that the installed plugin is: one client, whom each newcomer ends without a word."""

    def __init__(self, home, editor):
        self.editor = editor
        assets = f"{PROJECT}/{editor.name}/Assets"
        self.file = Path(home) / ".unity-mcp" / f"unity-mcp-status-{hashlib.sha1(assets.encode()).hexdigest()[:8]}.json"
        self.status = {"project_path": assets, "project_name": editor.name, "unity_version": "6000.0.1f1"}
        self.port = free_port()
        self.clients, self.tasks = set(), set()

    async def __aenter__(self):
        self.file.parent.mkdir(exist_ok=True)
        self.reloading = False
        await self._listen()
        self.beat = asyncio.create_task(self._heartbeat())
        return self

    async def __aexit__(self, *_):
        self.beat.cancel()
        self.away()
        self.file.unlink(missing_ok=True)

    def away(self):
        """A reload begins: nobody listens, and the file says so."""
        self.reloading = True
        self._write()
        self.listener.close()
        for client in list(self.clients):
            client.transport.abort()

    async def back(self):
        await self._listen()
        self.reloading = False
        self._write()

    async def _listen(self):
        self.listener = await asyncio.start_server(self._accept, "127.0.0.1", self.port)

    async def _heartbeat(self):
        while True:
            if not self.reloading:
                self._write()
            await asyncio.sleep(0.5)

    def _write(self):
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f0Z")
        reason = "reloading" if self.reloading else "ready"
        status = {"unity_port": self.port, "reloading": self.reloading, "reason": reason, "seq": 1, **self.status}
        # Never half a file, which the real one may be.
        half = self.file.with_suffix(".half")
        half.write_text(json.dumps({**status, "last_heartbeat": now, "project_scoped_tools": False}))
        os.replace(half, self.file)

    async def _accept(self, reader, writer):
        self.tasks.add(asyncio.current_task())
        asyncio.current_task().add_done_callback(self.tasks.discard)
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            writer.write(b"WELCOME UNITY-MCP 1 FRAMING=1\n")
            await writer.drain()
            for other in list(self.clients):
                other.transport.abort()
            self.clients.add(writer)
            while True:
                (length,) = struct.unpack(">Q", await reader.readexactly(8))
                payload = await reader.readexactly(length)
                if payload == b"ping":
                    answer = success({"message": "pong"})
                else:
                    request = json.loads(payload)
                    answer = await self.editor.hear(request["type"], request.get("params", {}))
                text = json.dumps(answer, separators=(",", ":")).encode()
                writer.write(struct.pack(">Q", len(text)) + text)
                await writer.drain()
        self.clients.discard(writer)
        writer.transport.abort()


class Theirs:
    """The Python server."""

    name = "mcp-for-unity"

    def __init__(self, folder, *flags, **env):
        self.folder = folder
        self.program = str(venv("python_server.txt") / "bin" / "mcp-for-unity")
        self.flags = flags
        self.env = {**QUIET, **env, "HOME": str(folder), "UNITY_MCP_STATUS_DIR": "", "UNITY_MCP_LOG_DIR": str(folder)}

    def over_http(self):
        url = f"http://127.0.0.1:{free_port()}"
        command = [self.program, "--transport", "http", "--http-url", url, *self.flags]
        env = {**self.env, "UNITY_MCP_SKIP_STARTUP_CONNECT": "1"}
        return Process(self.name, command, self.folder / "server.log", env=env), lambda process: self._url(process, url)

    @staticmethod
    def _url(process, url):
        process.find("Uvicorn running on|Application startup complete", 60, "that it serves")
        return url

    def on_pipes(self):
        return StdioServerParameters(command=self.program, args=["--transport", "stdio", *self.flags], env={**os.environ, **self.env})


class Ours:
    """unity_server."""

    name = "unity_server"

    def __init__(self, folder, *flags, **env):
        self.folder, self.flags = folder, flags
        # The same folder in which the Python server looks by itself.
        self.env = {**env, "HOME": str(folder), "UNITY_MCP_STATUS_DIR": str(folder / ".unity-mcp")}

    def over_http(self):
        command = [binary(self.name), "--transport", "http", "--http-url", "http://127.0.0.1:0", "--editor", "hub", *self.flags]
        process = Process(self.name, command, self.folder / "server.log", env=self.env)
        return process, lambda process: process.find(r"^MCP +(http://\S+)/mcp$", 60, "its MCP URL")[1]

    def on_pipes(self):
        args = ["--transport", "stdio", "--http-url", "http://127.0.0.1:0", "--editor", "bridge", *self.flags]
        return StdioServerParameters(command=binary(self.name), args=args, env={**os.environ, **self.env})


@contextlib.asynccontextmanager
async def serving(server):
    """The server, on a port; its URL."""
    process, url = server.over_http()
    with process:
        yield await asyncio.to_thread(url, process)


class Client:
    """An MCP client, which takes answers as they are: what a tool promised of their shape is no matter here."""

    def __init__(self, session):
        self.session = session

    async def call(self, tool, **arguments):
        params = CallToolRequestParams(name=tool, arguments=arguments)
        request = ClientRequest(CallToolRequest(method="tools/call", params=params))
        try:
            return Answer(await self.session.send_request(request, CallToolResult))
        except McpError as error:
            return Answer(error=error)

    async def read(self, uri):
        """Reads a resource, whatever becomes of it."""
        with contextlib.suppress(McpError):
            return await self.session.read_resource(uri)


class Answer:
    """What became of a call."""

    def __init__(self, result=None, error=None):
        texts = [part.text for part in result.content if part.type == "text"] if result else [str(error)]
        self.text = " ".join(texts)
        self.body = (result.structuredContent if result else None) or _object(texts[0] if texts else "")
        self.failed = result is None or result.isError or self.body.get("success") is False

    def __str__(self):
        return f"{'failed' if self.failed else 'succeeded'}: {self.text[:300]}"


def _object(text):
    try:
        value = json.loads(text)
    except json.JSONDecodeError:
        return {}
    return value if isinstance(value, dict) else {}


@contextlib.asynccontextmanager
async def http_client(url):
    async with streamablehttp_client(url + "/mcp") as (read, write, _), ClientSession(read, write) as session:
        await session.initialize()
        yield Client(session)


async def with_pipes(server, steps):
    """Starts the server as an AI client does, and lets these steps have it."""
    result, failure, done = None, None, False
    try:
        with (server.folder / "server.log").open("w") as log:
            async with stdio_client(server.on_pipes(), errlog=log) as pipes, ClientSession(*pipes) as session:
                await session.initialize()
                try:
                    result = await steps(Client(session))
                except Exception as error:
                    failure = error
                done = True
    except* BrokenResourceError:
        # The server may say that its tools changed while this client leaves, which it cannot bear.
        if not done:
            raise
    if failure:
        raise failure
    return result
