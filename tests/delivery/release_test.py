"""The release: its workflow is run, file and scripts, against a Git repository on this machine, from
commits made up for the purpose. Registries and GitHub are stood in for; Git, git-cliff and Cargo are not.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.delivery.actions.project import RELEASE, Project, committed, copy_tree, red
from tests.delivery.actions.runner import BIN, STAND_INS, Outcome, Runner, git
from tests.delivery.tools import ROOT, Tally, fault_of, ran

IMAGE = ".github/workflows/image.yml"
SCRIPTS = ".github/scripts"
GOLDEN = Path(__file__).resolve().parent / "golden/CHANGELOG.md"
BRANCH = "refs/heads/release/next"


# From commits after a release to the next one; None is no release.
VERSIONS = [
    ("a fix is a patch", "v1.2.3", ["fix: a"], "1.2.4"),
    ("what is quicker is a patch", "v1.2.3", ["perf(store): a"], "1.2.4"),
    ("a change taken back by Git itself is a patch", "v1.2.3", ['Revert "feat: a"'], "1.2.4"),
    ("a feature is a minor", "v1.2.3", ["feat: a"], "1.3.0"),
    ("the largest decides", "v1.2.3", ["feat: a", "fix: b", "docs: c"], "1.3.0"),
    ("a breaking change is a major", "v1.2.3", ["feat!: a"], "2.0.0"),
    ("said at the end of the message too", "v1.2.3", ["fix: a\n\nBREAKING CHANGE: b"], "2.0.0"),
    ("and whatever its type", "v1.2.3", ["refactor(api)!: a"], "2.0.0"),
    ("also before 1.0", "v0.4.1", ["feat!: a"], "1.0.0"),
    ("and a feature before 1.0 is a minor", "v0.4.1", ["feat: a"], "0.5.0"),
    (
        "commits that change nothing for anybody release nothing",
        "v1.2.3",
        ["docs: a", "test: b", "chore: c"],
        None,
    ),
    ("commits without a type neither", "v1.2.3", ["Merge branch 'a'", "wip"], None),
    ("no commit at all neither", "v1.2.3", [], None),
    ("the first release has the first version", None, ["feat: a"], "0.1.0"),
    ("and waits for something to release", None, ["docs: a"], None),
]

# Of an account that infra/ has prepared.
AMAZON = {
    "AWS_ROLE": "arn:aws:iam::123456789012:role/enchufe-production-pipeline",
    "AWS_REGION": "eu-south-2",
    "ECR_REGISTRY": "123456789012.dkr.ecr.eu-south-2.amazonaws.com/enchufe-production",
}

# The story of the golden changelog.
SECOND = [
    "fix(store): a lost answer to COMMIT is asked after",
    "docs: how to size a network",
    "perf: a connection keeps less while it waits",
    "feat: chargers are let in at a pace\n\nThe body is for those who read the commit.",
]
THIRD = [
    "feat(api)!: stations are listed in pages",
    "fix: the doctor only looks\n\nBREAKING CHANGE: `--fix` of the doctor is gone; do what it says instead",
    'Revert "perf: a connection keeps less while it waits"',
]


def run(tally: Tally) -> None:
    for name, since, commits, expected in VERSIONS:
        found = planned(since, commits)
        tally.check(
            name, None if found == expected else f"{commits} after {since} is {found}, not {expected}"
        )
    for name, story in STORIES.items():
        with tempfile.TemporaryDirectory() as folder:
            faults = list(story(Path(folder)))
        tally.check(name, "\n".join(faults) or None)


# ---- The next version


def planned(since: str | None, commits: Sequence[str], cliff: str | None = None) -> str | None:
    """What `release.sh plan` says in a small repository with these commits."""
    with tempfile.TemporaryDirectory() as folder:
        repository = Path(folder)
        shutil.copytree(ROOT / ".github/scripts", repository / ".github/scripts")
        (repository / "cliff.toml").write_text(cliff or (ROOT / "cliff.toml").read_text())
        (repository / "Cargo.toml").write_text('[workspace.package]\nversion = "0.0.9"\n')
        git(repository, "init", "--quiet", "--initial-branch=main")
        committed(repository, "chore: begin")
        if since:
            git(repository, "tag", since)
        for message in commits:
            committed(repository, message, empty=True)
        output = repository / ".git/output"
        env = {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}", "GITHUB_OUTPUT": str(output)}
        done = ran([".github/scripts/release.sh", "plan"], repository, env)
        if fault := fault_of(done):
            return fault
        said = dict(line.split("=", 1) for line in output.read_text().splitlines())
        return said["version"] if said["release"] == "true" else None


# ---- Whole releases


def three_releases(folder: Path) -> Iterator[str]:
    project = Project(folder)
    runner, jobs = project.release()
    yield from not_green(jobs)
    yield from differs("tags after the first release", project.tags(), ["v0.1.0"])
    yield from what_was_published(project, runner, "0.1.0")

    project.commit(*SECOND)
    runner, jobs = project.release()
    yield from not_green(jobs)
    yield from what_was_published(project, runner, "0.2.0")

    project.commit(*THIRD)
    hub = {"DOCKERHUB_USERNAME": "somebody", "DOCKERHUB_TOKEN": "something"}
    runner, jobs = project.release(secrets=hub, variables=AMAZON)
    yield from not_green(jobs)
    yield from what_was_published(project, runner, "1.0.0", {"ghcr.io", "docker.io", AMAZON["ECR_REGISTRY"]})
    yield from differs("tags in the end", project.tags(), ["v0.1.0", "v0.2.0", "v1.0.0"])
    if git(project.remote, "for-each-ref", BRANCH):
        yield f"{BRANCH} is still there"

    changelog = without_days(project.file("CHANGELOG.md")) + "\n"
    if os.environ.get("GOLDEN") == "write":
        GOLDEN.write_text(changelog)
    yield from differs("the changelog", changelog.splitlines(), GOLDEN.read_text().splitlines())


def a_push_without_a_release(folder: Path) -> Iterator[str]:
    project = Project(folder)
    project.release()
    project.commit("docs: where things are", "test: one more")
    before = project.main()
    runner, jobs = project.release()
    results = {name: outcome.result for name, outcome in jobs.items()}
    checked = {name for name, result in results.items() if result == "success"}
    yield from differs("jobs that ran", sorted(checked), ["ci", "prepare"])
    yield from differs("the commit that CI checks", jobs["prepare"].outputs["commit"], before)
    yield from differs("main", project.main(), before)
    yield from differs("tags", project.tags(), ["v0.1.0"])


def nothing_is_published_after_red_ci(
    folder: Path, change: tuple[str, str, str] | None = None
) -> Iterator[str]:
    project = Project(folder, change)
    before = project.main()
    runner, jobs = project.release(pretend={"ci": red})
    yield from differs("main", project.main(), before)
    yield from differs("tags", project.tags(), [])
    yield from differs("calls of Docker", runner.calls("docker"), [])
    yield from differs("calls of cosign", runner.calls("cosign"), [])
    ran_on = {name for name, outcome in jobs.items() if outcome.result == "success"}
    yield from differs("jobs that ran", sorted(ran_on), ["prepare", "propose"])
    # What was wrong is put right: the next push releases, and as the same version.
    project.commit("fix: what CI found")
    yield from not_green(project.release()[1])
    yield from differs("tags after the cure", project.tags(), ["v0.1.0"])


def ci_checks_the_commit_that_is_tagged(folder: Path) -> Iterator[str]:
    project = Project(folder)
    checked = []

    def watched() -> Outcome:
        checked.append(git(project.remote, "rev-parse", BRANCH))
        return Outcome("success")

    _, jobs = project.release(pretend={"ci": watched})
    yield from not_green(jobs)
    tagged = git(project.remote, "rev-parse", "v0.1.0^{commit}")
    yield from differs("the commit that CI checked", checked, [tagged])
    yield from differs("the commit that it was told", jobs["prepare"].outputs["commit"], tagged)


def main_moves_while_ci_runs(folder: Path) -> Iterator[str]:
    project = Project(folder)

    def meanwhile() -> Outcome:
        project.commit("fix: in a hurry")
        return Outcome("success")

    _, jobs = project.release(pretend={"ci": meanwhile})
    tag = (jobs["tag"].result, jobs["tag"].outputs)
    yield from differs("the job that tags", tag, ("success", {"tagged": "false"}))
    yield from differs("the image", jobs["image"].result, "skipped")
    yield from differs("tags", project.tags(), [])
    yield from not_green(project.release()[1])
    yield from differs("tags after the next run", project.tags(), ["v0.1.0"])


def a_protected_main_is_named(folder: Path) -> Iterator[str]:
    project = Project(folder)
    hook = project.remote / "hooks/pre-receive"
    hook.write_text("#!/bin/sh\nwhile read -r _ _ ref; do [ $ref != refs/heads/main ] || exit 1; done\n")
    hook.chmod(0o755)
    _, jobs = project.release()
    yield from differs("the job that tags", jobs["tag"].result, "failure")
    if "RELEASE_TOKEN" not in jobs["tag"].said:
        yield f"it does not say what to do: {jobs['tag'].said}"
    yield from differs("tags", project.tags(), [])


def an_image_of_something_else_is_not_built(folder: Path) -> Iterator[str]:
    project = Project(folder)
    project.release()
    project.commit("fix: more")
    script = project.clone / ".github/scripts/image.sh"
    git(project.clone, "fetch", "--quiet", "--tags", "origin")
    for version, why in (
        ("", "is no version"),
        ("9.9.9", "the sources say"),
        ("0.1.0", "is not what v0.1.0 names"),
    ):
        done = ran([script, "describe", version, "enchufe/enchufe"], project.clone)
        if done.returncode == 0 or why not in done.stdout:
            yield f"as {version!r}: ended with {done.returncode}, {done.stdout}"


def only_releases_are_deployed(folder: Path) -> Iterator[str]:
    project = Project(folder)
    runner, _ = project.release()
    for version in ("0.9.9", "0.1.0; true", ""):
        yield from differs(f"{version!r}", project.deploy(runner, version)["production"].result, "failure")
    # The image is gone.
    (runner.state / "tag-ghcr.io_enchufe_enchufe_0.1.0").unlink()
    again = project.deploy(runner, "0.1.0")["production"]
    yield from differs("without its image", again.result, "failure")
    pushed = [call for call in runner.calls("helm") if call.startswith("helm push")]
    yield from differs("charts pushed", len(pushed), 1)


def a_commit_that_changes_code_goes_no_further(folder: Path) -> Iterator[str]:
    """As if a tool that makes the release's commit had fallen into wrong hands."""
    for number, path in enumerate(("crates/one/src/lib.rs", ".github/scripts/release.sh")):
        (folder / str(number)).mkdir()
        more = f'echo "# more" >> {path}\ncargo update'
        project = Project(folder / str(number), (f"{SCRIPTS}/set-version.sh", "cargo update", more))
        _, jobs = project.release()
        yield from differs(f"the job that proposes it, with {path}", jobs["propose"].result, "failure")
        if path not in jobs["propose"].said:
            yield f"{path} is not named: {jobs['propose'].said}"
        yield from differs("branches", git(project.remote, "branch", "--format=%(refname:short)"), "main")
        yield from differs("tags", project.tags(), [])


