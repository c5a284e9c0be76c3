#!/usr/bin/env python3
"""Lets the Python server for Unity, in its stdio mode, drive the simulated editor that listens.

That server looks for editors again whenever 5 s have passed since it last did, by connecting to each, and it sends a command
again after whatever it takes for a fault. A plugin that serves the newest connection alone then loses the command that it is
working on. Here the slow command must succeed beside a second one, and the editor must have made each object once.
"""

import asyncio
import json
import time

from common import Process, binary, check, inside_venv, main, scratch, venv, wait

inside_venv("python_server.txt")

from mcp import ClientSession, StdioServerParameters  # noqa: E402
from mcp.client.stdio import stdio_client  # noqa: E402

PROJECT = "/peer/StdioProject"

# How long the editor works on each command, and how much later than the first the second call comes: after the 5 s.
SLOW = 7
SECOND_AFTER = 5.6

SERVER = {
    "DISABLE_TELEMETRY": "1",
    "UNITY_MCP_DISABLE_FOCUS_NUDGE": "1",
}


async def call(session, tool, **arguments):
    result = await session.call_tool(tool, arguments)
    answer = result.structuredContent or json.loads(result.content[0].text)
    check(not result.isError and answer.get("success"), f"{tool} {arguments} is answered", result)
    return answer


async def create(session, name):
    began = time.monotonic()
    await call(session, "manage_gameobject", action="create", name=name)
    return time.monotonic() - began


async def with_session(server, log, steps):
    """What an MCP client does that starts the Python server as its child."""
    async with asyncio.timeout(180), stdio_client(server, errlog=log) as (read, write), ClientSession(read, write) as session:
        await session.initialize()
        tools = {tool.name for tool in (await session.list_tools()).tools}
        check({"manage_gameobject", "execute_menu_item"} <= tools, f"it lists {len(tools)} tools", tools)
        await steps(session)


async def made(session):
    """How many objects of each name the editor has made."""
    report = (await call(session, "execute_menu_item", menu_path="Simulator/Report"))["data"]
    return report["objects_created"]


async def quick(session):
    await create(session, "First")
    # Two wishes, each answered: two objects.
    await create(session, "Twin")
    await create(session, "Twin")
    counts = await made(session)
    check(counts == {"First": 1, "Twin": 2}, "each call made one object", counts)


async def slow(session):
    async def meanwhile():
        await asyncio.sleep(SECOND_AFTER)
        return await create(session, "Meanwhile")

    took = await asyncio.gather(create(session, "Slow"), meanwhile())
    check(took[0] >= SLOW, f"the slow call took {took[0]:.1f} s, and the one beside it {took[1]:.1f} s")
    counts = await made(session)
    check(counts == {"Slow": 1, "Meanwhile": 1}, "each call made one object", counts)


def editor(folder, *flags):
    # It would take the notice of a lost seat for the answer to its command.
    listens = ["--bridge", "--port", "0", "--notice", "announced", "--project-path", PROJECT]
    command = [binary("unity_editor"), *listens, "--project-name", "StdioProject", *flags]
    return Process("unity_editor", command, folder / "editor.log", env=home(folder))


def home(folder):
    # One of its readers ignores UNITY_MCP_STATUS_DIR, so the files are where it looks by itself.
    return {"HOME": str(folder), "UNITY_MCP_STATUS_DIR": "", "UNITY_MCP_LOG_DIR": str(folder)}


def body():
    program = venv("python_server.txt") / "bin" / "mcp-for-unity"
    for flags, steps in [([], quick), (["--latency", str(SLOW)], slow)]:
        with scratch() as folder, editor(folder, *flags) as process:
            process.find(r"listening", 10)
            files = list((folder / ".unity-mcp").glob("unity-mcp-status-*.json"))
            check(len(files) == 1, "the editor has its status file", files)
            server = StdioServerParameters(
                command=str(program), args=["--transport", "stdio"], env={**process.env, **SERVER}
            )
            with (folder / "server.log").open("w") as log:
                asyncio.run(with_session(server, log, steps))
            process.end()
            check(wait(lambda: not files[0].exists(), 5), "the status file went with the editor")


main(body)
