"""Looks for secrets with detect-secrets: in every layer of an image, and in every file the history of
the repository ever held."""

from __future__ import annotations

import io
import json
import re
import secrets
import string
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.delivery.engine import Engine, program

# What has a form of its own. Detectors that go by entropy or by names of variables are left out:
# checksums, examples and tests are full of what they find.
DETECTORS = {
    "ArtifactoryDetector", "AWSKeyDetector", "AzureStorageKeyDetector", "BasicAuthDetector",
    "CloudantDetector", "DiscordBotTokenDetector", "GitHubTokenDetector", "GitLabTokenDetector",
    "IbmCloudIamDetector", "IbmCosHmacDetector", "JwtTokenDetector", "MailchimpDetector",
    "NpmDetector", "OpenAIDetector", "PrivateKeyDetector", "PypiTokenDetector", "SendGridDetector",
    "SlackDetector", "SoftlayerDetector", "SquareOAuthDetector", "StripeDetector",
    "TelegramBotTokenDetector", "TwilioKeyDetector",
}  # fmt: skip

# Lines that look like secrets and are none, each with its reason.
INNOCENT = (
    # Made-up passwords in URLs, in tests and documentation: of these users at these hosts only.
    r"(postgres|redis|https?)(ql|s)?://[\w$%{}.()/ -]*:[^@\s]*@"
    r"(db|host|postgres|redis|localhost|127\.0\.0\.1|\{|\$|example|[\w.-]*\.example|x)",
)
# A file of our own is never as large; what is, is data.
MAX_FILE_BYTES = 4 * 2**20
# So many at a time are looked at as one folder.
LIMIT_SECONDS = 600


def planted() -> str:
    """Something that must be found, of which nothing is written down here."""
    letters = string.ascii_uppercase + string.digits
    key = "".join(secrets.choice(letters) for _ in range(16))
    return f'aws_access_key_id = "{"AK" + "IA"}{key}"\n'


def history_fault(repository: Path) -> str | None:
    """Each file in each of its forms, once."""
    with tempfile.TemporaryDirectory() as scratch:
        names = {}
        for number, (path, content) in enumerate(blobs(repository)):
            # The extension matters to some detectors.
            name = f"{number}{Path(path).suffix}"
            (Path(scratch) / name).write_bytes(content)
            names[name] = path
        if not names:
            return "there is no history to look at"
        return found_in(Path(scratch), names)


def blobs(repository: Path) -> Iterator[tuple[str, bytes]]:
    git = ["git", "-C", str(repository)]
    listed = subprocess.run(
        [*git, "rev-list", "--objects", "--all"], capture_output=True, text=True, check=True
    )
    paths = dict(line.split(" ", 1) for line in listed.stdout.splitlines() if " " in line)
    batch = subprocess.run(
        [*git, "cat-file", "--batch"], input="\n".join(paths).encode(), capture_output=True, check=True
    )
    stream = io.BytesIO(batch.stdout)
    while header := stream.readline().split():
        name, kind, size = header[0].decode(), header[1], int(header[2])
        content = stream.read(size)
        stream.read(1)
        if kind == b"blob" and size <= MAX_FILE_BYTES:
            yield paths[name], content


def image_fault(docker: Engine, image: str) -> str | None:
    """Each file of each layer, those that an upper layer hides included, and the image's own words."""
    with tempfile.TemporaryDirectory() as scratch:
        names = {}
        for number, (path, content) in enumerate(files_of(docker, image)):
            name = f"{number}{Path(path).suffix}"
            # Of a program, what can be read in it.
            text = content if is_text(content) else b"\n".join(re.findall(rb"[ -~]{16,}", content))
            (Path(scratch) / name).write_bytes(text)
            names[name] = path
        config = json.dumps(docker.inspect(image)) + "\n" + docker.must("history", "--no-trunc", image)
        (Path(scratch) / "config.json").write_text(config)
        return found_in(Path(scratch), {**names, "config.json": "its configuration"})


def is_text(content: bytes) -> bool:
    return b"\0" not in content[:8192]


def layers_of(docker: Engine, image: str) -> Iterator[tarfile.TarFile]:
    saved = subprocess.run(
        [docker.client, "save", image], env=docker.env, capture_output=True, check=True
    ).stdout
    with tarfile.open(fileobj=io.BytesIO(saved)) as whole:
        manifest = json.load(whole.extractfile("manifest.json"))
        for layer in manifest[0]["Layers"]:
            with tarfile.open(fileobj=whole.extractfile(layer)) as tar:
                yield tar


def files_of(docker: Engine, image: str) -> Iterator[tuple[str, bytes]]:
    for tar in layers_of(docker, image):
        for member in tar:
            if member.isfile():
                yield member.name, tar.extractfile(member).read()


def paths_of(docker: Engine, image: str) -> list[str]:
    """What is in an image, files and folders."""
    return [member.name.removeprefix("./") for tar in layers_of(docker, image) for member in tar]


def found_in(folder: Path, names: dict[str, str]) -> str | None:
    """What the scanner finds, by the names that its readers know."""
    result = subprocess.run(
        [program("detect-secrets"), "-C", str(folder), "scan", "--all-files", "--no-verify", *switched_off()],
        capture_output=True, text=True, timeout=LIMIT_SECONDS, check=False,
    )  # fmt: skip
    if result.returncode != 0:
        return f"detect-secrets: {result.stderr[-500:]}"
    faults = []
    for name, secrets_there in json.loads(result.stdout)["results"].items():
        lines = (folder / name).read_text(errors="replace").splitlines()
        for it in secrets_there:
            line = lines[it["line_number"] - 1] if it["line_number"] <= len(lines) else ""
            if not any(re.search(pattern, line) for pattern in INNOCENT):
                faults.append(f"{names.get(name, name)}:{it['line_number']}: {it['type']}")
    return "; ".join(sorted(set(faults))[:20]) or None


def switched_off() -> list[str]:
    listed = subprocess.run(
        [program("detect-secrets"), "scan", "--list-all-plugins"], capture_output=True, text=True, check=True
    )
    known = set(listed.stdout.split())
    if lost := DETECTORS - known:
        raise RuntimeError(f"detect-secrets no longer has {', '.join(sorted(lost))}")
    return [word for name in sorted(known - DETECTORS) for word in ("--disable-plugin", name)]
