"""Section 12: what OP_RETURN outputs say of data, and which commitment a registration opens."""

import struct

from .hashing import sha256
from .transactions import push

WINDOW = 2016


class Registration:
    """A payload of kind 0x01."""

    def __init__(self, root, size, owner, salt, licence, title):
        self.root, self.size, self.owner, self.salt = root, size, owner, salt
        self.licence, self.title = licence, title

    @classmethod
    def parse(cls, script):
        """Of its script; the title's and the licence's characters are not looked at."""
        payload = script[3 if script[1] == 0x4c else 2:]
        if script != b"\x6a" + push(payload) or payload[:4] != b"atl\x01":
            raise ValueError("no registration")
        root, size, owner, salt, length = struct.unpack_from("<32sQ32s32sB", payload, 4)
        licence, rest = payload[109:109 + length], payload[109 + length:]
        if not rest or len(rest) != 1 + rest[0]:
            raise ValueError("no registration")
        return cls(root, size, owner, salt, licence.decode(), rest[1:].decode())

    def fields(self):
        texts = b"".join(bytes([len(text)]) + text for text in (self.licence.encode(), self.title.encode()))
        return self.root + struct.pack("<Q", self.size) + self.owner + self.salt + texts

    def script(self):
        return b"\x6a" + push(b"atl\x01" + self.fields())

    def commitment_hash(self):
        return sha256(b"atelier data" + self.fields())

    def commitment_script(self):
        return b"\x6a" + push(b"atl\x06" + self.commitment_hash())


def opened(spec, height, committed):
    """Height of the commitment that a registration at `height` opens, of those of its hash at the heights `committed` that no
    registration has opened; None: there is none."""
    return min((c for c in committed if height - WINDOW <= c <= height - spec.commit_delay), default=None)


def may_replace(spec, height, size, committed, dataset):
    """Whether a registration of a root that is registered takes the owner's place. dataset: (size, height of the first
    registration of its root, height of the commitment that the one in force opened)."""
    return committed is not None and size == dataset[0] and height <= dataset[1] + spec.data_delay and committed < dataset[2]
