"""Alert and recording rules as values, and the text Prometheus reads.

An alert is a measure, a comparison and a threshold, not one string: so tests can look at the
measure alone, try values on both sides of each threshold, and change each threshold to see
whether anybody notices.
"""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass, field, replace

import yaml

SEVERITIES = ("critical", "high")
SETS = ("service", "kubernetes")

_PLACE = re.compile(r"<([a-z_]+)>")


@dataclass(frozen=True)
class Condition:
    """`measure` compared with `threshold`."""

    measure: str
    comparison: str
    threshold: float
    # How the threshold is said in words: "ratio", "seconds", "bytes", "days" or a noun.
    unit: str
    # The smallest change of the threshold that matters: the tests must notice this much.
    step: float

    def expression(self, words: dict[str, str]) -> str:
        measure = filled(self.measure, words)
        if not is_simple(measure):
            measure = f"(\n{textwrap.indent(measure, '  ')}\n)"
        return f"{measure} {self.comparison} {number(self.threshold)}"


@dataclass(frozen=True)
class Alert:
    """One alerting rule: all conditions hold, for as long as `hold`."""

    name: str
    severity: str
    hold: str
    when: Condition
    summary: str
    description: str
    # The dashboard that shows it.
    dashboard: str
    # What must hold besides: mostly that there is enough traffic for a ratio to mean something.
    unless_quiet: Condition | None = None
    # A second look at the same thing.
    also: Condition | None = None
    window: str = "5m"
    labels: dict[str, str] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """What tells this rule from others of the same name."""
        return "/".join([self.name, *self.labels.values()])

    @property
    def conditions(self) -> list[Condition]:
        return [it for it in (self.when, self.also, self.unless_quiet) if it]

    def with_bounds(self, bounds: dict) -> Alert:
        """With what the settings say of it."""
        conditions = {"threshold": "when", "also": "also", "floor": "unless_quiet"}
        unknown = bounds.keys() - conditions.keys() - {"window", "for"}
        if unknown:
            raise ValueError(f"alerts.{self.name}: unknown {', '.join(sorted(unknown))}")
        if self.labels and bounds.keys() & {"threshold", "also"}:
            raise ValueError(f"alerts.{self.name}: its bounds follow from [objectives]")
        alert = self
        for key in conditions.keys() & bounds.keys():
            condition = getattr(alert, conditions[key])
            if condition is None:
                raise ValueError(f"alerts.{self.name} has no {key}")
            alert = replace(alert, **{conditions[key]: replace(condition, threshold=bounds[key])})
        return replace(
            alert,
            window=bounds.get("window", alert.window),
            hold=bounds.get("for", alert.hold),
        )

    def words(self, words: dict[str, str]) -> dict[str, str]:
        """What its texts leave open, on top of what is known to all."""
        return {
            **words,
            "window": self.window,
            "recorded": words["window"],
            "hold": self.hold,
            "limit": in_words(self.when.threshold, self.when.unit),
        }

    def expression(self, words: dict[str, str]) -> str:
        return "\nand\n".join(it.expression(words) for it in self.conditions)

    def rule(self, settings: dict, words: dict[str, str]) -> dict:
        if self.severity not in SEVERITIES:
            raise ValueError(f"{self.name}: {self.severity} is no severity")
        words = self.words(words)
        links = settings["links"]
        variables = "".join(
            "{{ with $labels.%s }}&var-%s={{ . | urlquery }}{{ end }}" % (name, name)
            for name in ("namespace", "environment", "pod")
        )
        return {
            "alert": self.name,
            "expr": self.expression(words),
            "for": self.hold,
            "labels": {"severity": self.severity, "app": settings["app"], **self.labels},
            "annotations": {
                "summary": filled(self.summary, words),
                "description": filled(self.description, words),
                "runbook_url": f"{links['runbooks']}#{self.name.lower()}",
                "dashboard_url": f"{links['grafana']}/d/enchufe-{self.dashboard}"
                f"?var-app={settings['jobs']['service']}{variables}",
            },
        }


@dataclass(frozen=True)
class Recording:
    """One recording rule; `only` names the one set it belongs to."""

    name: str
    expression: str
    only: str | None = None
    labels: dict[str, str] = field(default_factory=dict)

    def rule(self, words: dict[str, str]) -> dict:
        rule = {"record": self.name, "expr": filled(self.expression, words)}
        return {**rule, "labels": self.labels} if self.labels else rule


@dataclass(frozen=True)
class Group:
    name: str
    rules: list[Alert | Recording]
    interval: str | None = None


def filled(text: str, words: dict[str, str]) -> str:
    """The text with `<word>` replaced, until none is left."""
    text = textwrap.dedent(text).strip()
    for _ in range(4):
        replaced = _PLACE.sub(lambda place: words[place[1]], text)
        if replaced == text:
            return text
        text = replaced
    raise ValueError(f"never done replacing: {text}")


def is_simple(measure: str) -> bool:
    """Whether a comparison may follow without parentheses: one call or name, no operators."""
    depth = 0
    for char in re.sub(r'"[^"]*"| by \([^)]*\) ', "", measure):
        depth += {"(": 1, ")": -1, "{": 1, "}": -1, "[": 1, "]": -1}.get(char, 0)
        if depth == 0 and (char.isspace() or char in "+-*/"):
            return False
    return True


def number(value: float) -> str:
    return f"{value:.10g}"


def in_words(value: float, unit: str) -> str:
    if unit == "ratio":
        return f"{value * 100:.4g}%"
    if unit == "seconds":
        return f"{value:.4g} s" if value < 120 else f"{value / 60:.4g} min"
    if unit == "days":
        return f"{value / 86400:.4g} days"
    if unit == "bytes":
        return f"{value / 2**20:.4g} MiB"
    return f"{value:,.10g} {unit}"


class _Block(str):
    """A text over several lines, shown as such."""


yaml.SafeDumper.add_representer(
    _Block, lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|")
)


def _blocks(value):
    if isinstance(value, dict):
        return {key: _blocks(it) for key, it in value.items()}
    if isinstance(value, list):
        return [_blocks(it) for it in value]
    return _Block(value + "\n") if isinstance(value, str) and "\n" in value else value


def rule_file(groups: list[Group], settings: dict, words: dict[str, str], which: str) -> str:
    """The text of one set's rule file."""
    rendered = []
    for group in groups:
        rules = []
        for rule in group.rules:
            if isinstance(rule, Alert):
                rules.append(rule.rule(settings, words))
            elif rule.only in (None, which):
                rules.append(rule.rule(words))
        interval = {"interval": group.interval} if group.interval else {}
        rendered.append({"name": group.name, **interval, "rules": rules})
    text = yaml.safe_dump(_blocks({"groups": rendered}), sort_keys=False, width=10_000, allow_unicode=True)
    return f"# Generated from monitoring/source by `make rules`. Do not edit.\n{text}"
