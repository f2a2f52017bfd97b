#!/usr/bin/env python3
"""Transactions of rounds outside blocks: who may have one in the mempool, how their bytes travel, what false ones cost."""

import sys

sys.path[0] = __file__.rpartition("/functional/")[0]  # the folder test

from framework import tap
from framework.node import RpcError, wait_for_same_tip, wait_until
from framework.p2p import Peer
from framework.untrained import BASE, BEACON, RULES, codes_of, commit, committed, disclosure, mine, rounds_node, send
from reference.hashing import Reader, blob_root, sha256
from reference.round_tx import CHALLENGE, COMMIT, DISCLOSURE, RoundTransaction
from reference.runs import digest_list
from reference.transactions import Transaction


def txid_of(transaction):
    return transaction.txid()[::-1].hex()


def refusal(node, transaction):
    try:
        send(node, transaction)
    except RpcError as error:
        return str(error).split(",")[0]
    return None


def holds(node, *transactions):
    wanted = sorted(map(txid_of, transactions))
    wait_until(lambda: sorted(node.rpc.getrawmempool()) == wanted, f"the mempool is {wanted}")


def bring(peer, transaction, blob):
    """As a node does that is asked for what it offers."""
    peer.send("tx", transaction.serialise())
    peer.give(blob_root(blob), blob)
    peer.is_asked_for_blob(blob_root(blob))


def commits():
    """One commitment a seat, signed by who mined it, reaches others and the next block, and RPC says what it says"""
    with rounds_node() as node, rounds_node(connect=[node]) as other:
        mine(node, BASE - 1)
        tap.equal(refusal(node, RoundTransaction(COMMIT, 1, 1, bytes(32), bytes(64)).transaction()), "bad-round-seat",
                  "before the base")
        mine(node, 1)
        wait_for_same_tip(node, other)
        first, second = commit(node, 1, codes_of(1)), commit(node, 2, codes_of(2))
        tap.equal(refusal(node, RoundTransaction(COMMIT, 1, 1, bytes(32), bytes(64)).transaction()),
                  "bad-round-signature", "a signature of nobody")
        for transaction in first, second:
            tap.equal(send(node, transaction), txid_of(transaction), "the answer")
        tap.equal(refusal(node, commit(node, 1, codes_of(3))), "txn-mempool-conflict", "another for the seat")
        tap.equal(refusal(other, RoundTransaction(DISCLOSURE, 1, 1, bytes(32)).transaction()), "bad-round-seat", "a disclosure")
        holds(other, first, second)
        shown = other.rpc.getrawtransaction(txid_of(first), 1)["round"]
        tap.equal((shown["kind"], shown["seat"], shown["length"]), ("commit", 1, RULES.segments), "RPC")
        tap.equal(shown["root"], sha256(digest_list(codes_of(1))).hex(), "root by RPC")
        tap.equal(other.rpc.getmempoolentry(txid_of(first))["fees"]["base"], 0, "the fee")
        mine(other, 1)
        wait_for_same_tip(node, other)
        tap.equal(len(node.rpc.getblock(node.tip())["tx"]), 3, "transactions of the block")
        holds(node)
        tap.equal(refusal(node, commit(node, 1, codes_of(3))), "bad-round-duplicate", "once more")
        node.rpc.invalidateblock(node.tip())
        holds(node, first, second)


def disclosures():
    """A disclosure is taken with its bytes, relayed with them, and comes back when its block is undone"""
    with rounds_node() as node, rounds_node(connect=[node]) as other:
        codes = codes_of(3, length=1)
        committed(node, {3: codes})
        wait_for_same_tip(node, other)
        whole = disclosure(node, 3, codes_of(3))[0]
        tap.equal(refusal(node, whole), "bad-round-seat", "of another length than was committed to")
        transaction, blob = disclosure(node, 3, codes)
        with Peer(node) as peer:
            peer.send("tx", transaction.serialise())
            peer.is_asked_for_blob(blob_root(blob))
            holds(node)
            tap.equal(refusal(node, transaction), "missing-blob", "without the bytes")
            peer.give(blob_root(blob), blob)
            holds(node, transaction)
        holds(other, transaction)
        tap.equal(other.rpc.getblob(blob_root(blob).hex(), 32, 64), blob[32:96].hex(), "bytes at the other node")
        mine(other, 1)
        wait_for_same_tip(node, other)
        tap.true(txid_of(transaction) in node.rpc.getblock(node.tip())["tx"], "the block has it")
        holds(node)
        node.rpc.invalidateblock(node.tip())
        holds(node, transaction)


