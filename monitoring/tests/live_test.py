"""Every expression of every rule and panel, run against a real Prometheus that has scraped the live
service under traffic. None may fail, and none may find nothing but those in `empty.toml`. And every
metric the service exports must be of use to somebody.

`PICTURES=240` goes on for so many seconds and then draws docs/pictures/ anew."""

from __future__ import annotations

import contextlib
import json
import os
import re
import ssl
import subprocess
import tempfile
import threading
import time
import tomllib
import urllib.request
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

from source import words
from source.rules import SETS, Alert, Recording, filled

from tests import pictures
from tests.cgroup import limited
from tests.kubernetes_standin import Kubernetes
from tests.services import Ask, Enchufe, Mail, Slack, alertmanager, blackbox, prometheus, until
from tests.tools import HOME, Tally, program, server_binary
from tests.traffic import COMMAND_TIMEOUT, Model, Traffic

# Long enough for rates, for a command to time out, and for alerts to fire.
SCRAPED = 60
# What Grafana would put in for a dashboard of this time.
GRAFANA = {"$__rate_interval": "20s", "$__range": "1m", "$__interval": "5s"}


def run(tally: Tally) -> None:
    binary = server_binary()
    settings = words.settings(HOME / "tests/quick.toml")
    allowed = tomllib.loads((HOME / "tests/empty.toml").read_text())
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        certificate = tls(scratch)
        kubernetes, model, slack, mail = Kubernetes(), Model(), Slack(), Mail()
        (scratch / "rules.yml").write_text(words.rule_files(settings)["service.yml"])
        with (
            limited("enchufe-live", 0.5, 512 * 2**20) as wrapper,
            Enchufe(
                binary, scratch, "--demo", "--drills", wrapper=wrapper,
                ENCHUFE_COMMAND_TIMEOUT=COMMAND_TIMEOUT,
                **(model_settings(model) if knows_models(binary) else {}),
            ) as enchufe,
            blackbox(scratch, certificate) as box,
            alertmanager(scratch, slack, mail) as manager,
            prometheus(
                scratch, scratch / "rules.yml",
                {
                    "enchufe:8000": f"127.0.0.1:{enchufe.metrics_port}",
                    "http://enchufe:8081": enchufe.url,
                    "blackbox-exporter:9115": f"127.0.0.1:{box.port}",
                    "alertmanager:9093": f"127.0.0.1:{manager.port}",
                },
                enchufe.metrics_token, tls=[served_over_tls(scratch)], more=[kubernetes.job],
            ) as prom,
            Traffic(enchufe),
        ):  # fmt: skip
            seconds = int(os.environ.get("PICTURES", SCRAPED))
            time.sleep(seconds)
            ask = Ask(prom.port)
            exported = names(enchufe.metrics())
            targets_answer(ask, tally)
            expressions(ask, exported, allowed, wrapper is not None, tally)
            metrics_are_used(exported, allowed, tally)
            if "PICTURES" in os.environ:
                fill_in = lambda expression: with_variables(expression, EVERYTHING)  # noqa: E731
                pictures.draw(ask, fill_in, HOME.parent / "docs/pictures", seconds - 10)


def knows_models(binary: str) -> bool:
    done = subprocess.run([binary, "serve", "--help"], capture_output=True, text=True, check=False)
    return "ENCHUFE_LLM" in done.stdout or "--llm-" in done.stdout


def model_settings(model: Model) -> dict[str, str]:
    return {
        "ENCHUFE_LLM_BASE_URL": model.url,
        "ENCHUFE_LLM_API_KEY": "key_0123456789abcdef",
        "ENCHUFE_LLM_MODEL": "trial",
        "ENCHUFE_LLM_API": "chat",
    }


# ---- A certificate to watch


def tls(scratch: Path) -> Path:
    subprocess.run(
        [
            program("openssl"), "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
            "-nodes", "-days", "30", "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1",
            "-keyout", scratch / "key.pem", "-out", scratch / "certificate.pem",
        ],
        check=True, capture_output=True,
    )  # fmt: skip
    return scratch / "certificate.pem"


def served_over_tls(scratch: Path) -> str:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(scratch / "certificate.pem", scratch / "key.pem")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"https://127.0.0.1:{server.server_port}/health"


# ---- What is asked


def targets_answer(ask: Ask, tally: Tally) -> None:
    down: list[str] = ["none was asked"]

    def all_up() -> bool:
        with urllib.request.urlopen(f"{ask.url}/api/v1/targets", timeout=10) as answer:
            targets = json.load(answer)["data"]["activeTargets"]
        down[:] = [f"{it['labels']['job']}: {it['lastError']}" for it in targets if it["health"] != "up"]
        return not down and bool(targets)

    # A scrape has a second here, which a busy machine may miss now and then.
    with contextlib.suppress(TimeoutError):
        until("every target up", all_up, 30)
    tally.check("every target answers", f"{down}" if down else None)
    with urllib.request.urlopen(f"{ask.url}/api/v1/rules", timeout=10) as answer:
        rules = [it for group in json.load(answer)["data"]["groups"] for it in group["rules"]]
    sick = [f"{it['name']}: {it.get('lastError')}" for it in rules if it["health"] == "err"]
    tally.check(f"all {len(rules)} rules are evaluated", f"{sick}" if sick else None)


