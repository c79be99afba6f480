"""What a cluster would say to manifests, as far as that can be known without one: strict schemas, and
what no schema sees, that the parts fit each other and follow the rules of this project."""

from __future__ import annotations

import re
from collections.abc import Iterator

import kubernetes_validate
import yaml

from tests.delivery import custom_resources

# The oldest that the chart supports, one in the middle, and the newest with known schemas.
KUBERNETES = ("1.30", "1.34", "1.37")

# Made by hand, so no manifest has it; with the keys that docs/kubernetes.md asks for.
SECRETS_BY_HAND = {
    "enchufe-secrets": {
        "admin-token",
        "metrics-token",
        "llm-api-key",
        "database-url",
        "redis-url",
        "postgres-password",
        "redis-password",
    },
}
GRACE_FOR_THE_REST = 5

Document = dict


class Unbuildable(Exception):
    """Manifests that could not even be made."""


def documents(*texts: str) -> list[Document]:
    return [document for text in texts for document in yaml.safe_load_all(text) if document]


def title(document: Document) -> str:
    return f"{document['kind']} {document['metadata']['name']}"


def schema_faults(found: list[Document], version: str) -> list[str]:
    """What Kubernetes' own schemas say, with every unknown key refused."""
    faults = []
    for document in found:
        if custom_resources.is_custom(document):
            continue
        try:
            kubernetes_validate.validate(document, version, strict=True)
        except kubernetes_validate.ValidationError as error:
            where = "/".join(str(part) for part in error.path)
            faults.append(f"{title(document)}: {version}: {where}: {error.message[:300]}")
        except kubernetes_validate.SchemaNotFoundError as error:
            faults.append(f"{title(document)}: {error.message}")
    return faults


def sense_faults(found: list[Document]) -> list[str]:
    """Everything that no schema sees."""
    checks = (
        twice,
        secured,
        probed,
        sized,
        images,
        secrets,
        volumes,
        references,
        selected,
        scaled,
        graceful,
        watched,
        scraped,
    )
    return [fault for check in checks for fault in check(found)]


def of_kind(found: list[Document], *kinds: str) -> list[Document]:
    return [document for document in found if document["kind"] in kinds]


def pod_of(document: Document) -> Document | None:
    """The pod that a workload makes: labels and spec."""
    match document["kind"]:
        case "Deployment" | "StatefulSet" | "Job":
            return document["spec"]["template"]
        case "Pod":
            return document
    return None


def pods(found: list[Document]) -> Iterator[tuple[Document, Document]]:
    for document in found:
        if pod := pod_of(document):
            yield document, pod


def containers(found: list[Document]) -> Iterator[tuple[str, Document, Document, Document]]:
    """Where it is, its workload, its pod's spec, and the container."""
    for document, pod in pods(found):
        spec = pod["spec"]
        for container in spec.get("initContainers", []) + spec["containers"]:
            yield f"{title(document)}, container {container['name']}", document, spec, container


def matches(selector: dict, labels: dict) -> bool:
    return selector.items() <= labels.items()


def twice(found: list[Document]) -> Iterator[str]:
    seen = set()
    for document in found:
        if title(document) in seen:
            yield f"{title(document)} is there twice"
        seen.add(title(document))


def secured(found: list[Document]) -> Iterator[str]:
    """The restricted Pod Security Standard, a read-only root, and no way to the API server."""
    for where, _, spec, container in containers(found):
        pod, own = spec.get("securityContext", {}), container.get("securityContext", {})
        if not own.get("runAsNonRoot", pod.get("runAsNonRoot")) or not pod.get("runAsUser"):
            yield f"{where}: may run as root, or as whom the image likes"
        if pod.get("seccompProfile", {}).get("type") != "RuntimeDefault":
            yield f"{where}: any system call is allowed"
        if own.get("allowPrivilegeEscalation") is not False or own.get("privileged"):
            yield f"{where}: can gain privileges"
        if own.get("capabilities") != {"drop": ["ALL"]}:
            yield f"{where}: keeps capabilities"
        if own.get("readOnlyRootFilesystem") is not True:
            yield f"{where}: can write to its image"
        if spec.get("automountServiceAccountToken") is not False:
            yield f"{where}: is given a token of the API server"
        if spec.get("enableServiceLinks") is not False:
            yield f"{where}: is given variables for every Service, named like settings"
        for forbidden in ("hostNetwork", "hostPID", "hostIPC"):
            if spec.get(forbidden):
                yield f"{where}: {forbidden}"
    for account in of_kind(found, "ServiceAccount"):
        if account.get("automountServiceAccountToken") is not False:
            yield f"{title(account)}: hands out its token"


