"""A machine in a container: systemd is its first process, and ssh comes in through a side door.

It is made of the distribution's packages, as new as they are, of the same release as the machine the
checks run on (whose glibc the service's program may want). All packages that the playbook installs are
fetched while it is made; after that it has no network but its own loopback.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.delivery.tools import ROOT, ran

CACHE = ROOT / ".testenv/delivery-server"
CGROUPS = Path("/sys/fs/cgroup")
# What the checks themselves call, and the package each comes in.
PROGRAMS = {
    "mmdebstrap": "mmdebstrap",
    "systemd-nspawn": "systemd-container",
    "gpg": "gnupg",
    "ssh": "openssh-client",
    "nsenter": "util-linux",
    "dpkg-deb": "dpkg",
}
# What a server has that somebody rents, as far as it matters here.
BASE = "systemd,systemd-sysv,dbus,openssh-server,python3,python3-apt,sudo,ca-certificates,iproute2,curl"
# What the playbook installs, kept in the machine for later.
LATER = {
    "debian": ["docker.io", "caddy", "git"],
    "ubuntu": ["docker.io", "docker-compose-v2", "caddy", "git"],
}
ICU = {"bookworm": "libicu72", "trixie": "libicu76", "noble": "libicu74"}
# Where they lie there.
PACKAGES = "srv/packages"
BOOT_SECONDS = 60
STOP_SECONDS = 60


@dataclass
class Machine:
    """A machine that runs."""

    root: Path
    pid: int
    key: Path
    known_hosts: Path

    def inside(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Runs a program there as root."""
        return ran(["nsenter", f"--target={self.pid}", "--all", "--root", "--wd", *command])

    def inventory(self) -> str:
        """What Ansible must know to come in: an ordinary person with sudo, over ssh."""
        door = f"nsenter --target={self.pid} --all --root --wd /usr/sbin/sshd -i"
        options = f'-o ProxyCommand="{door}" -o UserKnownHostsFile={self.known_hosts}'
        return (
            "enchufe_servers:\n  hosts:\n    charging-1:\n"
            "      ansible_host: charging-1\n      ansible_user: admin\n"
            f"      ansible_ssh_private_key_file: {self.key}\n"
            f"      ansible_ssh_common_args: '{options}'\n"
        )


def install_programs() -> None:
    """On Debian as root what is missing is installed; elsewhere it is named."""
    missing = sorted({package for name, package in PROGRAMS.items() if not shutil.which(name)})
    if not missing:
        return
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise RuntimeError(f"install {', '.join(missing)}")
    command = ["apt-get", "install", "--quiet", "--yes", "--no-install-recommends", *missing]
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    if ran(command, env=env).returncode != 0:
        ran(["apt-get", "update"])
        done = ran(command, env=env)
        if done.returncode != 0:
            raise RuntimeError(f"cannot install {', '.join(missing)}:\n{done.stdout}")


def image() -> Path:
    """The machine as it is when new, as an archive; made once."""
    release = platform.freedesktop_os_release()
    name, suite = release["ID"], release["VERSION_CODENAME"]
    if name not in LATER:
        raise RuntimeError("the playbook is tried on a Debian or Ubuntu of the same release as here")
    later = [*LATER[name], *filter(None, [ICU.get(suite)])]
    components = "main,universe" if name == "ubuntu" else "main"
    command = [
        "mmdebstrap",
        "--variant=minbase",
        f"--include={BASE}",
        f"--components={components}",
        "--dpkgopt=force-unsafe-io",
        '--customize-hook=chroot "$1" apt-get install --yes --download-only'
        f" --no-install-recommends {' '.join(later)}",
        f'--customize-hook=mkdir -p "$1/{PACKAGES}"; cp "$1"/var/cache/apt/archives/*.deb'
        f' "$1/{PACKAGES}"',
        suite,
    ]
    made = CACHE / f"{suite}-{hashlib.sha256(repr(command).encode()).hexdigest()[:12]}.tar"
    if not made.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        half = made.with_suffix(".half.tar")
        half.unlink(missing_ok=True)
        done = ran([*command, half])
        if done.returncode != 0:
            raise RuntimeError(f"cannot make the machine:\n{done.stdout[-4000:]}")
        half.rename(made)
    return made


