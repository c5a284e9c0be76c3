#!/usr/bin/env python3
"""Lets the Python server for Unity, as the plugin starts it by itself, and a stdio server of ours want the same port.

Both orders must end in a set-up that works, or in a text that says which switch to turn: the Python server first, then ours takes
the port when it stops; ours first, then the Python server fails, and the plugin, which only looks whether somebody accepts, is
connected to ours.
"""

import asyncio
import os

from common import Process, binary, check, free_port, inside_venv, main, scratch, venv, wait

inside_venv("python_server.txt")

from mcp import ClientSession, StdioServerParameters  # noqa: E402
from mcp.client.stdio import stdio_client  # noqa: E402
from python_server import SERVER, Peer  # noqa: E402


def editor(folder, port, name):
    command = [binary("unity_editor"), "--server", f"ws://127.0.0.1:{port}/hub/plugin"]
    return Process(name, command, folder / f"{name}.log")


async def create(session, name):
    result = await session.call_tool("manage_gameobject", {"action": "create", "name": name})
    return result, " ".join(part.text for part in result.content if part.type == "text")


async def with_ours(folder, port, body):
    """Starts ours as an AI client does, and speaks with it through the SDK."""
    flags = ["--transport", "stdio", "--http-url", f"http://127.0.0.1:{port}", "--editor", "hub"]
    env = {**os.environ, "UNITY_MCP_STATUS_DIR": str(folder), "MCP_BROKER_STATE_DIR": str(folder / "state")}
    server = StdioServerParameters(command=binary("unity_server"), args=flags, env=env)
    with open(folder / "ours.log", "w") as log:
        async with asyncio.timeout(120), stdio_client(server, errlog=log) as pipes, ClientSession(*pipes) as session:
            await session.initialize()
            await body(session)
    return (folder / "ours.log").read_text()


def python_first(folder):
    port = free_port()

    async def body(session):
        check(len((await session.list_tools()).tools) > 40, "beside the Python server ours lists its tools")
        result, text = await create(session, "Nowhere")
        print(f"      {text}", flush=True)
        told = all(word in text for word in ["Python server", "Stop Server", "--http-url"])
        check(result.isError and told, "a call says who has the port and which switch to turn", text)
        peer.process.end()
        for _ in range(100):
            result, text = await create(session, "Here")
            if not result.isError:
                break
            await asyncio.sleep(0.2)
        check(not result.isError, "once the Python server is stopped, the editor comes to ours by itself", text)

    with editor(folder, port, "editor_first") as process:
        peer = Peer(folder, port)
        with peer:
            check(wait(lambda: "connected" in process.text(), 60), "the editor is with the Python server", process.text())
            log = asyncio.run(with_ours(folder, port, body))
    check("Stop Server" in log, "the log said so, too", log)


def ours_first(folder):
    port = free_port()

    async def body(session):
        with editor(folder, port, "editor_second"):
            command = [venv("python_server.txt") / "bin" / "mcp-for-unity", "--transport", "http"]
            url = ["--http-url", f"http://127.0.0.1:{port}"]
            env = {**SERVER, "HOME": str(folder), "UNITY_MCP_LOG_DIR": str(folder)}
            with Process("mcp-for-unity", [*command, *url], folder / "second.log", env=env) as python:
                ended = await asyncio.to_thread(wait, lambda: python.child.poll() is not None, 60)
                check(ended and python.child.poll() != 0, f"the Python server gives up: status {python.child.poll()}", python.text())
            result, text = await create(session, "Cube")
            check(not result.isError, "and ours goes on: an editor that looked for any server on the port has found it", text)

    asyncio.run(with_ours(folder, port, body))


def body():
    with scratch() as folder:
        python_first(folder)
        ours_first(folder)


main(body)
