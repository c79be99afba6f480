"""`infra/`: formatted, valid against the providers' schemas, tested, scanned, and every rule used.

Terraform is the real one (1.15, as a library from PyPI). The providers are stand-ins with the real
schemas, see `aws/`: what AWS itself would refuse when applying is not tried here.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path

from tests.delivery.aws.terraform import Terraform, terraform, workspace
from tests.delivery.tools import ROOT, Tally, broken, fault_of, ran

TYPE = re.compile(r'^(?:resource|data|ephemeral) "(\w+)"', re.MULTILINE)
VARIABLE = re.compile(r'^variable "(\w+)" \{$(.*?)^\}$', re.MULTILINE | re.DOTALL)
OUTPUT = re.compile(r'^output "(\w+)" \{$(.*?)^\}$', re.MULTILINE | re.DOTALL)
LOCALS = re.compile(r"^locals \{$(.*?)^\}$", re.MULTILINE | re.DOTALL)
NAMED = re.compile(r'^(resource|data|ephemeral) "(\w+)" "(\w+)"', re.MULTILINE)
MODULE = re.compile(r'^module "(\w+)" \{\n  source = "\./([\w/]+)"', re.MULTILINE)
EXPECTED = re.compile(r"expect_failures = \[var\.(\w+)\]")
SKIP = re.compile(r"#checkov:skip=(\w+):(.*)")

# Runs of `terraform test`, and what must pass without being skipped: fewer means some are gone.
FEWEST_RUNS = 46
# As checkov counts; far fewer would mean that it does not read what it should.
FEWEST_SCANS = 240
# What makes of a scanner's finding an explained one.
SHORTEST_REASON = 20

# What must be noticed: by which step, where that looks (all tests take long), the file, and what is
# changed in it.
BREAKAGES = (
    ("fmt", "", "modules/key/main.tf", "name          =", "name ="),
    ("validate", "", "modules/registry/main.tf", "image_tag_mutability =", "image_tag_mutabilty ="),
    ("validate", "", "modules/database/main.tf", '  family      = "postgres${local.major}"\n', ""),
    ("validate", "", "modules/eks/main.tf", "aws_iam_role.node.arn", "aws_iam_role.nodes.arn"),
    # A password that would end in the state.
    ("validate", "", "modules/database/main.tf", "password_wo         =", "password            ="),
    ("test", "data", "modules/registry/main.tf", '"IMMUTABLE"', '"MUTABLE"'),
    ("test", "network", "modules/network/main.tf", "? local.zones : slice(local.zones, 0, 1)", "? local.zones : local.zones"),
    ("test", "variables", "variables.tf", 'contains(["eks", "ecs"], var.platform)', "var.platform != null"),
    ("test", "platform", "modules/pipeline/main.tf", ":environment:${var.environment}", ":*"),
    ("read", "", "modules/key/variables.tf", '  description = "What the key is called."\n', ""),
    ("read", "", "variables.tf", 'variable "platform"', 'variable "unused"'),
    ("read", "", "outputs.tf", "value       = module.network.egress_addresses", "value       = []"),
    ("read", "", "modules/ecs/logs.tf", ":It holds access logs itself.", ":no"),
    ("read", "", "examples/cluster.yaml", "key: enchufe-production/redis-url", "key: enchufe-production/redis"),
)  # fmt: skip
# What the scanner must find, all in one copy: the finding, the file, and what is changed in it.
FINDINGS = (
    ("CKV_AWS_16", "modules/database/main.tf", "storage_encrypted     = true", ""),
    ("CKV_AWS_29", "modules/cache/main.tf", "at_rest_encryption_enabled = true", ""),
    ("CKV_AWS_163", "modules/registry/main.tf", "scan_on_push = true", "scan_on_push = false"),
)


def run(tally: Tally) -> None:
    infra = ROOT / "infra"
    with terraform(types_in(infra)) as program:
        steps: dict[str, Step] = {
            "fmt": formatted(program),
            "validate": validated(program),
            "test": tested(program),
            "checkov": scanned,
            "read": read,
        }
        for name, step in steps.items():
            tally.check(f"infra: {name}", step(infra, ""))
        tally.check("infra: examples", examples(program, infra))
        for name, scope, path, old, new in BREAKAGES:
            with broken(f"infra/{path}", old, new, beside=("docs",)) as copy:
                noticed = steps[name](copy / "infra", scope) is not None
            fault = None if noticed else f"{name} says nothing"
            tally.check(f"infra: {name} notices {new.strip() or 'without ' + old.strip()}", fault)
        tally.check("infra: checkov notices", unnoticed_findings())


def types_in(infra: Path) -> set[str]:
    return {name for file in infra.rglob("*.tf") for name in TYPE.findall(file.read_text())}


# Looks at a copy of `infra/`, all of it or the part named, and gives what is wrong.
Step = Callable[[Path, str], str | None]


def formatted(program: Terraform) -> Step:
    return lambda infra, _: fault_of(program(infra, "fmt", "-check", "-recursive", "-diff"))


def validated(program: Terraform) -> Step:
    """Each folder that is a configuration of its own."""

    def step(infra: Path, _: str) -> str | None:
        with workspace(infra) as copy:
            for root in (copy, copy / "bootstrap"):
                fault = fault_of(program(root, "init", "-backend=false")) or fault_of(
                    program(root, "validate")
                )
                if fault:
                    return fault
        return None

    return step


def tested(program: Terraform) -> Step:
    """All runs of `infra/tests`, or those of one file."""

    def step(infra: Path, only: str) -> str | None:
        filters = [f"-filter=tests/{only}.tftest.hcl"] if only else []
        with workspace(infra) as copy:
            if fault := fault_of(program(copy, "init", "-backend=false")):
                return fault
            result = program(copy, "test", *filters)
        if fault := fault_of(result):
            return fault
        passed = re.search(r"Success! (\d+) passed, 0 failed\.", result.stdout)
        if only or passed and int(passed[1]) >= FEWEST_RUNS:
            return None
        return f"fewer than {FEWEST_RUNS} runs passed: {passed and passed[0]}"

    return step


def examples(program: Terraform, infra: Path) -> str | None:
    """Each example can be planned as it stands, and so do what docs/aws.md leads to."""
    plan = (
        'mock_provider "aws" {\n  source = "./tests/mocks"\n}\n\nrun "plan" {\n  command = plan\n}\n'
    )
    with workspace(infra) as copy:
        for file in (copy / "tests").glob("*.tftest.hcl"):
            file.unlink()
        (copy / "tests/example.tftest.hcl").write_text(plan)
        if fault := fault_of(program(copy, "init", "-backend=false")):
            return fault
        found = sorted((copy / "examples").glob("*.tfvars"))
        for file in found:
            if fault := fault_of(program(copy, "test", f"-var-file={file}")):
                return f"{file.name}: {fault}"
    return None if len(found) >= 3 else "there are fewer than three examples"


def scanned(infra: Path, _: str) -> str | None:
    """No finding of checkov's, but those the code explains where they are."""
    report = scan(infra)
    if report["summary"]["parsing_errors"]:
        return f"checkov cannot read {report['summary']['parsing_errors']} files"
    failed = [
        f"{one['check_id']} {one['file_path']} {one['resource']}: {one['check_name']}"
        for one in report["results"]["failed_checks"]
    ]
    if failed:
        return "\n".join(["", *failed])
    if report["summary"]["passed"] < FEWEST_SCANS:
        return f"checkov looked at too little: {report['summary']}"
    return None


