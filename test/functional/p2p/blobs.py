#!/usr/bin/env python3
"""Contributed data travel with the transactions and blocks that register them; missing bytes mean "not yet"."""

import sys

sys.path[0] = __file__.rpartition("/functional/")[0]  # the folder test

from framework import tap
from framework.node import Node, wait_for_same_tip, wait_until
from framework.p2p import Peer
from framework.prose import prose
from reference import messages
from reference.hashing import Reader
from reference.headers import Block
from reference.transactions import Transaction

DATA = prose(1, 40000)


def owner_node():
    """A node whose wallet can pay for a contribution."""
    node = Node()
    node.rpc.createwallet("w")
    node.rpc.generatetoaddress(1, node.rpc.wallet("w").getnewaddress())
    node.generate(12, key=2)
    return node


def contribute(node, other, data=DATA):
    """(transaction id, root) of a contribution that nobody else has heard of; the other has the block of its commitment."""
    result = node.contribute(wallet="w", file="", licence="CC0-1.0", title="a test", hexdata=data.hex())
    if other.tip() != node.tip():
        other.rpc.submitblock(node.rpc.getblock(node.tip(), 0))
    wait_for_same_tip(node, other)
    return result["txid"], bytes.fromhex(result["root"])


def raw_block(node):
    return Block.parse(bytes.fromhex(node.rpc.getblock(node.tip(), 0)))


def travels():
    """Bytes reach the others with the transaction, and late comers with the block"""
    with owner_node() as owner, Node(connect=[owner]) as other:
        wait_for_same_tip(owner, other)
        txid, root = contribute(owner, other)
        wait_until(lambda: other.rpc.getrawmempool() == [txid], "the transaction is in the other's mempool")
        tap.equal(other.rpc.getblob(root.hex()), DATA.hex(), "the bytes at the other node")
        other.generate(1)
        wait_for_same_tip(owner, other)
        with Node(connect=[other]) as late:
            wait_for_same_tip(owner, late)
            tap.equal(late.rpc.getblob(root.hex()), DATA.hex(), "the bytes at the late node")
            tap.equal(late.rpc.getdataset(root.hex())["root"], root.hex(), "the dataset")
            # What a node was given it gives on, as it is.
            with Peer(late) as peer:
                asked = messages.getpart_payload(root, len(DATA))
                peer.send("getpart", asked)
                tap.equal(peer.wait_for("part"), asked + DATA, "the blob on request")
                asked = messages.getpart_payload(root, len(DATA) + 1)
                peer.send("getpart", asked)
                peer.wait_for("part", lambda payload: payload == asked)  # not in that size


def transaction_without_bytes():
    """A transaction waits for its bytes; wrong bytes cost the connection"""
    with owner_node() as owner, Node() as victim:
        victim.connect(owner)
        wait_for_same_tip(owner, victim)
        owner.rpc.setnetworkactive(False)
        victim.disconnect(owner)
        txid, root = contribute(owner, victim)
        raw = bytes.fromhex(owner.rpc.getrawtransaction(txid))
        with Peer(victim) as keeper:
            keeper.send("tx", raw)
            keeper.is_asked_for_blob(root)
            keeper.give(root, None)
            keeper.sync()
            tap.equal(victim.rpc.getrawmempool(), [], "the mempool without the bytes")
        with Peer(victim) as liar:
            liar.is_asked_for_blob(root)  # all peers are asked in turn
            liar.give(root, DATA[::-1])
            liar.wait_for_close()
        victim.wait_for_log("bad-blob-root")
        tap.equal(victim.rpc.getrawmempool(), [], "the mempool after wrong bytes")
        with Peer(victim) as listener:
            owner.rpc.setnetworkactive(True)
            victim.connect(owner)
            wait_until(lambda: victim.rpc.getrawmempool() == [txid], "the bytes come from the owner")
            listener.wait_for("inv", lambda payload: Transaction.read(Reader(raw)).wtxid() in payload)


def block_without_bytes():
    """A block waits for its bytes, over a restart too, and nobody is to blame"""
    with owner_node() as owner, Node() as victim:
        victim.connect(owner)
        wait_for_same_tip(owner, victim)
        owner.rpc.setnetworkactive(False)
        victim.disconnect(owner)
        root = contribute(owner, victim)[1]
        before = victim.tip()
        owner.generate(1)
        block = raw_block(owner)
        with Peer(victim) as peer:
            peer.send("headers", messages.headers_payload(block.header))
            peer.wait_for("getdata")
            peer.send("block", block.serialise())
            peer.is_asked_for_blob(root)
            peer.give(root, None)
            peer.sync()
            tap.equal(victim.tip(), before, "tip without the bytes")
            tap.true(not peer.closed, "the sender stays")
        victim.restart()
        tap.equal(victim.tip(), before, "tip after the restart")
        wait_until(lambda: any(root.hex() in warning for warning in victim.rpc.getblockchaininfo()["warnings"]),
                   "a warning names the bytes that are missing")
        with Peer(victim) as peer:
            peer.give(root, DATA)
            wait_for_same_tip(owner, victim)
        tap.equal(victim.model_root(), owner.model_root(), "model root")
        wait_until(lambda: victim.rpc.getblockchaininfo()["warnings"] == [], "the warning is gone")


tap.main(travels, transaction_without_bytes, block_without_bytes)
