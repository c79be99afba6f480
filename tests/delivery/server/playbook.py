"""The playbook, run as a person runs it, and what it said."""

from __future__ import annotations

import json
import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.delivery.server.machine import Machine
from tests.delivery.tools import ran

BIN = Path(sys.executable).parent
RECAP = re.compile(r"^charging-1 +: ok=(\d+) +changed=(\d+) +unreachable=(\d+) +failed=(\d+)", re.M)
TASK = re.compile(r"^(?:TASK|RUNNING HANDLER) \[(.*?)\]", re.MULTILINE)


@dataclass
class Outcome:
    """How a run ended."""

    code: int
    said: str

    @property
    def changed(self) -> int:
        found = RECAP.search(self.said)
        return int(found[2]) if found else -1

    def fault(self) -> str | None:
        """What went wrong, or nothing."""
        if self.code == 0 and self.changed >= 0:
            return None
        return f"ended with {self.code}\n{self.said[-4000:]}"

    def fault_unless_unchanged(self) -> str | None:
        """What went wrong or was changed, or nothing."""
        if self.fault() or self.changed == 0:
            return self.fault()
        return f"{self.changed} changed: {', '.join(self.changed_tasks())}"

    def changed_tasks(self) -> list[str]:
        parts = TASK.split(self.said)
        return [name for name, text in zip(parts[1::2], parts[2::2]) if "\nchanged:" in text]


@dataclass
class Playbook:
    """A copy of `ansible/` and the machine it is for."""

    folder: Path
    machine: Machine

    def __call__(self, variables: dict[str, object], *options: str) -> Outcome:
        home = self.machine.root.parent
        inventory = home / "inventory.yml"
        inventory.write_text(self.machine.inventory())
        given = home / "variables.json"
        given.write_text(json.dumps(variables))
        command = [BIN / "ansible-playbook", "--inventory", inventory, "--extra-vars", f"@{given}"]
        result = ran([*command, *options, "site.yml"], cwd=self.folder, env=environment(home))
        return Outcome(result.returncode, result.stdout)


def environment(home: Path) -> dict[str, str]:
    """Nothing of whoever runs this: no settings, no keys, no agent."""
    kept = {name: os.environ[name] for name in ("LANG", "LC_ALL") if name in os.environ}
    return {
        **kept,
        "LANG": "C.UTF-8",
        "PATH": f"{BIN}:{os.environ['PATH']}",
        "HOME": str(home),
        "ANSIBLE_HOME": str(home / ".ansible"),
        "ANSIBLE_NOCOLOR": "1",
    }
