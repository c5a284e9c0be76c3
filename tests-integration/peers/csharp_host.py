#!/usr/bin/env python3
"""Compiles examples/csharp/Host.cs by Mono and runs it behind the broker: it serves clients of both eras, and neither its own
death nor the broker's loses a call.
"""

import http.client
import json
import time
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

from common import ROOT, Broker, Mono, Process, check, free_port, main, scratch

MODERN = "2026-07-28"
HOSTILE = 'a "quote", a back\\slash, {braces}}, é, \u2028, 😀, \\/Date(0)\\/, <&\'>, \t and \u0001'


class Client:
    """An MCP client, as bare as can be."""

    def __init__(self, url, version):
        self.url, self.version = urlsplit(url), version
        self.session, self.number = None, 2**53
        if version != MODERN:
            capable = {"protocolVersion": version, "capabilities": {}, "clientInfo": {"name": "bare", "version": "1"}}
            self.server = self.ask("initialize", capable)
            self.tell("notifications/initialized")

    def call(self, tool, **arguments):
        return self.ask("tools/call", {"name": tool, "arguments": arguments})["content"][0]["text"]

    def ask(self, method, params=None):
        self.number += 1
        number = self.number  # others may ask meanwhile
        answer = self.post({"jsonrpc": "2.0", "id": number, "method": method, "params": params or {}})
        check(answer.get("id") == number and "result" in answer, f"{self.version}: {method} is answered", answer)
        return answer["result"]

    def tell(self, method):
        self.post({"jsonrpc": "2.0", "method": method})

    def post(self, message):
        headers = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
        method = message["method"]
        if self.version == MODERN:
            about = "io.modelcontextprotocol/"
            message["params"]["_meta"] = {f"{about}protocolVersion": MODERN, f"{about}clientCapabilities": {}}
            headers |= {"MCP-Protocol-Version": MODERN, "Mcp-Method": method}
            if method == "tools/call":
                headers["Mcp-Name"] = message["params"]["name"]
        elif self.session:
            headers |= {"MCP-Protocol-Version": self.version, "Mcp-Session-Id": self.session}
        link = http.client.HTTPConnection(self.url.hostname, self.url.port, timeout=60)
        try:
            link.request("POST", self.url.path, json.dumps(message), headers)
            answer = link.getresponse()
            self.session = answer.getheader("Mcp-Session-Id") or self.session
            if "text/event-stream" in (answer.getheader("Content-Type") or ""):
                return last_event(answer)
            body = answer.read()
            return json.loads(body) if body else {}
        finally:
            link.close()


def last_event(stream):
    """The response on an event stream."""
    for line in stream:
        if line.startswith(b"data:") and line[5:].strip():
            message = json.loads(line[5:])
            if "method" not in message:
                return message
    return {}


def body():
    program = Mono()
    with scratch() as home, ThreadPoolExecutor() as pool:
        command = program.compile(ROOT / "examples/csharp/Host.cs", home / "Host.exe", "System.Net.Http", "System.Web.Extensions")
        environment = {**program.env, "HOME": str(home)}
        port = free_port()
        with Broker(home, port) as broker:
            log = home / "host.log"
            started = [Process(f"host {life}", [*command, broker.url, broker.token], log, environment) for life in range(2)]
            with started[0] as host:
                old, new = serves(broker.url)
                host.child.kill()
                host.child.wait()
                held = [pool.submit(client.call, "add", a=20, b=22) for client in (old, new)]
                time.sleep(1)
                check(not any(call.done() for call in held), "while the host is dead, calls wait")
                check(old.ask("tools/list")["tools"], "and its tools are listed")
            with started[1] as host:
                check([call.result(30) for call in held] == ["42", "42"], "the next host answers them, in the same session")
                broker.end()
                with Broker(home, port):
                    check(new.call("echo", text="back") == "back", "it finds the next broker by itself")


def serves(url):
    old, new = Client(f"{url}/mcp", "2025-11-25"), Client(f"{url}/mcp", MODERN)
    check(old.server["serverInfo"]["name"] == "csharp-host", "the broker says who serves", old.server)
    discovered = new.ask("server/discover")
    check(MODERN in discovered["supportedVersions"], "it is discovered", discovered)
    for client in (old, new):
        tools = [tool["name"] for tool in client.ask("tools/list")["tools"]]
        check(tools == ["add", "echo"], f"{client.version}: its tools are listed", tools)
        check(client.call("add", a=0.1, b=9007199254740993) == "9007199254740993.1", f"{client.version}: it adds")
        check(client.call("echo", text=HOSTILE) == HOSTILE, f"{client.version}: an echo is what was said")
    return old, new


main(body)
