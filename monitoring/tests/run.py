#!/usr/bin/env python3
"""The checks of monitoring/: all of them, or those named.

    run.py [rules] [notify] [quota] [live] [loop]      with TEST_BINARY=path/to/enchufe for the last three

It prints a line for each thing tried and ends with 0 only if all were as they should be.
"""

from __future__ import annotations

import importlib
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.tools import Tally  # noqa: E402

CHECKS = ("files", "rules", "notify", "quota", "live", "loop")


def main(wanted: list[str]) -> int:
    if unknown := set(wanted) - set(CHECKS):
        print(f"there is no check {', '.join(sorted(unknown))}; there are {', '.join(CHECKS)}")
        return 2
    tally = Tally()
    for name in CHECKS:
        if wanted and name not in wanted:
            continue
        started = time.monotonic()
        print(f"\n-- {name}", flush=True)
        try:
            importlib.import_module(f"tests.{name}_test").run(tally)
        except Exception as error:  # noqa: BLE001
            # One check that cannot go on must not hide what the others find.
            tally.check(name, f"{type(error).__name__}: {error}")
        print(f"   {time.monotonic() - started:.0f} s", flush=True)
    print(f"\n{tally.passed} passed, {tally.failed} failed")
    return 1 if tally.failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
