"""Images that stand where the real ones would, on a machine that reaches no registry of images.

They are built from Debian's packages, and tagged with the very names that Dockerfile and
docker-compose.yml use. Where an engine has the real image, that is used.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

from tests.delivery.engine import Engine, engine, needs
from tests.delivery.tools import ROOT, fault_of, ran

HERE = Path(__file__).resolve().parent / "standins"
BASE = "enchufe-standin/debian:bookworm"
PACKAGES = "enchufe-standin/packages:bookworm"
RECEIVER = "enchufe-standin/receiver:1"
# The stage of standins/Dockerfile for each repository.
STAGES = {
    "postgres": "postgres",
    "redis": "redis",
    "prometheus": "prometheus",
    "alertmanager": "alertmanager",
    "blackbox-exporter": "blackbox",
    "grafana": "grafana",
    "busybox": "busybox",
}


def log(text: str) -> None:
    print(f"  standins  {text}", flush=True)


@cache
def base() -> str:
    """Debian, as an image."""
    docker = engine()
    if docker.has(BASE):
        return BASE
    needs("debootstrap", program="debootstrap")
    log("unpacking Debian")
    with tempfile.TemporaryDirectory(prefix="enchufe-debian-") as folder:
        root = Path(folder) / "root"
        made = ran(
            [
                "debootstrap", "--variant=minbase", "--include=ca-certificates", "bookworm", root,
                "http://deb.debian.org/debian",
            ]
        )  # fmt: skip
        if fault := fault_of(made):
            raise RuntimeError(f"debootstrap: {fault[-2000:]}")
        # Whom this machine trusts, for the packages that the builds fetch.
        trusted = Path("etc/ssl/certs/ca-certificates.crt")
        shutil.copy2("/" / trusted, root / trusted)
        with subprocess.Popen(["tar", "-C", root, "-c", "."], stdout=subprocess.PIPE) as tar:
            subprocess.run(
                [docker.client, "import", "-", BASE], env=docker.env, stdin=tar.stdout, check=True,
                stdout=subprocess.DEVNULL,
            )  # fmt: skip
    return BASE


@cache
def images_of_compose() -> dict[str, str]:
    """The images that docker-compose.yml names, by the last part of their repository."""
    text = (ROOT / "docker-compose.yml").read_text()
    names = re.findall(r"^    image: (docker\.io/\S+)$", text, re.MULTILINE)
    return {name.split("/")[-1].split(":")[0]: name for name in names}


@cache
def for_compose() -> tuple[str, ...]:
    """Makes a stand-in for each image of docker-compose.yml that this engine lacks, and says which."""
    docker = engine()
    missing = {part: name for part, name in images_of_compose().items() if not docker.has(name)}
    missing |= {"receiver": RECEIVER} if not docker.has(RECEIVER) else {}
    if missing:
        log("building " + ", ".join(missing))
    for part, name in missing.items():
        stage(docker, STAGES.get(part, part), name)
    return tuple(missing.values())


def stage(docker: Engine, target: str, tag: str) -> None:
    built = docker.build(HERE, tag, f"--target={target}", f"--build-arg=BASE={base()}")
    if fault := fault_of(built):
        raise RuntimeError(f"{tag}: {fault[-3000:]}")


@cache
def rust() -> str:
    """The image that Dockerfile builds in: the machine's own toolchain on Debian, under that name."""
    text = (ROOT / "Dockerfile").read_text()
    name = re.search(r"^ARG RUST_IMAGE=(\S+)$", text, re.MULTILINE).group(1)
    docker = engine()
    if docker.has(name):
        return name
    builder = "enchufe-standin/compiler:bookworm"
    stage(docker, "compiler", builder)
    log("copying the Rust toolchain")
    sysroot = Path(ran(["rustc", "--print", "sysroot"]).stdout.strip())
    with tempfile.TemporaryDirectory(prefix="enchufe-rust-") as folder:
        into = Path(folder) / "rust"
        # Without documentation and sources, which are most of it.
        shutil.copytree(
            sysroot, into, symlinks=True, ignore=lambda at, names: {"share", "src", "doc"} & set(names)
        )
        container = docker.must("create", builder, "true")
        try:
            docker.must("cp", f"{into}/.", f"{container}:/usr/local", seconds=300)
            # What this machine has fetched already need not be fetched again.
            registry = Path.home() / ".cargo/registry"
            for part in ("cache", "index"):
                if (registry / part).is_dir():
                    (at := Path(folder) / "registry" / part).parent.mkdir(exist_ok=True)
                    shutil.copytree(registry / part, at)
            if (Path(folder) / "registry").is_dir():
                docker.must("cp", f"{folder}/registry", f"{container}:/usr/local/cargo/", seconds=300)
            docker.must("commit", container, name, seconds=300)
        finally:
            docker("rm", container)
    return name


def labels(name: str) -> dict:
    return json.loads(engine().must("image", "inspect", "--format={{json .Config.Labels}}", name)) or {}
