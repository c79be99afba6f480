"""The schema of a Terraform provider, read out of the bindings that were generated from it.

The registry that serves providers is not a package registry, so where only packages can be had the
provider's own `GetSchema` cannot be asked. The CDK Terrain bindings on PyPI are generated from that
answer and keep what a check needs: each argument's name and type, whether it is required, optional,
computed or write-only, and which arguments are nested blocks. They do not keep which values are
sensitive (`SENSITIVE` says that for what we use) nor the provider's own checks of values.
"""

from __future__ import annotations

import re
import tarfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

# A Terraform type as its JSON form has it: "string", ["list", "string"], ["object", {…}].
Type = str | list

# What the real schema marks as sensitive, of the attributes used here.
SENSITIVE = {
    "random_password": {"result", "bcrypt_hash"},
    "aws_db_instance": {"password", "password_wo"},
    "aws_elasticache_replication_group": {"auth_token", "auth_token_wo"},
    "aws_secretsmanager_secret_version": {"secret_string", "secret_string_wo", "secret_binary"},
}

SCALARS = {
    "getStringAttribute": "string",
    "getNumberAttribute": "number",
    "getBooleanAttribute": "bool",
    "getListAttribute": ["list", "string"],
    "getNumberListAttribute": ["list", "number"],
    "getStringMapAttribute": ["map", "string"],
    "getNumberMapAttribute": ["map", "number"],
    "getBooleanMapAttribute": ["map", "bool"],
    "getAnyMapAttribute": ["map", "string"],
}
# Those that the bindings' library has classes for.
LIBRARY: dict[str, Type] = {
    "StringMap": ["map", "string"],
    "NumberMap": ["map", "number"],
    "BooleanMap": ["map", "bool"],
}
# The provider's own arguments have no getter that tells a type, but what they are written as.
WRITTEN = {
    "string": "string",
    "number": "number",
    "boolean": "bool",
    "stringList": "string",
    "stringMap": ["map", "string"],
}

CLASS = re.compile(r"^class (\w+) extends cdktn\.(\w+) \{$(.*?)^\}$", re.MULTILINE | re.DOTALL)
ATTRIBUTE = re.compile(
    r"^    // (\w+) - computed: (\w+), optional: (\w+), required: (\w+)$(.*?)(?=^    // |\Z)",
    re.MULTILINE | re.DOTALL,
)
COMPLEX = re.compile(r'= new (?:cdktn\.)?(\w+)\(this, "\w+"(?:, (true|false))?\);')
GETTER = re.compile(r"return (cdktn\.Fn\.tolist\()?this\.(get\w+Attribute)\(")
WRITE_ONLY = re.compile(r"^\s+(\w+): this\.markWriteOnlyAttribute\(", re.MULTILINE)
HCL = re.compile(
    r'^            (\w+): \{\n\s+value: .*\n\s+isBlock: (true|false),\n\s+type: "(\w+)",'
    r'\n\s+storageClassType: "(\w+)",',
    re.MULTILINE,
)
INTERFACE = re.compile(r"^export interface (\w+)[^{]*\{$(.*?)^\}$", re.MULTILINE | re.DOTALL)
BLOCK = re.compile(r"^    \* (\w+) block$", re.MULTILINE)


@dataclass
class Attribute:
    """One argument, or one thing that can be read."""

    name: str
    type: Type
    required: bool
    optional: bool
    computed: bool
    sensitive: bool = False
    write_only: bool = False


@dataclass
class Block:
    """What stands between two braces."""

    attributes: list[Attribute] = field(default_factory=list)
    blocks: list[Nested] = field(default_factory=list)


@dataclass
class Nested:
    """A block in a block: how often, and what is in it."""

    name: str
    nesting: str  # "single", "list" or "set"
    min_items: int
    max_items: int  # 0: any number
    block: Block


@dataclass
class Schema:
    """What a provider says it has."""

    provider: Block = field(default_factory=Block)
    resources: dict[str, Block] = field(default_factory=dict)
    data_sources: dict[str, Block] = field(default_factory=dict)
    ephemeral: dict[str, Block] = field(default_factory=dict)


def schema_of(wheel: Path, wanted: set[str]) -> Schema:
    """The part of the provider's schema that concerns the types in `wanted`."""
    schema = Schema()
    for folder, code, typings in bindings(wheel):
        if folder == "provider":
            schema.provider = Reader(code, typings).block_of(provider_class(code))
            continue
        match = re.search(r'static tfResourceType = "(\w+)";', code)
        if match is None or match[1] not in wanted:
            continue
        name = match[1]
        kind = main_class(code)
        places = {
            "TerraformResource": schema.resources,
            "TerraformDataSource": schema.data_sources,
            "TerraformEphemeralResource": schema.ephemeral,
        }
        block = Reader(code, typings).block_of(kind[0])
        for attribute in block.attributes:
            attribute.sensitive = attribute.name in SENSITIVE.get(name, ())
        places[kind[1]][name] = block
    return schema


def bindings(wheel: Path) -> Iterator[tuple[str, str, str]]:
    """Each type's folder in the bindings, its code and its typings."""
    halves: dict[str, dict[str, str]] = {}
    with zipfile.ZipFile(wheel) as archive:
        name = next(name for name in archive.namelist() if name.endswith(".jsii.tgz"))
        with archive.open(name) as inner:
            for path, text in texts(inner):
                folder, file = path.parts[-2], path.name
                half = halves.setdefault(folder, {})
                half[file] = text
                if len(half) == 2:
                    yield folder, half["index.js"], half["index.d.ts"]
                    half.clear()


