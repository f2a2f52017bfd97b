#!/usr/bin/env python3
"""What a run earns, and what silence after a commitment costs: pay and stakes in blocks, coins and wallets (doc/protocol.md
section 20)."""

import sys

sys.path[0] = __file__.rpartition("/functional/")[0]  # the folder test

from framework import tap
from framework.node import KEYS, Node, wait_for_same_tip, wait_until
from framework.rounds import SPEC
from reference.transactions import address

P = SPEC["round_blocks"]
MERGE, CHILD = 2 * P, 2 * P + 1
BEACON = P + SPEC["round_work"] + 1
COMPUTE = 5000000000 * 7 // 10
RUN = COMPUTE * SPEC["run_ppm"] // 1000000 / 10 ** 8  # before a halving
OTHERS = address(SPEC["hrp"], bytes.fromhex(KEYS[1]))


def rounds_node(connect=(), wallet=None):
    node = Node(chain=SPEC["name"], connect=connect, start=False)
    node.use_spec(SPEC)
    node.start()
    if wallet is not None:
        node.rpc.createwallet("w", **wallet)
    return node


def mine_to(node, height, payee):
    while node.height() < height:
        node.rpc.generatetoaddress(1, payee)


def committed(node, own):
    """The first half of a round's seats are the wallet's; commitments to their runs are in blocks."""
    mine_to(node, P // 2, own)
    mine_to(node, P, OTHERS)
    wait_until(lambda: node.rpc.getmempoolinfo()["size"] == P // 2, "all commitments wait")
    mine_to(node, BEACON - 1, OTHERS)
    tap.equal(node.rpc.getmempoolinfo()["size"], 0, "all are in blocks")


def rewards(node):
    """{height: (category, amount)} of what the blocks up to the base paid the wallet for their own proofs"""
    return {one["blockheight"]: (one["category"], one["amount"]) for one in node.rpc.listtransactions("*", 1000)
            if one.get("blockheight", CHILD) <= P and one["vout"] == 0}


def balance(node):
    return sum(node.rpc.getbalances()["mine"].values())


def stakes(node):
    """Of the wallet's seats, those whose miners still have what their blocks paid them"""
    coinbases = {height: node.rpc.getblock(node.rpc.getblockhash(height))["tx"][0] for height in range(1, P // 2 + 1)}
    return [height for height, txid in coinbases.items() if node.rpc.gettxout(txid, 0) is not None]


def assert_struck(node, before, left):
    tap.equal(stakes(node), [], "coins of the struck seats")
    tap.equal({category for category, _ in rewards(node).values()}, {"struck"}, "categories")
    tap.equal([rewards(node)[height][1] for height in before], [amount for _, amount in before.values()], "amounts")
    tap.equal(balance(node), left, "the balance, which loose proofs are in")
    listed = [one for one in node.rpc.listtransactions("*", 1000) if one["category"] == "struck"]
    tap.equal([one["struckheight"] for one in listed], [CHILD] * len(before), "the block that took them")
    tap.equal(node.rpc.gettransaction(listed[0]["txid"])["struckheight"], CHILD, "the same by the transaction")


def silence_costs_the_stake():
    """Who committed and does not disclose loses his stake, in wallets too, and has it back when the block is undone"""
    with rounds_node(wallet={}) as node, rounds_node(connect=[node]) as other:
        own, words = node.rpc.getnewaddress(), node.rpc.dumpmnemonic()
        committed(node, own)
        wait_for_same_tip(node, other)
        node.stop()
        mine_to(other, MERGE, OTHERS)
        before = other.rpc.gettxoutsetinfo()["total_amount"]
        other.rpc.createwallet("again", mnemonic=words)
        wait_until(lambda: len(rewards(other)) == P // 2, "the wallet has found its coins")
        owned = rewards(other)
        staked = sum(amount for _, amount in owned.values())
        left = balance(other) - staked
        tap.equal({category for category, _ in owned.values()}, {"immature"}, "until the merge")
        tap.equal(stakes(other), sorted(owned), "coins of the seats")
        mine_to(other, CHILD, OTHERS)
        wait_until(lambda: rewards(other)[1][0] == "struck", "the wallet follows")
        assert_struck(other, owned, left)
        told = other.rpc.getblock(other.tip(), 2)
        tap.equal(told["run_payments"], [], "pay of runs")
        # "atl", kind 2, not void or void, then the seats: struck, and those that nobody committed to.
        statement = bytes.fromhex(told["tx"][0]["vout"][-1]["scriptPubKey"]["hex"])
        tap.equal((statement[2:6], statement[7:]), (b"atl\x02", bytes([3] * (P // 2) + [0] * (P // 2))), "the statement")
        paid = sum(out["value"] for out in told["tx"][0]["vout"])
        after = other.rpc.gettxoutsetinfo()["total_amount"]
        tap.equal(after, before + paid - staked, "all coins")
        struck_block = other.tip()
        other.rpc.invalidateblock(struck_block)
        tap.equal((stakes(other), rewards(other), balance(other)), (sorted(owned), owned, left + staked), "undone")
        tap.equal(other.rpc.gettxoutsetinfo()["total_amount"], before, "all coins again")
        other.rpc.reconsiderblock(struck_block)
        wait_until(lambda: other.tip() == struck_block, "the block is back")
        assert_struck(other, owned, left)
        # His own wallet finds out when it comes back, and has no more of it once all would be mature.
        node.start("-wallet=w")
        node.connect(other)
        node.wait_for_height(CHILD)
        wait_until(lambda: rewards(node)[1][0] == "struck", "his own wallet follows")
        assert_struck(node, owned, left)
        mine_to(other, SPEC["maturity"] + P, OTHERS)
        wait_for_same_tip(node, other)
        tap.equal(node.rpc.getbalances()["mine"], {"trusted": left, "untrusted_pending": 0, "immature": 0}, "what is left")


def true_runs_are_paid():
    """Who discloses what he committed to is paid by the child of the merge, and keeps his stake"""
    with rounds_node(wallet={}) as node, rounds_node(connect=[node]) as other:
        told = node.rpc.getchainspec()
        tap.equal({name: told[name] for name in SPEC}, SPEC, "the spec as the node tells it")
        own = node.rpc.getnewaddress()
        committed(node, own)
        mine_to(node, BEACON, OTHERS)
        wait_until(lambda: node.rpc.getmempoolinfo()["size"] == P // 2, "all disclosures wait")
        mine_to(node, CHILD, OTHERS)
        wait_for_same_tip(node, other)
        for one in node, other:
            told = one.rpc.getblock(one.tip())
            tap.equal([(pay["seat"], pay["miner"], float(pay["amount"])) for pay in told["run_payments"]],
                      [(height, own, RUN) for height in range(1, P // 2 + 1)], "pay of runs")
            tap.equal(told["data_payments"], [], "pay of data")
            tap.equal(stakes(one), list(range(1, P // 2 + 1)), "stakes")
        mine_to(node, CHILD + SPEC["maturity"] - 1, OTHERS)
        earned = [one for one in node.rpc.listtransactions("*", 1000) if one["blockheight"] == CHILD]
        tap.equal([(one["category"], float(one["amount"])) for one in earned], [("run", RUN)] * (P // 2), "what the runs earned")
        tap.equal({category for category, _ in rewards(node).values()}, {"generate"}, "what the blocks earned")


tap.main(silence_costs_the_stake, true_runs_are_paid)
