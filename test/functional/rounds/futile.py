#!/usr/bin/env python3
"""A merge that comes to nothing though its run is true: the next one is judged by own pages of what runs train on."""

import sys

sys.path[0] = __file__.rpartition("/functional/")[0]  # the folder test

from framework import tap
from framework.story import FIELDS, FIRST, P, SECOND_BASE, Listener, Story
from reference.merge import EMPTY, LEFT_OUT, MERGED, VOID
from reference.runs import most_exponent
from reference.signatures import public_key
from reference.spec import built_in

GATED = {**FIELDS, "name": "gated", "gate_ppm": 1000000}
FORGED, HONEST = 1, P + 1  # heights of the two seats


def harmful(spec, code):
    """Against what was learned, as far as a code may go."""
    most, out = most_exponent(spec.lr_ppm, spec.segment, spec.segments) & 0xff, bytearray()
    for at in range(0, len(code), 65):
        still = not any(code[at + 1:at + 65])
        out += bytes([code[at] if still else most, *(-q & 0xff for q in code[at + 1:at + 65])])
    return bytes(out)


class Futile(Story):
    """One run in each of two rounds: the first one's last code is forged, so that it is left out; the other is honest."""

    def make_runs(self, base):
        seat = FORGED if base == FIRST else HONEST
        codes = self.chain.run(seat).codes()
        if seat == FORGED:
            codes[-1] = harmful(self.chain.spec, codes[-1])
        self.codes[seat] = codes

    def right(self):
        height = self.chain.height() + 1
        base = (height - 1) // P * P
        if base not in (FIRST, SECOND_BASE):
            return []
        seat = FORGED if base == FIRST else HONEST
        if height == base + 1:
            self.make_runs(base)
            return [self.commit(seat)]
        return [self.disclosure(seat)] if height == base + 4 else []

    def block(self, *found, **how):
        """The beacon is mined until it draws another segment of the forged run than the last one."""
        for secret in range(10, 100):
            pair = super().block(*found, **how) if self.chain.height() + 1 != FIRST + 2 else self.beacon(secret)
            if pair:
                return pair
        raise AssertionError("no such beacon")

    def beacon(self, secret):
        fork, block = self.chain.fork(), self.chain.child(public_key(secret))
        fork.judge(block, {})
        return (block, {}) if fork.audited(FORGED) != FIELDS["segments"] - 1 else None

    def wrongs(self, right):
        return ()

    def check_merge(self):
        stated = self.chain.merged
        if self.chain.height() == FIRST + P:
            tap.equal((stated.came, stated.seats), (VOID, [LEFT_OUT] + [EMPTY] * (P - 1)), "the merge of the forged run")
        elif self.chain.height() == SECOND_BASE + P:
            tap.equal((stated.void, stated.seats), (False, [MERGED] + [EMPTY] * (P - 1)), "the merge of the honest run")


def futile():
    """After a merge that came to nothing the next one is judged by own pages of what runs train on, as the judge does it"""
    story = Futile(built_in("regtest", **GATED))
    listener = Listener(story.chain, GATED)
    story.tell(SECOND_BASE + P, listener.hear)
    chain, rpc = story.chain, listener.node.rpc
    told = rpc.getround(SECOND_BASE)
    tap.equal([f"{told[name]:.4f}" for name in ("loss_before", "loss_after")], [f"{loss:.4f}" for loss in chain.losses],
              "losses of the merge")
    tap.equal([rpc.getround(base)["judged_by"] for base in (FIRST, SECOND_BASE)], ["reserved text", "own pages"],
              "what judges")
    curve = rpc.getcurve()
    tap.equal([merge["judged_by"] for merge in curve["merges"][:2]], ["own pages", "reserved text"], "the newest first")
    tap.equal([height for height, loss in zip(curve["height"], curve["loss"]) if loss is None], [SECOND_BASE + P],
              "a loss that stands beside no other")
    story.tell(SECOND_BASE + P + 1, listener.hear)
    listener.node.restart()
    listener.compare()
    tap.equal(rpc.auditblock(rpc.getblockhash(SECOND_BASE + P))["valid"], True, "the audit of the merge")
    listener.node.remove()


tap.main(futile)
