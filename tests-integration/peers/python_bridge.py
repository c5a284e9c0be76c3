#!/usr/bin/env python3
"""Lets the Python server for Unity find and drive a bridge of ours, as if it were the plugin's.

That server sends a command up to six times: after a time-out, after an end of the stream, and after every answer whose
status is an error. Here each must run once, and its caller must hear what it did.
"""

import asyncio
import json

from common import Process, binary, check, inside_venv, main, scratch, venv, wait

inside_venv("python_server.txt")

from mcp import ClientSession, StdioServerParameters  # noqa: E402
from mcp.client.stdio import stdio_client  # noqa: E402

# How long the Python server waits for an answer before it dials and sends again; and a command that takes longer than that,
# and than the 5 s after which it looks for projects again.
PATIENCE = 4
LONG = 8

SERVER = {
    "DISABLE_TELEMETRY": "1",
    "UNITY_MCP_DISABLE_FOCUS_NUDGE": "1",
    "UNITY_MCP_CONNECTION_TIMEOUT": str(PATIENCE),
    "UNITY_MCP_COMMAND_TOTAL_TIMEOUT": "60",
}


class Caller:
    def __init__(self, session, bridge):
        self.session = session
        self.bridge = bridge

    async def menu(self, path):
        """What became of a menu item."""
        result = await self.session.call_tool("execute_menu_item", {"menu_path": path})
        return json.loads(result.content[0].text)

    def runs(self, path):
        return self.bridge.text().splitlines().count(f"runs execute_menu_item {path}")

    async def done(self, path):
        answer = await self.menu(path)
        check(answer.get("success") and answer.get("message", "").endswith(path), f"{path} is answered", answer)
        check(self.runs(path) == 1, f"{path} ran once", self.bridge.text())


async def drive(server, bridge, log):
    async with asyncio.timeout(120), stdio_client(server, errlog=log) as (read, write), ClientSession(read, write) as session:
        await session.initialize()
        tools = (await session.list_tools()).tools
        check(len(tools) > 20, f"it found the bridge, and lists {len(tools)} tools")
        caller = Caller(session, bridge)
        await caller.done("First")

        answer = await caller.menu("Fail/Once")
        check("Fail/Once failed" in json.dumps(answer), "an error arrives as the bridge said it", answer)
        check(caller.runs("Fail/Once") == 1, "what failed was not run again", bridge.text())

        async def meanwhile():
            await asyncio.sleep(5.5)
            await caller.done("Meanwhile")

        # The second call looks for projects, which is a second connection, while the first runs.
        await asyncio.gather(caller.done(f"Wait/{LONG}"), meanwhile())
        await caller.done("Last")


def body():
    with scratch() as folder:
        home = {"HOME": str(folder), "UNITY_MCP_STATUS_DIR": str(folder / ".unity-mcp"), "UNITY_MCP_LOG_DIR": str(folder)}
        with Process("bridge", [binary("bridge"), "/peer/Game/Assets"], folder / "bridge.log", env=home) as bridge:
            bridge.find(r"^listens \d+", 10)
            program = venv("python_server.txt") / "bin" / "mcp-for-unity"
            server = StdioServerParameters(command=str(program), args=["--transport", "stdio"], env={**bridge.env, **SERVER})
            with (folder / "server.log").open("w") as log:
                asyncio.run(drive(server, bridge, log))
            files = list((folder / ".unity-mcp").glob("unity-mcp-status-*.json"))
            check(len(files) == 1, "there is one status file", files)
            bridge.end()
            gone = wait(lambda: not files[0].exists(), 5)
            check(gone, "the status file went with the bridge")


main(body)
