"""The chart: linted, rendered by Helm in every shape, and held against schemas, against what the
parts mean to each other, against kept renders, and against bad values."""

from __future__ import annotations

import difflib
import json
import os
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import jsonschema
import yaml

from tests.delivery import charts, cluster, custom_resources, scan, service
from tests.delivery.proofs import prove
from tests.delivery.tools import ROOT, Tally

GOLDEN = Path(__file__).resolve().parent / "golden/chart"
KEPT = ("defaults", "production", "all-on", "all-off")

# Further shapes, which are validated but not kept.
SHAPES: dict[str, dict] = yaml.safe_load((charts.CASES / "shapes.yaml").read_text())
# What must be refused, and words that must be in the refusal.
REFUSED: list[dict] = yaml.safe_load((charts.CASES / "refused.yaml").read_text())


def run(tally: Tally) -> None:
    for version in cluster.KUBERNETES:
        tally.check(f"helm lint --strict, for Kubernetes {version}", joined(lint_faults(ROOT, version)))
    for name in (*KEPT, *SHAPES):
        tally.check(f"{name}: schemas, and parts that fit", joined(shape_faults(ROOT, name)))
    for name in KEPT:
        tally.check(f"{name}: as kept", golden_fault(ROOT, name))
    tally.check(f"{len(REFUSED)} bad values are refused, and told why", joined(refusal_faults(ROOT)))
    tally.check("values, their schema and the service's settings agree", joined(agreement_faults(ROOT)))
    tally.check("what is made by chance is long, and new each time", joined(chance_faults(ROOT)))
    tally.check("names stay within bounds, whatever the release is called", joined(name_faults(ROOT)))
    tally.check("promtool reads the rules as they arrive", rule_fault(ROOT))
    tally.check("checkov finds nothing that is not excused", joined(scan_faults(ROOT)))
    for name in ("defaults", "all-on"):
        tally.check(
            f"{name}: the service runs with it, and stops in time", joined(running_faults(ROOT, name))
        )
    tally.check("the migration job migrates", joined(migration_faults(ROOT)))
    prove(tally, "chart", PARTS, beside=("docs", "Cargo.toml"))


def joined(faults: list[str]) -> str | None:
    return "\n  ".join(["", *faults]) if faults else None


def values_of(root: Path, name: str) -> dict:
    return SHAPES[name] if name in SHAPES else charts.case(root, name)


def lint_faults(root: Path, version: str) -> list[str]:
    return [
        f"{name}: {fault}"
        for name in (*KEPT, *SHAPES)
        for fault in charts.lint(root, values_of(root, name), version)
    ]


def shape_faults(root: Path, name: str) -> list[str]:
    found = cluster.documents(*charts.render(root, values_of(root, name)).values())
    if name == "an existing claim":
        found.append({"kind": "PersistentVolumeClaim", "metadata": {"name": "enchufe-data"}})
        schemas: list[str] = []
    else:
        schemas = [fault for version in cluster.KUBERNETES for fault in cluster.schema_faults(found, version)]
    return schemas + custom_resources.faults(found) + cluster.sense_faults(found)


def golden_fault(root: Path, name: str) -> str | None:
    rendered, file = charts.golden(root, charts.case(root, name)), GOLDEN / f"{name}.yaml"
    if os.environ.get("UPDATE_GOLDEN") and root == ROOT:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(rendered)
        return None
    if not file.is_file():
        return f"{file.name} is not there; UPDATE_GOLDEN=1 writes it, to be read and committed"
    return difference(file.read_text(), rendered)


def difference(kept: str, rendered: str) -> str | None:
    if kept == rendered:
        return None
    lines = difflib.unified_diff(
        kept.splitlines(), rendered.splitlines(), "kept", "rendered", lineterm="", n=2
    )
    return "UPDATE_GOLDEN=1 keeps it, once it was read:\n" + "\n".join(list(lines)[:60])


def refusal_faults(root: Path) -> list[str]:
    found = []
    for case in REFUSED:
        said = charts.refusal(root, case["values"])
        if said is None:
            found.append(f"{json.dumps(case['values'])} is taken")
        elif case["says"] not in said:
            found.append(f"{json.dumps(case['values'])} is refused without {case['says']!r}: {said}")
    return found


def agreement_faults(root: Path) -> list[str]:
    schema = json.loads((root / charts.CHART / "values.schema.json").read_text())
    values = yaml.safe_load((root / charts.CHART / "values.yaml").read_text())
    jsonschema.Draft7Validator.check_schema(schema)
    templates = "\n".join(path.read_text() for path in (root / charts.CHART / "templates").rglob("*.*"))
    return [
        *(f"the schema is not strict at {path}" for path in open_objects(schema)),
        *(f"values.yaml does not have {path}" for path in without_default(schema, schema, values)),
        *(
            f"no template reads {path}"
            for path in leaves(values)
            if not re.search(rf"\.{path[-1]}\b", templates)
        ),
        *settings_faults(root, schema),
        *metric_faults(root, values["autoscaling"]["custom"]["metric"]),
        *version_faults(root),
    ]


# Kubernetes' own objects, which the schemas of the cluster check once they are rendered.
FREE = {"/properties/global", "/properties/affinity", "/definitions/objects/items"}


