"""What the machine's small internet has: stand-ins for what the playbook downloads, with their sums.

The programs are shell scripts that answer for their version. What is tried with them is how they are
got: addresses, checksums, signatures, folders, links; not the programs themselves.
"""

from __future__ import annotations

import hashlib
import io
import platform
import shutil
import tarfile
from pathlib import Path

from tests.delivery.server.machine import Machine, index
from tests.delivery.tools import ran

PORT = 18590
URL = f"http://127.0.0.1:{PORT}"
FOLDER = "srv/mirror"
KUBECTL, HELM = "v1.35.9", "v3.22.0"
MACHINE = platform.machine()
ARCHITECTURE = {"x86_64": "amd64", "aarch64": "arm64"}[MACHINE]

# Docker's packages by name. The client writes down what it is asked; the daemon only waits.
DOCKER_PACKAGES = (
    "docker-ce",
    "docker-ce-cli",
    "containerd.io",
    "docker-buildx-plugin",
    "docker-compose-plugin",
)
DOCKER = """\
#!/bin/sh
echo "$PWD: $*" >> /var/log/docker-asked
[ "$1 $2" != "compose version" ] || echo "Docker Compose version v2.40.0"
"""
DOCKER_SERVICE = """\
[Service]
ExecStart=/usr/bin/sleep infinity
[Install]
WantedBy=multi-user.target
"""
# As GitHub's: it remembers whom it was made known to, and refuses to be made known twice.
CONFIG = """\
#!/bin/sh
[ ! -e .runner ] || { echo "already configured"; exit 1; }
[ -n "$ACTIONS_RUNNER_INPUT_TOKEN" ] || { echo "no token"; exit 1; }
echo "$*" > .runner
"""
SERVER = f"""\
[Service]
ExecStart=/usr/bin/python3 -m http.server --bind 127.0.0.1 --directory /{FOLDER} {PORT}
"""


def serve(machine: Machine, binary: Path, versions: tuple[str, ...]) -> dict[str, object]:
    """Fills and starts the mirror, and gives the variables that lead to it."""
    folder = machine.root / FOLDER
    folder.mkdir(parents=True)
    docker_key = docker(folder / "docker", machine)
    kubernetes(folder)
    runner = runner_archive(folder)
    for version in versions:
        release(folder / f"releases/v{version}", version, binary)
    unit = machine.root / "etc/systemd/system/mirror.service"
    unit.write_text(SERVER)
    machine.inside("systemctl", "daemon-reload")
    machine.inside("systemctl", "start", "mirror.service")
    base = f"linux/{ARCHITECTURE}"
    return {
        "docker_apt_url": f"{URL}/docker",
        "docker_apt_key_checksum": f"sha256:{docker_key}",
        "kubernetes_tools_kubectl_url": f"{URL}/kubectl/{KUBECTL}/bin/{base}/kubectl",
        "kubernetes_tools_helm_url": f"{URL}/helm-{HELM}-linux-{ARCHITECTURE}.tar.gz",
        "github_runner_archive_url": f"{URL}/runner.tar.gz",
        "github_runner_archive_checksum": f"sha256:{runner}",
    }


def archive_url(version: str) -> str:
    return f"{URL}/releases/v{version}/enchufe-{version}-{MACHINE}-linux.tar.gz"