def publishing_twice_is_publishing_once(folder: Path) -> Iterator[str]:
    project = Project(folder)
    runner, jobs = project.release()
    release = runner.state / "release-v0.1.0"
    before = sorted(file.name for file in release.iterdir())
    env = {**os.environ, "PATH": f"{STAND_INS}:{os.environ['PATH']}", "STAND_IN_STATE": str(runner.state)}
    script, notes = ROOT / ".github/scripts/release.sh", runner.artifacts / "release/notes.md"
    again = ran([script, "publish", "0.1.0", notes, runner.artifacts / "binaries"], env=env)
    if fault := fault_of(again):
        yield fault
    yield from differs("its files", sorted(file.name for file in release.iterdir()), before)


def the_sources_take_a_new_version(folder: Path) -> Iterator[str]:
    """This project as it stands: all that has a version gets the new one, and the lock file fits."""
    sources, version = folder / "sources", "98.7.6"
    copy_tree(sources)
    git(sources, "init", "--quiet", "--initial-branch=main")
    committed(sources, "feat: a network of chargers")
    before = re.search(r'^version = "(.*)"$', (sources / "Cargo.toml").read_text(), re.MULTILINE)[1]
    env = {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}", "CARGO_NET_OFFLINE": "true"}
    done = ran([".github/scripts/release.sh", "commit", version, folder / "release"], sources, env)
    if fault := fault_of(done):
        yield fault
        return
    yield from differs("what is left beside the commit", git(sources, "status", "--porcelain"), "")
    metadata = ["cargo", "metadata", "--format-version=1", "--locked", "--offline", "--no-deps"]
    done = subprocess.run(metadata, cwd=sources, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        yield f"the lock file does not fit: {done.stderr}"
        return
    versions = {package["version"] for package in json.loads(done.stdout)["packages"]}
    yield from differs("versions of our packages", versions, {version})
    api = json.loads((sources / "docs/openapi.json").read_text())["info"]["version"]
    yield from differs("the API's version", api, version)
    # The version before is named nowhere but where it belongs.
    elsewhere = (":!CHANGELOG.md", ":!Cargo.lock", ":!argocd", ":!cliff.toml", ":!tests", ":!infra/tests")
    search = ["git", "grep", "-nwE", rf"(enchufe|version).*{re.escape(before)}", "--", ".", *elsewhere]
    yield from differs(f"places that still say {before}", ran(search, sources).stdout, "")


def breaks_are_noticed(folder: Path) -> Iterator[str]:
    """Each of these changes must make something above tell of a fault."""
    cliff = (ROOT / "cliff.toml").read_text()
    for old, new in (
        ("breaking_always_bump_major = true", "breaking_always_bump_major = false"),
        ("features_always_bump_minor = true", "features_always_bump_minor = false"),
        ("protect_breaking_commits = true", "protect_breaking_commits = false"),
        ('{ message = ".*", skip = true },', ""),
        ('{ message = "^perf", group = "3 Faster" },', ""),
    ):
        if old not in cliff:
            raise RuntimeError(f"cliff.toml no longer holds {old!r}: break something else")
        changed = cliff.replace(old, new)
        if all(planned(since, commits, changed) == expected for _, since, commits, expected in VERSIONS):
            yield f"{new or 'without ' + old} goes unnoticed"

    for number, (path, old, new) in enumerate(BREAKS):
        place = folder / f"break-{number}"
        place.mkdir()
        if path == RELEASE:
            noticed = list(nothing_is_published_after_red_ci(place, (path, old, new)))
        else:
            project = Project(place, (path, old, new))
            noticed = list(what_was_published(project, project.release()[0], "0.1.0"))
        if not noticed:
            yield f"{new} in {path} goes unnoticed"


BREAKS = [
    # The tag no longer waits for CI.
    (RELEASE, "&& needs.ci.result == 'success' }}", "}}"),
    # An image without a version, unsigned, under another name, for one platform.
    (IMAGE, "VERSION=${{ inputs.version }}", "VERSION=${{ inputs.verison }}"),
    (f"{SCRIPTS}/image.sh", 'cosign sign --yes --recursive "$name@$digest"', ":"),
    (IMAGE, "platform: linux/arm64", "platform: linux/amd64"),
    # A program of another platform in the archive.
    (f"{SCRIPTS}/binaries.sh", "arm64:aarch64", "amd64:aarch64"),
    # The sources keep the version they had.
    (f"{SCRIPTS}/release.sh", 'scripts/set-version.sh" "$version"', 'scripts/set-version.sh" 0.0.1'),
]

STORIES = {
    "three releases, from commits to what is published, and the changelog": three_releases,
    "a push without anything to release is checked, and that is all": a_push_without_a_release,
    "nothing is tagged or published after a red CI, and the next green one makes up for it": (
        nothing_is_published_after_red_ci
    ),
    "CI checks the very commit that is tagged": ci_checks_the_commit_that_is_tagged,
    "a main that moved on meanwhile is released by the next run": main_moves_while_ci_runs,
    "a protected main is refused with a sentence that says what to do": a_protected_main_is_named,
    "no image is built under another release's name": an_image_of_something_else_is_not_built,
    "a release's commit that changes code goes no further": a_commit_that_changes_code_goes_no_further,
    "nothing but a release with its image is deployed": only_releases_are_deployed,
    "a second try publishes the same": publishing_twice_is_publishing_once,
    "this project takes a new version, everywhere": the_sources_take_a_new_version,
    "breaks are noticed": breaks_are_noticed,
}


# ---- What a release must leave behind


def what_was_published(
    project: Project, runner: Runner, version: str, registries: set[str] = frozenset({"ghcr.io"})
) -> Iterator[str]:
    commit = git(project.remote, "rev-parse", f"v{version}^{{commit}}")
    yield from differs("main", project.subjects(1), [f"chore(release): v{version}"])
    yield from differs("the commit of the tag", commit, project.main())
    yield from builds_of(runner, version, commit)
    yield from tags_of(runner, version, registries)
    yield from files_of_the_release(runner, version)
    helm = [call for call in runner.calls("helm") if f" --version {version} --app-version {version} " in call]
    yield from differs("charts packaged", len(helm), 1)
    signed = [call for call in runner.calls("cosign") if "/charts/enchufe@sha256:" in call]
    yield from differs("charts signed", len(signed), 1)


def builds_of(runner: Runner, version: str, commit: str) -> Iterator[str]:
    """Each platform is built once, and knows its version and commit."""
    log = runner.state / "builds"
    builds = log.read_text() if log.is_file() else ""
    for platform in ("linux/amd64", "linux/arm64"):
        yield from differs(f"builds for {platform}", builds.count(f"platforms={platform}\n"), 1)
    for wanted in (
        rf"^(build-args=)?VERSION={version}$",
        rf"^COMMIT={commit}$",
        rf"^org\.opencontainers\.image\.version={version}$",
        r"^sbom=true$",
        r"^provenance=mode=max$",
        r"^outputs=.*name=ghcr\.io/enchufe/enchufe,push-by-digest=true,.*push=true$",
    ):
        yield from differs(f"builds with {wanted}", len(re.findall(wanted, builds, re.MULTILINE)), 2)


def tags_of(runner: Runner, version: str, registries: set[str]) -> Iterator[str]:
    """The version and `latest` name the same image, and it was signed before it became the latest."""
    calls = (runner.state / "calls").read_text().splitlines()
    tagged = re.findall(r" --tag (\S+):\S+ ", "\n".join(calls))
    wanted = {registry if "/" in registry else f"{registry}/enchufe/enchufe" for registry in registries}
    yield from differs("images", set(tagged), wanted)
    digests = set()
    for name in wanted:
        tags = [version] if name == AMAZON["ECR_REGISTRY"] else [version, "latest"]
        files = [runner.state / f"tag-{re.sub('[/:]', '_', f'{name}:{tag}')}" for tag in tags]
        digests |= {file.read_text().strip() if file.is_file() else f"{file.name}: none" for file in files}
    yield from differs(f"what the tags name, {digests}", len(digests), 1)
    for name in wanted - {AMAZON["ECR_REGISTRY"]}:
        sign = f"cosign sign --yes --recursive {name}@{min(digests)}"
        latest = next((place for place, call in enumerate(calls) if f" --tag {name}:latest " in call), -1)
        if sign not in calls[:latest]:
            yield f"{name} is not signed before it becomes latest: {calls}"


def files_of_the_release(runner: Runner, version: str) -> Iterator[str]:
    """Archives with the program of their platform, checksums, and the notes of this version alone."""
    release = runner.state / f"release-v{version}"
    platforms = {"aarch64": "linux-arm64", "x86_64": "linux-amd64"}
    archives = {f"enchufe-{version}-{machine}-linux.tar.gz": platforms[machine] for machine in platforms}
    names = sorted(file.name for file in release.iterdir()) if release.is_dir() else []
    yield from differs("files of the release", names, sorted([*archives, "SHA256SUMS", "notes"]))
    if not names:
        return
    if fault := fault_of(ran(["sha256sum", "--check", "--strict", "SHA256SUMS"], release)):
        yield f"checksums: {fault}"
    for archive, platform in archives.items():
        inside = f"{archive.removesuffix('.tar.gz')}/enchufe"
        program = ran(["tar", "--extract", "--to-stdout", "--file", archive, inside], release).stdout
        yield from differs(f"the program in {archive}", program, f"enchufe from container-of-{platform}\n")
    headings = re.findall(r"^## (\S+) - ", (release / "notes").read_text(), re.MULTILINE)
    yield from differs("versions in the notes", headings, [version])


def not_green(jobs: dict[str, Outcome]) -> Iterator[str]:
    if "production" not in jobs:
        yield "no deployment was started"
    for name, outcome in jobs.items():
        if outcome.result != "success":
            yield f"{name}: {outcome.result}\n{outcome.said}"


def differs(what: str, found: object, wanted: object) -> Iterator[str]:
    if found != wanted:
        yield f"{what}: {found!r}, not {wanted!r}"


# ---- Small things


def without_days(changelog: str) -> str:
    return re.sub(r"^(## \S+) - \d{4}-\d\d-\d\d$", r"\1 - THE DAY", changelog, flags=re.MULTILINE)
