#!/usr/bin/env python3
"""Runs MCP's own conformance suite against the Unity server, for the last two revisions of the protocol.

What fails and may fail stands, with the reason, in `conformance-REVISION.yml`.
"""

import os
import re
import subprocess

from common import HERE, check, main, node_package, scratch, unity_server

# What a server without the suite's fixtures can show, so that a run in which they did not take place is no success.
SHOWN = {
    "2025-11-25": [
        "completion-complete",
        "dns-rebinding-protection",
        "ping",
        "resources-list",
        "server-initialize",
        "server-session-lifecycle",
        "server-sse-multiple-streams",
        "server-sse-polling",
        "tools-list",
    ],
    "2026-07-28": [
        "caching",
        "completion-complete",
        "dns-rebinding-protection",
        "http-header-validation",
        "input-required-result-unsupported-methods",
        "input-required-result-validate-input",
        "resources-list",
        "sep-2164-resource-not-found",
        "server-sse-multiple-streams",
        "tools-list",
    ],
}


def body():
    suite = node_package("@modelcontextprotocol/conformance/dist/index.js")
    with scratch() as home, unity_server(home, "--sim") as url:
        for revision, scenarios in SHOWN.items():
            conforms(suite, home, url, revision, scenarios)


def conforms(suite, home, url, revision, scenarios):
    expected = HERE / f"conformance-{revision}.yml"
    command = [*suite, "server", "--url", url, "--requirements", revision, "--expected-failures", str(expected)]
    done = subprocess.run(
        command,
        cwd=home,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "HOME": str(home), "NO_COLOR": "1"},
        timeout=300,
        check=False,
    )
    summary = done.stdout[done.stdout.find("=== SUMMARY ===") :]
    print(f"--- {revision}\n{summary.strip()}", flush=True)
    check(done.returncode == 0, f"{revision}: nothing fails that is not expected to", done.stdout[-3000:])
    passed = dict(re.findall(r"^✓ ([\w-]+): (\d+) passed, 0 failed", summary, re.MULTILINE))
    for scenario in scenarios:
        check(int(passed.get(scenario, 0)) > 0, f"{revision}: {scenario} passes", passed)


main(body)
