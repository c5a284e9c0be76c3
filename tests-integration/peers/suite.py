"""MCP's own conformance suite, for the scripts beside this one that run it."""

import os
import re
import subprocess

from common import Failed, node_package


class Run:
    """One run of the scenarios that a revision of the protocol requires, and of those that are not scored."""

    def __init__(self, home, url, revision, *flags):
        suite = node_package("@modelcontextprotocol/conformance/dist/index.js")
        done = subprocess.run(
            [*suite, "server", "--url", url, "--requirements", revision, *flags],
            cwd=home,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "HOME": str(home), "NO_COLOR": "1"},
            timeout=300,
            check=False,
        )
        self.passes = done.returncode == 0
        self.output = done.stdout
        start = done.stdout.find("=== SUMMARY ===")
        if start < 0:
            raise Failed(f"{revision}: the suite has no summary\n{done.stdout[-3000:]}")
        self.summary = done.stdout[start:].strip()

    def totals(self):
        """For each scenario how many checks passed, and how many failed."""
        lines = re.findall(r"^\W ([\w-]+): (\d+) passed, (\d+) failed", self.summary, re.MULTILINE)
        return {name: (int(passed), int(failed)) for name, passed, failed in lines}
