"""The image: built by a real engine from the real Dockerfile, looked into, started as it will be in
production, and stopped. Then secrets are looked for in its layers."""

from __future__ import annotations

import secrets
import string
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from tests.delivery import secrets_scan, standins
from tests.delivery.engine import Engine, engine, program, wait
from tests.delivery.tools import ROOT, Tally, broken, fault_of, ran

TAG = "enchufe:tested"
VERSION, COMMIT = "9.8.7-tested", "0123456789abcdef0123456789abcdef01234567"
BUDGET_BYTES = 40 * 10**6
# The server stops by itself within 25 seconds; Compose gives it 35.
STOP_SECONDS = 25
# Beside Dockerfile itself, what it copies.
CONTEXT = (".dockerignore", ".cargo/config.toml", "Cargo.lock", "Cargo.toml", "LICENSE", "crates", "xtask")
# As it is meant to run, everywhere.
CONTAINED = ("--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges", "--user=65532:65532")


def run(tally: Tally) -> None:
    lint(tally)
    tally.check("the context holds no more than the build needs", context_fault(ROOT))
    with broken(".dockerignore", "crates/*/tests", "!secrets\n!.git", beside=CONTEXT[1:]) as copy:
        noticed(tally, "a context with secrets", context_fault(copy))
    try:
        image = built()
    except RuntimeError as error:
        tally.check("the image is built", str(error))
        return
    tally.check("the image is built")
    properties(tally, image)
    runs(tally, image)
    layers(tally, image)


def noticed(tally: Tally, what: str, fault: str | None) -> None:
    """The proof that a check can fail: it must, on a subject that was broken on purpose."""
    tally.check(f"noticed: {what}", None if fault else "the check found nothing wrong with it")


# ---- The file


def lint(tally: Tally) -> None:
    def fault(folder: Path) -> str | None:
        return fault_of(ran([program("hadolint"), "Dockerfile"], cwd=folder))

    tally.check("hadolint finds nothing in the Dockerfile", fault(ROOT))
    with broken("Dockerfile", 'CMD ["serve"]', "CMD serve") as copy:
        noticed(tally, "a command that needs a shell", fault(copy))


def context_fault(folder: Path) -> str | None:
    """What a build would be given: the files of an image that copies all of it."""
    docker = engine()
    planted = [folder / "secrets/enchufe/admin_token", folder / ".git/planted"]
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / "Dockerfile"
        file.write_text("FROM scratch\nCOPY . /\n")
        made: list[Path] = []
        for path in planted:
            if not path.exists() and folder != ROOT:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text("planted")
                made.append(path)
        result = docker("build", f"--file={file}", "--tag=enchufe-context:tested", folder, seconds=300)
        if fault := fault_of(result):
            return fault
        tops = {path.split("/")[0] for path in secrets_scan.paths_of(docker, "enchufe-context:tested")}
    allowed = {part.split("/")[0] for part in CONTEXT} - {".dockerignore"}
    return f"also {', '.join(sorted(tops - allowed))}" if tops - allowed else None


# ---- The build


@cache
def built() -> str:
    """The image, built once for all checks of a run."""
    standins.rust()
    started = time.monotonic()
    result = build(ROOT, TAG)
    if fault := fault_of(result):
        raise RuntimeError(fault[-4000:])
    print(f"  image     built in {time.monotonic() - started:.0f} s", flush=True)
    return TAG


def build(folder: Path, tag: str):
    return engine().build(
        folder, tag, f"--build-arg=VERSION={VERSION}", f"--build-arg=COMMIT={COMMIT}"
    )


# ---- What it is


def properties(tally: Tally, image: str) -> None:
    docker = engine()
    size = docker.inspect(image)["Size"]
    tally.check(f"its {size / 10**6:.1f} MB are within the budget of {BUDGET_BYTES // 10**6}", size_fault(size))
    noticed(tally, "a byte more than the budget", size_fault(BUDGET_BYTES + 1))
    tally.check("it says what it is, and what it needs", config_fault(docker, image))
    for what, old, new in (
        ("another retry count", "--retries=5", "--retries=3"),
        ("a forgotten start period", "--start-period=30s ", ""),
        ("root", "USER 65532:65532", "USER 0"),
        ("a port too many", "EXPOSE 8081 8000", "EXPOSE 8081 8000 22"),
        ("a shell form", 'CMD ["/usr/local/bin/enchufe", "healthcheck"]', "CMD enchufe healthcheck"),
        ("a version that is not said", 'image.version="${VERSION}"', 'image.version=""'),
    ):
        with broken("Dockerfile", old, new, beside=CONTEXT) as copy:
            other = "enchufe:broken"
            result = build(copy, other)
            noticed(tally, what, fault_of(result) or config_fault(docker, other))
    tally.check("there is nothing in it but what was put there", content_fault(docker, image))
    with broken("Dockerfile", "COPY --from=build /root-of-image /", "COPY --from=build /root-of-image /bin/sh /", beside=CONTEXT) as copy:
        result = build(copy, "enchufe:broken")
        noticed(tally, "a shell in it", fault_of(result) or content_fault(docker, "enchufe:broken"))
    said = docker("run", "--rm", image, "--version").stdout.strip()
    expected = f"enchufe {VERSION} (commit {COMMIT})"
    tally.check("the binary knows its version", None if said == expected else f"{said!r}, not {expected!r}")
    refused = docker.build(ROOT, "enchufe:broken", "--platform=linux/s390x")
    tally.check(
        "a platform it is not made for is refused in words",
        None if "there is no image for s390x" in refused.stdout and refused.returncode else refused.stdout[-800:],
    )


