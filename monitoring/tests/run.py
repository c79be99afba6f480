#!/usr/bin/env python3
"""The checks of monitoring/: all of them, or those named.

    run.py [rules] [notify] [quota] [live] [loop]      with TEST_BINARY=path/to/enchufe for the last three

It prints a line for each thing tried and ends with 0 only if all were as they should be.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.tools import run_checks  # noqa: E402

CHECKS = ("files", "rules", "notify", "quota", "live", "loop")


if __name__ == "__main__":
    sys.exit(run_checks("tests", CHECKS, sys.argv[1:]))
