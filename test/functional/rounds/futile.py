#!/usr/bin/env python3
"""A merge that comes to nothing though its run is true: the next one is judged by own pages of what runs train on, as far as
that is proven."""

import os
import random
import sys

sys.path[0] = __file__.rpartition("/functional/")[0]  # the folder test

from framework import tap
from framework.prose import prose
from framework.story import FIELDS, Listener, Story, secret_of
from reference.contributions import Registration
from reference.hashing import blob_root
from reference.merge import EMPTY, LEFT_OUT, MERGED, VOID, own_seats
from reference.runs import most_exponent
from reference.signatures import public_key
from reference.spec import built_in
from reference.transactions import Transaction, payee, signed

P = 5
GATED = {**FIELDS, "name": "gated", "gate_ppm": 1000000, "round_blocks": P, "round_reveal": 1, "maturity": 2 * P + 1,
         "segment": 4}
COMMITTED = 2 * P + 2  # when the first coin can be spent: its owner registers data in the next block
BURN = 10000


def harmful_code(spec, code):
    """Against what was learned, as far as a code may go."""
    most, out = most_exponent(spec.lr_ppm, spec.segment, spec.segments) & 0xff, bytearray()
    for at in range(0, len(code), 65):
        still = not any(code[at + 1:at + 65])
        out += bytes([code[at] if still else most, *(-q & 0xff for q in code[at + 1:at + 65])])
    return bytes(out)


class Futile(Story):
    """One run in each of two rounds, of the same seat: the first one's last code is forged, so that it is left out; the other is
    honest. Before them somebody registers several times as much data as there are."""

    first, seat, committed = 12 * P, 0, COMMITTED  # base of the first, by which the data are proven

    def __init__(self, spec):
        super().__init__(spec)
        self.second = self.first + P
        self.data = self.make_data(len(spec.dataset()))
        key = public_key(secret_of(1))
        self.registration = Registration(blob_root(self.data), len(self.data), key, bytes(32), "CC0-1.0", "")

    def make_data(self, size):
        return prose(1, 4 * size)

    def height_of(self, base):
        """Of the seat of that round."""
        return base - P + 1 + self.seat

    def make_runs(self, base):
        seat = self.height_of(base)
        self.codes[seat] = self.chain.run(seat).codes()
        if self.forges(base):
            self.codes[seat][-1] = harmful_code(self.chain.spec, self.codes[seat][-1])

    def forges(self, base):
        return base == self.first

    def pay(self, outpoint, burn, script):
        """Of a coin of the first block's miner: what is not burnt is his again."""
        coin = self.chain.coins[outpoint]
        outputs = [(coin.amount - burn, coin.script), (burn, script)]
        return signed(Transaction(2, [(*outpoint, b"", 0, [])], outputs), secret_of(1), [coin])

    def contributions(self, height):
        if height == self.committed:
            self.paid = self.pay((self.chain.branch[1].transactions[0].txid(), 0), BURN, self.registration.commitment_script())
            return [self.paid]
        if height == self.committed + 1:
            burn = self.chain.spec.burn_rate * len(self.data)
            return [self.pay((self.paid.txid(), 0), burn, self.registration.script())]
        return []

    def right(self):
        height = self.chain.height() + 1
        base, found = (height - 1) // P * P, self.contributions(height)
        if base not in (self.first, self.second):
            return found
        if height == base + 1:
            self.make_runs(base)
            found.append(self.commit(self.height_of(base)))
        if height == base + 3:
            found.append(self.disclosure(self.height_of(base)))
        return found

    def block(self, *found, **how):
        """Some are mined until they draw what is wanted of them."""
        block, blobs = super().block(*found, **how)
        secret, wanted = 10, self.wanted().get(self.chain.height() + 1)
        while wanted and not wanted(self.after(block)):
            block, secret = self.chain.child(public_key(secret), block.transactions[1:]), secret + 1
        if self.chain.height() == self.committed:
            blobs[self.registration.root] = self.data
        return block, blobs

    def after(self, block):
        fork = self.chain.fork()
        fork.judge(block, {})
        return fork

    def wanted(self):
        return {self.first + 2: self.is_missed, self.second: self.seats_both, self.second + P - 1: self.draws_both}

    def is_missed(self, fork):
        """The drawn segment of the forged run is another than the last one."""
        return fork.audited(self.height_of(self.first)) != GATED["segments"] - 1

    def seats_both(self, fork):
        """Runs are of both datasets."""
        return set(fork.seats[self.second]) == {0, 1}

    def draws_both(self, fork):
        """Own pages of both datasets will judge, and nothing else reads the registered one."""
        judging = {fork.seats[self.second][seat] for seat in own_seats(fork.spec, fork.tip().ticket(), P)}
        return judging == {0, 1} and fork.drawn[-1] == [0]

    def wrongs(self, right):
        return ()

    def check_merge(self):
        stated, base, seats = self.chain.merged, self.chain.height() - P, [EMPTY] * P
        if base == self.first:
            seats[self.seat] = LEFT_OUT
            tap.equal((stated.came, stated.seats), (VOID, seats), "the merge that comes to nothing")
        elif base == self.second:
            seats[self.seat] = MERGED if self.forges(self.first) else LEFT_OUT
            tap.equal((stated.void, stated.seats), (seats[self.seat] == LEFT_OUT, seats), "the merge after it")


