#!/usr/bin/env python3
"""Blocks that nobody trained. On data with nothing to learn a model is so sure that no logit has a gradient. What a
step changes is then weight decay alone, and follows from its seed without any work: an unmodified node took 10 of 10 such
blocks, before the dither of the gradients was keyed by the seed."""

import json
import os
import random
import sys

sys.path[0] = __file__.rpartition("/functional/")[0]  # the folder test

from framework import tap
from framework.node import KEYS, Node, RpcError
from reference.arithmetic import ppm, rounded
from reference.delta import decode, encode
from reference.files import write_safetensors
from reference.hashing import sha256, shown
from reference.headers import Block, Header
from reference.llama import make_tensors, theta_of
from reference.reward import coinbase, proof_worth
from reference.spec import built_in
from reference.state import Outcome, Slot, model_root, propose
from reference.step import AdamW, step
from reference.targets import limit, to_compact

MINER = bytes.fromhex(KEYS[0])
DATA = bytes(8192)
FIELDS = {"name": "sure", "k": 1, "start_bits": to_compact(limit(1)), "slots": 1, "d": 16, "layers": 1, "heads": 1, "ff": 16,
          "ctx": 32, "batch": 1, "iterations": 4, "bench_rows": 1, "bench_bytes": 1024, "page_distinct": 0}
ATTEMPTS = 10


def sure_weights():
    """Tensors by their names: whatever was read, the next byte is 0, by a gap that exp rounds to nothing."""
    sizes, draws, tensors = {name: FIELDS[name] for name in ("d", "ff", "layers")}, random.Random(1), {}
    for name, (shape, values) in make_tensors(sizes).items():
        count = len(values)
        if "norm" in name or "embed" in name:
            values = [1.0] * count
        elif "lm_head" in name:
            values = [20.0] * shape[1] + [0.0] * (count - shape[1])
        else:
            values = [draws.randrange(-64, 64) / 4096 for _ in range(count)]
        tensors[name] = shape, values
    return tensors


class Chain:
    """A private chain on zeros, its node, and what a forger has to know of it."""

    def __init__(self):
        tensors, self.spec = sure_weights(), built_in("regtest", DATA, **FIELDS)
        self.spec.theta = theta = theta_of(tensors)
        self.theta, self.v, self.bucket, self.height = theta, [0.0] * len(theta), 0, 0
        self.parent, self.outcome = self.spec.genesis(), Outcome(True)
        self.node = Node(chain=FIELDS["name"], start=False)
        write_safetensors(os.path.join(self.node.root, "sure.safetensors"), tensors)
        with open(os.path.join(self.node.root, "zeros"), "wb") as file:
            file.write(DATA)
        path = os.path.join(self.node.root, "spec.json")
        with open(path, "w", encoding="utf-8") as file:
            json.dump({**FIELDS, "corpus": "zeros", "initial_state": "sure.safetensors"}, file)
        self.node.options = [f"-chainspec={path}"]
        self.node.start()

    def __enter__(self):
        tap.equal(shown(self.parent.id()), self.node.rpc.getblockhash(0), "genesis")
        return self

    def __exit__(self, kind, *_):
        if kind is None:
            self.node.remove()

    def untrained(self, seed):
        """What a step gives if there is no gradient: some rounds of weight decay, and the seed's rounding."""
        w = self.theta
        optimizer = AdamW(self.spec.model, ppm(self.spec.lr_ppm), ppm(self.spec.wd_ppm))
        for _ in range(self.spec.iterations):
            w = optimizer.update(w, [0.0] * len(w), 1.0)
        return encode(rounded([a - b for a, b in zip(w, self.theta)]), seed)

    def trained(self, seed):
        return step(self.spec, self.theta, self.parent.ticket(), seed, self.spec.dataset())

    def child(self, nonce, work):
        """A block on the tip with what `work` gives for its seed; None if its ticket is not good enough."""
        pay = coinbase(self.spec, self.height + 1, 0, MINER, [], self.bucket, self.outcome, [None], self.spec.v_0, 0)
        block = Block(Header(prev=self.parent.id(), model_root=model_root(self.theta, self.v), miner=MINER,
                             time=self.parent.time + 1, bits=self.parent.bits, nonce=nonce), [pay])
        header = block.header
        header.tx_root = block.tx_root()
        delta = work(header.seed())
        header.digest = sha256(delta)
        return (header, delta, block.serialise()) if header.is_block() else None

    def submit(self, raw):
        """Why the node refuses a block; None: it takes it."""
        tap.equal(Block.parse(raw).serialise(), raw, "the block")
        try:
            return self.node.rpc.submitblock(raw.hex())
        except RpcError as error:
            return str(error)

    def go_on(self, header, delta):
        """After a block without a gradient: its value is 0, so is the loss, and the update is the delta alone."""
        _, self.bucket = proof_worth(self.spec, self.height + 1, self.bucket, 0)
        self.theta, self.v = propose(self.spec, self.theta, self.v, decode(delta, len(self.theta)))
        self.parent, self.outcome, self.height = header, Outcome(False, [Slot(1)]), self.height + 1


def untrained_blocks():
    """A node takes no block whose digest was stated without training"""
    with Chain() as chain:
        reasons, nonce = [], 0
        while len(reasons) < ATTEMPTS:
            nonce += 1
            made = chain.child(nonce, chain.untrained)
            if made is None:
                continue
            header, delta, raw = made
            reasons.append(chain.submit(raw))
            if reasons[-1] is None:
                chain.go_on(header, delta)
        tap.equal(reasons, ["bad-proof-digest"] * ATTEMPTS, "what the node says of untrained blocks")
        tap.equal(chain.node.height(), 0, "height")


def trained_block():
    """The same block with the digest of the step is taken"""
    with Chain() as chain:
        header, delta, raw = next(filter(None, (chain.child(nonce, chain.trained) for nonce in range(1, 100))))
        tap.true(delta != chain.untrained(header.seed()), "nothing but weight decay is in the step")
        tap.equal(chain.submit(raw), None, "the trained block")
        tap.equal(chain.node.tip(), shown(header.id()), "tip")


tap.main(untrained_blocks, trained_block)
