"""The whole way, there and back: something happens to the real service; the real Prometheus notices;
the real Alertmanager says so where Slack would be; the cause ends, and that is said too."""

from __future__ import annotations

import re
import signal
import tempfile
from pathlib import Path

from source import words

from tests.cgroup import limited
from tests.golden import compare
from tests.postgres import Postgres
from tests.services import (
    Ask,
    Enchufe,
    Mail,
    Process,
    Slack,
    alertmanager,
    blackbox,
    prometheus,
    until,
)
from tests.tools import HOME, Tally, server_binary

# The limits of the container the service runs in.
CORES, MEMORY = 0.5, 512 * 2**20
CHARGERS = 20
# Of what an alert watches: a scrape, `for`, Alertmanager's wait for others of the group. Some seconds;
# on a machine that builds something else at the time, more.
PATIENCE = 90
# A drill is bounded, and this is longer.
DRILL = 300


def run(tally: Tally) -> None:
    binary = server_binary()
    settings = words.settings(HOME / "tests/quick.toml")
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        slack, mail = Slack(), Mail()
        (scratch / "rules.yml").write_text(words.rule_files(settings)["service.yml"])
        with (
            limited("enchufe-loop", CORES, MEMORY) as wrapper,
            Postgres() as postgres,
            Enchufe(
                binary, scratch, "--drills", "--allow-unauthenticated-chargers", wrapper=wrapper,
                ENCHUFE_DATABASE_URL=postgres.url,
            ) as enchufe,
            blackbox(scratch) as box,
            alertmanager(scratch, slack, mail) as manager,
            prometheus(
                scratch, scratch / "rules.yml",
                {
                    "enchufe:8000": f"127.0.0.1:{enchufe.metrics_port}",
                    "http://enchufe:8081": enchufe.url,
                    "blackbox-exporter:9115": f"127.0.0.1:{box.port}",
                    "alertmanager:9093": f"127.0.0.1:{manager.port}",
                },
                enchufe.metrics_token,
            ) as prom,
        ):  # fmt: skip
            print(
                f"# the service runs {'in a cgroup of its own' if wrapper else 'without a cgroup: none can be made here'}"
            )
            loop = Loop(enchufe, Ask(prom.port), slack, tally)
            offline_surge(loop, binary, scratch)
            database_away(loop, postgres)
            killed(loop)
            drill(loop, wrapper is not None)


class Loop:
    def __init__(self, enchufe: Enchufe, ask: Ask, slack: Slack, tally: Tally) -> None:
        self.enchufe, self.ask, self.slack, self.tally = enchufe, ask, slack, tally

    def __call__(self, name: str, alert: str, begin, end, patience: float = PATIENCE) -> None:
        """`begin` makes trouble, `end` ends it; both must be told."""
        file = name.replace(" ", "-")
        for state, do in (("FIRING", begin), ("RESOLVED", end)):
            since = len(self.slack.payloads)
            do()
            try:
                payload = self.slack.about(alert, state, patience, since)
            except TimeoutError as error:
                titles = [it["attachments"][0]["title"] for it in self.slack.payloads[since:]]
                self.tally.check(f"{name}: {state}", f"{error}; meanwhile came {titles}")
                if state == "FIRING":
                    end()
                return
            compare(f"loop-{file}-{state.lower()}.json", self.told(payload), self.tally)

    def told(self, payload: dict) -> dict:
        """With a word for what differs from run to run: ports, and how much exactly."""
        attachment = payload["attachments"][0]
        text = attachment["text"].replace(f"127.0.0.1:{self.enchufe.port}", "<service>")
        text = text.replace(f"127.0.0.1%3A{self.enchufe.port}", "<service>")
        text = re.sub(r"has used [0-9.]+% of", "has used <share> of", text)
        # Chargers come and go faster than is scraped; below the bound nothing may be told.
        surge = re.search(r"([0-9.]+)% of the stations .* the bound is ([0-9.]+)%", text)
        if surge and float(surge[1]) >= float(surge[2]):
            text = text.replace(f"{surge[1]}% of the stations", "<share> of the stations", 1)
        return {**payload, "attachments": [{**attachment, "text": text}]}


def offline_surge(loop: Loop, binary: str, scratch: Path) -> None:
    (scratch / "api-token").write_text(Enchufe.TOKEN)
    chargers = Process(
        "chargers",
        [
            binary, "simulate", "--chargers", str(CHARGERS), "--profile", "idle", "--create-stations",
            "--url", loop.enchufe.url.replace("http", "ws") + "/ocpp",
            "--api-token-file", str(scratch / "api-token"), "--duration", "30m",
        ],
        scratch, loop.enchufe.ready,
    )  # fmt: skip

    def online() -> bool:
        # In the eyes of Prometheus, which else would see them offline from the first.
        return bool(loop.ask.now(f"enchufe_stations_online == {CHARGERS}"))

    try:
        until("the chargers are online", online)
        loop(
            "offline surge",
            "EnchufeStationsOfflineSurge",
            lambda: chargers.stop(signal.SIGKILL),
            chargers.start,
        )
    finally:
        chargers.stop(signal.SIGKILL)


def database_away(loop: Loop, postgres: Postgres) -> None:
    loop("healthz failing", "EnchufeHealthzFailing", postgres.stop, postgres.start)


def killed(loop: Loop) -> None:
    loop(
        "killed",
        "EnchufeDown",
        lambda: loop.enchufe.stop(signal.SIGKILL),
        loop.enchufe.start,
    )
    until("the service is back", loop.enchufe.answers)


def drill(loop: Loop, contained: bool) -> None:
    """One call, and nothing else: the drill ends by itself."""
    if loop.enchufe.request("GET", "/api/v1/drills")[0] == 404:
        print("# no drill: this build has none")
        return
    if not contained:
        print("# no drill: there is no cgroup here whose limit could be reached")
        return

    def call() -> None:
        status, said = loop.enchufe.request("GET", "/riseload")
        loop.tally.check("GET /riseload", None if status == 200 else f"{status} {said}")

    loop("drill", "EnchufeCpuAtLimit", call, lambda: None, DRILL)
