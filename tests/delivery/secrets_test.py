"""No secret is in the tree, and none ever was: Kingfisher reads the files and every commit.

A secret that was committed stays one after it is removed, since everybody who has the repository has
it. It must be revoked where it is valid; after that it can be listed below.
"""

from __future__ import annotations

import json
import secrets
import shutil
import string
import tempfile
from pathlib import Path

from tests.delivery.actions.project import committed, copy_tree
from tests.delivery.actions.runner import BIN, git
from tests.delivery.tools import ROOT, Tally, ran

# Beside the rules that come with it, those for tokens of our own.
RULES = Path(__file__).resolve().parent / "secrets.yml"
# How it ends when it found something.
FOUND = 200

# What looks like a secret and is none: file, text, and why it is none.
NO_SECRETS = {
    ("crates/server/src/config/sources/tests.rs", "hunter2"): "a test's, for a database that is nowhere",
    ("crates/server/src/config/sources/tests.rs", "pa55word"): "likewise",
    ("crates/server/src/config/values.rs", "hunter2"): "likewise",
    ("crates/store/src/lib.rs", "PASSWORD"): "the word itself, in the shape of an address",
    ("docs/kubernetes.md", "password"): "likewise",
    (
        "tests/delivery/golden/chart/all-on.yaml",
        "admin-token: bm90LWEtc2VjcmV0LWFkbWluLXRva2Vu",
    ): "not-a-secret-admin-token, as a Secret writes it",
}


def run(tally: Tally) -> None:
    with tempfile.TemporaryDirectory() as folder:
        tree, history = Path(folder) / "tree", Path(folder) / "history.git"
        copy_tree(tree)
        tally.check("no secret is in the tree", fault_in(found_in(tree)))
        tally.check("the whole history is here", shallow())
        git(ROOT, "clone", "--quiet", "--mirror", f"file://{ROOT}", str(history))
        tally.check("no secret is in the history", fault_in(found_in(history)))
        tally.check(
            "secrets are noticed, in the tree and when they were removed", what_goes_unnoticed(Path(folder))
        )


def shallow() -> str | None:
    if git(ROOT, "rev-parse", "--is-shallow-repository") != "true":
        return None
    return "this clone has only the last commits: `git fetch --unshallow`"


def found_in(repository: Path) -> set[tuple[str, str]]:
    """Each finding's file and text."""
    report = repository.parent / f"{repository.name}.json"
    # It asks nobody whether a secret is valid, nor whether there is a newer Kingfisher.
    offline = ["--no-validate", "--no-update-check", "--rule-cache-dir", repository.parent / "rules"]
    shape = [
        "--no-dedup",
        "--rules-path",
        RULES,
        "--confidence",
        "low",
        "--format",
        "json",
        "--output",
        report,
    ]
    done = ran([BIN / "kingfisher", "scan", repository, "--git-history", "full", *offline, *shape])
    if done.returncode not in (0, FOUND):
        raise RuntimeError(f"kingfisher ended with {done.returncode}: {done.stdout}")
    scan = json.loads(report.read_text())
    findings = set()
    for entry in scan["findings"]:
        finding = entry["finding"]
        path = (finding.get("git_metadata") or {}).get("file", {}).get("path") or finding["path"]
        findings.add((path.removeprefix(f"{repository}/").removeprefix("./"), finding["snippet"]))
    if bool(findings) != (done.returncode == FOUND):
        raise RuntimeError(f"kingfisher ended with {done.returncode} and {len(findings)} findings")
    return findings


def fault_in(findings: set[tuple[str, str]]) -> str | None:
    """Names files, and of the texts only the beginning: this is written to logs."""
    new = findings - set(NO_SECRETS)
    told = "\n".join(f"{path} holds {text[:4]}…" for path, text in sorted(new))
    return f"{told}\nIf it is one, revoke it. If it is none, say so in NO_SECRETS." if told else None


def what_goes_unnoticed(folder: Path) -> str | None:
    """Secrets made by chance, each in a file: some stay, some are removed by a later commit."""
    upper, letters = string.ascii_uppercase + string.digits, string.ascii_letters + string.digits

    def some(length: int, of: str = letters) -> str:
        return "".join(secrets.choice(of) for _ in range(length))

    key = ran(["openssl", "genpkey", "-algorithm", "RSA", "-quiet"]).stdout
    planted = {
        "aws.env": f"AWS_ACCESS_KEY_ID=AKIA{some(16, string.ascii_uppercase + '234567')}\n"
        f"AWS_SECRET_ACCESS_KEY={some(40)}\n",
        "alertmanager.yml": f"api_url: https://hooks.slack.com/services/T{some(10, upper)}/B{some(10, upper)}/{some(24)}\n",
        "token.txt": f"ghp_{some(36)}\n",
        "key.pem": key[key.index("-----BEGIN") :],
        "admin.txt": f"ENCHUFE_TOKEN=enchufe_{some(43)}\n",
    }
    unnoticed = []
    for removed in (False, True):
        repository = folder / f"planted-{removed}"
        repository.mkdir()
        git(repository, "init", "--quiet")
        for name, text in planted.items():
            (repository / name).write_text(text)
        committed(repository, "feat: a mistake")
        if removed:
            for name in planted:
                (repository / name).unlink()
            committed(repository, "fix: away with it")
        found = {path for path, _ in found_in(repository)}
        unnoticed += [f"{name}{' once removed' if removed else ''}" for name in sorted(set(planted) - found)]
        shutil.rmtree(repository)
    return f"goes unnoticed: {', '.join(unnoticed)}" if unnoticed else None
