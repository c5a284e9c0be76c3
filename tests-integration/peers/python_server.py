#!/usr/bin/env python3
"""Lets the simulated editor be the plugin of the Python server for Unity, which speaks the dialect that ours has to speak, too.

It must register there, answer what an MCP client asks that server for, keep its session while nobody asks for anything, and come
back by itself, by its schedule, to a server that was away.
"""

import asyncio
import json
import re
import time
import urllib.request

from common import Process, binary, check, free_port, inside_venv, main, scratch, venv, wait

inside_venv("python_server.txt")

from mcp import ClientSession  # noqa: E402
from mcp.client.streamable_http import streamablehttp_client  # noqa: E402

PROJECT = "PeerProject"

# Longer than anything on either side that ends a connection for its silence: the server's pings (10 s, 20 s), the plugin's (15 s).
IDLE = 60

# How the editor's log shows the waits after a loss. It dials 0, 1, 4, 9, 19, 49 and 79 s after it.
SCHEDULE, TAIL = ["0ns", "1s", "3s", "5s", "10s", "30s"], "30s"
AWAY = 70
BACK_WITHIN = 30 + 5

SERVER = {
    "DISABLE_TELEMETRY": "1",
    "UNITY_MCP_DISABLE_FOCUS_NUDGE": "1",
    "UNITY_MCP_SKIP_STARTUP_CONNECT": "1",
}


class Peer:
    """The Python server on a port, with a home of its own."""

    def __init__(self, folder, port):
        self.url = f"http://127.0.0.1:{port}"
        self.process = Process(
            "mcp-for-unity",
            [venv("python_server.txt") / "bin" / "mcp-for-unity", "--transport", "http", "--http-url", self.url],
            folder / "server.log",
            env={**SERVER, "HOME": str(folder), "UNITY_MCP_LOG_DIR": str(folder)},
        )

    def __enter__(self):
        self.process.__enter__()
        ready = wait(lambda: self.ask("/health"), 60, lambda: self.process.child.poll() is None)
        check(ready and ready["status"] == "healthy", f"the Python server {ready and ready['version']} serves", self.process.text())
        return self

    def __exit__(self, *how):
        self.process.__exit__(*how)

    def ask(self, path):
        """What a page of its own says; None while it cannot be reached."""
        try:
            with urllib.request.urlopen(self.url + path, timeout=5) as answer:
                return json.load(answer)
        except OSError:
            return None

    def editors(self):
        instances = (self.ask("/api/instances") or {}).get("instances", [])
        return [one for one in instances if one["project"] == PROJECT] or None

    def editor(self, seconds):
        """The session of our editor, once it is there."""
        found = wait(self.editors, seconds)
        check(found and len(found) == 1, "the editor is registered, once", self.ask("/api/instances"))
        return found[0]["session_id"]


async def drive(url, name):
    """What the user of an AI client does, through the SDK that the server itself is built on."""
    async with asyncio.timeout(60), streamablehttp_client(url + "/mcp") as (read, write, _), ClientSession(read, write) as session:
        await session.initialize()
        tools = {tool.name for tool in (await session.list_tools()).tools}
        check({"manage_gameobject", "manage_scene", "read_console"} <= tools, f"it lists {len(tools)} tools", tools)

        async def call(tool, **arguments):
            result = await session.call_tool(tool, arguments)
            answer = result.structuredContent or json.loads(result.content[0].text)
            check(not result.isError and answer.get("success"), f"{tool} {arguments} is answered", result)
            return answer

        created = await call("manage_gameobject", action="create", name=name)
        identity = created["data"]["instanceID"]
        scene = await call("manage_scene", action="get_hierarchy")
        found = [item["instanceID"] for item in scene["data"]["items"] if item["name"] == name]
        check(found == [identity], f"{name} is in the scene, once", scene)
        console = await call("read_console", action="get")
        check(isinstance(console["data"], list), "the console is a list", console)
        report = (await call("execute_menu_item", menu_path="Simulator/Report"))["data"]
        check(report["ids_run_twice"] == {}, "nothing ran twice", report)


def body():
    port = free_port()
    editor = [binary("unity_editor"), "--server", f"ws://127.0.0.1:{port}/hub/plugin", "--project-name", PROJECT]
    with scratch() as folder, Process("unity_editor", editor, folder / "editor.log") as process:
        with Peer(folder, port) as server:
            session = server.editor(40)
            asyncio.run(drive(server.url, "First"))
            time.sleep(IDLE)
            check(server.editor(1) == session, f"after {IDLE} s without a call it still has the session it had")
            asyncio.run(drive(server.url, "AfterSilence"))
            # It drops its plugins first, and takes its time to end.
            said = len(process.text())
        print(f"the server is away for {AWAY} s", flush=True)
        time.sleep(AWAY)
        with Peer(folder, port) as server:
            server.editor(BACK_WITHIN)
            waits = re.findall(r" delay=(\w+)", process.text()[said:])
            schedule = SCHEDULE + [TAIL] * (len(waits) - len(SCHEDULE))
            check(waits == schedule, f"it was back by itself, after waits of {', '.join(waits)}", process.text()[said:])
            asyncio.run(drive(server.url, "AfterAbsence"))


if __name__ == "__main__":
    main(body)
