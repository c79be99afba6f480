"""What the checks of delivery share: where things are, how a program is run, how a subject is broken."""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from monitoring.tests.tools import Tally, run_checks

__all__ = ["ROOT", "Tally", "broken", "fault_of", "free_port", "ran", "run_checks"]

ROOT = Path(__file__).resolve().parent.parent.parent
# No program called here takes longer; one that does hangs.
LIMIT_SECONDS = 600


def ran(
    command: Sequence[str | Path], cwd: Path = ROOT, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Runs a program to its end and keeps what it said, both streams in one."""
    return subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=env,
        text=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=LIMIT_SECONDS,
        check=False,
    )


def fault_of(result: subprocess.CompletedProcess[str]) -> str | None:
    """What a program that failed said, or nothing when it did not fail."""
    if result.returncode == 0:
        return None
    return f"ended with {result.returncode}\n{result.stdout.strip()}"


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@contextmanager
def broken(path: str, old: str, new: str, *, beside: Sequence[str] = ()) -> Iterator[Path]:
    """A copy of the tree's part that holds `path`, in which `old` has become `new`.

    For the proof that a check notices: it must fail in the folder that this gives. `beside` names
    further files or folders that the check reads.
    """
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        for part in {Path(path).parts[0], *beside}:
            source = ROOT / part
            target = copy / part
            target.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, target, symlinks=True)
            else:
                shutil.copy2(source, target)
        text = (copy / path).read_text()
        if old not in text:
            raise RuntimeError(f"{path} no longer holds {old!r}: break something else")
        (copy / path).write_text(text.replace(old, new, 1))
        yield copy
