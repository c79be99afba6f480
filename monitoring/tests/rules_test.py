"""The rules, held against the cases: every alert fires, stays silent just under each of its
thresholds, resolves, and does what it should when its series are missing. Then every threshold,
duration and severity is changed, and the cases must notice."""

from __future__ import annotations

import subprocess
import tempfile
from dataclasses import replace
from pathlib import Path

import yaml
from source import words
from source.rules import SETS, Alert, Condition, Recording, rule_file

from tests import promtool
from tests.cases import CASES
from tests.tools import HOME, Tally, program


def run(tally: Tally) -> None:
    settings = words.settings()
    with tempfile.TemporaryDirectory() as scratch:
        check_config(tally)
        every_alert_has_a_case(settings, tally)
        sets_differ_in_containers_only(tally)
        cases_hold(settings, Path(scratch), tally)
        changes_are_noticed(settings, Path(scratch), tally)


def check_config(tally: Tally) -> None:
    for which in SETS:
        done = subprocess.run(
            [program("promtool"), "check", "rules", HOME / f"prometheus/rules/{which}.yml"],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        tally.check(f"promtool check rules {which}.yml", done.stderr if done.returncode else None)


def every_alert_has_a_case(settings: dict, tally: Tally) -> None:
    alerts = {alert.key for alert in words.every_alert(settings)}
    cases = {case.key for case in CASES}
    tally.check(
        f"each of {len(alerts)} alerts has a case",
        f"without: {alerts - cases}; of no alert: {cases - alerts}" if alerts != cases else None,
    )


def by_key(settings: dict) -> dict[str, Alert]:
    return {alert.key: alert for alert in words.every_alert(settings)}


def jobs(settings: dict, rules: dict[str, dict], scratch: Path) -> dict[tuple[str, str], tuple]:
    """Every case's tests, by set and name. Most alerts read the same in both sets, and are put to
    the test in one."""
    alerts = by_key(settings)
    return {
        (which, case.key): (
            list(promtool.tests(case, alerts[case.key], settings, which)),
            alerts[case.key],
            rules[which],
            scratch,
            f"{which}-{case.key}",
        )
        for which in SETS
        for case in CASES
        if which == SETS[0] or case.kubernetes_labels
    }


def sets_differ_in_containers_only(tally: Tally) -> None:
    """What lets the other alerts be tried in one set."""
    measured = {}
    others = {}
    for which in SETS:
        groups = {group["name"]: group["rules"] for group in committed(which)["groups"]}
        measured[which] = {rule["record"] for rule in groups.pop("enchufe-containers-recorded")}
        others[which] = groups
    service, kubernetes = SETS
    fault = None
    if others[service] != others[kubernetes] or measured[service] != measured[kubernetes]:
        fault = "other rules differ, or other names are recorded"
    looking = {
        alert.key
        for alert in words.every_alert(words.settings())
        if any(name in condition.measure for condition in alert.conditions for name in measured[service])
    }
    if once := looking - {case.key for case in CASES if case.kubernetes_labels}:
        fault = f"tried in one set only: {once}"
    tally.check("the two sets differ in how containers are measured, and in nothing else", fault)


def committed(which: str) -> dict:
    return yaml.safe_load((HOME / f"prometheus/rules/{which}.yml").read_text())


def cases_hold(settings: dict, scratch: Path, tally: Tally) -> None:
    todo = jobs(settings, {which: committed(which) for which in SETS}, scratch)
    for (which, _), job, failed in zip(
        todo, todo.values(), promtool.run_all(list(todo.values())), strict=True
    ):
        for test in job[0]:
            tally.check(f"{which}: {test['name']}", failed.get(test["name"]))


# ---- Changed rules


def moved(condition: Condition | None, steps: int) -> Condition | None:
    return condition and replace(condition, threshold=condition.threshold + steps * condition.step)


def harder(condition: Condition | None) -> Condition | None:
    return condition and moved(condition, -1 if condition.comparison == "<" else 1)


def easier(condition: Condition | None) -> Condition | None:
    # `==` has no easier: any other value is never met, as with a harder one.
    return condition and moved(condition, 1 if condition.comparison == "<" else -1)


def turned(alert: Alert) -> Alert:
    other = {">": "<", ">=": "<", "<": ">", "==": "!="}[alert.when.comparison]
    return replace(alert, when=replace(alert.when, comparison=other))


def lasting(alert: Alert, times: float) -> Alert:
    unit = {"s": 1, "m": 60, "h": 3600}[alert.hold[-1]]
    return replace(alert, hold=f"{int(alert.hold[:-1]) * unit * times:.0f}s")


def other_severity(alert: Alert) -> Alert:
    return replace(alert, severity="high" if alert.severity == "critical" else "critical")


# Each change, and the story that must end otherwise for it.
CHANGES = {
    "a harder threshold": (lambda it: replace(it, when=harder(it.when)), promtool.FIRES),
    "an easier threshold": (lambda it: replace(it, when=easier(it.when)), promtool.UNDER),
    "the comparison turned": (turned, promtool.FIRES),
    "a harder second threshold": (lambda it: replace(it, also=harder(it.also)), promtool.FIRES),
    "an easier second threshold": (lambda it: replace(it, also=easier(it.also)), promtool.ALSO),
    "no second condition": (lambda it: replace(it, also=None), promtool.ALSO),
    "a higher floor": (lambda it: replace(it, unless_quiet=harder(it.unless_quiet)), promtool.FIRES),
    "a lower floor": (lambda it: replace(it, unless_quiet=easier(it.unless_quiet)), promtool.QUIET),
    "no floor": (lambda it: replace(it, unless_quiet=None), promtool.QUIET),
    "sent later": (lambda it: lasting(it, 2), promtool.FIRES),
    "sent sooner": (lambda it: lasting(it, 0.5), promtool.FIRES),
    "another severity": (other_severity, promtool.FIRES),
}


def changes_are_noticed(settings: dict, scratch: Path, tally: Tally) -> None:
    """All alerts are changed at once, which costs one run a change and not one an alert: a case
    looks at its own alert only."""
    alerts = by_key(settings)
    for name, (change, story) in CHANGES.items():
        touched = {key for key, alert in alerts.items() if change(alert) != alert}
        if name == "an easier threshold":
            touched -= {key for key, alert in alerts.items() if alert.when.comparison == "=="}
        rules = {which: yaml.safe_load(changed_rules(settings, change, which)) for which in SETS}
        todo = {}
        for key, (cases, *rest) in jobs(settings, rules, scratch).items():
            if key[1] in touched:
                todo[key] = ([test for test in cases if test["name"].endswith(story)], *rest)
        noticed = promtool.run_all(list(todo.values()))
        missed = [key for key, failed in zip(todo, noticed, strict=True) if not failed]
        tally.check(f"{len(todo)} rules with {name} are noticed", f"not so: {missed}" if missed else None)


def changed_rules(settings: dict, change, which: str) -> str:
    groups = [
        replace(group, rules=[it if isinstance(it, Recording) else change(it) for it in group.rules])
        for group in words.groups(settings)
    ]
    return rule_file(groups, settings, words.words(settings), which)
