#!/usr/bin/env python3
"""Two nodes apart build two branches; together again, the one with most work wins, with its model and its coins."""

import sys

sys.path[0] = __file__.rpartition("/functional/")[0]  # the folder test

from framework import tap
from framework.node import Node, wait_for_same_tip, wait_until


def most_work_wins():
    """The longer branch wins on both sides, with the same model; the other stays known"""
    with Node() as a, Node() as b:
        a.connect(b)
        a.generate(2)
        wait_for_same_tip(a, b)
        a.disconnect(b)
        a.generate(2, key=0)
        b.generate(4, key=1)
        loser, winner, root = a.tip(), b.tip(), b.model_root()
        tap.true(a.model_root() != root, "the branches have different models")
        a.connect(b)
        wait_for_same_tip(a, b)
        tap.equal(a.tip(), winner, "tip")
        tap.equal((a.model_root(), b.model_root()), (root, root), "model roots")
        tips = {tip["hash"]: tip for tip in a.rpc.getchaintips()}
        tap.equal((tips[winner]["status"], tips[loser]["branchlen"]), ("active", 2), "chain tips")
        # Both go on from there, and a restart remembers it.
        a.generate(1)
        wait_for_same_tip(a, b)
        a.restart()
        tap.equal((a.tip(), a.model_root()), (b.tip(), b.model_root()), "after a restart")


def tie_stays():
    """On a tie each node keeps what it connected first, until one branch grows"""
    with Node() as a, Node() as b:
        a.generate(2, key=0)
        b.generate(2, key=1)
        tips = a.tip(), b.tip()
        a.connect(b)
        wait_until(lambda: all(peer["synced_headers"] == 2 for node in (a, b) for peer in node.rpc.getpeerinfo()),
                   "both know the other's branch")
        tap.equal((a.tip(), b.tip()), tips, "tips")
        b.generate(1, key=1)
        wait_for_same_tip(a, b)
        tap.equal(a.rpc.getblockhash(2), tips[1], "the branch that grew")
        tap.equal(a.model_root(), b.model_root(), "model root")


def coins_and_mempool():
    """A payment of the branch that lost goes back to the mempool, to the other node, and into a block"""
    with Node() as a, Node() as b:
        a.rpc.createwallet("w")
        wallet = a.rpc.wallet("w")
        own = wallet.getnewaddress()
        a.rpc.generatetoaddress(1, own)
        a.generate(12, key=2)
        a.connect(b)
        wait_for_same_tip(a, b)
        before = wallet.getbalance()
        tap.true(before > 0, "the wallet has money")
        a.disconnect(b)
        txid = wallet.sendtoaddress(wallet.getnewaddress(), 1)
        a.generate(1, key=0)
        tap.equal(wallet.gettransaction(txid)["confirmations"], 1, "confirmations on the short branch")
        b.generate(3, key=1)
        a.connect(b)
        wait_for_same_tip(a, b)
        tap.equal(a.rpc.getrawmempool(), [txid], "the mempool after the reorganisation")
        tap.equal(wallet.gettransaction(txid)["confirmations"], 0, "confirmations after the reorganisation")
        wait_until(lambda: b.rpc.getrawmempool() == [txid], "the payment reaches the other node")
        b.generate(1, key=1)
        wait_for_same_tip(a, b)
        tap.equal(wallet.gettransaction(txid)["confirmations"], 1, "confirmations in the end")
        tap.equal(a.rpc.getrawmempool(), [], "the mempool in the end")
        tap.true(before - wallet.getbalance() < 1, "only the fee is gone")


tap.main(most_work_wins, tie_stays, coins_and_mempool)
