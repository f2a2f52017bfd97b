#!/usr/bin/env python3
"""Judges blocks that a real node mined with the second implementation, test/reference: every byte of them, every
step in them, what they did to the model, what the next block says of it, and what it lists late."""

import sys

sys.path[0] = __file__.rpartition("/functional/")[0]  # the folder test

from framework import tap
from framework.node import KEYS, Node
from reference.draws import SLOT, draw, mulhi
from reference.hashing import sha256, shown
from reference.headers import Block
from reference.late import late_fault, place
from reference.pace import most_proofs
from reference.reward import coinbase, proof_worth
from reference.spec import built_in
from reference.state import Outcome, model_root, update_state
from reference.step import step
from reference.targets import next_bits

LOOSE_MAX = 2   # steps are slow here, so a block with few proofs is looked for
ATTEMPTS = 200  # three in ten will do: all of them fail once in 10^30 times


def fetch(node, height):
    block_id = node.rpc.getblockhash(height)
    raw = bytes.fromhex(node.rpc.getblock(block_id, 0))
    block = Block.parse(raw)
    tap.equal(shown(block.header.id()), block_id, "block id")
    tap.equal(block.serialise().hex(), raw.hex(), "block")
    return block


def check_headers(spec, parent, root, block):
    tap.true(block.header.is_block(), "the block's ticket is under its target")
    for proof in block.loose:
        tap.true(proof.is_share(spec.k) and not proof.is_block(), "a loose ticket is between the targets")
    for proof in block.proofs():
        tap.equal(proof.prev, parent.id(), "prev")
        tap.equal(proof.bits, next_bits(spec, 0, 0), "bits")
        tap.equal(proof.model_root, root, "model root")
        tap.true(proof.time > parent.time, "time goes on")
    seeds = [proof.seed() for proof in block.loose]
    tap.equal(seeds, sorted(set(seeds)), "order of the loose proofs")
    tap.equal(block.header.proofs_root, block.proofs_root(), "proofs root")


def check_transactions(block, expected):
    tap.equal([transaction.serialise().hex() for transaction in block.transactions], [expected.serialise().hex()], "coinbase")
    tap.equal(block.header.tx_root, block.tx_root(), "tx root")


def execute(spec, theta, ticket, proofs):
    """Slot and delta of each proof on the block of this ticket, after comparing digests."""
    out = []
    for proof in proofs:
        delta = step(spec, theta, ticket, proof.seed(), spec.dataset())
        tap.equal(proof.digest.hex(), sha256(delta).hex(), "digest of a step")
        out.append((mulhi(draw(proof.seed(), SLOT, 0), spec.slots), delta))
    return out


def mine_stale():
    """Two blocks of a new chain, the second of which lists, late, the own proof of a block that lost against the first."""
    for _ in range(ATTEMPTS):
        with Node() as node:
            node.generate(1)
            node.rpc.invalidateblock(node.tip())
            node.generate(1, key=1)
            node.generate(1, key=2)
            first, second = fetch(node, 1), fetch(node, 2)
            if len(first.loose) <= LOOSE_MAX and 1 <= len(second.late) <= LOOSE_MAX:
                return first, second
    raise AssertionError("luck that no chain has")


def mine_two():
    """Two blocks of a new chain, whose first has at most LOOSE_MAX loose proofs and one at least."""
    for _ in range(ATTEMPTS):
        with Node() as node:
            node.generate(1)
            if 1 <= node.rpc.getblock(node.tip())["nproofs"] - 1 <= LOOSE_MAX:
                node.generate(1, key=1)
                return fetch(node, 1), fetch(node, 2), node.rpc.getmodelinfo()["model_root"]
    raise AssertionError("luck that no chain has")


def blocks_of_a_node():
    """Two mined blocks are right to the last byte, step and weight"""
    spec = built_in("regtest")
    genesis, key, v = spec.genesis(), [bytes.fromhex(k) for k in KEYS], [0.0] * spec.model.n
    first, second, tip_root = mine_two()

    check_headers(spec, genesis, genesis.model_root, first)
    check_transactions(first, coinbase(spec, 1, 0, key[0], [key[0]] * len(first.loose), 0, Outcome(True), [], 0, 0))
    proofs = execute(spec, spec.theta, genesis.ticket(), first.proofs())
    (theta, v), outcome, _ = update_state(spec, spec.theta, v, genesis.ticket(), proofs, spec.v_0)
    tap.true(not outcome.void, "the block improved the model")

    root = model_root(theta, v)
    check_headers(spec, first.header, root, second)
    _, bucket = proof_worth(spec, 1, 0, len(first.loose))
    check_transactions(second, coinbase(spec, 2, 0, key[1], [key[1]] * len(second.loose), bucket, outcome,
                                        [None] * spec.slots, spec.v_0, 0))
    execute(spec, theta, first.header.ticket(), [second.header])
    tap.true(tip_root != shown(root), "the second block changed the model too")


def late_of_a_node():
    """A stale block's own proof is late in the second block after it, right and rightly paid"""
    spec = built_in("regtest")
    genesis, v = spec.genesis(), [0.0] * spec.model.n
    first, second = mine_stale()
    branch = [Block(genesis), first]

    proofs = execute(spec, spec.theta, genesis.ticket(), first.proofs())
    (theta, v), outcome, _ = update_state(spec, spec.theta, v, genesis.ticket(), proofs, spec.v_0)
    check_headers(spec, first.header, model_root(theta, v), second)
    tap.equal(late_fault(spec, branch, second), None, "late proofs")
    tap.true(any(proof.is_block() for proof in second.late), "the stale block's own proof is late")
    tap.true(len(second.loose + second.late) <= most_proofs(spec, second.header.time, genesis.time), "number of proofs")
    execute(spec, spec.theta, genesis.ticket(), second.late)
    late = [(proof.miner, len(branch) - 1 - place(branch, proof)) for proof in second.late]
    _, bucket = proof_worth(spec, 1, 0, len(first.loose))
    check_transactions(second, coinbase(spec, 2, 0, bytes.fromhex(KEYS[2]), [proof.miner for proof in second.loose], bucket,
                                        outcome, [None] * spec.slots, spec.v_0, 0, late))
    for listed, reason in ((second.late * 2, "bad-proof-order"), (second.loose + [second.header], "bad-proof-parent"),
                           ([first.header], "bad-proof-duplicate"),
                           ([second.late[0].copy(time=genesis.time)], "bad-proof-time"),
                           ([second.late[0].copy(model_root=bytes(32))], "bad-proof-parent")):
        tap.equal(late_fault(spec, branch, Block(second.header, late=listed)), reason, "what is wrong with others")
    tap.equal(late_fault(spec, branch + [second], Block(second.header, late=second.late)), "bad-proof-duplicate", "twice")


tap.main(blocks_of_a_node, late_of_a_node)
