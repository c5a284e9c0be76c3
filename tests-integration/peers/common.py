"""What the scripts beside this one share: places to install peers into, processes, and checks."""

import contextlib
import hashlib
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
TARGET = Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target").resolve()
PEERS = TARGET / "peers"

NPM_PACKAGES = [
    "node@22.23.3",  # the inspector and the suite want Node 22
    "@modelcontextprotocol/inspector@2.12.0",
    "@modelcontextprotocol/conformance@0.2.0-alpha.12",
    "@modelcontextprotocol/sdk@1.32.2",
    "@modelcontextprotocol/client@2.4.0",
]

# Debian's and Ubuntu's; which version is as good as another.
MONO_PACKAGES = [
    "mono-mcs",
    "mono-runtime",
    "libmono-system-net-http4.0-cil",
    "libmono-system-web-extensions4.0-cil",
]
NGINX_PACKAGES = ["nginx"]


class Failed(Exception):
    """A check did not hold."""


def check(holds, what, seen=None):
    """Prints a check that held; raises for one that did not, with what was seen instead."""
    if not holds:
        raise Failed(what if seen is None else f"{what}\n  seen: {str(seen)[:2000]}")
    print(f"ok    {what}", flush=True)


def main(body):
    """Runs a script's body. The exit status says whether all of it held."""
    # So that `finally` also runs when somebody ends the script.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    started = time.monotonic()
    failures = []
    try:
        body()
    # A check that failed below an event loop arrives in a group.
    except* Failed as group:
        failures = list(leaves(group))
    if failures:
        print(*(f"FAILED {failure}" for failure in failures), sep="\n", flush=True)
        sys.exit(1)
    print(f"all held, in {time.monotonic() - started:.0f} s", flush=True)


def leaves(group):
    for one in group.exceptions:
        if isinstance(one, BaseExceptionGroup):
            yield from leaves(one)
        else:
            yield one


def binary(name):
    """An example's executable, built before."""
    path = TARGET / "debug" / "examples" / name
    if not path.exists():
        raise Failed(f"{path} is missing: cargo build --workspace --examples")
    return str(path)


def node_package(path):
    """The command that runs this script of an npm package, under the Node that the packages want."""
    modules = _node_modules()
    return [str(modules / ".bin" / "node"), str(modules / path)]


def node_script(name, *arguments):
    """The command that runs a script beside this one. Its first argument is where the packages are."""
    modules = _node_modules()
    return [str(modules / ".bin" / "node"), str(HERE / name), str(modules), *arguments]


def _node_modules():
    folder = _folder("node", "\n".join(NPM_PACKAGES))
    if not (folder / "done").exists():
        print("installing " + " ".join(NPM_PACKAGES), flush=True)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        # Without a package of its own, npm would install into the nearest one above.
        (folder / "package.json").write_text('{"private": true}\n')
        npm = ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts=false", "--loglevel=error"]
        subprocess.run([*npm, *NPM_PACKAGES], cwd=folder, check=True)
        version = subprocess.check_output([folder / "node_modules/.bin/node", "--version"], text=True)
        check(version.startswith("v22."), f"Node {version.strip()} is installed beside the packages")
        (folder / "done").touch()
    return folder / "node_modules"


def inside_venv(requirements):
    """Goes on in a virtual environment with these requirements, which it creates if need be."""
    python = venv(requirements) / "bin" / "python"
    if Path(sys.prefix) != python.parent.parent:
        os.execv(python, [str(python), *sys.argv])


def venv(requirements):
    """A virtual environment with what the file of this name asks for."""
    listed = HERE / requirements
    folder = _folder(listed.stem, listed.read_text())
    if not (folder / "done").exists():
        print(f"installing {requirements}", flush=True)
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        pip = [folder / "bin" / "python", "-m", "pip", "install", "--disable-pip-version-check"]
        subprocess.run([*pip, "--quiet", "--requirement", listed], check=True)
        (folder / "done").touch()
    return folder


class Mono:
    """Compiles and runs C#: by the Mono of this machine, or by one that is unpacked below the target folder."""

    def __init__(self):
        if shutil.which("mono") and shutil.which("mcs"):
            self.run, self.compiler, self.env = ["mono"], ["mcs"], {}
            return
        missing = "there is no Mono here, and no apt-get to fetch it with: install one that has `mono` and `mcs`"
        usr = _debian("mono", MONO_PACKAGES, missing) / "usr"
        self.run = [str(usr / "bin" / "mono-sgen")]
        self.compiler = [*self.run, str(usr / "lib/mono/4.5/mcs.exe")]
        self.env = {"MONO_GAC_PREFIX": str(usr), "MONO_CFG_DIR": str(usr.parent / "etc")}

    def compile(self, source, program, *references):
        """Compiles a file, without a warning."""
        wanted = [f"-r:{reference}" for reference in references]
        command = [*self.compiler, "-warnaserror", *wanted, str(source), f"-out:{program}"]
        subprocess.run(command, env={**os.environ, **self.env}, check=True)
        return [*self.run, str(program)]