def size_fault(size: int) -> str | None:
    return f"{size} bytes, of {BUDGET_BYTES}" if size > BUDGET_BYTES else None


def config_fault(docker: Engine, image: str) -> str | None:
    config = docker.inspect(image)["Config"]
    labels = config["Labels"] or {}
    prefix = "org.opencontainers.image."
    second = 10**9
    expected = {
        "user": (config["User"], "65532:65532"),
        "entrypoint": (config["Entrypoint"], ["/usr/local/bin/enchufe"]),
        "command": (config["Cmd"], ["serve"]),
        "ports": (sorted(config["ExposedPorts"]), ["8000/tcp", "8081/tcp"]),
        "volumes": (list(config["Volumes"]), ["/data"]),
        "health check": (
            config["Healthcheck"],
            {
                "Test": ["CMD", "/usr/local/bin/enchufe", "healthcheck"],
                "Interval": 30 * second,
                "Timeout": 5 * second,
                "StartPeriod": 30 * second,
                "Retries": 5,
            },
        ),
        "version": (labels.get(prefix + "version"), VERSION),
        "revision": (labels.get(prefix + "revision"), COMMIT),
        "licence": (labels.get(prefix + "licenses"), "Apache-2.0"),
    }
    wrong = [f"{name} is {is_!r}, not {must!r}" for name, (is_, must) in expected.items() if is_ != must]
    missing = [it for it in ("title", "description", "source", "url", "documentation") if not labels.get(prefix + it)]
    return "; ".join(wrong + [f"no label {it}" for it in missing]) or None


def content_fault(docker: Engine, image: str) -> str | None:
    expected = {
        "data", "tmp", "usr/local/bin/enchufe", "licenses/enchufe/LICENSE", "etc/passwd", "etc/group",
        "etc/nsswitch.conf", "etc/ssl/certs/ca-certificates.crt",
    }  # fmt: skip
    folders = {str(parent) for path in expected for parent in Path(path).parents} - {"."}
    there = set(secrets_scan.paths_of(docker, image))
    more, less = there - expected - folders, expected - there
    return f"more: {sorted(more)}, less: {sorted(less)}" if more or less else None


# ---- How it runs


def runs(tally: Tally, image: str) -> None:
    docker = engine()
    tally.check("contained and without a network, it becomes healthy", health_fault(docker, image))
    noticed(tally, "a server that is not there", health_fault(docker, image, "simulate"))
    with container(docker, image, "--volume=enchufe-tested:/data", "--network=none") as name:
        healthy(docker, name)
        fault = stop_fault(docker, name)
        tally.check(f"told to stop, it ends within {STOP_SECONDS} s, with 0", fault)
        first = docker("logs", name).stdout
        docker.must("start", name)
        healthy(docker, name)
        starts = docker("logs", name).stdout.count("Admin token")
        tally.check(
            "what it keeps survives in the volume",
            None if "Admin token" in first and starts == 1 else f"it made {starts} admin tokens",
        )
    docker("volume", "rm", "enchufe-tested")
    with container(docker, image, "--network=none", "--stop-signal=KILL") as name:
        healthy(docker, name)
        noticed(tally, "an end by force", stop_fault(docker, name))


@contextmanager
def container(docker: Engine, image: str, *words: str, command: tuple[str, ...] = ()) -> Iterator[str]:
    """Runs it as production will. Its health is asked for more often than the image says."""
    name = f"enchufe-tested-{time.monotonic_ns()}"
    quick = ("--health-interval=1s", "--health-start-period=0s", "--health-retries=10")
    docker.must("run", "--detach", f"--name={name}", *CONTAINED, *quick, *words, image, *command)
    try:
        yield name
    finally:
        docker("rm", "--force", "--volumes", name)


def healthy(docker: Engine, name: str) -> None:
    def state() -> bool:
        now = docker.inspect(name)["State"]
        if now["Health"]["Status"] == "unhealthy" or now["Status"] == "exited":
            raise RuntimeError(f"{now}\n{docker('logs', name).stdout[-1500:]}")
        return now["Health"]["Status"] == "healthy"

    wait("healthy", state, 60)


def health_fault(docker: Engine, image: str, *command: str) -> str | None:
    with container(docker, image, "--network=none", command=command) as name:
        try:
            healthy(docker, name)
        except (RuntimeError, TimeoutError) as error:
            return str(error)
    return None


def stop_fault(docker: Engine, name: str) -> str | None:
    started = time.monotonic()
    docker.must("stop", "--time=60", name)
    took = time.monotonic() - started
    state = docker.inspect(name)["State"]
    if state["ExitCode"] != 0:
        return f"it ended with {state['ExitCode']}"
    if took > STOP_SECONDS:
        return f"it took {took:.0f} s"
    return None if "stopped" in docker("logs", name).stdout else "its log does not say so"


# ---- Secrets


def layers(tally: Tally, image: str) -> None:
    docker = engine()
    tally.check("no secret in the image's layers", secrets_scan.image_fault(docker, image))
    with tempfile.TemporaryDirectory() as scratch:
        # In an upper layer it is gone; in the lower one it is there for everybody who pulls.
        folder = Path(scratch)
        token = "ghp_" + "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(36))
        (folder / "planted").write_text(f"{token}\n")
        (folder / "empty").write_text("")
        (folder / "Dockerfile").write_text(f"FROM {image}\nCOPY planted /settings\nCOPY empty /settings\n")
        docker.must("build", "--tag=enchufe:broken", folder)
        noticed(tally, "a token in a lower layer", secrets_scan.image_fault(docker, "enchufe:broken"))
