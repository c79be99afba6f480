"""Runs the real service with what a manifest gives it: its arguments, environment, settings and
secrets, and the databases that come with it; and asks what Kubernetes would ask."""

from __future__ import annotations

import base64
import json
import re
import signal
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from monitoring.tests.tools import server_binary
from tests.delivery import datastores
from tests.delivery.cluster import named, of_kind
from tests.delivery.tools import free_port, ran

READY_SECONDS = 60
ADMIN, METRICS = "not-a-secret-admin-token", "not-a-secret-metrics-token"


def faults(found: list[dict]) -> list[str]:
    with datastores.running(found) as stores:
        said = served(found, stores)
    return said + [fault for store in stores for fault in store.faults]


def served(found: list[dict], stores: list[datastores.Store]) -> list[str]:
    deployment = next(it for it in of_kind(found, "Deployment") if it["metadata"]["name"] == "enchufe")
    spec = deployment["spec"]["template"]["spec"]
    container = spec["containers"][0]
    with tempfile.TemporaryDirectory() as folder:
        places = laid_out(found, spec, container, Path(folder))
        env = environment(container, places, stores)
        ports = {"http": free_port(), "metrics": free_port()}
        env["ENCHUFE_LISTEN"] = f"127.0.0.1:{ports['http']}"
        env["ENCHUFE_METRICS_LISTEN"] = f"127.0.0.1:{ports['metrics']}"
        log = Path(folder) / "log"
        with running(container["args"], env, Path(folder), log) as process:
            if fault := never_ready(process, container, ports):
                return [f"{fault}: {log.read_text()[-1500:]}"]
            asked = [*guarded(ports), *connected(ports, stores)]
            return asked + ended(process, spec, container)


def migration_faults(job: dict, found: list[dict]) -> list[str]:
    """Runs the migration job against the PostgreSQL of other manifests, in a folder that has to stay
    empty: the container's root is read-only."""
    container = job["spec"]["template"]["spec"]["containers"][0]
    with datastores.running(found) as stores, tempfile.TemporaryDirectory() as folder:
        password = datastores.PASSWORDS["postgres-password"]
        postgres = next(store for store in stores if "postgresql" in store.address)
        address = f"postgres://enchufe:{password}@127.0.0.1:{postgres.port}/enchufe"
        with tempfile.NamedTemporaryFile("w") as file:
            file.write(address)
            file.flush()
            mounted = {mount["mountPath"] for mount in container.get("volumeMounts", [])}
            env = {}
            for variable in container["env"]:
                name, value = variable["name"], variable.get("value", "")
                if name == "ENCHUFE_DATABASE_URL":
                    value = address
                elif name == "ENCHUFE_DATABASE_URL_FILE":
                    if str(Path(value).parent) not in mounted:
                        return [f"{value} is in none of its mounts"]
                    value = file.name
                env[name] = value
            result = ran([server_binary(), *container["args"]], cwd=Path(folder), env=env)
        written = [path.name for path in Path(folder).iterdir()]
    if result.returncode != 0 or "tables are up to date" not in result.stdout:
        return [f"it ended with {result.returncode}: {result.stdout.strip()}"]
    return [f"it wrote {', '.join(written)}"] if written else []


def laid_out(found: list[dict], spec: dict, container: dict, folder: Path) -> dict[str, Path]:
    """The container's mounts as folders here."""
    volumes = {volume["name"]: volume for volume in spec["volumes"]}
    places = {}
    for mount in container["volumeMounts"]:
        volume, place = volumes[mount["name"]], folder / mount["name"]
        place.mkdir()
        if config := volume.get("configMap"):
            for name, text in next(named(found, "ConfigMap", config["name"]))["data"].items():
                (place / name).write_text(text)
        if secret := volume.get("secret"):
            there = next(named(found, "Secret", secret["secretName"]), {"data": {}})["data"]
            for item in secret["items"]:
                value = {"admin-token": ADMIN, "metrics-token": METRICS}.get(item["key"])
                kept = base64.b64decode(there[item["key"]]).decode() if item["key"] in there else None
                (place / item["path"]).write_text(value or kept or "not-a-secret")
        places[mount["mountPath"]] = place
    return places


