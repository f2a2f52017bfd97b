#!/usr/bin/env python3
"""A node that joins late is given a chain with more work than the honest one, in which one statement of the past is false.

The forger does all the work: every step from the lie on is right for what he says. Work alone must not make it true."""

import functools
import os
import sys

sys.path[0] = __file__.rpartition("/functional/")[0]  # the folder test

from framework import tap
from framework.node import KEYS, Node
from framework.p2p import give
from framework.prose import prose
from reference.arithmetic import scaled
from reference.hashing import sha256, shown
from reference.headers import Block, Header
from reference.reward import coinbase, proof_worth
from reference.spec import built_in
from reference.state import Outcome, Slot, model_root, update_state
from reference.step import step
from reference.targets import limit, to_compact

HONEST, FORGER = map(bytes.fromhex, KEYS[:2])
FIELDS = {"name": "forged", "k": 1, "slots": 1, "d": 16, "layers": 1, "heads": 1, "ff": 16, "ctx": 32, "batch": 1,
          "iterations": 1, "bench_rows": 1, "bench_bytes": 1024, "start_bits": to_compact(limit(1))}
CORPUS = prose("forged", 6000)
SPEC = built_in("regtest", CORPUS, **FIELDS)
ABOVE = 1   # blocks above the lie: work enough


class Branch:
    """Blocks of one miner, and what is true after them, or what he says is."""

    def __init__(self, below=None):
        if below:
            self.__dict__.update(vars(below), blocks=list(below.blocks))
            return
        self.theta, self.v, self.bucket, self.outcome = SPEC.theta, [0.0] * SPEC.model.n, 0, Outcome(True)
        self.tip, self.blocks = SPEC.genesis(), []

    def grow(self, miner, gift=0, made_up=False):
        """A block with the step that it asks for; with so much more for its miner than is due; with a digest of nothing."""
        height = len(self.blocks) + 1
        pay = coinbase(SPEC, height, 0, miner, [], self.bucket, self.outcome, [None], SPEC.v_0, 0)
        pay.outputs[0] = (pay.outputs[0][0] + gift, pay.outputs[0][1])
        header = Header(prev=self.tip.id(), model_root=model_root(self.theta, self.v), miner=miner,
                        time=self.tip.time + 1, bits=self.tip.bits)
        block = Block(header, [pay])
        header.tx_root = block.tx_root()
        delta = step(SPEC, self.theta, self.tip.ticket(), header.seed(), SPEC.dataset())
        header.digest = sha256(b"nothing" if made_up else delta)
        tap.true(header.is_block(), "nearly every ticket is a block's")
        (self.theta, self.v), self.outcome, _ = update_state(SPEC, self.theta, self.v, self.tip.ticket(), [(0, delta)],
                                                             SPEC.v_0)
        _, self.bucket = proof_worth(SPEC, height, self.bucket, 0)
        self.tip, self.blocks = header, self.blocks + [block]
        return self


def late_node():
    node = Node(chain=FIELDS["name"], start=False)
    with open(os.path.join(node.root, "corpus"), "wb") as file:
        file.write(CORPUS)
    node.use_spec({**FIELDS, "corpus": "corpus"})
    node.start()
    return node


@functools.cache
def honest_history():
    """After the first block, and after the second."""
    first = Branch().grow(HONEST)
    return first, Branch(first).grow(HONEST)


def refused(reason, lie):
    """What the forger says of block 1 is refused, whatever work lies above it, and shorter honest history is taken."""
    first, honest = honest_history()
    forged = lie(Branch(first))
    for _ in range(ABOVE):
        forged.grow(FORGER)
    with late_node() as node:
        tap.equal(shown(SPEC.genesis().id()), node.rpc.getblockhash(0), "genesis")
        give(node, "127.0.0.2", forged.blocks, lambda: reason in node.log(), f"{reason} is found")
        give(node, "127.0.0.3", honest.blocks, lambda: node.tip() == shown(honest.tip.id()), "the honest chain is taken")
        statuses = {one["hash"]: one["status"] for one in node.rpc.getchaintips()}
        tap.equal(statuses, {node.tip(): "active", shown(forged.tip.id()): "invalid"}, "tips")
        node.restart()
        tap.equal((node.tip(), node.model_root()), (shown(honest.tip.id()), shown(model_root(honest.theta, honest.v))),
                  "tip and model after a restart")


def false_value():
    """An effect that is one off: who owns data would be paid, or not be in quarantine"""
    def lie(branch):
        slot = branch.outcome.slots[0]
        branch.outcome = Outcome(False, [Slot(1, False, slot.effect + 1, slot.value)])
        return branch.grow(FORGER)
    refused("bad-cb-outcome", lie)


def void_stated():
    """A block that was not void is said to be: nobody would be paid for it"""
    def lie(branch):
        branch.outcome = Outcome(True)
        return branch.grow(FORGER)
    refused("bad-cb-outcome", lie)


def false_model():
    """A model of the forger's own: the step is right for it"""
    def lie(branch):
        branch.theta = scaled(branch.theta, 0.5)
        return branch.grow(FORGER)
    refused("bad-model-root", lie)


def false_model_and_pay():
    """The same, and a unit too much: the model is named, whether the parent was verified before the block came or after"""
    def lie(branch):
        branch.theta = scaled(branch.theta, 0.5)
        return branch.grow(FORGER, gift=1)
    refused("bad-model-root", lie)


def false_pay():
    """A unit more than is due"""
    refused("bad-cb-outputs", lambda branch: branch.grow(FORGER, gift=1))


def false_digest():
    """A step that nobody executed, below others that somebody did"""
    refused("bad-proof-digest", lambda branch: branch.grow(FORGER, made_up=True))


tap.main(false_value, void_stated, false_model, false_model_and_pay, false_pay, false_digest)
