"""No secret is in the tree, and none ever was: Kingfisher reads the files and every commit."""

from __future__ import annotations

import secrets
import shutil
import string
import tempfile
from pathlib import Path

from tests.delivery.actions.project import committed, copy_tree
from tests.delivery.actions.runner import git
from tests.delivery.secrets_scan import fault_in, found_in
from tests.delivery.tools import ROOT, Tally, ran


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