def probed(found: list[Document]) -> Iterator[str]:
    for where, document, _, container in containers(found):
        if document["kind"] in ("Job", "Pod"):
            continue
        for probe in ("readinessProbe", "livenessProbe"):
            if probe not in container:
                yield f"{where}: no {probe}"
        if container["name"] != "enchufe":
            continue
        wanted = {"startupProbe": "/health", "readinessProbe": "/healthz", "livenessProbe": "/health"}
        for probe, path in wanted.items():
            asked = container.get(probe, {}).get("httpGet", {})
            if asked != {"path": path, "port": "http"}:
                yield f"{where}: {probe} asks {asked}, not {path}"


def sized(found: list[Document]) -> Iterator[str]:
    for where, _, _, container in containers(found):
        for part in ("requests", "limits"):
            for resource in ("cpu", "memory"):
                if not container.get("resources", {}).get(part, {}).get(resource):
                    yield f"{where}: no {part} of {resource}"


def images(found: list[Document]) -> Iterator[str]:
    for where, _, _, container in containers(found):
        image = container["image"]
        if not re.search(r"(:[\w][\w.-]*|@sha256:[0-9a-f]{64})$", image) or image.endswith(":latest"):
            yield f"{where}: {image} can be another image tomorrow"


def secrets(found: list[Document]) -> Iterator[str]:
    """No secret is written where anybody can read it."""
    for document in found:
        if document["kind"] == "Secret":
            continue
        for path, text in texts(document):
            if re.search(r"://[^/\s:@]*:(?!\$\()[^@\s/]+@", text):
                yield f"{title(document)}: {path}: an address with a password"
            if re.search(
                r"(password|token|secret|api.?key)[\w.-]*\s*[=:]\s*[\"']?[\w-]{12,}", text, re.IGNORECASE
            ):
                yield f"{title(document)}: {path}: looks like a secret"
    for where, _, _, container in containers(found):
        for variable in container.get("env", []):
            secret = re.search(r"(PASSWORD|TOKEN|KEY|SECRET)$", variable["name"])
            if secret and "value" in variable:
                yield f"{where}: {variable['name']} is written in plain text"


def texts(value: object, path: str = "") -> Iterator[tuple[str, str]]:
    match value:
        case dict():
            # Dashboards are large, and hold queries and nothing of ours.
            for key, inner in value.items():
                if not str(key).endswith(".json"):
                    yield from texts(inner, f"{path}/{key}")
        case list():
            for number, inner in enumerate(value):
                yield from texts(inner, f"{path}/{number}")
        case str():
            yield path, value


def volumes(found: list[Document]) -> Iterator[str]:
    for document, pod in pods(found):
        spec = pod["spec"]
        there = {volume["name"] for volume in spec.get("volumes", [])}
        there |= {claim["metadata"]["name"] for claim in document["spec"].get("volumeClaimTemplates", [])}
        used = set()
        for container in spec["containers"]:
            mounts = {mount["name"] for mount in container.get("volumeMounts", [])}
            used |= mounts
            if missing := mounts - there:
                yield f"{title(document)}: mounts {', '.join(sorted(missing))}, which is not there"
        if unused := there - used:
            yield f"{title(document)}: nobody mounts {', '.join(sorted(unused))}"


