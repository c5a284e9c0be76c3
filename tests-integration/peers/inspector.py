#!/usr/bin/env python3
"""Drives the Unity server with the MCP Inspector's command line, in both eras of the protocol.

Each call is a client of its own: it starts, says what it is, calls once, and goes. Over stdio it also starts the server.
"""

import json
import os
import subprocess

from common import Failed, Process, binary, check, free_port, main, node_package, scratch, unity_server

ERAS = ["legacy", "modern"]


class Inspector:
    def __init__(self, home, era, target, name):
        script = node_package("@modelcontextprotocol/inspector/clients/launcher/build/index.js")
        self.command = [*script, "--cli", *target, "--protocol-era", era]
        self.env = {**os.environ, "HOME": str(home)}
        self.name = name

    def run(self, *arguments):
        done = subprocess.run(
            [*self.command, *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            env=self.env,
            timeout=120,
            check=False,
        )
        if done.returncode != 0:
            raise Failed(f"{self.name}: {arguments}: exit {done.returncode}\n{done.stdout}\n{done.stderr}")
        return json.loads(done.stdout)

    def call(self, tool, **arguments):
        """The tool's structured answer, which must be no error and say the same as its text."""
        pairs = [part for name, value in arguments.items() for part in ("--tool-arg", f"{name}={value}")]
        result = self.run("--method", "tools/call", "--tool-name", tool, *pairs)
        check(not result.get("isError"), f"{self.name}: {tool} {arguments} is answered", result)
        answer = result["structuredContent"]
        check(json.loads(result["content"][0]["text"]) == answer, "… the same as text and as data", result)
        return answer


def lists_its_tools(inspector):
    tools = {tool["name"]: tool for tool in inspector.run("--method", "tools/list")["tools"]}
    wanted = {"manage_gameobject", "manage_scene", "read_console"}
    check(wanted <= tools.keys(), f"{inspector.name}: tools/list has {len(tools)} tools", sorted(tools))
    check(
        "create" in json.dumps(tools["manage_gameobject"]["inputSchema"]),
        f"{inspector.name}: manage_gameobject says that it can create",
    )


def creates_finds_and_reads(inspector, name):
    created = inspector.call("manage_gameobject", action="create", name=name)
    check(created["data"]["name"] == name, f"{inspector.name}: {name} was created", created)
    scene = inspector.call("manage_scene", action="get_hierarchy")
    found = [item["instanceID"] for item in scene["data"]["items"] if item["name"] == name]
    check(found == [created["data"]["instanceID"]], f"{inspector.name}: it is in the scene, once", scene)
    console = inspector.call("read_console", action="get")
    check(isinstance(console["data"], list), f"{inspector.name}: the console is a list", console)


def over_http(home):
    with unity_server(home, "--sim") as url:
        for era in ERAS:
            inspector = Inspector(home, era, [url, "--transport", "http"], f"http, {era}")
            lists_its_tools(inspector)
            creates_finds_and_reads(inspector, f"Http-{era}")


def over_stdio(home):
    target = over_pipes(home, "simulated", "--http-url", "http://127.0.0.1:0", "--sim")
    for era in ERAS:
        lists_its_tools(Inspector(home, era, target, f"stdio, {era}"))


def over_stdio_with_an_editor_that_stays(home):
    """Every call has a server of its own here, so what one creates the next can only find in an editor that outlives them,
    and that comes back to each by itself."""
    port = free_port()
    editor = [binary("unity_editor"), "--server", f"ws://127.0.0.1:{port}/hub/plugin"]
    target = over_pipes(home, "served", "--http-url", f"http://127.0.0.1:{port}")
    with Process("unity_editor", editor, home / "unity_editor.log"):
        for era in ERAS:
            inspector = Inspector(home, era, target, f"stdio, {era}, a new server each")
            creates_finds_and_reads(inspector, f"Stdio-{era}")


def over_pipes(home, name, *flags):
    """A server that the Inspector starts. In a file, since on its command line our flags would be taken for its own."""
    server = {"command": binary("unity_server"), "args": ["--transport", "stdio", *flags]}
    file = home / f"{name}.json"
    file.write_text(json.dumps({"mcpServers": {"unity": server}}))
    return ["--config", str(file), "--server", "unity"]


def body():
    with scratch() as home:
        over_http(home)
        over_stdio(home)
        over_stdio_with_an_editor_that_stays(home)


main(body)