def unnoticed_findings() -> str | None:
    _, first, old, new = FINDINGS[0]
    with broken(f"infra/{first}", old, new) as copy:
        for _, path, old, new in FINDINGS[1:]:
            file = copy / "infra" / path
            text = file.read_text()
            if old not in text:
                return f"{path} no longer holds {old!r}: break something else"
            file.write_text(text.replace(old, new))
        found = {one["check_id"] for one in scan(copy / "infra")["results"]["failed_checks"]}
    missing = {finding for finding, *_ in FINDINGS} - found
    return f"it does not find {sorted(missing)}" if missing else None


def scan(infra: Path) -> dict:
    program = Path(sys.executable).with_name("checkov")
    command = [program, "--directory", infra, "--framework", "terraform", "--output", "json"]
    result = ran([*command, "--quiet", "--skip-download"])
    start = result.stdout.find("{")
    if start < 0:
        raise RuntimeError(f"checkov said nothing that can be read:\n{result.stdout[-2000:]}")
    return json.JSONDecoder().raw_decode(result.stdout[start:])[0]


def read(infra: Path, _: str) -> str | None:
    """What Terraform lets pass: things without a word about them, or without a use."""
    faults: list[str] = []
    texts = {
        folder: "\n".join(file.read_text() for file in sorted(folder.glob("*.tf")))
        for folder in (infra, infra / "bootstrap", *sorted((infra / "modules").iterdir()))
    }
    for folder, text in texts.items():
        name = folder.relative_to(infra).as_posix()
        asks_people = folder.parent != infra / "modules"
        faults += [f"{name}: {fault}" for fault in declared(text, asks_people)]
        faults += [f"{name}: {fault}" for fault in unused(text)]
    faults += unread_outputs(infra, texts)
    faults += untested_rules(infra, texts[infra])
    faults += undocumented(infra, texts[infra])
    faults += unexplained(infra)
    faults += misnamed_secrets(infra)
    return "\n".join(["", *faults]) if faults else None


