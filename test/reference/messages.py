"""Section 17: network messages."""

import struct

from .hashing import Reader, compact, sha256d
from .headers import HEADER_SIZE, Header

PROTOCOL = 1
MESSAGE_MAX = 1 << 24
PART_SIZE = 1 << 20
INVENTORY_TX, INVENTORY_BLOCK, INVENTORY_PROOF = 1, 2, 3


def frame(magic, command, payload=b""):
    return (magic + command.encode().ljust(12, b"\x00") + struct.pack("<I", len(payload)) + sha256d(payload)[:4] +
            payload)


def version_payload(nonce=1, version=PROTOCOL, agent=b"/test:1/", height=0, time=0, relay=True):
    return (struct.pack("<IQq", version, 1, time) + bytes(52) + struct.pack("<Q", nonce) + compact(len(agent)) + agent +
            struct.pack("<IB", height, relay))


def inventory_payload(*items):
    return compact(len(items)) + b"".join(struct.pack("<I", kind) + id_bytes for kind, id_bytes in items)


def parse_inventory(payload):
    reader = Reader(payload)
    return [(reader.unpack("I"), reader.bytes(32)) for _ in range(reader.compact())]


def getheaders_payload(*ids, stop=bytes(32)):
    return struct.pack("<I", PROTOCOL) + compact(len(ids)) + b"".join(ids) + stop


def headers_payload(*headers):
    return compact(len(headers)) + b"".join(header.serialise() for header in headers)


def parse_headers(payload):
    reader = Reader(payload)
    return [Header.parse(reader.bytes(HEADER_SIZE)) for _ in range(reader.compact())]


def getpart_payload(root, size, offset=0):
    return root + struct.pack("<II", size, offset)


def parse_getpart(payload):
    """(root, size, offset)"""
    return (payload[:32], *struct.unpack("<II", payload[32:]))


def part_payload(asked, blob=None):
    """The answer to a getpart; of a blob that is not here without bytes."""
    root, size, offset = parse_getpart(asked)
    return asked + (blob[offset:offset + PART_SIZE] if blob is not None and len(blob) == size else b"")
