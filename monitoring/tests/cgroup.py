"""A cgroup with a CPU and a memory limit, as a container would have: version 1 or 2, whichever this
machine has and lets us use."""

from __future__ import annotations

import os
from contextlib import contextmanager
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
# One period of the scheduler, in microseconds: the kernel's own default.
PERIOD = 100_000
# A hundred times the weight of others on a machine that is busy, so that what is tried is the limit
# and not the neighbours. The limit bounds what that takes from them.
SHARES, WEIGHT = 100 * 1024, 100 * 100


@contextmanager
def limited(name: str, cores: float, memory: int):
    """Gives the words that put a command into the cgroup, or None where no cgroup can be made."""
    made: list[Path] = []
    try:
        try:
            made = make(name, cores, memory)
        except OSError:
            yield None
            return
        into = " && ".join(f"echo $$ > {path}/cgroup.procs" for path in made)
        yield ["sh", "-c", f'{into} && exec "$@"', "sh"]
    finally:
        for path in made:
            try:
                path.rmdir()
            except OSError:
                # A process is still ending in it; it is empty soon, and costs nothing.
                pass


def make(name: str, cores: float, memory: int) -> list[Path]:
    quota = int(cores * PERIOD)
    name = f"{name}-{os.getpid()}"
    if (ROOT / "cgroup.controllers").is_file():
        path = ROOT / name
        path.mkdir()
        (path / "cpu.max").write_text(f"{quota} {PERIOD}")
        (path / "cpu.weight").write_text(str(WEIGHT))
        (path / "memory.max").write_text(str(memory))
        return [path]
    # Version 1 may have each controller in a tree of its own, or two in one.
    settings = {
        "cpu": {"cpu.cfs_period_us": PERIOD, "cpu.cfs_quota_us": quota, "cpu.shares": SHARES},
        "cpuacct": {},
        "memory": {"memory.limit_in_bytes": memory},
    }
    made = []
    for controller, values in settings.items():
        path = ROOT / controller / name
        if not path.is_dir():
            path.mkdir()
            made.append(path)
        for file, value in values.items():
            (path / file).write_text(str(value))
    return made
