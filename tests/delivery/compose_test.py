"""docker-compose.yml: read closely, then brought up by a real engine, used, hurt, taken down and
brought up again. What it would pull is replaced by stand-ins (standins.py); of the committed files only
times and the limit of open files are changed."""

from __future__ import annotations

import json
import os
import re
import resource
import shutil
import socket
import subprocess
import tempfile
import time
import tomllib
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.delivery import image_test, standins
from tests.delivery.engine import Engine, compose_program, engine, needs, wait
from tests.delivery.tools import ROOT, Tally, broken, fault_of, ran

FILE = "docker-compose.yml"
EXAMPLE = "docker-compose.override.example.yml"
PROJECT = "enchufe-tested"
# What people reach; everything else stays between containers.
PUBLISHED = {"enchufe": 8081, "prometheus": 9090, "alertmanager": 9093, "grafana": 3000}
ONCE = "secrets"
STACK = {"enchufe", "postgres", "redis", "prometheus", "alertmanager", "blackbox-exporter", "grafana"}
CHARGERS = 12
# How long the whole stack may take to be well. The service is asked for its health every 30 seconds.
UP_SECONDS = 180
TOLD_SECONDS = 120


def run(tally: Tally) -> None:
    reads(tally)
    needs("jq", program="jq")
    needs("curl", program="curl")
    try:
        image = image_test.built()
        standins.for_compose()
    except RuntimeError as error:
        tally.check("there is something to bring up", str(error))
        return
    with Stack(image) as stack:
        lives(stack, tally)


# ---- What is written


def reads(tally: Tally) -> None:
    tally.check("Compose understands the file, the demo included", file_fault(ROOT))
    with broken(FILE, "    cap_add:", "    cap_adds:", beside=[EXAMPLE]) as copy:
        noticed(tally, "a misspelt key", file_fault(copy))
    tally.check("and the example for development", file_fault(ROOT, EXAMPLE))
    tally.check("every container has only what it needs", written_fault(settled(ROOT)))
    for what, old, new in (
        ("a writable root", "  read_only: true", "  read_only: false"),
        ("capabilities", "  cap_drop: [ALL]", "  cap_drop: [NET_RAW]"),
        ("new privileges", "no-new-privileges:true", "no-new-privileges:false"),
        ("a moving tag", "prom/prometheus:v3.5.0", "prom/prometheus:latest"),
        ("no tag", "prom/alertmanager:v0.28.1", "prom/alertmanager"),
        ("an address open to all", "127.0.0.1:${PROMETHEUS_PORT:-9090}:9090", "${PROMETHEUS_PORT:-9090}:9090"),
        ("a database that is published", "    networks: [data]", '    ports: ["127.0.0.1:5432:5432"]\n    networks: [data]'),
        ("a way out for the database", "data: { internal: true }", "data: {}"),
        ("no memory limit", 'limits: { cpus: "1", memory: 512M, pids: 256 }', 'limits: { cpus: "1", pids: 256 }'),
        ("a limit below what is reserved", "memory: 512M", "memory: 96M"),
        ("a password written down", "POSTGRES_DB: enchufe", "POSTGRES_PASSWORD: enchufe"),
        ("secrets that can be changed", "./secrets/postgres:/run/secrets:ro", "./secrets/postgres:/run/secrets"),
        ("somebody else's secrets", "./secrets/prometheus:/run/secrets:ro", "./secrets/enchufe:/run/secrets:ro"),
        ("root", 'user: "999:999"', 'user: "0:0"'),
        ("no health check", "      test: [CMD, pg_isready", "      disable: true\n      test: [CMD, pg_isready"),
        ("a start before the database", "      postgres: { condition: service_healthy }\n", ""),
        ("a stop too short", "    stop_grace_period: 35s\n", ""),
    ):  # fmt: skip
        with broken(FILE, old, new) as copy:
            noticed(tally, what, file_fault(copy) or written_fault(settled(copy)))
    ignored = ran(["git", "check-ignore", "secrets/enchufe/admin_token", ".env", "docker-compose.override.yml"])
    tally.check("what is one's own is never committed", fault_of(ignored))


def noticed(tally: Tally, what: str, fault: str | None) -> None:
    tally.check(f"noticed: {what}", None if fault else "the check found nothing wrong with it")


def file_fault(folder: Path, *more: str) -> str | None:
    files = [word for file in (FILE, *more) for word in ("--file", file)]
    return fault_of(ran([*compose_program(), *files, "--profile", "demo", "config", "--quiet"], cwd=folder))


