#!/usr/bin/env python3
"""Lets the Python server for Unity, in its stdio mode, drive the simulated editor that listens.

That server looks for editors again whenever 5 s have passed since it last did, by connecting to each, and it sends a command
again after whatever it takes for a fault: also after a reload, when the command may have run. A plugin that serves the newest
connection alone and remembers nothing then loses the command that it is working on, and runs it again. Here a slow command must
succeed beside a second one, a reload must not repeat the command that it struck, and the editor must have made each object once.
The same scenes by the installed plugin's rule show the damage.
"""

import asyncio
import json
import re
import socket
import struct
import time
from datetime import datetime

from common import Process, binary, check, inside_venv, main, scratch, venv, wait

inside_venv("python_server.txt")

from anyio import BrokenResourceError  # noqa: E402
from mcp import ClientSession, StdioServerParameters  # noqa: E402
from mcp.client.stdio import stdio_client  # noqa: E402

PROJECT = "/peer/StdioProject"

# How long the editor works on the slow command, and how much later than that one the second call comes: after the 5 s.
SLOW = 7
SECOND_AFTER = 5.6

# How long a reload takes: the Python server's attempts go on for at least 3 s more.
AWAY = 1

SERVER = {
    "DISABLE_TELEMETRY": "1",
    "UNITY_MCP_DISABLE_FOCUS_NUDGE": "1",
}


class Scene:
    """A session of the Python server, and the editor that it drives."""

    def __init__(self, session, editor):
        self.session = session
        self.editor = editor

    async def call(self, tool, **arguments):
        """What became of a call: whether it succeeded, and what it says."""
        result = await self.session.call_tool(tool, arguments)
        text = result.content[0].text if result.content else ""
        answer = result.structuredContent or json.loads(text)
        return not result.isError and answer.get("success") is True, answer

    async def done(self, tool, **arguments):
        succeeded, answer = await self.call(tool, **arguments)
        check(succeeded, f"{tool} {arguments} is answered", answer)
        return answer

    async def timed(self, name):
        """Creates an object: whether that succeeded, what it says, and from when to when it took, in Unix seconds."""
        began = time.time()
        succeeded, answer = await self.call("manage_gameobject", action="create", name=name)
        return succeeded, answer, began, time.time()

    async def create(self, name):
        await self.done("manage_gameobject", action="create", name=name)

    async def report(self):
        return (await self.done("execute_menu_item", menu_path="Simulator/Report"))["data"]

    async def made(self, expected):
        """What the editor reports, which has made so many objects of each name."""
        report = await self.report()
        check(report["objects_created"] == expected, f"each call made one object: {expected}", report)
        return report

    def said(self, text):
        """When the editor logged this, in Unix seconds."""
        lines = re.findall(rf"^(\S+Z) .*{text}", self.editor.text(), re.MULTILINE)
        return [datetime.fromisoformat(line).timestamp() for line in lines]


async def quick(scene):
    await scene.create("First")
    # Two wishes, each answered: two objects.
    await scene.create("Twin")
    await scene.create("Twin")
    await scene.made({"First": 1, "Twin": 2})


async def two_at_once(scene):
    """The slow call, and the second one that comes meanwhile."""

    async def meanwhile():
        await asyncio.sleep(SECOND_AFTER)
        return await scene.timed("Meanwhile")

    return await asyncio.gather(scene.timed("Slow"), meanwhile())


async def slow(scene):
    slow, second = await two_at_once(scene)
    for name, (succeeded, answer, began, ended) in [("slow", slow), ("second", second)]:
        check(succeeded, f"the {name} call succeeds, after {ended - began:.1f} s", answer)
    check(slow[3] - slow[2] >= SLOW, f"the slow one took its {SLOW} s")
    check(second[2] < slow[3] and second[3] - second[2] < SLOW, "the second came meanwhile, and is not slow", (slow, second))
    probes = [at for at in scene.said("a bridge client left") if second[2] <= at <= slow[3]]
    check(probes, "for it the server probed the editor while the slow one ran", scene.editor.text())
    check(not scene.said("a command was sent again"), "which made nobody send anything again", scene.editor.text())
    effects = {effect["subject"]: effect for effect in (await scene.made({"Slow": 1, "Meanwhile": 1}))["effects"]}
    check(effects["Slow"]["at_unix_ms"] / 1000 > probes[0], "the slow one took effect after the probe", effects)


async def slow_by_the_installed_rule(scene):
    slow, _ = await two_at_once(scene)
    check(not slow[0], f"the slow call fails, after {slow[3] - slow[2]:.1f} s", slow[1])
    await damaged(scene, "Slow")


