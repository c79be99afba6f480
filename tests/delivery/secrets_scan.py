"""Looks for secrets with Kingfisher: in every commit of a repository, and in every layer of an image.

A secret that was committed stays one after it is removed, since everybody who has the repository has
it. It must be revoked where it is valid; after that it can be listed below.
"""

from __future__ import annotations

import io
import json
import re
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.delivery.actions.runner import BIN
from tests.delivery.engine import Engine
from tests.delivery.tools import ran

# Beside the rules that come with it, those for tokens of our own.
RULES = Path(__file__).resolve().parent / "secrets.yml"
# How it ends when it found something.
FOUND = 200

# What looks like a secret and is none: file, text, and why it is none.
NO_SECRETS = {
    ("crates/server/src/config/sources/tests.rs", "hunter2"): "a test's, for a database that is nowhere",
    ("crates/server/src/config/sources/tests.rs", "pa55word"): "likewise",
    ("crates/server/src/config/values.rs", "hunter2"): "likewise",
    ("crates/store/src/lib.rs", "PASSWORD"): "the word itself, in the shape of an address",
    ("docs/kubernetes.md", "password"): "likewise",
    ("usr/local/bin/enchufe", "PASSWORD"): "likewise, in a help text",
    (
        "tests/delivery/golden/chart/all-on.yaml",
        "admin-token: bm90LWEtc2VjcmV0LWFkbWluLXRva2Vu",
    ): "not-a-secret-admin-token, as a Secret writes it",
}


def found_in(folder: Path, *, history: bool = True) -> set[tuple[str, str]]:
    """Each finding's file and text, in a repository's files and commits or in a folder's files."""
    report = folder.parent / f"{folder.name}.json"
    # It asks nobody whether a secret is valid, nor whether there is a newer Kingfisher.
    offline = ["--no-validate", "--no-update-check", "--rule-cache-dir", folder.parent / "rules"]
    shape = ["--no-dedup", "--rules-path", RULES, "--confidence", "low", "--format", "json", "--output", report]
    done = ran(
        [BIN / "kingfisher", "scan", folder, "--git-history", "full" if history else "none", *offline, *shape]
    )
    if done.returncode not in (0, FOUND):
        raise RuntimeError(f"kingfisher ended with {done.returncode}: {done.stdout}")
    scan = json.loads(report.read_text())
    findings = set()
    for entry in scan["findings"]:
        finding = entry["finding"]
        path = (finding.get("git_metadata") or {}).get("file", {}).get("path") or finding["path"]
        findings.add((path.removeprefix(f"{folder}/").removeprefix("./"), finding["snippet"]))
    if bool(findings) != (done.returncode == FOUND):
        raise RuntimeError(f"kingfisher ended with {done.returncode} and {len(findings)} findings")
    return findings


def fault_in(findings: set[tuple[str, str]]) -> str | None:
    """Names files, and of the texts only the beginning: this is written to logs."""
    new = findings - set(NO_SECRETS)
    told = "\n".join(f"{path} holds {text[:4]}…" for path, text in sorted(new))
    return f"{told}\nIf it is one, revoke it. If it is none, say so in NO_SECRETS." if told else None


def image_fault(docker: Engine, image: str) -> str | None:
    """Each file of each layer, those that an upper layer hides included, and the image's own words."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "image"
        for number, (path, content) in enumerate(files_of(docker, image)):
            file = folder / str(number) / path.removeprefix("./")
            file.parent.mkdir(parents=True)
            # Of a program, what can be read in it.
            text = content if is_text(content) else b"\n".join(re.findall(rb"[ -~]{16,}", content))
            file.write_bytes(text)
        config = json.dumps(docker.inspect(image)) + "\n" + docker.must("history", "--no-trunc", image)
        (folder / "configuration").write_text(config)
        found = found_in(folder, history=False)
    return fault_in({(re.sub(r"^\d+/", "", path), text) for path, text in found})


def is_text(content: bytes) -> bool:
    return b"\0" not in content[:8192]


def layers_of(docker: Engine, image: str) -> Iterator[tarfile.TarFile]:
    saved = subprocess.run(
        [docker.client, "save", image], env=docker.env, capture_output=True, check=True
    ).stdout
    with tarfile.open(fileobj=io.BytesIO(saved)) as whole:
        manifest = json.load(whole.extractfile("manifest.json"))
        for layer in manifest[0]["Layers"]:
            with tarfile.open(fileobj=whole.extractfile(layer)) as tar:
                yield tar


def files_of(docker: Engine, image: str) -> Iterator[tuple[str, bytes]]:
    for tar in layers_of(docker, image):
        for member in tar:
            if member.isfile():
                yield member.name, tar.extractfile(member).read()


def paths_of(docker: Engine, image: str) -> list[str]:
    """What is in an image, files and folders."""
    return [member.name.removeprefix("./") for tar in layers_of(docker, image) for member in tar]
