"""A project to release: a repository that is GitHub, a clone of it, and pushes that set workflows off."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from tests.delivery.actions.runner import Outcome, Runner, git
from tests.delivery.tools import ROOT

RELEASE = ".github/workflows/release.yml"
DEPLOY = ".github/workflows/deploy.yml"

# What cannot run here, and where it is tried instead.
CANNOT = {
    "release.yml/prepare/Install the release's tools": "fetches packages; this check runs with the same ones",
    "deploy.yml/production/Install Helm": "fetches it; a stand-in is what the next step finds",
}


class Project:
    """A bare repository that is GitHub, and a clone of it, with no release yet. The workflows and
    scripts in it are ours, the rest is of no account, which is many times quicker."""

    def __init__(self, folder: Path, change: tuple[str, str, str] | None = None) -> None:
        self.folder, self.remote, self.clone = folder, folder / "github.git", folder / "clone"
        git(folder, "init", "--quiet", "--bare", "--initial-branch=main", str(self.remote))
        # As GitHub does.
        git(self.remote, "config", "uploadpack.allowAnySHA1InWant", "true")
        of_no_account(self.clone)
        if change:
            path, old, new = change
            text = (self.clone / path).read_text()
            if old not in text:
                raise RuntimeError(f"{path} no longer holds {old!r}: break something else")
            (self.clone / path).write_text(text.replace(old, new, 1))
        git(self.clone, "init", "--quiet", "--initial-branch=main")
        git(self.clone, "remote", "add", "origin", str(self.remote))
        committed(self.clone, "feat: a network of chargers")
        self.push()
        self.runs = 0

    def push(self) -> str:
        git(self.clone, "push", "--quiet", "origin", "main")
        return git(self.clone, "rev-parse", "HEAD")

    def commit(self, *messages: str) -> None:
        git(self.clone, "pull", "--quiet", "--ff-only", "origin", "main")
        for message in messages:
            committed(self.clone, message, empty=True)
        self.push()

    def runner(self, **options) -> Runner:
        self.runs += 1
        options.setdefault("pretend", {"ci": green})
        options.setdefault("skip", CANNOT)
        return Runner(self.folder / f"run-{self.runs}", self.remote, root=self.clone, **options)

    def release(self, **options) -> tuple[Runner, dict[str, Outcome]]:
        """What a push to main sets off, with the deployment that it starts."""
        runner = self.runner(**options)
        jobs = runner.workflow(RELEASE, {"sha": self.main()})
        for call in runner.calls("gh"):
            if started := re.fullmatch(r"gh workflow run deploy\.yml --ref main --field version=(.*)", call):
                jobs |= self.deploy(runner, started[1])
        return runner, jobs

    def deploy(self, runner: Runner, version: str) -> dict[str, Outcome]:
        return runner.workflow(DEPLOY, {"sha": self.main()}, {"version": version})

    def main(self) -> str:
        return git(self.remote, "rev-parse", "refs/heads/main")

    def file(self, path: str, ref: str = "main") -> str:
        return git(self.remote, "show", f"{ref}:{path}")

    def tags(self) -> list[str]:
        return git(self.remote, "tag", "--sort=v:refname").split()

    def subjects(self, count: int) -> list[str]:
        return git(self.remote, "log", f"-{count}", "--format=%s", "main").splitlines()


def committed(repository: Path, message: str, *, empty: bool = False) -> None:
    git(repository, "add", "--all")
    who = ["-c", "user.name=Somebody", "-c", "user.email=somebody@example.org", "-c", "commit.gpgsign=false"]
    git(repository, *who, "commit", "--quiet", *(["--allow-empty"] if empty else []), "--message", message)


def copy_tree(target: Path) -> None:
    """The project's files as they are in the work tree, without what is ignored."""
    listed = git(ROOT, "ls-files", "-z", "--cached", "--others", "--exclude-standard").split("\0")
    for name in filter(None, listed):
        source = ROOT / name
        if source.is_file() or source.is_symlink():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target / name, follow_symlinks=False)


def of_no_account(target: Path) -> None:
    """The workflows and scripts as they are, and the least of what they take hold of."""
    shutil.copytree(ROOT / ".github", target / ".github")
    shutil.copy2(ROOT / "cliff.toml", target)
    for path, text in {
        "Cargo.toml": '[workspace]\nresolver = "3"\nmembers = ["crates/*"]\n\n'
        '[workspace.package]\nversion = "0.0.1"\nrust-version = "1.95"\n',
        "crates/one/Cargo.toml": '[package]\nname = "one"\nversion.workspace = true\nedition = "2024"\n',
        "crates/one/src/lib.rs": "",
        "docs/openapi.json": '{"info": {"version": "0.0.1"}}\n',
        "helm/enchufe/Chart.yaml": 'version: 0.0.1\nappVersion: "0.0.1"\n',
        "helm/generate.py": "",
        "LICENSE": "",
        "README.md": "",
    }.items():
        (target / path).parent.mkdir(parents=True, exist_ok=True)
        (target / path).write_text(text)


def green() -> Outcome:
    return Outcome("success")


def red() -> Outcome:
    return Outcome("failure")
