"""Programs of others that read what is rendered: checkov, promtool, amtool."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path

import yaml

from monitoring.tests.tools import program
from tests.delivery.tools import fault_of, ran

# What checkov may say, and why it is so all the same. A finding counts as excused only where it is
# listed; an excuse that excuses nothing is a fault.
EXCUSED: dict[str, str] = {}


def faults(found: list[dict]) -> list[str]:
    """What checkov finds in manifests, but for what is excused."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "manifests.yaml"
        file.write_text(yaml.safe_dump_all(found))
        result = ran(
            [
                Path(sys.executable).parent / "checkov",
                *("--file", file, "--framework", "kubernetes", "--output", "json", "--compact", "--quiet"),
            ],
            env={**os.environ, "LOG_LEVEL": "ERROR"},
        )
    try:
        report = json.loads(result.stdout[result.stdout.index("{") :])
    except ValueError:
        return [f"checkov said nothing that can be read: {result.stdout[-800:]}"]
    if not report.get("summary", {}).get("passed"):
        return [f"checkov checked nothing: {result.stdout[-800:]}"]
    return [
        f"{finding['check_id']} {finding['resource']}: {finding['check_name']}"
        for finding in report["results"]["failed_checks"]
        if finding["check_id"] not in EXCUSED
    ]


def promtool_fault(rules: str) -> str | None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "rules.yml"
        file.write_text(rules)
        return fault_of(ran([program("promtool"), "check", "rules", file]))


def amtool_fault(config: dict, templates: dict[str, str], secret_file: str) -> str | None:
    """What Alertmanager says to its configuration, with the files where the operator puts them."""
    with tempfile.TemporaryDirectory() as folder:
        secret = Path(folder) / "webhook"
        secret.write_text("https://hooks.invalid/")
        for name, text in templates.items():
            (Path(folder) / name).write_text(text)
        text = yaml.safe_dump(config)
        for path, here in ((secret_file, str(secret)), ("/etc/alertmanager/config", folder)):
            if path not in text:
                return f"the configuration does not name {path}"
            text = text.replace(path, here)
        file = Path(folder) / "alertmanager.yml"
        file.write_text(text)
        return fault_of(ran([program("amtool"), "check-config", file]))
