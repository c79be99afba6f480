#!/usr/bin/env python3
"""The checks of what takes the service into production: all of them, or those named.

    run.py [chart] [compose] …      TEST_BINARY=path/to/enchufe for those that run the service

A check is a file `<name>_test.py` beside this one, with a function `run(tally)`. It prints a line
for each thing tried; the end is 0 only if all were as they should be.
"""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent.parent))

from tests.delivery.tools import run_checks  # noqa: E402

CHECKS = tuple(sorted(file.name.removesuffix("_test.py") for file in HERE.glob("*_test.py")))


if __name__ == "__main__":
    sys.exit(run_checks("tests.delivery", CHECKS, sys.argv[1:]))
