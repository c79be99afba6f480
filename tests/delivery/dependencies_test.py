"""What comes in from outside: its licences, its sources and the crates that may not, by deny.toml.

Advisories are asked for on GitHub, so these are CI's (`cargo deny check`).
"""

from __future__ import annotations

from pathlib import Path

from tests.delivery.actions.runner import BIN
from tests.delivery.tools import ROOT, Tally, broken, fault_of, ran

# What is changed in deny.toml, and what must be said then.
BREAKS = [
    ('{ crate = "ring" }', '{ crate = "serde" }', "bans FAILED"),
    ('{ crate = "yawc", allow = ["MPL-2.0"] },', "", "licenses FAILED"),
    ("https://github.com/rust-lang/crates.io-index", "https://github.com/example/index", "sources FAILED"),
]


def run(tally: Tally) -> None:
    tally.check("dependencies are what deny.toml allows", fault_of(checked(ROOT / "deny.toml")))
    for old, new, said in BREAKS:
        with broken("deny.toml", old, new) as copy:
            done = checked(copy / "deny.toml")
        noticed = done.returncode != 0 and said in done.stdout
        tally.check(f"noticed: {said} with {new or f'no {old}'}", None if noticed else done.stdout[-500:])


def checked(config: Path):
    options = ["--offline", "--locked", "--config", config]
    which = ["bans", "licenses", "sources"]
    return ran([BIN / "cargo-deny", *options, "check", "--hide-inclusion-graph", *which])
