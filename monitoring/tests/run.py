#!/usr/bin/env python3
"""Every check of monitoring/, or those named: `run.py [rules …]`."""
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests import rules_test
from tests.tools import Tally

t=Tally()
s=time.time()
rules_test.run(t)
print(t.passed,t.failed,time.time()-s)
