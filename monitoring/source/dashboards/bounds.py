"""Where a panel shows what an alert watches, it shows the alert's bound."""

from __future__ import annotations

from source import words
from source.dashboards.panels import steps


def bound(settings: dict, alert: str) -> float:
    return next(it.when.threshold for it in words.every_alert(settings) if it.key == alert)


def watched(settings: dict, alert: str):
    """Red from the alert's threshold on; yellow for the last quarter before it."""
    act = bound(settings, alert)
    return steps(0.75 * act, act)
