"""Runs a workflow file here, as far as that goes: its jobs in their order, its `run:` steps for real.

GitHub is a bare Git repository. Actions of others are stood in for by what they leave behind; programs
that would reach a registry or GitHub itself are the scripts in `stand_ins`, which write down how they
were called. Steps that can not run here are named by the caller, each with its reason.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import yaml

from tests.delivery.actions.expressions import Contexts, as_text, condition, fill
from tests.delivery.tools import ROOT

STAND_INS = Path(__file__).resolve().parent / "stand_ins"
# Where the packages of tests/delivery/requirements.txt have put their programs.
BIN = Path(sys.executable).parent
# A step takes seconds, on a busy machine a minute; one that takes longer hangs.
STEP_SECONDS = 600

# Actions that leave nothing behind that a later step of ours reads.
WITHOUT_TRACE = {
    "Swatinem/rust-cache",
    "actions/attest",
    "aws-actions/configure-aws-credentials",
    "docker/login-action",
    "docker/setup-buildx-action",
    "github/codeql-action/analyze",
    "github/codeql-action/init",
    "hashicorp/setup-terraform",
    "sigstore/cosign-installer",
    "taiki-e/install-action",
}


@dataclass
class Outcome:
    """What became of a job: `success`, `failure` or `skipped`, its outputs, and what its steps said."""

    result: str
    outputs: dict[str, Any] = field(default_factory=dict)
    said: str = ""


class StepFailed(Exception):
    pass


def load(path: str, root: Path = ROOT) -> dict[str, Any]:
    """A workflow file. YAML reads its key `on` as true."""
    document = yaml.safe_load((root / path).read_text())
    if True in document:
        document["on"] = document.pop(True)
    return document


class Runner:
    def __init__(
        self,
        work: Path,
        remote: Path,
        *,
        skip: Iterable[str] = (),
        pretend: Mapping[str, Callable[[], Outcome]] | None = None,
        secrets: Mapping[str, str] | None = None,
        variables: Mapping[str, str] | None = None,
        env: Mapping[str, str] | None = None,
        root: Path = ROOT,
    ) -> None:
        """`skip` names steps as `file/job/step`; `pretend` says of a job what became of it, instead of running it.
        The workflow files are those of `root`, the scripts they call those of what they check out."""
        self.work, self.remote, self.root = work, remote, root
        self.skip, self.pretend = set(skip), dict(pretend or {})
        self.secrets, self.variables, self.env = dict(secrets or {}), dict(variables or {}), dict(env or {})
        self.state = work / "state"
        self.artifacts = work / "artifacts"
        self.ran: set[str] = set()
        self.workspaces = itertools.count(1)
        for folder in (self.state, self.artifacts):
            folder.mkdir(parents=True, exist_ok=True)

    # ---- What the stand-ins wrote down

    def calls(self, program: str) -> list[str]:
        log = self.state / "calls"
        lines = log.read_text().splitlines() if log.is_file() else []
        return [line for line in lines if line.split(" ", 1)[0] == program]

    # ---- A workflow

    def workflow(
        self, path: str, github: Mapping[str, str], inputs: Mapping[str, str] | None = None
    ) -> dict[str, Outcome]:
        document = load(path, self.root)
        github = {"server_url": "https://github.com", "token": "none", "actor": "nobody", **github}
        github.setdefault("repository", "Enchufe/Enchufe")
        github.setdefault("repository_owner", github["repository"].split("/")[0])
        done: dict[str, Outcome] = {}
        waiting = dict(document["jobs"])
        while waiting:
            name = next(job for job in waiting if not set(needs_of(waiting[job])) & set(waiting))
            given = {"inputs": dict(inputs or {}), "secrets": self.secrets, "vars": self.variables}
            contexts = {"github": github, **given}
            done[name] = self.job(path, name, waiting.pop(name), done, contexts)
        return done

    def outputs_of_workflow(self, path: str, jobs: Mapping[str, Outcome]) -> dict[str, Any]:
        declared = (load(path, self.root)["on"].get("workflow_call") or {}).get("outputs") or {}
        contexts = {"jobs": {name: {"outputs": outcome.outputs} for name, outcome in jobs.items()}}
        return {name: fill(output["value"], contexts) for name, output in declared.items()}

    # ---- A job

    def job(
        self, path: str, name: str, job: Mapping, done: Mapping[str, Outcome], contexts: Contexts
    ) -> Outcome:
        needed = {need: done[need] for need in needs_of(job)}
        results = [outcome.result for outcome in needed.values()]
        contexts = {
            **contexts,
            "needs": {need: {"result": is_.result, "outputs": is_.outputs} for need, is_ in needed.items()},
            "status": {
                "success": all(result == "success" for result in results),
                "failure": "failure" in results,
            },
        }
        if not condition(job.get("if"), contexts):
            return Outcome("skipped")
        if name in self.pretend:
            return self.pretend[name]()
        if called := job.get("uses"):
            inputs = {key: fill(value, contexts) for key, value in (job.get("with") or {}).items()}
            called = called.removeprefix("./")
            jobs = self.workflow(called, contexts["github"], inputs)
            failed = any(outcome.result == "failure" for outcome in jobs.values())
            said = "".join(outcome.said for outcome in jobs.values())
            return Outcome("failure" if failed else "success", self.outputs_of_workflow(called, jobs), said)
        outcome = Outcome("success")
        for matrix in combinations(job):
            outcome = self.on_a_machine(path, name, job, {**contexts, "matrix": matrix}, outcome.said)
            if outcome.result == "failure":
                break
        return outcome

    def on_a_machine(self, path: str, name: str, job: Mapping, contexts: dict, said: str) -> Outcome:
        machine = self.work / f"machine-{next(self.workspaces)}"
        (machine / "workspace").mkdir(parents=True)
        (machine / "temp").mkdir()
        contexts = {**contexts, "steps": {}, "runner": {"temp": str(machine / "temp")}}
        contexts["status"] = {"success": True, "failure": False}
        for step in job["steps"]:
            if not condition(step.get("if"), contexts):
                continue
            title = f"{Path(path).name}/{name}/{step['name']}"
            try:
                outputs, text = self.step(title, job, step, machine, contexts)
            except StepFailed as failed:
                contexts["status"] = {"success": False, "failure": True}
                outputs, text = {}, f"{title}: {failed}\n"
            said += text
            if "id" in step:
                contexts["steps"][step["id"]] = {"outputs": outputs}
        outputs = {key: fill(value, contexts) for key, value in (job.get("outputs") or {}).items()}
        return Outcome("success" if contexts["status"]["success"] else "failure", outputs, said)

    # ---- A step

    def step(
        self, title: str, job: Mapping, step: Mapping, machine: Path, contexts: Contexts
    ) -> tuple[dict, str]:
        if title in self.skip:
            return {}, ""
        if "run" in step:
            self.ran.add(title)
            return self.run(job, step, machine, contexts)
        options = {key: as_text(fill(value, contexts)) for key, value in (step.get("with") or {}).items()}
        return self.action(step["uses"].split("@")[0], options, machine), ""

    def run(self, job: Mapping, step: Mapping, machine: Path, contexts: Contexts) -> tuple[dict, str]:
        output = machine / "output"
        output.write_text("")
        env = {
            "HOME": str(machine),
            "LANG": "C.UTF-8",
            "PATH": f"{STAND_INS}:{BIN}:{os.environ['PATH']}",
            "CI": "true",
            "GITHUB_OUTPUT": str(output),
            "GITHUB_PATH": str(machine / "path"),
            "GITHUB_STEP_SUMMARY": str(machine / "summary"),
            "RUNNER_TEMP": str(machine / "temp"),
            "STAND_IN_STATE": str(self.state),
            # Nothing is asked of a registry: what the sources need is on this machine already.
            "CARGO_NET_OFFLINE": "true",
            "GIT_CONFIG_NOSYSTEM": "1",
            **self.env,
        }
        for part in (job.get("env") or {}, step.get("env") or {}):
            env |= {key: as_text(fill(value, contexts)) for key, value in part.items()}
        for kept in ("CARGO_HOME", "RUSTUP_HOME"):
            env[kept] = os.environ.get(kept) or str(Path.home() / f".{kept.split('_')[0].lower()}")
        # As GitHub starts what names no shell of its own.
        done = subprocess.run(
            ["bash", "-e", "-c", step["run"]],
            cwd=machine / "workspace",
            env=env,
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=STEP_SECONDS,
            check=False,
        )
        if done.returncode != 0:
            raise StepFailed(f"ended with {done.returncode}\n{done.stdout}")
        pairs = (line.split("=", 1) for line in output.read_text().splitlines())
        return dict(pairs), done.stdout

    def action(self, name: str, options: Mapping[str, str], machine: Path) -> dict[str, str]:
        if name == "actions/checkout":
            return self.check_out(options, machine / "workspace")
        if name == "actions/upload-artifact":
            source = machine / "workspace" / options["path"]
            if not source.is_dir() or not any(source.iterdir()):
                raise StepFailed(f"nothing to upload in {options['path']}")
            shutil.copytree(source, self.artifacts / options["name"], dirs_exist_ok=True)
            return {}
        if name == "actions/download-artifact":
            wanted = options.get("name") or options["pattern"]
            found = [kept for kept in sorted(self.artifacts.iterdir()) if fnmatch(kept.name, wanted)]
            if not found:
                raise StepFailed(f"there is no artifact {wanted}")
            for kept in found:
                shutil.copytree(kept, machine / "workspace" / options["path"], dirs_exist_ok=True)
            return {}
        if name == "docker/build-push-action":
            # The digest is one of what was asked for.
            said = "\n".join(f"{key}={value}" for key, value in sorted(options.items()))
            with (self.state / "builds").open("a") as log:
                log.write(said + "\n\n")
            return {"digest": f"sha256:{hashlib.sha256(said.encode()).hexdigest()}"}
        if name in WITHOUT_TRACE:
            return {}
        raise StepFailed(
            f"what {name} leaves behind is not known here: say so in tests/delivery/actions/runner.py"
        )

    def check_out(self, options: Mapping[str, str], workspace: Path) -> dict[str, str]:
        """What actions/checkout does: one commit, or everything when the depth is 0."""
        shutil.rmtree(workspace)
        workspace.mkdir()
        ref = options.get("ref") or "HEAD"
        if options.get("fetch-depth") == "0":
            refs = ["+refs/heads/*:refs/remotes/origin/*", "+refs/tags/*:refs/tags/*"]
        elif ref.startswith("refs/tags/"):
            refs = ["--depth=1", f"+{ref}:{ref}"]
        else:
            refs = ["--depth=1", ref]
        git(workspace, "init", "--quiet")
        git(workspace, "remote", "add", "origin", f"file://{self.remote}")
        # Commits are told of as over the network; the files are not sent once more.
        (workspace / ".git/objects/info/alternates").write_text(f"{self.remote}/objects\n")
        git(workspace, "fetch", "--quiet", "--no-tags", "origin", *refs)
        if refs[0].startswith("+"):
            named = f"origin/{ref}" if not is_commit(ref) and not ref.startswith("refs/") else ref
        else:
            named = "FETCH_HEAD"
        git(workspace, "checkout", "--quiet", "--force", "--detach", named)
        return {}


def git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", *arguments], cwd=folder, text=True, capture_output=True, stdin=subprocess.DEVNULL, check=False
    )
    if done.returncode != 0:
        raise StepFailed(f"git {' '.join(arguments)}: {done.stderr}")
    return done.stdout.strip()


def is_commit(ref: str) -> bool:
    return len(ref) == 40 and all(letter in "0123456789abcdef" for letter in ref)


def needs_of(job: Mapping[str, Any]) -> list[str]:
    needs = job.get("needs") or []
    return [needs] if isinstance(needs, str) else list(needs)


def combinations(job: Mapping[str, Any]) -> list[dict[str, Any]]:
    matrix = dict((job.get("strategy") or {}).get("matrix") or {})
    included = matrix.pop("include", [])
    products = [dict(zip(matrix, values, strict=True)) for values in itertools.product(*matrix.values())]
    return [*(products if matrix else []), *included] or [{}]
