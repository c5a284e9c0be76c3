#!/usr/bin/env python3
"""Runs MCP's own conformance suite against the Unity server, for the last two revisions of the protocol.

What fails and may fail stands, with the reason, in `conformance-REVISION.yml`.
"""

from common import HERE, check, main, scratch, unity_server
from suite import Run

# What a server without the suite's fixtures can show, so that a run in which they did not take place is no success.
SHOWN = {
    "2025-11-25": [
        "completion-complete",
        "dns-rebinding-protection",
        "logging-set-level",
        "ping",
        "prompts-list",
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
        "prompts-list",
        "resources-list",
        "sep-2164-resource-not-found",
        "server-sse-multiple-streams",
        "tools-list",
    ],
}


def body():
    with scratch() as home, unity_server(home, "--sim") as url:
        for revision, scenarios in SHOWN.items():
            conforms(home, url, revision, scenarios)


def conforms(home, url, revision, scenarios):
    expected = HERE / f"conformance-{revision}.yml"
    run = Run(home, url, revision, "--expected-failures", str(expected))
    print(f"--- {revision}\n{run.summary}", flush=True)
    check(run.passes, f"{revision}: nothing fails that is not expected to", run.output[-3000:])
    totals = run.totals()
    for scenario in scenarios:
        passed, failed = totals.get(scenario, (0, 0))
        check(passed > 0 and failed == 0, f"{revision}: {scenario} passes", totals)


main(body)