async def struck(scene):
    """A reload strikes a call after its effect: whether the call succeeded, and what it says."""
    await scene.create("Before")
    await scene.done("execute_menu_item", menu_path="Simulator/Strike After Effect")
    # Before other tools the server asks for the editor's state, and that would be struck.
    return await scene.call("execute_menu_item", menu_path="GameObject/3D Object/Cube")


async def reload(scene):
    succeeded, answer = await struck(scene)
    check(not succeeded and "not run again" in json.dumps(answer), "the call that a reload struck is not run again", answer)
    again = len(scene.said("a command was sent again that ran"))
    check(again > 0, f"though the server sent it again, {again} times after the reload", scene.editor.text())
    await scene.create("After")
    report = await scene.made({"Before": 1, "Cube": 1, "After": 1})
    check(report["strikes"]["after_effect"] == 1, "the reload struck after the effect", report["strikes"])


async def reload_by_the_installed_rule(scene):
    await struck(scene)
    await damaged(scene, "Cube")


async def damaged(scene, name):
    """One call has made more than one of these. The editor may be at it still."""

    def count():
        report = ask(scene.editor)
        made = report["objects_created"].get(name, 0) if report else 0
        return made if made > 1 else None

    made = await asyncio.to_thread(wait, count, 60)
    check(made is not None, f"one call made {made} of {name}", scene.editor.text())


def ask(editor):
    """The editor's report, over a connection of our own; none if another one ended it, which is the installed rule."""
    port = int(editor.find(r"port=(\d+)", 10)[1])
    payload = json.dumps({"type": "execute_menu_item", "params": {"menuPath": "Simulator/Report"}}).encode()
    try:
        with socket.create_connection(("127.0.0.1", port), 60) as bridge, bridge.makefile("rb") as stream:
            stream.readline()
            bridge.sendall(struct.pack(">Q", len(payload)) + payload)
            (length,) = struct.unpack(">Q", stream.read(8))
            return json.loads(stream.read(length))["result"]["data"]
    except (OSError, struct.error, json.JSONDecodeError):
        return None


def editor(folder, *flags):
    # It would take the notice of a lost seat for the answer to its command.
    listens = ["--bridge", "--port", "0", "--notice", "announced", "--project-path", PROJECT]
    command = [binary("unity_editor"), *listens, "--project-name", "StdioProject", *flags]
    env = {**home(folder), "RUST_LOG": "info,mcp_transport_stdio=debug"}
    return Process("unity_editor", command, folder / "editor.log", env=env)


def home(folder):
    # One of its readers ignores UNITY_MCP_STATUS_DIR, so the files are where it looks by itself.
    return {"HOME": str(folder), "UNITY_MCP_STATUS_DIR": "", "UNITY_MCP_LOG_DIR": str(folder)}


async def play(server, editor, log, steps):
    """What an MCP client does that starts the Python server as its child."""
    played, failure = False, None
    try:
        async with asyncio.timeout(180), stdio_client(server, errlog=log) as (read, write), ClientSession(read, write) as session:
            await session.initialize()
            tools = {tool.name for tool in (await session.list_tools()).tools}
            check({"manage_gameobject", "execute_menu_item"} <= tools, f"it lists {len(tools)} tools", tools)
            try:
                await steps(Scene(session, editor))
            except Exception as error:
                failure = error
            played = True
    except* BrokenResourceError:
        # After a reload the server says that its tools may have changed, and this client cannot bear that while it leaves;
        # it would also forget why it left.
        if not played:
            raise
    if failure:
        raise failure


SCENES = [
    (quick, []),
    (slow, ["--latency-for", f"Slow={SLOW}"]),
    (slow_by_the_installed_rule, ["--latency-for", f"Slow={SLOW}", "--installed-rule"]),
    (reload, ["--away", str(AWAY)]),
    (reload_by_the_installed_rule, ["--away", str(AWAY), "--installed-rule"]),
]


def body():
    program = venv("python_server.txt") / "bin" / "mcp-for-unity"
    for steps, flags in SCENES:
        print(f"-- {steps.__name__.replace('_', ' ')}", flush=True)
        with scratch() as folder, editor(folder, *flags) as process:
            process.find(r"listening", 10)
            files = list((folder / ".unity-mcp").glob("unity-mcp-status-*.json"))
            check(len(files) == 1, "the editor has its status file", files)
            server = StdioServerParameters(
                command=str(program), args=["--transport", "stdio"], env={**process.env, **SERVER}
            )
            with (folder / "server.log").open("w") as log:
                asyncio.run(play(server, process, log, steps))
            process.end()
            check(wait(lambda: not files[0].exists(), 5), "the status file went with the editor")


main(body)