def settled(folder: Path) -> dict:
    """The file with everything filled in, as Compose understands it."""
    env = {key: it for key, it in os.environ.items() if not key.endswith(("_PORT", "_BIND", "_IMAGE"))}
    result = subprocess.run(
        [*compose_program(), "--file", FILE, "--profile", "demo", "config", "--format", "json"],
        cwd=folder, env=env, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return json.loads(result.stdout) if result.returncode == 0 else {"services": {}, "fault": result.stderr}


def written_fault(config: dict) -> str | None:
    faults = [config["fault"]] if "fault" in config else []
    for name, service in config["services"].items():
        faults += [f"{name}: {fault}" for fault in service_faults(name, service)]
    if missing := STACK - set(config["services"]):
        faults.append(f"there is no {', '.join(sorted(missing))}")
    if not config.get("networks", {}).get("data", {}).get("internal"):
        faults.append("the database's network leads out")
    return "; ".join(faults) or None


def service_faults(name: str, service: dict) -> Iterator[str]:
    if not service.get("read_only"):
        yield "its root can be written to"
    if service.get("cap_drop") != ["ALL"] or (service.get("cap_add") and name != ONCE):
        yield "it has capabilities"
    if service.get("security_opt") != ["no-new-privileges:true"]:
        yield "it may gain privileges"
    if not re.fullmatch(r"enchufe:local|docker\.io/[\w./-]+:v?\d+\.\d+[\w.-]*", service["image"]):
        yield f"{service['image']} is not one version of an image"
    # The service's own image sets its user.
    if service.get("user", "").startswith("0") and name != ONCE:
        yield "it is root"
    if not service.get("user") and not service["image"].startswith("enchufe:"):
        yield "its user is left to the image"
    limits = service.get("deploy", {}).get("resources", {}).get("limits", {})
    if missing := {"cpus", "memory", "pids"} - set(limits):
        yield f"no limit of {', '.join(sorted(missing))}"
    ports = {int(port["target"]) for port in service.get("ports", [])}
    if ports - {PUBLISHED.get(name)} or any(
        port.get("host_ip") != "127.0.0.1" for port in service.get("ports", [])
    ):
        yield f"ports {ports} are open"
    for key in service.get("environment") or {}:
        if re.search(r"PASSWORD|TOKEN|KEY|SECRET|_URL$", key) and not key.endswith(("_FILE", "PUBLIC_URL", "ROOT_URL", "BASE_URL")):
            yield f"{key} should be a file"
    for volume in service.get("volumes", []):
        if volume["target"] == "/run/secrets" and (
            not volume.get("read_only") or Path(volume["source"]).name != name
        ):
            yield "its secrets are not its own, or can be written to"
    if name not in (ONCE, "demo", "enchufe") and (
        "test" not in service.get("healthcheck", {}) or service["healthcheck"].get("disable")
    ):
        yield "nobody knows whether it is healthy"
    before = {it: how["condition"] for it, how in (service.get("depends_on") or {}).items()}
    if any(it["target"] == "/run/secrets" for it in service.get("volumes", [])):
        if before.get(ONCE) != "service_completed_successfully":
            yield "it does not wait for its secrets"
    if name == "enchufe":
        yield from enchufe_faults(service, before, limits)


def enchufe_faults(service: dict, before: dict, limits: dict) -> Iterator[str]:
    if (before.get("postgres"), before.get("redis")) != ("service_healthy", "service_healthy"):
        yield "it does not wait for PostgreSQL and Redis"
    # The server's own bound is 25 seconds.
    if service.get("stop_grace_period") != "35s":
        yield "it is killed before it has stopped"
    planned = tomllib.loads((ROOT / "monitoring/settings.toml").read_text())["container"]
    reserved = service["deploy"]["resources"].get("reservations", {}).get("memory")
    if int(reserved or 0) != planned["memory_request_bytes"]:
        yield f"{reserved} bytes are reserved; monitoring plans with {planned['memory_request_bytes']}"
    if int(limits.get("memory", 0)) < 2 * planned["memory_request_bytes"]:
        yield "the alert for memory above what is planned would come with the end"


# ---- The stack


class Stack:
    """The files of this tree in a folder of their own, with an engine and names of their own."""

    def __init__(self, image: str) -> None:
        self.docker: Engine = engine()
        self.image = image
        self.ports = {name: free_port() for name in PUBLISHED}

    def __enter__(self) -> Stack:
        self.began = int(time.time())
        self.folder = Path(tempfile.mkdtemp(prefix="enchufe-compose-"))
        for part in (FILE, "healthcheck.sh"):
            shutil.copy2(ROOT / part, self.folder / part)
        shutil.copytree(ROOT / "compose", self.folder / "compose")
        shutil.copytree(ROOT / "monitoring", self.folder / "monitoring", ignore=shutil.ignore_patterns("tests", "source"))
        self.hasten()
        self.env = {
            **self.docker.env,
            "COMPOSE_PROJECT_NAME": PROJECT,
            "ENCHUFE_IMAGE": self.image,
            "ENCHUFE_PORT": str(self.ports["enchufe"]),
            "PROMETHEUS_PORT": str(self.ports["prometheus"]),
            "ALERTMANAGER_PORT": str(self.ports["alertmanager"]),
            "GRAFANA_PORT": str(self.ports["grafana"]),
        }
        return self

    def __exit__(self, *_) -> None:
        self.compose("--profile", "demo", "down", "--volumes", "--timeout", "5")
        shutil.rmtree(self.folder)

    def hasten(self) -> None:
        """Seconds where the committed files have minutes, and a receiver where Slack would be."""
        for file, changes in {
            "monitoring/prometheus/prometheus.yml": [(r"interval: 15s", "interval: 2s"), (r"timeout: 10s", "timeout: 2s")],
            "monitoring/prometheus/rules/service.yml": [(r"for: \d+m", "for: 2s")],
            "monitoring/alertmanager/alertmanager.yml": [(r"group_wait: 30s", "group_wait: 1s"), (r"group_interval: 5m", "group_interval: 2s")],
        }.items():  # fmt: skip
            path = self.folder / file
            text = path.read_text()
            for old, new in changes:
                text, count = re.subn(old, new, text)
                assert count, f"{file} no longer has {old}"
            path.write_text(text)
        override = {"services": {"receiver": {"image": standins.RECEIVER, "networks": ["monitoring"]}}}
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if 0 < hard < 65536:
            # Nobody here can give more than he has.
            override["services"]["enchufe"] = {"ulimits": {"nofile": {"soft": hard, "hard": hard}}}
        # JSON is YAML.
        (self.folder / "docker-compose.override.yml").write_text(json.dumps(override))

    def compose(self, *words: str, seconds: float = 300) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*compose_program(), *words],
            cwd=self.folder, env=self.env, text=True, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=seconds, check=False,
        )  # fmt: skip

    def up(self, *words: str) -> str | None:
        return fault_of(self.compose("up", "--detach", *words))

    def healthcheck(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["./healthcheck.sh", "--project", PROJECT, *words],
            cwd=self.folder, env=self.env, text=True, capture_output=True, timeout=120, check=False,
        )  # fmt: skip

    def well(self) -> None:
        """Waits until the script finds nothing wrong."""
        try:
            wait("all is well", lambda: self.healthcheck().returncode == 0, UP_SECONDS, every=2)
        except TimeoutError as error:
            said = self.healthcheck().stdout
            logs = self.compose("logs", "--tail", "15").stdout
            raise RuntimeError(f"{error}:\n{said}\n{logs[-6000:]}") from None

    def containers(self) -> dict[str, dict]:
        """What the engine knows of each service's container."""
        ids = self.docker.must("ps", "--all", "--quiet", "--filter", f"label=com.docker.compose.project={PROJECT}")
        found = json.loads(self.docker.must("inspect", *ids.split()))
        return {it["Config"]["Labels"]["com.docker.compose.service"]: it for it in found}

    def within(self, service: str, *words: str) -> str:
        return self.docker.must("exec", f"{PROJECT}-{service}-1", *words)

    def secret(self, path: str) -> str:
        return (self.folder / "secrets" / path).read_text().strip()

    def api(self, method: str, path: str, body: dict | None = None) -> tuple[int, dict]:
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.ports['enchufe']}{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={
                "authorization": f"Bearer {self.secret('enchufe/admin_token')}",
                "content-type": "application/json",
            },
        )
        try:
            with urllib.request.urlopen(request, timeout=15) as answer:
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read() or "{}")

    def prometheus(self, path: str) -> dict:
        url = f"http://127.0.0.1:{self.ports['prometheus']}/api/v1/{path}"
        with urllib.request.urlopen(url, timeout=15) as answer:
            return json.loads(answer.read())["data"]

    def told(self) -> str:
        return self.docker("logs", f"{PROJECT}-receiver-1").stdout


