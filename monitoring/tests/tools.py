"""The programs the checks run, and how they say what they found."""

from __future__ import annotations

import importlib
import os
import shutil
import subprocess
import time
from collections.abc import Sequence
from functools import cache
from pathlib import Path

HOME = Path(__file__).resolve().parent.parent
PROGRAMS = HOME.parent / ".testenv/monitoring-programs"

# Each program, and the Debian package it comes in.
PACKAGES = {
    "prometheus": "prometheus",
    "promtool": "prometheus",
    "prometheus-alertmanager": "prometheus-alertmanager",
    "amtool": "prometheus-alertmanager",
    "prometheus-blackbox-exporter": "prometheus-blackbox-exporter",
    "openssl": "openssl",
}
# Alertmanager reads its own templates from here, and no option says otherwise.
TEMPLATES = "usr/share/prometheus/alertmanager"
# As those call them who do not package for Debian.
OTHER_NAMES = {
    "prometheus-alertmanager": "alertmanager",
    "prometheus-blackbox-exporter": "blackbox_exporter",
}


@cache
def program(name: str) -> str:
    """Where a program is: installed, or unpacked beside the other test services.

    Debian's packages start a service when they are installed. Unpacking them runs nothing.
    """
    for known in (name, OTHER_NAMES.get(name)):
        if known and (found := shutil.which(known)):
            return found
    unpacked = PROGRAMS / "usr/bin" / name
    if not unpacked.is_file():
        unpack(PACKAGES[name])
    if name == "prometheus-alertmanager":
        lay_out(TEMPLATES)
    return str(unpacked)


def lay_out(folder: str) -> None:
    """Puts a package's files where its program looks for them, unless they are there."""
    target, source = Path("/") / folder, PROGRAMS / folder
    if target.exists():
        return
    try:
        shutil.copytree(source, target)
    except OSError as error:
        raise SystemExit(f"the checks need {target}: be root, or install the package ({error})") from error


def unpack(package: str) -> None:
    if not shutil.which("apt-get"):
        raise SystemExit(f"the checks need {package}, which this machine lacks")
    print(f"  packages  unpacking {package}")
    PROGRAMS.mkdir(parents=True, exist_ok=True)
    download = ["apt-get", "-q", "download", package]
    got = subprocess.run(download, cwd=PROGRAMS, capture_output=True, text=True, check=False)
    if got.returncode != 0:
        # The lists of packages are old or were never fetched.
        subprocess.run(["apt-get", "-q", "update"], check=True, stdout=subprocess.DEVNULL)
        subprocess.run(download, cwd=PROGRAMS, check=True, stdout=subprocess.DEVNULL)
    for file in PROGRAMS.glob(f"{package}_*.deb"):
        subprocess.run(["dpkg-deb", "-x", str(file), str(PROGRAMS)], check=True)
        file.unlink()


def server_binary() -> str:
    """The service to try."""
    if binary := os.environ.get("TEST_BINARY"):
        return os.path.abspath(binary)
    raise RuntimeError("TEST_BINARY names no enchufe to try; `make monitoring` builds one and does")


class Tally:
    """Says `ok - …` or `not ok - …` for each thing tried, and remembers."""

    def __init__(self) -> None:
        self.passed = self.failed = 0

    def check(self, name: str, fault: str | None = None) -> bool:
        """Something was tried; `fault` says what is wrong with it."""
        if fault:
            self.failed += 1
            print(f"not ok - {name}: {fault}", flush=True)
        else:
            self.passed += 1
            print(f"ok - {name}", flush=True)
        return not fault


def run_checks(package: str, checks: Sequence[str], wanted: Sequence[str]) -> int:
    """Runs `run(tally)` of each `<name>_test` in a package, or of those wanted; gives the exit code."""
    if unknown := set(wanted) - set(checks):
        print(f"there is no check {', '.join(sorted(unknown))}; there are {', '.join(checks)}")
        return 2
    tally = Tally()
    for name in checks:
        if wanted and name not in wanted:
            continue
        started = time.monotonic()
        print(f"\n-- {name}", flush=True)
        try:
            importlib.import_module(f"{package}.{name}_test").run(tally)
        except Exception as error:  # noqa: BLE001
            # One check that cannot go on must not hide what the others find.
            tally.check(name, f"{type(error).__name__}: {error}")
        print(f"   {time.monotonic() - started:.0f} s", flush=True)
    print(f"\n{tally.passed} passed, {tally.failed} failed")
    return 1 if tally.failed or not tally.passed else 0
