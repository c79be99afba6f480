"""Messages as they are meant to be, kept beside the tests.

`UPDATE_GOLDEN=1` writes them anew: then look at the difference before it is committed."""

from __future__ import annotations

import difflib
import json
import os

from tests.tools import HOME, Tally

FOLDER = HOME / "tests/golden"


def compare(name: str, found: dict, tally: Tally, changes: dict[str, str] | None = None) -> None:
    """Holds what arrived against the kept one. `changes` puts a word in the place of what differs
    from run to run."""
    text = json.dumps(found, indent=1, ensure_ascii=False, sort_keys=True) + "\n"
    for what, word in (changes or {}).items():
        text = text.replace(what, word)
    file = FOLDER / name
    if os.environ.get("UPDATE_GOLDEN"):
        FOLDER.mkdir(exist_ok=True)
        file.write_text(text)
    wanted = file.read_text() if file.is_file() else ""
    difference = difflib.unified_diff(wanted.splitlines(), text.splitlines(), "meant", "found", lineterm="")
    tally.check(f"message {name}", "\n".join(difference) or None)
