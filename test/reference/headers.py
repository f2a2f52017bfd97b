"""Section 8: headers, and the blocks that they head."""

import struct

from .hashing import Reader, compact, merkle_root, number, sha256d
from .targets import from_compact
from .transactions import Transaction

HEADER_SIZE, SEED_SIZE = 212, 180


class Header:
    FORMAT = "<I32s32s32s32s32sIIQ32s"
    EMPTY = {"version": 1, "prev": bytes(32), "tx_root": bytes(32), "proofs_root": bytes(32), "model_root": bytes(32),
             "miner": bytes(32), "time": 0, "bits": 0, "nonce": 0, "digest": bytes(32)}

    def __init__(self, **fields):
        if not fields.keys() <= self.EMPTY.keys():
            raise TypeError(f"a header has no {fields.keys() - self.EMPTY.keys()}")
        self.__dict__.update({**self.EMPTY, **fields})

    @classmethod
    def parse(cls, data):
        return cls(**dict(zip(cls.EMPTY, struct.unpack(cls.FORMAT, data))))

    def serialise(self):
        return struct.pack(self.FORMAT, *(getattr(self, name) for name in self.EMPTY))

    def copy(self, **changes):
        return Header(**{**vars(self), **changes})

    def seed(self):
        return sha256d(self.serialise()[:SEED_SIZE])

    def ticket(self):
        return sha256d(self.seed() + self.digest)

    def id(self):
        return sha256d(self.serialise())

    def ticket_number(self):
        return number(self.ticket())

    def is_block(self):
        return self.ticket_number() <= from_compact(self.bits)

    def is_share(self, k):
        return self.ticket_number() <= min(k * from_compact(self.bits), 2 ** 256 - 1)


class Block:
    """Without bodies, as on the wire."""

    def __init__(self, header, transactions=(), loose=(), late=()):
        self.header, self.transactions = header, list(transactions)
        self.loose, self.late = list(loose), list(late)

    @classmethod
    def parse(cls, data):
        reader = Reader(data)
        header = Header.parse(reader.bytes(HEADER_SIZE))
        transactions = [Transaction.read(reader) for _ in range(reader.compact())]
        loose, late = ([Header.parse(reader.bytes(HEADER_SIZE)) for _ in range(reader.compact())] for _ in range(2))
        return cls(header, transactions, loose, late)

    def proofs(self):
        """The headers of the proofs that train, its own first."""
        return [self.header, *self.loose]

    def serialise(self, bodies=None):
        parts = [self.header.serialise(), compact(len(self.transactions))]
        parts += [transaction.serialise() for transaction in self.transactions]
        for listed in (self.loose, self.late):
            parts += [compact(len(listed)), *(header.serialise() for header in listed)]
        return b"".join(parts) + (b"\0" if bodies is None else b"\1" + b"".join(bodies))

    def tx_root(self):
        leaves = [transaction.wtxid() for transaction in self.transactions]
        return merkle_root([self.transactions[0].txid(), *leaves[1:]] if leaves else [])

    def proofs_root(self):
        return merkle_root([header.id() for header in self.loose + self.late])