def open_objects(schema: dict, path: str = "") -> Iterator[str]:
    """Where a schema of objects takes any key."""
    if schema.get("type") == "object" and "additionalProperties" not in schema and path not in FREE:
        yield path
    for group in ("properties", "definitions"):
        for name, inner in schema.get(group, {}).items():
            yield from open_objects(inner, f"{path}/{group}/{name}")
    if isinstance(schema.get("items"), dict):
        yield from open_objects(schema["items"], f"{path}/items")


# Not in values.yaml: Helm's own, and what is optional in objects of Kubernetes.
OPTIONAL = {"global", "config", "digest", "ephemeral-storage"}


def without_default(whole: dict, schema: dict, values: object, path: str = "") -> Iterator[str]:
    if reference := schema.get("$ref"):
        schema = whole["definitions"][reference.rpartition("/")[2]]
    for name, inner in schema.get("properties", {}).items():
        if name in OPTIONAL:
            continue
        if not isinstance(values, dict) or name not in values:
            yield f"{path}/{name}"
        else:
            yield from without_default(whole, inner, values[name], f"{path}/{name}")


def leaves(values: dict, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    whole = {"config", "resources", "labels", "annotations", "metricsFrom", "scaleUp", "scaleDown"}
    for name, inner in values.items():
        if isinstance(inner, dict) and inner and name not in whole:
            yield from leaves(inner, (*path, name))
        elif name not in ("scaleUp", "scaleDown"):
            yield (*path, name)


# The chart sets these itself; a demonstration listens where no Service can reach it.
OF_THE_CHART = {"data_dir", "database_url", "redis_url", "node_name", "demo", "shutdown_timeout"}


def settings_faults(root: Path, schema: dict) -> Iterator[str]:
    text = (root / "docs/configuration.md").read_text()
    settings = set(re.findall(r"^\| `--[\w-]+` \| `ENCHUFE_\w+` \| `(\w+)` \|", text, re.MULTILINE))
    known = set(schema["definitions"]["config"]["properties"])
    for name in settings - known - OF_THE_CHART:
        yield f"the schema does not know the setting {name}"
    for name in known - settings:
        yield f"the service does not know the setting {name}"
    if not settings:
        yield "docs/configuration.md lists no settings"


def metric_faults(root: Path, metric: str) -> Iterator[str]:
    """The metric that servers may be added by is exported, and the adapter tells it on."""
    for file, held in (
        ("docs/metrics.md", f"`{metric}`"),
        ("helm/prometheus-adapter.yaml", f"as: {metric}\n"),
    ):
        if held not in (root / file).read_text():
            yield f"{file} does not know {metric}"


def version_faults(root: Path) -> Iterator[str]:
    chart = yaml.safe_load((root / charts.CHART / "Chart.yaml").read_text())
    version = tomllib.loads((root / "Cargo.toml").read_text())["workspace"]["package"]["version"]
    for key in ("version", "appVersion"):
        if chart[key] != version:
            yield f"Chart.yaml has {key} {chart[key]}, and Cargo.toml {version}"


def chance_faults(root: Path) -> list[str]:
    values = {"database": {"kind": "bundled"}, "redis": {"kind": "bundled"}}
    first, second = (yaml.safe_load(charts.render(root, values)["secret.yaml"])["data"] for _ in range(2))
    wanted = {"admin-token", "metrics-token", "postgres-password", "redis-password"}
    return [
        *(f"there is no {key}" for key in sorted(wanted - first.keys())),
        *(f"{key} is the same twice" for key in first if first[key] == second[key]),
        *(f"{key} is short" for key, value in first.items() if len(value) < 48),
    ]


def name_faults(root: Path) -> list[str]:
    values = charts.merged(charts.case(root, "all-on"), {"fullnameOverride": ""})
    long = "a-release-with-a-name-of-fifty-three-characters-xxxxx"
    found = cluster.documents(*charts.render(root, values, name=long).values())
    return [
        f"{cluster.title(document)}: {len(document['metadata']['name'])} characters"
        for document in found
        if len(document["metadata"]["name"]) > 63
    ] + cluster.sense_faults(found)


def scan_faults(root: Path) -> list[str]:
    said = [
        finding
        for name in ("production", "all-on")
        for finding in scan.findings(cluster.documents(*charts.render(root, charts.case(root, name)).values()))
    ]
    return scan.faults(said) + scan.idle(said)


def running_faults(root: Path, name: str) -> list[str]:
    return service.faults(cluster.documents(*charts.render(root, charts.case(root, name)).values()))


def migration_faults(root: Path) -> list[str]:
    job = yaml.safe_load(charts.render(root, charts.case(root, "production"))["migrationjob.yaml"])
    return service.migration_faults(
        job, cluster.documents(*charts.render(root, charts.case(root, "all-on")).values())
    )


def rule_fault(root: Path) -> str | None:
    rules = yaml.safe_load(charts.render(root, charts.case(root, "all-on"))["monitoring/prometheusrule.yaml"])
    return scan.promtool_fault(yaml.safe_dump(rules["spec"]))


# The parts of this check, as broken/chart.toml calls them.
PARTS = {
    "lint": lambda root: lint_faults(root, cluster.KUBERNETES[-1]),
    "shape": shape_faults,
    "golden": golden_fault,
    "refusals": refusal_faults,
    "agreement": agreement_faults,
    "chance": chance_faults,
    "names": name_faults,
    "rules": rule_fault,
    "runs": running_faults,
    "migration": migration_faults,
    "scan": scan_faults,
}