def free_port() -> int:
    with socket.socket() as it:
        it.bind(("127.0.0.1", 0))
        return it.getsockname()[1]


def lives(stack: Stack, tally: Tally) -> None:
    if not tally.check("`docker compose up` brings it all up, secrets included", stack.up()):
        return
    tally.check("in the right order", order_fault(stack))
    stack.well()
    said = stack.healthcheck()
    tally.check("healthcheck.sh finds all of it well", well_fault(stack, said.stdout))
    tally.check("only four ports are open, on this machine only", ports_fault(stack))
    tally.check("secrets are files for those they are for", secrets_fault(stack))
    (stack.folder / "secrets/redis").chmod(0o755)
    noticed(tally, "secrets others can read", secrets_fault(stack))
    status, answer = stack.api("GET", "/healthz")
    expected = {"status": "ok", "checks": {"database": "ok", "cache": "ok"}}
    tally.check("PostgreSQL and Redis are in use", None if answer == expected else f"{status} {answer}")
    tally.check("Prometheus reaches everything it is told to", targets_fault(stack))
    demo(stack, tally)
    alert(stack, tally)
    kept(stack, tally)


def order_fault(stack: Stack) -> str | None:
    """By what the engine noted, which it does not keep for long: asked as soon as all is started."""
    until = str(int(time.time()) + 1)
    noted = stack.docker.must(
        "events", f"--since={stack.began}", f"--until={until}", "--format={{json .}}",
        f"--filter=label=com.docker.compose.project={PROJECT}",
    )  # fmt: skip
    first: dict[tuple[str, str], int] = {}
    for line in noted.splitlines():
        event = json.loads(line)
        service = event["Actor"]["Attributes"]["com.docker.compose.service"]
        first.setdefault((service, event["Action"]), event["timeNano"])
    pairs = [((name, "start"), (ONCE, "die")) for name in STACK - {"blackbox-exporter"}]
    pairs += [(("enchufe", "start"), (name, "health_status: healthy")) for name in ("postgres", "redis")]
    pairs += [(("grafana", "start"), ("prometheus", "health_status: healthy"))]
    early = [f"{later} and {sooner}" for later, sooner in pairs if first.get(later, 0) <= first.get(sooner, 1 << 63)]
    return f"not in this order: {early}" if early else None


