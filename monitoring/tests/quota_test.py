"""A drill under narrow limits: the container comes to them and no further, and the service goes on
answering. What it was like stands in docs/monitoring.md; here it must be no worse than a probe
bears."""

from __future__ import annotations

import re
import tempfile
import time
from pathlib import Path

from tests.cgroup import limited
from tests.services import Enchufe, get, until
from tests.tools import Tally, server_binary

CORES, MEMORY = 0.2, 256 * 2**20
# Long enough for a 99th percentile.
SECONDS, EVERY, ROUNDS = 20, 0.02, 4
# A probe of Kubernetes waits a second, and so does ours.
PROBE = 1.0


def run(tally: Tally) -> None:
    binary = server_binary()
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        with limited("enchufe-quota", CORES, MEMORY) as wrapper:
            if wrapper is None:
                print("# no cgroup can be made here: nothing can be said about limits")
                return
            with Enchufe(binary, scratch, "--drills", wrapper=wrapper) as enchufe:
                processor(enchufe, tally)
                memory(enchufe, tally)


def processor(enchufe: Enchufe, tally: Tally) -> None:
    """Where the machine is busy with something else, the container does not get what its limit
    allows; so it is tried again."""
    for _ in range(ROUNDS):
        before = measured(enchufe)
        drill = enchufe.request("POST", "/api/v1/drills", {"cpu": 0.95, "duration": "10m"})[1]
        # Until it is under way.
        time.sleep(2)
        during = measured(enchufe)
        status, _ = enchufe.request("DELETE", f"/api/v1/drills/{drill['id']}")
        for name, it in (("idle", before), ("in a drill of 0.95", during)):
            print(
                f"# {CORES} cores, {name}: CPU {it['usage']:.0%} of the limit, throttled in {it['throttled']:.0%} "
                f"of the periods, /health p50 {it['p50'] * 1000:.1f} ms, p90 {it['p90'] * 1000:.1f} ms, "
                f"p99 {it['p99'] * 1000:.1f} ms, at most {it['most'] * 1000:.0f} ms of {it['calls']} calls",
                flush=True,
            )
        if 0.9 <= during["usage"]:
            break
    tally.check("the drill can be aborted under its own load", None if status == 204 else f"{status}")
    tally.check(
        "the container comes to its limit and is held up there",
        None
        if 0.9 <= during["usage"] <= 1.01 and during["throttled"] >= 0.1
        else f"{during['usage']:.2f} of the limit, throttled {during['throttled']:.2f}",
    )
    tally.check(
        "/health is answered within a probe's patience",
        None if during["p99"] < PROBE and not during["failed"] else f"{during}",
    )


def measured(enchufe: Enchufe) -> dict:
    """What `/health` and the kernel say over some seconds."""
    begun, first = time.monotonic(), cgroup(enchufe)
    took, failed = [], 0
    while time.monotonic() - begun < SECONDS:
        asked = time.monotonic()
        try:
            failed += get(f"{enchufe.url}/health", timeout=5 * PROBE)[0] != 200
        except OSError:
            failed += 1
        took.append(time.monotonic() - asked)
        time.sleep(EVERY)
    last, seconds = cgroup(enchufe), time.monotonic() - begun
    took.sort()
    periods = max(last["cpu_periods_total"] - first["cpu_periods_total"], 1)
    throttled = last["cpu_throttled_periods_total"] - first["cpu_throttled_periods_total"]
    used = last["cpu_usage_seconds_total"] - first["cpu_usage_seconds_total"]
    return {
        "usage": used / seconds / last["cpu_limit_cores"],
        "throttled": throttled / periods,
        **{f"p{it}": took[len(took) * it // 100] for it in (50, 90, 99)},
        "most": took[-1],
        "calls": len(took),
        "failed": failed,
    }


def memory(enchufe: Enchufe, tally: Tally) -> None:
    used = lambda: cgroup(enchufe)["memory_working_set_bytes"]  # noqa: E731
    limit, before = cgroup(enchufe)["memory_limit_bytes"], used()
    drill = enchufe.request("POST", "/api/v1/drills", {"memory": 0.9, "duration": "10m"})[1]
    try:
        until("nine tenths of the memory are used", lambda: used() >= 0.9 * limit)
        # It stays there, and the process lives.
        time.sleep(3)
        full = used()
        fault = None if 0.9 * limit <= full <= 0.98 * limit else f"{full / limit:.2f} of the limit"
    except TimeoutError as error:
        fault = f"{error}: {used() / limit:.2f}"
    tally.check("the container's memory is filled to nine tenths of the limit", fault)
    enchufe.request("DELETE", f"/api/v1/drills/{drill['id']}")
    left = used() - before
    tally.check(
        "all of it is given back", None if left < 0.1 * limit else f"{left / 2**20:.0f} MiB are left"
    )


def cgroup(enchufe: Enchufe) -> dict[str, float]:
    """What the service exports of its cgroup."""
    found = re.findall(r"^enchufe_cgroup_(\w+) (\S+)$", enchufe.metrics(), re.MULTILINE)
    return {name: float(value) for name, value in found}
