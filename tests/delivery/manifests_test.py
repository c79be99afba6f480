"""`k8s/`, the values for kube-prometheus-stack, and the chart's copies: up to date with what they come
from, built by kustomize, and held against schemas, scanners and Alertmanager."""

from __future__ import annotations

import sys
from pathlib import Path

import yaml

from helm import generate
from tests.delivery import cluster, custom_resources, scan
from tests.delivery.proofs import prove
from tests.delivery.tools import ROOT, Tally, ran

KUBECTL = Path(sys.executable).parent / "kubectl"

# What there must be, apart from whatever else.
WANTED = {
    ("Namespace", "enchufe"),
    ("Deployment", "enchufe"),
    ("Service", "enchufe"),
    ("ConfigMap", "enchufe"),
    ("StatefulSet", "enchufe-postgresql"),
    ("StatefulSet", "enchufe-redis"),
    ("HorizontalPodAutoscaler", "enchufe"),
    ("PodDisruptionBudget", "enchufe"),
    ("NetworkPolicy", "enchufe"),
    ("ServiceMonitor", "enchufe"),
    ("PrometheusRule", "enchufe"),
    ("Probe", "enchufe-healthz"),
}


def run(tally: Tally) -> None:
    tally.check("generated files are up to date", joined(generate.stale(ROOT)))
    tally.check("kubectl kustomize k8s/ builds, and fits", joined(build_faults(ROOT)))
    tally.check("the example of a Secret holds none, and has the keys", joined(example_faults(ROOT)))
    tally.check("every dashboard is a config map", joined(dashboard_faults(ROOT)))
    tally.check("Alertmanager takes the values for kube-prometheus-stack", stack_fault(ROOT))
    tally.check("checkov finds nothing that is not excused", joined(scan.faults(scan.findings(built(ROOT)))))
    prove(tally, "manifests", PARTS, beside=("monitoring", "helm", "k8s"))


def joined(faults: list[str]) -> str | None:
    return "\n  ".join(["", *faults]) if faults else None


def built(root: Path) -> list[dict]:
    result = ran([KUBECTL, "kustomize", root / "k8s"])
    if result.returncode != 0:
        raise cluster.Unbuildable(f"kustomize: {result.stdout}")
    return cluster.documents(result.stdout)


def build_faults(root: Path) -> list[str]:
    found = built(root)
    there = {(document["kind"], document["metadata"]["name"]) for document in found}
    return [
        *(f"there is no {kind} {name}" for kind, name in sorted(WANTED - there)),
        *(fault for version in cluster.KUBERNETES for fault in cluster.schema_faults(found, version)),
        *custom_resources.faults(found),
        *cluster.sense_faults(found),
        *namespace_faults(found),
        *(f"{cluster.title(it)} is a secret in plain sight" for it in cluster.of_kind(found, "Secret")),
    ]


def namespace_faults(found: list[dict]) -> list[str]:
    namespace = next(iter(cluster.of_kind(found, "Namespace")), {"metadata": {}})
    level = namespace["metadata"].get("labels", {}).get("pod-security.kubernetes.io/enforce")
    return [
        *([] if level == "restricted" else [f"the namespace lets in pods of the level {level}"]),
        *(
            f"{cluster.title(it)} is in the namespace {it['metadata'].get('namespace')}"
            for it in found
            if it["kind"] != "Namespace" and it["metadata"].get("namespace") != "enchufe"
        ),
        *(
            f"{cluster.title(it)} says that Helm made it"
            for it in found
            if it["metadata"].get("labels", {}).get("app.kubernetes.io/managed-by") == "Helm"
        ),
    ]


def example_faults(root: Path) -> list[str]:
    example = yaml.safe_load((root / "k8s/secret.example.yaml").read_text())
    data = example.get("stringData", {})
    needed = {
        key
        for document, pod in cluster.pods(built(root))
        for key in keys_of(pod["spec"], example["metadata"]["name"])
    }
    return [
        *(f"{key} has a value" for key, value in data.items() if value),
        *(f"{key} is needed, and not in it" for key in sorted(needed - data.keys())),
        *(f"{key} is in it, and nobody needs it" for key in sorted(data.keys() - needed)),
    ]


def keys_of(spec: dict, secret: str) -> set[str]:
    """The keys of a Secret that a pod reads."""
    mounted = {
        item["key"]
        for volume in spec.get("volumes", [])
        if volume.get("secret", {}).get("secretName") == secret
        for item in volume["secret"]["items"]
    }
    return mounted | {
        ref["key"]
        for container in spec["containers"]
        for variable in container.get("env", [])
        if (ref := variable.get("valueFrom", {}).get("secretKeyRef")) and ref["name"] == secret
    }


def dashboard_faults(root: Path) -> list[str]:
    boards = {path.name: path.read_text() for path in (root / "monitoring/grafana/dashboards").glob("*.json")}
    held = {
        name.removeprefix("enchufe-"): text
        for document in cluster.of_kind(built(root), "ConfigMap")
        if document["metadata"].get("labels", {}).get("grafana_dashboard") == "1"
        for name, text in document["data"].items()
    }
    return [
        *(f"{name} is in no config map" for name in sorted(boards.keys() - held.keys())),
        *(f"{name} differs" for name in sorted(held) if held[name] != boards.get(name)),
    ]


def stack_fault(root: Path) -> str | None:
    values = yaml.safe_load((root / "helm/kube-prometheus-stack.yaml").read_text())
    alertmanager = values["alertmanager"]
    secret = f"/etc/alertmanager/secrets/{alertmanager['alertmanagerSpec']['secrets'][0]}/slack_webhook_url"
    template = (root / "monitoring/alertmanager/templates/enchufe.tmpl").read_text()
    if alertmanager["templateFiles"]["enchufe.tmpl"].strip() != template.strip():
        return "the template is not that of monitoring/alertmanager"
    return scan.amtool_fault(alertmanager["config"], alertmanager["templateFiles"], secret)


# The parts of this check, as broken/manifests.toml calls them.
PARTS = {
    "stale": generate.stale,
    "build": build_faults,
    "example": example_faults,
    "dashboards": dashboard_faults,
    "stack": stack_fault,
}