def well_fault(stack: Stack, table: str) -> str | None:
    missing = [name for name in STACK if f"{PROJECT}-{name}-1" not in table]
    result = stack.healthcheck("--json")
    report = json.loads(result.stdout)
    unwell = [it["name"] for it in report["containers"] if not it["ok"]]
    # The receiver is the tests' own, and what stands for Slack has no check of its health.
    vague = [it["name"] for it in report["containers"] if it["service"] in STACK and it["health"] != "healthy"]
    if missing or unwell or vague or result.returncode or report["service"]["status"] != "ok":
        return f"missing {missing}, unwell {unwell}, without health {vague}: {report['service']}\n{table}"
    return None


def ports_fault(stack: Stack) -> str | None:
    open_ = {
        (name, int(inner.split("/")[0]), it["HostIp"])
        for name, container in stack.containers().items()
        for inner, hosts in (container["NetworkSettings"]["Ports"] or {}).items()
        for it in hosts or []
    }
    expected = {(name, port, "127.0.0.1") for name, port in PUBLISHED.items()}
    return f"{sorted(open_ ^ expected)}" if open_ != expected else None


def secrets_fault(stack: Stack) -> str | None:
    home = stack.folder / "secrets"
    files = [path for path in home.rglob("*") if path.is_file()]
    loose = [str(path) for path in [home, *home.rglob("*")] if path.is_dir() and path.stat().st_mode & 0o007]
    values = {path.read_text().strip() for path in files} - {""}
    weak = [path.name for path in files if path.name != "slack_webhook_url" and len(path.read_text().strip()) < 32]
    # Anybody on the machine who may ask the engine sees variables and command lines.
    shown = json.dumps(list(stack.containers().values()))
    told = [path.name for path in files if path.stat().st_size and path.read_text().strip() in shown]
    again = stack.compose("run", "--rm", ONCE)
    changed = {path.read_text().strip() for path in files} - {""} != values
    if loose or weak or told or changed or again.returncode or len(files) < 12:
        return f"open {loose}, weak {weak}, told {told}, changed by a second run: {changed}; {again.stdout}"
    return None


def targets_fault(stack: Stack) -> str | None:
    def up() -> bool:
        active = stack.prometheus("targets")["activeTargets"]
        return {it["labels"]["job"] for it in active if it["health"] == "up"} >= jobs and all(
            it["health"] == "up" for it in active
        )

    jobs = {"enchufe", "enchufe-healthz", "prometheus", "alertmanager"}
    try:
        wait("all targets are up", up, 60)
    except TimeoutError as error:
        return f"{error}: {[(it['scrapeUrl'], it['lastError']) for it in stack.prometheus('targets')['activeTargets']]}"
    failing = [
        rule["name"]
        for group in stack.prometheus("rules")["groups"]
        for rule in group["rules"]
        if rule["health"] == "err"
    ]
    probed = stack.prometheus("query?query=probe_success%7Bjob%3D%22enchufe-healthz%22%7D")["result"]
    if failing or [it["value"][1] for it in probed] != ["1"]:
        return f"rules that fail: {failing}; the probe says {probed}"
    return None


