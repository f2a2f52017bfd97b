#!/usr/bin/env python3
"""Judges blocks that a real node mined with the second implementation, atelier_protocol.py: every byte of them, every
step in them, what they did to the model, and what the next block says of it."""

import atelier_protocol as atelier
from framework import tap
from framework.node import KEYS, Node
from second_implementation import read_document, read_specs

LOOSE_MAX = 2   # steps are slow here, so a block with few proofs is looked for
ATTEMPTS = 30


def fetch(node, height):
    """A block's bytes, its header, and the headers of its loose proofs."""
    block_id = node.rpc.getblockhash(height)
    raw = bytes.fromhex(node.rpc.getblock(block_id, 0))
    loose_count = node.rpc.getblock(block_id)["nproofs"] - 1
    tail = raw[len(raw) - 1 - 212 * loose_count:-1]
    loose = [atelier.Header.parse(part) for part in atelier.pages(tail, 212)]
    header = atelier.Header.parse(raw[:212])
    tap.equal(header.id()[::-1].hex(), block_id, "block id")
    return raw, header, loose


def check_headers(spec, parent, root, header, loose):
    target = atelier.from_compact(header.bits)
    share = min(spec.k * target, 2 ** 256 - 1)
    tap.true(atelier.number(header.ticket()) <= target, "the block's ticket is under its target")
    for proof in loose:
        tap.true(target < atelier.number(proof.ticket()) <= share, "a loose ticket is between the targets")
    for proof in [header] + loose:
        tap.equal(proof.prev, parent.id(), "prev")
        tap.equal(proof.bits, atelier.next_bits(spec, 0, 0), "bits")
        tap.equal(proof.model_root, root, "model root")
        tap.true(proof.time > parent.time, "time goes on")
    seeds = [proof.seed() for proof in loose]
    tap.equal(seeds, sorted(set(seeds)), "order of the loose proofs")
    tap.equal(header.proofs_root, atelier.merkle_root([proof.id() for proof in loose]), "proofs root")


def check_bytes(raw, header, loose, coinbase):
    tap.equal(header.tx_root, atelier.merkle_root([atelier.HH(coinbase)]), "tx root")
    proofs = b"".join(proof.raw() for proof in loose)
    tap.equal(raw.hex(), (header.raw() + b"\1" + coinbase + atelier.compact(len(loose)) + proofs + b"\0").hex(), "block")


def execute(spec, theta, proofs):
    """Slot and delta of each, after comparing digests."""
    out = []
    for proof in proofs:
        delta = atelier.step(spec, theta, proof.seed(), spec.dataset())
        tap.equal(proof.digest.hex(), atelier.H(delta).hex(), "digest of a step")
        out.append((atelier.mulhi(atelier.draw(proof.seed(), atelier.SLOT, 0), spec.slots), delta))
    return out


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
    spec = atelier.Spec(*read_specs(read_document())["regtest"])
    genesis, key, v = spec.genesis(), [bytes.fromhex(k) for k in KEYS], [0.0] * spec.model.n
    (raw, header, loose), (raw2, header2, loose2), tip_root = mine_two()

    check_headers(spec, genesis, genesis.model_root, header, loose)
    void = atelier.Outcome(True)
    check_bytes(raw, header, loose, atelier.coinbase(spec, 1, 0, key[0], [key[0]] * len(loose), 0, void, [], 0))
    proofs = execute(spec, spec.theta, [header] + loose)
    (theta, v), outcome, _ = atelier.update_state(spec, spec.theta, v, genesis.ticket(), proofs)
    tap.true(not outcome.void, "the block improved the model")

    root = atelier.model_root(theta, v)
    check_headers(spec, header, root, header2, loose2)
    _, bucket = atelier.proof_worth(spec, 1, 0, len(loose))
    coinbase = atelier.coinbase(spec, 2, 0, key[1], [key[1]] * len(loose2), bucket, outcome, [None] * spec.slots, spec.v_0)
    check_bytes(raw2, header2, loose2, coinbase)
    execute(spec, theta, [header2])
    tap.true(tip_root != root[::-1].hex(), "the second block changed the model too")


tap.main(blocks_of_a_node)
