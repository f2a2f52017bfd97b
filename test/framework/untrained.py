"""Runs that nobody has trained: it is their digests that are right. For what a node does before it executes them.

    node = rounds_node()
    committed(node, {seat: codes_of(seat)})
    transaction, blob = disclosure(node, seat, codes_of(seat))
"""

import struct

from reference.hashing import blob_root, sha256
from reference.headers import Block
from reference.round_tx import DISCLOSURE, RoundTransaction, make_commit
from reference.runs import audited, digest_list, first_code, make_disclosure
from reference.spec import built_in
from reference.transactions import address

from .node import KEYS, Node
from .rounds import SPEC

RULES = built_in("regtest", **SPEC)
BASE = RULES.round_blocks
BEACON = BASE + RULES.round_work + 1
SECRET = 1  # of KEYS[0], which is paid by all blocks


def rounds_node(connect=()):
    node = Node(chain=SPEC["name"], connect=connect, start=False)
    node.use_spec(SPEC)
    node.start()
    return node


def mine(node, count, key=0):
    node.rpc.generatetoaddress(count, address(SPEC["hrp"], bytes.fromhex(KEYS[key])))


def header_at(node, height):
    return Block.parse(bytes.fromhex(node.rpc.getblock(node.rpc.getblockhash(height), 0))).header


def codes_of(number, length=RULES.segments):
    """A trace that nobody has trained, but all of whose digests are right."""
    codes = [first_code(RULES)]
    for j in range(length):
        codes.append(codes[0][:1] + struct.pack("<H", 16 * number + j + 1) + codes[0][3:])
    return codes


def commit(node, seat, codes):
    ids = header_at(node, BASE).id(), header_at(node, seat).id()
    return make_commit(SECRET, *ids, seat, len(codes) - 1, sha256(digest_list(codes))).transaction()


def disclosure(node, seat, codes, shift=0):
    """(transaction, blob); shifted, it shows another segment than was drawn."""
    length = len(codes) - 1
    drawn = audited(header_at(node, BEACON).ticket(), length, seat - 1)
    blob = make_disclosure(codes, (drawn + shift) % length)
    return RoundTransaction(DISCLOSURE, seat, length, blob_root(blob)).transaction(), blob


def send(node, transaction):
    return node.rpc.sendrawtransaction(transaction.serialise().hex())


def committed(node, runs):
    """Mines to the beacon, with a commitment of each seat to its codes."""
    mine(node, BASE)
    for seat, codes in runs.items():
        send(node, commit(node, seat, codes))
    mine(node, BEACON - BASE)
