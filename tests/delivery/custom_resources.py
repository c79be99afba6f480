"""Holds custom resources against the types of their operators.

A manifest is written out as a TypeScript literal of the type that `@kubernetes-models` has made from
the operator's own Go sources, and the compiler reads it: it refuses a key that the type does not
have, one that is missing, and a value of another kind. What only the cluster checks (the pattern of a
text, rules between fields) it does not see.
"""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

from tests.delivery.tools import ROOT, ran

HOME = Path(__file__).resolve().parent / "operators"
# The compiler finds the types above the file that it reads.
WORK = ROOT / ".testenv/custom-resources"

OPERATOR = "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1"
ARGO_CD = "@kubernetes-models/argo-cd/argoproj.io/v1alpha1"
TYPES = {
    ("monitoring.coreos.com/v1", "ServiceMonitor"): OPERATOR,
    ("monitoring.coreos.com/v1", "PrometheusRule"): OPERATOR,
    ("monitoring.coreos.com/v1", "Probe"): OPERATOR,
    ("argoproj.io/v1alpha1", "AppProject"): ARGO_CD,
    ("argoproj.io/v1alpha1", "Application"): ARGO_CD,
}
COMPILER = (
    "--strict --noEmit --skipLibCheck --exactOptionalPropertyTypes --pretty false "
    "--target es2022 --module nodenext --moduleResolution nodenext"
).split()


def is_custom(document: dict) -> bool:
    return (document.get("apiVersion"), document.get("kind")) in TYPES


def install() -> Path:
    """The packages, as the lock file has them."""
    lock = (HOME / "package-lock.json").read_text()
    stamp = WORK / "installed.json"
    if not stamp.is_file() or stamp.read_text() != lock:
        if not shutil.which("npm"):
            raise RuntimeError("the checks need Node: apt-get install nodejs npm")
        WORK.mkdir(parents=True, exist_ok=True)
        for name in ("package.json", "package-lock.json"):
            shutil.copy2(HOME / name, WORK / name)
        result = ran(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=WORK)
        if result.returncode != 0:
            raise RuntimeError(f"npm ci: {result.stdout}")
        stamp.write_text(lock)
    return WORK / "node_modules/typescript/bin/tsc"


def faults(documents: list[dict]) -> list[str]:
    """What the compiler has to say of those that are custom resources."""
    custom = [document for document in documents if is_custom(document)]
    if not custom:
        return []
    compiler = install()
    lines, names = [], []
    for number, document in enumerate(custom):
        kind = document["kind"]
        package = TYPES[document["apiVersion"], kind]
        literal = json.dumps(document, ensure_ascii=True)
        lines.append(f'export const _{number}: import("{package}/{kind}").I{kind} = {literal};')
        names.append(f"{kind} {document['metadata']['name']}")
    source = WORK / "manifests.mts"
    source.write_text("\n".join(lines) + "\n")
    result = ran(["node", compiler, *COMPILER, source.name], cwd=WORK)
    if result.returncode == 0:
        return []
    found = []
    for line, said in re.findall(r"^manifests\.mts\((\d+),\d+\): error (.*)$", result.stdout, re.MULTILINE):
        found.append(f"{names[int(line) - 1]}: {said}")
    return found or [f"the compiler failed: {result.stdout.strip()}"]