def demo(stack: Stack, tally: Tally) -> None:
    if not tally.check("`--profile demo` adds chargers", fault_of(stack.compose("--profile", "demo", "up", "--detach", "demo"))):
        return

    def online() -> bool:
        result = stack.prometheus("query?query=enchufe_stations_online")["result"]
        return bool(result) and result[0]["value"][1] == str(CHARGERS)

    def charging() -> bool:
        return bool(stack.api("GET", "/api/v1/sessions?limit=5")[1].get("sessions"))

    for what, look in ((f"{CHARGERS} are online, as Prometheus sees it", online), ("their cars charge", charging)):
        try:
            wait(what, look, TOLD_SECONDS)
            tally.check(what)
        except TimeoutError as error:
            logs = stack.compose("logs", "--tail", "20", "demo").stdout
            tally.check(what, f"{error}\n{logs[-2000:]}")
    stopped = stack.compose("--profile", "demo", "stop", "demo")
    code = stack.containers()["demo"]["State"]["ExitCode"]
    tally.check("they hang up when told to", fault_of(stopped) or (None if code in (0, 130) else f"ended with {code}"))
    stack.compose("--profile", "demo", "rm", "--force", "demo")


def alert(stack: Stack, tally: Tally) -> None:
    (stack.folder / "secrets/alertmanager/slack_webhook_url").write_text("http://receiver:8080/services/planted\n")
    tally.check("the webhook is given as a file, and `up` once more", stack.up())
    stack.compose("stop", "enchufe")

    def heard(state: str) -> bool:
        return any(
            line.startswith("/services/planted") and f"[{state}" in line and "EnchufeDown" in line
            for line in stack.told().splitlines()
        )

    report = stack.healthcheck()
    wrong = report.returncode != 1 or "! enchufe" not in report.stdout or "! /healthz" not in report.stdout
    tally.check("healthcheck.sh says what is gone", report.stdout + report.stderr if wrong else None)
    for state, before in (("FIRING", None), ("RESOLVED", lambda: stack.up())):
        if before:
            before()
        try:
            wait(state, lambda state=state: heard(state), TOLD_SECONDS)
            tally.check(f"the alert arrives: {state}")
        except TimeoutError as error:
            logs = stack.compose("logs", "--tail", "20", "alertmanager", "prometheus").stdout
            tally.check(f"the alert arrives: {state}", f"{error}\n{stack.told()[-1000:]}\n{logs[-2000:]}")


def kept(stack: Stack, tally: Tally) -> None:
    entry = {"work": "kept", "struggle": "through down", "intention": "and up"}
    status, answer = stack.api("POST", "/api/v1/journal/entries", entry)
    tally.check("an entry is made", None if status == 201 else f"{status} {answer}")
    redis(stack, "SET", "kept", "through down and up")
    tally.check("`down` takes it down", fault_of(stack.compose("down")))
    left = stack.docker.must("ps", "--all", "--quiet", "--filter", f"label=com.docker.compose.project={PROJECT}")
    tally.check("nothing runs any more", left or None)
    tally.check("`up` brings it back", stack.up())
    stack.well()
    path = f"/api/v1/journal/entries/{answer.get('entry', {}).get('id')}"
    status, found = stack.api("GET", path)
    tally.check("the service has the entry", None if found.get("work") == "kept" else f"{status} {found}")
    tally.check("PostgreSQL and Redis have kept what they had", lost(stack))
    stack.compose("down", "--volumes", "--timeout", "5")
    stack.up("postgres", "redis")
    noticed(tally, "volumes that are gone", lost(stack))


def redis(stack: Stack, *words: str) -> str:
    command = 'REDISCLI_AUTH="$(cat /run/secrets/password)" exec redis-cli "$@"'
    return stack.within("redis", "sh", "-c", command, "sh", *words)


def lost(stack: Stack) -> str | None:
    query = "SELECT count(*) FROM journal_entries WHERE doc LIKE '%through down%'"
    rows = stack.docker("exec", f"{PROJECT}-postgres-1", "psql", "-U", "enchufe", "-Atc", query).stdout.strip()
    there = redis(stack, "GET", "kept")
    return None if (rows, there) == ("1", "through down and up") else f"PostgreSQL: {rows}, Redis: {there}"
