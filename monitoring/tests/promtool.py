"""The cases as promtool's tests."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import quote_plus

import yaml
from source.rules import Alert, Condition

from tests.cases import Case, Counter, Gauge, State
from tests.tools import program

World = list[tuple[State, float]]

# The stories each alert is put through.
FIRES = "fires, then resolves"
UNDER = "just under its threshold"
MISSING = "without its series"
QUIET = "with too little traffic"
ALSO = "its second condition just unmet"


def sides(case: Case, condition: Condition) -> tuple[float, float]:
    """A value just inside the condition, and one just outside."""
    if case.over is not None and case.under is not None:
        return case.over, case.under
    threshold, step = condition.threshold, condition.step
    if condition.comparison == "==":
        return threshold, 1 - threshold
    away = step / 2 if condition.comparison in (">", ">=") else -step / 2
    return threshold + away, threshold - away


def worlds(case: Case, alert: Alert, which: str) -> dict[str, tuple[World, list[tuple[float, bool]]]]:
    """Each story: what happens, and when the alert must be firing or not."""
    main, main_out = sides(case, alert.when)
    also, also_out = (condition_sides(alert.also)) if alert.also else (None, None)
    quiet, quiet_out = (condition_sides(alert.unless_quiet)) if alert.unless_quiet else (None, None)
    before = [(case.good(which), case.before)] if case.before else []
    bad = lambda *values: case.state(which, *values)  # noqa: E731
    # Longer than it takes to fire, so that silence is not mere patience.
    long = case.fires_after + max(case.after, 10 * case.step)
    fires, end = case.before + case.fires_after, case.before + case.fires_after + case.after
    silent = [(fires, False), (case.before + long, False)]
    stories = {
        FIRES: (
            [*before, (bad(main, also, quiet), case.fires_after + case.step), (case.good(which), case.after)],
            [(fires - case.step, False), (fires, True), (end, case.always)],
        ),
        UNDER: ([*before, (bad(main_out, also, quiet), long)], silent),
        MISSING: (
            [({}, long)],
            [(long, case.fires_when_missing)],
        ),
    }
    if case.always:
        del stories[UNDER]
    if alert.unless_quiet:
        stories[QUIET] = ([*before, (bad(main, also, quiet_out), long)], silent)
    if case.main_alone:
        world = case.main_alone(which, main_out)
        stories[UNDER] = (world, [(sum(t for _, t in world), False)])
    if case.also_alone:
        world = case.also_alone(which, also_out)
        stories[ALSO] = (world, [(sum(t for _, t in world), False)])
    return stories


def condition_sides(condition: Condition) -> tuple[float, float]:
    return sides(Case("", None, 0, {}, "", None), condition)  # type: ignore[arg-type]


def values(world: World, step: int) -> dict[str, str]:
    """promtool's notation of what each series does through the world."""
    lines: dict[str, list[str]] = {}
    totals: dict[str, float] = {}
    passed = 0
    for state, seconds in world:
        samples = round(seconds / step)
        for name in lines.keys() - state.keys():
            lines[name].append(f"_x{samples}")
        for name, it in state.items():
            line = lines.setdefault(name, [f"_x{passed}"] if passed else [])
            if isinstance(it, Gauge):
                line.append(f"{it.value!r}+0x{samples - 1}")
            else:
                assert isinstance(it, Counter)
                start, grows = totals.get(name, 0.0), it.per_second * step
                line.append(f"{start!r}+{grows!r}x{samples - 1}")
                totals[name] = start + grows * samples
        passed += samples
    return {name: " ".join(line) for name, line in lines.items()}


def tests(case: Case, alert: Alert, settings: dict, which: str) -> Iterator[dict]:
    labels = case.labels
    if which == "kubernetes" and case.kubernetes_labels:
        labels = case.kubernetes_labels
    expected = {
        "exp_labels": {**labels, "severity": alert.severity, "app": settings["app"], **alert.labels},
        "exp_annotations": {
            "summary": alert.summary,
            "description": case.says,
            "runbook_url": f"{settings['links']['runbooks']}#{alert.name.lower()}",
            "dashboard_url": f"{settings['links']['grafana']}/d/enchufe-{alert.dashboard}?var-app=enchufe"
            + "".join(
                f"&var-{name}={quote_plus(labels[name])}"
                for name in ("namespace", "environment", "pod")
                if name in labels
            ),
        },
    }
    for story, (world, moments) in worlds(case, alert, which).items():
        yield {
            "name": f"{case.key} {story}",
            "interval": f"{case.step}s",
            "input_series": [
                {"series": name, "values": line} for name, line in values(world, case.step).items()
            ],
            "alert_rule_test": [
                {
                    "eval_time": f"{moment:.0f}s",
                    "alertname": alert.name,
                    "exp_alerts": [expected] if firing else [],
                }
                for moment, firing in moments
            ],
        }


def needed(rules: dict, alert: Alert) -> dict:
    """Of a rule file, the alert itself and the recordings it looks at. promtool evaluates all there
    is at every step, and days of every rule take minutes."""
    recordings = {
        rule["record"]: rule for group in rules["groups"] for rule in group["rules"] if "record" in rule
    }
    found = [
        rule
        for group in rules["groups"]
        for rule in group["rules"]
        if rule.get("alert") == alert.name and alert.labels.items() <= rule["labels"].items()
    ]
    names = re.findall(r"enchufe:[a-z0-9_:]+", " ".join(rule["expr"] for rule in found))
    return {"groups": [{"name": "needed", "rules": [*(recordings[it] for it in sorted(set(names))), *found]}]}


def run(case_tests: list[dict], alert: Alert, rules: dict, scratch: Path, name: str) -> dict[str, str]:
    """What promtool says against each test that failed."""
    step = case_tests[0]["interval"]
    name = re.sub("[^A-Za-z0-9-]", "-", name)
    (scratch / f"{name}-rules.yml").write_text(yaml.safe_dump(needed(rules, alert), width=10_000))
    file = scratch / f"{name}.yml"
    file.write_text(
        yaml.safe_dump(
            {"rule_files": [f"{name}-rules.yml"], "evaluation_interval": step, "tests": case_tests},
            sort_keys=False,
            width=10_000,
        )
    )
    done = subprocess.run(
        [program("promtool"), "test", "rules", str(file)], capture_output=True, text=True, check=False
    )
    output = done.stdout + done.stderr
    failed: dict[str, str] = {}
    current = ""
    for line in output.splitlines():
        if found := re.match(r"\s*name: (.*?),?$", line):
            current = found[1]
            failed[current] = ""
        elif current:
            failed[current] += line + "\n"
    if done.returncode != 0 and not failed:
        raise RuntimeError(f"promtool: {output}")
    return failed


def run_all(jobs: list[tuple]) -> list[dict[str, str]]:
    with ThreadPoolExecutor(max_workers=2) as threads:
        return list(threads.map(lambda job: run(*job), jobs))
