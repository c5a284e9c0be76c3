#!/usr/bin/env python3
"""Asks the Python server for Unity and ours the same, and compares what the editor is sent for it: commands and parameters.

The calls stand in `examples/fixtures/recorded-calls.json`, at least three of each tool and one of each resource, and the places
where ours sends something else on purpose in `chosen-differences.json` beside it, with the reasons. `catalogue_recorded` reads
both, too. What the Python server sends must also be what it was recorded to send, so that the recording cannot grow old.
"""

import asyncio
import json
import re

from common import ROOT, check, inside_venv, main, scratch

inside_venv("python_server.txt")

from mcp.types import AnyUrl  # noqa: E402
from standin import Bridge, Editor, Ours, Plugin, Theirs, http_client, serving, success, with_pipes  # noqa: E402

FIXTURES = ROOT / "examples" / "fixtures"

# What either server may send beside the call's own commands, and as often as it likes.
BESIDE = {
    "ping": "the Python server asks whether a session answers before it reads by it",
    "get_editor_state": "a check before the call, or whether the editor is ready after it",
    "get_project_info": "the Python server looks for changed files below the project's folder; ours asks an editor that listens whose it is",
    "get_tool_states": "which tools the editor has switched off",
}

WITHOUT_CALLS = {"unity_docs": "asks Unity's web site, and no editor"}

# These are about the server or the session: one call of each is enough to see that nothing is sent.
SERVER_ONLY = {"debug_request_context", "manage_script_capabilities", "manage_tools", "set_active_instance"}

# No command is meant to come of these.
SILENT = [
    {"tool": "debug_request_context", "args": {}},
    {"tool": "manage_tools", "args": {"action": "list_groups"}},
    {"tool": "manage_tools", "args": {"action": "activate", "group": "vfx"}},
    {"tool": "manage_tools", "args": {"action": "reset"}},
    {"tool": "set_active_instance", "args": {"instance": "StandIn"}},
    {"tool": "set_active_instance", "args": {"instance": "Nobody@0123456789abcdef"}},
    {"tool": "manage_script_capabilities", "args": {}},
    {"uri": "mcpforunity://instances"},
    {"uri": "mcpforunity://tool-groups"},
    {"uri": "mcpforunity://custom-tools"},
    {"uri": "mcpforunity://scene/gameobject-api"},
    {"uri": "mcpforunity://prefab-api"},
]

# A project's own tools, which no recording can have.
CUSTOM = [
    {"tool": "execute_custom_tool", "args": {"tool_name": "stamp", "parameters": {"text": "a", "times": 2}}, "sent": [["stamp", {"text": "a", "times": 2}]]},
    {"tool": "execute_custom_tool", "args": {"tool_name": "stamp", "parameters": {"text": "a"}}, "sent": [["stamp", {"text": "a"}]]},
    {"tool": "execute_custom_tool", "args": {"tool_name": "nothing", "parameters": {}}},
    {"tool": "stamp", "args": {"text": "a", "times": 2}, "sent": [["stamp", {"text": "a", "times": 2}]]},
    {"tool": "stamp", "args": {"text": "a"}, "sent": [["stamp", {"text": "a", "times": 1}]]},
    {"tool": "stamp", "args": {}, "sent": [["stamp", {"times": 1}]]},
]
STAMP = {
    "name": "stamp",
    "description": "Stamps a text.",
    "parameters": [
        {"name": "text", "description": "what", "type": "string", "required": False},
        {"name": "times", "description": "how often", "type": "integer", "required": False, "default_value": "1"},
    ],
}

# What is compared over stdio alone.
NOT_OVER_HTTP = {"script_apply_edits": "the Python server sends none of it over HTTP: upstream_defects.py has the scene"}


def load(name):
    return json.loads((FIXTURES / name).read_text())


class Scripted(Editor):
    """An editor that answers a call as the call says."""

    replies = {}

    async def answer(self, command, params):
        for key in (f"{command}:{params.get('action')}", command):
            if key in self.replies:
                return success(self.replies[key])
        return self.usual(command, params)