def declared(text: str, asks_people: bool) -> list[str]:
    """Variables and outputs that do not say what they are."""
    faults = []
    for name, body in VARIABLE.findall(text):
        for word in ("type", "description"):
            if not re.search(rf"^  {word} +=|^  {word} =", body, re.MULTILINE):
                faults.append(f"variable {name} has no {word}")
        if "nullable" not in body and "default = null" not in body:
            faults.append(f"variable {name} may be null and does not say so")
        is_switch = re.search(r"^  type +=\s*bool$", body, re.MULTILINE)
        if asks_people and not is_switch and "validation {" not in body:
            faults.append(f"variable {name} takes anything: it has no validation")
    for name, body in OUTPUT.findall(text):
        if "description" not in body:
            faults.append(f"output {name} has no description")
    return faults


def unused(text: str) -> list[str]:
    """Variables, locals and data that nothing reads."""
    faults = []
    for name, body in VARIABLE.findall(text):
        elsewhere = text.replace(body, "")
        if not re.search(rf"\bvar\.{name}\b", elsewhere):
            faults.append(f"variable {name} is not used")
    for body in LOCALS.findall(text):
        for name in re.findall(r"^  (\w+) +=", body, re.MULTILINE):
            if not re.search(rf"\blocal\.{name}\b", text):
                faults.append(f"local {name} is not used")
    for kind, of, name in NAMED.findall(text):
        prefix = {"data": "data.", "ephemeral": "ephemeral."}.get(kind)
        if prefix and f"{prefix}{of}.{name}" not in text:
            faults.append(f"{kind} {of}.{name} is not used")
    return faults


def unread_outputs(infra: Path, texts: dict[Path, str]) -> list[str]:
    """Outputs of modules that the root does not read."""
    faults = []
    for name, source in MODULE.findall(texts[infra]):
        for output, _ in OUTPUT.findall(texts[infra / source]):
            if not re.search(rf"\bmodule\.{name}(\[\*\])?\.{output}\b", texts[infra]):
                faults.append(f"{source}: output {output} is not read")
    called = {source for _, source in MODULE.findall(texts[infra])}
    there = {f"modules/{folder.name}" for folder in (infra / "modules").iterdir()}
    return faults + [f"{name} is not called" for name in sorted(there ^ called)]


def untested_rules(infra: Path, text: str) -> list[str]:
    """Validations of which no test shows that they refuse."""
    expected: list[str] = []
    for file in (infra / "tests").glob("*.tftest.hcl"):
        expected += EXPECTED.findall(file.read_text())
    faults = []
    for name, body in VARIABLE.findall(text):
        rules = body.count("validation {")
        if expected.count(name) < rules:
            tests = expected.count(name)
            faults.append(f"variable {name} has {rules} rules, and {tests} tests that break one")
    return faults


def undocumented(infra: Path, text: str) -> list[str]:
    """Variables and outputs of the root that docs/aws.md does not name."""
    guide = (infra.parent / "docs/aws.md").read_text()
    names = [name for name, _ in VARIABLE.findall(text) + OUTPUT.findall(text)]
    return [f"docs/aws.md does not name {name}" for name in names if f"`{name}`" not in guide]


def unexplained(infra: Path) -> list[str]:
    """Findings that are let pass without a reason."""
    faults = []
    for file in sorted(infra.rglob("*.tf")):
        for check, reason in SKIP.findall(file.read_text()):
            if len(reason.strip()) < SHORTEST_REASON:
                faults.append(f"{file.relative_to(infra)}: {check} is let pass without a reason")
    return faults


def misnamed_secrets(infra: Path) -> list[str]:
    """Secrets that are made and not copied into the cluster, or the other way round."""
    module = (infra / "modules/secrets/main.tf").read_text()
    made = set(re.findall(r'^    ([a-z-]+) += "ENCHUFE_', module, re.MULTILINE))
    manifest = (infra / "examples/cluster.yaml").read_text()
    copied = set(re.findall(r"secretKey: ([a-z-]+)\n +remoteRef: \{ key: [a-z-]+/\1 \}", manifest))
    if made and made == copied:
        return []
    return [f"examples/cluster.yaml copies {sorted(copied)}, and made are {sorted(made)}"]
