"""`argocd/`: held against the types of Argo CD, and against the rules it should follow: a project that
allows what is needed and nothing else, applications that correct themselves, in order."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import yaml

from helm import generate
from tests.delivery import charts, cluster, custom_resources
from tests.delivery.proofs import prove
from tests.delivery.tools import ROOT, Tally

# Of what kinds kube-prometheus-stack is with the values of this repository, Grafana included; read off
# the chart, version 88.5.3.
STACK = {
    *(("", kind) for kind in ("ConfigMap", "Secret", "Service", "ServiceAccount")),
    *(("apps", kind) for kind in ("DaemonSet", "Deployment")),
    ("batch", "Job"),
    *(
        ("monitoring.coreos.com", kind)
        for kind in ("Alertmanager", "Prometheus", "PrometheusRule", "ServiceMonitor")
    ),
    *(("rbac.authorization.k8s.io", kind) for kind in ("Role", "RoleBinding")),
}
STACK_OF_THE_CLUSTER = {
    *(("rbac.authorization.k8s.io", kind) for kind in ("ClusterRole", "ClusterRoleBinding")),
    *(
        ("admissionregistration.k8s.io", kind)
        for kind in ("MutatingWebhookConfiguration", "ValidatingWebhookConfiguration")
    ),
    ("apiextensions.k8s.io", "CustomResourceDefinition"),
    # CreateNamespace.
    ("", "Namespace"),
}


def run(tally: Tally) -> None:
    tally.check("Argo CD's types hold", joined(custom_resources.faults(manifests(ROOT))))
    tally.check("the project allows what is needed, and nothing else", joined(list(project_faults(ROOT))))
    tally.check("applications correct themselves, in order", joined(list(application_faults(ROOT))))
    tally.check("what it brings out is what this repository makes", joined(list(source_faults(ROOT))))
    prove(tally, "argocd", PARTS, beside=("helm", "monitoring/settings.toml"))


def joined(faults: list[str]) -> str | None:
    return "\n  ".join(["", *faults]) if faults else None


def manifests(root: Path) -> list[dict]:
    return cluster.documents(*(path.read_text() for path in sorted((root / "argocd").rglob("*.yaml"))))


def of(root: Path, kind: str, name: str) -> dict:
    return next(cluster.named(manifests(root), kind, name))


def sources(application: dict) -> list[dict]:
    spec = application["spec"]
    return spec.get("sources") or [spec["source"]]


def group_of(document: dict) -> tuple[str, str]:
    return document["apiVersion"].rpartition("/")[0], document["kind"]


def project_faults(root: Path) -> Iterator[str]:
    project = of(root, "AppProject", "enchufe")["spec"]
    rendered = cluster.documents(
        *(
            text
            for path, text in charts.render(root, production(root)).items()
            if not path.startswith("tests/")
        )
    )
    for part, needed in (
        ("namespaceResourceWhitelist", STACK | {group_of(document) for document in rendered}),
        ("clusterResourceWhitelist", STACK_OF_THE_CLUSTER),
    ):
        allowed = {(item["group"], item["kind"]) for item in project[part]}
        for group, kind in sorted(needed - allowed):
            yield f"{group}/{kind} is needed, and not allowed"
        for group, kind in sorted(allowed - needed):
            yield f"{group}/{kind} is allowed, and not needed"
    for document in manifests(root):
        if document["kind"] == "AppProject" and "*" in str(document["spec"]):
            yield f"{cluster.title(document)}: allows anything somewhere"
        if document["kind"] != "Application":
            continue
        of_it = of(root, "AppProject", document["spec"]["project"])["spec"]
        for source in sources(document):
            if source["repoURL"] not in of_it["sourceRepos"]:
                yield f"{cluster.title(document)}: {source['repoURL']} is not allowed"
        if document["spec"]["destination"] not in of_it["destinations"]:
            yield f"{cluster.title(document)}: may not go to {document['spec']['destination']}"
    bootstrap = of(root, "AppProject", "enchufe-bootstrap")["spec"]
    if {item["kind"] for item in bootstrap["namespaceResourceWhitelist"]} != {"AppProject", "Application"}:
        yield "the bootstrap brings more than projects and applications"


def application_faults(root: Path) -> Iterator[str]:
    wave: dict[str, int] = {}
    for document in manifests(root):
        annotations = document["metadata"].get("annotations", {})
        wave[cluster.title(document)] = int(annotations.get("argocd.argoproj.io/sync-wave", "0"))
        if document["kind"] != "Application":
            continue
        policy = document["spec"]["syncPolicy"]
        automated = policy.get("automated", {})
        if automated != {"prune": True, "selfHeal": True, "allowEmpty": False}:
            yield f"{cluster.title(document)}: does not correct itself: {automated}"
        if not policy.get("retry", {}).get("limit", 0) > 0 or "backoff" not in policy.get("retry", {}):
            yield f"{cluster.title(document)}: gives up at the first failure"
        if (
            document["spec"].get("ignoreDifferences")
            and "RespectIgnoreDifferences=true" not in policy["syncOptions"]
        ):
            yield f"{cluster.title(document)}: ignores differences, and overwrites them when it syncs"
    if not wave["AppProject enchufe"] < wave["Application monitoring"] < wave["Application enchufe"]:
        yield f"in the wrong order: {wave}"
    ignored = of(root, "Application", "enchufe")["spec"].get("ignoreDifferences", [])
    replicas = {"group": "apps", "kind": "Deployment", "jsonPointers": ["/spec/replicas"]}
    if not any(replicas.items() <= item.items() for item in ignored):
        yield "replicas are taken back from the autoscaler"
    rendered = cluster.documents(*charts.render(root, production(root)).values())
    for scaler in cluster.of_kind(rendered, "HorizontalPodAutoscaler"):
        target = scaler["spec"]["scaleTargetRef"]["name"]
        if not any(item.get("name") == target for item in ignored):
            yield f"the autoscaler scales {target}, whose replicas count as a difference"


def production(root: Path) -> dict:
    """The values that the application gives to the chart."""
    given = of(root, "Application", "enchufe")["spec"]["source"]["helm"]
    values: dict = {}
    for file in given["valueFiles"]:
        values = charts.merged(values, yaml.safe_load((root / charts.CHART / file).read_text()))
    return charts.merged(values, given["valuesObject"])


def source_faults(root: Path) -> Iterator[str]:
    chart = yaml.safe_load((root / charts.CHART / "Chart.yaml").read_text())
    source = of(root, "Application", "enchufe")["spec"]["source"]
    if source["chart"] != chart["name"]:
        yield f"the chart is {chart['name']}, not {source['chart']}"
    if fault := range_fault(source["targetRevision"], chart["version"]):
        yield fault
    owner = re.search(r"github\.com/(\w+)/", (root / "monitoring/settings.toml").read_text())
    image = yaml.safe_load((root / charts.CHART / "values.yaml").read_text())["image"]["repository"]
    if (
        not owner
        or source["repoURL"] != f"ghcr.io/{owner[1]}/charts"
        or image != f"ghcr.io/{owner[1]}/enchufe"
    ):
        yield f"{source['repoURL']} and {image} are not where the runbooks are"
    stack = sources(of(root, "Application", "monitoring"))
    if stack[0]["targetRevision"] != generate.STACK_VERSION:
        yield f"the values are written for {generate.STACK_VERSION}, not {stack[0]['targetRevision']}"
    for file in stack[0]["helm"]["valueFiles"]:
        if not (root / file.removeprefix("$values/")).is_file():
            yield f"there is no {file}"


def range_fault(wanted: str, version: str) -> str | None:
    """The release of this tree is brought out, and the next major one, which may need a hand, is not."""
    bounds = re.fullmatch(r">=(\d+)\.(\d+)\.(\d+) <(\d+)\.0\.0", wanted)
    if not bounds:
        return f"{wanted!r} is no range from one version to the next major one"
    least, most = tuple(map(int, bounds.groups()[:3])), int(bounds[4])
    now = tuple(map(int, version.split(".")))
    if not least <= now or now[0] >= most or most != least[0] + 1:
        return f"{version} is not the one to run in {wanted}"
    return None


# The parts of this check, as broken/argocd.toml calls them.
PARTS = {
    "types": lambda root: custom_resources.faults(manifests(root)),
    "project": lambda root: list(project_faults(root)),
    "applications": lambda root: list(application_faults(root)),
    "sources": lambda root: list(source_faults(root)),
}
