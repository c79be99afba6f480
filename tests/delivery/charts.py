"""The chart, rendered by Helm itself: its engine comes as a library, in the package helm-python-sdk."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import helm_python
import yaml

CHART = Path("helm/enchufe")
NAME = NAMESPACE = "enchufe"
CASES = Path(__file__).resolve().parent / "chart"


def merged(below: dict, above: dict) -> dict:
    """Values laid over others, as Helm does with several files."""
    result = dict(below)
    for key, value in above.items():
        both = isinstance(value, dict) and isinstance(result.get(key), dict)
        result[key] = merged(result[key], value) if both else value
    return result


def case(root: Path, name: str) -> dict:
    """The values of a case, by its name."""
    if name == "defaults":
        return {}
    own = root / CHART / "values-production.yaml"
    return yaml.safe_load((own if name == "production" else CASES / f"{name}.yaml").read_text())


def render(root: Path, values: dict, name: str = NAME, namespace: str = NAMESPACE) -> dict[str, str]:
    """The text of each manifest, by its template's path. Raises what Helm has to say."""
    with helm_python.Chart.load(root / CHART) as chart:
        rendered = chart.render(values, name=name, namespace=namespace)
    prefix = "enchufe/templates/"
    return {
        path.removeprefix(prefix): text
        for path, text in sorted(rendered.items())
        if path.endswith(".yaml") and text.strip()
    }


def refusal(root: Path, values: dict) -> str | None:
    """Why the values are not taken, or nothing when they are."""
    try:
        render(root, values)
    except helm_python.HelmError as error:
        return str(error)
    return None


def lint(root: Path, values: dict, version: str) -> list[str]:
    """What `helm lint --strict` finds."""
    report = helm_python.lint(root / CHART, values, strict=True, kube_version=f"v{version}.0")
    found = [message["error"] for message in report["messages"] if message["severity"] > 1]
    return found + report["errors"]


@cache
def copied(root: Path) -> dict[str, str]:
    """The chart's files that manifests hold as they are, by name."""
    files = root / CHART / "files"
    return {
        str(path.relative_to(files)): path.read_text() for path in sorted(files.rglob("*")) if path.is_file()
    }


def golden(root: Path, values: dict) -> str:
    """All manifests as one text to be compared. What is made by chance or follows from the version is
    masked, and what is the copy of a file is named instead of repeated."""
    version = yaml.safe_load((root / CHART / "Chart.yaml").read_text())["version"]
    parts = []
    for path, text in render(root, values).items():
        for name, content in copied(root).items():
            for by in (2, 4):
                held = "".join(f"\n{' ' * by}{line}" for line in content.strip().split("\n"))
                text = text.replace(held, f"\n{' ' * by}<the file {name}>")
        if path == "secret.yaml":
            text = re.sub(
                r"^(  [\w-]+): [A-Za-z0-9+/]{54}==$", r"\1: <made by chance>", text, flags=re.MULTILINE
            )
        text = re.sub(rf'(enchufe[-:]|version: "){re.escape(version)}\b', r"\1<version>", text)
        parts.append(f"##### {path}\n{text.strip()}\n")
    return "\n".join(parts)