def texts(archive: IO[bytes]) -> Iterator[tuple[Path, str]]:
    with tarfile.open(fileobj=archive, mode="r|gz") as members:
        for member in members:
            path = Path(member.name)
            if len(path.parts) == 4 and path.name in ("index.js", "index.d.ts"):
                content = members.extractfile(member)
                if content is not None:
                    yield path, content.read().decode()


def main_class(code: str) -> tuple[str, str]:
    """The class of the type itself, and what it is."""
    for match in CLASS.finditer(code):
        if "static tfResourceType" in match[3]:
            return match[1], match[2]
    raise RuntimeError("these bindings look otherwise than before: no class says its type")


def provider_class(code: str) -> str:
    return next(match[1] for match in CLASS.finditer(code) if match[2] == "TerraformProvider")


class Reader:
    """Reads the classes of one file of the bindings."""

    def __init__(self, code: str, typings: str) -> None:
        self.code = code
        self.classes = {match[1]: (match[2], match[3]) for match in CLASS.finditer(code)}
        # Which arguments are blocks: the typings' comments say so.
        self.block_names = {
            match[1]: set(BLOCK.findall(match[2])) for match in INTERFACE.finditer(typings)
        }

    def block_of(self, name: str) -> Block:
        kind, body = self.classes[name]
        interface = name.removesuffix("OutputReference")
        if kind.startswith("Terraform"):
            interface += "Config"
        nested_names = self.block_names.get(interface, set())
        write_only = set(WRITE_ONLY.findall(body))
        written = {match[0]: match for match in HCL.findall(body)}
        block = Block()
        for attribute, computed, optional, required, text in ATTRIBUTE.findall(body):
            if attribute in nested_names:
                nested = self.nested(attribute, text, required == "true", written.get(attribute))
                block.blocks.append(nested)
                continue
            block.attributes.append(
                Attribute(
                    name=attribute,
                    type=self.type_of(text, written.get(attribute)),
                    required=required == "true",
                    optional=optional == "true",
                    computed=computed == "true",
                    write_only=attribute in write_only,
                )
            )
        if not block.attributes and not block.blocks and kind != "TerraformProvider":
            raise RuntimeError(f"these bindings look otherwise than before: {name} has nothing")
        return block

    def nested(self, name: str, text: str, required: bool, written: tuple | None) -> Nested:
        match = COMPLEX.search(text)
        if match is None:
            # Blocks of the provider itself: written as a list of one interface's members.
            assert written is not None, name
            inner = self.function_block(written[3])
            return Nested(name, "list", int(required), 0, inner)
        inner = match[1]
        if inner.endswith("List"):
            nesting = "set" if match[2] == "true" else "list"
            reference = inner.removesuffix("List") + "OutputReference"
            return Nested(name, nesting, int(required), 0, self.block_of(reference))
        # The bindings write a list of at most one as that one.
        single = written is not None and written[2] == "struct"
        nesting = "single" if single else "list"
        bounds = (0, 0) if single else (int(required), 1)
        return Nested(name, nesting, *bounds, self.block_of(inner))

    def function_block(self, interface: str) -> Block:
        """A block that has no class, from the function that writes it."""
        interface = interface.removesuffix("List")
        name = interface[0].lower() + interface[1:] + "ToHclTerraform"
        match = re.search(rf"^function {name}\(.*?^\}}$", self.code, re.MULTILINE | re.DOTALL)
        if match is None:
            return Block()
        body = re.sub(r"^    ", "        ", match[0], flags=re.MULTILINE)
        return Block(
            [
                Attribute(name, written_type(kind, stored), False, True, False)
                for name, is_block, kind, stored in HCL.findall(body)
                if is_block == "false"
            ]
        )

    def type_of(self, text: str, written: tuple | None) -> Type:
        if match := COMPLEX.search(text):
            return self.complex_type(match[1], match[2] == "true")
        if match := GETTER.search(text):
            kind = SCALARS[match[2]]
            return ["set", kind[1]] if match[1] and isinstance(kind, list) else kind
        if written is not None:
            return written_type(written[2], written[3])
        raise RuntimeError(f"these bindings look otherwise than before: {text.strip()}")

    def complex_type(self, name: str, wraps_set: bool) -> Type:
        if name in LIBRARY:
            return LIBRARY[name]
        kind = {"List": "set" if wraps_set else "list", "Map": "map"}
        for suffix, collection in kind.items():
            if name.endswith(suffix):
                reference = name.removesuffix(suffix) + "OutputReference"
                if reference in self.classes:
                    return [collection, self.object_type(reference)]
        return self.object_type(name)

    def object_type(self, reference: str) -> Type:
        body = self.classes[reference][1]
        written = {match[0]: match for match in HCL.findall(body)}
        members = {
            name: self.type_of(text, written.get(name))
            for name, _, _, _, text in ATTRIBUTE.findall(body)
        }
        return ["object", members]


def written_type(kind: str, stored: str) -> Type:
    element = WRITTEN.get(stored, "string")
    return [kind, element] if kind in ("list", "set") and isinstance(element, str) else element
