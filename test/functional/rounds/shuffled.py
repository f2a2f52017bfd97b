#!/usr/bin/env python3
"""Blocks with round transactions as chance puts them together, at each height of the story: a real node gives the judge's reason
for each of them."""

import random
import sys

sys.path[0] = __file__.rpartition("/functional/")[0]  # the folder test

from framework import node, tap
from framework.story import FIELDS, FIRST, P, SECOND_BASE, Listener, Story, secret_of
from reference.chain import Wrong
from reference.hashing import blob_root
from reference.round_tx import CHALLENGE, COMMIT, DISCLOSURE, RoundTransaction, base_of, make_commit
from reference.runs import code_size, disclosure_size

SEED = "rounds 1"
LAST = SECOND_BASE + P + 1
TRIES = 10  # blocks at a height
MOST = 5    # round transactions in one
RARE = 0.06


class Shuffler:
    def __init__(self, story):
        self.story, self.chance = story, random.Random(SEED)
        spec = story.chain.spec
        self.lengths = range(spec.segments + 2)
        shown = [bytes(disclosure_size(spec, length)) for length in self.lengths] + [bytes(code_size(spec))]
        self.roots = [blob_root(blob) for blob in shown]  # by length, and at last that of challenges
        self.blobs = dict(zip(self.roots, shown))

    def rarely(self):
        return self.chance.random() < RARE

    def place(self):
        """Height and base of the next block."""
        height = self.story.chain.height() + 1
        return height, base_of(self.story.chain.spec, height)

    def seat(self):
        """Mostly one of the round."""
        height, base = self.place()
        return self.chance.randint(0, height + 1) if self.rarely() or not base else self.chance.randint(base - P + 1, base)

    def length(self):
        """Mostly of a whole run."""
        return self.chance.choice(self.lengths) if self.rarely() else FIELDS["segments"]

    def kind(self):
        """Mostly one that it is time for."""
        height, base = self.place()
        if self.rarely():
            return self.chance.choice([COMMIT, DISCLOSURE, CHALLENGE])
        if height <= base + FIELDS["round_work"]:
            return COMMIT
        return self.chance.choice([DISCLOSURE, CHALLENGE] if height > base + FIELDS["round_work"] + 2 else [DISCLOSURE])

    def commit(self):
        chain, height = self.story.chain, self.seat()
        _, base = self.place()
        wrong = self.rarely()
        ids = [chain.branch[min(at, chain.height())].header.id() for at in (base - wrong if base else 0, height)]
        return make_commit(secret_of(height), *ids, height, self.length(), bytes([self.chance.randint(0, 1)]) * 32)

    def found(self):
        kind = self.kind()
        if kind == COMMIT:
            return self.commit()
        if kind == CHALLENGE:
            j = self.chance.randint(0, FIELDS["segments"] - (not self.rarely()))
            return RoundTransaction(kind, self.seat(), j, self.roots[-1])
        length = self.length()
        return RoundTransaction(kind, self.seat(), length, self.roots[length])

    def transaction(self):
        found = self.found().transaction()
        if self.rarely():
            self.spoil(found)
        return found

    def spoil(self, transaction):
        """Its form."""
        (txid, index, script, sequence, witness), (amount, payload) = transaction.inputs[0], transaction.outputs[0]
        case = self.chance.randint(0, 7)
        transaction.version += case == 0
        transaction.locktime += case == 1
        if case in (2, 3, 4):
            witness = witness + [b""] * (case == 4)
            transaction.inputs[0] = (txid, index, script + b"\x51" * (case == 2), sequence - (case == 3), witness)
        if case in (5, 6):
            kind = payload.index(b"atl") + 3
            other = payload[:kind] + bytes([self.chance.choice([0, 1, 2, 6, 7])]) + payload[kind + 1:]
            transaction.outputs[0] = (amount + (case == 5), payload if case == 5 else other)
        if case == 7:
            transaction.outputs.append((0, b"\x6a"))

    def block(self):
        said = [self.transaction() for _ in range(self.chance.randint(1, MOST))]
        return self.story.chain.child(bytes.fromhex(node.KEYS[0]), said, work=False)

    def reason(self, block):
        """The judge's; what chance put together right falls over the work that nobody did."""
        try:
            self.story.chain.judge_form(block)
        except Wrong as why:
            return str(why)
        return "bad-proof-digest"


def shuffled():
    """What chance makes of round transactions is refused by a node for the judge's reasons"""
    story, reasons = Story(), {}
    shuffler, listener = Shuffler(story), Listener(story.chain)
    while story.chain.height() < LAST:
        for _ in range(TRIES if story.chain.height() >= FIRST else 1):
            block = shuffler.block()
            reason = shuffler.reason(block)
            reasons[reason] = reasons.get(reason, 0) + 1
            listener.ask(block, shuffler.blobs, reason)
        block, blobs = story.block(*story.right())
        story.append((block, blobs))
        listener.hear(block, blobs, None)
    print(f"# {reasons}")
    wanted = {f"bad-round-{what}" for what in ("seat", "duplicate", "signature", "format")} | {"bad-proof-digest"}
    tap.true(wanted <= set(reasons), f"chance has brought all of {wanted}, not {reasons} alone")
    listener.node.remove()


tap.main(shuffled)
