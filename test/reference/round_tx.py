"""Section 20: round transactions, and what the branch says of them."""

import struct

from .hashing import sha256
from .runs import audited
from .signatures import sign, verifies
from .transactions import Transaction, push

COMMIT, DISCLOSURE, CHALLENGE = 3, 4, 5
INDEX, SEQUENCE = 0xfffffffe, 0xffffffff
PAYLOAD = {COMMIT: "<II32s64s", DISCLOSURE: "<II32s", CHALLENGE: "<II32s"}


def is_round(transaction):
    return bool(transaction.inputs) and transaction.inputs[0][:2] == (bytes(32), INDEX)


def commit_hash(base_id, seat_id, length, root):
    return sha256(b"atelier commit" + base_id + seat_id + struct.pack("<I", length) + root)


class RoundTransaction:
    """height: of the seat; number: segments of the run, or j of a challenge; root: of the trace that is committed to, or of
    the blob."""

    def __init__(self, kind, height, number, root, signature=b""):
        self.kind, self.height, self.number, self.root, self.signature = kind, height, number, root, signature

    @classmethod
    def parse(cls, spec, transaction):
        """ValueError: it is not of the one form."""
        script = transaction.outputs[0][1] if transaction.outputs else b""
        payload = script[3 if script[1:2] == b"\x4c" else 2:]
        kind, fields = payload[3] if len(payload) > 3 else None, payload[4:]
        if kind not in PAYLOAD or len(fields) != struct.calcsize(PAYLOAD[kind]):
            raise ValueError("bad-round-format")
        found = cls(kind, *struct.unpack(PAYLOAD[kind], fields))
        if found.transaction().serialise() != transaction.serialise():
            raise ValueError("bad-round-format")
        if kind != CHALLENGE and not 1 <= found.number <= spec.segments:
            raise ValueError("bad-round-format")
        return found

    def payload(self):
        signature = [self.signature] if self.kind == COMMIT else []
        return b"atl" + bytes([self.kind]) + struct.pack(PAYLOAD[self.kind], self.height, self.number, self.root, *signature)

    def transaction(self):
        return Transaction(1, [(bytes(32), INDEX, b"", SEQUENCE, [])], [(0, b"\x6a" + push(self.payload()))])


def make_commit(secret, base_id, seat_id, height, length, root):
    signature = sign(secret, commit_hash(base_id, seat_id, length, root))
    return RoundTransaction(COMMIT, height, length, root, signature)


class Round:
    """What a branch (its blocks from genesis on) has of the round of base b, in blocks up to b + P."""

    def __init__(self, spec, branch, base):
        self.spec, self.branch, self.base = spec, branch, base
        self.commits, self.disclosures, self.challenges = {}, {}, {}  # by height of the seat
        self.fresh = set()  # seats that the block in the making discloses
        for block in branch[base + 1:base + spec.round_blocks + 1]:
            for transaction in filter(is_round, block.transactions):
                self.add(RoundTransaction.parse(spec, transaction))

    def add(self, found):
        {COMMIT: self.commits, DISCLOSURE: self.disclosures, CHALLENGE: self.challenges}[found.kind][found.height] = found

    def heights(self):
        """Of the seats."""
        return range(self.base - self.spec.round_blocks + 1, self.base + 1) if self.base else range(0)

    def seat(self, height):
        return self.branch[height].header

    def base_header(self):
        return self.branch[self.base].header

    def audited(self, height):
        beacon = self.branch[self.base + self.spec.round_work + 1].header.ticket()
        return audited(beacon, self.length(height), height - self.heights()[0])

    def length(self, height):
        """Segments of the seat's run; 0: it has none."""
        return self.commits[height].number if height in self.commits else 0

    def window(self, kind):
        """Heights of blocks that may have such transactions."""
        b, shown = self.base, self.base + self.spec.round_work + 2
        return {COMMIT: range(b + 1, b + self.spec.round_work + 1), DISCLOSURE: range(shown, shown + self.spec.round_reveal),
                CHALLENGE: range(b + 1, b + self.spec.round_blocks)}[kind]

    def fault(self, found, height):
        """Why a block at this height may not have a transaction, by what the branch and the block so far show."""
        taken = {COMMIT: self.commits, DISCLOSURE: self.disclosures, CHALLENGE: self.challenges}[found.kind]
        needed = {COMMIT: self.heights(), DISCLOSURE: self.commits, CHALLENGE: set(self.disclosures) - self.fresh}[found.kind]
        if height not in self.window(found.kind) or found.height not in self.heights() or found.height not in needed:
            return "bad-round-seat"
        if found.kind == COMMIT and found.number > self.spec.most_segments(self.base):
            return "bad-round-seat"
        if found.kind == DISCLOSURE and found.number != self.length(found.height):
            return "bad-round-seat"
        if found.kind == CHALLENGE and found.number >= self.length(found.height):
            return "bad-round-seat"
        if found.height in taken:
            return "bad-round-duplicate"
        if found.kind == COMMIT:
            seat = self.seat(found.height)
            message = commit_hash(self.base_header().id(), seat.id(), found.number, found.root)
            return None if verifies(seat.miner, message, found.signature) else "bad-round-signature"
        return None


def most_of(spec, kind):
    """In a block."""
    return {COMMIT: spec.round_blocks, DISCLOSURE: -(-4 * spec.round_blocks // spec.round_reveal),
            CHALLENGE: -(-spec.round_blocks // (spec.round_blocks - 2 - spec.round_work - spec.round_reveal))}[kind]


def base_of(spec, height):
    """Of the round that a block at this height lies in."""
    return spec.round_blocks * ((height - 1) // spec.round_blocks)


def round_fault(spec, branch, block):
    """The reason why the round transactions of this block, on top of the branch, are not right by what the branch shows;
    None: there is none."""
    height, counts = len(branch), dict.fromkeys(PAYLOAD, 0)
    record = Round(spec, branch, base_of(spec, height))
    for transaction in filter(is_round, block.transactions):
        found = RoundTransaction.parse(spec, transaction)
        reason = record.fault(found, height)
        counts[found.kind] += 1
        if not reason and counts[found.kind] > most_of(spec, found.kind):
            reason = "bad-round-count"
        if reason:
            return reason
        record.add(found)
        if found.kind == DISCLOSURE:
            record.fresh.add(found.height)
    return None