@contextmanager
def machine() -> Iterator[Machine]:
    """A new machine, booted; gone afterwards."""
    if os.geteuid() != 0:
        raise RuntimeError("a machine in a container needs root")
    install_programs()
    archive = image()
    with tempfile.TemporaryDirectory(dir=CACHE) as folder:
        home = Path(folder)
        root = home / "root"
        root.mkdir()
        extracted = ran(["tar", "--extract", "--numeric-owner", "--file", archive], cwd=root)
        if extracted.returncode != 0:
            raise RuntimeError(extracted.stdout)
        key, known_hosts = prepare(home, root)
        with cgroup() as group:
            process = boot(root, group, home / "console.log")
            try:
                pid = first_process(process, home / "console.log")
                server = Machine(root, pid, key, known_hosts)
                # As on any server that has run for a day.
                server.inside("apt-get", "update")
                yield server
            finally:
                stop(process)


def prepare(home: Path, root: Path) -> tuple[Path, Path]:
    """Somebody who may come in, and packages to install from."""
    key = home / "key"
    ran(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key])
    ran(["chroot", root, "useradd", "--create-home", "--shell", "/bin/bash", "admin"])
    door = root / "home/admin/.ssh/authorized_keys"
    door.parent.mkdir(mode=0o700)
    door.write_text(key.with_suffix(".pub").read_text())
    ran(["chroot", root, "chown", "--recursive", "admin:admin", "/home/admin/.ssh"])
    (root / "etc/sudoers.d/admin").write_text("admin ALL=(ALL) NOPASSWD: ALL\n")
    host_key = (root / "etc/ssh/ssh_host_ed25519_key.pub").read_text()
    known_hosts = home / "known_hosts"
    known_hosts.write_text(f"charging-1 {host_key}")
    (root / "etc/hostname").write_text("charging-1\n")
    (root / "etc/hosts").write_text("127.0.0.1 localhost charging-1\n::1 localhost\n")
    (root / "etc/resolv.conf").write_text("")
    index(root / PACKAGES)
    (root / "etc/apt/sources.list").write_text(f"deb [trusted=yes] file:/{PACKAGES} ./\n")
    for file in (root / "etc/apt/sources.list.d").glob("*"):
        file.unlink()
    return key, known_hosts


def index(folder: Path) -> None:
    """What apt must know of a folder of packages."""
    entries = []
    for package in sorted(folder.rglob("*.deb")):
        about = ran(["dpkg-deb", "--field", package]).stdout.rstrip("\n")
        content = package.read_bytes()
        entries.append(
            f"{about}\nFilename: ./{package.relative_to(folder)}\nSize: {len(content)}\n"
            f"SHA256: {hashlib.sha256(content).hexdigest()}\n"
        )
    (folder / "Packages").write_text("\n".join(entries))


@contextmanager
def cgroup() -> Iterator[list[Path]]:
    """A control group of the machine's own, where no systemd here gives it one."""
    if Path("/run/systemd/system").is_dir():
        yield []
        return
    parents = [CGROUPS / "systemd", CGROUPS / "unified", CGROUPS]
    groups = [
        parent / f"enchufe-machine-{os.getpid()}"
        for parent in parents
        if (parent / "cgroup.procs").is_file()
    ]
    for group in groups:
        group.mkdir(exist_ok=True)
    try:
        yield groups
    finally:
        for group in groups:
            for inner in sorted(group.rglob("*"), reverse=True):
                if inner.is_dir():
                    with suppress(OSError):
                        inner.rmdir()
            with suppress(OSError):
                group.rmdir()


def boot(root: Path, groups: Sequence[Path], log: Path) -> subprocess.Popen[bytes]:
    def enter() -> None:
        for group in groups:
            (group / "cgroup.procs").write_text(str(os.getpid()))

    command = ["systemd-nspawn", "--quiet", "--boot", "--register=no", "--private-network"]
    command += ["--machine=charging-1", "--resolv-conf=off", "--timezone=off", "--link-journal=no"]
    command += ["--console=read-only", f"--directory={root}"]
    if groups:
        command.append("--keep-unit")
    with log.open("wb") as file:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            preexec_fn=enter,
            start_new_session=True,
        )


def first_process(process: subprocess.Popen[bytes], log: Path) -> int:
    """The machine's process 1, once it has booted."""
    deadline = time.monotonic() + BOOT_SECONDS
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    while time.monotonic() < deadline and process.poll() is None:
        with suppress(OSError, IndexError, ValueError):
            pid = int(children.read_text().split()[0])
            enter = ["nsenter", f"--target={pid}", "--all", "--root", "--wd"]
            state = ran([*enter, "systemctl", "is-system-running"]).stdout.strip()
            if state in ("running", "degraded"):
                return pid
        time.sleep(0.5)
    said = log.read_text(errors="replace")[-3000:]
    stop(process)
    raise RuntimeError(f"the machine does not boot:\n{said}")


def stop(process: subprocess.Popen[bytes]) -> None:
    """Shuts it down; pulls the plug when that takes too long."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