def references(found: list[Document]) -> Iterator[str]:
    """Config maps, secrets, claims and accounts that are named are there, with the keys asked for."""
    keys: dict[tuple[str, str], set[str]] = {
        ("Secret", name): set(of) for name, of in SECRETS_BY_HAND.items()
    }
    for document in of_kind(found, "ConfigMap", "Secret"):
        keys[document["kind"], document["metadata"]["name"]] = set(document.get("data", {})) | set(
            document.get("stringData", {})
        )
    for document, pod in pods(found):
        spec, wanted = pod["spec"], []
        for volume in spec.get("volumes", []):
            if config := volume.get("configMap"):
                wanted.append(("ConfigMap", config["name"], set()))
            if secret := volume.get("secret"):
                wanted.append(("Secret", secret["secretName"], {item["key"] for item in secret["items"]}))
            claim = volume.get("persistentVolumeClaim", {}).get("claimName")
            if claim and not any(named(found, "PersistentVolumeClaim", claim)):
                yield f"{title(document)}: there is no claim {claim}"
        for container in spec["containers"]:
            for variable in container.get("env", []):
                if ref := variable.get("valueFrom", {}).get("secretKeyRef"):
                    wanted.append(("Secret", ref["name"], {ref["key"]}))
        for kind, name, items in wanted:
            if (kind, name) not in keys:
                yield f"{title(document)}: there is no {kind} {name}"
            elif missing := items - keys[kind, name]:
                yield f"{title(document)}: {kind} {name} has no {', '.join(sorted(missing))}"
        account = spec.get("serviceAccountName", "default")
        if account != "default" and not any(named(found, "ServiceAccount", account)):
            yield f"{title(document)}: there is no account {account}"


def named(found: list[Document], kind: str, name: str) -> Iterator[Document]:
    return (document for document in of_kind(found, kind) if document["metadata"]["name"] == name)


def selected(found: list[Document]) -> Iterator[str]:
    """What selects pods finds some, and the ports that it names are theirs."""
    for document in of_kind(found, "Deployment", "StatefulSet"):
        labels = document["spec"]["template"]["metadata"]["labels"]
        if not matches(document["spec"]["selector"]["matchLabels"], labels):
            yield f"{title(document)}: its selector does not find its own pods"
        others = [
            other
            for other, pod in pods(found)
            if other is not document
            and matches(document["spec"]["selector"]["matchLabels"], pod["metadata"]["labels"])
        ]
        for other in others:
            yield f"{title(document)}: its selector finds the pods of {title(other)}"
        for spread in document["spec"]["template"]["spec"].get("topologySpreadConstraints", []):
            if not matches(spread["labelSelector"]["matchLabels"], labels):
                yield f"{title(document)}: is spread by others' labels"
    for service in of_kind(found, "Service"):
        ports = ports_of(found, service["spec"]["selector"])
        for port in service["spec"]["ports"]:
            if port["targetPort"] not in ports:
                yield f"{title(service)}: no pod of its has a port {port['targetPort']}"
    for budget in of_kind(found, "PodDisruptionBudget"):
        if not ports_of(found, budget["spec"]["selector"]["matchLabels"]):
            yield f"{title(budget)}: selects no pod"
    for policy in of_kind(found, "NetworkPolicy"):
        own = ports_of(found, policy["spec"]["podSelector"]["matchLabels"])
        for rule in policy["spec"].get("ingress", []):
            for port in rule.get("ports", []):
                if port["port"] not in own:
                    yield f"{title(policy)}: lets in at {port['port']}, which no pod of its has"
        for rule in policy["spec"].get("egress", []):
            for peer in rule.get("to", []):
                peers = ports_of(found, peer.get("podSelector", {}).get("matchLabels", {}))
                for port in rule["ports"]:
                    if port["port"] not in peers:
                        yield f"{title(policy)}: lets out to {port['port']}, which nobody has"
    for ingress in of_kind(found, "Ingress"):
        for rule in ingress["spec"]["rules"]:
            for path in rule["http"]["paths"]:
                to = path["backend"]["service"]
                services = named(found, "Service", to["name"])
                if not any(
                    to["port"]["name"] == port["name"] for it in services for port in it["spec"]["ports"]
                ):
                    yield f"{title(ingress)}: there is no {to['name']}:{to['port']['name']}"


def ports_of(found: list[Document], selector: dict) -> set[str]:
    return {
        port["name"]
        for _, pod in pods(found)
        if selector and matches(selector, pod["metadata"].get("labels", {}))
        for container in pod["spec"]["containers"]
        for port in container.get("ports", [])
    }


