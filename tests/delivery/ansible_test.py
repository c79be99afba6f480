"""`ansible/`: linted, and run for real on machines with systemd, twice: the second changes nothing.

Real there: systemd, ssh and sudo, Docker from the distribution, Caddy, the service itself from
TEST_BINARY. Stand-ins, see `server/mirror.py`: what comes from the internet (Docker's own packages,
kubectl, helm, the runner). They are got as the real ones are, with signature and checksum.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from pathlib import Path

import yaml

from tests.delivery.server import mirror
from tests.delivery.server.machine import Machine, machine
from tests.delivery.server.playbook import BIN, Playbook, environment
from tests.delivery.tools import ROOT, Tally, broken, fault_of, ran

ANSIBLE = ROOT / "ansible"
OLD, NEW = "0.1.0", "0.2.0"
# By `systemd-analyze security`: from 0 (shut in) to 10 (bare).
MOST_EXPOSED = 1.5
# A stop is bounded by the unit at 30 seconds; without chargers it takes a moment.
STOP_SECONDS = 15
RETURN_SECONDS = 30

# What ansible-lint must notice, and what in it is broken.
LINT_BREAKAGES = (
    ("roles/docker/tasks/main.yml", "ansible.builtin.apt:", "apt:"),
    ("roles/enchufe/tasks/systemd.yml", "- name: Write the settings\n  ", "- "),
    ("roles/enchufe/tasks/systemd.yml", '    mode: "0644"\n', ""),
    ("roles/kubernetes_tools/tasks/main.yml", "  changed_when: false\n", ""),
)


def run(tally: Tally) -> None:
    binary = Path(os.environ.get("TEST_BINARY") or "").absolute()
    if not binary.is_file():
        raise RuntimeError("TEST_BINARY names no enchufe to install")
    tally.check("ansible-lint, profile production", linted(ANSIBLE))
    for path, old, new in LINT_BREAKAGES:
        with broken(f"ansible/{path}", old, new) as copy:
            noticed = linted(copy / "ansible") is not None
        fault = None if noticed else "it says nothing"
        tally.check(f"ansible-lint notices {path} without {old.strip()!r}", fault)
    tally.check("ansible: every variable of a role is described", described(ANSIBLE))
    with broken("ansible/roles/docker/defaults/main.yml", "docker_users: []", "docker_persons: []") as copy:
        noticed = described(copy / "ansible") is not None
    tally.check("ansible: one that is not is noticed", None if noticed else "it is not")
    tally.check("ansible: what the stack reads is brought along", brought_along())
    with machine() as server:
        Story(tally, server, binary).program()
    with machine() as server:
        Story(tally, server, binary).containers()


def linted(folder: Path) -> str | None:
    env = {**environment(folder), "ANSIBLE_HOME": str(folder / ".ansible")}
    command = [BIN / "ansible-lint", "--offline", "--profile", "production", "--strict", "--nocolor"]
    return fault_of(ran(command, cwd=folder, env=env))


def described(folder: Path) -> str | None:
    """A role's defaults and its argument_specs name the same variables, with the same defaults."""
    faults = []
    for role in sorted((folder / "roles").iterdir()):
        specs = yaml.safe_load((role / "meta/argument_specs.yml").read_text())
        options = specs["argument_specs"]["main"]["options"]
        defaults = yaml.safe_load((role / "defaults/main.yml").read_text())
        faults += [f"{name} is not described" for name in defaults.keys() - options.keys()]
        for name, option in options.items():
            if bool(option.get("required")) == (name in defaults):
                faults.append(f"{name} must be required or have a default")
            if "default" in option and option["default"] != defaults.get(name):
                faults.append(f"{name} has another default than described")
            if not option.get("description"):
                faults.append(f"{name} is not described")
    return "; ".join(faults) or None


def brought_along() -> str | None:
    """Every file of the repository that docker-compose.yml mounts is among those the role copies."""
    tasks = yaml.safe_load((ANSIBLE / "roles/enchufe/tasks/compose.yml").read_text())
    copied = [
        item["src"]
        for task in tasks
        if task["name"] == "Bring the stack's files"
        for item in task["loop"]
    ]
    stack = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    mounted = {
        volume.split(":")[0].removeprefix("./")
        for service in stack["services"].values()
        for volume in service.get("volumes", ())
        if isinstance(volume, str) and volume.startswith("./")
    }
    made = {path for path in mounted if path.split("/")[0] == "secrets"}
    missing = [
        path
        for path in sorted(mounted - made)
        if not any(path == one or path.startswith(f"{one}/") for one in copied)
    ]
    if missing:
        return f"not copied: {', '.join(missing)}"
    return None if mounted - made else "docker-compose.yml mounts nothing: look again"