def docker(folder: Path, machine: Machine) -> str:
    """A signed repository, as Docker's is laid out; the sum of its key."""
    pool = folder / "pool"
    pool.mkdir(parents=True)
    for name in DOCKER_PACKAGES:
        package(pool, name)
    index(folder)
    suite = platform.freedesktop_os_release()["VERSION_CODENAME"]
    place = folder / f"dists/{suite}/stable/binary-{ARCHITECTURE}"
    place.mkdir(parents=True)
    shutil.move(folder / "Packages", place / "Packages")
    content = (place / "Packages").read_bytes()
    sums = f" {hashlib.sha256(content).hexdigest()} {len(content)} stable/binary-{ARCHITECTURE}/Packages"
    release_file = folder / f"dists/{suite}/Release"
    release_file.write_text(
        f"Origin: Docker\nSuite: {suite}\nCodename: {suite}\nComponents: stable\n"
        f"Architectures: {ARCHITECTURE}\nSHA256:\n{sums}\n"
    )
    home = machine.root.parent / "gnupg"
    home.mkdir(mode=0o700)
    gpg = ["gpg", "--homedir", home, "--batch", "--yes", "--quiet", "--passphrase", ""]
    ran([*gpg, "--quick-generate-key", "Tests <tests@example.org>", "ed25519", "sign", "1d"])
    ran([*gpg, "--armor", "--output", folder / "gpg", "--export"])
    ran([*gpg, "--clearsign", "--output", release_file.with_name("InRelease"), release_file])
    ran(["gpgconf", "--homedir", home, "--kill", "all"])
    return hashlib.sha256((folder / "gpg").read_bytes()).hexdigest()


def package(pool: Path, name: str) -> None:
    tree = pool / name
    (tree / "DEBIAN").mkdir(parents=True)
    (tree / "DEBIAN/control").write_text(
        f"Package: {name}\nVersion: 5:99.0.0-1\nArchitecture: {ARCHITECTURE}\n"
        "Maintainer: Tests <tests@example.org>\nDescription: A stand-in\n"
    )
    if name == "docker-ce":
        unit = tree / "lib/systemd/system/docker.service"
        unit.parent.mkdir(parents=True)
        unit.write_text(DOCKER_SERVICE)
        group = tree / "DEBIAN/postinst"
        group.write_text("#!/bin/sh\ngroupadd --force --system docker\n")
        group.chmod(0o755)
    if name == "docker-ce-cli":
        program = tree / "usr/bin/docker"
        program.parent.mkdir(parents=True)
        program.write_text(DOCKER)
        program.chmod(0o755)
    ran(["dpkg-deb", "--build", "--root-owner-group", tree, pool])
    shutil.rmtree(tree)


def kubernetes(folder: Path) -> None:
    kubectl = folder / f"kubectl/{KUBECTL}/bin/linux/{ARCHITECTURE}/kubectl"
    kubectl.parent.mkdir(parents=True)
    kubectl.write_text(f'#!/bin/sh\necho "Client Version: {KUBECTL}"\n')
    # The one is a sum alone, the other a line of a list: as they really are.
    kubectl.with_suffix(".sha256").write_text(sum_of(kubectl))
    helm = folder / f"helm-{HELM}-linux-{ARCHITECTURE}.tar.gz"
    said = f'#!/bin/sh\necho "{HELM}+g0000000"\n'
    pack(helm, {f"linux-{ARCHITECTURE}/helm": said.encode(), f"linux-{ARCHITECTURE}/LICENSE": b""})
    helm.with_name(f"{helm.name}.sha256sum").write_text(f"{sum_of(helm)}  {helm.name}\n")


def runner_archive(folder: Path) -> str:
    archive = folder / "runner.tar.gz"
    wait = "#!/bin/sh\nexec sleep infinity\n"
    pack(archive, {"config.sh": CONFIG.encode(), "run.sh": wait.encode()})
    return sum_of(archive)


def release(folder: Path, version: str, binary: Path) -> None:
    """A release as the pipeline publishes it."""
    folder.mkdir(parents=True)
    name = f"enchufe-{version}-{MACHINE}-linux"
    archive = folder / f"{name}.tar.gz"
    pack(archive, {f"{name}/enchufe": binary.read_bytes(), f"{name}/LICENSE": b""})
    (folder / "SHA256SUMS").write_text(f"{sum_of(archive)}  {archive.name}\n")


def pack(archive: Path, files: dict[str, bytes]) -> None:
    with tarfile.open(archive, "w:gz", compresslevel=1) as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content), 0o755
            tar.addfile(member, io.BytesIO(content))


def sum_of(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
