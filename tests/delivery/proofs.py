"""The proof that a check notices: its subject is broken on purpose, and it has to complain."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path

import helm_python
import yaml

from tests.delivery.cluster import Unbuildable
from tests.delivery.tools import Tally, broken

HOME = Path(__file__).resolve().parent / "broken"

# What a part of a check finds wrong in a tree, and nothing when all is well.
Part = Callable[..., object]


def prove(tally: Tally, name: str, parts: dict[str, Part], beside: Sequence[str]) -> None:
    """Breaks what `broken/<name>.toml` lists, one thing at a time, each in a copy of the tree."""
    for case in tomllib.loads((HOME / f"{name}.toml").read_text())["broken"]:
        part, _, argument = case["noticed_by"].partition(" ")
        arguments = [argument] if argument else []
        with broken(case["file"], case["old"], case["new"], beside=beside) as root:
            noticed = complains(parts[part], root, *arguments)
        tally.check(f"noticed: {case['what']}", None if noticed else f"{case['noticed_by']} did not")


def complains(part: Part, root: Path, *arguments: str) -> bool:
    try:
        return bool(part(root, *arguments))
    except (helm_python.HelmError, yaml.YAMLError, Unbuildable):
        # Not even rendered.
        return True
