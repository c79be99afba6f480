"""Programs of others that read what is rendered: checkov, promtool, amtool."""

from __future__ import annotations

import json
import os
import re
import sys
import tempfile
import tomllib
from pathlib import Path

import yaml

from monitoring.tests.tools import program
from tests.delivery.tools import fault_of, ran

# What checkov may say, where, and why it is so all the same.
EXCUSED = tomllib.loads((Path(__file__).resolve().parent / "excused.toml").read_text())["excused"]

Finding = tuple[str, str, str]


def findings(found: list[dict]) -> list[Finding]:
    """What checkov finds in manifests: the number of its check, the object, the words."""
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
    except ValueError as error:
        raise RuntimeError(f"checkov said nothing that can be read: {result.stdout[-800:]}") from error
    if not report.get("summary", {}).get("passed"):
        raise RuntimeError(f"checkov checked nothing: {result.stdout[-800:]}")
    return [
        (finding["check_id"], finding["resource"], finding["check_name"])
        for finding in report["results"]["failed_checks"]
    ]


def excuses(excuse: dict, finding: Finding) -> bool:
    return excuse["check"] == finding[0] and bool(re.search(excuse["where"], finding[1]))


def faults(said: list[Finding]) -> list[str]:
    """The findings that nothing excuses."""
    return [
        f"{check} {where}: {words}"
        for check, where, words in said
        if not any(excuses(excuse, (check, where, words)) for excuse in EXCUSED)
    ]


def idle(said: list[Finding]) -> list[str]:
    """The excuses that excuse nothing."""
    return [
        f"{excuse['check']} at {excuse['where']} is excused, and was not found"
        for excuse in EXCUSED
        if not any(excuses(excuse, finding) for finding in said)
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
