#!/usr/bin/env python3
"""Peers that shake hands, announce what there is, and never answer: each costs a moment, not a minute."""

import contextlib
import sys
import threading

sys.path[0] = __file__.rpartition("/functional/")[0]  # the folder test

from framework import tap
from framework.node import Node, wait_for_same_tip, wait_until
from framework.p2p import Peer
from framework.prose import prose
from reference import messages
from reference.hashing import Reader, shown
from reference.headers import Header
from reference.transactions import Transaction

BLOCKS = 40
SILENT = 10
SOON = 40  # seconds; one silent peer after the other for a minute would be far more


def headers_of(node):
    return [Header.parse(bytes.fromhex(node.rpc.getblockheader(node.rpc.getblockhash(height), False)))
            for height in range(1, node.height() + 1)]


@contextlib.contextmanager
def silent_peers(node, count):
    """Of different addresses, as they would be."""
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(Peer(node, source=f"127.0.1.{number}")) for number in range(1, count + 1)]


def blocks():
    """A node catches up among ten peers that announce all blocks and send none"""
    with Node() as honest, Node() as late:
        honest.generate(BLOCKS)
        announcement = messages.headers_payload(*headers_of(honest))
        with silent_peers(late, SILENT) as peers:
            for peer in peers:
                peer.send("headers", announcement)
            wait_until(lambda: sum(len(peer["inflight"]) for peer in late.rpc.getpeerinfo()) == BLOCKS,
                       "all blocks are asked of silent peers")
            late.connect(honest)
            wait_for_same_tip(honest, late, seconds=SOON)
            tap.equal([peer for peer in peers if peer.closed], [], "silent peers that are punished")


def drops():
    """The next block comes although others announced it first and send it by drops, which is no silence"""
    with Node() as honest, Node() as late:
        honest.generate(1)
        late.connect(honest)
        wait_for_same_tip(honest, late)
        late.disconnect(honest)
        honest.generate(1)
        announcement = messages.headers_payload(headers_of(honest)[-1])
        begun = (3900000).to_bytes(4, "little") + bytes(4)  # length and checksum
        done = threading.Event()

        def drip(peers):
            while not done.wait(0.5):
                for peer in peers:
                    with contextlib.suppress(OSError):
                        peer.send_raw(bytes(8 << 10))

        with silent_peers(late, 3) as peers:
            dripping = threading.Thread(target=drip, args=(peers[:1],))
            for peer in peers:
                peer.send("headers", announcement)
            peers[0].wait_for("getdata")
            peers[0].send_raw(peers[0].magic + b"block".ljust(12, b"\0") + begun)
            dripping.start()
            try:
                late.connect(honest)
                wait_for_same_tip(honest, late, seconds=SOON)
            finally:
                done.set()
                dripping.join()
            tap.equal("did not deliver a block in time" in late.log(), False, "its time had to run out first")


@contextlib.contextmanager
def contribution():
    """A node with a contribution that nobody else has heard of, another on its chain, that transaction and its root."""
    with Node() as owner, Node() as other:
        owner.rpc.createwallet("w")
        wallet = owner.rpc.wallet("w")
        owner.rpc.generatetoaddress(1, wallet.getnewaddress())
        owner.generate(12, key=2)
        other.connect(owner)
        wait_for_same_tip(owner, other)
        owner.rpc.setnetworkactive(False)
        other.disconnect(owner)
        result = owner.contribute(wallet="w", file="", licence="CC0-1.0", title="a test", hexdata=prose(1, 40000).hex())
        other.rpc.submitblock(owner.rpc.getblock(owner.tip(), 0))
        wait_for_same_tip(owner, other)
        raw = bytes.fromhex(owner.rpc.getrawtransaction(result["txid"]))
        owner.rpc.setnetworkactive(True)
        yield owner, other, Transaction.read(Reader(raw)), bytes.fromhex(result["root"])


def comes_soon(other, tx):
    txid = shown(tx.txid())
    wait_until(lambda: other.rpc.getrawmempool() == [txid], "the transaction is in the mempool", SOON)


def transactions():
    """A transaction comes although others offered it first and do not send it"""
    with contribution() as (owner, other, tx, _), silent_peers(other, 4) as peers:
        for peer in peers:
            peer.send("inv", messages.inventory_payload((messages.INVENTORY_TX, tx.wtxid())))
            peer.sync()
        other.connect(owner)
        comes_soon(other, tx)


def blobs():
    """The bytes of a contribution come although whoever sent the transaction keeps them"""
    with contribution() as (owner, other, tx, root), silent_peers(other, 4) as peers:
        peers[0].send("tx", tx.serialise())
        peers[0].is_asked_for_blob(root)
        other.connect(owner)
        wait_until(lambda: other.log().count("received tx") == 2, "the owner sends the transaction too")
        for peer in peers:  # whoever does so last is asked next
            peer.send("tx", tx.serialise())
        comes_soon(other, tx)


tap.main(blocks, drops, transactions, blobs)
