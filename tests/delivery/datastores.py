"""Runs the chart's own PostgreSQL and Redis as a manifest has them, with Debian's programs in the
place of the images': the same commands, arguments, passwords and probes. What an image's entry point
does with the variables is done here after its documentation."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.delivery.cluster import named
from tests.delivery.tools import free_port, ran

PASSWORDS = {"postgres-password": "not-a-secret-postgres", "redis-password": "not-a-secret-redis"}
READY_SECONDS = 30
POSTGRES_USER = "postgres"


class Store:
    """A database that runs: where, and what is wrong with it."""

    def __init__(self, address: str, port: int) -> None:
        self.address = address
        self.port = port
        self.faults: list[str] = []


@contextmanager
def running(found: list[dict]) -> Iterator[list[Store]]:
    """The databases of these manifests, if they have some."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        # PostgreSQL runs as a user of its own.
        os.chmod(folder, 0o755)
        stores = []
        for name, start in (("enchufe-postgresql", postgresql), ("enchufe-redis", redis)):
            for stateful in named(found, "StatefulSet", name):
                spec = stateful["spec"]["template"]["spec"]
                (home := Path(folder) / name).mkdir()
                stores.append(stack.enter_context(start(spec, home)))
        yield stores


@contextmanager
def redis(spec: dict, home: Path) -> Iterator[Store]:
    program("redis-server")
    container = spec["containers"][0]
    store = Store("enchufe-redis:6379", free_port())
    (home / "password").write_text(PASSWORDS["redis-password"])

    def here(text: str) -> str:
        text = text.replace("/run/secrets/redis/password", str(home / "password"))
        text = text.replace("dir /data", f"dir {home}\nport {store.port}\nbind 127.0.0.1")
        return text.replace("redis-cli ", f"redis-cli -p {store.port} ")

    process = subprocess.Popen([here(part) for part in container["command"]], stdout=subprocess.DEVNULL)
    try:
        probe = [here(part) for part in container["readinessProbe"]["exec"]["command"]]
        until_ready(store, probe)
        listed = Path(f"/proc/{process.pid}/cmdline").read_bytes()
        if PASSWORDS["redis-password"].encode() in listed:
            store.faults.append("redis: the password is in the list of processes")
        if "NOAUTH" not in ran(["redis-cli", "-p", str(store.port), "ping"]).stdout:
            store.faults.append("redis: answers without the password")
        yield store
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(spec["terminationGracePeriodSeconds"])
        except subprocess.TimeoutExpired:
            store.faults.append("redis: SIGTERM does not end it")
    finally:
        process.kill()
        process.wait()


@contextmanager
def postgresql(spec: dict, home: Path) -> Iterator[Store]:
    container = spec["containers"][0]
    env = {variable["name"]: variable["value"] for variable in container["env"]}
    store = Store("enchufe-postgresql:5432", free_port())
    (home / "password").write_text(PASSWORDS["postgres-password"])
    if os.geteuid() == 0:
        shutil.chown(home, POSTGRES_USER)
    data, user = home / "data", env["POSTGRES_USER"]
    options = env["POSTGRES_INITDB_ARGS"].split()
    do(["initdb", "-D", data, f"--username={user}", f"--pwfile={home / 'password'}", *options])
    # As the image's entry point does: whoever comes over the network shows the password.
    with (data / "pg_hba.conf").open("a") as rules:
        rules.write("host all all all scram-sha-256\n")
    listen = f"-p {store.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories="
    do(["pg_ctl", "start", "-w", "-D", data, "-l", home / "log", "-o", listen])
    try:
        access = {"PGPORT": str(store.port), "PGPASSWORD": PASSWORDS["postgres-password"]}
        do(["createdb", "-h", "127.0.0.1", "-U", user, env["POSTGRES_DB"]], **access)
        probe = container["readinessProbe"]["exec"]["command"]
        until_ready(store, [program(probe[0]), *probe[1:]], **access)
        stranger = ran(
            [program("psql"), "-w", "-h", "127.0.0.1", "-U", user, "-c", "SELECT 1", env["POSTGRES_DB"]],
            env={**os.environ, "PGPORT": str(store.port)},
        )
        if stranger.returncode == 0:
            store.faults.append("postgresql: lets in without the password")
        yield store
    finally:
        do(["pg_ctl", "stop", "-m", "fast", "-D", data])


def do(command: list[str | Path], **env: str) -> None:
    """Runs one of PostgreSQL's programs, which refuse to be run by root."""
    account = pwd.getpwnam(POSTGRES_USER) if os.geteuid() == 0 else None
    result = subprocess.run(
        [program(str(command[0])), *map(str, command[1:])],
        cwd="/",
        env={**os.environ, **env},
        user=account.pw_uid if account else None,
        group=account.pw_gid if account else None,
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode != 0:
        raise RuntimeError(f"{command[0]}: {result.stderr or result.stdout}")


def program(name: str) -> str:
    """Debian keeps the server's programs off the path."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda it: int(it.parent.name))
    for folder in reversed(folders):
        if (folder / name).is_file():
            return str(folder / name)
    if found := shutil.which(name):
        return found
    raise RuntimeError(f"the checks need {name}: apt-get install postgresql redis-server")


def until_ready(store: Store, probe: list[str], **env: str) -> None:
    """Asks what Kubernetes would ask, until the answer is yes."""
    until = time.monotonic() + READY_SECONDS
    while (answer := ran(probe, env={**os.environ, **env})).returncode != 0:
        if time.monotonic() > until:
            store.faults.append(f"{store.address}: never ready: {answer.stdout.strip()}")
            return
        time.sleep(0.2)
