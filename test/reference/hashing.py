"""Section 1: hashes, Merkle roots and numbers on the wire."""

import hashlib
import io
import struct


def sha256(data):
    """H of the text."""
    return hashlib.sha256(data).digest()


def sha256d(data):
    """HH of the text."""
    return sha256(sha256(data))


def shown(id_bytes):
    """An id as people see it: reversed hexadecimal text."""
    return id_bytes[::-1].hex()


def stored(text):
    """The bytes of an id that is shown."""
    return bytes.fromhex(text)[::-1]


def number(digest):
    return int.from_bytes(digest, "little")


def compact(n):
    if n < 0xfd:
        return bytes([n])
    for marker, size in ((0xfd, 2), (0xfe, 4), (0xff, 8)):
        if n < 1 << 8 * size:
            return bytes([marker]) + n.to_bytes(size, "little")
    raise ValueError(n)


def merkle_root(items):
    level = [sha256(b"\0" + x) for x in items]
    while len(level) > 1:
        pairs = [sha256(b"\1" + level[i] + level[i + 1]) for i in range(0, len(level) - 1, 2)]
        level = pairs + level[len(level) - len(level) % 2:]
    return level[0] if level else bytes(32)


def pages(data, size):
    return [data[i:i + size] for i in range(0, len(data), size)]


def blob_root(blob):
    return merkle_root(pages(blob, 4096))


class Reader:
    """Reads what the wire and the files hold."""

    def __init__(self, data):
        self.stream = io.BytesIO(data)

    def bytes(self, size):
        data = self.stream.read(size)
        if len(data) != size:
            raise ValueError("the bytes end too early")
        return data

    def unpack(self, letters):
        values = struct.unpack("<" + letters, self.bytes(struct.calcsize("<" + letters)))
        return values[0] if len(values) == 1 else values

    def compact(self):
        first = self.unpack("B")
        return first if first < 0xfd else self.unpack({0xfd: "H", 0xfe: "I", 0xff: "Q"}[first])

    def text(self):
        return self.bytes(self.compact())

    def rest(self):
        return self.stream.read()