class Harmful(Futile):
    """Both runs are honest, of a text that harms a model that has learned something, and has nearly all the weight."""

    first, seat, committed = 8 * P, 1, 7 * P + 2

    def make_data(self, size):
        """Bytes that no text has."""
        return bytes(128 + byte % 128 for byte in random.Random(1).randbytes(32 * size))

    def forges(self, base):
        return False

    def wanted(self):
        return {}


def path_of(node, root):
    return os.path.join(node.chaindir, "blobs", root.hex())


def is_sound(node, root):
    with open(path_of(node, root), "rb") as file:
        return blob_root(file.read()) == root


def seats_told(node, base):
    return [seat["dataset"] for seat in node.rpc.getround(base)["seats"]]


def assert_proven(node, chain, expected):
    """As the node tells it, and the judge; for the next block."""
    told = [one["number"] for one in node.rpc.listdatasets() if one["proven"]]
    tap.equal((told, chain.proven()), (expected, expected), "what is proven")


def futile():
    """After a merge that came to nothing the next one is judged by own pages of what runs train on, as the judge does it"""
    story = Futile(built_in("regtest", **GATED))
    listener = Listener(story.chain, GATED)
    story.tell(COMMITTED + P, listener.ask)
    assert_proven(listener.node, story.chain, [0])
    story.tell(story.first, listener.ask)
    story.tell(story.second + P - 1, listener.hear)
    chain, rpc, second = story.chain, listener.node.rpc, story.second
    assert_proven(listener.node, chain, [0, 1])
    os.truncate(path_of(listener.node, story.registration.root), 100)
    story.tell(second + P, listener.hear)
    tap.true(is_sound(listener.node, story.registration.root), "own pages that are gone are fetched again")
    listener.node.wait_for_log("Own pages of dataset 1 cannot be read: ")
    told = rpc.getround(second)
    tap.equal([f"{told[name]:.4f}" for name in ("loss_before", "loss_after")], [f"{loss:.4f}" for loss in chain.losses],
              "losses of the merge")
    tap.equal([rpc.getround(base)["judged_by"] for base in (story.first, second)], ["reserved text", "own pages"],
              "what judges")
    curve = rpc.getcurve()
    tap.equal([merge["judged_by"] for merge in curve["merges"][:2]], ["own pages", "reserved text"], "the newest first")
    tap.equal([height for height, loss in zip(curve["height"], curve["loss"]) if loss is None], [second + P],
              "a loss that stands beside no other")
    story.tell(second + P + 1, listener.hear)
    for options in (), ("-reindex",):
        listener.node.restart(*options)
        listener.node.wait_for_height(chain.height())
        listener.compare()
    tap.equal(rpc.auditblock(rpc.getblockhash(second + P))["valid"], True, "the audit of the merge")
    tap.equal([seats_told(listener.node, base) for base in chain.seats], list(chain.seats.values()), "datasets of seats")
    listener.node.remove()


def harmful():
    """A text that harms and has nearly all the weight has not all the seats, and its own pages judge no merge"""
    story = Harmful(built_in("regtest", **GATED))
    listener = Listener(story.chain, GATED)
    story.tell(story.first, listener.ask)
    story.tell(story.second + P + 1, listener.hear)
    chain, second = story.chain, story.second
    for base in story.first, second:
        tap.equal(seats_told(listener.node, base), chain.seats[base], "datasets of seats")
        tap.equal(chain.seats[base], [0, 1, 1, 1, 0], "every fourth seat is not its")
    tap.equal(listener.node.rpc.getround(second)["judged_by"], "own pages", "what judges")
    listener.node.remove()


tap.main(futile, harmful)
