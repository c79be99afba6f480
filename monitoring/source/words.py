"""The words that measures leave open, and the rule files they make."""

from __future__ import annotations

import tomllib
from pathlib import Path

from source import alerts, recordings
from source.rules import Alert, Group, rule_file

HOME = Path(__file__).resolve().parent.parent


def settings(*files: Path) -> dict:
    """The committed settings, and on top of them those of further files."""
    merged: dict = {}
    for path in (HOME / "settings.toml", *files):
        for key, value in tomllib.loads(path.read_text()).items():
            if isinstance(value, dict):
                merged[key] = {**merged.get(key, {}), **value}
            else:
                merged[key] = value
    return merged


def words(settings: dict) -> dict[str, str]:
    jobs, container = settings["jobs"], settings["container"]
    service = f'job="{jobs["service"]}"'
    # Probes come on the second, whatever people do: they would thin every ratio out.
    requests = f'{service}, endpoint!~"/health|/healthz"'
    return {
        # One installation; and one instance of it, a pod on Kubernetes and a host elsewhere.
        "by": "namespace, environment",
        "each": "namespace, environment, pod",
        "service": service,
        "healthz": f'job="{jobs["healthz"]}"',
        "tls": f'job="{jobs["tls"]}"',
        "requests": requests,
        # These wait for a charger or a model because they were asked to.
        "quick": f'{service}, endpoint!~"/health|/healthz|.*/commands|.*/analyze"',
        "container": container["kubernetes"],
        "container_by": "namespace, pod, container",
        "cpu_request": f"{container['cpu_request_cores']:g}",
        "memory_request": f"{container['memory_request_bytes']:.0f}",
        "window": "5m",
        "budget_step": "5m",
        **settings.get("words", {}),
    }


def alert_groups(settings: dict) -> dict[str, list[Alert]]:
    groups = {
        "enchufe-reachable": alerts.REACHABLE,
        "enchufe-answers": alerts.ANSWERS,
        "enchufe-objectives": alerts.objectives(settings),
        "enchufe-container": alerts.CONTAINER,
        "enchufe-network": alerts.NETWORK,
        "enchufe-dependencies": alerts.DEPENDENCIES,
        "enchufe-model": alerts.MODEL,
        "enchufe-watchdog": alerts.ALWAYS,
    }
    bounds = dict(settings.get("alerts", {}))
    # For trials: the same for every alert, unless it has its own.
    every = settings.get("every", {})
    known = {alert.name for group in groups.values() for alert in group}
    if unknown := bounds.keys() - known:
        raise ValueError(f"no such alert: {', '.join(sorted(unknown))}")
    return {
        name: [alert.with_bounds({**every, **bounds.get(alert.name, {})}) for alert in group]
        for name, group in groups.items()
    }


def every_alert(settings: dict) -> list[Alert]:
    return [alert for group in alert_groups(settings).values() for alert in group]


def groups(settings: dict) -> list[Group]:
    known = words(settings)
    recorded = [
        Group("enchufe-containers-recorded", recordings.CONTAINERS),
        Group("enchufe-objectives-recorded", recordings.ratios(settings)),
        Group("enchufe-budgets-recorded", recordings.budgets(settings), interval=known["budget_step"]),
    ]
    alerting = [Group(name, list(group)) for name, group in alert_groups(settings).items()]
    return recorded + alerting


def rule_files(settings: dict) -> dict[str, str]:
    """The text of each rule file, by its name under prometheus/rules."""
    return {
        f"{which}.yml": rule_file(groups(settings), settings, words(settings), which)
        for which in ("service", "kubernetes")
    }
