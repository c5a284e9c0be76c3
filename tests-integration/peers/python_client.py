#!/usr/bin/env python3
"""Drives the Unity server with the MCP SDK for Python: both eras of the protocol, over HTTP and over stdio.

In the middle the editor reloads its scripts. The client made its calls before it could know, and must notice nothing but
that one of them took longer.
"""

import asyncio
import json

from common import binary, check, inside_venv, main, scratch, unity_server

inside_venv("python_client.txt")

from mcp import Client  # noqa: E402
from mcp.client.stdio import StdioServerParameters, stdio_client  # noqa: E402

# The client's words for the eras, and the revision that each must arrive at.
ERAS = {"legacy": "2025-11-25", "auto": "2026-07-28"}

# Long enough for a word of progress, which comes after 3 s and then every 10 s.
RELOAD = 6
SIMULATED = ["--sim", "--sim-away", str(RELOAD)]


class Caller:
    def __init__(self, client, name):
        self.client = client
        self.name = name

    async def call(self, tool, progress=None, **arguments):
        """The tool's structured answer, which must be no error and say the same as its text."""
        result = await self.client.call_tool(tool, arguments, read_timeout_seconds=60, progress_callback=progress)
        check(not result.is_error, f"{self.name}: {tool} {arguments} is answered", result)
        check(json.loads(result.content[0].text) == result.structured_content, "… the same as text and as data", result)
        return result.structured_content

    async def named(self, name, progress=None):
        """The ids of what has this name in the scene."""
        scene = await self.call("manage_scene", action="get_hierarchy", progress=progress)
        return [item["instanceID"] for item in scene["data"]["items"] if item["name"] == name]

    async def report(self):
        """What ran in the editor, and how often: it keeps count, through reloads."""
        return (await self.call("execute_menu_item", menu_path="Simulator/Report"))["data"]


async def lists(caller):
    tools = {tool.name for tool in (await caller.client.list_tools()).tools}
    check({"manage_gameobject", "manage_scene", "read_console"} <= tools, f"{caller.name}: {len(tools)} tools", tools)
    resources = (await caller.client.list_resources()).resources
    check(resources, f"{caller.name}: {len(resources)} resources")


async def creates_finds_and_reads(caller, name):
    created = await caller.call("manage_gameobject", action="create", name=name)
    identity = created["data"]["instanceID"]
    check(await caller.named(name) == [identity], f"{caller.name}: {name} is in the scene, once")
    console = await caller.call("read_console", action="get")
    check(isinstance(console["data"], list), f"{caller.name}: the console is a list", console)


async def reloads(caller):
    """A call that reloads its own editor may lose its answer. Then it must say so, and be no mere time-out."""
    result = await caller.client.call_tool("execute_menu_item", {"menu_path": "Simulator/Reload Domain"})
    said = result.structured_content
    honest = said.get("success") is True or (said.get("outcome") == "unknown" and said.get("operation_id"))
    check(honest, f"{caller.name}: the reload is answered, or its outcome said to be unknown", said)


async def outlives_a_reload(caller, name):
    await reloads(caller)
    heard = []

    async def progress(done, _total, message):
        heard.append((done, message))

    # The editor is gone by now, or about to go: both are held, one read and one change.
    found, created = await asyncio.gather(
        caller.named(name, progress),
        caller.call("manage_gameobject", action="create", name=f"{name}-held", progress=progress),
    )
    check(len(found) == 1, f"{caller.name}: a read made during the reload finds what was there before", found)
    check(created["success"], f"{caller.name}: a change made during the reload is made", created)
    check(heard, f"{caller.name}: the wait was reported: {heard[:1]}")
    steps = [done for done, _ in heard]
    check(all(step >= 0 for step in steps), f"{caller.name}: … as seconds", heard)
    check(len(await caller.named(f"{name}-held")) == 1, f"{caller.name}: and it was made once")
    report = await caller.report()
    check(report["reloads"].get("menu"), f"{caller.name}: the editor did reload", report)
    check(report["ids_run_twice"] == {}, f"{caller.name}: and ran nothing twice", report)


async def drives(server, era, name):
    caller = Caller(server, name)
    version = server.protocol_version
    check(version == ERAS[era], f"{name}: speaks {version}")
    await lists(caller)
    scene = name.replace(", ", "-")
    await creates_finds_and_reads(caller, scene)
    await outlives_a_reload(caller, scene)


async def over_http(folder):
    with unity_server(folder, *SIMULATED) as url:
        for era in ERAS:
            async with Client(url, mode=era) as client:
                await drives(client, era, f"http, {era}")


async def over_stdio(folder):
    arguments = ["--transport", "stdio", "--http-url", "http://127.0.0.1:0", *SIMULATED]
    parameters = StdioServerParameters(command=binary("unity_server"), args=arguments)
    with (folder / "stdio.log").open("w") as log:
        for era in ERAS:
            async with Client(stdio_client(parameters, errlog=log), mode=era) as client:
                await drives(client, era, f"stdio, {era}")


async def both(folder):
    async with asyncio.timeout(300):
        await over_http(folder)
        await over_stdio(folder)


def body():
    with scratch() as folder:
        asyncio.run(both(folder))


main(body)