def environment(container: dict, places: dict[str, Path], stores: list[datastores.Store]) -> dict[str, str]:
    env: dict[str, str] = {}
    for variable in container["env"]:
        source = variable.get("valueFrom", {})
        value = variable.get("value", "enchufe-0")
        if reference := source.get("secretKeyRef"):
            value = datastores.PASSWORDS[reference["key"]]
        # As Kubernetes puts variables into those after them.
        value = re.sub(r"\$\((\w+)\)", lambda match: env[match[1]], value)
        for path, place in places.items():
            if value == path or value.startswith(f"{path}/"):
                value = value.replace(path, str(place), 1)
        for store in stores:
            value = value.replace(f"@{store.address}", f"@127.0.0.1:{store.port}")
        env[variable["name"]] = value
    # As with enableServiceLinks, in case somebody switches it on.
    return {**env, "ENCHUFE_SERVICE_HOST": "10.0.0.1", "ENCHUFE_PORT": "tcp://10.0.0.1:8081"}


@contextmanager
def running(args: list[str], env: dict, folder: Path, log: Path) -> Iterator[subprocess.Popen]:
    with log.open("w") as output:
        process = subprocess.Popen(
            [server_binary(), *args], cwd=folder, env=env, stdout=output, stderr=subprocess.STDOUT
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def never_ready(process: subprocess.Popen, container: dict, ports: dict) -> str | None:
    """Which of the probes does not say yes, asked in the order in which Kubernetes begins to."""
    until = time.monotonic() + READY_SECONDS
    for name in ("startupProbe", "readinessProbe", "livenessProbe"):
        probe = container[name]["httpGet"]
        while (got := status(ports[probe["port"]], probe["path"])) != 200:
            if process.poll() is not None:
                return f"it ended with {process.returncode}"
            if time.monotonic() > until:
                return f"the {name} gets {got}"
            time.sleep(0.1)
    return None


def guarded(ports: dict) -> Iterator[str]:
    """The tokens that the Secret holds are the ones that open."""
    for port, path, token, wanted in (
        ("metrics", "/metrics", None, 401),
        ("metrics", "/metrics", METRICS, 200),
        ("http", "/api/v1/stations", None, 401),
        ("http", "/api/v1/stations", ADMIN, 200),
    ):
        if (got := status(ports[port], path, token)) != wanted:
            yield f"{path} {'with' if token else 'without'} the token gets {got}"


def connected(ports: dict, stores: list[datastores.Store]) -> Iterator[str]:
    """It is the databases beside it that it works with."""
    with urllib.request.urlopen(f"http://127.0.0.1:{ports['http']}/healthz", timeout=5) as answer:
        said = json.load(answer)
    if said["status"] != "ok" or set(said["checks"].values()) != {"ok"}:
        yield f"/healthz says {said}"
    for store in stores:
        if not talks_to(store.port):
            yield f"it does not talk to {store.address}"


def talks_to(port: int) -> bool:
    """Whether a connection to a port of this machine is open."""
    wanted = f"0100007F:{port:04X}"
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    return any(line.split()[2] == wanted and line.split()[3] == "01" for line in lines)


def ended(process: subprocess.Popen, spec: dict, container: dict) -> list[str]:
    """SIGTERM, when the pod has looked away, and what is left of the grace period."""
    before = container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
    process.send_signal(signal.SIGTERM)
    try:
        code = process.wait(spec["terminationGracePeriodSeconds"] - before)
    except subprocess.TimeoutExpired:
        return ["it did not stop within the grace period"]
    return [] if code == 0 else [f"it ended with {code}"]


def status(port: int, path: str, token: str | None = None) -> int:
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}")
    if token:
        request.add_header("Authorization", f"Bearer {token}")
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0
