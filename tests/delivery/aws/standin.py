"""A provider that has a schema and no cloud: what `terraform validate` and mocked tests ask for.

Terraform speaks gRPC to a provider. Told of one that runs already (TF_REATTACH_PROVIDERS), it
installs none. This one answers with the schema it was given and accepts whatever fits it; Terraform
itself holds the configuration against the schema. Messages are few and small, so they are written
here field by field instead of by generated code.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import grpc
import msgpack

from tests.delivery.aws.schema import Attribute, Block, Nested, Schema

SERVICE = "tfplugin5.Provider"
# The protocol's numbers for how blocks nest.
NESTING = {"single": 1, "list": 2, "set": 3}
# A provider's schema is a large message; gRPC's default bound is 4 MiB.
MAX_MESSAGE = 64 * 1024 * 1024


@contextmanager
def providers(schemas: dict[str, Schema]) -> Iterator[dict[str, str]]:
    """Serves a provider for each address, and gives what Terraform's environment must say."""
    with tempfile.TemporaryDirectory() as folder:
        servers, reattach = [], {}
        for number, (address, schema) in enumerate(schemas.items()):
            socket = Path(folder) / f"{number}.sock"
            server = grpc.server(
                ThreadPoolExecutor(max_workers=8),
                options=[
                    ("grpc.max_send_message_length", MAX_MESSAGE),
                    ("grpc.max_receive_message_length", MAX_MESSAGE),
                ],
            )
            server.add_generic_rpc_handlers((Provider(schema),))
            server.add_insecure_port(f"unix:{socket}")
            server.start()
            servers.append(server)
            reattach[address] = {
                "Protocol": "grpc",
                "ProtocolVersion": 5,
                "Pid": os.getpid(),
                "Test": True,
                "Addr": {"Network": "unix", "String": str(socket)},
            }
        try:
            yield {"TF_REATTACH_PROVIDERS": json.dumps(reattach)}
        finally:
            for server in servers:
                server.stop(grace=None).wait()


class Provider(grpc.GenericRpcHandler):
    """Answers the calls that validation and mocked runs make; any other is not implemented."""

    def __init__(self, schema: Schema) -> None:
        self.answer = schema_answer(schema)
        self.calls = {
            "GetSchema": lambda _: self.answer,
            # The configuration it was given, back as it is.
            "PrepareProviderConfig": lambda request: message(1, fields(request)[1]),
            "ValidateResourceTypeConfig": lambda _: b"",
            "ValidateDataSourceConfig": lambda _: b"",
            "ValidateEphemeralResourceConfig": lambda _: b"",
            "Configure": lambda _: b"",
            "OpenEphemeralResource": opened,
            "CloseEphemeralResource": lambda _: b"",
            "Stop": lambda _: b"",
        }

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:
        service, _, method = details.method.lstrip("/").partition("/")
        call = self.calls.get(method) if service == SERVICE else None
        if call is None:
            return None
        return grpc.unary_unary_rpc_method_handler(lambda request, _: call(request))


def opened(request: bytes) -> bytes:
    """An ephemeral password: as long as asked for, and recognisable in a test."""
    config = msgpack.unpackb(fields(fields(request)[2])[1], strict_map_key=False)
    config["result"] = ("ephemeral-" * 13)[: config.get("length") or 1]
    return message(3, message(1, msgpack.packb(config)))


def schema_answer(schema: Schema) -> bytes:
    answer = message(1, message(2, encoded(schema.provider)))
    for number, named in (
        (2, schema.resources),
        (3, schema.data_sources),
        (8, schema.ephemeral),
    ):
        for name, block in named.items():
            entry = message(1, name.encode()) + message(2, message(2, encoded(block)))
            answer += message(number, entry)
    return answer


def encoded(block: Block) -> bytes:
    return b"".join(
        [message(2, attribute(one)) for one in block.attributes]
        + [message(3, nested(one)) for one in block.blocks]
    )


def attribute(one: Attribute) -> bytes:
    return (
        message(1, one.name.encode())
        + message(2, json.dumps(one.type).encode())
        + number(4, one.required)
        + number(5, one.optional)
        + number(6, one.computed)
        + number(7, one.sensitive)
        + number(10, one.write_only)
    )


def nested(one: Nested) -> bytes:
    return (
        message(1, one.name.encode())
        + message(2, encoded(one.block))
        + number(3, NESTING[one.nesting])
        + number(4, one.min_items)
        + number(5, one.max_items)
    )


def message(field: int, content: bytes) -> bytes:
    """A field that holds bytes: a text, or a message within the message."""
    return varint(field << 3 | 2) + varint(len(content)) + content


def number(field: int, value: int) -> bytes:
    """A field that holds a whole number or a switch; what is zero is left out."""
    return varint(field << 3) + varint(int(value)) if value else b""


def varint(value: int) -> bytes:
    octets = bytearray()
    while value > 0x7F:
        octets.append(value & 0x7F | 0x80)
        value >>= 7
    octets.append(value)
    return bytes(octets)


def fields(data: bytes) -> dict[int, bytes]:
    """The fields of a message that hold bytes; the requests read here have no field twice."""
    found: dict[int, bytes] = {}
    place = 0
    while place < len(data):
        key, place = read_varint(data, place)
        length, place = read_varint(data, place)
        if key & 7 == 2:
            found[key >> 3] = data[place : place + length]
            place += length
    return found


def read_varint(data: bytes, place: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        octet = data[place]
        place += 1
        value |= (octet & 0x7F) << shift
        if not octet & 0x80:
            return value, place
        shift += 7