class Story:
    """What is done to a machine, one thing after the other, and what must then hold."""

    def __init__(self, tally: Tally, server: Machine, binary: Path) -> None:
        self.tally = tally
        self.server = server
        self.binary = binary
        self.playbook = Playbook(ANSIBLE, server)
        self.variables: dict[str, object] = mirror.serve(server, binary, (OLD, NEW))

    def check(self, name: str, fault: str | None = None) -> None:
        self.tally.check(f"ansible: {name}", fault)

    def program(self) -> None:
        """The program itself under systemd, with everything the distribution has."""
        self.variables |= {
            "server_docker": True,
            "docker_source": "distribution",
            "server_kubernetes_tools": True,
            "server_reverse_proxy": True,
            "reverse_proxy_certificate": "internal",
            "enchufe_version": OLD,
            "enchufe_binary": str(self.binary),
            "enchufe_public_url": "https://charging-1",
            "enchufe_memory_max": "1G",
            "enchufe_cpu_quota": "150%",
        }
        self.refusals()
        self.twice()
        self.tools()
        self.service()
        self.hardening()
        self.survives()
        self.updates()
        self.breakages()

    def containers(self) -> None:
        """The stack in containers and a runner, with what comes from the internet."""
        self.variables |= {
            "server_service": "compose",
            "docker_source": "docker",
            "server_reverse_proxy": False,
            "server_github_runner": True,
            "github_runner_repository": "your-organisation/enchufe",
            "github_runner_token": "only-for-an-hour",
            "enchufe_version": OLD,
            "enchufe_settings": {"heartbeat_interval": "7m", "drills": True},
        }
        self.twice()
        self.stack()
        self.runner()

    def refusals(self) -> None:
        """What cannot be meant is refused before anything is done."""
        cases: tuple[tuple[str, dict[str, object], str, str], ...] = (
            ("a source of Docker's that there is not", {"docker_source": "snap"}, "docker", "docker_source"),
            ("a secret among the settings", {"enchufe_settings": {"admin_token": "x"}}, "enchufe", "secrets"),
            ("a service that there is not", {"server_service": "podman"}, "enchufe", "server_service is"),
            ("a version that is none", {"enchufe_version": "latest"}, "enchufe", "enchufe_version is"),
            (
                "Compose from a Debian that has none",
                {"server_service": "compose", "docker_source": "distribution"},
                "enchufe",
                "docker_source is docker",
            ),
            (
                "a secret that containers would not get",
                {"server_service": "compose", "docker_source": "docker", "enchufe_admin_token": "x" * 20},
                "enchufe",
                "Take out ENCHUFE_ADMIN_TOKEN_FILE",
            ),
        )
        for name, wrong, tag, word in cases:
            outcome = self.playbook({**self.variables, **wrong}, "--check", f"--tags={tag}")
            refused = outcome.code != 0 and word in " ".join(outcome.said.split())
            self.check(f"{name} is refused", None if refused else outcome.said[-2000:])

    def twice(self) -> None:
        """Looked at, done, done again, looked at again."""
        before = self.files()
        outcome = self.playbook(self.variables, "--check", "--diff")
        self.check("check mode on a new machine", outcome.fault())
        there = self.files() ^ before
        self.check("check mode leaves nothing", f"it left {sorted(there)[:9]}" if there else None)
        self.check("the first run", self.playbook(self.variables).fault())
        again = self.playbook(self.variables)
        self.check("the second run changes nothing", again.fault_unless_unchanged())
        looked = self.playbook(self.variables, "--check")
        self.check("check mode then has nothing to do", looked.fault_unless_unchanged())

    def files(self) -> set[str]:
        """What there is where the playbook writes."""
        places = ("etc", "opt", "usr/local/bin", "usr/bin", "var/lib/enchufe")
        return {
            str(file.relative_to(self.server.root))
            for place in places
            for file in (self.server.root / place).rglob("*")
        }

    def tools(self) -> None:
        self.check("docker runs", self.said("Server Version:", "docker", "info"))
        self.check("docker has its settings", self.said("json-file", "docker", "info"))
        self.check("kubectl is there", self.said(mirror.KUBECTL, "kubectl", "version", "--client"))
        self.check("helm is there", self.said(mirror.HELM, "helm", "version", "--short"))

    def service(self) -> None:
        """It answers, to those who may, and keeps to itself what it must."""
        self.check("/health answers", self.said('"health":"ok"', *self.get("/health")))
        through = ["curl", "-sk", "--max-time", "10", "https://charging-1/health"]
        self.check("and through the proxy, by TLS", self.said('"health":"ok"', *through))
        plain = ["curl", "-s", "--max-time", "10", "-o", "/dev/null", "-w", "%{http_code}"]
        self.check("plain HTTP is sent on", self.said("308", *plain, "http://charging-1/health"))
        self.check("without a token it is shut", self.said("401", *plain, self.url("/api/v1/stations")))
        made = ["-d", '{"id": "CP-1", "name": "Plaza Mayor"}', "-H", "Content-Type: application/json"]
        self.check("the token made here opens it", self.said('"CP-1"', *self.api("/stations", *made)))
        metrics = "http://127.0.0.1:8000/metrics"
        self.check("metrics want theirs", self.said("401", *plain, metrics))
        token = self.secret("metrics-token")
        bearer = f"Authorization: Bearer {token}"
        for name in ("enchufe_build_info", "process_start_time_seconds", "process_open_fds"):
            self.check(f"metrics have {name}", self.said(name, "curl", "-s", "-H", bearer, metrics))
        self.check("nobody else reads the secrets", self.modes())

    def modes(self) -> str | None:
        expected = {
            "etc/enchufe/credentials": (0o700, 0),
            "etc/enchufe/credentials/admin-token": (0o600, 0),
            "etc/enchufe/credentials/metrics-token": (0o600, 0),
            "var/lib/enchufe": (0o700, None),
            "var/lib/enchufe/enchufe.db": (0o600, None),
        }
        faults = []
        for path, (mode, owner) in expected.items():
            status = (self.server.root / path).stat()
            if status.st_mode & 0o777 != mode:
                faults.append(f"{path} has mode {status.st_mode & 0o777:o}")
            if owner is None and status.st_uid == 0 or owner == 0 and status.st_uid != 0:
                faults.append(f"{path} belongs to {status.st_uid}")
        token = self.secret("admin-token")
        if len(token) < 40:
            faults.append("the token that was made is short")
        if token in self.server.inside("journalctl", "--no-pager").stdout:
            faults.append("the token is in the journal")
        return "; ".join(faults) or None

    def hardening(self) -> None:
        self.check("the unit is shut in", self.exposure())
        shown = self.server.inside("systemctl", "show", "enchufe.service").stdout
        wanted = {
            "LimitNOFILE": str(65536 + 1024),
            "NoNewPrivileges": "yes",
            "User": "enchufe",
            "MemoryMax": str(1024**3),
            "CPUQuotaPerSecUSec": "1.500000s",
            "TimeoutStopUSec": "30s",
        }
        faults = [f"{key} is not {value}" for key, value in wanted.items() if f"{key}={value}\n" not in shown]
        self.check("the unit has its bounds", "; ".join(faults) or None)

    def exposure(self) -> str | None:
        said = self.server.inside("systemd-analyze", "security", "--no-pager", "enchufe.service").stdout
        found = re.search(r"Overall exposure level for enchufe\.service: ([0-9.]+)", said)
        if found is None:
            return said[-2000:]
        return None if float(found[1]) <= MOST_EXPOSED else f"exposure is {found[1]}\n{said[-4000:]}"

    def survives(self) -> None:
        """Killed, it comes back by itself with what it knew; stopped, it is gone in time."""
        self.server.inside("systemctl", "kill", "--signal=KILL", "enchufe.service")
        self.check("killed, it comes back", self.back())
        self.check("and knows what it knew", self.said('"CP-1"', *self.api("/stations")))
        started = time.monotonic()
        self.server.inside("systemctl", "stop", "enchufe.service")
        took = time.monotonic() - started
        result = self.said("Result=success", "systemctl", "show", "--property=Result", "enchufe.service")
        self.check("a stop is orderly", result)
        self.check("and in time", None if took < STOP_SECONDS else f"it took {took:.0f} s")

    def updates(self) -> None:
        """A setting, a version: restarted for each, and nothing lost."""
        stopped = self.playbook(self.variables, "--tags=enchufe")
        self.check("what was stopped is started", stopped.fault() or self.back())
        self.variables |= {"enchufe_settings": {"heartbeat_interval": "2m"}}
        self.check("a new setting restarts the service", self.restarted_by("a setting"))
        self.variables |= {
            "enchufe_version": NEW,
            "enchufe_binary": "",
            "enchufe_archive_url": mirror.archive_url(NEW),
        }
        self.check("a new version restarts the service", self.restarted_by("a version"))
        self.check("with what it knew", self.back() or self.said('"CP-1"', *self.api("/stations")))
        links = self.said(f"/opt/enchufe/{NEW}/enchufe", "readlink", "/usr/local/bin/enchufe")
        self.check("the new version is used", links)
        old = self.server.root / f"opt/enchufe/{OLD}/enchufe"
        self.check("the old one stays to go back to", None if old.exists() else "it is gone")
        again = self.playbook(self.variables)
        self.check("then a run changes nothing", again.fault_unless_unchanged())

    def restarted_by(self, what: str) -> str | None:
        before = self.main_process()
        outcome = self.playbook(self.variables, "--tags=enchufe")
        if outcome.fault():
            return outcome.fault()
        return None if self.main_process() not in (before, "0") else f"{what} did not restart it"

    def breakages(self) -> None:
        """The checks above notice what they are for."""
        role = "ansible/roles/enchufe"
        variables = {**self.variables, "enchufe_ready_seconds": 3}

        def in_broken(path: str, old: str, new: str, notices: Callable[[Playbook], str | None]) -> None:
            with broken(path, old, new) as copy:
                fault = notices(Playbook(copy / "ansible", self.server))
            self.check(f"noticed: {old.strip()!r} broken", None if fault else "nothing is noticed")

        def changes(playbook: Playbook) -> str | None:
            playbook(variables, "--tags=enchufe")
            return playbook(variables, "--tags=enchufe").fault_unless_unchanged()

        def fails(playbook: Playbook) -> str | None:
            return playbook(variables, "--tags=enchufe").fault()

        def exposes(playbook: Playbook) -> str | None:
            return fails(playbook) or self.exposure()

        in_broken(f"{role}/tasks/secrets.yml", "    force: false\n", "", changes)
        unit = f"{role}/templates/enchufe.service.j2"
        in_broken(unit, "enchufe serve", "enchufe serv", fails)
        in_broken(unit, "CapabilityBoundingSet=\n", "CapabilityBoundingSet=~\n", exposes)
        archive = self.server.root / mirror.FOLDER / f"releases/v{OLD}/SHA256SUMS"
        archive.write_text(archive.read_text().replace(archive.read_text()[:8], "00000000"))
        variables |= {"enchufe_version": OLD, "enchufe_archive_url": mirror.archive_url(OLD)}
        got = self.playbook(variables, "--tags=enchufe")
        noticed = got.code != 0 and "checksum" in got.said
        self.check("an archive that is not what it was is refused", None if noticed else got.said[-2000:])

    def stack(self) -> None:
        """What Docker was asked, since no image can be had here."""
        asked = (self.server.root / "var/log/docker-asked").read_text()
        up = "/opt/enchufe/compose: compose up --detach --wait --remove-orphans"
        self.check("the stack is brought up where its files are", None if up in asked else asked)
        unit = self.said("active", "systemctl", "is-active", "enchufe-compose.service")
        self.check("and is up", unit)
        environment_file = self.server.root / "opt/enchufe/compose/.env"
        written = f"ENCHUFE_IMAGE=ghcr.io/enchufe/enchufe:{OLD}"
        found = written in environment_file.read_text()
        self.check("with the release's image", None if found else environment_file.read_text())
        override = self.server.root / "opt/enchufe/compose/docker-compose.override.yml"
        told = yaml.safe_load(override.read_text())["services"]["enchufe"]["environment"]
        wanted = {"ENCHUFE_HEARTBEAT_INTERVAL": "7m", "ENCHUFE_DRILLS": "true"}
        self.check("with the settings", None if told == wanted else override.read_text())
        origin = self.said("127.0.0.1:18590", "apt-cache", "policy", "docker-ce")
        self.check("Docker comes from the repository named", origin)

    def runner(self) -> None:
        known = (self.server.root / "opt/github-runner/.runner").read_text()
        wanted = "--url https://github.com/your-organisation/enchufe --name charging-1 --labels enchufe"
        self.check("the runner is made known", None if wanted in known else known)
        hidden = "only-for-an-hour" not in known
        self.check("without its token in the open", None if hidden else known)
        unit = self.said("active", "systemctl", "is-active", "github-runner.service")
        self.check("the runner waits for jobs", unit)
        self.variables |= {"github_runner_token": ""}
        later = self.playbook(self.variables, "--tags=github_runner")
        self.check("later the token is not needed", later.fault_unless_unchanged())

    def said(self, word: str, *command: str) -> str | None:
        """Nothing if the program says this, else what it says."""
        result = self.server.inside(*command)
        return None if word in result.stdout else f"{result.returncode}: {result.stdout[-2000:]}"

    def back(self) -> str | None:
        deadline = time.monotonic() + RETURN_SECONDS
        while (fault := self.said('"status":"ok"', *self.get("/healthz"))) is not None:
            if time.monotonic() > deadline:
                return fault
            time.sleep(0.5)
        return None

    def main_process(self) -> str:
        show = ("systemctl", "show", "--property=MainPID", "--value", "enchufe.service")
        return self.server.inside(*show).stdout.strip()

    def secret(self, name: str) -> str:
        return (self.server.root / "etc/enchufe/credentials" / name).read_text()

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:8081{path}"

    def get(self, path: str) -> list[str]:
        return ["curl", "-s", "--max-time", "10", self.url(path)]

    def api(self, path: str, *options: str) -> list[str]:
        bearer = f"Authorization: Bearer {self.secret('admin-token')}"
        return [*self.get(f"/api/v1{path}"), "-H", bearer, *options]
