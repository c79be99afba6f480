#!/usr/bin/env python3
"""Writes the rule files and the dashboards from `source/`, or with `--check` names those that are
out of date.

`--settings FILE` lays further settings over settings.toml, `--rules DIR` writes only the rule files,
and there: for trials with shorter times, not for editing by hand.
"""

import argparse
import sys
from pathlib import Path

HOME = Path(__file__).resolve().parent
sys.path.insert(0, str(HOME))

from source import words  # noqa: E402
from source.dashboards import dashboards  # noqa: E402


def generated() -> dict[Path, str]:
    """Every generated file and its text."""
    settings = words.settings()
    rules = HOME / "prometheus/rules"
    boards = HOME / "grafana/dashboards"
    return {
        **{rules / name: text for name, text in words.rule_files(settings).items()},
        **{boards / name: text for name, text in dashboards(settings).items()},
    }


def stale() -> list[str]:
    """The committed files that differ from what would be written, and those nothing writes."""
    wanted = generated()
    found = [
        str(path.relative_to(HOME.parent))
        for path, text in wanted.items()
        if not path.is_file() or path.read_text() != text
    ]
    for folder in {path.parent for path in wanted}:
        found += [
            f"{path.relative_to(HOME.parent)} (nothing writes it)"
            for path in folder.iterdir()
            if path not in wanted
        ]
    return sorted(found)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--settings", type=Path, action="append", default=[])
    parser.add_argument("--rules", type=Path)
    args = parser.parse_args()
    if args.check:
        out_of_date = stale()
        for path in out_of_date:
            print(f"out of date, `make rules` writes it anew: {path}")
        return 1 if out_of_date else 0
    if args.rules:
        args.rules.mkdir(parents=True, exist_ok=True)
        for name, text in words.rule_files(words.settings(*args.settings)).items():
            (args.rules / name).write_text(text)
        return 0
    for path, text in generated().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