def panels():
    """Each dashboard's queries: where they stand, and what they ask."""
    for file in sorted((HOME / "grafana/dashboards").glob("*.json")):
        for panel in json.loads(file.read_text())["panels"]:
            for target in panel.get("targets", []):
                yield f"{file.stem}: {panel['title']} {target['refId']}", target["expr"]


def with_variables(expression: str, values: dict[str, str]) -> str:
    for name, value in {**GRAFANA, **values}.items():
        expression = expression.replace(name, value)
    assert "$" not in expression, f"a variable is left: {expression}"
    return expression


# Above the dashboards: everything, and one installation.
EVERYTHING = {"$app": "(enchufe)", "$namespace": ".*", "$environment": ".*", "$pod": ".*"}
CHOSEN = {"$app": "enchufe", "$namespace": "compose", "$environment": "production", "$pod": "127.0.0.1"}


def every_expression(settings: dict):
    for which in SETS:
        for group in words.groups(settings):
            for rule in group.rules:
                if isinstance(rule, Recording) and rule.only in (None, which):
                    yield f"{which}: {rule.name}", filled(rule.expression, words.words(settings))
                elif isinstance(rule, Alert) and which == SETS[0]:
                    # Its measures, that is: the comparison rightly leaves nothing while all is well.
                    for number, condition in enumerate(rule.conditions):
                        known = rule.words(words.words(settings))
                        yield f"{rule.key}, condition {number + 1}", filled(condition.measure, known)
    for where, expression in panels():
        yield f"{where}, everything", with_variables(expression, EVERYTHING)
        yield f"{where}, one installation", with_variables(expression, CHOSEN)


def expressions(ask: Ask, exported: set[str], allowed: dict, contained: bool, tally: Tally) -> None:
    # What was recorded from something that is missing is missing too.
    missing = {name for name in allowed["not_exported"] if name not in exported}
    if not contained:
        print("# no cgroup can be made here: what is about a container's limits may find nothing")
        missing |= set(allowed["without_a_cgroup"])
    settings = words.settings()
    for group in words.groups(settings):
        for rule in group.rules:
            if (
                isinstance(rule, Recording)
                and rule.only != "kubernetes"
                and mentions(rule.expression, missing)
            ):
                missing.add(rule.name)
    found = excused = 0
    for where, expression in every_expression(settings):
        try:
            result = ask.now(expression)
        except ValueError as error:
            tally.check(where, f"{error} in {expression}")
            continue
        # NaN is nothing too: a share of no traffic.
        if any(it["value"][1] != "NaN" for it in result):
            found += 1
        elif mentions(expression, missing) or any(it in expression for it in allowed["rightly_empty"]):
            excused += 1
        else:
            tally.check(where, f"finds nothing: {expression}")
    tally.check(f"{found} expressions find something, {excused} are excused", None if found else "none does")
    stale = sorted(set(allowed["not_exported"]) & exported)
    tally.check(
        "what empty.toml says is not exported is not",
        f"exported by now, take it off the list: {stale}" if stale else None,
    )


def mentions(expression: str, names: set[str]) -> bool:
    return any(re.search(rf"(?<![a-zA-Z0-9_:]){re.escape(name)}", expression) for name in names)


def names(text: str) -> set[str]:
    """Each metric of a scrape, a histogram as one."""
    return set(re.findall(r"^# TYPE (\S+) ", text, re.MULTILINE)) | {
        # The library names a counter without its ending there.
        name for name in re.findall(r"^([a-z_]+_total)[{ ]", text, re.MULTILINE)
    }  # fmt: skip


def metrics_are_used(exported: set[str], allowed: dict, tally: Tally) -> None:
    asked = " ".join(expression for _, expression in every_expression(words.settings()))
    exported = {name for name in exported if f"{name}_total" not in exported}
    used = {
        name
        for name in exported
        if re.search(rf"(?<![a-zA-Z0-9_:]){name}(_bucket|_sum|_count)?(?![a-zA-Z0-9_:])", asked)
    }
    listed = set(allowed["not_shown"])
    fault = None
    if unused := exported - used - listed:
        fault = f"of no use to any rule or panel: {sorted(unused)}"
    elif stale := listed & (used | (listed - exported)):
        fault = f"listed without need: {sorted(stale)}"
    tally.check(f"each of {len(exported)} metrics of the service is used or listed", fault)