class Run:
    """What one server made of the calls over one leg."""

    def __init__(self, server):
        self.server, self.editor = server, Scripted()
        # What it offers, and for each call what the editor was sent; and all of that which came beside.
        self.offered, self.sent, self.beside = [], [], set()

    async def over_http(self, calls):
        tools = [{"name": tool["name"], "group": tool["group"]} for tool in load("unity-tools.json")]
        async with serving(self.server) as url, Plugin(url, self.editor, [*tools, STAMP]) as plugin:
            await plugin.seated()
            async with http_client(url) as client:
                await self.ask(client, calls)
        return self

    async def over_stdio(self, calls):
        async with Bridge(self.server.folder, self.editor):
            await with_pipes(self.server, lambda client: self.ask(client, calls))
        return self

    async def ask(self, client, calls):
        session = client.session
        self.offered += [tool.name for tool in (await session.list_tools()).tools]
        self.offered += [str(one.uri) for one in (await session.list_resources()).resources]
        self.offered += [one.uriTemplate for one in (await session.list_resource_templates()).resourceTemplates]
        self.beside |= {command for command, _ in self.editor.sent}
        for call in calls:
            self.editor.sent, self.editor.replies = [], call.get("replies", {})
            # What becomes of the answer is another matter.
            async with asyncio.timeout(30):
                await (client.read(AnyUrl(call["uri"])) if "uri" in call else client.call(call["tool"], **call["args"]))
            self.sent.append(self.own(call))

    def own(self, call):
        """What it was sent for the call itself. A command that may also come beside counts once, if it is the call's own."""
        meant = {command for command, _ in call.get("sent", [])}
        own = []
        for command, params in self.editor.sent:
            if command not in BESIDE or (command in meant and [command, params] not in own):
                own.append([command, params])
            elif command not in meant:
                self.beside.add(command)
        return own


def same(ours, theirs):
    """Equal, where 5 and 5.0 are the same number: C# reads both alike."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        return ours.keys() == theirs.keys() and all(same(value, theirs[key]) for key, value in ours.items())
    if isinstance(ours, list) and isinstance(theirs, list):
        return len(ours) == len(theirs) and all(map(same, ours, theirs))
    return isinstance(ours, bool) == isinstance(theirs, bool) and ours == theirs


def chosen(call, differences):
    """The entry for this call: its tool, and a part of its arguments as compact JSON with its keys in order."""
    text = json.dumps(call.get("args", {}), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    named = (at for at, one in enumerate(differences) if one["tool"] == call.get("tool") and one["args"] in text)
    return next(named, None)


def compare(leg, calls, ours, theirs, differences, used):
    """Where they differ and should not, and where they should and do not."""
    wrong = []
    for call, mine, other in zip(calls, ours, theirs, strict=True):
        entry = chosen(call, differences)
        if entry is not None:
            used.add(entry)
        if same(mine, other) != (entry is None):
            wrong.append(f"{leg}: {name(call)} {json.dumps(call.get('args', {}))}\n    ours   {mine}\n    theirs {other}")
    return wrong


def name(call):
    return call.get("tool") or call["uri"]


def covered(offered, calls):
    """What the Python server offers is called: each tool three times, each resource once."""
    called = [name(call) for call in calls]
    few = []
    for one in offered:
        # A template's parameter may be anything but a slash.
        shape = re.compile(re.sub(r"\\{\w+\\}", "[^/]+", re.escape(one)))
        least = 1 if "://" in one or one in SERVER_ONLY else 3
        if sum(1 for call in called if shape.fullmatch(call)) < least and one not in WITHOUT_CALLS:
            few.append(one)
    check(not few, f"of {len(offered)} tools and resources each is called often enough", few)


async def run(folder):
    recorded, differences = load("recorded-calls.json"), load("chosen-differences.json")
    legs = {
        "HTTP": (Run.over_http, [call for call in [*recorded, *CUSTOM, *SILENT] if name(call) not in NOT_OVER_HTTP]),
        "stdio": (Run.over_stdio, [*recorded, *SILENT]),
    }
    used, beside, wrong, old = set(), set(), [], []
    for leg, (over, calls) in legs.items():
        # With this flag it has execute_custom_tool.
        theirs = Run(Theirs(home(folder, leg, "theirs"), "--project-scoped-tools"))
        ours = Run(Ours(home(folder, leg, "ours")))
        await asyncio.gather(over(theirs, calls), over(ours, calls))
        print(f"ok    over {leg} {len(calls)} calls were made to both", flush=True)
        covered(theirs.offered, [*recorded, *CUSTOM, *SILENT])
        wrong += compare(leg, calls, ours.sent, theirs.sent, differences, used)
        pairs = zip(calls, theirs.sent, strict=True)
        old += [f"{leg}: {name(call)} {sent}" for call, sent in pairs if not same(call.get("sent", []), sent)]
        beside |= theirs.beside | ours.beside
    check(not wrong, "for each call both send the same, but for what was chosen", "\n" + "\n".join(wrong))
    stale = [f"{one['tool']} {one['args']}" for at, one in enumerate(differences) if at not in used]
    check(not stale, f"each of the {len(differences)} chosen differences has a call", stale)
    check(not old, "the Python server sends what it was recorded to send", "\n" + "\n".join(old))
    check(beside == BESIDE.keys(), "each command that may come beside was seen to", beside)


def home(folder, *names):
    path = folder / "-".join(names)
    path.mkdir()
    return path


def body():
    with scratch() as folder:
        asyncio.run(run(folder))


main(body)
