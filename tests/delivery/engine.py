"""A Docker engine to try images on: the one that runs here, or one of our own until the checks end.

Ours has its own socket, and its data under .testenv/docker, so that what was built once is there the
next time. `make clean-env` removes it.
"""

from __future__ import annotations

import atexit
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from functools import cache
from pathlib import Path

from tests.delivery.tools import ROOT, ran

DATA = ROOT / ".testenv/docker"
# How long an engine may take to answer: far more than it does.
READY_SECONDS = 60
# A build from nothing compiles some four hundred crates.
BUILD_SECONDS = 3_600


def needs(*packages: str, program: str | None = None) -> None:
    """Installs what is missing, where that can be done."""
    if program and shutil.which(program):
        return
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise RuntimeError(f"install {', '.join(packages)}: this check cannot do without")
    install = ["apt-get", "-q", "install", "--yes", "--no-install-recommends", *packages]
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    if ran(install, env=env).returncode != 0:
        # The lists of packages are old or were never fetched.
        ran(["apt-get", "-q", "update"], env=env)
        if (result := ran(install, env=env)).returncode != 0:
            raise RuntimeError(f"{packages} cannot be installed:\n{result.stdout[-2000:]}")


class Engine:
    """What is asked of Docker."""

    def __init__(self, host: str | None) -> None:
        self.host = host
        self.env = {**os.environ, "DOCKER_BUILDKIT": "1"}
        # Nothing of the person's own settings may change what is tried.
        self.env = {key: it for key, it in self.env.items() if not key.startswith("ENCHUFE_")}
        if host:
            self.env["DOCKER_HOST"] = host
        # Docker's own package has a client that builds without a plugin.
        own = Path("/usr/bin/docker")
        self.client = str(own) if own.is_file() else "docker"

    def __call__(
        self, *words: str | Path, seconds: float = 120, **more
    ) -> subprocess.CompletedProcess[str]:
        """Runs `docker …` to its end and keeps what it said."""
        return subprocess.run(
            [self.client, *(str(word) for word in words)],
            env=self.env, text=True, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=seconds, check=False, **more,
        )  # fmt: skip

    def must(self, *words: str | Path, seconds: float = 120, **more) -> str:
        """The same, where anything but success is the end of the check."""
        result = self(*words, seconds=seconds, **more)
        if result.returncode != 0:
            raise RuntimeError(f"docker {' '.join(map(str, words))}:\n{result.stdout[-4000:]}")
        return result.stdout.strip()

    def build(
        self, folder: Path, tag: str, *words: str, file: str | Path = "Dockerfile"
    ) -> subprocess.CompletedProcess[str]:
        """Builds an image."""
        return self(
            "build", "--progress=plain", f"--tag={tag}", f"--file={folder / file}",
            *words, folder, seconds=BUILD_SECONDS,
        )  # fmt: skip

    def inspect(self, name: str) -> dict:
        return json.loads(self.must("inspect", name))[0]

    def has(self, image: str) -> bool:
        return self("image", "inspect", image).returncode == 0

    def compose(self, project: Path, *words: str, seconds: float = 300, **more):
        """Runs `docker compose …` in a folder."""
        return subprocess.run(
            [*compose_program(), *words],
            cwd=project, env=self.env, text=True, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=seconds, check=False, **more,
        )  # fmt: skip


@cache
def compose_program() -> tuple[str, ...]:
    """Compose: Docker's plugin, or the same program from a package of the checks' environment."""
    if shutil.which("docker") and ran(["docker", "compose", "version"]).returncode == 0:
        return ("docker", "compose")
    for folder in sys.path:
        program = Path(folder) / "compose/docker-compose"
        if program.is_file():
            program.chmod(0o755)
            return (str(program),)
    raise RuntimeError("there is no Docker Compose: install tests/delivery/requirements.txt")


@cache
def engine() -> Engine:
    """The engine, started at first need."""
    if shutil.which("docker") and ran(["docker", "info"]).returncode == 0:
        return Engine(None)
    needs("docker.io", program="dockerd")
    return Engine(started())


def started() -> str:
    """Starts an engine and says where it answers."""
    # In the system's own folder: the path of a socket has at most a hundred characters.
    scratch = Path(tempfile.mkdtemp(prefix="enchufe-docker-"))
    DATA.mkdir(parents=True, exist_ok=True)
    host = f"unix://{scratch}/docker.sock"
    log = (scratch / "log").open("w")
    daemon = subprocess.Popen(
        [
            "setpriv", "--pdeathsig", "TERM", "dockerd", "--host", host, "--data-root", DATA,
            "--exec-root", scratch / "exec", "--pidfile", scratch / "pid",
        ],
        stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip

    def stop() -> None:
        daemon.terminate()
        try:
            daemon.wait(60)
        except subprocess.TimeoutExpired:
            daemon.kill()
        shutil.rmtree(scratch, ignore_errors=True)

    atexit.register(stop)
    there = Engine(host)
    deadline = time.monotonic() + READY_SECONDS
    while there("info").returncode != 0:
        if daemon.poll() is not None or time.monotonic() > deadline:
            said = (scratch / "log").read_text()[-3000:]
            raise RuntimeError(f"dockerd does not start:\n{said}")
        time.sleep(0.3)
    return host


def wait(what: str, look, seconds: float, every: float = 0.5):
    """Looks until there is something to see, and gives it."""
    deadline = time.monotonic() + seconds
    while True:
        if seen := look():
            return seen
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {seconds:.0f} s")
        time.sleep(every)


def program(name: str) -> str:
    """A program of the checks' own environment, whose folder need not be on the path."""
    beside = Path(sys.executable).parent / name
    return str(beside) if beside.is_file() else name
