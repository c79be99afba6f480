"""healthcheck.sh, before Docker and Kubernetes that only say what they are told to: every way a stack
can be unwell must be seen. `compose_test.py` tries it on a real stack."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

from tests.delivery.engine import needs
from tests.delivery.tools import ROOT, Tally, broken, fault_of, ran

SCRIPT = "healthcheck.sh"
SERVICES = ("enchufe", "postgres", "redis", "prometheus", "alertmanager", "blackbox-exporter", "grafana")
WELL, UNWELL, CANNOT_TELL = 0, 1, 2
OK = {"status": "ok", "checks": {"database": "ok", "cache": "ok"}}


def run(tally: Tally) -> None:
    needs("shellcheck", program="shellcheck")
    needs("jq", program="jq")
    for script in (SCRIPT, "compose/secrets.sh"):
        tally.check(f"shellcheck finds nothing in {script}", shellcheck(ROOT / script))
    with broken(SCRIPT, 'show "$report"', "show $report") as folder:
        fault = shellcheck(folder / SCRIPT)
        tally.check("noticed: a word that may split", None if fault else "shellcheck found nothing")
    expected = set(re.search(r'EXPECTED="([^"]+)"', (ROOT / SCRIPT).read_text()).group(1).split())
    named = set(re.findall(r"^  ([a-z-]+):$", services_section(), re.MULTILINE)) - {"secrets", "demo"}
    tally.check(
        "it expects what docker-compose.yml has",
        None if expected == named == set(SERVICES) else f"{sorted(expected ^ named)}",
    )
    for name, fault in stories(ROOT / SCRIPT).items():
        tally.check(name, fault())
    # Each names the story that must notice it.
    for story, old, new in (
        ("one that restarts again and again", ".restarts > $most", ".restarts > 1000"),
        ("an unhealthy container", '.health == "unhealthy" or ', ""),
        ("a container that was killed", '.ok = false | .note = "exit code', '.ok = true | .note = "exit code'),
        ("a container that is gone", "map({ service: ., name:", "map(empty | { service: ., name:"),
        ("a service that is not ready", "and $service.ok", ""),
        ("a preparation that failed", 'exit "$code"', "exit 0"),
        ("Docker is away", 'exit "$CANNOT_TELL"', "exit 1"),
        ("Kubernetes: a crash loop", '$state == "running" and .ready', "true"),
        ("Kubernetes: a pod that is not made", "select($ready < $wanted)", "select(false)"),
    ):
        with broken(SCRIPT, old, new) as folder:
            fault = stories(folder / SCRIPT)[story]()
            tally.check(f"noticed without its cure: {story}", None if fault else "the story ended well")


def services_section() -> str:
    text = (ROOT / "docker-compose.yml").read_text()
    return text.split("\nservices:\n")[1].split("\nnetworks:\n")[0]


def shellcheck(script: Path) -> str | None:
    return fault_of(ran(["shellcheck", script]))


# ---- Stories


Story = Callable[[], str | None]


def stories(script: Path) -> dict[str, Story]:
    """Each a name, and what tells it: the answer is what is wrong with its end."""
    help_ = ("--help explains", lambda: ended(script, WELL, ("--kubernetes", "Exit code"), words=("--help",)))
    wrong_words = (("--colour",), ("--url",), ("--max-restarts", "many"))
    refused = [
        (
            f"{' '.join(words)} is refused in words",
            partial(ended, script, CANNOT_TELL, (words[0],), docker=[], words=words),
        )
        for words in wrong_words
    ]
    return dict([*docker_stories(script), *kubernetes_stories(script), help_, *refused])


def docker_stories(script: Path):
    def tell(name: str, change, code: int, *said: str, healthz: dict | None = OK, words: tuple[str, ...] = ()):
        objects = [container(service) for service in SERVICES]
        objects.append(container("secrets", running=False, once=True))
        change({it["Config"]["Labels"]["com.docker.compose.service"]: it for it in objects}, objects)
        return name, lambda: ended(script, code, said, docker=objects, healthz=healthz, words=words)

    def stopped(there, _):
        there["redis"]["State"] |= {"Status": "exited", "Running": False, "ExitCode": 137, "OOMKilled": True}

    def unhealthy(there, _):
        log = [{"Output": "not ready: cannot\nconnect"}]
        there["enchufe"]["State"]["Health"] = {"Status": "unhealthy", "Log": log}

    def failed_once(there, _):
        there["secrets"]["State"]["ExitCode"] = 1

    yield tell("a stack that is well", lambda *_: None, WELL, "All is well.", "enchufe-redis-1", "database ok")
    yield tell("nothing is printed with --quiet", lambda *_: None, WELL, words=("--quiet",))
    yield tell("a container that was killed", stopped, UNWELL, "! redis", "exit code 137, out of memory", "Not well: redis")
    yield tell("--quiet, when something is wrong", stopped, UNWELL, "! redis", words=("--quiet",))
    yield tell("an unhealthy container", unhealthy, UNWELL, "unhealthy", "not ready: cannot connect")
    yield tell(
        "a container that is starting",
        lambda there, _: there["grafana"]["State"]["Health"].update(Status="starting"),
        UNWELL, "! grafana", "starting",
    )  # fmt: skip
    yield tell(
        "one that restarts again and again",
        lambda there, _: there["enchufe"].update(RestartCount=6), UNWELL, "! enchufe", "restarts too often",
    )  # fmt: skip
    yield tell(
        "a bound for restarts of one's own",
        lambda there, _: there["enchufe"].update(RestartCount=6), WELL, words=("--max-restarts", "6"),
    )  # fmt: skip
    yield tell("a container that is gone", lambda there, all_: all_.remove(there["postgres"]), UNWELL, "! postgres", "missing")
    yield tell("a preparation that failed", failed_once, UNWELL, "! secrets", "exit code 1")
    yield tell("no stack at all", lambda _, all_: all_.clear(), UNWELL, "no container of the service runs", healthz=None)
    degraded = {"status": "degraded", "checks": {"database": "ok", "cache": "lost"}}
    yield tell("a degraded service goes on", lambda *_: None, WELL, "degraded", "cache lost", healthz=degraded)
    away = {"status": "unavailable", "checks": {"database": "lost"}}
    yield tell("a service that is not ready", lambda *_: None, UNWELL, "! /healthz", "database lost", healthz=away)
    yield tell("a service that does not answer", lambda *_: None, UNWELL, "! /healthz", "unreachable", healthz=None)
    yield tell(
        "/healthz, where it is asked for", lambda *_: None, WELL, "curl https://charge.example.org/healthz",
        words=("--url", "https://charge.example.org/healthz"),
    )  # fmt: skip
    yield tell(
        "a port that is not published: asked within",
        lambda there, _: there["enchufe"]["NetworkSettings"]["Ports"].clear(), WELL, "exec enchufe-id",
    )  # fmt: skip
    yield "Docker is away", lambda: ended(script, CANNOT_TELL, ("docker does not answer",), docker=None)
    yield "jq is missing", lambda: ended(script, CANNOT_TELL, ("jq is not installed",), docker=[], without="jq")
    yield (
        "--json has it all",
        lambda: ended(script, UNWELL, (), docker=[container("enchufe")], words=("--json",), reader=read_docker),
    )


def read_docker(report: dict) -> str | None:
    enchufe = next(it for it in report["containers"] if it["service"] == "enchufe")
    expected = {
        "service": "enchufe", "name": "enchufe-enchufe-1", "state": "running", "health": "healthy",
        "restarts": 0, "note": "", "ok": True,
    }  # fmt: skip
    missing = {it["service"] for it in report["containers"] if not it["ok"]}
    wrong = (
        enchufe != expected or missing != set(SERVICES) - {"enchufe"} or report["healthy"] is not False
        or report["service"] != {"status": "ok", "checks": OK["checks"], "note": "", "ok": True}
        or not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", report["checked_at"])
    )  # fmt: skip
    return f"{report}" if wrong else None


def kubernetes_stories(script: Path):
    def tell(name: str, change, code: int, *said: str, healthz: dict | None = OK, words: tuple[str, ...] = ()):
        objects = [deployment(2), pod("enchufe-1"), pod("enchufe-2")]
        change(objects)
        return name, lambda: ended(
            script, code, said, kubernetes=objects, healthz=healthz, words=("--kubernetes", *words)
        )

    def crashing(objects):
        objects[1]["status"]["containerStatuses"][0] |= {
            "ready": False, "restartCount": 3,
            "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 5m0s restarting"}},
        }  # fmt: skip

    def pending(objects):
        condition = {"type": "PodScheduled", "status": "False", "message": "0/3 nodes are available"}
        objects[2]["status"] = {"phase": "Pending", "conditions": [condition]}
        objects[0]["status"]["readyReplicas"] = 1

    def not_made(objects):
        del objects[2]
        objects[0]["status"]["readyReplicas"] = 1

    def going(objects):
        gone = pod("enchufe-0")
        gone["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
        gone["status"]["containerStatuses"][0]["ready"] = False
        objects.append(gone)

    def done(objects):
        job = pod("enchufe-migrate")
        job["status"] = {"phase": "Succeeded", "containerStatuses": []}
        objects.append(job)

    yield tell("Kubernetes: all is well", lambda _: None, WELL, "enchufe-1/enchufe", "All is well.")
    yield tell("Kubernetes: a crash loop", crashing, UNWELL, "! server", "CrashLoopBackOff")
    yield tell("Kubernetes: a pod without a place", pending, UNWELL, "0/3 nodes are available")
    yield tell("Kubernetes: a pod that is not made", not_made, UNWELL, "deployment/enchufe", "1 of 2 are ready")
    yield tell("Kubernetes: a pod that is going away", going, WELL, "terminating")
    yield tell("Kubernetes: a job that is done", done, WELL, "succeeded")
    yield tell("Kubernetes: nothing there", lambda objects: objects.clear(), UNWELL, "no pod has these labels")
    yield tell("Kubernetes: not ready", lambda _: None, UNWELL, "! /healthz", healthz=None)
    yield tell(
        "Kubernetes: it asks for what it was told to",
        lambda _: None, WELL,
        "get deployments,statefulsets,pods --namespace ev --selector a=b --output json",
        "get --raw /api/v1/namespaces/ev/services/plug:http/proxy/healthz",
        words=("--namespace", "ev", "--selector", "a=b", "--service", "plug"),
    )  # fmt: skip
    yield (
        "Kubernetes is away",
        lambda: ended(script, CANNOT_TELL, ("kubectl does not answer",), kubernetes=None, words=("--kubernetes",)),
    )


# ---- What Docker and Kubernetes say, in the shape in which they say it


def container(service: str, *, running: bool = True, once: bool = False) -> dict:
    return {
        "Id": f"{service}-id",
        "Name": f"/enchufe-{service}-1",
        "RestartCount": 0,
        "State": {
            "Status": "running" if running else "exited",
            "Running": running, "Paused": False, "Restarting": False, "OOMKilled": False, "Dead": False,
            "ExitCode": 0,
            **({"Health": {"Status": "healthy", "FailingStreak": 0, "Log": []}} if running else {}),
        },
        "HostConfig": {"RestartPolicy": {"Name": "no" if once else "unless-stopped", "MaximumRetryCount": 0}},
        "Config": {
            "Labels": {
                "com.docker.compose.project": "enchufe",
                "com.docker.compose.service": service,
                "com.docker.compose.oneoff": "False",
            }
        },
        "NetworkSettings": {
            "Ports": {"8000/tcp": None, "8081/tcp": [{"HostIp": "127.0.0.1", "HostPort": "8081"}]}
            if service == "enchufe" else {}
        },
    }  # fmt: skip


def deployment(replicas: int) -> dict:
    return {
        "kind": "Deployment",
        "metadata": {"name": "enchufe", "labels": {"app.kubernetes.io/component": "server"}},
        "spec": {"replicas": replicas},
        "status": {"replicas": replicas, "readyReplicas": replicas},
    }


def pod(name: str) -> dict:
    return {
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app.kubernetes.io/component": "server"}},
        "status": {
            "phase": "Running",
            "conditions": [{"type": "Ready", "status": "True"}],
            "containerStatuses": [
                {
                    "name": "enchufe", "ready": True, "started": True, "restartCount": 0,
                    "state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}}, "lastState": {},
                }
            ],
        },
    }  # fmt: skip


def ended(
    script: Path,
    code: int,
    said: tuple[str, ...],
    *,
    docker: list | None = None,
    kubernetes: list | None = None,
    healthz: dict | None = OK,
    words: tuple[str, ...] = (),
    without: str = "",
    reader=None,
) -> str | None:
    """Runs the script with programs on its path that answer with these objects, and note how they were
    called. An answer of nothing is a failure."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        for tool in ("bash", "env", "jq", "awk", "timeout", "grep", "cat", "sed", "tail"):
            if tool != without:
                (path / tool).symlink_to(shutil.which(tool))
        if docker is not None:
            (path / "objects").write_text(json.dumps(docker))
        elif kubernetes is not None:
            (path / "objects").write_text(json.dumps({"kind": "List", "items": kubernetes}))
        if healthz is not None:
            (path / "healthz").write_text(json.dumps(healthz))
        for name, text in PROGRAMS.items():
            (path / name).write_text(f'#!/bin/sh\necho "{name} $*" >> "{path}/called"\ncd "{path}"\n{text}')
            (path / name).chmod(0o755)
        result = subprocess.run(
            [script, *words], capture_output=True, text=True, env={"PATH": folder}, timeout=60, check=False
        )
        called = (path / "called").read_text() if (path / "called").exists() else ""
    if result.returncode != code:
        return f"ended with {result.returncode}, not {code}: {result.stdout} {result.stderr}"
    if "--quiet" in words and code == WELL and result.stdout:
        return f"printed {result.stdout}"
    everything = result.stdout + result.stderr + called
    if missing := [it for it in said if it not in everything]:
        return f"does not say {missing}: {everything}"
    return reader(json.loads(result.stdout)) if reader else None


PROGRAMS = {
    "docker": """case $1 in
  ps) [ -e objects ] || exit 1; jq -r '.[].Id' objects ;;
  inspect) cat objects ;;
  exec) [ -e healthz ] || exit 1; echo "ready: 127.0.0.1:8081 $(cat healthz)" ;;
esac
""",
    "kubectl": """case "$*" in
  *--raw*) [ -e healthz ] || { echo 'Error from server (ServiceUnavailable)' >&2; exit 1; }; cat healthz ;;
  *) [ -e objects ] || exit 1; cat objects ;;
esac
""",
    "curl": """[ -e healthz ] || { echo 'curl: (7) Failed to connect' >&2; exit 7; }
for url; do :; done; echo "curl $url" >> called; cat healthz
""",
}
