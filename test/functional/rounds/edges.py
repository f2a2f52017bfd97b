#!/usr/bin/env python3
"""Rounds at the edges of what a spec may have: the shortest ones, of one segment, on a chain that pays runs as much as it may."""

import sys

sys.path[0] = __file__.rpartition("/functional/")[0]  # the folder test

from framework import tap
from framework.story import FIELDS, Listener
from reference.chain import Chain
from reference.hashing import blob_root, sha256
from reference.merge import EMPTY, STRUCK, is_true
from reference.round_tx import DISCLOSURE, Round, RoundTransaction, base_of, make_commit
from reference.runs import digest_list, make_disclosure
from reference.signatures import public_key
from reference.spec import built_in
from reference.transactions import payee

SHORTEST = {**FIELDS, "name": "shortest", "maturity": 11, "round_blocks": 5, "round_work": 1, "round_reveal": 1, "segments": 1,
            "run_ppm": 500000}
P = SHORTEST["round_blocks"]
SILENT, HONEST, COPIED, *NONE = range(P)  # the seats of each round
SECRET = 1
MINER = public_key(SECRET)
LAST = 4 * P + 1


class Rounds:
    """Who has seats does the same in each round."""

    def __init__(self):
        self.chain, self.codes = Chain(built_in("regtest", **SHORTEST)), {}
        tap.true(self.chain.spec.has_right_rounds(), "the spec is within its limits")

    def commit(self, record, height):
        first = record.heights()[0]
        if height - first in NONE:
            return None
        self.codes[height] = self.chain.run(first + HONEST).codes()
        root = sha256(digest_list(self.codes[height]))
        return make_commit(SECRET, record.base_header().id(), record.seat(height).id(), height, 1, root)

    def disclosures(self, record):
        for height in (record.heights()[HONEST], record.heights()[COPIED]):
            blob = make_disclosure(self.codes[height], self.chain.audited(height))
            yield RoundTransaction(DISCLOSURE, height, 1, blob_root(blob)), blob

    def next(self):
        """A block and its blobs."""
        height = self.chain.height() + 1
        record = Round(self.chain.spec, self.chain.branch, base_of(self.chain.spec, height))
        said, blobs = [], {}
        if record.base and height == record.base + 1:
            said = [one for one in (self.commit(record, seat) for seat in record.heights()) if one]
        if record.base and height == record.base + 3:
            pairs = list(self.disclosures(record))
            said, blobs = [one for one, _ in pairs], {one.root: blob for one, blob in pairs}
        return self.chain.child(MINER, [one.transaction() for one in said]), blobs


def shortest():
    """Rounds of five blocks and one segment: each true run is paid half of what compute earns, and nobody else is from it"""
    rounds = Rounds()
    chain, pay = rounds.chain, (50 * 10 ** 8 * 7 // 10) * SHORTEST["run_ppm"] // 10 ** 6
    listener = Listener(chain, SHORTEST)
    while chain.height() < LAST:
        block, blobs = rounds.next()
        chain.judge(block, blobs)
        listener.hear(block, blobs, None)
        outputs, height = block.transactions[0].outputs, chain.height()
        is_paid = height > 2 * P and height % P == 1
        tap.equal(outputs[1:-2] if is_paid else outputs[1:-1], [(pay, payee(MINER))] if is_paid else [], f"pay at height {height}")
        if chain.merged:
            seats = chain.merged.seats
            tap.true(is_true(seats[HONEST]), "the honest run is true")
            tap.equal([seats[SILENT], seats[COPIED], *seats[NONE[0]:]], [STRUCK, STRUCK, *[EMPTY] * len(NONE)], "the other seats")
    # Of what was paid for a struck seat's block output 0 is taken, and no other.
    struck = {base - P + 1 + seat for base in (P, 2 * P, 3 * P) for seat in (SILENT, COPIED)}
    left = sorted([*set(range(1, LAST + 1)) - struck, *[base + P + 1 for base in (P, 2 * P, 3 * P)]])
    tap.equal(sorted(coin.height for coin in chain.coins.values()), left, "coins that are left")
    listener.node.remove()


tap.main(shortest)