def scaled(found: list[Document]) -> Iterator[str]:
    """One decides how many there are, and the database allows it."""
    scalers = of_kind(found, "HorizontalPodAutoscaler")
    targets = {(it["spec"]["scaleTargetRef"]["kind"], it["spec"]["scaleTargetRef"]["name"]) for it in scalers}
    for kind, name in targets - {(it["kind"], it["metadata"]["name"]) for it in found}:
        yield f"an autoscaler scales {kind} {name}, which is not there"
    for document in of_kind(found, "Deployment"):
        is_scaled = (document["kind"], document["metadata"]["name"]) in targets
        if is_scaled and "replicas" in document["spec"]:
            yield f"{title(document)}: its replicas fight the autoscaler"
        if not is_scaled and "replicas" not in document["spec"]:
            yield f"{title(document)}: nobody says how many"
    for scaler in scalers:
        if set(scaler["spec"].get("behavior", {})) != {"scaleUp", "scaleDown"}:
            yield f"{title(scaler)}: goes up and down as it likes"
        for metric in scaler["spec"]["metrics"]:
            if metric["type"] == "Resource" and metric["resource"]["name"] not in ("cpu", "memory"):
                yield f"{title(scaler)}: {metric['resource']['name']} is no resource"


def graceful(found: list[Document]) -> Iterator[str]:
    """The grace period is longer than what a stop takes."""
    for where, document, spec, container in containers(found):
        if container["name"] != "enchufe":
            continue
        volume = next(volume for volume in spec["volumes"] if volume["name"] == "config")
        config = next(named(found, "ConfigMap", volume["configMap"]["name"]))
        bound = re.search(r'^shutdown_timeout = "(\d+)s"$', config["data"]["enchufe.toml"], re.MULTILINE)
        if not bound:
            yield f"{where}: nothing bounds a stop"
            continue
        before = container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
        needed = before + int(bound[1]) + GRACE_FOR_THE_REST
        if spec.get("terminationGracePeriodSeconds", 30) < needed:
            yield f"{where}: is killed before its stop has ended, which takes {needed} s"
        if document["spec"]["strategy"]["type"] != "Recreate" and not before:
            yield f"{where}: still gets connections when it stops"


def watched(found: list[Document]) -> Iterator[str]:
    """Where people come by TLS and probes are made, the certificate is among what they look at."""
    probes = list(of_kind(found, "Probe"))
    for config in of_kind(found, "ConfigMap"):
        public = re.search(r'^public_url = "(https://.*)"$', config["data"].get("enchufe.toml", ""), re.MULTILINE)
        asked = [url for it in probes for url in it["spec"]["targets"]["staticConfig"]["static"]]
        if public and probes and not any(url.startswith(f"{public[1]}/") for url in asked):
            yield f"{title(config)}: nobody watches the certificate of {public[1]}"


def scraped(found: list[Document]) -> Iterator[str]:
    """A monitor finds a Service, with that port, and shows the token."""
    for monitor in of_kind(found, "ServiceMonitor"):
        wanted = monitor["spec"]["selector"]["matchLabels"]
        services = [it for it in of_kind(found, "Service") if matches(wanted, it["metadata"]["labels"])]
        for endpoint in monitor["spec"]["endpoints"]:
            if not any(port["name"] == endpoint["port"] for it in services for port in it["spec"]["ports"]):
                yield f"{title(monitor)}: no Service has a port {endpoint['port']}"
            if endpoint.get("authorization", {}).get("credentials", {}).get("key") != "metrics-token":
                yield f"{title(monitor)}: comes without the token"
            labels = {it["targetLabel"]: it.get("replacement") for it in endpoint.get("relabelings", [])}
            if labels.get("job") != "enchufe" or not labels.get("environment"):
                yield f"{title(monitor)}: the alerts look for job enchufe and an environment, not {labels}"
    for probe in of_kind(found, "Probe"):
        labels = probe["spec"]["targets"]["staticConfig"].get("labels", {})
        if not {"namespace", "environment"} <= labels.keys():
            yield f"{title(probe)}: the alerts look for a namespace and an environment"
        host, _, port = probe["spec"]["prober"]["url"].partition(":")
        services = named(found, "Service", host.split(".")[0])
        own = any(str(it["port"]) == port for service in services for it in service["spec"]["ports"])
        if host.endswith(".svc") and not own:
            yield f"{title(probe)}: there is no prober {host}:{port}"
