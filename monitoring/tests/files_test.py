"""What can be seen without starting anything: generated files are up to date, configurations are
accepted, every panel says what it shows, every alert has its runbook, and no secret lies about."""

from __future__ import annotations

import json
import re
import subprocess

import generate
import yaml
from source import words

from tests.tools import HOME, Tally, program

RUNBOOKS = HOME.parent / "docs/runbooks.md"
# What Grafana itself fills in.
BUILT_IN = {"__rate_interval", "__range", "__interval"}


def run(tally: Tally) -> None:
    stale = generate.stale()
    tally.check("generated files are up to date", f"`make rules`: {stale}" if stale else None)
    configurations(tally)
    runbooks(tally)
    for file in sorted((HOME / "grafana/dashboards").glob("*.json")):
        dashboard(json.loads(file.read_text()), file.stem, tally)
    secrets(tally)


def configurations(tally: Tally) -> None:
    prometheus = HOME / "prometheus"
    for name, command in {
        "prometheus.yml": [program("promtool"), "check", "config", "--syntax-only", prometheus / "prometheus.yml"],
        "blackbox.yml": [program("prometheus-blackbox-exporter"), f"--config.file={prometheus / 'blackbox.yml'}", "--config.check"],
    }.items():  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        tally.check(f"{name} is accepted", done.stdout + done.stderr if done.returncode else None)
    for file in sorted((HOME / "grafana/provisioning").rglob("*.yml")):
        read = yaml.safe_load(file.read_text())
        tally.check(
            f"{file.name} is a provisioning file", None if read.get("apiVersion") == 1 else "it is not"
        )


def runbooks(tally: Tally) -> None:
    """A section an alert, and what must be in it."""
    sections = dict(
        re.findall(r"^## (\S+)\n(.*?)(?=^## |\Z)", RUNBOOKS.read_text(), re.MULTILINE | re.DOTALL)
    )
    alerts = {alert.name: alert for alert in words.every_alert(words.settings())}
    tally.check(
        f"each of {len(alerts)} names has a runbook",
        f"without: {alerts.keys() - sections.keys()}; of no alert: {sections.keys() - alerts.keys()}"
        if alerts.keys() != sections.keys()
        else None,
    )
    for name, text in sections.items():
        lacks = [
            it for it in ("**Look", "**Do" if "**Look and do**" not in text else "**Look") if it not in text
        ]
        if alert := alerts.get(name):
            title = alert.dashboard.capitalize()
            # Reached through the runbook it refers to, or named.
            if title not in text and not re.search(r"\(#enchufe", text) and name != "EnchufeAbsent":
                lacks.append(f"the dashboard {title}")
        if lacks:
            tally.check(f"runbook {name}", f"lacks {lacks}")
    anchors = {name.lower() for name in sections}
    broken = [it for it in re.findall(r"\(#([^)]+)\)", RUNBOOKS.read_text()) if it not in anchors]
    tally.check("links between runbooks lead somewhere", f"{broken}" if broken else None)


def dashboard(board: dict, name: str, tally: Tally) -> None:
    variables = {it["name"] for it in board["templating"]["list"]}
    wanted = {"datasource", "app", "environment", "namespace", "pod"}
    tally.check(f"dashboard {name} has its variables", None if variables == wanted else f"{variables}")
    shown = [panel for panel in board["panels"] if panel["type"] != "row"]
    for panel in shown:
        faults = list(panel_faults(panel, variables))
        if faults:
            tally.check(f"dashboard {name}, {panel['title']}", "; ".join(faults))
    overlaps = [
        (one["title"], other["title"])
        for number, one in enumerate(shown)
        for other in shown[number + 1 :]
        if overlap(one["gridPos"], other["gridPos"])
    ]
    tally.check(f"{len(shown)} panels of {name} are whole", f"overlapping: {overlaps}" if overlaps else None)


def overlap(one: dict, other: dict) -> bool:
    return all(
        one[at] < other[at] + other[size] and other[at] < one[at] + one[size]
        for at, size in (("x", "w"), ("y", "h"))
    )


def panel_faults(panel: dict, variables: set[str]):
    defaults = panel["fieldConfig"]["defaults"]
    if not panel.get("title") or not panel.get("description", "").endswith("."):
        yield "no title, or no sentence that says what it shows"
    if not defaults.get("unit"):
        yield "no unit"
    if not defaults.get("thresholds", {}).get("steps"):
        yield "no thresholds"
    if not panel.get("targets"):
        yield "no query"
    for target in panel.get("targets", []):
        expression = target["expr"]
        if target["datasource"]["uid"] != "${datasource}":
            yield "a fixed data source"
        if unknown := set(re.findall(r"\$\{?(\w+)", expression)) - variables - BUILT_IN:
            yield f"undefined: {unknown}"
        if re.search(r'(namespace|pod|environment|job)="', expression):
            yield "a place is written into the query"
        if not re.search(r"\$(namespace|app)", expression) and not expression.startswith("ALERTS"):
            yield "it follows no variable"
        for before, counter in re.findall(r"(\w*\(?)\b(\w+_total)\{", expression):
            # The number of starts is what it says, and not a rate.
            if before not in ("rate(", "increase(") and counter != "app_starts_total":
                yield f"{counter} is shown raw"
        if "last hour" in panel["title"].lower() and "1h" not in expression:
            yield "it does not show the last hour"


def secrets(tally: Tally) -> None:
    found = [
        str(file.relative_to(HOME))
        for file in HOME.rglob("*")
        if file.is_file() and file.suffix in (".yml", ".tmpl", ".toml", ".json")
        and re.search(r"hooks\.slack\.com/services/T|api_url: |credentials: ", file.read_text())
    ]  # fmt: skip
    tally.check("no webhook or credential is written down", f"{found}" if found else None)