def challenges():
    """A challenge is executed before it is held, relayed and mined, with the bytes it starts from"""
    with rounds_node() as node, rounds_node(connect=[node]) as other:
        codes = codes_of(6)
        committed(node, {6: codes})
        shown, blob = disclosure(node, 6, codes)
        wrong = RoundTransaction(CHALLENGE, 6, 2, blob_root(codes[1])).transaction()
        right = RoundTransaction(CHALLENGE, 6, 2, blob_root(codes[2])).transaction()
        with Peer(node, source="127.0.0.2") as peer, Peer(node, source="127.0.0.3") as liar:
            bring(peer, shown, blob)
            holds(node, shown)
            mine(node, 1)
            wait_for_same_tip(node, other)
            bring(liar, wrong, codes[1])
            bring(peer, right, codes[2])
            holds(node, right)
            holds(other, right)
            liar.send("tx", RoundTransaction(CHALLENGE, 6, 1, blob_root(codes[1])).transaction().serialise())
            liar.sync()
        tap.equal(other.rpc.getrawtransaction(txid_of(right), 1)["round"],
                  {"kind": "challenge", "seat": 6, "segment": 2, "blob": blob_root(codes[2]).hex()}, "RPC")
        mine(other, 1)
        wait_for_same_tip(node, other)
        tap.true(txid_of(right) in node.rpc.getblock(node.tip())["tx"], "the block has it")
        holds(node)


def false_bytes():
    """Who brings bytes that no branch has is not heard again in the round, and keeps nobody from bringing the right ones"""
    with rounds_node() as node:
        committed(node, {1: codes_of(1), 2: codes_of(2), 3: codes_of(3)})
        right, blob = disclosure(node, 1, codes_of(1))
        second, second_blob = disclosure(node, 2, codes_of(2))
        third, third_blob = disclosure(node, 3, codes_of(3))
        false_blob = blob[:-1] + bytes([blob[-1] ^ 1])
        # One peer at a time: who is asked for what he has not would have to say so.
        with Peer(node, source="127.0.0.2") as liar:
            bring(liar, RoundTransaction(DISCLOSURE, 1, RULES.segments, blob_root(false_blob)).transaction(), false_blob)
            node.wait_for_log(f"peer=1 sent blob {blob_root(false_blob).hex()}")
            liar.send("tx", second.serialise())  # no more from there
            liar.sync()
            tap.true(not liar.closed, "he loses no connection by what is of rounds")
        holds(node)
        wait_until(lambda: node.rpc.getpeerinfo() == [], "the peer is gone")
        try:
            node.rpc.getblob(blob_root(false_blob).hex(), 0, 1)
            raise AssertionError("false bytes stay")
        except RpcError as error:
            tap.equal(str(error), "Blob not found", "false bytes are gone")
        # Where the beacon is another block, another segment is drawn; where the seat has committed to another list, which
        # the first part shows, the bytes have that: who comes from there goes on to be heard.
        with Peer(node, source="127.0.0.3") as elsewhere:
            bring(elsewhere, *disclosure(node, 1, codes_of(1), shift=1))
            bring(elsewhere, second, second_blob)
            holds(node, second)
            bring(elsewhere, *disclosure(node, 1, codes_of(4)))
            bring(elsewhere, third, third_blob)
            holds(node, second, third)
        with Peer(node, source="127.0.0.5") as honest:
            bring(honest, right, blob)
            holds(node, right, second, third)


def withheld():
    """Who offers a disclosure and keeps its bytes to himself does not keep them from others"""
    with rounds_node() as node:
        committed(node, {1: codes_of(1)})
        transaction, blob = disclosure(node, 1, codes_of(1))
        with Peer(node, source="127.0.0.2") as miser:
            miser.send("tx", transaction.serialise())
            miser.is_asked_for_blob(blob_root(blob))
            with Peer(node, source="127.0.0.3") as giver:
                bring(giver, transaction, blob)
                holds(node, transaction)


def early():
    """A disclosure that comes a block before its time waits, and its bytes are asked for when that has come"""
    with rounds_node() as node, rounds_node() as behind:
        committed(node, {4: codes_of(4)})
        for height in range(1, BEACON):
            behind.rpc.submitblock(node.rpc.getblock(node.rpc.getblockhash(height), 0))
        transaction, blob = disclosure(node, 4, codes_of(4))
        with Peer(behind) as peer:
            peer.send("tx", transaction.serialise())
            peer.sync()
            tap.equal(peer.count("getpart"), 0, "requests before the beacon")
            behind.rpc.submitblock(node.rpc.getblock(node.tip(), 0))
            peer.give(blob_root(blob), blob)
            holds(behind, transaction)
            mine(behind, 4)
            holds(behind)


def malformed():
    """What has not the one form costs the connection"""
    with rounds_node() as node:
        mine(node, 1)
        other_form = RoundTransaction(DISCLOSURE, 1, 1, bytes(32)).transaction()
        bad = Transaction(2, other_form.inputs, other_form.outputs)
        tap.equal(Transaction.read(Reader(bad.serialise())).txid(), bad.txid(), "it is a transaction")
        with Peer(node) as peer:
            peer.send("tx", bad.serialise())
            peer.wait_for_close()
        tap.equal(refusal(node, bad), "bad-round-format", "from the operator")
        # Of a length that no run has, and its bytes are of no size that anybody would be asked for.
        for length in (0, RULES.segments + 1, 2 ** 32 - 1):
            endless = RoundTransaction(DISCLOSURE, 1, length, bytes(32)).transaction()
            with Peer(node) as peer:
                peer.send("tx", endless.serialise())
                peer.wait_for_close()
            tap.equal(refusal(node, endless), "bad-round-format", f"of {length} segments")


tap.main(commits, disclosures, challenges, false_bytes, withheld, early, malformed)
