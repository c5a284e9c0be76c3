#!/usr/bin/env python3
"""Runs MCP's own conformance suite, for the last two revisions of the protocol, against one server in two places: behind rmcp's
own HTTP service, and behind the broker. What is the same behind both is the server's; so nothing may differ.
"""

from common import Broker, Process, binary, check, main, scratch
from suite import Run

# How many checks pass, so that a run in which they did not take place is no success.
PASSED = {"2025-11-25": 83, "2026-07-28": 197}


def body():
    with scratch() as home:
        with fixture(home, "--http") as server:
            direct = totals(home, server, "rmcp's own HTTP service")
        with Broker(home) as broker, fixture(home, "--broker", broker.url, "--token-file", broker.token) as server:
            brokered = totals(home, server, "the broker")
    for revision, expected in direct.items():
        different = {
            name: (expected.get(name), brokered[revision].get(name))
            for name in expected | brokered[revision]
            if expected.get(name) != brokered[revision].get(name)
        }
        check(not different, f"{revision}: each scenario has the same totals behind both", different)


def fixture(home, *flags):
    return Process("conformance_fixture", [binary("conformance_fixture"), *flags], home / f"fixture{flags[0]}.log")


def totals(home, server, behind):
    url = server.find(r"^MCP +(http://\S+/mcp)$", 20, "its MCP URL")[1]
    return {revision: one(home, url, revision, behind) for revision in PASSED}


def one(home, url, revision, behind):
    run = Run(home, url, revision)
    found = run.totals()
    passed, failed = (sum(counts) for counts in zip(*found.values(), strict=True))
    seen = "\n".join(line for line in run.summary.splitlines() if "✗" in line)
    what = f"{revision}: behind {behind} {PASSED[revision]} checks pass, and none fails"
    check(run.passes and (passed, failed) == (PASSED[revision], 0), what, f"{passed} and {failed}\n{seen}")
    return found


main(body)
