#!/usr/bin/env python3
"""A host that is killed and away for 90 s, behind the broker, seen by clients of the TypeScript SDK with its defaults: nothing
times out by the SDK's clock of 60 s, tools are listed at once, and a host that comes back with other tools is noticed.

Here the times are what is promised, so they are checked, and printed.
"""

import contextlib
import json
import statistics
import subprocess
import time

from common import Broker, Failed, Process, binary, check, main, node_script, scratch, wait

GAP = 90
SDK_TIMEOUT = 60_000

KINDS = {
    "sdk1": "legacy",
    "sdk2": "legacy",
    "sdk2-modern": "modern",
}


class Client(Process):
    def __init__(self, folder, kind, url):
        self.kind = kind
        command = node_script("typescript_gap.mjs", kind, f"{url}/mcp")
        super().__init__(kind, command, folder / f"{kind}.log", stdin=subprocess.PIPE)

    def cue(self, name):
        self.child.stdin.write(f"{name}\n".encode())
        self.child.stdin.flush()

    def all(self, what):
        said = [json.loads(line) for line in self.text().splitlines() if line.startswith("{") and line.endswith("}")]
        return [one for one in said if one["what"] == what]

    def one(self, what, seconds, number=1):
        """What it says of this, for the so-manieth time."""
        found = wait(lambda: self.all(what)[number - 1 :] or None, seconds, lambda: self.child.poll() is None)
        if not found:
            raise Failed(f"{self.kind}: no word of {what!r} in time\n{self.text()[-2000:]}")
        return found[0]

    def holds(self, holds, what, seen):
        check(holds, f"{self.kind}: {what}", seen)


class Host(Process):
    def __init__(self, folder, broker, name, *flags):
        self.ledger = folder / "ledger"
        command = [binary("gap_host"), "--broker", broker.url, "--token-file", broker.token, "--ledger", self.ledger, *flags]
        super().__init__(name, command, folder / f"{name}.log")

    def attached(self):
        """When, in seconds since 1970."""
        return int(self.find(r"^attached ([0-9]+)$", 20)[1]) / 1000

    def kill(self):
        self.child.kill()
        self.child.wait()


def body():
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(scratch())
        broker = stack.enter_context(Broker(folder))
        host = stack.enter_context(Host(folder, broker, "first-host"))
        host.attached()
        clients = [stack.enter_context(Client(folder, kind, broker.url)) for kind in KINDS]
        for client in clients:
            begins(client, host.ledger)
        host.kill()
        killed = time.time()

        for client in clients:
            client.cue("ask")
        for client in clients:
            lists(client, 1)
        sleep_until(killed + 60)
        for client in clients:
            client.cue("late")
        sleep_until(killed + GAP - 8)
        for client in clients:
            lists(client, 2)
        sleep_until(killed + GAP)

        other = stack.enter_context(Host(folder, broker, "other-host", "--more"))
        attached = other.attached()
        print(f"      the host was away for {attached - killed:.1f} s", flush=True)
        for client in clients:
            is_told(client, attached)
        for client in clients:
            rode_it_out(client)

        other.kill()
        stack.enter_context(Host(folder, broker, "same-host", "--more")).attached()
        time.sleep(1)
        for client in clients:
            client.holds(len(client.all("changed")) == 1, "is told nothing when the next has the same tools", client.all("changed"))
            client.cue("end")
            ends(client)
        ran_once(host.ledger)


def begins(client, ledger):
    connected = client.one("connected", 20)
    client.holds(connected["era"] == KINDS[client.kind], f"is of the {connected['era']} era", connected)
    client.cue("begin")
    listed = client.one("first list", 10)
    client.holds(listed.get("result") == ["note", "begin"], "lists the tools", listed)
    called = client.one("first call", 10)
    client.holds(called.get("result") == f"noted: {client.kind} first", "a call is answered", called)
    running = f"{client.kind} running"
    check(wait(lambda: running in ledger.read_text().splitlines(), 10), f"{client.kind}: another runs")


def lists(client, number):
    client.cue("list")
    listed = client.one("lists", 20, number)["took"]
    median, longest = statistics.median(listed), max(listed)
    what = f"lists tools while the host is away, {len(listed)} times: median {median:.1f} ms, longest {longest:.1f} ms"
    client.holds(longest < 50, what, listed)
    pinged = client.one("ping", 10, number)
    # The later protocol has none, and the SDK says so itself.
    if KINDS[client.kind] == "legacy":
        client.holds("error" not in pinged, f"pings, in {pinged['took']:.1f} ms", pinged)


def is_told(client, attached):
    changed = client.one("changed", 10)
    late = changed["at"] / 1000 - attached
    client.holds(late < 1, f"is told that the tools changed {late:.2f} s after the host attached", changed)
    client.holds(changed.get("tools") == ["note", "begin", "more"], "and which there are now", changed)


def rode_it_out(client):
    ended_by_the_broker(client, "running call", "unknown")
    ended_by_the_broker(client, "call at once", "not_delivered")
    late = client.one("late call", 20)
    client.holds(late.get("result") == f"noted: {client.kind} late", f"the call made at 60 s is answered {after(late)}", late)
    calm = client.one("call with progress", 20)
    what = f"the call with progress is answered {after(calm)}, with word {len(calm['progress'])} times meanwhile"
    answered = calm.get("result") == f"noted: {client.kind} with progress"
    client.holds(answered and calm["took"] > (GAP - 5) * 1000, what, calm)


def ended_by_the_broker(client, name, outcome):
    ended = client.one(name, 20)
    error = ended.get("error", {})
    what = f"the {name} ends as {outcome} {after(ended)}: {error.get('message')}"
    family = (error.get("data") or {}).get("outcome") == outcome
    client.holds(family and ended["took"] < SDK_TIMEOUT, what, ended)


def after(event):
    return f"after {event['took'] / 1000:.1f} s"


def ends(client):
    listed = client.one("last list", 10)
    client.holds(listed.get("result") == ["note", "begin", "more"], "lists the new tools", listed)
    called = client.one("last call", 10)
    client.holds(called.get("result") == f"noted: {client.kind} last", "and calls, as before", called)
    client.holds(not client.all("broken"), "nothing else went wrong", client.all("broken"))


def ran_once(ledger):
    texts = ["first", "running", "with progress", "late", "last"]
    expected = sorted(f"{kind} {text}" for kind in KINDS for text in texts)
    seen = sorted(ledger.read_text().splitlines())
    check(seen == expected, "what was answered or running ran once, and what was not delivered did not", seen)


def sleep_until(then):
    time.sleep(max(0.0, then - time.time()))


main(body)