def nginx():
    """nginx's program: this machine's, or one that is unpacked below the target folder."""
    if found := shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin"):
        return found
    folder = _debian("nginx", NGINX_PACKAGES, "there is no nginx here, and no apt-get to fetch it with: install it")
    libraries = ":".join(str(path) for path in (folder / "usr/lib").glob("*-linux-gnu*"))
    # With the libraries that came along.
    program = folder / "nginx"
    program.write_text(f'#!/bin/sh\nLD_LIBRARY_PATH={shlex.quote(libraries)} exec {shlex.quote(str(folder))}/usr/sbin/nginx "$@"\n')
    program.chmod(0o755)
    return str(program)


def _debian(name, packages, missing):
    """Debian's or Ubuntu's packages, with what they need and this machine has not, unpacked into a folder."""
    folder = _folder(name, "\n".join(packages))
    if (folder / "done").exists():
        return folder
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        raise Failed(missing)
    print("unpacking " + " ".join(packages), flush=True)
    shutil.rmtree(folder, ignore_errors=True)
    for inner in ["apt/lists/partial", "apt/archives/partial"]:
        (folder / inner).mkdir(parents=True)
    # Without root: lists and archives of our own, and nothing is installed.
    settings = {
        "Dir::State": folder / "apt",
        "Dir::State::status": "/var/lib/dpkg/status",
        "Dir::Cache": folder / "apt",
        "Debug::NoLocking": "1",
        "APT::Install-Recommends": "false",
    }
    apt = ["apt-get", "--quiet=2", *(f"--option={name}={value}" for name, value in settings.items())]
    subprocess.run([*apt, "update"], check=True)
    subprocess.run([*apt, "--yes", "--download-only", "install", *packages], check=True)
    for package in (folder / "apt/archives").glob("*.deb"):
        subprocess.run(["dpkg-deb", "--extract", package, folder], check=True)
    shutil.rmtree(folder / "apt")
    (folder / "done").touch()
    return folder


def _folder(name, contents):
    """A place to install into that is another one whenever something else is to be installed."""
    return PEERS / f"{name}-{hashlib.sha256(contents.encode()).hexdigest()[:12]}"


def free_port():
    """For a server whose port must be known before it starts, or stay when it starts again."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def scratch():
    """A folder for what a peer writes to its home, gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="peer-") as folder:
        yield Path(folder)


class Process:
    """A process of ours, its output in a file. It ends with the `with` block, by its own id."""

    def __init__(self, name, command, log, env=None, stdin=subprocess.DEVNULL):
        self.name = name
        self.stdin = stdin
        self.log = Path(log)
        self.env = {**os.environ, "NO_COLOR": "1", **(env or {})}
        self.command = [str(part) for part in command]

    def __enter__(self):
        with self.log.open("ab") as out:
            self.child = subprocess.Popen(
                self.command,
                stdin=self.stdin,
                stdout=out,
                stderr=subprocess.STDOUT,
                env=self.env,
            )
        return self

    def __exit__(self, kind, *_):
        self.end()
        if kind is not None:
            print(f"--- the last words of {self.name}:", *self.text().splitlines()[-20:], sep="\n  ")

    def end(self):
        """Asks it to end, and insists after 10 s."""
        if self.child.poll() is None:
            self.child.send_signal(signal.SIGINT)
            try:
                self.child.wait(10)
            except subprocess.TimeoutExpired:
                self.child.kill()
                self.child.wait()

    def text(self):
        return self.log.read_text(errors="replace")

    def find(self, pattern, seconds, what=None):
        """Waits for a line like this in its output."""
        found = wait(lambda: re.search(pattern, self.text(), re.MULTILINE), seconds, lambda: self.child.poll() is None)
        if found is None:
            raise Failed(f"{self.name} did not say {what or pattern!r} within {seconds} s\n{self.text()[-2000:]}")
        return found


def wait(probe, seconds, alive=lambda: True):
    """Asks until the answer is neither None nor False, and says it; None when the time is up."""
    end = time.monotonic() + seconds
    while True:
        going = alive()
        answer = probe()
        if answer is not None and answer is not False:
            return answer
        if not going or time.monotonic() > end:
            return None
        time.sleep(0.1)


@contextlib.contextmanager
def unity_server(folder, *flags):
    """Our server with HTTP on a free port; its URL."""
    command = [binary("unity_server"), "--transport", "http", "--http-url", "http://127.0.0.1:0", *flags]
    # The editors of whoever runs this are not ours to dial.
    env = {"UNITY_MCP_STATUS_DIR": str(folder / "no-editors")}
    with Process("unity_server", command, folder / "unity_server.log", env=env) as server:
        yield server.find(r"^MCP +(http://\S+/mcp)$", 20, "its MCP URL")[1]


class Broker(Process):
    """mcp-broker on this port or a free one, with its token and what else it keeps in this folder."""

    def __init__(self, folder, port=0):
        program = TARGET / "debug" / "mcp-broker"
        if not program.exists():
            raise Failed(f"{program} is missing: cargo build --workspace --bins")
        self.token = folder / "broker.token"
        command = [program, "--port", port, "--token-file", self.token, "--state-dir", folder / "broker"]
        # A log of its own, so that its port is not looked for in what a former one said.
        log = folder / f"broker-{len(list(folder.glob('broker-*.log')))}.log"
        super().__init__("mcp-broker", command, log)

    def __enter__(self):
        super().__enter__()
        self.url = f"http://127.0.0.1:{self.find(r'serving port=([0-9]+)$', 20, 'its port')[1]}"
        return self
